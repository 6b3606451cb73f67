//! How much of the lossy channel waits on the line, and since when.
//!
//! A bound in bytes alone is too small for a burst, such as one packet for each player at every
//! tick, or too large for a slow line, where what waits is stale before it leaves. So little may
//! wait always, and more as long as all of it is young.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Lossy bytes that were written and that the server has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    written: u64,
    /// When bytes were written, and how many there were in all by then; those that are not
    /// acknowledged.
    marks: VecDeque<(Instant, u64)>,
}

impl Backlog {
    /// Whether the line has room for another `len` bytes while `buffered` wait.
    pub(super) fn has_room(&mut self, len: usize, buffered: usize, now: Instant) -> bool {
        let acknowledged = self.written.saturating_sub(buffered as u64);
        while self
            .marks
            .front()
            .is_some_and(|(_, by_then)| *by_then <= acknowledged)
        {
            self.marks.pop_front();
        }
        let is_young = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) <= YOUNG;
        let bound = match self.marks.front().is_none_or(is_young) {
            true => LOSSY_BURST,
            false => LOSSY_BUFFER,
        };
        buffered + len <= bound
    }

    pub(super) fn written(&mut self, len: usize, now: Instant) {
        self.written += len as u64;
        let full = self.marks.len() >= MAX_MARKS;
        match self.marks.back_mut() {
            Some((at, by_then)) if full || now.saturating_duration_since(*at) < GRAIN => {
                *by_then = self.written;
            }
            _ => self.marks.push_back((now, self.written)),
        }
    }
}

/// Lossy bytes on their way that are always allowed. More would only be older when they arrive: at
/// 60 packets of 1 kB a second this is half a second.
pub(super) const LOSSY_BUFFER: usize = 32 * 1024;

/// Those that are allowed while all of them are young: a tick's packets of 1 kB for 250 players.
pub(super) const LOSSY_BURST: usize = 256 * 1024;

/// Long for a burst on its way to the server, and short for state.
const YOUNG: Duration = Duration::from_millis(100);

/// How exactly the age is known, and for how many steps of it.
const GRAIN: Duration = Duration::from_millis(1);
const MAX_MARKS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_burst_has_room_and_a_backlog_has_not() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        assert!(backlog.has_room(LOSSY_BURST, 0, start));
        assert!(!backlog.has_room(LOSSY_BURST + 1, 0, start));
        backlog.written(100_000, start);
        assert!(backlog.has_room(1_000, 100_000, start + YOUNG));
        let later = start + YOUNG + ms(1);
        assert!(!backlog.has_room(1_000, 100_000, later));
        assert!(backlog.has_room(1_000, 30_000, later), "little may be old");
    }

    #[test]
    fn what_was_acknowledged_is_not_old() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        for at in 0..1_000 {
            let now = start + ms(at);
            // As much is always on the line, and for 50 ms.
            let buffered = usize::try_from(at.min(50)).unwrap_or(0) * 2_000;
            assert!(backlog.has_room(2_000, buffered, now), "at {at} ms");
            backlog.written(2_000, now);
        }
        assert!(backlog.marks.len() <= 52);
    }

    #[test]
    fn marks_are_bounded() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        for at in 0..10_000 {
            backlog.written(1, start + ms(at));
        }
        assert!(backlog.marks.len() <= MAX_MARKS);
        assert!(!backlog.has_room(30_000, 10_000, start + ms(10_000)));
    }
}
