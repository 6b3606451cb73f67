//! The best matches of a few units, by looking at all of them.

use super::Made;
use crate::pool::Pool;

/// All legal matches of these units, which are in ascending order and at most [`MAX_UNITS`].
pub(super) fn legal_sets(pool: &Pool, units: &[u32], budget: &mut u64) -> Vec<Made> {
    let mut sets = Vec::new();
    let mut chosen = Vec::with_capacity(units.len());
    let mut looked = 0;
    collect(pool, units, 0, &mut chosen, &mut sets, &mut looked);
    *budget = budget.saturating_sub(looked);
    sets
}

/// The sets among these that have no unit in common and are worth most together; `must` is in one
/// of them if it is in any at all.
pub(super) fn best_of(units: &[u32], sets: Vec<Made>, must: Option<u32>) -> Vec<Made> {
    let bit = |unit: u32| units.binary_search(&unit).map_or(0, |place| 1u32 << place);
    let mask = |made: &Made| made.units.iter().fold(0, |mask, &unit| mask | bit(unit));
    let mut by_first: Vec<Vec<(u32, f64, usize)>> = vec![Vec::new(); units.len()];
    for (index, made) in sets.iter().enumerate() {
        let mask = mask(made);
        by_first[mask.trailing_zeros() as usize].push((mask, made.score.worth(), index));
    }
    let mut search = Search {
        by_first,
        must: must.map_or(0, bit),
        known: vec![None; 1 << units.len()],
    };
    let mut left = (1u32 << units.len()) - 1;
    search.best(left);
    let mut sets: Vec<Option<Made>> = sets.into_iter().map(Some).collect();
    let mut best = Vec::new();
    while let Some((_, choice)) = search.known[left as usize] {
        match choice {
            Choice::Nobody => break,
            Choice::Alone(bit) => left &= !bit,
            Choice::Set(mask, index) => {
                best.extend(sets[index].take());
                left &= !mask;
            }
        }
    }
    best
}

fn collect(
    pool: &Pool,
    units: &[u32],
    players: u8,
    chosen: &mut Vec<u32>,
    sets: &mut Vec<Made>,
    looked: &mut u64,
) {
    if players >= pool.least {
        *looked += 1;
        if let Some(score) = pool.score(chosen, 0.0) {
            let units = chosen.clone();
            sets.push(Made { units, score });
        }
    }
    for (place, &unit) in units.iter().enumerate() {
        let players = players + pool.units[unit as usize].players;
        if players <= pool.most && pool.near_enough(chosen.first(), unit) {
            chosen.push(unit);
            collect(pool, &units[place + 1..], players, chosen, sets, looked);
            chosen.pop();
        }
    }
}

#[derive(Clone, Copy)]
enum Choice {
    Nobody,
    /// The first unit stays without a match.
    Alone(u32),
    /// It is in this set.
    Set(u32, usize),
}

struct Search {
    /// Sets by their first unit: bits, worth, place.
    by_first: Vec<Vec<(u32, f64, usize)>>,
    must: u32,
    /// By the units that are left.
    known: Vec<Option<(f64, Choice)>>,
}

impl Search {
    fn best(&mut self, left: u32) -> f64 {
        if let Some((worth, _)) = self.known[left as usize] {
            return worth;
        }
        let mut best = (0.0, Choice::Nobody);
        if left != 0 {
            let first = left.trailing_zeros();
            let bit = 1 << first;
            best = (self.best(left & !bit), Choice::Alone(bit));
            if bit == self.must {
                best.0 = f64::NEG_INFINITY;
            }
            for place in 0..self.by_first[first as usize].len() {
                let (mask, worth, index) = self.by_first[first as usize][place];
                if mask & !left == 0 {
                    let worth = worth + self.best(left & !mask);
                    if worth > best.0 {
                        best = (worth, Choice::Set(mask, index));
                    }
                }
            }
        }
        self.known[left as usize] = Some(best);
        best.0
    }
}

/// Most units: 4,096 sets of them, and some ten milliseconds at worst.
pub(super) const MAX_UNITS: usize = 12;
