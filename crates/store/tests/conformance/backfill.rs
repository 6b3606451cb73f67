use std::collections::BTreeMap;

use gs_matchmaker::{AttributeValue, Rating};
use gs_store::{
    BoardRule, Cancel, Enqueue, FillSlot, Lease, Match, NewGroup, NewMatch, NewTicket, Search,
    Store, StoreError, StoreOutcome, TicketStatus, erased_name,
};
use uuid::Uuid;

use crate::world::{
    SharedStore, TTL, at, board_becomes, counts_on, default_board, end, enqueue, formed_match,
    new_ticket, players, running_match, running_match_with, solo,
};

pub(crate) async fn a_player_who_waits_takes_an_open_slot(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let id = running(&*store, &ids[..2], 2).await;
    assert!(store.openings("arena").await.unwrap().is_empty());
    assert_eq!(open(&*store, id, &[1], 4).await, Lease::Held);

    let found = matched(&*store, id).await;
    assert_eq!((found.open, found.substitutes.len()), (vec![1], 0));
    let openings = store.openings("arena").await.unwrap();
    assert_eq!(openings.len(), 1);
    let opening = &openings[0];
    assert_eq!((opening.match_id, opening.slot), (id, 1));
    assert_eq!((opening.team, opening.opened_at), (Some(1), at(4)));
    assert_eq!(opening.mode, "default");
    assert_eq!(opening.region.as_deref(), Some("eu"));
    let playing: Vec<_> = opening
        .players
        .iter()
        .map(|p| (p.player_id, p.team))
        .collect();
    assert_eq!(playing, [(ids[0], Some(0))]);
    assert!(store.openings("zen").await.unwrap().is_empty());
    // Whoever gave the slot up is not in the match any more.
    assert_eq!(live(&*store, ids[1]).await, None);
    assert_eq!(live(&*store, ids[0]).await, Some(id));

    let ticket = enqueue(&*store, ids[2], 5).await;
    let mut changes = store.changes();
    changes.mark_unchanged();
    assert_eq!(fill(&*store, id, 1, ticket).await, FillSlot::Filling);
    tokio::time::timeout(crate::world::PATIENCE, changes.changed())
        .await
        .unwrap()
        .unwrap();
    let placing = store.ticket(ticket).await.unwrap().unwrap();
    assert_eq!(placing.status, TicketStatus::Placing);
    assert_eq!((placing.match_id, placing.changed_at), (Some(id), at(6)));
    assert!(store.queued_tickets("arena", 9).await.unwrap().is_empty());
    assert!(store.openings("arena").await.unwrap().is_empty());
    let substitutes = store.substitutes(id).await.unwrap();
    assert_eq!(substitutes.len(), 1);
    let substitute = &substitutes[0];
    assert_eq!((substitute.slot, substitute.team), (1, Some(1)));
    assert_eq!(
        (substitute.player_id, substitute.username.as_str()),
        (ids[2], "player-2")
    );
    assert_eq!(
        (substitute.ticket_id, substitute.confirmed),
        (ticket, false)
    );
    assert_eq!(live(&*store, ids[2]).await, Some(id));

    for second in [7, 8] {
        let confirmed = store.slot_filled(id, 1, 1, ids[2], at(second)).await;
        assert_eq!(confirmed.unwrap(), Lease::Held);
    }
    let done = store.ticket(ticket).await.unwrap().unwrap();
    assert_eq!(
        (done.status, done.changed_at),
        (TicketStatus::Matched, at(7))
    );
    let found = matched(&*store, id).await;
    assert_eq!(found.substitutes, store.substitutes(id).await.unwrap());
    assert!(found.substitutes[0].confirmed);
    assert_eq!(found.slots[1].player_id, ids[1]);
    assert_eq!(found.slots[1].plays(), ids[2]);
    let named = Some((ids[2], "player-2".to_owned()));
    assert_eq!((&found.slots[1].substitute, &found.open), (&named, &vec![]));
    assert_eq!(found.plays(ids[2]), Some(1));
    assert_eq!(
        (found.plays(ids[1]), live(&*store, ids[1]).await),
        (None, None)
    );
    assert_eq!(live(&*store, ids[2]).await, Some(id));
    // Whoever left may queue again, and the substitute for another game.
    enqueue(&*store, ids[1], 9).await;
}

pub(crate) async fn only_who_runs_a_match_opens_its_slots(store: SharedStore) {
    let ids = players(&*store, 6).await;
    let id = running(&*store, &ids[..2], 2).await;
    let ticket = enqueue(&*store, ids[2], 4).await;
    for epoch in [0, 2] {
        let lease = store.open_slots(id, epoch, &[1], at(4)).await.unwrap();
        assert_eq!(lease, Lease::Lost);
    }
    assert!(store.openings("arena").await.unwrap().is_empty());
    assert_eq!(open(&*store, id, &[1], 4).await, Lease::Held);
    assert_eq!(fill(&*store, id, 1, ticket).await, FillSlot::Filling);
    let stale = store.slot_filled(id, 2, 1, ids[2], at(6)).await.unwrap();
    assert_eq!(stale, Lease::Lost);
    for (slot, player) in [(0, ids[2]), (1, ids[1]), (1, ids[3])] {
        let refused = store.slot_filled(id, 1, slot, player, at(6)).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
    }
    assert!(!store.substitutes(id).await.unwrap()[0].confirmed);

    let refused = store.open_slots(id, 1, &[2], at(4)).await;
    assert!(
        matches!(refused, Err(StoreError::Invalid(_))),
        "{refused:?}"
    );
    let other = running_match(&*store, &ids[3..5], 2).await;
    let refused = store.open_slots(other, 1, &[0], at(4)).await;
    assert!(
        matches!(refused, Err(StoreError::Invalid(_))),
        "{refused:?}"
    );
    let nobody = store.open_slots(Uuid::now_v7(), 1, &[0], at(4)).await;
    assert_eq!(nobody.unwrap(), Lease::Lost);
    end(&*store, id, solo(&[3, 1], 8, &[])).await;
    assert_eq!(open(&*store, id, &[0], 9).await, Lease::Lost);
    let late = store.slot_filled(id, 1, 1, ids[2], at(9)).await.unwrap();
    assert_eq!(late, Lease::Lost);
}

pub(crate) async fn a_match_that_is_not_ready_opens_nothing(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let mut slots = Vec::new();
    for &player in &ids {
        slots.push((enqueue(&*store, player, 0).await, player));
    }
    let mut new = crate::world::new_match("arena-1", &slots);
    takes_substitutes(2)(&mut new);
    let id = new.id;
    store.form_match(new).await.unwrap();
    assert!(store.room_created(id, "RM_1").await.unwrap());
    store.claim_match("a", at(2), TTL).await.unwrap().unwrap();
    let refused = store.open_slots(id, 1, &[0], at(3)).await;
    assert!(
        matches!(refused, Err(StoreError::Invalid(_))),
        "{refused:?}"
    );
    // The match is not held up by that.
    assert_eq!(store.match_ready(id, 1, at(3)).await.unwrap(), Lease::Held);
    assert_eq!(open(&*store, id, &[0], 3).await, Lease::Held);
}

pub(crate) async fn a_slot_is_given_once_and_to_who_fits(store: SharedStore) {
    let ids = players(&*store, 10).await;
    let id = running(&*store, &ids[..3], 3).await;
    open(&*store, id, &[1, 2], 4).await;
    let gone = enqueue(&*store, ids[3], 4).await;
    let cancelled = store.cancel_ticket(gone, at(5)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    let change = |player: Uuid, change: &dyn Fn(&mut NewGroup)| {
        let mut group = new_ticket(player, 4);
        change(&mut group);
        (store.clone(), group)
    };
    let queue = async |(store, group): (SharedStore, NewGroup)| -> Uuid {
        match store.enqueue(group).await.unwrap() {
            Enqueue::Queued(tickets) => tickets[0].id,
            other => panic!("{other:?}"),
        }
    };
    let elsewhere = queue(change(ids[4], &|g| g.mode = "duel".to_owned())).await;
    let another_game = queue(change(ids[4], &|g| g.game = "zen".to_owned())).await;
    let private = queue(change(ids[5], &|g| g.code = Some("friends".to_owned()))).await;
    let together = queue(change(ids[6], &|g| {
        g.id = Uuid::now_v7();
        g.tickets.push(NewTicket {
            id: Uuid::now_v7(),
            player_id: ids[7],
            search: Search::default(),
        });
    }))
    .await;
    let plays = enqueue(&*store, ids[0], 4).await;
    let unknown = Uuid::now_v7();
    for ticket in [
        gone,
        elsewhere,
        another_game,
        private,
        together,
        plays,
        unknown,
    ] {
        assert_eq!(fill(&*store, id, 1, ticket).await, FillSlot::TicketGone);
    }
    assert_eq!(store.openings("arena").await.unwrap().len(), 2);
    let fits = enqueue(&*store, ids[8], 4).await;
    for (found, slot) in [(id, 0), (id, 9), (Uuid::now_v7(), 1)] {
        assert_eq!(fill(&*store, found, slot, fits).await, FillSlot::SlotTaken);
    }
    assert_eq!(fill(&*store, id, 1, fits).await, FillSlot::Filling);
    assert_eq!(fill(&*store, id, 2, fits).await, FillSlot::TicketGone);
    let other = enqueue(&*store, ids[9], 4).await;
    assert_eq!(fill(&*store, id, 1, other).await, FillSlot::SlotTaken);
    // Whoever gave a slot up may come back, to another one too.
    let back = enqueue(&*store, ids[1], 5).await;
    assert_eq!(fill(&*store, id, 2, back).await, FillSlot::Filling);
    assert_eq!(matched(&*store, id).await.plays(ids[1]), Some(2));
    assert_eq!(live(&*store, ids[1]).await, Some(id));
    assert_eq!(live(&*store, ids[2]).await, None);
    let still = store.ticket(other).await.unwrap().unwrap();
    assert_eq!((still.status, still.match_id), (TicketStatus::Queued, None));
}

pub(crate) async fn only_who_leads_the_queue_fills_slots(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let id = running(&*store, &ids[..2], 2).await;
    open(&*store, id, &[1], 4).await;
    let ticket = enqueue(&*store, ids[2], 4).await;
    let old = store.lead_queue("arena", "a", at(1), TTL).await.unwrap();
    let new = store.lead_queue("arena", "b", at(4), TTL).await.unwrap();
    assert!(new > old && old.is_some());
    let refused = store.fill_slot(id, 1, ticket, old, at(5)).await.unwrap();
    assert_eq!(refused, FillSlot::NotLeading);
    assert_eq!(store.openings("arena").await.unwrap().len(), 1);
    let filled = store.fill_slot(id, 1, ticket, new, at(5)).await.unwrap();
    assert_eq!(filled, FillSlot::Filling);
}

pub(crate) async fn substitutes_leave_stay_or_go_back_as_slots_are_opened(store: SharedStore) {
    let ids = players(&*store, 8).await;
    let id = running(&*store, &ids[..4], 4).await;
    open(&*store, id, &[0, 1, 2], 4).await;
    let mut tickets = Vec::new();
    for slot in 0..3 {
        let player = ids[4 + usize::from(slot)];
        tickets.push(enqueue(&*store, player, 4 + i64::from(slot)).await);
        let filled = fill(&*store, id, slot, tickets[usize::from(slot)]).await;
        assert_eq!(filled, FillSlot::Filling);
    }
    let known = store.slot_filled(id, 1, 0, ids[4], at(6)).await.unwrap();
    assert_eq!(known, Lease::Held);
    // The first left, the second is on the way and stays, the third comes no more.
    assert_eq!(open(&*store, id, &[0, 1, 3], 20).await, Lease::Held);

    let openings = store.openings("arena").await.unwrap();
    let slots: Vec<_> = openings.iter().map(|o| (o.slot, o.opened_at)).collect();
    assert_eq!(slots, [(0, at(20)), (3, at(20))]);
    let playing: Vec<Uuid> = openings[0].players.iter().map(|p| p.player_id).collect();
    assert_eq!(playing, [ids[5], ids[2]]);
    let left: Vec<u8> = store
        .substitutes(id)
        .await
        .unwrap()
        .iter()
        .map(|s| s.slot)
        .collect();
    assert_eq!(left, [1]);
    assert_eq!(status(&*store, tickets[0]).await, TicketStatus::Matched);
    assert_eq!(status(&*store, tickets[1]).await, TicketStatus::Placing);
    let back = store.ticket(tickets[2]).await.unwrap().unwrap();
    assert_eq!((back.status, back.match_id), (TicketStatus::Queued, None));
    assert!(back.returned);
    assert_eq!((back.queued_at, back.changed_at), (at(6), at(20)));
    // As if they had asked just now: they are told before they are taken for gone.
    assert_eq!(back.seen_at, at(20));
    assert_eq!(store.expire_tickets(at(15), at(21)).await.unwrap(), 0);
    let queued = store.queued_tickets("arena", 9).await.unwrap();
    assert_eq!(
        queued.iter().map(|t| t.id).collect::<Vec<_>>(),
        [tickets[2]]
    );
    assert_eq!(live(&*store, ids[4]).await, None);
    assert_eq!(live(&*store, ids[5]).await, Some(id));
    assert_eq!(live(&*store, ids[6]).await, None);
    assert_eq!(live(&*store, ids[2]).await, Some(id));

    // Said again, nothing changes, since when a slot is open neither.
    assert_eq!(open(&*store, id, &[3, 1, 0, 0], 25).await, Lease::Held);
    assert_eq!(store.openings("arena").await.unwrap(), openings);
    // The player of a slot that is closed again is back.
    assert_eq!(open(&*store, id, &[0, 1], 26).await, Lease::Held);
    assert_eq!(live(&*store, ids[3]).await, Some(id));
    let again = enqueue(&*store, ids[7], 27).await;
    assert_eq!(fill(&*store, id, 0, again).await, FillSlot::Filling);
    let found = matched(&*store, id).await;
    assert_eq!(found.slots[0].plays(), ids[7]);
    let result = solo(&[4, 3, 2, 1], 30, &[]);
    end(&*store, id, result).await;
    // All who were in it have it in their history, and those who never came have not.
    for (player, known) in ids.iter().zip([1, 1, 1, 1, 1, 0, 0, 0]) {
        let history = store.matches_of(*player, None, 9).await.unwrap();
        assert_eq!(history.len(), known, "{player}");
    }
}

pub(crate) async fn substitutes_on_their_way_go_back_when_the_match_ends(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let id = running(&*store, &ids[..3], 3).await;
    open(&*store, id, &[0, 1, 2], 4).await;
    let [stays, comes] = [
        enqueue(&*store, ids[3], 4).await,
        enqueue(&*store, ids[4], 5).await,
    ];
    fill(&*store, id, 0, stays).await;
    fill(&*store, id, 1, comes).await;
    store.slot_filled(id, 1, 0, ids[3], at(6)).await.unwrap();
    let result = solo(&[9, 5, 1], 30, &[counts_on(BoardRule::Best)]);
    end(&*store, id, result).await;

    let back = store.ticket(comes).await.unwrap().unwrap();
    assert_eq!((back.status, back.match_id), (TicketStatus::Queued, None));
    assert!(back.returned && back.reason.is_none());
    assert_eq!((back.queued_at, back.seen_at), (at(5), at(30)));
    assert_eq!(status(&*store, stays).await, TicketStatus::Matched);
    assert!(store.openings("arena").await.unwrap().is_empty());
    let found = matched(&*store, id).await;
    assert!(found.open.is_empty());
    let kept: Vec<_> = found
        .substitutes
        .iter()
        .map(|s| (s.slot, s.player_id))
        .collect();
    assert_eq!(kept, [(0, ids[3])]);
    // Nobody was in the second slot but who was matched into it.
    let entries = [(ids[1], 5, 30), (ids[2], 1, 30)];
    board_becomes(&*store, &default_board(), &entries).await;
    // The ticket is as good as any.
    let next = formed_match(&*store, &ids[..1], 9).await;
    assert!(
        store
            .fail_match(next.0, None, "over", at(31))
            .await
            .unwrap()
    );
    assert_eq!(fill(&*store, id, 1, comes).await, FillSlot::SlotTaken);
    let cancelled = store.cancel_ticket(comes, at(32)).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
}

pub(crate) async fn a_filled_slot_counts_for_whoever_was_matched_into_it(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let id = running(&*store, &ids[..2], 2).await;
    for (number, player) in [ids[2], ids[3]].into_iter().enumerate() {
        open(&*store, id, &[0], 4).await;
        let ticket = enqueue(&*store, player, 4).await;
        assert_eq!(fill(&*store, id, 0, ticket).await, FillSlot::Filling);
        let known = store
            .slot_filled(id, 1, 0, player, at(5 + number as i64))
            .await;
        assert_eq!(known.unwrap(), Lease::Held);
    }
    let result = solo(&[9, 5], 8, &[counts_on(BoardRule::Best)]);
    end(&*store, id, result.clone()).await;
    let repeated = store.store_result(id, 1, result, at(9)).await.unwrap();
    assert_eq!(repeated, StoreOutcome::AlreadyStored);

    let first = sums(&*store, ids[0]).await;
    assert_eq!((first.matches, first.wins), (1, 1));
    assert_eq!((first.best_score, first.total_score), (None, 0));
    assert!(first.statistics.is_empty());
    assert!(first.rating.value > Rating::default().value);
    let second = sums(&*store, ids[1]).await;
    assert_eq!((second.matches, second.losses), (1, 1));
    assert_eq!((second.best_score, second.total_score), (Some(5), 5));
    board_becomes(&*store, &default_board(), &[(ids[1], 5, 8)]).await;
    let found = matched(&*store, id).await;
    assert_eq!(found.winner, Some(ids[0]));
    assert_eq!(found.slots[0].plays(), ids[3]);
    let kept = found.slots[0].result.clone().unwrap();
    assert_eq!((kept.score, kept.placement), (9, 1));
    let (before, after) = found.slots[0].rating.unwrap();
    assert_eq!(before, Rating::default());
    assert!((after.value - first.rating.value).abs() < 1e-6);
    for player in &ids[2..] {
        let nothing = store.statistics("arena", *player, at(9)).await.unwrap();
        assert!(nothing.is_empty());
        let ratings = store.rating_history("arena", "default", *player, None, 9);
        assert!(ratings.await.unwrap().is_empty());
        let history = store.matches_of(*player, None, 9).await.unwrap();
        assert_eq!(history, std::slice::from_ref(&found));
        assert_eq!(live(&*store, *player).await, None);
    }
    // Their tickets are forgotten, as others are.
    let forgotten = store.forget_tickets(at(1000), 99).await.unwrap();
    assert_eq!(forgotten, 4);
}

pub(crate) async fn a_slot_that_was_free_counts_for_nobody(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let id = running(&*store, &ids[..3], 5).await;
    assert_eq!(open(&*store, id, &[3, 4], 4).await, Lease::Held);
    let openings = store.openings("arena").await.unwrap();
    let teams: Vec<_> = openings.iter().map(|o| (o.slot, o.team)).collect();
    assert_eq!(teams, [(3, Some(1)), (4, Some(0))]);
    let mut group = new_ticket(ids[3], 4);
    let dust = AttributeValue::Text("dust".to_owned());
    let attributes = BTreeMap::from([("map".to_owned(), dust)]);
    group.tickets[0].search.attributes = attributes.clone();
    let Enqueue::Queued(tickets) = store.enqueue(group).await.unwrap() else {
        panic!("the player cannot queue");
    };
    assert_eq!(fill(&*store, id, 3, tickets[0].id).await, FillSlot::Filling);
    let openings = store.openings("arena").await.unwrap();
    assert_eq!(openings.len(), 1);
    let newcomer = openings[0].players.iter().find(|p| p.player_id == ids[3]);
    let newcomer = newcomer.unwrap();
    assert_eq!(
        (newcomer.team, &newcomer.attributes),
        (Some(1), &attributes)
    );
    store.slot_filled(id, 1, 3, ids[3], at(6)).await.unwrap();
    let found = matched(&*store, id).await;
    assert_eq!((found.capacity, found.slots.len()), (5, 3));
    assert_eq!(found.plays(ids[3]), Some(3));
    assert_eq!(live(&*store, ids[3]).await, Some(id));

    let mut result = solo(&[1, 2, 3, 9], 8, &[counts_on(BoardRule::Best)]);
    let mut beyond = result.clone();
    beyond.slots[3].slot = 5;
    let refused = store.store_result(id, 1, beyond, at(8)).await;
    assert!(
        matches!(refused, Err(StoreError::Invalid(_))),
        "{refused:?}"
    );
    assert_eq!(matched(&*store, id).await, found);
    result.slots[3].statistics.clear();
    end(&*store, id, result).await;
    let found = matched(&*store, id).await;
    assert_eq!((found.winner, found.slots.len()), (None, 3));
    for player in &ids[..3] {
        let own = sums(&*store, *player).await;
        assert_eq!((own.matches, own.losses), (1, 1));
    }
    let nothing = store.statistics("arena", ids[3], at(9)).await.unwrap();
    assert!(nothing.is_empty());
    let entries = [(ids[0], 1, 8), (ids[1], 2, 8), (ids[2], 3, 8)];
    board_becomes(&*store, &default_board(), &entries).await;
    let history = store.matches_of(ids[3], None, 9).await.unwrap();
    assert_eq!(history, [found]);
}

pub(crate) async fn a_later_holder_takes_the_substitutes_over(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let id = running(&*store, &ids[..3], 3).await;
    open(&*store, id, &[0, 1, 2], 4).await;
    let [known, comes] = [
        enqueue(&*store, ids[3], 4).await,
        enqueue(&*store, ids[4], 5).await,
    ];
    fill(&*store, id, 0, known).await;
    store.slot_filled(id, 1, 0, ids[3], at(6)).await.unwrap();
    fill(&*store, id, 1, comes).await;
    store.release_lease(id, 1).await.unwrap();
    let claim = store.claim_match("b", at(7), TTL).await.unwrap().unwrap();
    assert_eq!((claim.epoch, claim.details.open), (2, vec![2]));
    let told: Vec<_> = claim
        .details
        .substitutes
        .iter()
        .map(|s| (s.slot, s.player_id, s.confirmed))
        .collect();
    assert_eq!(told, [(0, ids[3], true), (1, ids[4], false)]);
    // Its being ready says nothing of those whom it does not know of.
    assert_eq!(store.match_ready(id, 2, at(8)).await.unwrap(), Lease::Held);
    assert_eq!(status(&*store, comes).await, TicketStatus::Placing);
    let old = store.slot_filled(id, 1, 1, ids[4], at(8)).await.unwrap();
    assert_eq!(old, Lease::Lost);
    assert_eq!(status(&*store, comes).await, TicketStatus::Placing);
    let new = store.slot_filled(id, 2, 1, ids[4], at(9)).await.unwrap();
    assert_eq!(new, Lease::Held);
    assert_eq!(status(&*store, comes).await, TicketStatus::Matched);
    let stale = store
        .store_result(id, 1, solo(&[3, 2, 1], 9, &[]), at(9))
        .await;
    assert_eq!(stale.unwrap(), StoreOutcome::StaleEpoch);
    assert_eq!(matched(&*store, id).await.open, [2]);
}

pub(crate) async fn substitutes_are_erased_as_others_are(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let id = running(&*store, &ids[..3], 3).await;
    open(&*store, id, &[0, 1, 2], 4).await;
    let mut tickets = Vec::new();
    for (slot, player) in [(0, ids[3]), (1, ids[4])] {
        let ticket = enqueue(&*store, player, 4).await;
        assert_eq!(fill(&*store, id, slot, ticket).await, FillSlot::Filling);
        tickets.push(ticket);
    }
    store.slot_filled(id, 1, 0, ids[3], at(6)).await.unwrap();
    let data = store.account_data(ids[3]).await.unwrap().unwrap();
    assert_eq!(data.tickets.len(), 1);
    assert_eq!(data.tickets[0].match_id, Some(id));
    // One who has come, and one who is on the way.
    for player in &ids[3..] {
        assert!(store.erase_player(*player, at(7)).await.unwrap());
    }
    let names: Vec<String> = store
        .substitutes(id)
        .await
        .unwrap()
        .into_iter()
        .map(|s| s.username)
        .collect();
    assert_eq!(names, [erased_name(ids[3]), erased_name(ids[4])]);
    for ticket in tickets {
        assert_eq!(store.ticket(ticket).await.unwrap(), None);
    }
    // The room finds out that nobody comes.
    let known = store.slot_filled(id, 1, 1, ids[4], at(8)).await.unwrap();
    assert_eq!(known, Lease::Held);
    assert_eq!(open(&*store, id, &[1, 2], 9).await, Lease::Held);
    assert_eq!(store.openings("arena").await.unwrap().len(), 2);
    end(&*store, id, solo(&[9, 5, 1], 10, &[])).await;
    assert_eq!(matched(&*store, id).await.slots[0].plays(), ids[3]);
    let left = store.account_data(ids[4]).await.unwrap().unwrap();
    assert!(left.tickets.is_empty() && left.statistics.is_empty());
}

/// A match of these players that takes substitutes and has this many slots, running under epoch 1.
async fn running(store: &dyn Store, players: &[Uuid], capacity: u8) -> Uuid {
    running_match_with(store, players, 1, takes_substitutes(capacity)).await
}

fn takes_substitutes(capacity: u8) -> impl Fn(&mut NewMatch) {
    move |new| {
        new.backfill = true;
        new.capacity = capacity;
        new.region = Some("eu".to_owned());
    }
}

async fn open(store: &dyn Store, id: Uuid, slots: &[u8], second: i64) -> Lease {
    store.open_slots(id, 1, slots, at(second)).await.unwrap()
}

async fn fill(store: &dyn Store, id: Uuid, slot: u8, ticket: Uuid) -> FillSlot {
    let filled = store.fill_slot(id, slot, ticket, None, at(6)).await;
    filled.unwrap()
}

async fn matched(store: &dyn Store, id: Uuid) -> Match {
    store.match_by_id(id).await.unwrap().unwrap()
}

async fn live(store: &dyn Store, player: Uuid) -> Option<Uuid> {
    let live = store.live_match_of(player).await.unwrap();
    live.map(|found| found.id)
}

async fn status(store: &dyn Store, ticket: Uuid) -> TicketStatus {
    store.ticket(ticket).await.unwrap().unwrap().status
}

async fn sums(store: &dyn Store, player: Uuid) -> gs_store::PlayerStatistics {
    let mut modes = store.statistics("arena", player, at(8)).await.unwrap();
    assert_eq!(modes.len(), 1);
    modes.remove(0).1
}
