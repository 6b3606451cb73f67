//! Groups and rules, given and by chance.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gs_matchmaker::{
    AttributeKind, AttributeRule, AttributeValue, Effort, Group, LatencyRule, Member, PartySkill,
    PlayerCount, Priority, Rating, Rules, SkillRule, SkillSource, Steps, Teams, Who,
};
use proptest::prelude::*;
use uuid::Uuid;

pub(crate) const REGIONS: [&str; 3] = ["asia", "eu", "us"];
pub(crate) const MAPS: [&str; 3] = ["dust", "ice", "moss"];

/// The heuristic alone, however few wait.
pub(crate) const HEURISTIC: Effort = Effort {
    exact_groups: 0,
    evaluations: 20_000,
};

pub(crate) fn at(seconds: f64) -> DateTime<Utc> {
    let milliseconds = (seconds * 1_000.0) as i64;
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(milliseconds)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A group of players with these skills, which are their ratings as well, queued at second 0.
pub(crate) fn group(id: u128, skills: &[f64]) -> Group {
    let member = |(index, skill): (usize, &f64)| {
        let ticket = id * 100 + index as u128;
        Member {
            ticket_id: Uuid::from_u128(ticket),
            player_id: Uuid::from_u128(1_000_000 + ticket),
            skill: *skill,
            rating: Rating {
                value: *skill,
                uncertainty: 80.0,
            },
            matches: 50,
        }
    };
    Group {
        id: Uuid::from_u128(id),
        members: skills.iter().enumerate().map(member).collect(),
        code: None,
        queued_at: at(0.0),
        returned: false,
        attributes: BTreeMap::new(),
        latency_ms: BTreeMap::new(),
    }
}

/// Any skill, `players` in `teams` (0: none), and nothing else.
pub(crate) fn open_rules(players: u8, teams: u8) -> Rules {
    Rules {
        players: PlayerCount::exactly(players),
        teams: match teams {
            0 => Teams::Everyone,
            teams => Teams::Even(teams),
        },
        skill: None,
        ..Rules::default()
    }
}

pub(crate) fn steps(start: f64, steps: &[(u64, f64)]) -> Steps {
    Steps {
        start,
        steps: steps
            .iter()
            .map(|(after, to)| (seconds(*after), *to))
            .collect(),
    }
}

/// Rules of every kind, all of which can be kept.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let shape = prop_oneof![
        (1u8..=6, 0u8..=2, 0u64..=15).prop_map(|(max, fewer, after)| {
            let min = max.saturating_sub(fewer).max(1);
            (count(min, max, after), Teams::Everyone)
        }),
        (1u8..=3, 1u8..=3, 0u8..=2, 0u64..=15).prop_map(|(teams, size, fewer, after)| {
            let max = teams * size;
            let min = max.saturating_sub(fewer).max(teams);
            (count(min, max, after), Teams::Even(teams))
        }),
        Just((PlayerCount::exactly(5), Teams::Sizes(vec![4, 1]))),
        Just((PlayerCount::exactly(4), Teams::Sizes(vec![1, 1, 2]))),
    ];
    let widening = prop_oneof![
        Just(vec![]),
        Just(vec![(5, 2.0)]),
        Just(vec![(5, 1.5), (12, 4.0)]),
        Just(vec![(10, f64::INFINITY)]),
    ];
    let limit = move |start: f64| {
        widening.clone().prop_map(move |widening: Vec<(u64, f64)>| {
            let widening: Vec<(u64, f64)> = widening.iter().map(|(a, f)| (*a, f * start)).collect();
            steps(start, &widening)
        })
    };
    let skill = (limit(100.0), any::<bool>()).prop_map(|(tolerance, maximum)| SkillRule {
        source: SkillSource::Rating,
        tolerance,
        party: if maximum {
            PartySkill::Maximum
        } else {
            PartySkill::Average
        },
    });
    let latency = limit(60.0).prop_map(|max_ms| LatencyRule {
        regions: REGIONS.map(str::to_owned).to_vec(),
        max_ms,
    });
    let within = limit(2.0).prop_map(|steps| AttributeKind::Within { steps });
    let attributes = (any::<[bool; 3]>(), within).prop_map(|(has, within)| {
        let values = MAPS.map(str::to_owned).to_vec();
        let kinds = [
            ("language", AttributeKind::Equal),
            ("level", within),
            ("map", AttributeKind::Overlap { values }),
        ];
        let rules = kinds.into_iter().zip(has).filter(|(_, has)| *has);
        let rule = |((name, kind), _): ((&str, AttributeKind), bool)| AttributeRule {
            name: name.to_owned(),
            kind,
            required: false,
        };
        rules.map(rule).collect::<Vec<_>>()
    });
    let priorities = any::<bool>().prop_map(|has| {
        let returned = Priority {
            who: Who::Returned,
            head_start: seconds(20),
        };
        if has { vec![returned] } else { vec![] }
    });
    (
        shape,
        proptest::option::weighted(0.8, skill),
        proptest::option::weighted(0.4, limit(80.0)),
        proptest::option::weighted(0.5, latency),
        attributes,
        priorities,
    )
        .prop_map(
            |((players, teams), skill, balance, latency, attributes, priorities)| Rules {
                balance: balance.filter(|_| !matches!(teams, Teams::Everyone | Teams::Even(1))),
                players,
                teams,
                skill,
                latency,
                attributes,
                priorities,
                ..Rules::default()
            },
        )
}

fn count(min: u8, max: u8, after: u64) -> PlayerCount {
    PlayerCount {
        min,
        max,
        fewer_after: if min < max {
            seconds(after)
        } else {
            Duration::ZERO
        },
    }
}

type Row = (
    Vec<f64>,
    Option<&'static str>,
    f64,
    bool,
    (Option<u32>, Option<u32>, Option<u32>),
    (Option<AttributeValue>, Option<[bool; 3]>, Option<f64>),
);

/// Groups that came within the last half minute before second 30, and some after it.
pub(crate) fn groups(most: usize) -> impl Strategy<Value = Vec<Group>> {
    let code = prop_oneof![8 => Just(None), 1 => Just(Some("tea")), 1 => Just(Some("cake"))];
    // Multiples of 25 meet the limits exactly now and then.
    let skills =
        proptest::collection::vec((0u8..16).prop_map(|n| 1_300.0 + f64::from(n) * 25.0), 1..=3);
    let skills = prop_oneof![3 => skills.clone().prop_map(|s| s[..1].to_vec()), 2 => skills];
    let latency = proptest::option::of(0u32..150);
    let language = proptest::option::of(prop_oneof![
        Just(AttributeValue::Text("fi".to_owned())),
        Just(AttributeValue::Text("de".to_owned())),
        Just(AttributeValue::Number(0.0)),
        Just(AttributeValue::Number(-0.0)),
    ]);
    let maps = proptest::option::of(any::<[bool; 3]>());
    let level = proptest::option::of((0u8..8).prop_map(f64::from));
    let one = (
        skills,
        code,
        -2.0..32.0f64,
        any::<bool>(),
        (latency.clone(), latency.clone(), latency),
        (language, maps, level),
    );
    proptest::collection::vec(one, 0..=most).prop_map(|rows| {
        let row = |(index, row): (usize, Row)| {
            let (skills, code, queued_at, returned, (a, b, c), (language, maps, level)) = row;
            let mut group = group(index as u128 + 1, &skills);
            group.code = code.map(str::to_owned);
            group.queued_at = at(queued_at);
            group.returned = returned;
            for (region, ms) in REGIONS.into_iter().zip([a, b, c]) {
                if let Some(ms) = ms {
                    group.latency_ms.insert(region.to_owned(), ms);
                }
            }
            let maps = maps.filter(|maps| maps.contains(&true)).map(|maps| {
                let chosen = MAPS.into_iter().zip(maps).filter(|(_, chosen)| *chosen);
                AttributeValue::Texts(chosen.map(|(map, _)| map.to_owned()).collect())
            });
            let attributes = [
                ("language", language),
                ("map", maps),
                ("level", level.map(AttributeValue::Number)),
            ];
            for (name, value) in attributes {
                if let Some(value) = value {
                    group.attributes.insert(name.to_owned(), value);
                }
            }
            group
        };
        rows.into_iter().enumerate().map(row).collect()
    })
}
