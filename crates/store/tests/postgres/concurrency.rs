//! Several processes at once: nothing is counted twice or lost, and nobody waits in a circle.

use std::sync::Arc;

use chrono::TimeDelta;
use gs_store::{
    Accounts as _, Cancel, Enqueue, FormMatch, Matches as _, NewGroup, NewMatch, NewSession,
    NewSlot, NewTicket, Rotate, Rotation, Search, StoreError, StoreOutcome, TicketStatus,
    Tickets as _,
};
use gs_test_services::Postgres;
use uuid::Uuid;

use crate::matchmaking::match_of;
use crate::world::{at, database, outcome, players, running_matches, sql, store, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_the_same_players_in_several_processes_all_count_once() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 12).await;
    // Every match has half of the players, each time in another order.
    let lineup = |n: usize| -> Vec<Uuid> {
        let step = [1, 5, 7, 11][n % 4];
        (0..6).map(|i| ids[(n + i * step) % ids.len()]).collect()
    };
    let lineups: Vec<Vec<Uuid>> = (0..160).map(lineup).collect();
    let matches = running_matches(&url, &lineups).await;
    // Each result is told to both.
    let calls: Vec<_> = matches
        .iter()
        .flat_map(|&id| stores.iter().map(move |store| (id, store.clone())))
        .map(|(id, store)| {
            tokio::spawn(async move { store.store_result(id, 1, outcome(6, 3), at(9)).await })
        })
        .collect();
    let mut stored = 0;
    for call in calls {
        match call.await.unwrap().unwrap() {
            StoreOutcome::Stored => stored += 1,
            StoreOutcome::AlreadyStored => {}
            StoreOutcome::StaleEpoch => panic!("stale"),
        }
    }
    assert_eq!(stored, matches.len());

    let sums = "SELECT count(*), sum(matches), sum(total_score),
            sum((statistics->>'hits')::int), sum(wins) FROM player_statistics";
    assert_eq!(sql(&url, sums).await, "12|960|2880|1920|160");
    let scores = "SELECT count(*) FROM scores";
    assert_eq!(sql(&url, scores).await, "960");
    let boards = "SELECT board, count(*), sum(score) FROM board_entries
         JOIN boards ON boards.id = board_id GROUP BY board ORDER BY board";
    assert_eq!(
        sql(&url, boards).await,
        "best|12|36\nlatest|12|36\nsum|12|2880"
    );
    // What Redis makes of the changes is what the entries are: the newest change of each says it.
    let behind = "SELECT count(*) FROM board_entries AS entry WHERE score <> (
             SELECT score FROM board_changes AS change WHERE change.board_id = entry.board_id
             AND change.player_id = entry.player_id ORDER BY id DESC LIMIT 1)";
    assert_eq!(sql(&url, behind).await, "0");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_cannot_be_stored_does_not_take_others_with_it() {
    let url = database().await;
    let store = Arc::new(store(&url).await);
    let ids = players(&store, 2).await;
    let matches = running_matches(&url, &vec![ids; 30]).await;
    let calls: Vec<_> = matches
        .iter()
        .enumerate()
        .map(|(n, &id)| {
            let store = store.clone();
            let mut result = outcome(2, 1);
            if n % 10 == 7 {
                // JSON, and yet nothing that PostgreSQL can hold.
                result.details = Some(r#"{"name": "\u0000"}"#.to_owned());
            }
            tokio::spawn(async move { store.store_result(id, 1, result, at(9)).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        match call.await.unwrap() {
            Ok(StoreOutcome::Stored) if n % 10 != 7 => {}
            Err(StoreError::Invalid(_)) if n % 10 == 7 => {}
            other => panic!("{n}: {other:?}"),
        }
    }
    let ended = "SELECT count(*) FROM matches WHERE status = 'ended'";
    assert_eq!(sql(&url, ended).await, "27");
    let sums = "SELECT sum(matches) FROM player_statistics";
    assert_eq!(sql(&url, sums).await, "54");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_stored_even_where_nobody_waits_for_it() {
    let url = database().await;
    let store = Arc::new(store(&url).await);
    let ids = players(&store, 2).await;
    let id = running_matches(&url, &[ids]).await[0];
    {
        let mut call = std::pin::pin!(store.store_result(id, 1, outcome(2, 1), at(9)));
        let waiting = futures_util::poll!(&mut call).is_pending();
        assert!(waiting, "it answered before it could be stored");
    }
    until("storing the result", async || {
        let stored = store.match_by_id(id).await.unwrap().unwrap();
        stored.ended_at.is_some()
    })
    .await;
    let again = store.store_result(id, 1, outcome(2, 1), at(9)).await;
    assert_eq!(again.unwrap(), StoreOutcome::AlreadyStored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_survives_the_end_of_all_by_being_exchanged_meanwhile() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let player_id = players(&stores[0], 1).await[0];
    for round in 0..40u8 {
        let (family, old_hash, new_hash) = (Uuid::now_v7(), [round; 32], [round | 128; 32]);
        let session = NewSession {
            family,
            player_id,
            token_hash: old_hash,
            expires_at: at(600),
        };
        stores[0].open_session(session).await.unwrap();
        let rotation = Rotation {
            old_hash,
            new_hash,
            now: at(1),
            expires_at: at(900),
        };
        let (rotated, ended) = tokio::join!(
            stores[0].rotate_session(rotation),
            stores[1].end_sessions(player_id)
        );
        ended.unwrap();
        let rotated = rotated.unwrap();
        assert!(
            matches!(rotated, Rotate::Rotated { .. } | Rotate::Unknown),
            "{rotated:?}"
        );
        assert_eq!(stores[0].session(family, at(2)).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_placed_or_taken_back_but_not_both() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 4).await;
    for round in 0..25 {
        let mut slots = Vec::new();
        for &player_id in &ids {
            let ticket = NewTicket {
                id: Uuid::new_v4(),
                player_id,
                search: Search::default(),
            };
            let ticket_id = ticket.id;
            let group = NewGroup::alone(ticket, "arena", "default", at(round));
            let queued = stores[0].enqueue(group).await.unwrap();
            assert!(matches!(queued, Enqueue::Queued(_)), "{queued:?}");
            slots.push(NewSlot {
                ticket_id,
                player_id,
                team: None,
            });
        }
        let form = |store: Arc<gs_store::PostgresStore>, slots: &[NewSlot]| {
            let new = NewMatch {
                created_at: at(round),
                ..match_of(slots)
            };
            tokio::spawn(async move { (store.form_match(new.clone()).await.unwrap(), new.id) })
        };
        // Two matchmakers see overlapping queues, one from its other end.
        let (first, second) = (&slots[..3], &slots[1..]);
        let backwards: Vec<NewSlot> = second.iter().rev().cloned().collect();
        let matches = [
            form(stores[0].clone(), first),
            form(stores[1].clone(), &backwards),
        ];
        let (taken, store) = (slots[round as usize % 4].ticket_id, stores[1].clone());
        let cancel =
            tokio::spawn(async move { store.cancel_ticket(taken, at(round)).await.unwrap() });
        let expired = stores[0].expire_tickets(at(round - 60), at(round)).await;
        assert_eq!(expired.unwrap(), 0);
        let cancelled = cancel.await.unwrap();
        let mut formed = Vec::new();
        for task in matches {
            let (became, id) = task.await.unwrap();
            assert_ne!(became, FormMatch::RoomTaken);
            if became == FormMatch::Formed {
                formed.push(id);
            }
        }
        assert!(formed.len() <= 1, "two matches share a ticket");
        for slot in &slots {
            let ticket = stores[0].ticket(slot.ticket_id).await.unwrap().unwrap();
            let placed = ticket.status == TicketStatus::Placing;
            assert_eq!(
                placed,
                ticket.match_id.is_some_and(|id| formed.contains(&id))
            );
            if slot.ticket_id == taken {
                assert_eq!(placed, cancelled == Cancel::AlreadyMatched, "{ticket:?}");
            }
        }
        for id in formed {
            assert!(
                stores[0]
                    .fail_match(id, None, "over", at(round))
                    .await
                    .unwrap()
            );
        }
        stores[0]
            .expire_tickets(at(round) + TimeDelta::seconds(1), at(round))
            .await
            .unwrap();
    }
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_are_erased_and_banned_while_they_queue_and_play() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 8).await;
    let matches = running_matches(&url, &vec![ids.clone(); 24]).await;
    let mut tasks = Vec::new();
    for (n, &id) in matches.iter().enumerate() {
        let store = stores[n % 2].clone();
        tasks.push(tokio::spawn(async move {
            let stored = store.store_result(id, 1, outcome(8, 1), at(9)).await;
            assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        }));
    }
    for (n, &player_id) in ids.iter().enumerate() {
        let store = stores[n % 2].clone();
        tasks.push(tokio::spawn(async move {
            let ticket = NewTicket {
                id: Uuid::new_v4(),
                player_id,
                search: Search::default(),
            };
            // The player may be erased by now.
            let group = NewGroup::alone(ticket, "arena", "default", at(0));
            let _ = store.enqueue(group).await;
        }));
        let store = stores[(n + 1) % 2].clone();
        tasks.push(tokio::spawn(async move {
            if n % 2 == 0 {
                assert!(store.erase_player(player_id, at(1)).await.unwrap());
            } else {
                let ban = gs_store::Ban {
                    player_id,
                    reason: "unfair".to_owned(),
                    banned_at: at(1),
                    until: None,
                };
                assert!(store.ban(ban).await.unwrap());
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let sums = "SELECT sum(matches), count(*) FROM player_statistics";
    assert_eq!(sql(&url, sums).await, "192|8");
    let left = "SELECT count(*) FROM tickets JOIN players ON players.id = player_id
         WHERE erased_at IS NOT NULL";
    assert_eq!(sql(&url, left).await, "0");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}
