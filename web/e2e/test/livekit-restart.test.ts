import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, type Player, pair, seesMove } from "./browser.js";
import { Server, until } from "./server.js";

let server: Server;
let browser: Browser;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 25, score_limit: 10 });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

test("a match survives the death of its LiveKit server", async () => {
  const players = await pair(browser, server.url);
  const [ann, bob] = players;
  const slots = await Promise.all(players.map((p) => p.slot()));
  const matchId = await ann.matchId();
  await seesMove(bob, ann);

  const dead = server.livekitPid;
  process.kill(dead, "SIGKILL");
  const since = performance.now();
  const times = await Promise.all(players.map((player) => fresh(player, since)));
  console.info(`played on after ${times.map((ms) => Math.round(ms)).join(" and ")} ms`);
  expect(server.livekitPid).not.toBe(dead);
  expect(await Promise.all(players.map((p) => p.slot()))).toEqual(slots);
  await seesMove(bob, ann);
  await seesMove(ann, bob);

  const results = await Promise.all(players.map((p) => p.storedResult(60_000)));
  expect(results[0]).toEqual(results[1]);
  expect(results[0].outcome).toBe("finished");
  expect(await ann.matchId()).toBe(matchId);
  const kept = await server.get<{ outcome: string }>(`/matches/${matchId}`);
  expect(kept.outcome).toBe("finished");
});

/** Waits for the outage to be seen and then for a line that is whole again; answers when it was. */
async function fresh(player: Player, since: number): Promise<number> {
  const last = await until("the outage is seen", () =>
    player.page.evaluate((silent) => {
      const stats = window.gameserver.session?.stats;
      return (stats?.packetAgeMs ?? 0) > silent ? stats?.tick : undefined;
    }, SILENT_MS),
  );
  await until("state comes again", () =>
    player.page.evaluate((tick) => {
      const session = window.gameserver.session;
      return (
        session?.status === "connected" &&
        session.stats.tick > tick &&
        (session.stats.packetAgeMs ?? 1000) < 200
      );
    }, last),
  );
  return performance.now() - since;
}

/** No packet takes so long on a machine that is only busy. */
const SILENT_MS = 500;
