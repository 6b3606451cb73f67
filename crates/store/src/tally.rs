//! What a result adds up to: pure, so that every store counts alike.
//!
//! A store checks a result ([`check`]), asks what of it counts ([`counted`]), and folds that into
//! what it has: players' statistics and ratings ([`count_statistics`]) and entries on boards
//! ([`board_scores`], [`keep`]).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SubsecRound, Utc};
use gs_matchmaker::{RatedPlayer, Rating};
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
    /// Who was matched, in the order of slots.
    pub(crate) players: &'a [Uuid],
    /// How many slots it has; those beyond the players were free at first.
    pub(crate) capacity: u8,
    /// The slots that a substitute was in.
    pub(crate) filled: &'a [u8],
}

/// A slot whose result counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedSlot<'a> {
    /// Who was matched into it.
    pub(crate) player_id: Uuid,
    /// How it ended.
    pub(crate) result: &'a SlotOutcome,
    /// Whether a substitute was in it, so that its score is nobody's.
    pub(crate) filled: bool,
}

/// What a match changed of a player's rating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RatingStep {
    /// The slot that the player was matched into.
    pub(crate) slot: u8,
    /// The rating before, as it was after the time without a match.
    pub(crate) before: Rating,
    /// The rating after.
    pub(crate) after: Rating,
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
    let slots = played.players.len().max(usize::from(played.capacity));
    for (index, result) in outcome.slots.iter().enumerate() {
        if usize::from(result.slot) >= slots {
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

/// The player who alone came first in a match that is not void; nobody where the first slot was free
/// when the match was formed.
pub(crate) fn winner(played: &Played<'_>, outcome: &MatchOutcome) -> Option<Uuid> {
    let mut first = outcome.slots.iter().filter(|s| s.placement == 1);
    let (Some(only), None) = (first.next(), first.next()) else {
        return None;
    };
    let player = played.players.get(usize::from(only.slot)).copied();
    player.filter(|_| outcome.outcome != Outcome::Void)
}

/// What of a result that [`check`] let pass counts, ascending by player; nothing where the match is
/// void or not rated. Slots that were free when the match was formed count for nobody, whoever took
/// them: a match that one comes to late says little of how good one is.
pub(crate) fn counted<'a>(played: &Played<'_>, outcome: &'a MatchOutcome) -> Vec<CountedSlot<'a>> {
    if outcome.outcome == Outcome::Void || !played.rated {
        return Vec::new();
    }
    let slot = |result: &'a SlotOutcome| {
        let player_id = *played.players.get(usize::from(result.slot))?;
        Some(CountedSlot {
            player_id,
            result,
            filled: played.filled.contains(&result.slot),
        })
    };
    let mut slots: Vec<CountedSlot<'_>> = outcome.slots.iter().filter_map(slot).collect();
    slots.sort_by_key(|slot| slot.player_id);
    slots
}

/// Adds what counts of one match in one mode to its players' statistics there, ratings included;
/// answers what changed of these. Players who are not in the map had none yet. Of a slot that a
/// substitute was in, the match and how it ended count for the player who was matched into it, and
/// the score and the named statistics for nobody.
pub(crate) fn count_statistics(
    slots: &[CountedSlot<'_>],
    outcome: &MatchOutcome,
    statistics: &mut HashMap<Uuid, PlayerStatistics>,
) -> Vec<RatingStep> {
    let ended_at = outcome.ended_at.trunc_subsecs(3);
    let rated = |slot: &CountedSlot<'_>| RatedPlayer {
        rating: statistics
            .get(&slot.player_id)
            .map_or_else(Rating::default, |s| {
                rating_at(s.rating, s.last_played_at, ended_at)
            }),
        team: slot.result.team,
        placement: best_of_team(slot.result, outcome),
    };
    let rated: Vec<RatedPlayer> = slots.iter().map(rated).collect();
    let mut steps = Vec::with_capacity(slots.len());
    for ((slot, before), after) in slots.iter().zip(&rated).zip(gs_matchmaker::rate(&rated)) {
        let sums = statistics.entry(slot.player_id).or_default();
        sums.matches += 1;
        *match standing(slot.result, outcome) {
            MatchStanding::Won => &mut sums.wins,
            MatchStanding::Drawn => &mut sums.draws,
            MatchStanding::Lost => &mut sums.losses,
        } += 1;
        if !slot.filled {
            sums.best_score = sums.best_score.max(Some(slot.result.score));
            sums.total_score = sums.total_score.saturating_add(slot.result.score.into());
            for (name, value) in &slot.result.statistics {
                add(&mut sums.statistics, name, *value);
            }
        }
        sums.rating = after;
        sums.last_played_at = sums.last_played_at.max(Some(ended_at));
        steps.push(RatingStep {
            slot: slot.result.slot,
            before: before.rating,
            after,
        });
    }
    steps
}

/// What a rating is at `now`, less certain by the time since the last match that counted.
pub(crate) fn rating_at(
    rating: Rating,
    last_played_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Rating {
    let Some(last) = last_played_at else {
        return rating;
    };
    let idle = (now - last).num_milliseconds().max(0);
    rating.idle(idle as f64 / MILLIS_PER_DAY)
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
        for slot in slots.iter().filter(|slot| !slot.filled) {
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

/// How a match ended for a player. A team came where the best of its players did, substitutes among
/// them.
fn standing(result: &SlotOutcome, outcome: &MatchOutcome) -> MatchStanding {
    let first = outcome.slots.iter().filter(|other| other.placement == 1);
    let (mut ours, mut others) = (false, false);
    for other in first {
        *if is_with(result, other) {
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

fn best_of_team(result: &SlotOutcome, outcome: &MatchOutcome) -> u8 {
    let team = outcome.slots.iter().filter(|other| is_with(result, other));
    team.map(|other| other.placement)
        .min()
        .unwrap_or(result.placement)
}

fn is_with(slot: &SlotOutcome, other: &SlotOutcome) -> bool {
    other.slot == slot.slot || (slot.team.is_some() && other.team == slot.team)
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

const MILLIS_PER_DAY: f64 = 86_400_000.0;

#[cfg(test)]
mod tests;
