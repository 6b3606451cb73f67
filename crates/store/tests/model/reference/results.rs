use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gs_matchmaker::{RatedPlayer, Rating, rate};
use gs_store::{BoardKey, BoardRule, CountsOn, PlayerStatistics, SlotOutcome};
use uuid::Uuid;

use super::{Counted, Reference};

/// What all results add up to.
#[derive(Default)]
pub(crate) struct Scores {
    /// By game, mode and player.
    statistics: BTreeMap<(String, String, Uuid), PlayerStatistics>,
    /// Every score on a board, by board and player.
    boards: BTreeMap<BoardKey, BTreeMap<Uuid, Reached>>,
    rules: BTreeMap<BoardKey, BoardRule>,
}

/// Scores and when each was reached.
type Reached = Vec<(i64, DateTime<Utc>)>;

impl Reference {
    /// A recount of all results.
    pub(crate) fn scores(&self) -> Scores {
        let mut scores = Scores::default();
        for result in &self.results {
            scores.count(result);
        }
        scores
    }
}

impl Scores {
    pub(crate) fn statistics_of(&self, player: Uuid) -> Vec<(String, String, PlayerStatistics)> {
        let own = self
            .statistics
            .iter()
            .filter(|((_, _, id), _)| *id == player);
        own.map(|((game, mode, _), sums)| (game.clone(), mode.clone(), sums.clone()))
            .collect()
    }

    pub(crate) fn rating(&self, game: &str, mode: &str, player: Uuid) -> Rating {
        let key = (game.to_owned(), mode.to_owned(), player);
        self.statistics
            .get(&key)
            .map_or_else(Rating::default, |s| s.rating)
    }

    pub(crate) fn entries_of(&self, player: Uuid) -> Vec<(BoardKey, i64, DateTime<Utc>)> {
        let boards = self.boards.keys();
        boards
            .filter_map(|key| {
                let board = self.board(key);
                let (_, score, at) = board.into_iter().find(|(id, _, _)| *id == player)?;
                Some((key.clone(), score, at))
            })
            .collect()
    }

    pub(crate) fn boards(&self) -> impl Iterator<Item = &BoardKey> {
        self.boards.keys()
    }

    /// The seasons of a board, newest first.
    pub(crate) fn seasons(&self, game: &str, board: &str) -> Vec<String> {
        let keys = self.boards.keys().rev();
        let own = keys.filter(|key| key.game == game && key.board == board);
        own.map(|key| key.season.clone()).collect()
    }

    /// A board's entries in order: player, score, time.
    pub(crate) fn board(&self, key: &BoardKey) -> Vec<(Uuid, i64, DateTime<Utc>)> {
        let Some(players) = self.boards.get(key) else {
            return Vec::new();
        };
        let mut entries: Vec<_> = players
            .iter()
            .map(|(&player, scores)| {
                let (score, at) = match self.rules[key] {
                    BoardRule::Best => {
                        let best = scores.iter().map(|(score, _)| *score).max().unwrap();
                        let reached = scores.iter().filter(|(score, _)| *score == best);
                        (best, reached.map(|(_, at)| *at).min().unwrap())
                    }
                    BoardRule::Latest => {
                        let latest = scores.iter().max_by_key(|(score, at)| (*at, *score));
                        *latest.unwrap()
                    }
                    BoardRule::Sum => (
                        scores.iter().map(|(score, _)| score).sum(),
                        scores.iter().map(|(_, at)| *at).max().unwrap(),
                    ),
                };
                (player, score, at)
            })
            .collect();
        entries.sort_by_key(|&(player, score, at)| (-score, at, player));
        entries
    }

    fn count(&mut self, result: &Counted) {
        let Counted {
            game,
            mode,
            players,
            outcome,
        } = result;
        let player = |slot: &SlotOutcome| players[usize::from(slot.slot)];
        let rated: Vec<RatedPlayer> = outcome
            .slots
            .iter()
            .map(|slot| RatedPlayer {
                rating: self.rating(game, mode, player(slot)),
                team: slot.team,
                placement: slot.placement,
            })
            .collect();
        let first: Vec<&SlotOutcome> = outcome.slots.iter().filter(|s| s.placement == 1).collect();
        for (slot, rating) in outcome.slots.iter().zip(rate(&rated)) {
            let key = (game.clone(), mode.clone(), player(slot));
            let sums = self.statistics.entry(key).or_default();
            let own = |other: &&&SlotOutcome| {
                other.slot == slot.slot || (slot.team.is_some() && slot.team == other.team)
            };
            let own_first = first.iter().filter(own).count();
            match (own_first > 0, own_first == first.len()) {
                (true, true) => sums.wins += 1,
                (true, false) => sums.draws += 1,
                (false, _) => sums.losses += 1,
            }
            sums.matches += 1;
            sums.best_score = sums.best_score.max(Some(slot.score));
            sums.total_score += i64::from(slot.score);
            for (name, value) in &slot.statistics {
                *sums.statistics.entry(name.clone()).or_default() += i64::from(*value);
            }
            sums.rating = rating;
            sums.last_played_at = sums.last_played_at.max(Some(outcome.ended_at));
        }
        for counts_on in &outcome.boards {
            for slot in &outcome.slots {
                self.enter(game, counts_on, player(slot), slot, outcome.ended_at);
            }
        }
    }

    fn enter(
        &mut self,
        game: &str,
        counts_on: &CountsOn,
        player: Uuid,
        slot: &SlotOutcome,
        at: DateTime<Utc>,
    ) {
        let score = match &counts_on.statistic {
            None => i64::from(slot.score),
            Some(name) => {
                let named = slot.statistics.iter().filter(|(n, _)| n == name);
                let values: Vec<i64> = named.map(|(_, value)| i64::from(*value)).collect();
                if values.is_empty() {
                    return;
                }
                values.iter().sum()
            }
        };
        let key = BoardKey {
            game: game.to_owned(),
            board: counts_on.board.clone(),
            season: counts_on.season.clone(),
        };
        self.rules.insert(key.clone(), counts_on.rule);
        let board = self.boards.entry(key).or_default();
        board.entry(player).or_default().push((score, at));
    }
}
