//! From waiting tickets to matches that can be joined.
//!
//! A match is formed in the store first, which reserves its room's name, then its room is made;
//! from then on an authority can claim it. Whatever fails on the way, or takes too long, fails the
//! match, and its tickets say why. A match whose process died half-way is failed by the next one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_matchmaker::{
    Group, Member, PlayerCount, ProposedMatch, ProposedSlot, Rules, Teams, match_batch,
};
use gs_store::{FormMatch, Match, NewMatch, NewSlot, StoreError, StoreResult, Ticket};
use livekit_rooms::RoomError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Shared;
use crate::catalog::{GameInfo, GameMode};
use crate::environment::{new_id, random};

/// Runs until it is dropped.
pub(crate) async fn run(shared: Shared) {
    let mut changes = shared.store().changes();
    let mut placement = Placement {
        shared,
        places: Arc::new(Semaphore::new(MAX_PLACING)),
        placing: JoinSet::new(),
        tidied_at: None,
    };
    loop {
        changes.mark_unchanged();
        if let Err(error) = placement.round().await {
            tracing::error!(error = %error, "matches cannot be placed");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        tokio::select! {
            Ok(()) = changes.changed() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

struct Placement {
    shared: Shared,
    places: Arc<Semaphore>,
    /// Rooms being made; they end with this.
    placing: JoinSet<()>,
    /// When expired sessions and old tickets were forgotten last.
    tidied_at: Option<DateTime<Utc>>,
}

impl Placement {
    /// Does all that can be done now.
    async fn round(&mut self) -> StoreResult<()> {
        while self.placing.try_join_next().is_some() {}
        let (store, now) = (self.shared.store(), self.shared.now());
        let settings = &self.shared.parts.settings;
        store
            .expire_tickets(now - settings.ticket_silence, now)
            .await?;
        if self.tidied_at.is_none_or(|at| now - at > TIDY_INTERVAL) {
            store.forget_expired_sessions(now).await?;
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
        for game in store.queued_games().await? {
            // Tickets for a game that was taken out of service wait until they time out.
            let Some(game) = self.shared.parts.catalog.game(&game) else {
                continue;
            };
            self.match_game(&game).await?;
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
            delete_room(&self.shared, &overdue.room).await;
        }
        Ok(())
    }

    async fn match_game(&mut self, game: &Arc<GameInfo>) -> StoreResult<()> {
        let tickets = self
            .shared
            .store()
            .queued_tickets(&game.id, MAX_BATCH)
            .await?;
        for mode in &game.modes {
            let waiting = tickets.iter().filter(|t| t.mode == mode.name);
            let waiting: Vec<Group> = waiting.map(group).collect();
            let proposals = match_batch(&waiting, &rules(game, mode), self.shared.now());
            self.form_all(game, mode, proposals).await?;
        }
        Ok(())
    }

    async fn form_all(
        &mut self,
        game: &Arc<GameInfo>,
        mode: &GameMode,
        proposals: Vec<ProposedMatch>,
    ) -> StoreResult<()> {
        for proposed in proposals {
            // Beyond the bound, tickets stay queued: the end of a placement is a change, and the
            // next round takes them.
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                break;
            };
            if let Some((match_id, room)) = form(&self.shared, game, mode, proposed).await? {
                let (shared, game) = (self.shared.clone(), game.id.clone());
                self.placing
                    .spawn(open_room(shared, game, match_id, room, place));
            }
        }
        Ok(())
    }
}

fn rules(game: &GameInfo, mode: &GameMode) -> Rules {
    Rules {
        players: PlayerCount::exactly(mode.players),
        teams: match game.teams {
            0 => Teams::Everyone,
            count => Teams::Even(count),
        },
        skill: None,
        ..Rules::default()
    }
}

fn group(ticket: &Ticket) -> Group {
    Group {
        id: ticket.id,
        members: vec![Member {
            ticket_id: ticket.id,
            player_id: ticket.player_id,
            skill: ticket.search.skill,
            rating: ticket.search.rating,
            matches: ticket.search.matches,
        }],
        code: ticket.code.clone(),
        queued_at: ticket.queued_at,
        returned: ticket.returned,
        attributes: ticket.search.attributes.clone(),
        latency_ms: ticket.search.latency_ms.clone(),
    }
}

/// Forms the match under a room name that no other has. None where a ticket is gone.
async fn form(
    shared: &Shared,
    game: &GameInfo,
    mode: &GameMode,
    proposed: ProposedMatch,
) -> StoreResult<Option<(Uuid, String)>> {
    let slot = |m: ProposedSlot| NewSlot {
        ticket_id: m.ticket_id,
        player_id: m.player_id,
        team: m.team,
    };
    let mut new = NewMatch {
        id: new_id(shared.environment()),
        room: String::new(),
        game: game.id.clone(),
        mode: mode.name.clone(),
        module_sha256: game.module_sha256.clone(),
        teams: game.teams,
        options: game.options.clone(),
        authority_mode: mode.authority_mode.clone(),
        rated: mode.rated,
        region: proposed.region,
        capacity: mode.players,
        backfill: false,
        accept_until: None,
        lead: None,
        slots: proposed.slots.into_iter().map(slot).collect(),
        created_at: shared.now(),
    };
    for _ in 0..MAX_ROOM_NAMES {
        let number = u32::from_be_bytes(random(shared.environment()));
        new.room = format!("{}-{number:08x}", game.id);
        match shared.store().form_match(new.clone()).await? {
            FormMatch::Formed => {
                tracing::info!(match.id = %new.id, room.id = new.room, game.id = game.id,
                    players = new.slots.len(), "a match is formed");
                return Ok(Some((new.id, new.room)));
            }
            FormMatch::TicketsGone | FormMatch::NotLeading => return Ok(None),
            FormMatch::RoomTaken => {}
        }
    }
    Err(StoreError::Invalid(format!(
        "{MAX_ROOM_NAMES} room names of {} were taken",
        game.id
    )))
}

/// Makes the room, so that an authority can claim the match.
async fn open_room(
    shared: Shared,
    game: String,
    match_id: Uuid,
    room: String,
    _place: OwnedSemaphorePermit,
) {
    let stored = match shared.parts.rooms.create_room(&room, &game).await {
        Ok(sid) => shared.store().room_created(match_id, &sid).await,
        Err(error) => {
            tracing::error!(match.id = %match_id, room.id = room, error = %error, "no room");
            shared
                .store()
                .fail_match(match_id, None, reason(&error), shared.now())
                .await
        }
    };
    match stored {
        Ok(true) => {}
        // It was given up meanwhile.
        Ok(false) => delete_room(&shared, &room).await,
        // It fails as overdue, once the store is back.
        Err(error) => tracing::error!(match.id = %match_id, error = %error, "the store failed"),
    }
}

async fn delete_room(shared: &Shared, room: &str) {
    if let Err(error) = shared.parts.rooms.delete_room(room).await {
        tracing::warn!(room.id = room, error = %error, "a room is left to LiveKit's timeout");
    }
}

/// What players are told; the log names addresses.
fn reason(error: &RoomError) -> &'static str {
    match error {
        RoomError::Unreachable { .. } => "LiveKit is unreachable, so there is no room to play in",
        RoomError::Unauthorized { .. } => "LiveKit does not accept the server's key",
        RoomError::Refused { .. } => "LiveKit refused to make a room",
    }
}

/// How late a change may be seen that another process made, and how exact the deadlines are.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often expired sessions and old tickets are forgotten; nobody meets them anyway.
const TIDY_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// How long a player can ask what became of a ticket: whoever comes back the next day queues anew.
const TICKETS_KEPT: TimeDelta = TimeDelta::days(1);
/// Most tickets forgotten in one round, so that leases and results do not wait behind it.
const MAX_FORGOTTEN: u32 = 1_000;
/// Most tickets of a game that one round looks at.
const MAX_BATCH: u32 = 2_000;
/// Most rooms being made at once: LiveKit takes a few milliseconds for each.
const MAX_PLACING: usize = 64;
/// With eight hex digits even a second try is rare; beyond this, something else is wrong.
const MAX_ROOM_NAMES: usize = 16;
