import { parseManifest } from "@gameserver/sdk";
import { expect, test } from "vitest";
import { placeCamera } from "../src/games/arena/camera.js";
import { ARENA, readScene } from "../src/games/arena/scene.js";
import { mapIntent, worldBounds } from "../src/games/generic.js";
import { winningLine } from "../src/games/tic-tac-toe.js";

const manifest = parseManifest({
  abi: 1,
  name: "blob",
  tick_rate: 30,
  input: [
    { name: "move_x", type: "f32", min: -2, max: 2 },
    { name: "dy", type: "i8", min: -100, max: 100 },
    { name: "aim", type: "f32", min: -3.2, max: 3.2 },
    { name: "fire", type: "bool" },
    { name: "boost", type: "bool" },
    { name: "gear", type: "u8", min: 0, max: 5 },
  ],
  entities: [
    {
      name: "blob",
      fields: [
        { name: "x", type: "range", min: -5, max: 5, precision: 0.1 },
        { name: "y", type: "range", min: 0, max: 8, precision: 0.1 },
      ],
    },
    { name: "score", fields: [{ name: "x", type: "int", min: 0, max: 999 }] },
  ],
});

test("keys and mouse find the inputs of a game that nobody knows", () => {
  const intent = { moveX: -0.5, moveY: 1, aim: 1.5, fire: true, dash: false };
  expect(mapIntent(manifest.input, intent)).toEqual({
    move_x: -1,
    dy: 100,
    aim: 1.5,
    fire: true,
    boost: false,
  });
  expect(mapIntent(manifest.input, { ...intent, fire: false, dash: true })).toMatchObject({
    fire: false,
    boost: true,
  });
});

test("the picture of an unknown game fits the places that its schema allows", () => {
  expect(worldBounds(manifest)).toEqual({ x0: -5, y0: 0, x1: 5, y1: 8 });
  const placeless = parseManifest({ name: "chess", tick_rate: 5, entities: [] });
  expect(worldBounds(placeless)).toEqual({ x0: 0, y0: 0, x1: 10, y1: 10 });
});

test("the arena's entities are read by kind, and unknown ones left out", () => {
  const scene = readScene([
    {
      id: 2,
      kind: "player",
      owner: 2,
      fields: {
        x: 1,
        y: 2,
        aim: 3,
        health: 50,
        score: 4,
        alive: true,
        shielded: false,
        rapid: true,
        dash: 9,
      },
    },
    { id: 9, kind: "bullet", owner: 2, fields: { x: 5, y: 6, heading: 1 } },
    { id: 10, kind: "clock", owner: -1, fields: { seconds: 12, limit: 10 } },
    { id: 11, kind: "dragon", owner: -1, fields: { x: 5 } },
  ]);
  expect(scene.players).toHaveLength(1);
  expect(scene.players[0]).toMatchObject({ slot: 2, x: 1, alive: true, rapid: true, dash: 9 });
  expect(scene.bullets[0]).toEqual({ id: 9, owner: 2, x: 5, y: 6, heading: 1 });
  expect([scene.seconds, scene.limit]).toEqual([12, 10]);
});

test("a wide screen shows the whole arena, an upright phone follows the player", () => {
  for (const [width, height] of [
    [1280, 720],
    [844, 390],
    [2560, 1080],
  ]) {
    const camera = placeCamera(width, height, { x: 0, y: 0 }, false);
    expect(camera.x).toBeGreaterThanOrEqual(0);
    expect(camera.y).toBeGreaterThanOrEqual(0);
    expect(camera.x + ARENA.width * camera.scale).toBeLessThanOrEqual(width);
    expect(camera.y + ARENA.height * camera.scale).toBeLessThanOrEqual(height);
  }
  for (const x of [0, 3, 20, 37, 40]) {
    const camera = placeCamera(390, 844, { x, y: 12 }, true);
    expect(camera.scale).toBeGreaterThan(20);
    expect(camera.x + x * camera.scale).toBeGreaterThanOrEqual(0);
    expect(camera.x + x * camera.scale).toBeLessThanOrEqual(390);
  }
});

test("tic-tac-toe knows a full line", () => {
  expect(winningLine([1, 2, 2, 0, 1, 0, 0, 0, 1])).toEqual([0, 4, 8]);
  expect(winningLine([1, 1, 2, 2, 2, 1, 1, 2, 1])).toBeUndefined();
});
