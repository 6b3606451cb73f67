//! A line that is made worse on purpose, to feel and to test what comes of it.

use std::time::Duration;

use gs_client::Transmit;
use gs_netem::{Link, LinkConfig, Payload, ReliableLink, Retransmission};

/// Both directions of a player's line, each with a lossy and a reliable channel.
pub(crate) struct EmulatedLine {
    up: Channels<Transmit>,
    down: Channels<Inbound>,
}

/// A packet that came in, on its way to the client.
#[derive(Clone)]
pub(crate) struct Inbound {
    pub(crate) from: String,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

impl EmulatedLine {
    /// A line that adds `latency` to the round trip, half of it each way.
    pub(crate) fn new(latency: Duration, jitter: Duration, loss: f64, seed: u32) -> Self {
        let config = LinkConfig::half_of(latency, jitter, loss.clamp(0.0, 1.0));
        let seed = u64::from(seed);
        Self {
            up: Channels::new(&config, seed << 2),
            down: Channels::new(&config, (seed << 2) | 2),
        }
    }

    /// Changes the line for what is sent from now on.
    pub(crate) fn set(&mut self, latency: Duration, jitter: Duration, loss: f64) {
        let config = LinkConfig::half_of(latency, jitter, loss.clamp(0.0, 1.0));
        self.up.set(&config);
        self.down.set(&config);
    }

    /// A fresh connection: what is on its way is lost.
    pub(crate) fn reset(&mut self, now: Duration) {
        self.up.reset(now);
        self.down.reset(now);
    }

    pub(crate) fn send(&mut self, now: Duration, transmit: Transmit) {
        let reliable = transmit.reliable;
        self.up.send(now, Sizable(transmit), reliable);
    }

    pub(crate) fn poll_outbound(&mut self, now: Duration) -> Option<Transmit> {
        self.up.poll(now)
    }

    pub(crate) fn receive(&mut self, now: Duration, packet: Inbound, reliable: bool) {
        self.down.send(now, Sizable(packet), reliable);
    }

    pub(crate) fn poll_inbound(&mut self, now: Duration) -> Option<Inbound> {
        self.down.poll(now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        [self.up.poll_timeout(), self.down.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }
}

/// One direction.
struct Channels<P>
where
    Sizable<P>: Payload,
{
    lossy: Link<Sizable<P>>,
    reliable: ReliableLink<Sizable<P>>,
}

impl<P> Channels<P>
where
    Sizable<P>: Payload,
{
    fn new(config: &LinkConfig, seed: u64) -> Self {
        Self {
            lossy: Link::new(config.clone(), seed),
            reliable: ReliableLink::new(config.clone(), RETRANSMISSION, seed | 1),
        }
    }

    fn set(&mut self, config: &LinkConfig) {
        self.lossy.set_config(config.clone());
        self.reliable.set_config(config.clone());
    }

    fn reset(&mut self, now: Duration) {
        self.lossy.clear();
        self.reliable.reset(now);
    }

    fn send(&mut self, now: Duration, packet: Sizable<P>, reliable: bool) {
        if reliable {
            self.reliable.send(now, packet);
        } else {
            self.lossy.send(now, packet);
        }
    }

    fn poll(&mut self, now: Duration) -> Option<P> {
        let next = self.reliable.poll(now).or_else(|| self.lossy.poll(now));
        next.map(|Sizable(packet)| packet)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        [self.reliable.poll_timeout(), self.lossy.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }
}

/// A packet that says how large it is.
#[derive(Clone)]
struct Sizable<P>(P);

impl Payload for Sizable<Transmit> {
    fn size(&self) -> usize {
        self.0.payload.len()
    }
}

impl Payload for Sizable<Inbound> {
    fn size(&self) -> usize {
        self.0.payload.len()
    }
}

/// A busy channel notices a loss by what comes after it, in about a round trip, where SCTP's own
/// timer would take a second.
const RETRANSMISSION: Retransmission = Retransmission {
    first: Duration::from_millis(250),
    most: Duration::from_secs(8),
};
