use std::collections::BTreeMap;

use gs_matchmaker::{RatedPlayer, Rating, rate};
use gs_store::{MatchOutcome, Outcome, PlayerStatistics, Store};
use uuid::Uuid;

use crate::world::{SharedStore, at, end, outcome, play, players, running_match_with, solo};

pub(crate) async fn wins_losses_and_draws_add_up(store: SharedStore) {
    let ids = players(&*store, 3).await;
    play(&*store, &ids[..2], 1, solo(&[-3, -5], 20, &[])).await;
    play(&*store, &ids[..2], 2, solo(&[2, 2], 10, &[])).await;
    play(&*store, &ids, 3, solo(&[0, 7, 3], 15, &[])).await;

    let ada = sums(&*store, ids[0]).await;
    assert_eq!((ada.matches, ada.wins, ada.draws, ada.losses), (3, 1, 1, 1));
    assert_eq!((ada.best_score, ada.total_score), (Some(2), -1));
    assert_eq!(ada.last_played_at, Some(at(20)));
    let named = [("falls".to_owned(), -3), ("hits".to_owned(), -1)];
    assert_eq!(ada.statistics, BTreeMap::from(named));
    let bob = sums(&*store, ids[1]).await;
    assert_eq!((bob.matches, bob.wins, bob.draws, bob.losses), (3, 1, 1, 1));
    assert_eq!((bob.best_score, bob.total_score), (Some(7), 4));
    let eve = sums(&*store, ids[2]).await;
    assert_eq!((eve.matches, eve.losses), (1, 1));
    assert_eq!(eve.last_played_at, Some(at(15)));
    let elsewhere = store.statistics("zen", ids[0], at(0)).await.unwrap();
    assert!(elsewhere.is_empty());
    let nobody = store
        .statistics("arena", Uuid::now_v7(), at(0))
        .await
        .unwrap();
    assert!(nobody.is_empty());
}

pub(crate) async fn a_team_wins_and_loses_together(store: SharedStore) {
    let ids = players(&*store, 4).await;
    play(&*store, &ids, 1, teams([1, 2, 1, 2])).await;
    play(&*store, &ids, 2, teams([3, 1, 4, 2])).await;
    play(&*store, &ids, 3, teams([1, 1, 2, 2])).await;
    for (id, wins) in ids.iter().zip([1, 1, 1, 1]) {
        let own = sums(&*store, *id).await;
        assert_eq!((own.wins, own.losses, own.draws), (wins, 1, 1));
    }
    let [ada, eve] = [sums(&*store, ids[0]).await, sums(&*store, ids[2]).await];
    assert_eq!(ada.rating, eve.rating);
}

pub(crate) async fn an_abandoned_match_counts_for_those_who_stayed(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let mut abandoned = solo(&[4, 9, 6], 8, &[]);
    abandoned.outcome = Outcome::Abandoned;
    abandoned.slots.remove(0);
    let id = play(&*store, &ids, 1, abandoned).await;
    let left = store.statistics("arena", ids[0], at(0)).await.unwrap();
    assert!(left.is_empty());
    assert_eq!(sums(&*store, ids[1]).await.wins, 1);
    assert_eq!(sums(&*store, ids[2]).await.losses, 1);
    let stored = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(stored.slots[0].result, None);
}

pub(crate) async fn modes_are_kept_apart_and_in_order(store: SharedStore) {
    let ids = players(&*store, 2).await;
    for (number, mode) in (1..).zip(["duel", "brawl", "Zen", "duel"]) {
        let change = |new: &mut gs_store::NewMatch| new.mode = mode.to_owned();
        let id = running_match_with(&*store, &ids, number, change).await;
        end(&*store, id, solo(&[number as i32, 0], 8, &[])).await;
    }
    let modes = store.statistics("arena", ids[0], at(0)).await.unwrap();
    let totals: Vec<_> = modes
        .iter()
        .map(|(mode, sums)| (mode.as_str(), sums.matches, sums.total_score))
        .collect();
    assert_eq!(totals, [("Zen", 1, 3), ("brawl", 1, 2), ("duel", 2, 5)]);
    let ratings = store.ratings("arena", "duel", &ids, at(0)).await.unwrap();
    let once = store.ratings("arena", "brawl", &ids, at(0)).await.unwrap();
    assert!(ratings[0].value > once[0].value && once[0].value > Rating::default().value);
}

pub(crate) async fn what_does_not_count_changes_no_statistics(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let mut void = solo(&[10, 5], 8, &[]);
    void.outcome = Outcome::Void;
    play(&*store, &ids, 1, void).await;
    let unrated = running_match_with(&*store, &ids, 2, |new| new.rated = false).await;
    end(&*store, unrated, solo(&[10, 5], 8, &[])).await;
    assert!(
        store
            .statistics("arena", ids[0], at(0))
            .await
            .unwrap()
            .is_empty()
    );
    let ratings = store
        .ratings("arena", "default", &ids, at(0))
        .await
        .unwrap();
    assert_eq!(ratings, [Rating::default(); 2]);
}

pub(crate) async fn ratings_follow_results_in_the_order_they_are_stored(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let mut expected = [Rating::default(); 3];
    for (number, scores) in (1..).zip([[9, 5, 1], [1, 5, 5], [0, 0, 3]]) {
        let result = solo(&scores, 100 - i64::from(number), &[]);
        let rated: Vec<RatedPlayer> = result
            .slots
            .iter()
            .zip(expected)
            .map(|(slot, rating)| RatedPlayer {
                rating,
                team: None,
                placement: slot.placement,
            })
            .collect();
        // Teams come in the order of players, which the model of ratings is not sensitive to.
        expected.copy_from_slice(&rate(&rated));
        play(&*store, &ids, number, result).await;
    }
    let stranger = Uuid::now_v7();
    let asked = [ids[2], stranger, ids[0], ids[2], ids[1]];
    let ratings = store
        .ratings("arena", "default", &asked, at(0))
        .await
        .unwrap();
    let wanted = [
        expected[2],
        Rating::default(),
        expected[0],
        expected[2],
        expected[1],
    ];
    for (rating, wanted) in ratings.iter().zip(wanted) {
        assert!((rating.value - wanted.value).abs() < 1e-6, "{rating:?}");
        assert!(
            (rating.uncertainty - wanted.uncertainty).abs() < 1e-6,
            "{rating:?}"
        );
    }
    assert_eq!(ratings.len(), 5);
    assert_eq!(sums(&*store, ids[0]).await.rating, ratings[2]);
    let none = store.ratings("arena", "default", &[], at(0)).await.unwrap();
    assert!(none.is_empty());
}

/// A player's sums in the mode `default`, the only one with results.
async fn sums(store: &dyn Store, player: Uuid) -> PlayerStatistics {
    let mut modes = store.statistics("arena", player, at(0)).await.unwrap();
    assert_eq!(modes.len(), 1);
    let (mode, sums) = modes.remove(0);
    assert_eq!(mode, "default");
    sums
}

/// A match of two teams of two, slots in turn, with these placements.
fn teams(placements: [u8; 4]) -> MatchOutcome {
    let mut outcome = outcome(&[4, 3, 2, 1]);
    for (slot, placement) in outcome.slots.iter_mut().zip(placements) {
        slot.placement = placement;
    }
    outcome
}
