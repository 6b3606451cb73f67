//! What players are told, and what they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gs_engine::AuthorityMode;
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{ClientEvent, topic};

use super::super::{Channel, Destination};
use super::game::{FINISH, Game, SHOUT, WHISPER_TO_0};
use super::harness::{Harness, UNIX_MS, seconds};

#[test]
fn a_hello_is_answered_with_all_that_a_client_needs() {
    let mut h = Harness::running(2);
    let welcome = h.hello(1);
    assert_eq!(welcome.slot, Some(1));
    assert_eq!(
        (welcome.tick_rate, welcome.phase()),
        (60, wire::Phase::Running)
    );
    assert_eq!(welcome.tick, h.room.game_tick());
    assert_eq!(
        (welcome.match_id.as_str(), welcome.game.as_str()),
        ("m1", "counter")
    );
    assert_eq!(welcome.manifest, "{}");
    let names: Vec<&str> = welcome
        .players
        .iter()
        .map(|p| p.username.as_str())
        .collect();
    assert_eq!(names, ["name0", "name1"]);
    assert!(welcome.ended.is_none());
}

#[test]
fn hellos_are_answered_at_a_bounded_rate() {
    let mut h = Harness::running(2);
    h.sent.clear();
    for _ in 0..100 {
        h.client_event(1, &ClientEvent::Hello { module: None });
    }
    assert_eq!(
        h.bodies(1)
            .iter()
            .filter(|b| matches!(b, Body::Welcome(_)))
            .count(),
        4
    );
    assert_eq!(h.room.counters().requests_limited, 96);
}

#[test]
fn the_games_options_are_told_only_to_those_who_may_run_its_module() {
    use AuthorityMode::{Full, Observer, Validated};
    let told = |mode, hidden, predict| {
        let mut game = Game::new(hidden, Arc::default());
        if predict {
            game.predict();
        }
        let mut h = Harness::of(game, 2, |config| {
            config.mode = mode;
            config.options = r#"{"entities": 4}"#.to_owned();
        });
        match h.hello(0).options.as_str() {
            r#"{"entities": 4}"# => true,
            "{}" => false,
            other => panic!("{other}"),
        }
    };
    assert!(told(Validated, false, false));
    assert!(told(Full, false, false));
    assert!(told(Full, true, true));
    assert!(!told(Full, true, false));
    assert!(!told(Observer, false, true));
    assert!(!told(Observer, true, true));
}

#[test]
fn a_match_that_nobody_can_be_told_of_says_so_once() {
    let errors = Arc::<Errors>::default();
    let mut h = Harness::with(2, |config| {
        config.mode = AuthorityMode::Validated;
        config.options = format!(r#"{{"motd": "{}"}}"#, "x".repeat(17 << 10));
    });
    tracing::subscriber::with_default(errors.clone(), || {
        for slot in [0, 1, 0] {
            h.client_event(slot, &ClientEvent::Hello { module: None });
        }
    });
    let mut told = h.bodies(0).into_iter().chain(h.bodies(1));
    assert!(!told.any(|body| matches!(body, Body::Welcome(_))));
    assert_eq!(errors.0.load(Ordering::Relaxed), 1);
}

/// Counts what is logged as an error.
#[derive(Default)]
struct Errors(AtomicUsize);

impl tracing::Subscriber for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_manifest_that_fits_no_packet_is_left_out_of_the_welcome() {
    let mut h = Harness::with(2, |config| config.manifest = "x".repeat(20_000).into());
    let welcome = h.hello(0);
    assert!(welcome.manifest.is_empty() && welcome.players.len() == 2);
}

#[test]
fn events_are_numbered_for_each_receiver_without_gaps() {
    let mut h = Harness::running(3);
    h.hello(2);
    h.client_event(1, &ClientEvent::Leave);
    h.command(0, FINISH);
    h.run(seconds(0.1), &[0, 2]);
    for slot in 0..3 {
        let sequences: Vec<u32> = h.server_events(slot).iter().map(|e| e.sequence).collect();
        let expected: Vec<u32> = (1..=sequences.len() as u32).collect();
        assert_eq!(sequences, expected);
        assert!(!sequences.is_empty());
    }
}

#[test]
fn every_packet_carries_the_epoch() {
    let mut h = Harness::running(2);
    h.hello(0);
    h.run(seconds(1.0), &[0, 1]);
    let (mut states, mut events) = (0, 0);
    for sent in &h.sent {
        match sent.topic {
            topic::STATE => {
                let state = gs_protocol::decode_state_update(&sent.payload).unwrap();
                assert_eq!(state.epoch, 7);
                assert_eq!(sent.channel, Channel::Lossy);
                states += 1;
            }
            topic::EVENTS => {
                let event = gs_protocol::decode_server_event(&sent.payload).unwrap();
                assert_eq!(event.epoch, 7);
                assert_eq!(sent.channel, Channel::Reliable);
                events += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(states > 50 && events > 3);
}

#[test]
fn open_state_is_broadcast_with_every_slots_status() {
    let mut h = Harness::running(2);
    h.sent.clear();
    h.tick();
    let states: Vec<_> = h.sent.iter().filter(|s| s.topic == topic::STATE).collect();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].to, Destination::All);
    let state = gs_protocol::decode_state_update(&states[0].payload).unwrap();
    assert_eq!(state.tick, h.room.game_tick());
    assert_eq!(
        state.slots.iter().map(|s| s.slot).collect::<Vec<u32>>(),
        [0, 1]
    );
    assert!(
        state
            .slots
            .iter()
            .all(|s| s.input_tick > 0 && s.echo_ms > 0)
    );
}

#[test]
fn hidden_state_goes_to_each_viewer_alone() {
    let mut h = Harness::hidden(3);
    h.run(seconds(1.0), &[0, 1, 2]);
    h.sent.clear();
    h.run(seconds(3.0), &[0, 1]);
    h.sent.clear();
    h.tick();
    let to: Vec<_> = h.sent.iter().filter(|s| s.topic == topic::STATE).collect();
    assert_eq!(to.len(), 2, "the player who is lost gets none");
    for (slot, sent) in to.iter().enumerate() {
        assert_eq!(sent.to, Destination::One(h.identity(slot).into()));
        let state = gs_protocol::decode_state_update(&sent.payload).unwrap();
        assert_eq!(state.slots.len(), 1);
        assert_eq!(state.slots[0].slot, slot as u32);
    }
}

#[test]
fn a_large_state_fits_its_packets_and_every_status_gets_its_turn() {
    let mut h = Harness::with(64, |config| {
        config.options = r#"{"entities":400}"#.to_owned()
    });
    let all: Vec<usize> = (0..64).collect();
    h.run(seconds(0.5), &all);
    h.sent.clear();
    h.run(seconds(0.5), &all);
    let mut seen = std::collections::BTreeSet::new();
    let mut parts = 0;
    for sent in h.sent.iter().filter(|s| s.topic == topic::STATE) {
        assert!(sent.payload.len() <= gs_protocol::limits::STATE_BYTES);
        let state = gs_protocol::decode_state_update(&sent.payload).unwrap();
        seen.extend(state.slots.iter().map(|s| s.slot));
        parts += 1;
    }
    assert!((29..=31).contains(&parts), "{parts} in half a second");
    assert_eq!(seen.len(), 64);
    assert_eq!(h.room.counters().dropped, 0);
}

#[test]
fn chat_is_relayed_with_the_senders_name_and_at_a_bounded_rate() {
    let mut h = Harness::running(2);
    h.sent.clear();
    for _ in 0..20 {
        h.chat(1, "  hello\u{0} ");
    }
    let lines: Vec<_> = h.sent.iter().filter(|s| s.topic == topic::CHAT).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        (&lines[0].to, lines[0].channel),
        (&Destination::All, Channel::Reliable)
    );
    let chat = gs_protocol::decode_relayed_chat(&lines[0].payload).unwrap();
    assert_eq!((chat.text.as_str(), chat.slot), ("hello", 1));
    assert_eq!(chat.username, "name1");
    assert!(chat.sent_at_ms >= UNIX_MS);
    h.run(seconds(2.1), &[0, 1]);
    h.sent.clear();
    h.chat(1, "again");
    assert!(h.sent.iter().any(|s| s.topic == topic::CHAT));
}

#[test]
fn game_events_reach_those_whom_they_are_for() {
    let mut h = Harness::running(3);
    h.sent.clear();
    h.command(2, WHISPER_TO_0);
    h.run(seconds(0.1), &[0, 1, 2]);
    let game = |h: &Harness, slot| -> Vec<Vec<u8>> {
        let bodies = h.bodies(slot).into_iter();
        bodies
            .flat_map(|b| {
                if let Body::Game(g) = b {
                    g.events
                } else {
                    Vec::new()
                }
            })
            .collect()
    };
    assert_eq!(game(&h, 0), [[0, 42]]);
    assert!(game(&h, 1).is_empty() && game(&h, 2).is_empty());
    h.command(2, SHOUT);
    h.run(seconds(0.1), &[0, 1, 2]);
    assert_eq!(game(&h, 1), [[0, 43]]);
}
