//! When a connection is closed that does nothing: a state machine over the time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From the connection's start, or a request's first byte, to the end of the request's head.
    pub(super) head: Duration,
    /// Between an answer and the next request.
    pub(super) idle: Duration,
    /// Without a byte either way while a request is under way.
    pub(super) stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: HEAD_TIMEOUT,
            idle: IDLE_TIMEOUT,
            stall: STALL_TIMEOUT,
        }
    }
}

/// What did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The end of a request's head.
    Head,
    /// Another request.
    Request,
    /// A byte of a request's body, or room for one of its answer's.
    Progress,
}

impl Missing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Request => "request",
            Self::Progress => "progress",
        }
    }
}

/// What a connection does. Shared by its ends; calls take a moment.
#[derive(Debug)]
pub(super) struct Activity {
    timeouts: Timeouts,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    read_at: Instant,
    wrote_at: Instant,
    requests: u32,
    /// Since when there has been no request under way.
    idle_since: Instant,
    /// The first byte since then.
    head_since: Option<Instant>,
    answered: bool,
    multiplexed: bool,
}

impl Activity {
    pub(super) fn new(timeouts: Timeouts, now: Instant) -> Self {
        Self {
            timeouts,
            state: Mutex::new(State {
                read_at: now,
                wrote_at: now,
                requests: 0,
                idle_since: now,
                head_since: None,
                answered: false,
                multiplexed: false,
            }),
        }
    }

    /// Bytes came.
    pub(super) fn handle_read(&self, now: Instant) {
        let mut state = self.state();
        state.read_at = now;
        if state.requests == 0 {
            state.head_since.get_or_insert(now);
        }
    }

    /// Bytes went.
    pub(super) fn handle_write(&self, now: Instant) {
        self.state().wrote_at = now;
    }

    /// A request's head is complete. `multiplexed`: the connection carries several at once, and
    /// bytes that belong to none.
    pub(super) fn handle_request(&self, multiplexed: bool, now: Instant) {
        let mut state = self.state();
        state.requests += 1;
        state.multiplexed = multiplexed;
        state.read_at = now;
        state.head_since = None;
    }

    /// A request's answer is sent, or given up.
    pub(super) fn handle_answered(&self, now: Instant) {
        let mut state = self.state();
        state.requests = state.requests.saturating_sub(1);
        state.answered = true;
        if state.requests == 0 {
            state.idle_since = now;
        }
    }

    /// When the connection is to be closed unless something happens, and for want of what.
    pub(super) fn poll_timeout(&self) -> (Instant, Missing) {
        let state = self.state();
        let Timeouts { head, idle, stall } = self.timeouts;
        if state.requests > 0 {
            let moved_at = state.read_at.max(state.wrote_at);
            return (moved_at + stall, Missing::Progress);
        }
        match state.head_since {
            _ if state.multiplexed => (state.idle_since + idle, Missing::Request),
            Some(since) => (since + head, Missing::Head),
            // The last answer may still be on its way, from the system's or hyper's memory.
            None if state.answered => {
                let since = state.idle_since.max(state.wrote_at);
                (since + idle, Missing::Request)
            }
            None => (state.idle_since + head, Missing::Head),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A head is a packet or two; who needs longer has a line on which nothing could be played.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than proxies keep their connections (nginx: 60 s), so that it is they who close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A waiting call is silent for up to 25 s, and any call is given up soon after.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_connection_that_says_nothing_has_as_long_as_a_head() {
        let start = Instant::now();
        let activity = Activity::new(Timeouts::default(), start);
        assert_eq!(
            activity.poll_timeout(),
            (start + HEAD_TIMEOUT, Missing::Head)
        );
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_gains_nothing_by_it() {
        let start = Instant::now();
        let activity = Activity::new(Timeouts::default(), start);
        for second in 1..9 {
            activity.handle_read(start + seconds(second));
        }
        let (at, missing) = activity.poll_timeout();
        assert_eq!(
            (at, missing),
            (start + seconds(1) + HEAD_TIMEOUT, Missing::Head)
        );
    }

    #[test]
    fn between_requests_there_is_more_time_until_the_next_begins() {
        let start = Instant::now();
        let activity = Activity::new(Timeouts::default(), start);
        activity.handle_read(start);
        activity.handle_request(false, start);
        assert_eq!(
            activity.poll_timeout(),
            (start + STALL_TIMEOUT, Missing::Progress)
        );
        activity.handle_write(start + seconds(20));
        assert_eq!(
            activity.poll_timeout().0,
            start + seconds(20) + STALL_TIMEOUT
        );
        activity.handle_answered(start + seconds(20));
        assert_eq!(
            activity.poll_timeout(),
            (start + seconds(20) + IDLE_TIMEOUT, Missing::Request)
        );
        activity.handle_write(start + seconds(25));
        assert_eq!(
            activity.poll_timeout().0,
            start + seconds(25) + IDLE_TIMEOUT,
            "the answer's last bytes"
        );
        activity.handle_read(start + seconds(30));
        assert_eq!(
            activity.poll_timeout(),
            (start + seconds(30) + HEAD_TIMEOUT, Missing::Head)
        );
    }

    #[test]
    fn bytes_beside_requests_keep_no_multiplexed_connection_open_and_close_none_early() {
        let start = Instant::now();
        let activity = Activity::new(Timeouts::default(), start);
        activity.handle_request(true, start);
        activity.handle_request(true, start);
        activity.handle_answered(start + seconds(1));
        assert_eq!(activity.poll_timeout().1, Missing::Progress);
        activity.handle_answered(start + seconds(2));
        activity.handle_read(start + seconds(40));
        assert_eq!(
            activity.poll_timeout(),
            (start + seconds(2) + IDLE_TIMEOUT, Missing::Request)
        );
    }
}
