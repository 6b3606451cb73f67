use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use uuid::Uuid;

use crate::{CountsOn, StoreError, StoreResult, Substitute};

/// Matches, who runs them, and how they ended.
///
/// A match is `forming` from [`Matches::form_match`] (or first `accepting`, where its players are
/// asked), `open` from [`Matches::room_created`],
/// `running` from [`Matches::match_started`] and then `ended` or `failed`. Whoever runs it holds
/// its lease under an epoch; the calls that take an epoch refuse any but the newest.
#[async_trait::async_trait]
pub trait Matches: Send + Sync {
    /// Moves all tickets from queued to placing (or accepting), adds the match and reserves its
    /// room's name: all of it or nothing. Of each group that is named, all tickets have to be.
    async fn form_match(&self, new: NewMatch) -> StoreResult<FormMatch>;

    /// The matches that are forming, whose rooms are to be made, oldest first.
    async fn forming_matches(&self) -> StoreResult<Vec<Match>>;

    /// Notes that the room exists, from when the match can be claimed. Answers false where the
    /// match is not forming any more.
    async fn room_created(&self, match_id: Uuid, room_sid: &str) -> StoreResult<bool>;

    /// Claims the oldest match that is open or running and that nobody holds, for `ttl` from
    /// `now`, under an epoch higher than any before.
    ///
    /// A lease that ran out is free to any holder but its own, which still has it as long as
    /// nobody else claims it: a store that answers late must not make a process take its own
    /// matches for those of a dead one. So a name is one process's for one life, and a holder
    /// that stops running a match gives it back with [`Matches::release_lease`].
    async fn claim_match(
        &self,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Option<Claim>>;

    /// Holds a match for `ttl` from `now`. A lease that ran out while nobody else claimed it is
    /// still held.
    async fn renew_lease(
        &self,
        match_id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> StoreResult<Lease>;

    /// Gives a match back, so that any process, this one too, can claim it at once.
    async fn release_lease(&self, match_id: Uuid, epoch: u64) -> StoreResult<Lease>;

    /// Notes that the authority is in the room: the tickets go from placing to matched. Calling it
    /// again, as a later holder does, changes nothing.
    async fn match_ready(
        &self,
        match_id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease>;

    /// Notes that the first tick ran. A later holder's call keeps the first one's time.
    async fn match_started(
        &self,
        match_id: Uuid,
        epoch: u64,
        at: DateTime<Utc>,
    ) -> StoreResult<Lease>;

    /// Gives up a match that is not ready; its tickets fail with the reason. A holder names its
    /// epoch; without one, the match fails whoever holds it. Answers false, and changes nothing,
    /// where the match is ready or over, or the epoch is not the newest: then
    /// [`Matches::store_result`] ends it, or says that another holder runs it.
    async fn fail_match(
        &self,
        match_id: Uuid,
        epoch: Option<u64>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Ends a match with its result, and ends the lease. In the same transaction, where the match
    /// is rated and the outcome is not void: one score for each slot that took part, the players'
    /// statistics and ratings, and the boards that the outcome names. What was acknowledged is
    /// durable, and counted once, however often it is called.
    ///
    /// Of a slot that a substitute was in ([`crate::Backfill`]), the match, how it ended and the
    /// rating count for whoever was matched into it, and the score and the named statistics for
    /// nobody. A slot that was free when the match was formed counts for nobody. Substitutes who
    /// are still on their way go back to the queue.
    async fn store_result(
        &self,
        match_id: Uuid,
        epoch: u64,
        outcome: MatchOutcome,
        now: DateTime<Utc>,
    ) -> StoreResult<StoreOutcome>;

    /// The match with this id.
    async fn match_by_id(&self, id: Uuid) -> StoreResult<Option<Match>>;

    /// The match that has this room.
    async fn match_by_room(&self, room: &str) -> StoreResult<Option<Match>>;

    /// The newest match of this player that is ready and not over, in which nobody else has or may
    /// take the player's slot.
    async fn live_match_of(&self, player_id: Uuid) -> StoreResult<Option<Match>>;

    /// A player's ended matches, those among them that the player came to as a substitute, newest
    /// first, at most `limit`, only those before `before`.
    async fn matches_of(
        &self,
        player_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Match>>;

    /// Matches formed before `formed_before` that are not ready and not over.
    async fn overdue_matches(&self, formed_before: DateTime<Utc>) -> StoreResult<Vec<Match>>;
}

/// A match.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its id.
    pub id: Uuid,
    /// Which game.
    pub game: String,
    /// Which of its modes.
    pub mode: String,
    /// LiveKit's name of its room.
    pub room: String,
    /// LiveKit's id of its room, from `open` on.
    pub room_sid: Option<String>,
    /// SHA-256 of the game module, lower-case hex.
    pub module_sha256: String,
    /// Number of teams; 0: everyone for themselves.
    pub teams: u8,
    /// The game's options, a JSON object.
    pub options: String,
    /// How its authority shares the work with the players: `full`, `validated` or `observer`.
    pub authority_mode: String,
    /// Whether its scores count.
    pub rated: bool,
    /// The region that is best for its players, where the mode's rules know regions.
    pub region: Option<String>,
    /// How many slots the game has, at least as many as there are players.
    pub capacity: u8,
    /// Whether slots that are free, or become so, are given to others who wait.
    pub backfill: bool,
    /// Until when its players are asked to accept it, while it is `accepting`.
    pub accept_until: Option<DateTime<Utc>>,
    /// How far it has come.
    pub status: MatchStatus,
    /// Its players, ascending by slot, without gaps.
    pub slots: Vec<MatchSlot>,
    /// Players who came to it while it ran and have a slot now, or had one when it ended, ascending
    /// by slot.
    pub substitutes: Vec<Substitute>,
    /// The slots that a substitute may take, ascending.
    pub open: Vec<u8>,
    /// The newest lease's epoch; 0: never claimed.
    pub epoch: u64,
    /// How it ended, where it ended.
    pub outcome: Option<Outcome>,
    /// Why it failed or did not finish, for people.
    pub reason: Option<String>,
    /// What else is known of how it ended, a JSON object.
    pub details: Option<String>,
    /// The player who alone came first.
    pub winner: Option<Uuid>,
    /// How many ticks ran, where it ended.
    pub ticks: Option<u32>,
    /// When it was formed; one that its players were asked to accept, when they all had.
    pub created_at: DateTime<Utc>,
    /// When its authority was in its room.
    pub ready_at: Option<DateTime<Utc>>,
    /// When its first tick ran.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended or failed.
    pub ended_at: Option<DateTime<Utc>>,
}

/// How far a match has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchStatus {
    /// Its players are asked whether they accept it.
    Accepting,
    /// Its room does not exist yet.
    Forming,
    /// Its room exists; it has not started.
    Open,
    /// Its first tick ran.
    Running,
    /// It has a result.
    Ended,
    /// It could not be placed.
    Failed,
}

impl MatchStatus {
    /// Its name in the store and over HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepting => "accepting",
            Self::Forming => "forming",
            Self::Open => "open",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// The one of this name.
    pub(crate) fn parse(name: String) -> StoreResult<Self> {
        use MatchStatus::*;
        [Accepting, Forming, Open, Running, Ended, Failed]
            .into_iter()
            .find(|one| one.as_str() == name)
            .ok_or(StoreError::Corrupt {
                what: "match status",
                value: name,
            })
    }
}

/// A player's place in a match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchSlot {
    /// Its number, 0–63.
    pub slot: u8,
    /// Who was matched into it.
    pub player_id: Uuid,
    /// The player's name.
    pub username: String,
    /// The team, where there are teams.
    pub team: Option<u8>,
    /// Who has it now, or had it when the match ended, in that player's place: id and name.
    pub substitute: Option<(Uuid, String)>,
    /// How it ended for this slot, once the match has ended and if the slot took part.
    pub result: Option<SlotOutcome>,
    /// The rating of whoever was matched into it before and after the result, if that counted.
    pub rating: Option<(Rating, Rating)>,
}

impl MatchSlot {
    /// Who plays in this slot now, unless it is open.
    pub fn plays(&self) -> Uuid {
        let substitute = self.substitute.as_ref();
        substitute.map_or(self.player_id, |(id, _)| *id)
    }
}

/// How many slots a match has whose row says `stored`: rows of before there were free slots say 0.
pub(crate) fn capacity_of(stored: u8, slots: &[MatchSlot]) -> u8 {
    stored.max(u8::try_from(slots.len()).unwrap_or(u8::MAX))
}

/// A match to form. Slots are numbered in the order given.
#[derive(Clone, Debug)]
pub struct NewMatch {
    /// Its id, made by the caller (version 7: history is paged by it).
    pub id: Uuid,
    /// A name for its room that no match had before.
    pub room: String,
    /// Which game.
    pub game: String,
    /// Which of its modes.
    pub mode: String,
    /// SHA-256 of the game module, lower-case hex.
    pub module_sha256: String,
    /// Number of teams; 0: everyone for themselves.
    pub teams: u8,
    /// The game's options, a JSON object.
    pub options: String,
    /// How its authority shares the work with the players: `full`, `validated` or `observer`.
    pub authority_mode: String,
    /// Whether its scores count.
    pub rated: bool,
    /// The region that is best for its players, where the mode's rules know regions.
    pub region: Option<String>,
    /// How many slots the game has, at least as many as there are players.
    pub capacity: u8,
    /// Whether slots that are free, or become so, are given to others who wait.
    pub backfill: bool,
    /// Until when the players are asked to accept; none: they are not asked.
    pub accept_until: Option<DateTime<Utc>>,
    /// The epoch of the lead over the game's queue ([`crate::Tickets::lead_queue`]) under which
    /// the match is made; none: whoever leads.
    pub lead: Option<u64>,
    /// Who plays, 1–64.
    pub slots: Vec<NewSlot>,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// A player's place in a match to form.
#[derive(Clone, Debug)]
pub struct NewSlot {
    /// The queued ticket.
    pub ticket_id: Uuid,
    /// Who plays; the ticket's player.
    pub player_id: Uuid,
    /// The team, where there are teams.
    pub team: Option<u8>,
}

/// What became of [`Matches::form_match`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormMatch {
    /// The match is there.
    Formed,
    /// A ticket is not queued any more; nothing changed.
    TicketsGone,
    /// Another match has this room; nothing changed.
    RoomTaken,
    /// Another holder leads the queue; nothing changed.
    NotLeading,
}

/// A match that the caller runs from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The lease's epoch, higher than any before.
    pub epoch: u64,
    /// The match.
    pub details: Match,
}

/// Whether the caller still runs a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It does, and what it asked for is done.
    Held,
    /// Another holder has it, or it is over: stop at once.
    Lost,
}

/// How a match ended.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchOutcome {
    /// Whether it counts.
    pub outcome: Outcome,
    /// Why it did not finish, for people.
    pub reason: Option<String>,
    /// What else is known of how it ended, a JSON object.
    pub details: Option<String>,
    /// One entry a slot that took part, no slot twice.
    pub slots: Vec<SlotOutcome>,
    /// The boards that it counts on, no board twice, at most [`MAX_BOARDS`].
    pub boards: Vec<CountsOn>,
    /// When its first tick ran; none where none did.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// How many ticks ran.
    pub ticks: u32,
}

/// Whether a result counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Played to its end.
    Finished,
    /// Too few players were left; it counts for those who are listed.
    Abandoned,
    /// It counts for nobody.
    Void,
}

impl Outcome {
    /// Its name in the store and over HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Void => "void",
        }
    }

    /// The one of this name.
    pub(crate) fn parse(name: String) -> StoreResult<Self> {
        use Outcome::*;
        [Finished, Abandoned, Void]
            .into_iter()
            .find(|one| one.as_str() == name)
            .ok_or(StoreError::Corrupt {
                what: "outcome",
                value: name,
            })
    }
}

/// How a match ended for one slot.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotOutcome {
    /// Whose.
    pub slot: u8,
    /// 1 is best; equal placements are a draw.
    pub placement: u8,
    /// Its team, where there are teams.
    pub team: Option<u8>,
    /// What the leaderboard keeps.
    pub score: i32,
    /// Named integers that add up over matches, at most 16.
    pub statistics: Vec<(String, i32)>,
}

/// What became of [`Matches::store_result`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The result is stored, durably.
    Stored,
    /// The match had a result of this epoch already (or failed to be placed); that one stands.
    AlreadyStored,
    /// Another holder runs the match now, or ended it; nothing changed.
    StaleEpoch,
}

/// Most boards that one match counts on, and so most that a game can have.
pub const MAX_BOARDS: usize = 16;
