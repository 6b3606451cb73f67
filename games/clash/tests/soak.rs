//! Long matches of players who press anything at all, and what a client predicts.
//!
//! The harness itself holds every tick against an instance restored from a save, and every value
//! that is seen or told against its range.

use clash::{Clash, Event, Pad};
use game_sdk::Rng;
use game_sdk::testing::Match;

/// Presses anything, each thing for a while, until the end of the match or `ticks`.
fn play(game: &mut Match<Clash>, ticks: u32, seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..ticks / 3 {
        for slot in 0..2 {
            if rng.chance(0.4) {
                game.hold(slot, Pad::new(rng.below(64) as u8));
            }
        }
        game.run(3);
        if game.result().is_some() {
            return;
        }
    }
}

#[test]
fn matches_of_anything_end_with_a_result_and_everything_in_them_happens() {
    let mut kinds = [0_u32; 8];
    for seed in 0..12 {
        let mut game: Match<Clash> = Match::with_options(2, seed, r#"{"rounds_to_win": 2}"#);
        play(&mut game, 60 * 400, seed);
        let result = game.result().expect("five rounds of a minute are over");
        assert_eq!(result.slots.len(), 2);
        assert!(game.log().is_empty(), "{:?}", game.log());
        for event in game.events() {
            let kind = match event {
                Event::Round { .. } => 0,
                Event::Fight {} => 1,
                Event::Hit { what, .. } => 2 + usize::from(what),
                Event::Blocked { .. } => 6,
                Event::Won { .. } => 7,
                Event::Broken { .. } => continue,
            };
            kinds[kind] += 1;
        }
    }
    assert!(kinds.iter().all(|count| *count > 5), "{kinds:?}");
}

#[test]
fn a_state_is_far_below_two_kilobytes() {
    let mut game: Match<Clash> = Match::new(2);
    play(&mut game, 1_200, 4);
    let bytes = game.saved().len();
    assert!(bytes <= 128, "a state has {bytes} bytes");
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_others_do_not() {
    let run = |seed| {
        let mut game: Match<Clash> = Match::new(2);
        play(&mut game, 1_500, seed);
        game.saved()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_view_says_all_so_that_a_client_predicts_without_a_fault() {
    for viewer in [0, 1] {
        let mut game: Match<Clash> = Match::new(2);
        play(&mut game, 400, 9);
        for round in 0..20 {
            play(&mut game, 30, round);
            let mut predicted = game.predicted_by(viewer);
            game.run(24);
            predicted.run(24);
            let seen = game.seen_by(None);
            assert_eq!(predicted.seen_by(None), seen, "round {round}");
        }
    }
}
