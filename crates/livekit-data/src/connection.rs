//! The participant without sockets, clocks or tasks.

use crate::data_track::Tracks;
use crate::roster::Roster;
use crate::{
    Channel, CloseReason, Encoder, Event, Message, Permissions, SendError, Session, Stats,
};
use backlog::Backlog;
use keepalive::Keepalive;
use livekit_protocol as proto;
use outbox::Outbox;
use peer::{Carrier, Peer, RELIABLE_BUFFER, Role, Taken};
use prost::Message as _;
use proto::signal_request::Message as Request;
use recovery::{Recovery, Step, Strain};
use relaying::Relaying;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

mod backlog;
mod config;
mod keepalive;
mod lifecycle;
mod outbox;
mod peer;
mod probe;
mod recovery;
mod relaying;
mod request;
mod signals;
mod tracks;
mod transport;
mod watchdog;

pub use config::{
    Config, DataTracks, Dial, DialFailure, IcePolicy, PeerConnections, Reconnect, Token,
};

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The local address that it leaves from, one of those that the connection was given.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// What it holds.
    pub contents: Vec<u8>,
}

/// One stay in one room, as a state machine.
///
/// Feed it what arrives (`handle_…`), hand it packets ([`send`](Self::send)), and after each call
/// drain what it wants done (`poll_…`) until there is nothing left. It performs no I/O, reads no
/// clock and starts no task.
///
/// ```text
///                  ┌──────────────► closed ◄───────────────────┐
///                  │                  ▲                        │
///   joining ───────┴──► joined ───────┤ told to, or for good   │ out of time
///                       │    ▲        │                        │
///      signal or link   │    │ Resumed, Rejoined               │
///               is lost ▼    │                                 │
///                   recovering: resume ──refused, or stuck──► rejoin
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Config,
    local: Vec<SocketAddr>,
    subscriber_local: Vec<SocketAddr>,
    /// The local addresses have changed since the transport was made.
    moved: bool,
    /// The latest time that the caller named.
    now: Instant,
    /// Something was written that the transport has not been asked to send yet.
    dirty: bool,
    /// Whether there is a peer connection for each direction.
    two: bool,
    publisher: Peer,
    subscriber: Option<Peer>,
    outbox: Outbox,
    backlog: Backlog,
    /// Lossy messages that wait for room, by their keys.
    latest: VecDeque<(u64, Vec<u8>)>,
    session: Option<Session>,
    permissions: Permissions,
    roster: Roster,
    tracks: Tracks,
    /// Packets could be sent once.
    joined: bool,
    /// When to give up joining at first.
    join_until: Instant,
    /// The caller is opening a WebSocket.
    dialling: bool,
    signal_open: bool,
    keepalive: Option<Keepalive>,
    /// Interval and timeout of pings in seconds, as the server wants them.
    pings: (i32, i32),
    recovery: Option<Recovery>,
    strain: Strain,
    relaying: Relaying,
    /// When to leave at the latest, once leaving.
    leaving: Option<Instant>,
    /// Whether all that was sent reliably has arrived since leaving began.
    flushed: bool,
    /// When to give up waiting for the server's reason, once the transport has ended.
    ended: Option<Instant>,
    closed: bool,
    random: u64,
    stats: Stats,
    dial: Option<Dial>,
    transmits: VecDeque<Transmit>,
    signals: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// A connection could not be set up from this address.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot offer a connection from {local}: {reason}; bind a socket to one address of this machine, not to the unspecified one"
)]
pub struct OfferError {
    local: SocketAddr,
    reason: String,
}

impl Connection {
    /// A connection that will send and receive its datagrams at these addresses of bound UDP
    /// sockets.
    ///
    /// # Errors
    ///
    /// If one of them cannot be a candidate, such as `0.0.0.0`.
    pub fn new(config: Config, local: &[SocketAddr], now: Instant) -> Result<Self, OfferError> {
        let two = config.peer_connections == PeerConnections::Two;
        let direct = match config.ice {
            IcePolicy::All => local,
            IcePolicy::Relay => &[],
        };
        let mut connection = Connection {
            local: local.to_vec(),
            subscriber_local: Vec::new(),
            moved: false,
            now,
            dirty: true,
            two,
            publisher: Peer::new(Role::Publisher, direct, now)?,
            subscriber: None,
            outbox: Outbox::default(),
            backlog: Backlog::default(),
            latest: VecDeque::new(),
            session: None,
            permissions: Permissions::default(),
            roster: Roster::default(),
            tracks: Tracks::new(config.data_tracks, config.seed),
            joined: false,
            join_until: now + config.join_timeout,
            dialling: false,
            signal_open: false,
            keepalive: None,
            pings: (0, 0),
            recovery: None,
            strain: Strain::default(),
            relaying: Relaying::new(config.seed),
            leaving: None,
            flushed: false,
            ended: None,
            closed: false,
            random: config.seed,
            stats: Stats::default(),
            dial: None,
            transmits: VecDeque::new(),
            signals: VecDeque::new(),
            events: VecDeque::new(),
            config,
        };
        connection.dial_join();
        Ok(connection)
    }

    /// The WebSocket to open, if one is wanted: at the server's URL with this path and query, in
    /// place of the one before, of which nothing more is to be reported. Comes once at first, and
    /// again for each attempt to get back.
    pub fn poll_dial(&mut self) -> Option<Dial> {
        self.drive_if_dirty();
        // Where a second socket is missing, it comes first.
        if self.wants_subscriber_addresses() {
            return None;
        }
        let dial = self.dial.take();
        self.dialling |= dial.is_some();
        dial
    }

    /// Whether [`set_subscriber_addresses`](Self::set_subscriber_addresses) is to be called: with
    /// two peer connections, each needs sockets of its own.
    pub fn wants_subscriber_addresses(&self) -> bool {
        self.two && self.subscriber_local.is_empty() && !self.closed
    }

    /// The addresses of bound UDP sockets for the second peer connection.
    pub fn set_subscriber_addresses(&mut self, local: &[SocketAddr]) {
        self.subscriber_local = local.to_vec();
    }

    /// The machine's addresses have changed: datagrams go from these from now on, and a resume
    /// that is going on looks for a new path.
    ///
    /// # Errors
    ///
    /// If one of them cannot be a candidate.
    pub fn set_local_addresses(&mut self, local: &[SocketAddr]) -> Result<(), OfferError> {
        let direct = self.direct(local);
        self.publisher.set_local_addresses(direct)?;
        self.local = local.to_vec();
        self.moved = true;
        self.dirty = true;
        Ok(())
    }

    /// What is known of the room, once packets can be sent. After a rejoin it is that of the new
    /// session.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref().filter(|_| self.joined)
    }

    /// Makes messages for [`send`](Self::send); none before the room is joined.
    pub fn encoder(&self) -> Option<Encoder> {
        self.session()
            .map(|session| Encoder::new(&session.identity, &session.sid))
    }

    /// What this participant may do.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        Stats {
            tracks: self.tracks.stats,
            ..self.stats
        }
    }

    /// The WebSocket failed or was closed by the server.
    pub fn handle_signal_lost(&mut self, now: Instant) {
        if self.closed || !std::mem::take(&mut self.signal_open) {
            return;
        }
        self.now = now;
        self.signal_lost();
        self.drive();
    }

    /// Takes a datagram that arrived at the local address.
    pub fn handle_datagram(
        &mut self,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        if self.closed {
            return;
        }
        self.now = now;
        if self.relays_take(local, from, datagram) {
            self.drive();
            return;
        }
        let peer = match &mut self.subscriber {
            Some(subscriber) if subscriber.has_local_address(local) => subscriber,
            _ => &mut self.publisher,
        };
        match peer.handle_datagram(local, from, datagram, now) {
            Taken::Yes => self.drive(),
            Taken::No => self.stats.foreign_datagrams += 1,
        }
    }

    /// Time has passed; due at [`poll_timeout`](Self::poll_timeout), harmless at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.now = now;
        if let Some(keepalive) = &mut self.keepalive {
            if keepalive.is_dead(now) {
                tracing::debug!("no answer to pings within the server's timeout");
                self.signal_open = false;
                self.signal_lost();
            } else if let Some(ping) = keepalive.poll_ping(now) {
                self.signal(Request::PingReq(ping));
            }
        }
        for peer in self.peers() {
            peer.handle_timeout(now);
        }
        self.tracks.handle_timeout(now);
        self.relays_timeout();
        self.recover_if_due();
        self.drive();
    }

    /// Bytes of reliable messages that wait for room on the line.
    pub fn reliable_waiting(&self) -> usize {
        self.outbox.waiting_bytes()
    }

    /// Sends a message. A lossy one that the line has no room for is dropped and counted; a
    /// reliable one waits, also for a connection that is being recovered.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] for a reliable message while 512 kB of them wait,
    /// [`SendError::NotPermitted`] when the server has taken the permission away,
    /// [`SendError::Closed`] before joining and after leaving.
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.check_may_send()?;
        match message.channel {
            Channel::Lossy => {
                if !self.write_lossy(&message.bytes) {
                    self.stats.lossy_dropped_sending += 1;
                }
            }
            Channel::Reliable => {
                if self.outbox.waiting_bytes() >= RELIABLE_QUEUE {
                    return Err(SendError::Full);
                }
                let sequence = self.outbox.next_sequence();
                self.outbox.push(sequence, message.numbered(sequence));
                self.write_waiting();
            }
        }
        Ok(())
    }

    /// Sends a lossy message, and where the line has no room for it, holds it until there is,
    /// unless another with the same key takes its place: for state of which only the latest
    /// counts. A reliable one is sent as by [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_latest(&mut self, message: Message, key: u64) -> Result<(), SendError> {
        if message.channel == Channel::Reliable {
            return self.send(message);
        }
        self.check_may_send()?;
        let waiting = self.latest.iter().position(|(known, _)| *known == key);
        let replaced = waiting.and_then(|at| self.latest.remove(at));
        if replaced.is_none() && self.write_lossy(&message.bytes) {
            return Ok(());
        }
        let overflow = self.latest.len() >= MAX_LATEST;
        if overflow {
            self.latest.pop_front();
        }
        self.stats.lossy_dropped_sending += u64::from(replaced.is_some() || overflow);
        self.latest.push_back((key, message.bytes.to_vec()));
        self.dirty = true;
        Ok(())
    }

    /// Leaves the room once what was sent reliably has arrived, or after two seconds; at once if
    /// the connection is being recovered. [`Event::Closed`] follows.
    pub fn leave(&mut self, now: Instant) {
        self.now = now;
        self.leaving.get_or_insert(now + LEAVE_TIMEOUT);
        self.dirty = true;
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.drive_if_dirty();
        let direct = self.transmits.pop_front();
        direct.or_else(|| self.relaying.poll_transmit())
    }

    /// The next binary message for the WebSocket: an encoded `SignalRequest`.
    pub fn poll_signal(&mut self) -> Option<Vec<u8>> {
        self.drive_if_dirty();
        if self.dial.is_some() {
            return None;
        }
        self.signals.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.drive_if_dirty();
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; never, once closed.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.drive_if_dirty();
        if self.closed {
            return None;
        }
        let recovery = self.recovery.as_ref().map(Recovery::timeout);
        let keepalive = self.keepalive.as_ref().map(Keepalive::timeout);
        let relaying = self.relaying.poll_timeout();
        let stretch = self.strain.stretch();
        let peers = std::iter::once(&self.publisher).chain(&self.subscriber);
        let joining = (!self.joined).then_some(self.join_until);
        let tracks = self.tracks.poll_timeout();
        [
            recovery,
            keepalive,
            tracks,
            relaying,
            joining,
            self.leaving,
            self.ended,
        ]
        .into_iter()
        .flatten()
        .chain(peers.filter_map(|peer| peer.timeout(stretch)))
        .min()
    }

    fn check_may_send(&self) -> Result<(), SendError> {
        if !self.joined || self.leaving.is_some() || self.closed {
            return Err(SendError::Closed);
        }
        if !self.permissions.can_publish_data {
            return Err(SendError::NotPermitted);
        }
        Ok(())
    }

    fn peers(&mut self) -> impl Iterator<Item = &mut Peer> {
        std::iter::once(&mut self.publisher).chain(&mut self.subscriber)
    }

    fn is_step(&self, step: Step) -> bool {
        self.recovery
            .as_ref()
            .is_some_and(|recovery| recovery.step == step)
    }

    fn signal(&mut self, request: Request) {
        let request = proto::SignalRequest {
            message: Some(request),
        };
        self.signals.push_back(request.encode_to_vec());
    }

    /// The next number of a SplitMix64 sequence.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.dial = None;
            self.recovery = None;
            self.relaying.release();
            self.events.push_back(Event::Closed(reason));
        }
    }
}

/// Reliable bytes that wait before a sender is told to stop.
const RELIABLE_QUEUE: usize = 512 * 1024;

/// Kinds of state that one participant sends at the same time.
const MAX_LATEST: usize = 64;

/// Three retransmissions of a lost packet fit.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
