//! The reliable link: loss becomes delay.

use std::time::Duration;

use crate::config::LinkConfig;
use crate::line::Line;
use crate::link::{LinkStats, MAX_IN_FLIGHT, OnTheWay, Payload};

/// One direction of a reliable, ordered channel over a line that loses.
///
/// What is lost is sent again after a timeout that doubles, as SCTP's does (RFC 9260, section 6.3),
/// and everything behind it waits. Acknowledgements are not modelled: the sender knows at the
/// timeout whether a message got through. Nor is fast retransmission, so that a single loss costs
/// more here than on a busy channel. A message that is lost [`MAX_ATTEMPTS`] times in a row breaks
/// the channel, as it ends an SCTP association: nothing arrives any more until it is made afresh
/// ([`ReliableLink::reset`]). What becomes of a message is decided when it is sent, so a change of
/// the configuration concerns later ones.
#[derive(Clone, Debug)]
pub struct ReliableLink<P = Vec<u8>> {
    line: Line,
    retransmission: Retransmission,
    on_the_way: OnTheWay<P>,
    latest: Duration,
    broken: bool,
    stats: LinkStats,
    retransmissions: u64,
}

/// When something that was lost is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// After how long the first time.
    pub first: Duration,
    /// The timeout doubles up to this.
    pub most: Duration,
}

impl Default for Retransmission {
    /// SCTP's least timeout and its doubling: 1, 3, 7 … seconds after the message was first sent.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
        }
    }
}

impl<P: Payload> ReliableLink<P> {
    /// A channel without anything on its way.
    pub fn new(config: LinkConfig, retransmission: Retransmission, seed: u64) -> Self {
        Self {
            line: Line::new(config, seed),
            retransmission,
            on_the_way: OnTheWay::default(),
            latest: Duration::ZERO,
            broken: false,
            stats: LinkStats::default(),
            retransmissions: 0,
        }
    }

    /// Changes what the line does to messages that are sent from now on.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.line.config = config;
    }

    /// What the line does to messages.
    pub fn config(&self) -> &LinkConfig {
        &self.line.config
    }

    /// Sends a message.
    pub fn send(&mut self, now: Duration, payload: P) {
        self.stats.sent += 1;
        self.stats.sent_bytes += payload.size() as u64;
        if self.broken || self.on_the_way.len() >= MAX_IN_FLIGHT {
            self.stats.overflowed += 1;
            return;
        }
        let (mut at, mut timeout) = (now, self.retransmission.first);
        for _ in 0..MAX_ATTEMPTS {
            match self.line.pass(at, payload.size()).arrives {
                Ok(arrives) => {
                    self.latest = self.latest.max(arrives);
                    self.on_the_way.push(self.latest, payload);
                    return;
                }
                Err(loss) => self.stats.count(loss),
            }
            self.retransmissions += 1;
            at = at.saturating_add(timeout);
            timeout = timeout.saturating_mul(2).min(self.retransmission.most);
        }
        self.broken = true;
    }

    /// The next message that has arrived by now, in the order in which they were sent.
    pub fn poll(&mut self, now: Duration) -> Option<P> {
        let payload = self.on_the_way.pop(now)?;
        self.stats.delivered += 1;
        Some(payload)
    }

    /// When the next message arrives; `None` while nothing is on its way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.on_the_way.next_at()
    }

    /// Makes the channel afresh: what is on its way is lost, and it is not broken any more.
    pub fn reset(&mut self, now: Duration) {
        self.on_the_way.clear();
        self.latest = now;
        self.broken = false;
    }

    /// Whether a message was lost too often, so that nothing sent after it will arrive.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// What was counted so far; a message counts as lost each time that it is.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// How often something was sent again.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions
    }
}

/// How often a message is sent before the channel counts as broken: SCTP's
/// `Association.Max.Retrans` (RFC 9260, section 16).
pub const MAX_ATTEMPTS: u32 = 10;
