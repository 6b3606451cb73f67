//! Rounds, and how a match ends.

use clash::{Clash, Event, Pad, Phase};
use game_sdk::Outcome;
use game_sdk::testing::Match;

fn fight() -> Match<Clash> {
    let mut game: Match<Clash> = Match::new(2);
    game.run_until(200, |clash| clash.phase() == Phase::Fight);
    game
}

/// Slot `winner` brings the other down with one hit.
fn win_round(game: &mut Match<Clash>, winner: u8) {
    game.run_until(400, |clash| clash.phase() == Phase::Fight);
    let [own, other] = [winner, 1 - winner];
    game.game_mut()
        .fighter_mut(other)
        .expect("there are two")
        .health = 3;
    let at = game.game().fighter(other).expect("there are two").x;
    let side = if at > 6_000 { -1_000 } else { 1_000 };
    game.game_mut().fighter_mut(own).expect("there are two").x = at + side;
    game.press(own, Pad::new(Pad::LIGHT));
    game.run_until(20, |clash| clash.phase() == Phase::Over);
}

fn won(game: &Match<Clash>) -> Vec<(u8, bool, bool)> {
    let told = game.events().into_iter();
    told.filter_map(|event| match event {
        Event::Won {
            slot,
            by_time,
            perfect,
        } => Some((slot, by_time, perfect)),
        _ => None,
    })
    .collect()
}

#[test]
fn two_rounds_win_the_match_and_its_end_is_seen_first() {
    let mut game = fight();
    win_round(&mut game, 0);
    assert_eq!(won(&game), [(0, false, true)]);
    win_round(&mut game, 1);
    assert_eq!(game.game().round(), 2);
    win_round(&mut game, 0);
    assert!(game.result().is_none());
    game.run(149 + 28);
    assert!(game.result().is_none(), "the last fall is seen");
    game.run(1);
    let result = game.result().unwrap();
    assert_eq!(result.outcome, Outcome::Finished);
    assert_eq!((game.placement(0), game.placement(1)), (1, 2));
    assert_eq!((result.slots[0].score, result.slots[1].score), (2, 1));
    let names: Vec<&str> = result.slots[0]
        .statistics
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        ["rounds", "hits", "blocks", "throws", "damage", "best_combo"]
    );
    assert_eq!(result.slots[0].statistics[1].1, 2);
    assert_eq!(result.slots[0].statistics[4].1, 6);
}

#[test]
fn a_round_begins_with_full_health_at_the_old_places() {
    let mut game = fight();
    win_round(&mut game, 1);
    game.run_until(400, |clash| clash.phase() == Phase::Ready);
    let [first, second] = [0, 1].map(|slot| game.game().fighter(slot).unwrap().clone());
    assert_eq!((first.health, second.health), (100, 100));
    assert_eq!((first.x, second.x), (4_500, 7_500));
    assert_eq!((first.rounds, second.rounds), (0, 1));
}

#[test]
fn when_the_time_is_up_more_health_wins_and_equal_health_is_a_draw() {
    let mut game = fight();
    game.game_mut().fighter_mut(0).unwrap().health = 40;
    game.game_mut().set_ticks_left(2);
    game.run(1);
    assert_eq!(game.game().phase(), Phase::Fight);
    game.run(1);
    assert_eq!(won(&game), [(1, true, true)]);
    game.run_until(400, |clash| clash.phase() == Phase::Fight);
    game.game_mut().set_ticks_left(1);
    game.run(1);
    assert_eq!(won(&game)[1], (2, true, false));
}

#[test]
fn an_attack_that_comes_after_the_end_of_a_round_hits_nobody() {
    let mut game = fight();
    game.game_mut().fighter_mut(0).expect("there are two").x = 6_500;
    game.press(0, Pad::new(Pad::HEAVY));
    game.run(10);
    game.game_mut().set_ticks_left(1);
    game.run(60);
    assert_eq!(won(&game), [(2, true, false)]);
    assert_eq!(game.game().fighter(1).unwrap().health, 100);
}

#[test]
fn rounds_that_nobody_wins_end_after_five() {
    let mut game = fight();
    while game.result().is_none() {
        if game.game().phase() == Phase::Fight {
            game.game_mut().set_ticks_left(1);
        }
        game.run(1);
        assert!(game.tick() < 5_000);
    }
    assert_eq!(game.game().round(), 5);
    assert_eq!((game.placement(0), game.placement(1)), (1, 1));
}

#[test]
fn options_set_the_clock_and_the_rounds() {
    let options = r#"{"round_seconds": 10, "rounds_to_win": 1}"#;
    let mut game: Match<Clash> = Match::with_options(2, 1, options);
    game.run_until(200, |clash| clash.phase() == Phase::Fight);
    game.run(599);
    assert_eq!(game.game().phase(), Phase::Fight);
    game.run(1);
    assert_eq!(game.game().phase(), Phase::Over);
}

#[test]
fn whoever_stays_wins_whatever_the_score() {
    let mut game = fight();
    win_round(&mut game, 1);
    game.leave(1);
    game.run(1);
    assert_eq!(game.result().unwrap().outcome, Outcome::Finished);
    assert_eq!((game.placement(0), game.placement(1)), (1, 2));
}

#[test]
fn nobody_left_is_abandoned() {
    let mut game = fight();
    game.leave(0);
    game.leave(1);
    game.run(1);
    assert_eq!(game.result().unwrap().outcome, Outcome::Abandoned);
}

#[test]
fn a_player_who_never_came_is_last() {
    for late in [false, true] {
        let mut game: Match<Clash> = Match::empty(2, 1, "{}");
        if !late {
            game.join(0);
        }
        game.run(5);
        assert_eq!(game.game().phase(), Phase::Waiting);
        game.join(1);
        game.leave(1);
        game.run(1);
        if late {
            assert!(game.result().is_none(), "it waits for the other");
            game.join(0);
            game.run(1);
        }
        assert_eq!((game.placement(0), game.placement(1)), (1, 2));
    }
}
