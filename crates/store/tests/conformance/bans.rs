use gs_store::{Ban, Session, TicketStatus};
use uuid::Uuid;

use crate::world::{SharedStore, at, enqueue, formed_match, new_ticket, players, session};

pub(crate) async fn a_ban_ends_sessions_and_takes_the_player_out_of_the_queues(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let opened = [session(ids[0], 1), session(ids[0], 2), session(ids[1], 3)];
    for session in &opened {
        store.open_session(session.clone()).await.unwrap();
    }
    let queued = enqueue(&*store, ids[0], 0).await;
    let mut elsewhere = new_ticket(ids[0], 0);
    elsewhere.game = "zen".to_owned();
    store.enqueue(elsewhere.clone()).await.unwrap();
    let other = enqueue(&*store, ids[1], 0).await;

    assert!(store.ban(ban(ids[0], 5, None)).await.unwrap());
    for session in &opened[..2] {
        assert_eq!(store.session(session.family, at(6)).await.unwrap(), None);
    }
    let session_of_another = store.session(opened[2].family, at(6)).await.unwrap();
    assert_eq!(session_of_another.unwrap().player_id, ids[1]);
    for id in [queued, elsewhere.id] {
        let ticket = store.ticket(id).await.unwrap().unwrap();
        assert_eq!(
            (ticket.status, ticket.changed_at),
            (TicketStatus::Cancelled, at(5))
        );
    }
    assert_eq!(store.queued_games().await.unwrap(), ["arena"]);
    let ticket = store.ticket(other).await.unwrap().unwrap();
    assert_eq!(ticket.status, TicketStatus::Queued);
    store.cancel_ticket(other, at(6)).await.unwrap();

    // A match that is being placed is its authority's business.
    let (_, tickets) = formed_match(&*store, &ids[1..], 1).await;
    assert!(store.ban(ban(ids[1], 7, None)).await.unwrap());
    let ticket = store.ticket(tickets[0]).await.unwrap().unwrap();
    assert_eq!(ticket.status, TicketStatus::Placing);
    assert!(!store.ban(ban(Uuid::now_v7(), 7, None)).await.unwrap());
}

pub(crate) async fn a_ban_stands_until_it_runs_out_or_is_lifted(store: SharedStore) {
    let ids = players(&*store, 3).await;
    let short = ban(ids[0], 5, Some(50));
    assert!(store.ban(short.clone()).await.unwrap());
    let opened = session(ids[0], 1);
    let family = opened.family;
    store.open_session(opened).await.unwrap();

    let standing = store.bans_of(&ids, at(49)).await.unwrap();
    assert_eq!(standing, std::slice::from_ref(&short));
    let seen = store.session(family, at(49)).await.unwrap();
    let banned = Session {
        player_id: ids[0],
        ban: Some(short.clone()),
    };
    assert_eq!(seen, Some(banned));
    assert!(store.bans_of(&ids, at(50)).await.unwrap().is_empty());
    assert!(store.bans(None, 10, at(50)).await.unwrap().is_empty());
    let seen = store.session(family, at(50)).await.unwrap();
    assert_eq!(seen.unwrap().ban, None);
    assert!(!store.lift_ban(ids[0], at(50)).await.unwrap());
    let data = store.account_data(ids[0]).await.unwrap().unwrap();
    assert_eq!(data.ban, Some(short));

    let mut longer = ban(ids[0], 60, None);
    longer.reason = "again \u{1f600}".to_owned();
    assert!(store.ban(longer.clone()).await.unwrap());
    assert_eq!(store.bans_of(&ids, at(9999)).await.unwrap(), [longer]);
    assert!(store.bans_of(&[], at(61)).await.unwrap().is_empty());
    assert!(!store.lift_ban(ids[1], at(61)).await.unwrap());
    assert!(store.lift_ban(ids[0], at(61)).await.unwrap());
    assert!(!store.lift_ban(ids[0], at(61)).await.unwrap());
    assert!(store.bans_of(&ids, at(61)).await.unwrap().is_empty());
    let data = store.account_data(ids[0]).await.unwrap().unwrap();
    assert_eq!(data.ban, None);
}

pub(crate) async fn bans_are_paged_by_player(store: SharedStore) {
    let mut ids = players(&*store, 5).await;
    ids.sort();
    for (n, &id) in ids.iter().enumerate().rev() {
        let until = (n == 2).then_some(20);
        assert!(store.ban(ban(id, 10 - n as i64, until)).await.unwrap());
    }
    let list = async |after: Option<Uuid>, limit: u32, now: i64| -> Vec<Uuid> {
        let bans = store.bans(after, limit, at(now)).await.unwrap();
        bans.iter().map(|ban| ban.player_id).collect()
    };
    assert_eq!(list(None, 3, 19).await, ids[..3]);
    assert_eq!(list(Some(ids[2]), 3, 19).await, ids[3..]);
    assert_eq!(list(None, 3, 20).await, [ids[0], ids[1], ids[3]]);
    assert!(list(Some(ids[4]), 3, 20).await.is_empty());
}

fn ban(player_id: Uuid, since: i64, until: Option<i64>) -> Ban {
    Ban {
        player_id,
        reason: "flew through walls".to_owned(),
        banned_at: at(since),
        until: until.map(at),
    }
}
