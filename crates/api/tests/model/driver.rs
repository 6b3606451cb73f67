//! Draws calls, makes them, and holds each answer against the reference.

mod accounts;
mod matches;
mod reading;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::FutureExt as _;
use gs_api::{Environment as _, GameInfo};
use gs_store::Store;
use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use uuid::Uuid;

use crate::reference::{Player, REFRESH, Reference, RefreshToken, Session};
use crate::server::Server;

/// `SEED`, or those that are always run and a fresh one.
pub(crate) fn seeds(always: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => always.chain([u64::from(fresh())]).collect(),
    }
}

fn fresh() -> u32 {
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
