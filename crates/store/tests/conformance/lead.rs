//! Who makes matches of a game's queue.

use std::time::Duration;

use gs_store::{FormMatch, TicketStatus};

use crate::world::{SharedStore, at, enqueue, new_match, players, statuses};

const TTL: Duration = Duration::from_secs(3);

pub(crate) async fn one_holder_leads_a_queue_at_a_time(store: SharedStore) {
    let lead = async |game: &str, holder: &str, now: i64| {
        store.lead_queue(game, holder, at(now), TTL).await.unwrap()
    };
    assert_eq!(lead("arena", "a", 0).await, Some(1));
    assert_eq!(lead("arena", "b", 1).await, None);
    assert_eq!(lead("zen", "b", 1).await, Some(1));
    // It is renewed under the same epoch, also late, as long as nobody else took it.
    assert_eq!(lead("arena", "a", 2).await, Some(1));
    assert_eq!(lead("arena", "b", 4).await, None);
    assert_eq!(lead("arena", "a", 90).await, Some(1));
    assert_eq!(lead("arena", "b", 92).await, None);
    assert_eq!(lead("arena", "b", 93).await, Some(2));
    assert_eq!(lead("arena", "a", 94).await, None);
    assert_eq!(lead("arena", "a", 96).await, Some(3));
    // A clock that jumps back makes nobody a second leader.
    assert_eq!(lead("arena", "b", 5).await, None);
    assert_eq!(lead("zen", "b", 1).await, Some(1));

    // Of many who want it, one gets it.
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let holder = format!("holder-{n}");
                store
                    .lead_queue("arena", &holder, at(200), TTL)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut leads = Vec::new();
    for task in tasks {
        leads.extend(task.await.unwrap());
    }
    assert_eq!(leads, [4]);
}

pub(crate) async fn a_lead_can_be_given_up(store: SharedStore) {
    let lead =
        async |game: &str, holder: &str| store.lead_queue(game, holder, at(1), TTL).await.unwrap();
    for game in ["arena", "zen"] {
        assert_eq!(lead(game, "a").await, Some(1));
    }
    assert_eq!(lead("cubes", "b").await, Some(1));
    store.give_up_queues("a").await.unwrap();
    store.give_up_queues("nobody").await.unwrap();
    assert_eq!(lead("cubes", "c").await, None);
    let taken = lead("arena", "b").await.unwrap();
    assert!(taken > 1, "{taken}");
    // Who gave up can take it again, under another epoch: a match of before must not come late.
    let again = lead("zen", "a").await.unwrap();
    assert!(again > 1, "{again}");
}

pub(crate) async fn only_the_leader_forms_matches(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let mut slots = Vec::new();
    for player in ids {
        slots.push((enqueue(&*store, player, 0).await, player));
    }
    let form = async |number: usize, lead: Option<u64>| {
        let mut new = new_match(&format!("arena-{number:08x}"), &slots[number..=number]);
        new.lead = lead;
        let id = new.id;
        let formed = store.form_match(new).await.unwrap();
        let there = store.match_by_id(id).await.unwrap().is_some();
        assert_eq!(there, formed == FormMatch::Formed);
        formed
    };
    // Nobody leads yet.
    assert_eq!(form(0, Some(1)).await, FormMatch::NotLeading);
    let lead = async |holder: &str, now: i64| {
        store
            .lead_queue("arena", holder, at(now), TTL)
            .await
            .unwrap()
    };
    assert_eq!(lead("a", 0).await, Some(1));
    assert_eq!(form(0, Some(1)).await, FormMatch::Formed);
    assert_eq!(form(1, Some(2)).await, FormMatch::NotLeading);
    // Late, and yet nobody else took the lead.
    assert_eq!(lead("b", 10).await, Some(2));
    assert_eq!(form(1, Some(1)).await, FormMatch::NotLeading);
    assert_eq!(
        statuses(&*store, &slots[1..]).await,
        [TicketStatus::Queued; 2]
    );
    // A lead over another game is none over this one.
    assert_eq!(
        store.lead_queue("zen", "a", at(10), TTL).await.unwrap(),
        Some(1)
    );
    assert_eq!(form(1, Some(1)).await, FormMatch::NotLeading);
    assert_eq!(form(1, Some(2)).await, FormMatch::Formed);
    store.give_up_queues("b").await.unwrap();
    assert_eq!(form(2, Some(2)).await, FormMatch::NotLeading);
    assert_eq!(form(2, None).await, FormMatch::Formed);
}
