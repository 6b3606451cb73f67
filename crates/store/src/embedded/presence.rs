//! What is known for a while, in memory: nothing rests on it, and a restart forgets it.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::EmbeddedStore;
use crate::{EVENTS_KEPT, ONLINE_FOR, Presence, ROOM_KEPT, Rebuild, StoreResult};

#[async_trait::async_trait]
impl Presence for EmbeddedStore {
    async fn players_seen(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<()> {
        let mut memory = self.memory();
        for &player in players {
            let seen = memory.online.get(&player).copied();
            let seen = seen.map_or(now, |seen: DateTime<Utc>| seen.max(now));
            memory.online.insert(player, seen);
        }
        Ok(())
    }

    async fn online(&self, players: &[Uuid], now: DateTime<Utc>) -> StoreResult<Vec<bool>> {
        let memory = self.memory();
        let online = |player| {
            let seen = memory.online.get(player).copied();
            seen.is_some_and(|seen| now < seen + ONLINE_FOR)
        };
        Ok(players.iter().map(online).collect())
    }

    async fn room_joined(&self, room: &str, player_id: Uuid) -> StoreResult<()> {
        self.memory().change_room(room, Instant::now(), |players| {
            if players.len() < MAX_ROOM_PLAYERS {
                players.insert(player_id);
            }
        });
        Ok(())
    }

    async fn room_left(&self, room: &str, player_id: Uuid) -> StoreResult<()> {
        self.memory().change_room(room, Instant::now(), |players| {
            players.remove(&player_id);
        });
        Ok(())
    }

    async fn room_closed(&self, room: &str) -> StoreResult<()> {
        self.memory().rooms.remove(room);
        Ok(())
    }

    async fn room_players(&self, room: &str) -> StoreResult<Vec<Uuid>> {
        Ok(self.memory().room_players(room, Instant::now()))
    }

    async fn first_delivery(&self, event_id: &str, now: DateTime<Utc>) -> StoreResult<bool> {
        let mut memory = self.memory();
        let before = memory.events.get(event_id).copied();
        let first = before.is_none_or(|at: DateTime<Utc>| at + EVENTS_KEPT <= now);
        if first {
            memory.events.insert(event_id.to_owned(), now);
        }
        Ok(first)
    }
}

/// What an embedded store keeps beside its file.
#[derive(Debug)]
pub(super) struct Memory {
    online: Kept<Uuid, DateTime<Utc>>,
    rooms: Kept<String, Room>,
    events: Kept<String, DateTime<Utc>>,
    rebuilds: VecDeque<(Uuid, Rebuild)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            online: Kept::new(MAX_ONLINE),
            rooms: Kept::new(MAX_ROOMS),
            events: Kept::new(MAX_EVENTS),
            rebuilds: VecDeque::new(),
        }
    }
}

impl Memory {
    pub(super) fn rebuild_done(&mut self, id: Uuid, rebuild: Rebuild) {
        if self.rebuilds.len() == MAX_REBUILDS {
            self.rebuilds.pop_front();
        }
        self.rebuilds.push_back((id, rebuild));
    }

    pub(super) fn rebuild(&self, id: Uuid) -> Option<Rebuild> {
        let found = self.rebuilds.iter().find(|(known, _)| *known == id);
        found.map(|(_, rebuild)| *rebuild)
    }

    fn change_room(&mut self, name: &str, now: Instant, change: impl FnOnce(&mut HashSet<Uuid>)) {
        let mut players = match self.rooms.remove(name) {
            Some(room) if room.is_known(now) => room.players,
            _ => HashSet::new(),
        };
        change(&mut players);
        if !players.is_empty() {
            let heard_at = now;
            self.rooms
                .insert(name.to_owned(), Room { players, heard_at });
        }
    }

    fn room_players(&self, name: &str, now: Instant) -> Vec<Uuid> {
        let room = self.rooms.get(name).filter(|room| room.is_known(now));
        let mut players: Vec<Uuid> = room.iter().flat_map(|r| &r.players).copied().collect();
        players.sort();
        players
    }
}

#[derive(Debug)]
struct Room {
    players: HashSet<Uuid>,
    heard_at: Instant,
}

impl Room {
    fn is_known(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard_at) < ROOM_KEPT
    }
}

/// The newest entries: at least the last `capacity` that were inserted, at most twice as many.
#[derive(Debug)]
struct Kept<K, V> {
    capacity: usize,
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            newer: HashMap::new(),
            older: HashMap::new(),
        }
    }

    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    fn insert(&mut self, key: K, value: V) {
        self.older.remove(&key);
        if self.newer.len() >= self.capacity && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }

    fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let older = self.older.remove(key);
        self.newer.remove(key).or(older)
    }
}

/// More players than one process on a laptop serves in a minute.
const MAX_ONLINE: usize = 20_000;
/// More rooms than a laptop runs in a day.
const MAX_ROOMS: usize = 4096;
/// LiveKit lets a hundred participants into our rooms; the rest is for changes that come late.
const MAX_ROOM_PLAYERS: usize = 256;
/// A LiveKit server on a laptop sends some dozens a second at most, and repeats one within seconds.
const MAX_EVENTS: usize = 20_000;
/// Whoever asks for a rebuild reads the answer at once.
const MAX_REBUILDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_are_kept_and_never_more_than_twice_the_capacity() {
        let mut kept = Kept::new(4);
        for n in 0..100 {
            kept.insert(n, n);
            for recent in (n - 3).max(0)..=n {
                assert_eq!(kept.get(&recent), Some(&recent), "after {n}");
            }
            assert!(kept.newer.len() + kept.older.len() <= 8);
        }
        assert_eq!(kept.get(&1), None);
        assert_eq!(kept.remove(&98), Some(98));
        assert_eq!(kept.get(&98), None);
    }

    #[test]
    fn an_entry_inserted_again_is_new() {
        let mut kept = Kept::new(2);
        for (key, value) in [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (4, 1)] {
            kept.insert(key, value);
        }
        assert_eq!((kept.get(&1), kept.get(&4)), (Some(&3), Some(&1)));
        assert_eq!(kept.get(&2), None);
    }

    #[test]
    fn a_room_is_forgotten_that_nothing_was_heard_of_for_a_day() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        let [ada, bob] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        memory.change_room("r", start, |players| players.extend([ada]));
        let almost = start + ROOM_KEPT - Duration::from_secs(1);
        assert_eq!(memory.room_players("r", almost), [ada]);
        assert!(memory.room_players("r", start + ROOM_KEPT).is_empty());
        memory.change_room("r", start + ROOM_KEPT, |players| players.extend([bob]));
        assert_eq!(memory.room_players("r", start + ROOM_KEPT), [bob]);
    }
}
