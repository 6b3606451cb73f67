use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::StoreResult;

/// Who is there, as far as is known: kept for a while, and never what correctness rests on.
#[async_trait::async_trait]
pub trait Presence: Send + Sync {
    /// Notes that these players are there, for [`ONLINE_FOR`] from now on.
    async fn players_seen(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<()>;

    /// Which of these players are there, in the order asked.
    async fn online(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<Vec<bool>>;

    /// Notes that a player is in a room.
    async fn room_joined(&self, room: &str, player_id: Uuid) -> StoreResult<()>;

    /// Notes that a player is not in a room any more.
    async fn room_left(&self, room: &str, player_id: Uuid) -> StoreResult<()>;

    /// Notes that a room is gone.
    async fn room_closed(&self, room: &str) -> StoreResult<()>;

    /// The players in a room, ascending.
    async fn room_players(&self, room: &str) -> StoreResult<Vec<Uuid>>;

    /// Whether a webhook's event comes for the first time: false where one with this id came within
    /// [`EVENTS_KEPT`].
    async fn first_delivery(&self, event_id: &str, now: DateTime<Utc>) -> StoreResult<bool>;
}

/// How long a player counts as there who was not heard of since.
pub const ONLINE_FOR: Duration = Duration::from_secs(60);

/// How long the ids of webhooks' events are kept; LiveKit gives up repeating one much sooner.
pub const EVENTS_KEPT: Duration = Duration::from_secs(60 * 60);

/// How long it is remembered who is in a room that nothing was heard of since.
pub const ROOM_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
