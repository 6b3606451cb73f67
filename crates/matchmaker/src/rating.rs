//! Ratings: how good a player is held to be, and what a match changes of it.
//!
//! The Bradley-Terry form of Weng and Lin's Bayesian approximation ("A Bayesian Approximation
//! Method for Online Ranking", JMLR 12, 2011), as OpenSkill uses it: it takes any number of teams
//! of any sizes, and draws. The scale is Elo's, so that a difference of 400 reads as usual.

use skillratings::MultiTeamOutcome;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};

/// How good a player is held to be in one mode of a game.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The estimate; 1500 is where everybody begins.
    pub value: f64,
    /// Its standard deviation; 350 at first, less with every match.
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
pub fn rate(players: &[RatedPlayer]) -> Vec<Rating> {
    let mut teams: Vec<Vec<usize>> = Vec::new();
    for (index, player) in players.iter().enumerate() {
        let mates = |team: &&mut Vec<usize>| {
            player.team.is_some() && team.iter().any(|&i| players[i].team == player.team)
        };
        match teams.iter_mut().find(mates) {
            Some(team) => team.push(index),
            None => teams.push(vec![index]),
        }
    }
    let mut after: Vec<Rating> = players.iter().map(|p| p.rating).collect();
    if teams.len() < 2 {
        return after;
    }
    let before: Vec<(Vec<WengLinRating>, MultiTeamOutcome)> = teams
        .iter()
        .map(|team| {
            let ratings = team.iter().map(|&i| weng_lin(players[i].rating)).collect();
            let placement = team.iter().map(|&i| players[i].placement).min();
            let rank = usize::from(placement.unwrap_or(u8::MAX));
            (ratings, MultiTeamOutcome::new(rank))
        })
        .collect();
    let pairs: Vec<(&[WengLinRating], MultiTeamOutcome)> =
        before.iter().map(|(r, o)| (r.as_slice(), *o)).collect();
    let rated = weng_lin_multi_team(&pairs, &CONFIG);
    for (team, ratings) in teams.iter().zip(rated) {
        for (&index, rating) in team.iter().zip(ratings) {
            after[index] = Rating {
                value: rating.rating,
                uncertainty: rating.uncertainty,
            };
        }
    }
    after
}

fn weng_lin(rating: Rating) -> WengLinRating {
    WengLinRating {
        rating: rating.value,
        uncertainty: rating.uncertainty,
    }
}

const INITIAL_VALUE: f64 = 1500.0;
/// Most players of a game are then within two of it.
const INITIAL_UNCERTAINTY: f64 = 350.0;
const CONFIG: WengLinConfig = WengLinConfig {
    // Half the initial uncertainty, as Weng and Lin propose.
    beta: INITIAL_UNCERTAINTY / 2.0,
    uncertainty_tolerance: 0.000_001,
};

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
}
