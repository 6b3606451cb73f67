use super::*;
use crate::{MatchSlot, MatchStatus};

fn player(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A match of two teams with four slots: players 0 and 1 were matched.
fn running() -> Match {
    let now = DateTime::UNIX_EPOCH;
    let slot = |n: u8| MatchSlot {
        slot: n,
        player_id: player(n.into()),
        username: format!("player-{n}"),
        team: Some(n % 2),
        substitute: None,
        result: None,
        rating: None,
    };
    Match {
        id: Uuid::max(),
        game: "arena".to_owned(),
        mode: "duel".to_owned(),
        room: "arena-1".to_owned(),
        room_sid: None,
        module_sha256: String::new(),
        teams: 2,
        options: "{}".to_owned(),
        authority_mode: "full".to_owned(),
        rated: true,
        region: Some("eu".to_owned()),
        capacity: 4,
        backfill: true,
        accept_until: None,
        status: MatchStatus::Running,
        slots: vec![slot(0), slot(1)],
        substitutes: Vec::new(),
        open: Vec::new(),
        epoch: 1,
        outcome: None,
        reason: None,
        details: None,
        winner: None,
        ticks: None,
        created_at: now,
        ready_at: Some(now),
        started_at: Some(now),
        ended_at: None,
    }
}

fn substitute(slot: u8, id: u128, confirmed: bool) -> Substitute {
    Substitute {
        slot,
        team: Some(slot % 2),
        player_id: player(id),
        username: format!("player-{id}"),
        ticket_id: Uuid::nil(),
        confirmed,
    }
}

#[test]
fn slots_open_and_close_as_they_are_named() {
    let found = running();
    let changes = opened(&found, &[(1, Some(1))], 0, &[3, 0, 3]).unwrap();
    assert_eq!(changes.closed, [1]);
    assert_eq!(changes.opened, [(0, Some(0)), (3, Some(0))]);
    assert!(changes.left.is_empty() && changes.returned.is_empty());
    // One that is open stays so, since when it is.
    let again = opened(&found, &[(0, Some(0)), (3, Some(0))], 0, &[0, 3]).unwrap();
    assert_eq!(again, Opened::default());
}

#[test]
fn a_slot_that_was_free_joins_the_smallest_team() {
    let found = running();
    let both = opened(&found, &[], 0, &[2, 3]).unwrap();
    assert_eq!(both.opened, [(2, Some(0)), (3, Some(1))]);
    let other = opened(&found, &[(2, Some(0))], 0, &[2, 3]).unwrap();
    assert_eq!(other.opened, [(3, Some(1))]);
    // It keeps the team that its substitute had.
    let mut left = running();
    let mut gone = substitute(3, 7, true);
    gone.team = Some(0);
    left.set_substitutes(vec![gone]);
    let again = opened(&left, &[], 1, &[3]).unwrap();
    assert_eq!(again.opened, [(3, Some(0))]);
    let mut alone = running();
    alone.teams = 0;
    assert_eq!(opened(&alone, &[], 0, &[3]).unwrap().opened, [(3, None)]);
}

#[test]
fn substitutes_leave_stay_or_go_back() {
    let mut found = running();
    found.set_substitutes(vec![
        substitute(0, 5, true),
        substitute(1, 6, false),
        substitute(2, 7, true),
        substitute(3, 8, false),
    ]);
    let changes = opened(&found, &[], 4, &[0, 1]).unwrap();
    assert_eq!(changes.left, [0]);
    assert_eq!(changes.returned, [3]);
    assert_eq!(changes.opened, [(0, Some(0))]);
}

#[test]
fn a_match_that_had_too_many_substitutes_takes_no_more() {
    let mut found = running();
    found.set_substitutes(vec![substitute(0, 5, true)]);
    let changes = opened(&found, &[(1, Some(1))], MAX_SUBSTITUTES, &[0, 1, 2]).unwrap();
    assert_eq!((changes.left, changes.closed), (vec![0], vec![1]));
    assert!(changes.opened.is_empty());
}

#[test]
fn only_a_ready_match_that_takes_substitutes_opens_slots_that_it_has() {
    let refused = |found: &Match, slot: u8| opened(found, &[], 0, &[slot]).unwrap_err().to_string();
    assert!(refused(&running(), 4).contains("has 4 slots, and none with number 4"));
    let mut other = running();
    other.backfill = false;
    assert!(refused(&other, 0).contains("was not formed to take substitutes"));
    let mut early = running();
    early.ready_at = None;
    assert!(refused(&early, 0).contains("before it was ready"));
}

#[test]
fn whoever_has_a_slot_now_plays() {
    let mut found = running();
    found.set_substitutes(vec![substitute(1, 5, true), substitute(3, 6, false)]);
    found.open = vec![0];
    assert_eq!(found.plays(player(0)), None);
    assert_eq!(found.plays(player(1)), None);
    assert_eq!(found.plays(player(5)), Some(1));
    assert_eq!(found.plays(player(6)), Some(3));
    assert_eq!(found.slots[1].plays(), player(5));
    assert_eq!(
        found.players_now(),
        [(player(5), Some(1)), (player(6), Some(1))]
    );
    // Who gave up a slot may come back to another.
    found.set_substitutes(vec![substitute(3, 0, true)]);
    assert_eq!(found.plays(player(0)), Some(3));
    let told = HashMap::from([(
        (found.id, player(0)),
        BTreeMap::from([("map".to_owned(), AttributeValue::Text("dust".to_owned()))]),
    )]);
    let opening = found.opening((0, Some(0)), found.created_at, &told);
    assert_eq!(opening.region.as_deref(), Some("eu"));
    let players: Vec<_> = opening
        .players
        .iter()
        .map(|p| (p.player_id, p.team, p.attributes.len()))
        .collect();
    assert_eq!(players, [(player(1), Some(1), 0), (player(0), Some(1), 1)]);
}
