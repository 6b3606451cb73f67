import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { beforeEach, expect, test } from "vitest";
import { AUTHORITY, type CoreEvent, MatchCore, type Transmit } from "../src/core.js";
import {
  ChatMessageSchema,
  ClientEventSchema,
  Outcome,
  Phase,
  PlayerInputSchema,
  Presence,
} from "../src/gen/gameserver_pb.js";
import { encodeEvent, encodeState, MANIFEST, MANIFEST_JSON, random } from "./encoder.js";

let core: MatchCore;
beforeEach(() => {
  core = new MatchCore();
});

const welcome = (sequence = 1, epoch = 1n, more: object = {}) =>
  encodeEvent(
    sequence,
    {
      case: "welcome",
      value: {
        matchId: "m",
        game: "test",
        moduleSha256: "ab",
        manifest: MANIFEST_JSON,
        tickRate: 60,
        phase: Phase.RUNNING,
        tick: 5,
        slot: 0,
        players: [
          { slot: 0, playerId: "p0", username: "Ann", presence: Presence.PRESENT },
          { slot: 1, playerId: "p1", username: "Bob", presence: Presence.EXPECTED },
        ],
        ...more,
      },
    },
    epoch,
  );

const state = (tick: number, x: number, more: Parameters<typeof encodeState>[3] = {}) =>
  encodeState(MANIFEST, tick, [{ id: 1, kind: 0, owner: 0, columns: [x * 100, 0, 9, 1] }], more);

function transmits(): Transmit[] {
  const all: Transmit[] = [];
  for (let next = core.pollTransmit(); next; next = core.pollTransmit()) {
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

const hellos = () =>
  transmits().filter(
    (t) => t.topic === "events" && fromBinary(ClientEventSchema, t.payload).body.case === "hello",
  ).length;
const inputs = () =>
  transmits()
    .filter((t) => t.topic === "input")
    .map((t) => fromBinary(PlayerInputSchema, t.payload));

test("hello is repeated until the welcome", () => {
  core.handleConnected();
  for (let now = 0; now <= 2000; now += 10) {
    core.handleTimeout(now);
  }
  expect(hellos()).toBe(5);
  core.handleData(AUTHORITY, "events", welcome(), 2001);
  core.handleTimeout(9000);
  expect(hellos()).toBe(0);
  expect(core.slot).toBe(0);
  expect(core.phase).toBe("running");
  expect(core.players.map((p) => [p.username, p.presence])).toEqual([
    ["Ann", "present"],
    ["Bob", "expected"],
  ]);
});

test("state, events and chat from anyone but the authority change nothing", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  core.handleData(AUTHORITY, "state", state(10, 1), 0);
  events();
  const chat = toBinary(ChatMessageSchema, create(ChatMessageSchema, { version: 1, text: "x" }));
  for (const identity of ["mallory", "authority2", "Authority", "", undefined]) {
    core.handleData(identity, "state", state(11, 39, { epoch: 9n }), 1);
    core.handleData(
      identity,
      "events",
      encodeEvent(2, { case: "started", value: { tick: 1 } }, 9n),
      1,
    );
    core.handleData(identity, "chat", chat, 1);
  }
  expect(events()).toEqual([]);
  expect(core.epoch).toBe(1n);
  expect(core.tick).toBe(10);
  expect(core.counters.foreign).toBe(15);
});

test("a lower epoch is stale; a higher one replaces the state and asks for a welcome", () => {
  core.handleData(AUTHORITY, "events", welcome(1, 5n), 0);
  core.handleData(AUTHORITY, "state", state(500, 1, { epoch: 5n }), 0);
  core.handleData(AUTHORITY, "state", state(501, 2, { epoch: 4n }), 1);
  expect(core.counters.oldEpoch).toBe(1);
  expect(core.tick).toBe(500);
  transmits();
  core.handleData(AUTHORITY, "state", state(20, 3, { epoch: 6n }), 2);
  expect(core.tick).toBe(20);
  core.handleTimeout(3);
  expect(hellos()).toBe(1);
  core.handleData(AUTHORITY, "events", welcome(1, 6n), 4);
  core.handleData(AUTHORITY, "events", welcome(9, 5n), 5);
  expect(core.epoch).toBe(6n);
  expect(core.tick).toBe(20);
  core.handleTimeout(5000);
  expect(hellos()).toBe(0);
});

test("a gap in the sequence asks again; a repeated event is not told twice", () => {
  const started = (sequence: number) =>
    encodeEvent(sequence, { case: "started", value: { tick: 1 } });
  core.handleData(AUTHORITY, "events", welcome(3), 0);
  core.handleData(AUTHORITY, "events", started(4), 0);
  core.handleData(AUTHORITY, "events", started(4), 0);
  core.handleTimeout(1);
  expect(hellos()).toBe(0);
  core.handleData(AUTHORITY, "events", started(6), 2);
  expect(core.counters.gaps).toBe(1);
  core.handleTimeout(3);
  expect(hellos()).toBe(1);
  core.handleData(AUTHORITY, "events", welcome(8), 4);
  core.handleData(AUTHORITY, "events", started(9), 5);
  core.handleTimeout(5000);
  expect(hellos()).toBe(0);
  expect(events().map((e) => e.type)).toEqual([
    "welcome",
    "started",
    "started",
    "welcome",
    "started",
  ]);
});

test("inputs repeat the unacknowledged tail, ascending, at most 16, and drop what was used", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  core.input = (tick) => ({ move_x: 1, slot: tick % 5 });
  let used = 0;
  const packets: ReturnType<typeof inputs> = [];
  for (let now = 0; now < 2000; now += 1000 / 120) {
    const tick = 10 + Math.floor((now * 60) / 1000);
    const slots = [{ inputTick: used, margin: 300, echoMs: now >>> 0, echoAgeMs: 0 }];
    core.handleData(AUTHORITY, "state", state(tick, 1, { slots }), now);
    core.handleTimeout(now);
    for (const packet of inputs()) {
      packets.push(packet);
      if (now > 1000) {
        used = (packet.frames.at(-1)?.tick ?? 3) - 3;
      }
    }
  }
  expect(packets.length).toBeGreaterThan(100);
  const newest = packets.map((p) => p.frames.at(-1)?.tick ?? 0);
  for (const packet of packets) {
    const ticks = packet.frames.map((f) => f.tick);
    expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
    expect(new Set(ticks).size).toBe(ticks.length);
    expect(ticks.length).toBeLessThanOrEqual(16);
    expect(packet.frames.every((f) => f.data.length === 10)).toBe(true);
  }
  expect(Math.max(...packets.map((p) => p.frames.length))).toBe(16);
  expect(packets.at(-1)?.frames.length).toBeLessThan(8);
  // Each tick once: never a gap, never backwards.
  const all = [...new Set(packets.flatMap((p) => p.frames.map((f) => f.tick)))];
  expect(all).toEqual(Array.from({ length: all.length }, (_, i) => all[0] + i));
  expect(newest).toEqual([...newest].sort((a, b) => a - b));
  expect(packets.at(-1)?.ackTick).toBe(core.tick);
  expect(packets.at(-1)?.viewTick).toBeGreaterThan((core.tick - 16) * 256);
});

test("after an outage in which the server stood still, inputs are for its next ticks", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  core.input = () => ({ move_x: 1 });
  const run = (from: number, to: number, tickAt: (now: number) => number | undefined) => {
    for (let now = from; now < to; now += 1000 / 120) {
      const tick = tickAt(now);
      if (tick !== undefined) {
        core.handleData(AUTHORITY, "state", state(tick, 1), now);
      }
      core.handleTimeout(now);
    }
    return inputs().flatMap((p) => p.frames.map((f) => f.tick));
  };
  run(0, 1000, (now) => 10 + Math.floor((now * 60) / 1000));
  run(1000, 1700, () => undefined);
  core.handleConnected();
  expect(run(1700, 1800, () => undefined)).toEqual([]);
  const made = run(1800, 2000, (now) => 70 + Math.floor(((now - 1800) * 60) / 1000));
  // The first are made at once, for a few ticks that have just passed.
  expect(Math.min(...made)).toBeGreaterThan(60);
  expect(Math.min(...made)).toBeLessThan(80);
  expect(Math.max(...made)).toBeLessThan(95);
});

test("a heartbeat goes out each 250 ms where there is no input", () => {
  core.handleData(AUTHORITY, "events", welcome(1, 1n, { phase: Phase.WAITING }), 0);
  for (let now = 0; now < 2000; now += 10) {
    core.handleTimeout(now);
  }
  const packets = inputs();
  expect(packets.length).toBe(8);
  expect(packets.every((p) => p.frames.length === 0 && p.version === 1)).toBe(true);
});

test("the round trip leaves out the time that the server held the echo", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  const slots = [{ inputTick: 1, margin: -512, echoMs: 900, echoAgeMs: 30 }];
  core.handleData(AUTHORITY, "state", state(10, 1, { slots }), 1000);
  expect(core.roundTripMs).toBe(70);
});

test("an echo that stays the same is no sign of being heard", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  const receive = (now: number, echoMs: number) => {
    const slots = [{ inputTick: 1, margin: 0, echoMs, echoAgeMs: 0 }];
    core.handleData(AUTHORITY, "state", state(10 + now / 10, 1, { slots }), now);
  };
  receive(100, 0);
  expect(core.answeredAtMs).toBe(100);
  receive(200, 50);
  expect(core.answeredAtMs).toBe(200);
  for (let now = 300; now <= 900; now += 100) {
    receive(now, 50);
  }
  expect(core.answeredAtMs).toBe(200);
  // After an outage nobody can have answered: it counts anew.
  receive(5000, 50);
  expect(core.answeredAtMs).toBe(5000);
});

test("the end of the match is told once, and again when it is stored", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  const ended = (sequence: number, stored: boolean) =>
    encodeEvent(sequence, {
      case: "ended",
      value: {
        outcome: Outcome.FINISHED,
        stored,
        slots: [{ slot: 1, placement: 1, score: -3, statistics: [{ name: "kills", value: 2 }] }],
      },
    });
  core.handleData(AUTHORITY, "events", ended(2, false), 1);
  core.handleData(AUTHORITY, "events", ended(3, false), 1);
  core.handleData(AUTHORITY, "events", ended(4, true), 1);
  const results = events().filter((e) => e.type === "result");
  expect(results.map((e) => e.result.stored)).toEqual([false, true]);
  expect(core.result?.slots[0]).toEqual({
    slot: 1,
    placement: 1,
    team: undefined,
    score: -3,
    statistics: { kills: 2 },
  });
  expect(core.phase).toBe("ended");
});

test("game events are decoded; one that breaks its schema is counted and left out", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  events();
  const note = Uint8Array.of(1, 2, 0, 104, 105);
  core.handleData(
    AUTHORITY,
    "events",
    encodeEvent(2, { case: "game", value: { tick: 77, events: [Uint8Array.of(9), note] } }),
    1,
  );
  expect(events()).toEqual([
    { type: "event", event: { name: "note", fields: { text: "hi" }, tick: 77 } },
  ]);
  expect(core.counters.malformed).toBe(1);
});

test("any bytes from the authority are counted and dropped, never thrown", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  const next = random(11);
  const real = [state(10, 1), welcome(2), encodeEvent(3, { case: "started", value: { tick: 1 } })];
  for (let round = 0; round < 6000; round += 1) {
    const topic = (["state", "events", "chat"] as const)[round % 3];
    const bytes = Uint8Array.from(real[round % real.length]);
    const flips = 1 + next() * 4;
    for (let i = 0; i < flips; i += 1) {
      bytes[Math.floor(next() * bytes.length)] = next() * 256;
    }
    core.handleData(AUTHORITY, topic, bytes.subarray(0, next() * bytes.length * 1.2), round);
    core.handleTimeout(round);
    core.view(round);
    transmits();
    events();
  }
  expect(core.counters.malformed).toBeGreaterThan(1000);
});

test("a state of an unknown version is dropped and counted", () => {
  core.handleData(AUTHORITY, "events", welcome(), 0);
  core.handleData(AUTHORITY, "state", state(10, 1, { version: 2 }), 0);
  expect(core.tick).toBe(0);
  expect(core.counters.unknownVersion).toBe(1);
});
