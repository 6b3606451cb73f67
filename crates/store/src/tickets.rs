use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{StoreError, StoreResult};

/// Players who wait for a match.
#[async_trait::async_trait]
pub trait Tickets: Send + Sync {
    /// Queues a player, who may have one live ticket (queued or placing) for each game at a time.
    async fn enqueue(&self, new: NewTicket) -> StoreResult<Enqueue>;

    /// The ticket with this id.
    async fn ticket(&self, id: Uuid) -> StoreResult<Option<Ticket>>;

    /// The ticket that this player drew last, whatever became of it.
    async fn newest_ticket(&self, player_id: Uuid) -> StoreResult<Option<Ticket>>;

    /// Notes that the player still waits. Does nothing to a ticket that is no longer queued.
    async fn touch_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<()>;

    /// Takes a player out of the queue.
    async fn cancel_ticket(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Cancel>;

    /// The games that somebody is queued for, each once, in alphabetical order.
    async fn queued_games(&self) -> StoreResult<Vec<String>>;

    /// Who waits for a game, first come first, at most `limit`.
    async fn queued_tickets(&self, game: &str, limit: u32) -> StoreResult<Vec<Ticket>>;

    /// Times out the queued tickets that were not touched since `not_seen_since`; answers how many.
    async fn expire_tickets(
        &self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<u64>;

    /// Deletes at most `limit` tickets to which nothing has happened since `unchanged_since` and
    /// nothing more will: final ones, those that were matched only once the match is over. Answers
    /// how many.
    async fn forget_tickets(&self, unchanged_since: DateTime<Utc>, limit: u32) -> StoreResult<u64>;
}

/// A player's wish for a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its id.
    pub id: Uuid,
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
    /// When the player began to wait.
    pub queued_at: DateTime<Utc>,
    /// When the player last asked.
    pub seen_at: DateTime<Utc>,
    /// When its status changed last.
    pub changed_at: DateTime<Utc>,
}

/// How far a ticket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TicketStatus {
    /// Waiting for others.
    Queued,
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
        [Queued, Placing, Matched, Cancelled, TimedOut, Failed]
            .into_iter()
            .find(|one| one.as_str() == name)
            .ok_or(StoreError::Corrupt {
                what: "ticket status",
                value: name,
            })
    }

    /// Whether nothing more will happen to the ticket.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Placing)
    }
}

/// A ticket to queue.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// Its id, made by the caller.
    pub id: Uuid,
    /// Who waits.
    pub player_id: Uuid,
    /// For which game.
    pub game: String,
    /// In which of its modes.
    pub mode: String,
    /// A private match with whoever gives the same code.
    pub code: Option<String>,
    /// Now.
    pub queued_at: DateTime<Utc>,
}

/// What became of [`Tickets::enqueue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enqueue {
    /// The player waits.
    Queued(Ticket),
    /// The player has a live ticket for the game already, this one.
    AlreadyQueued(Uuid),
}

/// What became of [`Tickets::cancel_ticket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The player waits no longer (or had stopped before).
    Cancelled,
    /// The ticket is in a match already.
    AlreadyMatched,
    /// There is no such ticket.
    NotFound,
}
