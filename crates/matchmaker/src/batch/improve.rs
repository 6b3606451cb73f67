//! Better matches out of those that there are.

use super::exact::{MAX_UNITS, best_of, legal_sets};
use super::{Made, Matching};
use crate::pool::Pool;

/// Exchanges units between matches that are close to each other, and with those left over, and
/// makes the matches of a few anew, as long as that is worth it and the budget lasts.
pub(super) fn improve(matching: &mut Matching, near: &Neighbours, budget: &mut u64) {
    for _ in 0..MAX_ROUNDS {
        let before = *budget;
        let mut better = false;
        for index in worst_first(matching) {
            if *budget == 0 {
                return;
            }
            better |= exchange_around(matching, near, index, budget);
        }
        for index in worst_first(matching) {
            if *budget == 0 {
                return;
            }
            better |= remake_around(matching, near, index, budget);
        }
        better |= remake_leftovers(matching, near, budget);
        if !better || *budget == before {
            return;
        }
    }
}

/// The matches by how much is missing to as much as they could be worth at best.
fn worst_first(matching: &Matching) -> Vec<u32> {
    let pool = matching.pool;
    let loss = |made: &Made| {
        let units = made.units.iter().map(|&u| {
            let unit = &pool.units[u as usize];
            unit.weight * (pool.best_near(u) - made.score.value)
        });
        let loss: f64 = units.sum();
        loss
    };
    let mut matches: Vec<(f64, u32)> = (0u32..)
        .zip(&matching.matches)
        .filter_map(|(index, made)| Some((loss(made.as_ref()?), index)))
        .filter(|(loss, _)| *loss > LEAST_GAIN)
        .collect();
    matches.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    matches.into_iter().map(|(_, index)| index).collect()
}

/// Who is next to whom.
pub(super) struct Neighbours {
    /// Units by skill with the same home region, one region after the other.
    by_home: Vec<u32>,
    /// Of each unit, its place there.
    places: Vec<u32>,
}

impl Neighbours {
    pub(super) fn new(pool: &Pool) -> Self {
        let mut by_home: Vec<u32> = (0..pool.units.len() as u32).collect();
        by_home.sort_by_key(|&u| pool.units[u as usize].home);
        let mut places = vec![0; by_home.len()];
        for (place, &unit) in (0u32..).zip(&by_home) {
            places[unit as usize] = place;
        }
        Self { by_home, places }
    }

    /// The units next to one, the closest first, itself excepted.
    fn of(&self, unit: u32) -> impl Iterator<Item = u32> {
        self.around(unit, REACH)
    }

    /// As [`Neighbours::of`], so many places in each direction.
    pub(super) fn around(&self, unit: u32, reach: u32) -> impl Iterator<Item = u32> {
        let len = self.by_home.len() as u32;
        let place = self.places[unit as usize];
        (1..=reach).flat_map(move |step| {
            let around = |place: u32| [place.checked_sub(step), place.checked_add(step)];
            let inside = move |place: &u32| *place < len;
            let home = around(place).into_iter().flatten().filter(inside);
            let any = around(unit).into_iter().flatten().filter(inside);
            home.map(|place| self.by_home[place as usize]).chain(any)
        })
    }
}

/// Exchanges units between a match and those next to it while that is worth it.
fn exchange_around(
    matching: &mut Matching,
    near: &Neighbours,
    index: u32,
    budget: &mut u64,
) -> bool {
    let Some(made) = &matching.matches[index as usize] else {
        return false;
    };
    let mut others: Vec<Other> = Vec::new();
    for &unit in &made.units {
        for neighbour in near.of(unit) {
            let other = match matching.owner[neighbour as usize] {
                Some(owner) if owner == index => continue,
                Some(owner) => Other::Match(owner),
                None if matching.pool.units[neighbour as usize].fits => Other::Alone(neighbour),
                None => continue,
            };
            if !others.contains(&other) && others.len() < MAX_OTHERS {
                others.push(other);
            }
        }
    }
    let mut better = false;
    for other in others {
        better |= match other {
            Other::Match(other) => exchange_between(matching, index, other, budget),
            Other::Alone(unit) => exchange_with(matching, index, unit, budget),
        };
    }
    better
}

#[derive(Clone, Copy, PartialEq)]
enum Other {
    Match(u32),
    Alone(u32),
}

/// Makes the best of the exchanges of one unit of a match for one of another.
fn exchange_between(matching: &mut Matching, a: u32, b: u32, budget: &mut u64) -> bool {
    let pool = matching.pool;
    let (Some(first), Some(second)) =
        (&matching.matches[a as usize], &matching.matches[b as usize])
    else {
        return false;
    };
    let now = first.score.worth() + second.score.worth();
    let mut best: Option<(f64, Made, Made)> = None;
    for &out in &first.units {
        for &into in &second.units {
            let (x, y) = (&pool.units[out as usize], &pool.units[into as usize]);
            if x.players != y.players {
                continue;
            }
            *budget = budget.saturating_sub(cost(&first.units));
            let most = best.as_ref().map_or(now + LEAST_GAIN, |(worth, ..)| *worth);
            let first = replaced(&first.units, out, into);
            let second = replaced(&second.units, into, out);
            // What one of them is worth at most says what the other has to be worth at least.
            let Some(most_second) = pool.most_worth(&second) else {
                continue;
            };
            let Some(one) = pool.score(&first, most - most_second) else {
                continue;
            };
            let Some(two) = pool.score(&second, most - one.worth()) else {
                continue;
            };
            let worth = one.worth() + two.worth();
            if worth > most {
                let first = Made {
                    units: first,
                    score: one,
                };
                let second = Made {
                    units: second,
                    score: two,
                };
                best = Some((worth, first, second));
            }
        }
    }
    let Some((_, first, second)) = best else {
        return false;
    };
    matching.replace(a, first);
    matching.replace(b, second);
    true
}

/// Puts a unit that is left over in the place of another where that is worth it.
fn exchange_with(matching: &mut Matching, index: u32, alone: u32, budget: &mut u64) -> bool {
    let pool = matching.pool;
    let Some(made) = &matching.matches[index as usize] else {
        return false;
    };
    if matching.owner[alone as usize].is_some() {
        return false;
    }
    let mut best: Option<(u32, Made)> = None;
    for &out in &made.units {
        let same = pool.units[out as usize].players == pool.units[alone as usize].players;
        if !same || matching.pinned == Some(out) {
            continue;
        }
        *budget = budget.saturating_sub(cost(&made.units));
        let units = replaced(&made.units, out, alone);
        let most = best
            .as_ref()
            .map_or(made.score.worth() + LEAST_GAIN, |(_, m)| m.score.worth());
        let score = pool.score(&units, most);
        if let Some(score) = score.filter(|score| score.worth() > most) {
            best = Some((out, Made { units, score }));
        }
    }
    let Some((out, made)) = best else {
        return false;
    };
    matching.owner[out as usize] = None;
    matching.replace(index, made);
    true
}

/// What a look at a match of so many units takes from the budget: large ones are dealt out to teams
/// in far more ways.
fn cost(units: &[u32]) -> u64 {
    let units = units.len() as u64;
    1 + units * units / 64
}

/// These units, which are in ascending order, with one in the place of another.
fn replaced(units: &[u32], out: u32, into: u32) -> Vec<u32> {
    let mut units: Vec<u32> = units
        .iter()
        .map(|&u| if u == out { into } else { u })
        .collect();
    units.sort_unstable();
    units
}

/// Makes a match and some next to it anew, as well as that can be done.
fn remake_around(matching: &mut Matching, near: &Neighbours, index: u32, budget: &mut u64) -> bool {
    match &matching.matches[index as usize] {
        Some(made) => {
            let units = made.units.clone();
            remake(matching, near, &units, budget)
        }
        None => false,
    }
}

/// Does the same around those left over.
fn remake_leftovers(matching: &mut Matching, near: &Neighbours, budget: &mut u64) -> bool {
    let pool = matching.pool;
    let left = |u: &u32| matching.owner[*u as usize].is_none() && pool.units[*u as usize].fits;
    let mut left: Vec<u32> = (0..pool.units.len() as u32).filter(left).collect();
    left.sort_by_key(|&u| pool.units[u as usize].rank);
    let mut better = false;
    for unit in left {
        if *budget == 0 {
            break;
        }
        if matching.owner[unit as usize].is_none() {
            better |= remake(matching, near, &[unit], budget);
        }
    }
    better
}

fn remake(matching: &mut Matching, near: &Neighbours, seeds: &[u32], budget: &mut u64) -> bool {
    let pool = matching.pool;
    let mut units: Vec<u32> = Vec::new();
    let mut indices: Vec<u32> = Vec::new();
    let neighbours = |seed: &u32| near.of(*seed).collect::<Vec<u32>>();
    let around: Vec<Vec<u32>> = seeds.iter().map(neighbours).collect();
    let longest = around.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| around.iter().filter_map(move |n| n.get(turn)));
    for &unit in seeds.iter().chain(turns) {
        if units.contains(&unit) || !pool.units[unit as usize].fits {
            continue;
        }
        match matching.owner[unit as usize] {
            None if units.len() < MAX_REMADE => units.push(unit),
            None => {}
            Some(owner) => {
                let Some(made) = &matching.matches[owner as usize] else {
                    continue;
                };
                if units.len() + made.units.len() <= MAX_REMADE {
                    units.extend(&made.units);
                    indices.push(owner);
                }
            }
        }
    }
    // With a single match and nobody else, nothing is to be had.
    if units.len() <= seeds.len() {
        return false;
    }
    units.sort_unstable();
    let worth = |made: &Made| made.score.worth();
    let made = indices
        .iter()
        .filter_map(|&i| matching.matches[i as usize].as_ref());
    let now: f64 = made.map(worth).sum();
    let must = matching.pinned.filter(|pinned| units.contains(pinned));
    let best = best_of(&units, legal_sets(pool, &units, budget), must);
    let then: f64 = best.iter().map(worth).sum();
    if then <= now + LEAST_GAIN {
        return false;
    }
    for index in indices {
        matching.remove(index);
    }
    for made in best {
        matching.add(made);
    }
    true
}

/// Rounds over all matches. The second finds a quarter of what the first does, the fourth hardly
/// anything.
const MAX_ROUNDS: u32 = 4;
/// How far apart in the order of skill neighbours are, both in all regions and in one.
const REACH: u32 = 4;
/// Matches and single units that a match exchanges units with in a round.
const MAX_OTHERS: usize = 8;
/// Units that matches are made anew of: every one more doubles the work.
const MAX_REMADE: usize = if MAX_UNITS < 10 { MAX_UNITS } else { 10 };
/// What a change must be worth: less is rounding, and could go round in circles.
pub(super) const LEAST_GAIN: f64 = 1e-6;
