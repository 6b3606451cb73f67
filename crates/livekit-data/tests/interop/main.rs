//! Packets to and from LiveKit's own clients: each returns what it gets, on the channel that it
//! came over, so that every packet goes both ways.
#![allow(clippy::unwrap_used)]

use gs_test_services::{LiveKit, LiveKitOptions};
use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_data::{
    Channel, ConnectOptions, DataTracks, Event, Events, Packet, Participant, TrackEvent,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[tokio::test]
async fn the_sdk_for_node() {
    check("node", node("echo-node.mjs")).await;
}

#[tokio::test]
async fn livekit_client_in_chromium() {
    check("chromium", node("echo-chromium.mjs")).await;
}

#[tokio::test]
async fn data_tracks_of_livekit_client_in_chromium() {
    let server = LiveKit::start(LiveKitOptions {
        data_tracks: true,
        ..LiveKitOptions::auto_create()
    });
    let mut options = ConnectOptions::new(server.url(), token("tracks", "rust"));
    options.connection.data_tracks = DataTracks::On;
    let (participant, mut events) = Participant::connect(options).await.unwrap();
    let track = participant.publish_track("state").await.unwrap();
    participant.subscribe_track("peer", "state").await;
    let peer = node("echo-chromium.mjs");
    let _peer = start(peer, &server.url(), &token("tracks", "peer")).await;
    let lens = [1, 200, 1_132, 1_133, 5_000, 20_000];
    let payload = |number: u64| vec![number as u8; lens[number as usize % lens.len()]];
    let sending = async {
        let mut clock = tokio::time::interval(Duration::from_millis(10));
        // The browser's client takes a time stamp of 0 for none.
        for number in 1_u64.. {
            clock.tick().await;
            let frame = participant.send_frame(track, payload(number), Some(number));
            frame.unwrap();
        }
    };
    let returning = async {
        let mut numbers = Vec::new();
        while numbers.len() < FRAMES {
            match events.next().await.expect("the events go on") {
                Event::Track(TrackEvent::Frame(frame)) => {
                    let number = frame.user_timestamp.expect("was attached");
                    assert_eq!(frame.payload, payload(number), "frame {number}");
                    assert_eq!(
                        (&*frame.track.publisher, &*frame.track.name),
                        ("peer", "state")
                    );
                    numbers.push(number);
                }
                Event::Closed(reason) => panic!("{reason}"),
                _ => {}
            }
        }
        numbers
    };
    let numbers = tokio::select! {
        () = sending => Vec::new(),
        numbers = tokio::time::timeout(DEADLINE, returning) => numbers.expect("frames return in time"),
    };
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    // The browser forwards them as they are, whatever their length.
    for len in lens {
        let of_this_len = numbers
            .iter()
            .filter(|number| payload(**number).len() == len);
        assert!(of_this_len.count() > 0, "none of {len} bytes returns");
    }
}

#[tokio::test]
async fn the_sdk_for_python() {
    let python = root().join("target/tools/python/bin/python");
    assert!(
        python.is_file(),
        "there is no {}: `cargo xtask test` makes it, or by hand `python3 -m venv \
         target/tools/python && target/tools/python/bin/pip install -r \
         web/e2e/peers/requirements.txt`",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(root().join("web/e2e/peers/echo.py"));
    check("python", command).await;
}

fn node(script: &str) -> Command {
    let modules = root().join("web/node_modules");
    assert!(
        modules.is_dir(),
        "there is no {}: make it with `npm ci` in web/",
        modules.display()
    );
    let mut command = Command::new("node");
    command.arg(root().join("web/e2e/peers").join(script));
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn check(room: &str, peer: Command) {
    let server = LiveKit::start(LiveKitOptions::auto_create());
    let options = ConnectOptions::new(server.url(), token(room, "rust"));
    let (participant, mut events) = Participant::connect(options).await.unwrap();
    let _peer = start(peer, &server.url(), &token(room, "peer")).await;
    reliable_packets_return_whole_and_in_order(&participant, &mut events).await;
    lossy_packets_return(&participant, &mut events).await;
}

/// Runs until the value is dropped.
async fn start(mut command: Command, url: &str, token: &str) -> Child {
    command.args([url, token]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut peer = command.spawn().expect("the program is installed");
    let mut lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line == "ready" {
                return true;
            }
        }
        false
    };
    let ready = tokio::time::timeout(DEADLINE, ready).await;
    assert!(ready.expect("the peer is ready in time"), "the peer ended");
    peer
}

fn token(room: &str, identity: &str) -> String {
    let token = AccessToken::with_api_key(LiveKit::KEY, LiveKit::SECRET);
    let grants = VideoGrants {
        room_join: true,
        room: room.into(),
        ..Default::default()
    };
    let token = token.with_identity(identity).with_grants(grants);
    token.to_jwt().unwrap()
}

async fn reliable_packets_return_whole_and_in_order(
    participant: &Participant,
    events: &mut Events,
) {
    let payload = |number: u32| {
        let len = if number == LARGE { 60_000 } else { 200 };
        let mut payload = vec![number.to_le_bytes()[0]; len];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        payload
    };
    for number in 0..RELIABLE {
        let payload = payload(number);
        let packet = packet(&payload, Channel::Reliable);
        participant.send_in_turn(packet).await.unwrap();
    }
    for number in 0..RELIABLE {
        let returned = next(events, Channel::Reliable).await;
        assert_eq!(returned, payload(number), "packet {number}");
    }
}

async fn lossy_packets_return(participant: &Participant, events: &mut Events) {
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    for number in 0..LOSSY {
        clock.tick().await;
        let mut payload = vec![7; 1_000];
        payload[0] = number;
        participant.send(packet(&payload, Channel::Lossy)).unwrap();
    }
    // On loopback the line loses nothing; a busy machine may.
    let mut returned = BTreeSet::new();
    while returned.len() < usize::from(LOSSY) * 9 / 10 {
        let payload = next(events, Channel::Lossy).await;
        assert_eq!((payload.len(), payload[1]), (1_000, 7));
        assert!(returned.insert(payload[0]), "one returns twice");
    }
}

fn packet(payload: &[u8], channel: Channel) -> Packet<'_> {
    Packet {
        topic: "echo",
        payload,
        channel,
        destinations: &[],
    }
}

/// The next packet of the peer's over this channel.
async fn next(events: &mut Events, expected: Channel) -> Vec<u8> {
    let next = async {
        loop {
            match events.next().await.expect("the events go on") {
                Event::Data {
                    from,
                    topic,
                    payload,
                    channel,
                    ..
                } => {
                    assert_eq!((&*from, &*topic, channel), ("peer", "echo", expected));
                    return payload.to_vec();
                }
                Event::Closed(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    };
    let next = tokio::time::timeout(DEADLINE, next).await;
    next.expect("a packet returns in time")
}

const DEADLINE: Duration = Duration::from_secs(30);
const RELIABLE: u32 = 200;
/// Number of the packet that is large.
const LARGE: u32 = 100;
const LOSSY: u8 = 200;
const FRAMES: usize = 300;
