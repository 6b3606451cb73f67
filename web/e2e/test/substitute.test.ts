import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player, pair, seesMove } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  const matchmaking = { backfill: true };
  server = await Server.start({ match_seconds: 300, score_limit: 10 }, { matchmaking });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("a player leaves, another takes the slot, and both who are there play on", async () => {
  const [ann, bob] = await pair(browser, server.url);
  const [matchId, slot] = [await ann.matchId(), await bob.slot()];
  bob.page.on("dialog", (dialog) => void dialog.accept());
  await bob.page.click("#leave");
  await bob.screen("menu");
  const seat = () =>
    ann.page.evaluate((s) => window.gameserver.session?.players.find((p) => p.slot === s), slot);
  await until("the slot is open", async () => (await seat())?.open);
  await ann.says(".board", "Looking for a player");
  await ann.says(".chat-lines", "Bob is gone");
  await ann.screenshot("substitute-wanted");

  const cid = await Player.open(browser, server.url);
  await cid.choose("Cid", "#play");
  await cid.playing();
  expect(await cid.matchId()).toBe(matchId);
  expect(await cid.slot()).toBe(slot);
  await until("the slot is Cid's", async () => {
    const now = await seat();
    return now?.username === "Cid" && now.presence === "present" && !now.open;
  });
  await ann.says(".chat-lines", "Cid takes");
  await ann.says(".board", "Cid");
  await seesMove(ann, cid);
  await seesMove(cid, ann);
  await ann.screenshot("substitute-plays");

  // And whoever left is free for another match.
  await bob.page.click("#play");
  await bob.screen("waiting");
});
