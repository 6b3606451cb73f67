import { BitReader } from "./bits.js";
import type { EntityKind, Manifest, NetField } from "./manifest.js";

/** One entity as a snapshot lists it. */
export interface SnapshotEntity {
  readonly id: number;
  /** Index into the manifest's entities. */
  readonly kind: number;
  /** The owner's slot; -1: none. */
  readonly owner: number;
  /** The columns, in the kind's order. */
  readonly columns: Int32Array;
}

/** A field's value: a number, a truth, or a quaternion `[x, y, z, w]`. */
export type FieldValue = number | boolean | readonly [number, number, number, number];

/**
 * Decodes `Snapshot.data` (docs/wire.md).
 *
 * @returns the entities, ascending by id, or `undefined` where the bytes are malformed: too short,
 * an id outside `firstId..=lastId`, an unknown kind, or a column out of its range.
 */
export function decodeSnapshot(
  manifest: Manifest,
  firstId: number,
  lastId: number,
  data: Uint8Array,
): SnapshotEntity[] | undefined {
  if (firstId > lastId || data.length > MAX_SNAPSHOT_BYTES) {
    return undefined;
  }
  const reader = new BitReader(data);
  const kinds = manifest.entities;
  const kindBits = kinds.length <= 1 ? 0 : 32 - Math.clz32(kinds.length - 1);
  const count = reader.bits(COUNT_BITS);
  const entities: SnapshotEntity[] = [];
  let expected = firstId;
  for (let i = 0; i < count; i += 1) {
    const id = expected + reader.gamma() - 1;
    const kind = reader.bits(kindBits);
    const owner = reader.bits(1) === 1 ? reader.bits(SLOT_BITS) : -1;
    if (reader.failed || id > lastId || kind >= kinds.length) {
      return undefined;
    }
    const schema = kinds[kind].columns;
    const columns = new Int32Array(schema.length);
    for (let c = 0; c < schema.length; c += 1) {
      const value = schema[c].lo + reader.bits(schema[c].bits);
      if (value > schema[c].hi) {
        return undefined;
      }
      columns[c] = value;
    }
    if (reader.failed) {
      return undefined;
    }
    entities.push({ id, kind, owner, columns });
    expected = id + 1;
  }
  return reader.failed ? undefined : entities;
}

/** The value of a field from its columns at `offset`. */
export function fieldValue(field: NetField, columns: Int32Array, offset = 0): FieldValue {
  const column = columns[offset + field.column];
  switch (field.type) {
    case "bool":
      return column !== 0;
    case "int":
      return column;
    case "range":
      return field.min + column * field.precision;
    case "angle":
      return (column * TURN) / 2 ** field.bits;
    case "quat":
      return smallestThree(field.bits, columns, offset + field.column);
  }
}

/**
 * The value of a field between two states, `fraction` of the way from the first to the second:
 * numbers straight, angles the short way round, quaternions normalised.
 */
export function interpolateField(
  field: NetField,
  from: Int32Array,
  fromOffset: number,
  to: Int32Array,
  toOffset: number,
  fraction: number,
): FieldValue {
  const a = fieldValue(field, from, fromOffset);
  if (field.interpolate === "none" || typeof a === "boolean") {
    return a;
  }
  const b = fieldValue(field, to, toOffset);
  if (typeof a === "number" && typeof b === "number") {
    if (field.type === "angle") {
      const turn = ((((b - a) % TURN) + TURN * 1.5) % TURN) - TURN / 2;
      return (a + turn * fraction + TURN) % TURN;
    }
    return a + (b - a) * fraction;
  }
  if (typeof a === "object" && typeof b === "object") {
    return interpolateQuaternion(a, b, fraction);
  }
  return a;
}

/** Fields by name, for an entity of `kind` whose columns start at `offset`. */
export function fieldValues(
  kind: EntityKind,
  columns: Int32Array,
  offset = 0,
): Record<string, FieldValue> {
  const values: Record<string, FieldValue> = {};
  for (const field of kind.fields) {
    values[field.name] = fieldValue(field, columns, offset);
  }
  return values;
}

type Quaternion = readonly [number, number, number, number];

function smallestThree(bits: number, columns: Int32Array, offset: number): Quaternion {
  const largest = columns[offset];
  const steps = 2 ** bits - 1;
  const q: [number, number, number, number] = [0, 0, 0, 0];
  let rest = 1;
  let next = offset + 1;
  for (let i = 0; i < 4; i += 1) {
    if (i !== largest) {
      q[i] = ((columns[next] / steps) * 2 - 1) * Math.SQRT1_2;
      rest -= q[i] * q[i];
      next += 1;
    }
  }
  q[largest] = Math.sqrt(Math.max(0, rest));
  return q;
}

function interpolateQuaternion(a: Quaternion, b: Quaternion, fraction: number): Quaternion {
  const dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
  const sign = dot < 0 ? -1 : 1;
  const q = a.map((v, i) => v + (b[i] * sign - v) * fraction);
  const length = Math.hypot(...q) || 1;
  return [q[0] / length, q[1] / length, q[2] / length, q[3] / length];
}

const TURN = Math.PI * 2;
const COUNT_BITS = 12;
const SLOT_BITS = 6;
/** The authority sends at most 1,100 bytes; a later keyframe may be larger, but not than this. */
const MAX_SNAPSHOT_BYTES = 65_535;
