use std::time::Duration;

use gs_store::{CreateParty, JoinParty, LeaveParty, NewParty, Party};
use uuid::Uuid;

use super::Walk;

impl Walk {
    pub(super) async fn party_call(&mut self) {
        match self.dice.below(20) {
            0..5 => self.create_party().await,
            5..12 => self.join_party().await,
            12..14 => self.leave_party().await,
            14 => self.forget_parties().await,
            15..17 => self.ask_for_parties().await,
            17..19 => self.lead_queue().await,
            _ => self.give_up_queues().await,
        }
    }

    async fn create_party(&mut self) {
        let leader = self.some_player();
        let new = NewParty {
            id: self.dice.id(),
            code: format!("CODE{}", self.dice.below(12)),
            leader,
            created_at: self.now,
        };
        if !self.is_there(leader) {
            return;
        }
        self.note(format!("party {} of {leader} by {}", new.id, new.code));
        let created = self.store.create_party(new.clone()).await.unwrap();
        assert_eq!(created, self.model.create_party(&new));
        if matches!(created, CreateParty::Created(_)) {
            self.happened("party");
        }
    }

    async fn join_party(&mut self) {
        let codes: Vec<String> = self
            .model
            .parties
            .values()
            .map(|p| p.code.clone())
            .collect();
        let code = match self.dice.pick(&codes) {
            Some(code) if self.dice.percent(95) => code.clone(),
            _ => "NONE".to_owned(),
        };
        let player = self.some_player();
        if !self.is_there(player) {
            return;
        }
        self.note(format!("{player} joins by {code}"));
        let joined = self
            .store
            .join_party(&code, player, self.now)
            .await
            .unwrap();
        assert_eq!(joined, self.model.join_party(&code, player, self.now));
        if matches!(joined, JoinParty::Joined(_)) {
            self.happened("join");
        }
    }

    async fn leave_party(&mut self) {
        let parties: Vec<Uuid> = self.model.parties.keys().copied().collect();
        let Some(id) = self.dice.pick(&parties).copied() else {
            return;
        };
        let members: Vec<Uuid> = self.model.parties[&id]
            .members
            .iter()
            .map(|m| m.1)
            .collect();
        let player = match self.dice.pick(&members) {
            Some(member) if self.dice.percent(90) => *member,
            _ => self.some_player(),
        };
        self.note(format!("{player} leaves party {id}"));
        let left = self.store.leave_party(id, player, self.now).await.unwrap();
        assert_eq!(left, self.model.leave_party(id, player, self.now));
        if matches!(left, LeaveParty::Left(_)) {
            self.happened("leave");
        }
    }

    async fn forget_parties(&mut self) {
        let since = self.ago(3600);
        self.note(format!("forget parties unused since {since}"));
        let forgotten = self.store.forget_parties(since, 1000).await.unwrap();
        assert_eq!(forgotten, self.model.forget_parties(since));
    }

    async fn ask_for_parties(&mut self) {
        let player = self.some_player();
        self.note(format!("party of {player}"));
        let found = self.store.party_of(player).await.unwrap();
        assert_eq!(found, self.model.party_of(player));
    }

    async fn lead_queue(&mut self) {
        let game = self.some_game();
        let holder = *self.dice.pick(&["a", "b", "c"]).unwrap();
        let ttl = Duration::from_secs(self.dice.between(1, 60) as u64);
        self.note(format!("{holder} leads {game} for {ttl:?}"));
        let lead = self
            .store
            .lead_queue(game, holder, self.now, ttl)
            .await
            .unwrap();
        assert_eq!(lead, self.model.lead_queue(game, holder, self.now, ttl));
    }

    async fn give_up_queues(&mut self) {
        let holder = *self.dice.pick(&["a", "b", "c"]).unwrap();
        self.note(format!("{holder} gives up"));
        self.store.give_up_queues(holder).await.unwrap();
        self.model.give_up_queues(holder);
    }

    pub(super) async fn check_parties(&mut self) {
        let ids: Vec<Uuid> = self.model.parties.keys().copied().collect();
        for id in ids {
            let found: Option<Party> = self.store.party(id).await.unwrap();
            assert_eq!(found, self.model.party(id));
        }
        let players: Vec<Uuid> = self.model.accounts.keys().copied().collect();
        for player in players {
            let found = self.store.party_of(player).await.unwrap();
            assert_eq!(found, self.model.party_of(player));
        }
        let forming = self.store.forming_matches().await.unwrap();
        assert_eq!(forming, self.model.forming_matches());
    }

    /// Whether a player is there and not erased.
    pub(super) fn is_there(&self, player: Uuid) -> bool {
        self.model.accounts.get(&player).is_some_and(|a| !a.erased)
    }
}
