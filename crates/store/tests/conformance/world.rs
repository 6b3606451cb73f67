//! Players, tickets and matches for scenarios.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{
    ALL_TIME, BoardEntry, BoardKey, BoardPage, BoardRule, BoardStart, CountsOn, CreatePlayer,
    Enqueue, FormMatch, Lease, MatchOutcome, NewGroup, NewMatch, NewPlayer, NewSession, NewSlot,
    NewTicket, Outcome, Search, SlotOutcome, Standing, Store, StoreOutcome, TicketStatus,
};
use uuid::Uuid;

pub(crate) use crate::stores::SharedStore;

pub(crate) const TTL: Duration = Duration::from_millis(1500);

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

pub(crate) fn new_ticket(player_id: Uuid, queued: i64) -> NewGroup {
    let ticket = NewTicket {
        id: Uuid::now_v7(),
        player_id,
        search: Search::default(),
    };
    NewGroup::alone(ticket, "arena", "default", at(queued))
}

/// Queues a player and answers the ticket's id.
pub(crate) async fn enqueue(store: &dyn Store, player_id: Uuid, queued: i64) -> Uuid {
    match store.enqueue(new_ticket(player_id, queued)).await.unwrap() {
        Enqueue::Queued(tickets) => tickets[0].id,
        other => panic!("{other:?}"),
    }
}

/// A group of these players, who are a party where one is named.
pub(crate) fn new_group(players: &[Uuid], party_id: Option<Uuid>, queued: i64) -> NewGroup {
    let ticket = |&player_id: &Uuid| NewTicket {
        id: Uuid::now_v7(),
        player_id,
        search: Search::default(),
    };
    NewGroup {
        id: Uuid::now_v7(),
        party_id,
        game: "arena".to_owned(),
        mode: "default".to_owned(),
        code: None,
        tickets: players.iter().map(ticket).collect(),
        queued_at: at(queued),
    }
}

/// Queues a group and answers its tickets with their players.
pub(crate) async fn enqueue_group(store: &dyn Store, new: NewGroup) -> Vec<(Uuid, Uuid)> {
    match store.enqueue(new).await.unwrap() {
        Enqueue::Queued(tickets) => tickets.iter().map(|t| (t.id, t.player_id)).collect(),
        other => panic!("{other:?}"),
    }
}

/// Forms a match of these tickets that their players are asked to accept until second 20.
pub(crate) async fn asked_match(store: &dyn Store, slots: &[(Uuid, Uuid)], number: u32) -> Uuid {
    let mut new = new_match(&format!("arena-{number:08x}"), slots);
    new.accept_until = Some(at(20));
    let id = new.id;
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
    id
}

/// How these tickets stand.
pub(crate) async fn statuses(store: &dyn Store, slots: &[(Uuid, Uuid)]) -> Vec<TicketStatus> {
    let mut statuses = Vec::new();
    for (ticket, _) in slots {
        statuses.push(store.ticket(*ticket).await.unwrap().unwrap().status);
    }
    statuses
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
        region: None,
        capacity: 0,
        backfill: false,
        accept_until: None,
        lead: None,
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
    form(store, players, number, |_| {}).await
}

async fn form(
    store: &dyn Store,
    players: &[Uuid],
    number: u32,
    change: impl FnOnce(&mut NewMatch),
) -> (Uuid, Vec<Uuid>) {
    let mut slots = Vec::new();
    for &player in players {
        slots.push((enqueue(store, player, i64::from(number)).await, player));
    }
    let mut new = new_match(&format!("arena-{number:08x}"), &slots);
    change(&mut new);
    let id = new.id;
    assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
    (id, slots.into_iter().map(|(ticket, _)| ticket).collect())
}

/// A match that holder `a` claimed under epoch 1 at second 2, readied and started.
pub(crate) async fn running_match(store: &dyn Store, players: &[Uuid], number: u32) -> Uuid {
    let (id, _) = formed_match(store, players, number).await;
    run(store, id).await
}

/// The same, for a match that `change` makes another one.
pub(crate) async fn running_match_with(
    store: &dyn Store,
    players: &[Uuid],
    number: u32,
    change: impl FnOnce(&mut NewMatch),
) -> Uuid {
    let (id, _) = form(store, players, number, change).await;
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

/// A finished match of players who are each on their own: placed by these scores, ended at this
/// second, counting on these boards.
pub(crate) fn solo(scores: &[i32], ended: i64, boards: &[CountsOn]) -> MatchOutcome {
    let mut outcome = outcome(scores);
    for slot in &mut outcome.slots {
        slot.team = None;
        slot.placement = 1 + scores.iter().filter(|s| **s > slot.score).count() as u8;
    }
    outcome.ended_at = at(ended);
    outcome.boards = boards.to_vec();
    outcome
}

/// Plays a match to this end.
pub(crate) async fn play(
    store: &dyn Store,
    players: &[Uuid],
    number: u32,
    outcome: MatchOutcome,
) -> Uuid {
    let id = running_match(store, players, number).await;
    end(store, id, outcome).await;
    id
}

/// Ends a running match.
pub(crate) async fn end(store: &dyn Store, id: Uuid, outcome: MatchOutcome) {
    let now = outcome.ended_at;
    let stored = store.store_result(id, 1, outcome, now).await.unwrap();
    assert_eq!(stored, StoreOutcome::Stored);
}

/// The board `default` without seasons.
pub(crate) fn counts_on(rule: BoardRule) -> CountsOn {
    CountsOn {
        board: "default".to_owned(),
        season: ALL_TIME.to_owned(),
        rule,
        statistic: None,
    }
}

/// The key of that board.
pub(crate) fn default_board() -> BoardKey {
    BoardKey {
        game: "arena".to_owned(),
        board: "default".to_owned(),
        season: ALL_TIME.to_owned(),
    }
}

/// Waits until a board's ranks and totals are those of these entries (player, score, second), which
/// may come in any order, and answers its first page, of at most a hundred.
pub(crate) async fn board_becomes(
    store: &dyn Store,
    board: &BoardKey,
    entries: &[(Uuid, i64, i64)],
) -> BoardPage {
    let mut ordered = entries.to_vec();
    ordered.sort_by_key(|&(player, score, reached)| (-score, reached, player));
    for &(player, score, _) in entries {
        let higher = entries.iter().filter(|(_, other, _)| *other > score);
        let expected = Standing {
            rank: 1 + higher.count() as u64,
            score,
            total: entries.len() as u64,
        };
        standing_becomes(store, board, player, Some(expected)).await;
    }
    let page = store.board_page(board, BoardStart::Top, 100).await.unwrap();
    let listed: Vec<_> = page
        .entries
        .iter()
        .map(|e| (e.player_id, e.score, (e.at - at(0)).num_seconds()))
        .collect();
    ordered.truncate(100);
    assert_eq!(listed, ordered);
    assert_eq!(page.total, entries.len() as u64);
    page
}

/// Waits until a player's place on a board is this one: ranks may lag behind results.
pub(crate) async fn standing_becomes(
    store: &dyn Store,
    board: &BoardKey,
    player: Uuid,
    expected: Option<Standing>,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let standing = store.standing(board, player).await.unwrap();
        if standing == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the standing stays {standing:?}, where {expected:?} is right"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// What a page lists: rank and player of each entry.
pub(crate) fn ranks(entries: &[BoardEntry]) -> Vec<(u64, Uuid)> {
    entries.iter().map(|e| (e.rank, e.player_id)).collect()
}

/// A session whose first token has this number and works until second 100.
pub(crate) fn session(player_id: Uuid, token: u8) -> NewSession {
    NewSession {
        family: Uuid::now_v7(),
        player_id,
        token_hash: [token; 32],
        expires_at: at(100),
    }
}

/// Far more than any store needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const POLL: Duration = Duration::from_millis(5);
