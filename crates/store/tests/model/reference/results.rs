use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gs_matchmaker::{RatedPlayer, Rating, rate};
use gs_store::{
    BoardKey, BoardRule, CountsOn, PlayerSkill, PlayerStatistics, RatingChange, SlotOutcome,
};
use uuid::Uuid;

use super::{Counted, Reference};

/// What all results add up to.
#[derive(Default)]
pub(crate) struct Scores {
    /// By game, mode and player.
    statistics: BTreeMap<(String, String, Uuid), PlayerStatistics>,
    /// In the order in which results were stored.
    ratings: BTreeMap<(String, String, Uuid), Vec<RatingChange>>,
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
    /// With ratings as of the last match.
    pub(crate) fn statistics_of(&self, player: Uuid) -> Vec<(String, String, PlayerStatistics)> {
        let own = self
            .statistics
            .iter()
            .filter(|((_, _, id), _)| *id == player);
        own.map(|((game, mode, _), sums)| (game.clone(), mode.clone(), sums.clone()))
            .collect()
    }

    pub(crate) fn skill(
        &self,
        game: &str,
        mode: &str,
        player: Uuid,
        now: DateTime<Utc>,
    ) -> PlayerSkill {
        let key = (game.to_owned(), mode.to_owned(), player);
        let sums = self.statistics.get(&key);
        sums.map_or_else(PlayerSkill::default, |sums| PlayerSkill {
            rating: rating_at(sums, now),
            best_score: sums.best_score,
            matches: sums.matches,
        })
    }

    /// What matches changed of a rating, those formed last first.
    pub(crate) fn rating_history(&self, game: &str, mode: &str, player: Uuid) -> Vec<RatingChange> {
        let key = (game.to_owned(), mode.to_owned(), player);
        let mut changes = self.ratings.get(&key).cloned().unwrap_or_default();
        changes.sort_by_key(|change| std::cmp::Reverse(change.match_id));
        changes
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
            match_id,
            game,
            mode,
            players,
            filled,
            forgotten,
            outcome,
        } = result;
        let player = |slot: &SlotOutcome| players[usize::from(slot.slot)];
        // Whoever took a slot that was free at first is there for the others' standing only.
        let slots: Vec<&SlotOutcome> = outcome
            .slots
            .iter()
            .filter(|slot| usize::from(slot.slot) < players.len())
            .collect();
        let rated: Vec<RatedPlayer> = slots
            .iter()
            .map(|slot| {
                let mates = outcome.slots.iter().filter(|other| {
                    other.slot == slot.slot || (slot.team.is_some() && other.team == slot.team)
                });
                RatedPlayer {
                    rating: self
                        .skill(game, mode, player(slot), outcome.ended_at)
                        .rating,
                    team: slot.team,
                    placement: mates.map(|other| other.placement).min().unwrap(),
                }
            })
            .collect();
        let first: Vec<&SlotOutcome> = outcome.slots.iter().filter(|s| s.placement == 1).collect();
        for ((slot, before), rating) in slots.iter().zip(&rated).zip(rate(&rated)) {
            let key = (game.clone(), mode.clone(), player(slot));
            if !forgotten.contains(&player(slot)) {
                let changes = self.ratings.entry(key.clone()).or_default();
                changes.push(RatingChange {
                    match_id: *match_id,
                    at: outcome.ended_at,
                    before: before.rating,
                    after: rating,
                });
            }
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
            if !filled.contains(&slot.slot) {
                sums.best_score = sums.best_score.max(Some(slot.score));
                sums.total_score += i64::from(slot.score);
                for (name, value) in &slot.statistics {
                    *sums.statistics.entry(name.clone()).or_default() += i64::from(*value);
                }
            }
            sums.rating = rating;
            sums.last_played_at = sums.last_played_at.max(Some(outcome.ended_at));
        }
        for counts_on in &outcome.boards {
            for slot in slots.iter().filter(|s| !filled.contains(&s.slot)) {
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

/// A rating at this time, less certain by the time since the last match.
pub(crate) fn rating_at(sums: &PlayerStatistics, now: DateTime<Utc>) -> Rating {
    let Some(last) = sums.last_played_at else {
        return sums.rating;
    };
    let idle = (now - last).as_seconds_f64() / (24.0 * 60.0 * 60.0);
    sums.rating.idle(idle)
}
