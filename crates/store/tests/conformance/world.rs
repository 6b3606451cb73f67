//! Players, tickets and matches for scenarios.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{
    CreatePlayer, EmbeddedStore, Enqueue, FormMatch, Lease, MatchOutcome, NewMatch, NewPlayer,
    NewSlot, NewTicket, Outcome, SlotOutcome, Store,
};
use uuid::Uuid;

pub(crate) type SharedStore = Arc<dyn Store>;

pub(crate) const TTL: Duration = Duration::from_millis(1500);

pub(crate) async fn embedded() -> (SharedStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).await.unwrap();
    (Arc::new(store), directory)
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn new_player(username: &str) -> NewPlayer {
    NewPlayer {
        id: Uuid::now_v7(),
        username: username.to_owned(),
        email: None,
        password_hash: Some("$argon2id$not-a-real-hash".to_owned()),
        created_at: at(0),
    }
}

/// Adds `count` players and answers their ids.
pub(crate) async fn players(store: &dyn Store, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for n in 0..count {
        let player = new_player(&format!("player-{n}"));
        ids.push(player.id);
        let created = store.create_player(player).await.unwrap();
        assert!(matches!(created, CreatePlayer::Created(_)), "{created:?}");
    }
    ids
}

pub(crate) fn new_ticket(player_id: Uuid, queued: i64) -> NewTicket {
    NewTicket {
        id: Uuid::now_v7(),
        player_id,
        game: "arena".to_owned(),
        mode: "default".to_owned(),
        code: None,
        queued_at: at(queued),
    }
}

/// Queues a player and answers the ticket's id.
pub(crate) async fn enqueue(store: &dyn Store, player_id: Uuid, queued: i64) -> Uuid {
    match store.enqueue(new_ticket(player_id, queued)).await.unwrap() {
        Enqueue::Queued(ticket) => ticket.id,
        Enqueue::AlreadyQueued(id) => panic!("already queued as {id}"),
    }
}

pub(crate) fn new_match(room: &str, slots: &[(Uuid, Uuid)]) -> NewMatch {
    NewMatch {
        id: Uuid::now_v7(),
        room: room.to_owned(),
        game: "arena".to_owned(),
        mode: "default".to_owned(),
        module_sha256: "00".repeat(32),
        teams: 2,
        options: r#"{"map":"plain"}"#.to_owned(),
        authority_mode: "validated".to_owned(),
        rated: true,
        slots: slots
            .iter()
            .enumerate()
            .map(|(n, &(ticket_id, player_id))| NewSlot {
                ticket_id,
                player_id,
                team: Some((n % 2) as u8),
            })
            .collect(),
        created_at: at(1),
    }
}

/// Queues the players and forms a match of them; its id and tickets.
pub(crate) async fn formed_match(
    store: &dyn Store,
    players: &[Uuid],
    number: u32,
) -> (Uuid, Vec<Uuid>) {
    form(store, players, number, true).await
}

async fn form(store: &dyn Store, players: &[Uuid], number: u32, rated: bool) -> (Uuid, Vec<Uuid>) {
    let mut slots = Vec::new();
    for &player in players {
        slots.push((enqueue(store, player, i64::from(number)).await, player));
    }
    let mut new = new_match(&format!("arena-{number:08x}"), &slots);
    new.rated = rated;
    let id = new.id;
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
    (id, slots.into_iter().map(|(ticket, _)| ticket).collect())
}

/// A match that holder `a` claimed under epoch 1 at second 2, readied and started.
pub(crate) async fn running_match(store: &dyn Store, players: &[Uuid], number: u32) -> Uuid {
    let (id, _) = formed_match(store, players, number).await;
    run(store, id).await
}

/// The same, for a match whose scores do not count.
pub(crate) async fn running_unrated_match(
    store: &dyn Store,
    players: &[Uuid],
    number: u32,
) -> Uuid {
    let (id, _) = form(store, players, number, false).await;
    run(store, id).await
}

async fn run(store: &dyn Store, id: Uuid) -> Uuid {
    assert!(store.room_created(id, "RM_1").await.unwrap());
    let claim = store.claim_match("a", at(2), TTL).await.unwrap().unwrap();
    assert_eq!((claim.details.id, claim.epoch), (id, 1));
    assert_eq!(store.match_ready(id, 1, at(2)).await.unwrap(), Lease::Held);
    assert_eq!(
        store.match_started(id, 1, at(3)).await.unwrap(),
        Lease::Held
    );
    id
}

/// A finished match with these scores, the first slot first.
pub(crate) fn outcome(scores: &[i32]) -> MatchOutcome {
    MatchOutcome {
        outcome: Outcome::Finished,
        reason: None,
        details: None,
        slots: scores
            .iter()
            .enumerate()
            .map(|(n, &score)| SlotOutcome {
                slot: n as u8,
                placement: n as u8 + 1,
                team: Some((n % 2) as u8),
                score,
                statistics: vec![("hits".to_owned(), score), ("falls".to_owned(), -1)],
            })
            .collect(),
        boards: Vec::new(),
        started_at: Some(at(3)),
        ended_at: at(8),
        ticks: 300,
    }
}
