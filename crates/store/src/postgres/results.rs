//! Results, many in one transaction.
//!
//! A commit costs a write to the disk, however much is in it, and a statement costs a round trip,
//! however many rows it is about. So callers hand their results to one task, which writes what is
//! waiting together, and answer when that is committed. Whoever stops waiting changes nothing: the
//! result is stored, and told as stored to whoever asks again.

mod batch;
mod boards;
mod statistics;

use std::io;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::changes::Redis;
use super::rows::{TRIES, collided};
use super::silent;
use crate::{MatchOutcome, StoreError, StoreOutcome, StoreResult};

/// Hands results to the task that writes them, which ends with the last of these.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// A result to store.
#[derive(Debug)]
pub(super) struct NewResult {
    match_id: Uuid,
    epoch: u64,
    outcome: MatchOutcome,
    now: DateTime<Utc>,
}

#[derive(Debug)]
struct Job {
    result: NewResult,
    answer: oneshot::Sender<StoreResult<StoreOutcome>>,
}

impl Writer {
    /// Starts the task.
    pub(super) fn start(pool: PgPool, redis: Redis) -> Self {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write_all(pool, redis, waiting));
        Self { jobs }
    }

    /// See [`crate::Matches::store_result`].
    pub(super) async fn store(
        &self,
        match_id: Uuid,
        epoch: u64,
        outcome: MatchOutcome,
        now: DateTime<Utc>,
    ) -> StoreResult<StoreOutcome> {
        let (answer, answered) = oneshot::channel();
        let result = NewResult {
            match_id,
            epoch,
            outcome,
            now,
        };
        let gone = || StoreError::Unavailable(sqlx::Error::WorkerCrashed);
        let sent = self.jobs.send(Job { result, answer }).await;
        sent.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn write_all(pool: PgPool, redis: Redis, mut waiting: mpsc::Receiver<Job>) {
    let mut board_ids = boards::BoardIds::default();
    let mut jobs = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut jobs, MAX_BATCH).await > 0 {
        let (results, answers): (Vec<NewResult>, Vec<_>) =
            jobs.drain(..).map(|job| (job.result, job.answer)).unzip();
        let stored = write(&pool, &redis, &mut board_ids, &results).await;
        let away = stored
            .iter()
            .find_map(|s| s.as_ref().err().filter(|e| is_away(e)));
        if let Some(error) = away {
            // Those who came meanwhile have waited as long as a caller may, and for nothing.
            while let Ok(job) = waiting.try_recv() {
                let _ = job.answer.send(Err(repeated(error)));
            }
        }
        for (answer, stored) in answers.into_iter().zip(stored) {
            // Nobody may be there to hear it any more.
            let _ = answer.send(stored);
        }
    }
}

/// Writes results in one transaction, or where that fails for one of them, in one each. Answers what
/// became of each.
async fn write(
    pool: &PgPool,
    redis: &Redis,
    board_ids: &mut boards::BoardIds,
    results: &[NewResult],
) -> Vec<StoreResult<StoreOutcome>> {
    let error = match write_together(pool, redis, board_ids, results).await {
        Ok(stored) => return stored,
        Err(error) => error,
    };
    board_ids.forget();
    if results.len() == 1 {
        return vec![Err(error)];
    }
    if is_away(&error) {
        return results.iter().map(|_| Err(repeated(&error))).collect();
    }
    let mut answers = Vec::with_capacity(results.len());
    let began = Instant::now();
    for result in results {
        if began.elapsed() > MAX_APART {
            answers.push(Err(repeated(&error)));
            continue;
        }
        let stored = write_together(pool, redis, board_ids, std::slice::from_ref(result)).await;
        answers.push(stored.and_then(|mut one| {
            one.pop()
                .unwrap_or(Err(StoreError::Unavailable(sqlx::Error::WorkerCrashed)))
        }));
    }
    answers
}

async fn write_together(
    pool: &PgPool,
    redis: &Redis,
    board_ids: &mut boards::BoardIds,
    results: &[NewResult],
) -> StoreResult<Vec<StoreResult<StoreOutcome>>> {
    let mut tries = 1;
    let written = loop {
        match write_once(pool, board_ids, results).await {
            Err(error) if collided(&error) && tries < TRIES => tries += 1,
            written => break written?,
        }
    };
    if written.changed {
        redis.tickets_changed(written.tickets);
        redis.changed();
    }
    Ok(written.answers)
}

async fn write_once(
    pool: &PgPool,
    board_ids: &mut boards::BoardIds,
    results: &[NewResult],
) -> StoreResult<batch::Written> {
    let mut connection = pool.acquire().await?;
    let written = tokio::time::timeout(
        BATCH_TIMEOUT,
        batch::write(&mut connection, board_ids, results),
    );
    match written.await {
        Ok(written) => written,
        Err(_) => {
            // Not for anybody else, and not to wait for: this task is all results' way.
            drop(connection.detach());
            Err(silent())
        }
    }
}

/// Whether the database cannot be asked at all, rather than refusing something.
fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(error) if error.as_database_error().is_none())
}

/// The same error for another caller; errors of the database cannot be copied.
fn repeated(error: &StoreError) -> StoreError {
    let message = match error {
        StoreError::Unavailable(error) => error.to_string(),
        other => other.to_string(),
    };
    StoreError::Unavailable(sqlx::Error::Io(io::Error::other(message)))
}

/// Most results in one transaction: enough that the commit no longer counts, and few enough that
/// locks are held for some ten milliseconds only.
const MAX_BATCH: usize = 64;
/// For how long the results of a batch that failed are tried one by one: a single bad one takes no
/// time, and where all fail, callers need not wait for the last.
const MAX_APART: Duration = Duration::from_secs(5);
/// A batch that takes longer has lost its server without a word.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Most results that wait in line, about a second's work; more callers wait for a place in it.
const MAX_WAITING: usize = 1024;
