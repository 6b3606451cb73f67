//! What the fuzz targets do with bytes: every byte that enters this crate, in every state. Only
//! built for fuzzing and for the test that runs the committed corpora (`fuzz/corpus/livekit_*` in
//! the repository; `cargo xtask fuzz` runs the fuzzer).

use crate::data_track::Tracks;
use crate::packet::Received;
use crate::roster::Roster;
use crate::{DataTracks, TrackEvent};
pub(crate) use input::Input;
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;
use room::{Room, Stage};
use std::collections::HashMap;
use std::time::Instant;

#[cfg(feature = "tokio")]
pub use crate::participant::fuzz::http;
pub use crate::turn::fuzz::{
    frames as turn_frames, messages as turn_messages, relays, urls as turn_urls,
};

mod input;
mod room;

/// A fuzz target: its name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("livekit_signals", signals),
    ("livekit_descriptions", descriptions),
    ("livekit_candidates", candidates),
    ("livekit_datagrams", datagrams),
    ("livekit_session", session),
    ("livekit_packets", packets),
    ("livekit_tracks", tracks),
    ("livekit_relays", relays),
    ("livekit_turn_messages", turn_messages),
    ("livekit_turn_frames", turn_frames),
    ("livekit_turn_urls", turn_urls),
    #[cfg(feature = "tokio")]
    ("livekit_http", http),
];

/// Signalling messages, in the state that the first byte names.
pub fn signals(data: &[u8]) {
    let mut input = Input::new(data);
    let mut room = Room::new(Stage::from(input.byte()));
    while let Some(message) = input.chunk() {
        room.signal(message);
    }
}

/// A server's description instead of the one that fits: an answer, or an offer.
pub fn descriptions(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let mut room = Room::new(Stage::from(kind >> 1));
    let sdp = String::from_utf8_lossy(input.rest()).into_owned();
    let description = proto::SessionDescription {
        sdp,
        ..Default::default()
    };
    room.respond(match kind & 1 {
        0 => Response::Answer(description),
        _ => Response::Offer(description),
    });
    // What was accepted must also work, or fail, later.
    room.pass_time(40);
}

/// Candidates, one a chunk, before and after the answer.
pub fn candidates(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let mut room = Room::new(Stage::from(kind >> 1));
    while let Some(candidate) = input.chunk() {
        let candidate = String::from_utf8_lossy(candidate).into_owned();
        let candidate_init = match kind & 1 {
            0 => candidate,
            _ => serde_json::json!({ "candidate": candidate }).to_string(),
        };
        room.respond(Response::Trickle(proto::TrickleRequest {
            candidate_init,
            ..Default::default()
        }));
    }
    room.pass_time(10);
}

/// Datagrams, in the state that the first byte names: an odd byte before each says that it comes
/// from the server's address, an even one from a stranger's.
pub fn datagrams(data: &[u8]) {
    let mut input = Input::new(data);
    let mut room = Room::new(Stage::from(input.byte()));
    while let Some(chunk) = input.chunk() {
        if let Some((from, datagram)) = chunk.split_first() {
            room.datagram(from & 1 == 1, datagram);
        }
    }
    room.pass_time(10);
}

/// A session of steps: messages, datagrams, packets, losses, time.
pub fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let mut room = Room::new(Stage::from(input.byte()));
    for _ in 0..MAX_STEPS {
        let Some(kind) = input.next_byte() else {
            break;
        };
        room.step(kind, &mut input);
    }
}

/// A data packet, and the order of reliable ones.
pub fn packets(data: &[u8]) {
    let mut input = Input::new(data);
    let mut roster = Roster::default();
    let mut last: HashMap<Vec<u8>, u32> = HashMap::new();
    while let Some(chunk) = input.chunk() {
        let Some(packet) = Received::parse(chunk.to_vec()) else {
            continue;
        };
        let new = roster.is_new(&packet.from_sid, packet.sequence);
        if packet.sequence != 0 && !packet.from_sid.is_empty() && new {
            let before = last.insert(packet.from_sid.to_vec(), packet.sequence);
            assert!(before.is_none_or(|before| before < packet.sequence));
        }
        if let Some(user) = packet.user {
            let inside = |part: &[u8]| chunk.len() >= part.len();
            assert!(inside(&user.payload) && inside(&user.topic));
        }
    }
}

/// Packets of data tracks and what the server signals about them.
pub fn tracks(data: &[u8]) {
    let mut input = Input::new(data);
    let now = Instant::now();
    let mut tracks = Tracks::new(DataTracks::On, 0);
    tracks.joined("", &[room::publisher()], now);
    tracks.subscribe(room::OTHER, room::TRACK, now);
    tracks.handle_response(&room::subscriber_handles(), now);
    let own = tracks.publish("own", now);
    let mut last = None;
    while let Some(kind) = input.next_byte() {
        let Some(chunk) = input.chunk() else {
            break;
        };
        match kind % 4 {
            // A short way to a packet of the track that is subscribed to.
            0 => tracks.handle_packet(room::track_packet(chunk), now),
            1 => tracks.handle_packet(chunk.to_vec(), now),
            2 => {
                let response = proto::SignalResponse::decode(chunk);
                if let Some(response) = response.ok().and_then(|response| response.message) {
                    tracks.handle_response(&response, now);
                }
            }
            _ => {
                if let Ok(info) = proto::ParticipantInfo::decode(chunk) {
                    tracks.handle_other(&info, now);
                    tracks.handle_own(&info);
                }
            }
        }
        while let Some(event) = tracks.poll_event() {
            match event {
                TrackEvent::Frame(frame) if *frame.track.sid == *room::TRACK_SID => {
                    last = Some(frame.timestamp);
                }
                TrackEvent::Frame(frame) => assert!(!frame.track.sid.is_empty()),
                _ => {}
            }
        }
        while tracks.poll_request().is_some() {}
        if let Ok(own) = &own {
            let packets = tracks.packets(*own, chunk, None, now);
            let _ = packets.map(|packets| packets.into_iter().flatten().count());
        }
    }
    assert!(last.is_none() || tracks.stats.received > 0);
}

/// Each costs up to some hundred microseconds.
const MAX_STEPS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_corpus_file_is_harmless() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (target, run) in TARGETS {
            let folder = corpus.join(target);
            let files = std::fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let mut count = 0;
            for file in files {
                let path = file.unwrap().path();
                println!("{}", path.display()); // shown where it fails
                run(&std::fs::read(path).unwrap());
                count += 1;
            }
            assert!(count > 0, "no corpus in {}", folder.display());
        }
    }

    #[test]
    fn the_model_of_a_server_lets_participants_in() {
        for stage in [Stage::Joined, Stage::Recovering] {
            let room = Room::new(stage);
            assert!(room.is_joined(), "{stage:?}");
        }
    }
}
