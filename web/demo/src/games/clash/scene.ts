import type { Entity } from "@gameserver/sdk";

/** What a fighter does, in the order of the module's numbers. */
export const ACTIONS = [
  "stand",
  "air",
  "land",
  "block",
  "light",
  "heavy",
  "kick",
  "throw",
  "hurt",
  "guard",
  "fall",
  "down",
] as const;

export type Action = (typeof ACTIONS)[number];

/** A fighter as it is drawn, in metres; y is up from the floor. */
export interface FighterState {
  slot: number;
  x: number;
  y: number;
  /** Metres a second. */
  vx: number;
  /** 1 to the right, −1 to the left. */
  facing: 1 | -1;
  action: Action;
  /** Ticks that it has done so. */
  since: number;
  health: number;
  rounds: number;
  /** Hits that it has taken in a row. */
  combo: number;
  /** Whether nothing can touch it. */
  safe: boolean;
}

/** One moment of a fight. */
export interface Scene {
  fighters: FighterState[];
  phase: "waiting" | "ready" | "fight" | "over";
  /** The round, from 1. */
  round: number;
  /** Ticks left of the phase. */
  left: number;
  /** Whether a hit holds everything still. */
  frozen: boolean;
  roundsToWin: number;
  roundSeconds: number;
}

/** Sorts the entities of a view by what they are. */
export function readScene(entities: readonly Entity[]): Scene {
  const scene: Scene = {
    fighters: [],
    phase: "waiting",
    round: 0,
    left: 0,
    frozen: false,
    roundsToWin: 2,
    roundSeconds: 60,
  };
  for (const { kind, owner, fields: f } of entities) {
    const n = (name: string): number => Number(f[name] ?? 0);
    if (kind === "fighter") {
      scene.fighters.push({
        slot: owner,
        x: n("x") / 1000,
        y: n("y") / 1000,
        vx: (n("vx") * TICK_RATE) / 1000,
        facing: f.right === true ? 1 : -1,
        action: ACTIONS[n("action")] ?? "stand",
        since: n("since"),
        health: n("health"),
        rounds: n("rounds"),
        combo: n("combo"),
        safe: n("safe") > 0,
      });
    } else if (kind === "round") {
      scene.phase = PHASES[n("phase")] ?? "waiting";
      scene.round = n("number");
      scene.left = n("left");
      scene.frozen = n("freeze") > 0;
      scene.roundsToWin = n("to_win");
      scene.roundSeconds = n("seconds");
    }
  }
  scene.fighters.sort((a, b) => a.slot - b.slot);
  return scene;
}

/** Seconds that the clock shows; a full clock before a round. */
export function clockSeconds(scene: Scene): number {
  if (scene.phase === "fight") {
    return Math.ceil(scene.left / TICK_RATE);
  }
  return scene.phase === "over" ? 0 : scene.roundSeconds;
}

/** The stage's size in metres. */
export const STAGE = { width: 12, wall: 0.4 } as const;
/** The game's ticks a second. */
export const TICK_RATE = 60;
const PHASES = ["waiting", "ready", "fight", "over"] as const;
