import { expect, test } from "vitest";
import { World } from "../src/world.js";
import { encodeSnapshot, MANIFEST, type TestEntity } from "./encoder.js";

const player = (id: number, x: number): TestEntity => ({
  id,
  kind: 0,
  owner: id,
  columns: [x * 100, 0, 100, 1],
});

function apply(world: World, tick: number, first: number, last: number, entities: TestEntity[]) {
  return world.apply(tick, first, last, encodeSnapshot(MANIFEST, first, entities));
}

const positions = (world: World, tick: number) =>
  world.view(tick).map((e) => [e.id, Math.round((e.fields.x as number) * 1000) / 1000]);

test("entities move between two ticks and exist from their first to their last", () => {
  const world = new World(MANIFEST);
  apply(world, 10, 0, 99, [player(1, 1)]);
  apply(world, 11, 0, 99, [player(1, 2), player(2, 8)]);
  apply(world, 12, 0, 99, [player(2, 9)]);
  expect(positions(world, 10.25)).toEqual([[1, 1.25]]);
  expect(positions(world, 11.5)).toEqual([
    [1, 2],
    [2, 8.5],
  ]);
  expect(positions(world, 12)).toEqual([[2, 9]]);
  expect(positions(world, 50)).toEqual([[2, 9]]);
  expect(world.view(11)[0]).toMatchObject({ id: 1, kind: "player", owner: 1 });
});

test("a lost tick is bridged", () => {
  const world = new World(MANIFEST);
  apply(world, 10, 0, 99, [player(1, 1)]);
  apply(world, 14, 0, 99, [player(1, 5)]);
  expect(positions(world, 12)).toEqual([[1, 3]]);
});

test("parts by id range give the same picture in any order", () => {
  const parts: [number, number, number, TestEntity[]][] = [
    [10, 0, 4, [player(1, 1), player(3, 3)]],
    [10, 5, 99, [player(7, 7)]],
    [11, 0, 4, [player(1, 2)]],
    [11, 5, 99, [player(7, 8), player(9, 9)]],
    [12, 0, 99, [player(1, 3), player(9, 10)]],
  ];
  const pictures = new Set<string>();
  const permute = (rest: typeof parts, order: typeof parts) => {
    if (rest.length === 0) {
      const world = new World(MANIFEST);
      for (const part of order) {
        expect(apply(world, ...part)).toBe("applied");
      }
      pictures.add(JSON.stringify([10, 10.5, 11, 11.5, 12, 13].map((t) => positions(world, t))));
    }
    rest.forEach((part, i) => {
      permute(
        rest.filter((_, k) => k !== i),
        [...order, part],
      );
    });
  };
  permute(parts, []);
  expect([...pictures]).toHaveLength(1);
  expect(JSON.parse([...pictures][0])[4]).toEqual([
    [1, 3],
    [9, 10],
  ]);
});

test("a part that comes twice, or long after, is stale; garbage is malformed", () => {
  const world = new World(MANIFEST);
  expect(apply(world, 100, 0, 9, [player(1, 1)])).toBe("applied");
  expect(apply(world, 100, 0, 9, [player(1, 2)])).toBe("stale");
  expect(apply(world, 100, 5, 20, [])).toBe("stale");
  expect(apply(world, 36, 0, 9, [])).toBe("stale");
  expect(world.apply(101, 0, 9, Uint8Array.of(255))).toBe("malformed");
  expect(world.newestTick).toBe(100);
});

test("an id that is used again by another kind does not glide from the old place", () => {
  const world = new World(MANIFEST);
  apply(world, 10, 0, 9, [player(1, 1)]);
  apply(world, 11, 0, 9, [{ id: 1, kind: 2, columns: [-5] }]);
  expect(world.view(10.5)[0]).toMatchObject({ kind: "player", fields: { x: 1 } });
  expect(world.view(11)[0]).toMatchObject({ kind: "wide", fields: { n: -5 } });
});

test("what is gone is forgotten, so memory stays bounded", () => {
  const world = new World(MANIFEST);
  for (let tick = 1; tick < 2000; tick += 1) {
    apply(world, tick, 0, 0xffff_ffff, [player(tick, 1)]);
  }
  expect(world.size).toBeLessThan(200);
  expect([...world.columns("player")].map((e) => e.id)).toEqual([1999]);
});
