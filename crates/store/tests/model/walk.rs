//! Random calls, made to a store and to the reference.

mod accounts;
mod backfill;
mod boards;
mod matches;
mod parties;
mod tickets;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{Match, SecretHash, Ticket};
use serde_json::Value;
use uuid::Uuid;

use crate::dice::Dice;
use crate::reference::{ANY, Reference};
use crate::stores::SharedStore;

pub(crate) struct Walk {
    store: SharedStore,
    model: Reference,
    dice: Dice,
    now: DateTime<Utc>,
    /// For whatever must be new.
    counter: u64,
    /// Tokens that were handed out, whatever became of them.
    tokens: Vec<SecretHash>,
    families: Vec<Uuid>,
    /// How often calls of each kind did something.
    happened: BTreeMap<&'static str, usize>,
    newest: VecDeque<String>,
}

impl Walk {
    pub(crate) fn new(store: SharedStore, seed: u64) -> Self {
        Self {
            store,
            model: Reference::default(),
            dice: Dice::new(seed),
            now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            counter: 0,
            tokens: Vec::new(),
            families: Vec::new(),
            happened: BTreeMap::new(),
            newest: VecDeque::new(),
        }
    }

    /// Makes one call, some time after the last one.
    pub(crate) async fn step(&mut self) {
        let pause = match self.dice.below(100) {
            0 => self.dice.between(0, 40_000_000),
            _ => self.dice.between(0, 3000),
        };
        self.now += TimeDelta::milliseconds(pause);
        match self.dice.below(100) {
            0..15 => self.account_call().await,
            15..46 => self.ticket_call().await,
            46..50 => self.party_call().await,
            50..92 => self.match_call().await,
            92..99 => self.board_call().await,
            _ => self.check_everything().await,
        }
    }

    /// Compares all that the store holds.
    pub(crate) async fn check_everything(&mut self) {
        self.note("check everything".to_owned());
        self.check_accounts().await;
        self.check_parties().await;
        self.check_matches().await;
        self.check_boards().await;
    }

    /// A walk on which nothing happens proves nothing.
    pub(crate) fn check_that_enough_happened(&self) {
        for (what, least) in [
            ("create", 5),
            ("ban", 1),
            ("erase", 1),
            ("form", 20),
            ("crowd", 3),
            ("party", 5),
            ("group", 3),
            ("accept", 10),
            ("complete", 2),
            ("decline", 1),
            ("not leading", 1),
            ("claim", 20),
            ("result", 20),
            ("stale", 1),
            ("repeat", 1),
            ("fill", 5),
            ("confirm", 2),
        ] {
            let count = self.happened.get(what).copied().unwrap_or(0);
            assert!(
                count >= least,
                "{what} happened {count} times only: {:?}",
                self.happened
            );
        }
    }

    pub(crate) fn newest_calls(&self) -> String {
        let calls: Vec<&str> = self.newest.iter().map(String::as_str).collect();
        calls.join("\n")
    }

    fn note(&mut self, call: String) {
        if self.newest.len() == KEPT_CALLS {
            self.newest.pop_front();
        }
        let call = format!("  {} {call}", self.now.format("%dT%T%.3f"));
        self.newest.push_back(call);
    }

    fn happened(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn some_game(&mut self) -> &'static str {
        let game = if self.dice.percent(80) { 0 } else { 1 };
        GAMES[game]
    }

    /// A player who is there, mostly one who was not erased; rarely one who never was.
    fn some_player(&mut self) -> Uuid {
        let all = self.model.accounts.values();
        let live: Vec<Uuid> = all.filter(|a| !a.erased).map(|a| a.player.id).collect();
        match self.dice.below(20) {
            0 => self.dice.id(),
            1 => self.known_player(),
            _ => match self.dice.pick(&live) {
                Some(player) => *player,
                None => self.known_player(),
            },
        }
    }

    /// A player who is there or was erased; an unknown one where there is none yet.
    fn known_player(&mut self) -> Uuid {
        let all: Vec<Uuid> = self.model.accounts.keys().copied().collect();
        match self.dice.pick(&all) {
            Some(player) => *player,
            None => self.dice.id(),
        }
    }

    /// A moment up to this many seconds ago.
    fn ago(&mut self, seconds: i64) -> DateTime<Utc> {
        self.now - TimeDelta::milliseconds(self.dice.between(0, seconds * 1000))
    }
}

/// A match as it compares: details as the JSON that they are, and without ratings, which are
/// compared as the history that they are.
fn comparable(mut found: Match) -> Match {
    for slot in &mut found.slots {
        slot.rating = None;
    }
    let details = found.details.take();
    found.details = details.map(|text| {
        let json: Value = serde_json::from_str(&text).unwrap();
        json.to_string()
    });
    found
}

/// Compares tickets; where the reference has [`ANY`] reason, the store must have one.
fn same_tickets(mut stored: Vec<Ticket>, expected: Vec<Ticket>, what: &str) {
    for (stored, expected) in stored.iter_mut().zip(&expected) {
        if expected.reason.as_deref() == Some(ANY) && stored.reason.is_some() {
            stored.reason = Some(ANY.to_owned());
        }
    }
    assert_eq!(stored, expected, "{what}");
}

const GAMES: [&str; 2] = ["arena", "zen"];
const MODES: [&str; 2] = ["duel", "brawl"];
const KEPT_CALLS: usize = 40;
