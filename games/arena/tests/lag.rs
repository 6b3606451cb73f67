//! Lag compensation: shots are judged by what the shooter saw.

use arena::{Arena, Stick, Vector};
use game_sdk::testing::Match;

/// Slot 1 runs upwards and crosses the line of fire of slot 0 two units away; `late` ticks later
/// slot 0 shoots along that line with a picture `milliseconds` old. Answers the health of slot 1.
fn shoot_at_who_has_passed(late: u32, milliseconds: u32) -> u8 {
    let mut game = passing(late);
    game.look_back(0, milliseconds);
    fire(&mut game, 0.0);
    game.run(30);
    game.game().player(1).expect("it has joined").health
}

fn passing(late: u32) -> Match<Arena> {
    passing_among(2, late)
}

fn passing_among(players: u8, late: u32) -> Match<Arena> {
    let mut game: Match<Arena> = Match::new(players);
    game.run(1);
    place(&mut game, 0, 14.0, 20.5);
    place(&mut game, 1, 16.0, 22.0);
    game.hold(
        1,
        Stick {
            move_y: -1.0,
            ..Stick::default()
        },
    );
    game.run_until(60, |arena| {
        arena.player(1).is_some_and(|player| player.at.y <= 20.5)
    });
    game.run(late - 1);
    game
}

fn place(game: &mut Match<Arena>, slot: u8, x: f32, y: f32) {
    let player = game.game_mut().player_mut(slot).expect("it has joined");
    player.at = Vector::new(x, y);
    player.shield = 0;
}

fn fire(game: &mut Match<Arena>, aim: f32) {
    game.press(
        0,
        Stick {
            fire: true,
            aim,
            ..Stick::default()
        },
    );
}

#[test]
fn a_shooter_hits_who_was_there_in_its_picture_and_has_moved_away_since() {
    assert_eq!(shoot_at_who_has_passed(12, 200), 80);
    assert_eq!(shoot_at_who_has_passed(12, 0), 100, "nobody is there now");
    assert_eq!(shoot_at_who_has_passed(12, 60), 100, "nor 60 ms ago");
}

#[test]
fn a_substitute_is_not_hit_where_the_slots_earlier_player_was() {
    let health = |replaced: bool| {
        let mut game = passing_among(3, 12);
        if replaced {
            game.leave(1);
            game.join(1);
        }
        game.run(1);
        place(&mut game, 1, 30.0, 3.0);
        game.look_back(0, 200);
        fire(&mut game, 0.0);
        game.run(30);
        game.game().player(1).expect("it has joined").health
    };
    assert_eq!((health(false), health(true)), (80, 100));
}

#[test]
fn nobody_looks_back_farther_than_a_quarter_of_a_second() {
    assert_eq!(shoot_at_who_has_passed(15, 250), 80);
    assert_eq!(shoot_at_who_has_passed(28, 10_000), 100);
    let [quarter, ages] = [250, 10_000].map(|milliseconds| {
        let mut game = passing(15);
        game.look_back(0, milliseconds);
        fire(&mut game, 0.0);
        game.run(1);
        game.saved()
    });
    assert_eq!(quarter, ages);
}

#[test]
fn a_bullet_that_has_caught_up_is_where_it_would_be_and_lives_no_longer() {
    let mut flights = [0, 200].map(|milliseconds| {
        let mut game: Match<Arena> = Match::new(2);
        game.run(20);
        place(&mut game, 0, 3.0, 20.5);
        place(&mut game, 1, 38.0, 2.0);
        game.look_back(0, milliseconds);
        fire(&mut game, 0.0);
        game.run(1);
        game
    });
    let x = |game: &mut Match<Arena>| {
        let seen = game.seen_by(None);
        seen.iter().find_map(|placed| match placed.entity {
            arena::Thing::Bullet { x, .. } => Some(x),
            _ => None,
        })
    };
    let [present, late] = &mut flights;
    let ahead = x(late).expect("it flies") - x(present).expect("it flies");
    assert!((ahead - 0.2 * 22.0).abs() < 0.05, "{ahead} units ahead");
    late.run(58);
    assert_eq!(late.game().bullet_count(), 1);
    late.run(1);
    assert_eq!(
        late.game().bullet_count(),
        0,
        "1.2 s after its shooter saw it leave"
    );
}

#[test]
fn a_wall_protects_in_the_past_as_well() {
    let mut game: Match<Arena> = Match::new(2);
    game.run(1);
    // The wall from y 16 to 17 lies between them.
    place(&mut game, 0, 20.0, 18.0);
    place(&mut game, 1, 20.0, 15.0);
    game.run(20);
    game.look_back(0, 250);
    fire(&mut game, -std::f32::consts::FRAC_PI_2);
    game.run(20);
    assert_eq!(game.game().player(1).expect("it has joined").health, 100);
    assert_eq!(game.game().bullet_count(), 0);
}

#[test]
fn who_comes_back_was_not_there_before() {
    let mut game: Match<Arena> = Match::new(2);
    game.run(1);
    place(&mut game, 0, 14.0, 20.5);
    place(&mut game, 1, 16.0, 20.5);
    game.run(15);
    game.game_mut().player_mut(1).expect("it has joined").health = 0;
    game.run(2);
    assert_eq!(game.game().player(1).expect("it has joined").health, 100);
    place(&mut game, 1, 30.0, 12.0);
    game.look_back(0, 200);
    fire(&mut game, 0.0);
    game.run(10);
    assert_eq!(game.game().player(1).expect("it has joined").health, 100);
}

#[test]
fn looking_back_costs_70_bytes_a_player() {
    let saved = |players: u8, ticks: u32| {
        let mut game: Match<Arena> = Match::new(players);
        game.run(ticks);
        game.saved().len()
    };
    // After one tick a player has one place, after 16 as many as it will ever have.
    assert_eq!(saved(2, 30) - saved(2, 1), 2 * 15 * 4);
    assert!(saved(2, 100) <= 400, "{} bytes", saved(2, 100));
    assert!(saved(16, 100) <= 2_200, "{} bytes", saved(16, 100));
}
