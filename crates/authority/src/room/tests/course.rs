//! From the wait for players to the end.

use std::collections::BTreeSet;

use gs_engine::simulation::Outcome;
use gs_protocol::wire;
use gs_protocol::{ClientEvent, topic};

use super::super::{Presence, RoomEvent};
use super::game::{self, FINISH, HANG_ON, TRAP};
use super::harness::{Harness, seconds};

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
