import { slotColor } from "../view.js";
import {
  ARENA,
  type BulletState,
  type PickupState,
  type PlayerState,
  type WallState,
} from "./scene.js";

/** Paints the parts of the arena, in world units. */
export class Painter {
  readonly #glows = new Map<string, HTMLCanvasElement>();
  #floor: { key: string; canvas: HTMLCanvasElement } | undefined;

  /** The floor and the walls: drawn once a size and layout, then copied. */
  floor(walls: readonly WallState[], pixelsPerUnit: number): HTMLCanvasElement {
    const key = `${Math.round(pixelsPerUnit * 8)}|${walls.map((w) => `${w.x},${w.y},${w.w},${w.h}`).join(";")}`;
    if (this.#floor?.key !== key) {
      this.#floor = { key, canvas: paintFloor(walls, pixelsPerUnit) };
    }
    return this.#floor.canvas;
  }

  /** Soft light around a point. */
  glow(
    context: CanvasRenderingContext2D,
    x: number,
    y: number,
    radius: number,
    color: string,
    alpha: number,
  ): void {
    context.globalAlpha = alpha;
    context.drawImage(this.#glow(color), x - radius, y - radius, radius * 2, radius * 2);
    context.globalAlpha = 1;
  }

  bullet(
    context: CanvasRenderingContext2D,
    bullet: BulletState,
    trail: readonly { x: number; y: number }[],
  ): void {
    const color = slotColor(bullet.owner);
    context.lineCap = "round";
    for (let i = 1; i < trail.length; i += 1) {
      const share = i / trail.length;
      context.globalAlpha = share * 0.5;
      context.strokeStyle = color;
      context.lineWidth = 0.04 + 0.16 * share;
      context.beginPath();
      context.moveTo(trail[i - 1].x, trail[i - 1].y);
      context.lineTo(trail[i].x, trail[i].y);
      context.stroke();
    }
    this.glow(context, bullet.x, bullet.y, 0.75, color, 0.9);
    context.strokeStyle = "#ffffff";
    context.lineWidth = 0.15;
    context.beginPath();
    context.moveTo(bullet.x, bullet.y);
    context.lineTo(
      bullet.x - Math.cos(bullet.heading) * 0.3,
      bullet.y - Math.sin(bullet.heading) * 0.3,
    );
    context.stroke();
  }

  pickup(context: CanvasRenderingContext2D, pickup: PickupState, seconds: number): void {
    const color = pickup.what === 0 ? "#6dff8b" : "#ffd34d";
    const float = Math.sin(seconds * 3 + pickup.id) * 0.08;
    this.glow(context, pickup.x, pickup.y, 1.3, color, 0.45 + 0.12 * Math.sin(seconds * 4));
    context.save();
    context.translate(pickup.x, pickup.y + float);
    context.fillStyle = "#0b1226";
    context.strokeStyle = color;
    context.lineWidth = 0.09;
    context.beginPath();
    context.roundRect(-0.42, -0.42, 0.84, 0.84, 0.22);
    context.fill();
    context.stroke();
    context.fillStyle = color;
    context.beginPath();
    if (pickup.what === 0) {
      context.rect(-0.09, -0.27, 0.18, 0.54);
      context.rect(-0.27, -0.09, 0.54, 0.18);
    } else {
      for (const [i, [x, y]] of BOLT.entries()) {
        context[i === 0 ? "moveTo" : "lineTo"](x, y);
      }
    }
    context.fill();
    context.restore();
  }

  player(
    context: CanvasRenderingContext2D,
    player: PlayerState,
    look: { mine: boolean; aim: number; flash: number; seconds: number },
  ): void {
    const color = slotColor(player.slot);
    const { x, y } = player;
    context.globalCompositeOperation = "lighter";
    this.glow(context, x, y, look.mine ? 2.3 : 1.9, color, look.mine ? 0.6 : 0.42);
    if (player.rapid) {
      this.glow(context, x, y, 1.5 + 0.15 * Math.sin(look.seconds * 14), "#ffd34d", 0.55);
    }
    context.globalCompositeOperation = "source-over";
    context.save();
    context.translate(x, y);
    context.rotate(look.aim);
    context.fillStyle = color;
    context.beginPath();
    context.roundRect(0.2, -0.15, 0.68, 0.3, 0.09);
    context.fill();
    context.fillStyle = "#0a1024";
    context.beginPath();
    context.arc(0, 0, RADIUS, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = color;
    context.beginPath();
    context.arc(0, 0, RADIUS - 0.1, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = "rgba(6, 10, 24, 0.55)";
    context.beginPath();
    context.arc(0.08, 0, RADIUS - 0.3, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = "#ffffff";
    context.beginPath();
    context.arc(0.18, 0, 0.1, 0, Math.PI * 2);
    context.fill();
    context.restore();
    if (look.flash > 0) {
      context.globalAlpha = look.flash * 0.85;
      context.fillStyle = "#ffffff";
      context.beginPath();
      context.arc(x, y, RADIUS + 0.05, 0, Math.PI * 2);
      context.fill();
      context.globalAlpha = 1;
    }
    if (look.mine) {
      context.strokeStyle = "#ffffff";
      context.globalAlpha = 0.9;
      context.lineWidth = 0.07;
      context.beginPath();
      context.arc(x, y, RADIUS + 0.17, 0, Math.PI * 2);
      context.stroke();
      context.globalAlpha = 1;
    }
    if (player.shielded) {
      context.strokeStyle = "#bfefff";
      context.globalAlpha = 0.45 + 0.35 * Math.sin(look.seconds * 9);
      context.lineWidth = 0.09;
      context.beginPath();
      context.arc(x, y, RADIUS + 0.36, 0, Math.PI * 2);
      context.stroke();
      context.globalAlpha = 1;
    }
  }

  /** The line along which this player shoots. */
  sight(context: CanvasRenderingContext2D, x: number, y: number, aim: number): void {
    const gradient = context.createLinearGradient(
      x,
      y,
      x + Math.cos(aim) * SIGHT,
      y + Math.sin(aim) * SIGHT,
    );
    gradient.addColorStop(0.15, "rgba(255, 255, 255, 0.3)");
    gradient.addColorStop(1, "rgba(255, 255, 255, 0)");
    context.strokeStyle = gradient;
    context.lineWidth = 0.05;
    context.setLineDash([0.22, 0.2]);
    context.beginPath();
    context.moveTo(x + Math.cos(aim) * 1.1, y + Math.sin(aim) * 1.1);
    context.lineTo(x + Math.cos(aim) * SIGHT, y + Math.sin(aim) * SIGHT);
    context.stroke();
    context.setLineDash([]);
  }

  /** Name and health above a player; text is sized in screen pixels to stay readable. */
  label(
    context: CanvasRenderingContext2D,
    player: PlayerState,
    name: string,
    pixelsPerUnit: number,
    mine: boolean,
  ): void {
    const size = Math.max(11 / pixelsPerUnit, 0.5);
    const top = player.y - RADIUS - 0.42;
    const width = 1.5;
    context.font = `600 ${size}px ${FONT}`;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    context.fillStyle = mine ? "#ffffff" : "rgba(226, 236, 255, 0.82)";
    context.fillText(name.length > 14 ? `${name.slice(0, 13)}…` : name, player.x, top - 0.24);
    context.fillStyle = "rgba(4, 8, 20, 0.75)";
    context.beginPath();
    context.roundRect(player.x - width / 2, top - 0.09, width, 0.18, 0.09);
    context.fill();
    const share = Math.min(1, player.health / 100);
    context.fillStyle = share > 0.55 ? "#6dff8b" : share > 0.28 ? "#ffc145" : "#ff5470";
    context.beginPath();
    context.roundRect(player.x - width / 2, top - 0.09, Math.max(0.1, width * share), 0.18, 0.09);
    context.fill();
  }

  #glow(color: string): HTMLCanvasElement {
    let sprite = this.#glows.get(color);
    if (sprite === undefined) {
      sprite = document.createElement("canvas");
      sprite.width = 128;
      sprite.height = 128;
      const context = sprite.getContext("2d");
      if (context !== null) {
        const gradient = context.createRadialGradient(64, 64, 0, 64, 64, 64);
        gradient.addColorStop(0, `${color}cc`);
        gradient.addColorStop(0.35, `${color}44`);
        gradient.addColorStop(1, `${color}00`);
        context.fillStyle = gradient;
        context.fillRect(0, 0, 128, 128);
      }
      this.#glows.set(color, sprite);
    }
    return sprite;
  }
}

function paintFloor(walls: readonly WallState[], pixelsPerUnit: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil((ARENA.width + 2 * FLOOR_EDGE) * pixelsPerUnit);
  canvas.height = Math.ceil((ARENA.height + 2 * FLOOR_EDGE) * pixelsPerUnit);
  const context = canvas.getContext("2d");
  if (context === null) {
    return canvas;
  }
  context.setTransform(
    pixelsPerUnit,
    0,
    0,
    pixelsPerUnit,
    FLOOR_EDGE * pixelsPerUnit,
    FLOOR_EDGE * pixelsPerUnit,
  );
  const floor = context.createRadialGradient(20, 12, 2, 20, 12, 26);
  floor.addColorStop(0, "#151d3b");
  floor.addColorStop(1, "#0a0f21");
  context.fillStyle = floor;
  context.beginPath();
  context.roundRect(0, 0, ARENA.width, ARENA.height, 0.6);
  context.fill();
  context.save();
  context.clip();
  context.lineWidth = 0.03;
  for (let x = 0; x <= ARENA.width; x += 1) {
    context.strokeStyle = x % 4 === 0 ? "rgba(110, 150, 255, 0.13)" : "rgba(110, 150, 255, 0.045)";
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, ARENA.height);
    context.stroke();
  }
  for (let y = 0; y <= ARENA.height; y += 1) {
    context.strokeStyle = y % 4 === 0 ? "rgba(110, 150, 255, 0.13)" : "rgba(110, 150, 255, 0.045)";
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(ARENA.width, y);
    context.stroke();
  }
  context.restore();
  context.shadowColor = "#4c7dff";
  context.shadowBlur = 0.8 * pixelsPerUnit;
  context.strokeStyle = "#5f8dff";
  context.lineWidth = 0.12;
  context.beginPath();
  context.roundRect(0, 0, ARENA.width, ARENA.height, 0.6);
  context.stroke();
  for (const wall of walls) {
    const side = context.createLinearGradient(0, wall.y, 0, wall.y + wall.h);
    side.addColorStop(0, "#34437f");
    side.addColorStop(1, "#1b2450");
    context.shadowBlur = 0.6 * pixelsPerUnit;
    context.fillStyle = side;
    context.beginPath();
    context.roundRect(wall.x, wall.y, wall.w, wall.h, 0.22);
    context.fill();
    context.shadowBlur = 0;
    context.strokeStyle = "#86a5ff";
    context.lineWidth = 0.08;
    context.stroke();
    context.strokeStyle = "rgba(200, 220, 255, 0.35)";
    context.lineWidth = 0.06;
    context.beginPath();
    context.moveTo(wall.x + 0.25, wall.y + 0.14);
    context.lineTo(wall.x + wall.w - 0.25, wall.y + 0.14);
    context.stroke();
  }
  return canvas;
}

/** World units that the floor's picture extends beyond the arena, for its glow. */
export const FLOOR_EDGE = 1;
/** A player's radius in world units. */
export const RADIUS = 0.5;
const SIGHT = 7;
const FONT = '"Inter", "Segoe UI", system-ui, -apple-system, sans-serif';
const BOLT: readonly (readonly [number, number])[] = [
  [0.06, -0.3],
  [-0.2, 0.05],
  [-0.02, 0.05],
  [-0.08, 0.3],
  [0.2, -0.08],
  [0.02, -0.08],
];
