//! Who is there: players who call, noted now and then and never waited for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use uuid::Uuid;

use crate::Shared;

/// Takes note of players, at most once each [`NOTE_INTERVAL`] a player.
pub(crate) struct Seen {
    noted: Mutex<Noted>,
    queue: mpsc::Sender<Uuid>,
    /// Taken by whoever runs [`run`].
    waiting: AsyncMutex<mpsc::Receiver<Uuid>>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        Self {
            noted: Mutex::default(),
            queue,
            waiting: AsyncMutex::new(waiting),
        }
    }

    /// Notes that a player called. Returns at once; where too many come at once, some are noted at
    /// a later call.
    pub(crate) fn note(&self, player_id: Uuid, now: DateTime<Utc>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_due(player_id, now) && self.queue.try_send(player_id).is_ok() {
            noted.at.insert(player_id, now);
        }
    }
}

/// Tells the store of the players who were noted. Runs until it is dropped.
pub(crate) async fn run(shared: Shared) {
    let mut waiting = shared.seen.waiting.lock().await;
    let mut players = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut players, MAX_BATCH).await > 0 {
        if let Err(error) = shared.store().players_seen(&players, shared.now()).await {
            // They are noted again at a later call; readyz says what is away.
            tracing::debug!(%error, "presence could not be noted");
        }
        players.clear();
    }
}

/// When players were noted last.
#[derive(Default)]
struct Noted {
    at: HashMap<Uuid, DateTime<Utc>>,
    swept: DateTime<Utc>,
}

impl Noted {
    fn is_due(&mut self, player_id: Uuid, now: DateTime<Utc>) -> bool {
        if now - self.swept >= NOTE_INTERVAL {
            self.at.retain(|_, at| now - *at < NOTE_INTERVAL);
            self.swept = now;
        }
        match self.at.get(&player_id) {
            Some(at) => now - *at >= NOTE_INTERVAL,
            None => self.at.len() < MAX_NOTED,
        }
    }
}

/// A third of the time for which a player counts as there.
const NOTE_INTERVAL: TimeDelta = TimeDelta::seconds(20);
/// Most players told apart, some 10 MB. Those beyond are noted when others fall silent.
const MAX_NOTED: usize = 200_000;
/// Most players who wait to be told to the store: a second of calls at its busiest.
const MAX_WAITING: usize = 10_000;
/// Most players told to the store at once.
const MAX_BATCH: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn drain(seen: &Seen) -> Vec<Uuid> {
        let mut waiting = seen.waiting.try_lock().unwrap();
        std::iter::from_fn(|| waiting.try_recv().ok()).collect()
    }

    #[test]
    fn a_player_is_noted_once_in_20_seconds() {
        let seen = Seen::new();
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for second in 0..20 {
            seen.note(ada, at(second));
        }
        seen.note(bob, at(19));
        assert_eq!(drain(&seen), [ada, bob]);
        seen.note(ada, at(20));
        seen.note(bob, at(38));
        assert_eq!(drain(&seen), [ada]);
        seen.note(bob, at(39));
        assert_eq!(drain(&seen), [bob]);
    }

    #[test]
    fn who_finds_no_place_is_noted_at_a_later_call() {
        let seen = Seen::new();
        for player in 0..=MAX_WAITING as u128 {
            seen.note(Uuid::from_u128(player), at(0));
        }
        assert_eq!(drain(&seen).len(), MAX_WAITING);
        let last = Uuid::from_u128(MAX_WAITING as u128);
        seen.note(last, at(1));
        assert_eq!(drain(&seen), [last]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut noted = Noted::default();
        for player in 0..MAX_NOTED as u128 {
            let player = Uuid::from_u128(player);
            assert!(noted.is_due(player, at(100)));
            noted.at.insert(player, at(100));
        }
        let more = Uuid::from_u128(MAX_NOTED as u128);
        assert!(!noted.is_due(more, at(119)));
        assert!(noted.is_due(more, at(120)));
        assert!(noted.at.is_empty());
    }
}
