//! Keeping a match's lease, and saying so when it is lost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use chrono::Utc;
use gs_store::{Claim, Lease, Match, Store, StoreError, StoreResult};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A match as long as this process runs it.
pub(super) struct Tenure {
    pub(super) details: Match,
    pub(super) epoch: u64,
    ending: AtomicBool,
}

impl Tenure {
    pub(super) fn new(claim: Claim) -> Arc<Self> {
        let (details, epoch) = (claim.details, claim.epoch);
        Arc::new(Self {
            details,
            epoch,
            ending: AtomicBool::new(false),
        })
    }

    /// The store is being told how the match ended, which ends the lease as well: from now on its
    /// answer says whether this process still held the match.
    pub(super) fn end(&self) {
        self.ending.store(true, Relaxed);
    }
}

/// Renews a lease until it is dropped.
pub(super) struct LeaseKeeper {
    lost: CancellationToken,
    _stop: DropGuard,
}

impl LeaseKeeper {
    pub(super) fn start(store: Arc<dyn Store>, tenure: Arc<Tenure>) -> Self {
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let keeper = Self {
            lost: lost.clone(),
            _stop: stop.clone().drop_guard(),
        };
        tokio::spawn(async move {
            // Whoever is told that the lease is lost drops the keeper.
            stop.run_until_cancelled(keep(store, tenure, lost)).await;
        });
        keeper
    }

    /// Comes back once another holder has the match, or it is over.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

async fn keep(store: Arc<dyn Store>, tenure: Arc<Tenure>, lost: CancellationToken) {
    let (match_id, epoch) = (tenure.details.id, tenure.epoch);
    let mut fails = false;
    loop {
        tokio::time::sleep(RENEW).await;
        match store.renew_lease(match_id, epoch, Utc::now(), LEASE).await {
            Ok(Lease::Held) => fails = false,
            Ok(Lease::Lost) if tenure.ending.load(Relaxed) => return,
            Ok(Lease::Lost) => return lost.cancel(),
            Err(error) if !fails => {
                fails = true;
                let message = "a lease cannot be renewed; the match goes on";
                tracing::warn!(match.id = %match_id, epoch, %error, message);
            }
            Err(_) => {}
        }
    }
}

/// Asks the store again and again, for at most `patience`, each time after a longer pause. What
/// the store refuses, or cannot read, is not asked again: the answer would be the same.
pub(super) async fn retry<T, F>(
    what: &'static str,
    match_id: Uuid,
    patience: Duration,
    mut call: impl FnMut() -> F,
) -> Option<T>
where
    F: Future<Output = StoreResult<T>>,
{
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    let mut reported = false;
    loop {
        let error = match call().await {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let permanent = matches!(error, StoreError::Invalid(_) | StoreError::Corrupt { .. });
        if permanent || Instant::now() + pause > deadline {
            tracing::error!(match.id = %match_id, %error, "gave up to {what}");
            return None;
        }
        if !reported {
            reported = true;
            tracing::warn!(match.id = %match_id, %error, "cannot {what}; trying on");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How long a lease lasts: a dead process's matches are free again soon, and two renewals may fail
/// before.
pub const LEASE: Duration = Duration::from_millis(1_500);
/// How often a lease is renewed.
pub const RENEW: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Often enough that players who wait for their result hear of it soon after the store is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often the store is asked that fails `failures` times before it answers.
    async fn calls(failures: u32, error: impl Fn() -> StoreError) -> (Option<()>, u32) {
        let calls = Cell::new(0);
        let call = || {
            calls.set(calls.get() + 1);
            let answer = if calls.get() <= failures {
                Err(error())
            } else {
                Ok(())
            };
            std::future::ready(answer)
        };
        let answer = retry("test", Uuid::nil(), Duration::from_secs(20), call).await;
        (answer, calls.get())
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_asked_again_and_what_is_refused_is_not() {
        let unreachable = || StoreError::Directory {
            path: "data".to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        assert_eq!(calls(2, unreachable).await, (Some(()), 3));
        let refused = || StoreError::Invalid("a bug".to_owned());
        assert_eq!(calls(2, refused).await, (None, 1));
        let corrupt = || StoreError::Corrupt {
            what: "status",
            value: "?".to_owned(),
        };
        assert_eq!(calls(2, corrupt).await, (None, 1));
    }
}
