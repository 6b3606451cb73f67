//! Password hashes: Argon2id, on a bounded number of threads.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use crate::environment::{Environment, random};
use crate::problem::{FieldError, Problem};

/// Why passwords cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct PasswordError(String);

pub(crate) struct Passwords {
    threads: Arc<Semaphore>,
    /// Those who hash and those who wait for it.
    places: Semaphore,
    /// The hash of a password that nobody knows, to compare with where there is no account: an
    /// unknown name then takes as long as a wrong password.
    decoy: String,
    checked: Counter,
}

impl Passwords {
    pub(crate) async fn new(environment: &dyn Environment) -> Result<Self, PasswordError> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let salt: [u8; SALT_BYTES] = random(environment);
        let password = random::<32>(environment).to_vec();
        let decoy = blocking(move || hash(&password, &salt)).await?;
        Ok(Self {
            threads: Arc::new(Semaphore::new(threads)),
            places: Semaphore::new(threads + MAX_WAITING),
            decoy,
            checked: Counter::default(),
        })
    }

    /// Adds the metrics to a registry, under their whole names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gameserver_passwords_checked",
            "Passwords that were hashed to compare them, those of unknown names too",
            self.checked.clone(),
        );
    }

    /// Hashes a new password, to store; one that is guessed at once is refused, as `field`.
    pub(crate) async fn hash_new(
        &self,
        field: &'static str,
        password: String,
        username: &str,
        environment: &dyn Environment,
    ) -> Result<String, Problem> {
        let salt: [u8; SALT_BYTES] = random(environment);
        let username = username.to_owned();
        let hashed = self
            .run(move || {
                if is_guessed(&password, &username) {
                    return Ok(None);
                }
                hash(normal(&password).as_bytes(), &salt).map(Some)
            })
            .await?;
        hashed.ok_or_else(|| {
            let message = "is too easily guessed: choose a longer or less common one";
            Problem::invalid(vec![FieldError::new(field, message)])
        })
    }

    /// Whether this is the password of the hash; without a hash never, after the same time.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let checked = self.checked.clone();
        let matches = self
            .run(move || {
                let argon2 = argon2()?;
                let verified: Result<(), _> =
                    argon2.verify_password(normal(&password).as_bytes(), hash.as_str());
                checked.inc();
                Ok(verified.is_ok())
            })
            .await?;
        Ok(matches && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Problem::unavailable(
                "too many people are signing in at once",
            ));
        };
        let Ok(thread) = self.threads.clone().acquire_owned().await else {
            return Err(Problem::internal());
        };
        // The permit goes along: a caller who hangs up does not free a thread that still works.
        let work = move || {
            let _thread = thread;
            work()
        };
        blocking(work).await.map_err(|error| {
            tracing::error!(error = %error, "passwords cannot be hashed");
            Problem::internal()
        })
    }
}

/// The form in which a password is hashed: what looks alike and is typed alike is one, whatever
/// the keyboard sends for it (NIST SP 800-63B, 3.1.1.2).
fn normal(password: &str) -> String {
    // A longer one is nobody's password, and need not cost more.
    password.nfkc().take(MAX_HASHED_CHARS).collect()
}

/// Whether the password is among the first that a guesser tries: common ones, the name, simple
/// patterns.
fn is_guessed(password: &str, username: &str) -> bool {
    zxcvbn::zxcvbn(&normal(password), &[username, "gameserver"]).guesses() < MIN_GUESSES
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| PasswordError(error.to_string()))?
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    let hash = argon2()?
        .hash_password_with_salt(password, salt)
        .map_err(|error| PasswordError(error.to_string()))?;
    Ok(hash.to_string())
}

/// More than zxcvbn's list of the most common passwords is long, 30,000, also where a letter or two
/// is written differently. Its first 3,000 of eight characters and more go as far as place 8,949.
const MIN_GUESSES: u64 = 100_000;
/// Beyond what an account can have, so that a longer one is never taken for its beginning.
const MAX_HASHED_CHARS: usize = 256;
/// OWASP's parameters for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What RFC 9106 recommends.
const SALT_BYTES: usize = 16;
/// Most who wait for a thread: about a second of work for each thread.
const MAX_WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SystemEnvironment;

    /// The cost of a check is by the parameters in the hash.
    #[tokio::test]
    async fn the_decoy_costs_what_a_players_hash_does() {
        let passwords = Passwords::new(&SystemEnvironment).await.unwrap();
        let own = passwords
            .hash_new(
                "password",
                "zq8#vLpw-42".to_owned(),
                "Ada",
                &SystemEnvironment,
            )
            .await;
        let own = own.ok().unwrap();
        let cost = |hash: &str| {
            hash.split('$')
                .take(4)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(cost(&passwords.decoy), cost(&own));
        assert_eq!(cost(&own), ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
    }
}
