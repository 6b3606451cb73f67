// What a page draws, frame by frame, for tests of how it feels.
import type { Emulation } from "@gameserver/sdk";
import type { Player } from "./browser.js";
import { until } from "./server.js";

/** A frame that a page drew. */
export interface Frame {
  readonly atMs: number;
  readonly players: readonly { slot: number; x: number; y: number; alive: boolean }[];
}

/** What was recorded. */
export interface Recording {
  readonly frames: readonly Frame[];
  /** Keys that went down, with the number of frames that had been drawn by then. */
  readonly keys: readonly { code: string; atMs: number; frame: number }[];
}

declare global {
  interface Window {
    recording:
      | { frames: Frame[]; keys: { code: string; atMs: number; frame: number }[] }
      | undefined;
  }
}

/** Records every frame and key from now on. */
export async function record(player: Player): Promise<void> {
  await player.page.evaluate(() => {
    const recording: NonNullable<Window["recording"]> = { frames: [], keys: [] };
    window.recording = recording;
    addEventListener(
      "keydown",
      (event) => {
        const frame = recording.frames.length;
        recording.keys.push({ code: event.code, atMs: performance.now(), frame });
      },
      { capture: true },
    );
    // Behind the page's own drawing, which asked for its frame before.
    const see = (now: number) => {
      if (window.recording !== recording) {
        return;
      }
      const players = (window.gameserver.session?.view(now) ?? [])
        .filter((entity) => entity.kind === "player")
        .map(({ owner, fields: f }) => ({
          slot: owner,
          x: Number(f.x),
          y: Number(f.y),
          alive: f.alive === true,
        }));
      recording.frames.push({ atMs: now, players });
      requestAnimationFrame(see);
    };
    requestAnimationFrame(see);
  });
  await until("a frame is drawn", () =>
    player.page.evaluate(() => (window.recording?.frames.length ?? 0) > 0),
  );
}

/** Ends the recording and answers it. */
export function recorded(player: Player): Promise<Recording> {
  return player.page.evaluate(() => {
    const recording = window.recording;
    window.recording = undefined;
    return recording ?? { frames: [], keys: [] };
  });
}

/** Makes a player's line worse, and waits until that is felt. */
export async function emulate(player: Player, line: Emulation, seed: number): Promise<void> {
  await player.page.evaluate(([l, s]) => window.gameserver.session?.emulate(l, s), [
    line,
    seed,
  ] as const);
  await until("the longer way is measured", async () => {
    const trip = await player.page.evaluate(
      () => window.gameserver.session?.stats.roundTripMs ?? 0,
    );
    return trip > (line.latencyMs ?? 0) * 0.9;
  });
}

/**
 * By how much any living player was drawn to go farther than it can, in world units for each
 * sixtieth of a second: what a wrong guess costs the eye.
 */
export function longestJump(recording: Recording): number {
  let longest = 0;
  for (let i = 1; i < recording.frames.length; i += 1) {
    const [before, after] = [recording.frames[i - 1], recording.frames[i]];
    const ticks = Math.max(1, (after.atMs - before.atMs) / 1000 / TICK_S);
    for (const to of after.players) {
      const from = before.players.find((p) => p.slot === to.slot);
      if (from?.alive && to.alive) {
        const way = Math.hypot(to.x - from.x, to.y - from.y);
        longest = Math.max(longest, way / ticks - TOP_SPEED * TICK_S);
      }
    }
  }
  return longest;
}

/**
 * How many frames were drawn after each press of a key before the player's own place changed, the
 * one that shows it included.
 */
export function framesToMove(recording: Recording, slot: number): number[] {
  const place = (frame: Frame) => frame.players.find((p) => p.slot === slot);
  return recording.keys
    .map(({ frame }) => {
      const still = place(recording.frames[frame - 1]);
      const shown = recording.frames.slice(frame).findIndex((later) => {
        const now = place(later);
        return (
          still !== undefined &&
          now !== undefined &&
          Math.hypot(now.x - still.x, now.y - still.y) > SEEN
        );
      });
      return shown < 0 ? Number.POSITIVE_INFINITY : shown + 1;
    })
    .sort((a, b) => a - b);
}

/** The arena's (games/arena/src/motion.rs), in world units a second; nobody dashes here. */
const TOP_SPEED = 7;
const TICK_S = 1 / 60;
/** World units: a first step is some 0.02, of which a frame may show a small part. */
const SEEN = 0.0001;
