//! How a match ends, joins and leaves.

use arena::{Arena, Event};
use game_sdk::testing::Match;
use game_sdk::{Outcome, SlotResult};

fn with_kills(kills: &[u16]) -> Match<Arena> {
    let mut game: Match<Arena> = Match::new(kills.len() as u8);
    game.run(1);
    for (slot, kills) in kills.iter().enumerate() {
        game.game_mut()
            .player_mut(slot as u8)
            .expect("it has joined")
            .kills = *kills;
    }
    game
}

fn placements(game: &Match<Arena>) -> Vec<u8> {
    game.result()
        .expect("the match has ended")
        .slots
        .iter()
        .map(|entry| entry.placement)
        .collect()
}

#[test]
fn whoever_reaches_the_score_limit_wins() {
    let mut game = with_kills(&[3, 10, 3]);
    game.run(1);
    assert_eq!(placements(&game), [2, 1, 2]);
    let result = game.result().unwrap();
    assert_eq!(result.outcome, Outcome::Finished);
    let SlotResult {
        score, statistics, ..
    } = &result.slots[1];
    assert_eq!(*score, 10);
    let names: Vec<&str> = statistics.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["kills", "deaths", "shots", "hits"]);
}

#[test]
fn the_clock_ends_a_match_and_equals_share_a_place() {
    let mut game = with_kills(&[4, 4, 1]);
    game.game_mut().set_ticks_left(10 * 60 + 2);
    game.run(1);
    assert!(!game.events().contains(&Event::LastSeconds {}));
    game.run(1);
    assert!(game.events().contains(&Event::LastSeconds {}));
    game.run(10 * 60 - 1);
    assert!(game.result().is_none());
    game.run(1);
    assert_eq!(placements(&game), [1, 1, 3]);
}

#[test]
fn options_set_the_clock_and_the_limit() {
    let mut game: Match<Arena> =
        Match::with_options(2, 1, r#"{"match_seconds": 10, "score_limit": 3}"#);
    game.run(599);
    assert!(game.result().is_none());
    game.run(1);
    assert_eq!(placements(&game), [1, 1]);
}

#[test]
fn the_last_one_who_stays_wins_whatever_the_score() {
    let mut game = with_kills(&[0, 5, 9]);
    game.leave(1);
    game.run(1);
    assert!(game.result().is_none());
    game.leave(2);
    game.run(1);
    assert_eq!(game.result().unwrap().outcome, Outcome::Finished);
    assert_eq!(placements(&game), [1, 3, 2]);
}

#[test]
fn nobody_left_is_abandoned() {
    let mut game = with_kills(&[1, 2]);
    game.leave(0);
    game.leave(1);
    game.run(1);
    assert_eq!(game.result().unwrap().outcome, Outcome::Abandoned);
    assert_eq!(placements(&game), [2, 1]);
}

#[test]
fn a_player_who_never_came_is_last() {
    let mut game: Match<Arena> = Match::empty(2, 1, "{}");
    game.join(0);
    game.run(5);
    assert!(game.result().is_none(), "it waits for the other");
    game.leave(1);
    game.run(1);
    assert_eq!(placements(&game), [1, 2]);
}

#[test]
fn a_player_can_come_in_the_middle_and_others_go() {
    let mut game = with_kills(&[0, 0, 0]);
    game.run(60);
    game.join(7);
    game.leave(1);
    game.run(1);
    assert!(game.game().player(7).unwrap().shield > 80);
    let owners: Vec<_> = game
        .seen_by(None)
        .iter()
        .filter_map(|placed| placed.owner)
        .collect();
    assert_eq!(owners, [0, 2, 7]);
}

#[test]
fn a_substitute_has_a_body_of_its_own_and_the_slots_score() {
    let mut game = with_kills(&[1, 6, 2]);
    let leaver = game.game_mut().player_mut(1).expect("it has joined");
    (leaver.health, leaver.rapid, leaver.deaths) = (10, 200, 3);
    game.run(30);
    game.leave(1);
    game.run(1);
    assert!(game.result().is_none());
    assert!(game.seen_by(None).iter().all(|p| p.owner != Some(1)));
    game.join(1);
    game.run(1);
    let player = game.game().player(1).unwrap();
    assert!(player.present && player.health == 100 && player.shield > 80);
    assert_eq!((player.rapid, player.reload, player.dash), (0, 0, 0));
    assert_eq!((player.kills, player.deaths), (6, 3));
    let spawned = game.events();
    let spawns = spawned.iter().filter(|e| **e == Event::Spawn { slot: 1 });
    assert_eq!(spawns.count(), 2);

    // The result counts for the slot, as if nobody had left.
    game.game_mut().set_ticks_left(1);
    game.run(1);
    assert_eq!(placements(&game), [3, 1, 2]);
    assert_eq!(game.result().unwrap().slots[1].score, 6);
}

#[test]
fn a_slot_that_nobody_was_matched_into_can_be_joined() {
    let mut game: Match<Arena> = Match::empty(4, 1, "{}");
    (0..2).for_each(|slot| game.join(slot));
    game.run(60);
    game.join(3);
    game.run(60);
    assert!(game.game().player(3).unwrap().is_in_play());
    game.leave(3);
    game.join(3);
    game.run(60);
    assert!(game.game().player(3).unwrap().is_in_play());
    assert!(game.result().is_none());
}
