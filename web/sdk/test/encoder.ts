// The authority's side of docs/wire.md, for what tests feed to a client.
import { create, toBinary } from "@bufbuild/protobuf";
import { type Manifest, parseManifest } from "../src/manifest.js";
import { type ServerEvent, ServerEventSchema } from "./gen/gameserver_pb.js";

export function encodeEvent(
  sequence: number,
  body: Exclude<ServerEvent["body"], { case: undefined }> | { case: string; value: unknown },
  epoch = 1n,
): Uint8Array {
  return toBinary(
    ServerEventSchema,
    create(ServerEventSchema, { version: 1, epoch, sequence, body: body as never }),
  );
}

export const MANIFEST_JSON = JSON.stringify({
  abi: 1,
  name: "test",
  version: "1",
  title: "Test",
  tick_rate: 60,
  players: { min: 2, max: 4 },
  teams: 0,
  hidden_state: false,
  backfill: false,
  late_window_ms: 100,
  max_save_bytes: 4096,
  leaderboard: { rule: "best" },
  input: [
    { name: "move_x", type: "f32", min: -1, max: 1 },
    { name: "aim", type: "f32", min: -3.2, max: 3.2 },
    { name: "fire", type: "bool" },
    { name: "slot", type: "i8", min: -3, max: 5 },
  ],
  commands: [
    { name: "say", fields: [{ name: "what", type: "text", max: 5 }] },
    { name: "place", fields: [{ name: "cell", type: "u8", min: 0, max: 8 }] },
  ],
  events: [
    {
      name: "hit",
      fields: [
        { name: "by", type: "u8" },
        { name: "at", type: "f32", min: -3.2, max: 3.2 },
      ],
    },
    { name: "note", fields: [{ name: "text", type: "text", max: 8 }] },
  ],
  entities: [
    {
      name: "player",
      fields: [
        { name: "x", type: "range", min: 0, max: 40, precision: 0.01 },
        { name: "aim", type: "angle", bits: 10 },
        { name: "health", type: "int", min: -5, max: 100 },
        { name: "alive", type: "bool" },
      ],
    },
    { name: "rock", fields: [{ name: "turn", type: "quat", bits: 10 }] },
    {
      name: "wide",
      fields: [{ name: "n", type: "int", min: -2147483648, max: 2147483647 }],
    },
  ],
});

export const MANIFEST: Manifest = parseManifest(MANIFEST_JSON);

/** A seeded generator, so that a failure can be repeated. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
