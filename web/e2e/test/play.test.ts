import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, type Player, pair, seesMove } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 100, score_limit: 2 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

interface StoredMatch {
  outcome: string;
  players: { slot: number; username: string; placement: number; score: number }[];
}

test("two browsers play a match to its end, and its result is kept", async () => {
  const [ann, bob] = await pair(browser, server.url);
  await seesMove(bob, ann);
  await seesMove(ann, bob);
  await ann.page.keyboard.press("Enter");
  await ann.page.keyboard.type("good luck");
  await ann.page.keyboard.press("Enter");
  await bob.page.waitForSelector(".chat-lines li:has-text('good luck')");
  const hunter = await ann.slot();

  await hunt(ann, bob, async () => ((await bob.sees(hunter))?.score ?? 0) >= 1);
  expect((await ann.sees(hunter))?.score).toBe(1);
  await ann.screenshot("play-after-kill");

  await hunt(ann, bob, async () => (await ann.phase()) === "ended");
  const results = await Promise.all([ann.storedResult(), bob.storedResult()]);
  expect(results[0]).toEqual(results[1]);
  expect(results[0].outcome).toBe("finished");
  expect(results[0].slots.find((s) => s.slot === hunter)).toMatchObject({ placement: 1, score: 2 });
  await Promise.all([ann.screen("result"), bob.screen("result")]);
  await ann.screenshot("play-result");

  const matchId = await ann.matchId();
  expect(await bob.matchId()).toBe(matchId);
  const kept = await server.get<StoredMatch>(`/matches/${matchId}`);
  expect(kept.outcome).toBe("finished");
  const bySlot = (list: readonly { slot: number; placement: number; score: number }[]) =>
    list
      .map(({ slot, placement, score }) => ({ slot, placement, score }))
      .sort((a, b) => a.slot - b.slot);
  expect(bySlot(kept.players)).toEqual(bySlot(results[0].slots));

  await server.restart();
  expect(await server.get<StoredMatch>(`/matches/${matchId}`)).toEqual(kept);
});

/** One stands on the lowest lane, the other shoots it there, until `done`. */
async function hunt(hunter: Player, prey: Player, done: () => Promise<boolean>): Promise<void> {
  const slot = await prey.slot();
  let firing = false;
  await until(
    "the hunt succeeds",
    async () => {
      const [ready] = await Promise.all([hunter.walkToLane(17), prey.walkToLane(23)]);
      const target = await hunter.sees(slot);
      const fire = ready && target?.alive === true && target.y > 20;
      if (target !== undefined) {
        await hunter.aimAt(target);
      }
      if (fire !== firing) {
        firing = fire;
        await (fire ? hunter.page.mouse.down() : hunter.page.mouse.up());
      }
      return await done();
    },
    45_000,
  );
  if (firing) {
    await hunter.page.mouse.up();
  }
  await hunter.hold();
  await prey.hold();
}
