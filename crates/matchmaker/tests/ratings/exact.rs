//! Between two players, a rating after a match is close to what the model says exactly.

use std::f64::consts::LN_10;

use gs_matchmaker::{RatedPlayer, Rating, rate, win_probabilities};

#[test]
fn a_match_of_two_changes_ratings_nearly_as_their_distributions_say() {
    for uncertainty in [350.0, 200.0, 80.0, 40.0] {
        for other in [350.0, 80.0] {
            for distance in [-600.0, -300.0, -100.0, 0.0, 100.0, 300.0, 600.0] {
                let players = [(1500.0, uncertainty), (1500.0 - distance, other)]
                    .map(|(value, uncertainty)| Rating { value, uncertainty });
                for wins in [true, false] {
                    check(players, wins);
                }
            }
        }
    }
}

fn check(before: [Rating; 2], wins: bool) {
    let rated = |player: usize, first| RatedPlayer {
        rating: before[player],
        team: None,
        placement: if first { 1 } else { 2 },
    };
    let after = rate(&[rated(0, wins), rated(1, !wins)])[0];
    let (probability, exact) = posterior(before, wins);
    let what = format!("{before:?}, wins: {wins}: {after:?}, exactly {exact:?}");
    let off = (after.value - exact.value).abs() / exact.uncertainty;
    assert!(off < VALUE_OFF, "{what}: {off} deviations off");
    let ratio = after.uncertainty / exact.uncertainty;
    assert!(
        (ratio - 1.0).abs() < UNCERTAINTY_OFF,
        "{what}: {ratio} of it"
    );
    let predicted = win_probabilities(&[&before[..1], &before[1..]])[usize::from(!wins)];
    let off = (predicted - probability).abs();
    assert!(
        off < PROBABILITY_OFF,
        "{what}: {predicted} for {probability}"
    );
}

/// How probable the first player's result was, and their rating after it, by summing over both
/// players' strengths.
fn posterior(before: [Rating; 2], wins: bool) -> (f64, Rating) {
    let [own, other] = before.map(grid);
    let (mut probability, mut first, mut second) = (0.0, 0.0, 0.0);
    for (strength, density) in own {
        let chance: f64 = other
            .iter()
            .map(|(against, density)| {
                let chance = 1.0 / (1.0 + ((against - strength) * LN_10 / 400.0).exp());
                density * if wins { chance } else { 1.0 - chance }
            })
            .sum();
        probability += density * chance;
        first += density * chance * strength;
        second += density * chance * strength * strength;
    }
    let value = first / probability;
    // What a strength may have moved until the match, which is small beside all of these.
    let variance = second / probability - value * value;
    let uncertainty = variance.sqrt();
    (probability, Rating { value, uncertainty })
}

/// Strengths and how probable each is, six deviations to either side.
fn grid(rating: Rating) -> Vec<(f64, f64)> {
    const STEPS: i32 = 240;
    let points = (-STEPS..=STEPS).map(|step| 6.0 * f64::from(step) / f64::from(STEPS));
    let weights: Vec<(f64, f64)> = points.map(|z| (z, (-z * z / 2.0).exp())).collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let strength = |z| rating.value + rating.uncertainty * z;
    weights
        .into_iter()
        .map(|(z, weight)| (strength(z), weight / sum))
        .collect()
}

/// In exact deviations after the match. The furthest off are upsets between players of whom one is
/// new: 0.21, with an uncertainty that is 1.18 of the exact one. Without an upset it is 0.05.
const VALUE_OFF: f64 = 0.25;
const UNCERTAINTY_OFF: f64 = 0.2;
const PROBABILITY_OFF: f64 = 0.01;
