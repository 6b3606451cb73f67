//! The state machine alone: no socket, no server, and time as the test wants it.
#![allow(clippy::unwrap_used)]

use livekit_data::{CloseReason, Config, Connection, Event};
use livekit_protocol as proto;
use proptest::prelude::*;
use prost::Message as _;
use proto::{signal_request::Message as Request, signal_response::Message as Response};
use std::time::{Duration, Instant};

fn local() -> std::net::SocketAddr {
    "127.0.0.1:40000".parse().unwrap()
}

/// A connection whose first WebSocket is open.
fn connection(now: Instant) -> Connection {
    connection_with(Config::new("token"), now)
}

fn connection_with(config: Config, now: Instant) -> Connection {
    let mut connection = Connection::new(config, &[local()], now).unwrap();
    connection.poll_dial().expect("asks for a WebSocket");
    connection.handle_dialled(now);
    connection
}

fn signal(message: Response) -> Vec<u8> {
    proto::SignalResponse {
        message: Some(message),
    }
    .encode_to_vec()
}

fn join() -> Vec<u8> {
    signal(Response::Join(proto::JoinResponse {
        room: Some(proto::Room {
            name: "room".into(),
            sid: "RM_1".into(),
            ..Default::default()
        }),
        participant: Some(participant("PA_me", "me", true)),
        other_participants: vec![participant("PA_1", "one", true)],
        ping_interval: 5,
        ping_timeout: 15,
        ..Default::default()
    }))
}

fn participant(sid: &str, identity: &str, here: bool) -> proto::ParticipantInfo {
    use proto::participant_info::State;
    let state = if here {
        State::Active
    } else {
        State::Disconnected
    } as i32;
    proto::ParticipantInfo {
        sid: sid.into(),
        identity: identity.into(),
        state,
        ..Default::default()
    }
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

fn requests(connection: &mut Connection) -> Vec<Request> {
    let decode = |signal: Vec<u8>| proto::SignalRequest::decode(&signal[..]).unwrap().message;
    std::iter::from_fn(|| connection.poll_signal().and_then(decode)).collect()
}

#[test]
fn the_join_request_carries_an_offer_of_two_data_channels_and_no_token() {
    use base64::Engine as _;
    let now = Instant::now();
    let mut connection = Connection::new(Config::new("s3cret"), &[local()], now).unwrap();
    let dial = connection.poll_dial().unwrap();
    assert_eq!(connection.poll_dial().map(|dial| dial.path), None);
    assert_eq!(dial.token.expose(), "s3cret");
    assert!(!dial.path.contains("s3cret") && !format!("{dial:?}").contains("s3cret"));
    let query = dial.path.strip_prefix("/rtc/v1?join_request=").unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE
        .decode(query.replace("%3D", "="))
        .unwrap();
    let wrapped = proto::WrappedJoinRequest::decode(&bytes[..]).unwrap();
    let request = proto::JoinRequest::decode(&wrapped.join_request[..]).unwrap();
    let offer = request.publisher_offer.unwrap();
    assert_eq!((offer.r#type.as_str(), offer.id), ("offer", 1));
    assert!(offer.sdp.contains("m=application"));
    assert!(!offer.sdp.contains("m=audio") && !offer.sdp.contains("m=video"));
    assert!(offer.sdp.contains("127.0.0.1 40000 typ host"));
}

#[test]
fn participants_of_the_join_response_and_of_updates_are_events() {
    let now = Instant::now();
    let mut connection = connection(now);
    connection.handle_signal(&join(), now);
    let joined = Event::ParticipantJoined {
        identity: "one".into(),
        sid: "PA_1".into(),
        info: Default::default(),
    };
    assert_eq!(events(&mut connection), [joined]);
    let update = proto::ParticipantUpdate {
        participants: vec![
            participant("PA_2", "two", true),
            participant("PA_1", "one", false),
        ],
    };
    connection.handle_signal(&signal(Response::Update(update)), now);
    let joined = Event::ParticipantJoined {
        identity: "two".into(),
        sid: "PA_2".into(),
        info: Default::default(),
    };
    let left = Event::ParticipantLeft {
        identity: "one".into(),
        sid: "PA_1".into(),
    };
    assert_eq!(events(&mut connection), [joined, left]);
    assert!(connection.session().is_none(), "no channel is open yet");
}

#[test]
fn pings_go_out_at_the_servers_interval_and_silence_ends_the_connection() {
    let start = Instant::now();
    let mut config = Config::new("token");
    // The pings are to end it, not the time that joining takes.
    config.join_timeout = Duration::from_secs(60);
    let mut connection = connection_with(config, start);
    connection.handle_signal(&join(), start);
    events(&mut connection);
    let at = |seconds| start + Duration::from_secs(seconds);

    connection.handle_timeout(at(4));
    assert_eq!(requests(&mut connection), []);
    connection.handle_timeout(at(5));
    assert!(matches!(
        requests(&mut connection)[..],
        [Request::PingReq(_)]
    ));
    let pong = proto::Pong {
        last_ping_timestamp: 5000,
        timestamp: 0,
    };
    connection.handle_signal(&signal(Response::PongResp(pong)), at(6));

    connection.handle_timeout(at(10));
    let [Request::PingReq(ping)] = requests(&mut connection)[..] else {
        panic!("no ping")
    };
    assert_eq!((ping.timestamp, ping.rtt), (10_000, 1_000));
    connection.handle_timeout(at(20));
    assert_eq!(events(&mut connection), []);
    assert!(connection.poll_timeout().unwrap() <= at(21));
    connection.handle_timeout(at(21));
    assert_eq!(
        events(&mut connection),
        [Event::Closed(CloseReason::ConnectionLost)]
    );
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn every_reason_to_leave_ends_the_connection_once() {
    use proto::DisconnectReason as R;
    for (reason, expected) in [
        (R::DuplicateIdentity, CloseReason::DuplicateIdentity),
        (R::ParticipantRemoved, CloseReason::ParticipantRemoved),
        (R::RoomDeleted, CloseReason::RoomDeleted),
        (R::RoomClosed, CloseReason::RoomClosed),
        (R::ServerShutdown, CloseReason::ServerShutdown),
        (R::JoinFailure, CloseReason::JoinFailed),
        (R::ConnectionTimeout, CloseReason::ConnectionLost),
    ] {
        let now = Instant::now();
        let mut connection = connection(now);
        connection.handle_signal(&join(), now);
        events(&mut connection);
        let leave = proto::LeaveRequest {
            reason: reason as i32,
            ..Default::default()
        };
        connection.handle_signal(&signal(Response::Leave(leave.clone())), now);
        connection.handle_signal(&signal(Response::Leave(leave)), now);
        connection.handle_signal_lost(now);
        assert_eq!(events(&mut connection), [Event::Closed(expected)]);
    }
}

#[test]
fn leaving_a_join_tells_the_server_at_once() {
    let now = Instant::now();
    let mut connection = connection(now);
    connection.handle_signal(&join(), now);
    events(&mut connection);
    connection.leave(now);
    assert!(matches!(requests(&mut connection)[..], [Request::Leave(_)]));
    assert_eq!(
        events(&mut connection),
        [Event::Closed(CloseReason::Requested)]
    );
}

#[test]
fn what_cannot_be_understood_is_counted_and_dropped() {
    let now = Instant::now();
    let mut connection = connection(now);
    connection.handle_signal(b"\xff\xff\xff", now);
    let from = "127.0.0.1:9".parse().unwrap();
    connection.handle_datagram(local(), from, b"", now);
    connection.handle_datagram(local(), from, &[22; 100], now);
    let trickle = proto::TrickleRequest {
        candidate_init: "{".into(),
        ..Default::default()
    };
    connection.handle_signal(&signal(Response::Trickle(trickle)), now);
    let stats = connection.stats();
    assert_eq!((stats.malformed_signals, stats.foreign_datagrams), (2, 2));
    assert_eq!(events(&mut connection), []);
}

#[derive(Debug, Clone)]
enum Input {
    Signal(Vec<u8>),
    Answer(String),
    Trickle(String),
    Datagram(Vec<u8>),
    Timeout(u16),
}

fn input() -> impl Strategy<Value = Input> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    // The first byte of a datagram says what it is: STUN, DTLS, RTP.
    let datagram = (
        prop::sample::select(vec![0_u8, 1, 20, 22, 23, 25, 128]),
        bytes(),
    )
        .prop_map(|(kind, mut rest)| {
            rest.insert(0, kind);
            Input::Datagram(rest)
        });
    let line = prop::sample::select(vec![
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=setup:active",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 00:11",
        "a=sctp-port:5000",
        "a=max-message-size:65535",
        "a=candidate:1 1 udp 1 127.0.0.1 1 typ host",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=rtpmap:111 opus/48000/2",
        "a=candidate:",
        "",
    ]);
    let sdp = prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\r\n") + "\r\n");
    prop_oneof![
        bytes().prop_map(Input::Signal),
        sdp.prop_map(Input::Answer),
        ".{0,80}".prop_map(Input::Answer),
        ".{0,80}".prop_map(Input::Trickle),
        "candidate:[0-9]{1,20} [0-9] (udp|tcp) [0-9]{1,12} [0-9.:a-f]{1,20} [0-9]{1,6} typ host"
            .prop_map(|candidate| Input::Trickle(format!("{{\"candidate\":\"{candidate}\"}}"))),
        datagram,
        any::<u16>().prop_map(Input::Timeout),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..Default::default() })]

    #[test]
    fn nothing_that_arrives_makes_it_panic(inputs in prop::collection::vec(input(), 1..30), joined: bool) {
        let mut now = Instant::now();
        let mut connection = connection(now);
        if joined {
            connection.handle_signal(&join(), now);
        }
        for input in inputs {
            match input {
                Input::Signal(bytes) => connection.handle_signal(&bytes, now),
                Input::Answer(sdp) => {
                    let answer = proto::SessionDescription { r#type: "answer".into(), sdp, ..Default::default() };
                    connection.handle_signal(&signal(Response::Answer(answer)), now);
                }
                Input::Trickle(candidate_init) => {
                    let trickle = proto::TrickleRequest { candidate_init, ..Default::default() };
                    connection.handle_signal(&signal(Response::Trickle(trickle)), now);
                }
                Input::Datagram(bytes) => {
                    connection.handle_datagram(local(), "127.0.0.1:1".parse().unwrap(), &bytes, now);
                }
                Input::Timeout(milliseconds) => {
                    now += Duration::from_millis(milliseconds.into());
                    connection.handle_timeout(now);
                }
            }
            while connection.poll_transmit().is_some() {}
            while connection.poll_signal().is_some() {}
            while connection.poll_event().is_some() {}
            connection.poll_dial();
            connection.poll_timeout();
        }
    }
}
