//! One allocation on one TURN server (RFC 8656), without its sockets.

use super::stun::{Class, Message, Method, TransactionId, Writer, hmac_sha1, long_term_key};
use super::{Credentials, RelayError};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Asks for an address, keeps it, and wraps and unwraps what goes through it.
///
/// Every peer gets a channel, since that costs 4 bytes a datagram where an indication costs 36.
#[derive(Debug)]
pub(super) struct Allocation {
    credentials: Credentials,
    carrier: Delivery,
    family: Family,
    /// What the server wants requests signed with, once it has said so.
    challenge: Option<Challenge>,
    /// Makes transaction ids that nobody who lacks the password can guess.
    id_seed: [u8; 16],
    id_count: u64,
    state: State,
    requests: Vec<Request>,
    channels: Vec<Channel>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<AllocationEvent>,
}

/// Whether what is sent may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Datagrams,
    Stream,
}

/// Of the relayed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// That of the TURN server itself, which LiveKit's has.
    pub(super) fn of(server: IpAddr) -> Self {
        match server {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

#[derive(Debug)]
pub(super) enum AllocationEvent {
    /// Datagrams can be sent from and received at this address.
    Allocated(SocketAddr),
    /// There is no such address, or no longer.
    Ended(RelayError),
}

/// What a message from the server was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwrapped<'a> {
    /// It concerned the allocation alone.
    Taken,
    /// It cannot have come from this server, or says nothing.
    Malformed,
    /// A peer's datagram.
    Data { peer: SocketAddr, data: &'a [u8] },
}

#[derive(Debug)]
enum State {
    Allocating {
        /// The server still holds an allocation of this socket's earlier user.
        mismatches: u32,
        retry: Option<Instant>,
    },
    Allocated {
        relayed: SocketAddr,
        refresh: Instant,
        expires: Instant,
    },
    Ended,
}

#[derive(Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    key: [u8; 16],
}

#[derive(Debug)]
struct Request {
    kind: Kind,
    id: TransactionId,
    bytes: Vec<u8>,
    /// How often the server asked for it to be signed anew.
    renewals: u32,
    resend: Option<Instant>,
    interval: Duration,
    deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Allocate,
    Refresh,
    /// Of the channel at this index.
    Bind(usize),
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    state: ChannelState,
}

#[derive(Debug)]
enum ChannelState {
    /// Holds the latest datagram for the peer until then.
    Binding(Option<Vec<u8>>),
    Bound {
        renew: Instant,
    },
    /// The server does not let this peer be reached.
    Refused,
}

impl Allocation {
    /// Asks for an address. `seed` is to differ between allocations with the same credentials.
    pub(super) fn new(
        credentials: Credentials,
        carrier: Delivery,
        family: Family,
        seed: (u64, u64),
        now: Instant,
    ) -> Self {
        let mut id_seed = [0; 16];
        id_seed[..8].copy_from_slice(&seed.0.to_be_bytes());
        id_seed[8..].copy_from_slice(&seed.1.to_be_bytes());
        let mut allocation = Allocation {
            credentials,
            carrier,
            family,
            challenge: None,
            id_seed,
            id_count: 0,
            state: State::Allocating {
                mismatches: 0,
                retry: None,
            },
            requests: Vec::new(),
            channels: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        allocation.request(Kind::Allocate, 0, now);
        allocation
    }

    pub(super) fn relayed(&self) -> Option<SocketAddr> {
        match self.state {
            State::Allocated { relayed, .. } => Some(relayed),
            _ => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Takes one message from the server.
    pub(super) fn handle<'a>(&mut self, bytes: &'a [u8], now: Instant) -> Unwrapped<'a> {
        if self.has_ended() {
            return Unwrapped::Taken;
        }
        if let [0x40..=0x4F, _, ..] = bytes {
            return self.handle_channel_data(bytes);
        }
        let Some(message) = Message::parse(bytes) else {
            return Unwrapped::Malformed;
        };
        match message.class {
            Class::Indication => match (message.method, message.peer_address(), message.data()) {
                (Method::Data, Some(peer), Some(data)) => Unwrapped::Data { peer, data },
                _ => Unwrapped::Malformed,
            },
            Class::Success => self.handle_success(&message, now),
            Class::Error => self.handle_error(&message, now),
            Class::Request => Unwrapped::Malformed,
        }
    }

    /// Makes a way to a peer, which [`wrap`](Self::wrap) then uses. Nothing where there are too
    /// many, or where the relayed address is of the other family.
    pub(super) fn permit(&mut self, peer: SocketAddr, now: Instant) -> Option<usize> {
        let relayed = self.relayed()?;
        if let Some(found) = self.channels.iter().position(|known| known.peer == peer) {
            return Some(found);
        }
        if self.channels.len() >= MAX_PEERS || relayed.is_ipv4() != peer.is_ipv4() {
            return None;
        }
        self.channels.push(Channel {
            peer,
            state: ChannelState::Binding(None),
        });
        let index = self.channels.len() - 1;
        self.request(Kind::Bind(index), 0, now);
        Some(index)
    }

    /// Sends a datagram to a peer from the relayed address, as soon as there is a way to it.
    pub(super) fn wrap(&mut self, peer: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(index) = self.permit(peer, now) else {
            return;
        };
        let Ok(len) = u16::try_from(datagram.len()) else {
            return;
        };
        let mut wrapped = Vec::with_capacity(4 + datagram.len().next_multiple_of(4));
        wrapped.extend((FIRST_CHANNEL + index as u16).to_be_bytes());
        wrapped.extend(len.to_be_bytes());
        wrapped.extend(datagram);
        if self.carrier == Delivery::Stream {
            wrapped.resize(wrapped.len().next_multiple_of(4), 0);
        }
        match &mut self.channels[index].state {
            ChannelState::Binding(held) => *held = Some(wrapped),
            ChannelState::Bound { .. } => self.transmits.push_back(wrapped),
            ChannelState::Refused => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for index in (0..self.requests.len()).rev() {
            let Some(request) = self.requests.get_mut(index) else {
                continue; // one that expired has ended the allocation
            };
            if now >= request.deadline {
                let expired = self.requests.swap_remove(index);
                self.unanswered(expired.kind, RelayError::NoAnswer);
            } else if request.resend.is_some_and(|at| now >= at) {
                request.interval = (request.interval * 2).min(MAX_INTERVAL);
                request.resend = Some(now + request.interval);
                self.transmits.push_back(request.bytes.clone());
            }
        }
        match &mut self.state {
            State::Allocating { retry, .. } if retry.is_some_and(|at| now >= at) => {
                *retry = None;
                self.request(Kind::Allocate, 0, now);
            }
            State::Allocated { expires, .. } if now >= *expires => {
                self.end(RelayError::NoAnswer);
            }
            State::Allocated {
                refresh, expires, ..
            } if now >= *refresh => {
                *refresh = *expires;
                self.request(Kind::Refresh, 0, now);
            }
            _ => {}
        }
        if self.has_ended() {
            return;
        }
        for index in 0..self.channels.len() {
            if let ChannelState::Bound { renew } = &mut self.channels[index].state
                && now >= *renew
            {
                *renew = now + CHANNEL_RENEWAL;
                self.request(Kind::Bind(index), 0, now);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::Allocating { retry, .. } => retry,
            State::Allocated {
                refresh, expires, ..
            } => Some(refresh.min(expires)),
            State::Ended => return None,
        };
        let requests = self.requests.iter().map(|request| {
            request
                .resend
                .map_or(request.deadline, |at| at.min(request.deadline))
        });
        let channels = self
            .channels
            .iter()
            .filter_map(|channel| match channel.state {
                ChannelState::Bound { renew } => Some(renew),
                _ => None,
            });
        requests.chain(channels).chain(state).min()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<AllocationEvent> {
        self.events.pop_front()
    }

    /// Gives the address back, if there is one. Sent once: a server that does not hear it gives
    /// the address up when its time is over.
    pub(super) fn release(&mut self) {
        if !self.has_ended() && self.challenge.is_some() {
            self.transmits.clear();
            let id = self.next_id();
            let release = Writer::request(Method::Refresh, id).lifetime(0);
            let release = self.sign(release);
            self.transmits.push_back(release);
        }
        self.state = State::Ended;
        self.requests.clear();
        self.channels.clear();
    }

    fn handle_channel_data<'a>(&mut self, bytes: &'a [u8]) -> Unwrapped<'a> {
        let [c0, c1, l0, l1, data @ ..] = bytes else {
            return Unwrapped::Malformed;
        };
        let number = u16::from_be_bytes([*c0, *c1]);
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let channel = self.channels.get(usize::from(number - FIRST_CHANNEL));
        match (channel, data.get(..len)) {
            (Some(channel), Some(data)) => Unwrapped::Data {
                peer: channel.peer,
                data,
            },
            _ => Unwrapped::Malformed,
        }
    }

    fn handle_success<'a>(&mut self, message: &Message<'_>, now: Instant) -> Unwrapped<'a> {
        let authentic = self
            .challenge
            .as_ref()
            .is_some_and(|challenge| message.is_authentic(&challenge.key));
        let Some(index) = self.requested(message).filter(|_| authentic) else {
            return Unwrapped::Malformed;
        };
        match self.requests.swap_remove(index).kind {
            Kind::Allocate => {
                let usable = |address: &SocketAddr| {
                    address.port() != 0
                        && !address.ip().is_unspecified()
                        && !address.ip().is_multicast()
                };
                let relayed = message.relayed_address().filter(usable);
                match (relayed, lifetime(message)) {
                    (Some(relayed), Some(lifetime)) => {
                        self.state = State::Allocated {
                            relayed,
                            refresh: now + refresh_after(lifetime),
                            expires: now + lifetime,
                        };
                        self.events.push_back(AllocationEvent::Allocated(relayed));
                    }
                    _ => self.end(RelayError::Protocol),
                }
            }
            Kind::Refresh => match (&mut self.state, lifetime(message)) {
                (
                    State::Allocated {
                        refresh, expires, ..
                    },
                    Some(lifetime),
                ) => {
                    *refresh = now + refresh_after(lifetime);
                    *expires = now + lifetime;
                }
                _ => self.end(RelayError::Protocol),
            },
            Kind::Bind(index) => {
                if let Some(channel) = self.channels.get_mut(index) {
                    let renew = now + CHANNEL_RENEWAL;
                    let before =
                        std::mem::replace(&mut channel.state, ChannelState::Bound { renew });
                    if let ChannelState::Binding(Some(held)) = before {
                        self.transmits.push_back(held);
                    }
                }
            }
        }
        Unwrapped::Taken
    }

    /// Errors need not be authentic: the first one cannot be, and pion's others are not. Nobody
    /// who does not see the requests can guess their ids.
    fn handle_error<'a>(&mut self, message: &Message<'_>, now: Instant) -> Unwrapped<'a> {
        let (Some(index), Some(code)) = (self.requested(message), message.error_code()) else {
            return Unwrapped::Malformed;
        };
        let request = self.requests.swap_remove(index);
        match code {
            UNAUTHORIZED | STALE_NONCE => {
                let fresh = code == STALE_NONCE || self.challenge.is_none();
                let realm = message
                    .realm()
                    .or(self.challenge.as_ref().map(|known| known.realm.as_str()));
                match (realm, message.nonce()) {
                    (Some(realm), Some(nonce)) if fresh && request.renewals < MAX_RENEWALS => {
                        self.challenge = Some(Challenge {
                            key: long_term_key(
                                &self.credentials.username,
                                realm,
                                &self.credentials.password,
                            ),
                            realm: realm.to_owned(),
                            nonce: nonce.to_owned(),
                        });
                        self.request(request.kind, request.renewals + 1, now);
                    }
                    (Some(_), Some(_)) => self.unanswered(request.kind, RelayError::Unauthorized),
                    _ => self.unanswered(request.kind, RelayError::Protocol),
                }
            }
            // What pion says of a wrong password.
            BAD_REQUEST if request.kind == Kind::Allocate && self.challenge.is_some() => {
                self.unanswered(request.kind, RelayError::Unauthorized);
            }
            ALLOCATION_MISMATCH if request.kind == Kind::Allocate => {
                // The release of the allocation before this one may still be on its way.
                let State::Allocating { mismatches, retry } = &mut self.state else {
                    return Unwrapped::Taken;
                };
                *mismatches += 1;
                if *mismatches > MAX_MISMATCHES {
                    self.end(RelayError::Refused { code });
                } else {
                    *retry = Some(now + MISMATCH_RETRY);
                }
            }
            code => self.unanswered(request.kind, RelayError::Refused { code }),
        }
        Unwrapped::Taken
    }

    fn requested(&self, message: &Message<'_>) -> Option<usize> {
        self.requests
            .iter()
            .position(|request| request.id == message.id && request.kind.method() == message.method)
    }

    /// A request came to nothing.
    fn unanswered(&mut self, kind: Kind, error: RelayError) {
        match kind {
            Kind::Allocate | Kind::Refresh => self.end(error),
            Kind::Bind(index) => {
                if let Some(channel) = self.channels.get_mut(index) {
                    tracing::debug!(peer = %channel.peer, %error, "the relay does not reach a peer");
                    channel.state = ChannelState::Refused;
                }
            }
        }
    }

    fn end(&mut self, error: RelayError) {
        if !self.has_ended() {
            self.state = State::Ended;
            self.requests.clear();
            self.channels.clear();
            self.events.push_back(AllocationEvent::Ended(error));
        }
    }

    fn request(&mut self, kind: Kind, renewals: u32, now: Instant) {
        let id = self.next_id();
        let request = Writer::request(kind.method(), id);
        let request = match kind {
            Kind::Allocate if self.family == Family::V6 => request.udp().v6(),
            Kind::Allocate => request.udp(),
            Kind::Refresh => request.lifetime(LIFETIME),
            Kind::Bind(index) => request
                .channel(FIRST_CHANNEL + index as u16)
                .peer(self.channels[index].peer),
        };
        let bytes = self.sign(request);
        self.transmits.push_back(bytes.clone());
        let datagrams = self.carrier == Delivery::Datagrams;
        self.requests.push(Request {
            kind,
            id,
            bytes,
            renewals,
            resend: datagrams.then_some(now + FIRST_INTERVAL),
            interval: FIRST_INTERVAL,
            deadline: now + REQUEST_TIMEOUT,
        });
    }

    fn sign(&self, request: Writer) -> Vec<u8> {
        match &self.challenge {
            Some(Challenge { realm, nonce, key }) => {
                request.sign(&self.credentials.username, realm, nonce, key)
            }
            None => request.finish(),
        }
    }

    fn next_id(&mut self) -> TransactionId {
        self.id_count += 1;
        let digest = hmac_sha1(
            self.credentials.password.as_bytes(),
            &[&self.id_seed, &self.id_count.to_be_bytes()],
        );
        *digest.first_chunk().expect("a digest has 20 bytes")
    }
}

impl Kind {
    fn method(self) -> Method {
        match self {
            Kind::Allocate => Method::Allocate,
            Kind::Refresh => Method::Refresh,
            Kind::Bind(_) => Method::ChannelBind,
        }
    }
}

/// How long the server keeps the address; none where it names no time, or none at all.
fn lifetime(message: &Message<'_>) -> Option<Duration> {
    let seconds = message.lifetime().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds.min(MAX_LIFETIME).into()))
}

/// A minute ahead leaves time for a dozen tries; of a short life, half.
fn refresh_after(lifetime: Duration) -> Duration {
    (lifetime / 2).max(lifetime.saturating_sub(Duration::from_secs(60)))
}

/// RFC 8656 section 12: channels are 0x4000 to 0x4FFF.
const FIRST_CHANNEL: u16 = 0x4000;

/// The peers are one LiveKit server's addresses, a handful; see also `MAX_CANDIDATES`.
pub(super) const MAX_PEERS: usize = 32;

/// Seconds; what RFC 8656 section 3.2 has as the default.
const LIFETIME: u32 = 600;
/// An hour, RFC 8656's greatest; more could not be added to any time without care.
const MAX_LIFETIME: u32 = 3_600;

/// A permission lasts five minutes and a channel ten (RFC 8656 sections 9 and 12).
const CHANNEL_RENEWAL: Duration = Duration::from_secs(240);

/// Below RFC 8489's 500 ms, since a join waits for it, and no lower than ICE's checks.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);
const MAX_INTERVAL: Duration = Duration::from_millis(1_600);

/// Half of what a join may take as a rule, so that another server has its turn.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A request is signed for the first time, and again with each nonce that replaces one; a server
/// that wants more than that never lets it through.
const MAX_RENEWALS: u32 = 3;

/// An allocation that was released is gone within a round trip.
const MAX_MISMATCHES: u32 = 5;
const MISMATCH_RETRY: Duration = Duration::from_millis(200);

const BAD_REQUEST: u16 = 400;
const UNAUTHORIZED: u16 = 401;
const ALLOCATION_MISMATCH: u16 = 437;
const STALE_NONCE: u16 = 438;

#[cfg(test)]
mod tests {
    use super::super::stun::server;
    use super::*;

    /// A TURN server that knows one user.
    struct Server {
        key: [u8; 16],
        nonce: &'static str,
    }

    impl Server {
        fn new() -> Self {
            let key = long_term_key("user", "realm", "pass");
            Server { key, nonce: "one" }
        }

        /// Answers a request as pion does.
        fn answer(&self, request: &[u8]) -> Vec<u8> {
            let message = Message::parse(request).unwrap();
            let challenge = |code| {
                let error = server::error(message.method, message.id, code);
                error.challenge("realm", self.nonce).finish()
            };
            if !message.is_authentic(&self.key) {
                return challenge(401);
            }
            if message.nonce() != Some(self.nonce) {
                return challenge(438);
            }
            let success = server::success(message.method, message.id);
            let success = match message.method {
                Method::Allocate => success.relayed(RELAYED.parse().unwrap()).lifetime(600),
                Method::Refresh => success.lifetime(message.lifetime().unwrap()),
                _ => success,
            };
            success.prove(&self.key)
        }

        /// Answers until nothing is asked any more.
        fn serve(&self, allocation: &mut Allocation, now: Instant) {
            while let Some(request) = allocation.poll_transmit() {
                if request[0] < 0x40 {
                    let answer = self.answer(&request);
                    assert_eq!(allocation.handle(&answer, now), Unwrapped::Taken);
                }
            }
        }
    }

    fn asked(carrier: Delivery, now: Instant) -> Allocation {
        let credentials = Credentials {
            username: "user".into(),
            password: "pass".into(),
        };
        Allocation::new(credentials, carrier, Family::V4, (1, 2), now)
    }

    fn allocated(now: Instant) -> Allocation {
        let mut allocation = asked(Delivery::Datagrams, now);
        Server::new().serve(&mut allocation, now);
        assert!(matches!(
            allocation.poll_event(),
            Some(AllocationEvent::Allocated(_))
        ));
        allocation
    }

    #[test]
    fn an_address_is_allocated_and_a_peer_reached() {
        let now = Instant::now();
        let mut allocation = allocated(now);
        assert_eq!(allocation.relayed(), Some(RELAYED.parse().unwrap()));
        let peer: SocketAddr = PEER.parse().unwrap();
        allocation.wrap(peer, b"old", now);
        allocation.wrap(peer, b"new", now);
        let bind = allocation.poll_transmit().unwrap();
        assert!(
            allocation.poll_transmit().is_none(),
            "waits for the channel"
        );
        assert_eq!(
            allocation.handle(&Server::new().answer(&bind), now),
            Unwrapped::Taken
        );
        let sent = allocation.poll_transmit().unwrap();
        assert_eq!(sent, [&[0x40, 0, 0, 3], b"new".as_slice()].concat());
        let data = b"new".as_slice();
        assert_eq!(
            allocation.handle(&sent, now),
            Unwrapped::Data { peer, data }
        );
        let indication = server::data_indication(peer, b"else");
        let data = b"else".as_slice();
        assert_eq!(
            allocation.handle(&indication, now),
            Unwrapped::Data { peer, data }
        );
    }

    #[test]
    fn it_is_kept_for_as_long_as_the_server_answers() {
        let start = Instant::now();
        let mut allocation = allocated(start);
        let mut server = Server::new();
        allocation.permit(PEER.parse().unwrap(), start);
        let mut now = start;
        for round in 0..40 {
            server.serve(&mut allocation, now);
            now = allocation.poll_timeout().unwrap().max(now);
            allocation.handle_timeout(now);
            if round == 20 {
                server.nonce = "two"; // the server asks for it anew
            }
        }
        assert!(now > start + Duration::from_secs(3_600));
        assert!(allocation.poll_event().is_none() && !allocation.has_ended());
    }

    #[test]
    fn silence_ends_it_in_time() {
        let start = Instant::now();
        let mut allocation = asked(Delivery::Datagrams, start);
        let mut sent = 0;
        while let Some(due) = allocation.poll_timeout() {
            assert!(due <= start + REQUEST_TIMEOUT);
            allocation.handle_timeout(due);
            while allocation.poll_transmit().is_some() {
                sent += 1;
            }
        }
        assert!((4..=8).contains(&sent), "{sent} tries");
        assert!(matches!(
            allocation.poll_event(),
            Some(AllocationEvent::Ended(RelayError::NoAnswer))
        ));
    }

    #[test]
    fn a_wrong_password_is_unauthorized() {
        let now = Instant::now();
        let mut allocation = asked(Delivery::Stream, now);
        let server = Server {
            key: [0; 16],
            nonce: "one",
        };
        server.serve(&mut allocation, now);
        assert!(matches!(
            allocation.poll_event(),
            Some(AllocationEvent::Ended(RelayError::Unauthorized))
        ));
        assert_eq!(allocation.poll_timeout(), None);
    }

    #[test]
    fn a_server_that_always_wants_another_nonce_is_given_up() {
        let now = Instant::now();
        let mut allocation = asked(Delivery::Datagrams, now);
        let mut asked = 0;
        while let Some(request) = allocation.poll_transmit() {
            asked += 1;
            let message = Message::parse(&request).unwrap();
            let stale = server::error(message.method, message.id, 438).challenge("realm", "again");
            allocation.handle(&stale.finish(), now);
        }
        assert_eq!(asked, MAX_RENEWALS + 1);
        assert!(allocation.has_ended());
    }

    #[test]
    fn an_answer_that_is_not_authentic_changes_nothing() {
        let now = Instant::now();
        let mut allocation = asked(Delivery::Datagrams, now);
        let server = Server::new();
        let request = allocation.poll_transmit().unwrap();
        allocation.handle(&server.answer(&request), now);
        let request = Message::parse(&allocation.poll_transmit().unwrap())
            .unwrap()
            .id;
        let forged = server::success(Method::Allocate, request).relayed(PEER.parse().unwrap());
        let forged = forged.lifetime(600).prove(&[1; 16]);
        assert_eq!(allocation.handle(&forged, now), Unwrapped::Malformed);
        assert!(allocation.poll_event().is_none());
    }

    #[test]
    fn peers_are_bounded() {
        let now = Instant::now();
        let mut allocation = allocated(now);
        for port in 1..=1_000 {
            allocation.wrap(SocketAddr::new([192, 0, 2, 9].into(), port), b"x", now);
        }
        assert_eq!(allocation.channels.len(), MAX_PEERS);
        assert_eq!(allocation.requests.len(), MAX_PEERS);
    }

    #[test]
    fn an_address_given_back_says_so_to_the_server() {
        let now = Instant::now();
        let mut allocation = allocated(now);
        allocation.release();
        let release = allocation.poll_transmit().unwrap();
        let release = Message::parse(&release).unwrap();
        assert_eq!(
            (release.method, release.lifetime()),
            (Method::Refresh, Some(0))
        );
        assert_eq!(allocation.poll_timeout(), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let now = Instant::now();
            let mut allocation = allocated(now);
            allocation.permit(PEER.parse().unwrap(), now);
            allocation.handle(&bytes, now);
            let mut channel = vec![0x40];
            channel.extend(&bytes);
            allocation.handle(&channel, now);
        }
    }

    const RELAYED: &str = "198.51.100.1:30000";
    const PEER: &str = "192.0.2.9:7882";
}
