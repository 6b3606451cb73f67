use std::time::Duration;

use chrono::TimeDelta;
use gs_store::{
    ALL_TIME, BoardRule, CountsOn, FormMatch, Lease, MAX_BOARDS, MatchStatus, Outcome, StoreError,
    StoreOutcome, TicketStatus,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{
    SharedStore, TTL, at, counts_on, end, enqueue, formed_match, new_match, outcome, play, players,
    running_match,
};

pub(crate) async fn forming_a_match_takes_all_tickets_or_none(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let first = enqueue(&*store, ids[0], 0).await;
    let second = enqueue(&*store, ids[1], 0).await;
    let gone = enqueue(&*store, ids[2], 0).await;
    store.cancel_ticket(gone, at(1)).await.unwrap();

    let with_gone = new_match("arena-00000001", &[(first, ids[0]), (gone, ids[2])]);
    assert_eq!(
        store.form_match(with_gone).await.unwrap(),
        FormMatch::TicketsGone
    );
    let twice = new_match("arena-00000001", &[(first, ids[0]), (first, ids[0])]);
    assert_eq!(
        store.form_match(twice).await.unwrap(),
        FormMatch::TicketsGone
    );
    assert_eq!(
        store.ticket(first).await.unwrap().unwrap().status,
        TicketStatus::Queued
    );
    assert_eq!(store.match_by_room("arena-00000001").await.unwrap(), None);
    assert!(
        store
            .form_match(new_match("arena-00000001", &[]))
            .await
            .is_err()
    );

    let new = new_match("arena-00000001", &[(first, ids[0])]);
    assert_eq!(
        store.form_match(new.clone()).await.unwrap(),
        FormMatch::Formed
    );
    let formed = store
        .match_by_room("arena-00000001")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (formed.id, formed.status, formed.epoch),
        (new.id, MatchStatus::Forming, 0)
    );
    assert_eq!((formed.options, formed.teams), (new.options, 2));
    assert_eq!(
        (formed.authority_mode.as_str(), formed.rated),
        ("validated", true)
    );
    assert_eq!(formed.slots.len(), 1);
    assert_eq!(
        (formed.slots[0].player_id, formed.slots[0].slot),
        (ids[0], 0)
    );
    assert_eq!(
        (formed.slots[0].username.as_str(), formed.slots[0].team),
        ("player-0", Some(0))
    );
    let placing = store.ticket(first).await.unwrap().unwrap();
    assert_eq!(
        (placing.status, placing.match_id),
        (TicketStatus::Placing, Some(new.id))
    );

    let same_room = new_match("arena-00000001", &[(second, ids[1])]);
    assert_eq!(
        store.form_match(same_room).await.unwrap(),
        FormMatch::RoomTaken
    );
    assert_eq!(
        store.ticket(second).await.unwrap().unwrap().status,
        TicketStatus::Queued
    );
}

pub(crate) async fn concurrent_matches_never_share_a_ticket(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let slots = [
        (enqueue(&*store, ids[0], 0).await, ids[0]),
        (enqueue(&*store, ids[1], 0).await, ids[1]),
    ];
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (store, new) = (store.clone(), new_match(&format!("arena-{n:08x}"), &slots));
            tokio::spawn(async move { store.form_match(new).await.unwrap() })
        })
        .collect();
    let mut formed = 0;
    for task in tasks {
        formed += usize::from(task.await.unwrap() == FormMatch::Formed);
    }
    assert_eq!(formed, 1);
}

pub(crate) async fn a_match_is_claimed_only_once_its_room_exists(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let (id, _) = formed_match(&*store, &ids, 1).await;
    assert_eq!(store.claim_match("a", at(2), TTL).await.unwrap(), None);
    assert!(store.room_created(id, "RM_1").await.unwrap());
    assert!(!store.room_created(id, "RM_2").await.unwrap());

    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .claim_match(&format!("h{n}"), at(2), TTL)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut claims = Vec::new();
    for task in tasks {
        claims.extend(task.await.unwrap());
    }
    assert_eq!(claims.len(), 1);
    let details = &claims[0].details;
    assert_eq!((details.id, details.status), (id, MatchStatus::Open));
    assert_eq!(details.room_sid.as_deref(), Some("RM_1"));
    assert_eq!(
        details
            .slots
            .iter()
            .map(|s| s.player_id)
            .collect::<Vec<_>>(),
        ids
    );
    assert_eq!(store.match_by_id(id).await.unwrap().as_ref(), Some(details));
}

pub(crate) async fn a_lease_runs_out_and_its_epoch_grows(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    let half = Duration::from_millis(500);
    assert_eq!(
        store.renew_lease(id, 1, at(3), TTL).await.unwrap(),
        Lease::Held
    );
    let before_end = at(3) + TTL - TimeDelta::milliseconds(1);
    assert_eq!(store.claim_match("b", before_end, TTL).await.unwrap(), None);
    // It ran out, but nobody claimed it: its holder still has it.
    assert_eq!(
        store.renew_lease(id, 1, at(9), TTL).await.unwrap(),
        Lease::Held
    );

    let claim = store
        .claim_match("b", at(9) + TTL, half)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((claim.details.id, claim.epoch), (id, 2));
    assert_eq!(claim.details.status, MatchStatus::Running);
    assert_eq!(
        store.renew_lease(id, 1, at(11), TTL).await.unwrap(),
        Lease::Lost
    );
    assert_eq!(store.match_ready(id, 1, at(11)).await.unwrap(), Lease::Lost);
    assert_eq!(
        store.match_started(id, 1, at(11)).await.unwrap(),
        Lease::Lost
    );
    assert_eq!(store.release_lease(id, 1).await.unwrap(), Lease::Lost);
    assert_eq!(
        store.renew_lease(id, 2, at(11), TTL).await.unwrap(),
        Lease::Held
    );
    assert_eq!(
        store.match_started(id, 2, at(11)).await.unwrap(),
        Lease::Held
    );
    let resumed = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(resumed.started_at, Some(at(3)));
    assert_eq!(
        store
            .renew_lease(Uuid::now_v7(), 1, at(11), TTL)
            .await
            .unwrap(),
        Lease::Lost
    );
}

pub(crate) async fn a_holder_never_reclaims_its_own_lapsed_lease(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let id = running_match(&*store, &ids[..2], 1).await;
    // Its own that ran out does not hide another one, which is newer, either.
    assert_eq!(store.claim_match("a", at(60), TTL).await.unwrap(), None);
    let (free, _) = formed_match(&*store, &ids[2..], 2).await;
    store.room_created(free, "RM_2").await.unwrap();
    let claim = store.claim_match("a", at(60), TTL).await.unwrap().unwrap();
    assert_eq!((claim.details.id, claim.epoch), (free, 1));

    // Still the holder, as long as nobody else comes.
    let renewed = store.renew_lease(id, 1, at(61), TTL).await.unwrap();
    assert_eq!(renewed, Lease::Held);
    let claim = store.claim_match("b", at(99), TTL).await.unwrap().unwrap();
    assert_eq!((claim.details.id, claim.epoch), (id, 2));
    // Now it is another's, whose lease can run out for the first one.
    let claim = store.claim_match("a", at(200), TTL).await.unwrap().unwrap();
    assert_eq!((claim.details.id, claim.epoch), (id, 3));
}

pub(crate) async fn a_released_match_is_claimed_at_once(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    assert_eq!(store.release_lease(id, 1).await.unwrap(), Lease::Held);
    let claim = store.claim_match("b", at(2), TTL).await.unwrap().unwrap();
    assert_eq!((claim.details.id, claim.epoch), (id, 2));

    // Also by whoever gave it back.
    assert_eq!(store.release_lease(id, 2).await.unwrap(), Lease::Held);
    let claim = store.claim_match("b", at(2), TTL).await.unwrap().unwrap();
    assert_eq!((claim.details.id, claim.epoch), (id, 3));
}

pub(crate) async fn tickets_are_matched_when_the_authority_is_ready(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let (id, tickets) = formed_match(&*store, &ids, 1).await;
    store.room_created(id, "RM_1").await.unwrap();
    store.claim_match("a", at(2), TTL).await.unwrap().unwrap();
    assert_eq!(store.live_match_of(ids[0]).await.unwrap(), None);
    assert!(store.match_started(id, 1, at(3)).await.is_err());
    let untouched = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (untouched.status, untouched.started_at),
        (MatchStatus::Open, None)
    );

    assert_eq!(store.match_ready(id, 1, at(4)).await.unwrap(), Lease::Held);
    for ticket in tickets {
        let matched = store.ticket(ticket).await.unwrap().unwrap();
        assert_eq!(
            (matched.status, matched.changed_at),
            (TicketStatus::Matched, at(4))
        );
    }
    assert_eq!(store.match_ready(id, 1, at(5)).await.unwrap(), Lease::Held);
    let live = store.live_match_of(ids[1]).await.unwrap().unwrap();
    assert_eq!((live.id, live.ready_at), (id, Some(at(4))));
    assert!(store.overdue_matches(at(99)).await.unwrap().is_empty());
}

pub(crate) async fn a_match_that_is_not_ready_can_fail(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let (id, tickets) = formed_match(&*store, &ids[..2], 1).await;
    assert!(store.overdue_matches(at(1)).await.unwrap().is_empty());
    let overdue = store.overdue_matches(at(2)).await.unwrap();
    assert_eq!(overdue.iter().map(|m| m.id).collect::<Vec<_>>(), [id]);

    assert!(
        store
            .fail_match(id, None, "no authority", at(5))
            .await
            .unwrap()
    );
    assert!(!store.fail_match(id, None, "again", at(6)).await.unwrap());
    let failed = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (failed.status, failed.reason.as_deref()),
        (MatchStatus::Failed, Some("no authority"))
    );
    for ticket in tickets {
        let ticket = store.ticket(ticket).await.unwrap().unwrap();
        assert_eq!(ticket.status, TicketStatus::Failed);
        assert_eq!(ticket.reason.as_deref(), Some("no authority"));
    }
    assert!(!store.room_created(id, "RM_1").await.unwrap());
    assert_eq!(store.claim_match("a", at(9), TTL).await.unwrap(), None);
    let late = store
        .store_result(id, 0, outcome(&[1, 2]), at(9))
        .await
        .unwrap();
    assert_eq!(late, StoreOutcome::AlreadyStored);
    enqueue(&*store, ids[0], 9).await;

    let ready = running_match(&*store, &ids[2..], 2).await;
    assert!(
        !store
            .fail_match(ready, None, "too late", at(9))
            .await
            .unwrap()
    );
}

pub(crate) async fn a_stale_holder_cannot_fail_a_match(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let (id, tickets) = formed_match(&*store, &ids, 1).await;
    store.room_created(id, "RM_1").await.unwrap();
    store.claim_match("a", at(2), TTL).await.unwrap().unwrap();
    store.claim_match("b", at(9), TTL).await.unwrap().unwrap();
    let stale = store.fail_match(id, Some(1), "no module", at(9)).await;
    assert!(!stale.unwrap());
    let untouched = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (untouched.status, untouched.reason),
        (MatchStatus::Open, None)
    );
    let ticket = store.ticket(tickets[0]).await.unwrap().unwrap();
    assert_eq!(ticket.status, TicketStatus::Placing);

    let current = store.fail_match(id, Some(2), "no module", at(9)).await;
    assert!(current.unwrap());
    let failed = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(failed.status, MatchStatus::Failed);
}

pub(crate) async fn a_result_is_stored_once(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .store_result(id, 1, outcome(&[10, 5]), at(9))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match task.await.unwrap() {
            StoreOutcome::Stored => stored += 1,
            StoreOutcome::AlreadyStored => {}
            StoreOutcome::StaleEpoch => panic!("stale"),
        }
    }
    assert_eq!(stored, 1);

    let ended = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.outcome),
        (MatchStatus::Ended, Some(Outcome::Finished))
    );
    assert_eq!((ended.winner, ended.ticks), (Some(ids[0]), Some(300)));
    assert_eq!(
        (ended.started_at, ended.ended_at),
        (Some(at(3)), Some(at(8)))
    );
    for (slot, expected) in ended.slots.iter().zip(outcome(&[10, 5]).slots) {
        assert_eq!(slot.result.as_ref(), Some(&expected));
    }
    assert_eq!(store.live_match_of(ids[0]).await.unwrap(), None);
    assert_eq!(
        store.renew_lease(id, 1, at(9), TTL).await.unwrap(),
        Lease::Lost
    );
    assert_eq!(store.claim_match("b", at(99), TTL).await.unwrap(), None);
}

pub(crate) async fn a_stale_holder_stores_nothing(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    assert_eq!(
        store
            .claim_match("b", at(9), TTL)
            .await
            .unwrap()
            .unwrap()
            .epoch,
        2
    );
    let stale = store
        .store_result(id, 1, outcome(&[10, 5]), at(9))
        .await
        .unwrap();
    assert_eq!(stale, StoreOutcome::StaleEpoch);
    assert_eq!(
        store.match_by_id(id).await.unwrap().unwrap().status,
        MatchStatus::Running
    );
    let current = store
        .store_result(id, 2, outcome(&[1, 2]), at(9))
        .await
        .unwrap();
    assert_eq!(current, StoreOutcome::Stored);

    // Nor does it take the other's result for its own.
    let stale = store
        .store_result(id, 1, outcome(&[10, 5]), at(10))
        .await
        .unwrap();
    assert_eq!(stale, StoreOutcome::StaleEpoch);
    let again = store
        .store_result(id, 2, outcome(&[1, 2]), at(10))
        .await
        .unwrap();
    assert_eq!(again, StoreOutcome::AlreadyStored);
    let ended = store.match_by_id(id).await.unwrap().unwrap();
    for (slot, expected) in ended.slots.iter().zip(outcome(&[1, 2]).slots) {
        assert_eq!(slot.result.as_ref(), Some(&expected));
    }
}

pub(crate) async fn a_void_result_counts_for_nobody(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    let mut void = outcome(&[10, 5]);
    void.outcome = Outcome::Void;
    void.reason = Some("the module trapped".to_owned());
    assert_eq!(
        store.store_result(id, 1, void, at(9)).await.unwrap(),
        StoreOutcome::Stored
    );
    let ended = store.match_by_id(id).await.unwrap().unwrap();
    assert_eq!((ended.outcome, ended.winner), (Some(Outcome::Void), None));
    assert_eq!(ended.reason.as_deref(), Some("the module trapped"));
}

pub(crate) async fn a_draw_has_no_winner(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    let mut draw = outcome(&[7, 7]);
    draw.slots[1].placement = 1;
    store.store_result(id, 1, draw, at(9)).await.unwrap();
    assert_eq!(store.match_by_id(id).await.unwrap().unwrap().winner, None);
}

pub(crate) async fn a_malformed_result_changes_nothing(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let id = running_match(&*store, &ids, 1).await;
    let before = store.match_by_id(id).await.unwrap();
    let on_boards = |count: usize| {
        let mut result = outcome(&[1, 2]);
        let board = |n| CountsOn {
            board: format!("board-{n}"),
            ..counts_on(BoardRule::Sum)
        };
        result.boards = (0..count).map(board).collect();
        result
    };
    let mut slot_twice = outcome(&[1, 2]);
    slot_twice.slots[1].slot = 0;
    let mut board_twice = on_boards(2);
    board_twice.boards[1] = board_twice.boards[0].clone();
    for (id, bad) in [
        (id, outcome(&[1, 2, 3])),
        (id, slot_twice),
        (id, on_boards(MAX_BOARDS + 1)),
        (id, board_twice),
        (Uuid::now_v7(), outcome(&[1])),
    ] {
        let refused = store.store_result(id, 1, bad, at(9)).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
    }
    assert_eq!(store.match_by_id(id).await.unwrap(), before);
    assert!(
        store
            .statistics("arena", ids[0], at(0))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .seasons("arena", "board-0", 9)
            .await
            .unwrap()
            .is_empty()
    );
    end(&*store, id, on_boards(MAX_BOARDS)).await;
    assert_eq!(
        store.seasons("arena", "board-15", 9).await.unwrap(),
        [ALL_TIME]
    );
}

pub(crate) async fn details_are_kept_as_json(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let details = json!({"reports": [{"slot": 1, "hash": "\u{e9}\"\\"}, null], "x": 1.5, "n": -7});
    let mut result = outcome(&[10, 5]);
    result.details = Some(details.to_string());
    let id = play(&*store, &ids, 1, result).await;
    let stored = store.match_by_id(id).await.unwrap().unwrap();
    let kept: Value = serde_json::from_str(&stored.details.unwrap()).unwrap();
    assert_eq!(kept, details);
    let listed = store.matches_of(ids[0], None, 1).await.unwrap();
    let kept: Value = serde_json::from_str(listed[0].details.as_ref().unwrap()).unwrap();
    assert_eq!(kept, details);
}

pub(crate) async fn history_is_paged_newest_first(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let mut played = Vec::new();
    for number in 1..=5 {
        let id = running_match(&*store, &ids[..2], number).await;
        store
            .store_result(id, 1, outcome(&[1, 2]), at(9))
            .await
            .unwrap();
        played.insert(0, id);
    }
    running_match(&*store, &ids[..2], 6).await;

    let first = store.matches_of(ids[0], None, 3).await.unwrap();
    assert_eq!(first.iter().map(|m| m.id).collect::<Vec<_>>(), played[..3]);
    let rest = store.matches_of(ids[0], Some(played[2]), 3).await.unwrap();
    assert_eq!(rest.iter().map(|m| m.id).collect::<Vec<_>>(), played[3..]);
    assert!(store.matches_of(ids[2], None, 3).await.unwrap().is_empty());
}

pub(crate) async fn changes_are_announced(store: SharedStore) {
    let ids = players(&*store, 2).await;
    let mut changes = store.changes();
    let mut changed = async |what: &str| {
        tokio::time::timeout(Duration::from_secs(10), changes.changed())
            .await
            .unwrap_or_else(|_| panic!("{what} was not announced"))
            .unwrap();
        changes.borrow_and_update();
    };
    let (id, _) = formed_match(&*store, &ids, 1).await;
    changed("forming").await;
    store.room_created(id, "RM_1").await.unwrap();
    changed("the room").await;
    store.claim_match("a", at(2), TTL).await.unwrap().unwrap();
    changed("a claim").await;
    store.match_ready(id, 1, at(3)).await.unwrap();
    changed("being ready").await;
    store.match_started(id, 1, at(3)).await.unwrap();
    changed("the start").await;
    store
        .store_result(id, 1, outcome(&[1, 2]), at(9))
        .await
        .unwrap();
    changed("the result").await;

    // Nothing is announced where nothing changed.
    assert_eq!(store.release_lease(id, 1).await.unwrap(), Lease::Lost);
    assert!(!changes.has_changed().unwrap());
}
