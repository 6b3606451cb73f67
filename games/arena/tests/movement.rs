//! How players move.

use arena::{Arena, HEIGHT, Stick, Vector, WALLS, WIDTH};
use game_sdk::testing::Match;

/// A match of one on an open stretch, far from walls.
fn alone_at(x: f32, y: f32) -> Match<Arena> {
    let mut game: Match<Arena> = Match::new(1);
    game.run(1);
    game.game_mut().player_mut(0).expect("it has joined").at = Vector::new(x, y);
    game
}

fn go(move_x: f32, move_y: f32) -> Stick {
    Stick {
        move_x,
        move_y,
        ..Stick::default()
    }
}

fn at(game: &Match<Arena>) -> Vector {
    game.game().player(0).expect("it has joined").at
}

#[test]
fn a_player_is_at_top_speed_within_an_eighth_of_a_second_and_stops_as_fast() {
    let mut game = alone_at(3.0, 14.0);
    game.hold(0, go(0.0, 1.0));
    game.run(8);
    let speed = game.game().player(0).unwrap().velocity.length();
    assert!((6.99..=7.01).contains(&speed), "{speed}");
    game.hold(0, go(0.0, 0.0));
    game.run(8);
    assert_eq!(game.game().player(0).unwrap().velocity.length(), 0.0);
}

#[test]
fn a_diagonal_is_no_faster() {
    let mut game = alone_at(2.0, 7.0);
    game.hold(0, go(1.0, 1.0));
    game.run(10);
    let speed = game.game().player(0).unwrap().velocity.length();
    assert!((6.99..=7.01).contains(&speed), "{speed}");
}

#[test]
fn a_wall_stops_and_lets_slide() {
    let wall = WALLS[8];
    let mut game = alone_at(wall.x - 2.0, wall.y + 0.2);
    game.hold(0, go(1.0, 0.3));
    game.run(30);
    let there = at(&game);
    assert!(
        (there.x - (wall.x - 0.5)).abs() < 0.01,
        "it stands at the wall: {there:?}"
    );
    assert!(there.y > wall.y + 0.8, "it slid along the wall: {there:?}");
}

#[test]
fn nobody_leaves_the_arena_or_enters_a_wall_not_even_by_dashing() {
    for direction in 0..16 {
        let angle = direction as f32 * std::f32::consts::TAU / 16.0;
        let mut game = alone_at(20.0, 12.0);
        game.hold(
            0,
            Stick {
                dash: true,
                ..go(angle.cos(), angle.sin())
            },
        );
        for _ in 0..400 {
            game.run(1);
            let there = at(&game);
            assert!((0.5..=WIDTH - 0.5).contains(&there.x), "{there:?}");
            assert!((0.5..=HEIGHT - 0.5).contains(&there.y), "{there:?}");
            for wall in WALLS {
                let distance = (there - wall.nearest(there)).length();
                assert!(distance > 0.49, "{there:?} is in {wall:?}");
            }
        }
    }
}

#[test]
fn a_dash_goes_farther_and_has_to_recover() {
    let mut running = alone_at(3.0, 4.5);
    running.hold(0, go(0.0, 1.0));
    running.run(18);
    let mut dashing = alone_at(3.0, 4.5);
    dashing.press(
        0,
        Stick {
            dash: true,
            ..go(0.0, 1.0)
        },
    );
    dashing.hold(0, go(0.0, 1.0));
    dashing.press(
        0,
        Stick {
            dash: true,
            ..go(0.0, 1.0)
        },
    );
    dashing.run(18);
    let gain = at(&dashing).y - at(&running).y;
    assert!((1.5..3.5).contains(&gain), "a dash gained {gain}");
    assert!(dashing.game().player(0).unwrap().dash > 0);

    let mut waiting = alone_at(3.0, 4.5);
    waiting.hold(
        0,
        Stick {
            dash: true,
            ..Stick::default()
        },
    );
    waiting.run(1);
    let cooldown = waiting.game().player(0).unwrap().dash;
    waiting.run(u32::from(cooldown) - 1);
    assert!(waiting.game().player(0).unwrap().dash < 2);
    waiting.run(1);
    assert_eq!(
        waiting.game().player(0).unwrap().dash,
        cooldown,
        "it dashes again"
    );
}

#[test]
fn players_push_each_other_apart() {
    let mut game: Match<Arena> = Match::new(2);
    game.run(1);
    for slot in [0, 1] {
        game.game_mut().player_mut(slot).unwrap().at = Vector::new(20.0, 12.0);
    }
    game.run(3);
    let [a, b] = [0, 1].map(|slot| game.game().player(slot).unwrap().at);
    assert!((a - b).length() > 0.99, "{a:?} {b:?}");
}
