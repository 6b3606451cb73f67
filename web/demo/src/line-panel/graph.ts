import { el } from "../dom.js";

/** The line at one moment. */
export interface Sample {
  readonly roundTripMs: number | undefined;
  readonly staleMs: number | undefined;
  readonly predictedTicks: number;
  /** Counted since the start. */
  readonly corrections: number;
}

/** The last half minute: ping as a line, predicted ticks as an area, corrections as marks. */
export class LineGraph {
  readonly root: HTMLElement;
  readonly #canvas = el("canvas", { role: "img", "aria-label": "The line's last half minute" });
  readonly #samples: Sample[] = [];

  constructor() {
    this.root = el(
      "figure",
      { class: "line-graph" },
      this.#canvas,
      el(
        "figcaption",
        {},
        el("span", { class: "of-ping" }, "ping"),
        el("span", { class: "of-stale" }, "staleness"),
        el("span", { class: "of-predicted" }, "predicted"),
        el("span", { class: "of-corrections" }, "corrected"),
      ),
    );
  }

  add(sample: Sample): void {
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES) {
      this.#samples.shift();
    }
  }

  draw(): void {
    const context = this.#canvas.getContext("2d");
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (context === null || width === 0) {
      return;
    }
    const density = Math.min(2, devicePixelRatio || 1);
    if (this.#canvas.width !== Math.round(width * density)) {
      this.#canvas.width = Math.round(width * density);
      this.#canvas.height = Math.round(height * density);
    }
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    const samples = this.#samples;
    const top = scaleOf(samples);
    const x = (i: number) => width - ((samples.length - 1 - i) * width) / (SAMPLES - 1);
    const y = (value: number) => height - 1 - (Math.min(value, top) / top) * (height - 12);
    context.font = "9px system-ui, sans-serif";
    context.fillStyle = "rgba(147, 164, 211, 0.75)";
    context.strokeStyle = "rgba(130, 160, 255, 0.14)";
    context.lineWidth = 1;
    for (const part of [0.5, 1]) {
      const at = Math.round(y(top * part)) + 0.5;
      context.beginPath();
      context.moveTo(0, at);
      context.lineTo(width, at);
      context.stroke();
      context.fillText(`${Math.round(top * part)} ms`, 3, at - 2);
    }

    const area = context.createLinearGradient(0, 0, 0, height);
    area.addColorStop(0, "rgba(143, 123, 255, 0.45)");
    area.addColorStop(1, "rgba(143, 123, 255, 0.05)");
    context.fillStyle = area;
    context.beginPath();
    context.moveTo(x(0), height);
    for (const [i, sample] of samples.entries()) {
      context.lineTo(x(i), y(sample.predictedTicks * TICK_MS));
    }
    context.lineTo(x(samples.length - 1), height);
    context.fill();

    context.fillStyle = CORRECTED;
    for (let i = 1; i < samples.length; i += 1) {
      if (samples[i].corrections > samples[i - 1].corrections) {
        context.fillRect(x(i) - 1, height - 7, 2, 7);
      }
    }
    stroke(context, samples, "#ffc145", x, (sample) => sample.staleMs, y);
    stroke(context, samples, "#3ddcff", x, (sample) => sample.roundTripMs, y);
  }
}

/** A round number of milliseconds that holds all but the wildest samples. */
export function scaleOf(samples: readonly Sample[]): number {
  const most = samples.reduce(
    (top, s) => Math.max(top, s.roundTripMs ?? 0, s.predictedTicks * TICK_MS),
    0,
  );
  return SCALES.find((scale) => scale >= most * 1.1) ?? SCALES[SCALES.length - 1];
}

function stroke(
  context: CanvasRenderingContext2D,
  samples: readonly Sample[],
  color: string,
  x: (i: number) => number,
  value: (sample: Sample) => number | undefined,
  y: (value: number) => number,
): void {
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  let drawing = false;
  for (const [i, sample] of samples.entries()) {
    const now = value(sample);
    if (now === undefined) {
      drawing = false;
    } else if (drawing) {
      context.lineTo(x(i), y(now));
    } else {
      context.moveTo(x(i), y(now));
      drawing = true;
    }
  }
  context.stroke();
}

const SAMPLES = 300;
const CORRECTED = "#ff5fa8";
/** Ticks are drawn on the same scale as pings, as the time that they last at 60 a second. */
const TICK_MS = 1000 / 60;
const SCALES = [50, 100, 200, 300, 500, 1000, 2000];
