import type { Entity } from "@gameserver/sdk";

/** A player of the arena as it is drawn. */
export interface PlayerState {
  slot: number;
  x: number;
  y: number;
  aim: number;
  health: number;
  score: number;
  alive: boolean;
  shielded: boolean;
  rapid: boolean;
  /** Percent of the dash that is ready. */
  dash: number;
}

/** A bullet. */
export interface BulletState {
  id: number;
  owner: number;
  x: number;
  y: number;
  heading: number;
}

/** A wall, by its top-left corner. */
export interface WallState {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** Something to pick up. */
export interface PickupState {
  id: number;
  x: number;
  y: number;
  what: number;
}

/** One moment of the arena. */
export interface Scene {
  players: PlayerState[];
  bullets: BulletState[];
  walls: WallState[];
  pickups: PickupState[];
  seconds: number | undefined;
  limit: number;
}

/** Sorts the entities of a view by what they are. */
export function readScene(entities: readonly Entity[]): Scene {
  const scene: Scene = {
    players: [],
    bullets: [],
    walls: [],
    pickups: [],
    seconds: undefined,
    limit: 0,
  };
  for (const { id, kind, owner, fields: f } of entities) {
    const n = (name: string): number => Number(f[name] ?? 0);
    switch (kind) {
      case "player":
        scene.players.push({
          slot: owner,
          x: n("x"),
          y: n("y"),
          aim: n("aim"),
          health: n("health"),
          score: n("score"),
          alive: f.alive === true,
          shielded: f.shielded === true,
          rapid: f.rapid === true,
          dash: n("dash"),
        });
        break;
      case "bullet":
        scene.bullets.push({ id, owner, x: n("x"), y: n("y"), heading: n("heading") });
        break;
      case "wall":
        scene.walls.push({ x: n("x"), y: n("y"), w: n("w"), h: n("h") });
        break;
      case "pickup":
        scene.pickups.push({ id, x: n("x"), y: n("y"), what: n("what") });
        break;
      case "clock":
        scene.seconds = n("seconds");
        scene.limit = n("limit");
        break;
    }
  }
  return scene;
}

/** The arena's size in world units. */
export const ARENA = { width: 40, height: 24 } as const;
