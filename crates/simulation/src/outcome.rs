//! What was measured in a match, and what did not hold.

use std::time::Duration;

use gs_authority::RoomCounters;
use gs_client::Stats;
use gs_engine::Tick;
use gs_engine::simulation::MatchResult;

/// What came of a match.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What did not hold, with when and for whom; at most [`MAX_FAILURES`].
    pub failures: Vec<String>,
    /// Ticks that the room ran.
    pub ticks: Tick,
    /// How the match ended, where it did.
    pub result: Option<MatchResult>,
    /// What the room counted.
    pub room: RoomCounters,
    /// Steps of the game, of the room and all clients.
    pub steps: u64,
    /// Time that was played, added up over players.
    pub played: Duration,
    /// Each player.
    pub players: Vec<PlayerOutcome>,
    /// Of all bytes that were sent and when: two matches that were played the same have the same.
    pub fingerprint: u64,
}

/// What came of the match for one player.
#[derive(Clone, Debug, Default)]
pub struct PlayerOutcome {
    /// What its client counted, at the end.
    pub stats: Stats,
    /// Ticks whose confirmed state was held against the server's.
    pub confirmed_checked: u64,
    /// Confirmed ticks whose state it did not save, or did not run because a keyframe led past
    /// them.
    pub confirmed_skipped: u64,
    /// Frames that were drawn while the match ran.
    pub frames: u64,
    /// Inputs whose showing was waited for.
    pub echoes: u64,
    /// Frames that were drawn without the effect of such an input, over all of them.
    pub echo_frames: u64,
    /// The most frames for one of them.
    pub echo_worst: u64,
    /// How old the newest state of the server's was at each frame.
    pub staleness: Milliseconds,
    /// Of the inputs that the server used for it: new ones, and its last ones again.
    pub inputs: (u64, u64),
    /// Reports of a mismatch.
    pub desyncs: u64,
    /// Fields that those reports named, in order, without repetition.
    pub desynced_fields: Vec<String>,
    /// When it was told to follow in another mode.
    pub fell_back: Option<Duration>,
    /// How long after each incident's end it was in step again; none: not until the match's end.
    pub recoveries: Vec<Option<Duration>>,
    /// The largest distance that a player's entity was drawn away from where it was drawn a frame
    /// before, beyond what it could have moved, in units.
    pub largest_jump: f64,
    /// Events of the game that the server sent it.
    pub events: u64,
    /// What the others shared with it (`observer`).
    pub shared: u64,
    /// How the match ended, as it was told.
    pub result: Option<MatchResult>,
}

/// Durations, counted by the millisecond.
#[derive(Clone, Default)]
pub struct Milliseconds {
    counts: Vec<u32>,
    total: u64,
}

impl std::fmt::Debug for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(f, "p50 {p50} p99 {p99} most {most} of {}", self.total)
    }
}

impl Milliseconds {
    /// Adds one; beyond [`LONGEST_MS`] it counts as that long.
    pub fn add(&mut self, duration: Duration) {
        let ms = (duration.as_millis() as usize).min(LONGEST_MS);
        if self.counts.len() <= ms {
            self.counts.resize(ms + 1, 0);
        }
        self.counts[ms] += 1;
        self.total += 1;
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
        self.total += other.total;
    }

    /// The least number of milliseconds that a share of all stays within; 0 where there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (ms, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return ms as u64;
            }
        }
        0
    }
}

impl Outcome {
    /// Notes what did not hold.
    pub(crate) fn fail(&mut self, now: Duration, what: impl std::fmt::Display) {
        if self.failures.len() < MAX_FAILURES {
            self.failures
                .push(format!("{:.3} s: {what}", now.as_secs_f64()));
        }
    }
}

/// Failures that are kept: the first says what to look at.
pub const MAX_FAILURES: usize = 12;
/// What counts as longest.
pub const LONGEST_MS: usize = 20_000;
