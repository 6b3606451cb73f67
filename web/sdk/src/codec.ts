import type { Field, MessageSchema } from "./manifest.js";

/** What a field of an input, a command or an event may be given as. */
export type FieldInput = number | boolean | string;

/** An event of the game, decoded by its schema. */
export interface GameEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, number | boolean | string>>;
  /** The tick in which it happened. */
  readonly tick: number;
  /** This page guessed it, for sounds and sparks at once; it may turn out not to have happened. */
  readonly predicted: boolean;
  /** The server's word for what was told of as `predicted` before. */
  readonly anticipated: boolean;
}

/**
 * Packs an input. A value out of range is clamped into it, a missing or unreadable one becomes the
 * allowed value nearest to 0: the authority refuses what the schema does not allow.
 */
export function encodeInput(
  schema: readonly Field[],
  values: Readonly<Record<string, FieldInput | undefined>>,
): Uint8Array {
  return encodeFields(schema, values, 0);
}

/**
 * Packs a command: its index in the list and its fields.
 *
 * @throws {RangeError} where the list has no command of that name.
 */
export function encodeMessage(
  list: readonly MessageSchema[],
  name: string,
  values: Readonly<Record<string, FieldInput | undefined>>,
): Uint8Array {
  const index = list.findIndex((message) => message.name === name);
  if (index < 0) {
    const known = list.map((message) => message.name).join(", ") || "none";
    throw new RangeError(`the game has no command "${name}"; it has: ${known}`);
  }
  const bytes = encodeFields(list[index].fields, values, 1);
  bytes[0] = index;
  return bytes;
}

/** Unpacks an event; `undefined` where the bytes do not satisfy the schema. */
export function decodeMessage(
  list: readonly MessageSchema[],
  bytes: Uint8Array,
): { name: string; fields: Record<string, number | boolean | string> } | undefined {
  if (bytes.length === 0 || bytes[0] >= list.length) {
    return undefined;
  }
  const schema = list[bytes[0]];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: Record<string, number | boolean | string> = {};
  let at = 1;
  for (const field of schema.fields) {
    const size = SIZE[field.type];
    if (at + size > bytes.length) {
      return undefined;
    }
    if (field.type === "text") {
      const length = view.getUint16(at, true);
      at += 2;
      if (length > field.max || at + length > bytes.length) {
        return undefined;
      }
      try {
        fields[field.name] = UTF8.decode(bytes.subarray(at, at + length));
      } catch {
        return undefined;
      }
      at += length;
      continue;
    }
    const value = readNumber(field, view, at);
    // The bounds as the module's f32 hold them may lie just outside of those in the JSON.
    const least = Math.min(field.min, Math.fround(field.min));
    const most = Math.max(field.max, Math.fround(field.max));
    if (!(value >= least && value <= most)) {
      return undefined;
    }
    fields[field.name] = field.type === "bool" ? value === 1 : value;
    at += size;
  }
  return at === bytes.length ? { name: schema.name, fields } : undefined;
}

function encodeFields(
  schema: readonly Field[],
  values: Readonly<Record<string, FieldInput | undefined>>,
  start: number,
): Uint8Array {
  const texts = schema.map((field) =>
    field.type === "text" ? utf8(String(values[field.name] ?? ""), field.max) : undefined,
  );
  const length = schema.reduce((sum, f, i) => sum + SIZE[f.type] + (texts[i]?.length ?? 0), start);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = start;
  schema.forEach((field, i) => {
    const encoded = texts[i];
    if (encoded !== undefined) {
      view.setUint16(at, encoded.length, true);
      bytes.set(encoded, at + 2);
      at += 2 + encoded.length;
      return;
    }
    writeNumber(field, view, at, clamp(field, values[field.name]));
    at += SIZE[field.type];
  });
  return bytes;
}

function clamp(field: Field, value: FieldInput | undefined): number {
  const number = Number(value ?? 0);
  if (field.type === "bool") {
    return number ? 1 : 0;
  }
  const whole = field.type === "f32" ? number : Math.round(number);
  return Math.min(field.max, Math.max(field.min, Number.isNaN(whole) ? 0 : whole));
}

/** The bytes of a text, cut at a character so that at most `most` remain. */
function utf8(value: string, most: number): Uint8Array {
  const buffer = new Uint8Array(most);
  const { written } = new TextEncoder().encodeInto(value, buffer);
  return buffer.subarray(0, written);
}

function readNumber(field: Field, view: DataView, at: number): number {
  switch (field.type) {
    case "u16":
      return view.getUint16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "i8":
      return view.getInt8(at);
    case "i16":
      return view.getInt16(at, true);
    case "i32":
      return view.getInt32(at, true);
    case "f32":
      return view.getFloat32(at, true);
    default:
      return view.getUint8(at);
  }
}

function writeNumber(field: Field, view: DataView, at: number, value: number): void {
  switch (field.type) {
    case "u16":
      view.setUint16(at, value, true);
      break;
    case "u32":
      view.setUint32(at, value, true);
      break;
    case "i8":
      view.setInt8(at, value);
      break;
    case "i16":
      view.setInt16(at, value, true);
      break;
    case "i32":
      view.setInt32(at, value, true);
      break;
    case "f32":
      view.setFloat32(at, value, true);
      break;
    default:
      view.setUint8(at, value);
      break;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes of a field; of a text, those of its length. */
const SIZE = { bool: 1, u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, text: 2 } as const;
