//! Relays where no direct way is open, or none is wanted.

use super::peer::{Peer, Role, Taken};
use super::{CloseReason, Connection, Duration, IcePolicy, Request, Transmit, proto};
use crate::turn::{RelayEvent, RelayId, RelayRequest, Relays};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// The TURN servers of a session, and what was allocated there for each peer connection.
#[derive(Debug)]
pub(super) struct Relaying {
    publisher: Relays,
    subscriber: Relays,
    servers: Vec<proto::IceServer>,
    /// The server wants nothing but relays.
    forced: bool,
    /// When to look for relays, unless datagrams get through without.
    fallback: Option<Instant>,
    /// A direct way did not open in time in this stay.
    needed: bool,
}

impl Relaying {
    pub(super) fn new(seed: u64) -> Self {
        Relaying {
            publisher: Relays::new(seed, 0),
            subscriber: Relays::new(seed, SUBSCRIBER_IDS),
            servers: Vec::new(),
            forced: false,
            fallback: None,
            needed: false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let relays = [
            self.publisher.poll_timeout(),
            self.subscriber.poll_timeout(),
        ];
        relays.into_iter().flatten().chain(self.fallback).min()
    }

    fn each(&mut self) -> [&mut Relays; 2] {
        [&mut self.publisher, &mut self.subscriber]
    }

    fn of(&mut self, role: Role) -> &mut Relays {
        match role {
            Role::Publisher => &mut self.publisher,
            Role::Subscriber => &mut self.subscriber,
        }
    }

    fn by_id(&mut self, id: RelayId) -> &mut Relays {
        match id.number() < SUBSCRIBER_IDS {
            true => &mut self.publisher,
            false => &mut self.subscriber,
        }
    }

    /// Gives everything back.
    pub(super) fn release(&mut self) {
        self.fallback = None;
        for relays in self.each() {
            relays.release();
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.each().into_iter().find_map(Relays::poll_transmit)
    }
}

impl Connection {
    /// What has to be done to reach a TURN server. Where this is never asked for, only TURN
    /// servers with an IP address and UDP are used.
    pub fn poll_relay(&mut self) -> Option<RelayRequest> {
        self.drive_if_dirty();
        let mut relays = self.relaying.each().into_iter();
        relays.find_map(Relays::poll_request)
    }

    /// The next message for the stream to a TURN server. Where the stream is slow, a whole
    /// message may be dropped, as a datagram may.
    pub fn poll_relay_transmit(&mut self) -> Option<(RelayId, Vec<u8>)> {
        self.drive_if_dirty();
        let mut relays = self.relaying.each().into_iter();
        relays.find_map(Relays::poll_stream_transmit)
    }

    /// The name of a [`RelayRequest::Resolve`] has these addresses; none where there is no such
    /// name.
    pub fn handle_relay_resolved(&mut self, id: RelayId, found: &[SocketAddr], now: Instant) {
        self.with_relays(id, now, |relays| relays.handle_resolved(id, found, now));
    }

    /// The stream of a [`RelayRequest::Open`] is open, to a server with this address.
    pub fn handle_relay_open(&mut self, id: RelayId, server: IpAddr, now: Instant) {
        self.with_relays(id, now, |relays| relays.handle_open(id, server, now));
    }

    /// Bytes arrived over a stream, however they are cut.
    pub fn handle_relay_data(&mut self, id: RelayId, bytes: &[u8], now: Instant) {
        self.with_relays(id, now, |relays| relays.handle_stream(id, bytes, now));
    }

    /// A stream could not be opened, or has ended.
    pub fn handle_relay_lost(&mut self, id: RelayId, now: Instant) {
        self.with_relays(id, now, |relays| relays.handle_lost(id, now));
    }

    fn with_relays(&mut self, id: RelayId, now: Instant, act: impl FnOnce(&mut Relays)) {
        if self.closed {
            return;
        }
        self.now = now;
        act(self.relaying.by_id(id));
        self.drive();
    }

    /// The addresses that may be candidates by themselves.
    pub(super) fn direct<'a>(&self, local: &'a [SocketAddr]) -> &'a [SocketAddr] {
        match self.config.ice == IcePolicy::Relay || self.relaying.forced {
            true => &[],
            false => local,
        }
    }

    /// The server names its TURN servers, with a new session or with a new path for one.
    pub(super) fn learn_relays(
        &mut self,
        servers: &[proto::IceServer],
        configuration: Option<&proto::ClientConfiguration>,
    ) {
        self.relaying.servers = servers.iter().take(MAX_SERVERS).cloned().collect();
        let forced = configuration.is_some_and(|configuration| {
            configuration.force_relay() == proto::ClientConfigSetting::Enabled
        });
        if forced && !self.relaying.forced {
            self.relaying.forced = true;
            // The server has their candidates already, and answers nothing there.
            let kept = self.publisher.set_local_addresses(&[]);
            debug_assert!(kept.is_ok(), "no address can be wrong");
        }
    }

    /// Looks for relays now if they are wanted or were needed before, else when datagrams have
    /// not got through for a while.
    pub(super) fn gather_relays(&mut self) {
        let only = self.config.ice == IcePolicy::Relay || self.relaying.forced;
        if only || self.relaying.needed {
            self.gather_now();
        } else {
            self.relaying.fallback = Some(self.now + FALLBACK);
        }
    }

    fn gather_now(&mut self) {
        self.relaying.fallback = None;
        let relaying = &mut self.relaying;
        relaying
            .publisher
            .gather(&relaying.servers, &self.local, self.now);
        self.publisher.remove_relayed();
        if let Some(subscriber) = &mut self.subscriber {
            let local = &self.subscriber_local;
            relaying
                .subscriber
                .gather(&relaying.servers, local, self.now);
            subscriber.remove_relayed();
        }
        self.dirty = true;
    }

    pub(super) fn relays_timeout(&mut self) {
        let now = self.now;
        for relays in self.relaying.each() {
            relays.handle_timeout(now);
        }
        if self.relaying.fallback.is_some_and(|at| now >= at) {
            self.relaying.fallback = None;
            let subscriber = self.subscriber.as_ref();
            let direct = self.publisher.is_ice_connected()
                && (!self.two || subscriber.is_some_and(Peer::is_ice_connected));
            if !direct {
                tracing::debug!("no datagrams get through so far; looking for a relay");
                self.relaying.needed = true;
                self.gather_now();
            }
        }
    }

    /// True if the datagram came from a TURN server.
    pub(super) fn relays_take(
        &mut self,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> bool {
        let now = self.now;
        let mut relays = self.relaying.each().into_iter();
        relays.any(|relays| relays.handle_datagram(local, from, datagram, now))
    }

    /// Hands on what the relays received and what became of them.
    pub(super) fn drive_relays(&mut self) {
        for role in [Role::Publisher, Role::Subscriber] {
            self.stats.foreign_datagrams += self.relaying.of(role).take_malformed();
            while let Some(received) = self.relaying.of(role).poll_received() {
                let now = self.now;
                let taken = self.peers().find(|peer| peer.role() == role).map(|peer| {
                    peer.handle_datagram(received.relayed, received.peer, &received.contents, now)
                });
                if taken != Some(Taken::Yes) {
                    self.stats.foreign_datagrams += 1;
                }
            }
            while let Some(event) = self.relaying.of(role).poll_event() {
                self.handle_relay_event(role, event);
            }
        }
    }

    fn handle_relay_event(&mut self, role: Role, event: RelayEvent) {
        let now = self.now;
        match event {
            RelayEvent::Allocated { relayed, local } => {
                let peer = self.peers().find(|peer| peer.role() == role);
                let candidate = peer.and_then(|peer| {
                    let candidate = peer.add_relayed(relayed, local);
                    // The transport has to see the time after each change to it.
                    peer.handle_timeout(now);
                    candidate
                });
                let Some(candidate) = candidate else {
                    return;
                };
                let init = serde_json::json!({
                    "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0,
                });
                self.signal(Request::Trickle(proto::TrickleRequest {
                    candidate_init: init.to_string(),
                    target: match role {
                        Role::Publisher => proto::SignalTarget::Publisher as i32,
                        Role::Subscriber => proto::SignalTarget::Subscriber as i32,
                    },
                    r#final: false,
                }));
            }
            RelayEvent::Lost { error, .. } => {
                // Silence follows where it was in use, and the connection looks for a new path.
                tracing::debug!(%error, "a relay was lost");
            }
            RelayEvent::Failed(error) => {
                tracing::debug!(%error, "no TURN server can be used");
                let only = self.config.ice == IcePolicy::Relay || self.relaying.forced;
                if only && !self.joined {
                    self.close(CloseReason::NoRelay(error));
                }
            }
        }
    }

    /// Sends what is to leave from a relayed address through its TURN server.
    pub(super) fn relay_transmits(&mut self) {
        let now = self.now;
        let relaying = &mut self.relaying;
        if !relaying.publisher.is_active() && !relaying.subscriber.is_active() {
            return;
        }
        let mut direct = VecDeque::with_capacity(self.transmits.len());
        for transmit in self.transmits.drain(..) {
            let mut relays = relaying.each().into_iter();
            match relays.find(|relays| relays.is_relayed(transmit.source)) {
                Some(relays) => {
                    let Transmit {
                        source,
                        destination,
                        contents,
                    } = transmit;
                    relays.send(source, destination, &contents, now);
                }
                None => direct.push_back(transmit),
            }
        }
        self.transmits = direct;
    }
}

/// Ids of the second peer connection's relays begin here; the first one's never come so far.
const SUBSCRIBER_IDS: u64 = 1 << 32;

/// A direct path opens within a few round trips.
const FALLBACK: Duration = Duration::from_secs(1);

/// LiveKit names a handful.
const MAX_SERVERS: usize = 16;
