//! Boards, statistics and history.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Driver, id, text, time};
use crate::reference::Key;

impl Driver {
    pub(super) async fn read_board(&mut self) {
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

    pub(super) async fn read_statistics(&mut self) {
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
        let rating = self
            .reference
            .rating(&game.id, &rated_mode, player, self.now());
        let rated = self.reference.sums(&game.id, Some(&rated_mode), player);
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
            "placement_matches_left": 10u64.saturating_sub(rated.matches),
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

    pub(super) async fn read_history(&mut self) {
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
}

/// How long a rank may lag behind a result; far beyond what a store that works takes.
const LAG: Duration = Duration::from_secs(10);
