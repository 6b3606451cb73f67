//! What a client predicts from what it sees.

use arena::{Arena, Stick};
use game_sdk::testing::Match;

#[test]
fn a_client_predicts_its_own_way_around_a_wall_with_a_dash() {
    let mut game: Match<Arena> = Match::new(3);
    game.run(30);
    for move_x in [1.0, -0.3] {
        game.hold(
            0,
            Stick {
                move_x,
                move_y: 0.6,
                aim: 1.0,
                dash: true,
                ..Stick::default()
            },
        );
        game.hold(
            1,
            Stick {
                move_x,
                fire: true,
                ..Stick::default()
            },
        );
        game.run(7);
        let mut predicted = game.predicted_by(0);
        for ahead in 1..=24 {
            game.run(1);
            predicted.run(1);
            let [own, guess] = [&game, &predicted].map(|m| m.game().player(0).unwrap().clone());
            let error = (own.at - guess.at).length();
            assert!(error < 0.15, "{ahead} ticks ahead it is {error} off");
            assert_eq!(own.shots, 0);
        }
    }
}

#[test]
fn a_view_brings_back_everything_that_it_shows() {
    let mut game: Match<Arena> = Match::new(4);
    game.run(1);
    for slot in 0..4 {
        let aim = f32::from(slot) - 1.5;
        game.hold(
            slot,
            Stick {
                move_x: 0.5,
                move_y: -0.5,
                aim,
                fire: true,
                ..Stick::default()
            },
        );
    }
    game.run(45);
    game.leave(3);
    game.run(1);
    let seen = game.seen_by(Some(2));
    let again = game.predicted_by(2).seen_by(Some(2));
    assert!(
        seen.len() > 20,
        "players, bullets, walls, pickups and the clock are there"
    );
    assert_eq!(seen, again);
}
