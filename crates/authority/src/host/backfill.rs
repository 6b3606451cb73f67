//! Substitutes: the store hears which slots are free, and the room who comes into them.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use chrono::Utc;
use gs_engine::Slot;
use gs_store::{Lease, Match, Substitute};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::Authority;
use super::lease::{Tenure, retry};
use crate::driver::Command;
use crate::room::RoomPlayer;

/// What a room has said of its slots. The store has to hear it in this order: a slot that is open
/// again after it was taken is one that the substitute has left.
#[derive(Debug)]
pub(super) enum Note {
    /// These are open, and no others.
    Open(Vec<Slot>),
    /// The room knows of this substitute.
    Taken(Slot, Uuid),
}

impl Authority {
    /// Passes on between the store and a room what becomes of its slots, until the room is gone or
    /// somebody else's.
    pub(super) async fn keep_slots(
        self: Arc<Self>,
        tenure: Arc<Tenure>,
        commands: std_mpsc::Sender<Command>,
        mut notes: mpsc::UnboundedReceiver<Note>,
    ) {
        let match_id = tenure.details.id;
        let (mut open, mut fails) = (false, false);
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                note = notes.recv() => {
                    let Some(note) = note else { return };
                    if let Note::Open(slots) = &note {
                        open = !slots.is_empty();
                    }
                    if self.tell_note(&tenure, note).await == Some(Lease::Lost) {
                        // The lease's keeper notices it as well, and stops the room.
                        return;
                    }
                }
                _ = poll.tick(), if open => match self.store.substitutes(match_id).await {
                    Ok(substitutes) => {
                        fails = false;
                        // Those that the room was told of last time and has not taken yet are told
                        // again, which changes nothing.
                        for substitute in substitutes.iter().filter(|s| !s.confirmed) {
                            let player = player(substitute);
                            let _ = commands.send(Command::Substitute(substitute.slot, player));
                        }
                    }
                    Err(error) if !fails => {
                        fails = true;
                        tracing::warn!(%error, "substitutes cannot be looked up; trying on");
                    }
                    Err(_) => {}
                },
            }
        }
    }

    /// Answers nothing where the store did not take it.
    async fn tell_note(&self, tenure: &Tenure, note: Note) -> Option<Lease> {
        let (id, epoch) = (tenure.details.id, tenure.epoch);
        match note {
            Note::Open(slots) => {
                let open = || self.store.open_slots(id, epoch, &slots, Utc::now());
                retry("say which slots are open", id, PATIENCE, open).await
            }
            Note::Taken(slot, player) => {
                let filled = || self.store.slot_filled(id, epoch, slot, player, Utc::now());
                retry("note a substitute", id, PATIENCE, filled).await
            }
        }
    }

    /// A substitute is in a match instead of an earlier player: from now on it is the one who is
    /// told of as present, and removed where it is banned.
    pub(super) fn replace_player(&self, match_id: Uuid, earlier: Option<Uuid>, player: Uuid) {
        self.attendance.replace(match_id, earlier, player);
        if let Some(room) = self.running().rooms.get_mut(&match_id) {
            room.players
                .retain(|other| Some(*other) != earlier && *other != player);
            room.players.push(player);
            // One who was thrown out before would be so again, by the room that is told of it.
            room.banned.remove(&player);
        }
    }
}

/// Who has each slot of a match as it was claimed: substitutes too, whom an earlier holder took or
/// nobody has yet, and nobody in slots that are open.
pub(super) fn players(details: &Match) -> Vec<Option<RoomPlayer>> {
    let mut players = vec![None; details.capacity.into()];
    let mut seat = |slot: u8, player| {
        // The store keeps slots below the capacity.
        if let Some(place) = players.get_mut(usize::from(slot)) {
            *place = Some(player);
        }
    };
    for slot in details
        .slots
        .iter()
        .filter(|s| !details.open.contains(&s.slot))
    {
        let player = RoomPlayer {
            identity: slot.player_id.to_string(),
            username: slot.username.clone(),
            team: slot.team,
        };
        seat(slot.slot, player);
    }
    for substitute in &details.substitutes {
        seat(substitute.slot, player(substitute));
    }
    players
}

fn player(substitute: &Substitute) -> RoomPlayer {
    RoomPlayer {
        identity: substitute.player_id.to_string(),
        username: substitute.username.clone(),
        team: substitute.team,
    }
}

/// How often substitutes are looked for, in matches with open slots alone: a player who was found
/// waits for it.
const POLL: Duration = Duration::from_secs(1);
/// How long the store is asked to take what became of a slot: as long as a match may last.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
