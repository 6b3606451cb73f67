//! What a step does besides changing the state.

use std::marker::PhantomData;

use gs_engine::abi::{MAX_EFFECTS_BYTES, MAX_EVENTS, MAX_LOG_LINES, MAX_STATISTICS};
use gs_engine::simulation::{
    Effects as RawEffects, EventAudience, GameEvent, LogLevel, LogLine, MatchResult, Outcome, Slot,
    SlotResult,
};

use crate::Message;

/// Collects what a tick tells the players, the log and the backend.
///
/// A tick carries at most 256 events, 64 log lines and some 40 KiB in all. What goes beyond is
/// dropped, and a warning in the log says so.
#[derive(Debug)]
pub struct Effects<E> {
    raw: RawEffects,
    bytes: usize,
    dropped: usize,
    events: PhantomData<fn(E)>,
}

impl<E: Message> Effects<E> {
    /// Tells everyone, spectators too.
    pub fn send(&mut self, event: E) {
        self.push(EventAudience::All, &event);
    }

    /// Tells one player.
    pub fn send_to(&mut self, slot: Slot, event: E) {
        self.push(EventAudience::Slot(slot), &event);
    }

    /// Tells one team.
    pub fn send_to_team(&mut self, team: u8, event: E) {
        self.push(EventAudience::Team(team), &event);
    }

    /// Writes a line to the server's log; beyond 1,000 bytes it is cut.
    pub fn log(&mut self, level: LogLevel, text: impl Into<String>) {
        let mut text: String = text.into();
        text.truncate(text.floor_char_boundary(MAX_LINE_BYTES));
        // One line stays free for the warning about what was dropped.
        if self.raw.log.len() + 1 < MAX_LOG_LINES && self.has_room_for(text.len()) {
            self.raw.log.push(LogLine { level, text });
        } else {
            self.dropped += 1;
        }
    }

    /// Ends the match. A higher [`rank`](Standing::rank) gives a better placement and equal ranks
    /// are a draw. What a game does after the first call is ignored.
    ///
    /// # Panics
    /// Where a slot is listed twice or beyond 63, or has more than 16 statistics, or a statistic's
    /// name is not 1–32 of `[a-z0-9_]`.
    pub fn finish(&mut self, outcome: Outcome, standings: impl IntoIterator<Item = Standing>) {
        if self.raw.result.is_none() {
            self.raw.result = Some(place(outcome, standings.into_iter().collect()));
        }
    }

    /// Whether the match has ended.
    pub fn is_finished(&self) -> bool {
        self.raw.result.is_some()
    }

    pub(crate) fn new(mut raw: RawEffects) -> Self {
        raw.clear();
        Self {
            raw,
            bytes: 0,
            dropped: 0,
            events: PhantomData,
        }
    }

    pub(crate) fn into_raw(mut self) -> RawEffects {
        if self.dropped > 0 {
            let text = format!("{} events or log lines did not fit the tick", self.dropped);
            self.raw.log.push(LogLine {
                level: LogLevel::Warn,
                text,
            });
        }
        self.raw
    }

    fn push(&mut self, to: EventAudience, event: &E) {
        if cfg!(debug_assertions)
            && let Err(fault) = event.check_ranges()
        {
            panic!("event {fault}; outside of a debug build its nearest end would be sent");
        }
        let mut data = Vec::new();
        event.encode(&mut data);
        if self.raw.events.len() < MAX_EVENTS && self.has_room_for(data.len()) {
            self.raw.events.push(GameEvent { to, data });
        } else {
            self.dropped += 1;
        }
    }

    fn has_room_for(&mut self, len: usize) -> bool {
        let bytes = self.bytes + len + ITEM_BYTES;
        let fits = bytes <= MAX_BYTES;
        if fits {
            self.bytes = bytes;
        }
        fits
    }
}

/// How one player did, for [`Effects::finish`].
#[derive(Clone, Debug)]
pub struct Standing {
    slot: Slot,
    score: i32,
    rank: i32,
    team: Option<u8>,
    statistics: Vec<(&'static str, i32)>,
}

impl Standing {
    /// A player with a score, which is the rank too unless [`rank`](Self::rank) says otherwise.
    pub fn new(slot: Slot, score: i32) -> Self {
        Self {
            slot,
            score,
            rank: score,
            team: None,
            statistics: Vec::new(),
        }
    }

    /// What the placement follows from, where it is not the score: higher is better.
    pub fn rank(mut self, rank: i32) -> Self {
        self.rank = rank;
        self
    }

    /// The player's team.
    pub fn team(mut self, team: u8) -> Self {
        self.team = Some(team);
        self
    }

    /// Adds a number that the backend adds up over matches; the name is 1–32 of `[a-z0-9_]`.
    pub fn statistic(mut self, name: &'static str, value: i32) -> Self {
        self.statistics.push((name, value));
        self
    }
}

/// Standard competition ranking: 1, 2, 2, 4.
fn place(outcome: Outcome, mut standings: Vec<Standing>) -> MatchResult {
    standings.sort_by_key(|standing| standing.slot);
    for pair in standings.windows(2) {
        assert!(
            pair[0].slot != pair[1].slot,
            "slot {} is in the result twice",
            pair[0].slot
        );
    }
    let ranks: Vec<i32> = standings.iter().map(|standing| standing.rank).collect();
    let slots = standings.into_iter().map(|standing| {
        check_standing(&standing);
        let better = ranks.iter().filter(|rank| **rank > standing.rank).count();
        let statistics = standing
            .statistics
            .iter()
            .map(|(name, value)| (name.to_string(), *value));
        SlotResult {
            slot: standing.slot,
            placement: better as u8 + 1,
            team: standing.team,
            score: standing.score,
            statistics: statistics.collect(),
        }
    });
    MatchResult {
        outcome,
        slots: slots.collect(),
    }
}

fn check_standing(standing: &Standing) {
    let Standing {
        slot, statistics, ..
    } = standing;
    assert!(
        usize::from(*slot) < gs_engine::manifest::MAX_SLOTS,
        "slot {slot} is beyond 63"
    );
    assert!(
        statistics.len() <= MAX_STATISTICS,
        "slot {slot} has more than 16 statistics"
    );
    for (name, _) in statistics {
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
        assert!(
            (1..=32).contains(&name.len()) && name.bytes().all(allowed),
            "statistic `{name}` has a name other than 1 to 32 of a-z, 0-9 and _"
        );
    }
}

/// Longest log line in bytes: enough for a sentence with numbers, and 64 of them fit beside events.
const MAX_LINE_BYTES: usize = 1000;
/// Bytes of a tick's events and log lines: what is left of the ABI's 64 KiB after the largest
/// result, 64 slots of some 600 bytes, would be too tight, so results are bounded by this share.
const MAX_BYTES: usize = MAX_EFFECTS_BYTES * 5 / 8;
/// What an event or log line takes besides its own bytes, at most.
const ITEM_BYTES: usize = 4;
