//! Draws calls, makes them, and holds each answer against the reference.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::FutureExt as _;
use gs_api::{Environment as _, GameInfo};
use gs_store::{
    Ban, FormMatch, MatchOutcome, NewMatch, NewSlot, Outcome, SlotOutcome, Store, StoreOutcome,
    counts_on, erased_name,
};
use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::reference::{
    Key, Played, Player, REFRESH, REPEAT, Reference, RefreshToken, Session, Ticket, TicketState,
};
use crate::server::Server;

/// `SEED`, or those that are always run and a fresh one.
pub(crate) fn seeds(always: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => always.chain([u64::from(rand_pcg_seed())]).collect(),
    }
}

fn rand_pcg_seed() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().subsec_nanos()
}

/// Makes `steps` random calls against a service over this store, which is empty.
pub(crate) async fn drive(store: Arc<dyn Store>, seed: u64, steps: usize) {
    let mut driver = Driver {
        server: Server::new(store, seed).await,
        reference: Reference::default(),
        random: Pcg64Mcg::seed_from_u64(seed ^ 0x6d6f_6465_6c00),
        rooms: 0,
        last: String::new(),
    };
    for step in 0..steps {
        let done = AssertUnwindSafe(driver.step()).catch_unwind().await;
        if let Err(panic) = done {
            eprintln!("SEED={seed} failed at step {step}: {}", driver.last);
            std::panic::resume_unwind(panic);
        }
    }
}

struct Driver {
    server: Server,
    reference: Reference,
    random: Pcg64Mcg,
    rooms: u32,
    /// What was done last, for whoever looks at a failure.
    last: String,
}

impl Driver {
    async fn step(&mut self) {
        let ms = match self.below(200) {
            0 => 31 * 24 * 60 * 60_000,
            1..=6 => 60_000 * (60 + self.below(30 * 60) as i64),
            7..=16 => 60_000 * (1 + self.below(20) as i64),
            17..=30 => 5_000 + self.below(12_000) as i64,
            _ => 1 + self.below(900) as i64,
        };
        self.server.clock.advance(ms);
        match self.below(100) {
            0..=9 => self.register().await,
            10..=15 => self.guest().await,
            16..=21 => self.login().await,
            22..=31 => self.refresh().await,
            32..=33 => self.logout().await,
            34..=35 => self.change_password().await,
            36..=53 => self.enqueue().await,
            54..=57 => self.cancel().await,
            58..=62 => self.status().await,
            63..=76 => self.play().await,
            77..=84 => self.read_board().await,
            85..=89 => self.read_statistics().await,
            90..=93 => self.read_history().await,
            94..=95 => self.export().await,
            96 => self.delete().await,
            97..=98 => self.ban().await,
            _ => self.lift_ban().await,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.server.clock.now()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    async fn call(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.last = format!("{method} {path} {}", body.clone().unwrap_or_default());
        let (status, json) = self.server.call(method, path, token, body).await;
        self.last.push_str(&format!(" -> {status} {json}"));
        (status, json)
    }

    /// An access token, mostly one that is good; with whom it names, where it is.
    fn access_token(&mut self) -> Option<(String, usize, Option<usize>)> {
        let now = self.now();
        let good = |driver: &Self, session: usize| {
            let newest = driver.reference.sessions[session].access.len() - 1;
            driver.reference.signed_in(session, newest, now).is_some()
        };
        let sessions = 0..self.reference.sessions.len();
        let good: Vec<usize> = sessions.clone().filter(|&s| good(self, s)).collect();
        let any: Vec<usize> = sessions.collect();
        let from = if good.is_empty() || self.percent(10) {
            any
        } else {
            good
        };
        if from.is_empty() {
            return None;
        }
        let session = self.pick(&from);
        let newest = self.reference.sessions[session].access.len() - 1;
        let access = if self.percent(90) {
            newest
        } else {
            self.below(newest as u64 + 1) as usize
        };
        let player = self.reference.signed_in(session, access, now);
        let text = self.reference.sessions[session].access[access].0.clone();
        Some((text, session, player))
    }

    fn name(&mut self) -> String {
        let number = self.below(30);
        match self.below(10) {
            0 => format!("PLAYER-{number}"),
            1 => format!("p1ayer-{number}"),
            2 => format!("pIayer-{number}"),
            _ => format!("player-{number}"),
        }
    }

    fn password(&mut self) -> String {
        self.pick(&["correct horse", "battery staple", "something else"])
            .to_owned()
    }

    fn signed_in(&mut self, player: usize, json: &Value) {
        let now = self.now();
        self.reference.sessions.push(Session {
            player,
            ended: false,
            refresh: vec![RefreshToken {
                text: text(&json["refresh_token"]),
                expires_at: now + REFRESH,
                replaced_at: None,
            }],
            access: vec![(text(&json["access_token"]), now)],
        });
    }

    async fn register(&mut self) {
        let (username, password) = (self.name(), self.password());
        let email = self
            .percent(30)
            .then(|| format!("Mail{}@example.org", self.below(8)));
        let guest = if self.percent(40) {
            self.access_token()
        } else {
            None
        };
        let guest = guest.filter(|(_, session, _)| {
            self.reference.players[self.reference.sessions[*session].player].guest
        });
        let token = guest.as_ref().map(|(token, ..)| token.clone());
        let mut body = json!({"username": username, "password": password});
        if let Some(email) = &email {
            body["email"] = json!(email);
        }
        let (status, json) = self
            .call("POST", "/auth/register", token.as_deref(), Some(body))
            .await;
        let own = match &guest {
            Some((_, session, None)) => return self.refused(status, *session),
            Some((_, _, Some(player))) => Some(*player),
            None => None,
        };
        let name_taken = self.reference.name_taken(&username, own);
        let email_taken = self.reference.email_taken(email.as_deref());
        if name_taken || email_taken {
            assert_eq!(status, StatusCode::CONFLICT);
            let kind = text(&json["type"]);
            let which = kind.strip_prefix("urn:gameserver:problem:").unwrap();
            let right = (which == "username-taken" && name_taken)
                || (which == "email-taken" && email_taken);
            return assert!(right, "{json}");
        }
        assert_eq!(status, StatusCode::CREATED, "{json}");
        let id = id(&json["player_id"]);
        assert_eq!(json["username"], username);
        let player = match own {
            Some(player) => {
                assert_eq!(self.reference.players[player].id, id);
                player
            }
            None => {
                self.reference.players.push(new_player(id));
                self.reference.players.len() - 1
            }
        };
        let registered = &mut self.reference.players[player];
        registered.username = username;
        registered.email = email;
        registered.password = Some(password);
        registered.guest = false;
        self.signed_in(player, &json);
    }

    async fn guest(&mut self) {
        let username = self.percent(40).then(|| self.name());
        let body = username
            .as_ref()
            .map_or(json!({}), |name| json!({"username": name}));
        let (status, json) = self.call("POST", "/auth/guest", None, Some(body)).await;
        if username
            .as_ref()
            .is_some_and(|name| self.reference.name_taken(name, None))
        {
            return assert_eq!(status, StatusCode::CONFLICT);
        }
        assert_eq!(status, StatusCode::CREATED);
        let mut player = new_player(id(&json["player_id"]));
        player.username = text(&json["username"]);
        if let Some(username) = username {
            assert_eq!(player.username, username);
        }
        self.reference.players.push(player);
        self.signed_in(self.reference.players.len() - 1, &json);
    }

    async fn login(&mut self) {
        let now = self.now();
        let known = self.percent(90) && !self.reference.players.is_empty();
        let (name, right) = if known {
            let at = self.below(self.reference.players.len() as u64) as usize;
            let player = &self.reference.players[at];
            (player.username.clone(), player.password.clone())
        } else {
            ("nobody-at-all".to_owned(), None)
        };
        let password = match &right {
            Some(right) if self.percent(80) => right.clone(),
            _ => self.password(),
        };
        let body = json!({"username": name.to_uppercase(), "password": password});
        let (status, json) = self.call("POST", "/auth/login", None, Some(body)).await;
        let key = name.to_lowercase();
        let mut players = self.reference.players.iter();
        let player = players.position(|p| {
            p.username.to_lowercase() == key && !p.erased && p.password.as_ref() == Some(&password)
        });
        let Some(player) = player else {
            return assert_eq!(status, StatusCode::UNAUTHORIZED);
        };
        if self.reference.is_banned(player, now) {
            assert_eq!(json["type"], "urn:gameserver:problem:banned", "{json}");
            return assert_eq!(status, StatusCode::FORBIDDEN);
        }
        assert_eq!(status, StatusCode::OK, "{json}");
        assert_eq!(id(&json["player_id"]), self.reference.players[player].id);
        self.signed_in(player, &json);
    }

    async fn refresh(&mut self) {
        if self.reference.sessions.is_empty() {
            return;
        }
        let now = self.now();
        // Mostly sessions that last, now and then one that has ended.
        let ended_too = self.percent(10);
        let live: Vec<usize> = (0..self.reference.sessions.len())
            .filter(|&s| ended_too || !self.reference.sessions[s].ended)
            .collect();
        if live.is_empty() {
            return;
        }
        let session = self.pick(&live);
        let tokens = self.reference.sessions[session].refresh.len();
        let at = if self.percent(75) {
            tokens - 1
        } else {
            tokens.saturating_sub(2)
        };
        let text_of = |driver: &Self, at: usize| {
            let token: &RefreshToken = &driver.reference.sessions[session].refresh[at];
            token.text.clone()
        };
        let body = json!({"refresh_token": text_of(self, at)});
        let (status, json) = self.call("POST", "/auth/refresh", None, Some(body)).await;
        let player = self.reference.sessions[session].player;
        if self.reference.sessions[session].ended {
            return self.refused(status, session);
        }
        let token = &self.reference.sessions[session].refresh[at];
        match token.replaced_at {
            Some(replaced) if now - replaced > REPEAT => {
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{json}");
                self.reference.sessions[session].ended = true;
                return;
            }
            Some(_) => {
                assert_eq!(status, StatusCode::OK, "{json}");
                assert_eq!(json["refresh_token"], text_of(self, at + 1), "{json}");
            }
            None if token.expires_at <= now => {
                return assert_eq!(status, StatusCode::UNAUTHORIZED, "{json}");
            }
            None => {
                assert_eq!(status, StatusCode::OK, "{json}");
                let session = &mut self.reference.sessions[session];
                session.refresh[at].replaced_at = Some(now);
                session.refresh.push(RefreshToken {
                    text: text(&json["refresh_token"]),
                    expires_at: now + REFRESH,
                    replaced_at: None,
                });
            }
        }
        assert_eq!(id(&json["player_id"]), self.reference.players[player].id);
        self.reference.sessions[session]
            .access
            .push((text(&json["access_token"]), now));
    }

    async fn logout(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let (status, _) = self.call("POST", "/auth/logout", Some(&token), None).await;
        match player {
            None => self.refused(status, session),
            Some(_) => {
                assert_eq!(status, StatusCode::NO_CONTENT);
                self.reference.sessions[session].ended = true;
            }
        }
    }

    async fn change_password(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let (current, new) = (self.password(), self.password());
        let body = json!({"current_password": current, "new_password": new});
        let (status, json) = self
            .call("POST", "/auth/password", Some(&token), Some(body))
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        if self.reference.players[player].password.as_ref() != Some(&current) {
            return assert_eq!(status, StatusCode::FORBIDDEN, "{json}");
        }
        assert_eq!(status, StatusCode::OK, "{json}");
        self.reference.players[player].password = Some(new);
        self.reference.end_sessions(player);
        self.signed_in(player, &json);
    }

    async fn enqueue(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let game = self.game();
        let mode = self.pick(&game.modes).name.clone();
        let private = self.percent(10);
        let mut body = json!({"game": game.id, "mode": mode});
        if private {
            body["code"] = json!("tea");
        }
        let (status, json) = self
            .call("POST", "/match/queue", Some(&token), Some(body))
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        let mut tickets = self.reference.tickets.iter();
        let live = tickets
            .find(|t| t.player == player && t.game == game.id && t.state == TicketState::Queued);
        if let Some(live) = live {
            assert_eq!(status, StatusCode::CONFLICT);
            return assert_eq!(id(&json["ticket_id"]), live.id);
        }
        assert_eq!(status, StatusCode::ACCEPTED, "{json}");
        assert_eq!(
            (&json["game"], &json["mode"]),
            (&json!(game.id), &json!(mode))
        );
        self.reference.tickets.push(Ticket {
            id: id(&json["ticket_id"]),
            player,
            game: game.id.clone(),
            mode,
            private,
            state: TicketState::Queued,
        });
    }

    async fn cancel(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        if self.reference.tickets.is_empty() {
            return;
        }
        let at = self.ticket_of(player);
        let ticket = self.reference.tickets[at].id;
        let path = format!("/match/queue/{ticket}");
        let (status, _) = self.call("DELETE", &path, Some(&token), None).await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        let ticket = &mut self.reference.tickets[at];
        let expected = match ticket.state {
            _ if ticket.player != player => StatusCode::NOT_FOUND,
            TicketState::Matched => StatusCode::CONFLICT,
            TicketState::Queued | TicketState::Cancelled => {
                ticket.state = TicketState::Cancelled;
                StatusCode::NO_CONTENT
            }
        };
        assert_eq!(status, expected);
    }

    async fn status(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let newest = self.percent(50) || self.reference.tickets.is_empty();
        let at = if newest {
            None
        } else {
            Some(self.ticket_of(player))
        };
        let path = match at {
            None => "/match/status".to_owned(),
            Some(at) => format!("/match/status?ticket_id={}", self.reference.tickets[at].id),
        };
        let (status, json) = self.call("GET", &path, Some(&token), None).await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        let ticket = match at {
            None => self
                .reference
                .tickets
                .iter()
                .rev()
                .find(|t| t.player == player),
            Some(at) => Some(&self.reference.tickets[at]).filter(|t| t.player == player),
        };
        let Some(ticket) = ticket else {
            return assert_eq!(status, StatusCode::NOT_FOUND);
        };
        assert_eq!(status, StatusCode::OK, "{json}");
        assert_eq!(id(&json["ticket_id"]), ticket.id);
        let word = match ticket.state {
            TicketState::Queued => "queued",
            TicketState::Cancelled => "cancelled",
            TicketState::Matched => "matched",
        };
        assert_eq!(json["status"], word);
        // The reference's matches are over as soon as they begin.
        assert!(json["match"].is_null());
    }

    /// Has those who are queued play, as the matchmaker and an authority would have them.
    async fn play(&mut self) {
        let game = self.game();
        let mode = self.pick(&game.modes);
        let waiting: Vec<usize> = (0..self.reference.tickets.len())
            .filter(|&t| {
                let t = &self.reference.tickets[t];
                t.state == TicketState::Queued
                    && t.game == game.id
                    && t.mode == mode.name
                    && !t.private
            })
            .collect();
        if waiting.len() < 2 {
            return;
        }
        let players = 2 + self.below(3).min(waiting.len() as u64 - 2) as usize;
        let tickets = &waiting[..players];
        let (store, now) = (self.server.store.clone(), self.now());
        let ids: Vec<Uuid> = tickets
            .iter()
            .map(|&t| self.reference.players[self.reference.tickets[t].player].id)
            .collect();
        let team = |slot: usize| (game.teams > 0).then(|| (slot % usize::from(game.teams)) as u8);
        let slots = tickets.iter().enumerate().map(|(slot, &ticket)| NewSlot {
            ticket_id: self.reference.tickets[ticket].id,
            player_id: ids[slot],
            team: team(slot),
        });
        self.rooms += 1;
        let match_id = uuid::Builder::from_unix_timestamp_millis(
            now.timestamp_millis().unsigned_abs(),
            &std::array::from_fn(|n| self.rooms.to_be_bytes()[n % 4]),
        )
        .into_uuid();
        let new = NewMatch {
            id: match_id,
            room: format!("{}-{:08x}", game.id, self.rooms),
            game: game.id.clone(),
            mode: mode.name.clone(),
            module_sha256: game.module_sha256.clone(),
            teams: game.teams,
            options: "{}".to_owned(),
            authority_mode: "full".to_owned(),
            rated: mode.rated,
            slots: slots.collect(),
            created_at: now,
        };
        self.last = format!("a match of {ids:?} in {} {}", game.id, mode.name);
        assert_eq!(store.form_match(new).await.unwrap(), FormMatch::Formed);
        assert!(store.room_created(match_id, "RM_1").await.unwrap());
        let claim = store
            .claim_match("model", now, Duration::from_secs(60))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(claim.details.id, match_id);
        store.match_ready(match_id, claim.epoch, now).await.unwrap();
        self.see_the_match(&game, &mode.name, tickets, &ids).await;

        let outcome = self.outcome(&game, &mode.name, players);
        let stored = store
            .store_result(match_id, claim.epoch, outcome.clone(), now)
            .await;
        assert_eq!(stored.unwrap(), StoreOutcome::Stored);
        if self.percent(30) {
            let again = store
                .store_result(match_id, claim.epoch, outcome.clone(), now)
                .await;
            assert_eq!(again.unwrap(), StoreOutcome::AlreadyStored);
        }
        for &ticket in tickets {
            self.reference.tickets[ticket].state = TicketState::Matched;
        }
        self.reference
            .count(&game, &mode.name, mode.rated, &ids, &outcome);
        self.reference.matches.push(Played {
            id: match_id,
            players: ids,
            outcome: outcome.outcome,
        });
    }

    /// A player who is signed in sees whom the match is with, and how good they are held to be.
    async fn see_the_match(
        &mut self,
        game: &GameInfo,
        mode: &str,
        tickets: &[usize],
        ids: &[Uuid],
    ) {
        let now = self.now();
        let Some((token, player)) = (0..self.reference.sessions.len())
            .rev()
            .find_map(|session| {
                let newest = self.reference.sessions[session].access.len() - 1;
                let player = self.reference.signed_in(session, newest, now)?;
                let plays = tickets
                    .iter()
                    .any(|&t| self.reference.tickets[t].player == player);
                let token = self.reference.sessions[session].access[newest].0.clone();
                plays.then_some((token, player))
            })
        else {
            return;
        };
        let mine = tickets
            .iter()
            .find(|&&t| self.reference.tickets[t].player == player);
        let ticket = self.reference.tickets[*mine.unwrap()].id;
        let path = format!("/match/status?ticket_id={ticket}");
        let (status, json) = self.call("GET", &path, Some(&token), None).await;
        assert_eq!(status, StatusCode::OK, "{json}");
        let players: Vec<Value> = ids
            .iter()
            .enumerate()
            .map(|(slot, id)| {
                let rating = self.reference.rating(&game.id, mode, *id).value.round() as i64;
                let team = (game.teams > 0).then(|| slot % usize::from(game.teams));
                let username = &self.reference.players[self.reference.index(*id)].username;
                json!({"player_id": id, "username": username, "team": team, "rating": rating})
            })
            .collect();
        assert_eq!(json["match"]["players"], json!(players));
        let path = format!("/auth/token?room={}", text(&json["match"]["room"]));
        let (status, json) = self.call("GET", &path, Some(&token), None).await;
        assert_eq!(status, StatusCode::OK, "{json}");
    }

    fn outcome(&mut self, game: &GameInfo, mode: &str, players: usize) -> MatchOutcome {
        let now = self.now();
        let outcome = match self.below(10) {
            0 => Outcome::Void,
            1 => Outcome::Abandoned,
            _ => Outcome::Finished,
        };
        let of_team = [1 + self.below(2) as u8, 1 + self.below(2) as u8];
        let mut slots = Vec::new();
        for slot in 0..players as u8 {
            // Somebody may have left before the end.
            if outcome == Outcome::Abandoned && slot > 0 && self.percent(30) {
                continue;
            }
            let team = (game.teams > 0).then(|| slot % game.teams);
            let placement = match team {
                Some(team) => of_team[usize::from(team)],
                None => 1 + self.below(players as u64) as u8,
            };
            let mut statistics = vec![("kills".to_owned(), self.below(5) as i32)];
            if self.percent(70) {
                statistics.push(("falls".to_owned(), self.below(7) as i32 - 3));
            }
            let score = self.below(12) as i32 - 2;
            slots.push(SlotOutcome {
                slot,
                placement,
                team,
                score,
                statistics,
            });
        }
        MatchOutcome {
            outcome,
            reason: None,
            details: None,
            slots,
            boards: counts_on(&game.boards, mode, now),
            started_at: Some(now),
            ended_at: now,
            ticks: 60,
        }
    }

    async fn read_board(&mut self) {
        let game = self.game();
        let board = self.pick(&game.boards);
        let mut seasons = self.reference.seasons(&game.id, &board.id);
        let current = board.season.of(self.now());
        seasons.extend([current.clone(), "1999-12-31".to_owned()]);
        let season = self.pick(&seasons);
        let key: Key = (game.id.clone(), board.id.clone(), season.clone());
        let (whole, limit) = (self.reference.board(&key), 1 + self.below(7));
        let mut path = format!("/leaderboard/{}?board={}&limit={limit}", game.id, board.id);
        if season != current || self.percent(50) {
            path.push_str(&format!("&season={season}"));
        }
        let rows: Vec<Value> = whole
            .iter()
            .map(|(rank, entry)| {
                json!({
                    "rank": rank, "player_id": entry.player, "score": entry.score,
                    "username": self.username(entry.player), "at": time(entry.at),
                })
            })
            .collect();
        // Ranks may lag a little behind what was just stored.
        let deadline = Instant::now() + LAG;
        loop {
            let read = self.pages(&path, &rows).await;
            match read {
                Ok(()) => break,
                Err(_) if Instant::now() < deadline => tokio::task::yield_now().await,
                Err(difference) => panic!("{difference}"),
            }
        }
        if let Some(at) = (!rows.is_empty()).then(|| self.below(rows.len() as u64) as usize) {
            let player = text(&rows[at]["player_id"]);
            let (status, json) = self
                .call("GET", &format!("{path}&around={player}"), None, None)
                .await;
            assert_eq!(status, StatusCode::OK, "{json}");
            let len = rows.len().min(limit as usize);
            let first = at
                .saturating_sub((limit as usize - 1) / 2)
                .min(rows.len() - len);
            assert_eq!(
                json["entries"],
                json!(rows[first..first + len]),
                "around {at}"
            );
        }
    }

    /// Reads a board page by page.
    async fn pages(&mut self, path: &str, rows: &[Value]) -> Result<(), String> {
        let (mut read, mut cursor) = (Vec::new(), None);
        loop {
            let path = match &cursor {
                None => path.to_owned(),
                Some(cursor) => format!("{path}&cursor={cursor}"),
            };
            let (status, json) = self.call("GET", &path, None, None).await;
            assert_eq!(status, StatusCode::OK, "{json}");
            if json["total"] != json!(rows.len()) {
                return Err(format!("{} entries, not {}", rows.len(), json["total"]));
            }
            read.extend(json["entries"].as_array().unwrap().clone());
            match json["next_cursor"].as_str() {
                Some(next) if read.len() <= rows.len() => cursor = Some(next.to_owned()),
                _ => break,
            }
        }
        if read == rows {
            Ok(())
        } else {
            Err(format!("{read:?} is not {rows:?}"))
        }
    }

    async fn read_statistics(&mut self) {
        if self.reference.players.is_empty() {
            return;
        }
        let game = self.game();
        let at = self.below(self.reference.players.len() as u64) as usize;
        let player = self.reference.players[at].id;
        let mode = self.percent(50).then(|| self.pick(&game.modes).name);
        let mut path = format!("/stats/{}/{player}", game.id);
        if let Some(mode) = &mode {
            path.push_str(&format!("?mode={mode}"));
        }
        let sums = self.reference.sums(&game.id, mode.as_deref(), player);
        let rated_mode = mode.clone().unwrap_or_else(|| game.modes[0].name.clone());
        let rating = self.reference.rating(&game.id, &rated_mode, player);
        let board = &game.boards[0];
        let key: Key = (
            game.id.clone(),
            board.id.clone(),
            board.season.of(self.now()),
        );
        let standing = self
            .reference
            .board(&key)
            .into_iter()
            .find(|(_, e)| e.player == player);
        let mut expected = json!({
            "player_id": player, "username": self.username(player), "game": game.id, "mode": mode,
            "rating": rating.value.round() as i64,
            "rating_uncertainty": rating.uncertainty.round() as i64,
            "rank": standing.map(|(rank, _)| rank),
            "matches": sums.matches, "wins": sums.wins, "losses": sums.losses, "draws": sums.draws,
            "best_score": sums.best, "total_score": sums.total, "statistics": sums.statistics,
            "last_played_at": sums.last.map(time),
        });
        let deadline = Instant::now() + LAG;
        loop {
            let (status, json) = self.call("GET", &path, None, None).await;
            assert_eq!(status, StatusCode::OK, "{json}");
            // Who calls is noted now and then: not for a test of every call.
            expected["online"] = json["online"].clone();
            if json == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{json} is not {expected}");
            tokio::task::yield_now().await;
        }
    }

    async fn read_history(&mut self) {
        if self.reference.players.is_empty() {
            return;
        }
        let at = self.below(self.reference.players.len() as u64) as usize;
        let player = self.reference.players[at].id;
        let limit = 1 + self.below(5);
        let (mut read, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/players/{player}/matches?limit={limit}{cursor}");
            let (status, json) = self.call("GET", &path, None, None).await;
            assert_eq!(status, StatusCode::OK, "{json}");
            for one in json["matches"].as_array().unwrap() {
                let names: BTreeSet<String> = one["players"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|p| text(&p["username"]))
                    .collect();
                read.push((id(&one["match_id"]), text(&one["outcome"]), names));
            }
            match json["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let matches = self.reference.matches.iter().rev();
        let expected: Vec<(Uuid, String, BTreeSet<String>)> = matches
            .filter(|m| m.players.contains(&player))
            .map(|m| {
                let names = m.players.iter().map(|&p| self.username(p)).collect();
                (m.id, m.outcome.as_str().to_owned(), names)
            })
            .collect();
        assert_eq!(read, expected);
    }

    async fn export(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let (status, json) = self
            .call("GET", "/account/export", Some(&token), None)
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        assert_eq!(status, StatusCode::OK, "{json}");
        let player = &self.reference.players[player];
        let whole = json.to_string();
        assert!(whole.contains(&player.id.to_string()), "{json}");
        assert!(whole.contains(&player.username), "{json}");
        if let Some(email) = &player.email {
            assert!(whole.contains(email), "{json}");
        }
        let played = self
            .reference
            .matches
            .iter()
            .filter(|m| m.players.contains(&player.id));
        for one in played {
            assert!(
                whole.contains(&one.id.to_string()),
                "{} is not in {json}",
                one.id
            );
        }
        for secret in ["password_hash", "argon2", "refresh_token"] {
            assert!(!whole.contains(secret), "{json}");
        }
    }

    async fn delete(&mut self) {
        let Some((token, session, player)) = self.access_token() else {
            return;
        };
        let right = player.and_then(|p| self.reference.players[p].password.clone());
        let password = match &right {
            Some(right) if self.percent(70) => right.clone(),
            _ => self.password(),
        };
        let guest = player.is_some_and(|p| self.reference.players[p].guest);
        let body = if guest {
            json!({})
        } else {
            json!({"password": password})
        };
        let (status, json) = self
            .call("DELETE", "/account", Some(&token), Some(body))
            .await;
        let Some(player) = player else {
            return self.refused(status, session);
        };
        if right.is_some() && right != Some(password) {
            return assert_eq!(status, StatusCode::FORBIDDEN, "{json}");
        }
        assert_eq!(status, StatusCode::NO_CONTENT, "{json}");
        self.reference.end_sessions(player);
        let erased = &mut self.reference.players[player];
        (erased.username, erased.erased) = (erased_name(erased.id), true);
        (erased.email, erased.password, erased.guest) = (None, None, false);
        // Its tickets are gone, and so are those who could ask for them.
        self.reference.cancel_queued(player);
    }

    async fn ban(&mut self) {
        if self.reference.players.is_empty() {
            return;
        }
        let player = self.below(self.reference.players.len() as u64) as usize;
        let now = self.now();
        let minutes = self.below(600) as i64;
        let until = self
            .percent(70)
            .then(|| now + TimeDelta::minutes(minutes + 1));
        let ban = Ban {
            player_id: self.reference.players[player].id,
            reason: "spoiled the game for others".to_owned(),
            banned_at: now,
            until,
        };
        self.last = format!("{ban:?}");
        assert!(self.server.store.ban(ban).await.unwrap());
        self.reference.players[player].ban = Some(until);
        self.reference.end_sessions(player);
        self.reference.cancel_queued(player);
    }

    async fn lift_ban(&mut self) {
        if self.reference.players.is_empty() {
            return;
        }
        let (player, now) = (
            self.below(self.reference.players.len() as u64) as usize,
            self.now(),
        );
        let id = self.reference.players[player].id;
        self.last = format!("lift the ban of {id}");
        let lifted = self.server.store.lift_ban(id, now).await.unwrap();
        assert_eq!(lifted, self.reference.is_banned(player, now));
        self.reference.players[player].ban = None;
    }

    fn game(&mut self) -> Arc<GameInfo> {
        let games = gs_api::GameCatalog::games(&*self.server.games);
        self.pick(&games)
    }

    /// A ticket, mostly one of the player's.
    fn ticket_of(&mut self, player: Option<usize>) -> usize {
        let all: Vec<usize> = (0..self.reference.tickets.len()).collect();
        let own = all.iter().copied();
        let own: Vec<usize> = own
            .filter(|&t| Some(self.reference.tickets[t].player) == player)
            .collect();
        if own.is_empty() || self.percent(20) {
            self.pick(&all)
        } else {
            self.pick(&own)
        }
    }

    fn username(&self, player: Uuid) -> String {
        self.reference.players[self.reference.index(player)]
            .username
            .clone()
    }

    /// What a token is answered that is no good any more; a banned player may be told so.
    fn refused(&self, status: StatusCode, session: usize) {
        let player = self.reference.sessions[session].player;
        let told = status == StatusCode::FORBIDDEN && self.reference.is_banned(player, self.now());
        assert!(status == StatusCode::UNAUTHORIZED || told, "{status}");
    }
}

fn new_player(id: Uuid) -> Player {
    Player {
        id,
        username: String::new(),
        email: None,
        password: None,
        guest: true,
        erased: false,
        ban: None,
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

#[track_caller]
fn id(value: &Value) -> Uuid {
    text(value).parse().unwrap()
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How long a rank may lag behind a result; far beyond what a store that works takes.
const LAG: Duration = Duration::from_secs(10);
