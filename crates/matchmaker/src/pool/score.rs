//! What a match of some groups would be worth, or that a rule is against it.

use super::{Number, Pool};
use crate::quality::{negligible_imbalance, openness, points};
use crate::teams::{self, Dealt, SLOTS, Share};
use crate::{ProposedMatch, ProposedSlot, Quality};

/// What a match of some units would be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    /// As [`Quality::value`].
    pub(crate) value: f64,
    /// As [`Quality::weight`].
    pub(crate) weight: f64,
    /// How many players.
    pub(crate) players: u8,
    squared: f64,
    region: Option<u8>,
    dealt: Dealt,
}

impl Score {
    /// What the match adds to the objective.
    pub(crate) fn worth(&self) -> f64 {
        self.value * self.weight
    }
}

impl Pool<'_> {
    /// What a match of these units would be, which are in ascending order. None where a rule is
    /// against it, or it is worth no more than `floor`.
    pub(crate) fn score(&self, units: &[u32], floor: f64) -> Option<Score> {
        let (first, last) = (*units.first()?, *units.last()?);
        let low = self.units[first as usize].skill;
        let high = self.units[last as usize].skill;
        let (mut players, mut fewer, mut regions) = (0usize, true, u32::MAX);
        let (mut weight, mut sum, mut squares) = (0.0, 0.0, 0.0);
        let mut balance = f64::INFINITY;
        for &index in units {
            let unit = &self.units[index as usize];
            // Compared as differences, exactly as any two of them would be.
            if high - unit.skill >= unit.tolerance || unit.skill - low >= unit.tolerance {
                return None;
            }
            players += usize::from(unit.players);
            fewer &= unit.fewer;
            regions &= unit.regions;
            weight += unit.weight;
            sum += unit.sum;
            squares += unit.squares;
            balance = balance.min(unit.balance);
        }
        let most = usize::from(self.most);
        if players > most || players < usize::from(self.least) || (players < most && !fewer) {
            return None;
        }
        if !self.private && (regions == 0 || !self.attributes_fit(units)) {
            return None;
        }
        let count = players as f64;
        let squared = if players > 1 {
            (2.0 * (squares - sum * sum / count) / (count - 1.0)).max(0.0)
        } else {
            0.0
        };
        let (region, near) = self.region(units, regions);
        let near = near / count * count / f64::from(self.most);
        let sizes = &self.sizes[players];
        let team_players = count / sizes.len() as f64;
        if near * openness(squared, 0.0, team_players) * weight <= floor {
            return None;
        }
        let mut shares = [Share::default(); SLOTS];
        let shares = shares.get_mut(..units.len())?;
        for (share, &index) in shares.iter_mut().zip(units) {
            let unit = &self.units[index as usize];
            *share = Share {
                players: unit.players,
                rating: unit.rating,
            };
        }
        let enough = negligible_imbalance(team_players).min(balance);
        let dealt = teams::deal(shares, sizes, enough)?;
        if dealt.imbalance > balance {
            return None;
        }
        Some(Score {
            value: near * openness(squared, dealt.imbalance, team_players),
            weight,
            players: players as u8,
            squared,
            region,
            dealt,
        })
    }

    /// An upper bound of what a match of these units, which are in ascending order, is worth. None
    /// where their skills are too far apart.
    pub(crate) fn most_worth(&self, units: &[u32]) -> Option<f64> {
        let (first, last) = (*units.first()?, *units.last()?);
        let low = self.units[first as usize].skill;
        let high = self.units[last as usize].skill;
        let (mut players, mut weight, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
        for &index in units {
            let unit = &self.units[index as usize];
            if high - unit.skill >= unit.tolerance || unit.skill - low >= unit.tolerance {
                return None;
            }
            players += f64::from(unit.players);
            weight += unit.weight;
            sum += unit.sum;
            squares += unit.squares;
        }
        let near = self.region(units, u32::MAX).1 / f64::from(self.most);
        if players < 2.0 {
            return Some(near * weight);
        }
        let squared = (2.0 * (squares - sum * sum / players) / (players - 1.0)).max(0.0);
        Some(near * openness(squared, 0.0, 1.0) * weight)
    }

    /// The best of these regions, and the sum of all players' nearness to it.
    fn region(&self, units: &[u32], allowed: u32) -> (Option<u8>, f64) {
        if self.regions == 0 {
            let players = units
                .iter()
                .map(|&u| f64::from(self.units[u as usize].players));
            return (None, players.sum());
        }
        let mut best = (None, f64::NEG_INFINITY);
        for region in 0..self.regions {
            if allowed & 1 << region == 0 {
                continue;
            }
            let near = |&unit: &u32| self.near[unit as usize * self.regions + region];
            let near = units.iter().map(near).sum();
            if near > best.1 {
                best = (Some(region as u8), near);
            }
        }
        best
    }

    /// The most that a unit can be worth in a match, with the weight of one player.
    pub(crate) fn best_near(&self, unit: u32) -> f64 {
        if self.regions == 0 {
            return 1.0;
        }
        let own = &self.units[unit as usize];
        let home = unit as usize * self.regions + usize::from(own.home);
        self.near[home] / f64::from(own.players)
    }

    fn attributes_fit(&self, units: &[u32]) -> bool {
        for rule in 0..self.overlaps {
            let values = |&unit: &u32| self.values[unit as usize * self.overlaps + rule];
            if units.iter().fold(u64::MAX, |all, unit| all & values(unit)) == 0 {
                return false;
            }
        }
        for rule in 0..self.withins {
            let number = |&unit: &u32| self.numbers[unit as usize * self.withins + rule];
            let values = units.iter().filter_map(|unit| number(unit).value);
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
            let fits = |unit: &u32| {
                let Number { value, limit } = number(unit);
                value.is_none_or(|value| high - value <= limit && value - low <= limit)
            };
            if !units.iter().all(fits) {
                return false;
            }
        }
        true
    }

    /// Whether a unit's skill is within reach of another's, which comes before it, if there is one.
    pub(crate) fn near_enough(&self, first: Option<&u32>, unit: u32) -> bool {
        first.is_none_or(|&first| {
            let (first, unit) = (&self.units[first as usize], &self.units[unit as usize]);
            unit.skill - first.skill < first.tolerance.min(unit.tolerance)
        })
    }

    /// The match of these units, which are in ascending order.
    pub(crate) fn proposal(&self, units: &[u32], score: &Score) -> ProposedMatch {
        let mut oldest_first: Vec<usize> = (0..units.len()).collect();
        let unit = |place: usize| &self.units[units[place] as usize];
        oldest_first.sort_by_key(|&place| unit(place).rank);
        let sizes = &self.sizes[usize::from(score.players)];
        let alone = self.rules.team_count() == 0;
        let mut teams: Vec<Vec<ProposedSlot>> = vec![Vec::new(); sizes.len()];
        let (mut wait, mut latency, mut measured) = (0.0, 0.0, 0usize);
        let region = score.region.map(usize::from);
        let regions = self.rules.latency.as_ref().map(|rule| &rule.regions);
        let region = region.and_then(|index| regions?.get(index));
        for place in &oldest_first {
            let group = self.groups[units[*place] as usize];
            let team = score.dealt.teams[*place];
            teams[usize::from(team)].extend(group.members.iter().map(|member| ProposedSlot {
                ticket_id: member.ticket_id,
                player_id: member.player_id,
                team: (!alone).then_some(team),
            }));
            let players = group.members.len();
            wait += players as f64 * group.waited(self.now).as_secs_f64();
            if let Some(ms) = region.and_then(|region| group.latency_ms.get(region)) {
                latency += players as f64 * f64::from(*ms);
                measured += players;
            }
        }
        // One of each team by turns, so that also the first slots are of all teams.
        let longest = teams.iter().map(Vec::len).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|turn| teams.iter().filter_map(move |t| t.get(turn)));
        ProposedMatch {
            slots: turns.copied().collect(),
            groups: oldest_first
                .iter()
                .map(|&p| self.groups[units[p] as usize].id)
                .collect(),
            region: region.cloned(),
            quality: Quality {
                spread: score.squared.sqrt() / points(self.rules),
                imbalance: score.dealt.imbalance,
                wait: wait / f64::from(score.players),
                latency: latency / measured.max(1) as f64,
                value: score.value,
                weight: score.weight,
            },
        }
    }
}
