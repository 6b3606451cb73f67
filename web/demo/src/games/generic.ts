import type { Entity, Field, FieldInput, Manifest, MessageSchema } from "@gameserver/sdk";
import { Controls, type Intent } from "../controls.js";
import { el } from "../dom.js";
import { type GameView, nameOf, type Stage, Surface, slotColor } from "./view.js";

/**
 * Any game, by its schemas alone: entities with a place as dots or boxes on a grid that fits them, the other
 * fields in a table, keys and mouse on the inputs that look like theirs, a form for each command.
 */
export class GenericView implements GameView {
  readonly #stage: Stage;
  readonly #surface: Surface;
  readonly #controls: Controls;
  readonly #pads: HTMLElement;
  readonly #table = el("div", { class: "generic-table" });
  readonly #log = el("ul", { class: "generic-log", "aria-label": "Events" });
  readonly #stops: (() => void)[] = [];
  readonly #held = new Map<string, FieldInput>();
  #bounds: Bounds;
  #tableAtMs = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    const { manifest } = stage.session;
    this.#surface = new Surface(stage.host, stage.session.manifest.title);
    this.#bounds = worldBounds(manifest);
    const move = el("div", { class: "stick move", "aria-hidden": "true" }, el("i"));
    const aim = el("div", { class: "stick aim", "aria-hidden": "true" }, el("i"));
    this.#pads = el("div", { class: "pads generic-pads" }, move, aim);
    this.#controls = new Controls(this.#surface.canvas, { move, aim });
    stage.host.append(
      this.#pads,
      el(
        "aside",
        { class: "generic-side" },
        el("h2", {}, manifest.title),
        el("p", { class: "hint" }, inputHint(manifest.input)),
        ...this.#sliders(manifest.input),
        ...manifest.commands.map((command) => commandForm(command, stage)),
        this.#table,
        this.#log,
      ),
    );
    stage.session.setInput(() => ({
      ...Object.fromEntries(this.#held),
      ...mapIntent(manifest.input, this.#controls.sample()),
    }));
    this.#stops.push(
      stage.session.on("event", (event) => {
        if (event.predicted) {
          return;
        }
        const fields = Object.entries(event.fields)
          .map(([name, value]) => `${name} ${String(value)}`)
          .join(", ");
        this.#log.prepend(el("li", {}, el("b", {}, event.name), ` ${fields}`));
        while (this.#log.childElementCount > MAX_LOG) {
          this.#log.lastElementChild?.remove();
        }
      }),
    );
  }

  frame(nowMs: number): void {
    const entities = this.#stage.session.view(nowMs);
    const context = this.#surface.begin();
    const { width, height } = this.#surface;
    this.#pads.hidden = !this.#controls.touch;
    context.fillStyle = "#070a14";
    context.fillRect(0, 0, width, height);
    const side = width > SIDE_FROM ? SIDE : 0;
    const { x0, y0, x1, y1 } = this.#bounds;
    // In a narrow window the table takes the lower third.
    const free = (side === 0 ? height * 0.66 : height) - 110;
    const scale = Math.min((width - side - 48) / (x1 - x0), free / (y1 - y0));
    const left = (width - side - (x1 - x0) * scale) / 2;
    const top = 72 + (side === 0 ? 0 : (free - (y1 - y0) * scale) / 2);
    const px = (x: number) => left + (x - x0) * scale;
    const py = (y: number) => top + (y - y0) * scale;
    drawGrid(context, this.#bounds, px, py);
    const spots: Entity[] = [];
    for (const entity of entities) {
      const { x, y, w, h } = entity.fields;
      if (typeof x !== "number" || typeof y !== "number") {
        continue;
      }
      if (typeof w === "number" && typeof h === "number") {
        drawBox(context, px(x), py(y), w * scale, h * scale);
      } else {
        spots.push(entity);
      }
    }
    // A player's first entity carries its name, and the mouse aims from one's own.
    const named = new Set<number>();
    for (const entity of spots) {
      const [x, y] = [Number(entity.fields.x), Number(entity.fields.y)];
      const first = entity.owner >= 0 && !named.has(entity.owner);
      named.add(entity.owner);
      this.#drawDot(context, entity, px(x), py(y), first);
      if (first && entity.owner === this.#stage.session.slot) {
        this.#controls.origin = { x: px(x), y: py(y) };
      }
    }
    if (nowMs - this.#tableAtMs > TABLE_EVERY_MS) {
      this.#tableAtMs = nowMs;
      this.#table.replaceChildren(...entityTables(entities, this.#stage));
    }
  }

  destroy(): void {
    for (const stop of this.#stops) {
      stop();
    }
    this.#controls.destroy();
    this.#stage.session.setInput(undefined);
    this.#stage.host.replaceChildren();
  }

  #drawDot(
    context: CanvasRenderingContext2D,
    entity: Entity,
    x: number,
    y: number,
    first: boolean,
  ): void {
    const color = entity.owner >= 0 ? slotColor(entity.owner) : "#9fb3e8";
    const mine = first && entity.owner === this.#stage.session.slot;
    const angle = Object.values(this.#stage.session.manifest.entities)
      .find((kind) => kind.name === entity.kind)
      ?.fields.find((field) => field.type === "angle");
    context.fillStyle = `${color}33`;
    context.beginPath();
    context.arc(x, y, 15, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = color;
    context.beginPath();
    context.arc(x, y, 8, 0, Math.PI * 2);
    context.fill();
    if (mine) {
      context.strokeStyle = "#ffffff";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 11, 0, Math.PI * 2);
      context.stroke();
    }
    if (angle !== undefined) {
      const turn = Number(entity.fields[angle.name]);
      context.strokeStyle = color;
      context.lineWidth = 3;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + Math.cos(turn) * 20, y + Math.sin(turn) * 20);
      context.stroke();
    }
    const owner = first && this.#stage.session.players.find((p) => p.slot === entity.owner);
    context.fillStyle = "#dbe6ff";
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(
      owner ? nameOf(this.#stage.session, owner.slot) : `${entity.kind} ${entity.id}`,
      x,
      y - 20,
    );
  }

  /** Inputs that no key or mouse stands for. */
  #sliders(fields: readonly Field[]): HTMLElement[] {
    const mapped = mapIntent(fields, { moveX: 0, moveY: 0, aim: 0, fire: false, dash: false });
    return fields
      .filter((field) => !(field.name in mapped))
      .map((field) => {
        const bool = field.type === "bool";
        const whole = field.type !== "f32";
        const input = el("input", {
          type: bool ? "checkbox" : "range",
          min: bool ? undefined : field.min,
          max: bool ? undefined : field.max,
          step: bool ? undefined : whole ? 1 : (field.max - field.min) / 200,
          value: bool ? undefined : Math.min(field.max, Math.max(field.min, 0)),
          oninput: () => this.#held.set(field.name, bool ? input.checked : input.valueAsNumber),
        });
        return el("label", { class: "generic-field" }, el("span", {}, field.name), input);
      });
  }
}

/** Where entities can be, from the ranges of their fields `x` and `y`. */
export interface Bounds {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** The smallest box that holds every `x` and `y` that the schema allows. */
export function worldBounds(manifest: Manifest): Bounds {
  const ranges = (name: string) =>
    manifest.entities.flatMap((kind) =>
      kind.fields.filter(
        (f) =>
          f.name === name &&
          (f.type === "range" || f.type === "int") &&
          kind.fields.some((other) => other.name === (name === "x" ? "y" : "x")),
      ),
    );
  const [xs, ys] = [ranges("x"), ranges("y")];
  const x0 = Math.min(...xs.map((f) => f.min));
  const y0 = Math.min(...ys.map((f) => f.min));
  const x1 = Math.max(...xs.map((f) => f.max));
  const y1 = Math.max(...ys.map((f) => f.max));
  return x1 > x0 && y1 > y0 ? { x0, y0, x1, y1 } : { x0: 0, y0: 0, x1: 10, y1: 10 };
}

/** Puts keys and mouse on the inputs whose names say what they are; booleans get space and click. */
export function mapIntent(fields: readonly Field[], intent: Intent): Record<string, FieldInput> {
  const values: Record<string, FieldInput> = {};
  const scaled = (field: Field, value: number) =>
    value >= 0 ? value * Math.max(0, field.max) : -value * Math.min(0, field.min);
  let actions = 0;
  for (const field of fields) {
    if (field.type === "bool") {
      const dash =
        /dash|jump|boost|brake/.test(field.name) || (actions > 0 && !/fire|shoot/.test(field.name));
      values[field.name] = dash
        ? intent.dash
        : intent.fire || (fields.filter((f) => f.type === "bool").length === 1 && intent.dash);
      actions += 1;
    } else if (/^(move_?x|dx|x|horizontal|steer|turn)$/.test(field.name)) {
      values[field.name] = scaled(field, intent.moveX);
    } else if (/^(move_?y|dy|y|vertical)$/.test(field.name)) {
      values[field.name] = scaled(field, intent.moveY);
    } else if (/^(throttle|forward)$/.test(field.name)) {
      values[field.name] = scaled(field, -intent.moveY);
    } else if (/^(aim|angle|heading|direction)$/.test(field.name)) {
      values[field.name] = intent.aim;
    }
  }
  return values;
}

/** What has a width and a height, from its upper left corner. */
function drawBox(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  context.fillStyle = "#1b2450";
  context.strokeStyle = "#86a5ff";
  context.lineWidth = 1.5;
  context.beginPath();
  context.rect(x, y, width, height);
  context.fill();
  context.stroke();
}

function inputHint(fields: readonly Field[]): string {
  if (fields.length === 0) {
    return "This game is played by commands.";
  }
  // What stands still without a hand on it is not played by that hand.
  const reacts = (intent: Partial<Intent>) => {
    const rest = { moveX: 0, moveY: 0, aim: 0, fire: false, dash: false };
    const [still, moved] = [mapIntent(fields, rest), mapIntent(fields, { ...rest, ...intent })];
    return Object.keys(still).some((name) => still[name] !== moved[name]);
  };
  const ways = [
    (reacts({ moveX: 1 }) || reacts({ moveY: 1 })) && "WASD or arrows move",
    reacts({ aim: 1 }) && "the mouse aims",
    (reacts({ fire: true }) || reacts({ dash: true })) && "click and space act",
  ].filter((way) => way !== false);
  return `Inputs: ${[fields.map((f) => f.name).join(", "), ...ways].join(" · ")}.`;
}

function commandForm(command: MessageSchema, stage: Stage): HTMLElement {
  const inputs = command.fields.map((field) =>
    el("input", {
      name: field.name,
      placeholder: field.name,
      "aria-label": field.name,
      type: field.type === "bool" ? "checkbox" : field.type === "text" ? "text" : "number",
      min: field.type === "text" || field.type === "bool" ? undefined : field.min,
      max: field.type === "text" || field.type === "bool" ? undefined : field.max,
      step: field.type === "f32" ? "any" : undefined,
    }),
  );
  return el(
    "form",
    {
      class: "generic-command",
      onsubmit: (event) => {
        event.preventDefault();
        const value = (input: HTMLInputElement): FieldInput =>
          input.type === "checkbox" ? input.checked : input.value;
        stage.session.command(
          command.name,
          Object.fromEntries(inputs.map((input) => [input.name, value(input)])),
        );
      },
    },
    ...inputs,
    el("button", { type: "submit" }, command.name),
  );
}

function entityTables(entities: readonly Entity[], stage: Stage): HTMLElement[] {
  return stage.session.manifest.entities.map((kind) => {
    const rows = entities.filter((e) => e.kind === kind.name);
    const table = el(
      "table",
      {},
      el("caption", {}, `${kind.name} · ${rows.length}`),
      el("tr", {}, el("th", {}, "id"), ...kind.fields.map((f) => el("th", {}, f.name))),
      ...rows.slice(0, MAX_ROWS).map((entity) =>
        el(
          "tr",
          {
            style: entity.owner >= 0 ? `--color:${slotColor(entity.owner)}` : undefined,
          },
          el("td", {}, String(entity.id)),
          ...kind.fields.map((f) => el("td", {}, show(entity.fields[f.name]))),
        ),
      ),
    );
    return el("div", { class: "scroll" }, table);
  });
}

function show(value: Entity["fields"][string]): string {
  if (typeof value === "object") {
    return value.map((v) => v.toFixed(2)).join(" ");
  }
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(2) : String(value);
}

function drawGrid(
  context: CanvasRenderingContext2D,
  { x0, y0, x1, y1 }: Bounds,
  px: (x: number) => number,
  py: (y: number) => number,
): void {
  const step = 10 ** Math.floor(Math.log10(Math.max(x1 - x0, y1 - y0) / 4));
  context.lineWidth = 1;
  context.strokeStyle = "rgba(120, 150, 255, 0.12)";
  context.beginPath();
  for (let x = Math.ceil(x0 / step) * step; x <= x1; x += step) {
    context.moveTo(px(x), py(y0));
    context.lineTo(px(x), py(y1));
  }
  for (let y = Math.ceil(y0 / step) * step; y <= y1; y += step) {
    context.moveTo(px(x0), py(y));
    context.lineTo(px(x1), py(y));
  }
  context.stroke();
  context.strokeStyle = "rgba(120, 150, 255, 0.5)";
  context.strokeRect(px(x0), py(y0), px(x1) - px(x0), py(y1) - py(y0));
}

const MAX_LOG = 8;
const MAX_ROWS = 12;
const TABLE_EVERY_MS = 200;
/** CSS pixels of the table beside the picture, where the window is wide enough for it. */
const SIDE = 340;
const SIDE_FROM = 900;
