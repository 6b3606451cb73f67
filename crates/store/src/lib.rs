//! What a game server remembers: accounts, tickets, matches, leases and results.
//!
//! The traits speak in the domain's terms, and every call that changes more than one row is one
//! transaction: a player never holds two live tickets, a ticket never ends up in two matches, and
//! a result is stored once. `now` and the ids that callers refer to are arguments. Times are kept
//! to the millisecond.
//!
//! [`EmbeddedStore`] keeps everything in one SQLite file and needs no service.

mod accounts;
mod embedded;
mod error;
mod matches;
mod tickets;

pub use accounts::{
    Accounts, CreatePlayer, Credentials, NewPlayer, NewSession, Player, REPEAT_WINDOW,
    RegisterGuest, Registration, Rotate, Rotation, SecretHash, USERNAME_LENGTH, username_key,
};
pub use embedded::EmbeddedStore;
pub use error::{StoreError, StoreResult};
pub use matches::{
    Claim, FormMatch, Lease, Match, MatchOutcome, MatchSlot, MatchStatus, Matches, NewMatch,
    NewSlot, Outcome, SlotOutcome, StoreOutcome,
};
pub use tickets::{Cancel, Enqueue, NewTicket, Ticket, TicketStatus, Tickets};

use tokio::sync::watch;

/// Everything that the services ask of a store.
#[async_trait::async_trait]
pub trait Store: Accounts + Tickets + Matches {
    /// A number that grows whenever a ticket or a match changes in a way that somebody may wait
    /// for (heartbeats and lease renewals are not such). A store shared by several processes may
    /// report late, and a lease runs out without any change, so whoever waits also polls.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Fails where the store cannot be reached.
    async fn ping(&self) -> StoreResult<()>;
}
