import "./clash.css";
import type { GameEvent } from "@gameserver/sdk";
import { calm } from "../dom.js";
import { Effects } from "./arena/effects.js";
import {
  type Camera,
  drawFighter,
  drawShadow,
  drawStage,
  drawTrace,
  onStage,
  placeCamera,
} from "./clash/draw.js";
import { Hud } from "./clash/hud.js";
import { Pad } from "./clash/pad.js";
import { haste, mix, type Pose, poseOf, skeletonOf } from "./clash/pose.js";
import { type FighterState, readScene, type Scene } from "./clash/scene.js";
import { type GameView, type Stage, Surface, slotColor } from "./view.js";

/** A fight of two. */
export class ClashView implements GameView {
  readonly #stage: Stage;
  readonly #surface: Surface;
  readonly #effects = new Effects(calm());
  readonly #pad: Pad;
  readonly #hud: Hud;
  readonly #bodies = new Map<number, Body>();
  readonly #stops: (() => void)[] = [];
  #scene: Scene = readScene([]);
  #camera: Camera | undefined;
  #nowMs = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#surface = new Surface(stage.host, stage.session.manifest.title);
    this.#pad = new Pad(this.#surface.canvas);
    stage.host.append(this.#pad.root);
    this.#hud = new Hud(stage.host, stage.session);
    stage.session.setInput(() => ({ buttons: this.#pad.sample() }));
    this.#stops.push(stage.session.on("event", (event) => this.#handleEvent(event)));
  }

  frame(nowMs: number, elapsedMs: number): void {
    this.#nowMs = nowMs;
    const seconds = nowMs / 1000;
    const scene = readScene(this.#stage.session.view(nowMs));
    this.#scene = scene;
    const context = this.#surface.begin();
    const { width, height } = this.#surface;
    const camera = this.#follow(placeCamera(width, height, scene.fighters), elapsedMs);
    const shake = this.#effects.advance(elapsedMs / 1000);
    drawStage(context, width, height, camera);
    for (const fighter of scene.fighters) {
      drawShadow(context, camera, width, fighter);
    }
    context.save();
    context.translate(
      width / 2 - (camera.x + shake.x) * camera.scale,
      camera.floor + shake.y * camera.scale,
    );
    context.scale(camera.scale, -camera.scale);
    // Who strikes is in front of who is struck.
    const order = [...scene.fighters].sort((a, b) => Number(strikes(a)) - Number(strikes(b)));
    for (const fighter of order) {
      this.#drawFighter(context, fighter, seconds, elapsedMs);
    }
    context.globalCompositeOperation = "lighter";
    for (const fighter of scene.fighters) {
      const body = this.#bodies.get(fighter.slot);
      if (body !== undefined) {
        drawTrace(context, body.trace, slotColor(fighter.slot));
      }
    }
    this.#effects.draw(context);
    context.globalCompositeOperation = "source-over";
    context.restore();
    this.#pad.root.hidden = !this.#pad.touch;
    this.#hud.update(scene, nowMs, elapsedMs, this.#notice());
  }

  destroy(): void {
    for (const stop of this.#stops) {
      stop();
    }
    this.#pad.destroy();
    this.#stage.session.setInput(undefined);
    this.#stage.host.replaceChildren();
  }

  /** Glides to where the camera is wanted; the first time it is there at once. */
  #follow(wanted: Camera, elapsedMs: number): Camera {
    const before = this.#camera;
    if (before === undefined) {
      this.#camera = { ...wanted };
      return wanted;
    }
    const share = 1 - Math.exp(-elapsedMs / 130);
    before.x += (wanted.x - before.x) * share;
    before.scale += (wanted.scale - before.scale) * share;
    before.floor = wanted.floor;
    return before;
  }

  #drawFighter(
    context: CanvasRenderingContext2D,
    fighter: FighterState,
    seconds: number,
    elapsedMs: number,
  ): void {
    const won = this.#scene.phase === "over" && fighter.health > this.#otherHealth(fighter.slot);
    const wanted = poseOf(fighter, seconds, won);
    let body = this.#bodies.get(fighter.slot);
    if (body === undefined) {
      body = { pose: wanted, trace: [], ribbon: [], flash: 0, facing: fighter.facing };
      this.#bodies.set(fighter.slot, body);
    }
    // A hit holds the bodies still as it holds the game.
    if (!this.#scene.frozen) {
      const share = 1 - Math.exp((-elapsedMs / 1000) * haste(fighter));
      body.pose = mix(body.pose, wanted, share);
    }
    body.flash = Math.max(0, body.flash - elapsedMs / 150);
    this.#trace(body, fighter, elapsedMs);
    sway(body, fighter, seconds, elapsedMs);
    const struck = fighter.action === "hurt" || fighter.action === "fall";
    const tremble = this.#scene.frozen && struck ? Math.sin(seconds * 110) * 0.045 : 0;
    drawFighter(context, fighter, body.pose, {
      flash: body.flash,
      mine: fighter.slot === this.#stage.session.slot,
      seconds,
      tremble,
      ribbon: body.ribbon,
    });
  }

  /** The hand or foot that strikes leaves a bright trace. */
  #trace(body: Body, fighter: FighterState, elapsedMs: number): void {
    for (const point of body.trace) {
      point.life -= elapsedMs / TRACE_MS;
    }
    body.trace = body.trace.filter((point) => point.life > 0);
    if (strikes(fighter)) {
      const { handF, footF } = skeletonOf(body.pose);
      const end = fighter.action === "light" || fighter.action === "throw" ? handF : footF;
      body.trace.push({ ...onStage(fighter, end), life: 1 });
    }
  }

  #otherHealth(slot: number): number {
    return this.#scene.fighters.find((other) => other.slot !== slot)?.health ?? 0;
  }

  #notice(): string {
    const { session } = this.#stage;
    if (session.phase !== "waiting") {
      return "";
    }
    const missing = session.players.filter((p) => p.presence === "expected");
    return missing.length > 0
      ? `Waiting for ${missing.map((p) => p.username).join(", ")} …`
      : "Get ready …";
  }

  #handleEvent(event: GameEvent): void {
    const { sound, session } = this.#stage;
    const n = (name: string): number => Number(event.fields[name] ?? -1);
    const x = n("x") / 1000;
    const y = n("y") / 1000;
    switch (event.name) {
      case "round":
        this.#hud.say(`ROUND ${n("number")}`, this.#nowMs, 1300);
        sound.play("spawn");
        break;
      case "fight":
        this.#hud.say("FIGHT!", this.#nowMs, 700, "hot");
        sound.play("dash");
        break;
      case "hit": {
        const strong = n("what") === 1 || n("what") === 3;
        const by = n("by");
        const heading = this.#heading(by);
        const body = this.#bodies.get(n("to"));
        if (body !== undefined) {
          body.flash = 1;
        }
        this.#effects.burst(x, y, slotColor(by), strong ? 34 : 16, strong ? 13 : 8, heading);
        this.#effects.burst(x, y, "#fff2c4", strong ? 20 : 9, strong ? 9 : 6);
        this.#effects.ring(x, y, "#ffffff", strong ? 1.3 : 0.7, strong ? 0.35 : 0.22);
        this.#effects.shake(strong ? 0.16 : 0.06);
        sound.play(n("to") === session.slot ? "hurt" : "hit", strong ? 1 : 0.7);
        break;
      }
      case "blocked":
        this.#effects.ring(x, y, "#8fd8ff", 0.6, 0.25);
        this.#effects.burst(x, y, "#8fd8ff", 8, 5, this.#heading(n("to")));
        sound.play("place", 0.9);
        break;
      case "broken":
        this.#effects.ring(x, y, "#ffd34d", 1.2, 0.35);
        this.#effects.burst(x, y, "#ffd34d", 24, 8);
        sound.play("pickup");
        break;
      case "won":
        this.#announceEnd(n("slot"), event.fields.by_time === true, event.fields.perfect === true);
        break;
    }
  }

  #announceEnd(slot: number, byTime: boolean, perfect: boolean): void {
    const { sound, session } = this.#stage;
    const end = byTime ? "TIME!" : slot === DRAW ? "DOUBLE K.O." : "K.O.";
    this.#hud.say(end, this.#nowMs, 1100, "hot");
    this.#effects.shake(0.3);
    sound.play("kill");
    const round = this.#scene.round;
    const later = setTimeout(() => {
      const who =
        slot === DRAW
          ? "DRAW"
          : `${slot === session.slot ? "YOU WIN" : `${this.#hud.name(slot)} WINS`}${perfect ? " · PERFECT" : ""}`;
      if (this.#scene.round === round) {
        this.#hud.say(who, this.#nowMs, 1500);
        sound.play(slot === session.slot ? "win" : "lose", 0.8);
      }
    }, 1200);
    this.#stops.push(() => clearTimeout(later));
  }

  #heading(slot: number): number {
    return (this.#scene.fighters.find((f) => f.slot === slot)?.facing ?? 1) > 0 ? 0 : Math.PI;
  }
}

/** What a fighter's picture keeps from frame to frame. */
interface Body {
  pose: Pose;
  trace: { x: number; y: number; life: number }[];
  ribbon: { x: number; y: number }[];
  flash: number;
  facing: 1 | -1;
}

function strikes(fighter: FighterState): boolean {
  return (
    fighter.action === "light" ||
    fighter.action === "heavy" ||
    fighter.action === "throw" ||
    fighter.action === "kick"
  );
}

/** The ends of the headband follow the head, lag behind it and hang down. */
function sway(body: Body, fighter: FighterState, seconds: number, elapsedMs: number): void {
  const { head } = skeletonOf(body.pose);
  const knot = onStage(fighter, [head[0] - 0.16, head[1] + 0.04]);
  const { ribbon } = body;
  while (ribbon.length < RIBBON) {
    ribbon.push({ ...knot });
  }
  ribbon[0] = knot;
  const share = 1 - Math.exp(-elapsedMs / 28);
  for (let i = 1; i < ribbon.length; i += 1) {
    const before = ribbon[i - 1];
    const wantedX = before.x - fighter.facing * 0.07;
    const wantedY = before.y - 0.02 - i * 0.008 + Math.sin(seconds * 7 - i * 0.9) * 0.012;
    const link = ribbon[i];
    link.x += (wantedX - link.x) * share;
    link.y += (wantedY - link.y) * share;
    // However fast the head goes, the cloth does not tear.
    const dx = link.x - before.x;
    const dy = link.y - before.y;
    const length = Math.hypot(dx, dy);
    if (length > LINK) {
      link.x = before.x + (dx / length) * LINK;
      link.y = before.y + (dy / length) * LINK;
    }
  }
}

/** The slot of a round that nobody wins. */
const DRAW = 2;
const TRACE_MS = 130;
/** Links of the headband's ends. */
const RIBBON = 8;
/** Metres between them at most. */
const LINK = 0.1;
