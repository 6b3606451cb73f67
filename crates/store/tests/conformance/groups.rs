//! Players who queue together: whatever happens to one while they wait happens to all.

use std::collections::BTreeMap;

use gs_matchmaker::{AttributeValue, Rating};
use gs_store::{
    Ban, Cancel, Enqueue, FormMatch, MAX_PARTY, NewGroup, StoreError, Ticket, TicketStatus,
};
use uuid::Uuid;

use crate::world::{
    SharedStore, at, enqueue, enqueue_group, new_group, new_match, new_ticket, players, statuses,
};

pub(crate) async fn a_group_is_queued_whole_or_not_at_all(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let group = new_group(&ids[..3], None, 0);
    let Enqueue::Queued(tickets) = store.enqueue(group.clone()).await.unwrap() else {
        panic!("it was not queued");
    };
    for (ticket, asked) in tickets.iter().zip(&group.tickets) {
        assert_eq!(
            (ticket.id, ticket.player_id, ticket.group_id),
            (asked.id, asked.player_id, group.id)
        );
        assert_eq!(
            store.ticket(ticket.id).await.unwrap().as_ref(),
            Some(ticket)
        );
    }

    // The first in the order given who stands in the way, whatever the order of their ids.
    for order in [[3, 2, 4, 1], [1, 4, 2, 3]] {
        let members = order.map(|n| ids[n]);
        let refused = store.enqueue(new_group(&members, None, 1)).await.unwrap();
        let first = order.into_iter().find(|n| *n < 3).unwrap();
        let expected = Enqueue::AlreadyQueued {
            player_id: ids[first],
            ticket_id: group.tickets[first].id,
        };
        assert_eq!(refused, expected);
    }
    assert_eq!(store.queued_tickets("arena", 99).await.unwrap().len(), 3);
    assert_eq!(store.newest_ticket(ids[3]).await.unwrap(), None);
}

pub(crate) async fn a_group_that_cannot_be_stored_is_refused(store: SharedStore) {
    let ids = players(&*store, 3).await;
    store.erase_player(ids[2], at(0)).await.unwrap();
    let unknown = Uuid::now_v7();
    let number = |change: fn(&mut NewGroup)| {
        let mut new = new_group(&ids[..2], None, 1);
        change(&mut new);
        new
    };
    let many: Vec<Uuid> = (0..=MAX_PARTY).map(|_| Uuid::now_v7()).collect();
    for bad in [
        new_group(&[], None, 1),
        new_group(&many, None, 1),
        new_group(&[ids[0], ids[1], ids[0]], None, 1),
        new_group(&[ids[0], unknown], None, 1),
        new_group(&[ids[0], ids[2]], None, 1),
        number(|new| new.tickets[1].search.skill = f64::NAN),
        number(|new| new.tickets[0].search.rating.value = f64::INFINITY),
        number(|new| new.tickets[0].search.rating.uncertainty = f64::NEG_INFINITY),
        number(|new| {
            let level = AttributeValue::Number(f64::NAN);
            let attributes = &mut new.tickets[1].search.attributes;
            attributes.insert("level".to_owned(), level);
        }),
    ] {
        let refused = store.enqueue(bad.clone()).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?} of {bad:?}"
        );
    }
    assert_eq!(store.queued_tickets("arena", 99).await.unwrap(), []);
    enqueue_group(&*store, new_group(&ids[..2], None, 2)).await;
}

pub(crate) async fn what_a_group_is_matched_by_is_kept(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let mut new = new_group(&ids, None, 0);
    new.code = Some("tea \u{1f600}".to_owned());
    new.tickets[0].search.skill = -0.1;
    new.tickets[0].search.rating = Rating {
        value: 1_712.000_000_000_1,
        uncertainty: 61.3,
    };
    new.tickets[0].search.matches = u32::MAX;
    new.tickets[1].search.attributes = BTreeMap::from([
        (
            "maps".to_owned(),
            AttributeValue::Texts(vec!["dust".to_owned(), String::new()]),
        ),
        ("level".to_owned(), AttributeValue::Number(1e300)),
        (
            "language".to_owned(),
            AttributeValue::Text("de\"'\\".to_owned()),
        ),
    ]);
    new.tickets[1].search.latency_ms =
        BTreeMap::from([("eu".to_owned(), 12), ("us".to_owned(), 0)]);
    enqueue_group(&*store, new.clone()).await;
    let queued = store.queued_tickets("arena", 9).await.unwrap();
    for asked in &new.tickets {
        let ticket = queued.iter().find(|t| t.id == asked.id).unwrap();
        assert_eq!(ticket.search, asked.search);
        assert_eq!(ticket.code, new.code);
        assert_eq!(
            (ticket.returned, ticket.accepted, ticket.party_id),
            (false, None, None)
        );
    }
}

pub(crate) async fn a_group_leaves_the_queue_together(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let group = enqueue_group(&*store, new_group(&ids[..4], None, 0)).await;
    let alone = enqueue(&*store, ids[4], 0).await;
    let cancelled = store.cancel_ticket(group[2].0, at(3)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    assert_eq!(
        statuses(&*store, &group).await,
        [TicketStatus::Cancelled; 4]
    );
    let again = store.cancel_ticket(group[0].0, at(4)).await.unwrap();
    assert_eq!(again, Cancel::Cancelled);
    let ticket = store.ticket(group[0].0).await.unwrap().unwrap();
    assert_eq!(ticket.changed_at, at(3));
    let queued = store.queued_tickets("arena", 9).await.unwrap();
    assert_eq!(queued.iter().map(|t| t.id).collect::<Vec<_>>(), [alone]);
    // All are free again.
    enqueue_group(&*store, new_group(&ids[..4], None, 5)).await;
}

pub(crate) async fn a_group_with_a_silent_player_times_out(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let group = enqueue_group(&*store, new_group(&ids[..3], None, 0)).await;
    let other = enqueue_group(&*store, new_group(&ids[3..], None, 0)).await;
    for (ticket, _) in group[..2].iter().chain(&other) {
        store.touch_ticket(*ticket, at(50)).await.unwrap();
    }
    assert_eq!(store.expire_tickets(at(0), at(60)).await.unwrap(), 0);
    assert_eq!(store.expire_tickets(at(40), at(61)).await.unwrap(), 3);
    assert_eq!(statuses(&*store, &group).await, [TicketStatus::TimedOut; 3]);
    assert_eq!(statuses(&*store, &other).await, [TicketStatus::Queued; 2]);
    let reason = async |ticket: Uuid| store.ticket(ticket).await.unwrap().unwrap().reason.unwrap();
    assert_eq!(reason(group[0].0).await, reason(group[1].0).await);
    assert_ne!(reason(group[0].0).await, reason(group[2].0).await);
}

pub(crate) async fn groups_that_waited_too_long_time_out(store: SharedStore) {
    let ids = players(&*store, 7).await;
    let long = enqueue_group(&*store, new_group(&ids[..2], None, 10)).await;
    let short = enqueue_group(&*store, new_group(&ids[2..4], None, 11)).await;
    let mut other_mode = new_group(&ids[4..5], None, 10);
    other_mode.mode = "duel".to_owned();
    let other_mode = enqueue_group(&*store, other_mode).await;
    let mut other_game = new_group(&ids[5..6], None, 10);
    other_game.game = "zen".to_owned();
    let other_game = enqueue_group(&*store, other_game).await;
    let placed = enqueue_group(&*store, new_group(&ids[6..], None, 10)).await;
    let new = new_match("arena-00000001", &placed);
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);

    let time_out = async |before: i64| {
        let timed_out = store.time_out_tickets("arena", "default", at(before), "too long", at(20));
        timed_out.await.unwrap()
    };
    assert_eq!(time_out(10).await, 0);
    assert_eq!(time_out(11).await, 2);
    assert_eq!(time_out(11).await, 0);
    for (id, _) in &long {
        let ticket = store.ticket(*id).await.unwrap().unwrap();
        assert_eq!(ticket.status, TicketStatus::TimedOut);
        assert_eq!(
            (ticket.reason.as_deref(), ticket.changed_at),
            (Some("too long"), at(20))
        );
    }
    for waiting in [&short, &other_mode, &other_game] {
        assert!(
            statuses(&*store, waiting)
                .await
                .iter()
                .all(|s| *s == TicketStatus::Queued)
        );
    }
    assert_eq!(statuses(&*store, &placed).await, [TicketStatus::Placing]);
}

pub(crate) async fn a_match_takes_groups_whole(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let pair = enqueue_group(&*store, new_group(&ids[..2], None, 0)).await;
    let other = enqueue_group(&*store, new_group(&ids[2..], None, 0)).await;
    for torn in [
        vec![pair[0]],
        vec![pair[0], pair[1], other[1]],
        vec![pair[1], other[0]],
    ] {
        let new = new_match("arena-00000001", &torn);
        let id = new.id;
        assert_eq!(store.form_match(new).await.unwrap(), FormMatch::TicketsGone);
        assert_eq!(store.match_by_id(id).await.unwrap(), None);
    }
    // A ticket goes with its own player.
    let swapped = [(pair[0].0, pair[1].1), (pair[1].0, pair[0].1)];
    let new = new_match("arena-00000001", &swapped);
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::TicketsGone);
    let all: Vec<_> = [&pair[..], &other[..]].concat();
    assert_eq!(statuses(&*store, &all).await, [TicketStatus::Queued; 4]);

    // In any order.
    let mixed = [other[1], pair[0], other[0], pair[1]];
    let new = new_match("arena-00000001", &mixed);
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
    assert_eq!(statuses(&*store, &all).await, [TicketStatus::Placing; 4]);
    let cancelled = store.cancel_ticket(pair[0].0, at(3)).await.unwrap();
    assert_eq!(cancelled, Cancel::AlreadyMatched);
}

pub(crate) async fn a_queue_is_read_in_whole_groups(store: SharedStore) {
    let ids = players(&*store, 8).await;
    // All of one moment, so that only the groups keep their tickets together.
    for chunk in [&ids[..3], &ids[3..4], &ids[4..6], &ids[6..]] {
        enqueue_group(&*store, new_group(chunk, None, 5)).await;
    }
    let all = store.queued_tickets("arena", 8).await.unwrap();
    assert_eq!(all.len(), 8);
    let groups = |tickets: &[Ticket]| {
        let mut groups: Vec<Uuid> = tickets.iter().map(|t| t.group_id).collect();
        groups.dedup();
        groups
    };
    assert_eq!(groups(&all).len(), 4, "a group is not together");
    for limit in 0..10 {
        let read = store.queued_tickets("arena", limit).await.unwrap();
        assert!(read.len() <= limit as usize);
        assert_eq!(read, all[..read.len()]);
        let next = all[read.len()..]
            .chunk_by(|a, b| a.group_id == b.group_id)
            .next();
        let fits = next.is_some_and(|group| read.len() + group.len() <= limit as usize);
        assert!(!fits, "{limit}: the next group would fit");
        assert!(next.is_none_or(|next| !groups(&read).contains(&next[0].group_id)));
    }
}

pub(crate) async fn a_ban_takes_the_whole_group_out_of_the_queue(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let group = enqueue_group(&*store, new_group(&ids[..2], None, 0)).await;
    let other = enqueue_group(&*store, new_group(&ids[2..], None, 0)).await;
    let ban = Ban {
        player_id: ids[1],
        reason: "flew".to_owned(),
        banned_at: at(5),
        until: None,
    };
    assert!(store.ban(ban).await.unwrap());
    assert_eq!(
        statuses(&*store, &group).await,
        [TicketStatus::Cancelled; 2]
    );
    assert_eq!(statuses(&*store, &other).await, [TicketStatus::Queued]);
    let pair = enqueue_group(&*store, new_group(&[ids[0], ids[1]], None, 6)).await;
    assert!(store.erase_player(ids[1], at(7)).await.unwrap());
    assert_eq!(
        statuses(&*store, &pair[..1]).await,
        [TicketStatus::Cancelled]
    );
    assert_eq!(store.ticket(pair[1].0).await.unwrap(), None);
}

pub(crate) async fn tickets_are_recorded_in_the_order_of_queueing(store: SharedStore) {
    let ids = players(&*store, 6).await;
    let cancelled = enqueue(&*store, ids[0], 3).await;
    store.cancel_ticket(cancelled, at(4)).await.unwrap();
    let group = enqueue_group(&*store, new_group(&ids[1..4], None, 2)).await;
    let early = enqueue(&*store, ids[4], 1).await;
    let mut elsewhere = new_ticket(ids[5], 2);
    elsewhere.game = "zen".to_owned();
    store.enqueue(elsewhere).await.unwrap();
    let new = new_match("arena-00000001", &group);
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);

    let mut expected = vec![early];
    expected.extend(group.iter().map(|(ticket, _)| *ticket));
    expected[1..].sort();
    expected.push(cancelled);
    for limit in 1..7 {
        let mut read: Vec<Ticket> = Vec::new();
        loop {
            let after = read.last().map(|t| (t.queued_at, t.id));
            let page = store
                .recent_tickets("arena", at(1), after, limit)
                .await
                .unwrap();
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(
            read.iter().map(|t| t.id).collect::<Vec<_>>(),
            expected,
            "{limit}"
        );
        assert_eq!(read[4].status, TicketStatus::Cancelled);
    }
    let since = store.recent_tickets("arena", at(2), None, 9).await.unwrap();
    assert_eq!(
        since.iter().map(|t| t.id).collect::<Vec<_>>(),
        expected[1..]
    );
    // What comes after something from before is bounded all the same.
    let after = Some((at(0), early));
    let since = store
        .recent_tickets("arena", at(3), after, 9)
        .await
        .unwrap();
    assert_eq!(since.iter().map(|t| t.id).collect::<Vec<_>>(), [cancelled]);
    assert_eq!(
        store.recent_tickets("arena", at(4), None, 9).await.unwrap(),
        []
    );
}
