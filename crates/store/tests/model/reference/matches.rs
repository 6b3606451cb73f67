use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_store::{
    FormMatch, Lease, Match, MatchOutcome, MatchSlot, MatchStatus, NewMatch, Outcome, StoreOutcome,
    TicketStatus,
};
use uuid::Uuid;

use super::{ANY, Counted, Lived, Reference};

impl Reference {
    pub(crate) fn form_match(&mut self, new: &NewMatch) -> FormMatch {
        let lead = self.leads.get(&new.game).map(|lead| lead.epoch);
        if new.lead.is_some() && new.lead != lead {
            return FormMatch::NotLeading;
        }
        if self.matches.values().any(|m| m.details.room == new.room) {
            return FormMatch::RoomTaken;
        }
        let mut taken = Vec::new();
        for slot in &new.slots {
            let ticket = self.tickets.get(&slot.ticket_id);
            let fits = ticket.is_some_and(|t| {
                t.player_id == slot.player_id
                    && t.game == new.game
                    && t.status == TicketStatus::Queued
            });
            if !fits || taken.contains(&slot.ticket_id) {
                return FormMatch::TicketsGone;
            }
            taken.push(slot.ticket_id);
        }
        let groups: Vec<Uuid> = taken.iter().map(|id| self.tickets[id].group_id).collect();
        let mut whole = self
            .tickets
            .values()
            .filter(|t| t.status == TicketStatus::Queued && groups.contains(&t.group_id));
        if whole.any(|t| !taken.contains(&t.id)) {
            return FormMatch::TicketsGone;
        }
        let (match_status, ticket_status) = match new.accept_until {
            Some(_) => (MatchStatus::Accepting, TicketStatus::Accepting),
            None => (MatchStatus::Forming, TicketStatus::Placing),
        };
        for id in taken {
            let ticket = self.tickets.get_mut(&id).unwrap();
            ticket.status = ticket_status;
            ticket.match_id = Some(new.id);
            ticket.changed_at = new.created_at;
            ticket.accepted = None;
        }
        let slot = |(n, slot): (usize, &gs_store::NewSlot)| MatchSlot {
            slot: n as u8,
            player_id: slot.player_id,
            username: String::new(),
            team: slot.team,
            substitute: None,
            result: None,
            rating: None,
        };
        let details = Match {
            region: new.region.clone(),
            capacity: new.capacity.max(new.slots.len() as u8),
            backfill: new.backfill,
            accept_until: new.accept_until,
            id: new.id,
            game: new.game.clone(),
            mode: new.mode.clone(),
            room: new.room.clone(),
            room_sid: None,
            module_sha256: new.module_sha256.clone(),
            teams: new.teams,
            options: new.options.clone(),
            authority_mode: new.authority_mode.clone(),
            rated: new.rated,
            status: match_status,
            slots: new.slots.iter().enumerate().map(slot).collect(),
            substitutes: Vec::new(),
            open: Vec::new(),
            epoch: 0,
            outcome: None,
            reason: None,
            details: None,
            winner: None,
            ticks: None,
            created_at: new.created_at,
            ready_at: None,
            started_at: None,
            ended_at: None,
        };
        let lived = Lived {
            details,
            holder: None,
            held_until: None,
            open: Vec::new(),
            came: Vec::new(),
        };
        self.matches.insert(new.id, lived);
        FormMatch::Formed
    }

    pub(crate) fn room_created(&mut self, id: Uuid, room_sid: &str) -> bool {
        let found = self.matches.get_mut(&id);
        let Some(found) = found.filter(|m| m.details.status == MatchStatus::Forming) else {
            return false;
        };
        found.details.status = MatchStatus::Open;
        found.details.room_sid = Some(room_sid.to_owned());
        true
    }

    /// The match that is claimed.
    pub(crate) fn claim_match(
        &mut self,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Option<Match> {
        let free = |m: &&mut Lived| {
            is_live(&m.details)
                && match m.held_until {
                    None => true,
                    Some(until) => until <= now && m.holder.as_deref() != Some(holder),
                }
        };
        let oldest = self
            .matches
            .values_mut()
            .filter(free)
            .min_by_key(|m| (m.details.created_at, m.details.id))?;
        oldest.holder = Some(holder.to_owned());
        oldest.held_until = Some(now + ttl);
        oldest.details.epoch += 1;
        let id = oldest.details.id;
        self.match_by_id(id)
    }

    pub(crate) fn renew_lease(
        &mut self,
        id: Uuid,
        epoch: u64,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Lease {
        self.with_lease(id, epoch, |held| held.held_until = Some(now + ttl))
    }

    pub(crate) fn release_lease(&mut self, id: Uuid, epoch: u64) -> Lease {
        self.with_lease(id, epoch, |held| {
            held.holder = None;
            held.held_until = None;
        })
    }

    pub(crate) fn match_ready(&mut self, id: Uuid, epoch: u64, now: DateTime<Utc>) -> Lease {
        let lease = self.with_lease(id, epoch, |held| {
            held.details.ready_at = held.details.ready_at.or(Some(now));
        });
        if lease == Lease::Held {
            self.settle_tickets(id, TicketStatus::Matched, None, now);
        }
        lease
    }

    /// None where the match is not ready, which is an error.
    pub(crate) fn match_started(
        &mut self,
        id: Uuid,
        epoch: u64,
        at: DateTime<Utc>,
    ) -> Option<Lease> {
        let mut ready = true;
        let lease = self.with_lease(id, epoch, |held| {
            let details = &mut held.details;
            ready = details.ready_at.is_some();
            if ready {
                details.status = MatchStatus::Running;
                details.started_at = details.started_at.or(Some(at));
            }
        });
        ready.then_some(lease)
    }

    pub(super) fn with_lease(
        &mut self,
        id: Uuid,
        epoch: u64,
        change: impl FnOnce(&mut Lived),
    ) -> Lease {
        let found = self.matches.get_mut(&id);
        match found.filter(|m| is_live(&m.details) && m.details.epoch == epoch) {
            Some(held) => {
                change(held);
                Lease::Held
            }
            None => Lease::Lost,
        }
    }

    pub(crate) fn fail_match(
        &mut self,
        id: Uuid,
        epoch: Option<u64>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> bool {
        let found = self.matches.get_mut(&id);
        let can_fail = |m: &&mut Lived| {
            matches!(m.details.status, MatchStatus::Forming | MatchStatus::Open)
                && m.details.ready_at.is_none()
                && epoch.is_none_or(|epoch| m.details.epoch == epoch)
        };
        let Some(failed) = found.filter(can_fail) else {
            return false;
        };
        failed.holder = None;
        failed.held_until = None;
        failed.details.status = MatchStatus::Failed;
        failed.details.reason = Some(reason.to_owned());
        failed.details.ended_at = Some(now);
        self.settle_tickets(id, TicketStatus::Failed, Some(reason), now);
        true
    }

    /// The outcome must be well-formed.
    pub(crate) fn store_result(
        &mut self,
        id: Uuid,
        epoch: u64,
        outcome: &MatchOutcome,
        now: DateTime<Utc>,
    ) -> StoreOutcome {
        let ended = &self.matches[&id];
        if ended.details.epoch != epoch {
            return StoreOutcome::StaleEpoch;
        }
        if ended.details.ended_at.is_some() {
            return StoreOutcome::AlreadyStored;
        }
        let filled = self.end_backfill(id, now);
        let ended = self.matches.get_mut(&id).unwrap();
        ended.holder = None;
        ended.held_until = None;
        let details = &mut ended.details;
        details.status = MatchStatus::Ended;
        details.outcome = Some(outcome.outcome);
        details.reason.clone_from(&outcome.reason);
        details.details.clone_from(&outcome.details);
        details.ticks = Some(outcome.ticks);
        details.started_at = details.started_at.or(outcome.started_at);
        details.ended_at = Some(outcome.ended_at);
        for result in &outcome.slots {
            if let Some(slot) = details.slots.get_mut(usize::from(result.slot)) {
                slot.result = Some(result.clone());
            }
        }
        let counts = outcome.outcome != Outcome::Void;
        let first: Vec<u8> = outcome
            .slots
            .iter()
            .filter(|result| result.placement == 1)
            .map(|result| result.slot)
            .collect();
        details.winner = match first[..] {
            [only] if counts => details.slots.get(usize::from(only)).map(|s| s.player_id),
            _ => None,
        };
        if counts && details.rated {
            self.results.push(Counted {
                match_id: id,
                filled,
                forgotten: Vec::new(),
                game: details.game.clone(),
                mode: details.mode.clone(),
                players: details.slots.iter().map(|s| s.player_id).collect(),
                outcome: outcome.clone(),
            });
        }
        let reason = outcome.reason.as_deref().unwrap_or(ANY);
        self.settle_tickets(id, TicketStatus::Failed, Some(reason), now);
        StoreOutcome::Stored
    }

    fn settle_tickets(
        &mut self,
        id: Uuid,
        status: TicketStatus,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) {
        for ticket in self.tickets.values_mut() {
            let came = &self.matches[&id].came;
            let is_substitute = came.iter().any(|c| c.substitute.ticket_id == ticket.id);
            if ticket.match_id == Some(id)
                && ticket.status == TicketStatus::Placing
                && !is_substitute
            {
                ticket.status = status;
                ticket.reason = reason.map(str::to_owned);
                ticket.changed_at = now;
            }
        }
    }

    pub(crate) fn match_by_id(&self, id: Uuid) -> Option<Match> {
        let lived = self.matches.get(&id)?;
        let mut found = lived.details.clone();
        found.open = lived.open.iter().map(|(slot, _, _)| *slot).collect();
        found.substitutes = self.substitutes(id);
        for slot in &mut found.slots {
            let account = &self.accounts[&slot.player_id];
            slot.username.clone_from(&account.player.username);
            let substitute = found.substitutes.iter().find(|s| s.slot == slot.slot);
            slot.substitute = substitute.map(|s| (s.player_id, s.username.clone()));
        }
        Some(found)
    }

    pub(crate) fn live_match_of(&self, player_id: Uuid) -> Option<Match> {
        self.matches_with(player_id)
            .filter(|m| is_live(m) && m.ready_at.is_some())
            .filter_map(|m| self.match_by_id(m.id))
            .find(|m| {
                let came = m.substitutes.iter().any(|s| s.player_id == player_id);
                let stayed = m.slots.iter().any(|s| {
                    s.player_id == player_id && s.substitute.is_none() && !m.open.contains(&s.slot)
                });
                came || stayed
            })
    }

    /// A player's ended matches, newest first.
    pub(crate) fn matches_of(&self, player_id: Uuid) -> Vec<Match> {
        self.matches_with(player_id)
            .filter(|m| m.status == MatchStatus::Ended)
            .filter_map(|m| self.match_by_id(m.id))
            .collect()
    }

    fn matches_with(&self, player_id: Uuid) -> impl Iterator<Item = &Match> {
        let plays = move |m: &&Lived| {
            let mut came = m.came.iter().map(|came| came.substitute.player_id);
            m.details.slots.iter().any(|s| s.player_id == player_id)
                || came.any(|id| id == player_id)
        };
        let newest_first = self.matches.values().rev();
        newest_first.filter(plays).map(|m| &m.details)
    }

    pub(crate) fn forming_matches(&self) -> Vec<Match> {
        let all = self.matches.values().map(|m| &m.details);
        let forming = all.filter(|m| m.status == MatchStatus::Forming);
        let mut forming: Vec<&Match> = forming.collect();
        forming.sort_by_key(|m| (m.created_at, m.id));
        let with_names = forming.iter().filter_map(|m| self.match_by_id(m.id));
        with_names.collect()
    }

    pub(crate) fn overdue_matches(&self, formed_before: DateTime<Utc>) -> Vec<Match> {
        let mut overdue: Vec<&Match> = self
            .matches
            .values()
            .map(|m| &m.details)
            .filter(|m| matches!(m.status, MatchStatus::Forming | MatchStatus::Open))
            .filter(|m| m.ready_at.is_none() && m.created_at < formed_before)
            .collect();
        overdue.sort_by_key(|m| (m.created_at, m.id));
        let with_names = overdue.iter().filter_map(|m| self.match_by_id(m.id));
        with_names.collect()
    }
}

fn is_live(found: &Match) -> bool {
    matches!(found.status, MatchStatus::Open | MatchStatus::Running)
}
