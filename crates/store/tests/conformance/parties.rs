//! Players who gather to queue together.

use std::collections::BTreeSet;

use gs_store::{
    Accept, Ban, CreateParty, Enqueue, FormMatch, JoinParty, LeaveParty, MAX_PARTY, NewParty,
    Party, Store, StoreError, TicketStatus,
};
use uuid::Uuid;

use crate::world::{
    SharedStore, asked_match, at, enqueue, enqueue_group, new_group, new_match, players, statuses,
};

pub(crate) async fn players_join_and_leave_a_party(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let party = create(&*store, "TEA", ids[2]).await;
    assert_eq!((party.leader, party.code.as_str()), (ids[2], "TEA"));
    assert_eq!(party.created_at, at(0));
    assert_eq!(members(&party), [ids[2]]);
    assert_eq!(party.members[0].username, "player-2");

    // In the order of joining.
    for (n, player) in [ids[3], ids[0], ids[1]].into_iter().enumerate() {
        let joined = store.join_party("TEA", player, at(1 + n as i64)).await;
        let JoinParty::Joined(party) = joined.unwrap() else {
            panic!("{player} did not join");
        };
        assert_eq!(party.members.len(), n + 2);
    }
    let whole = store.party(party.id).await.unwrap().unwrap();
    assert_eq!(members(&whole), [ids[2], ids[3], ids[0], ids[1]]);
    let again = store.join_party("TEA", ids[3], at(9)).await.unwrap();
    assert_eq!(again, JoinParty::Joined(whole.clone()));
    for player in &ids {
        assert_eq!(
            store.party_of(*player).await.unwrap().as_ref(),
            Some(&whole)
        );
    }

    // Who leads leads on while others leave; then whoever joined first of those who are left.
    let leave = async |player: Uuid| store.leave_party(party.id, player, at(10)).await.unwrap();
    for (player, leader, left) in [
        (ids[0], ids[2], vec![ids[2], ids[3], ids[1]]),
        (ids[2], ids[3], vec![ids[3], ids[1]]),
        (ids[3], ids[1], vec![ids[1]]),
    ] {
        let LeaveParty::Left(Some(rest)) = leave(player).await else {
            panic!("{player} did not leave");
        };
        assert_eq!((rest.leader, members(&rest)), (leader, left));
        assert_eq!(leave(player).await, LeaveParty::NotThere);
        assert_eq!(store.party_of(player).await.unwrap(), None);
    }
    assert_eq!(leave(ids[1]).await, LeaveParty::Left(None));
    assert_eq!(leave(ids[1]).await, LeaveParty::NotThere);
    assert_eq!(store.party(party.id).await.unwrap(), None);
    let late = store.join_party("TEA", ids[0], at(11)).await.unwrap();
    assert_eq!(late, JoinParty::NoSuchCode);
    // The code is free again.
    create(&*store, "TEA", ids[0]).await;
}

pub(crate) async fn a_party_has_a_code_and_room_of_its_own(store: SharedStore) {
    let ids = players(&*store, MAX_PARTY + 3).await;
    let first = create(&*store, "ONE", ids[0]).await;
    let taken = store.create_party(new_party("ONE", ids[1])).await.unwrap();
    assert_eq!(taken, CreateParty::CodeTaken);
    let second = create(&*store, "TWO", ids[1]).await;
    let in_one = store.create_party(new_party("NEW", ids[0])).await.unwrap();
    assert_eq!(in_one, CreateParty::AlreadyIn(first.id));
    let in_one = store.join_party("TWO", ids[0], at(1)).await.unwrap();
    assert_eq!(in_one, JoinParty::AlreadyIn(first.id));
    let nowhere = store.leave_party(second.id, ids[0], at(1)).await.unwrap();
    assert_eq!(nowhere, LeaveParty::NotThere);
    let nowhere = store.leave_party(Uuid::now_v7(), ids[0], at(1)).await;
    assert_eq!(nowhere.unwrap(), LeaveParty::NotThere);

    for player in &ids[2..=MAX_PARTY] {
        let joined = store.join_party("TWO", *player, at(2)).await.unwrap();
        assert!(matches!(joined, JoinParty::Joined(_)), "{joined:?}");
    }
    let full = store.join_party("TWO", ids[MAX_PARTY + 1], at(2)).await;
    assert_eq!(full.unwrap(), JoinParty::Full);
    let unknown = Uuid::now_v7();
    store.erase_player(ids[MAX_PARTY + 2], at(2)).await.unwrap();
    for nobody in [unknown, ids[MAX_PARTY + 2]] {
        let created = store.create_party(new_party("NEW", nobody)).await;
        assert!(
            matches!(created, Err(StoreError::Invalid(_))),
            "{created:?}"
        );
        let joined = store.join_party("ONE", nobody, at(2)).await;
        assert!(matches!(joined, Err(StoreError::Invalid(_))), "{joined:?}");
        assert_eq!(store.party_of(nobody).await.unwrap(), None);
    }
    assert_eq!(store.party(unknown).await.unwrap(), None);
}

pub(crate) async fn a_party_queues_whole(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let party = gather(&*store, "TEA", &ids[..3]).await;
    let enqueue = async |members: &[Uuid], party: Uuid| {
        let group = new_group(members, Some(party), 5);
        store.enqueue(group).await.unwrap()
    };
    for wrong in [&ids[..2], &ids[..4], &ids[1..4], &ids[..1]] {
        assert_eq!(enqueue(wrong, party.id).await, Enqueue::PartyChanged);
    }
    assert_eq!(
        enqueue(&ids[..3], Uuid::now_v7()).await,
        Enqueue::PartyChanged
    );
    assert_eq!(store.queued_tickets("arena", 9).await.unwrap(), []);
    // In any order.
    let Enqueue::Queued(tickets) = enqueue(&[ids[1], ids[0], ids[2]], party.id).await else {
        panic!("it was not queued");
    };
    assert!(tickets.iter().all(|t| t.party_id == Some(party.id)));
    let again = enqueue(&ids[..3], party.id).await;
    assert!(matches!(again, Enqueue::AlreadyQueued { .. }), "{again:?}");

    let small = gather(&*store, "TWO", &ids[3..]).await;
    store.leave_party(small.id, ids[4], at(6)).await.unwrap();
    assert_eq!(enqueue(&ids[3..], small.id).await, Enqueue::PartyChanged);
}

pub(crate) async fn whoever_leaves_or_joins_ends_the_wait_and_not_the_party(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let party = gather(&*store, "TEA", &ids[..3]).await;
    // For two games at once.
    let arena = enqueue_group(&*store, new_group(&ids[..3], Some(party.id), 5)).await;
    let mut zen = new_group(&ids[..3], Some(party.id), 5);
    zen.game = "zen".to_owned();
    let zen = enqueue_group(&*store, zen).await;
    let alone = enqueue(&*store, ids[4], 5).await;

    let left = store.leave_party(party.id, ids[1], at(7)).await.unwrap();
    assert!(matches!(left, LeaveParty::Left(Some(_))), "{left:?}");
    for tickets in [&arena, &zen] {
        assert_eq!(
            statuses(&*store, tickets).await,
            [TicketStatus::Cancelled; 3]
        );
        let ticket = store.ticket(tickets[0].0).await.unwrap().unwrap();
        assert!(ticket.reason.is_some() && ticket.changed_at == at(7));
    }
    let rest = [ids[0], ids[2]];
    let two = enqueue_group(&*store, new_group(&rest, Some(party.id), 8)).await;
    let joined = store.join_party("TEA", ids[3], at(9)).await.unwrap();
    assert!(matches!(joined, JoinParty::Joined(_)), "{joined:?}");
    assert_eq!(statuses(&*store, &two).await, [TicketStatus::Cancelled; 2]);

    // What a member waits for alone goes on, and so does what strangers wait for.
    let own = enqueue(&*store, ids[0], 10).await;
    store.leave_party(party.id, ids[0], at(11)).await.unwrap();
    let going_on = [(own, ids[0]), (alone, ids[4])];
    assert_eq!(
        statuses(&*store, &going_on).await,
        [TicketStatus::Queued; 2]
    );
    let rest = store.party(party.id).await.unwrap().unwrap();
    assert_eq!(
        (rest.leader, members(&rest)),
        (ids[2], vec![ids[2], ids[3]])
    );
}

pub(crate) async fn whoever_leaves_while_asked_declines(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let party = gather(&*store, "TEA", &ids[..2]).await;
    let mut slots = enqueue_group(&*store, new_group(&ids[..2], Some(party.id), 0)).await;
    for &player in &ids[2..] {
        slots.push((enqueue(&*store, player, 0).await, player));
    }
    asked_match(&*store, &slots, 1).await;
    assert_eq!(
        store.accept(slots[0].0, true, at(5)).await.unwrap(),
        Accept::Accepted
    );
    store.leave_party(party.id, ids[0], at(6)).await.unwrap();
    use TicketStatus::{Cancelled, Queued};
    assert_eq!(
        statuses(&*store, &slots).await,
        [Cancelled, Cancelled, Queued, Queued]
    );
    let ticket = store.ticket(slots[1].0).await.unwrap().unwrap();
    assert!(ticket.reason.is_some() && !ticket.returned);
    let returned = store.ticket(slots[2].0).await.unwrap().unwrap();
    assert!(returned.returned && returned.reason.is_none());
}

pub(crate) async fn a_match_that_is_made_outlasts_its_party(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let party = gather(&*store, "TEA", &ids[..2]).await;
    let slots = enqueue_group(&*store, new_group(&ids[..2], Some(party.id), 0)).await;
    let new = new_match("arena-00000001", &slots);
    let id = new.id;
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
    store.join_party("TEA", ids[2], at(2)).await.unwrap();
    for player in &ids {
        store.leave_party(party.id, *player, at(2)).await.unwrap();
    }
    assert_eq!(store.party(party.id).await.unwrap(), None);
    assert_eq!(statuses(&*store, &slots).await, [TicketStatus::Placing; 2]);
    assert!(store.room_created(id, "RM_1").await.unwrap());
}

pub(crate) async fn banned_and_erased_players_leave_their_parties(store: SharedStore) {
    let ids = players(&*store, 4).await;
    let party = gather(&*store, "TEA", &ids).await;
    let slots = enqueue_group(&*store, new_group(&ids, Some(party.id), 0)).await;
    let ban = Ban {
        player_id: ids[0],
        reason: "flew".to_owned(),
        banned_at: at(3),
        until: None,
    };
    assert!(store.ban(ban).await.unwrap());
    assert_eq!(
        statuses(&*store, &slots).await,
        [TicketStatus::Cancelled; 4]
    );
    let rest = store.party(party.id).await.unwrap().unwrap();
    assert_eq!((rest.leader, members(&rest)), (ids[1], ids[1..].to_vec()));

    let slots = enqueue_group(&*store, new_group(&ids[1..], Some(party.id), 4)).await;
    assert!(store.erase_player(ids[1], at(5)).await.unwrap());
    assert_eq!(
        statuses(&*store, &slots[1..]).await,
        [TicketStatus::Cancelled; 2]
    );
    let rest = store.party(party.id).await.unwrap().unwrap();
    assert_eq!((rest.leader, members(&rest)), (ids[2], ids[2..].to_vec()));
    for player in &ids[2..] {
        assert!(store.erase_player(*player, at(6)).await.unwrap());
    }
    assert_eq!(store.party(party.id).await.unwrap(), None);
}

pub(crate) async fn unused_parties_are_forgotten(store: SharedStore) {
    let ids = players(&*store, 5).await;
    let mut parties = Vec::new();
    for (n, player) in ids.iter().enumerate() {
        let mut new = new_party(&format!("CODE{n}"), *player);
        new.created_at = at(10 + n as i64);
        let created = store.create_party(new).await.unwrap();
        let CreateParty::Created(party) = created else {
            panic!("{created:?}");
        };
        parties.push(party.id);
    }
    // The second waits, and the third waited later.
    let waiting = new_group(&ids[1..2], Some(parties[1]), 12);
    enqueue_group(&*store, waiting).await;
    let waited = new_group(&ids[2..3], Some(parties[2]), 50);
    let waited = enqueue_group(&*store, waited).await;
    store.cancel_ticket(waited[0].0, at(51)).await.unwrap();

    assert_eq!(store.forget_parties(at(10), 9).await.unwrap(), 0);
    assert_eq!(store.forget_parties(at(20), 0).await.unwrap(), 0);
    assert_eq!(store.forget_parties(at(20), 1).await.unwrap(), 1);
    assert_eq!(store.party(parties[0]).await.unwrap(), None);
    assert_eq!(store.party_of(ids[0]).await.unwrap(), None);
    assert_eq!(store.forget_parties(at(20), 9).await.unwrap(), 2);
    let mut left = Vec::new();
    for (n, party) in parties.iter().enumerate() {
        left.extend(store.party(*party).await.unwrap().map(|_| n));
    }
    assert_eq!(left, [1, 2]);
    assert_eq!(store.forget_parties(at(99), 9).await.unwrap(), 1);
}

pub(crate) async fn a_player_joins_one_party_at_once(store: SharedStore) {
    let ids = players(&*store, 5).await;
    for (n, player) in ids[..4].iter().enumerate() {
        create(&*store, &format!("CODE{n}"), *player).await;
    }
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (store, player) = (store.clone(), ids[4]);
            tokio::spawn(async move {
                let code = format!("CODE{}", n % 4);
                match n {
                    0..6 => store.join_party(&code, player, at(1)).await.map(|_| ()),
                    _ => {
                        let new = new_party(&format!("OWN{n}"), player);
                        store.create_party(new).await.map(|_| ())
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut found = BTreeSet::new();
    for player in &ids {
        let party = store.party_of(*player).await.unwrap().unwrap();
        if members(&party).contains(&ids[4]) {
            found.insert(party.id);
        }
    }
    assert_eq!(found.len(), 1);
}

pub(crate) async fn no_more_join_at_once_than_there_is_room_for(store: SharedStore) {
    let ids = players(&*store, MAX_PARTY + 4).await;
    let party = create(&*store, "TEA", ids[0]).await;
    let tasks: Vec<_> = ids[1..]
        .iter()
        .map(|&player| {
            let store = store.clone();
            tokio::spawn(async move { store.join_party("TEA", player, at(1)).await.unwrap() })
        })
        .collect();
    let (mut joined, mut full) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            JoinParty::Joined(_) => joined += 1,
            JoinParty::Full => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((joined, full), (MAX_PARTY - 1, 4));
    let whole = store.party(party.id).await.unwrap().unwrap();
    assert_eq!(whole.members.len(), MAX_PARTY);
}

fn new_party(code: &str, leader: Uuid) -> NewParty {
    NewParty {
        id: Uuid::now_v7(),
        code: code.to_owned(),
        leader,
        created_at: at(0),
    }
}

async fn create(store: &dyn Store, code: &str, leader: Uuid) -> Party {
    match store.create_party(new_party(code, leader)).await.unwrap() {
        CreateParty::Created(party) => party,
        other => panic!("{other:?}"),
    }
}

/// A party of these, the first leading.
async fn gather(store: &dyn Store, code: &str, members: &[Uuid]) -> Party {
    let mut party = create(store, code, members[0]).await;
    for (n, player) in members[1..].iter().enumerate() {
        // One after the other, so that their order is known.
        let joined = store.join_party(code, *player, at(n as i64 + 1)).await;
        party = match joined.unwrap() {
            JoinParty::Joined(party) => party,
            other => panic!("{other:?}"),
        };
    }
    party
}

fn members(party: &Party) -> Vec<Uuid> {
    party.members.iter().map(|m| m.player_id).collect()
}
