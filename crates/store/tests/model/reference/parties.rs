use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_store::{CreateParty, JoinParty, LeaveParty, MAX_PARTY, NewParty, Party, PartyMember};
use uuid::Uuid;

use super::{ANY, Gathered, Lead, Reference};

impl Reference {
    pub(crate) fn create_party(&mut self, new: &NewParty) -> CreateParty {
        if let Some(party) = self.party_of(new.leader) {
            return CreateParty::AlreadyIn(party.id);
        }
        if self.parties.values().any(|p| p.code == new.code) {
            return CreateParty::CodeTaken;
        }
        let gathered = Gathered {
            code: new.code.clone(),
            leader: new.leader,
            members: vec![(new.created_at, new.leader)],
            created_at: new.created_at,
            used_at: new.created_at,
        };
        self.parties.insert(new.id, gathered);
        CreateParty::Created(self.party(new.id).unwrap())
    }

    pub(crate) fn join_party(
        &mut self,
        code: &str,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> JoinParty {
        let Some((&id, gathered)) = self.parties.iter().find(|(_, p)| p.code == code) else {
            return JoinParty::NoSuchCode;
        };
        let members = gathered.members.len();
        match self.party_of(player_id) {
            Some(party) if party.id == id => return JoinParty::Joined(party),
            Some(party) => return JoinParty::AlreadyIn(party.id),
            None if members >= MAX_PARTY => return JoinParty::Full,
            None => {}
        }
        self.stop_waiting(id, now);
        let gathered = self.parties.get_mut(&id).unwrap();
        gathered.members.push((now, player_id));
        gathered.members.sort_unstable();
        gathered.used_at = gathered.used_at.max(now);
        JoinParty::Joined(self.party(id).unwrap())
    }

    pub(crate) fn leave_party(
        &mut self,
        id: Uuid,
        player_id: Uuid,
        now: DateTime<Utc>,
    ) -> LeaveParty {
        if self.party_of(player_id).is_none_or(|party| party.id != id) {
            return LeaveParty::NotThere;
        }
        self.stop_waiting(id, now);
        let gathered = self.parties.get_mut(&id).unwrap();
        gathered.members.retain(|(_, member)| *member != player_id);
        gathered.used_at = gathered.used_at.max(now);
        match gathered.members.first() {
            None => {
                self.parties.remove(&id);
            }
            Some((_, first)) if gathered.leader == player_id => gathered.leader = *first,
            Some(_) => {}
        }
        LeaveParty::Left(self.party(id))
    }

    pub(crate) fn party(&self, id: Uuid) -> Option<Party> {
        let gathered = self.parties.get(&id)?;
        let member = |&(_, player_id): &(DateTime<Utc>, Uuid)| PartyMember {
            player_id,
            username: self.accounts[&player_id].player.username.clone(),
        };
        Some(Party {
            id,
            code: gathered.code.clone(),
            leader: gathered.leader,
            members: gathered.members.iter().map(member).collect(),
            created_at: gathered.created_at,
        })
    }

    pub(crate) fn party_of(&self, player_id: Uuid) -> Option<Party> {
        let is_in = |p: &Gathered| p.members.iter().any(|(_, member)| *member == player_id);
        let (id, _) = self.parties.iter().find(|(_, p)| is_in(p))?;
        self.party(*id)
    }

    /// Without a limit.
    pub(crate) fn forget_parties(&mut self, unused_since: DateTime<Utc>) -> u64 {
        let before = self.parties.len();
        let tickets = &self.tickets;
        self.parties.retain(|id, party| {
            let mut own = tickets.values().filter(|t| t.party_id == Some(*id));
            party.used_at >= unused_since || own.any(|t| !t.status.is_final())
        });
        (before - self.parties.len()) as u64
    }

    /// Takes a player out of the party and out of the queues.
    pub(super) fn withdraw_player(&mut self, player_id: Uuid, now: DateTime<Utc>) {
        if let Some(party) = self.party_of(player_id) {
            self.leave_party(party.id, player_id, now);
        }
        let groups = self.waiting_groups(|t| t.player_id == player_id);
        self.withdraw(&groups, None, now);
    }

    pub(crate) fn lead_queue(
        &mut self,
        game: &str,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Option<u64> {
        let lead = self.leads.entry(game.to_owned()).or_insert(Lead {
            holder: None,
            epoch: 0,
            until: None,
        });
        if lead.holder.as_deref() != Some(holder) {
            if lead.until.is_some_and(|until| until > now) {
                return None;
            }
            lead.holder = Some(holder.to_owned());
            lead.epoch += 1;
        }
        lead.until = Some(now + ttl);
        Some(lead.epoch)
    }

    pub(crate) fn give_up_queues(&mut self, holder: &str) {
        for lead in self.leads.values_mut() {
            if lead.holder.as_deref() == Some(holder) {
                lead.holder = None;
                lead.until = None;
                lead.epoch += 1;
            }
        }
    }

    fn stop_waiting(&mut self, party: Uuid, now: DateTime<Utc>) {
        let groups = self.waiting_groups(|t| t.party_id == Some(party));
        self.withdraw(&groups, Some(ANY), now);
    }
}
