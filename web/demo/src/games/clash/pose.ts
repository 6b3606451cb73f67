import type { FighterState } from "./scene.js";

/** A point in metres, x to where the fighter looks and y up, from between its feet. */
export type Point = readonly [x: number, y: number];

/** How a body stands: where its joints are wanted. */
export interface Pose {
  hip: Point;
  /** Radians, forwards. */
  lean: number;
  /** Radians, forwards, from the chest. */
  head: number;
  handF: Point;
  handB: Point;
  footF: Point;
  footB: Point;
  /** Turns the whole body about the hip, in radians, backwards. */
  roll: number;
}

/** All points of a body, in the same coordinates. */
export interface Skeleton {
  hip: Point;
  chest: Point;
  head: Point;
  elbowF: Point;
  handF: Point;
  elbowB: Point;
  handB: Point;
  kneeF: Point;
  footF: Point;
  kneeB: Point;
  footB: Point;
}

/** The pose for what a fighter does; `seconds` is for what goes on and on, like breathing. */
export function poseOf(fighter: FighterState, seconds: number, won: boolean): Pose {
  const { action, since } = fighter;
  switch (action) {
    case "stand":
      if (won) {
        return WON;
      }
      return Math.abs(fighter.vx) > 0.2
        ? walking(fighter.x * fighter.facing)
        : breathing(STAND, seconds + fighter.slot);
    case "air":
      return since < 6 ? LEAP : TUCK;
    case "land":
      return LAND;
    case "block":
      return breathing(BLOCK, seconds);
    case "light":
      return phase(since, LIGHT, [PUNCH_BACK, PUNCH, PUNCH_AFTER]);
    case "heavy":
      return phase(since, HEAVY, [KICK_UP, KICK, KICK_AFTER]);
    case "kick":
      return since < KICK_STARTUP ? TUCK : DIVE;
    case "throw":
      return phase(since, THROW, [REACH_BACK, REACH, HEAVE]);
    case "hurt":
      return since < 8 ? HURT : mix(HURT, STAND, Math.min(1, (since - 8) / 10));
    case "guard":
      return GUARD;
    case "fall":
      return { ...FALL, roll: Math.min(1.45, 0.5 + since * 0.04) };
    case "down":
      return fighter.health > 0 && since > RISE_AFTER ? CROUCH : DOWN;
  }
}

/** How fast a body gets into a pose, in 1/s: a strike snaps, the rest flows. */
export function haste(fighter: FighterState): number {
  switch (fighter.action) {
    case "light":
    case "heavy":
    case "kick":
    case "throw":
    case "hurt":
    case "guard":
      return 38;
    case "fall":
    case "down":
      return 16;
    default:
      return 20;
  }
}

/** Part of the way from one pose to another. */
export function mix(from: Pose, to: Pose, share: number): Pose {
  const number = (a: number, b: number): number => a + (b - a) * share;
  const point = (a: Point, b: Point): Point => [number(a[0], b[0]), number(a[1], b[1])];
  return {
    hip: point(from.hip, to.hip),
    lean: number(from.lean, to.lean),
    head: number(from.head, to.head),
    handF: point(from.handF, to.handF),
    handB: point(from.handB, to.handB),
    footF: point(from.footF, to.footF),
    footB: point(from.footB, to.footB),
    roll: number(from.roll, to.roll),
  };
}

/** Finds knees and elbows, and turns the body. */
export function skeletonOf(pose: Pose): Skeleton {
  const { hip } = pose;
  const chest = along(hip, pose.lean, TORSO);
  const shoulder = along(hip, pose.lean, TORSO * 0.9);
  const head = along(chest, pose.lean * 0.6 + pose.head, NECK);
  const [elbowF, handF] = reach(shoulder, pose.handF, UPPER_ARM, FOREARM, -1);
  const [elbowB, handB] = reach(shoulder, pose.handB, UPPER_ARM, FOREARM, -1);
  const ankle = ([x, y]: Point): Point => [x, y + ANKLE];
  const [kneeF, footF] = reach(hip, ankle(pose.footF), THIGH, SHIN, 1);
  const [kneeB, footB] = reach(hip, ankle(pose.footB), THIGH, SHIN, 1);
  const points = { hip, chest, head, elbowF, handF, elbowB, handB, kneeF, footF, kneeB, footB };
  if (pose.roll === 0) {
    return points;
  }
  const sin = Math.sin(pose.roll);
  const cos = Math.cos(pose.roll);
  const turn = ([x, y]: Point): Point => {
    const dx = x - hip[0];
    const dy = y - hip[1];
    return [hip[0] + dx * cos - dy * sin, hip[1] + dx * sin + dy * cos];
  };
  return {
    hip,
    chest: turn(chest),
    head: turn(head),
    elbowF: turn(elbowF),
    handF: turn(handF),
    elbowB: turn(elbowB),
    handB: turn(handB),
    kneeF: turn(kneeF),
    footF: turn(footF),
    kneeB: turn(kneeB),
    footB: turn(footB),
  };
}

function along([x, y]: Point, angle: number, length: number): Point {
  return [x + Math.sin(angle) * length, y + Math.cos(angle) * length];
}

/** Two bones from a joint towards a point: where the middle joint and the end come to be. */
function reach(
  from: Point,
  to: Point,
  first: number,
  second: number,
  bend: 1 | -1,
): [middle: Point, end: Point] {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  const wanted = Math.hypot(dx, dy);
  const length = Math.min(
    first + second - 0.001,
    Math.max(Math.abs(first - second) + 0.01, wanted),
  );
  const direction = Math.atan2(dy, dx);
  const cosine = (first * first + length * length - second * second) / (2 * first * length);
  const angle = direction + bend * Math.acos(Math.max(-1, Math.min(1, cosine)));
  return [
    [from[0] + Math.cos(angle) * first, from[1] + Math.sin(angle) * first],
    [from[0] + Math.cos(direction) * length, from[1] + Math.sin(direction) * length],
  ];
}

function phase(
  since: number,
  move: Timing,
  [before, hit, after]: readonly [Pose, Pose, Pose],
): Pose {
  if (since < move.startup - 1) {
    return before;
  }
  if (since < move.startup + move.active + 1) {
    return hit;
  }
  const share = (since - move.startup - move.active) / Math.max(1, move.recovery);
  return share < 0.5 ? after : mix(after, STAND, Math.min(1, share * 2 - 1));
}

function breathing(pose: Pose, seconds: number): Pose {
  const lift = Math.sin(seconds * 4) * 0.012;
  const up = ([x, y]: Point, by: number): Point => [x, y + by];
  return {
    ...pose,
    hip: up(pose.hip, lift),
    handF: up(pose.handF, lift * 2),
    handB: up(pose.handB, lift * 2),
  };
}

/** `way` is how far it has walked forwards, in metres. */
function walking(way: number): Pose {
  const turn = way * 5.2;
  const foot = (at: number): Point => [Math.cos(at) * 0.27, Math.max(0, -Math.sin(at)) * 0.13];
  return {
    ...STAND,
    hip: [0.02, 0.83 + Math.cos(turn * 2) * 0.015],
    footF: foot(turn),
    footB: foot(turn + Math.PI),
  };
}

interface Timing {
  startup: number;
  active: number;
  recovery: number;
}

// As in games/clash/src/moves.rs: a picture follows them, nothing else does.
const LIGHT: Timing = { startup: 5, active: 3, recovery: 8 };
const HEAVY: Timing = { startup: 13, active: 4, recovery: 20 };
const THROW: Timing = { startup: 5, active: 2, recovery: 24 };
const KICK_STARTUP = 5;
/** Ticks on the floor after which who lies gets up. */
const RISE_AFTER = 22;

// Bones in metres.
const TORSO = 0.56;
const NECK = 0.25;
const UPPER_ARM = 0.31;
const FOREARM = 0.31;
const THIGH = 0.46;
const SHIN = 0.46;
/** From the sole to the end of the shin. */
const ANKLE = 0.09;

const STAND: Pose = {
  hip: [0, 0.83],
  lean: 0.14,
  head: 0,
  handF: [0.43, 1.22],
  handB: [0.26, 1.12],
  footF: [0.27, 0],
  footB: [-0.27, 0],
  roll: 0,
};
const WON: Pose = {
  ...STAND,
  hip: [0, 0.88],
  lean: -0.06,
  head: -0.2,
  handF: [0.2, 1.95],
  handB: [-0.3, 0.95],
  footF: [0.16, 0],
  footB: [-0.16, 0],
};
const LEAP: Pose = {
  ...STAND,
  hip: [0, 0.95],
  handF: [0.3, 1.75],
  handB: [-0.2, 1.5],
  footF: [0.12, 0.12],
  footB: [-0.2, 0.1],
};
const TUCK: Pose = {
  ...STAND,
  hip: [0, 0.95],
  lean: 0.3,
  handF: [0.42, 1.2],
  handB: [-0.1, 1.05],
  footF: [0.26, 0.5],
  footB: [-0.14, 0.42],
};
const LAND: Pose = {
  ...STAND,
  hip: [0, 0.6],
  lean: 0.45,
  handF: [0.4, 0.75],
  handB: [-0.1, 0.7],
  footF: [0.3, 0],
  footB: [-0.3, 0],
};
const BLOCK: Pose = {
  ...STAND,
  hip: [-0.04, 0.78],
  lean: 0,
  head: 0.15,
  handF: [0.3, 1.42],
  handB: [0.27, 1.16],
  footF: [0.22, 0],
  footB: [-0.32, 0],
};
const GUARD: Pose = {
  ...BLOCK,
  hip: [-0.14, 0.75],
  lean: -0.18,
  head: 0.25,
  handF: [0.18, 1.42],
  handB: [0.16, 1.2],
};
const PUNCH_BACK: Pose = { ...STAND, lean: -0.02, handF: [0.1, 1.22], hip: [-0.04, 0.82] };
const PUNCH: Pose = {
  ...STAND,
  hip: [0.16, 0.79],
  lean: 0.3,
  handF: [1.05, 1.27],
  handB: [0.16, 1.08],
  footF: [0.42, 0],
};
const PUNCH_AFTER: Pose = { ...STAND, lean: 0.2, handF: [0.6, 1.2] };
const KICK_UP: Pose = {
  ...STAND,
  hip: [-0.05, 0.86],
  lean: -0.2,
  handF: [0.3, 1.3],
  handB: [-0.1, 1.15],
  footF: [0.3, 0.72],
  footB: [-0.1, 0],
};
const KICK: Pose = {
  ...STAND,
  hip: [0.2, 0.88],
  lean: -0.55,
  head: 0.35,
  handF: [0.1, 1.0],
  handB: [-0.5, 1.0],
  footF: [1.12, 1.12],
  footB: [0.02, 0],
};
const KICK_AFTER: Pose = {
  ...STAND,
  hip: [0.08, 0.8],
  lean: 0.2,
  handF: [0.3, 1.0],
  handB: [-0.2, 1.0],
  footF: [0.42, 0.06],
  footB: [-0.12, 0],
};
const DIVE: Pose = {
  ...STAND,
  hip: [0, 0.95],
  lean: -0.25,
  head: 0.3,
  handF: [0.15, 1.35],
  handB: [-0.45, 1.3],
  footF: [0.8, 0.42],
  footB: [-0.05, 0.6],
};
const REACH_BACK: Pose = { ...STAND, hip: [0, 0.78], handF: [0.25, 1.3], handB: [0.1, 0.9] };
const REACH: Pose = {
  ...STAND,
  hip: [0.18, 0.76],
  lean: 0.4,
  handF: [0.78, 1.2],
  handB: [0.7, 0.95],
  footF: [0.42, 0],
};
const HEAVE: Pose = {
  ...STAND,
  hip: [0, 0.8],
  lean: -0.3,
  head: -0.2,
  handF: [0.2, 1.75],
  handB: [0.05, 1.65],
};
const HURT: Pose = {
  ...STAND,
  hip: [-0.12, 0.78],
  lean: -0.42,
  head: -0.35,
  handF: [0.1, 0.95],
  handB: [-0.5, 1.1],
  footF: [0.22, 0],
  footB: [-0.36, 0],
};
const FALL: Pose = {
  ...STAND,
  hip: [0, 0.62],
  lean: -0.2,
  head: -0.3,
  handF: [0.45, 1.35],
  handB: [0.3, 1.5],
  footF: [0.5, 0.2],
  footB: [0.25, 0],
  roll: 1,
};
const DOWN: Pose = {
  ...STAND,
  hip: [0, 0.16],
  lean: 0,
  head: -0.1,
  handF: [0.12, 0.2],
  handB: [-0.12, 0.5],
  footF: [0.04, -0.72],
  footB: [0.14, -0.68],
  roll: Math.PI / 2,
};
const CROUCH: Pose = {
  ...LAND,
  hip: [-0.05, 0.45],
  lean: 0.6,
  handF: [0.35, 0.35],
  handB: [0.2, 0.5],
};
