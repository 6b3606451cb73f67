use chrono::{DateTime, Utc};
use gs_store::{Cancel, Enqueue, MatchStatus, NewGroup, Ticket, TicketStatus};
use uuid::Uuid;

use super::{ANY, Reference};

impl Reference {
    pub(crate) fn enqueue(&mut self, new: &NewGroup) -> Enqueue {
        let [asked] = new.tickets.as_slice() else {
            panic!("the walk queues players alone");
        };
        let live = self
            .tickets
            .values()
            .find(|t| t.player_id == asked.player_id && t.game == new.game && !t.status.is_final());
        if let Some(live) = live {
            return Enqueue::AlreadyQueued {
                player_id: live.player_id,
                ticket_id: live.id,
            };
        }
        let ticket = Ticket {
            id: asked.id,
            group_id: new.id,
            party_id: None,
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
        self.tickets.insert(new.id, ticket.clone());
        Enqueue::Queued(vec![ticket])
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
        if let Some(ticket) = ticket.filter(|t| t.status == TicketStatus::Queued) {
            ticket.seen_at = ticket.seen_at.max(now);
        }
    }

    pub(crate) fn cancel_ticket(&mut self, id: Uuid, now: DateTime<Utc>) -> Cancel {
        let Some(ticket) = self.tickets.get_mut(&id) else {
            return Cancel::NotFound;
        };
        match ticket.status {
            TicketStatus::Accepting => panic!("the walk asks nobody"),
            TicketStatus::Placing | TicketStatus::Matched => return Cancel::AlreadyMatched,
            TicketStatus::Queued => {
                ticket.status = TicketStatus::Cancelled;
                ticket.changed_at = now;
            }
            TicketStatus::Cancelled | TicketStatus::TimedOut | TicketStatus::Failed => {}
        }
        Cancel::Cancelled
    }

    /// Who waits for a game, first come first.
    pub(crate) fn queued_tickets(&self, game: &str) -> Vec<Ticket> {
        let all = self.tickets.values();
        let queued = all.filter(|t| t.game == game && t.status == TicketStatus::Queued);
        let mut queued: Vec<Ticket> = queued.cloned().collect();
        queued.sort_by_key(|t| (t.queued_at, t.id));
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

    pub(crate) fn expire_tickets(
        &mut self,
        not_seen_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> u64 {
        let mut expired = 0;
        for ticket in self.tickets.values_mut() {
            if ticket.status == TicketStatus::Queued && ticket.seen_at < not_seen_since {
                ticket.status = TicketStatus::TimedOut;
                ticket.reason = Some(ANY.to_owned());
                ticket.changed_at = now;
                expired += 1;
            }
        }
        expired
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
