//! LiveKit's webhooks, verified.

use std::fmt;

use livekit_api::webhooks::{WebhookError as Refused, WebhookReceiver};
use livekit_token::TokenVerifier;

/// Verifies LiveKit's webhooks, with the key and the secret that it signs them with.
#[derive(Clone)]
pub struct Webhooks {
    api_key: String,
    receiver: WebhookReceiver,
}

impl Webhooks {
    /// With the key that LiveKit's configuration names under `webhook.api_key`, and its secret.
    pub fn new(api_key: &str, api_secret: &str) -> Self {
        Self {
            api_key: api_key.to_owned(),
            receiver: WebhookReceiver::new(TokenVerifier::with_api_key(api_key, api_secret)),
        }
    }

    /// The event in a request's body, exactly as it came, once its `Authorization` header proves
    /// that LiveKit wrote it. A repeated one passes: tell it by its id.
    pub fn receive(&self, body: &[u8], authorization: &str) -> Result<WebhookEvent, WebhookError> {
        let body = std::str::from_utf8(body).map_err(|_| WebhookError::NotText)?;
        let event = self
            .receiver
            .receive(body, authorization)
            .map_err(|error| match error {
                Refused::InvalidAuth(_) => WebhookError::Token,
                Refused::InvalidSignature | Refused::InvalidBase64(_) => WebhookError::Hash,
                Refused::InvalidData(error) => WebhookError::NotUnderstood(error.to_string()),
            })?;
        let (room, room_sid) = event.room.map(|r| (r.name, r.sid)).unwrap_or_default();
        let identity = event.participant.map(|p| p.identity).unwrap_or_default();
        let kind = match event.event.as_str() {
            "room_started" => WebhookKind::RoomStarted,
            "room_finished" => WebhookKind::RoomFinished,
            "participant_joined" => WebhookKind::ParticipantJoined { identity },
            "participant_left" => WebhookKind::ParticipantLeft { identity },
            _ => WebhookKind::Other(event.event),
        };
        Ok(WebhookEvent {
            id: event.id,
            room,
            room_sid,
            kind,
        })
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Something that happened in a room. LiveKit may tell it late, repeatedly, out of order or not at
/// all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Its id, the same in each repetition.
    pub id: String,
    /// The room's name; empty where the event is of no room.
    pub room: String,
    /// LiveKit's id of the room.
    pub room_sid: String,
    /// What happened.
    pub kind: WebhookKind,
}

/// What happened in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookKind {
    /// It was made.
    RoomStarted,
    /// It is gone.
    RoomFinished,
    /// Somebody came.
    ParticipantJoined {
        /// Who.
        identity: String,
    },
    /// Somebody left.
    ParticipantLeft {
        /// Who.
        identity: String,
    },
    /// Something else, by LiveKit's name of it.
    Other(String),
}

/// Why a webhook was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The token is none, has expired, or is of another key.
    #[error("its token is not one that LiveKit signed with this server's key, or has expired")]
    Token,
    /// The token is for another body.
    #[error("its body is not the one that was signed")]
    Hash,
    /// The body is no UTF-8, so no JSON.
    #[error("its body is no text")]
    NotText,
    /// LiveKit signed it, and it is no event in a form that this version knows.
    #[error("its body is no event that is understood: {0}")]
    NotUnderstood(String),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use livekit_token::AccessToken;

    use super::*;

    const KEY: &str = "devkey";
    const SECRET: &str = "a-secret-of-at-least-32-characters!!";
    const JOINED: &str = r#"{"event":"participant_joined","room":{"sid":"RM_1","name":"arena-1"},
        "participant":{"sid":"PA_1","identity":"p1"},"id":"EV_1","createdAt":"1763884800"}"#;

    fn sign(key: &str, secret: &str, body: &str) -> String {
        use base64::Engine as _;
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(body.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        AccessToken::with_api_key(key, secret)
            .with_sha256(&hash)
            .with_ttl(Duration::from_secs(300))
            .to_jwt()
            .unwrap()
    }

    fn receive(body: &str) -> Result<WebhookEvent, WebhookError> {
        Webhooks::new(KEY, SECRET).receive(body.as_bytes(), &sign(KEY, SECRET, body))
    }

    #[test]
    fn the_four_events_and_others_are_read() {
        let event = receive(JOINED).unwrap();
        let identity = "p1".to_owned();
        assert_eq!(event.kind, WebhookKind::ParticipantJoined { identity });
        assert_eq!(
            (
                event.id.as_str(),
                event.room.as_str(),
                event.room_sid.as_str()
            ),
            ("EV_1", "arena-1", "RM_1")
        );
        let body = |name: &str| JOINED.replace("participant_joined", name);
        let kind = |name: &str| receive(&body(name)).unwrap().kind;
        assert_eq!(kind("room_started"), WebhookKind::RoomStarted);
        assert_eq!(kind("room_finished"), WebhookKind::RoomFinished);
        let identity = "p1".to_owned();
        assert_eq!(
            kind("participant_left"),
            WebhookKind::ParticipantLeft { identity }
        );
        assert_eq!(
            kind("egress_ended"),
            WebhookKind::Other("egress_ended".to_owned())
        );
        let later = JOINED.replace("{\"event\"", "{\"added later\": [1], \"event\"");
        assert_eq!(receive(&later), receive(JOINED));
    }

    #[test]
    fn only_what_livekit_signed_passes_and_only_as_it_was_signed() {
        let webhooks = Webhooks::new(KEY, SECRET);
        let token = sign(KEY, SECRET, JOINED);
        let refused =
            |body: &str, token: &str| webhooks.receive(body.as_bytes(), token).unwrap_err();
        assert_eq!(
            refused(&JOINED.replace("p1", "p2"), &token),
            WebhookError::Hash
        );
        assert_eq!(refused(&format!("{JOINED} "), &token), WebhookError::Hash);
        for token in [
            sign("other", SECRET, JOINED),
            sign(KEY, "another-secret-of-32-characters-or-more", JOINED),
            format!("Bearer {token}"),
            format!("{token}x"),
            String::new(),
        ] {
            assert_eq!(refused(JOINED, &token), WebhookError::Token, "{token}");
        }
        let no_hash = AccessToken::with_api_key(KEY, SECRET).to_jwt().unwrap();
        assert_eq!(refused(JOINED, &no_hash), WebhookError::Hash);
        let no_base64 = AccessToken::with_api_key(KEY, SECRET).with_sha256("?!");
        assert_eq!(
            refused(JOINED, &no_base64.to_jwt().unwrap()),
            WebhookError::Hash
        );
        let not_text = webhooks.receive(b"\xff\xfe", &token);
        assert_eq!(not_text, Err(WebhookError::NotText));
        assert!(matches!(receive("[]"), Err(WebhookError::NotUnderstood(_))));
        assert!(matches!(receive(""), Err(WebhookError::NotUnderstood(_))));
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        assert!(!format!("{:?}", Webhooks::new(KEY, SECRET)).contains(SECRET));
    }
}
