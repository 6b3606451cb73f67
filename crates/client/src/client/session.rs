//! Who the client is in which match, as the authority says.

use std::time::Duration;

use gs_engine::manifest::MAX_SLOTS;
use gs_engine::simulation::MatchConfig;
use gs_engine::{AuthorityMode, Slot, Tick};

use crate::config::ModuleId;
use crate::event::{MatchEnd, Phase, Player, slot_from_wire};

/// What the authority said of the match.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) epoch: u64,
    /// Of the last server event.
    pub(super) sequence: u32,
    /// Whether a welcome is wanted, and when it was last asked for.
    pub(super) wants_welcome: bool,
    pub(super) hello_at: Option<Duration>,
    /// Whether there ever was one.
    pub(super) welcomed: bool,
    pub(super) match_id: String,
    pub(super) game: String,
    pub(super) module: ModuleId,
    pub(super) mode: Option<AuthorityMode>,
    pub(super) tick_rate: u32,
    pub(super) teams: u8,
    pub(super) options: String,
    pub(super) slot: Option<Slot>,
    pub(super) phase: Phase,
    /// Ascending by slot.
    pub(super) players: Vec<Player>,
    pub(super) result: Option<MatchEnd>,
    /// What each other player shared in `observer`, by slot.
    pub(super) peers: [Peer; MAX_SLOTS],
}

/// What another player shared last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    tick: Tick,
    at: Duration,
}

impl Peer {
    /// Whether a state is to be shown: it is newer than the last one, or the last one is so long
    /// ago that the player counts from another start by now, whatever the authority knows of it.
    pub(super) fn take(&mut self, tick: Tick, now: Duration) -> bool {
        if tick <= self.tick && now.saturating_sub(self.at) < OVERTAKEN {
            return false;
        }
        *self = Self { tick, at: now };
        true
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            epoch: 0,
            sequence: 0,
            wants_welcome: true,
            hello_at: None,
            welcomed: false,
            match_id: String::new(),
            game: String::new(),
            module: ModuleId {
                sha256: String::new(),
                version: String::new(),
            },
            mode: None,
            tick_rate: 0,
            teams: 0,
            options: String::new(),
            slot: None,
            phase: Phase::Joining,
            players: Vec::new(),
            result: None,
            peers: [Peer::default(); MAX_SLOTS],
        }
    }
}

/// What an epoch means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    Current,
    /// Another holder of the room has taken over: what was known of the state is worth nothing.
    Newer,
    Older,
}

impl Session {
    pub(super) fn ask_for_welcome(&mut self) {
        self.wants_welcome = true;
        self.hello_at = None;
    }

    /// Whether a hello is due.
    pub(super) fn hello_due(&self, now: Duration) -> bool {
        let due = |at| now.saturating_sub(at) >= HELLO_EVERY;
        self.wants_welcome && self.hello_at.is_none_or(due)
    }

    pub(super) fn handle_epoch(&mut self, epoch: u64) -> Epoch {
        if epoch < self.epoch {
            return Epoch::Older;
        }
        if epoch == self.epoch {
            return Epoch::Current;
        }
        let had_one = self.epoch > 0;
        self.epoch = epoch;
        self.sequence = 0;
        if !had_one {
            return Epoch::Current;
        }
        self.ask_for_welcome();
        Epoch::Newer
    }

    /// Adds a player, or what has changed of it.
    pub(super) fn set_player(&mut self, player: Player) {
        match self.players.binary_search_by_key(&player.slot, |p| p.slot) {
            Ok(at) => self.players[at] = player,
            // Slots are below MAX_SLOTS, so this is bounded.
            Err(at) => self.players.insert(at, player),
        }
    }

    pub(super) fn set_players(&mut self, players: Vec<Player>) {
        self.players.clear();
        for player in players {
            self.set_player(player);
        }
    }

    /// The slot of a player by its identity in the room.
    pub(super) fn slot_of(&self, identity: &str) -> Option<Slot> {
        let mut players = self.players.iter();
        players
            .find(|player| player.player_id == identity)
            .map(|player| player.slot)
    }

    pub(super) fn team(&self) -> Option<u8> {
        let slot = self.slot?;
        let mut players = self.players.iter();
        players.find(|p| p.slot == slot).map(|player| player.team)
    }

    /// How many slots the match has: a welcome names every one that was matched.
    pub(super) fn slots(&self) -> u8 {
        self.players.last().map_or(0, |player| player.slot + 1)
    }

    /// What the server started its simulation with, but for the seed, which is in the state.
    pub(super) fn match_config(&self) -> MatchConfig {
        MatchConfig {
            players: self.slots(),
            teams: self.teams,
            options: self.options.clone(),
        }
    }

    pub(super) fn set_slot(&mut self, slot: Option<u32>) {
        self.slot = slot.and_then(slot_from_wire);
    }
}

/// Reliable, so once would do but for a room that the authority has yet to join.
const HELLO_EVERY: Duration = Duration::from_millis(500);
/// No packet that others have overtaken arrives later than this.
const OVERTAKEN: Duration = Duration::from_secs(1);
