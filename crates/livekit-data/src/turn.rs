//! Relays: addresses on TURN servers (RFC 8656) from which datagrams are sent, and at which they
//! arrive, where no direct way to the LiveKit server is open.
//!
//! The LiveKit server names the TURN servers and gives the credentials with its join response.
//! UDP is tried first, TCP and TLS a moment later; the first address that is allocated is used.

use crate::connection::Transmit;
use allocation::{Allocation, AllocationEvent, Delivery, Family, Unwrapped};
use framing::Frames;
use livekit_protocol as proto;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use url::{Carrier, Endpoint};

mod allocation;
mod framing;
#[cfg(any(fuzzing, test))]
#[allow(missing_docs)]
pub(crate) mod fuzz;
mod stun;
mod url;

/// Names one way to one TURN server; never used twice within a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId(u64);

impl RelayId {
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// What a connection needs done to reach a TURN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayRequest {
    /// Look the name up and tell its addresses (`handle_relay_resolved`).
    Resolve {
        /// Which one.
        id: RelayId,
        /// A name.
        host: String,
        /// The UDP port, for the address.
        port: u16,
    },
    /// Open a TCP connection, then tell (`handle_relay_open` or `handle_relay_lost`).
    Open {
        /// Which one.
        id: RelayId,
        /// A name, or an IP address without brackets.
        host: String,
        /// The TCP port.
        port: u16,
        /// What is spoken over it.
        security: RelaySecurity,
    },
    /// Close the TCP connection, once what was to be written is, or stop opening it.
    Close {
        /// Which one.
        id: RelayId,
    },
}

/// Whether a stream to a TURN server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelaySecurity {
    /// It is not; what is relayed is encrypted anyhow.
    Plain,
    /// By TLS, with a certificate for the host.
    Tls,
}

/// Why a TURN server gives no address, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// It does not answer within five seconds.
    #[error("the TURN server does not answer; check that its port can be reached")]
    NoAnswer,
    /// The name has no address of a family that can be used here.
    #[error("the TURN server's name has no usable address; check the server's configuration")]
    Unresolved,
    /// The stream to it could not be opened, or was closed.
    #[error(
        "there is no connection to the TURN server; check that its port can be reached, and its certificate"
    )]
    ConnectionLost,
    /// It does not take the credentials (401, or 400 from LiveKit's own).
    #[error("the TURN server refuses the credentials that the LiveKit server gave")]
    Unauthorized,
    /// It gives no address: 486 is a quota, 508 that there is none left.
    #[error("the TURN server refuses with error {code}; check its log")]
    Refused {
        /// The code of STUN's and TURN's specifications.
        code: u16,
    },
    /// What it says makes no sense.
    #[error("what answers as the TURN server does not speak TURN")]
    Protocol,
    /// The LiveKit server names none that can be used.
    #[error("the LiveKit server names no TURN server that can be used; check its configuration")]
    NoServer,
}

/// What a TURN server asks for.
#[derive(Clone)]
struct Credentials {
    username: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials { .. }")
    }
}

/// All relays of one connection.
#[derive(Debug)]
pub(crate) struct Relays {
    seed: u64,
    locals: Vec<SocketAddr>,
    next_id: u64,
    /// TURN servers that have not been tried, best first.
    untried: VecDeque<(Endpoint, Credentials)>,
    next_try: Option<Instant>,
    attempts: Vec<Attempt>,
    /// The latest failure since gathering began.
    failure: Option<RelayError>,
    requests: VecDeque<RelayRequest>,
    transmits: VecDeque<Transmit>,
    stream_transmits: VecDeque<(RelayId, Vec<u8>)>,
    received: VecDeque<Relayed>,
    events: VecDeque<RelayEvent>,
    malformed: u64,
}

/// What happened to the relays.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RelayEvent {
    /// Make it a candidate: datagrams whose source it is go to [`Relays::send`]. `local` is the
    /// address of a socket of this machine, as ICE wants it.
    Allocated {
        relayed: SocketAddr,
        local: SocketAddr,
    },
    /// It was allocated and is gone; gather again.
    Lost {
        relayed: SocketAddr,
        error: RelayError,
    },
    /// Every server was tried in vain.
    Failed(RelayError),
}

/// A datagram that arrived at a relayed address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Relayed {
    pub(crate) relayed: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

#[derive(Debug)]
struct Attempt {
    id: RelayId,
    credentials: Credentials,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Resolving {
        deadline: Instant,
    },
    Opening {
        deadline: Instant,
    },
    Udp {
        local: SocketAddr,
        server: SocketAddr,
        allocation: Box<Allocation>,
    },
    Stream {
        frames: Frames,
        allocation: Box<Allocation>,
    },
}

impl Relays {
    /// None, until they are gathered. `seed` is to differ between connections, and `first_id`
    /// between the peer connections of one.
    pub(crate) fn new(seed: u64, first_id: u64) -> Self {
        Relays {
            seed,
            locals: Vec::new(),
            next_id: first_id,
            untried: VecDeque::new(),
            next_try: None,
            attempts: Vec::new(),
            failure: None,
            requests: VecDeque::new(),
            transmits: VecDeque::new(),
            stream_transmits: VecDeque::new(),
            received: VecDeque::new(),
            events: VecDeque::new(),
            malformed: 0,
        }
    }

    /// Begins anew with the servers of a join response or a reconnect response: gives back what
    /// was allocated and tries them. `locals` are the sockets' addresses.
    pub(crate) fn gather(
        &mut self,
        servers: &[proto::IceServer],
        locals: &[SocketAddr],
        now: Instant,
    ) {
        self.release();
        self.locals = locals.to_vec();
        let urls = servers.iter().flat_map(|server| {
            let urls = server.urls.iter();
            urls.map(move |url| (url, &server.username, &server.credential))
        });
        let mut found: Vec<_> = urls
            .take(MAX_URLS)
            .filter(|(_, username, password)| {
                username.len() <= MAX_CREDENTIAL && password.len() <= MAX_CREDENTIAL
            })
            .filter_map(|(url, username, password)| {
                let credentials = Credentials {
                    username: username.clone(),
                    password: password.clone(),
                };
                Some((Endpoint::parse(url)?, credentials))
            })
            .collect();
        found.sort_by_key(|(endpoint, _)| endpoint.carrier);
        found.truncate(MAX_SERVERS);
        self.untried = found.into();
        if self.untried.is_empty() {
            self.failure = Some(RelayError::NoServer);
        }
        self.try_next(now);
        self.go_on(now);
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self) {
        self.untried.clear();
        self.next_try = None;
        self.failure = None;
        self.events.clear();
        self.received.clear();
        for mut attempt in std::mem::take(&mut self.attempts) {
            self.release_attempt(&mut attempt);
        }
    }

    /// Whether gathering has begun and has not been in vain.
    pub(crate) fn is_active(&self) -> bool {
        !self.untried.is_empty() || !self.attempts.is_empty()
    }

    /// Whether datagrams from this source are to go to [`send`](Self::send).
    pub(crate) fn is_relayed(&self, source: SocketAddr) -> bool {
        self.attempts
            .iter()
            .any(|attempt| attempt.relayed() == Some(source))
    }

    /// Sends a datagram from a relayed address; lost where there is no such address.
    pub(crate) fn send(
        &mut self,
        relayed: SocketAddr,
        peer: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        let attempt = self
            .attempts
            .iter_mut()
            .find(|attempt| attempt.relayed() == Some(relayed));
        if let Some(allocation) = attempt.and_then(|attempt| attempt.way.allocation()) {
            allocation.wrap(peer, datagram, now);
        }
        self.collect();
    }

    /// Takes a datagram if it comes from a TURN server; false means that it is somebody else's.
    pub(crate) fn handle_datagram(
        &mut self,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let found = self
            .attempts
            .iter_mut()
            .find_map(|attempt| match &mut attempt.way {
                Way::Udp {
                    local: own,
                    server,
                    allocation,
                } if *own == local && *server == from => Some(allocation),
                _ => None,
            });
        let Some(allocation) = found else {
            return false;
        };
        if !unwrap(allocation, datagram, now, &mut self.received) {
            self.malformed += 1;
        }
        self.collect();
        self.go_on(now);
        true
    }

    /// The name of a [`RelayRequest::Resolve`] has these addresses; none where there is no such
    /// name.
    pub(crate) fn handle_resolved(&mut self, id: RelayId, found: &[SocketAddr], now: Instant) {
        let Some(index) = self
            .attempts
            .iter()
            .position(|attempt| attempt.id == id && matches!(attempt.way, Way::Resolving { .. }))
        else {
            return;
        };
        let way = found
            .iter()
            .find_map(|server| self.udp(id, *server, index, now));
        match way {
            Some(way) => self.attempts[index].way = way,
            None => self.give_up(index, RelayError::Unresolved),
        }
        self.collect();
        self.go_on(now);
    }

    /// The stream of a [`RelayRequest::Open`] is open, with a server of this family.
    pub(crate) fn handle_open(&mut self, id: RelayId, server: IpAddr, now: Instant) {
        let seed = (self.seed, id.0);
        let family = Family::of(server);
        for attempt in &mut self.attempts {
            if attempt.id == id && matches!(attempt.way, Way::Opening { .. }) {
                let credentials = attempt.credentials.clone();
                let allocation = Allocation::new(credentials, Delivery::Stream, family, seed, now);
                attempt.way = Way::Stream {
                    frames: Frames::default(),
                    allocation: Box::new(allocation),
                };
            }
        }
        self.collect();
    }

    /// Takes bytes of a stream, any number at a time.
    pub(crate) fn handle_stream(&mut self, id: RelayId, bytes: &[u8], now: Instant) {
        let Some(index) = self.attempts.iter().position(|attempt| attempt.id == id) else {
            return;
        };
        let Way::Stream { frames, allocation } = &mut self.attempts[index].way else {
            return;
        };
        let (received, malformed) = (&mut self.received, &mut self.malformed);
        let taken = frames.push(bytes, |frame| {
            if !unwrap(allocation, frame, now, received) {
                *malformed += 1;
            }
        });
        self.collect();
        if taken.is_err() {
            self.malformed += 1;
            self.fail(id, RelayError::Protocol);
        }
        self.go_on(now);
    }

    /// A stream could not be opened, or has ended.
    pub(crate) fn handle_lost(&mut self, id: RelayId, now: Instant) {
        self.fail(id, RelayError::ConnectionLost);
        self.go_on(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for index in (0..self.attempts.len()).rev() {
            match &mut self.attempts[index].way {
                Way::Resolving { deadline } | Way::Opening { deadline } if now >= *deadline => {
                    self.give_up(index, RelayError::NoAnswer);
                }
                Way::Udp { allocation, .. } | Way::Stream { allocation, .. } => {
                    allocation.handle_timeout(now);
                }
                _ => {}
            }
        }
        self.collect();
        if self.next_try.is_some_and(|at| now >= at) {
            self.try_next(now);
        }
        self.go_on(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let attempts = self
            .attempts
            .iter()
            .filter_map(|attempt| match &attempt.way {
                Way::Resolving { deadline } | Way::Opening { deadline } => Some(*deadline),
                Way::Udp { allocation, .. } | Way::Stream { allocation, .. } => {
                    allocation.poll_timeout()
                }
            });
        attempts.chain(self.next_try).min()
    }

    pub(crate) fn poll_request(&mut self) -> Option<RelayRequest> {
        self.requests.pop_front()
    }

    /// A datagram for a TURN server.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// A whole message for a stream. Where the stream is slow it may be dropped, as a datagram
    /// may, but not cut.
    pub(crate) fn poll_stream_transmit(&mut self) -> Option<(RelayId, Vec<u8>)> {
        self.stream_transmits.pop_front()
    }

    /// A datagram that arrived at a relayed address; never more than came in with the last call.
    pub(crate) fn poll_received(&mut self) -> Option<Relayed> {
        self.received.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    /// Messages of TURN servers that made no sense, since the last call.
    pub(crate) fn take_malformed(&mut self) -> u64 {
        std::mem::take(&mut self.malformed)
    }

    /// Begins with the next server, and sees to it that the one after has its turn in time.
    fn try_next(&mut self, now: Instant) {
        self.next_try = None;
        let Some((endpoint, credentials)) = self.untried.pop_front() else {
            return;
        };
        let id = RelayId(self.next_id);
        self.next_id += 1;
        let Endpoint {
            carrier,
            host,
            port,
        } = endpoint;
        let deadline = now + OPEN_TIMEOUT;
        let way = match carrier {
            Carrier::Udp => Way::Resolving { deadline },
            Carrier::Tcp | Carrier::Tls => Way::Opening { deadline },
        };
        self.attempts.push(Attempt {
            id,
            credentials,
            way,
        });
        self.next_try = (!self.untried.is_empty()).then_some(now + STAGGER);
        match (carrier, host.parse::<IpAddr>()) {
            (Carrier::Udp, Ok(ip)) => {
                self.handle_resolved(id, &[SocketAddr::new(ip, port)], now);
            }
            (Carrier::Udp, Err(_)) => {
                self.requests
                    .push_back(RelayRequest::Resolve { id, host, port });
            }
            (Carrier::Tcp | Carrier::Tls, _) => self.requests.push_back(RelayRequest::Open {
                id,
                host,
                port,
                security: match carrier {
                    Carrier::Tls => RelaySecurity::Tls,
                    _ => RelaySecurity::Plain,
                },
            }),
        }
    }

    fn udp(&self, id: RelayId, server: SocketAddr, index: usize, now: Instant) -> Option<Way> {
        let local = self
            .locals
            .iter()
            .find(|local| local.is_ipv4() == server.is_ipv4())?;
        let family = Family::of(server.ip());
        let credentials = self.attempts[index].credentials.clone();
        let seed = (self.seed, id.0);
        let allocation = Allocation::new(credentials, Delivery::Datagrams, family, seed, now);
        Some(Way::Udp {
            local: *local,
            server,
            allocation: Box::new(allocation),
        })
    }

    /// After a failure the next server has its turn at once, and after the last one that is told.
    fn go_on(&mut self, now: Instant) {
        if self.failure.is_none() || !self.attempts.is_empty() {
            return;
        }
        if !self.untried.is_empty() {
            self.try_next(now);
        } else if let Some(error) = self.failure.take() {
            self.events.push_back(RelayEvent::Failed(error));
        }
    }

    fn fail(&mut self, id: RelayId, error: RelayError) {
        if let Some(index) = self.attempts.iter().position(|attempt| attempt.id == id) {
            self.give_up(index, error);
        }
    }

    fn give_up(&mut self, index: usize, error: RelayError) {
        let mut attempt = self.attempts.swap_remove(index);
        tracing::debug!(%error, "a TURN server is given up");
        if let Some(relayed) = attempt.relayed() {
            self.events.push_back(RelayEvent::Lost { relayed, error });
        } else {
            self.failure = Some(error);
        }
        self.release_attempt(&mut attempt);
    }

    fn release_attempt(&mut self, attempt: &mut Attempt) {
        if let Some(allocation) = attempt.way.allocation() {
            allocation.release();
        }
        self.take_transmits(attempt);
        if matches!(attempt.way, Way::Opening { .. } | Way::Stream { .. }) {
            self.requests
                .push_back(RelayRequest::Close { id: attempt.id });
        }
    }

    fn take_transmits(&mut self, attempt: &mut Attempt) {
        let id = attempt.id;
        match &mut attempt.way {
            Way::Udp {
                local,
                server,
                allocation,
            } => {
                while let Some(contents) = allocation.poll_transmit() {
                    self.transmits.push_back(Transmit {
                        source: *local,
                        destination: *server,
                        contents,
                    });
                }
            }
            Way::Stream { allocation, .. } => {
                while let Some(contents) = allocation.poll_transmit() {
                    self.stream_transmits.push_back((id, contents));
                }
            }
            Way::Resolving { .. } | Way::Opening { .. } => {}
        }
    }

    /// Takes over what the allocations have to send and to say.
    fn collect(&mut self) {
        let mut attempts = std::mem::take(&mut self.attempts);
        let (mut winner, mut ended) = (None, Vec::new());
        for attempt in &mut attempts {
            self.take_transmits(attempt);
            let id = attempt.id;
            let Some(allocation) = attempt.way.allocation() else {
                continue;
            };
            while let Some(event) = allocation.poll_event() {
                match event {
                    AllocationEvent::Allocated(relayed) => winner = Some((id, relayed)),
                    AllocationEvent::Ended(error) => ended.push((id, error)),
                }
            }
        }
        self.attempts = attempts;
        for (id, error) in ended {
            self.fail(id, error);
        }
        if let Some((id, relayed)) = winner {
            self.settle(id, relayed);
        }
    }

    /// One address is enough.
    fn settle(&mut self, winner: RelayId, relayed: SocketAddr) {
        self.untried.clear();
        self.next_try = None;
        self.failure = None;
        let (kept, others): (Vec<_>, _) = std::mem::take(&mut self.attempts)
            .into_iter()
            .partition(|attempt| attempt.id == winner);
        for mut attempt in others {
            self.release_attempt(&mut attempt);
        }
        let local = kept.first().and_then(|attempt| match attempt.way {
            Way::Udp { local, .. } => Some(local),
            _ => self
                .locals
                .iter()
                .find(|local| local.is_ipv4() == relayed.is_ipv4())
                .or(self.locals.first())
                .copied(),
        });
        self.attempts = kept;
        self.events.push_back(RelayEvent::Allocated {
            relayed,
            // Without any socket the address stands for itself; ICE only compares it.
            local: local.unwrap_or(relayed),
        });
    }
}

impl Attempt {
    fn relayed(&self) -> Option<SocketAddr> {
        match &self.way {
            Way::Udp { allocation, .. } | Way::Stream { allocation, .. } => allocation.relayed(),
            _ => None,
        }
    }
}

impl Way {
    fn allocation(&mut self) -> Option<&mut Allocation> {
        match self {
            Way::Udp { allocation, .. } | Way::Stream { allocation, .. } => Some(allocation),
            _ => None,
        }
    }
}

/// Whether the message made sense; what a peer sent is added to `received`.
fn unwrap(
    allocation: &mut Allocation,
    message: &[u8],
    now: Instant,
    received: &mut VecDeque<Relayed>,
) -> bool {
    match allocation.handle(message, now) {
        Unwrapped::Taken => true,
        Unwrapped::Malformed => false,
        Unwrapped::Data { peer, data } => {
            let contents = data.to_vec();
            let relayed = allocation.relayed();
            received.extend(relayed.map(|relayed| Relayed {
                relayed,
                peer,
                contents,
            }));
            true
        }
    }
}

/// URLs that are looked at; LiveKit gives one for each address and protocol, a handful.
const MAX_URLS: usize = 64;
/// TURN servers that are tried: together they take no longer than joining may.
const MAX_SERVERS: usize = 6;
/// STUN's greatest length of a user name (RFC 8489 section 14.3), in bytes.
const MAX_CREDENTIAL: usize = 513;

/// After this long without an address the next server is tried as well: several round trips,
/// and short enough that a network without UDP costs a join little.
const STAGGER: Duration = Duration::from_millis(500);

/// For a name, a TCP connection and TLS.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
