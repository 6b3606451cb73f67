//! Asks a silent link whether it still works.
//!
//! The ICE agent's own checks (RFC 8445, section 11) come too rarely to tell a lost packet from a
//! lost link within a second. So once nothing has arrived for a moment, the same kind of check,
//! a STUN binding request to the server's address, is sent here until something arrives.

use super::watchdog::QUIET;
use crate::{Transmit, crypto};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::ice::{StunMessage, TransId};

#[derive(Debug, Default)]
pub(super) struct Prober {
    local: Option<Credentials>,
    remote: Option<Credentials>,
    /// Which role to claim: the server answers one that takes its own with an error.
    controlling: bool,
    /// From and to where the transport sends data.
    route: Option<(SocketAddr, SocketAddr)>,
    last: Option<Instant>,
    /// Those that may still be answered.
    sent: VecDeque<TransId>,
}

#[derive(Debug)]
struct Credentials {
    ufrag: String,
    pwd: String,
}

impl Prober {
    /// The descriptions of both sides, and whether this one made the offer.
    pub(super) fn set_descriptions(&mut self, local: &str, remote: &str, offered: bool) {
        self.local = Credentials::of(local);
        self.remote = Credentials::of(remote);
        // RFC 8445, section 6.1.1.
        self.controlling = offered || remote.lines().any(|line| line.trim() == "a=ice-lite");
    }

    /// Learns from what the transport sends where the server is.
    pub(super) fn observe(&mut self, transmit: &Transmit) {
        let is_stun = transmit.contents.first().is_some_and(|first| *first < 4);
        if !is_stun {
            self.route = Some((transmit.source, transmit.destination));
        }
    }

    /// True if the datagram answers a probe.
    pub(super) fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        if self.sent.is_empty() || datagram.first().is_none_or(|first| *first >= 4) {
            return false;
        }
        if self.route.is_none_or(|(_, server)| server != from) {
            return false;
        }
        let Ok(message) = StunMessage::parse(datagram) else {
            return false;
        };
        // Nobody else knows the number, which is 96 bits long.
        let answers =
            message.is_successful_binding_response() && self.sent.contains(&message.trans_id());
        if answers {
            self.sent.clear();
        }
        answers
    }

    /// When to ask, `stretch` times more rarely than usual.
    pub(super) fn timeout(&self, last_datagram: Instant, stretch: u32) -> Instant {
        let quiet = last_datagram + QUIET;
        let next = |last| quiet.max(last + INTERVAL * stretch);
        self.last.map_or(quiet, next)
    }

    /// The next probe, if it is due.
    pub(super) fn poll(
        &mut self,
        last_datagram: Instant,
        stretch: u32,
        now: Instant,
    ) -> Option<Transmit> {
        if now < self.timeout(last_datagram, stretch) {
            return None;
        }
        self.last = Some(now);
        let (source, destination) = self.route?;
        let (local, remote) = (self.local.as_ref()?, self.remote.as_ref()?);
        let number = TransId::new();
        let username = format!("{}:{}", remote.ufrag, local.ufrag);
        // Not a nomination, as the agent has chosen the path. The tie-breaker matters only where
        // both sides claim the same role.
        let request =
            StunMessage::binding_request(&username, number, self.controlling, 0, PRIORITY, false);
        let mut contents = vec![0; MAX_REQUEST];
        let len = request
            .to_bytes(Some(remote.pwd.as_bytes()), &mut contents, |key, parts| {
                crypto::transport().sha1_hmac_provider.sha1_hmac(key, parts)
            })
            .ok()?;
        contents.truncate(len);
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(number);
        Some(Transmit {
            source,
            destination,
            contents,
        })
    }
}

impl Credentials {
    fn of(sdp: &str) -> Option<Self> {
        let value = |key: &str| {
            let found = sdp.lines().find_map(|line| line.strip_prefix(key));
            found.map(|value| value.trim().to_owned())
        };
        let (ufrag, pwd) = (value("a=ice-ufrag:")?, value("a=ice-pwd:")?);
        // RFC 8839, section 5.4 allows no more.
        (ufrag.len() <= 256 && pwd.len() <= 256).then_some(Credentials { ufrag, pwd })
    }
}

const INTERVAL: Duration = Duration::from_millis(100);

/// That of a peer-reflexive candidate (RFC 8445, section 5.1.2), as checks have to carry.
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;

/// A header, two credentials of the longest kind, and five short attributes.
const MAX_REQUEST: usize = 700;

/// Two seconds' worth.
const MAX_SENT: usize = 20;
