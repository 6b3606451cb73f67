import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player } from "./browser.js";
import { moduleOf, Server, until } from "./server.js";

const GAME = "tic-tac-toe";
/** When whoever waits takes anybody. Two pages have their say well before. */
const WIDENS_S = 8;

let server: Server;
let browser: Browser;
beforeAll(async () => {
  const matchmaking = {
    skill: { source: "rating", tolerance: 100, widen: [{ after: WIDENS_S, to: "any" }] },
  };
  server = await Server.start(
    { match_seconds: 60, score_limit: 10 },
    {},
    { [GAME]: { module: moduleOf(GAME), matchmaking } },
  );
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("two of distant rating see why they wait, are matched when the tolerance widens, and play", async () => {
  const players = [
    await Player.open(browser, server.url),
    await Player.open(browser, server.url),
  ] as const;
  // Nobody is rated yet, so that they meet at once.
  await players[0].choose("Ann", "#play", GAME);
  await players[0].screen("waiting");
  await players[1].choose("Bob", "#play", GAME);
  await win(players);
  const first = await players[0].matchId();
  // One result takes two newcomers apart by more than the tolerance.
  const ratings = await Promise.all(players.map((p) => rating(p)));
  expect(Math.abs(ratings[0] - ratings[1])).toBeGreaterThan(100);

  const startedAt = performance.now();
  await Promise.all(players.map((p) => p.page.click("#again")));
  for (const player of players) {
    await player.screen("waiting");
    await player.says(".why", "1 other waits · none fits");
    await player.says(".status", "skill differs by 100 or more");
    await player.says(".why", "Players within 100 points of you");
    await player.says(".why", "Players of any skill in");
  }
  await players[0].screenshot("waiting-why");
  const seconds = () =>
    players[0].page
      .locator(".why", { hasText: "any skill in" })
      .textContent({ timeout: 5000 })
      .then((text) => Number(/any skill in (\d+) s/.exec(text ?? "")?.[1]));
  const left = await seconds();
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(WIDENS_S);
  await until("the widening is counted down", async () => (await seconds()) < left);

  await win(players);
  expect((performance.now() - startedAt) / 1000).toBeGreaterThan(WIDENS_S);
  expect(await players[0].matchId()).not.toBe(first);
});

/** Both come into the same match; whoever begins it wins, on both boards. */
async function win(players: readonly [Player, Player]): Promise<void> {
  await Promise.all(players.map((p) => p.screen("match")));
  expect(await players[0].matchId()).toBe(await players[1].matchId());
  await until("the match runs", async () => (await players[0].phase()) === "running");
  const [crosses, noughts] =
    (await players[0].slot()) === 0 ? players : ([players[1], players[0]] as const);
  // Their names, with what the matchmaker knew of them.
  expect(await crosses.page.locator(".seat .rating").count()).toBe(2);
  for (const [i, cell] of [0, 3, 1, 4, 2].entries()) {
    const [mover, other] = i % 2 === 0 ? [crosses, noughts] : [noughts, crosses];
    await mover.page.click(`[data-cell="${cell}"]:not([disabled])`);
    if (i < 4) {
      await other.page.waitForSelector(`[data-cell="${cell}"][data-mark="${"✕◯"[i % 2]}"]`);
    }
  }
  const results = await Promise.all(players.map((p) => p.storedResult()));
  expect(results[0]).toEqual(results[1]);
  expect(results[0].slots.map((s) => [s.slot, s.placement])).toEqual([
    [0, 1],
    [1, 2],
  ]);
  await Promise.all(players.map((p) => p.screen("result")));
}

function rating(player: Player): Promise<number> {
  return player.page.evaluate(
    async (game) => (await window.gameserver.client.stats(game)).rating,
    GAME,
  );
}
