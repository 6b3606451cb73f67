//! Somebody in the room who sends through the server whatever it lets through: it is dropped and
//! counted, nobody is taken for somebody else, and what the others send goes on.

use crate::support::raw::{DATA_TRACK, LOSSY, RELIABLE, Raw};
use crate::support::*;
use bytes::Bytes;
use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_data::{Channel, DataTracks, Event, Events, Packet, Participant, Stats, TrackEvent};
use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn what_is_no_packet_is_dropped_and_counted() {
    let mut room = Room::new("no-packets").await;
    let user = packet(b"payload", 0).encode_to_vec();
    // The server drops these.
    let no_packets: [&[u8]; 9] = [
        b"\0",
        b"neither a packet nor anything else",
        &[0xFF; 300],
        &[0x80; 20],
        &user[..user.len() / 2],
        &user[..user.len() - 1],
        // A length of 2^64 - 1, and a topic that is not UTF-8.
        b"\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        b"\x12\x04\x22\x02\xFF\xFE",
        // A packet of a data track.
        b"\x18\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00frame",
    ];
    // To the server this is a field of the future, since its type is another than that of the
    // field of this number: a number in place of the sender's identity, then of the payload; groups
    // in groups, deeper than anybody looks.
    let strange: [&[u8]; 3] = [
        b"\x20\x01",
        b"\x12\x02\x10\x01",
        &[&[0x13; 200][..], &[0x14; 200]].concat(),
    ];
    // A packet of a kind that is not known, or of none.
    let unknown: [&[u8]; 3] = [b"\xA2\x06\x03abc", b"\x08\x01", b"\x1A\x00"];
    for channel in [RELIABLE, LOSSY] {
        for message in no_packets.iter().chain(&strange).chain(&unknown) {
            room.mallory.write(channel, *message).await;
        }
    }
    // What comes last on each channel shows that the rest has been looked at.
    room.mallory.packet(LOSSY, &packet(b"lossy end", 0)).await;
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    let seen = room.run_until(&[b"lossy end", b"end"]).await;
    assert_eq!(payloads(&seen), [&b"end"[..], b"lossy end"]);
    let malformed = 2 * strange.len() as u64;
    room.stats(|stats| stats.malformed_packets == malformed)
        .await;
}

#[tokio::test]
#[allow(deprecated)]
async fn nobody_speaks_in_another_name() {
    let mut room = Room::new("forged").await;
    let sid = room.sid_of_alice.to_string();
    for (number, channel) in [RELIABLE, LOSSY].into_iter().enumerate() {
        // Were it alice's, none of her packets would be new any more.
        for sequence in [0, 1_000 + number as u32] {
            let mut forged = packet(b"I am alice", sequence);
            forged.participant_identity = "alice".into();
            forged.participant_sid = sid.clone();
            forged.kind = proto::data_packet::Kind::Reliable as i32;
            if let Some(Value::User(user)) = &mut forged.value {
                user.participant_identity = "alice".into();
                user.participant_sid = sid.clone();
            }
            room.mallory.packet(channel, &forged).await;
            // Once more at the end, where it counts in Protocol Buffers.
            let mut twice = forged.encode_to_vec();
            twice.extend_from_slice(b"\x22\x05alice\x8A\x01\x0EPA_abcdefghijkl");
            room.mallory.write(channel, twice).await;
        }
    }
    let mut latest = packet(b"I am the last alice", u32::MAX);
    latest.participant_identity = "alice".into();
    latest.participant_sid = sid;
    room.mallory.packet(RELIABLE, &latest).await;
    // On a channel of another name the server takes any bytes for a payload.
    room.mallory.write(OTHER, latest.encode_to_vec()).await;
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    let seen = room.run_until(&[b"end", &latest.encode_to_vec()]).await;
    assert!(seen.len() >= 5, "some forged ones come: {seen:?}");
    for data in &seen {
        assert_eq!(&*data.from, "mallory", "{data:?}");
    }
    assert_eq!(room.bob.stats().duplicates, 0);
}

#[tokio::test]
async fn a_hidden_participant_has_no_name_and_can_take_none() {
    let server = LiveKit::shared();
    let hidden = VideoGrants {
        hidden: true,
        ..grants("hidden-peer")
    };
    let mut room = Room::with("hidden-peer", &server, hidden).await;
    let mut forged = packet(b"I am alice", 0);
    forged.participant_identity = "alice".into();
    forged.participant_sid = room.sid_of_alice.to_string();
    room.mallory.packet(RELIABLE, &forged).await;
    room.mallory.packet(RELIABLE, &packet(b"end", 1)).await;
    let seen = room.run_until(&[b"end"]).await;
    assert_eq!(payloads(&seen), [&b"I am alice"[..], b"end"]);
    for data in seen {
        assert_eq!(&*data.from, "");
    }
}

#[tokio::test]
async fn a_sequence_that_jumps_or_goes_back_harms_its_sender_alone() {
    let mut room = Room::new("jumps").await;
    let sequences = [1, 2, 100, 5, 100, 101, u32::MAX, 1, 102, u32::MAX];
    for sequence in sequences {
        let name = sequence.to_string();
        room.mallory
            .packet(RELIABLE, &packet(name.as_bytes(), sequence))
            .await;
    }
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    let seen = room.run_until(&[b"end"]).await;
    let max = u32::MAX.to_string();
    let expected: [&[u8]; 6] = [b"1", b"2", b"100", b"101", max.as_bytes(), b"end"];
    assert_eq!(payloads(&seen), expected);
    // On the lossy channel a number says nothing.
    let mut lossy = packet(b"lossy", 7);
    for _ in 0..2 {
        room.mallory.packet(LOSSY, &lossy).await;
        let seen = room.run_until(&[b"lossy"]).await;
        assert_eq!(seen[0].channel, Channel::Lossy);
        lossy.sequence = 3;
    }
}

#[tokio::test]
async fn topics_of_any_length_and_content_are_taken_as_they_are() {
    let mut room = Room::new("topics").await;
    let long = "t".repeat(60_000);
    let topics = [
        "",
        "\0",
        "\r\n\u{1b}[31m",
        "\u{202e}drow",
        "🙂",
        long.as_str(),
    ];
    for topic in topics {
        let mut packet = packet(b"topic", 0);
        if let Some(Value::User(user)) = &mut packet.value {
            user.topic = Some(topic.into());
        }
        room.mallory.packet(RELIABLE, &packet).await;
    }
    // Each with a topic of its own: none of them is remembered for long.
    for number in 0..500 {
        let mut packet = packet(b"many", 0);
        if let Some(Value::User(user)) = &mut packet.value {
            user.topic = Some(format!("{number} {}", &long[..20_000]));
        }
        room.mallory.packet(RELIABLE, &packet).await;
    }
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    let seen = room.run_until(&[b"end"]).await;
    assert_eq!(seen.len(), topics.len() + 500 + 1);
    for (data, topic) in seen.iter().zip(topics) {
        assert_eq!(&*data.topic, topic);
    }
}

#[tokio::test]
async fn messages_longer_than_any_other_client_sends() {
    let mut room = Room::new("oversized").await;
    // The server adds its envelope, so this arrives as more than 65,535 bytes, if it does.
    let longest = vec![7; 65_535];
    room.mallory.write(OTHER, longest.clone()).await;
    room.mallory.write(OTHER, &b"after the longest"[..]).await;
    let mut fits = packet(&[], 0);
    let payload = vec![8; 65_535 - fits.encoded_len() - 6];
    if let Some(Value::User(user)) = &mut fits.value {
        user.payload = payload.clone();
    }
    room.mallory.packet(RELIABLE, &fits).await;
    let seen = room.run_until(&[b"after the longest", &payload]).await;
    assert!(seen.iter().all(|data| *data.from == *"mallory"));
    // The server closes a channel over which more comes at once than it has room for.
    room.mallory.write(OTHER, vec![9; 300_000]).await;
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    let seen = room.run_until(&[b"end"]).await;
    assert_eq!(payloads(&seen), [b"end"]);
    assert_eq!(room.bob.stats().malformed_packets, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_track_of_garbage_is_counted_and_leaves_the_others_alone() {
    let server = LiveKit::start(LiveKitOptions {
        data_tracks: true,
        ..LiveKitOptions::auto_create()
    });
    let mut room = Room::with_tracks("garbage-track", &server).await;
    for (handle, name) in [(1, "evil"), (2, "evil too")] {
        room.mallory
            .signal(Request::PublishDataTrackRequest(
                proto::PublishDataTrackRequest {
                    pub_handle: handle,
                    name: name.into(),
                    ..Default::default()
                },
            ))
            .await;
        room.bob.subscribe_track("mallory", name).await;
    }
    for _ in 0..2 {
        wait_for(&mut room.bob_events, |event| match event {
            Event::Track(TrackEvent::Subscribed(track)) => {
                assert_eq!(&*track.publisher, "mallory");
                Some(())
            }
            _ => None,
        })
        .await;
    }
    // Too short; of a version to come; of no track; of a track that nobody publishes.
    let track = |flags: u8, handle: u8, sequence: u16, frame: u8, rest: &[u8]| {
        let [high, low] = sequence.to_be_bytes();
        let head = [flags, 0, 0, handle, high, low, 0, frame, 0, 0, 0, 0];
        [&head[..], rest].concat()
    };
    for packet in [
        Vec::new(),
        vec![0x18],
        vec![0xFF; 11],
        track(0xF8, 1, 0, 0, b"version 7"),
        track(0x18, 0, 0, 0, b"handle 0"),
        track(0x18, 9, 0, 0, b"handle 9"),
        b"\x12\x05\x12\x03abc".to_vec(),
        packet(b"a packet on the wrong channel", 1).encode_to_vec(),
    ] {
        room.mallory.write(DATA_TRACK, packet).await;
    }
    // Frames that begin and never end, end and never began, and have gaps.
    for frame in 1..=20 {
        for sequence in 0..100_u16 {
            let flags = if sequence == 0 && frame % 2 == 0 {
                0x10
            } else {
                0
            };
            let sequence = sequence.wrapping_mul(u16::from(frame) | 1);
            let packet = track(flags, 1, sequence, frame, &[frame; 1_000]);
            room.mallory.write(DATA_TRACK, packet).await;
        }
    }
    // Lossy, so until one arrives.
    let mut number = 100;
    let frame = loop {
        number += 1;
        let whole = track(0x18, 2, u16::from(number), number, b"whole");
        room.mallory.write(DATA_TRACK, whole).await;
        let wait = wait_for(&mut room.bob_events, |event| match event {
            Event::Track(TrackEvent::Frame(frame)) => Some(frame.clone()),
            _ => None,
        });
        if let Ok(frame) = tokio::time::timeout(Duration::from_millis(100), wait).await {
            break frame;
        }
    };
    assert_eq!(
        (&*frame.track.publisher, &*frame.track.name),
        ("mallory", "evil too")
    );
    assert_eq!(frame.payload, &b"whole"[..]);
    // The server passes on what names a track, whatever else it is.
    room.stats(|stats| stats.tracks.malformed > 0).await;
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    room.run_until(&[b"end"]).await;
}

#[tokio::test]
async fn somebody_who_changes_all_the_time_holds_up_nobody() {
    let server = LiveKit::shared();
    let restless = VideoGrants {
        can_update_own_metadata: Some(true),
        ..grants("restless")
    };
    let mut room = Room::with("restless", &server, restless).await;
    let update = |metadata: String, names: usize| {
        let attribute = |name: usize| (format!("{name}\u{202e}"), "\0".repeat(100));
        Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata,
            attributes: (0..names).map(attribute).collect(),
            ..Default::default()
        })
    };
    // The server drops one who has more than that under way.
    for number in 0..30 {
        let metadata = number.to_string().repeat(10_000);
        room.mallory.signal(update(metadata, number % 10)).await;
    }
    room.mallory.signal(update("last".into(), 0)).await;
    wait_for(&mut room.bob_events, |event| match event {
        Event::ParticipantJoined { identity, info, .. }
        | Event::ParticipantChanged { identity, info, .. } => {
            (&**identity == "mallory" && info.metadata == "last").then_some(())
        }
        _ => None,
    })
    .await;
    room.next = 0;
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    room.run_until(&[b"end"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_does_not_hold_up_what_others_send() {
    let mut room = Room::new("burst").await;
    let long = packet(&[1; 60_000], 0);
    let short = packet(&[2; 1_000], 0);
    for _ in 0..40 {
        room.mallory.packet(RELIABLE, &long).await;
        for _ in 0..100 {
            room.mallory.packet(LOSSY, &short).await;
        }
        // Neither of them is anything.
        room.mallory.write(RELIABLE, vec![0xFF; 60_000]).await;
    }
    room.mallory.packet(RELIABLE, &packet(b"end", 0)).await;
    let seen = room.run_until(&[b"end"]).await;
    let reliable = seen.iter().filter(|data| data.payload.len() == 60_000);
    assert_eq!(reliable.count(), 40);
}

/// A room where alice sends numbered packets to bob for as long as it takes, and mallory whatever
/// comes to mind.
struct Room {
    bob: Participant,
    bob_events: Events,
    sid_of_alice: Arc<str>,
    mallory: Raw,
    /// The next number that bob gets from alice.
    next: u32,
    alice: tokio::task::JoinHandle<()>,
    _server: Option<Arc<LiveKit>>,
}

/// What bob got that is not from alice.
#[derive(Debug)]
struct Data {
    from: Arc<str>,
    topic: Arc<str>,
    payload: Bytes,
    channel: Channel,
}

impl Room {
    async fn new(name: &str) -> Self {
        let server = LiveKit::shared();
        let mut room = Self::with(name, &server, grants(name)).await;
        room._server = Some(server);
        room
    }

    async fn with_tracks(name: &str, server: &LiveKit) -> Self {
        Self::make(name, server, grants(name), DATA_TRACK).await
    }

    async fn with(name: &str, server: &LiveKit, grants: VideoGrants) -> Self {
        Self::make(name, server, grants, OTHER).await
    }

    async fn make(
        name: &str,
        server: &LiveKit,
        grants: VideoGrants,
        channel: &'static str,
    ) -> Self {
        let (alice, _) = server.join(name, "alice").await;
        let mut options = server.options(name, "bob");
        options.connection.data_tracks = match channel {
            DATA_TRACK => DataTracks::On,
            _ => DataTracks::Off,
        };
        let (bob, mut bob_events) = Participant::connect(options).await.expect("joins");
        let sid_of_alice = wait_for_join(&mut bob_events, "alice").await;
        let token = AccessToken::with_api_key(KEY, SECRET).with_identity("mallory");
        let token = token.with_grants(grants).to_jwt().unwrap();
        let mallory = Raw::join(server, &token, &[channel]).await;
        assert!(mallory.sid.starts_with("PA_"));
        let alice = tokio::spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_millis(5));
            for number in 0_u32.. {
                clock.tick().await;
                let payload = number.to_le_bytes();
                let sent = alice.send_in_turn(Packet {
                    topic: HONEST,
                    payload: &payload,
                    channel: Channel::Reliable,
                    destinations: &[],
                });
                sent.await.unwrap();
            }
        });
        Room {
            bob,
            bob_events,
            sid_of_alice,
            mallory,
            next: 0,
            alice,
            _server: None,
        }
    }

    /// Takes what bob gets until all of these have come, and ten more of alice's packets, and
    /// gives all that is not hers. Hers come in order, with none missing.
    async fn run_until(&mut self, ends: &[&[u8]]) -> Vec<Data> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let mut seen: Vec<Data> = Vec::new();
        let mut honest = 0;
        while honest < 10
            || ends
                .iter()
                .any(|end| !seen.iter().any(|data| data.payload == *end))
        {
            let event = tokio::time::timeout_at(deadline, self.bob_events.next()).await;
            let event = event.unwrap_or_else(|_| panic!("too late; {honest} from alice, {seen:?}"));
            match event.expect("bob stays") {
                Event::Data {
                    from,
                    topic,
                    payload,
                    channel,
                    ..
                } => {
                    if &*topic == HONEST {
                        assert_eq!(&*from, "alice");
                        let number = u32::from_le_bytes(payload[..].try_into().unwrap());
                        if self.next == 0 {
                            self.next = number;
                        }
                        assert_eq!(number, self.next, "in order, none missing");
                        self.next += 1;
                        honest += 1;
                    } else {
                        honest = 0;
                        seen.push(Data {
                            from,
                            topic,
                            payload,
                            channel,
                        });
                    }
                }
                Event::ParticipantJoined { .. } | Event::ParticipantChanged { .. } => {}
                Event::Track(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(!self.alice.is_finished());
        seen
    }

    /// Waits until bob has counted so; counters are published a moment after what they count.
    async fn stats(&self, condition: impl Fn(&Stats) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition(&self.bob.stats()) {
            assert!(Instant::now() < deadline, "{:?}", self.bob.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.alice.abort();
    }
}

/// Sorted, since what comes over two channels may overtake.
fn payloads(seen: &[Data]) -> Vec<&[u8]> {
    let mut payloads: Vec<_> = seen.iter().map(|data| &data.payload[..]).collect();
    if seen.iter().any(|data| data.channel == Channel::Lossy) {
        payloads.sort_unstable();
    }
    payloads
}

fn packet(payload: &[u8], sequence: u32) -> proto::DataPacket {
    proto::DataPacket {
        value: Some(Value::User(proto::UserPacket {
            payload: payload.to_vec(),
            ..Default::default()
        })),
        sequence,
        ..Default::default()
    }
}

const HONEST: &str = "honest";

/// A channel that LiveKit has no name for: the server passes on its bytes as packets.
const OTHER: &str = "other";
