//! Ours, and others.

use gs_matchmaker::{RatedPlayer, Rating};
use skillratings::elo::{EloConfig, EloRating, elo};
use skillratings::glicko2::{Glicko2Config, Glicko2Rating, glicko2};
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};
use skillratings::{MultiTeamOutcome, Outcomes};

/// A way to rate players.
pub(crate) trait System {
    /// In keys.
    const NAME: &str;
    /// What is known of a player.
    type Player: Copy;
    /// What is known of a new one.
    fn newcomer() -> Self::Player;
    /// What players are ordered by.
    fn value(player: Self::Player) -> f64;
    /// After a match of these teams, the first placed first.
    fn rate(teams: &mut [Vec<Self::Player>]);
}

pub(crate) struct Ours;

impl System for Ours {
    const NAME: &str = "ours";
    type Player = Rating;

    fn newcomer() -> Rating {
        Rating::default()
    }

    fn value(player: Rating) -> f64 {
        player.value
    }

    fn rate(teams: &mut [Vec<Rating>]) {
        let players = teams.iter().enumerate().flat_map(|(team, players)| {
            players.iter().map(move |&rating| RatedPlayer {
                rating,
                team: Some(team as u8),
                placement: team as u8 + 1,
            })
        });
        let rated = gs_matchmaker::rate(&players.collect::<Vec<_>>());
        for (player, rated) in teams.iter_mut().flatten().zip(rated) {
            *player = rated;
        }
    }
}

pub(crate) struct WengLin;

impl System for WengLin {
    const NAME: &str = "weng_lin";
    type Player = WengLinRating;

    fn newcomer() -> WengLinRating {
        WengLinRating {
            rating: 1500.0,
            uncertainty: 350.0,
        }
    }

    fn value(player: WengLinRating) -> f64 {
        player.rating
    }

    fn rate(teams: &mut [Vec<WengLinRating>]) {
        // The library's proportions, on a scale of 1500 ± 350.
        let config = WengLinConfig {
            beta: 350.0 / 2.0,
            ..WengLinConfig::new()
        };
        let placed: Vec<(&[WengLinRating], MultiTeamOutcome)> = teams
            .iter()
            .enumerate()
            .map(|(place, team)| (team.as_slice(), MultiTeamOutcome::new(place + 1)))
            .collect();
        let rated = weng_lin_multi_team(&placed, &config);
        for (player, rated) in teams.iter_mut().flatten().zip(rated.into_iter().flatten()) {
            *player = rated;
        }
    }
}

pub(crate) struct Glicko2;

impl System for Glicko2 {
    const NAME: &str = "glicko2";
    type Player = Glicko2Rating;

    fn newcomer() -> Glicko2Rating {
        Glicko2Rating::new()
    }

    fn value(player: Glicko2Rating) -> f64 {
        player.rating
    }

    fn rate(teams: &mut [Vec<Glicko2Rating>]) {
        if let [first, second] = teams {
            let config = Glicko2Config::new();
            (first[0], second[0]) = glicko2(&first[0], &second[0], &Outcomes::WIN, &config);
        }
    }
}

pub(crate) struct Elo;

impl System for Elo {
    const NAME: &str = "elo";
    type Player = EloRating;

    fn newcomer() -> EloRating {
        EloRating { rating: 1500.0 }
    }

    fn value(player: EloRating) -> f64 {
        player.rating
    }

    fn rate(teams: &mut [Vec<EloRating>]) {
        if let [first, second] = teams {
            (first[0], second[0]) = elo(&first[0], &second[0], &Outcomes::WIN, &EloConfig::new());
        }
    }
}
