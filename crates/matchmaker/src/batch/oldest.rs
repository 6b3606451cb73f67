//! A match for the oldest, whatever that costs others.

use super::Made;
use super::greedy::{List, Sides, grow};
use crate::pool::{Draft, Pool};

/// The oldest of those whose limits are at their widest that has a legal match, and a good one of
/// its matches. The units are those that fit into matches, in ascending order.
pub(super) fn match_of_oldest(pool: &Pool, fitting: &[u32], lists: &[List]) -> Option<(u32, Made)> {
    let mut widest = fitting.to_vec();
    widest.retain(|&u| pool.units[u as usize].widest);
    widest.sort_unstable_by_key(|&u| pool.units[u as usize].rank);
    let mut steps = MAX_STEPS;
    widest.into_iter().find_map(|oldest| {
        let sides = [Sides::Above, Sides::Both];
        let grown = sides.map(|sides| grow(pool, lists, oldest, sides));
        let grown = grown.into_iter().flatten();
        let best = grown.max_by(|a, b| a.score.worth().total_cmp(&b.score.worth()));
        let made = best.or_else(|| search(pool, fitting, oldest, &mut steps))?;
        Some((oldest, made))
    })
}

/// Tries every set of units that could play with the seed, the closest in skill first, until the
/// steps are spent.
fn search(pool: &Pool, fitting: &[u32], seed: u32, steps: &mut u64) -> Option<Made> {
    let own = pool.units[seed as usize].skill;
    let distance = |unit: u32| (pool.units[unit as usize].skill - own).abs();
    let draft = pool.draft(seed, u32::MAX);
    let mut others: Vec<u32> = fitting.to_vec();
    others.retain(|&unit| unit != seed && pool.extend(&mut draft.clone(), unit));
    *steps = steps.saturating_sub(others.len() as u64);
    others.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    complete(pool, &draft, &others, steps)
}

fn complete(pool: &Pool, draft: &Draft, others: &[u32], steps: &mut u64) -> Option<Made> {
    if draft.players == pool.most || (draft.players >= pool.least && draft.fewer) {
        let mut units = draft.units.clone();
        units.sort_unstable();
        if let Some(score) = pool.score(&units, 0.0) {
            return Some(Made { units, score });
        }
    }
    for (place, &unit) in others.iter().enumerate() {
        if *steps == 0 {
            return None;
        }
        *steps -= 1;
        let mut draft = draft.clone();
        if pool.extend(&mut draft, unit)
            && let Some(made) = complete(pool, &draft, &others[place + 1..], steps)
        {
            return Some(made);
        }
    }
    None
}

/// Units that are tried in one batch, all seeds together: some tenths of a second. They last for
/// all ways where up to some twenty groups are within reach, and else for the most likely ones.
const MAX_STEPS: u64 = 1_000_000;
