//! Who waits.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rating::PLACEMENT_MATCHES;
use crate::{Rating, Rules, Who};

/// Players who queue together, or one alone: matched whole, on one team, or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: Uuid,
    /// The players, at least one.
    pub members: Vec<Member>,
    /// A private match with whoever gives the same code, by no rule but its sizes.
    pub code: Option<String>,
    /// Since when they wait.
    pub queued_at: DateTime<Utc>,
    /// Whether a match of theirs fell apart before it began, through others.
    pub returned: bool,
    /// What they say of themselves, as [`crate::Rules::check_attributes`] let it pass; else it does
    /// not count.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Round trips to regions, in milliseconds.
    pub latency_ms: BTreeMap<String, u32>,
}

impl Group {
    /// How long they have waited; nothing where the clock has jumped back.
    pub fn waited(&self, now: DateTime<Utc>) -> Duration {
        (now - self.queued_at).to_std().unwrap_or_default()
    }

    /// The longest head start that the rules give them.
    pub fn head_start(&self, rules: &Rules) -> Duration {
        let has = |who: Who| match who {
            Who::Returned => self.returned,
            Who::PartyOf(least) => self.members.len() >= usize::from(least),
            Who::NewPlayers => self.members.iter().any(|m| m.matches < PLACEMENT_MATCHES),
        };
        let head_starts = rules.priorities.iter().filter(|p| has(p.who));
        head_starts.map(|p| p.head_start).max().unwrap_or_default()
    }
}

/// A player who waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The player's ticket.
    pub ticket_id: Uuid,
    /// Who.
    pub player_id: Uuid,
    /// The skill, by [`crate::SkillRule::source`].
    pub skill: f64,
    /// The rating, by which teams are balanced.
    pub rating: Rating,
    /// How many rated matches the player has played in the mode.
    pub matches: u32,
}

/// What players say of themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Texts of which any would do.
    Texts(Vec<String>),
}
