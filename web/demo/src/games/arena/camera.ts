import { ARENA } from "./scene.js";

/** Which part of the arena is where on the screen. */
export interface Camera {
  /** CSS pixels to a world unit. */
  scale: number;
  /** CSS pixels of the world's origin. */
  x: number;
  y: number;
}

/**
 * Shows the whole arena where there is room; on a phone held upright, all of its height, and as
 * much of its width as fits around the player.
 */
export function placeCamera(
  width: number,
  height: number,
  focus: { x: number; y: number } | undefined,
  thumbs: boolean,
): Camera {
  const upright = height > width;
  // Held upright, the thumbs' part of the screen is below the picture.
  const below = thumbs && upright ? height * THUMB_SHARE : BOTTOM;
  const free = { width: width - 2 * MARGIN, height: height - TOP - below };
  const whole = Math.min(free.width / ARENA.width, free.height / ARENA.height);
  const scale = upright ? Math.max(whole, Math.min(free.height / ARENA.height, MOST)) : whole;
  const axis = (start: number, size: number, world: number, at: number | undefined): number => {
    const slack = size - world * scale;
    if (slack >= 0) {
      return start + slack / 2;
    }
    const centred = size / 2 - (at ?? world / 2) * scale;
    return start + Math.min(0, Math.max(slack, centred));
  };
  return {
    scale,
    x: axis(MARGIN, free.width, ARENA.width, focus?.x),
    y: axis(TOP, free.height, ARENA.height, focus?.y),
  };
}

/** CSS pixels around the arena. */
const MARGIN = 10;
/** CSS pixels for the clock and the score above it. */
const TOP = 46;
/** CSS pixels for this player's health below it. */
const BOTTOM = 42;
/** Share of an upright screen that is left to the thumbs. */
const THUMB_SHARE = 0.3;
/** CSS pixels to a unit, so that a tall narrow window does not show a keyhole. */
const MOST = 24;
