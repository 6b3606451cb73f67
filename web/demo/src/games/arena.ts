import type { GameEvent } from "@gameserver/sdk";
import { Controls } from "../controls.js";
import { announce, calm, el } from "../dom.js";
import { type Camera, placeCamera } from "./arena/camera.js";
import { FLOOR_EDGE, Painter, RADIUS } from "./arena/draw.js";
import { Effects } from "./arena/effects.js";
import { Hud } from "./arena/hud.js";
import { type BulletState, type PlayerState, readScene, type Scene } from "./arena/scene.js";
import { type GameView, type Stage, Surface, slotColor } from "./view.js";

/** The arena: run, aim, shoot, dash. */
export class ArenaView implements GameView {
  readonly #stage: Stage;
  readonly #surface: Surface;
  readonly #painter = new Painter();
  readonly #effects = new Effects(calm());
  readonly #controls: Controls;
  readonly #hud: Hud;
  readonly #pads: HTMLElement;
  readonly #trails = new Map<number, Trail>();
  readonly #flashes = new Map<number, number>();
  readonly #ghosts = new Map<number, { x: number; y: number; dash: number }>();
  readonly #stops: (() => void)[] = [];
  #scene: Scene = readScene([]);
  #camera: Camera = { scale: 20, x: 0, y: 0 };
  #lastMine: { x: number; y: number } | undefined;
  #downAtMs: number | undefined;
  #killer = "";

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#surface = new Surface(stage.host, stage.session.manifest.title);
    const move = el("div", { class: "stick move", "aria-hidden": "true" }, el("i"));
    const aim = el("div", { class: "stick aim", "aria-hidden": "true" }, el("i"));
    const dash = el("button", { class: "dash-button", type: "button" }, "DASH");
    this.#pads = el("div", { class: "pads" }, move, aim, dash);
    this.#controls = new Controls(this.#surface.canvas, { move, aim });
    dash.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.#controls.dash();
    });
    stage.host.append(this.#pads);
    this.#hud = new Hud(stage.host, stage.session);
    this.#surface.canvas.style.cursor = "crosshair";
    stage.session.setInput(() => {
      const { moveX, moveY, aim: angle, fire, dash: dashing } = this.#controls.sample();
      return { move_x: moveX, move_y: moveY, aim: angle, fire, dash: dashing };
    });
    this.#stops.push(stage.session.on("event", (event) => this.#handleEvent(event)));
  }

  frame(nowMs: number, elapsedMs: number): void {
    const seconds = nowMs / 1000;
    const scene = readScene(this.#stage.session.view(nowMs));
    this.#scene = scene;
    const mine = scene.players.find((p) => p.slot === this.#stage.session.slot);
    const context = this.#surface.begin();
    const { width, height, density } = this.#surface;
    if (mine?.alive) {
      this.#lastMine = { x: mine.x, y: mine.y };
    }
    this.#camera = placeCamera(width, height, this.#lastMine, this.#controls.touch);
    const { scale } = this.#camera;
    this.#pads.hidden = !this.#controls.touch;
    const box = this.#surface.canvas.getBoundingClientRect();
    this.#controls.origin = {
      x: box.left + this.#camera.x + (this.#lastMine?.x ?? 20) * scale,
      y: box.top + this.#camera.y + (this.#lastMine?.y ?? 12) * scale,
    };

    context.fillStyle = "#070a14";
    context.fillRect(0, 0, width, height);
    const shake = this.#effects.advance(elapsedMs / 1000);
    context.save();
    context.translate(this.#camera.x + shake.x * scale, this.#camera.y + shake.y * scale);
    context.scale(scale, scale);
    const floor = this.#painter.floor(scene.walls, scale * density);
    context.drawImage(
      floor,
      -FLOOR_EDGE,
      -FLOOR_EDGE,
      floor.width / (scale * density),
      floor.height / (scale * density),
    );
    context.globalCompositeOperation = "lighter";
    for (const pickup of scene.pickups) {
      this.#painter.pickup(context, pickup, seconds);
    }
    this.#drawBullets(context);
    context.globalCompositeOperation = "source-over";
    if (mine?.alive) {
      this.#painter.sight(context, mine.x, mine.y, this.#controls.aim);
    }
    for (const player of scene.players) {
      this.#drawPlayer(context, player, seconds, elapsedMs);
    }
    context.globalCompositeOperation = "lighter";
    this.#effects.draw(context);
    context.globalCompositeOperation = "source-over";
    for (const player of scene.players) {
      if (player.alive) {
        const own = player === mine;
        this.#painter.label(context, player, this.#hud.name(player.slot), scale, own);
      }
    }
    context.restore();
    this.#drawEdges(context, width, height, mine);
    this.#hud.update(scene, mine, this.#notice(mine, nowMs));
  }

  destroy(): void {
    for (const stop of this.#stops) {
      stop();
    }
    this.#controls.destroy();
    this.#stage.session.setInput(undefined);
    this.#stage.host.replaceChildren();
  }

  #drawBullets(context: CanvasRenderingContext2D): void {
    const { bullets } = this.#scene;
    const seen = new Set(bullets.map((bullet) => bullet.id));
    for (const bullet of bullets) {
      let trail = this.#trails.get(bullet.id);
      if (trail === undefined) {
        trail = this.#takeOver(bullet, seen);
        if (trail === undefined) {
          trail = { owner: bullet.owner, heading: bullet.heading, points: [] };
          this.#muzzle(bullet.x, bullet.y, bullet.heading, bullet.owner);
        }
        this.#trails.set(bullet.id, trail);
      }
      trail.points.push({ x: bullet.x, y: bullet.y });
      if (trail.points.length > TRAIL) {
        trail.points.shift();
      }
      this.#painter.bullet(context, bullet, trail.points);
    }
    for (const [id, { points }] of this.#trails) {
      if (!seen.has(id)) {
        const end = points.at(-1);
        if (end !== undefined) {
          this.#effects.burst(end.x, end.y, "#cfe3ff", 5, 5);
        }
        this.#trails.delete(id);
      }
    }
  }

  /**
   * The trail of a bullet that flies on under another number: somebody shot in the same moment, and
   * the guess of who came first was wrong. It has flashed and sounded once.
   */
  #takeOver(bullet: BulletState, seen: ReadonlySet<number>): Trail | undefined {
    for (const [id, trail] of this.#trails) {
      const end = trail.points.at(-1);
      if (
        !seen.has(id) &&
        trail.owner === bullet.owner &&
        Math.cos(trail.heading - bullet.heading) > 0.98 &&
        end !== undefined &&
        Math.hypot(end.x - bullet.x, end.y - bullet.y) < SAME_BULLET
      ) {
        this.#trails.delete(id);
        return trail;
      }
    }
    return undefined;
  }

  #muzzle(x: number, y: number, heading: number, owner: number): void {
    this.#effects.burst(x, y, slotColor(owner), 4, 9, heading);
    const own = owner === this.#stage.session.slot;
    this.#stage.sound.play("shot", own ? 1 : 0.4);
    if (own) {
      this.#effects.shake(0.03);
    }
  }

  #drawPlayer(
    context: CanvasRenderingContext2D,
    player: PlayerState,
    seconds: number,
    elapsedMs: number,
  ): void {
    const flash = Math.max(0, (this.#flashes.get(player.slot) ?? 0) - elapsedMs / 160);
    this.#flashes.set(player.slot, flash);
    const ghost = this.#ghosts.get(player.slot);
    if (player.alive && ghost !== undefined && player.dash < ghost.dash - 20) {
      this.#effects.ring(ghost.x, ghost.y, slotColor(player.slot), 1.4, 0.35);
      this.#stage.sound.play("dash", player.slot === this.#stage.session.slot ? 1 : 0.35);
    }
    if (player.alive && player.dash < 22 && ghost !== undefined) {
      this.#effects.burst(ghost.x, ghost.y, slotColor(player.slot), 1, 1.5);
    }
    this.#ghosts.set(player.slot, { x: player.x, y: player.y, dash: player.dash });
    if (!player.alive) {
      return;
    }
    const mine = player.slot === this.#stage.session.slot;
    // One's own barrel follows the hand at once; the server's word comes a round trip later.
    const aim = mine && this.#stage.session.phase === "running" ? this.#controls.aim : player.aim;
    this.#painter.player(context, player, { mine, aim, flash, seconds });
  }

  /** Red edges when hurt, and arrows to players beyond the screen. */
  #drawEdges(
    context: CanvasRenderingContext2D,
    width: number,
    height: number,
    mine: PlayerState | undefined,
  ): void {
    const hurt = this.#flashes.get(this.#stage.session.slot ?? -1) ?? 0;
    if (hurt > 0 && mine !== undefined) {
      const gradient = context.createRadialGradient(
        width / 2,
        height / 2,
        Math.min(width, height) * 0.35,
        width / 2,
        height / 2,
        Math.max(width, height) * 0.65,
      );
      gradient.addColorStop(0, "rgba(255, 40, 80, 0)");
      gradient.addColorStop(1, `rgba(255, 40, 80, ${0.45 * hurt})`);
      context.fillStyle = gradient;
      context.fillRect(0, 0, width, height);
    }
    for (const player of this.#scene.players) {
      const x = this.#camera.x + player.x * this.#camera.scale;
      if (player.alive && player !== mine && (x < 0 || x > width)) {
        const right = x > width;
        const at = right ? width - 12 : 12;
        const y = this.#camera.y + player.y * this.#camera.scale;
        context.fillStyle = slotColor(player.slot);
        context.beginPath();
        context.moveTo(at + (right ? 8 : -8), y);
        context.lineTo(at, y - 8);
        context.lineTo(at, y + 8);
        context.fill();
      }
    }
  }

  #notice(mine: PlayerState | undefined, nowMs: number): string {
    const { session } = this.#stage;
    if (session.phase === "waiting") {
      const missing = session.players.filter((p) => p.presence === "expected");
      return missing.length > 0
        ? `Waiting for ${missing.map((p) => p.username).join(", ")} …`
        : "Get ready …";
    }
    if (session.phase !== "running" || mine === undefined || mine.alive) {
      this.#downAtMs = undefined;
      return "";
    }
    this.#downAtMs ??= nowMs;
    const left = Math.ceil(RESPAWN_S - (nowMs - this.#downAtMs) / 1000);
    const who = this.#killer === "" ? "You are down" : `${this.#killer} got you`;
    return left > 0 ? `${who} · back in ${left}` : `${who} · back any moment`;
  }

  #handleEvent(event: GameEvent): void {
    const { sound, session } = this.#stage;
    const n = (name: string): number => Number(event.fields[name] ?? -1);
    const at = (slot: number) => this.#scene.players.find((p) => p.slot === slot);
    // The list of who got whom is the server's; what flashes and sounds comes with the guess.
    if (event.name === "kill" && !event.predicted) {
      this.#hud.kill(n("by"), n("victim"));
      if (n("victim") === session.slot) {
        this.#killer = n("by") === session.slot ? "" : this.#hud.name(n("by"));
      }
    }
    if (event.anticipated) {
      return;
    }
    switch (event.name) {
      case "hit": {
        const to = at(n("to"));
        const by = at(n("by"));
        this.#flashes.set(n("to"), 1);
        if (to !== undefined) {
          const heading = by && Math.atan2(to.y - by.y, to.x - by.x);
          this.#effects.burst(to.x, to.y, slotColor(n("by")), 14, 9, heading);
          this.#effects.burst(to.x, to.y, "#ffffff", 6, 6);
        }
        if (n("to") === session.slot) {
          this.#effects.shake(0.22);
          sound.play("hurt");
        } else {
          sound.play("hit", n("by") === session.slot ? 1 : 0.4);
        }
        break;
      }
      case "kill": {
        const victim = at(n("victim"));
        if (victim !== undefined) {
          this.#effects.burst(victim.x, victim.y, slotColor(n("victim")), 60, 14);
          this.#effects.burst(victim.x, victim.y, "#ffffff", 24, 9);
          this.#effects.ring(victim.x, victim.y, slotColor(n("victim")), 4, 0.6);
          this.#effects.ring(victim.x, victim.y, "#ffffff", 2.4, 0.4);
        }
        this.#effects.shake(0.3);
        sound.play("kill");
        break;
      }
      case "spawn": {
        const slot = n("slot");
        // The event comes before the picture of it: the ring waits for the player to appear.
        setTimeout(() => {
          const player = at(slot);
          if (player !== undefined) {
            this.#effects.ring(player.x, player.y, slotColor(slot), RADIUS * 4, 0.5);
          }
        }, SPAWN_RING_MS);
        if (slot === session.slot) {
          sound.play("spawn");
        }
        break;
      }
      case "picked": {
        const player = at(n("slot"));
        if (player !== undefined) {
          const color = n("what") === 0 ? "#6dff8b" : "#ffd34d";
          this.#effects.burst(player.x, player.y, color, 18, 6);
          this.#effects.ring(player.x, player.y, color, 1.8, 0.4);
        }
        sound.play("pickup", n("slot") === session.slot ? 1 : 0.3);
        break;
      }
      case "last_seconds":
        announce("Ten seconds left");
        sound.play("tick");
        break;
    }
  }
}

/** Where a bullet was in the last frames. */
interface Trail {
  readonly owner: number;
  readonly heading: number;
  readonly points: { x: number; y: number }[];
}

/** World units: less than what lies between two shots of one player. */
const SAME_BULLET = 1.5;
/** Frames that a bullet's trail remembers. */
const TRAIL = 9;
/** What the arena takes to bring a player back. */
const RESPAWN_S = 2;
const SPAWN_RING_MS = 90;
