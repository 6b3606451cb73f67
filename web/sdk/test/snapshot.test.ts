import { expect, test } from "vitest";
import { BitReader } from "../src/bits.js";
import { decodeSnapshot, type FieldValue, fieldValues, interpolateField } from "../src/snapshot.js";
import { BitWriter, encodeSnapshot, MANIFEST, random, type TestEntity } from "./encoder.js";

function randomEntities(next: () => number, firstId: number): TestEntity[] {
  const entities: TestEntity[] = [];
  let id = firstId;
  const count = Math.floor(next() * 40);
  for (let i = 0; i < count; i += 1) {
    id += Math.floor(next() ** 4 * 1000);
    const kind = Math.floor(next() * MANIFEST.entities.length);
    const columns = MANIFEST.entities[kind].columns.map(
      ({ lo, hi }) => lo + Math.floor(next() * (hi - lo + 1)),
    );
    const owner = next() < 0.5 ? {} : { owner: Math.floor(next() * 64) };
    entities.push({ id, kind, columns, ...owner });
    id += 1;
  }
  return entities;
}

test("what the authority encodes comes back, over many random scenes", () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const next = random(seed);
    const firstId = Math.floor(next() * 5000);
    const entities = randomEntities(next, firstId);
    const data = encodeSnapshot(MANIFEST, firstId, entities);
    const decoded = decodeSnapshot(MANIFEST, firstId, 0xffff_ffff, data);
    expect(
      decoded?.map((e) => ({ ...e, columns: [...e.columns] })),
      `seed ${seed}`,
    ).toEqual(entities.map((e) => ({ owner: -1, ...e })));
  }
});

test("a known stream decodes to the bit", () => {
  // count 1 | gamma(3) = 0 1 1 | kind 1 of 3: 1 0 | owner 1, slot 5: 1 0 1 0 0 0 | quat
  const bits = "100000000000 011 10 1 101000 11 0000000000 1111111111 1000000000".replaceAll(
    " ",
    "",
  );
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  [...bits].forEach((bit, i) => {
    bytes[i >> 3] |= Number(bit) << (i & 7);
  });
  const decoded = decodeSnapshot(MANIFEST, 7, 100, bytes);
  expect(decoded?.map((e) => ({ ...e, columns: [...e.columns] }))).toEqual([
    { id: 9, kind: 1, owner: 5, columns: [3, 0, 1023, 1] },
  ]);
});

test("every truncation is refused, none throws", () => {
  const next = random(7);
  const entities = Array.from({ length: 20 }, (_, i) => ({
    id: i * 3,
    kind: 0,
    owner: i,
    columns: [Math.floor(next() * 4000), 1000, 50, 1],
  }));
  const data = encodeSnapshot(MANIFEST, 0, entities);
  expect(decodeSnapshot(MANIFEST, 0, 1000, data)).toHaveLength(20);
  for (let length = 0; length < data.length; length += 1) {
    expect(decodeSnapshot(MANIFEST, 0, 1000, data.subarray(0, length))).toBeUndefined();
  }
});

test("random bytes never throw, and what they decode to keeps the schema's bounds", () => {
  const next = random(99);
  let decodedSome = 0;
  for (let round = 0; round < 5000; round += 1) {
    const bytes = Uint8Array.from({ length: Math.floor(next() * 200) }, () => next() * 256);
    // A small count gets past the first check more often.
    if (bytes.length > 1 && round % 2 === 0) {
      bytes[0] = round % 5;
      bytes[1] &= 0xf0;
    }
    const decoded = decodeSnapshot(MANIFEST, 10, 2000, bytes);
    for (const entity of decoded ?? []) {
      decodedSome += 1;
      expect(entity.id).toBeGreaterThanOrEqual(10);
      expect(entity.id).toBeLessThanOrEqual(2000);
      MANIFEST.entities[entity.kind].columns.forEach(({ lo, hi }, i) => {
        expect(entity.columns[i]).toBeGreaterThanOrEqual(lo);
        expect(entity.columns[i]).toBeLessThanOrEqual(hi);
      });
    }
  }
  expect(decodedSome).toBeGreaterThan(0);
});

test("an id outside the part's range and a column above its range are refused", () => {
  const rock = { id: 50, kind: 1, columns: [0, 1, 2, 3] };
  const data = encodeSnapshot(MANIFEST, 10, [rock]);
  expect(decodeSnapshot(MANIFEST, 10, 50, data)).toHaveLength(1);
  expect(decodeSnapshot(MANIFEST, 10, 49, data)).toBeUndefined();
  expect(decodeSnapshot(MANIFEST, 51, 50, data)).toBeUndefined();
  // x has 4001 steps in 12 bits.
  const high = encodeSnapshot(MANIFEST, 0, [{ id: 0, kind: 0, columns: [4090, 0, 0, 0] }]);
  expect(decodeSnapshot(MANIFEST, 0, 9, high)).toBeUndefined();
  // Three kinds in 2 bits: the fourth does not exist.
  const kind = new BitWriter().bits(1, 12).gamma(1).bits(3, 2).bits(0, 64).bytes();
  expect(decodeSnapshot(MANIFEST, 0, 9, kind)).toBeUndefined();
});

test("Elias-gamma reads what is written, up to the largest id, and refuses an endless run", () => {
  for (const n of [1, 2, 3, 4, 255, 256, 65_537, 2 ** 31, 2 ** 32]) {
    const reader = new BitReader(new BitWriter().gamma(n).bytes());
    expect(reader.gamma()).toBe(n);
    expect(reader.failed).toBe(false);
  }
  for (const bytes of [new Uint8Array(1000), new BitWriter().gamma(2 ** 33).bytes()]) {
    const reader = new BitReader(bytes);
    reader.gamma();
    expect(reader.failed).toBe(true);
  }
});

test("columns become values by the schema", () => {
  const values = fieldValues(MANIFEST.entities[0], Int32Array.of(1234, 256, -5, 1));
  expect(values.x).toBeCloseTo(12.34, 9);
  expect(values.aim).toBeCloseTo(Math.PI / 2, 9);
  expect(values.health).toBe(-5);
  expect(values.alive).toBe(true);
  const turn = fieldValues(MANIFEST.entities[1], Int32Array.of(3, 0, 1023, 511))
    .turn as readonly number[];
  expect(turn[0]).toBeCloseTo(-Math.SQRT1_2, 6);
  expect(turn[1]).toBeCloseTo(Math.SQRT1_2, 6);
  expect(Math.hypot(...turn)).toBeCloseTo(1, 3);
});

test("angles turn the short way, ints hold, ranges move straight", () => {
  const [x, aim, health] = MANIFEST.entities[0].fields;
  const between = (field: typeof x, a: number, b: number, f: number): FieldValue => {
    const from = new Int32Array(4);
    const to = new Int32Array(4);
    from[field.column] = a;
    to[field.column] = b;
    return interpolateField(field, from, 0, to, 0, f);
  };
  expect(between(x, 100, 200, 0.25)).toBeCloseTo(1.25, 9);
  expect(between(health, 10, 20, 0.9)).toBe(10);
  const degrees = (a: number, b: number, f: number) =>
    ((between(aim, (a / 360) * 1024, (b / 360) * 1024, f) as number) * 180) / Math.PI;
  expect(degrees(0, 90, 0.5)).toBeCloseTo(45, 6);
  expect(degrees(337.5, 22.5, 0.75)).toBeCloseTo(11.25, 6);
  expect(degrees(22.5, 337.5, 0.75)).toBeCloseTo(348.75, 6);
});
