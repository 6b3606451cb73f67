use gs_store::{Enqueue, NewGroup, NewTicket, Search};
use uuid::Uuid;

use super::{MODES, Walk, same_tickets};

impl Walk {
    pub(super) async fn ticket_call(&mut self) {
        if self.model.accounts.is_empty() {
            return;
        }
        match self.dice.below(30) {
            0..22 => self.enqueue().await,
            22..24 => self.touch_ticket().await,
            24 => self.cancel_ticket().await,
            25..28 => self.ask_for_tickets().await,
            28 => self.expire_tickets().await,
            _ => self.forget_tickets().await,
        }
    }

    async fn enqueue(&mut self) {
        // Mostly a few, so that scores of one player come together.
        let live = self.model.accounts.values().filter(|a| !a.erased);
        let regulars: Vec<Uuid> = live.take(8).map(|a| a.player.id).collect();
        let player_id = match self.dice.pick(&regulars) {
            Some(player) if self.dice.percent(80) => *player,
            _ => self.some_player(),
        };
        if self.model.accounts.get(&player_id).is_none_or(|a| a.erased) {
            return;
        }
        let ticket = NewTicket {
            id: self.dice.id(),
            player_id,
            search: Search::default(),
        };
        let game = self.some_game().to_owned();
        let mode = *self.dice.pick(&MODES).unwrap();
        let new = NewGroup {
            code: self.dice.percent(20).then(|| "tea".to_owned()),
            ..NewGroup::alone(ticket, &game, mode, self.now)
        };
        self.note(format!(
            "enqueue {} of {player_id} for {}",
            new.id, new.game
        ));
        let queued = self.store.enqueue(new.clone()).await.unwrap();
        assert_eq!(queued, self.model.enqueue(&new));
        if matches!(queued, Enqueue::Queued(_)) {
            self.happened("enqueue");
        }
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
        let mut expected = self.model.queued_tickets(game);
        expected.truncate(limit);
        same_tickets(queued.unwrap(), expected, "the queue");

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
