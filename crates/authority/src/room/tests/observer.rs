//! `observer`: presence and the players' word, without a simulation.

use gs_engine::simulation::{MatchResult, Outcome, SlotResult};
use gs_protocol::wire;
use gs_protocol::{ClientEvent, VERSION, encode_player_state, limits, topic};

use super::super::observer::REPORT_PATIENCE;
use super::super::{Destination, Presence, RoomEvent};
use super::game;
use super::harness::{Harness, seconds};

/// A result in which this slot of `players` wins.
pub(super) fn won(winner: u8, players: u8) -> MatchResult {
    let slots = (0..players).map(|slot| SlotResult {
        slot,
        placement: if slot == winner { 1 } else { 2 },
        team: None,
        score: 3,
        statistics: vec![("hits".to_owned(), 1)],
    });
    MatchResult {
        outcome: Outcome::Finished,
        slots: slots.collect(),
    }
}

pub(super) fn report(h: &mut Harness, slot: usize, result: &MatchResult) {
    h.client_event(slot, &ClientEvent::Report(result.clone()));
}

fn details(h: &Harness) -> serde_json::Value {
    serde_json::from_str(h.ended().details.as_ref().unwrap()).unwrap()
}

#[test]
fn nothing_is_simulated_and_players_share_their_states() {
    let mut h = Harness::observer(2).started();
    let welcome = h.hello(0);
    assert_eq!(welcome.mode(), wire::AuthorityMode::Observer);
    assert_eq!(h.room.pipeline().tick(), 0);
    let mut bytes = Vec::new();
    let mut share = |h: &mut Harness, slot: usize, length: usize| {
        let state = wire::PlayerState {
            version: VERSION,
            tick: 1,
            data: vec![7; length],
        };
        encode_player_state(&state, &mut bytes).unwrap();
        h.room
            .handle_packet(&h.identity(slot), topic::STATE, &bytes, h.now);
    };
    for _ in 0..5 {
        share(&mut h, 1, 100);
    }
    share(&mut h, 0, limits::PLAYER_STATE_BYTES + 1);
    h.room
        .handle_packet(&h.identity(0), topic::STATE, &[0xff; 20], h.now);
    assert_eq!(h.room.counters().malformed, 2);
    h.sent.clear();
    h.run(seconds(1.0), &[0, 1]);
    let clocks = h.states();
    assert!((9..=11).contains(&clocks.len()), "{}", clocks.len());
    for (to, _, update) in &clocks {
        assert!(*to == Destination::All && update.body.is_none());
        assert_eq!(update.slots.len(), 2);
    }
    h.command(0, game::FINISH);
    assert_eq!(h.room.counters().commands_refused, 1);
    report(&mut h, 0, &won(0, 2));
    report(&mut h, 1, &won(0, 2));
    h.tick();
    assert_eq!(details(&h)["shared"], serde_json::json!([0, 5]));
    assert!(h.ended().ticks > 100);
}

#[test]
fn what_most_players_report_is_the_result_once() {
    let mut h = Harness::observer(3).started();
    report(&mut h, 0, &won(0, 3));
    h.run(seconds(1.0), &[0, 1, 2]);
    assert!(!h.is_ended(), "one of three");
    report(&mut h, 1, &won(1, 3));
    // A player's first word counts.
    report(&mut h, 1, &won(0, 3));
    h.run(seconds(1.0), &[0, 1, 2]);
    assert!(!h.is_ended(), "they differ");
    report(&mut h, 2, &won(0, 3));
    h.run(seconds(1.0), &[0, 1, 2]);
    let ended = h.ended().clone();
    assert_eq!((ended.result, ended.reason), (won(0, 3), None));
    let details = details(&h);
    let reports = details["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 2, "{details}");
    assert_eq!(reports[0]["by"], serde_json::json!([0, 2]));
    assert_eq!(reports[1]["result"]["slots"][1]["placement"], 1);
    let ends = h.events.iter();
    let ends = ends.filter(|event| matches!(event, RoomEvent::Ended(_)));
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_storm_of_wrong_reports_is_answered_a_few_times() {
    let mut h = Harness::observer(2).started();
    let mut wrong = won(0, 2);
    wrong.slots[0].placement = 0;
    let before = h.room.counters();
    h.sent.clear();
    for _ in 0..30 {
        report(&mut h, 0, &wrong);
    }
    let after = h.room.counters();
    assert_eq!(h.bodies(0).len(), 3);
    assert_eq!(after.malformed - before.malformed, 3);
    assert_eq!(after.requests_limited - before.requests_limited, 27);
    // A mended one still counts, a little later.
    h.run(seconds(3.0), &[0, 1]);
    report(&mut h, 0, &won(0, 2));
    report(&mut h, 1, &won(0, 2));
    h.tick();
    assert_eq!(h.ended().result, won(0, 2));
}

#[test]
fn reports_that_differ_make_a_match_void_and_are_kept() {
    let mut h = Harness::observer(2).started();
    report(&mut h, 0, &won(0, 2));
    report(&mut h, 1, &won(1, 2));
    h.tick();
    let ended = h.ended();
    assert_eq!(ended.result.outcome, Outcome::Void);
    assert_eq!(ended.reason.as_deref(), Some("the players' reports differ"));
    assert_eq!(details(&h)["reports"].as_array().unwrap().len(), 2);
}

#[test]
fn a_player_who_says_nothing_is_waited_for_a_while() {
    let mut h = Harness::observer(2).started();
    report(&mut h, 0, &won(0, 2));
    h.run(REPORT_PATIENCE - seconds(0.5), &[0, 1]);
    assert!(!h.is_ended());
    h.run(seconds(1.0), &[0, 1]);
    assert_eq!(h.ended().result.outcome, Outcome::Void);
    let reason = h.ended().reason.clone().unwrap();
    assert!(reason.contains("too few"), "{reason}");
}

#[test]
fn whoever_left_or_was_lost_without_a_word_has_no_say() {
    let mut h = Harness::observer(3).started();
    h.client_event(2, &ClientEvent::Leave);
    h.run(seconds(3.0), &[0]);
    assert_eq!(h.room.presence(1), Some(Presence::Lost));
    report(&mut h, 0, &won(0, 3));
    h.run(seconds(1.0), &[0]);
    assert!(!h.is_ended(), "slot 1 may come back");
    h.run(REPORT_PATIENCE, &[0]);
    assert_eq!(h.ended().result, won(0, 3));
}

#[test]
fn a_report_counts_although_its_player_left_after_it() {
    let mut h = Harness::observer(2).started();
    for slot in 0..2 {
        report(&mut h, slot, &won(1, 2));
        h.client_event(slot, &ClientEvent::Leave);
    }
    h.run(seconds(0.1), &[]);
    assert_eq!(h.ended().result, won(1, 2));
}

#[test]
fn players_who_leave_without_a_report_abandon_the_match() {
    let mut h = Harness::observer(2).started();
    for slot in 0..2 {
        h.client_event(slot, &ClientEvent::Leave);
    }
    h.run(seconds(6.0), &[]);
    assert_eq!(h.ended().result.outcome, Outcome::Abandoned);
}

#[test]
fn a_result_that_cannot_be_is_refused_with_the_reason() {
    let mut h = Harness::observer(2).started();
    let mut bad = Vec::new();
    let mut twice = won(0, 2);
    twice.slots[1].slot = 0;
    bad.push((twice, "ascend"));
    bad.push((won(0, 3), "slot 2 of 2"));
    let mut team = won(0, 2);
    team.slots[0].team = Some(1);
    bad.push((team, "team 1 of 0"));
    let mut placement = won(0, 2);
    placement.slots[0].placement = 0;
    bad.push((placement, "placement 0"));
    let mut statistics = won(0, 2);
    statistics.slots[0].statistics = vec![("x".to_owned(), 1); 17];
    bad.push((statistics, "more than 16 statistics"));
    for (result, expected) in bad {
        // As often as reports are looked at.
        h.run(seconds(2.1), &[0, 1]);
        report(&mut h, 0, &result);
        let told = h.bodies(0);
        let Some(wire::server_event::Body::Refused(refused)) = told.last() else {
            panic!("{told:?}");
        };
        assert_eq!(refused.what, "report");
        assert!(refused.reason.contains(expected), "{}", refused.reason);
    }
    h.run(seconds(2.1), &[0, 1]);
    report(&mut h, 0, &won(0, 2));
    report(&mut h, 1, &won(0, 2));
    h.tick();
    assert_eq!(h.ended().result, won(0, 2));
}

#[test]
fn a_flood_of_shared_state_is_limited_like_any_other() {
    let mut h = Harness::observer(2).started();
    for _ in 0..1_000 {
        h.room
            .handle_packet(&h.identity(1), topic::STATE, &[8, 1], h.now);
    }
    h.drain();
    let counters = h.room.counters();
    assert!(counters.limited > 0 && counters.mutes == 1, "{counters:?}");
}
