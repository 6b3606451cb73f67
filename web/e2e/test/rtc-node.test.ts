import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Game, GameServer, type Match, memoryStore } from "@gameserver/sdk";
import { dispose, Room, RoomEvent } from "@livekit/rtc-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ClientEventSchema, StateUpdateSchema } from "../../sdk/test/gen/gameserver_pb.js";
import { Server, until } from "./server.js";

let server: Server;
beforeAll(async () => {
  server = await Server.start({ match_seconds: 120, score_limit: 10 });
});
afterAll(async () => {
  await dispose();
  await server?.remove();
});

test("LiveKit's own client for Node joins with the API's token and receives state all the while", async () => {
  const { games } = await server.get<{ games: Game[] }>("/games");
  const rate = games.find((game) => game.id === "arena")?.tick_rate ?? 0;
  const matches = await Promise.all(["ann", "bob"].map(queue));
  expect(matches[0].match_id).toBe(matches[1].match_id);

  const rooms = matches.map(() => new Room());
  const ticks = new Set<number>();
  const senders = new Set<string>();
  rooms[0].on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
    if (topic === "state") {
      senders.add(participant?.identity ?? "");
      ticks.add(fromBinary(StateUpdateSchema, payload).tick);
    }
  });
  try {
    for (const [i, room] of rooms.entries()) {
      await room.connect(matches[i].url, matches[i].token, {
        autoSubscribe: true,
        dynacast: false,
      });
    }
    const hello = toBinary(
      ClientEventSchema,
      create(ClientEventSchema, { version: 1, body: { case: "hello", value: {} } }),
    );
    await until("state arrives", async () => {
      for (const room of rooms) {
        await room.localParticipant?.publishData(hello, {
          reliable: true,
          topic: "events",
          destination_identities: ["authority"],
        });
      }
      return ticks.size > 0;
    });
    ticks.clear();
    const started = performance.now();
    await until("three seconds of state", () => performance.now() - started >= 3000);
    const expected = (rate * (performance.now() - started)) / 1000;
    // Where nobody does anything new, every second packet is left out.
    expect(ticks.size).toBeGreaterThan(expected * 0.45);
    expect(ticks.size).toBeLessThan(expected * 1.1);
    expect([...senders]).toEqual(["authority"]);
  } finally {
    await Promise.all(rooms.map((room) => room.disconnect()));
  }
});

async function queue(name: string): Promise<Match> {
  const client = new GameServer({ url: server.url, storage: memoryStore() });
  await client.register(name, "correct horse battery");
  const ticket = await client.queue({ game: "arena" });
  return await ticket.waitForMatch({ signal: AbortSignal.timeout(30_000) });
}
