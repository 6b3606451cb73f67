//! What a game server remembers: accounts, tickets, matches, leases and results.
//!
//! The traits speak in the domain's terms, and every call that changes more than one row is one
//! transaction: a player never holds two live tickets for one game, a ticket never ends up in two matches, and
//! a result is stored once. `now` and the ids that callers refer to are arguments. Times are kept
//! to the millisecond.
//!
//! [`EmbeddedStore`] keeps everything in one SQLite file and needs no service. [`PostgresStore`]
//! keeps it in PostgreSQL, with Redis beside it, and is shared by many processes.

mod accounts;
mod backfill;
mod boards;
mod embedded;
mod error;
mod matches;
mod parties;
mod postgres;
mod presence;
mod season;
mod statistics;
mod tally;
mod tickets;

pub use accounts::{
    AccountData, Accounts, Ban, CreatePlayer, Credentials, NewPlayer, NewSession, Player,
    REPEAT_WINDOW, RegisterGuest, Registration, Rotate, Rotation, SecretHash, Session, SigningKey,
    USERNAME_LENGTH, erased_name, username_key, username_skeleton,
};
pub use backfill::{
    Backfill, FillSlot, MAX_OPENINGS, MAX_SUBSTITUTES, MatchOpening, OpeningPlayer, Playing,
    Substitute,
};
pub use boards::{
    ALL_TIME, BoardCursor, BoardEntry, BoardKey, BoardPage, BoardRule, BoardStart, Boards,
    CountsOn, Rebuild, Standing,
};
pub use embedded::EmbeddedStore;
pub use error::{StoreError, StoreResult};
pub use matches::{
    Claim, FormMatch, Lease, MAX_BOARDS, Match, MatchOutcome, MatchSlot, MatchStatus, Matches,
    NewMatch, NewSlot, Outcome, SlotOutcome, StoreOutcome,
};
pub use parties::{
    CreateParty, JoinParty, LeaveParty, MAX_PARTY, NewParty, Parties, Party, PartyMember,
};
pub use postgres::{PoolStatus, PostgresOptions, PostgresStore};
pub use presence::{EVENTS_KEPT, ONLINE_FOR, Presence, ROOM_KEPT};
pub use season::{BoardInfo, DEFAULT_BOARD, Season, counts_on};
pub use statistics::{MAX_STATISTICS, PlayerSkill, PlayerStatistics, RatingChange, Statistics};
pub use tickets::{
    Accept, Cancel, Enqueue, NewGroup, NewTicket, Search, Ticket, TicketStatus, Tickets,
};

use tokio::sync::watch;

/// Everything that the services ask of a store.
#[async_trait::async_trait]
pub trait Store:
    Accounts + Parties + Tickets + Matches + Backfill + Boards + Statistics + Presence
{
    /// A number that grows whenever a ticket or a match changes in a way that somebody may wait
    /// for (heartbeats and lease renewals are not such). A store shared by several processes may
    /// report late, and a lease runs out without any change, so whoever waits also polls.
    fn changes(&self) -> watch::Receiver<u64>;

    /// What of the store cannot be reached now, by name (`PostgreSQL`, `Redis`); empty where all is
    /// well.
    async fn missing(&self) -> Vec<&'static str>;

    /// The work that a store has beside calls, such as keeping the ranks of boards up with the
    /// record. Runs until it is dropped; every process with an API runs it once, and they agree on
    /// who does what.
    async fn maintain(&self);
}
