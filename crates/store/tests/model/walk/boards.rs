use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use gs_matchmaker::Rating;
use gs_store::{BoardCursor, BoardEntry, BoardKey, BoardStart, Standing};
use uuid::Uuid;

use super::{MODES, Walk};
use crate::reference::{Scores, rating_at};

impl Walk {
    pub(super) async fn board_call(&mut self) {
        match self.dice.below(8) {
            0..4 => self.ask_for_a_page().await,
            4..6 => self.ask_for_seasons().await,
            _ => self.ask_for_statistics().await,
        }
    }

    async fn ask_for_a_page(&mut self) {
        let keys: Vec<BoardKey> = self.model.scores().boards().cloned().collect();
        let Some(key) = self.dice.pick(&keys).cloned() else {
            return;
        };
        let whole = self.settled(&key).await;
        let limit = self.dice.below(6) + 1;
        let entry = self.dice.pick(&whole).unwrap().clone();
        let (start, expected, next) = match self.dice.below(3) {
            0 => (BoardStart::Top, &whole[..limit.min(whole.len())], limit),
            1 => {
                // Where somebody is, or was.
                let score = entry.score + self.dice.between(-1, 1);
                let cursor = BoardCursor {
                    score,
                    at: entry.at,
                    player_id: entry.player_id,
                };
                let place = whole.partition_point(|e| order(e) <= order_of(&cursor));
                let end = (place + limit).min(whole.len());
                (BoardStart::After(cursor), &whole[place..end], place + limit)
            }
            _ => {
                let player = entry.player_id;
                let place = whole.iter().position(|e| e.player_id == player).unwrap();
                let first = place
                    .saturating_sub((limit - 1) / 2)
                    .min(whole.len().saturating_sub(limit));
                let end = (first + limit).min(whole.len());
                (BoardStart::Around(player), &whole[first..end], end)
            }
        };
        self.note(format!("{limit} of {key:?} {start:?}"));
        let page = self.store.board_page(&key, start, limit as u32).await;
        let page = page.unwrap();
        assert_eq!(page.entries, expected);
        assert_eq!(page.total, whole.len() as u64);
        let last = expected.last().filter(|_| next < whole.len());
        assert_eq!(page.next, last.map(cursor_of));
    }

    async fn ask_for_seasons(&mut self) {
        let game = self.some_game();
        let board = *self.dice.pick(&["default", "daily", "none"]).unwrap();
        self.note(format!("seasons of {board} of {game}"));
        let limit = self.dice.below(3) + 1;
        let seasons = self.store.seasons(game, board, limit as u32).await;
        let mut expected = self.model.scores().seasons(game, board);
        expected.truncate(limit);
        assert_eq!(seasons.unwrap(), expected);
    }

    async fn ask_for_statistics(&mut self) {
        let game = self.some_game();
        let mode = *self.dice.pick(&MODES).unwrap();
        self.note(format!("statistics of {game}, ratings in {mode}"));
        let scores = self.model.scores();
        let players: Vec<Uuid> = self.model.accounts.keys().copied().collect();
        let now = self.now;
        let ratings = self.store.ratings(game, mode, &players, now).await.unwrap();
        assert_eq!(ratings.len(), players.len());
        let skills = self.store.matchmaking_skills(game, mode, &players, now);
        let skills = skills.await.unwrap();
        assert_eq!(skills.len(), players.len());
        for ((player, mut rating), mut skill) in players.iter().zip(ratings).zip(skills) {
            let expected = scores.skill(game, mode, *player, now);
            same_rating(&mut rating, expected.rating);
            same_rating(&mut skill.rating, expected.rating);
            assert_eq!(skill, expected, "skill of {player}");
            let mut modes = self.store.statistics(game, *player, now).await.unwrap();
            let all = scores.statistics_of(*player).into_iter();
            let expected: Vec<_> = all
                .filter(|(of, _, _)| of == game)
                .map(|(_, mode, mut sums)| {
                    sums.rating = rating_at(&sums, now);
                    (mode, sums)
                })
                .collect();
            for ((_, sums), (_, wanted)) in modes.iter_mut().zip(&expected) {
                same_rating(&mut sums.rating, wanted.rating);
            }
            assert_eq!(modes, expected, "statistics of {player}");
            self.check_rating_history(&scores, game, mode, *player)
                .await;
        }
    }

    async fn check_rating_history(&self, scores: &Scores, game: &str, mode: &str, player: Uuid) {
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = self.store.rating_history(game, mode, player, before, 3);
            let page = page.await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 3);
            before = Some(last.match_id);
            pages.extend(page);
        }
        let expected = scores.rating_history(game, mode, player);
        for (change, wanted) in pages.iter_mut().zip(&expected) {
            same_rating(&mut change.before, wanted.before);
            same_rating(&mut change.after, wanted.after);
        }
        assert_eq!(pages, expected, "rating history of {player}");
    }

    pub(super) async fn check_boards(&mut self) {
        let keys: Vec<BoardKey> = self.model.scores().boards().cloned().collect();
        for key in keys {
            let whole = self.settled(&key).await;
            let page = self.store.board_page(&key, BoardStart::Top, 100).await;
            let page = page.unwrap();
            assert_eq!(page.entries, whole, "{key:?}");
            assert_eq!((page.total, page.next), (whole.len() as u64, None));
        }
    }

    /// A board's entries once the store's ranks and totals have caught up with them.
    async fn settled(&mut self, key: &BoardKey) -> Vec<BoardEntry> {
        let entries = self.model.scores().board(key);
        let entry = |&(player_id, score, at): &(Uuid, i64, DateTime<Utc>)| {
            let higher = entries.iter().filter(|(_, other, _)| *other > score);
            BoardEntry {
                rank: 1 + higher.count() as u64,
                player_id,
                username: self.model.accounts[&player_id].player.username.clone(),
                score,
                at,
            }
        };
        let whole: Vec<BoardEntry> = entries.iter().map(entry).collect();
        let deadline = Instant::now() + PATIENCE;
        for entry in &whole {
            let expected = Standing {
                rank: entry.rank,
                score: entry.score,
                total: whole.len() as u64,
            };
            loop {
                let standing = self.store.standing(key, entry.player_id).await.unwrap();
                if standing == Some(expected) {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "on {key:?}, {} stays at {standing:?}, where {expected:?} is right",
                    entry.player_id
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        whole
    }
}

/// Compares ratings but for the order in which sums were made, and makes them one.
pub(super) fn same_rating(stored: &mut Rating, expected: Rating) {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(
        near(stored.value, expected.value) && near(stored.uncertainty, expected.uncertainty),
        "the rating is {stored:?}, not {expected:?}"
    );
    *stored = expected;
}

fn order(entry: &BoardEntry) -> (i64, DateTime<Utc>, Uuid) {
    order_of(&cursor_of(entry))
}

fn order_of(cursor: &BoardCursor) -> (i64, DateTime<Utc>, Uuid) {
    (-cursor.score, cursor.at, cursor.player_id)
}

fn cursor_of(entry: &BoardEntry) -> BoardCursor {
    BoardCursor {
        score: entry.score,
        at: entry.at,
        player_id: entry.player_id,
    }
}

/// Far more than any store needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
