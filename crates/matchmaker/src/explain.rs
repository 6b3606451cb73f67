//! Why somebody still waits.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::pool::{chosen, finite};
use crate::{AttributeKind, AttributeValue, Group, Rules};

/// Those who wait in one mode. Made once after each pass, and asked for each of them.
#[derive(Clone, Debug)]
pub struct Queue {
    rules: Rules,
    /// By age.
    groups: Vec<Waiting>,
    places: HashMap<Uuid, u32>,
    /// All players, and those who gave no code.
    players: u32,
    open_players: u32,
}

/// A group, as far as others care.
#[derive(Clone, Debug)]
struct Waiting {
    queued_at: DateTime<Utc>,
    players: u8,
    /// 0: none.
    code: u32,
    skill: f64,
    /// By region, in milliseconds. Empty where none was measured.
    latency: Box<[Option<u32>]>,
    /// By rule.
    attributes: Box<[Attribute]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Attribute {
    /// A number for each value; 0: none.
    Equal(u32),
    Overlap(u64),
    Within(Option<f64>),
}

impl Queue {
    /// Looks at those who wait.
    pub fn new(groups: &[Group], rules: &Rules) -> Self {
        let mut sorted: Vec<&Group> = groups.iter().collect();
        sorted.sort_by_key(|g| (g.queued_at, g.id));
        let mut codes: BTreeMap<&str, u32> = BTreeMap::new();
        let mut values: BTreeMap<(usize, String), u32> = BTreeMap::new();
        let mut queue = Self {
            rules: rules.clone(),
            groups: Vec::with_capacity(sorted.len()),
            places: HashMap::with_capacity(sorted.len()),
            players: 0,
            open_players: 0,
        };
        for group in sorted {
            let code = group.code.as_deref().map_or(0, |code| {
                let next = codes.len() as u32 + 1;
                *codes.entry(code).or_insert(next)
            });
            let players = u8::try_from(group.members.len()).unwrap_or(u8::MAX);
            let attribute = |(index, rule): (usize, &crate::AttributeRule)| {
                let value = group.attributes.get(&rule.name);
                match &rule.kind {
                    AttributeKind::Equal => Attribute::Equal(spelt(value).map_or(0, |value| {
                        let next = values.len() as u32 + 1;
                        *values.entry((index, value)).or_insert(next)
                    })),
                    AttributeKind::Overlap { values } => Attribute::Overlap(chosen(values, value)),
                    AttributeKind::Within { .. } => Attribute::Within(match value {
                        Some(AttributeValue::Number(number)) => Some(finite(*number)),
                        _ => None,
                    }),
                }
            };
            let latency = rules.latency.iter().flat_map(|l| &l.regions);
            let latency: Vec<Option<u32>> =
                latency.map(|r| group.latency_ms.get(r).copied()).collect();
            let measured = latency.iter().any(Option::is_some);
            queue.places.insert(group.id, queue.groups.len() as u32);
            queue.groups.push(Waiting {
                queued_at: group.queued_at,
                players,
                code,
                skill: rules.skill_of(group),
                latency: if measured {
                    latency.into()
                } else {
                    Box::default()
                },
                attributes: rules.attributes.iter().enumerate().map(attribute).collect(),
            });
            queue.players += u32::from(players);
            if code == 0 {
                queue.open_players += u32::from(players);
            }
        }
        queue
    }

    /// Why a group still waits; none where it is not among those who wait.
    ///
    /// Where more than 2,000 groups wait, as many are looked at, evenly spread by age, and the
    /// numbers are estimates. Those who gave a code count only for others who gave one.
    pub fn explain(&self, group: Uuid, now: DateTime<Utc>) -> Option<Explanation> {
        let place = *self.places.get(&group)? as usize;
        let own = &self.groups[place];
        let waited = own.waited(now);
        let open = own.code == 0;
        let counted = if open {
            self.open_players
        } else {
            self.players
        };
        let others = counted.saturating_sub(u32::from(own.players));

        let stride = self.groups.len().div_ceil(MAX_LOOKS).max(1);
        let mut seen = 0u32;
        let mut fitting = 0u32;
        let mut excluded = vec![0u32; FIXED_RULES.len() + self.rules.attributes.len()];
        for (index, other) in self.groups.iter().enumerate().step_by(stride) {
            if index == place || (open && other.code != 0) {
                continue;
            }
            let players = u32::from(other.players);
            seen += players;
            if self.exclude(own, other, now, &mut excluded) {
                fitting += players;
            }
        }
        let scale = |players: u32| {
            let estimate = f64::from(players) * f64::from(others) / f64::from(seen.max(1));
            (estimate.round() as u32).min(others)
        };
        let most = excluded.iter().copied().enumerate();
        let most = most.max_by_key(|&(rule, players)| (players, usize::MAX - rule));
        let excluded_by = most.filter(|(_, players)| *players > 0);
        let skill = self.rules.skill.as_ref().filter(|_| open);
        Some(Explanation {
            tolerance: skill.and_then(|rule| bounded(rule.tolerance.at(waited))),
            next_widening: self.next_widening(open, waited),
            players_waiting: others,
            players_fitting: scale(fitting),
            excluded_by: excluded_by.map(|(rule, players)| Exclusion {
                rule: self.rule_name(rule),
                players: scale(players),
            }),
            estimated: stride > 1,
        })
    }

    /// Counts the other's players for each rule that keeps the two apart; answers whether none does.
    fn exclude(
        &self,
        own: &Waiting,
        other: &Waiting,
        now: DateTime<Utc>,
        counts: &mut [u32],
    ) -> bool {
        let rules = &self.rules;
        let mut fits = true;
        let mut count = |rule: usize| {
            counts[rule] += u32::from(other.players);
            fits = false;
        };
        if own.code != other.code {
            count(CODE);
            return false;
        }
        let together = usize::from(own.players) + usize::from(other.players);
        let largest = rules.largest_party().max(u8::from(own.code != 0));
        let most = rules.players.max.max(if own.code != 0 { 2 } else { 1 });
        if together > usize::from(most) || own.players.max(other.players) > largest {
            count(PARTY);
        }
        if own.code != 0 {
            return fits;
        }
        let waited = [own.waited(now), other.waited(now)];
        if let Some(rule) = &rules.skill {
            let limit = rule
                .tolerance
                .at(waited[0])
                .min(rule.tolerance.at(waited[1]));
            if (own.skill - other.skill).abs() >= limit {
                count(SKILL);
            }
        }
        if let Some(rule) = &rules.latency {
            let limits = waited.map(|waited| rule.max_ms.at(waited));
            let within = |group: &Waiting, limit: f64, region: usize| {
                let measured = group.latency.get(region);
                measured.is_none_or(|ms| ms.is_some_and(|ms| f64::from(ms) <= limit))
            };
            let common = (0..rule.regions.len())
                .any(|r| within(own, limits[0], r) && within(other, limits[1], r));
            if !common {
                count(LATENCY);
            }
        }
        let values = own.attributes.iter().zip(&other.attributes);
        for (index, (rule, values)) in rules.attributes.iter().zip(values).enumerate() {
            let fits = match (&rule.kind, values) {
                (_, (Attribute::Equal(a), Attribute::Equal(b))) => a == b,
                (_, (Attribute::Overlap(a), Attribute::Overlap(b))) => a & b != 0,
                (
                    AttributeKind::Within { steps },
                    (Attribute::Within(Some(a)), Attribute::Within(Some(b))),
                ) => (a - b).abs() <= steps.at(waited[0]).min(steps.at(waited[1])),
                _ => true,
            };
            if !fits {
                count(FIXED_RULES.len() + index);
            }
        }
        fits
    }

    fn next_widening(&self, open: bool, waited: Duration) -> Option<Widening> {
        let limits = self.rules.limits().filter(|_| open);
        let limits = limits.filter_map(|(rule, steps)| {
            let (after, to) = steps.next(waited)?;
            let tolerance = bounded(to);
            Some(Widening {
                rule,
                after,
                tolerance,
            })
        });
        let players = self.rules.players;
        let after = players.fewer_after.saturating_sub(waited);
        let fewer = (players.min < players.max && !after.is_zero()).then(|| Widening {
            rule: "players".to_owned(),
            after,
            tolerance: Some(f64::from(players.min)),
        });
        limits.chain(fewer).min_by_key(|widening| widening.after)
    }

    fn rule_name(&self, rule: usize) -> String {
        match FIXED_RULES.get(rule) {
            Some(name) => (*name).to_owned(),
            None => {
                let rule = self.rules.attributes.get(rule - FIXED_RULES.len());
                format!("attributes.{}", rule.map_or("", |rule| rule.name.as_str()))
            }
        }
    }
}

impl Waiting {
    fn waited(&self, now: DateTime<Utc>) -> Duration {
        (now - self.queued_at).to_std().unwrap_or_default()
    }
}

/// Why somebody still waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// How far in skill others may be now; none: any.
    pub tolerance: Option<f64>,
    /// What widens next; none: nothing more.
    pub next_widening: Option<Widening>,
    /// How many other players wait in this mode.
    pub players_waiting: u32,
    /// How many of them could be met now, by themselves.
    pub players_fitting: u32,
    /// The rule that keeps most of the others away; none where none does. Others may keep the same
    /// players away as well.
    pub excluded_by: Option<Exclusion>,
    /// Whether the numbers are estimates, as they are where very many wait.
    pub estimated: bool,
}

/// What widens next.
#[derive(Clone, Debug, PartialEq)]
pub struct Widening {
    /// Which rule: `skill`, `latency`, `balance`, `players` or `attributes.NAME`.
    pub rule: String,
    /// In how long.
    pub after: Duration,
    /// The rule's limit then, of `players` the fewest; none: any.
    pub tolerance: Option<f64>,
}

/// A rule that keeps others away.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// Which rule: `skill`, `latency`, `party`, `code` or `attributes.NAME`.
    pub rule: String,
    /// How many players it keeps away.
    pub players: u32,
}

fn bounded(limit: f64) -> Option<f64> {
    limit.is_finite().then_some(limit)
}

/// Values that are the same are spelt the same, and no others.
fn spelt(value: Option<&AttributeValue>) -> Option<String> {
    match value? {
        AttributeValue::Number(number) => Some(format!("{:x}", (number + 0.0).to_bits())),
        AttributeValue::Text(text) => Some(format!("\"{text}")),
        AttributeValue::Texts(_) => None,
    }
}

/// Groups that are looked at for one answer: some 20 µs, and numbers that are right to a few
/// hundredths.
const MAX_LOOKS: usize = 2_000;
/// Rules that every mode may have, in the order in which equals are named.
const FIXED_RULES: [&str; 4] = ["code", "party", "skill", "latency"];
const CODE: usize = 0;
const PARTY: usize = 1;
const SKILL: usize = 2;
const LATENCY: usize = 3;
