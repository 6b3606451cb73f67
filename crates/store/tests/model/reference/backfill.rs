use chrono::{DateTime, Utc};
use gs_store::{FillSlot, Lease, Substitute, TicketStatus};
use uuid::Uuid;

use super::{Came, Reference};

impl Reference {
    /// None where it is refused as invalid.
    pub(crate) fn open_slots(
        &mut self,
        id: Uuid,
        epoch: u64,
        named: &[u8],
        now: DateTime<Utc>,
    ) -> Option<Lease> {
        let mut lease = Lease::Lost;
        let mut refused = false;
        let held = self.with_lease(id, epoch, |held| {
            let details = &held.details;
            refused = !details.backfill
                || details.ready_at.is_none()
                || named.iter().any(|slot| *slot >= details.capacity);
        });
        if held == Lease::Held {
            lease = Lease::Held;
        }
        if refused {
            return None;
        }
        if lease == Lease::Lost {
            return Some(lease);
        }
        self.give_back(id, now, |slot| !named.contains(&slot));
        let lived = self.matches.get_mut(&id).unwrap();
        for came in &mut lived.came {
            came.left |= came.substitute.confirmed && named.contains(&came.substitute.slot);
        }
        let on_the_way = |slot: u8| {
            let mut waiting = lived.came.iter().filter(|came| !came.substitute.confirmed);
            waiting.any(|came| came.substitute.slot == slot)
        };
        lived.open.retain(|(slot, _, _)| named.contains(slot));
        for slot in 0..lived.details.capacity {
            let is_open = lived.open.iter().any(|(open, _, _)| *open == slot);
            if !named.contains(&slot) || is_open || on_the_way(slot) {
                continue;
            }
            // No team is asked of the store here: matches with free slots have none.
            let matched = lived.details.slots.get(usize::from(slot));
            lived.open.push((slot, matched.and_then(|s| s.team), now));
        }
        lived.open.sort_unstable();
        Some(Lease::Held)
    }

    /// The open slots of a game's matches: since when, match, slot, team.
    pub(crate) fn openings(&self, game: &str) -> Vec<(DateTime<Utc>, Uuid, u8, Option<u8>)> {
        let matches = self.matches.iter().filter(|(_, m)| m.details.game == game);
        let mut openings: Vec<_> = matches
            .flat_map(|(id, m)| {
                m.open
                    .iter()
                    .map(|(slot, team, at)| (*at, *id, *slot, *team))
            })
            .collect();
        openings.sort_unstable();
        openings
    }

    pub(crate) fn fill_slot(
        &mut self,
        id: Uuid,
        slot: u8,
        ticket_id: Uuid,
        now: DateTime<Utc>,
    ) -> FillSlot {
        let found = self.match_by_id(id);
        let Some(found) = found.filter(|m| m.open.contains(&slot)) else {
            return FillSlot::SlotTaken;
        };
        let (mut players, mut group) = (Vec::new(), 0);
        for slot in found.slots.iter().filter(|s| !found.open.contains(&s.slot)) {
            players.push(slot.substitute.as_ref().map_or(slot.player_id, |s| s.0));
        }
        players.extend(found.substitutes.iter().map(|s| s.player_id));
        let Some(ticket) = self.tickets.get(&ticket_id).cloned() else {
            return FillSlot::TicketGone;
        };
        for other in self.tickets.values() {
            group += u32::from(other.group_id == ticket.group_id && !other.status.is_final());
        }
        let fits = ticket.status == TicketStatus::Queued
            && ticket.code.is_none()
            && group == 1
            && (&ticket.game, &ticket.mode) == (&found.game, &found.mode)
            && !players.contains(&ticket.player_id);
        if !fits {
            return FillSlot::TicketGone;
        }
        let ticket = self.tickets.get_mut(&ticket_id).unwrap();
        ticket.status = TicketStatus::Placing;
        ticket.match_id = Some(id);
        ticket.changed_at = now;
        let lived = self.matches.get_mut(&id).unwrap();
        let open = lived.open.iter().position(|(open, _, _)| *open == slot);
        let (_, team, _) = lived.open.remove(open.unwrap());
        lived.came.push(Came {
            substitute: Substitute {
                slot,
                team,
                player_id: ticket.player_id,
                username: String::new(),
                ticket_id,
                confirmed: false,
            },
            left: false,
        });
        FillSlot::Filling
    }

    /// Who has a slot, ascending by slot.
    pub(crate) fn substitutes(&self, id: Uuid) -> Vec<Substitute> {
        let Some(lived) = self.matches.get(&id) else {
            return Vec::new();
        };
        let mut substitutes = Vec::new();
        for came in lived.came.iter().filter(|came| !came.left) {
            let mut substitute = came.substitute.clone();
            let account = &self.accounts[&substitute.player_id];
            substitute.username.clone_from(&account.player.username);
            substitutes.push(substitute);
        }
        substitutes.sort_by_key(|s| s.slot);
        substitutes
    }

    /// None where it is refused as invalid.
    pub(crate) fn slot_filled(
        &mut self,
        id: Uuid,
        epoch: u64,
        slot: u8,
        player: Uuid,
        now: DateTime<Utc>,
    ) -> Option<Lease> {
        let mut known = None;
        let lease = self.with_lease(id, epoch, |held| {
            let mut current = held.came.iter_mut().filter(|came| !came.left);
            known = current
                .find(|came| (came.substitute.slot, came.substitute.player_id) == (slot, player))
                .map(|came| {
                    came.substitute.confirmed = true;
                    came.substitute.ticket_id
                });
        });
        if lease == Lease::Held {
            let ticket = self.tickets.get_mut(&known?);
            if let Some(ticket) = ticket.filter(|t| t.status == TicketStatus::Placing) {
                ticket.status = TicketStatus::Matched;
                ticket.changed_at = now;
            }
        }
        Some(lease)
    }

    /// Ends what a match has to do with substitutes; answers the slots that they were in.
    pub(super) fn end_backfill(&mut self, id: Uuid, now: DateTime<Utc>) -> Vec<u8> {
        self.give_back(id, now, |_| true);
        let lived = self.matches.get_mut(&id).unwrap();
        lived.open.clear();
        lived.came.iter().map(|came| came.substitute.slot).collect()
    }

    fn give_back(&mut self, id: Uuid, now: DateTime<Utc>, which: impl Fn(u8) -> bool) {
        let lived = self.matches.get_mut(&id).unwrap();
        let goes = |came: &Came| !came.substitute.confirmed && which(came.substitute.slot);
        let going = lived.came.iter().filter(|came| goes(came));
        let tickets: Vec<Uuid> = going.map(|came| came.substitute.ticket_id).collect();
        lived.came.retain(|came| !goes(came));
        for id in tickets {
            // The player may have been erased.
            let Some(ticket) = self.tickets.get_mut(&id) else {
                continue;
            };
            ticket.status = TicketStatus::Queued;
            ticket.match_id = None;
            ticket.returned = true;
            ticket.seen_at = ticket.seen_at.max(now);
            ticket.changed_at = now;
        }
    }
}
