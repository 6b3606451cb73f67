//! Which matches to make of those who wait.

mod exact;
mod greedy;
mod improve;
mod oldest;
mod recreate;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::pool::{Pool, Score, pools};
use crate::{Group, Quality, Rules};
use exact::best_of;

/// Proposes matches out of those who wait in one mode, such that together they are worth as much as
/// possible ([`crate::total`]). The same groups, rules and time give the same proposals, in whatever
/// order the groups come. The match with the group that has waited longest comes first.
///
/// A proposal takes effect when the store moves its tickets in one step; until then nothing has
/// happened, and a ticket that is gone by then only costs the proposal. Groups that are not queued
/// yet at `now` wait, and so do all but the oldest that have a player in common.
///
/// Nobody starves: among the groups whose limits all are at their widest, the one that has waited
/// longest (head start included) and has a legal match at all is in one. Whether it has one is
/// found out by trying every way, up to a bound that only thousands of groups that almost fit reach.
///
/// The best set of matches is a weighted set packing, which is NP-hard for matches of three and
/// more. Queues of up to [`Effort::exact_groups`] are solved exactly. Larger ones begin with the
/// best matches of neighbours in skill, taken best first, which are then improved by local search
/// (Hurkens and Schrijver, "On the size of systems of sets every t of which have an SDR", SIAM J.
/// Discrete Math. 2, 1989; Berman, "A d/2 approximation for maximum weight independent set in d-claw
/// free graphs", SWAT 2000): exchanges between two matches, and exact solutions of a few matches and
/// those left over beside them; then a few at a time are taken apart and made anew (Schrimpf et al.,
/// "Record breaking optimization results using the ruin and recreate principle", Journal of
/// Computational Physics 159, 2000), until nothing improves or the budget is spent. The budget counts
/// looks at possible matches and not time, so that the answer is the same on any machine.
pub fn match_batch(groups: &[Group], rules: &Rules, now: DateTime<Utc>) -> Vec<ProposedMatch> {
    match_batch_with(groups, rules, now, Effort::default())
}

/// As [`match_batch`], with more or less effort.
pub fn match_batch_with(
    groups: &[Group],
    rules: &Rules,
    now: DateTime<Utc>,
    effort: Effort,
) -> Vec<ProposedMatch> {
    let mut budget = effort.evaluations;
    let mut steps = oldest::MAX_STEPS;
    let mut proposals: Vec<(u32, ProposedMatch)> = Vec::new();
    for pool in pools(groups, rules, now) {
        for Made { units, score } in solve(&pool, effort.exact_groups, &mut budget, &mut steps) {
            let ranks = units.iter().map(|&u| pool.units[u as usize].rank);
            let oldest = ranks.min().unwrap_or(u32::MAX);
            proposals.push((oldest, pool.proposal(&units, &score)));
        }
    }
    proposals.sort_by_key(|(oldest, _)| *oldest);
    proposals
        .into_iter()
        .map(|(_, proposal)| proposal)
        .collect()
}

/// How much is done for better matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Up to how many groups are solved exactly, at most 12; 0: none.
    pub exact_groups: usize,
    /// How many possible matches are looked at for improvement, all pools together.
    pub evaluations: u64,
}

impl Default for Effort {
    /// Half a second of one core where tens of thousands wait, and next to nothing where dozens do.
    fn default() -> Self {
        Self {
            exact_groups: exact::MAX_UNITS,
            evaluations: 1_500_000,
        }
    }
}

/// A match that can be formed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedMatch {
    /// Who plays, in the order of slots.
    pub slots: Vec<ProposedSlot>,
    /// The groups that play, the one that has waited longest first.
    pub groups: Vec<Uuid>,
    /// The region that is best for them, where the rules know regions.
    pub region: Option<String>,
    /// How good it is.
    pub quality: Quality,
}

/// A player in a proposed match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposedSlot {
    /// The ticket that brought the player here.
    pub ticket_id: Uuid,
    /// Who plays.
    pub player_id: Uuid,
    /// The team, where there are teams.
    pub team: Option<u8>,
}

/// A match of units in ascending order.
#[derive(Clone, Debug)]
struct Made {
    units: Vec<u32>,
    score: Score,
}

fn solve(pool: &Pool, exact_groups: usize, budget: &mut u64, steps: &mut u64) -> Vec<Made> {
    let fitting: Vec<u32> = (0..pool.units.len() as u32)
        .filter(|&u| pool.units[u as usize].fits)
        .collect();
    if fitting.len() <= exact_groups.min(exact::MAX_UNITS) {
        return solve_exactly(pool, &fitting, budget);
    }
    let lists = greedy::lists(pool, &fitting);
    let pinned = oldest::match_of_oldest(pool, &fitting, &lists, steps);
    let mut matching = greedy::matches(pool, &fitting, lists, pinned);
    let near = improve::Neighbours::new(pool);
    // Exchanges go on for long without leaving anything to those whom they do not reach.
    let mut exchanges = *budget / 3 * 2;
    *budget -= exchanges;
    improve::improve(&mut matching, &near, &mut exchanges);
    *budget += exchanges;
    recreate::recreate(&mut matching, &near, budget);
    matching.matches.into_iter().flatten().collect()
}

/// The best there is, among those where the oldest that has a match is in one.
fn solve_exactly(pool: &Pool, fitting: &[u32], budget: &mut u64) -> Vec<Made> {
    let mut widest: Vec<u32> = fitting.to_vec();
    widest.retain(|&u| pool.units[u as usize].widest);
    widest.sort_by_key(|&u| pool.units[u as usize].rank);
    let sets = exact::legal_sets(pool, fitting, budget);
    let in_a_set = |u: &u32| sets.iter().any(|made| made.units.contains(u));
    let oldest = widest.into_iter().find(in_a_set);
    best_of(fitting, sets, oldest)
}

/// Matches of a pool's units.
struct Matching<'p, 'a> {
    pool: &'p Pool<'a>,
    /// None: was taken apart.
    matches: Vec<Option<Made>>,
    /// Of each unit, its match.
    owner: Vec<Option<u32>>,
    /// Stays in a match, whichever.
    pinned: Option<u32>,
}

impl<'p, 'a> Matching<'p, 'a> {
    fn new(pool: &'p Pool<'a>) -> Self {
        Self {
            pool,
            matches: Vec::new(),
            owner: vec![None; pool.units.len()],
            pinned: None,
        }
    }

    fn add(&mut self, made: Made) -> u32 {
        let index = self.matches.len() as u32;
        for &unit in &made.units {
            self.owner[unit as usize] = Some(index);
        }
        self.matches.push(Some(made));
        index
    }

    fn remove(&mut self, index: u32) -> Option<Made> {
        let made = self.matches.get_mut(index as usize)?.take()?;
        for &unit in &made.units {
            self.owner[unit as usize] = None;
        }
        Some(made)
    }

    /// Puts another match in the place of one. Units that are in both or in none of them must be
    /// accounted for by the caller.
    fn replace(&mut self, index: u32, made: Made) {
        for &unit in &made.units {
            self.owner[unit as usize] = Some(index);
        }
        self.matches[index as usize] = Some(made);
    }
}
