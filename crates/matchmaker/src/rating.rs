//! Ratings: how good a player is held to be, what a match changes of it, and who will win.
//!
//! One model for all of it, with Elo's scale, where a difference of 400 between two players who are
//! known well means ten wins to one. Teams meet in pairs, as in Bradley and Terry's model, and a
//! rating becomes its mean and deviation given the result (Weng and Lin, "A Bayesian Approximation
//! Method for Online Ranking", JMLR 12, 2011), as in OpenSkill. What differs from there, and why:
//!
//! - The chance of a win, given two uncertain ratings, is a logistic curve whose squared scale grows
//!   by π/8 of their variance (MacKay, "The Evidence Framework Applied to Classification Networks",
//!   Neural Computation 4, 1992). Weng and Lin add all of it, and predict too timidly.
//! - The pairs of one team have its form on that day in common, and are no results of their own: in a
//!   match of *n* they weigh 3 ⁄ (*n* + 1), by which the sum over pairs of equals is as certain as its
//!   variance (Wilcoxon's) says. Weng and Lin add them up, so that 64 players at once take a rating's
//!   uncertainty to nothing, and its value out of any range.
//! - Every player's form varies alone, as in TrueSkill (Herbrich, Minka and Graepel, 2006): the larger
//!   the teams, the less one rating says of the outcome.
//! - A team's strength is what its players have above or below the initial rating, together. Sizes
//!   alone say nothing: where teams differ in size, the game's rules see to the balance.
//!
//! The tests in `tests/ratings` measure all of it on populations whose true skill is known.

use std::cmp::Ordering;
use std::f64::consts::{FRAC_PI_8, LN_10};

/// How good a player is held to be in one mode of a game.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The estimate; 1500 is where everybody begins.
    pub value: f64,
    /// Its standard deviation; 350 at first, less with every match, more with every idle day.
    pub uncertainty: f64,
}

impl Default for Rating {
    fn default() -> Self {
        Self {
            value: INITIAL_VALUE,
            uncertainty: INITIAL_UNCERTAINTY,
        }
    }
}

impl Rating {
    /// The rating after that many days without a match: as high, but less certain, at most as
    /// uncertain as at first. Less than no days are none.
    pub fn idle(self, days: f64) -> Self {
        let Self { value, uncertainty } = self.legal();
        // Of a number and NaN, the larger is the number.
        let variance = uncertainty * uncertainty + IDLE_VARIANCE_PER_DAY * days.max(0.0);
        Self {
            value,
            uncertainty: variance.sqrt().clamp(uncertainty, INITIAL_UNCERTAINTY),
        }
    }

    /// Itself, unless it cannot have come from [`rate`]: then the nearest that can.
    fn legal(self) -> Self {
        let or = |number: f64, instead| if number.is_nan() { instead } else { number };
        Self {
            value: or(self.value, INITIAL_VALUE)
                .clamp(INITIAL_VALUE - MAX_DISTANCE, INITIAL_VALUE + MAX_DISTANCE),
            uncertainty: or(self.uncertainty, INITIAL_UNCERTAINTY).clamp(0.0, INITIAL_UNCERTAINTY),
        }
    }

    fn variance(self) -> f64 {
        self.uncertainty * self.uncertainty
    }
}

/// How one player of a match ended it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatedPlayer {
    /// The rating before.
    pub rating: Rating,
    /// The team; players without one are each a team of their own.
    pub team: Option<u8>,
    /// 1 is best; equal placements are a draw.
    pub placement: u8,
}

/// The players' ratings after a match, in the same order. Nothing changes where there are fewer than
/// two teams. A team's placement is the best of its players'.
///
/// The result is finite whatever the ratings before: one that is not a number counts as the initial
/// one.
pub fn rate(players: &[RatedPlayer]) -> Vec<Rating> {
    let mut after: Vec<Rating> = players.iter().map(|p| p.rating.legal()).collect();
    let mut teams: Vec<Team> = Vec::new();
    let mut by_number = [None; 1 + u8::MAX as usize];
    for (player, (rated, rating)) in players.iter().zip(&mut after).enumerate() {
        let number = rated.team.map(usize::from);
        let team = number.and_then(|n| by_number[n]).unwrap_or(teams.len());
        if let Some(number) = number {
            by_number[number] = Some(team);
        }
        if team == teams.len() {
            teams.push(Team::default());
        }
        teams[team].add(player, *rating, rated.placement);
    }
    if teams.len() < 2 {
        return after;
    }
    let before = after.clone();
    for team in &teams {
        for &player in &team.players {
            after[player] = rated(before[player], team, &teams);
        }
    }
    after
}

/// How probable it is for each team that it will be placed first, by its players' ratings; together
/// they are 1. A draw counts as half a win for either side.
///
/// By Luce's rule, by which any two teams have the chances against each other that [`rate`] expects.
pub fn win_probabilities(teams: &[&[Rating]]) -> Vec<f64> {
    let (mut players, mut variance) = (0, 0.0);
    let strengths: Vec<f64> = teams
        .iter()
        .map(|team| {
            let ratings = team.iter().map(|rating| rating.legal());
            players += team.len();
            variance += ratings.clone().map(Rating::variance).sum::<f64>();
            ratings.map(|rating| rating.value - INITIAL_VALUE).sum()
        })
        .collect();
    let pairs = teams.len() as f64 / 2.0;
    let scale = scale(players as f64 / pairs, variance / pairs);
    let most = strengths.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = strengths
        .iter()
        .map(|strength| ((strength - most) / scale).exp());
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| weight / sum).collect()
}

/// How many matches a player is new for: less than half of the uncertainty is left then (140 to 165,
/// one against one), and each further match takes off a twentieth of that.
pub const PLACEMENT_MATCHES: u32 = 10;

/// A player's rating after a match of these teams, of which `own` is one.
fn rated(rating: Rating, own: &Team, teams: &[Team]) -> Rating {
    let before = (rating.variance() + FORM_VARIANCE).min(INITIAL_UNCERTAINTY.powi(2));
    let mates = (own.variance - rating.variance()).max(0.0);
    // What all pairs say: of the value, and of how precise it is.
    let (mut slope, mut precision) = (0.0, 0.0);
    for other in teams {
        let score = match own.placement.cmp(&other.placement) {
            _ if std::ptr::eq(own, other) => continue,
            Ordering::Less => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Greater => 0.0,
        };
        let sizes = (own.players.len() + other.players.len()) as f64;
        let scale = scale(sizes, before + mates + other.variance);
        let expected = 1.0 / (1.0 + ((other.strength - own.strength) / scale).exp());
        // The share of the variance that this pair would take alone: at most 2 ⁄ π, since the scale
        // has grown by that variance.
        let taken = before * expected * (1.0 - expected) / (scale * scale);
        let left = 1.0 - taken;
        slope += (score - expected) / (scale * left);
        precision += taken / (before * left);
    }
    let weight = 3.0 / (teams.len() as f64 + 1.0);
    let variance = 1.0 / (1.0 / before + weight * precision);
    let after = Rating {
        value: rating.value + variance * weight * slope,
        uncertainty: variance.sqrt(),
    };
    after.legal()
}

/// Players who win or lose together.
#[derive(Default)]
struct Team {
    players: Vec<usize>,
    placement: u8,
    strength: f64,
    variance: f64,
}

impl Team {
    fn add(&mut self, player: usize, rating: Rating, placement: u8) {
        let first = self.players.is_empty();
        self.placement = if first {
            placement
        } else {
            self.placement.min(placement)
        };
        self.players.push(player);
        self.strength += rating.value - INITIAL_VALUE;
        self.variance += rating.variance();
    }
}

/// The scale of the logistic curve between two teams who have `sizes` players together, and strengths
/// that are unsure by `variance` together.
fn scale(sizes: f64, variance: f64) -> f64 {
    // Never nothing, so that an empty match divides by no zero.
    let form = ELO_SCALE * ELO_SCALE * (sizes / 2.0).max(0.5);
    (form + FRAC_PI_8 * variance).sqrt()
}

const INITIAL_VALUE: f64 = 1500.0;
/// Most players of a game are then within two of it.
const INITIAL_UNCERTAINTY: f64 = 350.0;
/// The logistic curve's scale at which a difference of 400 means ten wins to one.
const ELO_SCALE: f64 = 400.0 / LN_10;
/// What a player's true skill may have moved from one match to the next: a fiftieth of the initial
/// uncertainty, squared. TrueSkill and OpenSkill take a hundredth, and settle where a player who has
/// learned is not seen to for a hundred matches; with this, an even match between players who are
/// known well moves either by 7 to 8, as in chess.
const FORM_VARIANCE: f64 = (INITIAL_UNCERTAINTY / 50.0) * (INITIAL_UNCERTAINTY / 50.0);
/// A rating of a player who has played much (50) is as uncertain as at first after two years: 60
/// after a week, 86 after a month.
const IDLE_VARIANCE_PER_DAY: f64 =
    (INITIAL_UNCERTAINTY * INITIAL_UNCERTAINTY - 50.0 * 50.0) / (2.0 * 365.0);
/// Nobody gets as far from the initial rating by playing; there are 10^25 wins to one on the way.
const MAX_DISTANCE: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn player(team: Option<u8>, placement: u8) -> RatedPlayer {
        RatedPlayer {
            rating: Rating::default(),
            team,
            placement,
        }
    }

    #[test]
    fn a_win_raises_and_a_draw_of_equals_changes_only_the_uncertainty() {
        let after = rate(&[player(None, 1), player(None, 2)]);
        assert!(after[0].value > INITIAL_VALUE && after[1].value < INITIAL_VALUE);
        assert!(after.iter().all(|r| r.uncertainty < INITIAL_UNCERTAINTY));
        let drawn = rate(&[player(None, 1), player(None, 1)]);
        assert!((drawn[0].value - drawn[1].value).abs() < 1e-9);
        assert!(drawn.iter().all(|r| r.uncertainty < INITIAL_UNCERTAINTY));
    }

    #[test]
    fn team_mates_share_what_their_team_won() {
        let players = [
            player(Some(0), 1),
            player(Some(1), 2),
            player(Some(0), 1),
            player(Some(1), 2),
        ];
        let after = rate(&players);
        assert_eq!(after[0], after[2]);
        assert_eq!(after[1], after[3]);
        assert!(after[0].value > after[1].value);
    }

    #[test]
    fn nobody_is_rated_against_nobody() {
        assert!(rate(&[]).is_empty());
        assert_eq!(rate(&[player(None, 1)]), [Rating::default()]);
        let one_team = [player(Some(3), 1), player(Some(3), 1)];
        assert_eq!(rate(&one_team), [Rating::default(); 2]);
    }

    #[test]
    fn a_player_who_is_known_well_comes_back_from_two_years_as_unsure_as_at_first() {
        let settled = Rating {
            value: 1800.0,
            uncertainty: 50.0,
        };
        let [week, month, years] = [7.0, 30.0, 730.0].map(|days| settled.idle(days));
        assert_eq!([week, month, years].map(|r| r.value), [1800.0; 3]);
        let uncertainty = [week, month, years].map(|r| r.uncertainty.round());
        assert_eq!(uncertainty, [60.0, 86.0, 350.0]);
    }

    #[test]
    fn a_difference_of_400_means_ten_to_one() {
        let [strong, weak] = [1900.0, 1500.0].map(|value| Rating {
            value,
            uncertainty: 0.0,
        });
        let probabilities = win_probabilities(&[&[strong], &[weak]]);
        assert!(
            (probabilities[0] - 10.0 / 11.0).abs() < 1e-9,
            "{probabilities:?}"
        );
        assert!(
            (probabilities[1] - 1.0 / 11.0).abs() < 1e-9,
            "{probabilities:?}"
        );
        assert_eq!(win_probabilities(&[&[weak]]), [1.0]);
        assert!(win_probabilities(&[]).is_empty());
    }
}
