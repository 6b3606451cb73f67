//! Groups that could meet, made ready for being looked at a few hundred times each: numbers in
//! place of maps, sets of bits in place of lists.

mod draft;
mod score;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(crate) use draft::Draft;
pub(crate) use score::Score;

use crate::quality::{nearness, points, weight};
use crate::teams::{self, SLOTS};
use crate::{
    AttributeKind, AttributeValue, Group, PartySkill, ProposedMatch, Rating, Rules, Steps,
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
