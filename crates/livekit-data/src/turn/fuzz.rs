//! What the fuzz targets do with the bytes of TURN servers.

use super::framing::MAX_FRAME;
use super::stun::{Class, HEADER, Message, Method, long_term_key, server};
use super::{Carrier, Endpoint, Frames, RelayId, RelayRequest, Relays};
use crate::fuzz::Input;
use livekit_protocol as proto;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One message, with everything that is asked of one.
pub fn messages(data: &[u8]) {
    let Some(message) = Message::parse(data) else {
        return;
    };
    assert!(data.len() >= HEADER && data.len().is_multiple_of(4));
    assert_eq!(message.id[..], data[8..HEADER]);
    let _ = (message.error_code(), message.lifetime());
    let text = [message.realm(), message.nonce()].into_iter().flatten();
    let values = text.map(str::as_bytes).chain(message.data());
    assert!(values.map(<[u8]>::len).all(|len| len < data.len()));
    let _ = (message.peer_address(), message.relayed_address());
    let _ = message.is_authentic(&long_term_key(USER, REALM, PASSWORD));
}

/// A stream of messages: however it is cut, the same ones come out, and nothing that is kept is
/// longer than one. The first byte says how it is cut.
pub fn frames(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let cut = |step: usize| {
        let (mut frames, mut whole) = (Frames::default(), Vec::new());
        for part in stream.chunks(step) {
            if frames
                .push(part, |frame| whole.push(frame.to_vec()))
                .is_err()
            {
                return (whole, true);
            }
            assert!(frames.buffered() <= MAX_FRAME);
        }
        (whole, false)
    };
    let at_once = cut(stream.len().max(1));
    assert_eq!(cut(usize::from(step).max(1)), at_once);
    let (whole, _) = at_once;
    assert!(whole.concat().len() <= stream.len());
    assert!(stream.starts_with(&whole.concat()));
}

/// An URL: what is read of it says the same when it is written again.
pub fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(endpoint) = Endpoint::parse(&text) else {
        return;
    };
    assert!(!endpoint.host.is_empty() && endpoint.port != 0);
    let (scheme, transport) = match endpoint.carrier {
        Carrier::Udp => ("turn", "udp"),
        Carrier::Tcp => ("turn", "tcp"),
        Carrier::Tls => ("turns", "tcp"),
    };
    let host = &endpoint.host;
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.clone(),
    };
    let again = format!("{scheme}:{host}:{}?transport={transport}", endpoint.port);
    assert_eq!(Endpoint::parse(&again), Some(endpoint), "{again}");
}

/// Steps of two TURN servers, one over UDP and one over TCP, of the network and of this side.
pub fn relays(data: &[u8]) {
    let mut world = World::new();
    world.play(data);
    // What was begun comes to an end, or stays only where the server keeps it.
    for _ in 0..10 {
        world.now += Duration::from_secs(700);
        world.relays.handle_timeout(world.now);
        world.settle();
    }
    assert!(world.relays.poll_timeout().is_none());
}

struct World {
    relays: Relays,
    now: Instant,
    /// The latest requests to the server over UDP, and over TCP.
    asked: [Vec<u8>; 2],
    stream: Option<RelayId>,
    resolve: Option<RelayId>,
    relayed: Option<SocketAddr>,
}

impl World {
    fn new() -> Self {
        World {
            relays: Relays::new(1, 1),
            now: Instant::now(),
            asked: [Vec::new(), Vec::new()],
            stream: None,
            resolve: None,
            relayed: None,
        }
    }

    fn play(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        self.gather(input.byte());
        self.settle();
        for _ in 0..MAX_STEPS {
            let Some(kind) = input.next_byte() else {
                break;
            };
            self.step(kind, &mut input);
            self.settle();
        }
    }

    fn gather(&mut self, kind: u8) {
        let urls = match kind % 3 {
            0 => [
                "turn:192.0.2.2:3478?transport=udp",
                "turn:192.0.2.2?transport=tcp",
            ],
            1 => ["turns:turn.example:443?transport=tcp", "turn:[2001:db8::2]"],
            _ => ["turn:turn.example:3478", "turns:192.0.2.2:5349"],
        };
        let server = proto::IceServer {
            urls: urls.map(str::to_owned).to_vec(),
            username: USER.into(),
            credential: PASSWORD.into(),
        };
        let locals = [address(LOCAL), address(LOCAL_6)];
        self.relays.gather(&[server], &locals, self.now);
    }

    fn step(&mut self, kind: u8, input: &mut Input<'_>) {
        let now = self.now;
        match kind % 12 {
            0 => {
                let message = input.chunk().unwrap_or_default();
                self.datagram(message);
            }
            1 => {
                let bytes = input.chunk().unwrap_or_default();
                if let Some(id) = self.stream {
                    self.relays.handle_stream(id, bytes, now);
                }
            }
            // An answer to what was asked, over either.
            kind @ (2 | 3) => {
                let way = usize::from(kind - 2);
                if let Some(answer) = answer(&self.asked[way], input) {
                    match (way, self.stream) {
                        (0, _) => self.datagram(&answer),
                        (_, Some(id)) => self.relays.handle_stream(id, &answer, now),
                        _ => {}
                    }
                }
            }
            4 => {
                self.now += Duration::from_millis(u64::from(input.byte()) * 20);
                self.relays.handle_timeout(self.now);
            }
            5 => {
                self.now += Duration::from_secs(u64::from(input.byte()) * 4);
                self.relays.handle_timeout(self.now);
            }
            6 => {
                let peer = SocketAddr::new([192, 0, 2, input.byte()].into(), 5_000);
                if let Some(relayed) = self.relayed {
                    self.relays
                        .send(relayed, peer, input.chunk().unwrap_or_default(), now);
                }
            }
            7 => {
                let found = [address(SERVER), address(SERVER_6)];
                let found = &found[..usize::from(input.byte() % 3)];
                if let Some(id) = self.resolve {
                    self.relays.handle_resolved(id, found, now);
                }
            }
            8 => {
                if let Some(id) = self.stream {
                    self.relays.handle_open(id, address(SERVER).ip(), now);
                }
            }
            9 => {
                if let Some(id) = self.stream {
                    self.relays.handle_lost(id, now);
                }
            }
            10 => {
                // What peers send through a channel.
                let mut frame = vec![0x40, input.byte()];
                let data = input.chunk().unwrap_or_default();
                frame.extend((data.len() as u16).to_be_bytes());
                frame.extend(data);
                self.datagram(&frame);
            }
            _ => self.relays.release(),
        }
    }

    fn datagram(&mut self, message: &[u8]) {
        for (local, from) in [(LOCAL, SERVER), (LOCAL_6, SERVER_6)] {
            let (local, from) = (address(local), address(from));
            if self.relays.handle_datagram(local, from, message, self.now) {
                break;
            }
        }
    }

    /// Takes what is to be done.
    fn settle(&mut self) {
        while let Some(request) = self.relays.poll_request() {
            match request {
                RelayRequest::Open { id, .. } => self.stream = Some(id),
                RelayRequest::Resolve { id, .. } => self.resolve = Some(id),
                RelayRequest::Close { id } if self.stream == Some(id) => self.stream = None,
                RelayRequest::Close { .. } => {}
            }
        }
        let mut sent = 0;
        while let Some(transmit) = self.relays.poll_transmit() {
            sent += 1;
            assert!([address(SERVER), address(SERVER_6)].contains(&transmit.destination));
            self.keep(0, transmit.contents);
        }
        while let Some((_, message)) = self.relays.poll_stream_transmit() {
            sent += 1;
            self.keep(1, message);
        }
        assert!(sent <= MAX_SENT, "{sent} messages for one step");
        while let Some(received) = self.relays.poll_received() {
            assert!(received.contents.len() < usize::from(u16::MAX));
        }
        while let Some(event) = self.relays.poll_event() {
            match event {
                super::RelayEvent::Allocated { relayed, .. } => {
                    assert!(self.relays.is_relayed(relayed));
                    self.relayed = Some(relayed);
                }
                super::RelayEvent::Lost { .. } | super::RelayEvent::Failed(_) => {}
            }
        }
        let _ = self.relays.take_malformed();
        if let Some(due) = self.relays.poll_timeout() {
            assert!(due <= self.now + LONGEST_WAIT);
        }
    }

    fn keep(&mut self, way: usize, message: Vec<u8>) {
        // The rest is what goes to peers.
        if Message::parse(&message).is_some_and(|message| message.class == Class::Request) {
            self.asked[way] = message;
        }
    }
}

/// An answer as the input wants it: honest by itself, or of any class with any attributes, and
/// authentic or not.
fn answer(request: &[u8], input: &mut Input<'_>) -> Option<Vec<u8>> {
    let Message { method, id, .. } = Message::parse(request)?;
    let kind = input.byte();
    let answer = match kind % 4 {
        0 => server::success(method, id).raw(input.chunk().unwrap_or_default()),
        1 => server::refusal(method, id).raw(input.chunk().unwrap_or_default()),
        2 => {
            let code = [401, 438, 437, 400][usize::from(kind / 4 % 4)];
            server::error(method, id, code).challenge(REALM, "nonce")
        }
        _ => {
            let success = server::success(method, id);
            let success = match method {
                Method::Allocate => success.relayed(address(RELAYED)),
                _ => success,
            };
            success.lifetime(u32::from(input.byte()) * 10)
        }
    };
    Some(match kind & 0x80 {
        0 => answer.prove(&long_term_key(USER, REALM, PASSWORD)),
        _ => answer.finish(),
    })
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

const USER: &str = "user";
const REALM: &str = "realm";
const PASSWORD: &str = "password";

const LOCAL: &str = "192.0.2.1:1000";
const LOCAL_6: &str = "[2001:db8::1]:1000";
const SERVER: &str = "192.0.2.2:3478";
const SERVER_6: &str = "[2001:db8::2]:3478";
const RELAYED: &str = "192.0.2.9:9000";

/// Each costs some ten microseconds.
const MAX_STEPS: usize = 256;

/// Every channel that is being bound may send its request again in one step.
const MAX_SENT: usize = 512;

/// Nothing is put off for longer than the longest lifetime that a server is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_corpus_gets_addresses_over_udp_and_tcp() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/livekit_relays");
        for name in [
            "udp",
            "udp-by-name",
            "udp-ipv6",
            "tcp",
            "stale-nonce",
            "mismatch",
        ] {
            let mut world = World::new();
            world.play(&std::fs::read(corpus.join(name)).unwrap());
            assert!(world.relayed.is_some(), "{name}");
        }
    }
}
