use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::StoreResult;

/// Players who queue together. A player is in one party at a time.
#[async_trait::async_trait]
pub trait Parties: Send + Sync {
    /// Makes a party of one.
    async fn create_party(&self, new: NewParty) -> StoreResult<CreateParty>;

    /// Joins the party that has this code. What the party waits for is cancelled: it was without
    /// the newcomer.
    async fn join_party(
        &self,
        code: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<JoinParty>;

    /// Takes a player out of a party, in one step with what the party waits for, which is cancelled
    /// (or declined, where a match is to be accepted). Where the leader leaves, whoever joined
    /// first of the others leads; a party that is empty is gone.
    async fn leave_party(
        &self,
        party_id: Uuid,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<LeaveParty>;

    /// The party with this id.
    async fn party(&self, id: Uuid) -> StoreResult<Option<Party>>;

    /// The party that a player is in.
    async fn party_of(&self, player_id: Uuid) -> StoreResult<Option<Party>>;

    /// Deletes at most `limit` parties that nobody joined, left or queued with since then and that
    /// wait for nothing. Answers how many.
    async fn forget_parties(&self, unused_since: DateTime<Utc>, limit: u32) -> StoreResult<u64>;
}

/// Players who queue together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its id.
    pub id: Uuid,
    /// What others join by.
    pub code: String,
    /// Who queues it.
    pub leader: Uuid,
    /// Its members, in the order in which they joined, 1 to [`MAX_PARTY`].
    pub members: Vec<PartyMember>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A member of a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyMember {
    /// Who.
    pub player_id: Uuid,
    /// The player's name.
    pub username: String,
}

/// A party to make.
#[derive(Clone, Debug)]
pub struct NewParty {
    /// Its id, made by the caller.
    pub id: Uuid,
    /// What others join by; no two parties have the same.
    pub code: String,
    /// Who makes it.
    pub leader: Uuid,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// What became of [`Parties::create_party`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateParty {
    /// It is there.
    Created(Party),
    /// Another party has the code.
    CodeTaken,
    /// The player is in this party already.
    AlreadyIn(Uuid),
}

/// What became of [`Parties::join_party`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinParty {
    /// The player is in it (or was before).
    Joined(Party),
    /// The player is in another party, this one.
    AlreadyIn(Uuid),
    /// The party has [`MAX_PARTY`] members.
    Full,
    /// No party has this code.
    NoSuchCode,
}

/// What became of [`Parties::leave_party`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaveParty {
    /// The player is out of it; what is left, where somebody is.
    Left(Option<Party>),
    /// The player is not in this party.
    NotThere,
}

/// Most members of a party: as many as the largest teams that people play in together.
pub const MAX_PARTY: usize = 16;
