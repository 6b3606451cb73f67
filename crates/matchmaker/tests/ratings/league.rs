//! A league: a population that plays, and its ratings.

use gs_matchmaker::{RatedPlayer, Rating, rate, win_probabilities};

use super::population::{Population, rank_correlation};

/// Whom players meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opponents {
    /// By chance.
    Anybody,
    /// Of about the same rating.
    Close,
}

/// Players, their ratings, and how true the predictions were so far.
pub(crate) struct League {
    population: Population,
    ratings: Vec<Rating>,
    bins: [Bin; 10],
    seed: u64,
    played: String,
}

/// Predictions of about the same probability.
#[derive(Clone, Copy, Default)]
struct Bin {
    predictions: f64,
    /// Sum of the probabilities.
    expected: f64,
    came_true: f64,
}

impl League {
    /// Everyone is new.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            population: Population::new(PLAYERS, seed),
            ratings: vec![Rating::default(); PLAYERS],
            bins: Default::default(),
            seed,
            played: String::new(),
        }
    }

    /// Everyone plays that many matches between teams of these sizes.
    pub(crate) fn play(&mut self, matches: u32, sizes: &[usize], opponents: Opponents) {
        let teams = sizes.len();
        self.played = format!(
            "{matches} matches of {teams} teams of {}, {opponents:?}",
            sizes[0]
        );
        for _ in 0..matches {
            let order = match opponents {
                Opponents::Anybody => self.population.shuffled(),
                Opponents::Close => self.population.by_closeness(&self.values()),
            };
            for players in order.chunks_exact(sizes.iter().sum()) {
                let mut rest = players;
                let teams = sizes.iter().map(|&size| {
                    let (team, others) = rest.split_at(size);
                    rest = others;
                    team
                });
                self.play_one(&teams.collect::<Vec<_>>());
            }
        }
    }

    /// A match of these teams.
    fn play_one(&mut self, teams: &[&[usize]]) {
        let ratings = |team: &&[usize]| team.iter().map(|&p| self.ratings[p]).collect();
        let ratings: Vec<Vec<Rating>> = teams.iter().map(ratings).collect();
        let ratings: Vec<&[Rating]> = ratings.iter().map(Vec::as_slice).collect();
        let predicted = win_probabilities(&ratings);
        let result = self.population.play(teams);
        let (mut players, mut rated) = (Vec::new(), Vec::new());
        for (place, &team) in result.iter().enumerate() {
            let bin = &mut self.bins[((predicted[team] * 10.0) as usize).min(9)];
            bin.predictions += 1.0;
            bin.expected += predicted[team];
            bin.came_true += f64::from(u8::from(place == 0));
            for &player in teams[team] {
                players.push(player);
                rated.push(RatedPlayer {
                    rating: self.ratings[player],
                    team: Some(team as u8),
                    placement: place as u8 + 1,
                });
            }
        }
        for (player, rating) in players.into_iter().zip(rate(&rated)) {
            self.ratings[player] = rating;
        }
    }

    /// Forgets how true the predictions were.
    pub(crate) fn forget_predictions(&mut self) {
        self.bins = Default::default();
    }

    /// Ratings order players by their true skill, as far as a rank correlation of `least`.
    #[track_caller]
    pub(crate) fn check_order(&self, least: f64) {
        let found = rank_correlation(&self.values(), &self.population.skill);
        self.check(
            found >= least,
            &format!("a rank correlation of {found}, not {least}"),
        );
    }

    /// On average, ratings are as far from the true skill as their uncertainty says: the mean square
    /// of the distance, in uncertainties, is in this range. And they have not drifted together.
    #[track_caller]
    pub(crate) fn check_uncertainty(&self, range: std::ops::RangeInclusive<f64>) {
        let pairs = || self.ratings.iter().zip(&self.population.skill);
        let mean = |sum: f64| sum / PLAYERS as f64;
        let found = mean(
            pairs()
                .map(|(r, s)| ((r.value - s) / r.uncertainty).powi(2))
                .sum(),
        );
        self.check(
            range.contains(&found),
            &format!("a squared error of {found}, not {range:?}"),
        );
        let drift = mean(self.values().iter().map(|value| value - 1500.0).sum());
        self.check(drift.abs() < 5.0, &format!("a drift of {drift}"));
    }

    /// What is predicted with a probability comes true as often: the expected calibration error, the
    /// mean over predictions of how far off their tenth is, is at most this.
    #[track_caller]
    pub(crate) fn check_calibration(&self, most: f64) {
        let predictions: f64 = self.bins.iter().map(|bin| bin.predictions).sum();
        let off: f64 = self
            .bins
            .iter()
            .map(|bin| (bin.expected - bin.came_true).abs())
            .sum();
        let found = off / predictions;
        let tenths = self.bins.iter().map(|bin| {
            let [expected, came_true] = [bin.expected, bin.came_true].map(|n| n / bin.predictions);
            format!(
                "{expected:.3} came true in {came_true:.3} of {}",
                bin.predictions
            )
        });
        let tenths: Vec<String> = tenths.collect();
        self.check(
            found <= most,
            &format!("a calibration error of {found}, not {most}: {tenths:#?}"),
        );
    }

    /// The mean of all ratings' uncertainties.
    pub(crate) fn mean_uncertainty(&self) -> f64 {
        self.ratings
            .iter()
            .map(|rating| rating.uncertainty)
            .sum::<f64>()
            / PLAYERS as f64
    }

    fn values(&self) -> Vec<f64> {
        self.ratings.iter().map(|rating| rating.value).collect()
    }

    #[track_caller]
    fn check(&self, holds: bool, what: &str) {
        assert!(holds, "{what}, after {}; SEED={}", self.played, self.seed);
    }
}

/// Divides by every size of a match.
const PLAYERS: usize = 3200;
