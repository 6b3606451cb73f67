// Plays a match of four and takes the picture that README.md shows.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { launch, Player, type Seen } from "../test/browser.js";
import { ROOT, Server } from "../test/server.js";

test("takes docs/images/arena.png", async () => {
  const server = await Server.start(
    { match_seconds: 120, score_limit: 25 },
    { players: NAMES.length },
  );
  const browser = await launch();
  try {
    const players: Player[] = [];
    for (const [i, name] of NAMES.entries()) {
      const viewport = i === 0 ? PICTURE : OTHERS;
      const player = await Player.open(browser, server.url, { viewport });
      await player.choose(name, "#play");
      players.push(player);
    }
    await Promise.all(players.map((player) => player.playing()));
    await Promise.all(players.map((player) => player.page.mouse.down()));

    let best: { picture: Buffer; liveliness: number } | undefined;
    for (const until = Date.now() + PLAY_MS; Date.now() < until; ) {
      await Promise.all(players.map((player, i) => act(player, i)));
      const before = await liveliness(players[0]);
      if (before > (best?.liveliness ?? ENOUGH)) {
        const picture = await players[0].page.screenshot();
        // It shows a moment between the two looks.
        const both = Math.min(before, await liveliness(players[0]));
        if (both > (best?.liveliness ?? ENOUGH)) {
          best = { picture, liveliness: both };
        }
      }
    }
    expect(best, "no moment was lively enough: run it again").toBeDefined();
    const folder = join(ROOT, "docs/images");
    mkdirSync(folder, { recursive: true });
    const picture = best?.picture ?? Buffer.alloc(0);
    expect(picture.length).toBeLessThan(MAX_BYTES);
    writeFileSync(join(folder, "arena.png"), picture);
  } finally {
    await browser.close();
    await server.remove();
  }
});

/** Aims at the nearest, and circles around the middle. */
async function act(player: Player, index: number): Promise<void> {
  const slot = await player.slot();
  const all = await player.players();
  const me = all.find((other) => other.slot === slot);
  if (me === undefined || !me.alive) {
    return;
  }
  const away = (other: Seen) => Math.hypot(other.x - me.x, other.y - me.y);
  const [target] = all
    .filter((other) => other !== me && other.alive)
    .sort((a, b) => away(a) - away(b));
  if (target !== undefined) {
    await player.aimAt(target);
  }
  const turn = Date.now() / 1500 + (index * Math.PI) / 2;
  const to = { x: 20 + 11 * Math.cos(turn), y: 12 + 7 * Math.sin(turn) };
  await player.hold(to.x > me.x ? "KeyD" : "KeyA", to.y > me.y ? "KeyS" : "KeyW");
}

/** How much there is to see: players, bullets, and that it has been fought. */
async function liveliness(player: Player): Promise<number> {
  const slot = await player.slot();
  const all = await player.players();
  const alive = all.filter((other) => other.alive);
  if (!alive.some((other) => other.slot === slot) || alive.length < NAMES.length - 1) {
    return 0;
  }
  const bullets = await player.page.evaluate(
    () =>
      (window.gameserver.session?.view() ?? []).filter((entity) => entity.kind === "bullet").length,
  );
  const hurt = alive.filter((other) => other.health < 100).length;
  const scored = all.filter((other) => other.score > 0).length;
  return bullets + 2 * alive.length + 2 * hurt + 4 * scored;
}

const NAMES = ["Ann", "Bob", "Cleo", "Dan"];
const PICTURE = { width: 1280, height: 720 };
/** Small, so that four pages draw smoothly on a small machine. */
const OTHERS = { width: 480, height: 320 };
const PLAY_MS = 40_000;
const ENOUGH = 12;
const MAX_BYTES = 400_000;
