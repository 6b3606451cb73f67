use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::StoreResult;

/// Leaderboards, which results fill ([`crate::Matches::store_result`]).
///
/// A board holds one entry a player. A rank is one more than the number of higher scores, so equal
/// scores share one; among them, who reached the score first is listed first, then by player id.
/// A rank and a total may lag behind results that were just stored by some milliseconds; the order
/// and the scores of a page do not.
#[async_trait::async_trait]
pub trait Boards: Send + Sync {
    /// A part of a board, best first, at most `limit` entries (1–100). A board that nobody is on is
    /// empty; so is the part around a player who is not on it.
    async fn board_page(
        &self,
        board: &BoardKey,
        start: BoardStart,
        limit: u32,
    ) -> StoreResult<BoardPage>;

    /// A player's place on a board, in O(log n). None where the player is not on it.
    async fn standing(&self, board: &BoardKey, player_id: Uuid) -> StoreResult<Option<Standing>>;

    /// The seasons of a board that anybody is on, newest first, at most `limit`.
    async fn seasons(&self, game: &str, board: &str, limit: u32) -> StoreResult<Vec<String>>;

    /// Asks for the ranks of a game's boards (of one of them, where `board` says which) to be made
    /// anew from the record, while they are read. The work is done by [`crate::Store::maintain`] in
    /// any process; [`Boards::rebuild`] tells how far it has come. Answers the request's id.
    async fn request_rebuild(&self, game: &str, board: Option<&str>) -> StoreResult<Uuid>;

    /// How far a rebuild has come. None where there is no such request.
    async fn rebuild(&self, id: Uuid) -> StoreResult<Option<Rebuild>>;
}

/// Names a board of one season.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardKey {
    /// Which game.
    pub game: String,
    /// Which of its boards.
    pub board: String,
    /// The season, by the day on which it began (`2026-11-23`); [`ALL_TIME`] where the board has no
    /// seasons.
    pub season: String,
}

/// The season of a board without seasons.
pub const ALL_TIME: &str = "all";

/// How a board keeps several scores of one player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BoardRule {
    /// The highest, and when it was reached first.
    Best,
    /// The one of the match that ended last.
    Latest,
    /// All of them added up.
    Sum,
}

impl BoardRule {
    /// Its name in the store and in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Latest => "latest",
            Self::Sum => "sum",
        }
    }
}

/// A board that a result counts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountsOn {
    /// Which of the game's boards.
    pub board: String,
    /// The season in which the match ended, or [`ALL_TIME`].
    pub season: String,
    /// How it keeps several scores of one player.
    pub rule: BoardRule,
    /// The statistic that is the score there; the match's score where absent. Slots without such a
    /// statistic do not enter the board.
    pub statistic: Option<String>,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoardStart {
    /// With the best.
    Top,
    /// After an entry, which need not exist any more.
    After(BoardCursor),
    /// So that this player is in its middle; nearer to its end where there are too few entries on
    /// one side, so that it is full where the board has enough.
    Around(Uuid),
}

/// An entry's place in the order of its board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardCursor {
    /// Its score.
    pub score: i64,
    /// When it was reached.
    pub at: DateTime<Utc>,
    /// Whose.
    pub player_id: Uuid,
}

/// A part of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardPage {
    /// Its entries, best first.
    pub entries: Vec<BoardEntry>,
    /// How many entries the whole board has.
    pub total: u64,
    /// Where the next page begins; none where this is the last.
    pub next: Option<BoardCursor>,
}

/// A player's entry on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardEntry {
    /// 1 is best.
    pub rank: u64,
    /// Whose.
    pub player_id: Uuid,
    /// The player's name.
    pub username: String,
    /// The score, by the board's rule.
    pub score: i64,
    /// When it was reached.
    pub at: DateTime<Utc>,
}

/// A player's place on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// 1 is best.
    pub rank: u64,
    /// The score, by the board's rule.
    pub score: i64,
    /// How many entries the whole board has.
    pub total: u64,
}

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// Entries taken over so far.
    pub entries: u64,
    /// Whether it is done.
    pub done: bool,
}

/// How many entries a page may be asked for.
pub(crate) const PAGE_LIMITS: RangeInclusive<u32> = 1..=100;

/// How many of the entries above and below a player make a page of `limit` around the player, where
/// there are at least so many of each.
pub(crate) fn split_around(above: usize, below: usize, limit: u32) -> (usize, usize) {
    let others = limit.saturating_sub(1) as usize;
    let taken_above = (others / 2).max(others.saturating_sub(below)).min(above);
    (taken_above, (others - taken_above).min(below))
}

/// At most `limit` entries, and whether there are more.
pub(crate) fn split_off(mut entries: Vec<BoardEntry>, limit: u32) -> (Vec<BoardEntry>, bool) {
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    (entries, more)
}

/// An entry's place in the order of its board.
pub(crate) fn cursor_of(entry: &BoardEntry) -> BoardCursor {
    BoardCursor {
        score: entry.score,
        at: entry.at,
        player_id: entry.player_id,
    }
}

/// Gives the entries of a page their ranks. The first one's rank, and its place in the order
/// (1 is best) where equal scores have different places, are known.
pub(crate) fn rank_entries(entries: &mut [BoardEntry], first_rank: u64, first_place: u64) {
    let mut before: Option<(i64, u64)> = None;
    for (entry, place) in entries.iter_mut().zip(first_place..) {
        entry.rank = match before {
            None => first_rank,
            Some((score, rank)) if score == entry.score => rank,
            Some(_) => place,
        };
        before = Some((entry.score, entry.rank));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_around_a_player_is_full_where_the_board_has_enough() {
        assert_eq!(split_around(9, 9, 5), (2, 2));
        assert_eq!(split_around(9, 9, 6), (2, 3));
        assert_eq!(split_around(0, 9, 5), (0, 4));
        assert_eq!(split_around(9, 1, 5), (3, 1));
        assert_eq!(split_around(1, 1, 5), (1, 1));
        assert_eq!(split_around(9, 9, 1), (0, 0));
    }

    #[test]
    fn equal_scores_share_a_rank_over_the_border_of_a_page() {
        let entry = |score| BoardEntry {
            rank: 0,
            player_id: Uuid::nil(),
            username: String::new(),
            score,
            at: DateTime::UNIX_EPOCH,
        };
        let mut entries: Vec<BoardEntry> = [7, 7, 5, 5, 1].map(entry).into();
        rank_entries(&mut entries, 4, 6);
        let ranks: Vec<u64> = entries.iter().map(|e| e.rank).collect();
        assert_eq!(ranks, [4, 4, 8, 8, 10]);
    }
}
