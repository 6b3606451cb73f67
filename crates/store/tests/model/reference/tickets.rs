use chrono::{DateTime, Utc};
use gs_store::{Cancel, Enqueue, MatchStatus, NewGroup, Ticket, TicketStatus};
use uuid::Uuid;

use super::{ANY, Reference};

impl Reference {
    pub(crate) fn enqueue(&mut self, new: &NewGroup) -> Enqueue {
        if let Some(id) = new.party_id {
            let party = self.parties.get(&id);
            let mut members: Vec<Uuid> = new.tickets.iter().map(|t| t.player_id).collect();
            let mut expected: Vec<Uuid> =
                party.map_or(Vec::new(), |p| p.members.iter().map(|(_, m)| *m).collect());
            members.sort_unstable();
            expected.sort_unstable();
            if members != expected {
                return Enqueue::PartyChanged;
            }
        }
        for asked in &new.tickets {
            let mut live = self.tickets.values().filter(|t| !t.status.is_final());
            if let Some(live) = live.find(|t| t.player_id == asked.player_id && t.game == new.game)
            {
                return Enqueue::AlreadyQueued {
                    player_id: live.player_id,
                    ticket_id: live.id,
                };
            }
        }
        if let Some(party) = new.party_id.and_then(|id| self.parties.get_mut(&id)) {
            party.used_at = party.used_at.max(new.queued_at);
        }
        let mut tickets = Vec::new();
        for asked in &new.tickets {
            let ticket = Ticket {
                id: asked.id,
                group_id: new.id,
                party_id: new.party_id,
                search: asked.search.clone(),
                returned: false,
                accepted: None,
                player_id: asked.player_id,
                game: new.game.clone(),
                mode: new.mode.clone(),
                code: new.code.clone(),
                status: TicketStatus::Queued,
                reason: None,
                match_id: None,
                queued_at: new.queued_at,
                seen_at: new.queued_at,
                changed_at: new.queued_at,
            };
            self.tickets.insert(ticket.id, ticket.clone());
            tickets.push(ticket);
        }
        Enqueue::Queued(tickets)
    }

    /// A player's tickets, newest first.
    pub(crate) fn tickets_of(&self, player_id: Uuid) -> Vec<Ticket> {
        let own = self.tickets.values().filter(|t| t.player_id == player_id);
        let mut tickets: Vec<Ticket> = own.cloned().collect();
        tickets.sort_by_key(|t| std::cmp::Reverse((t.queued_at, t.id)));
        tickets
    }

    pub(crate) fn touch_ticket(&mut self, id: Uuid, now: DateTime<Utc>) {
        let ticket = self.tickets.get_mut(&id);
        let waits =
            |t: &&mut Ticket| matches!(t.status, TicketStatus::Queued | TicketStatus::Accepting);
        if let Some(ticket) = ticket.filter(waits) {
            ticket.seen_at = ticket.seen_at.max(now);
        }
    }

    pub(crate) fn cancel_ticket(&mut self, id: Uuid, now: DateTime<Utc>) -> Cancel {
        let Some(ticket) = self.tickets.get(&id) else {
            return Cancel::NotFound;
        };
        let (group, status) = (ticket.group_id, ticket.status);
        match status {
            TicketStatus::Placing | TicketStatus::Matched => Cancel::AlreadyMatched,
            _ => {
                self.withdraw(&[group], None, now);
                Cancel::Cancelled
            }
        }
    }

    /// Who waits for a game, first come first.
    pub(crate) fn queued_tickets(&self, game: &str) -> Vec<Ticket> {
        let all = self.tickets.values();
        let queued = all.filter(|t| t.game == game && t.status == TicketStatus::Queued);
        let mut queued: Vec<Ticket> = queued.cloned().collect();
        queued.sort_by_key(|t| (t.queued_at, t.group_id, t.id));
        queued
    }

    pub(crate) fn queued_games(&self) -> Vec<String> {
        let all = self.tickets.values();
        let queued = all.filter(|t| t.status == TicketStatus::Queued);
        let mut games: Vec<String> = queued.map(|t| t.game.clone()).collect();
        games.sort();
        games.dedup();
        games
    }

    /// The first of these tickets, up to a limit and in whole groups.
    pub(crate) fn whole_groups(queued: Vec<Ticket>, limit: usize) -> Vec<Ticket> {
        let mut whole: Vec<Ticket> = Vec::new();
        for group in queued.chunk_by(|a, b| a.group_id == b.group_id) {
            if whole.len() + group.len() > limit {
                break;
            }
            whole.extend_from_slice(group);
        }
        whole
    }

    pub(crate) fn expire_tickets(
        &mut self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> u64 {
        let silent = |t: &Ticket| t.seen_at < not_seen_since;
        let groups = self.waiting_groups(silent);
        self.time_out(|t| groups.contains(&t.group_id), ANY, now)
    }

    pub(crate) fn time_out_tickets(
        &mut self,
        game: &str,
        mode: &str,
        queued_before: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> u64 {
        let late = |t: &Ticket| (&*t.game, &*t.mode) == (game, mode) && t.queued_at < queued_before;
        self.time_out(late, reason, now)
    }

    fn time_out(
        &mut self,
        which: impl Fn(&Ticket) -> bool,
        reason: &str,
        now: DateTime<Utc>,
    ) -> u64 {
        let mut timed_out = 0;
        for ticket in self.tickets.values_mut() {
            if ticket.status == TicketStatus::Queued && which(ticket) {
                ticket.status = TicketStatus::TimedOut;
                ticket.reason = Some(reason.to_owned());
                ticket.changed_at = now;
                timed_out += 1;
            }
        }
        timed_out
    }

    /// In the order in which they were drawn.
    pub(crate) fn recent_tickets(&self, game: &str, since: DateTime<Utc>) -> Vec<Ticket> {
        let all = self.tickets.values();
        let recent = all.filter(|t| t.game == game && t.queued_at >= since);
        let mut recent: Vec<Ticket> = recent.cloned().collect();
        recent.sort_by_key(|t| (t.queued_at, t.id));
        recent
    }

    /// Without a limit.
    pub(crate) fn forget_tickets(&mut self, unchanged_since: DateTime<Utc>) -> u64 {
        let before = self.tickets.len();
        let matches = &self.matches;
        let is_over = |id: Uuid| {
            let status = matches[&id].details.status;
            matches!(status, MatchStatus::Ended | MatchStatus::Failed)
        };
        self.tickets.retain(|_, ticket| {
            !ticket.status.is_final()
                || ticket.changed_at >= unchanged_since
                || ticket.match_id.is_some_and(|id| !is_over(id))
        });
        (before - self.tickets.len()) as u64
    }
}
