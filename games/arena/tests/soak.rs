//! Long matches of players who press anything at all.
//!
//! The harness itself holds every tick against an instance restored from a save, and every value
//! that is seen or told against its range.

use arena::{Arena, Event, Stick};
use game_sdk::Rng;
use game_sdk::testing::Match;

/// Plays `ticks` at random and answers the last saved state.
fn play(game: &mut Match<Arena>, players: u8, ticks: u32, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    for _ in 0..ticks / 10 {
        for slot in 0..players {
            let stick = Stick {
                move_x: rng.range(-1.0..1.0),
                move_y: rng.range(-1.0..1.0),
                aim: rng.range(-3.2..3.2),
                fire: rng.chance(0.8),
                dash: rng.chance(0.2),
            };
            game.hold(slot, stick);
        }
        game.run(10);
    }
    game.saved()
}

#[test]
fn sixteen_players_fight_for_a_whole_match_within_every_bound() {
    let options = r#"{"match_seconds": 60, "score_limit": 255}"#;
    let mut game: Match<Arena> = Match::with_options(16, 3, options);
    let state = play(&mut game, 16, 3600, 5);
    assert!(state.len() < 16 << 10, "a state has {} bytes", state.len());
    let events = game.events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Kill { .. }))
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Picked { .. }))
    );
    let result = game.result().unwrap();
    assert_eq!(result.slots.len(), 16);
    assert!(game.log().is_empty(), "{:?}", game.log());
}

#[test]
fn the_same_seed_and_inputs_give_the_same_bytes_and_others_do_not() {
    let run = |seed| {
        let mut game: Match<Arena> = Match::with_options(4, seed, "{}");
        play(&mut game, 4, 1200, 9)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn players_who_come_and_go_leave_a_sound_state() {
    let options = r#"{"match_seconds": 120, "score_limit": 255}"#;
    let mut game: Match<Arena> = Match::with_options(6, 11, options);
    let mut rng = Rng::new(13);
    for round in 0..40 {
        play(&mut game, 6, 60, round);
        // Slot 0 and 1 stay, so that the match goes on.
        let slot = 2 + rng.below(14) as u8;
        if rng.chance(0.5) {
            game.join(slot)
        } else {
            game.leave(slot)
        }
    }
    assert!(game.result().is_none());
    assert_eq!(game.tick(), 2400);
}
