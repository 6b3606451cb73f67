//! Whatever is rated, ratings stay numbers within their range.

use gs_matchmaker::{RatedPlayer, Rating, rate, win_probabilities};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_rating_leaves_its_range_or_becomes_nothing(players in match_of(anything())) {
        let after = rate(&players);
        prop_assert_eq!(after.len(), players.len());
        for rating in after {
            prop_assert!((-8500.0..=11_500.0).contains(&rating.value), "{:?}", rating);
            prop_assert!((0.0..=350.0).contains(&rating.uncertainty), "{:?}", rating);
        }
    }

    #[test]
    fn a_match_moves_no_rating_by_more_than_its_uncertainty_allows(players in match_of(usual())) {
        for (before, after) in players.iter().map(|p| p.rating).zip(rate(&players)) {
            let moved = (after.value - before.value).abs();
            prop_assert!(moved < 3.0 * before.uncertainty + 10.0, "{:?} to {:?}", before, after);
            prop_assert!(after.uncertainty > 0.3 * before.uncertainty, "{:?} to {:?}", before, after);
            // Form varies, so a match may add a little doubt.
            prop_assert!(after.uncertainty < before.uncertainty + 5.0, "{:?} to {:?}", before, after);
        }
    }

    #[test]
    fn who_wins_does_not_lose_and_who_loses_does_not_win(
        ratings in proptest::collection::vec(usual(), 2..=64), winner in 0usize..64,
    ) {
        let winner = winner % ratings.len();
        let players: Vec<_> = ratings.iter().enumerate().map(|(player, &rating)| RatedPlayer {
            rating,
            team: None,
            placement: if player == winner { 1 } else { 2 },
        }).collect();
        let after = rate(&players);
        prop_assert!(after[winner].value >= ratings[winner].value);
        if ratings.len() == 2 {
            prop_assert!(after[1 - winner].value <= ratings[1 - winner].value);
        }
    }

    #[test]
    fn the_order_of_players_does_not_matter(
        (players, order) in match_of(usual()).prop_flat_map(|players| {
            let order: Vec<usize> = (0..players.len()).collect();
            (Just(players), Just(order).prop_shuffle())
        })
    ) {
        let after = rate(&players);
        let shuffled: Vec<_> = order.iter().map(|&player| players[player]).collect();
        for (&player, rating) in order.iter().zip(rate(&shuffled)) {
            prop_assert!((rating.value - after[player].value).abs() < 1e-6);
            prop_assert!((rating.uncertainty - after[player].uncertainty).abs() < 1e-6);
        }
    }

    #[test]
    fn a_better_placement_is_never_worse(
        players in match_of(usual()), player in 0usize..64, places in 1u8..64,
    ) {
        let player = player % players.len();
        let mut better = players.clone();
        better[player].placement = players[player].placement.saturating_sub(places);
        let [worse, better] = [players, better].map(|players| rate(&players)[player].value);
        prop_assert!(better >= worse - 1e-9, "{better} and {worse}");
    }

    #[test]
    fn equals_who_draw_stay_equal(rating in usual(), count in 2usize..=64) {
        let player = RatedPlayer { rating, team: None, placement: 1 };
        for after in rate(&vec![player; count]) {
            prop_assert!((after.value - rating.value).abs() < 1e-6);
        }
    }

    #[test]
    fn probabilities_are_of_one_certainty(
        teams in proptest::collection::vec(proptest::collection::vec(anything(), 0..6), 1..=64),
    ) {
        let teams: Vec<&[Rating]> = teams.iter().map(Vec::as_slice).collect();
        let probabilities = win_probabilities(&teams);
        prop_assert_eq!(probabilities.len(), teams.len());
        prop_assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{:?}", probabilities);
        prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn two_sides_expect_what_the_other_does_not(a in usual(), b in usual()) {
        let one = win_probabilities(&[&[a], &[b]]);
        let other = win_probabilities(&[&[b], &[a]]);
        prop_assert!((one[0] - other[1]).abs() < 1e-12);
        prop_assert_eq!(one[0] > 0.5, a.value > b.value);
    }

    #[test]
    fn idle_days_take_certainty_and_nothing_else(
        rating in usual(), days in 0.0f64..2000.0, more in 0.0f64..2000.0,
    ) {
        let [first, second] = [days, days + more].map(|days| rating.idle(days));
        prop_assert_eq!([first.value, second.value], [rating.value; 2]);
        prop_assert!(rating.uncertainty <= first.uncertainty);
        prop_assert!(first.uncertainty <= second.uncertainty);
        prop_assert!(second.uncertainty <= 350.0);
        // In one piece or in two.
        let pieces = first.idle(more);
        prop_assert!((pieces.uncertainty - second.uncertainty).abs() < 1e-6);
    }

    #[test]
    fn no_count_of_days_is_too_strange(rating in anything(), days in prop::num::f64::ANY) {
        let idle = rating.idle(days);
        prop_assert!((-8500.0..=11_500.0).contains(&idle.value), "{:?}", idle);
        prop_assert!((0.0..=350.0).contains(&idle.uncertainty), "{:?}", idle);
    }
}

#[test]
fn a_match_of_64_newcomers_does_not_settle_their_ratings() {
    let player = |placement| RatedPlayer {
        rating: Rating::default(),
        team: None,
        placement,
    };
    let after = rate(&(1..=64).map(player).collect::<Vec<_>>());
    assert!(after.is_sorted_by(|better, worse| better.value > worse.value));
    assert!(
        after.iter().all(|rating| rating.uncertainty > 150.0),
        "{after:?}"
    );
    assert!(
        after
            .iter()
            .all(|rating| (rating.value - 1500.0).abs() < 700.0),
        "{after:?}"
    );
}

fn match_of(rating: impl Strategy<Value = Rating>) -> impl Strategy<Value = Vec<RatedPlayer>> {
    let player = (rating, prop::option::of(0u8..5), any::<u8>());
    let player = player.prop_map(|(rating, team, placement)| RatedPlayer {
        rating,
        team,
        placement,
    });
    proptest::collection::vec(player, 1..=64)
}

/// Ratings as they come about.
fn usual() -> impl Strategy<Value = Rating> {
    (0.0f64..3000.0, 20.0f64..350.0).prop_map(|(value, uncertainty)| Rating { value, uncertainty })
}

/// Also what no match leads to.
fn anything() -> impl Strategy<Value = Rating> {
    let number = || prop_oneof![prop::num::f64::ANY, -1e4f64..1e4, Just(0.0)];
    (number(), number()).prop_map(|(value, uncertainty)| Rating { value, uncertainty })
}
