use chrono::{DateTime, Utc};
use gs_store::{Accept, MatchStatus, Ticket, TicketStatus};
use uuid::Uuid;

use super::{ANY, Reference};

impl Reference {
    /// Takes groups out of the queue and out of the matches that they are asked to accept; answers
    /// whether any was there.
    pub(crate) fn withdraw(
        &mut self,
        groups: &[Uuid],
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> bool {
        let mut any = false;
        for ticket in self.tickets.values_mut() {
            if groups.contains(&ticket.group_id) && ticket.status == TicketStatus::Queued {
                settle(ticket, TicketStatus::Cancelled, reason, now);
                any = true;
            }
        }
        let asked =
            |t: &&Ticket| groups.contains(&t.group_id) && t.status == TicketStatus::Accepting;
        while let Some(ticket) = self.tickets.values().find(asked) {
            self.fall_apart(ticket.match_id.unwrap(), groups, reason, now);
            any = true;
        }
        any
    }

    /// The groups with a ticket like this that are queued or asked to accept a match.
    pub(crate) fn waiting_groups(&self, which: impl Fn(&Ticket) -> bool) -> Vec<Uuid> {
        let waits = |t: &&Ticket| {
            matches!(t.status, TicketStatus::Queued | TicketStatus::Accepting) && which(t)
        };
        let waiting = self.tickets.values().filter(waits);
        waiting.map(|t| t.group_id).collect()
    }

    pub(crate) fn accept(&mut self, id: Uuid, accept: bool, now: DateTime<Utc>) -> Accept {
        let Some(ticket) = self.tickets.get_mut(&id) else {
            return Accept::NotFound;
        };
        let asked = ticket.status == TicketStatus::Accepting;
        match ticket.accepted {
            Some(before) if before == accept => return Accept::Repeated,
            Some(_) if asked => return Accept::Contradicts,
            _ if !asked => return Accept::NotAccepting,
            _ => ticket.accepted = Some(accept),
        }
        let match_id = ticket.match_id.unwrap();
        if !accept {
            self.fall_apart(match_id, &[], Some(ANY), now);
            return Accept::Declined;
        }
        let missing = self.asked(match_id).any(|t| t.accepted != Some(true));
        if missing {
            return Accept::Accepted;
        }
        let details = &mut self.matches.get_mut(&match_id).unwrap().details;
        details.status = MatchStatus::Forming;
        details.created_at = now;
        for ticket in self.tickets.values_mut() {
            if ticket.match_id == Some(match_id) && ticket.status == TicketStatus::Accepting {
                ticket.status = TicketStatus::Placing;
                ticket.changed_at = now;
            }
        }
        Accept::Complete(match_id)
    }

    pub(crate) fn lapse_acceptances(&mut self, now: DateTime<Utc>) -> u64 {
        let matches = self.matches.values().map(|m| &m.details);
        let overdue = matches.filter(|m| {
            m.status == MatchStatus::Accepting && m.accept_until.is_some_and(|until| until <= now)
        });
        let overdue: Vec<Uuid> = overdue.map(|m| m.id).collect();
        for id in &overdue {
            self.fall_apart(*id, &[], None, now);
        }
        overdue.len() as u64
    }

    fn asked(&self, match_id: Uuid) -> impl Iterator<Item = &Ticket> {
        self.tickets
            .values()
            .filter(move |t| t.match_id == Some(match_id) && t.status == TicketStatus::Accepting)
    }

    fn fall_apart(
        &mut self,
        match_id: Uuid,
        withdrawn: &[Uuid],
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) {
        let declines = |t: &&Ticket| t.accepted == Some(false) || withdrawn.contains(&t.group_id);
        let declined = self.asked(match_id).filter(declines);
        let declined: Vec<Uuid> = declined.map(|t| t.group_id).collect();
        let is_silent = |t: &&Ticket| declined.is_empty() && t.accepted.is_none();
        let silent = self.asked(match_id).filter(is_silent);
        let silent: Vec<Uuid> = silent.map(|t| t.group_id).collect();
        for ticket in self.tickets.values_mut() {
            if ticket.match_id != Some(match_id) || ticket.status != TicketStatus::Accepting {
                continue;
            }
            if declined.contains(&ticket.group_id) {
                settle(ticket, TicketStatus::Cancelled, reason, now);
            } else if silent.contains(&ticket.group_id) {
                settle(ticket, TicketStatus::TimedOut, Some(ANY), now);
            } else {
                settle(ticket, TicketStatus::Queued, None, now);
                ticket.match_id = None;
                ticket.accepted = None;
                ticket.returned = true;
                ticket.seen_at = ticket.seen_at.max(now);
            }
        }
        let details = &mut self.matches.get_mut(&match_id).unwrap().details;
        details.status = MatchStatus::Failed;
        details.ended_at = Some(now);
        let reason = match silent.is_empty() {
            true => "a player declined the match",
            false => "not everybody accepted the match in time",
        };
        details.reason = Some(reason.to_owned());
    }
}

fn settle(ticket: &mut Ticket, status: TicketStatus, reason: Option<&str>, now: DateTime<Utc>) {
    ticket.status = status;
    ticket.reason = reason.map(str::to_owned);
    ticket.changed_at = now;
}
