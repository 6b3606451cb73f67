import { slotColor } from "../view.js";
import { type Point, type Pose, type Skeleton, skeletonOf } from "./pose.js";
import { type FighterState, STAGE } from "./scene.js";

/** What part of the stage is on the screen. */
export interface Camera {
  /** CSS pixels a metre. */
  scale: number;
  /** Middle of the picture, in metres. */
  x: number;
  /** CSS pixels from the top to the floor. */
  floor: number;
}

/** Follows both fighters, as near as both fit, and never beyond the stage. */
export function placeCamera(
  width: number,
  height: number,
  fighters: readonly FighterState[],
): Camera {
  const xs = fighters.map((fighter) => fighter.x);
  const left = Math.min(...xs, STAGE.width / 2 + 1.5);
  const right = Math.max(...xs, STAGE.width / 2 - 1.5);
  const shown = fighters.length > 0 ? right - left + MARGIN : STAGE.width;
  const least = Math.min(STAGE.width, Math.max(NEAREST, shown));
  const top = Math.max(0, ...fighters.map((fighter) => fighter.y)) + HEADROOM;
  const scale = Math.min(width / least, height / Math.max(SKY, top + FLOOR));
  const seen = width / scale;
  const half = Math.min(seen, STAGE.width + 2 * BEYOND) / 2 - BEYOND;
  const middle = fighters.length > 0 ? (left + right) / 2 : STAGE.width / 2;
  const x = Math.min(STAGE.width - half, Math.max(half, middle));
  // An upright phone keeps its lower part for the thumbs.
  const below = height > width ? height * 0.4 : height * 0.16;
  return { scale, x, floor: height - Math.max(FLOOR * scale, below) };
}

/** Where a point of a body is on the stage, in metres. */
export function onStage(fighter: FighterState, [x, y]: Point): { x: number; y: number } {
  return { x: fighter.x + x * fighter.facing, y: fighter.y + y };
}

/** The stage behind the fighters. */
export function drawStage(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  camera: Camera,
): void {
  const { floor, scale } = camera;
  const sky = context.createLinearGradient(0, 0, 0, floor);
  sky.addColorStop(0, "#0a0b24");
  sky.addColorStop(0.55, "#2a1450");
  sky.addColorStop(1, "#8a2d6b");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, floor);
  const at = (metres: number, depth: number): number =>
    width / 2 + (metres - STAGE.width / 2 - (camera.x - STAGE.width / 2) * depth) * scale;
  drawSun(context, at(STAGE.width / 2, 0.15), floor - 1.25 * scale, 1.55 * scale);
  drawTowers(context, (metres) => at(metres, 0.3), floor, scale, "#241246", 1, 0.62);
  drawTowers(context, (metres) => at(metres, 0.55), floor, scale, "#150b31", 7, 0.4);
  const ground = context.createLinearGradient(0, floor, 0, height);
  ground.addColorStop(0, "#3b1a63");
  ground.addColorStop(0.25, "#1b0f3f");
  ground.addColorStop(1, "#080a1d");
  context.fillStyle = ground;
  context.fillRect(0, floor, width, height - floor);
  drawGrid(context, width, height, camera);
}

/** A fighter's shadow, wherever it flies. */
export function drawShadow(
  context: CanvasRenderingContext2D,
  camera: Camera,
  width: number,
  fighter: FighterState,
): void {
  const x = width / 2 + (fighter.x - camera.x) * camera.scale;
  const size = camera.scale * Math.max(0.25, 0.62 - fighter.y * 0.14);
  context.fillStyle = "rgba(2, 2, 14, 0.55)";
  context.beginPath();
  context.ellipse(x, camera.floor + camera.scale * 0.07, size, size * 0.2, 0, 0, Math.PI * 2);
  context.fill();
}

/** How a fighter is lit at this moment. */
export interface Look {
  /** 0 to 1: white from a hit. */
  flash: number;
  mine: boolean;
  seconds: number;
  /** Metres that it trembles to the side. */
  tremble: number;
  /** Where the ends of its headband have been. */
  ribbon: readonly { x: number; y: number }[];
}

/** A fighter in a pose, in metres with y up. */
export function drawFighter(
  context: CanvasRenderingContext2D,
  fighter: FighterState,
  pose: Pose,
  look: Look,
): void {
  const color = slotColor(fighter.slot);
  const body = skeletonOf(pose);
  context.save();
  if (fighter.safe && Math.floor(look.seconds * 20) % 2 === 0) {
    context.globalAlpha = 0.45;
  }
  drawRibbon(context, look.ribbon, color);
  context.translate(fighter.x + look.tremble, fighter.y);
  context.scale(fighter.facing, 1);
  context.lineCap = "round";
  context.lineJoin = "round";
  const white = look.flash > 0.35;
  const tone = (shade: string): string => (white ? "#ffffff" : shade);
  const dark = tone(shaded(color, 0.42));
  const main = tone(shaded(color, 0.78));
  const skin = tone("#ffd9bd");
  const skinBack = tone("#b98a78");
  // From the back to the front: the far arm and leg, the body, the near ones.
  limb(context, [body.hip, body.kneeB, body.footB], 0.2, dark);
  foot(context, body, "B", tone("#7d88b8"));
  limb(context, [shoulderOf(body), body.elbowB, body.handB], 0.14, skinBack);
  fist(context, body.handB, tone("#8f99c4"));
  torso(context, body, main, dark, tone("#f2f6ff"));
  limb(context, [body.hip, body.kneeF, body.footF], 0.21, main);
  foot(context, body, "F", tone("#f2f6ff"));
  head(context, body, skin, color, white);
  limb(context, [shoulderOf(body), body.elbowF, body.handF], 0.15, skin);
  limb(context, [shoulderOf(body), towards(shoulderOf(body), body.elbowF, 0.6)], 0.19, main);
  fist(context, body.handF, tone("#ffffff"));
  context.restore();
  if (look.mine) {
    context.fillStyle = "#ffffff";
    const top = fighter.y + 2.12 + Math.sin(look.seconds * 5) * 0.04;
    context.beginPath();
    context.moveTo(fighter.x - 0.12, top + 0.16);
    context.lineTo(fighter.x + 0.12, top + 0.16);
    context.lineTo(fighter.x, top);
    context.fill();
  }
}

/** The bright trace of a strike, in metres with y up. */
export function drawTrace(
  context: CanvasRenderingContext2D,
  points: readonly { x: number; y: number; life: number }[],
  color: string,
): void {
  context.lineCap = "round";
  for (let i = 1; i < points.length; i += 1) {
    const { life } = points[i];
    context.globalAlpha = life * 0.7;
    context.strokeStyle = i % 2 === 0 ? color : "#ffffff";
    context.lineWidth = 0.05 + 0.2 * life;
    context.beginPath();
    context.moveTo(points[i - 1].x, points[i - 1].y);
    context.lineTo(points[i].x, points[i].y);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function limb(
  context: CanvasRenderingContext2D,
  points: readonly Point[],
  width: number,
  color: string,
): void {
  for (const [extra, style] of [
    [0.06, OUTLINE],
    [0, color],
  ] as const) {
    context.strokeStyle = style;
    context.lineWidth = width + extra;
    context.beginPath();
    for (const [i, [x, y]] of points.entries()) {
      context[i === 0 ? "moveTo" : "lineTo"](x, y);
    }
    context.stroke();
  }
}

function torso(
  context: CanvasRenderingContext2D,
  body: Skeleton,
  main: string,
  dark: string,
  belt: string,
): void {
  limb(context, [body.hip, towards(body.hip, body.chest, 0.88)], 0.33, main);
  // The far half is in the shade, and the jacket's edges cross below the neck.
  const low = towards(body.hip, body.chest, 0.12);
  context.strokeStyle = dark;
  context.lineWidth = 0.05;
  context.beginPath();
  context.moveTo(...towards(body.hip, body.chest, 1.02));
  context.lineTo(low[0] + 0.1, low[1] + 0.06);
  context.stroke();
  limb(
    context,
    [
      [low[0] - 0.13, low[1]],
      [low[0] + 0.13, low[1]],
    ],
    0.07,
    belt,
  );
}

function head(
  context: CanvasRenderingContext2D,
  body: Skeleton,
  skin: string,
  color: string,
  white: boolean,
): void {
  const [x, y] = body.head;
  limb(context, [body.chest, body.head], 0.11, skin);
  for (const [radius, style] of [
    [0.2, OUTLINE],
    [0.17, skin],
  ] as const) {
    context.fillStyle = style;
    context.beginPath();
    context.arc(x, y, radius, 0, Math.PI * 2);
    context.fill();
  }
  context.save();
  context.translate(x, y);
  context.rotate(Math.atan2(body.chest[0] - x, y - body.chest[1]));
  context.fillStyle = white ? "#ffffff" : "#1d1430";
  context.beginPath();
  context.arc(0, 0.01, 0.175, Math.PI * 0.05, Math.PI * 0.95);
  context.fill();
  context.fillStyle = white ? "#ffffff" : color;
  context.fillRect(-0.18, 0.005, 0.36, 0.07);
  context.fillStyle = "#140c24";
  context.beginPath();
  context.ellipse(0.1, -0.035, 0.022, 0.035, 0, 0, Math.PI * 2);
  context.fill();
  context.restore();
}

function fist(context: CanvasRenderingContext2D, [x, y]: Point, color: string): void {
  for (const [radius, style] of [
    [0.125, OUTLINE],
    [0.095, color],
  ] as const) {
    context.fillStyle = style;
    context.beginPath();
    context.arc(x, y, radius, 0, Math.PI * 2);
    context.fill();
  }
}

function foot(
  context: CanvasRenderingContext2D,
  body: Skeleton,
  side: "F" | "B",
  color: string,
): void {
  const [knee, end] = side === "F" ? [body.kneeF, body.footF] : [body.kneeB, body.footB];
  // At a right angle to the shin, toes forwards.
  const shin = Math.atan2(end[1] - knee[1], end[0] - knee[0]) + Math.PI / 2;
  const from: Point = [end[0] - Math.cos(shin) * 0.02, end[1] - 0.03];
  const to: Point = [from[0] + Math.cos(shin) * 0.16, from[1] + Math.sin(shin) * 0.16];
  limb(context, [from, to], 0.12, color);
}

function drawRibbon(
  context: CanvasRenderingContext2D,
  ribbon: readonly { x: number; y: number }[],
  color: string,
): void {
  context.lineCap = "round";
  for (let i = 1; i < ribbon.length; i += 1) {
    context.strokeStyle = color;
    context.lineWidth = 0.075 * (1 - i / (ribbon.length + 3));
    context.beginPath();
    context.moveTo(ribbon[i - 1].x, ribbon[i - 1].y);
    context.lineTo(ribbon[i].x, ribbon[i].y);
    context.stroke();
  }
}

function drawSun(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  const glow = context.createRadialGradient(x, y, radius * 0.6, x, y, radius * 2.4);
  glow.addColorStop(0, "rgba(255, 120, 150, 0.55)");
  glow.addColorStop(1, "rgba(255, 90, 160, 0)");
  context.fillStyle = glow;
  context.fillRect(x - radius * 2.4, y - radius * 2.4, radius * 4.8, radius * 4.8);
  const disc = context.createLinearGradient(0, y - radius, 0, y + radius);
  disc.addColorStop(0, "#ffe08a");
  disc.addColorStop(0.5, "#ff8a5c");
  disc.addColorStop(1, "#ff3f8f");
  context.save();
  context.beginPath();
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.clip();
  context.fillStyle = disc;
  context.fillRect(x - radius, y - radius, radius * 2, radius * 2);
  context.fillStyle = "rgba(60, 20, 85, 0.9)";
  for (let band = 0; band < 6; band += 1) {
    const top = y + radius * (0.02 + band * 0.16);
    context.fillRect(x - radius, top, radius * 2, radius * (0.025 + band * 0.012));
  }
  context.restore();
}

function drawTowers(
  context: CanvasRenderingContext2D,
  at: (metres: number) => number,
  floor: number,
  scale: number,
  color: string,
  seed: number,
  light: number,
): void {
  let random = seed;
  const next = (): number => {
    random = (random * 16807 + 11) % 2147483647;
    return (random % 1000) / 1000;
  };
  for (let x = -6; x < STAGE.width + 6; ) {
    const width = 0.5 + next() * 0.7;
    const height = 0.5 + next() ** 2 * 2.3;
    const left = at(x);
    const top = floor - height * scale;
    context.fillStyle = color;
    context.fillRect(left, top, width * scale + 1, height * scale);
    for (let window = 0; window < 7; window += 1) {
      const wx = next();
      const wy = next();
      if (next() < light) {
        context.fillStyle = next() < 0.5 ? "rgba(255, 214, 120, 0.5)" : "rgba(90, 230, 255, 0.42)";
        context.fillRect(
          left + (0.12 + wx * 0.7) * width * scale,
          top + (0.1 + wy * 0.8) * height * scale,
          scale * 0.045,
          scale * 0.06,
        );
      }
    }
    x += width + next() * 0.25;
  }
}

function drawGrid(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  camera: Camera,
): void {
  const { floor, scale } = camera;
  const depth = height - floor;
  context.save();
  context.beginPath();
  context.rect(0, floor, width, depth);
  context.clip();
  context.lineWidth = Math.max(1, scale * 0.012);
  context.strokeStyle = "rgba(120, 220, 255, 0.3)";
  for (let x = -12; x <= STAGE.width + 12; x += 1) {
    const top = width / 2 + (x - camera.x) * scale;
    const bottom = width / 2 + (x - camera.x) * scale * 2.6;
    context.beginPath();
    context.moveTo(top, floor);
    context.lineTo(bottom, height);
    context.stroke();
  }
  for (let row = 0; row < 7; row += 1) {
    const y = floor + depth * (row / 7) ** 1.7;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
  }
  context.fillStyle = "#8ff0ff";
  context.shadowColor = "#3ddcff";
  context.shadowBlur = scale * 0.2;
  context.fillRect(0, floor - scale * 0.012, width, Math.max(1.5, scale * 0.024));
  context.restore();
}

function shoulderOf(body: Skeleton): Point {
  return towards(body.hip, body.chest, 0.9);
}

function towards(from: Point, to: Point, share: number): [number, number] {
  return [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share];
}

/** A `#rrggbb` colour at a part of its brightness. */
function shaded(color: string, share: number): string {
  const part = (at: number): number =>
    Math.round(Number.parseInt(color.slice(at, at + 2), 16) * share);
  return `rgb(${part(1)}, ${part(3)}, ${part(5)})`;
}

const OUTLINE = "#0b0720";
/** Metres around the two. */
const MARGIN = 4.4;
/** The fewest metres across: nearer, a jump would leave the picture. */
const NEAREST = 6.4;
/** Metres from the bottom of the picture to its top, at least. */
const SKY = 4.3;
/** Metres from a fighter's feet to the top of the picture, at least. */
const HEADROOM = 2.4;
/** Metres beyond the ends of the stage, for who lies at a wall. */
const BEYOND = 1;
/** Metres of floor below the feet. */
const FLOOR = 0.7;
