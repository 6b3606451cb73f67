import { expect, test } from "vitest";
import { onStage, placeCamera } from "../src/games/clash/draw.js";
import { BUTTON, stickButtons } from "../src/games/clash/pad.js";
import { mix, poseOf, skeletonOf } from "../src/games/clash/pose.js";
import { ACTIONS, clockSeconds, type FighterState, readScene } from "../src/games/clash/scene.js";

const fighter: FighterState = {
  slot: 0,
  x: 6,
  y: 0,
  vx: 0,
  facing: 1,
  action: "stand",
  since: 0,
  health: 100,
  rounds: 0,
  combo: 0,
  safe: false,
};

test("the fight's entities are read in metres and seconds", () => {
  const scene = readScene([
    {
      id: 1,
      kind: "fighter",
      owner: 1,
      fields: { x: 7500, y: 250, vx: 50, right: false, action: 5 },
    },
    {
      id: 0,
      kind: "fighter",
      owner: 0,
      fields: { x: 4500, y: 0, right: true, action: 99, safe: 3 },
    },
    { id: 2, kind: "round", owner: -1, fields: { phase: 2, number: 1, left: 61, to_win: 3 } },
  ]);
  expect(scene.fighters.map((f) => f.slot)).toEqual([0, 1]);
  expect(scene.fighters[0]).toMatchObject({ x: 4.5, facing: 1, action: "stand", safe: true });
  expect(scene.fighters[1]).toMatchObject({ x: 7.5, y: 0.25, vx: 3, facing: -1, action: "heavy" });
  expect(scene).toMatchObject({ phase: "fight", round: 1, roundsToWin: 3, frozen: false });
  expect(clockSeconds(scene)).toBe(2);
});

test("every action has a pose at every moment, with bones of their length", () => {
  for (const action of ACTIONS) {
    for (const since of [0, 3, 6, 12, 15, 20, 40, 255]) {
      const pose = poseOf({ ...fighter, action, since }, 1, false);
      const body = skeletonOf(pose);
      for (const [x, y] of Object.values(body)) {
        expect(Number.isFinite(x) && Number.isFinite(y), `${action} ${since}`).toBe(true);
      }
      const length = (a: readonly number[], b: readonly number[]) =>
        Math.hypot(a[0] - b[0], a[1] - b[1]);
      expect(length(body.hip, body.kneeF)).toBeCloseTo(0.46, 5);
      expect(length(body.kneeB, body.footB)).toBeCloseTo(0.46, 5);
      expect(length(body.elbowF, body.handF)).toBeCloseTo(0.31, 5);
    }
  }
});

test("a punch reaches forwards when it can hit, and who lies is flat", () => {
  const hand = (since: number) =>
    skeletonOf(poseOf({ ...fighter, action: "light", since }, 0, false)).handF[0];
  expect(hand(6)).toBeGreaterThan(hand(0) + 0.4);
  const lying = skeletonOf(poseOf({ ...fighter, action: "down", health: 0 }, 0, false));
  expect(Math.max(...Object.values(lying).map(([, y]) => y))).toBeLessThan(0.75);
  const stand = poseOf(fighter, 0, false);
  const won = poseOf(fighter, 0, true);
  expect(mix(stand, won, 1).handF).toEqual(won.handF);
});

test("a body is mirrored by where it looks", () => {
  expect(onStage(fighter, [1, 0.5])).toEqual({ x: 7, y: 0.5 });
  expect(onStage({ ...fighter, facing: -1, y: 1 }, [1, 0.5])).toEqual({ x: 5, y: 1.5 });
});

test("the camera shows both fighters on any screen, jumps too", () => {
  for (const [width, height] of [
    [1280, 720],
    [844, 390],
    [390, 844],
    [2560, 1080],
  ]) {
    for (const [a, b] of [
      [0.4, 11.6],
      [0.4, 1.1],
      [10.9, 11.6],
      [5, 7],
    ]) {
      const fighters = [
        { ...fighter, x: a },
        { ...fighter, slot: 1, x: b, y: 2.2 },
      ];
      const camera = placeCamera(width, height, fighters);
      for (const { x, y } of fighters) {
        const left = width / 2 + (x - camera.x) * camera.scale;
        expect(left).toBeGreaterThanOrEqual(0.3 * camera.scale);
        expect(left).toBeLessThanOrEqual(width - 0.3 * camera.scale);
        expect(camera.floor - (y + 1.8) * camera.scale).toBeGreaterThanOrEqual(-0.2 * camera.scale);
      }
      expect(camera.floor).toBeLessThan(height);
    }
  }
});

test("a stick walks sideways and jumps upwards, and rests in the middle", () => {
  expect(stickButtons(0.1, -0.2)).toBe(0);
  expect(stickButtons(-0.8, 0)).toBe(BUTTON.left);
  expect(stickButtons(0.6, -0.8)).toBe(BUTTON.right | BUTTON.jump);
  expect(stickButtons(0, 0.9)).toBe(0);
});
