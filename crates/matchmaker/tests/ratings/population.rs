//! Players whose true skill is known, and who win by it.

use std::f64::consts::{LN_10, TAU};

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Players, by index.
pub(crate) struct Population {
    /// True skill, on Elo's scale.
    pub(crate) skill: Vec<f64>,
    random: Pcg64Mcg,
}

impl Population {
    /// So many players of a skill of 1500 ± 350, normally distributed.
    pub(crate) fn new(players: usize, seed: u64) -> Self {
        let random = Pcg64Mcg::seed_from_u64(seed);
        let mut population = Self {
            skill: Vec::new(),
            random,
        };
        population.skill = (0..players)
            .map(|_| 1500.0 + 350.0 * population.normal())
            .collect();
        population
    }

    /// Everyone in an order by chance.
    pub(crate) fn shuffled(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.skill.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, (self.random.next_u64() % (last as u64 + 1)) as usize);
        }
        order
    }

    /// Everyone, beside others of about the same rating: as a matchmaker would have them meet who lets
    /// ratings differ by some hundred.
    pub(crate) fn by_closeness(&mut self, ratings: &[f64]) -> Vec<usize> {
        let mut order: Vec<(f64, usize)> = (0..self.skill.len())
            .map(|player| (ratings[player] + 100.0 * self.normal(), player))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        order.into_iter().map(|(_, player)| player).collect()
    }

    /// The teams from the first placed to the last: each player's form on the day varies alone, and
    /// between two players a difference of 400 means ten wins to one.
    pub(crate) fn play(&mut self, teams: &[&[usize]]) -> Vec<usize> {
        let mut strengths: Vec<(f64, usize)> = Vec::with_capacity(teams.len());
        for (index, team) in teams.iter().enumerate() {
            let skill: f64 = team.iter().map(|&player| self.skill[player] - 1500.0).sum();
            let form = -(-self.uniform().ln()).ln();
            let scale = 400.0 / LN_10 * (team.len() as f64).sqrt();
            strengths.push((skill + scale * form, index));
        }
        strengths.sort_by(|a, b| b.0.total_cmp(&a.0));
        strengths.into_iter().map(|(_, index)| index).collect()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    /// Above 0, below 1.
    fn uniform(&mut self) -> f64 {
        ((self.random.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

/// How well two orders of the same players agree, from -1 to 1: Spearman's rank correlation.
pub(crate) fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len() as f64;
    let squares: f64 = ranks(a)
        .iter()
        .zip(ranks(b))
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    1.0 - 6.0 * squares / (count * (count * count - 1.0))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for (rank, player) in order.into_iter().enumerate() {
        ranks[player] = rank as f64;
    }
    ranks
}
