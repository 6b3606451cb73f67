use gs_store::{Cancel, Enqueue, StoreOutcome, TicketStatus};
use uuid::Uuid;

use crate::world::{
    SharedStore, at, enqueue, formed_match, new_ticket, outcome, players, running_match,
};

pub(crate) async fn a_player_has_one_live_ticket(store: SharedStore) {
    let player = players(&*store, 1).await[0];
    let mut new = new_ticket(player, 0);
    new.code = Some("tea".to_owned());
    let Enqueue::Queued(tickets) = store.enqueue(new.clone()).await.unwrap() else {
        panic!("refused");
    };
    let ticket = tickets[0].clone();
    assert_eq!(
        (ticket.id, ticket.player_id, ticket.status),
        (new.id, player, TicketStatus::Queued)
    );
    assert_eq!(ticket.code.as_deref(), Some("tea"));
    assert_eq!(
        (ticket.queued_at, ticket.match_id, ticket.reason.clone()),
        (at(0), None, None)
    );
    assert_eq!(store.ticket(new.id).await.unwrap(), Some(ticket));

    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let (store, again) = (store.clone(), new_ticket(player, n));
            tokio::spawn(async move { store.enqueue(again).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(
            task.await.unwrap(),
            Enqueue::AlreadyQueued {
                player_id: player,
                ticket_id: new.id
            }
        );
    }
}

pub(crate) async fn a_player_may_wait_for_several_games_at_once(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let (_, placing) = formed_match(&*store, &ids, 1).await;
    let mut elsewhere = new_ticket(ids[0], 2);
    elsewhere.game = "zen".to_owned();
    let queued = store.enqueue(elsewhere.clone()).await.unwrap();
    assert!(matches!(queued, Enqueue::Queued(_)), "{queued:?}");
    for (game, live) in [("zen", elsewhere.id), ("arena", placing[0])] {
        let mut again = new_ticket(ids[0], 3);
        again.game = game.to_owned();
        let again = store.enqueue(again).await.unwrap();
        let expected = Enqueue::AlreadyQueued {
            player_id: ids[0],
            ticket_id: live,
        };
        assert_eq!(again, expected, "{game}");
    }
    let newest = store.newest_ticket(ids[0]).await.unwrap().unwrap();
    assert_eq!(newest.id, elsewhere.id);
    let cancelled = store.cancel_ticket(elsewhere.id, at(4)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    let placed = store.ticket(placing[0]).await.unwrap().unwrap();
    assert_eq!(placed.status, TicketStatus::Placing);
}

pub(crate) async fn tickets_are_queued_first_come_first(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let late = enqueue(&*store, ids[0], 9).await;
    let early = enqueue(&*store, ids[1], 1).await;
    let middle = enqueue(&*store, ids[2], 5).await;
    let mut elsewhere = new_ticket(ids[3], 0);
    elsewhere.game = "zen".to_owned();
    store.enqueue(elsewhere).await.unwrap();

    let queued = store.queued_tickets("arena", 10).await.unwrap();
    assert_eq!(
        queued.iter().map(|t| t.id).collect::<Vec<_>>(),
        [early, middle, late]
    );
    assert_eq!(store.queued_tickets("arena", 2).await.unwrap().len(), 2);
    assert_eq!(store.queued_games().await.unwrap(), ["arena", "zen"]);
}

pub(crate) async fn a_cancelled_ticket_frees_the_player(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let ticket = enqueue(&*store, ids[0], 0).await;
    assert_eq!(
        store.cancel_ticket(ticket, at(2)).await.unwrap(),
        Cancel::Cancelled
    );
    assert_eq!(
        store.cancel_ticket(ticket, at(3)).await.unwrap(),
        Cancel::Cancelled
    );
    let cancelled = store.ticket(ticket).await.unwrap().unwrap();
    assert_eq!(
        (cancelled.status, cancelled.changed_at),
        (TicketStatus::Cancelled, at(2))
    );
    assert!(store.queued_tickets("arena", 10).await.unwrap().is_empty());
    assert_eq!(
        store.cancel_ticket(Uuid::now_v7(), at(2)).await.unwrap(),
        Cancel::NotFound
    );

    let (_, tickets) = formed_match(&*store, &ids, 1).await;
    assert_eq!(
        store.cancel_ticket(tickets[0], at(3)).await.unwrap(),
        Cancel::AlreadyMatched
    );
    assert_eq!(
        store.ticket(tickets[0]).await.unwrap().unwrap().status,
        TicketStatus::Placing
    );
}

pub(crate) async fn tickets_that_nobody_asks_for_time_out(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let silent = enqueue(&*store, ids[0], 0).await;
    let asking = enqueue(&*store, ids[1], 0).await;
    store.touch_ticket(asking, at(50)).await.unwrap();
    assert_eq!(store.expire_tickets(at(0), at(60)).await.unwrap(), 0);
    assert_eq!(store.expire_tickets(at(1), at(61)).await.unwrap(), 1);
    let expired = store.ticket(silent).await.unwrap().unwrap();
    assert_eq!(expired.status, TicketStatus::TimedOut);
    assert!(expired.reason.is_some());
    assert_eq!(
        store.ticket(asking).await.unwrap().unwrap().status,
        TicketStatus::Queued
    );
    store.touch_ticket(silent, at(62)).await.unwrap();
    assert_eq!(store.ticket(silent).await.unwrap().unwrap(), expired);
    enqueue(&*store, ids[0], 70).await;
}

pub(crate) async fn the_newest_ticket_is_found_whatever_became_of_it(store: SharedStore) {
    let player = players(&*store, 1).await[0];
    assert_eq!(store.newest_ticket(player).await.unwrap(), None);
    let first = enqueue(&*store, player, 0).await;
    store.cancel_ticket(first, at(1)).await.unwrap();
    assert_eq!(
        store.newest_ticket(player).await.unwrap().unwrap().id,
        first
    );
    let second = enqueue(&*store, player, 2).await;
    assert_eq!(
        store.newest_ticket(player).await.unwrap().unwrap().id,
        second
    );
}

pub(crate) async fn old_tickets_are_forgotten_once_nothing_can_happen_to_them(store: SharedStore) {
    let ids = players(&*store, 7).await;
    let match_id = running_match(&*store, &ids[..2], 1).await;
    let (failed_id, failed) = formed_match(&*store, &ids[2..4], 2).await;
    store
        .fail_match(failed_id, None, "no authority", at(10))
        .await
        .unwrap();
    let (_, placing) = formed_match(&*store, &ids[4..5], 3).await;
    let cancelled = enqueue(&*store, ids[5], 0).await;
    store.cancel_ticket(cancelled, at(20)).await.unwrap();
    let silent = enqueue(&*store, ids[5], 21).await;
    assert_eq!(store.expire_tickets(at(22), at(30)).await.unwrap(), 1);
    let queued = enqueue(&*store, ids[6], 31).await;

    // Each is kept until that long after its last change, the oldest goes first.
    assert_eq!(store.forget_tickets(at(10), 9).await.unwrap(), 0);
    assert_eq!(store.forget_tickets(at(99), 1).await.unwrap(), 1);
    assert_eq!(store.forget_tickets(at(20), 9).await.unwrap(), 1);
    for ticket in failed {
        assert_eq!(store.ticket(ticket).await.unwrap(), None);
    }
    assert!(store.ticket(cancelled).await.unwrap().is_some());
    assert_eq!(store.forget_tickets(at(99), 9).await.unwrap(), 2);
    for ticket in [cancelled, silent] {
        assert_eq!(store.ticket(ticket).await.unwrap(), None);
    }

    // Those in a match that goes on, and those that wait, are needed.
    let matched = store.newest_ticket(ids[0]).await.unwrap().unwrap();
    assert_eq!(matched.status, TicketStatus::Matched);
    let stored = store.store_result(match_id, 1, outcome(&[10, 5]), at(40));
    assert_eq!(stored.await.unwrap(), StoreOutcome::Stored);
    assert_eq!(store.forget_tickets(at(99), 9).await.unwrap(), 2);
    assert_eq!(store.newest_ticket(ids[0]).await.unwrap(), None);
    for ticket in [placing[0], queued] {
        assert!(store.ticket(ticket).await.unwrap().is_some());
    }
    assert!(store.match_by_id(match_id).await.unwrap().is_some());
}
