//! The room service over a LiveKit server's HTTP API.

use std::error::Error;
use std::time::Duration;

use livekit_api::services::room::{CreateRoomOptions, RoomClient, UpdateParticipantOptions};
use livekit_api::services::{ServerError, ServerErrorCode, ServiceError};
use livekit_protocol::ParticipantPermission;

use crate::{RoomError, Rooms};

/// The room service of a LiveKit server, with an API key.
#[derive(Debug)]
pub struct LiveKitRooms {
    url: String,
    client: RoomClient,
}

impl LiveKitRooms {
    /// Talks to the server at `url` (`ws`, `wss`, `http` or `https`). Connects at the first call.
    pub fn new(url: &str, api_key: &str, api_secret: &str) -> Self {
        let client = RoomClient::with_api_key(url, api_key, api_secret)
            .with_failover(false)
            .with_request_timeout(REQUEST_TIMEOUT);
        Self {
            url: url.to_owned(),
            client,
        }
    }

    fn error(&self, error: ServiceError) -> RoomError {
        let url = self.url.clone();
        match error {
            ServiceError::Twirp(ServerError::Twirp(code)) => match code.code.as_str() {
                ServerErrorCode::UNAUTHENTICATED | ServerErrorCode::PERMISSION_DENIED => {
                    RoomError::Unauthorized { url }
                }
                ServerErrorCode::UNAVAILABLE | ServerErrorCode::DEADLINE_EXCEEDED => {
                    RoomError::Unreachable {
                        url,
                        reason: code.to_string(),
                    }
                }
                _ => RoomError::Refused {
                    url,
                    reason: code.to_string(),
                },
            },
            // A refused key is answered in plain text, where the client expects JSON.
            ServiceError::Twirp(ServerError::Request(error)) if error.is_decode() => {
                RoomError::Unauthorized { url }
            }
            other => RoomError::Unreachable {
                url,
                reason: innermost(&other),
            },
        }
    }

    /// Takes "not found" for done.
    fn gone_is_fine<T>(&self, result: Result<T, ServiceError>) -> Result<(), RoomError> {
        match result {
            Ok(_) => Ok(()),
            Err(ServiceError::Twirp(ServerError::Twirp(code)))
                if code.code == ServerErrorCode::NOT_FOUND =>
            {
                Ok(())
            }
            Err(error) => Err(self.error(error)),
        }
    }
}

#[async_trait::async_trait]
impl Rooms for LiveKitRooms {
    async fn create_room(&self, name: &str, game: &str) -> Result<String, RoomError> {
        let options = CreateRoomOptions {
            empty_timeout: EMPTY_TIMEOUT_SECONDS,
            // Slots are held for players who drop, also where all of them do.
            departure_timeout: EMPTY_TIMEOUT_SECONDS,
            max_participants: MAX_PARTICIPANTS,
            metadata: serde_json::json!({ "game": game }).to_string(),
            ..Default::default()
        };
        let room = self
            .client
            .create_room(name, options)
            .await
            .map_err(|e| self.error(e))?;
        Ok(room.sid)
    }

    async fn delete_room(&self, name: &str) -> Result<(), RoomError> {
        self.gone_is_fine(self.client.delete_room(name).await)
    }

    async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), RoomError> {
        self.gone_is_fine(self.client.remove_participant(room, identity).await)
    }

    async fn mute(&self, room: &str, identity: &str) -> Result<(), RoomError> {
        let permission = ParticipantPermission {
            can_subscribe: true,
            ..Default::default()
        };
        let options = UpdateParticipantOptions {
            permission: Some(permission),
            ..Default::default()
        };
        self.gone_is_fine(
            self.client
                .update_participant(room, identity, options)
                .await,
        )
    }

    async fn ping(&self) -> Result<(), RoomError> {
        // No room has this name, so there is nothing to list.
        let rooms = self.client.list_rooms(vec!["#".to_owned()]).await;
        rooms.map(drop).map_err(|e| self.error(e))
    }
}

/// The last cause of an error: "connection refused" rather than "error sending request".
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A player waits for the room meanwhile, and a room service that is well answers in milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long LiveKit keeps a room that nobody has joined, as the specification asks.
const EMPTY_TIMEOUT_SECONDS: u32 = 300;
/// Most participants of a room, as the specification asks; agents do not count.
const MAX_PARTICIPANTS: u32 = 100;
