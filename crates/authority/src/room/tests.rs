//! Whole matches in virtual time, against a small game linked natively.

mod backfill;
mod full;
mod game;
mod harness;
mod observer;
mod validated;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gs_engine::AuthorityMode;
use gs_engine::simulation::Outcome;
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{ClientEvent, topic};

use super::limits::{MUTE_AFTER, REMOVE_AFTER};
use super::{Channel, Destination, Presence, RoomEvent};
use game::{FINISH, Game, HANG_ON, TRAP};
use harness::{Harness, seconds};

#[test]
fn a_match_starts_when_everybody_is_there_and_ends_with_the_games_result() {
    let mut h = Harness::new(2);
    h.run(seconds(5.0), &[0]);
    assert_eq!(h.room.game_tick(), 0);
    h.run(seconds(1.0), &[0, 1]);
    assert!(h.events.contains(&RoomEvent::Started));
    assert!(
        (55..=62).contains(&h.room.game_tick()),
        "{}",
        h.room.game_tick()
    );
    assert_eq!(h.joins(), [0, 1]);

    h.command(1, FINISH);
    h.run(seconds(0.1), &[0, 1]);
    let ended = h.ended().clone();
    assert_eq!(ended.result.outcome, Outcome::Finished);
    assert_eq!(ended.result.slots.len(), 2);
    assert_eq!((ended.reason, ended.failed), (None, false));
    let stored = |h: &Harness, slot| h.ended_messages(slot).iter().map(|e| e.stored).collect();
    let before: Vec<bool> = stored(&h, 0);
    assert_eq!(before, [false]);

    // The result is told again once it is stored, to latecomers too, and then the room closes.
    h.run(seconds(10.0), &[0, 1]);
    assert!(!h.room.is_closed());
    h.room.handle_stored(h.now);
    h.run(seconds(1.0), &[0, 1]);
    let after: Vec<bool> = stored(&h, 1);
    assert_eq!(after, [false, true]);
    let welcome = h.hello(0);
    assert_eq!(welcome.phase(), wire::Phase::Ended);
    assert!(welcome.ended.unwrap().stored);
    h.run(seconds(2.5), &[]);
    assert!(h.room.is_closed() && h.room.poll_timeout().is_none());
    assert_eq!(
        h.events.iter().filter(|e| **e == RoomEvent::Closed).count(),
        1
    );
    assert_eq!(
        h.events
            .iter()
            .filter(|e| matches!(e, RoomEvent::Ended(_)))
            .count(),
        1
    );
}

#[test]
fn nobody_came() {
    let mut h = Harness::new(2);
    h.run(seconds(19.0), &[]);
    assert!(h.events.is_empty());
    h.run(seconds(2.0), &[]);
    let ended = h.ended();
    assert_eq!((ended.result.outcome, ended.ticks), (Outcome::Void, 0));
    assert_eq!(ended.reason.as_deref(), Some("nobody came within 20 s"));
}

#[test]
fn everybody_left_before_the_start() {
    let mut h = Harness::new(2);
    h.client_event(0, &ClientEvent::Leave);
    h.client_event(1, &ClientEvent::Leave);
    h.run(seconds(0.1), &[]);
    assert_eq!(
        h.ended().reason.as_deref(),
        Some("every player left before the start")
    );
}

#[test]
fn a_match_starts_without_a_player_who_does_not_come_and_gives_the_slot_up() {
    let mut h = Harness::new(2);
    h.run(seconds(20.5), &[0]);
    assert!(h.room.game_tick() > 0);
    assert_eq!(h.room.presence(1), Some(Presence::Expected));
    assert_eq!(h.joins(), [0]);
    h.run(seconds(31.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    // The game hears of a player who never came as one who joins and leaves at once.
    assert_eq!(h.joins(), [0, 1]);
    assert_eq!(h.leaves(), [1]);
}

#[test]
fn a_late_first_arrival_joins_while_the_slot_is_held() {
    let mut h = Harness::new(2);
    h.run(seconds(25.0), &[0]);
    h.run(seconds(1.0), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    assert_eq!(h.joins(), [0, 1]);
    assert!(h.leaves().is_empty());
    assert_eq!(h.room.pipeline().tick_log().inputs.len(), 2);
}

#[test]
fn players_who_joined_and_say_nothing_start_the_match_and_are_sent_state_until_they_are_lost() {
    let mut h = Harness::new(2);
    for slot in 0..2 {
        let identity = h.identity(slot);
        h.room.handle_participant_joined(&identity, h.now);
    }
    h.run(seconds(5.0), &[]);
    assert_eq!(h.room.presence(0), Some(Presence::Lost));
    assert!(h.room.game_tick() > 200);
    let ticks: BTreeSet<u32> = h.states().iter().map(|(_, _, state)| state.tick).collect();
    assert_eq!(ticks, (1..=ticks.len() as u32).collect());
    assert!((115..=122).contains(&ticks.len()), "{}", ticks.len());
}

#[test]
fn a_silent_player_is_lost_and_comes_back_seamlessly_within_the_hold() {
    let mut h = Harness::running(2);
    h.run(seconds(1.9), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    h.run(seconds(0.3), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    h.run(seconds(29.0), &[0]);
    h.run(seconds(1.0), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Present));
    assert!(h.leaves().is_empty());
    assert_eq!(h.joins(), [0, 1]);
    let seen: Vec<wire::Presence> = h.presences(0, 1);
    assert!(
        seen.ends_with(&[wire::Presence::Lost, wire::Presence::Present]),
        "{seen:?}"
    );
}

#[test]
fn a_player_who_stays_away_beyond_the_hold_leaves_once_and_for_all() {
    let mut h = Harness::running(2);
    h.run(seconds(33.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert_eq!(h.leaves(), [1]);
    h.run(seconds(5.0), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert_eq!(h.leaves(), [1]);
    assert!(h.room.counters().frames_refused > 0);
    // It may still ask how things stand.
    let welcome = h.hello(1);
    assert_eq!(welcome.players[1].presence(), wire::Presence::Gone);
}

#[test]
fn leaving_frees_the_slot_at_once_and_livekits_word_holds_it() {
    let mut h = Harness::running(3);
    h.client_event(1, &ClientEvent::Leave);
    h.room.handle_participant_left(&h.identity(2), h.now);
    h.room.handle_participant_left("somebody else", h.now);
    h.run(seconds(0.1), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert_eq!(h.room.presence(2), Some(Presence::Lost));
    assert_eq!(h.leaves(), [1]);
}

#[test]
fn a_game_that_ends_when_everybody_has_left_says_how() {
    let mut h = Harness::running(2);
    h.client_event(0, &ClientEvent::Leave);
    h.client_event(1, &ClientEvent::Leave);
    h.run(seconds(0.1), &[]);
    assert_eq!(h.ended().result.outcome, Outcome::Abandoned);
    assert_eq!(h.ended().result.slots.len(), 2);
    assert_eq!(
        h.ended().reason.as_deref(),
        Some("too few players were left")
    );
}

#[test]
fn a_game_that_goes_on_without_players_is_abandoned() {
    let mut h = Harness::running(2);
    h.command(0, HANG_ON);
    h.run(seconds(0.1), &[0, 1]);
    h.client_event(0, &ClientEvent::Leave);
    h.client_event(1, &ClientEvent::Leave);
    h.run(seconds(4.5), &[]);
    assert!(!h.is_ended());
    h.run(seconds(1.0), &[]);
    assert_eq!(h.ended().result.outcome, Outcome::Abandoned);
    assert_eq!(h.ended().reason.as_deref(), Some("every player left"));
}

#[test]
fn a_game_that_fails_ends_its_match_as_void_and_says_why() {
    let mut h = Harness::running(2);
    h.command(0, TRAP);
    h.run(seconds(0.1), &[0, 1]);
    let ended = h.ended();
    assert_eq!((ended.result.outcome, ended.failed), (Outcome::Void, true));
    assert!(
        ended.reason.as_ref().unwrap().contains("the bug"),
        "{ended:?}"
    );
    let told = h.ended_messages(1);
    assert!(told[0].outcome() == wire::Outcome::Void && told[0].reason.contains("the bug"));
}

#[test]
fn a_result_counts_even_where_the_last_state_cannot_be_shown() {
    let options = r#"{"fails_at_end": true}"#;
    let mut h = Harness::with(2, |config| config.options = options.to_owned());
    h.run(seconds(0.5), &[0, 1]);
    h.command(0, game::FINISH);
    h.run(seconds(0.1), &[0, 1]);
    let ended = h.ended();
    assert_eq!(ended.result.outcome, Outcome::Finished);
    assert_eq!(ended.result.slots.len(), 2);
    assert!(!ended.failed && ended.reason.is_none(), "{ended:?}");
}

#[test]
fn a_game_that_logs_without_end_is_written_down_at_a_bounded_rate() {
    let options = r#"{"log_lines": 64}"#;
    let mut h = Harness::with(1, |config| config.options = options.to_owned());
    h.run(seconds(10.0), &[0]);
    let lines = |e: &&RoomEvent| matches!(e, RoomEvent::Log(_));
    let written = h.events.iter().filter(lines).count();
    // 200 at once and 10 a second; the first tick or two wait for the player.
    assert!((295..=301).contains(&written), "{written}");
    let all = u64::from(h.room.game_tick()) * 64;
    assert_eq!(h.room.counters().log_lines_dropped, all - written as u64);
}

#[test]
fn counters_add_up() {
    let mut h = Harness::running(2);
    h.room.handle_packet("nobody", topic::INPUT, &[], h.now);
    let one = h.room.counters();
    let mut two = one;
    two += one;
    assert!(one.packets > 0 && one.strangers == 1 && one.transmits > 0);
    assert_eq!(
        (two.packets, two.strangers, two.transmits),
        (one.packets * 2, 2, one.transmits * 2)
    );
}

#[test]
fn an_abort_ends_the_match_once() {
    let mut h = Harness::running(2);
    h.room.handle_abort("the server restarted");
    h.room.handle_abort("again");
    h.run(seconds(0.1), &[]);
    assert_eq!(h.ended().reason.as_deref(), Some("the server restarted"));
    assert!(!h.ended().failed);
}

#[test]
fn time_stands_still_while_the_server_is_away() {
    let mut h = Harness::running(2);
    let tick = h.room.game_tick();
    h.room.handle_disconnected(h.now);
    h.run(seconds(60.0), &[]);
    assert_eq!(h.room.game_tick(), tick);
    h.room.handle_connected(h.now);
    h.run(seconds(1.9), &[]);
    assert_eq!(h.room.presence(0), Some(Presence::Present));
    h.run(seconds(20.0), &[]);
    assert_eq!(h.room.presence(0), Some(Presence::Lost));
    h.run(seconds(0.1), &[0, 1]);
    assert_eq!(h.room.presence(0), Some(Presence::Present));
    assert!(h.leaves().is_empty());

    // A match that is over closes all the same.
    h.room.handle_disconnected(h.now);
    h.room.handle_abort("the LiveKit server went away");
    h.run(seconds(0.1), &[]);
    h.room.handle_stored(h.now);
    h.run(seconds(3.1), &[]);
    assert!(h.room.is_closed());

    // A match that waits goes on waiting as long as it would have.
    let mut h = Harness::new(2);
    h.run(seconds(10.0), &[]);
    h.room.handle_disconnected(h.now);
    h.run(seconds(60.0), &[]);
    h.room.handle_connected(h.now);
    h.run(seconds(9.0), &[]);
    assert!(!h.is_ended());
    h.run(seconds(2.0), &[]);
    assert!(h.is_ended());
}

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
    use super::AuthorityMode::{Full, Observer, Validated};
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
    assert!(chat.sent_at_ms >= harness::UNIX_MS);
    h.run(seconds(2.1), &[0, 1]);
    h.sent.clear();
    h.chat(1, "again");
    assert!(h.sent.iter().any(|s| s.topic == topic::CHAT));
}

#[test]
fn game_events_reach_those_whom_they_are_for() {
    let mut h = Harness::running(3);
    h.sent.clear();
    h.command(2, game::WHISPER_TO_0);
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
    h.command(2, game::SHOUT);
    h.run(seconds(0.1), &[0, 1, 2]);
    assert_eq!(game(&h, 1), [[0, 43]]);
}

#[test]
fn a_refused_command_is_answered_with_the_reason() {
    let mut h = Harness::running(2);
    h.sent.clear();
    h.command(0, 200);
    let refused = h.bodies(0);
    let [Body::Refused(refused)] = refused.as_slice() else {
        panic!("{refused:?}")
    };
    assert_eq!(refused.what, "command");
    assert!(!refused.reason.is_empty());
    assert_eq!(h.room.counters().commands_refused, 1);
}

#[test]
fn inputs_may_be_reordered_repeated_wrong_or_far_away() {
    let mut h = Harness::running(2);
    let next = h.room.game_tick() + 1;
    h.input(0, &[(next + 1, 0.5), (next + 2, 0.5)]);
    h.input(0, &[(next, 0.25)]);
    h.input(0, &[(next, 0.25), (next + 1, 0.5)]);
    let before = h.room.counters();
    h.input(
        0,
        &[
            (next + 3, f32::NAN),
            (next + 4, f32::INFINITY),
            (next + 5, 1.5),
        ],
    );
    assert_eq!(h.room.counters().frames_refused, before.frames_refused + 3);
    h.input(0, &[(next + 1_000, 0.5), (u32::MAX, 0.5)]);
    assert_eq!(h.room.counters().frames_too_far, before.frames_too_far + 2);
    h.tick();
    assert_eq!(
        h.room.pipeline().tick_log().inputs[0].data,
        0.25_f32.to_le_bytes()
    );
    h.tick();
    assert_eq!(
        h.room.pipeline().tick_log().inputs[0].data,
        0.5_f32.to_le_bytes()
    );
}

#[test]
fn what_cannot_be_read_is_counted_and_dropped() {
    let mut h = Harness::running(2);
    let id = h.identity(0);
    let before = h.room.counters();
    h.room.handle_packet(&id, topic::INPUT, &[0xff; 40], h.now);
    h.room
        .handle_packet(&id, topic::INPUT, &vec![0; 5_000], h.now);
    h.room.handle_packet(&id, topic::INPUT, &[8, 2], h.now);
    h.room
        .handle_packet(&id, topic::EVENTS, &vec![1; 60_000], h.now);
    h.room.handle_packet(&id, topic::CHAT, &[], h.now);
    h.room.handle_packet(&id, topic::STATE, b"mine", h.now);
    h.room.handle_packet(&id, "\u{0}", b"", h.now);
    let after = h.room.counters();
    assert_eq!(after.malformed, before.malformed + 5);
    assert_eq!(after.unknown_topic, before.unknown_topic + 2);
    h.tick();
    assert!(!h.is_ended());
}

#[test]
fn strangers_are_refused_and_reported_now_and_then() {
    let mut h = Harness::running(2);
    let removals = |h: &Harness| {
        h.events
            .iter()
            .filter(|e| matches!(e, RoomEvent::Remove { .. }))
            .count()
    };
    for _ in 0..1_000 {
        h.room
            .handle_packet("stranger", topic::EVENTS, &[8, 1, 18, 0], h.now);
    }
    h.drain();
    assert_eq!(removals(&h), 1);
    assert_eq!(h.room.counters().strangers, 1_000);
    h.run(seconds(3.0), &[0, 1]);
    h.room.handle_packet("stranger", topic::CHAT, b"", h.now);
    h.drain();
    assert_eq!(removals(&h), 2);
    // However many there are, what is remembered of them is bounded.
    for index in 0..10_000 {
        h.room
            .handle_packet(&format!("s{index}"), topic::CHAT, b"", h.now);
    }
    h.drain();
    assert!(removals(&h) <= 2 + 64);
    assert!(
        !h.sent
            .iter()
            .any(|s| s.to == Destination::One("stranger".into()))
    );
}

#[test]
fn a_flood_is_limited_then_muted_then_removed_and_the_slot_is_lost() {
    let mut h = Harness::running(2);
    let id = h.identity(1);
    let flood = |h: &mut Harness, packets: u32| {
        for _ in 0..packets {
            h.room.handle_packet(&id, topic::INPUT, &[8, 1], h.now);
        }
        h.drain();
    };
    flood(&mut h, 180 + MUTE_AFTER - 10);
    assert!(!h.events.contains(&RoomEvent::Mute {
        identity: id.clone()
    }));
    assert!(h.room.counters().limited > 0);
    flood(&mut h, 20);
    assert!(h.events.contains(&RoomEvent::Mute {
        identity: id.clone()
    }));
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    // LiveKit stops forwarding, so nothing more comes; where it does not, the player is removed.
    let removed = |h: &Harness| {
        let of =
            |e: &&RoomEvent| matches!(e, RoomEvent::Remove { identity, .. } if *identity == id);
        h.events.iter().filter(of).count()
    };
    assert_eq!(removed(&h), 0);
    flood(&mut h, REMOVE_AFTER + 10);
    assert_eq!(removed(&h), 1);
    h.run(seconds(3.0), &[0]);
    flood(&mut h, 50);
    assert_eq!(removed(&h), 2, "whoever comes back is removed again");
    h.room.handle_participant_joined(&id, h.now);
    h.drain();
    assert_eq!(removed(&h), 3, "also without a word");
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    h.run(seconds(30.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert_eq!(h.leaves(), [1]);
    assert!(!h.is_ended());
}

#[test]
fn a_banned_player_is_removed_for_good_and_again_at_each_return() {
    let mut h = Harness::running(2);
    let id = h.identity(1);
    let removed = |h: &Harness| {
        let of =
            |e: &&RoomEvent| matches!(e, RoomEvent::Remove { identity, .. } if *identity == id);
        h.events.iter().filter(of).count()
    };
    h.room.handle_ban("somebody else", h.now);
    h.drain();
    assert!(h.room.presence(1) == Some(Presence::Present) && removed(&h) == 0);
    for _ in 0..2 {
        h.room.handle_ban(&id, h.now);
        h.drain();
        assert_eq!((h.room.presence(1), removed(&h)), (Some(Presence::Gone), 1));
    }
    h.room.handle_participant_joined(&id, h.now);
    h.drain();
    assert_eq!(removed(&h), 2);
    // The same token lets it in again, and it goes on playing as if nothing had been.
    h.run(seconds(3.0), &[0, 1]);
    assert_eq!(h.room.presence(1), Some(Presence::Gone));
    assert!(removed(&h) >= 3);
    assert_eq!(h.leaves(), [1]);
    assert!(!h.is_ended(), "the other plays on");
}

#[test]
fn who_is_banned_before_the_start_is_not_waited_for() {
    let mut h = Harness::new(2);
    h.room.handle_ban(&h.identity(1), h.now);
    h.run(seconds(0.2), &[0]);
    assert_eq!(h.leaves(), [1]);
    assert_eq!(h.room.presence(0), Some(Presence::Present));
}

#[test]
fn an_honest_client_on_a_bad_line_is_not_limited() {
    let mut h = Harness::running(2);
    for _ in 0..20 {
        // A second's worth of packets at once.
        for _ in 0..60 {
            h.room
                .handle_packet(&h.identity(1), topic::INPUT, &[8, 1], h.now);
        }
        h.run(seconds(1.0), &[0]);
    }
    assert_eq!(h.room.counters().limited, 0);
}

#[test]
fn what_nobody_takes_is_bounded() {
    let mut h = Harness::running(2);
    for _ in 0..10_000 {
        h.now += Duration::from_millis(16);
        for slot in 0..2 {
            h.room
                .handle_packet(&h.identity(slot), topic::EVENTS, &[8, 1, 18, 0], h.now);
        }
        h.room.tick(h.now);
    }
    assert!(h.room.counters().dropped > 0);
    let mut queued = 0;
    while h.room.poll_transmit().is_some() {
        queued += 1;
    }
    assert!(queued <= super::limits::TRANSMITS);
}

#[test]
fn random_packets_never_panic_and_never_stop_the_match() {
    for seed in 0..24 {
        let mut h = match seed % 3 {
            0 => Harness::running(3),
            1 => Harness::validated(3).started(),
            _ => Harness::observer(3).started(),
        };
        harness::throw_random_packets(&mut h, seed, 3_000);
        assert_eq!(h.room.pipeline().manifest().name, Game::NAME);
        for sent in &h.sent {
            let limit = match sent.topic {
                topic::STATE if sent.channel == Channel::Lossy => gs_protocol::limits::STATE_BYTES,
                topic::STATE => gs_protocol::limits::KEYFRAME_BYTES,
                topic::CHAT => gs_protocol::limits::CHAT_BYTES,
                _ => gs_protocol::limits::EVENT_BYTES,
            };
            assert!(sent.payload.len() <= limit);
        }
    }
}
