//! The tokens that players and authorities join a room with.

use std::fmt;
use std::time::{Duration, SystemTime};

use livekit_token::{AccessToken, AccessTokenError, VideoGrants};

/// Mints tokens with an API key. Needs no connection.
#[derive(Clone)]
pub struct RoomTokens {
    api_key: String,
    api_secret: String,
}

impl RoomTokens {
    /// With a key that the LiveKit server knows, and its secret.
    pub fn new(api_key: &str, api_secret: &str) -> Self {
        Self {
            api_key: api_key.to_owned(),
            api_secret: api_secret.to_owned(),
        }
    }

    /// A token that lets a player into one room for [`TOKEN_TTL`], to send data and receive
    /// everything. `name` is what others see.
    pub fn player_token(
        &self,
        identity: &str,
        name: &str,
        room: &str,
    ) -> Result<RoomToken, TokenError> {
        if identity.is_empty() || identity.contains('#') || identity == AUTHORITY_IDENTITY {
            return Err(TokenError::Identity(identity.to_owned()));
        }
        let token = AccessToken::with_api_key(&self.api_key, &self.api_secret).with_name(name);
        mint(token, identity, room)
    }

    /// A token that lets an authority into one room for [`TOKEN_TTL`]: identity
    /// [`AUTHORITY_IDENTITY`], of kind agent, so that it neither counts towards the room's limit
    /// nor keeps an empty room open. Room administration is not in it.
    pub fn authority_token(&self, room: &str) -> Result<RoomToken, TokenError> {
        let token = AccessToken::with_api_key(&self.api_key, &self.api_secret).with_kind("agent");
        mint(token, AUTHORITY_IDENTITY, room)
    }
}

impl fmt::Debug for RoomTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomTokens")
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// A token and when it ends.
#[derive(Clone)]
pub struct RoomToken {
    /// The JWT.
    pub token: String,
    /// When LiveKit stops letting its holder in.
    pub expires_at: SystemTime,
}

/// Why a token was not minted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The identity cannot be a player's: LiveKit gives `#` a meaning of its own.
    #[error("{0:?} cannot be a player's identity: empty, reserved or with a `#`")]
    Identity(String),
    /// The key, the secret or the room's name is empty.
    #[error("the LiveKit token was not signed ({0}); check `livekit.api_key` and its secret")]
    Signing(#[from] AccessTokenError),
}

/// The identity of every room's authority; only its data counts as the server's.
pub const AUTHORITY_IDENTITY: &str = "authority";

/// How long a token lets its holder in: 1 h, as the specification asks.
pub const TOKEN_TTL: Duration = Duration::from_secs(60 * 60);

fn mint(token: AccessToken, identity: &str, room: &str) -> Result<RoomToken, TokenError> {
    // Publishing media is refused outright: to LiveKit, an absent `canPublish` means yes.
    let grants = VideoGrants {
        room_join: true,
        room: room.to_owned(),
        can_publish: Some(false),
        can_publish_data: Some(true),
        can_subscribe: Some(true),
        ..Default::default()
    };
    let expires_at = SystemTime::now() + TOKEN_TTL;
    let token = token
        .with_identity(identity)
        .with_grants(grants)
        .with_ttl(TOKEN_TTL)
        .to_jwt()?;
    Ok(RoomToken { token, expires_at })
}

#[cfg(test)]
mod tests {
    use livekit_token::{Claims, TokenVerifier};

    use super::*;

    const KEY: &str = "devkey";
    const SECRET: &str = "a-secret-of-at-least-32-characters!!";

    fn claims(token: &RoomToken) -> Claims {
        TokenVerifier::with_api_key(KEY, SECRET)
            .verify(&token.token)
            .unwrap()
    }

    #[test]
    fn a_player_may_send_data_and_publish_nothing() {
        let token = RoomTokens::new(KEY, SECRET)
            .player_token("p1", "Ada", "arena-1")
            .unwrap();
        let claims = claims(&token);
        assert_eq!((claims.sub.as_str(), claims.name.as_str()), ("p1", "Ada"));
        assert_eq!(claims.video.room, "arena-1");
        assert_eq!(claims.video.can_publish, Some(false));
        assert_eq!(claims.video.can_publish_data, Some(true));
        assert!(!claims.video.room_admin && !claims.video.room_create && !claims.video.agent);
        assert_eq!(claims.exp - claims.nbf, 3600);
    }

    #[test]
    fn an_authority_is_an_agent_without_administration() {
        let token = RoomTokens::new(KEY, SECRET)
            .authority_token("arena-1")
            .unwrap();
        let claims = claims(&token);
        assert_eq!(
            (claims.sub.as_str(), claims.kind.as_str()),
            ("authority", "agent")
        );
        assert!(!claims.video.hidden && !claims.video.room_admin);
        assert_eq!(claims.video.can_publish, Some(false));
    }

    #[test]
    fn identities_that_livekit_or_the_server_read_otherwise_are_refused() {
        let tokens = RoomTokens::new(KEY, SECRET);
        for identity in ["", "p1#2", "#", AUTHORITY_IDENTITY] {
            let refused = tokens.player_token(identity, "Ada", "arena-1");
            assert!(
                matches!(refused, Err(TokenError::Identity(_))),
                "{identity:?}"
            );
        }
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        assert!(!format!("{:?}", RoomTokens::new(KEY, SECRET)).contains(SECRET));
    }
}
