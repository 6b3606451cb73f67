//! Pings over signalling, at the pace that the server names when joining.

use livekit_protocol::Ping;
use std::time::{Duration, Instant};

/// When to ping, and when to give up.
#[derive(Debug)]
pub(super) struct Keepalive {
    start: Instant,
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    deadline: Instant,
    sent: Option<Instant>,
    round_trip: Duration,
}

impl Keepalive {
    /// `interval` and `timeout` in seconds, as in `JoinResponse`; none if the server wants no
    /// pings.
    pub(super) fn new(interval: i32, timeout: i32, now: Instant) -> Option<Self> {
        let interval = u64::try_from(interval)
            .ok()
            .filter(|seconds| *seconds > 0)?;
        let timeout = u64::try_from(timeout).ok().filter(|seconds| *seconds > 0)?;
        let interval = Duration::from_secs(interval).min(MAX_PERIOD);
        let timeout = Duration::from_secs(timeout).min(MAX_PERIOD);
        Some(Keepalive {
            start: now,
            interval,
            timeout,
            next_ping: now + interval,
            deadline: now + timeout,
            sent: None,
            round_trip: Duration::ZERO,
        })
    }

    pub(super) fn timeout(&self) -> Instant {
        self.next_ping.min(self.deadline)
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        now >= self.deadline
    }

    /// The ping that is due, if one is. The server only returns the time stamp, so it counts
    /// from the join: no wall clock is needed.
    pub(super) fn poll_ping(&mut self, now: Instant) -> Option<Ping> {
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.interval;
        self.sent = Some(now);
        let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Some(Ping {
            timestamp: milliseconds(now.saturating_duration_since(self.start)),
            rtt: milliseconds(self.round_trip),
        })
    }

    pub(super) fn handle_pong(&mut self, now: Instant) {
        self.deadline = now + self.timeout;
        if let Some(sent) = self.sent.take() {
            self.round_trip = now.saturating_duration_since(sent);
        }
    }
}

/// Servers name 5 and 15 s; a bound keeps a strange answer from overflowing the clock.
const MAX_PERIOD: Duration = Duration::from_secs(3_600);
