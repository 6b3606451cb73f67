//! Shooting, falling, coming back, pickups.

use arena::{Arena, Event, Stick, Thing, Vector};
use game_sdk::testing::Match;

/// Two on an open stretch, `apart` from each other, slot 0 on the left; both without shields.
fn duel(apart: f32) -> Match<Arena> {
    let mut game: Match<Arena> = Match::new(2);
    game.run(1);
    for (slot, x) in [(0, 14.0), (1, 14.0 + apart)] {
        let player = game.game_mut().player_mut(slot).expect("it has joined");
        player.at = Vector::new(x, 20.5);
        player.shield = 0;
        player.rapid = 0;
    }
    game
}

fn fire() -> Stick {
    Stick {
        fire: true,
        ..Stick::default()
    }
}

fn health(game: &Match<Arena>, slot: u8) -> u8 {
    game.game().player(slot).expect("it has joined").health
}

#[test]
fn a_bullet_takes_its_time_and_then_health() {
    let mut game = duel(8.0);
    game.press(0, fire());
    game.run(15);
    assert_eq!(health(&game, 1), 100, "it has flown 5.5 of 8 units");
    game.run(10);
    assert_eq!(health(&game, 1), 80);
    assert_eq!(game.game().bullet_count(), 0);
    assert!(game.events().contains(&Event::Hit {
        by: 0,
        to: 1,
        damage: 20
    }));
    let shooter = game.game().player(0).unwrap();
    assert_eq!((shooter.shots, shooter.hits), (1, 1));
}

#[test]
fn a_bullet_that_meets_nobody_is_gone_after_its_lifetime_or_at_a_wall() {
    let mut game = duel(4.0);
    game.press(
        0,
        Stick {
            aim: std::f32::consts::PI,
            ..fire()
        },
    );
    game.run(1);
    assert_eq!(game.game().bullet_count(), 1);
    game.run(72);
    assert_eq!(game.game().bullet_count(), 0);
    // Upwards from (14, 20.5) the way is free; two units to the right the wall at y 17 is in it.
    game.game_mut().player_mut(0).unwrap().at = Vector::new(18.0, 20.5);
    game.game_mut().player_mut(1).unwrap().at = Vector::new(18.0, 14.5);
    game.press(
        0,
        Stick {
            aim: -std::f32::consts::FRAC_PI_2,
            ..fire()
        },
    );
    game.run(40);
    assert_eq!((health(&game, 1), game.game().bullet_count()), (100, 0));
}

#[test]
fn five_hits_bring_a_player_down_and_two_seconds_later_it_is_back_with_a_shield() {
    let mut game = duel(3.0);
    game.hold(0, fire());
    game.run_until(120, |arena| arena.player(1).unwrap().health == 0);
    assert!(game.events().contains(&Event::Kill { by: 0, victim: 1 }));
    assert_eq!(game.game().player(0).unwrap().kills, 1);
    assert_eq!(game.game().player(1).unwrap().deaths, 1);
    let thing = game
        .seen_by(Some(0))
        .into_iter()
        .find(|p| p.id == 1)
        .unwrap()
        .entity;
    assert!(
        matches!(
            thing,
            Thing::Player {
                alive: false,
                health: 0,
                ..
            }
        ),
        "{thing:?}"
    );

    game.hold(0, Stick::default());
    game.run(119);
    assert_eq!(health(&game, 1), 0);
    game.run(1);
    let [shooter, back] = [0, 1].map(|slot| game.game().player(slot).unwrap().clone());
    assert_eq!((back.health, back.shield), (100, 90));
    assert!(
        (back.at - shooter.at).length() > 15.0,
        "far from who shot it: {:?}",
        back.at
    );
    let spawned = game
        .events()
        .into_iter()
        .filter(|e| *e == Event::Spawn { slot: 1 });
    assert_eq!(spawned.count(), 2);
}

#[test]
fn a_shield_holds_until_it_is_over_or_its_player_shoots() {
    let mut game = duel(3.0);
    game.game_mut().player_mut(1).unwrap().shield = 90;
    game.press(0, fire());
    game.run(20);
    assert_eq!((health(&game, 1), game.game().bullet_count()), (100, 0));
    game.press(1, Stick { aim: 1.0, ..fire() });
    game.run(1);
    assert_eq!(game.game().player(1).unwrap().shield, 0);
    game.press(0, fire());
    game.run(20);
    assert_eq!(health(&game, 1), 80);
}

#[test]
fn rapid_fire_more_than_doubles_the_shots_for_six_seconds() {
    let mut game = duel(3.0);
    let middle = Vector::new(20.0, 9.5);
    game.game_mut().player_mut(0).unwrap().at = middle;
    game.hold(0, Stick { aim: 2.0, ..fire() });
    game.run(60);
    let player = game.game().player(0).unwrap();
    assert!(
        player.rapid > 290 && (9..=11).contains(&player.shots),
        "{player:?}"
    );
    assert!(game.events().contains(&Event::Picked { slot: 0, what: 1 }));
    let there = |game: &mut Match<Arena>| {
        let seen = game.seen_by(None);
        seen.iter()
            .filter(|p| matches!(p.entity, Thing::Pickup { .. }))
            .count()
    };
    assert_eq!(there(&mut game), 3);
    game.game_mut().player_mut(0).unwrap().at = Vector::new(14.0, 12.0);
    game.run(12 * 60);
    assert_eq!(there(&mut game), 4, "it is there again");
    assert_eq!(game.game().player(0).unwrap().rapid, 0);
}

#[test]
fn health_is_left_alone_by_who_needs_none() {
    let mut game = duel(3.0);
    let place = Vector::new(13.0, 20.5);
    game.game_mut().player_mut(0).unwrap().at = place;
    game.run(10);
    assert!(!game.events().contains(&Event::Picked { slot: 0, what: 0 }));
    game.game_mut().player_mut(0).unwrap().health = 70;
    game.run(1);
    assert_eq!(health(&game, 0), 100);
    assert!(game.events().contains(&Event::Picked { slot: 0, what: 0 }));
}
