//! What a game backend asks of a LiveKit server: create and delete rooms, silence or remove a
//! participant, mint the tokens that players and authorities join with, and verify its webhooks.

mod livekit;
mod tokens;
mod webhooks;

pub use livekit::LiveKitRooms;
pub use tokens::{AUTHORITY_IDENTITY, RoomToken, RoomTokens, TOKEN_TTL, TokenError};
pub use webhooks::{WebhookError, WebhookEvent, WebhookKind, Webhooks};

/// The room service of a LiveKit server.
///
/// Asking for something that is already so succeeds: a room that is gone can be deleted, and a
/// participant who left can be removed.
#[async_trait::async_trait]
pub trait Rooms: Send + Sync {
    /// Creates a room for a match of `game` and answers its sid. The caller has reserved the name:
    /// where a room of that name exists, LiveKit answers with that one.
    async fn create_room(&self, name: &str, game: &str) -> Result<String, RoomError>;

    /// Closes a room, which disconnects everyone in it.
    async fn delete_room(&self, name: &str) -> Result<(), RoomError>;

    /// Disconnects a participant, who can come back while the token lasts.
    async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), RoomError>;

    /// Takes away a participant's right to send data and media; the participant still receives.
    async fn mute(&self, room: &str, identity: &str) -> Result<(), RoomError>;

    /// Asks something cheap: whether the server answers and takes the key.
    async fn ping(&self) -> Result<(), RoomError>;
}

/// Why LiveKit did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// No answer, or none that makes sense.
    #[error("LiveKit at {url} is unreachable ({reason}); check that it runs and `livekit.host`")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// It does not know the API key, the secret does not match, or it is no LiveKit at all.
    #[error(
        "what answers at {url} is no LiveKit that accepts the API key; \
         check `livekit.host`, `livekit.api_key` and its secret"
    )]
    Unauthorized {
        /// Who refused.
        url: String,
    },
    /// It answered with an error.
    #[error("LiveKit at {url} refused: {reason}")]
    Refused {
        /// Who refused.
        url: String,
        /// What it said.
        reason: String,
    },
}
