//! Matches that their players are asked to accept.

use gs_store::{Accept, Ban, Cancel, Enqueue, FormMatch, MatchStatus, Store, Ticket, TicketStatus};
use uuid::Uuid;

use crate::world::{
    SharedStore, TTL, asked_match, at, enqueue, enqueue_group, new_group, new_match, new_player,
    new_ticket, players, statuses,
};

use TicketStatus::{Accepting, Cancelled, Placing, Queued, TimedOut};

pub(crate) async fn a_match_forms_once_everybody_accepted(store: SharedStore) {
    let (slots, id) = pair_and_two(&*store).await;
    assert_eq!(statuses(&*store, &slots).await, [Accepting; 4]);
    let asked = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (asked.status, asked.accept_until),
        (MatchStatus::Accepting, Some(at(20)))
    );
    assert_eq!(asked.slots.len(), 4);

    // Nothing happens to it yet.
    assert_eq!(store.forming_matches().await.unwrap(), []);
    assert_eq!(store.overdue_matches(at(9999)).await.unwrap(), []);
    assert!(!store.room_created(id, "RM_1").await.unwrap());
    assert_eq!(store.claim_match("a", at(2), TTL).await.unwrap(), None);
    assert_eq!(store.live_match_of(slots[0].1).await.unwrap(), None);
    assert_eq!(store.queued_tickets("arena", 9).await.unwrap(), []);
    assert_eq!(store.expire_tickets(at(999), at(10)).await.unwrap(), 0);
    // Whoever is asked waits for nothing else.
    let live = Enqueue::AlreadyQueued {
        player_id: slots[3].1,
        ticket_id: slots[3].0,
    };
    assert_eq!(
        store.enqueue(new_ticket(slots[3].1, 5)).await.unwrap(),
        live
    );
    let twice = new_match("arena-00000002", &slots);
    assert_eq!(
        store.form_match(twice).await.unwrap(),
        FormMatch::TicketsGone
    );

    for (ticket, _) in &slots[..3] {
        assert_eq!(
            store.accept(*ticket, true, at(12)).await.unwrap(),
            Accept::Accepted
        );
        assert_eq!(
            store.accept(*ticket, true, at(13)).await.unwrap(),
            Accept::Repeated
        );
        let ticket = store.ticket(*ticket).await.unwrap().unwrap();
        assert_eq!((ticket.status, ticket.accepted), (Accepting, Some(true)));
    }
    let last = slots[3].0;
    assert_eq!(
        store.accept(last, true, at(14)).await.unwrap(),
        Accept::Complete(id)
    );
    assert_eq!(
        store.accept(last, true, at(15)).await.unwrap(),
        Accept::Repeated
    );
    assert_eq!(
        store.accept(last, false, at(15)).await.unwrap(),
        Accept::NotAccepting
    );
    assert_eq!(statuses(&*store, &slots).await, [Placing; 4]);
    let forming = store.forming_matches().await.unwrap();
    assert_eq!(forming.len(), 1);
    // Its authority has had time from now on only.
    assert_eq!(
        (forming[0].id, forming[0].status, forming[0].created_at),
        (id, MatchStatus::Forming, at(14))
    );
    assert_eq!(store.lapse_acceptances(at(999)).await.unwrap(), 0);
    let cancelled = store.cancel_ticket(last, at(16)).await.unwrap();
    assert_eq!(cancelled, Cancel::AlreadyMatched);
    assert!(store.room_created(id, "RM_1").await.unwrap());
    assert_eq!(store.forming_matches().await.unwrap(), []);
}

pub(crate) async fn a_decline_cancels_the_group_and_returns_the_others(store: SharedStore) {
    let (slots, id) = pair_and_two(&*store).await;
    // One of the others accepted, one did not answer; of the pair, one accepted.
    for n in [0, 2] {
        assert_eq!(
            store.accept(slots[n].0, true, at(11)).await.unwrap(),
            Accept::Accepted
        );
    }
    assert_eq!(
        store.accept(slots[1].0, false, at(12)).await.unwrap(),
        Accept::Declined
    );
    assert_eq!(
        statuses(&*store, &slots).await,
        [Cancelled, Cancelled, Queued, Queued]
    );
    for (n, (ticket, _)) in slots.iter().enumerate() {
        let ticket = store.ticket(*ticket).await.unwrap().unwrap();
        assert_eq!(ticket.changed_at, at(12));
        if n < 2 {
            assert_eq!((ticket.match_id, ticket.accepted), (Some(id), Some(n == 0)));
            assert!(!ticket.returned && ticket.reason.is_some());
        } else {
            returned(&ticket, at(12));
        }
    }
    let failed = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (failed.status, failed.ended_at),
        (MatchStatus::Failed, Some(at(12)))
    );
    assert!(failed.reason.is_some());
    assert_eq!(
        store.accept(slots[1].0, false, at(13)).await.unwrap(),
        Accept::Repeated
    );
    for ticket in [slots[1].0, slots[2].0] {
        assert_eq!(
            store.accept(ticket, true, at(13)).await.unwrap(),
            Accept::NotAccepting
        );
    }
    // Whoever declined is free.
    enqueue(&*store, slots[1].1, 14).await;
}

pub(crate) async fn a_match_lapses_where_somebody_does_not_answer(store: SharedStore) {
    let (slots, id) = pair_and_two(&*store).await;
    for n in [0, 2] {
        assert_eq!(
            store.accept(slots[n].0, true, at(11)).await.unwrap(),
            Accept::Accepted
        );
    }
    assert_eq!(store.lapse_acceptances(at(19)).await.unwrap(), 0);
    assert_eq!(statuses(&*store, &slots).await, [Accepting; 4]);
    assert_eq!(store.lapse_acceptances(at(20)).await.unwrap(), 1);
    assert_eq!(store.lapse_acceptances(at(20)).await.unwrap(), 0);
    // Of the pair, one was silent.
    assert_eq!(
        statuses(&*store, &slots).await,
        [TimedOut, TimedOut, Queued, TimedOut]
    );
    let timed_out = store.ticket(slots[0].0).await.unwrap().unwrap();
    assert!(timed_out.reason.is_some() && !timed_out.returned);
    returned(&store.ticket(slots[2].0).await.unwrap().unwrap(), at(20));
    let failed = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (failed.status, failed.ended_at),
        (MatchStatus::Failed, Some(at(20)))
    );
    let late = store.accept(slots[3].0, true, at(21)).await.unwrap();
    assert_eq!(late, Accept::NotAccepting);
    // Who was asked is not taken for silent in the queue.
    assert_eq!(store.expire_tickets(at(15), at(21)).await.unwrap(), 0);
    assert_eq!(store.forget_tickets(at(99), 9).await.unwrap(), 3);
}

pub(crate) async fn an_answer_stands(store: SharedStore) {
    let (slots, id) = pair_and_two(&*store).await;
    assert_eq!(
        store.accept(slots[0].0, true, at(11)).await.unwrap(),
        Accept::Accepted
    );
    let contrary = store.accept(slots[0].0, false, at(12)).await.unwrap();
    assert_eq!(contrary, Accept::Contradicts);
    assert_eq!(statuses(&*store, &slots).await, [Accepting; 4]);
    let asked = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(asked.status, MatchStatus::Accepting);

    let unknown = store.accept(Uuid::now_v7(), true, at(12)).await.unwrap();
    assert_eq!(unknown, Accept::NotFound);
    let stranger = player_named(&*store, "stranger").await;
    let queued = enqueue(&*store, stranger, 0).await;
    for answer in [true, false] {
        let refused = store.accept(queued, answer, at(12)).await.unwrap();
        assert_eq!(refused, Accept::NotAccepting);
    }
    assert_eq!(statuses(&*store, &[(queued, stranger)]).await, [Queued]);
}

pub(crate) async fn whoever_cancels_declines(store: SharedStore) {
    let (slots, _) = pair_and_two(&*store).await;
    // Also who accepted before.
    assert_eq!(
        store.accept(slots[0].0, true, at(11)).await.unwrap(),
        Accept::Accepted
    );
    let cancelled = store.cancel_ticket(slots[0].0, at(12)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    assert_eq!(
        statuses(&*store, &slots).await,
        [Cancelled, Cancelled, Queued, Queued]
    );
    returned(&store.ticket(slots[2].0).await.unwrap().unwrap(), at(12));
    // The returned one is in the queue like any other.
    let cancelled = store.cancel_ticket(slots[2].0, at(13)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    assert_eq!(statuses(&*store, &slots[2..]).await, [Cancelled, Queued]);
}

pub(crate) async fn whoever_is_banned_or_erased_declines(store: SharedStore) {
    let (slots, first) = pair_and_two(&*store).await;
    let ban = Ban {
        player_id: slots[1].1,
        reason: "flew".to_owned(),
        banned_at: at(12),
        until: None,
    };
    assert!(store.ban(ban).await.unwrap());
    assert_eq!(
        statuses(&*store, &slots).await,
        [Cancelled, Cancelled, Queued, Queued]
    );
    let second = asked_match(&*store, &slots[2..], 2).await;
    assert!(store.erase_player(slots[3].1, at(13)).await.unwrap());
    assert_eq!(statuses(&*store, &slots[2..3]).await, [Queued]);
    assert_eq!(store.ticket(slots[3].0).await.unwrap(), None);
    for id in [first, second] {
        let failed = store.match_by_id(id).await.unwrap().unwrap();
        assert_eq!(failed.status, MatchStatus::Failed);
    }
}

pub(crate) async fn a_returned_group_is_asked_anew(store: SharedStore) {
    let (slots, _) = pair_and_two(&*store).await;
    for n in [0, 1, 2] {
        assert_eq!(
            store.accept(slots[n].0, true, at(11)).await.unwrap(),
            Accept::Accepted
        );
    }
    assert_eq!(
        store.accept(slots[3].0, false, at(12)).await.unwrap(),
        Accept::Declined
    );
    assert_eq!(statuses(&*store, &slots[..3]).await, [Queued; 3]);
    let queued = store.queued_tickets("arena", 9).await.unwrap();
    assert!(queued.len() == 3 && queued.iter().all(|t| t.returned));

    let id = asked_match(&*store, &slots[..3], 2).await;
    for n in [0, 2] {
        assert_eq!(
            store.accept(slots[n].0, true, at(13)).await.unwrap(),
            Accept::Accepted
        );
    }
    let complete = store.accept(slots[1].0, true, at(14)).await.unwrap();
    assert_eq!(complete, Accept::Complete(id));
    // That it was returned once is still known, also of one that declines then.
    for (ticket, _) in &slots[..3] {
        assert!(store.ticket(*ticket).await.unwrap().unwrap().returned);
    }
    let moved = store.fail_match(id, None, "no authority", at(15)).await;
    assert!(moved.unwrap());
    assert_eq!(
        statuses(&*store, &slots[..3]).await,
        [TicketStatus::Failed; 3]
    );
}

pub(crate) async fn everybody_accepts_at_once(store: SharedStore) {
    let ids = players(&*store, 8).await;
    let mut slots = Vec::new();
    for &player in &ids {
        slots.push((enqueue(&*store, player, 0).await, player));
    }
    let id = asked_match(&*store, &slots, 1).await;
    // Each twice.
    let tasks: Vec<_> = slots
        .iter()
        .chain(&slots)
        .map(|&(ticket, _)| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(ticket, true, at(12)).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let count = |answer: Accept| answers.iter().filter(|a| **a == answer).count();
    assert_eq!(count(Accept::Complete(id)), 1, "{answers:?}");
    assert_eq!(count(Accept::Accepted), 7, "{answers:?}");
    assert_eq!(count(Accept::Repeated), 8, "{answers:?}");
    assert_eq!(statuses(&*store, &slots).await, [Placing; 8]);
}

pub(crate) async fn some_accept_while_one_declines(store: SharedStore) {
    let ids = players(&*store, 6).await;
    let mut slots = Vec::new();
    for &player in &ids {
        slots.push((enqueue(&*store, player, 0).await, player));
    }
    let id = asked_match(&*store, &slots, 1).await;
    let tasks: Vec<_> = slots
        .iter()
        .enumerate()
        .map(|(n, &(ticket, _))| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(ticket, n != 3, at(12)).await.unwrap() })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        let answer = task.await.unwrap();
        let fits = match n {
            3 => answer == Accept::Declined,
            _ => matches!(answer, Accept::Accepted | Accept::NotAccepting),
        };
        assert!(fits, "{n}: {answer:?}");
    }
    for (n, status) in statuses(&*store, &slots).await.into_iter().enumerate() {
        assert_eq!(status, if n == 3 { Cancelled } else { Queued });
    }
    let failed = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(failed.status, MatchStatus::Failed);
}

/// Two players in one group and two alone, who are asked to accept a match until second 20.
async fn pair_and_two(store: &dyn Store) -> (Vec<(Uuid, Uuid)>, Uuid) {
    let ids = players(store, 4).await;
    let mut slots = enqueue_group(store, new_group(&ids[..2], None, 0)).await;
    for &player in &ids[2..] {
        slots.push((enqueue(store, player, 0).await, player));
    }
    let id = asked_match(store, &slots, 1).await;
    (slots, id)
}

/// Another player.
async fn player_named(store: &dyn Store, name: &str) -> Uuid {
    let player = new_player(name);
    let id = player.id;
    store.create_player(player).await.unwrap();
    id
}

/// Whether a ticket waits as before.
fn returned(ticket: &Ticket, since: chrono::DateTime<chrono::Utc>) {
    assert_eq!(ticket.status, Queued);
    assert!(ticket.returned);
    assert_eq!(
        (ticket.match_id, ticket.accepted, &ticket.reason),
        (None, None, &None)
    );
    assert_eq!((ticket.queued_at, ticket.seen_at), (at(0), since));
}
