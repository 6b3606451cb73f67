//! Participants, a server and the lines between them, in virtual time.

use crate::sfu::{Sfu, Socket};
use gs_netem::{Link, LinkConfig};
use livekit_data::{
    Channel, CloseReason, Config, Connection, DialFailure, Event, Packet, SendError,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) struct World {
    start: Instant,
    pub(crate) now: Duration,
    pub(crate) sfu: Sfu,
    /// Nobody listens at the server's port.
    pub(crate) sfu_down: bool,
    /// The server has no time for datagrams: they wait in its socket. Signalling works.
    pub(crate) sfu_busy: bool,
    /// Nothing that it says over a WebSocket arrives.
    pub(crate) sfu_mute: bool,
    in_socket: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) clients: Vec<Client>,
    sockets: Socket,
    polls: u64,
}

/// One participant, its line and what it saw.
pub(crate) struct Client {
    pub(crate) identity: &'static str,
    pub(crate) connection: Connection,
    /// Its sockets: one for each peer connection.
    local: [SocketAddr; 2],
    /// Where their datagrams come from, as the server sees it.
    public: [SocketAddr; 2],
    up: Link<Datagram>,
    down: Link<Datagram>,
    tcp: LinkConfig,
    /// Nothing gets through over TCP, and nobody is told.
    pub(crate) tcp_down: bool,
    socket: Option<Open>,
    dialling: Option<Dialling>,
    /// The last datagrams that it got.
    recent: VecDeque<Datagram>,
    sending: bool,
    next_packet: Duration,
    packets: u32,
    /// Reliable numbers that were accepted.
    sent: Vec<u32>,
    pub(crate) received: BTreeMap<(String, bool), Vec<(Duration, u32)>>,
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) present: BTreeMap<String, String>,
    pub(crate) closed: Option<CloseReason>,
}

/// What goes between one of a participant's sockets and the server.
#[derive(Clone)]
pub(crate) struct Datagram {
    socket: usize,
    contents: Vec<u8>,
}

impl AsRef<[u8]> for Datagram {
    fn as_ref(&self) -> &[u8] {
        &self.contents
    }
}

/// A WebSocket that is being opened.
struct Dialling {
    /// When TCP is through, until it is.
    connected: Option<Duration>,
    opened: Duration,
    dial: livekit_data::Dial,
}

/// A WebSocket: its number, and what is on its way, in order.
struct Open {
    socket: Socket,
    up: Link,
    down: Link,
}

impl World {
    pub(crate) fn new() -> Self {
        let start = Instant::now();
        World {
            start,
            now: Duration::ZERO,
            sfu: Sfu::new(SFU.parse().unwrap(), start),
            sfu_down: false,
            sfu_busy: false,
            sfu_mute: false,
            in_socket: Vec::new(),
            clients: Vec::new(),
            sockets: 0,
            polls: 0,
        }
    }

    /// Adds a participant behind this line, each direction of it.
    pub(crate) fn add(&mut self, identity: &'static str, line: LinkConfig, seed: u64) {
        self.add_with(identity, Config::new("token"), line, seed);
    }

    pub(crate) fn add_with(
        &mut self,
        identity: &'static str,
        mut config: Config,
        line: LinkConfig,
        seed: u64,
    ) {
        config.seed = seed;
        // Packets of a handshake that are lost again and again take their time.
        config.join_timeout = Duration::from_secs(30);
        let number = self.clients.len();
        let local = [5_000, 6_000].map(|port| format!("10.0.{number}.1:{port}").parse().unwrap());
        let tcp = LinkConfig {
            latency: line.latency,
            keep_order: true,
            ..LinkConfig::default()
        };
        self.clients.push(Client {
            identity,
            connection: Connection::new(config, &local[..1], self.at()).unwrap(),
            local,
            public: local,
            up: Link::new(line.clone(), seed.wrapping_mul(2)),
            down: Link::new(line, seed.wrapping_mul(2) + 1),
            tcp,
            tcp_down: false,
            socket: None,
            dialling: None,
            recent: VecDeque::new(),
            sending: false,
            next_packet: Duration::ZERO,
            packets: 0,
            sent: Vec::new(),
            received: BTreeMap::new(),
            events: Vec::new(),
            present: BTreeMap::new(),
            closed: None,
        });
    }

    fn at(&self) -> Instant {
        self.start + self.now
    }

    /// Two participants that send to each other.
    pub(crate) fn pair(line: &LinkConfig, seed: u64) -> Self {
        World::pair_with(line, seed, [Config::new("token"), Config::new("token")])
    }

    /// The same, made and kept like this.
    pub(crate) fn pair_with(line: &LinkConfig, seed: u64, configs: [Config; 2]) -> Self {
        let mut world = World::new();
        let [alice, bob] = configs;
        world.add_with("alice", alice, line.clone(), seed * 10);
        world.add_with("bob", bob, line.clone(), seed * 10 + 1);
        world.run_until_joined();
        world.set_sending(true);
        world
    }

    pub(crate) fn run_until_joined(&mut self) {
        let deadline = self.now + Duration::from_secs(30);
        let joined = |client: &Client| client.connection.session().is_some();
        while !self.clients.iter().all(joined) {
            self.run_for(Duration::from_millis(10));
            assert!(self.now < deadline, "nobody joins within 30 s");
        }
    }

    pub(crate) fn set_sending(&mut self, sending: bool) {
        for client in &mut self.clients {
            client.sending = sending;
            client.next_packet = self.now;
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        let polls = self.polls;
        loop {
            self.settle();
            let next = self.next_time().filter(|next| *next < end);
            // Time always moves, if only a little: what is due at once was done.
            self.now = next.unwrap_or(end).max(self.now + TICK).min(end);
            gs_seeded::set_time(self.now);
            self.arrive();
            self.polls += 1;
            let allowed = MAX_POLLS_PER_SECOND * (1 + time.as_secs()) + polls;
            assert!(self.polls < allowed, "something polls without end");
            if next.is_none() {
                self.settle();
                return;
            }
        }
    }

    /// Does what everybody wants done now.
    fn settle(&mut self) {
        let at = self.at();
        for client in 0..self.clients.len() {
            self.send_packets(client);
            let client = &mut self.clients[client];
            while let Some(event) = client.connection.poll_event() {
                client.handle_event(event, self.now);
            }
            if client.connection.wants_subscriber_addresses() {
                client
                    .connection
                    .set_subscriber_addresses(&client.local[1..]);
            }
            if let Some(dial) = client.connection.poll_dial() {
                if let Some(open) = client.socket.take() {
                    self.sfu.handle_closed(open.socket);
                }
                // TCP and HTTP take a round trip each.
                client.dialling = Some(Dialling {
                    connected: Some(self.now + client.tcp.latency * 2),
                    opened: self.now + client.tcp.latency * 4,
                    dial,
                });
            }
            while let Some(transmit) = client.connection.poll_transmit() {
                let socket = client.local.iter().position(|own| *own == transmit.source);
                assert_eq!(transmit.destination, SFU.parse().unwrap());
                let datagram = Datagram {
                    socket: socket.unwrap(),
                    contents: transmit.contents,
                };
                client.up.send(self.now, datagram);
            }
            while let Some(signal) = client.connection.poll_signal() {
                if let Some(open) = &mut client.socket {
                    open.up.send(self.now, signal);
                }
            }
        }
        if self.sfu_down {
            self.sfu.datagrams.clear();
        }
        if self.sfu_down || self.sfu_mute {
            self.sfu.signals.clear();
        }
        while let Some((to, datagram)) = self.sfu.datagrams.pop_front() {
            for client in &mut self.clients {
                if let Some(socket) = client.public.iter().position(|public| *public == to) {
                    let contents = datagram.clone();
                    client.down.send(self.now, Datagram { socket, contents });
                }
            }
        }
        while let Some((socket, message)) = self.sfu.signals.pop_front() {
            for client in &mut self.clients {
                if let Some(open) = client.socket.as_mut().filter(|open| open.socket == socket) {
                    open.down.send(self.now, message.clone());
                }
            }
        }
        debug_assert!(self.at() == at);
    }

    fn send_packets(&mut self, client: usize) {
        let now = self.now;
        let client = &mut self.clients[client];
        if !client.sending || now < client.next_packet || client.closed.is_some() {
            return;
        }
        client.next_packet = now + PACKET_INTERVAL;
        client.packets += 1;
        let number = client.packets;
        let Some(encoder) = client.connection.encoder() else {
            return;
        };
        for channel in [Channel::Lossy, Channel::Reliable] {
            let reliable = channel == Channel::Reliable;
            if reliable && !number.is_multiple_of(RELIABLE_EVERY) {
                continue;
            }
            let packet = Packet {
                topic: if reliable { "reliable" } else { "lossy" },
                payload: &number.to_le_bytes(),
                channel,
                destinations: &[],
            };
            match client.connection.send(encoder.encode(&packet).unwrap()) {
                Ok(()) if reliable => client.sent.push(number),
                Ok(()) | Err(SendError::Full | SendError::Closed) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(client.connection.reliable_waiting() <= 1_024 * 1_024);
    }

    fn next_time(&mut self) -> Option<Duration> {
        let start = self.start;
        let since = |at: Instant| at.saturating_duration_since(start);
        let sfu = self
            .sfu
            .poll_timeout()
            .filter(|_| !self.sfu_down && !self.sfu_busy)
            .map(since);
        let clients = self.clients.iter_mut().filter_map(|client| {
            let socket = client.socket.as_ref().filter(|_| !client.tcp_down);
            [
                client.connection.poll_timeout().map(since),
                client.up.poll_timeout(),
                client.down.poll_timeout(),
                socket.and_then(|open| open.up.poll_timeout()),
                socket.and_then(|open| open.down.poll_timeout()),
                client
                    .dialling
                    .as_ref()
                    .filter(|_| !client.tcp_down)
                    .map(|dialling| dialling.connected.unwrap_or(dialling.opened)),
                (client.sending && client.closed.is_none()).then_some(client.next_packet),
            ]
            .into_iter()
            .flatten()
            .min()
        });
        clients.chain(sfu).min()
    }

    /// Hands everything on that has arrived by now.
    fn arrive(&mut self) {
        let at = self.at();
        for number in 0..self.clients.len() {
            self.arrive_datagrams(number);
            if !self.clients[number].tcp_down {
                self.arrive_signals(number);
                self.finish_dial(number);
            }
            let client = &mut self.clients[number];
            if client
                .connection
                .poll_timeout()
                .is_some_and(|due| due <= at)
            {
                client.connection.handle_timeout(at);
            }
        }
        if self.sfu_down {
            self.in_socket.clear();
        } else if !self.sfu_busy {
            for (from, datagram) in self.in_socket.drain(..) {
                self.sfu.handle_datagram(from, &datagram, at);
            }
            self.sfu.handle_timeout(at);
        }
    }

    fn arrive_datagrams(&mut self, number: usize) {
        let (at, server) = (self.at(), SFU.parse().unwrap());
        let client = &mut self.clients[number];
        while let Some(datagram) = client.up.poll(self.now) {
            let from = client.public[datagram.socket];
            self.in_socket.push((from, datagram.contents));
        }
        // What the socket has no room for.
        self.in_socket.truncate(SOCKET_DATAGRAMS);
        while let Some(datagram) = client.down.poll(self.now) {
            let local = client.local[datagram.socket];
            if client.recent.len() >= RECENT {
                client.recent.pop_front();
            }
            client.recent.push_back(datagram.clone());
            client
                .connection
                .handle_datagram(local, server, &datagram.contents, at);
        }
    }

    fn arrive_signals(&mut self, number: usize) {
        let at = self.at();
        let client = &mut self.clients[number];
        let Some(open) = &mut client.socket else {
            return;
        };
        if self.sfu_down {
            client.socket = None;
            client.connection.handle_signal_lost(at);
            return;
        }
        while let Some(message) = open.up.poll(self.now) {
            self.sfu.handle_signal(open.socket, &message, at);
        }
        while let Some(message) = open.down.poll(self.now) {
            client.connection.handle_signal(&message, at);
        }
    }

    fn finish_dial(&mut self, number: usize) {
        let at = self.at();
        let client = &mut self.clients[number];
        let Some(dialling) = &mut client.dialling else {
            return;
        };
        let connected = dialling.connected.is_some_and(|at| at <= self.now);
        if connected && !self.sfu_down {
            dialling.connected = None;
            client.connection.handle_connected(at);
        }
        let over = |dialling: &mut Dialling| match dialling.connected {
            // Nobody listens.
            Some(at) => at <= self.now,
            None => dialling.opened <= self.now,
        };
        let Some(Dialling { dial, .. }) = client.dialling.take_if(over) else {
            return;
        };
        if self.sfu_down {
            let failure = DialFailure::Unreachable;
            client.connection.handle_dial_failed(failure, at);
            return;
        }
        self.sockets += 1;
        let socket = self.sockets;
        client.socket = Some(Open {
            socket,
            up: Link::new(client.tcp.clone(), socket),
            down: Link::new(client.tcp.clone(), socket),
        });
        client.connection.handle_dialled(at);
        self.sfu
            .handle_open(socket, client.identity, &dial.path, at);
    }

    /// The WebSocket ends without a word.
    pub(crate) fn cut_signal(&mut self, number: usize) {
        let at = self.at();
        let client = &mut self.clients[number];
        if let Some(open) = client.socket.take() {
            self.sfu.handle_closed(open.socket);
            client.connection.handle_signal_lost(at);
        }
    }

    /// How long a message over TCP takes, from the next WebSocket on.
    pub(crate) fn set_signal_latency(&mut self, number: usize, latency: Duration) {
        self.clients[number].tcp.latency = latency;
    }

    /// The last datagrams that somebody got, to hand to them again.
    pub(crate) fn recent(&self, number: usize) -> Vec<Datagram> {
        self.clients[number].recent.iter().cloned().collect()
    }

    pub(crate) fn hand_again(&mut self, number: usize, datagrams: &[Datagram]) {
        let at = self.at();
        let client = &mut self.clients[number];
        for datagram in datagrams {
            let (local, server) = (client.local[datagram.socket], SFU.parse().unwrap());
            client
                .connection
                .handle_datagram(local, server, &datagram.contents, at);
        }
    }

    pub(crate) fn leave(&mut self, number: usize) {
        let at = self.at();
        self.clients[number].connection.leave(at);
    }

    /// Loses every datagram of a participant, or none any more.
    pub(crate) fn set_udp_down(&mut self, number: usize, down: bool) {
        let client = &mut self.clients[number];
        for link in [&mut client.up, &mut client.down] {
            let mut config = link.config().clone();
            config.outages = match down {
                true => vec![gs_netem::Outage {
                    from: Duration::ZERO,
                    until: Duration::MAX,
                }],
                false => Vec::new(),
            };
            if down {
                link.clear();
            }
            link.set_config(config);
        }
    }

    /// Datagrams of a participant come from another port from now on.
    pub(crate) fn rebind(&mut self, number: usize) {
        for public in &mut self.clients[number].public {
            public.set_port(public.port() + 1);
        }
    }

    /// Stops sending, lets everything arrive, and checks what must hold whatever happened.
    pub(crate) fn finish(&mut self) {
        self.set_sending(false);
        self.run_for(Duration::from_secs(20));
        self.check();
    }

    fn check(&self) {
        for client in &self.clients {
            let who = client.identity;
            for ((from, reliable), numbers) in &client.received {
                let mut seen: Vec<u32> = numbers.iter().map(|(_, number)| *number).collect();
                if !reliable {
                    seen.sort_unstable();
                }
                let in_order = seen.windows(2).all(|pair| pair[0] < pair[1]);
                assert!(
                    in_order,
                    "{who} sees {from}'s packets twice or out of order: {seen:?}"
                );
            }
            if client.closed.is_none() {
                self.check_presence(client);
            }
        }
        for from in &self.clients {
            for to in self
                .clients
                .iter()
                .filter(|to| to.identity != from.identity)
            {
                self.check_complete(from, to);
            }
        }
    }

    /// At the end everybody sees everybody.
    fn check_presence(&self, client: &Client) {
        let seen: Vec<&str> = client.present.keys().map(String::as_str).collect();
        let mut there = self.sfu.identities();
        there.retain(|identity| *identity != client.identity);
        assert_eq!(seen, there, "as {} sees it", client.identity);
    }

    /// Reliable packets are all there, but for those that were reported as lost, and those that
    /// were on their way to somebody who got a new session.
    fn check_complete(&self, from: &Client, to: &Client) {
        let rejoined = |(_, event): &(Duration, Event)| matches!(event, Event::Rejoined { .. });
        let excused =
            to.events.iter().any(rejoined) || to.closed.is_some() || from.closed.is_some();
        let none = Vec::new();
        let key = (from.identity.to_owned(), true);
        let received = to.received.get(&key).unwrap_or(&none).len() as u64;
        let lost = from.connection.stats().reliable_lost;
        let sent = from.sent.len() as u64;
        assert!(
            excused || received + lost >= sent,
            "{} sent {sent} and reported {lost} as lost, {} received {received}; missing {:?}; {:?}",
            from.identity,
            to.identity,
            missing(from, to),
            from.events,
        );
        assert!(received <= sent);
    }
}

impl Client {
    fn handle_event(&mut self, event: Event, now: Duration) {
        match &event {
            Event::Data {
                from,
                topic,
                payload,
                channel,
                ..
            } => {
                let reliable = *channel == Channel::Reliable;
                assert_eq!(&**topic, if reliable { "reliable" } else { "lossy" });
                let number = u32::from_le_bytes(payload[..].try_into().unwrap());
                let log = self
                    .received
                    .entry((from.to_string(), reliable))
                    .or_default();
                log.push((now, number));
                return;
            }
            Event::ParticipantJoined { identity, sid, .. } => {
                let before = self.present.insert(identity.to_string(), sid.to_string());
                assert_eq!(before, None, "{identity} joins twice");
            }
            Event::ParticipantLeft { identity, sid } => {
                let before = self.present.remove(&**identity);
                assert_eq!(before.as_deref(), Some(&**sid), "{identity} leaves");
            }
            Event::Closed(reason) => {
                assert_eq!(self.closed, None, "closed twice");
                self.closed = Some(reason.clone());
            }
            _ => {}
        }
        assert!(self.closed.is_none() || matches!(event, Event::Closed(_)));
        self.events.push((now, event));
    }

    /// When the next packet of another arrived after this time.
    pub(crate) fn first_packet_after(&self, after: Duration) -> Option<Duration> {
        let packets = self.received.values().flatten();
        packets.map(|(at, _)| *at).filter(|at| *at >= after).min()
    }

    /// The longest time without a packet of another.
    pub(crate) fn longest_gap(&self) -> Duration {
        let packets = self.received.values().flatten();
        let mut times: Vec<Duration> = packets.map(|(at, _)| *at).collect();
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or(Duration::MAX)
    }

    pub(crate) fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| is(event)).count()
    }
}

/// Numbers that were sent and did not arrive.
fn missing(from: &Client, to: &Client) -> Vec<u32> {
    let received = to.received.get(&(from.identity.to_owned(), true));
    let arrived = |number: &u32| {
        let mut numbers = received.into_iter().flatten();
        numbers.any(|(_, other)| other == number)
    };
    from.sent
        .iter()
        .copied()
        .filter(|number| !arrived(number))
        .collect()
}

const SFU: &str = "10.1.0.1:7882";
/// Some 200 kB of them.
const SOCKET_DATAGRAMS: usize = 1_000;
const RECENT: usize = 300;
const PACKET_INTERVAL: Duration = Duration::from_millis(16);
const RELIABLE_EVERY: u32 = 6;
const TICK: Duration = Duration::from_micros(50);

/// Some twenty for each packet of either, and a hundred for the rest.
const MAX_POLLS_PER_SECOND: u64 = 5_000;
