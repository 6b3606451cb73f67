use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::StoreResult;

/// Players, how they prove who they are, and their sessions.
#[async_trait::async_trait]
pub trait Accounts: Send + Sync {
    /// Adds a player, with a password's hash or as a guest.
    async fn create_player(&self, new: NewPlayer) -> StoreResult<CreatePlayer>;

    /// Turns a guest into a registered player, who keeps the id and all results.
    async fn register_guest(&self, registration: Registration) -> StoreResult<RegisterGuest>;

    /// The player with this id.
    async fn player(&self, id: Uuid) -> StoreResult<Option<Player>>;

    /// How the player with this name (in any case) proves who they are. None for guests.
    async fn credentials_by_username(&self, username: &str) -> StoreResult<Option<Credentials>>;

    /// How this player proves who they are. None for guests.
    async fn credentials(&self, player_id: Uuid) -> StoreResult<Option<Credentials>>;

    /// Replaces a registered player's password hash and ends all of the player's sessions, in one
    /// step. Answers false where there is no such registered player.
    async fn change_password(&self, player_id: Uuid, password_hash: &str) -> StoreResult<bool>;

    /// Starts a family of refresh tokens with its first one. One of a player who was erased in the
    /// meantime has ended already.
    async fn open_session(&self, session: NewSession) -> StoreResult<()>;

    /// Exchanges a refresh token for its successor.
    async fn rotate_session(&self, rotation: Rotation) -> StoreResult<Rotate>;

    /// Ends one family of refresh tokens.
    async fn end_session(&self, family: Uuid) -> StoreResult<()>;

    /// Ends all sessions of a player.
    async fn end_sessions(&self, player_id: Uuid) -> StoreResult<()>;

    /// Forgets refresh tokens that expired before `now`; answers how many.
    async fn forget_expired_sessions(&self, now: DateTime<Utc>) -> StoreResult<u64>;

    /// The server's secret of this name, such as the one that refresh tokens are derived with. Where
    /// there is none yet, `candidate` becomes it; all processes on one store see the same.
    async fn secret(&self, name: &str, candidate: &[u8]) -> StoreResult<Vec<u8>>;

    /// The session that a family of refresh tokens is; none once it has ended or its newest token
    /// has expired.
    async fn session(&self, family: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Session>>;

    /// The keys that sign access tokens, newest first. Where there is none yet, `candidate` becomes
    /// the first.
    async fn signing_keys(&self, candidate: SigningKey) -> StoreResult<Vec<SigningKey>>;

    /// Adds a signing key, the newest from now on, and forgets those whose successor was made
    /// before `forget_replaced_before`.
    async fn rotate_signing_key(
        &self,
        new: SigningKey,
        forget_replaced_before: DateTime<Utc>,
    ) -> StoreResult<()>;

    /// Bans a player, in one step with ending all sessions, leaving the party, cancelling queued
    /// tickets and declining what the player is asked to accept. A ban that stands is replaced. Answers false where there is no such player.
    async fn ban(&self, ban: Ban) -> StoreResult<bool>;

    /// Lifts a player's ban. Answers false where there is none at `now`.
    async fn lift_ban(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool>;

    /// The bans of these players that stand at `now`.
    async fn bans_of(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<Vec<Ban>>;

    /// All bans that stand at `now`, ascending by player id, those after `after`, at most `limit`.
    async fn bans(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Vec<Ban>>;

    /// Everything held of a player but the matches, which [`crate::Matches::matches_of`] pages.
    /// None where there is no such player.
    async fn account_data(&self, player_id: Uuid) -> StoreResult<Option<AccountData>>;

    /// Erases a player: name, address, password, sessions and tickets go (a queued ticket with
    /// them), and so does the history of ratings; the player leaves the party; matches, statistics
    /// and board entries stay, under the name [`erased_name`]. A ban stays, too. The name is free
    /// again. Answers false where there is no such player, or it is erased already; an erased player
    /// can neither register nor open a session.
    async fn erase_player(&self, player_id: Uuid, now: DateTime<Utc>) -> StoreResult<bool>;
}

/// A player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Their id, also their identity in LiveKit.
    pub id: Uuid,
    /// The name that others see.
    pub username: String,
    /// Their address, if they gave one.
    pub email: Option<String>,
    /// Whether the player has no password yet.
    pub guest: bool,
    /// When they came.
    pub created_at: DateTime<Utc>,
}

/// A player to add.
#[derive(Clone)]
pub struct NewPlayer {
    /// Their id, made by the caller.
    pub id: Uuid,
    /// A name that [`username_key`] accepts.
    pub username: String,
    /// Their address, unique in any case.
    pub email: Option<String>,
    /// The password's hash, in PHC form; none for a guest.
    pub password_hash: Option<String>,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// What became of [`Accounts::create_player`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreatePlayer {
    /// The player is there.
    Created(Player),
    /// Somebody has this name.
    UsernameTaken,
    /// Somebody has this address.
    EmailTaken,
}

/// A guest who registers.
#[derive(Clone)]
pub struct Registration {
    /// The guest's id.
    pub player_id: Uuid,
    /// The name from now on, which may be the same.
    pub username: String,
    /// Their address.
    pub email: Option<String>,
    /// The password's hash, in PHC form.
    pub password_hash: String,
}

/// What became of [`Accounts::register_guest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterGuest {
    /// The guest is a registered player now.
    Registered(Player),
    /// Somebody else has this name.
    UsernameTaken,
    /// Somebody else has this address.
    EmailTaken,
    /// There is no guest with this id; a registered player cannot register again.
    NotAGuest,
}

/// How a player proves who they are.
#[derive(Clone)]
pub struct Credentials {
    /// Whose.
    pub player_id: Uuid,
    /// The password's hash, in PHC form.
    pub password_hash: String,
}

/// A session: one sign-in, kept by a family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub player_id: Uuid,
    /// The player's ban, where one stands.
    pub ban: Option<Ban>,
}

/// A key that signs access tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its id, which tokens name.
    pub id: Uuid,
    /// The key.
    pub secret: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// A player who may not play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub player_id: Uuid,
    /// Why, as the player is told; 1–200 characters.
    pub reason: String,
    /// Since when.
    pub banned_at: DateTime<Utc>,
    /// Until when; for good where absent.
    pub until: Option<DateTime<Utc>>,
}

impl Ban {
    /// Whether the ban stands at `now`.
    pub fn stands(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// What is held of a player beside matches.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountData {
    /// The player.
    pub player: Player,
    /// Sessions that have not ended: when the newest refresh token of each expires, ascending.
    pub sessions: Vec<DateTime<Utc>>,
    /// Tickets that are kept, newest first.
    pub tickets: Vec<crate::Ticket>,
    /// Game, mode, and what results add up to, in this order.
    pub statistics: Vec<(String, String, crate::PlayerStatistics)>,
    /// Entries on boards, with score and time, ascending by board.
    pub entries: Vec<(crate::BoardKey, i64, DateTime<Utc>)>,
    /// The newest ban, whether it stands or has run out.
    pub ban: Option<Ban>,
}

/// The name under which an erased player's results stay.
pub fn erased_name(player_id: Uuid) -> String {
    let hex = player_id.simple().to_string();
    format!("deleted-{}", &hex[hex.len() - 12..])
}

/// SHA-256 of a refresh token; the token itself is never stored.
pub type SecretHash = [u8; 32];

/// A new family of refresh tokens.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The family's id.
    pub family: Uuid,
    /// Whose session it is.
    pub player_id: Uuid,
    /// The first token.
    pub token_hash: SecretHash,
    /// When that token stops working.
    pub expires_at: DateTime<Utc>,
}

/// A refresh token to exchange.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The token that was shown.
    pub old_hash: SecretHash,
    /// Its successor: a function of the old token, so that a repeat yields the same one.
    pub new_hash: SecretHash,
    /// Now.
    pub now: DateTime<Utc>,
    /// When the successor stops working.
    pub expires_at: DateTime<Utc>,
}

/// What became of [`Accounts::rotate_session`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotate {
    /// The successor works from now on, the old token no longer.
    Rotated {
        /// Whose session it is.
        player_id: Uuid,
        /// The family.
        family: Uuid,
    },
    /// The old token was exchanged less than [`REPEAT_WINDOW`] ago: the same successor stands.
    Repeated {
        /// Whose session it is.
        player_id: Uuid,
        /// The family.
        family: Uuid,
    },
    /// The old token was exchanged before that, so somebody has a copy: the family has ended.
    Reused {
        /// Whose session it was.
        player_id: Uuid,
    },
    /// No such token, or its family has ended.
    Unknown,
    /// The token is too old.
    Expired,
}

/// The form in which a name is unique: two names that differ in case alone are one. `None` where
/// the name is not 3–20 characters of `A-Z a-z 0-9 _ -`; within these, no two characters pass for
/// each other beyond what a font does to any text.
pub fn username_key(username: &str) -> Option<String> {
    let fits = USERNAME_LENGTH.contains(&username.len())
        && username
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    fits.then(|| username.to_ascii_lowercase())
}

/// The form in which no two names may look alike: [`username_key`], folded further by Unicode's list
/// of confusable characters (UTS 39): `Bill` and `BiII`, `modern` and `rnodern`, `0liver` and
/// `Oliver` are one each. `None` as for [`username_key`].
pub fn username_skeleton(username: &str) -> Option<String> {
    let folded = |c: char| match c.to_ascii_lowercase() {
        'i' => 'l',
        other => other,
    };
    let key: String = username_key(username)?.chars().map(folded).collect();
    Some(
        unicode_security::skeleton(&key)
            .map(folded)
            .collect::<String>(),
    )
}

/// How many characters a name has.
pub const USERNAME_LENGTH: RangeInclusive<usize> = 3..=20;

/// How long an exchanged refresh token still answers with its successor. Two tabs refreshing at
/// once and a lost answer that is asked for again fit in; a thief who comes later does not.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(10);
