//! The best matches that there are, where they can be found out.

use chrono::{DateTime, Utc};
use gs_matchmaker::{Group, Rules};
use mwmatching::Matching;

use super::queue::WIDEST;

/// What the best matches are worth.
#[derive(Clone, Copy, Default)]
pub(crate) struct Best {
    /// Of all sets of matches.
    pub(crate) any: f64,
    /// Of those that keep the promise that nobody starves: of the groups whose limits are at their
    /// widest, the oldest that has a match is in one.
    pub(crate) fair: f64,
}

/// A match that there could be: its groups, and what it is worth.
type Possible<T> = (T, f64);

/// The best matches of these few groups: every set is tried.
pub(crate) fn of_few(groups: &[Group], rules: &Rules, now: DateTime<Utc>) -> Best {
    let mut sets: Vec<Vec<Possible<u32>>> = vec![Vec::new(); groups.len()];
    let all = u32::MAX >> (32 - groups.len() as u32);
    for set in 1..=all {
        let members = (0..groups.len()).filter(|&g| set & 1 << g != 0);
        let members: Vec<&Group> = members.map(|g| &groups[g]).collect();
        let players: usize = members.iter().map(|g| g.members.len()).sum();
        if players == usize::from(rules.players.max)
            && let Some(worth) = worth(&members, rules, now)
        {
            sets[set.trailing_zeros() as usize].push((set, worth));
        }
    }
    // Of each set of groups, the best that can be made of it: its first group waits, or is in a match.
    let mut best = vec![0.0f64; 1 + all as usize];
    for left in 1..=all {
        let first = left.trailing_zeros() as usize;
        let waits = best[(left & (left - 1)) as usize];
        let fits = sets[first].iter().filter(|(set, _)| set & !left == 0);
        let matched = fits.map(|(set, worth)| worth + best[(left & !set) as usize]);
        best[left as usize] = matched.fold(waits, f64::max);
    }
    let any = best[all as usize];
    let with = |group: usize| {
        sets.iter()
            .flatten()
            .filter(move |(set, _)| set & 1 << group != 0)
    };
    let oldest = widest(groups, now).find(|&group| with(group).next().is_some());
    let fair = oldest.map_or(any, |oldest| {
        let worths = with(oldest).map(|(set, worth)| worth + best[(all & !set) as usize]);
        worths.fold(0.0, f64::max)
    });
    Best { any, fair }
}

/// The best matches of two groups each: a maximum weight matching in the graph of all legal pairs.
pub(crate) fn of_pairs(groups: &[Group], rules: &Rules, now: DateTime<Utc>) -> Best {
    let mut pairs: Vec<Possible<[usize; 2]>> = Vec::new();
    for (a, one) in groups.iter().enumerate() {
        for (b, other) in groups.iter().enumerate().take(a) {
            if let Some(worth) = worth(&[one, other], rules, now) {
                pairs.push(([a, b], worth));
            }
        }
    }
    let has_match = |group: &usize| pairs.iter().any(|(pair, _)| pair.contains(group));
    let oldest = widest(groups, now).find(has_match);
    Best {
        any: matched(&pairs, None),
        fair: matched(&pairs, oldest),
    }
}

/// What the best matching is worth in which `must` is matched.
fn matched(pairs: &[Possible<[usize; 2]>], must: Option<usize>) -> f64 {
    let edges = pairs.iter().map(|&([a, b], worth)| {
        let certain = if must.is_some_and(|must| must == a || must == b) {
            CERTAIN
        } else {
            0.0
        };
        (a, b, ((worth + certain) * UNITS) as i32)
    });
    let mate = Matching::new(edges.collect()).solve();
    let chosen = pairs.iter().filter(|([a, b], _)| mate.get(*a) == Some(b));
    chosen.map(|(_, worth)| worth).sum()
}

fn worth(members: &[&Group], rules: &Rules, now: DateTime<Utc>) -> Option<f64> {
    let found = rules.propose(members, now)?;
    Some(found.quality.weight * found.quality.value)
}

/// The groups whose limits are at their widest, the oldest first.
fn widest(groups: &[Group], now: DateTime<Utc>) -> impl Iterator<Item = usize> {
    let mut widest: Vec<usize> = (0..groups.len()).collect();
    widest.retain(|&group| groups[group].waited(now) >= WIDEST);
    widest.sort_by_key(|&group| (groups[group].queued_at, groups[group].id));
    widest.into_iter()
}

/// Steps in which a match's worth is told to the matching, which adds up whole numbers.
const UNITS: f64 = 1e5;
/// More than any two matches are worth.
const CERTAIN: f64 = 100.0;
