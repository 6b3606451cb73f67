use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_matchmaker::{AttributeValue, Rating};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{MAX_PARTY, StoreError, StoreResult};

/// Players who wait for a match.
///
/// A ticket is one player's. Those who queue together are a group, whose tickets share a fate:
/// whatever happens to one of them while they wait happens to all, in one transaction.
#[async_trait::async_trait]
pub trait Tickets: Send + Sync {
    /// Queues a group. A player may have one live ticket (queued, accepting or placing) for each
    /// game at a time, and a party queues whole.
    async fn enqueue(&self, new: NewGroup) -> StoreResult<Enqueue>;

    /// The ticket with this id.
    async fn ticket(&self, id: Uuid) -> StoreResult<Option<Ticket>>;

    /// The ticket that this player drew last, whatever became of it.
    async fn newest_ticket(&self, player_id: Uuid) -> StoreResult<Option<Ticket>>;

    /// The tickets that a match has, ascending by id.
    async fn tickets_of_match(&self, match_id: Uuid) -> StoreResult<Vec<Ticket>>;

    /// Notes that the player still waits. Does nothing to a ticket that is no longer queued.
    async fn touch_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<()>;

    /// Takes a player, and with that the group, out of the queue. While the group is asked to accept
    /// a match, it declines.
    async fn cancel_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel>;

    /// The games that somebody is queued for, each once, in alphabetical order.
    async fn queued_games(&self) -> StoreResult<Vec<String>>;

    /// Who waits for a game, first come first, at most `limit` tickets. Groups are whole: one that
    /// would go beyond the limit is left out with all that came later.
    async fn queued_tickets(&self, game: &str, limit: u32) -> StoreResult<Vec<Ticket>>;

    /// Times out the queued groups of which a ticket was not touched since `not_seen_since`; answers
    /// how many tickets.
    async fn expire_tickets(
        &self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<u64>;

    /// Times out the groups that have been queued in a mode since before `queued_before`, for a
    /// reason that players are told; answers how many tickets.
    async fn time_out_tickets(
        &self,
        game: &str,
        mode: &str,
        queued_before: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<u64>;

    /// Notes what a player answers who was asked to accept a match. With the last acceptance the
    /// match is forming and its tickets placing. With a refusal the match fails: the group that
    /// declined is cancelled, the others are queued as before and marked as returned.
    async fn accept(
        &self,
        ticket_id: Uuid,
        accept: bool,
        now: DateTime<Utc>,
    ) -> StoreResult<Accept>;

    /// Fails the matches that not everybody accepted in time: groups with a player who did not
    /// answer time out, the others are queued as before and marked as returned. Answers how many
    /// matches.
    async fn lapse_acceptances(&self, now: DateTime<Utc>) -> StoreResult<u64>;

    /// Takes or keeps the lead over a game's queue, for `ttl` from `now`: only the leader makes
    /// matches of it. Answers the lead's epoch, which grows with each change of holder, or none
    /// while another holder leads.
    async fn lead_queue(
        &self,
        game: &str,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Option<u64>>;

    /// Gives up every lead that this holder has, so that others can take them at once.
    async fn give_up_queues(&self, holder: &str) -> StoreResult<()>;

    /// The tickets that were drawn for a game since then, whatever became of them, in the order of
    /// `queued_at` and id, at most `limit`, only those after `after`.
    async fn recent_tickets(
        &self,
        game: &str,
        since: DateTime<Utc>,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: u32,
    ) -> StoreResult<Vec<Ticket>>;

    /// Deletes at most `limit` tickets to which nothing has happened since `unchanged_since` and
    /// nothing more will: final ones, those that were matched only once the match is over. Answers
    /// how many.
    async fn forget_tickets(&self, unchanged_since: DateTime<Utc>, limit: u32) -> StoreResult<u64>;
}

/// A player's wish for a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Its id.
    pub id: Uuid,
    /// The group that it belongs to; the ticket's own id where the player waits alone.
    pub group_id: Uuid,
    /// The party that queued.
    pub party_id: Option<Uuid>,
    /// Who waits.
    pub player_id: Uuid,
    /// For which game.
    pub game: String,
    /// In which of its modes.
    pub mode: String,
    /// A private match with whoever gives the same code.
    pub code: Option<String>,
    /// How far it has come.
    pub status: TicketStatus,
    /// Why it failed or timed out, for people.
    pub reason: Option<String>,
    /// The match, from `placing` on.
    pub match_id: Option<Uuid>,
    /// What the player is matched by.
    pub search: Search,
    /// Whether a match of it fell apart before it began, through others.
    pub returned: bool,
    /// What the player answered who is, or was, asked to accept the match.
    pub accepted: Option<bool>,
    /// When the player began to wait.
    pub queued_at: DateTime<Utc>,
    /// When the player last asked.
    pub seen_at: DateTime<Utc>,
    /// When its status changed last.
    pub changed_at: DateTime<Utc>,
}

/// What a player is matched by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The skill, by the mode's rules, when the ticket was drawn.
    pub skill: f64,
    /// The rating then.
    #[serde(with = "rating")]
    pub rating: Rating,
    /// How many rated matches the player had played in the mode then.
    pub matches: u32,
    /// What the group says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// The group's round trips to regions, in milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latency_ms: BTreeMap<String, u32>,
}

/// How far a ticket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TicketStatus {
    /// Waiting for others.
    Queued,
    /// In a match that its players are asked to accept.
    Accepting,
    /// In a match whose authority is not in its room yet.
    Placing,
    /// In a match that can be joined.
    Matched,
    /// Taken back by the player.
    Cancelled,
    /// The player stopped asking.
    TimedOut,
    /// The match could not be placed; there is a reason.
    Failed,
}

impl TicketStatus {
    /// Its name in the store and over HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Accepting => "accepting",
            Self::Placing => "placing",
            Self::Matched => "matched",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }

    /// The one of this name.
    pub(crate) fn parse(name: String) -> StoreResult<Self> {
        use TicketStatus::*;
        [
            Queued, Accepting, Placing, Matched, Cancelled, TimedOut, Failed,
        ]
        .into_iter()
        .find(|one| one.as_str() == name)
        .ok_or(StoreError::Corrupt {
            what: "ticket status",
            value: name,
        })
    }

    /// Whether nothing more will happen to the ticket.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Accepting | Self::Placing)
    }
}

/// Players who queue together, or one alone.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its id, made by the caller; the ticket's where there is one.
    pub id: Uuid,
    /// The party, which has to have exactly these members.
    pub party_id: Option<Uuid>,
    /// For which game.
    pub game: String,
    /// In which of its modes.
    pub mode: String,
    /// A private match with whoever gives the same code.
    pub code: Option<String>,
    /// A ticket for each player, 1 to [`crate::MAX_PARTY`].
    pub tickets: Vec<NewTicket>,
    /// Now.
    pub queued_at: DateTime<Utc>,
}

/// A ticket to queue.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// Its id, made by the caller.
    pub id: Uuid,
    /// Who waits.
    pub player_id: Uuid,
    /// What the player is matched by.
    pub search: Search,
}

impl NewGroup {
    /// A group of one player.
    pub fn alone(ticket: NewTicket, game: &str, mode: &str, queued_at: DateTime<Utc>) -> Self {
        Self {
            id: ticket.id,
            party_id: None,
            game: game.to_owned(),
            mode: mode.to_owned(),
            code: None,
            tickets: vec![ticket],
            queued_at,
        }
    }

    /// Whether it can be stored, and read again.
    pub(crate) fn check(&self) -> StoreResult<()> {
        let count = self.tickets.len();
        if !(1..=MAX_PARTY).contains(&count) {
            let message = format!("a group has 1 to {MAX_PARTY} players, not {count}");
            return Err(StoreError::Invalid(message));
        }
        let players: BTreeSet<Uuid> = self.tickets.iter().map(|t| t.player_id).collect();
        if players.len() < count {
            let message = format!("a player is in group {} twice", self.id);
            return Err(StoreError::Invalid(message));
        }
        // JSON has no other numbers: a ticket with one could never be read again, nor its queue.
        match self.tickets.iter().find(|t| !t.search.is_finite()) {
            Some(ticket) => Err(StoreError::Invalid(format!(
                "ticket {} is to be matched by a number that is none",
                ticket.id
            ))),
            None => Ok(()),
        }
    }
}

impl Search {
    fn is_finite(&self) -> bool {
        let numbers = [self.skill, self.rating.value, self.rating.uncertainty];
        let attributes = self.attributes.values().map(|value| match value {
            AttributeValue::Number(number) => number.is_finite(),
            AttributeValue::Text(_) | AttributeValue::Texts(_) => true,
        });
        numbers.into_iter().all(f64::is_finite) && attributes.into_iter().all(|finite| finite)
    }
}

/// The first `limit` of tickets that were asked for up to one more, without a group that goes on
/// beyond them.
pub(crate) fn whole_groups(mut tickets: Vec<Ticket>, limit: u32) -> Vec<Ticket> {
    let limit = limit as usize;
    if let Some(cut) = tickets.get(limit).map(|ticket| ticket.group_id) {
        tickets.truncate(limit);
        while tickets.pop_if(|ticket| ticket.group_id == cut).is_some() {}
    }
    tickets
}

/// What became of [`Tickets::enqueue`].
#[derive(Clone, Debug, PartialEq)]
pub enum Enqueue {
    /// The players wait; their tickets, in the order given.
    Queued(Vec<Ticket>),
    /// A player has a live ticket for the game already.
    AlreadyQueued {
        /// Who.
        player_id: Uuid,
        /// That ticket.
        ticket_id: Uuid,
    },
    /// The party has other members, or is gone.
    PartyChanged,
}

/// What became of [`Tickets::accept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// It is noted, and others are still asked.
    Accepted,
    /// It was the last: this match is forming.
    Complete(Uuid),
    /// The match falls apart.
    Declined,
    /// The player has said so before.
    Repeated,
    /// The player has said the contrary before; that stands.
    Contradicts,
    /// The ticket is not asked to accept anything.
    NotAccepting,
    /// There is no such ticket.
    NotFound,
}

/// What became of [`Tickets::cancel_ticket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The group waits no longer (or had stopped before).
    Cancelled,
    /// The ticket is in a match already.
    AlreadyMatched,
    /// There is no such ticket.
    NotFound,
}

/// A rating as it is stored.
mod rating {
    use gs_matchmaker::Rating;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(rating: &Rating, to: S) -> Result<S::Ok, S::Error> {
        (rating.value, rating.uncertainty).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Rating, D::Error> {
        let (value, uncertainty) = Deserialize::deserialize(from)?;
        Ok(Rating { value, uncertainty })
    }
}
