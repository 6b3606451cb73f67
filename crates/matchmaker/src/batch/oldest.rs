//! A match for the oldest, whatever that costs others.

use super::Made;
use super::greedy::{List, Sides, grow};
use crate::pool::{Draft, Pool};

/// The oldest of those whose limits are at their widest that has a legal match, and a good one of
/// its matches. The units are those that fit into matches, in ascending order. `steps` are what the
/// search may still cost.
pub(super) fn match_of_oldest(
    pool: &Pool,
    fitting: &[u32],
    lists: &[List],
    steps: &mut u64,
) -> Option<(u32, Made)> {
    let mut widest = fitting.to_vec();
    widest.retain(|&u| pool.units[u as usize].widest);
    widest.sort_unstable_by_key(|&u| pool.units[u as usize].rank);
    widest.into_iter().find_map(|oldest| {
        if *steps == 0 {
            return None;
        }
        *steps = steps.saturating_sub(STEPS_PER_SEED);
        let sides = [Sides::Above, Sides::Both];
        let grown = sides.map(|sides| grow(pool, lists, oldest, sides));
        let grown = grown.into_iter().flatten();
        let best = grown.max_by(|a, b| a.score.worth().total_cmp(&b.score.worth()));
        let made = best.or_else(|| search(pool, fitting, oldest, steps))?;
        Some((oldest, made))
    })
}

/// Tries every set of units that could play with the seed, the closest in skill first, until the
/// steps are spent.
fn search(pool: &Pool, fitting: &[u32], seed: u32, steps: &mut u64) -> Option<Made> {
    let draft = pool.draft(seed, u32::MAX);
    if draft.is_nowhere() && !pool.private {
        return None;
    }
    let skill = |place: usize| pool.units[fitting[place] as usize].skill;
    let own = pool.units[seed as usize].skill;
    let place = fitting.binary_search(&seed).ok()?;
    let (mut below, mut above) = (place, place + 1);
    let mut others = Vec::new();
    while others.len() < MAX_OTHERS && *steps > 0 && (below > 0 || above < fitting.len()) {
        let upwards =
            above < fitting.len() && (below == 0 || skill(above) - own <= own - skill(below - 1));
        let next = if upwards { above } else { below - 1 };
        (below, above) = if upwards {
            (below, above + 1)
        } else {
            (next, above)
        };
        if draft.out_of_reach(skill(next)) {
            // Those beyond are as well.
            (below, above) = if upwards {
                (below, fitting.len())
            } else {
                (0, above)
            };
            continue;
        }
        *steps -= 1;
        if pool.extend(&mut draft.clone(), fitting[next]) {
            others.push(fitting[next]);
        }
    }
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
pub(super) const MAX_STEPS: u64 = 500_000;
/// What the neighbours of a seed cost.
const STEPS_PER_SEED: u64 = 50;
/// Units of which all sets are tried with a seed: of more, all sets are beyond reach anyway.
const MAX_OTHERS: usize = 64;
