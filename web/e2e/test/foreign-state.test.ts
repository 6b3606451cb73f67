import { create, toBinary } from "@bufbuild/protobuf";

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  Codec,
  Outcome,
  ServerEventSchema,
  StateUpdateSchema,
} from "../../sdk/test/gen/gameserver_pb.js";
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

test("a player who publishes state and events of its own changes nothing for the others", async () => {
  const [ann, bob] = await pair(browser, server.url);
  // A later epoch and an empty world: had it counted, everything would be gone.
  const state = toBinary(
    StateUpdateSchema,
    create(StateUpdateSchema, {
      version: 1,
      epoch: 1_000_000n,
      tick: 1_000_000,
      body: { case: "delta", value: { codec: Codec.PACKED, data: new Uint8Array(2), whole: true } },
    }),
  );
  const events = toBinary(
    ServerEventSchema,
    create(ServerEventSchema, {
      version: 1,
      epoch: 1_000_000n,
      sequence: 1,
      body: { case: "ended", value: { outcome: Outcome.VOID, reason: "forged", stored: true } },
    }),
  );
  await ann.page.evaluate(
    async (forged) => {
      const me = window.gameserver.session?.room?.localParticipant;
      for (const [topic, bytes] of forged) {
        for (const reliable of [true, false]) {
          await me?.publishData(new Uint8Array(bytes), { topic, reliable });
        }
      }
    },
    [
      ["state", [...state]],
      ["events", [...events]],
    ] as [string, number[]][],
  );
  await until("the forgery has arrived and was counted", () =>
    bob.page.evaluate(() => (window.gameserver.session?.stats.counters.foreign ?? 0) > 0),
  );
  expect(await bob.phase()).toBe("running");
  expect(await bob.page.evaluate(() => window.gameserver.session?.result)).toBeUndefined();
  expect(await bob.players()).toHaveLength(2);
  const tick = await bob.page.evaluate(() => window.gameserver.session?.stats.tick ?? 0);
  expect(tick).toBeLessThan(1_000_000);
  await until("the true state goes on", () =>
    bob.page.evaluate((t) => (window.gameserver.session?.stats.tick ?? 0) > t + 30, tick),
  );
  // Whatever the authority did about Ann, Bob plays on.
  await seesMove(bob, bob);
});
