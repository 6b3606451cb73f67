import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Player, seesMove } from "./browser.js";
import { Server } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  // Longer than any page here takes: nobody is late unless a test wants it.
  const matchmaking = { acceptance: 30 };
  server = await Server.start({ match_seconds: 120, score_limit: 10 }, { matchmaking });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("who declines leaves the queue, and the other returns to it, sees so, and plays somebody else", async () => {
  const ann = await Player.open(browser, server.url);
  const bob = await Player.open(browser, server.url);
  await ann.choose("Ann", "#play");
  await ann.screen("waiting");
  await bob.choose("Bob", "#play");
  for (const player of [ann, bob]) {
    await player.page.waitForSelector("#accept", { timeout: 15_000 });
    await player.says(".question", "0 of 2 are ready");
  }
  await ann.screenshot("accept");
  await ann.page.click("#accept");
  await ann.says(".question", "You are ready");
  await bob.says(".question", "1 of 2 are ready");

  await bob.page.click("#decline");
  await bob.screen("menu");
  expect(await bob.page.textContent(".error")).toMatch(/declined/i);
  await ann.says(".returned", "Somebody was not ready. You are back in the queue");
  await ann.page.waitForSelector(".question", { state: "hidden" });
  expect(await ann.page.locator("#cancel").isVisible()).toBe(true);
  await ann.screenshot("accept-returned");

  const cid = await Player.open(browser, server.url);
  await cid.choose("Cid", "#play");
  await Promise.all([ann, cid].map((p) => p.page.click("#accept", { timeout: 15_000 })));
  await Promise.all([ann.playing(), cid.playing()]);
  expect(await ann.matchId()).toBe(await cid.matchId());
  await seesMove(cid, ann);
  await seesMove(ann, cid);
});
