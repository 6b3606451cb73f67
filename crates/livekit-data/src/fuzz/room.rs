//! A connection with the model of a server, in virtual time.

use super::input::Input;
use crate::crypto;
use crate::data_track::LABEL;
use crate::{
    Channel, CloseReason, Config, Connection, DataTracks, Dial, DialFailure, Event, LocalTrack,
    Packet, PeerConnections, Reconnect,
};
use base64::Engine as _;
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Output, Rtc};

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The WebSocket is being opened.
    New,
    /// It is open.
    Dialled,
    /// The server has let the participant in, and has not answered its offer.
    Admitted,
    /// The offer is answered, and the transport is being made.
    Answered,
    /// Packets can be sent.
    Joined,
    /// The WebSocket was lost after that, and another is open.
    Recovering,
    /// With two peer connections, and let in.
    Two,
}

impl From<u8> for Stage {
    fn from(byte: u8) -> Self {
        match byte % 7 {
            0 => Stage::New,
            1 => Stage::Dialled,
            2 => Stage::Admitted,
            3 => Stage::Answered,
            4 => Stage::Joined,
            5 => Stage::Recovering,
            _ => Stage::Two,
        }
    }
}

pub(super) struct Room {
    connection: Connection,
    now: Instant,
    start: Instant,
    /// The server's side of the transport, once there was an offer.
    server: Option<Rtc>,
    channels: HashMap<String, ChannelId>,
    dial: Option<Dial>,
    /// Datagrams are lost.
    dark: bool,
    joined: bool,
    closed: Option<CloseReason>,
    track: Option<LocalTrack>,
}

impl Room {
    pub(super) fn new(stage: Stage) -> Self {
        let mut config = Config::new("token");
        config.data_tracks = DataTracks::On;
        config.reconnect = Reconnect::Full;
        if stage == Stage::Two {
            config.peer_connections = PeerConnections::Two;
        }
        let now = Instant::now();
        let connection = Connection::new(config, &[address(CLIENT)], now);
        let mut room = Room {
            connection: connection.expect("the address can be a candidate"),
            now,
            start: now,
            server: None,
            channels: HashMap::new(),
            dial: None,
            dark: false,
            joined: false,
            closed: None,
            track: None,
        };
        room.settle();
        if stage == Stage::New {
            return room;
        }
        room.connection.handle_dialled(now);
        if stage == Stage::Dialled {
            return room;
        }
        room.admit();
        if stage == Stage::Admitted || stage == Stage::Two {
            return room;
        }
        room.answer();
        if stage == Stage::Answered {
            return room;
        }
        for _ in 0..50 {
            if room.joined {
                break;
            }
            room.pass_time(1);
        }
        room.connection.subscribe_track(OTHER, TRACK, room.now);
        room.track = room.connection.publish_track("own", room.now).ok();
        room.respond(subscriber_handles());
        if stage == Stage::Recovering {
            room.connection.handle_signal_lost(room.now);
            room.settle();
            room.connection.handle_dialled(room.now);
        }
        room
    }

    #[cfg(test)]
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    pub(super) fn signal(&mut self, message: &[u8]) {
        self.connection.handle_signal(message, self.now);
        self.settle();
    }

    pub(super) fn respond(&mut self, response: Response) {
        let message = Some(response);
        self.signal(&proto::SignalResponse { message }.encode_to_vec());
    }

    pub(super) fn datagram(&mut self, from_server: bool, datagram: &[u8]) {
        let from = address(if from_server { SERVER } else { STRANGER });
        let client = address(CLIENT);
        self.connection
            .handle_datagram(client, from, datagram, self.now);
        self.settle();
    }

    /// Lets some tens of milliseconds pass.
    pub(super) fn pass_time(&mut self, steps: u32) {
        for _ in 0..steps {
            self.now += Duration::from_millis(20);
            self.settle();
        }
    }

    /// One step of a session.
    pub(super) fn step(&mut self, kind: u8, input: &mut Input<'_>) {
        match kind % 16 {
            0 => self.signal(input.chunk().unwrap_or_default()),
            1 => self.write("_lossy", input),
            2 => self.write("_reliable", input),
            3 => self.write(LABEL, input),
            4 | 5 => self.datagram(kind % 16 == 4, input.chunk().unwrap_or_default()),
            6 => self.pass_time(u32::from(input.byte() % 64)),
            7 => {
                // Without a look in between, as a machine that was asleep.
                self.now += Duration::from_millis(u64::from(input.byte()) * 50);
                self.settle();
            }
            8 => self.connection.handle_signal_lost(self.now),
            9 => match input.byte() % 6 {
                0 => self.connection.handle_dialled(self.now),
                1 => self.fail_dial(DialFailure::Unreachable),
                2 => self.fail_dial(DialFailure::UnknownPath),
                3 => self.fail_dial(DialFailure::RoomNotFound),
                4 => self.fail_dial(DialFailure::Unauthorized),
                _ => self.fail_dial(DialFailure::Refused),
            },
            10 => self.admit(),
            11 => self.answer(),
            12 => self.respond(Response::Reconnect(proto::ReconnectResponse {
                last_message_seq: u32::from(input.byte()),
                ..Default::default()
            })),
            13 => self.respond(Response::Leave(proto::LeaveRequest {
                reason: i32::from(input.byte() % 16),
                action: i32::from(input.byte() % 3),
                ..Default::default()
            })),
            14 => self.send(input),
            _ => self.dark = input.byte() & 1 == 1,
        }
        self.settle();
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        let payload = vec![kind; usize::from(input.byte()) * 64];
        let packet = Packet {
            topic: "topic",
            payload: &payload,
            channel: if kind & 1 == 0 {
                Channel::Lossy
            } else {
                Channel::Reliable
            },
            destinations: &[],
        };
        let message = self
            .connection
            .encoder()
            .map(|encoder| encoder.encode(&packet));
        match (kind >> 1) % 5 {
            0 | 1 => {
                if let Some(Ok(message)) = message {
                    let _ = self.connection.send(message);
                }
            }
            2 => {
                if let Some(Ok(message)) = message {
                    let _ = self.connection.send_latest(message, u64::from(kind));
                }
            }
            3 => {
                let track = self.connection.publish_track("another", self.now);
                self.track = track.ok().or(self.track);
            }
            _ => {
                if let Some(track) = self.track {
                    let _ = self.connection.send_frame(track, &payload, None, self.now);
                }
            }
        }
    }

    fn fail_dial(&mut self, failure: DialFailure) {
        self.connection.handle_dial_failed(failure, self.now);
    }

    fn admit(&mut self) {
        self.respond(Response::Join(proto::JoinResponse {
            room: Some(proto::Room {
                name: "room".into(),
                ..Default::default()
            }),
            participant: Some(proto::ParticipantInfo {
                identity: "me".into(),
                sid: "PA_me".into(),
                ..Default::default()
            }),
            other_participants: vec![publisher()],
            ping_interval: 5,
            ping_timeout: 15,
            ..Default::default()
        }));
    }

    /// Answers the offer of the last dial with a server of its own.
    fn answer(&mut self) {
        let Some(offer) = self.dial.as_ref().and_then(offer_of) else {
            return;
        };
        let mut server = Rtc::builder()
            .set_ice_lite(true)
            .set_crypto_provider(crypto::transport().clone())
            .build(self.start);
        let candidate = Candidate::host(address(SERVER), "udp");
        server.add_local_candidate(candidate.expect("the address can be a candidate"));
        let offer = SdpOffer::from_sdp_string(&offer).expect("own offers can be read");
        let answer = server.sdp_api().accept_offer(offer);
        let sdp = answer.expect("own offers are acceptable").to_sdp_string();
        self.server = Some(server);
        self.channels.clear();
        self.respond(Response::Answer(proto::SessionDescription {
            r#type: "answer".into(),
            sdp,
            ..Default::default()
        }));
    }

    /// The server writes to a channel.
    fn write(&mut self, label: &str, input: &mut Input<'_>) {
        let message = input.chunk().unwrap_or_default();
        let id = self.channels.get(label).copied();
        if let (Some(server), Some(id)) = (&mut self.server, id)
            && let Some(mut channel) = server.channel(id)
        {
            let _ = channel.write(true, message);
        }
    }

    /// Does what both sides want done, until there is nothing left.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < MAX_ROUNDS, "the two ends never come to rest");
            let mut idle = self.drain();
            idle &= self.drain_server();
            let due = self.connection.poll_timeout();
            if due.is_some_and(|due| due <= self.now) {
                self.connection.handle_timeout(self.now);
                idle = false;
            }
            if idle {
                break;
            }
        }
        if self.closed.is_some() {
            assert_eq!(self.connection.poll_timeout(), None);
        }
    }

    fn drain(&mut self) -> bool {
        let mut idle = true;
        if self.connection.wants_subscriber_addresses() {
            self.connection
                .set_subscriber_addresses(&[address(CLIENT_2)]);
        }
        if let Some(dial) = self.connection.poll_dial() {
            self.dial = Some(dial);
            idle = false;
        }
        while self.connection.poll_signal().is_some() {}
        while let Some(event) = self.connection.poll_event() {
            assert_eq!(self.closed, None, "nothing follows the end: {event:?}");
            if let Event::Closed(reason) = event {
                self.closed = Some(reason);
            }
        }
        self.joined |= self.connection.session().is_some();
        while let Some(transmit) = self.connection.poll_transmit() {
            idle = false;
            let (Some(server), false) = (&mut self.server, self.dark) else {
                continue;
            };
            let (from, to) = (transmit.source, transmit.destination);
            if let Ok(receive) = Receive::new(Protocol::Udp, from, to, &transmit.contents) {
                let input = str0m::Input::Receive(self.now, receive);
                if server.accepts(&input) {
                    let _ = server.handle_input(input);
                }
            }
        }
        idle
    }

    fn drain_server(&mut self) -> bool {
        let mut received = VecDeque::new();
        let Some(server) = &mut self.server else {
            return true;
        };
        let _ = server.handle_input(str0m::Input::Timeout(self.now));
        loop {
            match server.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    received.push_back((transmit.destination, Vec::from(transmit.contents)));
                }
                Ok(Output::Event(str0m::Event::ChannelOpen(id, label))) => {
                    self.channels.insert(label, id);
                }
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(_)) => break,
                Err(_) => {
                    self.server = None;
                    break;
                }
            }
        }
        let idle = received.is_empty();
        for (to, datagram) in received.into_iter().filter(|_| !self.dark) {
            let from = address(SERVER);
            self.connection
                .handle_datagram(to, from, &datagram, self.now);
        }
        idle
    }
}

/// Somebody else in the room, who publishes a track.
pub(super) fn publisher() -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        identity: OTHER.into(),
        sid: "PA_other".into(),
        state: proto::participant_info::State::Active as i32,
        data_tracks: vec![proto::DataTrackInfo {
            pub_handle: 1,
            sid: TRACK_SID.into(),
            name: TRACK.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The server forwards that track.
pub(super) fn subscriber_handles() -> Response {
    let track = proto::data_track_subscriber_handles::PublishedDataTrack {
        publisher_identity: OTHER.into(),
        publisher_sid: "PA_other".into(),
        track_sid: TRACK_SID.into(),
    };
    Response::DataTrackSubscriberHandles(proto::DataTrackSubscriberHandles {
        sub_handles: HashMap::from([(HANDLE.into(), track)]),
    })
}

/// A packet of that track: flags, sequence, frame and payload from these bytes.
pub(super) fn track_packet(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter().copied();
    let mut byte = || bytes.next().unwrap_or_default();
    let mut packet = vec![byte() & 0x1f, 0];
    packet.extend_from_slice(&HANDLE.to_be_bytes());
    packet.extend_from_slice(&[0, byte(), 0, byte(), 0, 0, 0, 0]);
    packet.extend(bytes);
    packet
}

/// The offer that goes with a request to join.
fn offer_of(dial: &Dial) -> Option<String> {
    let (_, request) = dial.path.split_once("join_request=")?;
    let engine = base64::engine::general_purpose::URL_SAFE;
    let request = engine.decode(request.replace("%3D", "=")).ok()?;
    let wrapped = proto::WrappedJoinRequest::decode(&request[..]).ok()?;
    let request = proto::JoinRequest::decode(&wrapped.join_request[..]).ok()?;
    Some(request.publisher_offer?.sdp)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(super) const OTHER: &str = "other";
pub(super) const TRACK: &str = "track";
pub(super) const TRACK_SID: &str = "DTR_track";
const HANDLE: u16 = 9;

const CLIENT: &str = "192.0.2.1:1000";
const CLIENT_2: &str = "192.0.2.1:1001";
const SERVER: &str = "192.0.2.2:2000";
const STRANGER: &str = "192.0.2.3:3000";

/// A handshake takes a dozen. What is sent at most, some 300 kB, takes a few hundred.
const MAX_ROUNDS: u32 = 5_000;
