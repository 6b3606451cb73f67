/**
 * What a game says of itself: the schemas of its input, commands, events and entities
 * (docs/game-module.md).
 */

/** A field of an input, a command or an event. */
export interface Field {
  readonly name: string;
  readonly type: "bool" | "u8" | "u16" | "u32" | "i8" | "i16" | "i32" | "f32" | "text";
  /** Least value, inclusive; not for `bool` and `text`. */
  readonly min: number;
  /** Greatest value, inclusive; for `text` the most bytes of UTF-8. */
  readonly max: number;
}

/** A command or an event: it travels as its index in the list, one byte, and its fields. */
export interface MessageSchema {
  readonly name: string;
  readonly fields: readonly Field[];
}

/** How a field of an entity is quantised, drawn and predicted. */
export interface NetField {
  readonly name: string;
  readonly type: "bool" | "int" | "range" | "angle" | "quat";
  /** `int` and `range`: least value. */
  readonly min: number;
  /** `int` and `range`: greatest value. */
  readonly max: number;
  /** `range`: size of a step. */
  readonly precision: number;
  /** `angle` and `quat`: bits of a column. */
  readonly bits: number;
  /** Whether values between two snapshots are drawn. */
  readonly interpolate: "linear" | "none";
  /** Whether the owner may run ahead of the server. */
  readonly predict: "none" | "owner";
  readonly audience: "all" | "owner" | "team";
  /** Index of its first column within the entity. */
  readonly column: number;
}

/** One integer of an entity's net state, `lo..=hi`, in just the bits that the range needs. */
export interface Column {
  readonly lo: number;
  readonly hi: number;
  /** 0–32. */
  readonly bits: number;
}

/** A kind of entity. */
export interface EntityKind {
  readonly name: string;
  readonly fields: readonly NetField[];
  readonly columns: readonly Column[];
}

/** A game's manifest, checked and with its columns laid out. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly title: string;
  /** Ticks a second, 1–120; 0 in a manifest that leaves them to the server. */
  readonly tickRate: number;
  readonly players: { readonly min: number; readonly max: number };
  /** Number of teams; 0: everyone for themselves. */
  readonly teams: number;
  readonly input: readonly Field[];
  readonly commands: readonly MessageSchema[];
  readonly events: readonly MessageSchema[];
  readonly entities: readonly EntityKind[];
  /** The most columns that any kind has. */
  readonly maxColumns: number;
}

/** The manifest is not one that this client can read. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

/**
 * Reads a manifest from its JSON, as text or parsed.
 *
 * @throws {ManifestError} saying which part is wrong.
 */
export function parseManifest(json: unknown): Manifest {
  let root: unknown = json;
  if (typeof json === "string") {
    try {
      root = JSON.parse(json);
    } catch {
      throw new ManifestError("the manifest is not JSON");
    }
  }
  const m = object(root, "manifest");
  if (m.abi !== undefined && m.abi !== 1) {
    throw new ManifestError(`abi is ${String(m.abi)}, this client reads 1`);
  }
  const players = m.players === undefined ? {} : object(m.players, "players");
  const entities = list(m.entities, "entities", MAX_KINDS).map(entityKind);
  return {
    name: text(m.name, "name"),
    version: typeof m.version === "string" ? m.version : "",
    title: typeof m.title === "string" && m.title !== "" ? m.title : text(m.name, "name"),
    tickRate: m.tick_rate === undefined ? 0 : integer(m.tick_rate, "tick_rate", 1, MAX_TICK_RATE),
    players: {
      min: integer(players.min ?? 1, "players.min", 0, MAX_SLOTS),
      max: integer(players.max ?? MAX_SLOTS, "players.max", 1, MAX_SLOTS),
    },
    teams: integer(m.teams ?? 0, "teams", 0, MAX_SLOTS),
    input: fields(m.input, "input"),
    commands: messages(m.commands, "commands"),
    events: messages(m.events, "events"),
    entities,
    maxColumns: entities.reduce((most, kind) => Math.max(most, kind.columns.length), 0),
  };
}

function messages(value: unknown, where: string): MessageSchema[] {
  return list(value, where, MAX_KINDS).map((item, i) => {
    const m = object(item, `${where}[${i}]`);
    return {
      name: text(m.name, `${where}[${i}].name`),
      fields: fields(m.fields, `${where}[${i}].fields`),
    };
  });
}

function fields(value: unknown, where: string): Field[] {
  return list(value, where, MAX_FIELDS).map((item, i) => {
    const at = `${where}[${i}]`;
    const f = object(item, at);
    const name = text(f.name, `${at}.name`);
    const type = f.type;
    switch (type) {
      case "bool":
        return { name, type, min: 0, max: 1 };
      case "u8":
      case "u16":
      case "u32":
      case "i8":
      case "i16":
      case "i32": {
        const [lo, hi] = INTEGER_RANGE[type];
        const min = integer(f.min ?? lo, `${at}.min`, lo, hi);
        return { name, type, min, max: integer(f.max ?? hi, `${at}.max`, min, hi) };
      }
      case "f32": {
        const min = finite(f.min, `${at}.min`);
        const max = finite(f.max, `${at}.max`);
        if (min > max) {
          throw new ManifestError(`${at}: min is above max`);
        }
        return { name, type, min, max };
      }
      case "text":
        return { name, type, min: 0, max: integer(f.max, `${at}.max`, 0, 0xffff) };
      default:
        throw new ManifestError(`${at}.type is ${String(type)}, which is no field type`);
    }
  });
}

function entityKind(value: unknown, index: number): EntityKind {
  const where = `entities[${index}]`;
  const e = object(value, where);
  const columns: Column[] = [];
  const netFields = list(e.fields, `${where}.fields`, MAX_COLUMNS).map((item, i): NetField => {
    const at = `${where}.fields[${i}]`;
    const f = object(item, at);
    const base = {
      name: text(f.name, `${at}.name`),
      min: 0,
      max: 0,
      precision: 1,
      bits: 0,
      predict: f.predict === "owner" ? ("owner" as const) : ("none" as const),
      audience: audience(f.audience),
      column: columns.length,
    };
    const interpolate = (fallback: "linear" | "none"): "linear" | "none" =>
      f.interpolate === "linear" || f.interpolate === "none" ? f.interpolate : fallback;
    switch (f.type) {
      case "bool":
        columns.push(column(0, 1));
        return { ...base, type: "bool", max: 1, interpolate: interpolate("none") };
      case "int": {
        const min = integer(f.min, `${at}.min`, -0x8000_0000, 0x7fff_ffff);
        const max = integer(f.max, `${at}.max`, min, 0x7fff_ffff);
        columns.push(column(min, max));
        return { ...base, type: "int", min, max, interpolate: interpolate("none") };
      }
      case "range": {
        const min = finite(f.min, `${at}.min`);
        const max = finite(f.max, `${at}.max`);
        const precision = finite(f.precision, `${at}.precision`);
        // The host reads these numbers as f32, so the count of steps is taken from the same.
        const steps = Math.round((Math.fround(max) - Math.fround(min)) / Math.fround(precision));
        if (!(steps >= 0 && steps <= 0x7fff_ffff)) {
          throw new ManifestError(`${at}: (max - min) / precision is not within 0..2^31`);
        }
        columns.push(column(0, steps));
        return { ...base, type: "range", min, max, precision, interpolate: interpolate("linear") };
      }
      case "angle": {
        const bits = integer(f.bits, `${at}.bits`, 1, 24);
        columns.push(column(0, 2 ** bits - 1));
        return { ...base, type: "angle", bits, interpolate: interpolate("linear") };
      }
      case "quat": {
        const bits = integer(f.bits, `${at}.bits`, 2, 16);
        const part = column(0, 2 ** bits - 1);
        columns.push(column(0, 3), part, part, part);
        return { ...base, type: "quat", bits, interpolate: interpolate("linear") };
      }
      default:
        throw new ManifestError(`${at}.type is ${String(f.type)}, which is no net field type`);
    }
  });
  if (columns.length > MAX_COLUMNS) {
    throw new ManifestError(`${where} has ${columns.length} columns, at most ${MAX_COLUMNS}`);
  }
  return { name: text(e.name, `${where}.name`), fields: netFields, columns };
}

function audience(value: unknown): NetField["audience"] {
  return value === "owner" || value === "team" ? value : "all";
}

function column(lo: number, hi: number): Column {
  const span = hi - lo;
  return { lo, hi, bits: span === 0 ? 0 : 32 - Math.clz32(span) };
}

function object(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ManifestError(`${where} is not an object`);
  }
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string, most: number): unknown[] {
  if (value === undefined) {
    return [];
  }
  if (!Array.isArray(value) || value.length > most) {
    throw new ManifestError(`${where} is not a list of at most ${most}`);
  }
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== "string" || value === "" || value.length > MAX_NAME) {
    throw new ManifestError(`${where} is not a text of 1 to ${MAX_NAME} characters`);
  }
  return value;
}

function finite(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new ManifestError(`${where} is not a number`);
  }
  return value;
}

function integer(value: unknown, where: string, min: number, max: number): number {
  const n = finite(value, where);
  if (!Number.isInteger(n) || n < min || n > max) {
    throw new ManifestError(`${where} is ${n}, not a whole number within ${min}..=${max}`);
  }
  return n;
}

const INTEGER_RANGE = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffff_ffff],
  i8: [-0x80, 0x7f],
  i16: [-0x8000, 0x7fff],
  i32: [-0x8000_0000, 0x7fff_ffff],
} as const;

// The engine's own bounds (crates/engine/src/manifest.rs).
const MAX_TICK_RATE = 120;
const MAX_SLOTS = 64;
const MAX_FIELDS = 32;
const MAX_KINDS = 64;
const MAX_COLUMNS = 32;
/** Names are drawn on screens: a longer one is a mistake or an attack. */
const MAX_NAME = 256;
