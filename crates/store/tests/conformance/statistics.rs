use std::collections::BTreeMap;

use gs_matchmaker::{RatedPlayer, Rating, rate};
use gs_store::{BoardRule, MatchOutcome, Outcome, PlayerStatistics, RatingChange, Store};
use uuid::Uuid;

use crate::world::{
    SharedStore, at, board_becomes, counts_on, default_board, end, outcome, play, players,
    running_match_with, solo,
};

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

pub(crate) async fn a_rating_is_less_certain_the_longer_its_player_is_away(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let result = solo(&[9, 5], 8, &[counts_on(BoardRule::Best)]);
    play(&*store, &ids, 1, result).await;
    let (after, later) = (at(8), at(8 + 60 * 86_400));
    let fresh = store
        .ratings("arena", "default", &ids, after)
        .await
        .unwrap();
    let idle = store
        .ratings("arena", "default", &ids, later)
        .await
        .unwrap();
    for (fresh, idle) in fresh.iter().zip(&idle) {
        assert_eq!(idle, &fresh.idle(60.0));
        assert!(idle.uncertainty > fresh.uncertainty && idle.value == fresh.value);
    }
    // A clock that is behind takes nothing back.
    let early = store
        .ratings("arena", "default", &ids, at(0))
        .await
        .unwrap();
    assert_eq!(early, fresh);
    let modes = store.statistics("arena", ids[0], later).await.unwrap();
    assert_eq!(modes[0].1.rating, idle[0]);
    let skills = store.matchmaking_skills("arena", "default", &ids, later);
    assert_eq!(skills.await.unwrap()[0].rating, idle[0]);
    // What is held of a player is what was stored.
    let data = store.account_data(ids[0]).await.unwrap().unwrap();
    assert_eq!(data.statistics[0].2.rating, fresh[0]);

    let mut second = solo(&[5, 9], 8 + 60 * 86_400, &[counts_on(BoardRule::Best)]);
    second.ended_at = later;
    play(&*store, &ids, 2, second).await;
    let history = store.rating_history("arena", "default", ids[0], None, 9);
    let history = history.await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!((history[0].at, history[1].at), (later, after));
    assert_eq!(
        (history[1].before, history[1].after),
        (Rating::default(), fresh[0])
    );
    assert_eq!(history[0].before, idle[0]);
    let rated = [(idle[0], 2), (idle[1], 1)].map(|(rating, placement)| RatedPlayer {
        rating,
        team: None,
        placement,
    });
    let expected = rate(&rated)[0];
    assert!((history[0].after.value - expected.value).abs() < 1e-6);
    // Boards are not about ratings.
    let entries = [(ids[0], 9, 8), (ids[1], 9, 8 + 60 * 86_400)];
    board_becomes(&*store, &default_board(), &entries).await;
}

pub(crate) async fn what_matches_changed_of_a_rating_is_paged_by_match(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let mut matches = Vec::new();
    for (number, mode) in (1..).zip(["duel", "brawl", "duel", "duel", "duel"]) {
        let change = |new: &mut gs_store::NewMatch| {
            new.mode = mode.to_owned();
            new.rated = number != 4;
        };
        let id = running_match_with(&*store, &ids, number, change).await;
        end(
            &*store,
            id,
            solo(&[number as i32, 0], 8 + i64::from(number), &[]),
        )
        .await;
        matches.push(id);
    }
    let page = async |before, limit| {
        let page = store.rating_history("arena", "duel", ids[0], before, limit);
        let page = page.await.unwrap();
        page.iter().map(|c| c.match_id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 9).await, [matches[4], matches[2], matches[0]]);
    assert_eq!(page(None, 2).await, [matches[4], matches[2]]);
    assert_eq!(page(Some(matches[2]), 2).await, [matches[0]]);
    assert!(page(Some(matches[0]), 2).await.is_empty());
    let all = store.rating_history("arena", "duel", ids[0], None, 9);
    let all = all.await.unwrap();
    // One begins where the one before it ended, but for the seconds between them.
    for pair in all.windows(2) {
        assert_eq!(pair[0].before.value, pair[1].after.value);
        assert!(pair[0].before.uncertainty >= pair[1].after.uncertainty);
    }
    for found in store.matches_of(ids[0], None, 9).await.unwrap() {
        let told = all.iter().find(|c| c.match_id == found.id);
        if found.mode == "duel" {
            let rating = found.slots[0].rating;
            assert_eq!(rating.is_some(), found.rated);
            let near = |a: Rating, b: Rating| (a.value - b.value).abs() < 1e-6;
            let same = |(before, after), told: &RatingChange| {
                near(before, told.before) && near(after, told.after)
            };
            assert!(
                rating
                    .zip(told)
                    .is_none_or(|(rating, told)| same(rating, told))
            );
            assert_eq!(told.is_some(), found.rated);
        }
    }
    let stranger = store.rating_history("arena", "duel", Uuid::now_v7(), None, 9);
    assert!(stranger.await.unwrap().is_empty());
}

pub(crate) async fn what_players_are_matched_by_is_told_in_the_order_asked(store: SharedStore) {
    let ids = players(&*store, 2).await;
    play(&*store, &ids, 1, solo(&[-3, -5], 8, &[])).await;
    play(&*store, &ids, 2, solo(&[-9, -4], 9, &[])).await;
    let asked = [ids[1], Uuid::now_v7(), ids[0], ids[1]];
    let skills = store.matchmaking_skills("arena", "default", &asked, at(9));
    let skills = skills.await.unwrap();
    assert_eq!(skills.len(), 4);
    let told: Vec<_> = skills.iter().map(|s| (s.best_score, s.matches)).collect();
    assert_eq!(
        told,
        [(Some(-4), 2), (None, 0), (Some(-3), 2), (Some(-4), 2)]
    );
    assert_eq!(skills[1], gs_store::PlayerSkill::default());
    let ratings = store
        .ratings("arena", "default", &asked, at(9))
        .await
        .unwrap();
    assert_eq!(skills.iter().map(|s| s.rating).collect::<Vec<_>>(), ratings);
    let elsewhere = store.matchmaking_skills("arena", "duel", &ids, at(9)).await;
    assert_eq!(elsewhere.unwrap(), [gs_store::PlayerSkill::default(); 2]);
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
