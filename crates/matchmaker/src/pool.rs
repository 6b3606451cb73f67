//! Groups that could meet, made ready for being looked at a few hundred times each: numbers in
//! place of maps, sets of bits in place of lists.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::quality::{nearness, negligible_imbalance, openness, points, weight};
use crate::teams::{self, Dealt, SLOTS, Share};
use crate::{
    AttributeKind, AttributeValue, Group, PartySkill, ProposedMatch, ProposedSlot, Quality, Rating,
    Rules, Steps,
};

/// Those of a mode's groups that have the same code, or none, and are equal in all that has to be.
pub(crate) struct Pool<'a> {
    rules: &'a Rules,
    now: DateTime<Utc>,
    /// By skill, then by id.
    pub(crate) groups: Vec<&'a Group>,
    /// What counts of each group, in the same order.
    pub(crate) units: Vec<Unit>,
    /// Whether only the sizes of matches and parties are rules here.
    pub(crate) private: bool,
    /// Fewest players of a match.
    pub(crate) least: u8,
    /// Most players of a match.
    pub(crate) most: u8,
    /// Team sizes of a match, by its players.
    sizes: Vec<Vec<u8>>,
    /// Whether there are parties at all.
    pub(crate) parties: bool,
    regions: usize,
    /// Of each unit, its players' nearness to each region.
    near: Vec<f64>,
    overlaps: usize,
    /// Of each unit, the values that it takes of each attribute that overlaps.
    values: Vec<u64>,
    withins: usize,
    /// Of each unit, the number and the limit of each attribute that has one.
    numbers: Vec<Number>,
}

/// A group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// How many players.
    pub(crate) players: u8,
    /// Whether it plays in a match that is not full.
    pub(crate) fewer: bool,
    /// Whether none of its limits widens any more.
    pub(crate) widest: bool,
    /// Whether it fits into a team.
    pub(crate) fits: bool,
    /// The regions that are within its limit.
    pub(crate) regions: u32,
    /// The best of these for it.
    pub(crate) home: u8,
    /// Its skill, as tolerances compare it.
    pub(crate) skill: f64,
    /// How far others' skill has to be below.
    pub(crate) tolerance: f64,
    /// How far teams may be out of balance.
    balance: f64,
    /// How much its players count, all together.
    pub(crate) weight: f64,
    /// Its place by age, head start included; 0 is the oldest.
    pub(crate) rank: u32,
    /// Sums over its players: skills and their squares, and ratings, all in points from the middle.
    sum: f64,
    squares: f64,
    rating: f64,
}

#[derive(Clone, Copy, Debug)]
struct Number {
    /// None takes any.
    value: Option<f64>,
    limit: f64,
}

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

/// Puts those apart who can never meet, and leaves out who cannot be matched: groups from the
/// future, of nobody, and with a player or under an id that an older group has. Of what is left,
/// nothing depends on the order in which groups come.
pub(crate) fn pools<'a>(
    groups: &'a [Group],
    rules: &'a Rules,
    now: DateTime<Utc>,
) -> Vec<Pool<'a>> {
    let counted = |g: &&Group| {
        let members = 1..=SLOTS;
        g.queued_at <= now && members.contains(&g.members.len())
    };
    let mut waiting: Vec<(Age, &Group)> = groups
        .iter()
        .filter(counted)
        .map(|g| (Age::of(g, rules), g))
        .collect();
    // Two groups of one id have different members, unless they are the same.
    waiting.sort_by_cached_key(|(age, g)| (*age, g.members.first().map(|m| m.ticket_id)));
    let mut seen: HashSet<Uuid> = HashSet::with_capacity(waiting.len() * 2);
    let mut ids: HashSet<Uuid> = HashSet::with_capacity(waiting.len());
    waiting.retain(|(_, group)| {
        let mut players = group.members.iter().map(|m| m.player_id);
        if ids.contains(&group.id) || players.any(|p| seen.contains(&p)) {
            return false;
        }
        // A player twice in one group counts as one from before.
        let players = group.members.iter().map(|m| m.player_id);
        let new = players.filter(|p| seen.insert(*p)).count();
        ids.insert(group.id);
        new == group.members.len()
    });
    let mut classes: BTreeMap<Class<'a>, Vec<(u32, &'a Group)>> = BTreeMap::new();
    for (rank, (_, group)) in (0u32..).zip(waiting) {
        classes
            .entry(class(group, rules))
            .or_default()
            .push((rank, group));
    }
    let pool = |groups: Vec<(u32, &'a Group)>| Pool::new(groups, rules, now);
    classes.into_values().map(pool).collect()
}

/// Since when a group counts as waiting, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age(DateTime<Utc>, Uuid);

impl Age {
    fn of(group: &Group, rules: &Rules) -> Self {
        let since = group.queued_at.checked_sub_signed(head_start(group, rules));
        Self(since.unwrap_or(DateTime::<Utc>::MIN_UTC), group.id)
    }
}

fn head_start(group: &Group, rules: &Rules) -> chrono::TimeDelta {
    let head_start = group.head_start(rules);
    chrono::TimeDelta::from_std(head_start).unwrap_or(chrono::TimeDelta::zero())
}

/// What has to be equal: the code, and without one the attributes that the rules name so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class<'a>(Option<&'a str>, Vec<Option<Value<'a>>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    Number(u64),
    Text(&'a str),
}

pub(crate) fn class<'a>(group: &'a Group, rules: &Rules) -> Class<'a> {
    if let Some(code) = &group.code {
        return Class(Some(code), Vec::new());
    }
    let equal = rules
        .attributes
        .iter()
        .filter(|a| a.kind == AttributeKind::Equal);
    let value = |name: &String| match group.attributes.get(name)? {
        // Zero has two signs.
        AttributeValue::Number(number) => Some(Value::Number((number + 0.0).to_bits())),
        AttributeValue::Text(text) => Some(Value::Text(text)),
        AttributeValue::Texts(_) => None,
    };
    Class(None, equal.map(|a| value(&a.name)).collect())
}

impl<'a> Pool<'a> {
    fn new(ranked: Vec<(u32, &'a Group)>, rules: &'a Rules, now: DateTime<Utc>) -> Self {
        let private = ranked.first().is_some_and(|(_, g)| g.code.is_some());
        // Who gives a code waits for a friend, also where the game can be played alone.
        let least = rules.players.min.max(if private { 2 } else { 1 });
        let most = rules.players.max.clamp(least, SLOTS as u8);
        let sizes: Vec<Vec<u8>> = (0..=most).map(|n| teams::sizes(&rules.teams, n)).collect();
        let largest = sizes[usize::from(most)].iter().copied().max().unwrap_or(0);

        let mut sorted: Vec<(f64, u32, &Group)> = ranked
            .into_iter()
            .map(|(rank, g)| (rules.skill_of(g), rank, g))
            .collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.id.cmp(&b.2.id)));

        let regions = rules
            .latency
            .as_ref()
            .map_or(0, |l| l.regions.len().min(32));
        let overlap = |a: &&crate::AttributeRule| matches!(a.kind, AttributeKind::Overlap { .. });
        let within = |a: &&crate::AttributeRule| matches!(a.kind, AttributeKind::Within { .. });
        let mut pool = Self {
            rules,
            now,
            groups: Vec::with_capacity(sorted.len()),
            units: Vec::with_capacity(sorted.len()),
            private,
            least,
            most,
            sizes,
            parties: sorted.iter().any(|(_, _, g)| g.members.len() > 1),
            regions,
            near: Vec::with_capacity(sorted.len() * regions),
            overlaps: rules.attributes.iter().filter(overlap).count(),
            values: Vec::new(),
            withins: rules.attributes.iter().filter(within).count(),
            numbers: Vec::new(),
        };
        let widest_after = match private {
            true if least < most => rules.players.fewer_after,
            true => Duration::ZERO,
            false => rules.widest_after(),
        };
        let points = points(rules);
        for (skill, rank, group) in sorted {
            pool.add(group, skill, rank, (widest_after, points), largest);
        }
        pool
    }

    fn add(
        &mut self,
        group: &'a Group,
        skill: f64,
        rank: u32,
        (widest_after, points): (Duration, f64),
        largest: u8,
    ) {
        let rules = self.rules;
        let waited = group.waited(self.now);
        let limit = |steps: Option<&Steps>| {
            let steps = steps.filter(|_| !self.private);
            steps.map_or(f64::INFINITY, |steps| steps.at(waited))
        };
        let players = group.members.len() as u8;
        let mut unit = Unit {
            players,
            fewer: waited >= rules.players.fewer_after,
            widest: waited >= widest_after,
            fits: players <= largest,
            regions: u32::MAX,
            home: 0,
            skill,
            tolerance: limit(rules.skill.as_ref().map(|s| &s.tolerance)),
            balance: limit(rules.balance.as_ref()),
            weight: rules.weight_of(group, self.now),
            rank,
            sum: 0.0,
            squares: 0.0,
            rating: 0.0,
        };
        let middle = Rating::default().value;
        for member in &group.members {
            let skill = (finite(member.skill) - middle) * points;
            unit.sum += skill;
            unit.squares += skill * skill;
            unit.rating += finite(member.rating.value) - middle;
        }
        if let Some(rule) = &rules.latency {
            let most = limit(Some(&rule.max_ms));
            let measured = rule
                .regions
                .iter()
                .any(|r| group.latency_ms.contains_key(r));
            let mut best = f64::NEG_INFINITY;
            unit.regions = 0;
            for (index, region) in rule.regions.iter().take(32).enumerate() {
                let ms = match group.latency_ms.get(region) {
                    Some(ms) => f64::from(*ms),
                    // Friends play wherever they like to, and better where they know how.
                    None if measured && self.private => FAR_MS,
                    None if measured => f64::INFINITY,
                    None => 0.0,
                };
                let near = nearness(ms);
                if ms <= most && ms.is_finite() {
                    unit.regions |= 1 << index;
                    if near > best {
                        (best, unit.home) = (near, index as u8);
                    }
                }
                self.near.push(f64::from(players) * near);
            }
        }
        for rule in &rules.attributes {
            let value = group.attributes.get(&rule.name);
            match &rule.kind {
                AttributeKind::Equal => {}
                AttributeKind::Overlap { values } => self.values.push(chosen(values, value)),
                AttributeKind::Within { steps } => self.numbers.push(Number {
                    value: match value {
                        Some(AttributeValue::Number(number)) => Some(finite(*number)),
                        _ => None,
                    },
                    limit: limit(Some(steps)),
                }),
            }
        }
        self.groups.push(group);
        self.units.push(unit);
    }

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

impl Rules {
    /// The best match of exactly these groups at `now`: the fairest teams and the nearest region.
    /// None where a rule is against it. Of more than ten players, the teams may be found wanting
    /// where others would do.
    pub fn propose(&self, groups: &[&Group], now: DateTime<Utc>) -> Option<ProposedMatch> {
        let groups: Vec<Group> = groups.iter().map(|g| (*g).clone()).collect();
        let pools = pools(&groups, self, now);
        let [pool] = pools.as_slice() else {
            return None;
        };
        if pool.units.len() != groups.len() || pool.units.len() > SLOTS {
            return None;
        }
        let units: Vec<u32> = (0..pool.units.len() as u32).collect();
        let score = pool.score(&units, 0.0)?;
        Some(pool.proposal(&units, &score))
    }

    /// How much a group's players count at `now`, all together: see [`Quality::weight`].
    pub fn weight_of(&self, group: &Group, now: DateTime<Utc>) -> f64 {
        let counted = group.waited(now) + group.head_start(self);
        group.members.len() as f64 * weight(counted.as_secs_f64())
    }

    /// A group's skill, as tolerances compare it.
    pub fn skill_of(&self, group: &Group) -> f64 {
        let skills = group.members.iter().map(|m| finite(m.skill));
        match self.skill.as_ref().map(|rule| rule.party) {
            Some(PartySkill::Maximum) => skills.fold(f64::NEG_INFINITY, f64::max),
            _ => skills.sum::<f64>() / group.members.len().max(1) as f64,
        }
    }
}

/// The values that a group takes, as bits.
pub(crate) fn chosen(values: &[String], value: Option<&AttributeValue>) -> u64 {
    let texts = match value {
        None => return u64::MAX,
        Some(AttributeValue::Texts(texts)) => texts.as_slice(),
        Some(AttributeValue::Text(text)) => std::slice::from_ref(text),
        Some(AttributeValue::Number(_)) => &[],
    };
    let bit = |text: &String| values.iter().take(64).position(|v| v == text);
    texts
        .iter()
        .filter_map(bit)
        .fold(0, |set, bit| set | 1 << bit)
}

/// What is no number would be compared with nothing; the store holds none.
pub(crate) fn finite(number: f64) -> f64 {
    if number.is_finite() {
        number
    } else {
        Rating::default().value
    }
}

/// In milliseconds: what a round trip is held to be that could have been measured and was not.
const FAR_MS: f64 = 1_000.0;
