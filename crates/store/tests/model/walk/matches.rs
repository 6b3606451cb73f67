use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_store::{
    BoardRule, CountsOn, FormMatch, Match, MatchOutcome, MatchStatus, NewMatch, NewSlot, Outcome,
    SlotOutcome, StoreError, StoreOutcome, Ticket, TicketStatus,
};
use uuid::Uuid;

use super::{MODES, Walk, comparable};
use crate::reference::Lived;

impl Walk {
    pub(super) async fn match_call(&mut self) {
        if self.dice.percent(60) {
            return self.go_on_with_a_match().await;
        }
        match self.dice.below(60) {
            48.. => self.backfill_call().await,
            0..10 => self.form_match().await,
            10..15 => self.room_created().await,
            15..21 => self.claim_match().await,
            21..23 => self.renew_lease().await,
            23 => self.release_lease().await,
            24..29 => self.match_ready().await,
            29..33 => self.match_started().await,
            33 => self.fail_match().await,
            34..40 => self.store_result().await,
            40 => self.store_malformed_result().await,
            41..43 => self.store_results_at_once().await,
            _ => self.ask_for_matches().await,
        }
    }

    /// What some match waits for.
    async fn go_on_with_a_match(&mut self) {
        let matches = self.model.matches.values();
        let unfinished = matches.filter(|m| m.details.ended_at.is_none());
        let unfinished: Vec<&Lived> = unfinished.collect();
        match self.dice.pick(&unfinished) {
            None => self.form_match().await,
            Some(m) if m.details.status == MatchStatus::Accepting => {
                let id = m.details.id;
                let all = self.model.tickets.values();
                let silent = all.filter(|t| {
                    t.match_id == Some(id)
                        && t.status == TicketStatus::Accepting
                        && t.accepted.is_none()
                });
                let silent: Vec<Uuid> = silent.map(|t| t.id).collect();
                let ticket = *self.dice.pick(&silent).unwrap();
                self.answer(ticket).await;
            }
            Some(m) if m.details.status == MatchStatus::Forming => self.room_created().await,
            Some(m) if m.holder.is_none() => self.claim_match().await,
            Some(m) if m.details.ready_at.is_none() => self.match_ready().await,
            Some(m) if m.details.backfill && self.dice.percent(75) => self.backfill_call().await,
            Some(m) if m.details.status == MatchStatus::Open => self.match_started().await,
            Some(m) if m.details.backfill && self.dice.percent(60) => self.backfill_call().await,
            Some(_) => self.store_result().await,
        }
    }

    async fn form_match(&mut self) {
        let game = self.some_game();
        let queued = self.model.queued_tickets(game);
        if queued.len() < 4 && self.dice.percent(70) {
            return;
        }
        let groups = queued.chunk_by(|a, b| a.group_id == b.group_id);
        let groups: Vec<Vec<Ticket>> = groups.map(<[Ticket]>::to_vec).collect();
        let mut members: Vec<Ticket> = self.dice.some(&groups, 4).concat();
        if self.dice.percent(3) {
            members.pop();
        }
        if self.dice.percent(8) {
            // One that may be gone, of another game, or there twice.
            let all: Vec<Ticket> = self.model.tickets.values().cloned().collect();
            members.extend(self.dice.pick(&all).cloned());
        }
        if members.is_empty() {
            return;
        }
        let teams = if self.dice.percent(40) { 2 } else { 0 };
        let slot = |(n, ticket): (usize, &Ticket)| NewSlot {
            ticket_id: ticket.id,
            player_id: ticket.player_id,
            team: (teams > 0).then_some((n % 2) as u8),
        };
        let fits = members.iter().all(|ticket| queued.contains(ticket));
        let rooms: Vec<String> = self
            .model
            .matches
            .values()
            .map(|m| m.details.room.clone())
            .collect();
        let backfill = self.dice.percent(60);
        let free = match (backfill, teams) {
            (true, 0) => self.dice.below(3),
            _ => 0,
        };
        let newest = self.model.leads.get(game).map(|lead| lead.epoch);
        let lead = match newest {
            Some(newest) if self.dice.percent(50) => Some(self.epoch_near(newest)),
            _ => None,
        };
        let number = self.next();
        let room = match self.dice.pick(&rooms) {
            Some(room) if fits && self.dice.percent(5) => room.clone(),
            _ => format!("{game}-{number:08x}"),
        };
        let new = NewMatch {
            // Later matches have higher ids, as with version 7.
            id: Uuid::from_u64_pair(number, self.dice.id().as_u64_pair().1),
            room,
            game: game.to_owned(),
            mode: (*self.dice.pick(&MODES).unwrap()).to_owned(),
            module_sha256: "0f".repeat(32),
            teams,
            options: r#"{"map": "plain"}"#.to_owned(),
            authority_mode: "full".to_owned(),
            rated: self.dice.percent(85),
            region: None,
            capacity: (members.len() + free) as u8,
            backfill,
            accept_until: self
                .dice
                .percent(35)
                .then(|| self.now + TimeDelta::seconds(40)),
            lead,
            slots: members.iter().enumerate().map(slot).collect(),
            created_at: self.now,
        };
        let players: Vec<Uuid> = members.iter().map(|t| t.player_id).collect();
        self.note(format!("form {} in {} of {players:?}", new.id, new.room));
        let formed = self.store.form_match(new.clone()).await.unwrap();
        assert_eq!(formed, self.model.form_match(&new));
        if formed == FormMatch::NotLeading {
            self.happened("not leading");
        }
        if formed == FormMatch::Formed {
            self.happened("form");
            if members.len() > 3 {
                self.happened("crowd");
            }
        }
    }

    async fn room_created(&mut self) {
        let id = self.some_match(|m| m.details.status == MatchStatus::Forming);
        self.note(format!("room of {id} created"));
        let sid = format!("RM_{}", self.next());
        let created = self.store.room_created(id, &sid).await.unwrap();
        assert_eq!(created, self.model.room_created(id, &sid));
    }

    async fn claim_match(&mut self) {
        let holder = *self.dice.pick(&["a", "b", "c"]).unwrap();
        let ttl = self.ttl();
        self.note(format!("claim by {holder} for {ttl:?}"));
        let claim = self.store.claim_match(holder, self.now, ttl).await.unwrap();
        let expected = self.model.claim_match(holder, self.now, ttl);
        if let (Some(claim), Some(expected)) = (&claim, &expected) {
            assert_eq!(claim.epoch, expected.epoch);
        }
        let claimed = claim.map(|claim| comparable(claim.details));
        assert_eq!(claimed, expected.map(comparable));
        if claimed.is_some() {
            self.happened("claim");
        }
    }

    async fn renew_lease(&mut self) {
        let (id, epoch) = self.some_lease(|_| true);
        let ttl = self.ttl();
        self.note(format!("renew {id} under {epoch} for {ttl:?}"));
        let lease = self.store.renew_lease(id, epoch, self.now, ttl).await;
        let expected = self.model.renew_lease(id, epoch, self.now, ttl);
        assert_eq!(lease.unwrap(), expected);
    }

    async fn release_lease(&mut self) {
        let (id, epoch) = self.some_lease(|_| true);
        self.note(format!("release {id} under {epoch}"));
        let lease = self.store.release_lease(id, epoch).await.unwrap();
        assert_eq!(lease, self.model.release_lease(id, epoch));
    }

    async fn match_ready(&mut self) {
        let (id, epoch) = self.some_lease(|m| m.details.ready_at.is_none());
        self.note(format!("{id} ready under {epoch}"));
        let lease = self.store.match_ready(id, epoch, self.now).await.unwrap();
        assert_eq!(lease, self.model.match_ready(id, epoch, self.now));
    }

    async fn match_started(&mut self) {
        let (id, epoch) =
            self.some_lease(|m| m.details.ready_at.is_some() && m.details.started_at.is_none());
        self.note(format!("{id} started under {epoch}"));
        let lease = self.store.match_started(id, epoch, self.now).await;
        match self.model.match_started(id, epoch, self.now) {
            Some(expected) => assert_eq!(lease.unwrap(), expected),
            None => assert!(matches!(lease, Err(StoreError::Invalid(_))), "{lease:?}"),
        }
    }

    async fn fail_match(&mut self) {
        let id = self.some_match(|m| m.details.ready_at.is_none());
        let newest = self.model.matches.get(&id).map_or(0, |m| m.details.epoch);
        let epoch = self.dice.percent(60).then(|| self.epoch_near(newest));
        self.note(format!("fail {id} under {epoch:?}"));
        let failed = self
            .store
            .fail_match(id, epoch, "no room", self.now)
            .await
            .unwrap();
        let expected = self.model.fail_match(id, epoch, "no room", self.now);
        assert_eq!(failed, expected);
    }

    async fn store_result(&mut self) {
        let (id, epoch) = self.some_lease(|m| m.details.status == MatchStatus::Running);
        let Some(played) = self.model.matches.get(&id) else {
            return;
        };
        let outcome = outcome(self, played.details.clone());
        self.store_one(id, epoch, outcome).await;
    }

    async fn store_one(&mut self, id: Uuid, epoch: u64, outcome: MatchOutcome) {
        self.note(format!("result of {id} under {epoch}: {outcome:?}"));
        let stored = self
            .store
            .store_result(id, epoch, outcome.clone(), self.now)
            .await
            .unwrap();
        let expected = self.model.store_result(id, epoch, &outcome, self.now);
        assert_eq!(stored, expected);
        self.happened(match stored {
            StoreOutcome::Stored => "result",
            StoreOutcome::AlreadyStored => "repeat",
            StoreOutcome::StaleEpoch => "stale",
        });
    }

    async fn store_malformed_result(&mut self) {
        let running = |m: &&Lived| m.details.epoch > 0 && m.details.ended_at.is_none();
        let found = self.model.matches.values().find(running);
        let Some(played) = found.map(|m| m.details.clone()) else {
            return;
        };
        let mut bad = outcome(self, played.clone());
        match self.dice.below(2) {
            0 => {
                let mut slot = slot_outcome(self, played.capacity, 4);
                slot.placement = 1;
                bad.slots.push(slot);
            }
            _ => {
                bad.boards = boards(self, bad.ended_at);
                bad.boards.extend(bad.boards.clone());
            }
        }
        self.note(format!("malformed result of {}: {bad:?}", played.id));
        let refused = self
            .store
            .store_result(played.id, played.epoch, bad, self.now)
            .await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
    }

    /// Results of matches that have no player and mode in common, so that their order makes no
    /// difference, each twice.
    async fn store_results_at_once(&mut self) {
        let live = |m: &&Lived| m.details.epoch > 0 && m.details.ended_at.is_none();
        let running = self.model.matches.values().filter(live);
        let running: Vec<Match> = running.map(|m| m.details.clone()).collect();
        let mut chosen: Vec<(Match, MatchOutcome)> = Vec::new();
        for played in running {
            let key = |m: &Match| (m.game.clone(), m.mode.clone());
            let shares = chosen.iter().any(|(other, _)| {
                key(other) == key(&played)
                    && played
                        .slots
                        .iter()
                        .any(|s| other.slots.iter().any(|o| o.player_id == s.player_id))
            });
            if !shares && self.dice.percent(80) {
                let outcome = outcome(self, played.clone());
                chosen.push((played, outcome));
            }
        }
        let ids: Vec<Uuid> = chosen.iter().map(|(played, _)| played.id).collect();
        self.note(format!("results of {ids:?} at once"));
        let mut tasks = Vec::new();
        for (played, outcome) in chosen.iter().chain(&chosen) {
            let (id, epoch, now) = (played.id, played.epoch, self.now);
            let (store, outcome) = (self.store.clone(), outcome.clone());
            let task =
                tokio::spawn(async move { store.store_result(id, epoch, outcome, now).await });
            tasks.push(task);
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().unwrap());
        }
        let (first, second) = answers.split_at(chosen.len());
        for (index, (played, outcome)) in chosen.iter().enumerate() {
            let expected = self
                .model
                .store_result(played.id, played.epoch, outcome, self.now);
            assert_eq!(expected, StoreOutcome::Stored);
            let mut both = [first[index], second[index]];
            both.sort_by_key(|answer| *answer != StoreOutcome::Stored);
            assert_eq!(both, [StoreOutcome::Stored, StoreOutcome::AlreadyStored]);
            self.happened("result");
            self.happened("repeat");
        }
    }

    async fn ask_for_matches(&mut self) {
        let id = self.some_match(|_| true);
        self.note(format!("ask for match {id} and others"));
        let found = self.store.match_by_id(id).await.unwrap().map(comparable);
        let expected = self.model.match_by_id(id).map(comparable);
        assert_eq!(found, expected);
        if let Some(expected) = expected {
            let by_room = self.store.match_by_room(&expected.room).await.unwrap();
            assert_eq!(by_room.map(comparable), Some(expected));
        }
        let player = self.some_player();
        let live = self.store.live_match_of(player).await.unwrap();
        let expected = self.model.live_match_of(player).map(comparable);
        assert_eq!(live.map(comparable), expected, "live match of {player}");
        let formed_before = self.ago(30);
        let overdue = self.store.overdue_matches(formed_before).await.unwrap();
        let overdue: Vec<Match> = overdue.into_iter().map(comparable).collect();
        assert_eq!(overdue, self.model.overdue_matches(formed_before));

        let limit = self.dice.below(4) + 1;
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = self.store.matches_of(player, before, limit as u32).await;
            let page = page.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            pages.extend(page.into_iter().map(comparable));
        }
        let expected: Vec<Match> = self
            .model
            .matches_of(player)
            .into_iter()
            .map(comparable)
            .collect();
        assert_eq!(pages, expected, "history of {player}");
    }

    pub(super) async fn check_matches(&mut self) {
        let ids: Vec<Uuid> = self.model.matches.keys().copied().collect();
        for id in ids {
            let found = self.store.match_by_id(id).await.unwrap();
            let expected = self.model.match_by_id(id);
            assert_eq!(found.map(comparable), expected.map(comparable));
        }
    }

    /// A match, mostly one that is fit.
    pub(super) fn some_match(&mut self, fit: impl Fn(&Lived) -> bool) -> Uuid {
        let id = |m: &Lived| m.details.id;
        let all: Vec<Uuid> = self.model.matches.values().map(id).collect();
        let fit = self.model.matches.values().filter(|m| fit(m));
        let fit: Vec<Uuid> = fit.map(id).collect();
        match self.dice.pick(&fit) {
            Some(id) if self.dice.percent(85) => *id,
            _ => match self.dice.pick(&all) {
                Some(id) if self.dice.percent(90) => *id,
                _ => self.dice.id(),
            },
        }
    }

    /// A match that somebody claimed, mostly one that is fit and held, and mostly its newest epoch.
    pub(super) fn some_lease(&mut self, fit: impl Fn(&Lived) -> bool) -> (Uuid, u64) {
        let id = self.some_match(|m| m.holder.is_some() && fit(m));
        match self.model.matches.get(&id) {
            // Nobody has an epoch that was never given, nor calls for what it gave back.
            Some(m) if m.holder.is_none() && m.details.ended_at.is_none() => (id, u64::MAX >> 1),
            Some(m) => (
                id,
                self.epoch_near(self.model.matches[&m.details.id].details.epoch),
            ),
            None => (id, 1),
        }
    }

    fn epoch_near(&mut self, newest: u64) -> u64 {
        match self.dice.below(12) {
            0 => newest + 1,
            1 => newest.saturating_sub(1),
            _ => newest,
        }
    }

    fn ttl(&mut self) -> Duration {
        *self
            .dice
            .pick(&[Duration::from_secs(5), Duration::from_secs(3600)])
            .unwrap()
    }
}

/// How a match may have ended.
fn outcome(walk: &mut Walk, played: Match) -> MatchOutcome {
    let outcome = match walk.dice.below(20) {
        0..15 => Outcome::Finished,
        15..18 => Outcome::Abandoned,
        _ => Outcome::Void,
    };
    let count = usize::from(played.capacity);
    let mut slots = Vec::new();
    for number in 0..played.capacity {
        let mut result = slot_outcome(walk, number, count);
        let matched = played.slots.get(usize::from(number));
        result.team = matched.and_then(|slot| slot.team);
        if outcome == Outcome::Finished || walk.dice.percent(70) {
            slots.push(result);
        }
    }
    // Results come late, not in the order of their matches' ends, and some matches end at once.
    let longest = *walk.dice.pick(&[900, 40_000]).unwrap();
    let some_time = walk.ago(longest);
    let others = walk.model.results.iter().map(|r| r.outcome.ended_at);
    let others: Vec<DateTime<Utc>> = others.collect();
    let ended_at = match walk.dice.pick(&others) {
        Some(other) if walk.dice.percent(30) => *other,
        _ => some_time,
    };
    MatchOutcome {
        outcome,
        reason: walk
            .dice
            .percent(20)
            .then(|| "too few were left".to_owned()),
        details: walk
            .dice
            .percent(20)
            .then(|| r#"{"n":  [1, 2.5, null], "a": {"b": "\u00e9"}}"#.to_owned()),
        slots,
        boards: boards(walk, ended_at),
        started_at: walk
            .dice
            .percent(80)
            .then(|| ended_at - TimeDelta::seconds(60)),
        ended_at,
        ticks: walk.dice.below(100_000) as u32,
    }
}

fn slot_outcome(walk: &mut Walk, slot: u8, players: usize) -> SlotOutcome {
    let mut statistics = Vec::new();
    for name in ["coins", "hits", "coins"] {
        if walk.dice.percent(50) {
            statistics.push((name.to_owned(), walk.dice.between(-3, 9) as i32));
        }
    }
    SlotOutcome {
        slot,
        placement: 1 + walk.dice.below(players) as u8,
        team: None,
        score: match walk.dice.below(60) {
            0 => i32::MAX,
            1 => i32::MIN,
            _ => walk.dice.between(-2, 3) as i32,
        },
        statistics,
    }
}

/// The boards that a match counts on, always by the same rules.
fn boards(walk: &mut Walk, ended_at: DateTime<Utc>) -> Vec<CountsOn> {
    let all = [
        ("default", BoardRule::Best, None),
        ("latest", BoardRule::Latest, None),
        ("daily", BoardRule::Sum, None),
        ("coins", BoardRule::Sum, Some("coins")),
    ]
    .map(|(board, rule, statistic)| CountsOn {
        board: board.to_owned(),
        season: match board {
            "daily" => ended_at.format("%F").to_string(),
            _ => gs_store::ALL_TIME.to_owned(),
        },
        rule,
        statistic: statistic.map(str::to_owned),
    });
    let mut boards = all.to_vec();
    boards.retain(|_| walk.dice.percent(80));
    boards.push(CountsOn {
        board: "always".to_owned(),
        ..all[0].clone()
    });
    boards
}
