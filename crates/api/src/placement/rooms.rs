//! Rooms of matches that are forming. Two processes may make the same one: the second finds it there.

use std::time::Duration;

use chrono::TimeDelta;
use gs_store::{MatchStatus, StoreError, StoreResult};
use livekit_rooms::RoomError;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use uuid::Uuid;

use super::Placement;
use crate::Shared;

impl Placement {
    /// Makes the rooms of matches whose players have accepted, and of those whose process died
    /// half-way.
    pub(super) async fn make_rooms(&mut self) -> StoreResult<()> {
        let now = self.shared.now();
        for found in self.shared.store().forming_matches().await? {
            // Another process is at it.
            let age = (now - found.created_at).abs();
            let fresh = age < LEFT_BEHIND && found.accept_until.is_none();
            if fresh || self.made.contains(&found.id) {
                continue;
            }
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                break;
            };
            self.made.insert(found.id);
            let shared = self.shared.clone();
            self.making
                .spawn(make(shared, found.id, found.game, found.room, place));
        }
        Ok(())
    }
}

/// Makes a match's room, so that an authority can claim the match. Answers the match.
pub(super) async fn make(
    shared: Shared,
    match_id: Uuid,
    game: String,
    room: String,
    _place: OwnedSemaphorePermit,
) -> Uuid {
    let made = match create(&shared, &room, &game).await {
        Ok(sid) => shared.store().room_created(match_id, &sid).await,
        Err(error) => {
            tracing::error!(match.id = %match_id, room.id = room, error = %error, "no room");
            shared
                .store()
                .fail_match(match_id, None, reason(&error), shared.now())
                .await
        }
    };
    let done = match made {
        Ok(true) => Ok(()),
        // Another process has made it, or it was given up meanwhile.
        Ok(false) => delete_unless_wanted(&shared, match_id, &room).await,
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        // It is tried again, or fails as overdue, once the store is back.
        tracing::error!(match.id = %match_id, error = %error, "the store failed");
    }
    match_id
}

/// Asks LiveKit until it answers, or for long enough.
async fn create(shared: &Shared, room: &str, game: &str) -> Result<String, RoomError> {
    let deadline = Instant::now() + shared.parts.settings.room_patience;
    let mut pause = Duration::from_millis(100);
    loop {
        match shared.parts.rooms.create_room(room, game).await {
            Err(RoomError::Unreachable { .. }) if Instant::now() + pause < deadline => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            done => return done,
        }
    }
}

async fn delete_unless_wanted(
    shared: &Shared,
    match_id: Uuid,
    room: &str,
) -> Result<(), StoreError> {
    let found = shared.store().match_by_id(match_id).await?;
    let over = |status| matches!(status, MatchStatus::Failed | MatchStatus::Ended);
    if found.is_none_or(|found| over(found.status)) {
        delete(shared, room).await;
    }
    Ok(())
}

pub(super) async fn delete(shared: &Shared, room: &str) {
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

/// After this, whoever formed a match without making its room is taken for dead.
const LEFT_BEHIND: TimeDelta = TimeDelta::seconds(1);
const MAX_PAUSE: Duration = Duration::from_secs(1);
