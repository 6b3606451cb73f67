import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { beforeEach, expect, test } from "vitest";
import { AUTHORITY, type CoreEvent, MatchCore, type Transmit } from "../src/core.js";
import { encodeEvent, MANIFEST, MANIFEST_JSON, random } from "./encoder.js";
import {
  AuthorityMode,
  ChatMessageSchema,
  ClientEventSchema,
  Outcome,
  Phase,
  PlayerInputSchema,
  Presence,
  StateUpdateSchema,
} from "./gen/gameserver_pb.js";

let core: MatchCore;
beforeEach(async () => {
  core = await MatchCore.create({ prediction: false });
  core.handleConnected(0);
});

const SHA256 = "ab".repeat(32);

const welcome = (sequence = 1, more: object = {}) =>
  encodeEvent(sequence, {
    case: "welcome",
    value: {
      matchId: "m",
      game: "test",
      moduleSha256: SHA256,
      manifest: MANIFEST_JSON,
      tickRate: 50,
      phase: Phase.RUNNING,
      tick: 5,
      slot: 0,
      mode: AuthorityMode.FULL,
      players: [
        { slot: 0, playerId: "p0", username: "Ann", presence: Presence.PRESENT },
        { slot: 1, playerId: "p1", username: "Bob", presence: Presence.EXPECTED },
      ],
      ...more,
    },
  });

const hears = (topic: string, payload: Uint8Array, now: number) =>
  core.handleData(AUTHORITY, topic, payload, topic !== "state", now);

/** The server's clock, without a picture. */
const clock = (tick: number) =>
  toBinary(StateUpdateSchema, create(StateUpdateSchema, { version: 1, epoch: 1n, tick }));

function transmits(now: number): Transmit[] {
  const all: Transmit[] = [];
  for (let next = core.pollTransmit(now); next; next = core.pollTransmit(now)) {
    all.push(next);
  }
  return all;
}

function events(): CoreEvent[] {
  const all: CoreEvent[] = [];
  for (let next = core.pollEvent(); next; next = core.pollEvent()) {
    all.push(next);
  }
  return all;
}

test("a client says hello, and knows the match by its welcome", () => {
  expect(core.phase).toBe("joining");
  core.handleTimeout(1);
  const [hello] = transmits(1);
  expect(hello).toMatchObject({ topic: "events", reliable: true, everyone: false });
  expect(fromBinary(ClientEventSchema, hello.payload).body.case).toBe("hello");
  hears("events", welcome(), 2);
  expect(events()).toContainEqual({ type: "welcome" });
  expect([core.matchId, core.game, core.moduleSha256]).toEqual(["m", "test", SHA256]);
  expect([core.slot, core.phase, core.mode]).toEqual([0, "running", "full"]);
  expect(core.players).toEqual([
    { slot: 0, playerId: "p0", username: "Ann", team: 0, presence: "present", open: false },
    { slot: 1, playerId: "p1", username: "Bob", team: 0, presence: "expected", open: false },
  ]);
  // The tick rate is the match's; numbers come back as the f32 that the module has.
  const { entities, ...rest } = core.manifest ?? MANIFEST;
  const close = (value: unknown) =>
    JSON.parse(JSON.stringify(value), (_, v) => (typeof v === "number" ? Math.fround(v) : v));
  expect(close(rest)).toEqual(close({ ...MANIFEST, entities: undefined, tickRate: 50 }));
  expect(close(entities)).toEqual(close(MANIFEST.entities));
});

test("a welcome without room for the manifest is told once the module has brought it", () => {
  hears("events", welcome(1, { manifest: "" }), 1);
  expect(events().map((e) => e.type)).not.toContain("welcome");
  expect(core.manifest).toBeUndefined();
});

test("without a module that can be run, the server is asked for views", () => {
  hears("events", welcome(1, { mode: AuthorityMode.VALIDATED }), 1);
  expect(events()).toContainEqual(expect.objectContaining({ type: "needModule", sha256: SHA256 }));
  hears("state", clock(10), 2);
  core.handleTimeout(3);
  transmits(3);
  core.handleModuleUnavailable(4);
  core.handleTimeout(5);
  const asked = transmits(5)
    .filter((t) => t.topic === "events")
    .map((t) => fromBinary(ClientEventSchema, t.payload).body);
  expect(asked).toMatchObject([{ case: "resync", value: { views: true } }]);
});

test("events, state and chat from anyone but the authority change nothing", () => {
  hears("events", welcome(), 0);
  events();
  const chat = toBinary(ChatMessageSchema, create(ChatMessageSchema, { version: 1, text: "x" }));
  const ended = encodeEvent(2, { case: "ended", value: { outcome: Outcome.VOID } }, 9n);
  for (const identity of ["mallory", "authority2", "Authority", "", undefined]) {
    core.handleData(identity, "state", clock(1000), false, 1);
    core.handleData(identity, "events", ended, true, 1);
    core.handleData(identity, "chat", chat, true, 1);
  }
  expect(events()).toEqual([]);
  expect(core.phase).toBe("running");
  expect(core.stats.counters.foreign).toBe(15);
});

test("the source is asked once for each tick, and what it gives is packed by the schema", () => {
  hears("events", welcome(), 0);
  events();
  const asked: number[] = [];
  core.input = (tick) => {
    asked.push(tick);
    return { move_x: 7, fire: true, slot: 2 };
  };
  for (let now = 10; now < 1000; now += 10) {
    hears("state", clock(10 + Math.floor(now / 20)), now);
    core.handleTimeout(now);
    core.makeInputs(now);
  }
  expect(asked.length).toBeGreaterThan(40);
  expect(asked).toEqual(Array.from(asked, (_, i) => asked[0] + i));
  const packets = transmits(1000).filter((t) => t.topic === "input");
  const frame = fromBinary(PlayerInputSchema, packets[0].payload).frames.at(-1);
  const view = new DataView(frame?.data.slice().buffer ?? new ArrayBuffer(0));
  expect([view.getFloat32(0, true), view.getFloat32(4, true)]).toEqual([1, 0]);
  expect([view.getUint8(8), view.getInt8(9)]).toEqual([1, 2]);
});

test("without a source there are heartbeats and no inputs", () => {
  hears("events", welcome(), 0);
  const packets: Transmit[] = [];
  for (let now = 10; now < 2000; now += 10) {
    hears("state", clock(10 + Math.floor(now / 20)), now);
    core.handleTimeout(now);
    core.makeInputs(now);
    packets.push(...transmits(now).filter((t) => t.topic === "input"));
  }
  expect(packets.length).toBeGreaterThan(5);
  expect(packets.length).toBeLessThan(20);
  expect(packets.every((p) => fromBinary(PlayerInputSchema, p.payload).frames.length === 0)).toBe(
    true,
  );
});

test("commands and chat are packed; a command that the game has not is refused", () => {
  expect(() => core.command("place", { cell: 3 })).toThrow(RangeError);
  hears("events", welcome(), 0);
  events();
  transmits(0);
  core.command("place", { cell: 3 });
  core.chat("ü".repeat(400));
  const [command, chat] = transmits(1);
  expect(fromBinary(ClientEventSchema, command.payload).body).toMatchObject({
    case: "command",
    value: { data: Uint8Array.of(1, 3) },
  });
  expect(fromBinary(ChatMessageSchema, chat.payload).text).toBe("ü".repeat(250));
  expect(() => core.command("resign")).toThrow(RangeError);
  expect(() => core.share(new Uint8Array(1), 2)).toThrow(/observer/);
  expect(() => core.report({ outcome: "void", slots: [] })).toThrow(/observer/);
});

test("game events are decoded; one that breaks its schema is left out", () => {
  hears("events", welcome(), 0);
  events();
  const note = Uint8Array.of(1, 2, 0, 104, 105);
  const game = { case: "game", value: { tick: 77, events: [Uint8Array.of(9), note] } };
  hears("events", encodeEvent(2, game), 1);
  const event = { name: "note", fields: { text: "hi" }, tick: 77 };
  expect(events()).toEqual([
    { type: "event", event: { ...event, predicted: false, anticipated: false } },
  ]);
  expect(core.stats.counters.malformed).toBe(1);
});

test("a slot whose player leaves is open, and then somebody else's", () => {
  const more = { slot: 2, playerId: "", username: "", presence: Presence.GONE, open: true };
  const ann = { slot: 0, playerId: "p0", username: "Ann", presence: Presence.PRESENT };
  const bob = { slot: 1, playerId: "p1", username: "Bob", presence: Presence.PRESENT };
  hears("events", welcome(1, { players: [ann, bob, more] }), 0);
  events();
  expect(core.players.map((p) => p.open)).toEqual([false, false, true]);
  const changes = [
    { ...bob, presence: Presence.GONE, open: true },
    { slot: 1, playerId: "p2", username: "Cid", presence: Presence.EXPECTED, open: false },
    { slot: 1, playerId: "p2", username: "Cid", presence: Presence.PRESENT, open: false },
  ];
  changes.forEach((player, i) => {
    hears("events", encodeEvent(2 + i, { case: "player", value: { player } }), 1 + i);
  });
  const told = events().flatMap((e) => (e.type === "player" ? [e.player] : []));
  expect(told.map((p) => [p.playerId, p.username, p.presence, p.open])).toEqual([
    ["p1", "Bob", "gone", true],
    ["p2", "Cid", "expected", false],
    ["p2", "Cid", "present", false],
  ]);
  expect(core.players[1]).toEqual(told[2]);
  expect(core.slot).toBe(0);
});

test("the end of the match, chat and refusals come as plain values", () => {
  hears("events", welcome(), 0);
  events();
  const chat = { version: 1, text: "gg", slot: 1, username: "Bob", sentAtMs: 1_000_000_000_000n };
  hears("chat", toBinary(ChatMessageSchema, create(ChatMessageSchema, chat)), 1);
  hears("events", encodeEvent(2, { case: "refused", value: { what: "chat", reason: "rude" } }), 1);
  const slots = [{ slot: 1, placement: 1, score: -3, statistics: [{ name: "kills", value: 2 }] }];
  const ended = { case: "ended", value: { outcome: Outcome.FINISHED, stored: true, slots } };
  hears("events", encodeEvent(3, ended), 1);
  const result = {
    outcome: "finished",
    reason: "",
    slots: [{ slot: 1, placement: 1, team: undefined, score: -3, statistics: { kills: 2 } }],
    stored: true,
  };
  expect(events()).toEqual([
    {
      type: "chat",
      line: { slot: 1, username: "Bob", text: "gg", sentAt: new Date(1_000_000_000_000) },
    },
    { type: "refused", what: "chat", reason: "rude" },
    { type: "result", result },
  ]);
  expect([core.phase, core.result]).toEqual(["ended", result]);
});

test("an emulated line delays both directions, and a player who leaves does not wait for it", () => {
  core.emulate({ latencyMs: 200 }, 1);
  core.handleTimeout(0);
  expect(transmits(0)).toEqual([]);
  expect(transmits(99)).toEqual([]);
  expect(transmits(100)).toHaveLength(1);
  hears("events", welcome(), 100);
  core.handleTimeout(199);
  expect(events()).toEqual([]);
  core.handleTimeout(200);
  expect(events().map((e) => e.type)).toContain("welcome");
  core.leave();
  expect(transmits(200).map((t) => t.topic)).toContain("events");
});

test("any bytes from the authority are counted and dropped, never thrown", () => {
  hears("events", welcome(), 0);
  const next = random(11);
  const started = encodeEvent(3, { case: "started", value: { tick: 1 } });
  const real = [clock(10), welcome(2), started];
  for (let round = 0; round < 6000; round += 1) {
    const topic = (["state", "events", "chat"] as const)[round % 3];
    const bytes = Uint8Array.from(real[round % real.length]);
    const flips = 1 + next() * 4;
    for (let i = 0; i < flips; i += 1) {
      bytes[Math.floor(next() * bytes.length)] = next() * 256;
    }
    hears(topic, bytes.subarray(0, next() * bytes.length * 1.2), round);
    core.handleTimeout(round);
    core.view(round);
    transmits(round);
    events();
  }
  expect(core.stats.counters.malformed).toBeGreaterThan(1000);
});
