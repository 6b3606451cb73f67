import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, pair, seesMove } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 120, score_limit: 10 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("a page that reloads in mid-match comes back into its slot and plays on", async () => {
  const [ann, bob] = await pair(browser, server.url);
  const [slot, matchId] = [await ann.slot(), await ann.matchId()];
  await ann.page.reload();
  await ann.playing();
  expect(await ann.slot()).toBe(slot);
  expect(await ann.matchId()).toBe(matchId);
  await until("the other sees it present", () =>
    bob.page.evaluate(
      (s) => window.gameserver.session?.players.find((p) => p.slot === s)?.presence === "present",
      slot,
    ),
  );
  await seesMove(bob, ann);
  await seesMove(ann, bob);
});

test("a page whose connection is cut comes back by itself", async () => {
  const [ann, bob] = await pair(browser, server.url);
  const slot = await ann.slot();
  const seen = await ann.page.evaluate(async () => {
    const { session } = window.gameserver;
    const statuses: string[] = [];
    session?.on("status", (status) => statuses.push(status));
    await session?.room?.disconnect();
    return statuses;
  });
  expect(seen).toContain("reconnecting");
  await until("it is connected again", () =>
    ann.page.evaluate(() => window.gameserver.session?.status === "connected"),
  );
  await ann.playing();
  expect(await ann.slot()).toBe(slot);
  await seesMove(bob, ann);
  await seesMove(ann, bob);
});
