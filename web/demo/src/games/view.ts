import type { MatchSession } from "@gameserver/sdk";
import type { Sound } from "../sound.js";

/** What a game's picture uses of a session. */
export type PlaySession = Pick<
  MatchSession,
  | "chat"
  | "command"
  | "emulate"
  | "game"
  | "leave"
  | "manifest"
  | "match"
  | "on"
  | "phase"
  | "players"
  | "prediction"
  | "result"
  | "setInput"
  | "slot"
  | "stats"
  | "status"
  | "view"
>;

/** Where a game's picture is drawn. */
export interface Stage {
  readonly session: PlaySession;
  /** Fills the screen; the picture puts its own elements into it. */
  readonly host: HTMLElement;
  readonly sound: Sound;
}

/** A game's picture. */
export interface GameView {
  /** Draws one frame; `nowMs` as of `performance.now()`. */
  frame(nowMs: number, elapsedMs: number): void;
  destroy(): void;
}

/** Whoever plays in a slot now. */
export function nameOf(session: Pick<PlaySession, "players">, slot: number): string {
  const player = session.players.find((p) => p.slot === slot);
  return player?.open ? OPEN : player?.username || `Player ${slot + 1}`;
}

/** How good the matchmaker held a slot's player to be; nothing of substitutes. */
export function ratingOf(
  session: Pick<PlaySession, "match" | "players">,
  slot: number,
): number | undefined {
  const id = session.players.find((p) => p.slot === slot)?.playerId;
  return session.match.players.find((p) => p.player_id === id)?.rating ?? undefined;
}

/** A name with its rating. */
export function named(username: string, rating: number | null | undefined): string {
  return typeof rating === "number" ? `${username} (${Math.round(rating)})` : username;
}

/** What stands in place of a name where a slot is free. */
export const OPEN = "Looking for a player …";

/** A canvas that fills its host, sharp on dense screens. */
export class Surface {
  readonly canvas = document.createElement("canvas");
  readonly context: CanvasRenderingContext2D;
  /** CSS pixels. */
  width = 0;
  /** CSS pixels. */
  height = 0;
  /** Device pixels to a CSS pixel. */
  density = 1;

  /** @param label what the picture is, for those who do not see it. */
  constructor(host: HTMLElement, label: string) {
    this.canvas.className = "surface";
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", label);
    host.append(this.canvas);
    const context = this.canvas.getContext("2d", { alpha: false });
    if (context === null) {
      throw new Error("this browser draws no canvas");
    }
    this.context = context;
  }

  /** Follows the host's size and clears the transform. */
  begin(): CanvasRenderingContext2D {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    const density = Math.min(MAX_DENSITY, devicePixelRatio || 1);
    if (width !== this.width || height !== this.height || density !== this.density) {
      this.width = width;
      this.height = height;
      this.density = density;
      this.canvas.width = Math.max(1, Math.round(width * density));
      this.canvas.height = Math.max(1, Math.round(height * density));
    }
    this.context.setTransform(density, 0, 0, density, 0, 0);
    return this.context;
  }
}

/** A colour for a slot, far from its neighbours'. */
export function slotColor(slot: number): string {
  return SLOT_COLORS[((slot % SLOT_COLORS.length) + SLOT_COLORS.length) % SLOT_COLORS.length];
}

const SLOT_COLORS = [
  "#3ddcff",
  "#ff5fa8",
  "#ffc145",
  "#7dff7a",
  "#b388ff",
  "#ff7a59",
  "#5b9dff",
  "#4dffd2",
];
/** Phones have up to 4; beyond 2 nothing is to be seen but the battery's end. */
const MAX_DENSITY = 2;
