//! Ratings find out how good the players of a simulated population are, and say truly who will win.
//!
//! `SEED=7` plays another population. The bounds are a little wider than what 25 populations showed,
//! except the rank correlation, which is the least that is wanted: after 50 matches one against one it
//! was 0.976 at least against anybody, and 0.984 against equals.

mod exact;
mod extremes;
mod league;
mod population;

use gs_matchmaker::{PLACEMENT_MATCHES, Rating};

use self::league::{League, Opponents};

#[test]
fn fifty_matches_against_anybody_order_players_by_skill() {
    let mut league = League::new(seed());
    league.play(50, &[1, 1], Opponents::Anybody);
    league.check_order(0.95);
    league.check_uncertainty(0.75..=1.1);
    league.check_calibration(0.012);
}

#[test]
fn fifty_matches_against_equals_order_players_by_skill() {
    let mut league = League::new(seed());
    league.play(50, &[1, 1], Opponents::Close);
    league.check_order(0.95);
    league.check_uncertainty(0.75..=1.1);
    league.check_calibration(0.012);
}

#[test]
fn players_are_told_apart_by_what_their_teams_win() {
    for (size, matches) in [(2, 80), (5, 200)] {
        for opponents in [Opponents::Anybody, Opponents::Close] {
            let mut league = League::new(seed());
            league.play(matches, &[size, size], opponents);
            league.check_order(0.95);
            league.check_uncertainty(0.6..=1.1);
            league.check_calibration(0.012);
        }
    }
}

#[test]
fn everyone_for_themselves_takes_fewer_matches() {
    for (players, matches) in [(4, 25), (8, 15), (64, 8)] {
        let mut league = League::new(seed());
        league.play(matches, &vec![1; players], Opponents::Anybody);
        league.check_order(0.95);
        league.check_uncertainty(0.5..=1.1);
        league.check_calibration(0.025);
    }
}

#[test]
fn a_thousand_matches_leave_ratings_as_uncertain_as_they_are() {
    for sizes in [&[1, 1][..], &[5, 5], &[1; 8]] {
        let mut league = League::new(seed());
        league.play(1000, sizes, Opponents::Close);
        league.forget_predictions();
        league.play(20, sizes, Opponents::Close);
        league.check_order(0.95);
        league.check_uncertainty(0.7..=1.5);
        league.check_calibration(0.025);
    }
}

#[test]
fn the_placement_matches_take_more_than_half_of_the_uncertainty() {
    for opponents in [Opponents::Anybody, Opponents::Close] {
        let mut league = League::new(seed());
        league.play(PLACEMENT_MATCHES, &[1, 1], opponents);
        let placed = league.mean_uncertainty();
        league.play(1, &[1, 1], opponents);
        let more = league.mean_uncertainty();
        assert!(placed < 0.5 * Rating::default().uncertainty, "{placed}");
        assert!(more > 0.94 * placed, "{placed} to {more}");
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test's population is chosen from outside"
)]
fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => 1,
    }
}
