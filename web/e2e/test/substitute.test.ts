import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player, pair, seesMove } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  // Two are enough to begin, so that a third slot is free.
  const matchmaking = { backfill: true, players: { min: 2, max: 3, fewer_after: 1 } };
  server = await Server.start({ match_seconds: 300, score_limit: 10 }, { matchmaking });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("a free slot is taken, and so is one that a player leaves, by others who play on in it", async () => {
  const [ann, bob] = await pair(browser, server.url);
  const matchId = await ann.matchId();
  await ann.says(".board", "Looking for a player");
  await ann.screenshot("substitute-wanted");

  const cid = await Player.open(browser, server.url);
  await cid.choose("Cid", "#play");
  await cid.playing();
  expect(await cid.matchId()).toBe(matchId);
  await taken(ann, await cid.slot(), "Cid");
  await ann.says(".chat-lines", "Cid takes the free place");
  await seesMove(ann, cid);

  const slot = await bob.slot();
  bob.page.on("dialog", (dialog) => void dialog.accept());
  await bob.page.click("#leave");
  await bob.screen("menu");
  await until("the slot is open", async () => (await seat(ann, slot))?.open);
  await ann.says(".chat-lines", "Bob is gone");
  await ann.says(".board", "Looking for a player");

  // Somebody else, at the same screen.
  await bob.choose("Eve", "#play");
  await bob.playing();
  expect(await bob.matchId()).toBe(matchId);
  expect(await bob.slot()).toBe(slot);
  await taken(ann, slot, "Eve");
  await ann.says(".board", "Eve");
  await seesMove(ann, bob);
  await seesMove(bob, ann);
  await ann.screenshot("substitute-plays");
});

/** A slot as this page knows it. */
function seat(player: Player, slot: number) {
  return player.page.evaluate(
    (s) => window.gameserver.session?.players.find((p) => p.slot === s),
    slot,
  );
}

async function taken(watcher: Player, slot: number, name: string): Promise<void> {
  await until(`slot ${slot} is ${name}'s`, async () => {
    const now = await seat(watcher, slot);
    return now?.username === name && now.presence === "present" && !now.open;
  });
}
