//! One client that follows confirmed ticks: what it has, and what it is to be sent.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use gs_engine::pipeline::{KEPT_TICKS, Keyframe};
use gs_engine::simulation::{SimulationError, Tick};

use crate::room::limits::{Bucket, DESYNC_BURST, DESYNC_RATE, RESYNC_BURST, RESYNC_RATE};

/// One slot's client.
pub(super) struct Follower {
    pub(super) service: Service,
    /// The newest tick up to which it says to hold all.
    pub(super) acked: Tick,
    /// The newest tick up to which it was sent all reliably.
    pub(super) sent: Tick,
    /// The tick of its newest keyframe; none before the first.
    pub(super) started: Option<Tick>,
    /// Whether its newest packet says that it holds nothing.
    pub(super) empty: bool,
    /// What it asked for, and was not given yet.
    pub(super) asked: Option<Start>,
    /// When the newest piece of a keyframe was sent.
    pub(super) piece_at: Option<Instant>,
    /// How many keyframes it was sent without following for long in between.
    keyframes: u32,
    /// Whether it has come anew since its newest keyframe was begun.
    pub(super) came_anew: bool,
    prompt_keyframes: Bucket,
    pub(super) catch_up_after: Option<Instant>,
    pub(super) resyncs: Bucket,
    pub(super) desyncs: Bucket,
    pub(super) desync_noted: bool,
    pub(super) mismatches: Vec<Instant>,
}

/// From where a follower is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Newest,
    At(Tick),
}

pub(super) enum Service {
    Ticks,
    /// The pieces of a keyframe from this one on are still to be sent.
    Pieces(Arc<State>, usize),
    /// It does not simulate by itself any more.
    Views {
        /// Whether it has acknowledged views.
        switched: bool,
    },
}

pub(super) struct State {
    pub(super) tick: Tick,
    pub(super) hash: u64,
    pub(super) bytes: Vec<u8>,
}

impl Follower {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            service: Service::Ticks,
            acked: 0,
            sent: 0,
            started: None,
            empty: false,
            asked: None,
            piece_at: None,
            keyframes: 0,
            came_anew: false,
            prompt_keyframes: Bucket::new(PROMPT_KEYFRAME_RATE, PROMPT_KEYFRAME_BURST, now),
            catch_up_after: None,
            resyncs: Bucket::new(RESYNC_RATE, RESYNC_BURST, now),
            desyncs: Bucket::new(DESYNC_RATE, DESYNC_BURST, now),
            desync_noted: false,
            mismatches: Vec::new(),
        }
    }

    /// Whether it steps the confirmed ticks that it is sent.
    pub(super) fn follows(&self) -> bool {
        matches!(self.service, Service::Ticks) && self.started.is_some()
    }

    /// Every tick up to this one is with it, or on its way for certain.
    pub(super) fn held(&self) -> Tick {
        self.acked.max(self.sent)
    }

    /// Whether it is to be sent a state to start from, and which.
    pub(super) fn start(&mut self, newest: Tick, oldest_kept: Tick, now: Instant) -> Option<Start> {
        let silent_since = self.acked.max(self.started.unwrap_or(0));
        let needs = self.empty
            || self.started.is_some()
                && (self.held() + 1 < oldest_kept || newest - silent_since > DEAF_TICKS);
        if self.asked.is_none() && !needs {
            return None;
        }
        let rested = |at| now >= at + self.keyframe_pause();
        // Whoever followed after the last one, or had its connection swallow that, is honest more
        // often than not, and waits only where that goes on and on.
        let arrived = self.acked > 0 && Some(self.acked) >= self.started;
        let prompt = self.came_anew || arrived && self.asked.is_some();
        let due = self.piece_at.is_none_or(rested) || prompt && self.prompt_keyframes.take(now);
        due.then(|| self.asked.take().unwrap_or(Start::Newest))
    }

    pub(super) fn begin(&mut self, state: Arc<State>, now: Instant) {
        (self.acked, self.sent, self.started) = (0, state.tick, Some(state.tick));
        self.piece_at = Some(now);
        self.keyframes = self.keyframes.saturating_add(1);
        self.came_anew = false;
        self.service = Service::Pieces(state, 0);
    }

    /// It acknowledged another tick.
    pub(super) fn note_progress(&mut self, tick: Tick, now: Instant) {
        self.acked = tick;
        let quiet = |at| now >= at + LONGEST_KEYFRAME_PAUSE;
        if self.piece_at.is_some_and(quiet) {
            self.keyframes = 0;
        }
    }

    /// How long after the last piece of a keyframe the next one may begin.
    fn keyframe_pause(&self) -> Duration {
        let doubled = KEYFRAME_PAUSE.saturating_mul(1 << self.keyframes.saturating_sub(1).min(16));
        doubled.min(LONGEST_KEYFRAME_PAUSE)
    }
}

/// A copy of a keyframe that can be sent over several ticks, shared by all who start from it.
pub(super) fn cut(
    newest: &mut Weak<State>,
    keyframe: Keyframe<'_>,
    max_bytes: usize,
) -> Result<Arc<State>, SimulationError> {
    let bytes = keyframe.state.len();
    if bytes > max_bytes {
        return Err(SimulationError::Malformed {
            call: "gs_save",
            reason: format!(
                "a state of {bytes} bytes, expected at most `max_save_bytes`, {max_bytes}"
            ),
        });
    }
    if let Some(state) = newest.upgrade().filter(|state| state.tick == keyframe.tick) {
        return Ok(state);
    }
    let state = Arc::new(State {
        tick: keyframe.tick,
        hash: keyframe.hash,
        bytes: keyframe.state.to_vec(),
    });
    *newest = Arc::downgrade(&state);
    Ok(state)
}

/// After how many ticks without an acknowledgement a client is taken not to follow: all that are
/// kept but a few.
const DEAF_TICKS: Tick = KEPT_TICKS as Tick - 16;
/// The least time between two keyframes for a client: each can be megabytes. It doubles each time, up
/// to [`LONGEST_KEYFRAME_PAUSE`], until the client has followed for as long as that.
const KEYFRAME_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_KEYFRAME_PAUSE: Duration = Duration::from_secs(16);
/// Keyframes before that time, a second, for whoever came anew, or has the last one and asks: as
/// often as a page is loaded anew, or a phone wakes, by somebody impatient.
const PROMPT_KEYFRAME_RATE: f64 = 0.1;
/// Such keyframes at once: a state that differs is compared twice before the client falls back.
const PROMPT_KEYFRAME_BURST: f64 = 3.0;
