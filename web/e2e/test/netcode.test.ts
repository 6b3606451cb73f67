import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, type Player, pair, seesMove } from "./browser.js";
import { emulate, framesToMove, longestJump, record, recorded } from "./recorder.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 28, score_limit: 20 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("over a bad line one's own moves show at once, nothing jumps, and both pages agree", async () => {
  const [ann, bob] = await pair(browser, server.url);
  expect(await ann.page.evaluate(() => window.gameserver.session?.mode)).toBe("validated");
  await Promise.all([emulate(ann, BAD, 1), emulate(bob, BAD, 2)]);
  const slots = await Promise.all([ann.slot(), bob.slot()]);
  const keys = await Promise.all([toAndFro(ann), toAndFro(bob)]);
  // Whoever looks at the picture asks for inputs, and would come between a key and its frame.
  await Promise.all([ann.page.waitForTimeout(100), record(ann), record(bob)]);
  for (let i = 0; i < PRESSES; i += 1) {
    await Promise.all([press(ann, keys[0][i % 2]), press(bob, keys[1][i % 2])]);
  }
  const recordings = await Promise.all([recorded(ann), recorded(bob)]);
  for (const [i, recording] of recordings.entries()) {
    expect(recording.frames.length).toBeGreaterThan(100);
    const frames = framesToMove(recording, slots[i]);
    expect(frames).toHaveLength(PRESSES);
    // Now and then a frame comes before the tick that the press belongs to.
    expect(frames[Math.floor(PRESSES / 2)], `frames: ${frames.join()}`).toBe(1);
    expect(frames.at(-1), `frames: ${frames.join()}`).toBeLessThanOrEqual(3);
    expect(longestJump(recording)).toBeLessThan(SMOOTH);
  }

  const results = await Promise.all([ann.storedResult(), bob.storedResult()]);
  expect(results[0]).toEqual(results[1]);
  expect(results[0].outcome).toBe("finished");
  // Each page compares its confirmed state with the server's each half second, to the end.
  const ends = await Promise.all([ann, bob].map((p) => p.stats()));
  for (const stats of ends) {
    expect(stats.mismatches).toBe(0);
    expect(stats.hashesMatched).toBeGreaterThan((stats.tick / 30) * 0.9 - 2);
    expect(stats.rollbacks).toBeGreaterThan(0);
  }
  expect(Math.abs(ends[0].tick - ends[1].tick)).toBeLessThanOrEqual(1);
});

test("a page that slept for ten seconds is in step again within one", async () => {
  const [ann, bob] = await pair(browser, server.url);
  await until("some ticks are confirmed", async () => (await ann.stats()).tick > 60);
  // As a suspended machine: nothing of the page runs.
  const sleeps = ann.page.evaluate(() => {
    const until = performance.now() + 10_000;
    while (performance.now() < until) {}
    return until;
  });
  const wokeAt = await sleeps;
  await until(
    "it holds what the other holds",
    async () => {
      const [mine, others] = await Promise.all([ann.stats(), bob.stats()]);
      return mine.tick > 500 && Math.abs(mine.tick - others.tick) < IN_STEP_TICKS;
    },
    5000,
  );
  const took = (await ann.page.evaluate(() => performance.now())) - wokeAt;
  expect(took).toBeLessThan(1000);
  await seesMove(bob, ann);
  await seesMove(ann, ann);
  expect((await ann.stats()).mismatches).toBe(0);
});

/** Holds a key for a moment, and lets go until all stands still. */
async function press(player: Player, key: string): Promise<void> {
  await player.hold(key);
  await player.page.waitForTimeout(350);
  await player.hold();
  await player.page.waitForTimeout(450);
}

/** The keys towards the middle and back. */
async function toAndFro(player: Player): Promise<[string, string]> {
  const at = await player.sees(await player.slot());
  return (at?.x ?? 0) < 20 ? ["KeyD", "KeyA"] : ["KeyA", "KeyD"];
}

const BAD = { latencyMs: 200, jitterMs: 20, lossPct: 5 };
const PRESSES = 8;
/**
 * World units in a sixtieth of a second: a player's width. Somebody who starts or stops unforeseen
 * is some two units off by the time that one hears of it, and glides there.
 */
const SMOOTH = 1;
/** Two pages are never asked in the same moment. */
const IN_STEP_TICKS = 30;
