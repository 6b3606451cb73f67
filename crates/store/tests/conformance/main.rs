//! What every store must do, run against each of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod accounts;
mod matches;
mod tickets;
mod world;

/// Makes one test a scenario for a store that `$open` opens.
macro_rules! conformance {
    ($store:ident, $open:path, $($module:ident::$scenario:ident),* $(,)?) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    let (store, _kept) = $open().await;
                    crate::$module::$scenario(store).await;
                }
            )*
        }
    };
}

conformance!(
    embedded,
    crate::world::embedded,
    accounts::a_name_and_an_address_belong_to_one_player_in_any_case,
    accounts::a_guest_registers_once_and_keeps_the_id,
    accounts::a_changed_password_ends_the_sessions,
    accounts::a_refresh_token_works_once_and_repeats_for_ten_seconds,
    accounts::a_reused_refresh_token_ends_its_family,
    accounts::expired_refresh_tokens_are_refused_and_forgotten,
    accounts::a_player_has_a_bounded_number_of_sessions,
    accounts::a_secret_is_chosen_once,
    accounts::concurrent_registrations_of_a_name_make_one_player,
    tickets::a_player_has_one_live_ticket,
    tickets::tickets_are_queued_first_come_first,
    tickets::a_cancelled_ticket_frees_the_player,
    tickets::tickets_that_nobody_asks_for_time_out,
    tickets::the_newest_ticket_is_found_whatever_became_of_it,
    tickets::old_tickets_are_forgotten_once_nothing_can_happen_to_them,
    matches::forming_a_match_takes_all_tickets_or_none,
    matches::concurrent_matches_never_share_a_ticket,
    matches::a_match_is_claimed_only_once_its_room_exists,
    matches::a_lease_runs_out_and_its_epoch_grows,
    matches::a_holder_never_reclaims_its_own_lapsed_lease,
    matches::a_released_match_is_claimed_at_once,
    matches::tickets_are_matched_when_the_authority_is_ready,
    matches::a_match_that_is_not_ready_can_fail,
    matches::a_stale_holder_cannot_fail_a_match,
    matches::a_result_is_stored_once,
    matches::a_stale_holder_stores_nothing,
    matches::a_void_result_counts_for_nobody,
    matches::a_draw_has_no_winner,
    matches::a_malformed_result_changes_nothing,
    matches::history_is_paged_newest_first,
    matches::changes_are_announced,
);

#[tokio::test]
async fn the_embedded_store_survives_a_restart_and_keeps_its_file_private() {
    use chrono::TimeDelta;
    use gs_store::{Accounts as _, EmbeddedStore, Matches as _, StoreOutcome};

    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let store = EmbeddedStore::open(&data).await.unwrap();
    let secret = store.secret("key", b"first").await.unwrap();
    let players = world::players(&store, 2).await;
    let id = world::running_match(&store, &players, 1).await;
    let stored = store
        .store_result(id, 1, world::outcome(&[10, 5]), world::at(9))
        .await
        .unwrap();
    assert_eq!(stored, StoreOutcome::Stored);
    let before = store.match_by_id(id).await.unwrap();
    // The process dies here: nothing is closed in order.
    std::mem::forget(store);

    let store = EmbeddedStore::open(&data).await.unwrap();
    assert_eq!(store.match_by_id(id).await.unwrap(), before);
    assert_eq!(store.secret("key", b"second").await.unwrap(), secret);
    assert!(store.player(players[0]).await.unwrap().is_some());
    let later = world::at(60) + TimeDelta::seconds(1);
    assert!(
        store
            .claim_match("b", later, world::TTL)
            .await
            .unwrap()
            .is_none()
    );
    #[cfg(unix)]
    for entry in std::fs::read_dir(&data).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{:?} is open to others: {mode:o}",
            entry.file_name()
        );
    }
    store.close().await;
    assert!(store.player(players[0]).await.is_err());
}

#[tokio::test]
async fn the_embedded_store_keeps_one_score_a_player_and_none_of_what_does_not_count() {
    use gs_store::{EmbeddedStore, Matches as _, Outcome};

    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).await.unwrap();
    let players = world::players(&store, 2).await;
    let counted = world::running_match(&store, &players, 1).await;
    for _ in 0..2 {
        let result = world::outcome(&[10, 5]);
        store
            .store_result(counted, 1, result, world::at(9))
            .await
            .unwrap();
    }
    let void = world::running_match(&store, &players, 2).await;
    let mut result = world::outcome(&[20, 30]);
    result.outcome = Outcome::Void;
    store
        .store_result(void, 1, result, world::at(9))
        .await
        .unwrap();
    let unrated = world::running_unrated_match(&store, &players, 3).await;
    let mut result = world::outcome(&[40, 50]);
    result.details = Some(r#"{"reports":[]}"#.to_owned());
    store
        .store_result(unrated, 1, result, world::at(9))
        .await
        .unwrap();
    let stored = store.match_by_id(unrated).await.unwrap().unwrap();
    assert_eq!(stored.details.as_deref(), Some(r#"{"reports":[]}"#));
    assert_eq!(stored.slots[0].result.as_ref().unwrap().score, 40);
    store.close().await;

    let file = directory.path().join("gameserver.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    let scores: Vec<(String, String, i32)> =
        sqlx::query_as("SELECT match_id, player_id, score FROM scores ORDER BY score DESC")
            .fetch_all(&pool)
            .await
            .unwrap();
    let id = counted.to_string();
    let expected = [
        (id.clone(), players[0].to_string(), 10),
        (id, players[1].to_string(), 5),
    ];
    assert_eq!(scores, expected);
}
