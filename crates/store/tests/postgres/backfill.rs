//! Slots of running matches that several processes give, close and end at once.

use std::sync::Arc;

use gs_store::{
    Accounts as _, Backfill as _, Cancel, Enqueue, FillSlot, Lease, Matches as _, NewGroup,
    NewTicket, PostgresStore, Search, StoreOutcome, TicketStatus, Tickets as _,
};
use gs_test_services::Postgres;
use uuid::Uuid;

use crate::world::{at, database, outcome, players, running_matches, sql, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_give_a_slot_once_and_a_ticket_one_slot() {
    let (url, stores, ids) = world(10).await;
    for round in 0..20 {
        let id = running(&url, &ids[..4]).await;
        assert_eq!(
            stores[0].open_slots(id, 1, &[0, 1], at(1)).await.unwrap(),
            Lease::Held
        );
        let mut tickets = Vec::new();
        for &player in &ids[4..7] {
            tickets.push(enqueue(&stores[0], player, round).await);
        }
        let mut tasks = Vec::new();
        for (n, store) in stores.iter().enumerate() {
            for slot in [0, 1] {
                for &ticket in &tickets {
                    let store = store.clone();
                    // In another order each.
                    let slot = if n == 0 { slot } else { 1 - slot };
                    tasks.push(tokio::spawn(async move {
                        let filled = store.fill_slot(id, slot, ticket, None, at(2)).await;
                        (slot, ticket, filled.unwrap())
                    }));
                }
            }
        }
        let mut filled = Vec::new();
        for task in tasks {
            let (slot, ticket, became) = task.await.unwrap();
            match became {
                FillSlot::Filling => filled.push((slot, ticket)),
                FillSlot::SlotTaken | FillSlot::TicketGone => {}
                FillSlot::NotLeading => panic!("nobody leads"),
            }
        }
        filled.sort_unstable();
        assert_eq!(filled.len(), 2, "{filled:?}");
        assert_ne!(filled[0].1, filled[1].1);
        let told = stores[1].substitutes(id).await.unwrap();
        let told: Vec<_> = told.iter().map(|s| (s.slot, s.ticket_id)).collect();
        assert_eq!(told, filled);
        for ticket in tickets {
            let placed = told.iter().any(|(_, id)| *id == ticket);
            let stored = stores[0].ticket(ticket).await.unwrap().unwrap();
            assert_eq!(stored.status == TicketStatus::Placing, placed);
            stores[0].cancel_ticket(ticket, at(3)).await.unwrap();
        }
        end(&stores[0], id).await;
        give_up(&stores[0], &url).await;
    }
    no_deadlocks();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_substitute_comes_or_takes_the_ticket_back_but_not_both() {
    let (url, stores, ids) = world(3).await;
    let (mut came, mut went) = (0, 0);
    for round in 0..40 {
        let id = running(&url, &ids[..2]).await;
        stores[0].open_slots(id, 1, &[1], at(1)).await.unwrap();
        let ticket = enqueue(&stores[0], ids[2], round).await;
        let (filled, cancelled) = tokio::join!(
            stores[0].fill_slot(id, 1, ticket, None, at(2)),
            stores[1].cancel_ticket(ticket, at(2)),
        );
        let (filled, cancelled) = (filled.unwrap(), cancelled.unwrap());
        let open = stores[0].openings("arena").await.unwrap().len();
        let status = stores[0].ticket(ticket).await.unwrap().unwrap().status;
        match (filled, cancelled) {
            (FillSlot::Filling, Cancel::AlreadyMatched) => {
                assert_eq!((open, status), (0, TicketStatus::Placing));
                came += 1;
            }
            (FillSlot::TicketGone, Cancel::Cancelled) => {
                assert_eq!((open, status), (1, TicketStatus::Cancelled));
                went += 1;
            }
            other => panic!("{other:?}"),
        }
        end(&stores[0], id).await;
        give_up(&stores[0], &url).await;
    }
    assert_eq!(came + went, 40);
    no_deadlocks();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_closes_meanwhile_leaves_nobody_behind() {
    let (url, stores, ids) = world(4).await;
    for round in 0..40 {
        let id = running(&url, &ids[..2]).await;
        stores[0].open_slots(id, 1, &[1], at(1)).await.unwrap();
        let ticket = enqueue(&stores[0], ids[2], round).await;
        let (filled, closed) = tokio::join!(
            stores[0].fill_slot(id, 1, ticket, None, at(2)),
            stores[1].open_slots(id, 1, &[], at(2)),
        );
        assert_eq!(closed.unwrap(), Lease::Held);
        let stored = stores[0].ticket(ticket).await.unwrap().unwrap();
        assert_eq!(
            (stored.status, stored.match_id),
            (TicketStatus::Queued, None)
        );
        // Either it closed first, or the substitute was sent back.
        match filled.unwrap() {
            FillSlot::SlotTaken => assert!(!stored.returned),
            FillSlot::Filling => assert!(stored.returned),
            other => panic!("{other:?}"),
        }
        assert!(stores[0].substitutes(id).await.unwrap().is_empty());
        assert!(stores[0].openings("arena").await.unwrap().is_empty());
        stores[0].cancel_ticket(ticket, at(3)).await.unwrap();
        end(&stores[0], id).await;
    }
    no_deadlocks();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_that_ends_meanwhile_keeps_no_ticket() {
    let (url, stores, ids) = world(6).await;
    let mut matches = Vec::new();
    for _ in 0..12 {
        matches.push(running(&url, &ids[..4]).await);
    }
    for (round, &id) in matches.iter().enumerate() {
        stores[0].open_slots(id, 1, &[2, 3], at(1)).await.unwrap();
        let coming = enqueue(&stores[0], ids[4], round as i64).await;
        let filled = stores[0].fill_slot(id, 3, coming, None, at(2)).await;
        assert_eq!(filled.unwrap(), FillSlot::Filling);
        let ticket = enqueue(&stores[0], ids[5], round as i64).await;
        let result = outcome(4, 1);
        let (filled, known, stored) = tokio::join!(
            stores[1].fill_slot(id, 2, ticket, None, at(3)),
            stores[1].slot_filled(id, 1, 3, ids[4], at(3)),
            stores[0].store_result(id, 1, result, at(9)),
        );
        assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        let status = async |id| stores[0].ticket(id).await.unwrap().unwrap().status;
        let expected = match known.unwrap() {
            Lease::Held => TicketStatus::Matched,
            Lease::Lost => TicketStatus::Queued,
        };
        assert_eq!(status(coming).await, expected);
        let filled = filled.unwrap();
        assert!(matches!(filled, FillSlot::Filling | FillSlot::SlotTaken));
        assert_eq!(status(ticket).await, TicketStatus::Queued, "{filled:?}");
        let left = "SELECT (SELECT count(*) FROM match_open_slots),
             (SELECT count(*) FROM match_substitutes WHERE status IN ('placing', 'playing'))";
        assert_eq!(sql(&url, left).await, "0|0");
        for ticket in [coming, ticket] {
            stores[0].cancel_ticket(ticket, at(10)).await.unwrap();
        }
    }
    no_deadlocks();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn substitutes_are_erased_and_banned_while_they_come() {
    let (url, stores, ids) = world(24).await;
    let id = running(&url, &ids[..8]).await;
    stores[0]
        .open_slots(id, 1, &[0, 1, 2, 3, 4, 5, 6, 7], at(1))
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for (n, &player) in ids[8..].iter().enumerate() {
        let ticket = enqueue(&stores[0], player, 0).await;
        let store = stores[n % 2].clone();
        tasks.push(tokio::spawn(async move {
            let slot = (n % 8) as u8;
            store
                .fill_slot(id, slot, ticket, None, at(2))
                .await
                .unwrap();
        }));
        let store = stores[(n + 1) % 2].clone();
        tasks.push(tokio::spawn(async move {
            if n % 2 == 0 {
                assert!(store.erase_player(player, at(2)).await.unwrap());
            } else {
                let ban = gs_store::Ban {
                    player_id: player,
                    reason: "unfair".to_owned(),
                    banned_at: at(2),
                    until: None,
                };
                assert!(store.ban(ban).await.unwrap());
            }
        }));
        let store = stores[n % 2].clone();
        tasks.push(tokio::spawn(async move {
            for substitute in store.substitutes(id).await.unwrap() {
                let (slot, player) = (substitute.slot, substitute.player_id);
                store.slot_filled(id, 1, slot, player, at(3)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stored = stores[0].store_result(id, 1, outcome(8, 1), at(9)).await;
    assert_eq!(stored.unwrap(), StoreOutcome::Stored);
    let left = "SELECT count(*) FROM tickets JOIN players ON players.id = player_id
         WHERE erased_at IS NOT NULL OR tickets.status = 'placing'";
    assert_eq!(sql(&url, left).await, "0");
    no_deadlocks();
}

async fn world(count: usize) -> (String, [Arc<PostgresStore>; 2], Vec<Uuid>) {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], count).await;
    (url, stores, ids)
}

/// A match of these players that takes substitutes and runs under epoch 1.
async fn running(url: &str, players: &[Uuid]) -> Uuid {
    let id = running_matches(url, &[players.to_vec()]).await[0];
    let change = format!("UPDATE matches SET backfill = true WHERE id = '{id}'");
    sql(url, &change).await;
    id
}

async fn enqueue(store: &PostgresStore, player_id: Uuid, second: i64) -> Uuid {
    let ticket = NewTicket {
        id: Uuid::now_v7(),
        player_id,
        search: Search::default(),
    };
    let id = ticket.id;
    let group = NewGroup::alone(ticket, "arena", "default", at(second));
    let queued = store.enqueue(group).await.unwrap();
    assert!(matches!(queued, Enqueue::Queued(_)), "{queued:?}");
    id
}

async fn end(store: &PostgresStore, id: Uuid) {
    let stored = store.store_result(id, 1, outcome(2, 1), at(9)).await;
    assert_eq!(stored.unwrap(), StoreOutcome::Stored);
}

/// Takes everybody who waits out of the queue.
async fn give_up(store: &PostgresStore, url: &str) {
    store.expire_tickets(at(1000), at(1000)).await.unwrap();
    let waiting = "SELECT count(*) FROM tickets WHERE status IN ('queued', 'placing')";
    assert_eq!(sql(url, waiting).await, "0");
}

fn no_deadlocks() {
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}
