//! Who takes free slots in matches that run.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::pool::{chosen, finite};
use crate::quality::{nearness, openness, points, weight};
use crate::{AttributeKind, AttributeValue, Group, Rating, Rules};

/// Finds players for free slots, the oldest slot first: of those whom every rule allows to join the
/// ones who play, the one for whom the match is worth most ([`crate::Quality::value`]), by how long
/// they have waited. Limits are those of the one who comes, since those who play wait no longer.
///
/// Those who are used are not to be given to [`crate::match_batch`]. Only players who wait alone and
/// without a code are; of very many, those closest in skill and those who have waited longest.
pub fn fill(
    openings: &[Opening],
    groups: &[Group],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Vec<Filled> {
    let mut openings: Vec<&Opening> = openings.iter().collect();
    openings.sort_by_key(|o| (o.opened_at, o.match_id, o.slot));
    openings.dedup_by_key(|o| (o.match_id, o.slot));
    openings.truncate(MAX_OPENINGS);
    let mut waiting = Waiting::new(groups, rules, now);
    let mut playing: BTreeMap<Uuid, Vec<Playing>> = BTreeMap::new();
    let mut filled = Vec::new();
    for opening in openings {
        let players = playing
            .entry(opening.match_id)
            .or_insert_with(|| opening.players.clone());
        let Some((index, group)) = waiting.best(opening, players) else {
            continue;
        };
        waiting.used[index] = true;
        let Some(member) = group.members.first() else {
            continue;
        };
        // Whoever takes the next slot plays with this one as well.
        players.push(Playing {
            team: opening.team,
            skill: member.skill,
            rating: member.rating,
            attributes: group.attributes.clone(),
        });
        filled.push(Filled {
            match_id: opening.match_id,
            slot: opening.slot,
            ticket_id: member.ticket_id,
            player_id: member.player_id,
            group: group.id,
        });
    }
    filled
}

/// A free slot in a match that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// The match.
    pub match_id: Uuid,
    /// The slot.
    pub slot: u8,
    /// The slot's team, where there are teams.
    pub team: Option<u8>,
    /// Since when it is free.
    pub opened_at: DateTime<Utc>,
    /// Who plays there now.
    pub players: Vec<Playing>,
    /// The match's region, where it has one.
    pub region: Option<String>,
}

/// Somebody who plays in a match that has a free slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Playing {
    /// The team, where there are teams.
    pub team: Option<u8>,
    /// The skill, by [`crate::SkillRule::source`].
    pub skill: f64,
    /// The rating.
    pub rating: Rating,
    /// Those of the ticket that brought the player there.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// A player for a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The match.
    pub match_id: Uuid,
    /// The slot.
    pub slot: u8,
    /// The ticket that brought the player here.
    pub ticket_id: Uuid,
    /// Who is to play.
    pub player_id: Uuid,
    /// The player's group.
    pub group: Uuid,
}

/// Players who wait alone.
struct Waiting<'a> {
    rules: &'a Rules,
    now: DateTime<Utc>,
    /// By skill.
    groups: Vec<(f64, &'a Group)>,
    /// The same by age: places in `groups`.
    oldest: Vec<usize>,
    used: Vec<bool>,
}

impl<'a> Waiting<'a> {
    fn new(groups: &'a [Group], rules: &'a Rules, now: DateTime<Utc>) -> Self {
        let alone = |g: &&Group| g.queued_at <= now && g.code.is_none() && g.members.len() == 1;
        let mut by_age: Vec<&Group> = groups.iter().filter(alone).collect();
        let since = |g: &Group| {
            let head_start = chrono::TimeDelta::from_std(g.head_start(rules)).unwrap_or_default();
            g.queued_at.checked_sub_signed(head_start)
        };
        by_age.sort_by_cached_key(|g| (since(g), g.id));
        let mut seen = HashSet::new();
        by_age.retain(|g| g.members.iter().all(|m| seen.insert(m.player_id)));
        let ages: BTreeMap<Uuid, usize> = by_age.iter().map(|g| g.id).zip(0..).collect();
        let mut groups: Vec<(f64, &Group)> =
            by_age.into_iter().map(|g| (rules.skill_of(g), g)).collect();
        groups.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
        let mut oldest: Vec<usize> = (0..groups.len()).collect();
        oldest.sort_by_key(|&index| ages.get(&groups[index].1.id));
        let used = vec![false; groups.len()];
        Self {
            rules,
            now,
            groups,
            oldest,
            used,
        }
    }

    /// The best for a slot beside these players.
    fn best(&self, opening: &Opening, players: &[Playing]) -> Option<(usize, &'a Group)> {
        let count = players.len().max(1) as f64;
        let middle = players.iter().map(|p| finite(p.skill)).sum::<f64>() / count;
        let mut above = self.groups.partition_point(|(skill, _)| *skill < middle);
        let mut below = above;
        let mut candidates = Vec::with_capacity(LOOKS + OLDEST);
        while candidates.len() < LOOKS && (below > 0 || above < self.groups.len()) {
            let distance = |index: usize| (self.groups[index].0 - middle).abs();
            let upwards =
                above < self.groups.len() && (below == 0 || distance(above) <= distance(below - 1));
            let next = if upwards { above } else { below - 1 };
            (below, above) = if upwards {
                (below, above + 1)
            } else {
                (below - 1, above)
            };
            if !self.used[next] {
                candidates.push(next);
            }
        }
        let free = |index: &usize| !self.used[*index];
        candidates.extend(self.oldest.iter().copied().filter(free).take(OLDEST));
        let mut best: Option<(Worth, usize)> = None;
        for index in candidates {
            if let Some(worth) = self.worth(self.groups[index], opening, players) {
                // Of equals the one who has less skill, then the smaller id: the order of `groups`.
                let better = best
                    .is_none_or(|(most, first)| worth > most || (worth == most && index < first));
                if better {
                    best = Some((worth, index));
                }
            }
        }
        best.map(|(_, index)| (index, self.groups[index].1))
    }

    /// What it is worth that a player joins the match. None where a rule is against it.
    fn worth(
        &self,
        (skill, group): (f64, &Group),
        opening: &Opening,
        players: &[Playing],
    ) -> Option<Worth> {
        let rules = self.rules;
        let waited = group.waited(self.now);
        if let Some(rule) = &rules.skill {
            let tolerance = rule.tolerance.at(waited);
            let apart = |p: &Playing| (finite(p.skill) - skill).abs();
            if players.iter().any(|p| apart(p) >= tolerance) {
                return None;
            }
        }
        let mut near = 1.0;
        if let (Some(rule), Some(region)) = (&rules.latency, &opening.region) {
            let measured = rule
                .regions
                .iter()
                .any(|r| group.latency_ms.contains_key(r));
            if measured {
                let ms = f64::from(*group.latency_ms.get(region)?);
                if ms > rule.max_ms.at(waited) {
                    return None;
                }
                near = nearness(ms);
            }
        }
        if !self.attributes_fit(group, players) {
            return None;
        }
        let rating = group.members.first()?.rating.value;
        let (before, _) = imbalance(players.iter().map(|p| (p.team, p.rating.value)));
        let joined = players.iter().map(|p| (p.team, p.rating.value));
        let (imbalance, teams) = imbalance(joined.chain([(opening.team, rating)]));
        let limit = rules.balance.as_ref().map(|balance| balance.at(waited));
        let balanced = limit.is_none_or(|limit| imbalance <= limit);
        // A match that is out of balance already may at least become better.
        if !balanced && imbalance >= before {
            return None;
        }
        let points = points(rules);
        let apart = players.iter().map(|p| (finite(p.skill) - skill) * points);
        let squares: f64 = apart.map(|apart| apart * apart).sum();
        let squared = squares / players.len().max(1) as f64;
        let team_players = (players.len() + 1) as f64 / teams.max(1) as f64;
        let counted = (waited + group.head_start(rules)).as_secs_f64();
        let value = near * openness(squared, imbalance, team_players);
        Some(Worth(balanced, value * weight(counted)))
    }

    fn attributes_fit(&self, group: &Group, players: &[Playing]) -> bool {
        let waited = group.waited(self.now);
        self.rules.attributes.iter().all(|rule| {
            let own = group.attributes.get(&rule.name);
            let mut others = players.iter().map(|p| p.attributes.get(&rule.name));
            match &rule.kind {
                AttributeKind::Equal => others.all(|other| other == own),
                AttributeKind::Overlap { values } => {
                    let common = others.map(|other| chosen(values, other));
                    let common = common.fold(u64::MAX, |all, set| all & set);
                    // Players who have nothing in common play already; nobody makes that worse.
                    common == 0 || common & chosen(values, own) != 0
                }
                AttributeKind::Within { steps } => {
                    let Some(AttributeValue::Number(own)) = own else {
                        return true;
                    };
                    let limit = steps.at(waited);
                    others.all(|other| match other {
                        Some(AttributeValue::Number(other)) => {
                            (finite(*own) - finite(*other)).abs() <= limit
                        }
                        _ => true,
                    })
                }
            }
        })
    }
}

/// Whether the teams are in balance, and the match's value by waiting.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Worth(bool, f64);

/// The most that the mean ratings of two teams differ, and how many teams there are.
fn imbalance(players: impl Iterator<Item = (Option<u8>, f64)>) -> (f64, usize) {
    let mut teams: BTreeMap<u8, (f64, f64)> = BTreeMap::new();
    for (team, rating) in players {
        if let Some(team) = team {
            let (sum, count) = teams.entry(team).or_default();
            *sum += finite(rating);
            *count += 1.0;
        }
    }
    let means = || teams.values().map(|(sum, count)| sum / count);
    let low = means().fold(f64::INFINITY, f64::min);
    let high = means().fold(f64::NEG_INFINITY, f64::max);
    ((high - low).max(0.0), teams.len())
}

/// Openings that are looked at in one pass, the oldest; the next pass takes the others.
const MAX_OPENINGS: usize = 1_000;
/// Players closest in skill that are looked at for each slot, so that a thousand slots cost as much
/// as the matches of a pass …
const LOOKS: usize = 256;
/// … and those who have waited longest beside them.
const OLDEST: usize = 64;
