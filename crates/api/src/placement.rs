//! From waiting tickets to matches that can be joined.
//!
//! One process at a time leads the queue of a game, and makes matches of it ([`pass`]). A match is
//! formed in the store first, which reserves its room's name, then its room is made ([`rooms`]), by
//! whoever formed it or, where that process is gone, by any other; from then on an authority can
//! claim it. Whatever takes too long on the way fails the match, and its tickets say why.

mod backfill;
mod pass;
mod rooms;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{Match, StoreResult};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use self::pass::Lead;
use crate::Shared;

/// Runs until it is dropped.
pub(crate) async fn run(shared: Shared) {
    let mut changes = shared.store().changes();
    let mut placement = Placement {
        shared,
        leads: HashMap::new(),
        places: Arc::new(Semaphore::new(MAX_PLACING)),
        making: JoinSet::new(),
        made: HashSet::new(),
        swept: None,
        tidied_at: None,
    };
    loop {
        changes.mark_unchanged();
        let next = Instant::now() + placement.shared.parts.settings.pass_interval;
        if let Err(error) = placement.round().await {
            tracing::error!(error = %error, "matches cannot be placed");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        tokio::select! {
            Ok(()) = changes.changed() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        // Where many come at once, they are looked at together.
        tokio::time::sleep_until(next).await;
    }
}

struct Placement {
    shared: Shared,
    /// By game.
    leads: HashMap<String, Lead>,
    places: Arc<Semaphore>,
    /// Rooms being made, by match; they end with this.
    making: JoinSet<Uuid>,
    made: HashSet<Uuid>,
    swept: Option<Instant>,
    /// When expired sessions and old tickets were forgotten last.
    tidied_at: Option<DateTime<Utc>>,
}

impl Placement {
    /// Does all that can be done now.
    async fn round(&mut self) -> StoreResult<()> {
        while let Some(made) = self.making.try_join_next() {
            if let Ok(id) = made {
                self.made.remove(&id);
            }
        }
        if self.making.is_empty() {
            // One that panicked has no id.
            self.made.clear();
        }
        if self.swept.is_none_or(|at| at.elapsed() >= SWEEP_INTERVAL) {
            self.sweep().await?;
            self.swept = Some(Instant::now());
        }
        self.make_rooms().await?;
        for game in self.shared.store().queued_games().await? {
            // Tickets for a game that was taken out of service wait until they time out.
            let Some(game) = self.shared.parts.catalog.game(&game) else {
                continue;
            };
            // What one game's queue lacks is no reason to leave the others.
            if let Err(error) = self.match_game(&game).await {
                tracing::error!(game.id = game.id, %error, "the queue cannot be matched");
            }
        }
        Ok(())
    }

    /// Ends what has waited for too long.
    async fn sweep(&mut self) -> StoreResult<()> {
        let (store, now) = (self.shared.store(), self.shared.now());
        let settings = &self.shared.parts.settings;
        store
            .expire_tickets(now - settings.ticket_silence, now)
            .await?;
        store.lapse_acceptances(now).await?;
        if self.tidied_at.is_none_or(|at| now - at > TIDY_INTERVAL) {
            store.forget_expired_sessions(now).await?;
            store
                .forget_parties(now - PARTIES_KEPT, MAX_FORGOTTEN)
                .await?;
            let forgotten = store
                .forget_tickets(now - TICKETS_KEPT, MAX_FORGOTTEN)
                .await?;
            // Where more may be left, the next round goes on.
            if forgotten < u64::from(MAX_FORGOTTEN) {
                self.tidied_at = Some(now);
            }
        }
        for overdue in store
            .overdue_matches(now - settings.authority_deadline)
            .await?
        {
            self.give_up(&overdue).await?;
        }
        Ok(())
    }

    async fn give_up(&self, overdue: &Match) -> StoreResult<()> {
        let reason = "no authority took the match in time; is one running?";
        if self
            .shared
            .store()
            .fail_match(overdue.id, None, reason, self.shared.now())
            .await?
        {
            tracing::error!(match.id = %overdue.id, room.id = overdue.room, "{reason}");
            rooms::delete(&self.shared, &overdue.room).await;
        }
        Ok(())
    }
}

/// How late a change may be seen that another process made, and how exact the deadlines are.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often is looked for what has waited for too long.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// How often expired sessions and old tickets are forgotten; nobody meets them anyway.
const TIDY_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// How long a player can ask what became of a ticket: whoever comes back the next day queues anew.
/// Recordings of the queue reach back as far.
const TICKETS_KEPT: TimeDelta = TimeDelta::days(1);
/// How long a party may be idle.
const PARTIES_KEPT: TimeDelta = TimeDelta::days(1);
/// Most tickets forgotten in one round, so that leases and results do not wait behind it.
const MAX_FORGOTTEN: u32 = 1_000;
/// Most rooms being made at once: LiveKit takes a few milliseconds for each.
const MAX_PLACING: usize = 64;
