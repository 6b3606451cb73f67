//! What a store should answer, by the plainest code that says so.

mod accounts;
mod backfill;
mod groups;
mod matches;
mod parties;
mod results;
mod tickets;

pub(crate) use self::results::{Scores, rating_at};

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gs_store::{Ban, Match, MatchOutcome, Player, SecretHash, Substitute, Ticket};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) accounts: BTreeMap<Uuid, Account>,
    pub(crate) tokens: BTreeMap<SecretHash, Token>,
    pub(crate) bans: BTreeMap<Uuid, Ban>,
    /// A reason of [`ANY`] stands for one that the store words.
    pub(crate) tickets: BTreeMap<Uuid, Ticket>,
    pub(crate) parties: BTreeMap<Uuid, Gathered>,
    /// Of each game.
    pub(crate) leads: BTreeMap<String, Lead>,
    pub(crate) matches: BTreeMap<Uuid, Lived>,
    /// Results that count, in the order in which they were stored.
    pub(crate) results: Vec<Counted>,
}

#[derive(Clone)]
pub(crate) struct Account {
    /// With the name that the player has now.
    pub(crate) player: Player,
    pub(crate) password_hash: Option<String>,
    pub(crate) erased: bool,
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) family: Uuid,
    pub(crate) player_id: Uuid,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) replaced_at: Option<DateTime<Utc>>,
}

/// A party.
pub(crate) struct Gathered {
    pub(crate) code: String,
    pub(crate) leader: Uuid,
    /// Ascending by when they joined.
    pub(crate) members: Vec<(DateTime<Utc>, Uuid)>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) used_at: DateTime<Utc>,
}

/// Who leads a queue.
pub(crate) struct Lead {
    pub(crate) holder: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) until: Option<DateTime<Utc>>,
}

pub(crate) struct Lived {
    /// Without the players' names.
    pub(crate) details: Match,
    pub(crate) holder: Option<String>,
    pub(crate) held_until: Option<DateTime<Utc>>,
    /// The slots that are open: slot, team, since when.
    pub(crate) open: Vec<(u8, Option<u8>, DateTime<Utc>)>,
    /// Those who came, in this order, without names.
    pub(crate) came: Vec<Came>,
}

/// A substitute.
pub(crate) struct Came {
    pub(crate) substitute: Substitute,
    /// Whether the substitute gave the slot up again.
    pub(crate) left: bool,
}

pub(crate) struct Counted {
    pub(crate) match_id: Uuid,
    pub(crate) game: String,
    pub(crate) mode: String,
    /// In the order of slots.
    pub(crate) players: Vec<Uuid>,
    /// Slots that substitutes were in.
    pub(crate) filled: Vec<u8>,
    /// Players who were erased since.
    pub(crate) forgotten: Vec<Uuid>,
    pub(crate) outcome: MatchOutcome,
}

/// A text that is the store's own business.
pub(crate) const ANY: &str = "*";
