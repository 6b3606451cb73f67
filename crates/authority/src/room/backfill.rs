//! Slots that are free, and players who come into them while the match runs.
//!
//! A slot is free where nobody was matched into it, or its player left, was given up or was banned.
//! Where the match is backfilled, the room says which slots those are ([`RoomEvent::SlotsOpen`]),
//! and takes whoever is found for one ([`Room::handle_substitute`]). A substitute starts like anyone
//! who was matched and has not come yet, and gets nothing that the earlier player left behind: no
//! inputs, acknowledgements, event numbers or allowances. The earlier player is not in the match any
//! more.

use std::sync::Arc;
use std::time::Instant;

use gs_engine::Slot;
use gs_engine::simulation::Simulation;
use gs_protocol::wire::{self, server_event::Body};

use super::player::Player;
use super::{Presence, Room, RoomEvent, RoomPlayer, Service};

impl<S: Simulation> Room<S> {
    /// Gives a free slot to a player who was not matched into it: who else was in the slot is not in
    /// the match any more. The substitute has as long to come as a slot is held. Saying it again of
    /// the same player changes nothing; either way [`RoomEvent::SlotTaken`] follows.
    ///
    /// # Errors
    /// [`SubstituteError`] where the slot is not to be had, or not by this player. Then nothing
    /// changes.
    pub fn handle_substitute(
        &mut self,
        slot: Slot,
        player: &RoomPlayer,
        now: Instant,
    ) -> Result<(), SubstituteError> {
        let index = usize::from(slot);
        let (slots, teams) = (self.players.len(), self.pipeline.config().teams);
        if index >= slots {
            return Err(SubstituteError::NoSuchSlot { slot, slots });
        }
        if let Some(team) = player.team.filter(|team| *team >= teams.max(1)) {
            return Err(SubstituteError::NoSuchTeam { team, teams });
        }
        let before = self.slot_of(&player.identity);
        match before.filter(|before| self.players[*before].presence != Presence::Gone) {
            Some(before) if before == index => {
                self.tell_taken(slot, None);
                return Ok(());
            }
            Some(before) => {
                let slot = before as Slot;
                return Err(SubstituteError::Plays { slot });
            }
            None => {}
        }
        if !self.is_open(index) {
            return Err(SubstituteError::NotOpen { slot });
        }
        // Whoever left another slot before, or this one, comes back as a newcomer.
        if let Some(before) = before.filter(|before| *before != index) {
            self.vacate(before, now);
        }
        self.former
            .retain(|identity| **identity != *player.identity);

        let earlier = &self.players[index];
        let mut substitute = Player::new(player, self.tick_rate, now);
        (substitute.matched, substitute.known) = (earlier.matched, earlier.known);
        // The earlier player hears of it as well, and then of nothing more.
        let player = Some(substitute.to_wire(slot, false));
        self.tell_all(&Body::Player(wire::PlayerChanged { player }));
        let earlier = std::mem::replace(&mut self.players[index], substitute);
        match &mut self.service {
            Service::Full(views) => views.reset(index),
            Service::Validated(relay) => relay.replace(index, now),
            Service::Observer(_) => {}
        }
        self.counters.substitutes += 1;
        if earlier.identity.is_empty() || earlier.identity == self.players[index].identity {
            self.tell_taken(slot, None);
            return Ok(());
        }
        self.tell_taken(slot, Some(&earlier.identity));
        if self.former.len() == FORMER {
            self.former.remove(0);
        }
        if earlier.heard_at.is_some() {
            self.remove_former(&earlier.identity);
        }
        self.former.push(earlier.identity);
        Ok(())
    }

    /// Takes the name off a slot whose player is gone.
    fn vacate(&mut self, slot: usize, now: Instant) {
        let mut vacant = Player::vacant(self.tick_rate, now);
        let earlier = &self.players[slot];
        (vacant.matched, vacant.known) = (earlier.matched, earlier.known);
        (vacant.joined, vacant.team) = (earlier.joined, earlier.team);
        self.players[slot] = vacant;
        self.tell_presence(slot);
    }

    fn tell_taken(&mut self, slot: Slot, earlier: Option<&str>) {
        let identity = self.players[usize::from(slot)].identity.to_string();
        self.event(RoomEvent::SlotTaken {
            slot,
            identity,
            earlier: earlier.map(str::to_owned),
        });
    }

    /// Whether this participant had a slot that another player has now.
    pub(super) fn is_former(&self, identity: &str) -> bool {
        self.former.iter().any(|former| **former == *identity)
    }

    pub(super) fn remove_former(&mut self, identity: &str) {
        self.counters.removals += 1;
        self.event(RoomEvent::Remove {
            identity: identity.to_owned(),
            reason: "another player has the slot",
        });
    }

    /// Whether a substitute may come into a slot.
    pub(super) fn is_open(&self, slot: usize) -> bool {
        self.takes_substitutes() && self.players[slot].presence == Presence::Gone
    }

    /// Whether substitutes are worth having: the match goes on, and somebody is in it.
    fn takes_substitutes(&self) -> bool {
        let decided = match &self.service {
            // Those who saw how it ended have begun to say so.
            Service::Observer(observed) => observed.has_report(),
            Service::Full(_) | Service::Validated(_) => false,
        };
        let gone = |player: &Player| player.presence == Presence::Gone;
        self.backfill && !decided && !self.is_over() && !self.players.iter().all(gone)
    }

    /// Says which slots are open, where that is not what was said last.
    pub(super) fn report_open(&mut self) {
        if !self.backfill || self.is_over() {
            return;
        }
        let takes = self.takes_substitutes();
        let gone = |player: &Player| u64::from(takes && player.presence == Presence::Gone);
        let slots = self.players.iter().enumerate();
        let open = slots.fold(0, |open, (slot, player)| open | gone(player) << slot);
        // Where nobody takes events, it is said later.
        if open == self.reported_open || self.events.len() >= super::limits::EVENTS {
            return;
        }
        self.reported_open = open;
        let slots = (0..u64::BITS as Slot).filter(|slot| open >> slot & 1 == 1);
        self.events.push_back(RoomEvent::SlotsOpen(slots.collect()));
    }
}

/// Why a player cannot have a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubstituteError {
    /// The match has no such slot.
    #[error("slot {slot}, expected one below {slots}")]
    NoSuchSlot {
        /// The slot.
        slot: Slot,
        /// How many the match has.
        slots: usize,
    },
    /// The match has no such team.
    #[error("team {team}, but the match has {teams} teams (with none, everyone is in team 0)")]
    NoSuchTeam {
        /// The team.
        team: u8,
        /// How many the match has.
        teams: u8,
    },
    /// Somebody has the slot, or the match takes no substitutes (any more).
    #[error("slot {slot} is not open to substitutes")]
    NotOpen {
        /// The slot.
        slot: Slot,
    },
    /// The player has another slot of the match.
    #[error("the player plays in slot {slot} of the match")]
    Plays {
        /// That slot.
        slot: Slot,
    },
}

/// Players who had a slot that another one has now, of whom the last are remembered: a token of
/// theirs is good for an hour, and many substitutes in one match are rare.
pub(super) type Former = Vec<Arc<str>>;
const FORMER: usize = 64;
