//! The two clocks of a player: where the picture is (behind the server), and for which tick inputs
//! are made (ahead of it). Both take the time as an argument: a [`Duration`] since any start.

use std::ops::Range;
use std::time::Duration;

use gs_engine::Tick;

/// Estimates the server's tick from arriving states, and plays it back with a delay.
#[derive(Clone, Debug)]
pub struct PlaybackClock {
    rate: f64,
    /// Tick minus local time in ticks, smoothed.
    offset: f64,
    jitter: f64,
    samples: u32,
    newest: Tick,
    gap: f64,
    played: f64,
    played_at: f64,
    interrupted: bool,
}

impl PlaybackClock {
    /// A clock for a server of `rate` ticks a second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: f64::from(rate),
            offset: 0.0,
            jitter: 0.0,
            samples: 0,
            newest: 0,
            gap: 1.0,
            played: 0.0,
            played_at: 0.0,
            interrupted: false,
        }
    }

    /// Whether there is a state to go by.
    pub fn started(&self) -> bool {
        self.samples > 0
    }

    /// Whether the estimate rests on states of the present connection.
    pub fn current(&self) -> bool {
        self.started() && !self.interrupted
    }

    /// Mean deviation of arrivals, in ticks.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// How far behind the newest state the picture is, in ticks: where a state comes each tick,
    /// two, which bridge one lost packet, and room for jitter.
    pub fn delay(&self) -> f64 {
        (1.0 + self.gap + JITTER_DELAYS * self.jitter).min(MAX_DELAY_TICKS)
    }

    /// A state of `tick` has arrived.
    pub fn handle_state(&mut self, tick: Tick, now: Duration) {
        let sample = f64::from(tick) - now.as_secs_f64() * self.rate;
        let error = sample - self.offset;
        if self.samples == 0 || self.interrupted || error.abs() > SNAP_TICKS * 2.0 {
            self.interrupted = false;
            self.offset = sample;
            self.samples = 1;
            self.newest = tick;
            return;
        }
        if tick > self.newest {
            let gap = f64::from(tick - self.newest).min(MAX_DELAY_TICKS);
            self.gap += (gap - self.gap) * 0.1;
            self.newest = tick;
        }
        self.samples = self.samples.saturating_add(1);
        let gain = 1.0 / f64::from(self.samples.min(SMOOTHING_SAMPLES));
        self.offset += error * gain;
        self.jitter += (error.abs() - self.jitter) * gain;
    }

    /// The connection is a new one: how late states were on the old one says nothing of it.
    pub fn handle_connected(&mut self) {
        self.interrupted = true;
    }

    /// The tick that would arrive just now, fractional.
    pub fn estimate(&self, now: Duration) -> f64 {
        now.as_secs_f64() * self.rate + self.offset
    }

    /// The tick to draw: never backwards but for a jump, at most 5 % off the server's pace.
    pub fn advance(&mut self, now: Duration) -> f64 {
        let now_ticks = now.as_secs_f64() * self.rate;
        let target = self.estimate(now) - self.delay();
        let elapsed = (now_ticks - self.played_at).max(0.0);
        let behind = target - (self.played + elapsed);
        self.played_at = self.played_at.max(now_ticks);
        if behind.abs() > SNAP_TICKS {
            self.played = target;
        } else {
            let most = elapsed * SLEW;
            self.played += elapsed + behind.clamp(-most, most);
        }
        self.played
    }
}

/// Paces inputs so that they arrive a little before their tick, by what the server reports.
#[derive(Clone, Debug)]
pub struct InputClock {
    rate: f64,
    tick: f64,
    at: f64,
    started: bool,
    speed: f64,
    jitter: f64,
    margin: Option<f64>,
    made: Tick,
    /// After a jump, reports of frames made before it say nothing of the new pace.
    ignore_below: Tick,
    ignore_until: Duration,
}

impl InputClock {
    /// A clock for a server of `rate` ticks a second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: f64::from(rate),
            tick: 0.0,
            at: 0.0,
            started: false,
            speed: 1.0,
            jitter: 0.0,
            margin: None,
            made: 0,
            ignore_below: 0,
            ignore_until: Duration::ZERO,
        }
    }

    /// How early inputs should arrive, in ticks: 4 × jitter + 1.
    pub fn target(&self) -> f64 {
        (1.0 + 4.0 * self.jitter).min(MAX_MARGIN_TICKS)
    }

    /// How early they arrived by the last report, in ticks.
    pub fn margin(&self) -> Option<f64> {
        self.margin
    }

    /// Relative to the server's pace: 0.95–1.05.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Whether it runs.
    pub fn started(&self) -> bool {
        self.started
    }

    /// The tick for which inputs are made at `now`, fractional.
    pub fn tick(&self, now: Duration) -> f64 {
        let elapsed = (now.as_secs_f64() * self.rate - self.at).max(0.0);
        self.tick + elapsed * self.speed
    }

    /// The ticks that need a frame now, each once.
    ///
    /// `arriving` is the tick whose state would arrive now, which is in the server's past;
    /// `round_trip` is as measured, or a guess.
    pub fn due(&mut self, arriving: f64, round_trip: Duration, now: Duration) -> Range<Tick> {
        let lead = round_trip.as_secs_f64() * self.rate + self.target();
        if self.started {
            self.tick = self.tick(now);
            self.at = self.at.max(now.as_secs_f64() * self.rate);
            // Reports steer finely; this catches what they cannot: a server that jumped, a tab
            // that slept, and a start from a guess at the round trip, after which every input
            // would be late for seconds.
            let off = self.tick - arriving - lead;
            let early = lead - self.target();
            if off.abs() > LOST_TICKS || self.tick < arriving + early - LATE_TICKS {
                self.jump(arriving + lead, now);
            }
        } else {
            self.started = true;
            self.jump(arriving + lead, now);
        }
        // A negative or enormous estimate saturates.
        let newest = self.tick as Tick;
        let first = newest.saturating_sub(MAX_FRAMES_AT_ONCE - 1).max(1);
        let due = first.max(self.made.saturating_add(1))..newest.saturating_add(1);
        self.made = self.made.max(newest);
        due
    }

    /// The server's report: the newest frame used, and how early inputs arrive, in ticks.
    pub fn handle_margin(&mut self, input_tick: Tick, margin: f64, now: Duration) {
        if !self.started || (input_tick < self.ignore_below && now < self.ignore_until) {
            return;
        }
        let previous = self.margin.unwrap_or(margin);
        self.margin = Some(margin);
        self.jitter += ((margin - previous).abs().min(SNAP_TICKS) - self.jitter) * 0.05;
        let excess = margin - self.target();
        if excess.abs() > SNAP_TICKS {
            self.jump(self.tick(now) - excess, now);
        } else {
            self.tick = self.tick(now);
            self.at = self.at.max(now.as_secs_f64() * self.rate);
            self.speed = 1.0 - (excess * GAIN).clamp(-SLEW, SLEW);
        }
    }

    /// The connection is a new one, over which the server may have stood still.
    pub fn handle_connected(&mut self) {
        self.started = false;
        self.made = 0;
        self.margin = None;
    }

    fn jump(&mut self, tick: f64, now: Duration) {
        self.tick = tick;
        self.at = now.as_secs_f64() * self.rate;
        self.speed = 1.0;
        let tick_below = tick as Tick;
        self.ignore_below = tick_below.max(self.made.saturating_add(1));
        self.ignore_until = now + SETTLE;
        // Far back, as after a stall of the server: ticks made long ahead of it were dropped there.
        if f64::from(self.made) - tick > LOST_TICKS {
            self.made = tick_below;
        }
    }
}

/// Beyond this a clock jumps: catching up 10 ticks at 5 % takes 3 s at 60 Hz.
const SNAP_TICKS: f64 = 10.0;
/// A change of pace that eyes do not see.
const SLEW: f64 = 0.05;
/// A tick off the margin changes the pace by 2 %: settled in a second, without swinging.
const GAIN: f64 = 0.02;
const JITTER_DELAYS: f64 = 3.0;
/// A quarter of a second at 60 Hz: beyond it a late picture is worse than a jerky one.
const MAX_DELAY_TICKS: f64 = 15.0;
/// About two seconds at 60 Hz.
const SMOOTHING_SAMPLES: u32 = 120;
const MAX_MARGIN_TICKS: f64 = 8.0;
/// Half of the 120 ticks beyond which the server drops a frame.
const LOST_TICKS: f64 = 60.0;
/// So much too late no input is of use, while a smoothed estimate is not so far off.
const LATE_TICKS: f64 = 2.0;
/// A timer that was late makes at most these at once; older ones could only arrive too late.
pub const MAX_FRAMES_AT_ONCE: u32 = 8;
/// More than a round trip on any line that can be played on.
const SETTLE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
