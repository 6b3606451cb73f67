//! What a result adds up to: pure, so that every store counts alike.
//!
//! A store checks a result ([`check`]), asks what of it counts ([`counted`]), and folds that into
//! what it has: players' statistics and ratings ([`count_statistics`]) and entries on boards
//! ([`board_scores`], [`keep`]).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SubsecRound, Utc};
use gs_matchmaker::RatedPlayer;
use uuid::Uuid;

use crate::{
    BoardKey, BoardRule, CountsOn, MAX_BOARDS, MAX_STATISTICS, MatchOutcome, Outcome,
    PlayerStatistics, SlotOutcome, StoreError, StoreResult,
};

/// What a store knows of a match whose result it is to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Played<'a> {
    /// The match.
    pub(crate) id: Uuid,
    /// Whether its scores count.
    pub(crate) rated: bool,
    /// Who played, in the order of slots.
    pub(crate) players: &'a [Uuid],
}

/// A slot whose result counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedSlot<'a> {
    /// Who played.
    pub(crate) player_id: Uuid,
    /// How it ended.
    pub(crate) result: &'a SlotOutcome,
}

/// A score on a board, and when it was reached (to the millisecond).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scored {
    /// The score, by the board's rule.
    pub(crate) score: i64,
    /// When it was reached.
    pub(crate) at: DateTime<Utc>,
}

/// A score that a result adds to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoardScore {
    /// Which board.
    pub(crate) board: BoardKey,
    /// How it keeps several scores of one player.
    pub(crate) rule: BoardRule,
    /// Whose.
    pub(crate) player_id: Uuid,
    /// What.
    pub(crate) scored: Scored,
}

/// Refuses a result that contradicts its match or itself.
pub(crate) fn check(played: &Played<'_>, outcome: &MatchOutcome) -> StoreResult<()> {
    let invalid = |message: String| Err(StoreError::Invalid(message));
    for (index, result) in outcome.slots.iter().enumerate() {
        if usize::from(result.slot) >= played.players.len() {
            return invalid(format!("match {} has no slot {}", played.id, result.slot));
        }
        let earlier = &outcome.slots[..index];
        if earlier.iter().any(|other| other.slot == result.slot) {
            let (id, slot) = (played.id, result.slot);
            return invalid(format!("the result of {id} names slot {slot} twice"));
        }
    }
    if outcome.boards.len() > MAX_BOARDS {
        let (id, count) = (played.id, outcome.boards.len());
        return invalid(format!(
            "the result of {id} counts on {count} boards; at most {MAX_BOARDS} are allowed"
        ));
    }
    for (index, board) in outcome.boards.iter().enumerate() {
        let same = |other: &CountsOn| other.board == board.board && other.season == board.season;
        if outcome.boards[..index].iter().any(same) {
            let (id, board) = (played.id, &board.board);
            return invalid(format!("the result of {id} names board {board:?} twice"));
        }
    }
    Ok(())
}

/// The player who alone came first in a match that is not void.
pub(crate) fn winner(played: &Played<'_>, outcome: &MatchOutcome) -> Option<Uuid> {
    let mut first = outcome.slots.iter().filter(|s| s.placement == 1);
    let (Some(only), None) = (first.next(), first.next()) else {
        return None;
    };
    let player = played.players.get(usize::from(only.slot)).copied();
    player.filter(|_| outcome.outcome != Outcome::Void)
}

/// What of a result that [`check`] let pass counts, ascending by player; nothing where the match is
/// void or not rated.
pub(crate) fn counted<'a>(played: &Played<'_>, outcome: &'a MatchOutcome) -> Vec<CountedSlot<'a>> {
    if outcome.outcome == Outcome::Void || !played.rated {
        return Vec::new();
    }
    let slot = |result: &'a SlotOutcome| {
        let player_id = *played.players.get(usize::from(result.slot))?;
        Some(CountedSlot { player_id, result })
    };
    let mut slots: Vec<CountedSlot<'_>> = outcome.slots.iter().filter_map(slot).collect();
    slots.sort_by_key(|slot| slot.player_id);
    slots
}

/// Adds what counts of one match in one mode to its players' statistics there, ratings included.
/// Players who are not in the map had none yet.
pub(crate) fn count_statistics(
    slots: &[CountedSlot<'_>],
    ended_at: DateTime<Utc>,
    statistics: &mut HashMap<Uuid, PlayerStatistics>,
) {
    let rating = |slot: &CountedSlot<'_>| RatedPlayer {
        rating: statistics
            .get(&slot.player_id)
            .map_or_else(Default::default, |s| s.rating),
        team: slot.result.team,
        placement: slot.result.placement,
    };
    let rated: Vec<RatedPlayer> = slots.iter().map(rating).collect();
    let ended_at = ended_at.trunc_subsecs(3);
    for (slot, rating) in slots.iter().zip(gs_matchmaker::rate(&rated)) {
        let sums = statistics.entry(slot.player_id).or_default();
        sums.matches += 1;
        *match standing(slot.result, slots) {
            MatchStanding::Won => &mut sums.wins,
            MatchStanding::Drawn => &mut sums.draws,
            MatchStanding::Lost => &mut sums.losses,
        } += 1;
        sums.best_score = sums.best_score.max(Some(slot.result.score));
        sums.total_score = sums.total_score.saturating_add(slot.result.score.into());
        for (name, value) in &slot.result.statistics {
            add(&mut sums.statistics, name, *value);
        }
        sums.rating = rating;
        sums.last_played_at = sums.last_played_at.max(Some(ended_at));
    }
}

/// The scores that what counts of a match adds to the boards it counts on: by board in the order
/// given, then ascending by player.
pub(crate) fn board_scores(
    game: &str,
    slots: &[CountedSlot<'_>],
    outcome: &MatchOutcome,
) -> Vec<BoardScore> {
    let at = outcome.ended_at.trunc_subsecs(3);
    let mut scores = Vec::new();
    for counts_on in &outcome.boards {
        for slot in slots {
            let Some(score) = score_on(counts_on, slot.result) else {
                continue;
            };
            scores.push(BoardScore {
                board: BoardKey {
                    game: game.to_owned(),
                    board: counts_on.board.clone(),
                    season: counts_on.season.clone(),
                },
                rule: counts_on.rule,
                player_id: slot.player_id,
                scored: Scored { score, at },
            });
        }
    }
    scores
}

/// What a board keeps of a player's entry, where there is one, and a further score. The order in
/// which scores come makes no difference.
pub(crate) fn keep(rule: BoardRule, kept: Option<Scored>, new: Scored) -> Scored {
    let Some(kept) = kept else { return new };
    match rule {
        BoardRule::Best if (new.score, kept.at) > (kept.score, new.at) => new,
        BoardRule::Latest if (new.at, new.score) > (kept.at, kept.score) => new,
        BoardRule::Best | BoardRule::Latest => kept,
        BoardRule::Sum => Scored {
            score: kept.score.saturating_add(new.score),
            at: kept.at.max(new.at),
        },
    }
}

enum MatchStanding {
    Won,
    Drawn,
    Lost,
}

/// How a match ended for a player. A team came where the best of its players did.
fn standing(result: &SlotOutcome, slots: &[CountedSlot<'_>]) -> MatchStanding {
    let with = |other: &SlotOutcome| {
        other.slot == result.slot || (result.team.is_some() && other.team == result.team)
    };
    let first = slots.iter().filter(|other| other.result.placement == 1);
    let (mut ours, mut others) = (false, false);
    for other in first {
        *if with(other.result) {
            &mut ours
        } else {
            &mut others
        } = true;
    }
    match (ours, others) {
        (true, false) => MatchStanding::Won,
        (true, true) => MatchStanding::Drawn,
        (false, _) => MatchStanding::Lost,
    }
}

fn add(sums: &mut BTreeMap<String, i64>, name: &str, value: i32) {
    if let Some(sum) = sums.get_mut(name) {
        *sum = sum.saturating_add(value.into());
    } else if sums.len() < MAX_STATISTICS {
        sums.insert(name.to_owned(), value.into());
    }
}

fn score_on(board: &CountsOn, result: &SlotOutcome) -> Option<i64> {
    let Some(statistic) = &board.statistic else {
        return Some(result.score.into());
    };
    let named = result
        .statistics
        .iter()
        .filter(|(name, _)| name == statistic);
    named
        .map(|(_, value)| i64::from(*value))
        .reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests;
