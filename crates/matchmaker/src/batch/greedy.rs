//! The best matches of neighbours in skill, the best of them first.

use std::collections::BinaryHeap;

use super::{Made, Matching};
use crate::pool::Pool;

/// Takes matches one by one, each the best that is left, after the one that is given. Of the units
/// that fit into matches, given in ascending order, in the end no neighbours are left that could
/// play with each other, as far as one looks.
pub(super) fn matches<'p, 'a>(
    pool: &'p Pool<'a>,
    fitting: &[u32],
    lists: Vec<List>,
    pinned: Option<(u32, Made)>,
) -> Matching<'p, 'a> {
    let mut greedy = Greedy {
        lists,
        candidates: vec![None; pool.units.len()],
        heap: BinaryHeap::with_capacity(fitting.len()),
        matching: Matching::new(pool),
    };
    if let Some((unit, made)) = pinned {
        greedy.matching.pinned = Some(unit);
        greedy.take(made);
    }
    for &seed in fitting {
        greedy.look(seed, Sides::Above);
    }
    greedy.run(Sides::Above);
    // What is left has only distant neighbours, so that both sides are worth looking at.
    for &seed in fitting {
        greedy.look(seed, Sides::Both);
    }
    greedy.run(Sides::Both);
    greedy.matching
}

struct Greedy<'p, 'a> {
    lists: Vec<List>,
    /// Of each unit, the best match in which it is the seed.
    candidates: Vec<Option<Made>>,
    /// How good that is, as bits, which for positive numbers are in the numbers' order; then the
    /// unit.
    heap: BinaryHeap<(u64, u32)>,
    matching: Matching<'p, 'a>,
}

/// Who is asked into a match.
#[derive(Clone, Copy, PartialEq)]
enum Waited {
    /// Whoever fits.
    Any,
    /// Who has waited long enough for a match that is not full.
    Enough,
}

/// Where a seed looks for others.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sides {
    /// Among those with more skill: every match has a lowest unit.
    Above,
    /// Whoever is closest.
    Both,
}

impl Greedy<'_, '_> {
    fn run(&mut self, sides: Sides) {
        while let Some((_, seed)) = self.heap.pop() {
            let Some(made) = self.candidates[seed as usize].take() else {
                continue;
            };
            let free = |unit: &u32| self.matching.owner[*unit as usize].is_none();
            if made.units.iter().all(free) {
                self.take(made);
            } else {
                self.look(seed, sides);
            }
        }
    }

    fn take(&mut self, made: Made) {
        for &unit in &made.units {
            for list in &mut self.lists {
                list.unlink(unit);
            }
        }
        self.matching.add(made);
    }

    /// Finds the best match for a seed that has none.
    fn look(&mut self, seed: u32, sides: Sides) {
        if self.matching.owner[seed as usize].is_some() {
            return;
        }
        if let Some(made) = grow(self.matching.pool, &self.lists, seed, sides) {
            let per_player = made.score.worth() / f64::from(made.score.players);
            self.heap.push((per_player.to_bits(), seed));
            self.candidates[seed as usize] = Some(made);
        }
    }
}

/// The best match of a seed with its neighbours in some list.
pub(super) fn grow(pool: &Pool, lists: &[List], seed: u32, sides: Sides) -> Option<Made> {
    let mut best: Option<(f64, Made)> = None;
    for list in lists.iter().filter(|l| l.has(seed)) {
        let floor = best.as_ref().map_or(0.0, |(most, _)| *most);
        let any = grow_in(pool, list, (seed, sides), Waited::Any, floor);
        let made = any.or_else(|| grow_in(pool, list, (seed, sides), Waited::Enough, floor));
        let Some(made) = made else {
            continue;
        };
        let per_player = made.score.worth() / f64::from(made.score.players);
        if per_player > floor {
            // Elsewhere, little could be better than what is nearly as good as can be.
            let good = made.score.value > GOOD_ENOUGH * pool.best_near(seed);
            best = Some((per_player, made));
            if good {
                break;
            }
        }
    }
    best.map(|(_, made)| made)
}

/// A match of a seed with its neighbours in a list, if it is worth more than `floor` to a player.
fn grow_in(
    pool: &Pool,
    list: &List,
    (seed, sides): (u32, Sides),
    waited: Waited,
    floor: f64,
) -> Option<Made> {
    let fewer = waited == Waited::Enough;
    if fewer && (pool.least == pool.most || !pool.units[seed as usize].fewer) {
        return None;
    }
    let mut draft = pool.draft(seed, list.regions);
    let skill = |unit: u32| pool.units[unit as usize].skill;
    let (mut below, mut above) = (list.before(seed), list.after(seed));
    if sides == Sides::Above {
        below = None;
    }
    let mut looks = LOOKS * usize::from(pool.most) + MORE_LOOKS;
    while draft.players < pool.most && looks > 0 {
        looks -= 1;
        let upwards = match (below, above) {
            (None, None) => break,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some(below), Some(above)) => skill(above) - skill(seed) <= skill(seed) - skill(below),
        };
        let place = if upwards { &mut above } else { &mut below };
        let Some(unit) = *place else {
            break;
        };
        let own = &pool.units[unit as usize];
        if (own.fewer || !fewer)
            && !pool.extend(&mut draft, unit)
            && draft.out_of_reach(skill(unit))
        {
            *place = None;
            continue;
        }
        *place = if upwards {
            list.after(unit)
        } else {
            list.before(unit)
        };
    }
    if draft.players < pool.least || (draft.players < pool.most && !draft.fewer) {
        return None;
    }
    let mut units = draft.units;
    units.sort_unstable();
    let score = pool.score(&units, floor * f64::from(draft.players))?;
    Some(Made { units, score })
}

/// Units by skill, all of which can use some region. Those that have a match are taken out.
pub(super) struct List {
    regions: u32,
    /// Of each unit, those before and after it.
    links: Vec<[u32; 2]>,
}

impl List {
    fn new(len: usize, regions: u32, units: impl Iterator<Item = u32>) -> Self {
        let mut links = vec![[ABSENT; 2]; len];
        let mut last = END;
        for unit in units {
            links[unit as usize] = [last, END];
            if last != END {
                links[last as usize][1] = unit;
            }
            last = unit;
        }
        Self { regions, links }
    }

    fn has(&self, unit: u32) -> bool {
        self.links[unit as usize][0] != ABSENT
    }

    fn before(&self, unit: u32) -> Option<u32> {
        Some(self.links[unit as usize][0]).filter(|u| *u < END)
    }

    fn after(&self, unit: u32) -> Option<u32> {
        Some(self.links[unit as usize][1]).filter(|u| *u < END)
    }

    fn unlink(&mut self, unit: u32) {
        if !self.has(unit) {
            return;
        }
        let [before, after] = self.links[unit as usize];
        if before != END {
            self.links[before as usize][1] = after;
        }
        if after != END {
            self.links[after as usize][0] = before;
        }
        self.links[unit as usize] = [ABSENT; 2];
    }
}

/// For each region those whom it suits best, and then all who can use it.
pub(super) fn lists(pool: &Pool, fitting: &[u32]) -> Vec<List> {
    let unit = |u: &u32| &pool.units[*u as usize];
    let len = pool.units.len();
    let used = fitting.iter().fold(0, |all, u| all | unit(u).regions);
    if used == u32::MAX || pool.private {
        // There is no rule about regions.
        return vec![List::new(len, u32::MAX, fitting.iter().copied())];
    }
    let regions = || (0..32u8).filter(|r| used & 1 << r != 0);
    let home = |r: u8| {
        let units = fitting
            .iter()
            .copied()
            .filter(move |u| unit(u).home == r && unit(u).regions != 0);
        List::new(len, 1 << r, units)
    };
    let all = |r: u8| {
        let units = fitting
            .iter()
            .copied()
            .filter(move |u| unit(u).regions & 1 << r != 0);
        List::new(len, 1 << r, units)
    };
    regions().map(home).chain(regions().map(all)).collect()
}

const END: u32 = u32::MAX - 1;
const ABSENT: u32 = u32::MAX;
/// A match that is worth this part of the best that its seed could have is not compared with others.
const GOOD_ENOUGH: f64 = 0.98;
/// Neighbours that are looked at for each player of a match, since not all of them fit …
const LOOKS: usize = 4;
/// … and for each match.
const MORE_LOOKS: usize = 16;
