/**
 * The two clocks of a player: where the picture is (behind the server) and for which tick inputs
 * are made (ahead of it). Both take the time, in milliseconds, as an argument.
 */

/** Estimates the server's tick from arriving states, and plays it back with a delay. */
export class PlaybackClock {
  readonly #rate: number;
  /** Tick minus local time in ticks, smoothed. */
  #offset = 0;
  #jitter = 0;
  #samples = 0;
  #newest = 0;
  #gap = 1;
  #played = 0;
  #playedAt = 0;
  #interrupted = false;

  /** @param rate ticks a second. */
  constructor(rate: number) {
    this.#rate = rate;
  }

  /** Whether there is a state to go by. */
  get started(): boolean {
    return this.#samples > 0;
  }

  /** Whether the estimate rests on states of the present connection. */
  get current(): boolean {
    return this.started && !this.#interrupted;
  }

  /** Mean deviation of arrivals, in ticks. */
  get jitter(): number {
    return this.#jitter;
  }

  /**
   * How far behind the newest state the picture is, in ticks: where a state comes each tick, two,
   * which bridge one lost packet, and room for jitter.
   */
  get delay(): number {
    return Math.min(MAX_DELAY_TICKS, 1 + this.#gap + JITTER_DELAYS * this.#jitter);
  }

  /** A state of `tick` has arrived. */
  handleState(tick: number, nowMs: number): void {
    const sample = tick - (nowMs * this.#rate) / 1000;
    const error = sample - this.#offset;
    if (this.#samples === 0 || this.#interrupted || Math.abs(error) > SNAP_TICKS * 2) {
      this.#interrupted = false;
      this.#offset = sample;
      this.#samples = 1;
      this.#newest = tick;
      return;
    }
    if (tick > this.#newest) {
      this.#gap += (Math.min(tick - this.#newest, MAX_DELAY_TICKS) - this.#gap) * 0.1;
      this.#newest = tick;
    }
    this.#samples += 1;
    const gain = 1 / Math.min(this.#samples, SMOOTHING_SAMPLES);
    this.#offset += error * gain;
    this.#jitter += (Math.abs(error) - this.#jitter) * gain;
  }

  /** The connection is a new one: how late states were on the old one says nothing of it. */
  handleConnected(): void {
    this.#interrupted = true;
  }

  /** The tick that would arrive just now, fractional. */
  estimate(nowMs: number): number {
    return (nowMs * this.#rate) / 1000 + this.#offset;
  }

  /** The tick to draw: never backwards but for a jump, at most 5 % off the server's pace. */
  advance(nowMs: number): number {
    const target = this.estimate(nowMs) - this.delay;
    const elapsed = Math.max(0, ((nowMs - this.#playedAt) * this.#rate) / 1000);
    const behind = target - (this.#played + elapsed);
    this.#playedAt = nowMs;
    if (Math.abs(behind) > SNAP_TICKS) {
      this.#played = target;
    } else {
      const most = elapsed * SLEW;
      this.#played += elapsed + Math.min(most, Math.max(-most, behind));
    }
    return this.#played;
  }
}

/** Paces inputs so that they arrive a little before their tick, by what the server reports. */
export class InputClock {
  readonly #rate: number;
  #tick = 0;
  #at = 0;
  #started = false;
  #speed = 1;
  #jitter = 0;
  #margin: number | undefined;
  #made = 0;
  /** After a jump, reports of frames made before it say nothing of the new pace. */
  #ignoreBelow = 0;
  #ignoreUntil = 0;

  constructor(rate: number) {
    this.#rate = rate;
  }

  /** How early inputs should arrive, in ticks: 4 × jitter + 1, as the server advises. */
  get target(): number {
    return Math.min(MAX_MARGIN_TICKS, 1 + 4 * this.#jitter);
  }

  /** How early they arrived by the last report, in ticks. */
  get margin(): number | undefined {
    return this.#margin;
  }

  /** Relative to the server's pace: 0.95–1.05. */
  get speed(): number {
    return this.#speed;
  }

  /**
   * The ticks that need a frame now, ascending and each once.
   *
   * @param arriving the tick whose state would arrive now, which is in the server's past.
   * @param roundTripMs as measured, or a guess.
   */
  due(arriving: number, roundTripMs: number, nowMs: number): number[] {
    const lead = (roundTripMs * this.#rate) / 1000 + this.target;
    if (!this.#started) {
      this.#started = true;
      this.#jump(arriving + lead, nowMs);
    } else {
      const elapsed = Math.max(0, ((nowMs - this.#at) * this.#rate) / 1000);
      this.#tick += elapsed * this.#speed;
      this.#at = nowMs;
      // Reports steer finely; this catches what they cannot: a server that jumped, a tab that slept.
      if (Math.abs(this.#tick - arriving - lead) > LOST_TICKS) {
        this.#jump(arriving + lead, nowMs);
      }
    }
    const newest = Math.floor(this.#tick);
    const ticks: number[] = [];
    for (
      let tick = Math.max(this.#made + 1, newest - MAX_FRAMES_AT_ONCE + 1);
      tick <= newest;
      tick += 1
    ) {
      ticks.push(tick);
    }
    this.#made = Math.max(this.#made, newest);
    return ticks;
  }

  /** The server's report: the newest frame used, and how early inputs arrive, in ticks. */
  handleMargin(inputTick: number, margin: number, nowMs: number): void {
    if (!this.#started || (inputTick < this.#ignoreBelow && nowMs < this.#ignoreUntil)) {
      return;
    }
    const previous = this.#margin ?? margin;
    this.#margin = margin;
    this.#jitter += (Math.min(Math.abs(margin - previous), SNAP_TICKS) - this.#jitter) * 0.05;
    const excess = margin - this.target;
    if (Math.abs(excess) > SNAP_TICKS) {
      this.#jump(this.#tick - excess, nowMs);
    } else {
      this.#speed = 1 - Math.min(SLEW, Math.max(-SLEW, excess * GAIN));
    }
  }

  /** The connection is a new one, over which the server may have stood still. */
  handleConnected(): void {
    this.#started = false;
    this.#made = 0;
    this.#margin = undefined;
  }

  #jump(tick: number, nowMs: number): void {
    this.#tick = tick;
    this.#at = nowMs;
    this.#speed = 1;
    this.#ignoreBelow = Math.max(Math.floor(tick), this.#made + 1);
    this.#ignoreUntil = nowMs + SETTLE_MS;
    // Far back, as after a stall of the server: ticks made long ahead of it were dropped there.
    if (this.#made - tick > LOST_TICKS) {
      this.#made = Math.floor(tick);
    }
  }
}

/** Beyond this a clock jumps: catching up 10 ticks at 5 % takes 3 s at 60 Hz. */
const SNAP_TICKS = 10;
/** A change of pace that eyes do not see. */
const SLEW = 0.05;
/** A tick off the margin changes the pace by 2 %: settled in a second, without swinging. */
const GAIN = 0.02;
const JITTER_DELAYS = 3;
/** A quarter of a second at 60 Hz: beyond it a late picture is worse than a jerky one. */
const MAX_DELAY_TICKS = 15;
/** About two seconds at 60 Hz. */
const SMOOTHING_SAMPLES = 120;
const MAX_MARGIN_TICKS = 8;
/** Half of the 120 ticks beyond which the server drops a frame. */
const LOST_TICKS = 60;
/** A timer that was late makes at most these at once; older ones could only arrive too late. */
const MAX_FRAMES_AT_ONCE = 8;
/** More than a round trip on any line that can be played on. */
const SETTLE_MS = 1000;
