import { expect, test } from "vitest";
import { decodeMessage, encodeInput, encodeMessage } from "../src/codec.js";
import { ManifestError, parseManifest } from "../src/manifest.js";
import { MANIFEST, MANIFEST_JSON, random } from "./encoder.js";

test("inputs are packed in order, clamped, rounded, and never NaN", () => {
  const view = (values: Record<string, number | boolean>) => {
    const bytes = encodeInput(MANIFEST.input, values);
    expect(bytes.length).toBe(4 + 4 + 1 + 1);
    const data = new DataView(bytes.buffer);
    return [data.getFloat32(0, true), data.getFloat32(4, true), bytes[8], data.getInt8(9)];
  };
  expect(view({ move_x: 0.5, aim: -1, fire: true, slot: 2 })).toEqual([0.5, -1, 1, 2]);
  expect(view({ move_x: 7, aim: -99, fire: false, slot: -9 })).toEqual([
    1,
    Math.fround(-3.2),
    0,
    -3,
  ]);
  expect(view({ move_x: Number.NaN, aim: Infinity, slot: 1.6 })).toEqual([
    0,
    Math.fround(3.2),
    0,
    2,
  ]);
  expect(view({})).toEqual([0, 0, 0, 0]);
});

test("a command is its index and its fields; a text is cut at a character", () => {
  expect([...encodeMessage(MANIFEST.commands, "place", { cell: 4 })]).toEqual([1, 4]);
  expect([...encodeMessage(MANIFEST.commands, "say", { what: "abcdé" })]).toEqual([
    0, 4, 0, 97, 98, 99, 100,
  ]);
  expect(() => encodeMessage(MANIFEST.commands, "jump", {})).toThrow(
    /no command "jump".*say, place/,
  );
});

test("events are decoded by their schema, and refused where they do not satisfy it", () => {
  const hit = new Uint8Array([0, 3, 0, 0, 0, 0]);
  new DataView(hit.buffer).setFloat32(2, -3.2, true);
  expect(decodeMessage(MANIFEST.events, hit)).toEqual({
    name: "hit",
    fields: { by: 3, at: Math.fround(-3.2) },
  });
  expect(decodeMessage(MANIFEST.events, Uint8Array.of(1, 2, 0, 0xc3, 0xa9))?.fields.text).toBe("é");
  for (const bad of [
    [],
    [2],
    [0, 3, 0, 0, 0],
    [0, 3, 0, 0, 0, 0, 0],
    [0, 3, 0, 0, 0xc0, 0x7f],
    [1, 9, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, 2, 0, 0xc3],
    [1, 1, 0, 0xff],
  ]) {
    expect(decodeMessage(MANIFEST.events, Uint8Array.from(bad)), String(bad)).toBeUndefined();
  }
  const next = random(3);
  for (let i = 0; i < 3000; i += 1) {
    decodeMessage(
      MANIFEST.events,
      Uint8Array.from({ length: next() * 12 }, () => next() * 256),
    );
  }
});

test("a manifest that breaks the bounds is refused with the place", () => {
  const broken = (change: (m: Record<string, never>) => void) => {
    const m = JSON.parse(MANIFEST_JSON);
    change(m);
    return () => parseManifest(m);
  };
  expect(() => parseManifest("{")).toThrow(ManifestError);
  expect(() => parseManifest([])).toThrow("manifest is not an object");
  expect(broken((m) => Object.assign(m, { tick_rate: 0 }))).toThrow("tick_rate is 0");
  expect(broken((m) => Object.assign(m, { abi: 2 }))).toThrow("abi is 2");
  expect(broken((m) => Object.assign(m, { input: [{ name: "a", type: "f64" }] }))).toThrow(
    "input[0].type is f64",
  );
  expect(
    broken((m) =>
      Object.assign(m, {
        entities: [
          { name: "e", fields: [{ name: "q", type: "range", min: 0, max: 1, precision: 0 }] },
        ],
      }),
    ),
  ).toThrow("entities[0].fields[0]");
  expect(
    broken((m) =>
      Object.assign(m, {
        entities: [
          {
            name: "e",
            fields: Array.from({ length: 9 }, (_, i) => ({ name: `q${i}`, type: "quat", bits: 9 })),
          },
        ],
      }),
    ),
  ).toThrow("has 36 columns");
});
