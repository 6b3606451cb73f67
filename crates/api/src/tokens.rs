//! Access and refresh tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{Accounts, NewSession, SecretHash, Store, StoreError};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::caller::Caller;
use crate::environment::{Environment, new_id, random};
use crate::problem::Problem;

/// Signs and checks access tokens, makes refresh tokens and their successors.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    refresh_key: Vec<u8>,
}

impl Tokens {
    pub(crate) async fn new(
        store: &dyn Store,
        environment: &dyn Environment,
    ) -> Result<Self, StoreError> {
        let key = store
            .secret("access-token-key", &random::<32>(environment))
            .await?;
        let refresh_key = store
            .secret("refresh-token-key", &random::<32>(environment))
            .await?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below, by the clock that the service was given.
        validation.validate_exp = false;
        Ok(Self {
            signing: EncodingKey::from_secret(&key),
            checking: DecodingKey::from_secret(&key),
            validation,
            refresh_key,
        })
    }

    /// An access token for a player's session.
    pub(crate) fn access_token(
        &self,
        caller: Caller,
        now: DateTime<Utc>,
    ) -> Result<String, Problem> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.player_id,
            sid: caller.session,
            iat: now.timestamp(),
            exp: (now + ACCESS_TTL).timestamp(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(
            |error| {
                tracing::error!(error = %error, "an access token could not be signed");
                Problem::internal()
            },
        )
    }

    /// Whom an access token names.
    pub(crate) fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, Problem> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|_| Problem::unauthorized("the access token is not one of this server's"))?;
        let claims = decoded.claims;
        if claims.exp <= now.timestamp() {
            return Err(Problem::unauthorized(
                "the access token has expired: refresh it",
            ));
        }
        Ok(Caller {
            player_id: claims.sub,
            session: claims.sid,
        })
    }

    /// The refresh token that follows another: the same one for the same token, so that a repeated
    /// call can be answered without storing it.
    pub(crate) fn successor(&self, refresh_token: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.refresh_key)
            .expect("HMAC takes keys of any length");
        mac.update(refresh_token.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Starts a session; its id and its first refresh token.
    pub(crate) async fn open_session(
        &self,
        player_id: Uuid,
        store: &dyn Store,
        environment: &dyn Environment,
    ) -> Result<(Uuid, String), StoreError> {
        let refresh_token = URL_SAFE_NO_PAD.encode(random::<32>(environment));
        let family = new_id(environment);
        Accounts::open_session(
            store,
            NewSession {
                family,
                player_id,
                token_hash: hash(&refresh_token),
                expires_at: environment.now() + REFRESH_TTL,
            },
        )
        .await?;
        Ok((family, refresh_token))
    }
}

/// The form in which a refresh token is stored. It needs no salt: the token is random.
pub(crate) fn hash(refresh_token: &str) -> SecretHash {
    Sha256::digest(refresh_token.as_bytes()).into()
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The player.
    sub: Uuid,
    /// The session.
    sid: Uuid,
    iat: i64,
    exp: i64,
}

/// Short, because an access token cannot be taken back.
pub(crate) const ACCESS_TTL: TimeDelta = TimeDelta::minutes(15);
/// How long a player who does not come stays signed in.
pub(crate) const REFRESH_TTL: TimeDelta = TimeDelta::days(30);

const ISSUER: &str = "gameserver";
const AUDIENCE: &str = "gameserver-api";
