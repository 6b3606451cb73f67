//! What a ranking says of the strengths of those who are ranked, by Plackett and Luce's model: the
//! first is drawn from all with a probability that grows with the strength, then the second from
//! those left, and so on.

use std::ops::Range;

/// Teams in the order in which they were placed.
pub(super) struct Ranking {
    strengths: Vec<f64>,
    /// Those of the same place.
    ties: Vec<Range<usize>>,
    weights: Vec<f64>,
}

/// What a ranking says of one team's strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Evidence {
    /// By how much the logarithm of its probability grows with the strength.
    pub(super) slope: f64,
    /// How much less it grows the greater the strength is: what a variance loses by the match,
    /// inverse to inverse.
    pub(super) information: f64,
}

impl Ranking {
    /// Strengths in the order of placement, and which of them have the same place.
    pub(super) fn new<'a, T: 'a>(strengths: Vec<f64>, ties: impl Iterator<Item = &'a [T]>) -> Self {
        let mut end = 0;
        let ties = ties.map(|tie| {
            let begin = end;
            end += tie.len();
            begin..end
        });
        Self {
            ties: ties.collect(),
            weights: Vec::with_capacity(strengths.len()),
            strengths,
        }
    }

    /// What the ranking says of the team placed at `index`, where a difference of strengths counts by
    /// `scale`.
    ///
    /// Those who drew are as probable in any order: each of their places is drawn with those who are
    /// not placed yet weighing as much as they do in the mean, which is exact for two.
    pub(super) fn evidence(&mut self, index: usize, scale: f64) -> Evidence {
        weigh(&self.strengths, scale, &mut self.weights);
        let own = self.weights[index];
        let (mut slope, mut information) = (0.0, 0.0);
        let mut draw = |present: f64, all: f64| {
            let share = own / all;
            slope -= present * share;
            information += present * share * (1.0 - share);
        };
        // From the last to the first, so that a sum of weights is never a difference.
        let mut behind = 0.0;
        for tie in self.ties.iter().rev() {
            let count = tie.len();
            let sum: f64 = self.weights[tie.clone()].iter().sum();
            if tie.contains(&index) {
                let others = (sum - own).max(0.0) / (count - 1).max(1) as f64;
                for left in 1..=count {
                    let present = left as f64 / count as f64;
                    draw(present, behind + own + others * (left - 1) as f64);
                }
            } else if tie.end <= index {
                for left in 1..=count {
                    draw(1.0, behind + sum * (left as f64 / count as f64));
                }
            }
            behind += sum;
        }
        Evidence {
            slope: (1.0 + slope) / scale,
            information: information / (scale * scale),
        }
    }
}

/// What each team weighs where one is drawn; the strongest weighs 1.
pub(super) fn weights(strengths: &[f64], scale: f64) -> Vec<f64> {
    let mut weights = Vec::with_capacity(strengths.len());
    weigh(strengths, scale, &mut weights);
    weights
}

fn weigh(strengths: &[f64], scale: f64, weights: &mut Vec<f64>) {
    let most = strengths.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    weights.clear();
    weights.extend(
        strengths
            .iter()
            .map(|s| ((s - most) / scale).max(LEAST).exp()),
    );
}

/// Weighs 10^-260: what is further away makes no difference, and must not weigh nothing, since those
/// who are left are weighed against each other.
const LEAST: f64 = -600.0;
