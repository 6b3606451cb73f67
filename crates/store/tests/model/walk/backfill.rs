use gs_store::{FillSlot, Lease, MatchStatus, StoreError, TicketStatus};
use uuid::Uuid;

use super::Walk;

impl Walk {
    pub(super) async fn backfill_call(&mut self) {
        let matches = || self.model.matches.values();
        let comes = matches().any(|m| m.came.iter().any(|c| !c.substitute.confirmed));
        let is_open = matches().any(|m| !m.open.is_empty());
        match self.dice.below(12) {
            0..5 if comes => self.slot_filled().await,
            0..8 if is_open => self.fill_slot().await,
            0..9 => self.open_slots().await,
            9 => self.fill_slot().await,
            10 => self.slot_filled().await,
            _ => self.ask_for_openings().await,
        }
    }

    async fn open_slots(&mut self) {
        let (id, epoch) = self.some_lease(|m| m.details.backfill && m.details.ready_at.is_some());
        let capacity = self
            .model
            .matches
            .get(&id)
            .map_or(2, |m| m.details.capacity);
        let mut slots: Vec<u8> = (0..capacity).collect();
        slots.retain(|_| self.dice.percent(40));
        if self.dice.percent(3) {
            slots.push(capacity);
        }
        self.note(format!("open {slots:?} of {id} under {epoch}"));
        let lease = self.store.open_slots(id, epoch, &slots, self.now).await;
        match self.model.open_slots(id, epoch, &slots, self.now) {
            Some(expected) => assert_eq!(lease.unwrap(), expected),
            None => assert!(matches!(lease, Err(StoreError::Invalid(_))), "{lease:?}"),
        }
    }

    async fn fill_slot(&mut self) {
        // Where somebody waits who may fit.
        let waits = |game: &str, mode: &str| {
            let mut all = self.model.tickets.values();
            all.any(|t| t.status == TicketStatus::Queued && (&*t.game, &*t.mode) == (game, mode))
        };
        let open = self.model.matches.iter();
        let open: Vec<(Uuid, u8)> = open
            .filter(|(_, m)| waits(&m.details.game, &m.details.mode))
            .flat_map(|(id, m)| m.open.iter().map(|(slot, _, _)| (*id, *slot)))
            .collect();
        let (id, slot) = match self.dice.pick(&open) {
            Some(opening) if self.dice.percent(90) => *opening,
            _ => (self.some_match(|_| true), self.dice.below(4) as u8),
        };
        let found = self.model.matches.get(&id).map(|m| &m.details);
        let key = found.map(|m| (m.game.clone(), m.mode.clone()));
        let all = self.model.tickets.values();
        let queued = all.filter(|t| t.status == TicketStatus::Queued && t.code.is_none());
        let queued: Vec<Uuid> = queued
            .filter(|t| Some((t.game.clone(), t.mode.clone())) == key)
            .map(|t| t.id)
            .collect();
        let any: Vec<Uuid> = self.model.tickets.keys().copied().collect();
        let ticket = match (self.dice.pick(&queued), self.dice.percent(85)) {
            (Some(id), true) => *id,
            _ => match self.dice.pick(&any) {
                Some(id) => *id,
                None => self.dice.id(),
            },
        };
        self.note(format!("fill {slot} of {id} with {ticket}"));
        let filled = self.store.fill_slot(id, slot, ticket, None, self.now).await;
        let expected = self.model.fill_slot(id, slot, ticket, self.now);
        assert_eq!(filled.unwrap(), expected);
        if expected == FillSlot::Filling {
            self.happened("fill");
        }
    }

    async fn slot_filled(&mut self) {
        let waits = |m: &crate::reference::Lived| m.came.iter().any(|c| !c.substitute.confirmed);
        let (id, epoch) = self.some_lease(waits);
        let substitutes = self.model.substitutes(id);
        let (slot, player) = match self.dice.pick(&substitutes) {
            Some(one) if self.dice.percent(90) => (one.slot, one.player_id),
            _ => (0, self.some_player()),
        };
        self.note(format!("{player} known in {slot} of {id} under {epoch}"));
        let lease = self.store.slot_filled(id, epoch, slot, player, self.now);
        let lease = lease.await;
        match self.model.slot_filled(id, epoch, slot, player, self.now) {
            Some(expected) => {
                assert_eq!(lease.unwrap(), expected);
                if expected == Lease::Held {
                    self.happened("confirm");
                }
            }
            None => assert!(matches!(lease, Err(StoreError::Invalid(_))), "{lease:?}"),
        }
    }

    async fn ask_for_openings(&mut self) {
        let game = self.some_game();
        self.note(format!("openings of {game}"));
        let openings = self.store.openings(game).await.unwrap();
        let told: Vec<_> = openings
            .iter()
            .map(|o| (o.opened_at, o.match_id, o.slot, o.team))
            .collect();
        assert_eq!(told, self.model.openings(game));
        for opening in openings {
            let found = self.model.match_by_id(opening.match_id).unwrap();
            assert!(matches!(
                found.status,
                MatchStatus::Open | MatchStatus::Running
            ));
            assert_eq!(
                (opening.mode, opening.region),
                (found.mode.clone(), found.region.clone())
            );
            let mut players: Vec<Uuid> = opening.players.iter().map(|p| p.player_id).collect();
            let all = self.model.accounts.keys().copied();
            let mut expected: Vec<Uuid> = all.filter(|id| found.plays(*id).is_some()).collect();
            players.sort_unstable();
            expected.sort_unstable();
            assert_eq!(players, expected, "players of {}", opening.match_id);
        }
        let id = self.some_match(|m| !m.came.is_empty());
        let substitutes = self.store.substitutes(id).await.unwrap();
        assert_eq!(substitutes, self.model.substitutes(id));
    }
}
