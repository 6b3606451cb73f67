import type { Emulation, SessionStats } from "@gameserver/sdk";
import { el, setText } from "./dom.js";
import { LineGraph } from "./line-panel/graph.js";

/** What the panel uses of a session. */
export interface LineSession {
  readonly stats: SessionStats;
  prediction: boolean;
  emulate(line: Emulation | undefined): void;
}

/** A line as the panel sets it. */
export interface Line {
  /** Added to the round trip, in ms. */
  latencyMs: number;
  /** How much that varies, in ms. */
  jitterMs: number;
  /** Percent of the packets. */
  lossPct: number;
}

/**
 * Makes the line as bad as one likes, switches prediction, and shows what comes of it: the way to
 * feel what the netcode does. What was set holds for the matches that follow.
 */
export class LinePanel {
  /** The button that opens the panel. */
  readonly button: HTMLButtonElement;
  readonly root: HTMLElement;
  readonly #session: LineSession;
  readonly #settings: LineSettings;
  readonly #graph = new LineGraph();
  readonly #figures = new Map<string, HTMLElement>();
  readonly #sliders: Slider[];
  readonly #prediction: HTMLButtonElement;
  readonly #presets: HTMLElement;
  readonly #rates = { rollbacks: new Rate(), up: new Rate(), down: new Rate() };
  #sampledAtMs = 0;
  #shownAtMs = 0;

  constructor(session: LineSession, settings: LineSettings) {
    this.#session = session;
    this.#settings = settings;
    this.button = el("button", {
      type: "button",
      class: "tool",
      id: "line",
      "aria-label": "Line and prediction",
      "aria-expanded": "false",
      title: "Line and prediction (L)",
      onclick: () => {
        this.toggle();
        this.button.blur();
      },
    });
    this.#prediction = el("button", {
      type: "button",
      class: "switch",
      id: "prediction",
      role: "switch",
      "aria-label": "Prediction",
      onclick: () => {
        this.#settings.prediction = !this.#settings.prediction;
        this.#apply();
        this.#prediction.blur();
      },
    });
    this.#sliders = SLIDERS.map(
      (options) =>
        new Slider(options, (value) => {
          this.#settings.line[options.name] = value;
          this.#apply();
        }),
    );
    this.#presets = el(
      "div",
      { class: "line-presets", role: "group", "aria-label": "Lines to try" },
      ...PRESETS.map(({ label, line }) =>
        el(
          "button",
          {
            type: "button",
            onclick: (event) => {
              Object.assign(this.#settings.line, line);
              this.#apply();
              (event.currentTarget as HTMLElement).blur();
            },
          },
          label,
        ),
      ),
    );
    this.root = el(
      "aside",
      { class: "line-panel", "aria-label": "Line and prediction", hidden: true },
      el(
        "div",
        { class: "line-head" },
        el(
          "div",
          {},
          el("b", {}, "Prediction"),
          el("small", {}, "Your own moves at once, the server's word later"),
        ),
        this.#prediction,
      ),
      this.#presets,
      el("div", { class: "line-sliders" }, ...this.#sliders.map((slider) => slider.root)),
      this.#graph.root,
      el("dl", { class: "line-figures" }, ...FIGURES.map((figure) => this.#figure(figure))),
    );
    this.#apply();
  }

  /** Whether it is on the screen. */
  get open(): boolean {
    return !this.root.hidden;
  }

  toggle(): void {
    this.root.hidden = !this.root.hidden;
    this.button.setAttribute("aria-expanded", String(this.open));
  }

  /** Takes a sample of the line, and shows it while the panel is open. */
  frame(nowMs: number): void {
    if (nowMs - this.#sampledAtMs < SAMPLE_EVERY_MS) {
      return;
    }
    this.#sampledAtMs = nowMs;
    const stats = this.#session.stats;
    this.#graph.add({
      roundTripMs: stats.roundTripMs,
      staleMs: stats.staleMs,
      predictedTicks: stats.predictedTicks,
      corrections: stats.corrections,
    });
    if (!this.open) {
      return;
    }
    this.#graph.draw();
    if (nowMs - this.#shownAtMs < SHOW_EVERY_MS) {
      return;
    }
    this.#shownAtMs = nowMs;
    const ms = (value: number | undefined) =>
      value === undefined ? "–" : `${Math.round(value)} ms`;
    const { rollbacks, up, down } = this.#rates;
    this.#set("ping", ms(stats.roundTripMs));
    this.#set("predicted", `${stats.predictedTicks} ticks`);
    this.#set("rollbacks", `${rollbacks.take(stats.rollbacks, nowMs).toFixed(0)} /s`);
    this.#set("corrections", String(stats.corrections));
    this.#set("stale", ms(stats.staleMs));
    const kilobytes = (rate: number) => (rate / 1000).toFixed(1);
    const traffic = [up.take(stats.bytesUp, nowMs), down.take(stats.bytesDown, nowMs)];
    this.#set("traffic", `${traffic.map(kilobytes).join(" / ")} kB/s`);
  }

  #figure({ name, label, hint }: (typeof FIGURES)[number]): HTMLElement {
    const value = el("dd", { id: `line-${name}` }, "–");
    this.#figures.set(name, value);
    return el("div", { title: hint }, el("dt", {}, label), value);
  }

  #set(name: FigureName, text: string): void {
    const figure = this.#figures.get(name);
    if (figure !== undefined) {
      setText(figure, text);
    }
  }

  #apply(): void {
    const { line, prediction } = this.#settings;
    this.#session.prediction = prediction;
    const clean = line.latencyMs === 0 && line.jitterMs === 0 && line.lossPct === 0;
    this.#session.emulate(clean ? undefined : { ...line });
    this.#prediction.setAttribute("aria-checked", String(prediction));
    for (const slider of this.#sliders) {
      slider.value = line[slider.name];
    }
    for (const [i, { line: preset }] of PRESETS.entries()) {
      const chosen = SLIDERS.every(({ name }) => preset[name] === line[name]);
      this.#presets.children[i]?.setAttribute("aria-pressed", String(chosen));
    }
    this.button.classList.toggle("on", !clean || !prediction);
  }
}

/** What was set in the panel: it is kept from match to match. */
export interface LineSettings {
  prediction: boolean;
  line: Line;
}

/** The line as it is, with prediction. */
export function cleanLine(): LineSettings {
  return { prediction: true, line: { latencyMs: 0, jitterMs: 0, lossPct: 0 } };
}

class Slider {
  readonly name: keyof Line;
  readonly root: HTMLElement;
  readonly #input: HTMLInputElement;
  readonly #shown = el("output", {});
  readonly #unit: string;

  constructor(options: SliderOptions, changed: (value: number) => void) {
    this.name = options.name;
    this.#unit = options.unit;
    this.#input = el("input", {
      type: "range",
      id: `line-${options.name}`,
      min: 0,
      max: options.max,
      step: options.step,
      oninput: () => changed(Number(this.#input.value)),
      // The keys are the game's again.
      onchange: () => this.#input.blur(),
    });
    this.root = el(
      "label",
      { class: "line-slider" },
      el("span", {}, options.label),
      this.#input,
      this.#shown,
    );
  }

  set value(value: number) {
    this.#input.value = String(value);
    this.#input.style.setProperty("--part", `${(value / Number(this.#input.max)) * 100}%`);
    setText(this.#shown, `${value} ${this.#unit}`);
  }
}

/** How fast a count grows. */
class Rate {
  #before: { count: number; atMs: number } | undefined;
  #rate = 0;

  take(count: number, nowMs: number): number {
    const before = this.#before;
    this.#before = { count, atMs: nowMs };
    if (before === undefined || nowMs <= before.atMs || count < before.count) {
      return 0;
    }
    const now = ((count - before.count) * 1000) / (nowMs - before.atMs);
    this.#rate += (now - this.#rate) * 0.5;
    return this.#rate;
  }
}

interface SliderOptions {
  readonly name: keyof Line;
  readonly label: string;
  readonly unit: string;
  readonly max: number;
  readonly step: number;
}

const SLIDERS: readonly SliderOptions[] = [
  { name: "latencyMs", label: "Latency", unit: "ms", max: 400, step: 10 },
  { name: "jitterMs", label: "Jitter", unit: "ms", max: 60, step: 2 },
  { name: "lossPct", label: "Loss", unit: "%", max: 20, step: 1 },
];

const PRESETS: readonly { readonly label: string; readonly line: Line }[] = [
  { label: "As it is", line: { latencyMs: 0, jitterMs: 0, lossPct: 0 } },
  { label: "Wi-Fi", line: { latencyMs: 40, jitterMs: 8, lossPct: 1 } },
  { label: "Mobile", line: { latencyMs: 120, jitterMs: 20, lossPct: 2 } },
  { label: "Bad", line: { latencyMs: 200, jitterMs: 20, lossPct: 5 } },
];

const FIGURES = [
  { name: "ping", label: "Ping", hint: "Round trip to the server and back" },
  { name: "predicted", label: "Predicted", hint: "How far the picture is ahead of the server" },
  { name: "rollbacks", label: "Rollbacks", hint: "Guesses that were run again" },
  { name: "corrections", label: "Corrections", hint: "Guesses that could be seen to be wrong" },
  { name: "stale", label: "Staleness", hint: "How old the server's newest word is" },
  { name: "traffic", label: "Up / down", hint: "Bytes that this page sends and receives" },
] as const;

type FigureName = (typeof FIGURES)[number]["name"];

/** Ten samples a second: the graph's width is half a minute. */
const SAMPLE_EVERY_MS = 100;
/** Figures that change faster cannot be read. */
const SHOW_EVERY_MS = 300;
