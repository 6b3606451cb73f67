//! Joining a match's LiveKit room, and joining it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gs_store::Match;
use livekit_data::{CloseReason, ConnectError, ConnectOptions, Event, Participant, Reconnect};
use tokio::sync::mpsc::UnboundedSender;

use super::Authority;
use super::room_task::Signal;
use crate::inbox::{Inbox, Message};
use crate::room::Channel;

impl Authority {
    /// Joins the room, trying for at most `patience`; a room that does not exist is created, so
    /// that players can come back after LiveKit has lost it.
    pub(super) async fn join(
        &self,
        details: &Match,
        inbox: &Arc<Inbox>,
        signals: &UnboundedSender<Signal>,
        patience: Duration,
    ) -> Result<Participant, String> {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.join_once(details, inbox, signals).await {
                Ok(participant) => return Ok(participant),
                Err(JoinError::NoRoom) => {
                    match self.rooms.create_room(&details.room, &details.game).await {
                        Ok(_) => "the room was created again".to_owned(),
                        Err(error) => error.to_string(),
                    }
                }
                Err(JoinError::Other(error)) => error,
            };
            if Instant::now() + pause > deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn join_once(
        &self,
        details: &Match,
        inbox: &Arc<Inbox>,
        signals: &UnboundedSender<Signal>,
    ) -> Result<Participant, JoinError> {
        // A new token each time: a match may outlast one.
        let token = self
            .tokens
            .authority_token(&details.room)
            .map_err(|e| JoinError::Other(e.to_string()))?;
        let mut options = ConnectOptions::new(&self.config.livekit_url, token.token);
        // Before a new session this process has to see whether the match is still its own, and
        // LiveKit may have lost the room.
        options.connection.reconnect = Reconnect::Resume;
        let (inbox, signals) = (inbox.clone(), signals.clone());
        // LiveKit names all who are there anew.
        let (attendance, match_id) = (self.attendance.clone(), details.id);
        attendance.handle_disconnected(match_id);
        let mut sids: HashMap<Arc<str>, Arc<str>> = HashMap::new();
        let handler = move |event| match event {
            Event::Data {
                from,
                topic,
                payload,
                channel,
                received,
            } if !from.is_empty() => {
                let channel = match channel {
                    livekit_data::Channel::Lossy => Channel::Lossy,
                    livekit_data::Channel::Reliable => Channel::Reliable,
                };
                inbox.push(Message::Packet {
                    from,
                    topic,
                    payload,
                    channel,
                    at: received,
                });
            }
            // Packets without a sender come from the server's own API, which nobody here uses.
            Event::Data { .. } => {}
            // LiveKit's limit on a room's participants bounds this map.
            Event::ParticipantJoined { identity, sid, .. } => {
                attendance.handle_joined(match_id, &identity);
                sids.insert(identity.clone(), sid);
                let at = Instant::now();
                inbox.push(Message::Joined { identity, at });
            }
            // Whoever came back already has another sid.
            Event::ParticipantLeft { identity, sid } if sids.get(&identity) == Some(&sid) => {
                sids.remove(&identity);
                attendance.handle_left(match_id, &identity);
                inbox.push(Message::Left {
                    identity,
                    at: Instant::now(),
                });
            }
            Event::Closed(reason) => drop(signals.send(Signal::Closed(reason))),
            // A resumed session has lost nothing.
            _ => {}
        };
        Participant::connect_with(options, handler)
            .await
            .map_err(|error| match error {
                ConnectError::RoomNotFound { .. } => JoinError::NoRoom,
                error => JoinError::Other(error.to_string()),
            })
    }
}

enum JoinError {
    NoRoom,
    Other(String),
}

/// Whether a lost connection means that somebody else runs the match now.
pub(super) fn is_eviction(reason: &CloseReason) -> bool {
    *reason == CloseReason::DuplicateIdentity
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A LiveKit server that was restarted takes about a second; players wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    /// Clients take the authority's packets by the one, its token is minted with the other.
    #[test]
    fn the_identity_of_the_tokens_is_the_one_that_clients_expect() {
        assert_eq!(
            gs_protocol::AUTHORITY_IDENTITY,
            livekit_rooms::AUTHORITY_IDENTITY
        );
    }
}
