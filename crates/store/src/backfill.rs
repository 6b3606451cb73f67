use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use gs_matchmaker::AttributeValue;
use uuid::Uuid;

use crate::{Lease, Match, StoreError, StoreResult, Ticket, TicketStatus};

/// Substitutes: players who come to matches that run, in slots that are free or became so.
///
/// Whoever runs a match says which of its slots are free ([`Backfill::open_slots`]); whoever leads
/// the game's queue gives one to a player who waits ([`Backfill::fill_slot`]), whose ticket is
/// placing until the match's room knows of the player ([`Backfill::slot_filled`]). What of this
/// happens at once is decided one way, for a match's slots change one call at a time.
///
/// A substitute has the match in their history. It counts for whoever was matched into the slot
/// first (see [`crate::Matches::store_result`]).
#[async_trait::async_trait]
pub trait Backfill: Send + Sync {
    /// Says which slots of a match that is ready a substitute may take: these and no others.
    ///
    /// A substitute whom the room knows of and whose slot is named has left it. One whom it does
    /// not know of yet has the slot, if it is named, and goes back to the queue otherwise. A match
    /// that had [`MAX_SUBSTITUTES`] takes no more: then no slot is open.
    async fn open_slots(
        &self,
        match_id: Uuid,
        epoch: u64,
        slots: &[u8],
        now: DateTime<Utc>,
    ) -> StoreResult<Lease>;

    /// The open slots in matches of a game, those first that have been open for longest, at most
    /// [`MAX_OPENINGS`].
    async fn openings(&self, game: &str) -> StoreResult<Vec<MatchOpening>>;

    /// Gives an open slot to whoever waits with this ticket, which is placing from then on. `lead`
    /// is the epoch of the lead over the game's queue ([`crate::Tickets::lead_queue`]); none:
    /// whoever leads.
    async fn fill_slot(
        &self,
        match_id: Uuid,
        slot: u8,
        ticket_id: Uuid,
        lead: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<FillSlot>;

    /// The substitutes who have a slot now (or had one when the match ended), ascending by slot.
    async fn substitutes(&self, match_id: Uuid) -> StoreResult<Vec<Substitute>>;

    /// Notes that the match's room knows of a substitute: the ticket goes from placing to matched.
    /// Calling it again changes nothing.
    async fn slot_filled(
        &self,
        match_id: Uuid,
        epoch: u64,
        slot: u8,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> StoreResult<Lease>;
}

/// An open slot.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchOpening {
    /// The match.
    pub match_id: Uuid,
    /// The match's mode.
    pub mode: String,
    /// The slot.
    pub slot: u8,
    /// Its team, where there are teams; of a slot that was free from the first, the one that had
    /// fewest players when it was opened.
    pub team: Option<u8>,
    /// Since when it is open.
    pub opened_at: DateTime<Utc>,
    /// The match's region, where it has one.
    pub region: Option<String>,
    /// Who plays there now, substitutes who are on their way among them. Nobody of them fits.
    pub players: Vec<OpeningPlayer>,
}

/// Somebody who plays in a match with an open slot.
#[derive(Clone, Debug, PartialEq)]
pub struct OpeningPlayer {
    /// Who.
    pub player_id: Uuid,
    /// The team, where there are teams.
    pub team: Option<u8>,
    /// What the group said of itself whose ticket brought the player there; nothing once the ticket
    /// is forgotten.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// A player who takes a slot of a match that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitute {
    /// The slot.
    pub slot: u8,
    /// Its team, where there are teams.
    pub team: Option<u8>,
    /// Who.
    pub player_id: Uuid,
    /// The player's name.
    pub username: String,
    /// The ticket that the player waited with.
    pub ticket_id: Uuid,
    /// Whether the match's room knows of the player.
    pub confirmed: bool,
}

/// Somebody who plays in a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playing {
    /// Who.
    pub player_id: Uuid,
    /// The player's name.
    pub username: String,
    /// The team, where there are teams.
    pub team: Option<u8>,
}

/// What became of [`Backfill::fill_slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillSlot {
    /// The player is to come.
    Filling,
    /// The ticket is not queued any more, or not for this: it is of another mode, of a private
    /// match or of a group of several, or its player plays in the match. Nothing changed.
    TicketGone,
    /// The slot is not open any more. Nothing changed.
    SlotTaken,
    /// Another holder leads the queue. Nothing changed.
    NotLeading,
}

impl Match {
    /// The slot that a player has now (or had when the match ended): that of a substitute, or of
    /// whoever was matched into it and has not given it up.
    pub fn plays(&self, player_id: Uuid) -> Option<u8> {
        let mine = |slot: &u8| !self.open.contains(slot);
        let substitute = self.substitutes.iter().find(|s| s.player_id == player_id);
        substitute.map(|s| s.slot).or_else(|| {
            let slots = self.slots.iter().filter(|s| s.plays() == player_id);
            slots.map(|s| s.slot).find(mine)
        })
    }

    /// Who plays now (or played when the match ended): in the place of whoever left, the
    /// substitute; then those who took slots that were free from the first.
    pub fn playing(&self) -> Vec<Playing> {
        let taken = |slot: u8| self.slots.iter().any(|s| s.slot == slot);
        let matched = self.slots.iter().filter(|s| !self.open.contains(&s.slot));
        let matched = matched.map(|slot| {
            let own = (slot.player_id, slot.username.clone());
            let (player_id, username) = slot.substitute.clone().unwrap_or(own);
            Playing {
                player_id,
                username,
                team: slot.team,
            }
        });
        let others = self.substitutes.iter().filter(|s| !taken(s.slot));
        let others = others.map(|substitute| Playing {
            player_id: substitute.player_id,
            username: substitute.username.clone(),
            team: substitute.team,
        });
        matched.chain(others).collect()
    }

    /// Who plays now, with their teams.
    pub(crate) fn players_now(&self) -> Vec<(Uuid, Option<u8>)> {
        let playing = self.playing().into_iter();
        playing.map(|p| (p.player_id, p.team)).collect()
    }

    /// Whether whoever waits with this ticket may take a slot of the match, as far as the ticket
    /// and the match say.
    pub(crate) fn takes(&self, ticket: &Ticket) -> bool {
        ticket.status == TicketStatus::Queued
            && ticket.code.is_none()
            && (&ticket.game, &ticket.mode) == (&self.game, &self.mode)
            && self
                .players_now()
                .iter()
                .all(|(player, _)| *player != ticket.player_id)
    }

    /// The opening that its slot is which has been open since then.
    pub(crate) fn opening(
        &self,
        (slot, team): (u8, Option<u8>),
        opened_at: DateTime<Utc>,
        attributes: &HashMap<(Uuid, Uuid), BTreeMap<String, AttributeValue>>,
    ) -> MatchOpening {
        let player = |(player_id, team): (Uuid, Option<u8>)| OpeningPlayer {
            player_id,
            team,
            attributes: attributes
                .get(&(self.id, player_id))
                .cloned()
                .unwrap_or_default(),
        };
        MatchOpening {
            match_id: self.id,
            mode: self.mode.clone(),
            slot,
            team,
            opened_at,
            region: self.region.clone(),
            players: self.players_now().into_iter().map(player).collect(),
        }
    }

    /// Takes over who has the slots now.
    pub(crate) fn set_substitutes(&mut self, substitutes: Vec<Substitute>) {
        for slot in &mut self.slots {
            let substitute = substitutes.iter().find(|s| s.slot == slot.slot);
            slot.substitute = substitute.map(|s| (s.player_id, s.username.clone()));
        }
        self.substitutes = substitutes;
    }
}

/// What a call of [`Backfill::open_slots`] changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Slots whose substitutes have left.
    pub(crate) left: Vec<u8>,
    /// Slots whose substitutes go back to the queue.
    pub(crate) returned: Vec<u8>,
    /// Slots that are not open any more.
    pub(crate) closed: Vec<u8>,
    /// Slots that are open from now on, with their teams.
    pub(crate) opened: Vec<(u8, Option<u8>)>,
}

/// What a call of [`Backfill::open_slots`] changes in a match, of which `open` are the slots that
/// are open by now, with their teams, and that had `substitutes` in its life.
pub(crate) fn opened(
    found: &Match,
    open: &[(u8, Option<u8>)],
    substitutes: u32,
    named: &[u8],
) -> StoreResult<Opened> {
    let invalid = |message: String| Err(StoreError::Invalid(message));
    let (id, capacity) = (found.id, found.capacity);
    if !found.backfill {
        return invalid(format!("match {id} was not formed to take substitutes"));
    }
    if found.ready_at.is_none() {
        return invalid(format!(
            "a slot of match {id} was opened before it was ready"
        ));
    }
    if let Some(slot) = named.iter().find(|slot| **slot >= capacity) {
        return invalid(format!(
            "match {id} has {capacity} slots, and none with number {slot}"
        ));
    }
    let mut changes = Opened::default();
    for substitute in &found.substitutes {
        match (named.contains(&substitute.slot), substitute.confirmed) {
            (true, true) => changes.left.push(substitute.slot),
            (false, false) => changes.returned.push(substitute.slot),
            (true, false) | (false, true) => {}
        }
    }
    let taken = |slot: u8| {
        let mut substitutes = found.substitutes.iter();
        substitutes.any(|s| s.slot == slot && !s.confirmed)
    };
    let may_open =
        |slot: &u8| named.contains(slot) && !taken(*slot) && substitutes < MAX_SUBSTITUTES;
    changes.closed = open.iter().map(|(slot, _)| *slot).collect();
    changes.closed.retain(|slot| !may_open(slot));
    let mut teams = teams_by_slot(found, open);
    for slot in (0..capacity).filter(may_open) {
        if open.iter().any(|(other, _)| *other == slot) {
            continue;
        }
        let known = teams.get(&slot).copied();
        let team = known.unwrap_or_else(|| smallest_team(found.teams, &teams));
        teams.insert(slot, team);
        changes.opened.push((slot, team));
    }
    Ok(changes)
}

/// The teams of all slots that have or had a player, or are open.
fn teams_by_slot(found: &Match, open: &[(u8, Option<u8>)]) -> BTreeMap<u8, Option<u8>> {
    let mut teams: BTreeMap<u8, Option<u8>> = open.iter().copied().collect();
    teams.extend(found.substitutes.iter().map(|s| (s.slot, s.team)));
    teams.extend(found.slots.iter().map(|s| (s.slot, s.team)));
    teams
}

/// The first of the teams that have fewest slots.
fn smallest_team(teams: u8, taken: &BTreeMap<u8, Option<u8>>) -> Option<u8> {
    let slots = |team: &u8| taken.values().filter(|of| **of == Some(*team)).count();
    (0..teams).min_by_key(slots)
}

/// Most substitutes that a match has in its life: each slot changes hands a few times in the longest
/// of matches, and players who come and go must not grow the store.
pub const MAX_SUBSTITUTES: u32 = 512;

/// Most openings that are told at once: many passes' work.
pub const MAX_OPENINGS: u32 = 2000;

#[cfg(test)]
mod tests;
