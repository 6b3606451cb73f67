//! Matches that grow group by group.

use super::{Number, Pool};
use crate::teams::{self, SLOTS};

/// Units on the way to a match, with what they still allow.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The units, in the order in which they came.
    pub(crate) units: Vec<u32>,
    /// How many players.
    pub(crate) players: u8,
    /// Whether all of them play in a match that is not full.
    pub(crate) fewer: bool,
    regions: u32,
    low: f64,
    high: f64,
    /// Skills of others are above this and below that.
    above: f64,
    below: f64,
    values: Vec<u64>,
    numbers: Vec<[f64; 3]>,
    /// Parties of so many fit into no team any more.
    too_large: u8,
}

impl Draft {
    /// Whether there is no region in which all of them can play.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.regions == 0
    }

    /// Whether nobody of this skill, nor anybody farther away, can still be added.
    pub(crate) fn out_of_reach(&self, skill: f64) -> bool {
        skill <= self.above || skill >= self.below
    }
}

impl Pool<'_> {
    /// Begins a match with one unit; whoever plays with it can use one of these regions.
    pub(crate) fn draft(&self, unit: u32, regions: u32) -> Draft {
        let own = &self.units[unit as usize];
        let at = |count: usize| unit as usize * count..(unit as usize + 1) * count;
        let number = |n: &Number| match n.value {
            Some(value) => [value, value, n.limit],
            None => [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY],
        };
        Draft {
            units: vec![unit],
            players: own.players,
            fewer: own.fewer,
            regions: own.regions & regions,
            low: own.skill,
            high: own.skill,
            above: own.skill - own.tolerance,
            below: own.skill + own.tolerance,
            values: self.values[at(self.overlaps)].to_vec(),
            numbers: self.numbers[at(self.withins)].iter().map(number).collect(),
            too_large: u8::MAX,
        }
    }

    /// Adds a unit to a draft where no rule is against it. Rounding aside, that is what
    /// [`Pool::score`] says in the end.
    pub(crate) fn extend(&self, draft: &mut Draft, unit: u32) -> bool {
        let own = &self.units[unit as usize];
        let players = draft.players + own.players;
        if players > self.most || !own.fits || own.players >= draft.too_large {
            return false;
        }
        let (low, high) = (draft.low.min(own.skill), draft.high.max(own.skill));
        let above = draft.above.max(own.skill - own.tolerance);
        let below = draft.below.min(own.skill + own.tolerance);
        if low <= above || high >= below {
            return false;
        }
        let regions = draft.regions & own.regions;
        if regions == 0 && !self.private {
            return false;
        }
        if !self.private && !self.attributes_extend(draft, unit) {
            return false;
        }
        if self.parties && !self.packs(&draft.units, unit) {
            draft.too_large = own.players;
            return false;
        }
        draft.units.push(unit);
        (draft.players, draft.fewer) = (players, draft.fewer && own.fewer);
        (draft.low, draft.high) = (low, high);
        (draft.above, draft.below) = (above, below);
        draft.regions = regions;
        if !self.private {
            self.take_attributes(draft, unit);
        }
        true
    }

    fn attributes_extend(&self, draft: &Draft, unit: u32) -> bool {
        let unit = unit as usize;
        let values = &self.values[unit * self.overlaps..(unit + 1) * self.overlaps];
        let numbers = &self.numbers[unit * self.withins..(unit + 1) * self.withins];
        let overlap = values.iter().zip(&draft.values).all(|(a, b)| a & b != 0);
        let within = |(number, [low, high, limit]): (&Number, &[f64; 3])| {
            number.value.is_none_or(|value| {
                let limit = limit.min(number.limit);
                high.max(value) - low.min(value) <= limit
            })
        };
        overlap && numbers.iter().zip(&draft.numbers).all(within)
    }

    fn take_attributes(&self, draft: &mut Draft, unit: u32) {
        let unit = unit as usize;
        let values = &self.values[unit * self.overlaps..(unit + 1) * self.overlaps];
        let numbers = &self.numbers[unit * self.withins..(unit + 1) * self.withins];
        for (kept, value) in draft.values.iter_mut().zip(values) {
            *kept &= value;
        }
        for ([low, high, limit], number) in draft.numbers.iter_mut().zip(numbers) {
            if let Some(value) = number.value {
                *low = low.min(value);
                *high = high.max(value);
                *limit = limit.min(number.limit);
            }
        }
    }

    fn packs(&self, units: &[u32], one_more: u32) -> bool {
        let players = |unit: u32| self.units[unit as usize].players;
        if players(one_more) == 1 {
            return true;
        }
        let mut parties = [0; SLOTS];
        let mut count = 0;
        for unit in units.iter().copied().chain([one_more]) {
            if players(unit) > 1 {
                parties[count] = players(unit);
                count += 1;
            }
        }
        teams::packs(&mut parties[..count], &self.sizes[usize::from(self.most)])
    }
}
