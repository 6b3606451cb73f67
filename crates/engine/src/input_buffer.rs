//! One player's inputs on their way to the tick that they belong to.
//!
//! Frames arrive late, early, twice, in any order, or never. The buffer holds each until its tick,
//! and repeats the last input for a short while when nothing came. What came too late rolls forward
//! to the next tick, or is dropped where ticks are confirmed ([`LateFrames`]). The rules are those
//! of `docs/wire.md`, "Inputs".

use crate::simulation::{Tick, TickFraction};

/// A bounded buffer of one slot's input frames by tick.
#[derive(Clone, Debug)]
pub struct InputBuffer {
    input_len: usize,
    late_frames: LateFrames,
    /// The tick of the frame at each place; 0 where none was. A used frame stays until its place
    /// is needed, so that the copies that follow it count as duplicates.
    ticks: Vec<Tick>,
    frames: Vec<u8>,
    newest_late: Tick,
    newest_used: Tick,
    newest_received: Tick,
    margin: i32,
    last: Vec<u8>,
    repeats_left: u32,
    view: TickFraction,
    /// How much was waited for this slot in vain; [`waits`](Self::waits) says what for.
    missed: u32,
    counters: InputCounters,
}

/// What becomes of a frame that comes after its tick has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LateFrames {
    /// The next tick uses it if nothing newer comes: no press of a button is lost.
    #[default]
    RollForward,
    /// It is dropped: everybody knows already that its tick ran without it.
    Drop,
}

/// Where a match stands when a frame arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The tick that the clock says.
    pub clock: Tick,
    /// The last tick that ran, at most `clock`.
    pub ran: Tick,
    /// The time since the clock's tick began, in 1/256 ticks.
    pub since: TickFraction,
}

/// What became of the frames that arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounters {
    /// Kept for a tick to come.
    pub accepted: u64,
    /// Had been received before.
    pub duplicate: u64,
    /// Came after their tick: rolled forward, or dropped.
    pub late: u64,
    /// Dropped: more than [`MAX_AHEAD_TICKS`] ahead.
    pub too_far: u64,
    /// Against the schema, or refused by the game.
    pub refused: u64,
    /// Amended by the game.
    pub amended: u64,
}

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is kept for its tick.
    Accepted,
    /// It was there already.
    Duplicate,
    /// Its tick has passed; the next tick uses it if nothing newer comes.
    RolledForward,
    /// Its tick has passed, and a newer input was used or late frames are dropped: it is dropped.
    Stale,
    /// It is more than [`MAX_AHEAD_TICKS`] ahead: it is dropped.
    TooFar,
}

impl InputBuffer {
    /// An empty buffer for inputs of `input_len` bytes.
    pub fn new(input_len: usize, late_frames: LateFrames) -> Self {
        Self {
            input_len,
            late_frames,
            ticks: vec![0; RING],
            frames: vec![0; RING * input_len],
            newest_late: 0,
            newest_used: 0,
            newest_received: 0,
            margin: 0,
            last: Vec::with_capacity(input_len),
            repeats_left: 0,
            view: 0,
            missed: 0,
            counters: InputCounters::default(),
        }
    }

    /// Forgets what it holds, for the slot has another player; what was counted stays.
    pub fn reset(&mut self) {
        self.ticks.fill(0);
        (self.newest_late, self.newest_used, self.newest_received) = (0, 0, 0);
        (self.margin, self.repeats_left, self.view, self.missed) = (0, 0, 0, 0);
        self.last.clear();
    }

    /// Takes a frame of `tick` that satisfies the schema. The first one of a tick counts.
    ///
    /// # Panics
    /// Where `data` has not the length that the buffer was made for, which the schema guarantees.
    pub fn insert(&mut self, tick: Tick, data: &[u8], now: Moment) -> Admission {
        assert_eq!(
            data.len(),
            self.input_len,
            "the caller checked the input against the schema"
        );
        if tick > now.clock.saturating_add(MAX_AHEAD_TICKS) {
            self.counters.too_far += 1;
            return Admission::TooFar;
        }
        if tick == 0 || now.clock.saturating_sub(tick) >= MAX_BEHIND_TICKS {
            self.counters.late += 1;
            return Admission::Stale;
        }
        let place = tick as usize % RING;
        if self.ticks[place] == tick {
            self.counters.duplicate += 1;
            return Admission::Duplicate;
        }
        self.ticks[place] = tick;
        self.frames[place * self.input_len..][..self.input_len].copy_from_slice(data);
        if tick > self.newest_received {
            self.newest_received = tick;
            // The next tick is due one tick after the clock's, whatever the host's own delay.
            let since = i64::from(now.since.min(TICK - 1));
            let early = (i64::from(tick) - i64::from(now.clock)) * i64::from(TICK) - since;
            self.margin = early as i32;
        }
        if tick > now.ran {
            self.counters.accepted += 1;
            return Admission::Accepted;
        }
        self.counters.late += 1;
        if tick <= self.newest_used || self.late_frames == LateFrames::Drop {
            return Admission::Stale;
        }
        self.newest_late = self.newest_late.max(tick);
        Admission::RolledForward
    }

    /// Writes the input that is new for `tick` into `out`, and says whether there is one: the
    /// tick's own, or the newest that came too late for its own. It counts as used; the caller
    /// says with [`applied`](Self::applied) what the game made of it.
    pub fn take_fresh(&mut self, tick: Tick, out: &mut Vec<u8>) -> bool {
        out.clear();
        let source = if self.ticks[tick as usize % RING] == tick {
            tick
        } else if self.newest_late > self.newest_used {
            self.newest_late
        } else {
            return false;
        };
        let place = source as usize % RING;
        out.extend_from_slice(&self.frames[place * self.input_len..][..self.input_len]);
        self.newest_used = source;
        true
    }

    /// Whether the frame of `tick`, which has not run yet, is there.
    pub fn has(&self, tick: Tick) -> bool {
        self.ticks[tick as usize % RING] == tick
    }

    /// Whether a tick waits for this slot's frame while the late window is open: its inputs flow
    /// (something newer than [`FLOW_MS`] ago by the clock), and waiting for it has mostly been
    /// worth it. So one slow player, or one who sends everything but the frame that is due, cannot
    /// hold up the others.
    pub fn waits(&self, clock: Tick, tick_rate: u32) -> bool {
        let flow = tick_rate * FLOW_MS / 1000;
        self.newest_received > clock.saturating_sub(flow) && self.missed < PATIENCE
    }

    /// Notes whether a tick ran with this slot's own frame.
    pub fn note_punctual(&mut self, punctual: bool) {
        self.missed = match punctual {
            true => self.missed.saturating_sub(1),
            false => (self.missed + MISS_COST).min(MAX_MISSED),
        };
    }

    /// Notes the input that the tick really used, which is the one to repeat.
    pub fn applied(&mut self, data: &[u8]) {
        self.last.clear();
        self.last.extend_from_slice(data);
        self.repeats_left = MAX_REPEATS;
    }

    /// Writes the last input again, at most [`MAX_REPEATS`] times in a row; says whether it did.
    pub fn repeat(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        if self.repeats_left == 0 {
            return false;
        }
        self.repeats_left -= 1;
        out.extend_from_slice(&self.last);
        true
    }

    /// Notes what the player looks at. Packets overtake each other and a player's view only moves
    /// on, so the newest counts.
    pub fn handle_view(&mut self, view: TickFraction) {
        self.view = self.view.max(view);
    }

    /// The player's view at `tick`: never after it and at most [`MAX_VIEW_AGE_MS`] before it;
    /// the tick itself where the player said nothing.
    pub fn view_at(&mut self, tick: Tick, tick_rate: u32) -> TickFraction {
        let now = u32::try_from(u64::from(tick) * u64::from(TICK)).unwrap_or(TickFraction::MAX);
        if self.view == 0 {
            return now;
        }
        // A view that claims the future is brought back for good, or it would stand still there.
        self.view = self.view.min(now);
        self.view
            .max(now.saturating_sub(tick_rate * TICK * MAX_VIEW_AGE_MS / 1000))
    }

    /// The tick of the newest frame that was used; 0 for none yet.
    pub fn newest_used(&self) -> Tick {
        self.newest_used
    }

    /// How early the newest frame arrived before its tick, in 1/256 ticks; negative: late.
    pub fn margin(&self) -> i32 {
        self.margin
    }

    /// What became of the frames so far.
    pub fn counters(&self) -> InputCounters {
        self.counters
    }

    /// Counts an input that the schema or the game refused.
    pub fn count_refused(&mut self) {
        self.counters.refused += 1;
    }

    /// Counts an input that the game amended.
    pub fn count_amended(&mut self) {
        self.counters.amended += 1;
    }
}

/// How far ahead a frame may be: a second at the highest tick rate, far beyond what a client that
/// paces itself sends.
pub const MAX_AHEAD_TICKS: u32 = 120;
/// How often the last input is repeated before the slot counts as absent: a quarter of a second at
/// 60 ticks a second, which rides out a burst of loss and stops a player who is gone.
pub const MAX_REPEATS: u32 = 15;
/// How far back a player's view may reach for lag compensation, in milliseconds.
pub const MAX_VIEW_AGE_MS: u32 = 250;
/// How long after its newest frame a slot's inputs count as flowing, in milliseconds: as long as
/// its last input is repeated at 60 ticks a second.
pub const FLOW_MS: u32 = 250;
/// One tick in [`TickFraction`]s.
pub const TICK: TickFraction = 256;

/// What one tick without its frame costs of [`PATIENCE`]; one with it gives 1 back. So a slot may
/// miss one tick in nine for ever, twice what is lost on a bad line with inputs sent repeatedly.
const MISS_COST: u32 = 8;
/// How much may be missed before nobody waits any more: four ticks in a row.
const PATIENCE: u32 = 32;
/// The most that is remembered: half a second of punctual frames at 60 ticks makes up for anything.
const MAX_MISSED: u32 = 62;
/// How far behind a frame is still told apart: a packet repeats at most 16 earlier frames.
const MAX_BEHIND_TICKS: u32 = 128;
/// Places for frames; [`MAX_AHEAD_TICKS`] and [`MAX_BEHIND_TICKS`] fit without two ticks in one.
const RING: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment at which every tick has run that the clock says.
    fn at(clock: Tick, since: TickFraction) -> Moment {
        Moment {
            clock,
            ran: clock,
            since,
        }
    }

    fn fresh(buffer: &mut InputBuffer, tick: Tick) -> Option<u8> {
        let mut out = Vec::new();
        let taken = buffer.take_fresh(tick, &mut out).then(|| out[0]);
        if taken.is_some() {
            buffer.applied(&out);
        }
        taken
    }

    #[test]
    fn a_frame_waits_for_its_tick() {
        let mut buffer = InputBuffer::new(1, LateFrames::RollForward);
        assert_eq!(buffer.insert(3, &[30], at(0, 0)), Admission::Accepted);
        assert_eq!(buffer.insert(2, &[20], at(0, 0)), Admission::Accepted);
        assert_eq!(buffer.insert(2, &[99], at(0, 0)), Admission::Duplicate);
        assert_eq!(fresh(&mut buffer, 1), None);
        assert_eq!(fresh(&mut buffer, 2), Some(20));
        assert_eq!(fresh(&mut buffer, 3), Some(30));
        assert_eq!(buffer.insert(3, &[30], at(3, 0)), Admission::Duplicate);
        assert_eq!(buffer.newest_used(), 3);
    }

    #[test]
    fn the_newest_late_frame_rolls_forward_once() {
        let mut buffer = InputBuffer::new(1, LateFrames::RollForward);
        assert_eq!(buffer.insert(9, &[9], at(10, 0)), Admission::RolledForward);
        assert_eq!(buffer.insert(8, &[8], at(10, 0)), Admission::RolledForward);
        assert_eq!(fresh(&mut buffer, 11), Some(9));
        assert_eq!(fresh(&mut buffer, 12), None);
        assert_eq!(buffer.insert(7, &[7], at(12, 0)), Admission::Stale);
        assert_eq!(fresh(&mut buffer, 13), None);
    }

    #[test]
    fn a_frame_in_time_wins_over_a_late_one() {
        let mut buffer = InputBuffer::new(1, LateFrames::RollForward);
        buffer.insert(10, &[10], at(10, 0));
        buffer.insert(11, &[11], at(10, 0));
        assert_eq!(fresh(&mut buffer, 11), Some(11));
        assert_eq!(
            fresh(&mut buffer, 12),
            None,
            "the late one is older than the used one"
        );
    }

    #[test]
    fn frames_far_ahead_or_far_behind_are_dropped() {
        let mut buffer = InputBuffer::new(1, LateFrames::RollForward);
        assert_eq!(
            buffer.insert(1000 + MAX_AHEAD_TICKS, &[1], at(1000, 0)),
            Admission::Accepted
        );
        assert_eq!(
            buffer.insert(1001 + MAX_AHEAD_TICKS, &[1], at(1000, 0)),
            Admission::TooFar
        );
        assert_eq!(
            buffer.insert(u32::MAX, &[1], at(1000, 0)),
            Admission::TooFar
        );
        assert_eq!(buffer.insert(0, &[1], at(1000, 0)), Admission::Stale);
        assert_eq!(
            buffer.insert(1000 - MAX_BEHIND_TICKS, &[1], at(1000, 0)),
            Admission::Stale
        );
        assert_eq!(
            buffer.insert(u32::MAX, &[1], at(u32::MAX, 0)),
            Admission::RolledForward
        );
    }

    #[test]
    fn a_frame_for_a_confirmed_tick_is_dropped_and_its_copies_are_duplicates() {
        let mut buffer = InputBuffer::new(1, LateFrames::Drop);
        let now = Moment {
            clock: 10,
            ran: 7,
            since: 128,
        };
        assert_eq!(buffer.insert(7, &[7], now), Admission::Stale);
        assert_eq!(buffer.insert(7, &[7], now), Admission::Duplicate);
        assert_eq!(buffer.insert(8, &[8], now), Admission::Accepted);
        assert_eq!(buffer.margin(), -640, "by the clock");
        assert!(buffer.has(8) && !buffer.has(9));
        assert_eq!(fresh(&mut buffer, 8), Some(8));
        assert_eq!(fresh(&mut buffer, 9), None);
        let counters = buffer.counters();
        assert_eq!(
            (counters.late, counters.duplicate, counters.accepted),
            (1, 1, 1)
        );
    }

    #[test]
    fn nothing_of_an_earlier_player_is_left() {
        let mut buffer = InputBuffer::new(1, LateFrames::RollForward);
        buffer.insert(9, &[9], at(10, 0));
        assert_eq!(fresh(&mut buffer, 11), Some(9));
        buffer.insert(12, &[12], at(11, 0));
        buffer.handle_view(11 * TICK);
        buffer.note_punctual(false);
        buffer.reset();
        let mut out = Vec::new();
        assert!(!buffer.has(12) && !buffer.take_fresh(12, &mut out) && !buffer.repeat(&mut out));
        assert!(!buffer.waits(12, 60));
        assert_eq!((buffer.newest_used(), buffer.margin()), (0, 0));
        assert_eq!(buffer.view_at(12, 60), 12 * TICK);
        assert_eq!(buffer.counters().accepted, 1);
        // The newcomer's own frame of the same tick is no duplicate.
        assert_eq!(buffer.insert(12, &[7], at(12, 0)), Admission::RolledForward);
        assert_eq!(fresh(&mut buffer, 13), Some(7));
    }

    #[test]
    fn nobody_waits_for_long_in_vain() {
        let mut buffer = InputBuffer::new(0, LateFrames::Drop);
        assert!(!buffer.waits(100, 60), "nothing ever came");
        buffer.insert(100, &[], at(99, 0));
        assert!(buffer.waits(114, 60));
        assert!(!buffer.waits(115, 60), "silent for a quarter of a second");
        // Frames far ahead make it flow, but the frame that is due never comes.
        buffer.insert(210, &[], at(100, 0));
        for _ in 0..4 {
            assert!(buffer.waits(100, 60));
            buffer.note_punctual(false);
        }
        assert!(!buffer.waits(100, 60));
        buffer.note_punctual(true);
        assert!(buffer.waits(100, 60));
        for _ in 0..100 {
            buffer.note_punctual(false);
        }
        for _ in 0..30 {
            assert!(!buffer.waits(100, 60));
            buffer.note_punctual(true);
        }
        assert!(!buffer.waits(100, 60));
        buffer.note_punctual(true);
        assert!(buffer.waits(100, 60), "half a second makes up for anything");
    }

    #[test]
    fn the_last_input_repeats_a_bounded_number_of_times() {
        let mut buffer = InputBuffer::new(1, LateFrames::RollForward);
        let mut out = Vec::new();
        assert!(!buffer.repeat(&mut out), "nothing to repeat yet");
        buffer.insert(1, &[5], at(0, 0));
        assert_eq!(fresh(&mut buffer, 1), Some(5));
        for _ in 0..MAX_REPEATS {
            assert!(buffer.repeat(&mut out));
            assert_eq!(out, [5]);
        }
        assert!(!buffer.repeat(&mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn the_margin_is_that_of_the_newest_frame() {
        let mut buffer = InputBuffer::new(0, LateFrames::RollForward);
        buffer.insert(11, &[], at(10, 64));
        assert_eq!(buffer.margin(), 192, "three quarters of a tick early");
        buffer.insert(10, &[], at(10, 200));
        assert_eq!(buffer.margin(), 192, "an older frame says nothing new");
        buffer.insert(12, &[], at(14, 128));
        assert_eq!(buffer.margin(), -640, "two and a half ticks late");
        buffer.insert(16, &[], at(15, 5000));
        assert_eq!(buffer.margin(), 1, "in time, however late the host is");
    }

    #[test]
    fn views_are_clamped_to_a_quarter_of_a_second() {
        let mut buffer = InputBuffer::new(0, LateFrames::RollForward);
        assert_eq!(buffer.view_at(100, 60), 100 * TICK, "nothing said yet");
        buffer.handle_view(98 * TICK + 7);
        assert_eq!(buffer.view_at(100, 60), 98 * TICK + 7);
        buffer.handle_view(50 * TICK);
        assert_eq!(
            buffer.view_at(100, 60),
            98 * TICK + 7,
            "an overtaken packet"
        );
        assert_eq!(buffer.view_at(200, 60), 185 * TICK, "15 ticks at 60 Hz");
        buffer.handle_view(u32::MAX);
        assert_eq!(buffer.view_at(200, 60), 200 * TICK);
        assert_eq!(buffer.view_at(201, 60), 200 * TICK);
        assert_eq!(buffer.view_at(u32::MAX, 120), u32::MAX - 120 * 64);
    }
}
