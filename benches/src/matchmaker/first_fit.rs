//! The usual way: whoever has waited longest takes the first others, oldest first, who are legal.
//!
//! Knows the rules that the bench has: skill, balance, latency, two teams. It is as quick as it can
//! easily be: limits are looked up once a group, and whoever is taken leaves a linked list.

use chrono::{DateTime, Utc};
use gs_matchmaker::{Group, Rules};

/// The matches, as indices of groups.
pub(crate) fn matches(groups: &[Group], rules: &Rules, now: DateTime<Utc>) -> Vec<Vec<usize>> {
    let team = usize::from(rules.players.max / 2);
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_unstable_by_key(|&group| (groups[group].queued_at, groups[group].id));
    let waiting: Vec<Waiting> = order
        .iter()
        .map(|&group| Waiting::new(&groups[group], rules, now))
        .collect();
    let mut next: Vec<usize> = (1..=waiting.len()).collect();
    let mut taken = vec![false; waiting.len()];
    let (mut found, mut chosen) = (Vec::new(), Vec::with_capacity(2 * team));
    for seed in 0..waiting.len() {
        if taken[seed] || !take(&waiting, &mut next, &taken, seed, team, &mut chosen) {
            continue;
        }
        for &place in &chosen {
            taken[place] = true;
        }
        found.push(chosen.iter().map(|&place| order[place]).collect());
    }
    found
}

/// A group with its limits.
struct Waiting {
    skill: f64,
    rating: f64,
    players: usize,
    tolerance: f64,
    imbalance: f64,
    /// A bit for each region that it can play in.
    regions: u32,
}

impl Waiting {
    fn new(group: &Group, rules: &Rules, now: DateTime<Utc>) -> Self {
        let waited = group.waited(now);
        let players = group.members.len();
        let limit = |steps: Option<&gs_matchmaker::Steps>| {
            steps.map_or(f64::INFINITY, |steps| steps.at(waited))
        };
        let mut regions = u32::MAX;
        if let Some(rule) = &rules.latency {
            let most = rule.max_ms.at(waited);
            let within = rule.regions.iter().enumerate().filter(|(_, region)| {
                let ms = group.latency_ms.get(*region);
                ms.is_some_and(|ms| f64::from(*ms) <= most)
            });
            regions = within.map(|(index, _)| 1 << index).sum();
        }
        Self {
            skill: group.members.iter().map(|m| m.skill).sum::<f64>() / players as f64,
            rating: group.members.iter().map(|m| m.rating.value).sum(),
            players,
            tolerance: limit(rules.skill.as_ref().map(|rule| &rule.tolerance)),
            imbalance: limit(rules.balance.as_ref()),
            regions,
        }
    }
}

/// Finds others for `seed`, and whether there are enough.
fn take(
    waiting: &[Waiting],
    next: &mut [usize],
    taken: &[bool],
    seed: usize,
    team: usize,
    chosen: &mut Vec<usize>,
) -> bool {
    chosen.clear();
    chosen.push(seed);
    let first = &waiting[seed];
    let (mut players, mut regions) = (first.players, first.regions);
    // What every one of those chosen takes.
    let (mut lowest, mut highest) = (first.skill - first.tolerance, first.skill + first.tolerance);
    let mut before = seed;
    loop {
        let place = next[before];
        let Some(other) = waiting.get(place) else {
            return false;
        };
        if taken[place] {
            next[before] = next[place];
            continue;
        }
        before = place;
        if players + other.players > 2 * team
            || regions & other.regions == 0
            || other.skill <= lowest
            || other.skill >= highest
        {
            continue;
        }
        // Both sides' tolerances count.
        let near = |&c: &usize| (waiting[c].skill - other.skill).abs() < other.tolerance;
        if !chosen.iter().all(near) {
            continue;
        }
        chosen.push(place);
        players += other.players;
        let legal = match least_imbalance(waiting, chosen, team) {
            None => false,
            Some(imbalance) => {
                let limits = chosen.iter().map(|&c| waiting[c].imbalance);
                players < 2 * team || imbalance <= limits.fold(f64::INFINITY, f64::min)
            }
        };
        if !legal {
            chosen.pop();
            players -= other.players;
            continue;
        }
        regions &= other.regions;
        lowest = lowest.max(other.skill - other.tolerance);
        highest = highest.min(other.skill + other.tolerance);
        if players == 2 * team {
            return true;
        }
    }
}

/// The least that two teams' mean ratings can differ by; none where parties do not fit into teams.
fn least_imbalance(waiting: &[Waiting], chosen: &[usize], team: usize) -> Option<f64> {
    let players: usize = chosen.iter().map(|&c| waiting[c].players).sum();
    let rating: f64 = chosen.iter().map(|&c| waiting[c].rating).sum();
    let mut least: Option<f64> = None;
    // The last is in the other team.
    for one in 0u32..1 << (chosen.len() - 1) {
        let (mut count, mut sum) = (0, 0.0);
        for (bit, &c) in chosen.iter().enumerate() {
            if one & 1 << bit != 0 {
                count += waiting[c].players;
                sum += waiting[c].rating;
            }
        }
        if count > team || players - count > team {
            continue;
        }
        if players < 2 * team {
            return Some(0.0);
        }
        let imbalance = (2.0 * sum - rating).abs() / team as f64;
        least = Some(least.map_or(imbalance, |least| least.min(imbalance)));
    }
    least
}
