//! `ratings`: what a rating costs the processor, and how many matches it takes to order players.
//!
//! The peers are the rating systems of the crate `skillratings`: Glicko-2 and Elo between two players,
//! and Weng and Lin's in any match. The population is that of the tests in `crates/matchmaker`.

#[path = "../../crates/matchmaker/tests/ratings/population.rs"]
mod population;
mod systems;

use std::hint::black_box;

use cpu_time::ThreadTime;
use serde_json::json;

use self::population::{Population, rank_correlation};
use self::systems::{Elo, Glicko2, Ours, System, WengLin};
use crate::report::Report;

/// Runs it.
pub(crate) fn run(quick: bool) -> Report {
    let mut report = Report::new("ratings", "the rating systems of skillratings");
    let between_two = MATCHES[0];
    for sizes in MATCHES {
        measure::<Ours>(quick, sizes, &mut report);
        measure::<WengLin>(quick, sizes, &mut report);
    }
    measure::<Glicko2>(quick, between_two, &mut report);
    measure::<Elo>(quick, between_two, &mut report);
    report
}

/// One system in matches of one kind.
fn measure<S: System>(quick: bool, (name, sizes): (&str, &[usize]), report: &mut Report) {
    let ns = cost::<S>(if quick { 2_000 } else { 20_000 }, sizes);
    let seeds = if quick { 3 } else { 20 };
    let (mut to_90, mut to_95, mut close_to_95) = (0.0, 0.0, 0.0);
    for seed in 0..seeds {
        let [by_90, by_95] = matches_until::<S>(seed, sizes, Opponents::Anybody);
        let [_, close_by_95] = matches_until::<S>(seed, sizes, Opponents::Close);
        to_90 += f64::from(by_90) / seeds as f64;
        to_95 += f64::from(by_95) / seeds as f64;
        close_to_95 += f64::from(close_by_95) / seeds as f64;
    }
    let whole = |matches: f64| {
        if matches < f64::from(MOST_MATCHES) {
            format!("{matches:.0}")
        } else {
            "never".to_owned()
        }
    };
    report.lines.push(format!(
        "{name:4} {:8} {ns:6.0} ns a player; matches until a rank correlation of 0.9: {}, of 0.95: {}, and \
         against equals {}",
        S::NAME,
        whole(to_90),
        whole(to_95),
        whole(close_to_95),
    ));
    let mut figures = json!({});
    let prefix = if S::NAME == Ours::NAME {
        String::new()
    } else {
        format!("{}_", S::NAME)
    };
    figures[format!("{prefix}rate_ns_{name}")] = json!(ns.round());
    for (key, matches) in [
        ("matches_to_90", to_90),
        ("matches_to_95", to_95),
        ("matches_to_95_against_equals", close_to_95),
    ] {
        if matches < f64::from(MOST_MATCHES) {
            figures[format!("{prefix}{key}_{name}")] = json!((matches * 10.0).round() / 10.0);
        }
    }
    if prefix.is_empty() {
        if let (Some(all), Some(figures)) = (report.metrics.as_object_mut(), figures.as_object()) {
            all.extend(figures.clone());
        }
    } else {
        report.peer_metrics(figures);
    }
}

/// Nanoseconds of the processor for each player rated: the best of some rounds.
fn cost<S: System>(matches: usize, sizes: &[usize]) -> f64 {
    let players: usize = sizes.iter().sum();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let matches = matches.div_ceil(players);
        let mut teams: Vec<Vec<S::Player>> =
            sizes.iter().map(|&n| vec![S::newcomer(); n]).collect();
        let began = ThreadTime::now();
        for _ in 0..matches {
            S::rate(black_box(&mut teams));
            // Those who won lose, so that ratings stay about where they are.
            teams.reverse();
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / (matches * players) as f64);
    }
    best
}

/// Whom players meet.
#[derive(Clone, Copy)]
enum Opponents {
    /// By chance.
    Anybody,
    /// Of about the same rating.
    Close,
}

/// How many matches everyone plays until ratings and true skill have a rank correlation of 0.9, and of
/// 0.95.
fn matches_until<S: System>(seed: u64, sizes: &[usize], opponents: Opponents) -> [u32; 2] {
    let mut population = Population::new(PLAYERS, seed);
    let mut ratings = vec![S::newcomer(); PLAYERS];
    let mut reached = [MOST_MATCHES; 2];
    for round in 1..=MOST_MATCHES {
        let values =
            |ratings: &[S::Player]| -> Vec<f64> { ratings.iter().map(|r| S::value(*r)).collect() };
        let order = match opponents {
            Opponents::Anybody => population.shuffled(),
            Opponents::Close => population.by_closeness(&values(&ratings)),
        };
        for players in order.chunks_exact(sizes.iter().sum()) {
            let mut rest = players;
            let teams = sizes.iter().map(|&size| {
                let (team, others) = rest.split_at(size);
                rest = others;
                team
            });
            let teams: Vec<&[usize]> = teams.collect();
            let placed: Vec<&[usize]> = population.play(&teams).iter().map(|&t| teams[t]).collect();
            let team = |team: &&[usize]| team.iter().map(|&p| ratings[p]).collect();
            let mut rated: Vec<Vec<S::Player>> = placed.iter().map(team).collect();
            S::rate(&mut rated);
            for (&player, rating) in placed.iter().copied().flatten().zip(rated.iter().flatten()) {
                ratings[player] = *rating;
            }
        }
        let found = rank_correlation(&values(&ratings), &population.skill);
        for (reached, wanted) in reached.iter_mut().zip([0.9, 0.95]) {
            if found >= wanted && *reached == MOST_MATCHES {
                *reached = round;
            }
        }
        if reached[1] < MOST_MATCHES {
            break;
        }
    }
    reached
}

/// Sizes of the teams of a match.
const MATCHES: [(&str, &[usize]); 3] = [("1v1", &[1, 1]), ("5v5", &[5, 5]), ("64", &[1; 64])];
/// A multiple of every match's players.
const PLAYERS: usize = 1920;
/// Who has not ordered players by then does not.
const MOST_MATCHES: u32 = 400;
