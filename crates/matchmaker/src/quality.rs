//! What makes one set of matches better than another: the objective that [`crate::match_batch`]
//! maximises, and by which the bench and the simulation judge as well.
//!
//! A set of matches is worth the sum of its matches' worth ([`total`]), and a match is worth
//!
//! ```text
//! weight · value
//! weight = Σ over its players of  1 + waited / 30 s            (at most 270 s of it; head start included)
//! value  = full · near / (1 + closeness + balance)             (above 0, at most 1)
//! closeness = (d / 347)²         d: root mean square of the skill differences of all its pairs
//! balance   = n · (b / 347)²     b: most difference of two teams' mean ratings, n: players a team
//! near   = mean over its players of  1 / (1 + (ms / 200)²)
//! full   = players / the most that a match of the mode has
//! ```
//!
//! - *Closeness and balance.* Of two players whose Elo ratings differ by `x` the better one wins
//!   with p = 1 / (1 + 10^(−x/400)). How open that is, 4·p·(1−p), is sech²(x · ln 10 / 800), whose
//!   inverse is 1 + (x/347)² to the second order, since 800 / ln 10 = 347. TrueSkill's match quality
//!   is the same thought, the chance of a draw relative to the best one possible (Herbrich, Minka,
//!   Graepel, "TrueSkill: A Bayesian Skill Rating System", NIPS 2006). A team is as good as the sum
//!   of its players (Weng, Lin, "A Bayesian Approximation Method for Online Ranking", JMLR 12,
//!   2011), while the noise of n players grows only with √n: a difference of b between the means of
//!   two teams of n decides as much as one of b·√n between two players.
//! - *Skill that is no rating* has a scale of its own: the tolerance that it begins with counts as
//!   the 100 points that are a rating's.
//! - *Latency* counts for each player alone, so that nothing is gained by putting those with bad
//!   lines together. Who measured nothing counts as though there were none.
//! - *Waiting* adds weight, and takes no value away: who has waited half a minute counts twice, so
//!   that they are served sooner and better. To be matched at all is always worth more than to wait,
//!   since every value is above 0; how bad a match may be is for the rules to say, which widen by
//!   steps, as FlexMatch's do ("FlexMatch rule set design", Amazon GameLift's documentation).
//! - *Fullness* makes one match of four worth more than two of two, where both are allowed.
//!
//! The best set of matches is a weighted set packing; what is done about that, [`crate::match_batch`]
//! says.

use crate::{ProposedMatch, Rules, SkillSource};

/// How good a match is, and what of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Root mean square of the differences in skill of all pairs of its players; 0 of one player.
    pub spread: f64,
    /// Difference between the highest and the lowest mean rating of its teams; 0 without teams.
    pub imbalance: f64,
    /// Mean time that its players waited, in seconds.
    pub wait: f64,
    /// Mean round trip of its players to its region, in milliseconds; 0 where none was measured.
    pub latency: f64,
    /// All of it in one number, above 0 and at most 1: what it is worth to each of its players.
    pub value: f64,
    /// How much its players count: at least 1 each, and more with waiting.
    pub weight: f64,
}

/// What a set of matches is worth.
pub fn total(matches: &[ProposedMatch]) -> f64 {
    let worth = matches.iter().map(|m| m.quality.weight * m.quality.value);
    worth.sum()
}

/// What skills leave of a match's value. `squared` is the mean square of their differences, in
/// rating points, and `team_players` the mean size of a team.
pub(crate) fn openness(squared: f64, imbalance: f64, team_players: f64) -> f64 {
    let balance = team_players * imbalance * imbalance;
    1.0 / (1.0 + (squared + balance) / (POINTS * POINTS))
}

/// An imbalance that costs less than a millionth of a match's value is none.
pub(crate) fn negligible_imbalance(team_players: f64) -> f64 {
    POINTS * 0.001 / team_players.max(1.0).sqrt()
}

/// What a round trip leaves of a match's value to a player.
pub(crate) fn nearness(ms: f64) -> f64 {
    let ratio = ms / HALF_WORTH_MS;
    1.0 / (1.0 + ratio * ratio)
}

/// How much a player counts who has waited so many seconds, head start included.
pub(crate) fn weight(seconds: f64) -> f64 {
    1.0 + seconds.clamp(0.0, MOST_WAIT) / WAIT_COUNTS_TWICE
}

/// Rating points in one unit of skill.
pub(crate) fn points(rules: &Rules) -> f64 {
    match &rules.skill {
        Some(rule) if rule.source != SkillSource::Rating => {
            let start = rule.tolerance.start;
            // Where anybody may meet at once, nothing says what is close.
            if start.is_finite() && start > 0.0 {
                DEFAULT_TOLERANCE / start
            } else {
                1.0
            }
        }
        Some(_) | None => 1.0,
    }
}

/// 800 / ln 10, see above.
const POINTS: f64 = 347.435_585_522_601_4;
/// As late as people are themselves at answering what they see.
const HALF_WORTH_MS: f64 = 200.0;
/// In seconds: within it, the queues of a game in service are matched.
const WAIT_COUNTS_TWICE: f64 = 30.0;
/// In seconds: beyond it, a few whom nobody fits would outweigh all others.
const MOST_WAIT: f64 = 270.0;
/// What a tolerance begins with where nothing else is said.
const DEFAULT_TOLERANCE: f64 = 100.0;
