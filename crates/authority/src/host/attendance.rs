//! Who is in which room, as the store is told: a courtesy to others, which nothing rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use gs_store::{Presence, StoreResult};
use tokio::sync::Notify;
use uuid::Uuid;

use super::Authority;

/// Who is in which of this process's rooms, and what of it the store knows.
#[derive(Default)]
pub(super) struct Attendance {
    rooms: Mutex<BTreeMap<Uuid, Room>>,
    changed: Notify,
}

struct Room {
    name: String,
    /// Who plays; others are none of the store's business.
    players: BTreeSet<Uuid>,
    here: BTreeSet<Uuid>,
    /// Those of whom the store was told that they are here.
    told: BTreeSet<Uuid>,
    closed: bool,
}

/// Something to tell the store.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Note {
    Joined(String, Uuid),
    Left(String, Uuid),
    Closed(String),
}

impl Attendance {
    /// A room opens for these players.
    pub(super) fn open(&self, match_id: Uuid, room: &str, players: impl Iterator<Item = Uuid>) {
        let room = Room {
            name: room.to_owned(),
            players: players.collect(),
            here: BTreeSet::new(),
            told: BTreeSet::new(),
            closed: false,
        };
        self.rooms().insert(match_id, room);
    }

    /// A room is gone.
    pub(super) fn close(&self, match_id: Uuid) {
        self.change(match_id, |room| {
            room.here.clear();
            room.closed = true;
        });
    }

    /// A player comes into a room's match, instead of an earlier one where there was one.
    pub(super) fn replace(&self, match_id: Uuid, earlier: Option<Uuid>, player: Uuid) {
        self.change(match_id, |room| {
            if let Some(earlier) = earlier {
                room.players.remove(&earlier);
                room.here.remove(&earlier);
            }
            room.players.insert(player);
        });
    }

    /// A participant came, by LiveKit's identity.
    pub(super) fn handle_joined(&self, match_id: Uuid, identity: &str) {
        self.change(match_id, |room| {
            if let Ok(player) = identity.parse()
                && room.players.contains(&player)
            {
                room.here.insert(player);
            }
        });
    }

    /// A participant left, by LiveKit's identity.
    pub(super) fn handle_left(&self, match_id: Uuid, identity: &str) {
        self.change(match_id, |room| {
            if let Ok(player) = identity.parse() {
                room.here.remove(&player);
            }
        });
    }

    /// The connection is lost: nobody is known to be there.
    pub(super) fn handle_disconnected(&self, match_id: Uuid) {
        self.change(match_id, |room| room.here.clear());
    }

    fn change(&self, match_id: Uuid, change: impl FnOnce(&mut Room)) {
        if let Some(room) = self.rooms().get_mut(&match_id) {
            change(room);
            self.changed.notify_one();
        }
    }

    /// Who is in any room.
    fn here(&self) -> Vec<Uuid> {
        let rooms = self.rooms();
        let here: BTreeSet<Uuid> = rooms
            .values()
            .flat_map(|room| &room.here)
            .copied()
            .collect();
        here.into_iter().collect()
    }

    /// What the store does not know yet; from now on it counts as told.
    fn poll_notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        self.rooms().retain(|_, room| {
            if room.closed {
                notes.push(Note::Closed(room.name.clone()));
                return false;
            }
            let joined = room.here.difference(&room.told);
            notes.extend(joined.map(|player| Note::Joined(room.name.clone(), *player)));
            let left = room.told.difference(&room.here);
            notes.extend(left.map(|player| Note::Left(room.name.clone(), *player)));
            room.told.clone_from(&room.here);
            true
        });
        notes
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<Uuid, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authority {
    /// Tells the store who comes and goes, and now and then who is there. What it does not take is
    /// not told again: it forgets all of it by itself.
    pub(super) async fn tell_presence(&self) {
        let mut seen = tokio::time::interval(SEEN_INTERVAL);
        seen.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut fails = false;
        loop {
            let told = tokio::select! {
                () = self.attendance.changed.notified() => self.tell_notes().await,
                _ = seen.tick() => match self.attendance.here() {
                    here if here.is_empty() => continue,
                    here => self.store.players_seen(&here, Utc::now()).await,
                },
            };
            match told {
                Ok(()) => fails = false,
                Err(error) if !fails => {
                    fails = true;
                    tracing::warn!(%error, "the store does not take who is there; trying on");
                }
                Err(_) => {}
            }
        }
    }

    /// Tells the store what happened last, in a moment.
    pub(super) async fn tell_last_presence(&self) {
        let _ = tokio::time::timeout(LAST_NOTES, self.tell_notes()).await;
    }

    async fn tell_notes(&self) -> StoreResult<()> {
        let store: &dyn Presence = &*self.store;
        for note in self.attendance.poll_notes() {
            match note {
                Note::Joined(room, player) => {
                    store.room_joined(&room, player).await?;
                    store.players_seen(&[player], Utc::now()).await?;
                }
                Note::Left(room, player) => store.room_left(&room, player).await?,
                Note::Closed(room) => store.room_closed(&room).await?,
            }
        }
        Ok(())
    }
}

/// A player counts as there for 60 s, so that two of these may fail.
const SEEN_INTERVAL: Duration = Duration::from_secs(20);
const LAST_NOTES: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn the_store_is_told_of_changes_once_and_of_the_matchs_players_alone() {
        let attendance = Attendance::default();
        attendance.open(id(1), "r", [id(7), id(8)].into_iter());
        attendance.handle_joined(id(1), &id(7).to_string());
        attendance.handle_joined(id(1), &id(7).to_string());
        attendance.handle_joined(id(1), &id(9).to_string());
        attendance.handle_joined(id(1), "authority");
        attendance.handle_joined(id(2), &id(7).to_string());
        assert_eq!(
            attendance.poll_notes(),
            [Note::Joined("r".to_owned(), id(7))]
        );
        assert_eq!(attendance.here(), [id(7)]);
        assert_eq!(attendance.poll_notes(), []);
        // Gone and back before anybody was told is no news.
        attendance.handle_left(id(1), &id(7).to_string());
        attendance.handle_joined(id(1), &id(7).to_string());
        assert_eq!(attendance.poll_notes(), []);
        attendance.handle_left(id(1), &id(7).to_string());
        assert_eq!(attendance.poll_notes(), [Note::Left("r".to_owned(), id(7))]);
    }

    #[test]
    fn a_substitute_is_one_of_the_matchs_players_and_whoever_was_replaced_is_none() {
        let attendance = Attendance::default();
        attendance.open(id(1), "r", [id(7)].into_iter());
        attendance.handle_joined(id(1), &id(7).to_string());
        attendance.poll_notes();
        attendance.replace(id(1), Some(id(7)), id(8));
        attendance.replace(id(1), None, id(9));
        attendance.handle_joined(id(1), &id(7).to_string());
        attendance.handle_joined(id(1), &id(8).to_string());
        attendance.handle_joined(id(1), &id(9).to_string());
        let joined = |player| Note::Joined("r".to_owned(), player);
        let left = Note::Left("r".to_owned(), id(7));
        assert_eq!(
            attendance.poll_notes(),
            [joined(id(8)), joined(id(9)), left]
        );
        assert_eq!(attendance.here(), [id(8), id(9)]);
    }

    #[test]
    fn a_lost_connection_leaves_nobody_there_and_a_closed_room_is_forgotten() {
        let attendance = Attendance::default();
        attendance.open(id(1), "r", [id(7)].into_iter());
        attendance.handle_joined(id(1), &id(7).to_string());
        attendance.poll_notes();
        attendance.handle_disconnected(id(1));
        assert!(attendance.here().is_empty());
        assert_eq!(attendance.poll_notes(), [Note::Left("r".to_owned(), id(7))]);
        attendance.handle_joined(id(1), &id(7).to_string());
        attendance.close(id(1));
        assert_eq!(attendance.poll_notes(), [Note::Closed("r".to_owned())]);
        assert!(attendance.rooms().is_empty());
    }
}
