//! Matches taken apart and made anew in another order, again and again.

use super::improve::{LEAST_GAIN, Neighbours};
use super::{Made, Matching};
use crate::pool::Pool;

/// Takes a few matches that are close to each other apart, makes matches of their units and of
/// those left over by chance, and keeps these where they are worth more. Ends when nothing has been gained for long,
/// or with the budget.
pub(super) fn recreate(matching: &mut Matching, near: &Neighbours, budget: &mut u64) {
    let pool = matching.pool;
    let units = pool.units.len();
    let mut random = Random(SEED);
    let (mut idle, mut rounds) = (0, 0);
    let mut left = Vec::new();
    let looks = MOST_LOOKS + MOST_LOOKS_PER_UNIT * units as u64;
    let least = budget.saturating_sub(looks);
    while *budget > least && idle < IDLE_ROUNDS + IDLE_ROUNDS_PER_UNIT * units {
        if rounds % (units / 64).max(256) == 0 {
            left = left_over(matching);
        }
        rounds += 1;
        idle += 1;
        let (units, indices) = match random.below(8) {
            // Those left over lie far apart among those who have a match.
            0 if left.len() > 1 => (
                window(matching, &left, random.below(left.len())),
                Vec::new(),
            ),
            1 | 2 if !left.is_empty() => {
                let centre = left[random.below(left.len())];
                ruin(matching, near, centre, 1 + random.below(3))
            }
            _ => {
                let centre = random.below(units) as u32;
                ruin(matching, near, centre, 2 + random.below(3))
            }
        };
        if units.len() < 2 {
            *budget -= 1;
            continue;
        }
        let worth = |made: &Made| made.score.worth();
        let made = indices
            .iter()
            .filter_map(|&i| matching.matches[i as usize].as_ref());
        let now: f64 = made.map(worth).sum();
        let recreated = remake(pool, &units, &mut random, budget);
        let then: f64 = recreated.iter().map(worth).sum();
        let must = matching
            .pinned
            .filter(|pinned| units.binary_search(pinned).is_ok());
        let kept = must.is_none_or(|must| recreated.iter().any(|m| m.units.contains(&must)));
        if then > now + LEAST_GAIN && kept {
            for index in indices {
                matching.remove(index);
            }
            for made in recreated {
                matching.add(made);
            }
            idle = 0;
        }
    }
}

/// Those who fit into matches and have none, in ascending order.
fn left_over(matching: &Matching) -> Vec<u32> {
    let pool = matching.pool;
    let left = |u: &u32| matching.owner[*u as usize].is_none() && pool.units[*u as usize].fits;
    (0..pool.units.len() as u32).filter(left).collect()
}

/// Of those who were left over, some that are next to each other and still are, in ascending order.
fn window(matching: &Matching, left: &[u32], place: usize) -> Vec<u32> {
    let first = place.saturating_sub(MAX_ALONE);
    let window = &left[first..left.len().min(place + MAX_ALONE)];
    let free = |u: &u32| matching.owner[*u as usize].is_none();
    window.iter().copied().filter(free).collect()
}

/// The units of so many matches around one unit and of those left over between them, in ascending
/// order, and the matches.
fn ruin(
    matching: &Matching,
    near: &Neighbours,
    centre: u32,
    matches: usize,
) -> (Vec<u32>, Vec<u32>) {
    let pool = matching.pool;
    let (mut units, mut indices): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut alone = 0;
    for unit in [centre].into_iter().chain(near.around(centre, RUIN_REACH)) {
        if !pool.units[unit as usize].fits {
            continue;
        }
        match matching.owner[unit as usize] {
            None if alone < MAX_ALONE && !units.contains(&unit) => {
                alone += 1;
                units.push(unit);
            }
            None => {}
            Some(owner) if indices.len() < matches && !indices.contains(&owner) => {
                if let Some(made) = &matching.matches[owner as usize] {
                    units.extend(&made.units);
                    indices.push(owner);
                }
            }
            Some(_) => {}
        }
    }
    units.sort_unstable();
    (units, indices)
}

/// Matches of these units, which are in ascending order: seeds by chance, and with each those next
/// to it, some of whom are passed over.
fn remake(pool: &Pool, units: &[u32], random: &mut Random, budget: &mut u64) -> Vec<Made> {
    let mut free = units.to_vec();
    let mut seeds = units.to_vec();
    let mut made = Vec::new();
    let largest_first = random.below(2) == 0;
    let passed_over = random.below(4);
    while !seeds.is_empty() {
        let players = |place: &usize| pool.units[seeds[*place] as usize].players;
        let mut chosen = random.below(seeds.len());
        if largest_first {
            let larger = (0..seeds.len()).filter(|p| players(p) > players(&chosen));
            chosen = larger.max_by_key(players).unwrap_or(chosen);
        }
        let seed = seeds.swap_remove(chosen);
        *budget = budget.saturating_sub(1 + free.len() as u64 / 4);
        if let Some(one) = grow(pool, &free, seed, passed_over, random) {
            free.retain(|unit| !one.units.contains(unit));
            seeds.retain(|unit| !one.units.contains(unit));
            made.push(one);
        }
    }
    made
}

fn grow(
    pool: &Pool,
    free: &[u32],
    seed: u32,
    passed_over: usize,
    random: &mut Random,
) -> Option<Made> {
    let own = &pool.units[seed as usize];
    // Half of the time the best region, else any that it can use.
    let regions = match own.regions.count_ones() {
        0 | 32 => u32::MAX,
        count if random.below(2) == 0 => {
            let nth = random.below(count as usize);
            let bits = (0..32).filter(|bit| own.regions & 1 << bit != 0);
            bits.map(|bit| 1 << bit).nth(nth).unwrap_or(u32::MAX)
        }
        _ => 1 << own.home,
    };
    let mut draft = pool.draft(seed, regions);
    let place = free.binary_search(&seed).ok()?;
    let (mut below, mut above) = (place, place + 1);
    let distance = |place: usize| (pool.units[free[place] as usize].skill - own.skill).abs();
    while draft.players < pool.most && (below > 0 || above < free.len()) {
        let upwards = above < free.len() && (below == 0 || distance(above) <= distance(below - 1));
        let place = if upwards { above } else { below - 1 };
        (below, above) = if upwards {
            (below, above + 1)
        } else {
            (place, above)
        };
        if passed_over == 0 || random.below(8) >= passed_over {
            pool.extend(&mut draft, free[place]);
        }
    }
    if draft.players < pool.least || (draft.players < pool.most && !draft.fewer) {
        return None;
    }
    let mut units = draft.units;
    units.sort_unstable();
    let score = pool.score(&units, 0.0)?;
    Some(Made { units, score })
}

/// Numbers that look like chance and are always the same (SplitMix64, Steele, Lea, Flood, "Fast
/// splittable pseudorandom number generators", OOPSLA 2014).
struct Random(u64);

impl Random {
    /// One of 0 to `count` − 1; 0 of none.
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The bias is far below one in a million for any number of units.
        ((u128::from(z) * count as u128) >> 64) as usize
    }
}

const SEED: u64 = 0x6761_6d65;
/// How far around a unit others are taken into account.
const RUIN_REACH: u32 = 24;
/// Units left over that are tried at once.
const MAX_ALONE: usize = 12;
/// Looks at units in all: small queues are at their best with these …
const MOST_LOOKS: u64 = 300_000;
/// … and larger ones nearly so. Of the largest, the budget comes to its end before.
const MOST_LOOKS_PER_UNIT: u64 = 500;
/// Rounds without gain after which nothing more is expected, in any case …
const IDLE_ROUNDS: usize = 2_000;
/// … and for each unit.
const IDLE_ROUNDS_PER_UNIT: usize = 30;
