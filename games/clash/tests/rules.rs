//! What attacks, blocks and throws do.

use clash::{Action, Clash, Event, Pad, Phase};
use game_sdk::testing::Match;

/// A round that has begun, the two so far apart in the middle of the stage.
fn fight(apart: i32) -> Match<Clash> {
    let mut game: Match<Clash> = Match::new(2);
    game.run_until(200, |clash| clash.phase() == Phase::Fight);
    for (slot, side) in [(0, -1), (1, 1)] {
        let fighter = game.game_mut().fighter_mut(slot).expect("there are two");
        fighter.x = 6_000 + side * apart / 2;
    }
    game
}

fn hold(game: &mut Match<Clash>, slot: u8, buttons: u8) {
    game.hold(slot, Pad::new(buttons));
}

fn tap(game: &mut Match<Clash>, slot: u8, buttons: u8) {
    game.press(slot, Pad::new(buttons));
}

fn health(game: &Match<Clash>, slot: u8) -> u8 {
    game.game().fighter(slot).expect("there are two").health
}

fn action(game: &Match<Clash>, slot: u8) -> Action {
    game.game().fighter(slot).expect("there are two").action
}

fn x(game: &Match<Clash>, slot: u8) -> i32 {
    game.game().fighter(slot).expect("there are two").x
}

fn hits(game: &Match<Clash>) -> Vec<(u8, u8, u8)> {
    let told = game.events().into_iter();
    told.filter_map(|event| match event {
        Event::Hit {
            by, what, combo, ..
        } => Some((by, what, combo)),
        _ => None,
    })
    .collect()
}

#[test]
fn buttons_do_not_count_before_the_round_begins() {
    let mut game: Match<Clash> = Match::new(2);
    hold(&mut game, 0, Pad::RIGHT);
    game.run(100);
    assert_eq!((game.game().phase(), x(&game, 0)), (Phase::Ready, 4_500));
    game.run(20);
    assert!(x(&game, 0) > 5_000, "it walks as soon as it may");
    assert!(game.events().contains(&Event::Round { number: 1 }));
    assert!(game.events().contains(&Event::Fight {}));
}

#[test]
fn walking_forward_is_faster_than_back_and_bodies_do_not_pass() {
    let mut game = fight(4_000);
    hold(&mut game, 0, Pad::RIGHT);
    hold(&mut game, 1, Pad::RIGHT);
    game.run(10);
    assert_eq!((x(&game, 0), x(&game, 1)), (4_720, 8_560));
    hold(&mut game, 1, Pad::LEFT);
    game.run(60);
    assert_eq!(x(&game, 1) - x(&game, 0), 700, "chest to chest");
    hold(&mut game, 1, 0);
    game.run(200);
    assert_eq!(
        (x(&game, 0), x(&game, 1)),
        (10_900, 11_600),
        "pushed to the wall, and no farther"
    );
}

#[test]
fn a_jump_goes_over_the_other_and_they_turn_to_each_other() {
    let mut game = fight(1_200);
    tap(&mut game, 0, Pad::JUMP | Pad::RIGHT);
    game.run(22);
    let top = game.game().fighter(0).unwrap().y;
    assert!((1_800..2_300).contains(&top), "{top}");
    game.run(30);
    let [jumper, other] = [0, 1].map(|slot| game.game().fighter(slot).unwrap().clone());
    assert!(jumper.x > other.x + 700);
    assert!(!jumper.right && other.right);
    assert_eq!(jumper.action, Action::Stand);
}

#[test]
fn a_light_attack_hits_after_its_startup_and_holds_everything_for_a_moment() {
    let mut game = fight(1_000);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(5);
    assert_eq!((health(&game, 1), action(&game, 0)), (100, Action::Light));
    game.run(1);
    assert_eq!((health(&game, 1), action(&game, 1)), (94, Action::Hurt));
    assert_eq!(hits(&game), [(0, 0, 1)]);
    let before = x(&game, 1);
    game.run(5);
    assert_eq!(x(&game, 1), before, "a hit holds everything still");
    game.run(20);
    assert!(x(&game, 1) > before + 200);
    assert_eq!(
        (health(&game, 1), action(&game, 1)),
        (94, Action::Stand),
        "once"
    );
}

#[test]
fn an_attack_out_of_reach_misses() {
    let mut game = fight(1_700);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(30);
    assert_eq!(health(&game, 1), 100);
    tap(&mut game, 0, Pad::HEAVY);
    game.run(30);
    assert_eq!(
        health(&game, 1),
        85,
        "the heavy one lunges, and reaches farther"
    );
}

#[test]
fn a_heavy_attack_throws_down_and_who_gets_up_is_safe_for_a_moment() {
    let mut game = fight(1_200);
    tap(&mut game, 0, Pad::HEAVY);
    game.run_until(60, |clash| clash.fighter(1).unwrap().action == Action::Down);
    hold(&mut game, 0, Pad::RIGHT);
    game.run_until(60, |clash| clash.fighter(1).unwrap().safe > 0);
    let up = game.game().fighter(1).unwrap().clone();
    assert_eq!((up.health, up.combo), (85, 0));
}

#[test]
fn light_leads_into_heavy_as_a_combination_that_hurts_less_each_time() {
    let mut game = fight(900);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(7);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(12);
    tap(&mut game, 0, Pad::HEAVY);
    game.run(40);
    assert_eq!(hits(&game), [(0, 0, 1), (0, 0, 2), (0, 1, 3)]);
    assert_eq!(health(&game, 1), 100 - 6 - 5 - 12);
    assert_eq!(game.game().fighter(0).unwrap().best_combo, 3);
}

#[test]
fn no_corner_holds_a_fighter_for_ever() {
    let mut game = fight(900);
    game.game_mut().fighter_mut(1).unwrap().x = 11_600;
    game.game_mut().fighter_mut(0).unwrap().x = 10_800;
    for _ in 0..40 {
        tap(&mut game, 0, Pad::LIGHT);
        game.run(4);
    }
    let longest = game.game().fighter(0).unwrap().best_combo;
    assert!((2..=5).contains(&longest), "{longest} hits in a row");
}

#[test]
fn a_block_costs_nothing_against_light_and_a_little_against_heavy() {
    let mut game = fight(1_000);
    hold(&mut game, 1, Pad::BLOCK);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(30);
    assert_eq!(health(&game, 1), 100);
    tap(&mut game, 0, Pad::HEAVY);
    game.run(40);
    assert_eq!(health(&game, 1), 98);
    assert_eq!(game.game().fighter(1).unwrap().blocks, 2);
    let blocked = game.events().into_iter();
    let blocked = blocked.filter(|event| matches!(event, Event::Blocked { by: 0, to: 1, .. }));
    assert_eq!(blocked.count(), 2);
}

#[test]
fn blocking_alone_never_loses_a_round() {
    let mut game = fight(900);
    game.game_mut().fighter_mut(1).unwrap().health = 1;
    hold(&mut game, 1, Pad::BLOCK);
    for _ in 0..5 {
        hold(&mut game, 0, Pad::RIGHT);
        game.run(40);
        tap(&mut game, 0, Pad::HEAVY);
        game.run(40);
    }
    assert_eq!(health(&game, 1), 1);
}

#[test]
fn a_throw_beats_a_block() {
    let mut game = fight(800);
    hold(&mut game, 1, Pad::BLOCK);
    tap(&mut game, 0, Pad::BLOCK | Pad::LIGHT);
    game.run(8);
    assert_eq!((health(&game, 1), action(&game, 1)), (87, Action::Fall));
    assert_eq!(game.game().fighter(0).unwrap().throws, 1);
    game.run(40);
    assert!(x(&game, 1) > x(&game, 0) + 1_000);
}

#[test]
fn holding_back_throws_over_the_shoulder() {
    let mut game = fight(800);
    game.hold(0, Pad::new(Pad::BLOCK | Pad::LIGHT | Pad::LEFT));
    game.run(60);
    assert_eq!(health(&game, 1), 87);
    assert!(x(&game, 1) < x(&game, 0));
}

#[test]
fn an_attack_comes_before_a_throw_and_two_throws_break() {
    let mut game = fight(800);
    tap(&mut game, 0, Pad::BLOCK | Pad::LIGHT);
    tap(&mut game, 1, Pad::LIGHT);
    game.run(8);
    assert_eq!((health(&game, 0), health(&game, 1)), (94, 100));

    let mut game = fight(800);
    for slot in [0, 1] {
        tap(&mut game, slot, Pad::BLOCK | Pad::LIGHT);
    }
    game.run(40);
    assert_eq!((health(&game, 0), health(&game, 1)), (100, 100));
    assert!(x(&game, 1) - x(&game, 0) > 1_800, "pushed apart");
    let broken = |event: &Event| matches!(event, Event::Broken { .. });
    assert_eq!(
        game.events().iter().filter(|event| broken(event)).count(),
        1
    );
}

#[test]
fn equal_attacks_at_once_hurt_both_whoever_is_first() {
    let mut game = fight(1_000);
    for slot in [0, 1] {
        tap(&mut game, slot, Pad::LIGHT);
    }
    game.run(6);
    assert_eq!((health(&game, 0), health(&game, 1)), (94, 94));
}

#[test]
fn a_kick_from_the_air_hits_who_stands_below() {
    let mut game = fight(2_400);
    hold(&mut game, 0, Pad::RIGHT);
    tap(&mut game, 0, Pad::JUMP | Pad::RIGHT);
    game.run(18);
    tap(&mut game, 0, Pad::HEAVY | Pad::RIGHT);
    game.run_until(40, |clash| clash.fighter(1).unwrap().health < 100);
    assert_eq!(hits(&game), [(0, 2, 1)]);
    assert_eq!(health(&game, 1), 91);
}

#[test]
fn a_press_a_little_early_counts_and_one_too_early_does_not() {
    let mut game = fight(4_000);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(12);
    tap(&mut game, 0, Pad::HEAVY);
    game.run(8);
    assert_eq!(action(&game, 0), Action::Heavy);

    let mut game = fight(4_000);
    tap(&mut game, 0, Pad::HEAVY);
    game.run(20);
    tap(&mut game, 0, Pad::LIGHT);
    game.run(30);
    assert_eq!(action(&game, 0), Action::Stand);
}

#[test]
fn left_and_right_at_once_stand() {
    let mut game = fight(3_000);
    hold(&mut game, 0, Pad::LEFT | Pad::RIGHT);
    game.run(10);
    assert_eq!(x(&game, 0), 4_500);
}
