use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The clock and the source of randomness, so that tests can bring their own.
pub trait Environment: Send + Sync {
    /// The time.
    fn now(&self) -> DateTime<Utc>;

    /// Fills the bytes with randomness that nobody can predict.
    fn fill(&self, bytes: &mut [u8]);
}

/// The system's clock and its randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

/// An array of random bytes.
pub(crate) fn random<const N: usize>(environment: &dyn Environment) -> [u8; N] {
    let mut bytes = [0; N];
    environment.fill(&mut bytes);
    bytes
}

/// A new id, version 7: it sorts by time.
pub(crate) fn new_id(environment: &dyn Environment) -> Uuid {
    let millis = environment.now().timestamp_millis().unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(millis, &random(environment)).into_uuid()
}
