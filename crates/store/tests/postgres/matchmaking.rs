//! Matchmaking by several processes at once: whatever meets, one of them wins, groups stay whole, and
//! nobody waits in a circle.

use std::sync::Arc;
use std::time::Duration;

use gs_store::{
    Accept, Accounts as _, Ban, Cancel, CreateParty, Enqueue, FormMatch, LeaveParty, Matches as _,
    NewGroup, NewMatch, NewParty, NewSlot, NewTicket, Parties as _, PostgresStore, Search,
    TicketStatus, Tickets as _,
};
use gs_test_services::Postgres;
use uuid::Uuid;

use crate::world::{at, database, players, sql, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_match_of_a_stale_leader_comes_about_once_another_leads() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 12).await;
    let count = "SELECT count(*) FROM matches";
    let (mut formed_once, mut refused_once) = (false, false);
    for round in 0..20 {
        // They lead by turns.
        let (old, new) = (round % 2, (round + 1) % 2);
        let (now, ttl) = (at(10 * round as i64), Duration::from_secs(3));
        let lead = async |store: usize, now| {
            let holder = ["a", "b"][store];
            stores[store]
                .lead_queue("arena", holder, now, ttl)
                .await
                .unwrap()
        };
        let epoch = lead(old, now).await.unwrap();
        let mut tasks = Vec::new();
        for &player in &ids {
            let slots = enqueue(&stores[0], &[player], None).await.unwrap();
            let (store, mut new) = (stores[old].clone(), match_of(&slots));
            new.lead = Some(epoch);
            tasks.push(tokio::spawn(
                async move { store.form_match(new).await.unwrap() },
            ));
        }
        // The lead has run out by now.
        let next = lead(new, at(10 * round as i64 + 5)).await.unwrap();
        assert_eq!(next, epoch + 1);
        let there: usize = sql(&url, count).await.parse().unwrap();
        let mut formed = 0;
        for task in tasks {
            match task.await.unwrap() {
                FormMatch::Formed => formed += 1,
                FormMatch::NotLeading => refused_once = true,
                other => panic!("{other:?}"),
            }
        }
        formed_once |= formed > 0;
        assert_eq!(
            sql(&url, count).await.parse(),
            Ok(there),
            "{formed} in this round"
        );
        clear(&stores[0]).await;
    }
    assert!(formed_once && refused_once, "the two never met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_accepts_while_one_cancels() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 6).await;
    let mut won = [0, 0];
    for round in 0..40 {
        let mut slots = enqueue(&stores[0], &ids[..2], None).await.unwrap();
        for player in &ids[2..] {
            slots.extend(enqueue(&stores[0], &[*player], None).await.unwrap());
        }
        let mut new = match_of(&slots);
        new.accept_until = Some(at(60));
        let id = new.id;
        assert_eq!(stores[0].form_match(new).await.unwrap(), FormMatch::Formed);
        let mut tasks = Vec::new();
        for (n, slot) in slots.iter().enumerate() {
            let (store, ticket) = (stores[n % 2].clone(), slot.ticket_id);
            tasks.push(tokio::spawn(async move {
                store.accept(ticket, true, at(5)).await.unwrap()
            }));
        }
        // One of the pair, who may be anywhere among those who accept.
        let (store, ticket) = (stores[round % 2].clone(), slots[round % 4 / 2].ticket_id);
        let pause = round as u64 % 8;
        let cancel = tokio::spawn(async move {
            for _ in 0..pause {
                store.ticket(ticket).await.unwrap();
            }
            store.cancel_ticket(ticket, at(6)).await.unwrap()
        });
        let mut complete = 0;
        for task in tasks {
            complete += usize::from(task.await.unwrap() == Accept::Complete(id));
        }
        let cancelled = cancel.await.unwrap();
        let statuses = statuses(&stores[0], &slots).await;
        use TicketStatus::{Cancelled, Placing, Queued};
        match cancelled {
            Cancel::AlreadyMatched => {
                assert_eq!((complete, statuses), (1, vec![Placing; 6]));
                won[0] += 1;
            }
            Cancel::Cancelled => {
                let mut expected = vec![Cancelled; 2];
                expected.extend([Queued; 4]);
                assert_eq!((complete, statuses), (0, expected));
                won[1] += 1;
            }
            Cancel::NotFound => panic!("the ticket is gone"),
        }
        clear(&stores[0]).await;
    }
    assert!(won[0] > 0 && won[1] > 0, "the two never met: {won:?}");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_enters_a_match_or_leaves_the_queue_but_not_both() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 5).await;
    let mut won = [0, 0];
    for round in 0..60 {
        let party = gather(&stores[0], &ids[..3]).await;
        let mut slots = enqueue(&stores[0], &ids[..3], Some(party)).await.unwrap();
        for player in &ids[3..] {
            slots.extend(enqueue(&stores[0], &[*player], None).await.unwrap());
        }
        // Every third match is to be accepted: then whoever leaves declines it at the latest.
        let asks = round % 3 == 0;
        let mut new = match_of(&slots);
        new.accept_until = asks.then(|| at(60));
        let (store, id) = (stores[0].clone(), new.id);
        let form = tokio::spawn(async move { store.form_match(new).await.unwrap() });
        let (store, player, ticket) = (stores[1].clone(), ids[round % 3], slots[2].ticket_id);
        let leave = tokio::spawn(async move {
            match round % 4 {
                0 => {
                    store.cancel_ticket(ticket, at(6)).await.unwrap();
                }
                1 => {
                    let ban = Ban {
                        player_id: player,
                        reason: "flew".to_owned(),
                        banned_at: at(6),
                        until: None,
                    };
                    assert!(store.ban(ban).await.unwrap());
                }
                _ => {
                    let left = store.leave_party(party, player, at(6)).await.unwrap();
                    assert!(matches!(left, LeaveParty::Left(Some(_))), "{left:?}");
                }
            }
        });
        let formed = form.await.unwrap() == FormMatch::Formed;
        leave.await.unwrap();
        let statuses = statuses(&stores[0], &slots).await;
        use TicketStatus::{Cancelled, Placing, Queued};
        if formed && !asks {
            assert_eq!(statuses, [Placing; 5]);
        } else {
            assert_eq!(statuses[..3], [Cancelled; 3]);
            assert_eq!(statuses[3..], [Queued; 2]);
        }
        assert_eq!(stores[0].match_by_id(id).await.unwrap().is_some(), formed);
        won[usize::from(formed)] += 1;
        clear(&stores[0]).await;
        for player in &ids[..3] {
            stores[0].leave_party(party, *player, at(7)).await.unwrap();
        }
    }
    assert!(won[0] > 0 && won[1] > 0, "the two never met: {won:?}");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_party_never_queues_with_somebody_who_has_left() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 3).await;
    let mut refused = 0;
    for round in 0..30 {
        let party = gather(&stores[0], &ids).await;
        let (store, all) = (stores[0].clone(), ids.clone());
        let queue = tokio::spawn(async move { enqueue(&store, &all, Some(party)).await });
        let (store, player) = (stores[1].clone(), ids[round % 3]);
        let leave =
            tokio::spawn(async move { store.leave_party(party, player, at(6)).await.unwrap() });
        let queued = queue.await.unwrap();
        let left = leave.await.unwrap();
        assert!(matches!(left, LeaveParty::Left(Some(_))), "{left:?}");
        match queued {
            // It was first, and then cancelled.
            Some(slots) => {
                let statuses = statuses(&stores[0], &slots).await;
                assert_eq!(statuses, [TicketStatus::Cancelled; 3]);
            }
            None => refused += 1,
        }
        assert_eq!(stores[0].queued_tickets("arena", 9).await.unwrap(), []);
        for player in &ids {
            stores[0].leave_party(party, *player, at(7)).await.unwrap();
        }
    }
    assert!(refused < 30, "it never queued");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_erased_and_leave_while_their_party_queues() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 45).await;
    for (round, members) in ids.chunks(3).enumerate() {
        let party = gather(&stores[0], members).await;
        let (store, all) = (stores[0].clone(), members.to_vec());
        let queue = tokio::spawn(async move { enqueue(&store, &all, Some(party)).await });
        if round % 3 == 0 {
            // Otherwise whoever comes last finds nobody in the queue.
            while stores[0]
                .queued_tickets("arena", 9)
                .await
                .unwrap()
                .is_empty()
            {
                tokio::task::yield_now().await;
            }
        }
        let (store, player) = (stores[1].clone(), members[0]);
        let erase = tokio::spawn(async move { store.erase_player(player, at(5)).await.unwrap() });
        let (store, player) = (stores[0].clone(), members[1]);
        let leave =
            tokio::spawn(async move { store.leave_party(party, player, at(6)).await.unwrap() });
        let store = stores[1].clone();
        let form = tokio::spawn(async move { form_some(&store, 2 * round).await });
        queue.await.unwrap();
        form.await.unwrap();
        assert!(erase.await.unwrap());
        let left = leave.await.unwrap();
        assert!(matches!(left, LeaveParty::Left(Some(_))), "{left:?}");
        let rest = stores[0].party(party).await.unwrap().unwrap();
        assert_eq!((rest.leader, rest.members.len()), (members[2], 1));
        let waiting = "SELECT id FROM tickets WHERE status IN ('queued', 'accepting')";
        assert_eq!(sql(&url, waiting).await, "");
        clear(&stores[0]).await;
    }
    let drawn = "SELECT count(*) > 0 FROM tickets";
    assert_eq!(sql(&url, drawn).await, "t");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

/// Random calls of many tasks to two processes' stores, and then what must be true of every row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_leaves_groups_whole_and_matches_consistent() {
    let url = database().await;
    let stores = [Arc::new(store(&url).await), Arc::new(store(&url).await)];
    let ids = players(&stores[0], 24).await;
    let mut parties = Vec::new();
    for members in ids[..12].chunks(3) {
        parties.push((gather(&stores[0], members).await, members.to_vec()));
    }
    let parties = Arc::new(parties);
    let mut tasks = Vec::new();
    for task in 0..8usize {
        let (store, ids, parties) = (stores[task % 2].clone(), ids.clone(), parties.clone());
        tasks.push(tokio::spawn(async move {
            for step in 0..60usize {
                let pick = task * 31 + step * 17;
                let now = at(step as i64);
                let (party, members) = &parties[pick % parties.len()];
                let player = ids[pick % ids.len()];
                match (task + step) % 8 {
                    0 => {
                        enqueue(&store, members, Some(*party)).await;
                    }
                    1 => {
                        enqueue(&store, &[ids[12 + pick % 12]], None).await;
                    }
                    2 | 3 => form_some(&store, pick).await,
                    4 | 5 => {
                        if let Some(ticket) = store.newest_ticket(player).await.unwrap() {
                            store.accept(ticket.id, pick % 5 > 0, now).await.unwrap();
                        }
                    }
                    6 => {
                        if let Some(ticket) = store.newest_ticket(player).await.unwrap() {
                            store.cancel_ticket(ticket.id, now).await.unwrap();
                        }
                    }
                    _ if pick % 2 == 0 => {
                        store.leave_party(*party, members[0], now).await.unwrap();
                        let found = store.party(*party).await.unwrap();
                        if let Some(found) = found {
                            store
                                .join_party(&found.code, members[0], now)
                                .await
                                .unwrap();
                        }
                    }
                    _ => {
                        store.lapse_acceptances(now).await.unwrap();
                        store.expire_tickets(at(0), now).await.unwrap();
                        let too_long = at(step as i64 - 40);
                        let timed_out =
                            store.time_out_tickets("arena", "default", too_long, "late", now);
                        timed_out.await.unwrap();
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for player in &ids[..4] {
        assert!(stores[0].erase_player(*player, at(99)).await.unwrap());
    }

    for (what, nothing) in [
        (
            "a group is torn apart",
            "SELECT group_id FROM tickets GROUP BY group_id HAVING count(DISTINCT status) > 1",
        ),
        (
            "a queued ticket is in a match",
            "SELECT id FROM tickets WHERE status = 'queued'
             AND (match_id IS NOT NULL OR accepted IS NOT NULL)",
        ),
        (
            "a ticket is asked for a match that asks nobody",
            "SELECT tickets.id FROM tickets LEFT JOIN matches ON matches.id = match_id
             WHERE tickets.status = 'accepting' AND matches.status IS DISTINCT FROM 'accepting'",
        ),
        (
            "a ticket is placed in a match that is not formed",
            "SELECT tickets.id FROM tickets LEFT JOIN matches ON matches.id = match_id
             WHERE tickets.status = 'placing' AND matches.status IS DISTINCT FROM 'forming'",
        ),
        (
            "a match lacks a player",
            "SELECT matches.id FROM matches JOIN match_slots ON match_id = matches.id
             WHERE status IN ('accepting', 'forming') AND NOT EXISTS (
                 SELECT 1 FROM tickets WHERE tickets.match_id = matches.id
                 AND tickets.player_id = match_slots.player_id
                 AND tickets.status = CASE matches.status WHEN 'forming' THEN 'placing'
                     ELSE 'accepting' END)
             AND NOT (status = 'forming' AND EXISTS (
                 SELECT 1 FROM players WHERE id = match_slots.player_id
                 AND erased_at IS NOT NULL))",
        ),
        (
            "everybody accepted and the match does not form",
            "SELECT matches.id FROM matches JOIN tickets ON match_id = matches.id
             WHERE matches.status = 'accepting' GROUP BY matches.id
             HAVING bool_and(accepted IS TRUE)",
        ),
        (
            "a party waits without one of its members",
            "SELECT tickets.id FROM tickets WHERE status IN ('queued', 'accepting')
             AND party_id IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM party_members WHERE party_members.party_id = tickets.party_id
                 AND party_members.player_id = tickets.player_id)",
        ),
        (
            "a party is led by somebody else",
            "SELECT id FROM parties WHERE NOT EXISTS (
                 SELECT 1 FROM party_members WHERE party_id = parties.id
                 AND player_id = leader_id)",
        ),
    ] {
        assert_eq!(sql(&url, nothing).await, "", "{what}");
    }
    let formed = "SELECT count(DISTINCT status) > 1 FROM matches";
    assert_eq!(sql(&url, formed).await, "t", "nothing happened");
    assert!(!Postgres::shared().log().contains("deadlock detected"));
}

/// Forms a match of some groups that wait, every other one to be accepted.
async fn form_some(store: &PostgresStore, pick: usize) {
    let queued = store.queued_tickets("arena", 64).await.unwrap();
    let groups: Vec<_> = queued.chunk_by(|a, b| a.group_id == b.group_id).collect();
    let chosen = groups.iter().skip(pick % 2).step_by(2).take(2);
    let slots: Vec<NewSlot> = chosen
        .flat_map(|group| group.iter())
        .map(|ticket| NewSlot {
            ticket_id: ticket.id,
            player_id: ticket.player_id,
            team: None,
        })
        .collect();
    if slots.is_empty() {
        return;
    }
    let mut new = match_of(&slots);
    new.accept_until = (!pick.is_multiple_of(3)).then(|| at(30));
    let id = new.id;
    let formed = store.form_match(new).await.unwrap();
    assert!(matches!(formed, FormMatch::Formed | FormMatch::TicketsGone));
    if formed == FormMatch::Formed && pick.is_multiple_of(4) {
        store.fail_match(id, None, "no room", at(50)).await.unwrap();
    }
}

/// Queues a group; none where it cannot.
pub(crate) async fn enqueue(
    store: &PostgresStore,
    players: &[Uuid],
    party_id: Option<Uuid>,
) -> Option<Vec<NewSlot>> {
    let ticket = |&player_id: &Uuid| NewTicket {
        id: Uuid::new_v4(),
        player_id,
        search: Search::default(),
    };
    let group = NewGroup {
        id: Uuid::new_v4(),
        party_id,
        game: "arena".to_owned(),
        mode: "default".to_owned(),
        code: None,
        tickets: players.iter().map(ticket).collect(),
        queued_at: at(0),
    };
    let Enqueue::Queued(tickets) = store.enqueue(group).await.unwrap() else {
        return None;
    };
    let slot = |ticket: gs_store::Ticket| NewSlot {
        ticket_id: ticket.id,
        player_id: ticket.player_id,
        team: None,
    };
    Some(tickets.into_iter().map(slot).collect())
}

pub(crate) fn match_of(slots: &[NewSlot]) -> NewMatch {
    NewMatch {
        id: Uuid::now_v7(),
        room: Uuid::new_v4().to_string(),
        game: "arena".to_owned(),
        mode: "default".to_owned(),
        module_sha256: String::new(),
        teams: 0,
        options: "{}".to_owned(),
        authority_mode: "full".to_owned(),
        rated: true,
        region: None,
        capacity: 0,
        backfill: false,
        accept_until: None,
        lead: None,
        slots: slots.to_vec(),
        created_at: at(1),
    }
}

/// A party of these, the first leading.
async fn gather(store: &PostgresStore, members: &[Uuid]) -> Uuid {
    let id = Uuid::new_v4();
    let new = NewParty {
        id,
        code: id.to_string(),
        leader: members[0],
        created_at: at(0),
    };
    let created = store.create_party(new).await.unwrap();
    assert!(matches!(created, CreateParty::Created(_)), "{created:?}");
    for player in &members[1..] {
        store
            .join_party(&id.to_string(), *player, at(0))
            .await
            .unwrap();
    }
    id
}

async fn statuses(store: &PostgresStore, slots: &[NewSlot]) -> Vec<TicketStatus> {
    let mut statuses = Vec::new();
    for slot in slots {
        let ticket = store.ticket(slot.ticket_id).await.unwrap().unwrap();
        statuses.push(ticket.status);
    }
    statuses
}

/// Ends everything that is under way.
async fn clear(store: &PostgresStore) {
    store.lapse_acceptances(at(99_999)).await.unwrap();
    for found in store.forming_matches().await.unwrap() {
        store
            .fail_match(found.id, None, "over", at(0))
            .await
            .unwrap();
    }
    store.expire_tickets(at(999_999), at(0)).await.unwrap();
}
