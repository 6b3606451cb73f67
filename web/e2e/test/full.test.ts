import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, pair, seesMove } from "./browser.js";
import { emulate, framesToMove, record, recorded } from "./recorder.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 60, score_limit: 20 }, { authority_mode: "full" });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("with a server that simulates alone, a page still shows its own moves at once", async () => {
  const [ann, bob] = await pair(browser, server.url);
  expect(await ann.page.evaluate(() => window.gameserver.session?.mode)).toBe("full");
  await emulate(ann, { latencyMs: 200, jitterMs: 20, lossPct: 5 }, 3);
  const slot = await ann.slot();
  const right = ((await ann.sees(slot))?.x ?? 0) < 20;
  const keys = right ? ["KeyD", "KeyA"] : ["KeyA", "KeyD"];
  const presses = async () => {
    await record(ann);
    for (let i = 0; i < PRESSES; i += 1) {
      await ann.hold(keys[i % 2]);
      await ann.page.waitForTimeout(350);
      await ann.hold();
      await ann.page.waitForTimeout(600);
    }
    return framesToMove(await recorded(ann), slot)[Math.floor(PRESSES / 2)];
  };
  const predicted = await presses();
  expect(predicted).toBeLessThanOrEqual(2);
  await ann.page.evaluate(() => {
    const { session } = window.gameserver;
    if (session !== undefined) {
      session.prediction = false;
    }
  });
  await until(
    "nothing is predicted any more",
    async () => (await ann.stats()).predictedTicks === 0,
  );
  const waited = await presses();
  // A round trip of 200 ms is twelve frames at 60 a second, and six at 30.
  expect(waited).toBeGreaterThan(predicted + 3);
  await seesMove(bob, ann);
  const counters = (await bob.stats()).counters;
  expect(counters.malformed).toBe(0);
});

const PRESSES = 6;
