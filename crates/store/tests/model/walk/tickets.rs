use gs_store::{Accept, Enqueue, NewGroup, NewTicket, Search, Ticket, TicketStatus};
use uuid::Uuid;

use super::{MODES, Walk, same_tickets};
use crate::reference::Reference;

impl Walk {
    pub(super) async fn ticket_call(&mut self) {
        if self.model.accounts.is_empty() {
            return;
        }
        match self.dice.below(40) {
            0..24 => self.enqueue().await,
            24..26 => self.touch_ticket().await,
            26 => self.cancel_ticket().await,
            27..30 => self.ask_for_tickets().await,
            30 => self.expire_tickets().await,
            31 => self.time_out_tickets().await,
            32..38 => self.accept().await,
            38 => self.lapse_acceptances().await,
            _ => self.forget_tickets().await,
        }
    }

    async fn enqueue(&mut self) {
        let (party_id, players) = self.some_group();
        if players.iter().any(|player| !self.is_there(*player)) {
            return;
        }
        let mut tickets = Vec::new();
        for player_id in players {
            let search = Search {
                skill: self.dice.between(-2, 9000) as f64 / 4.0,
                matches: self.dice.below(100) as u32,
                ..Search::default()
            };
            tickets.push(NewTicket {
                id: self.dice.id(),
                player_id,
                search,
            });
        }
        let new = NewGroup {
            id: match tickets.as_slice() {
                [alone] => alone.id,
                _ => self.dice.id(),
            },
            party_id,
            game: self.some_game().to_owned(),
            mode: (*self.dice.pick(&MODES).unwrap()).to_owned(),
            code: self.dice.percent(10).then(|| "tea".to_owned()),
            tickets,
            queued_at: self.now,
        };
        self.note(format!(
            "enqueue {} of {:?} for {} of {}, party {party_id:?}",
            new.id,
            new.tickets.iter().map(|t| t.player_id).collect::<Vec<_>>(),
            new.mode,
            new.game,
        ));
        let queued = self.store.enqueue(new.clone()).await.unwrap();
        assert_eq!(queued, self.model.enqueue(&new));
        if let Enqueue::Queued(tickets) = queued {
            self.happened(if tickets.len() > 1 { "group" } else { "alone" });
        }
    }

    /// Mostly one player, or a party; sometimes a party as it is not.
    fn some_group(&mut self) -> (Option<Uuid>, Vec<Uuid>) {
        let parties: Vec<Uuid> = self.model.parties.keys().copied().collect();
        if let Some(&id) = self.dice.pick(&parties)
            && self.dice.percent(35)
        {
            let members = self.model.parties[&id].members.iter();
            let mut members: Vec<Uuid> = members.map(|(_, player)| *player).collect();
            if self.dice.percent(10) {
                members.pop();
                let other = self.some_player();
                if !members.contains(&other) {
                    members.push(other);
                }
            }
            return match members.is_empty() {
                true => (None, vec![self.some_player()]),
                false => (Some(id), members),
            };
        }
        // Mostly a few, so that scores of one player come together.
        let live = self.model.accounts.values().filter(|a| !a.erased);
        let regulars: Vec<Uuid> = live.take(8).map(|a| a.player.id).collect();
        let player = match self.dice.pick(&regulars) {
            Some(player) if self.dice.percent(80) => *player,
            _ => self.some_player(),
        };
        (None, vec![player])
    }

    async fn accept(&mut self) {
        let all = self.model.tickets.values();
        let asked = all.filter(|t| t.status == TicketStatus::Accepting);
        let asked: Vec<Uuid> = asked.map(|t| t.id).collect();
        let id = match self.dice.pick(&asked) {
            Some(id) if self.dice.percent(90) => *id,
            _ => self.some_ticket(),
        };
        self.answer(id).await;
    }

    /// Has a ticket's player accept or decline.
    pub(super) async fn answer(&mut self, id: Uuid) {
        let accept = self.dice.percent(92);
        self.note(format!("{id} accepts: {accept}"));
        let answered = self.store.accept(id, accept, self.now).await.unwrap();
        assert_eq!(answered, self.model.accept(id, accept, self.now));
        match answered {
            Accept::Accepted => self.happened("accept"),
            Accept::Complete(_) => self.happened("complete"),
            Accept::Declined => self.happened("decline"),
            _ => {}
        }
    }

    async fn lapse_acceptances(&mut self) {
        self.note("lapse".to_owned());
        let lapsed = self.store.lapse_acceptances(self.now).await.unwrap();
        assert_eq!(lapsed, self.model.lapse_acceptances(self.now));
        if lapsed > 0 {
            self.happened("lapse");
        }
    }

    async fn time_out_tickets(&mut self) {
        let (game, mode) = (self.some_game(), *self.dice.pick(&MODES).unwrap());
        let before = self.ago(120);
        self.note(format!("time out {mode} of {game} from before {before}"));
        let timed_out = self
            .store
            .time_out_tickets(game, mode, before, "late", self.now);
        let timed_out = timed_out.await.unwrap();
        let expected = self
            .model
            .time_out_tickets(game, mode, before, "late", self.now);
        assert_eq!(timed_out, expected);
    }

    async fn touch_ticket(&mut self) {
        let id = self.some_ticket();
        let seen = self.ago(60);
        self.note(format!("touch ticket {id}"));
        self.store.touch_ticket(id, seen).await.unwrap();
        self.model.touch_ticket(id, seen);
    }

    async fn cancel_ticket(&mut self) {
        let id = self.some_ticket();
        self.note(format!("cancel ticket {id}"));
        let cancelled = self.store.cancel_ticket(id, self.now).await.unwrap();
        assert_eq!(cancelled, self.model.cancel_ticket(id, self.now));
    }

    async fn ask_for_tickets(&mut self) {
        self.note("ask for tickets".to_owned());
        let games = self.store.queued_games().await.unwrap();
        assert_eq!(games, self.model.queued_games());
        let game = self.some_game();
        let limit = self.dice.below(5) + 1;
        let queued = self.store.queued_tickets(game, limit as u32).await;
        let expected = Reference::whole_groups(self.model.queued_tickets(game), limit);
        same_tickets(queued.unwrap(), expected, "the queue");

        let since = self.ago(600);
        let mut pages: Vec<Ticket> = Vec::new();
        loop {
            let after = pages.last().map(|t| (t.queued_at, t.id));
            let page = self.store.recent_tickets(game, since, after, 50).await;
            let page = page.unwrap();
            if page.is_empty() {
                break;
            }
            pages.extend(page);
        }
        let expected = self.model.recent_tickets(game, since);
        same_tickets(pages, expected, "what was drawn");

        let id = self.some_ticket();
        let ticket = self.store.ticket(id).await.unwrap();
        let expected = self.model.tickets.get(&id).cloned();
        let (ticket, expected) = (ticket.into_iter().collect(), expected.into_iter().collect());
        same_tickets(ticket, expected, "a ticket");
        let player = self.some_player();
        let newest = self.store.newest_ticket(player).await.unwrap();
        let expected = self.model.tickets_of(player).into_iter().take(1).collect();
        same_tickets(newest.into_iter().collect(), expected, "the newest ticket");
    }

    async fn expire_tickets(&mut self) {
        let since = self.ago(120);
        self.note(format!("expire tickets not seen since {since}"));
        let expired = self.store.expire_tickets(since, self.now).await.unwrap();
        assert_eq!(expired, self.model.expire_tickets(since, self.now));
    }

    async fn forget_tickets(&mut self) {
        let since = self.ago(600);
        self.note(format!("forget tickets unchanged since {since}"));
        let forgotten = self.store.forget_tickets(since, 100_000).await.unwrap();
        assert_eq!(forgotten, self.model.forget_tickets(since));
    }

    fn some_ticket(&mut self) -> Uuid {
        let ids: Vec<Uuid> = self.model.tickets.keys().copied().collect();
        match self.dice.pick(&ids) {
            Some(id) if self.dice.percent(95) => *id,
            _ => self.dice.id(),
        }
    }
}
