//! Access and refresh tokens.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{Accounts, NewSession, SecretHash, SigningKey, Store, StoreError, StoreResult};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::Shared;
use crate::caller::Caller;
use crate::environment::{Environment, new_id, random};
use crate::problem::Problem;
use crate::security::TARGET;

/// Signs and checks access tokens, makes refresh tokens and their successors.
pub(crate) struct Tokens {
    keys: RwLock<Keys>,
    /// When the keys were asked for last; held by whoever asks.
    asked: Mutex<DateTime<Utc>>,
    validation: Validation,
    refresh_key: Vec<u8>,
}

/// The keys that sign access tokens, as the store had them last.
struct Keys {
    newest: Uuid,
    signing: EncodingKey,
    checking: HashMap<Uuid, DecodingKey>,
}

impl Tokens {
    pub(crate) async fn new(
        store: &dyn Store,
        environment: &dyn Environment,
    ) -> Result<Self, StoreError> {
        let keys = Keys::read(store, environment).await?;
        let refresh_key = store
            .secret("refresh-token-key", &random::<KEY_BYTES>(environment))
            .await?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below, by the clock that the service was given.
        validation.validate_exp = false;
        Ok(Self {
            keys: RwLock::new(keys),
            asked: Mutex::new(environment.now()),
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
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(keys.newest.to_string());
        jsonwebtoken::encode(&header, &claims, &keys.signing).map_err(|error| {
            tracing::error!(error = %error, "an access token could not be signed");
            Problem::internal()
        })
    }

    /// Whom an access token names. A token of a key that is not known makes this process look for
    /// new keys, now and then.
    pub(crate) async fn verify(
        &self,
        token: &str,
        store: &dyn Store,
        environment: &dyn Environment,
    ) -> Result<Caller, Problem> {
        let refused = || Problem::unauthorized("the access token is not one of this server's");
        if token.len() > MAX_TOKEN {
            return Err(refused());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        let kid = header.kid.as_deref().map(Uuid::parse_str);
        let Some(Ok(kid)) = kid else {
            return Err(refused());
        };
        let key = match self.checking(kid) {
            Some(key) => key,
            None => {
                self.look_for_keys(store, environment, LOOK_AGAIN).await?;
                self.checking(kid).ok_or_else(refused)?
            }
        };
        let decoded = jsonwebtoken::decode::<Claims>(token, &key, &self.validation);
        let claims = decoded.map_err(|_| refused())?.claims;
        if claims.exp <= environment.now().timestamp() {
            return Err(Problem::unauthorized(
                "the access token has expired: refresh it",
            ));
        }
        Ok(Caller {
            player_id: claims.sub,
            session: claims.sid,
        })
    }

    /// Reads the keys again, unless somebody did within `interval`.
    async fn look_for_keys(
        &self,
        store: &dyn Store,
        environment: &dyn Environment,
        interval: TimeDelta,
    ) -> Result<(), StoreError> {
        let mut asked = self.asked.lock().await;
        let now = environment.now();
        if (now - *asked).abs() < interval {
            return Ok(());
        }
        let keys = Keys::read(store, environment).await?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        *asked = now;
        Ok(())
    }

    fn checking(&self, kid: Uuid) -> Option<DecodingKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.checking.get(&kid).cloned()
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

impl Keys {
    async fn read(store: &dyn Store, environment: &dyn Environment) -> Result<Self, StoreError> {
        let keys = store.signing_keys(new_key(environment)).await?;
        let newest = keys.first().ok_or(StoreError::Corrupt {
            what: "list of signing keys",
            value: String::new(),
        })?;
        Ok(Self {
            newest: newest.id,
            signing: EncodingKey::from_secret(&newest.secret),
            checking: keys
                .iter()
                .map(|key| (key.id, DecodingKey::from_secret(&key.secret)))
                .collect(),
        })
    }
}

/// Makes a new key that signs access tokens from now on; its id. Tokens of the one before are
/// accepted until they run out, and every process takes over within a minute.
pub async fn rotate_signing_key(
    store: &dyn Store,
    environment: &dyn Environment,
) -> StoreResult<Uuid> {
    let key = new_key(environment);
    let id = key.id;
    let forgotten = environment.now() - ACCESS_TTL - TAKEN_OVER_WITHIN;
    store.rotate_signing_key(key, forgotten).await?;
    tracing::info!(
        target: TARGET,
        event = "key_rotated",
        key.id = %id,
        "access tokens are signed with a new key"
    );
    Ok(id)
}

/// Takes over new keys now and then. Runs until it is dropped.
pub(crate) async fn keep_fresh(shared: Shared) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let (store, environment) = (shared.store(), shared.environment());
        let looked = shared
            .tokens
            .look_for_keys(store, environment, LOOK_AGAIN)
            .await;
        if let Err(error) = looked {
            tracing::warn!(%error, "the keys of access tokens cannot be read; trying on");
        }
    }
}

fn new_key(environment: &dyn Environment) -> SigningKey {
    SigningKey {
        id: new_id(environment),
        secret: random::<KEY_BYTES>(environment).to_vec(),
        created_at: environment.now(),
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

/// Short, so that whoever finds one has little of it.
pub(crate) const ACCESS_TTL: TimeDelta = TimeDelta::minutes(15);
/// How long a player who does not come stays signed in.
pub(crate) const REFRESH_TTL: TimeDelta = TimeDelta::days(30);

const ISSUER: &str = "gameserver";
const AUDIENCE: &str = "gameserver-api";
/// As many as the hash of HS256 has (RFC 7518, 3.2).
const KEY_BYTES: usize = 32;
/// Ours have some 400 bytes.
const MAX_TOKEN: usize = 2048;
/// How late a process takes over a key that another one made.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Made-up key ids make a process ask the store no more often than this.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(2);
/// By when every process signs with the newest key: [`LOOK_INTERVAL`], and room for an outage.
const TAKEN_OVER_WITHIN: TimeDelta = TimeDelta::minutes(5);
