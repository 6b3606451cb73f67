import { expect, test } from "vitest";
import { InputClock, PlaybackClock } from "../src/clock.js";
import { random } from "./encoder.js";

/** A server at 60 ticks, a line with delay and jitter, and the client's clocks, in virtual time. */
function play(options: {
  upMs: number;
  downMs: number;
  jitterMs: number;
  seconds: number;
  driftPerMille?: number;
  atMs?: (now: number) => { upMs: number };
}) {
  const next = random(5);
  const playback = new PlaybackClock(60);
  const input = new InputClock(60);
  const serverTick = (now: number) =>
    5000 + (now * 60 * (1 + (options.driftPerMille ?? 0) / 1000)) / 1000;
  const wire: { at: number; deliver: () => void }[] = [];
  const margins: { now: number; margin: number }[] = [];
  const views: number[] = [];
  let lastTick = Math.floor(serverTick(0));
  let newest = { tick: 0, margin: 0 };
  const made: number[] = [];
  for (let now = 0; now < options.seconds * 1000; now += 4) {
    while (lastTick < Math.floor(serverTick(now))) {
      lastTick += 1;
      const tick = lastTick;
      const report = { ...newest };
      const at = now + options.downMs + next() * options.jitterMs;
      wire.push({
        at,
        deliver: () => {
          playback.handleState(tick, at);
          if (report.tick > 0) {
            input.handleMargin(report.tick, report.margin, at);
            margins.push({ now: at, margin: report.margin });
          }
        },
      });
    }
    wire.sort((a, b) => a.at - b.at);
    while (wire.length > 0 && wire[0].at <= now) {
      wire.shift()?.deliver();
    }
    if (playback.started) {
      views.push(playback.advance(now));
      const up = options.atMs?.(now).upMs ?? options.upMs;
      for (const tick of input.due(playback.estimate(now), up + options.downMs, now)) {
        made.push(tick);
        const arrives = now + up + next() * options.jitterMs;
        wire.push({
          at: arrives,
          deliver: () => {
            if (tick > newest.tick) {
              newest = { tick, margin: tick - serverTick(arrives) };
            }
          },
        });
      }
    }
  }
  const late = margins.filter((m) => m.now > options.seconds * 700).map((m) => m.margin);
  return { input, playback, made, views, late, serverTick };
}

test("inputs settle a tick or two early on a good line", () => {
  const { late, made } = play({ upMs: 10, downMs: 10, jitterMs: 1, seconds: 20 });
  expect(Math.min(...late)).toBeGreaterThan(0);
  expect(Math.max(...late)).toBeLessThan(4);
  expect(made).toEqual([...new Set(made)].sort((a, b) => a - b));
});

test("inputs stay in time on a long and jittery line, and when the clocks drift apart", () => {
  for (const driftPerMille of [-2, 2]) {
    const { late } = play({ upMs: 80, downMs: 60, jitterMs: 25, seconds: 30, driftPerMille });
    const missed = late.filter((margin) => margin < 0).length;
    expect(missed / late.length).toBeLessThan(0.02);
    expect(Math.max(...late)).toBeLessThan(10);
  }
});

test("a route that gets 250 ms longer is caught by a jump", () => {
  const { late } = play({
    upMs: 20,
    downMs: 20,
    jitterMs: 2,
    seconds: 20,
    atMs: (now) => ({ upMs: now < 8000 ? 20 : 270 }),
  });
  expect(Math.min(...late)).toBeGreaterThan(-1);
});

test("the picture never runs backwards and follows some ticks behind", () => {
  const { views, playback, serverTick } = play({
    upMs: 40,
    downMs: 40,
    jitterMs: 20,
    seconds: 20,
  });
  const settled = views.slice(500);
  expect(settled.every((tick, i) => i === 0 || tick >= settled[i - 1])).toBe(true);
  const behind = serverTick(20_000 - 4) - (settled.at(-1) ?? 0);
  expect(behind).toBeGreaterThan(3);
  expect(behind).toBeLessThan(3 + playback.delay + 2);
});
