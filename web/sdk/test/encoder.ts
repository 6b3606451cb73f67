// The authority's side of docs/wire.md, written apart from the decoder, for round trips in tests.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type ServerEvent,
  ServerEventSchema,
  type SlotStatus,
  StateUpdateSchema,
} from "../src/gen/gameserver_pb.js";
import { type Manifest, parseManifest } from "../src/manifest.js";

export interface TestEntity {
  id: number;
  kind: number;
  owner?: number;
  columns: number[];
}

/** A bit stream as a list of bits: slow and plain. */
export class BitWriter {
  readonly #bits: number[] = [];

  bits(value: number, count: number): this {
    for (let i = 0; i < count; i += 1) {
      this.#bits.push(Number((BigInt(value) >> BigInt(i)) & 1n));
    }
    return this;
  }

  gamma(value: number): this {
    const binary = value.toString(2);
    this.#bits.push(...Array.from({ length: binary.length - 1 }, () => 0));
    this.#bits.push(...[...binary].map(Number));
    return this;
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.#bits.length / 8));
    this.#bits.forEach((bit, i) => {
      bytes[i >> 3] |= bit << (i & 7);
    });
    return bytes;
  }
}

export function encodeSnapshot(
  manifest: Manifest,
  firstId: number,
  entities: readonly TestEntity[],
): Uint8Array {
  const writer = new BitWriter().bits(entities.length, 12);
  const kindBits = Math.ceil(Math.log2(Math.max(1, manifest.entities.length)));
  let expected = firstId;
  for (const entity of entities) {
    writer.gamma(entity.id - expected + 1).bits(entity.kind, kindBits);
    if (entity.owner === undefined) {
      writer.bits(0, 1);
    } else {
      writer.bits(1, 1).bits(entity.owner, 6);
    }
    manifest.entities[entity.kind].columns.forEach((column, i) => {
      const span = column.hi - column.lo;
      const bits = span === 0 ? 0 : Math.floor(Math.log2(span)) + 1;
      writer.bits(entity.columns[i] - column.lo, bits);
    });
    expected = entity.id + 1;
  }
  return writer.bytes();
}

export function encodeState(
  manifest: Manifest,
  tick: number,
  entities: readonly TestEntity[],
  more: {
    epoch?: bigint;
    firstId?: number;
    lastId?: number;
    slots?: Partial<SlotStatus>[];
    version?: number;
  } = {},
): Uint8Array {
  const firstId = more.firstId ?? 0;
  return toBinary(
    StateUpdateSchema,
    create(StateUpdateSchema, {
      version: more.version ?? 1,
      epoch: more.epoch ?? 1n,
      tick,
      slots: (more.slots ?? []).map((slot) => ({
        slot: 0,
        ...slot,
        $typeName: undefined,
      })) as never,
      body: {
        case: "snapshot",
        value: {
          firstId,
          lastId: more.lastId ?? 0xffff_ffff,
          data: encodeSnapshot(manifest, firstId, entities),
        },
      },
    }),
  );
}

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
