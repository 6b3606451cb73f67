//! Says of a match whether it keeps all rules, without anything of what makes matches.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_matchmaker::{
    AttributeKind, AttributeValue, Group, PartySkill, ProposedMatch, Quality, Rules, Teams, Who,
};
use uuid::Uuid;

/// What is wrong with these matches; nothing where they keep all rules.
pub(crate) fn faults(
    matches: &[ProposedMatch],
    groups: &[Group],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for proposed in matches {
        let find = |id: &Uuid| groups.iter().find(|g| g.id == *id);
        let playing: Vec<&Group> = proposed.groups.iter().filter_map(find).collect();
        if playing.len() != proposed.groups.len() {
            faults.push("a group that does not wait".to_owned());
        }
        let slots: BTreeSet<(Uuid, Uuid)> = proposed
            .slots
            .iter()
            .map(|s| (s.ticket_id, s.player_id))
            .collect();
        let members = playing.iter().flat_map(|g| &g.members);
        let members: BTreeSet<(Uuid, Uuid)> = members.map(|m| (m.ticket_id, m.player_id)).collect();
        if slots != members || slots.len() != proposed.slots.len() {
            faults.push("other players than the groups'".to_owned());
        }
        for slot in &proposed.slots {
            if !seen.insert(slot.ticket_id) || !seen.insert(slot.player_id) {
                faults.push(format!("{} plays twice", slot.player_id));
            }
        }
        let teams: BTreeMap<Uuid, Option<u8>> = proposed
            .slots
            .iter()
            .map(|s| (s.ticket_id, s.team))
            .collect();
        let mut team_of = Vec::new();
        for group in &playing {
            let teams: BTreeSet<Option<u8>> =
                group.members.iter().map(|m| teams[&m.ticket_id]).collect();
            if teams.len() != 1 {
                faults.push(format!("the party {} is apart", group.id));
            }
            team_of.extend(teams.first().copied());
        }
        if let Err(fault) = legal(&playing, &team_of, rules, now) {
            faults.push(fault);
        }
        faults.extend(quality_faults(proposed, &playing, &team_of, rules, now));
    }
    faults
}

/// Whether groups may play together, with these teams.
pub(crate) fn legal(
    groups: &[&Group],
    teams: &[Option<u8>],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<(), String> {
    legal_without_teams(groups, rules, now)?;
    let sizes = team_sizes(groups, teams);
    let players = players(groups);
    match &rules.teams {
        Teams::Everyone if sizes.keys().any(Option::is_some) => {
            return Err("a team where there are none".to_owned());
        }
        Teams::Everyone => {}
        Teams::Even(count) => {
            let count = usize::from(*count);
            let fits = |team: u8| {
                let size = sizes.get(&Some(team)).copied().unwrap_or(0);
                size >= players / count && size <= players.div_ceil(count)
            };
            if sizes.contains_key(&None) || !(0..count as u8).all(fits) || sizes.len() > count {
                return Err(format!("uneven teams: {sizes:?}"));
            }
        }
        Teams::Sizes(wanted) => {
            let wanted: BTreeMap<Option<u8>, usize> = (0u8..)
                .zip(wanted)
                .map(|(team, size)| (Some(team), usize::from(*size)))
                .collect();
            if sizes != wanted {
                return Err(format!("teams of other sizes: {sizes:?}"));
            }
        }
    }
    if let Some(balance) = rules.balance.as_ref().filter(|_| groups[0].code.is_none()) {
        let imbalance = imbalance(groups, teams);
        for group in groups {
            if imbalance > balance.at(waited(group, now)) + 1e-9 {
                return Err(format!("out of balance by {imbalance}"));
            }
        }
    }
    Ok(())
}

fn legal_without_teams(groups: &[&Group], rules: &Rules, now: DateTime<Utc>) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    let Some(first) = groups.first() else {
        return wrong("nobody");
    };
    if groups.iter().any(|g| g.queued_at > now) {
        return wrong("a group from the future");
    }
    if groups.iter().any(|g| g.code != first.code) {
        return wrong("other codes");
    }
    let (mut min, mut max) = (
        usize::from(rules.players.min),
        usize::from(rules.players.max),
    );
    if first.code.is_some() {
        (min, max) = (min.max(2), max.max(2));
    }
    let players = players(groups);
    if players < min || players > max {
        return wrong("too few or too many players");
    }
    let soon = |g: &&Group| waited(g, now) < rules.players.fewer_after;
    if players < max && groups.iter().any(soon) {
        return wrong("fewer players too soon");
    }
    if first.code.is_some() {
        return Ok(());
    }
    for (index, a) in groups.iter().enumerate() {
        for b in &groups[index + 1..] {
            may_meet(a, b, rules, now)?;
        }
    }
    let common = |values: &[String], name: &str| {
        values.iter().any(|value| {
            groups.iter().all(|g| match g.attributes.get(name) {
                None => true,
                Some(AttributeValue::Texts(texts)) => texts.contains(value),
                Some(AttributeValue::Text(text)) => text == value,
                Some(_) => false,
            })
        })
    };
    for rule in &rules.attributes {
        if let AttributeKind::Overlap { values } = &rule.kind
            && !common(values, &rule.name)
        {
            return wrong("nothing in common");
        }
    }
    if let Some(rule) = &rules.latency
        && !rule
            .regions
            .iter()
            .any(|region| plays_in(groups, region, rules, now))
    {
        return wrong("no region for all");
    }
    Ok(())
}

fn may_meet(a: &Group, b: &Group, rules: &Rules, now: DateTime<Utc>) -> Result<(), String> {
    let waited = [waited(a, now), waited(b, now)];
    if let Some(rule) = &rules.skill {
        let apart = (skill(a, rules) - skill(b, rules)).abs();
        for waited in waited {
            if apart >= rule.tolerance.at(waited) {
                return Err(format!("{apart} apart in skill"));
            }
        }
    }
    for rule in &rules.attributes {
        let (a, b) = (a.attributes.get(&rule.name), b.attributes.get(&rule.name));
        match (&rule.kind, a, b) {
            (AttributeKind::Equal, a, b) if a != b => return Err("not equal".to_owned()),
            (
                AttributeKind::Within { steps },
                Some(AttributeValue::Number(a)),
                Some(AttributeValue::Number(b)),
            ) => {
                for waited in waited {
                    if (a - b).abs() > steps.at(waited) {
                        return Err("numbers too far apart".to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn plays_in(groups: &[&Group], region: &str, rules: &Rules, now: DateTime<Utc>) -> bool {
    let Some(rule) = &rules.latency else {
        return true;
    };
    groups.iter().all(|group| {
        if !rule
            .regions
            .iter()
            .any(|r| group.latency_ms.contains_key(r))
        {
            return true;
        }
        let ms = group.latency_ms.get(region);
        ms.is_some_and(|ms| f64::from(*ms) <= rule.max_ms.at(waited(group, now)))
    })
}

/// Whether there are teams with which these groups may play together: all are tried.
pub(crate) fn possible(groups: &[&Group], rules: &Rules, now: DateTime<Utc>) -> bool {
    if legal_without_teams(groups, rules, now).is_err() {
        return false;
    }
    let teams: Vec<Option<u8>> = match &rules.teams {
        Teams::Everyone => vec![None],
        Teams::Even(count) => (0..*count).map(Some).collect(),
        Teams::Sizes(sizes) => (0..sizes.len() as u8).map(Some).collect(),
    };
    let ways = teams.len().pow(groups.len() as u32);
    (0..ways).any(|mut way| {
        let mut chosen = Vec::new();
        for _ in groups {
            chosen.push(teams[way % teams.len()]);
            way /= teams.len();
        }
        legal(groups, &chosen, rules, now).is_ok()
    })
}

/// Since when a group counts as waiting.
pub(crate) fn counts_since(group: &Group, rules: &Rules) -> DateTime<Utc> {
    let applies = |who: Who| match who {
        Who::Returned => group.returned,
        Who::PartyOf(least) => group.members.len() >= usize::from(least),
        Who::NewPlayers => group.members.iter().any(|m| m.matches < 10),
    };
    let head_starts = rules.priorities.iter().filter(|p| applies(p.who));
    group.queued_at - head_starts.map(|p| p.head_start).max().unwrap_or_default()
}

/// Whether none of a group's limits widens any more.
pub(crate) fn is_widest(group: &Group, rules: &Rules, now: DateTime<Utc>) -> bool {
    let waited = waited(group, now);
    let players = rules.players;
    let fewer = players.min.max(2) >= players.max.max(2) || waited >= players.fewer_after;
    if group.code.is_some() {
        return fewer;
    }
    let fewer = players.min == players.max || waited >= players.fewer_after;
    let skill = rules.skill.as_ref().map(|r| &r.tolerance);
    let latency = rules.latency.as_ref().map(|r| &r.max_ms);
    let within = rules.attributes.iter().filter_map(|rule| match &rule.kind {
        AttributeKind::Within { steps } => Some(steps),
        _ => None,
    });
    let limits = skill
        .into_iter()
        .chain(latency)
        .chain(&rules.balance)
        .chain(within);
    fewer
        && limits
            .flat_map(|limit| &limit.steps)
            .all(|(after, _)| *after <= waited)
}

fn waited(group: &Group, now: DateTime<Utc>) -> Duration {
    (now - group.queued_at).to_std().unwrap_or_default()
}

fn skill(group: &Group, rules: &Rules) -> f64 {
    let skills: Vec<f64> = group.members.iter().map(|m| m.skill).collect();
    match rules.skill.as_ref().map(|rule| rule.party) {
        Some(PartySkill::Maximum) => skills.into_iter().fold(f64::MIN, f64::max),
        _ => skills.iter().sum::<f64>() / skills.len() as f64,
    }
}

fn players(groups: &[&Group]) -> usize {
    groups.iter().map(|g| g.members.len()).sum()
}

fn team_sizes(groups: &[&Group], teams: &[Option<u8>]) -> BTreeMap<Option<u8>, usize> {
    let mut sizes = BTreeMap::new();
    for (group, team) in groups.iter().zip(teams) {
        *sizes.entry(*team).or_default() += group.members.len();
    }
    sizes
}

fn imbalance(groups: &[&Group], teams: &[Option<u8>]) -> f64 {
    let mut ratings: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for (group, team) in groups.iter().zip(teams) {
        if let Some(team) = team {
            let values = group.members.iter().map(|m| m.rating.value);
            ratings.entry(*team).or_default().extend(values);
        }
    }
    let means: Vec<f64> = ratings
        .values()
        .map(|r| r.iter().sum::<f64>() / r.len() as f64)
        .collect();
    let pairs = means
        .iter()
        .flat_map(|a| means.iter().map(move |b| (a - b).abs()));
    pairs.fold(0.0, f64::max)
}

/// The objective, as its documentation says it.
fn quality_faults(
    proposed: &ProposedMatch,
    groups: &[&Group],
    teams: &[Option<u8>],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut same = |what: &str, found: f64, expected: f64| {
        if (found - expected).abs() > 1e-6 * expected.abs().max(1.0) {
            faults.push(format!("{what} is {found}, expected {expected}"));
        }
    };
    let Quality {
        spread,
        imbalance: unbalanced,
        wait,
        latency,
        value,
        weight,
    } = proposed.quality;
    let skills: Vec<f64> = groups
        .iter()
        .flat_map(|g| &g.members)
        .map(|m| m.skill)
        .collect();
    let count = skills.len();
    let mut squares = 0.0;
    for (index, a) in skills.iter().enumerate() {
        squares += skills[index + 1..]
            .iter()
            .map(|b| (a - b).powi(2))
            .sum::<f64>();
    }
    let pairs = (count * (count - 1) / 2).max(1) as f64;
    same("spread", spread, (squares / pairs).sqrt());
    let gap = imbalance(groups, teams);
    same("imbalance", unbalanced, gap);
    let each = |g: &&&Group| g.members.len() as f64;
    let mean_wait: f64 = groups
        .iter()
        .map(|g| each(&g) * waited(g, now).as_secs_f64())
        .sum();
    same("wait", wait, mean_wait / count as f64);
    let counted = |g: &Group| (now - counts_since(g, rules)).as_seconds_f64().min(270.0);
    let weights: f64 = groups
        .iter()
        .map(|g| each(&g) * (1.0 + counted(g) / 30.0))
        .sum();
    same("weight", weight, weights);

    let private = groups[0].code.is_some();
    let mut near = 1.0;
    if let Some(region) = &proposed.region {
        if !private && !plays_in(groups, region, rules, now) {
            faults.push(format!("{region} is too far for somebody"));
        }
        let nearness = |group: &Group, region: &String| {
            let known = group
                .latency_ms
                .keys()
                .any(|r| rules.latency.iter().any(|l| l.regions.contains(r)));
            let missing = if known { 1_000 } else { 0 };
            let ms = f64::from(*group.latency_ms.get(region).unwrap_or(&missing));
            1.0 / (1.0 + (ms / 200.0).powi(2))
        };
        let mean_nearness = |region: &String| {
            let sum: f64 = groups.iter().map(|g| each(&g) * nearness(g, region)).sum();
            sum / count as f64
        };
        let regions = rules.latency.iter().flat_map(|l| &l.regions);
        let allowed = regions.filter(|r| private || plays_in(groups, r, rules, now));
        let best = allowed.map(&mean_nearness).fold(0.0, f64::max);
        near = mean_nearness(region);
        if near + 1e-9 < best {
            faults.push(format!("{region} is not the best region"));
        }
    } else if rules.latency.is_some() {
        faults.push("no region".to_owned());
    }
    let measured: Vec<(f64, f64)> = groups
        .iter()
        .filter_map(|g| {
            let ms = g.latency_ms.get(proposed.region.as_ref()?)?;
            Some((each(&g), f64::from(*ms)))
        })
        .collect();
    let total: f64 = measured.iter().map(|(players, ms)| players * ms).sum();
    let players: f64 = measured.iter().map(|(players, _)| players).sum();
    let mean_latency = if players > 0.0 { total / players } else { 0.0 };
    if (latency - mean_latency).abs() > 1e-6 {
        faults.push(format!("latency is {latency}, expected {mean_latency}"));
    }
    let team_count = match &rules.teams {
        Teams::Everyone => 1,
        Teams::Even(count) => usize::from(*count),
        Teams::Sizes(sizes) => sizes.len(),
    };
    let scale = 800.0 / 10f64.ln();
    let most = usize::from(rules.players.max).max(if private { 2 } else { 1 });
    let closeness = squares / pairs / scale.powi(2);
    let balance = count as f64 / team_count as f64 * (gap / scale).powi(2);
    let expected = count as f64 / most as f64 * near / (1.0 + closeness + balance);
    if (value - expected).abs() > 1e-6 {
        faults.push(format!("value is {value}, expected {expected}"));
    }
    if !(value > 0.0 && value <= 1.0) {
        faults.push(format!("value is {value}"));
    }
    faults
}
