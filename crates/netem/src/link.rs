//! The lossy link, and the queue of what is on its way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::config::LinkConfig;
use crate::line::{Line, Loss};

/// What a link carries: anything that can be copied and says how large it is.
pub trait Payload: Clone {
    /// Its size on the wire in bytes, for [`Rate`](crate::Rate).
    fn size(&self) -> usize;
}

impl<T: AsRef<[u8]> + Clone> Payload for T {
    fn size(&self) -> usize {
        self.as_ref().len()
    }
}

/// One direction of a line that loses, delays, repeats and reorders.
#[derive(Clone, Debug)]
pub struct Link<P = Vec<u8>> {
    line: Line,
    on_the_way: OnTheWay<P>,
    latest: Duration,
    stats: LinkStats,
}

/// What a link has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets that were handed in.
    pub sent: u64,
    /// Bytes that were handed in.
    pub sent_bytes: u64,
    /// Packets that came out, copies included.
    pub delivered: u64,
    /// Packets that were lost by chance, alone or in a burst.
    pub lost: u64,
    /// Packets that were lost in an outage.
    pub lost_in_outage: u64,
    /// Packets that found no room, in the rate's queue or among [`MAX_IN_FLIGHT`].
    pub overflowed: u64,
    /// Packets that were sent on twice.
    pub duplicated: u64,
}

impl<P: Payload> Link<P> {
    /// A link without anything on its way.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            line: Line::new(config, seed),
            on_the_way: OnTheWay::default(),
            latest: Duration::ZERO,
            stats: LinkStats::default(),
        }
    }

    /// Changes what the link does to packets that are sent from now on.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.line.config = config;
    }

    /// What it does to packets.
    pub fn config(&self) -> &LinkConfig {
        &self.line.config
    }

    /// Sends a packet.
    pub fn send(&mut self, now: Duration, payload: P) {
        self.stats.sent += 1;
        self.stats.sent_bytes += payload.size() as u64;
        let passage = self.line.pass(now, payload.size());
        let mut arrives = match passage.arrives {
            Ok(arrives) => arrives,
            Err(loss) => return self.stats.count(loss),
        };
        if self.line.config.keep_order {
            arrives = arrives.max(self.latest);
            self.latest = arrives;
        }
        // A copy that would come before what it copies is just as good behind it.
        if let Some(again) = passage.again
            && self.on_the_way.len() + 1 < MAX_IN_FLIGHT
        {
            self.stats.duplicated += 1;
            self.on_the_way.push(arrives, payload.clone());
            self.on_the_way.push(again.max(arrives), payload);
            return;
        }
        if self.on_the_way.len() < MAX_IN_FLIGHT {
            self.on_the_way.push(arrives, payload);
        } else {
            self.stats.overflowed += 1;
        }
    }

    /// The next packet that has arrived by now.
    pub fn poll(&mut self, now: Duration) -> Option<P> {
        let payload = self.on_the_way.pop(now)?;
        self.stats.delivered += 1;
        Some(payload)
    }

    /// When the next packet arrives; `None` while nothing is on its way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.on_the_way.next_at()
    }

    /// Forgets what is on its way, as when a connection is made afresh.
    pub fn clear(&mut self) {
        self.on_the_way.clear();
    }

    /// What was counted so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }
}

impl LinkStats {
    pub(crate) fn count(&mut self, loss: Loss) {
        match loss {
            Loss::Random => self.lost += 1,
            Loss::Queue => self.overflowed += 1,
            Loss::Outage => self.lost_in_outage += 1,
        }
    }
}

/// Packets by when they arrive, and among those of one time by when they were sent.
#[derive(Clone, Debug)]
pub(crate) struct OnTheWay<P> {
    packets: BinaryHeap<Reverse<Packet<P>>>,
    count: u64,
}

#[derive(Clone, Debug)]
struct Packet<P> {
    key: (Duration, u64),
    payload: P,
}

impl<P> Default for OnTheWay<P> {
    fn default() -> Self {
        Self {
            packets: BinaryHeap::new(),
            count: 0,
        }
    }
}

impl<P> OnTheWay<P> {
    pub(crate) fn push(&mut self, at: Duration, payload: P) {
        self.count += 1;
        let key = (at, self.count);
        self.packets.push(Reverse(Packet { key, payload }));
    }

    pub(crate) fn pop(&mut self, now: Duration) -> Option<P> {
        let due = self.next_at()? <= now;
        let Reverse(packet) = due.then(|| self.packets.pop())??;
        Some(packet.payload)
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.packets.peek().map(|Reverse(packet)| packet.key.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
    }
}

impl<P> PartialEq for Packet<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<P> Eq for Packet<P> {}

impl<P> PartialOrd for Packet<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Packet<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Most packets on their way at once: more than a second of a room's whole traffic. Beyond it the
/// link loses what is sent, so that a link of hours holds no more than this.
pub const MAX_IN_FLIGHT: usize = 4_096;
