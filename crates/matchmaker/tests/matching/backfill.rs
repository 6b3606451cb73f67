//! Who is asked into a match that runs.

use std::collections::BTreeMap;

use gs_matchmaker::{
    AttributeKind, AttributeRule, AttributeValue, Filled, Group, LatencyRule, Opening, Playing,
    Rating, Rules, fill,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::world::{at, group, groups, open_rules, rules, steps};

fn playing(team: Option<u8>, skill: f64) -> Playing {
    Playing {
        team,
        skill,
        rating: Rating {
            value: skill,
            uncertainty: 80.0,
        },
        attributes: BTreeMap::new(),
    }
}

fn opening(slot: u8, team: Option<u8>, players: Vec<Playing>) -> Opening {
    Opening {
        match_id: Uuid::from_u128(1),
        slot,
        team,
        opened_at: at(f64::from(slot)),
        players,
        region: None,
    }
}

fn who(filled: &[Filled]) -> Vec<(u8, u128)> {
    filled.iter().map(|f| (f.slot, f.group.as_u128())).collect()
}

#[test]
fn the_closest_who_is_tolerated_takes_the_slot_and_the_next_one_the_next() {
    let rules = Rules::default();
    let slots = [3, 2].map(|slot| opening(slot, None, vec![playing(None, 1_500.0)]));
    let waiting = [1_450.0, 1_580.0, 1_590.0, 1_700.0].map(|skill| group(skill as u128, &[skill]));
    // 1,450 and 1,580 would be 130 apart, once both play.
    assert_eq!(who(&fill(&slots, &waiting, &rules, at(1.0))), [(2, 1_450)]);
    assert_eq!(
        who(&fill(&slots, &waiting, &rules, at(6.0))),
        [(2, 1_450), (3, 1_580)]
    );
}

#[test]
fn parties_private_players_and_those_from_the_future_are_left_alone() {
    let slots = [opening(2, None, vec![playing(None, 1_500.0)])];
    let mut private = group(2, &[1_500.0]);
    private.code = Some("tea".to_owned());
    let mut late = group(3, &[1_500.0]);
    late.queued_at = at(99.0);
    let waiting = [group(1, &[1_500.0; 2]), private, late];
    assert_eq!(fill(&slots, &waiting, &Rules::default(), at(50.0)), []);
}

#[test]
fn the_slots_team_is_balanced() {
    let mut rules = open_rules(4, 2);
    rules.balance = Some(steps(50.0, &[]));
    let players = || {
        vec![
            playing(Some(0), 1_700.0),
            playing(Some(1), 1_500.0),
            playing(Some(1), 1_500.0),
        ]
    };
    let slots = [opening(3, Some(0), players())];
    let waiting = [1_300.0, 1_500.0].map(|skill| group(skill as u128, &[skill]));
    assert_eq!(who(&fill(&slots, &waiting, &rules, at(1.0))), [(3, 1_300)]);
    // 200 between the teams is too much already; 100 is an improvement, 300 is none.
    assert_eq!(
        who(&fill(&slots, &waiting[1..], &rules, at(1.0))),
        [(3, 1_500)]
    );
    assert_eq!(fill(&slots, &[group(1, &[1_900.0])], &rules, at(1.0)), []);
}

#[test]
fn the_matchs_region_has_to_be_near() {
    let mut rules = open_rules(2, 0);
    rules.latency = Some(LatencyRule {
        regions: vec!["eu".to_owned(), "us".to_owned()],
        max_ms: steps(80.0, &[(10, 150.0)]),
    });
    let mut slot = opening(1, None, vec![playing(None, 1_500.0)]);
    slot.region = Some("us".to_owned());
    let measured = |latencies: &[(&str, u32)]| Group {
        latency_ms: latencies
            .iter()
            .map(|(r, ms)| ((*r).to_owned(), *ms))
            .collect(),
        ..group(1, &[1_500.0])
    };
    let fits = |group: Group, now| {
        !fill(std::slice::from_ref(&slot), &[group], &rules, at(now)).is_empty()
    };
    assert!(fits(measured(&[]), 0.0));
    assert!(fits(measured(&[("us", 80)]), 0.0));
    assert!(!fits(measured(&[("us", 81)]), 0.0));
    assert!(fits(measured(&[("us", 81)]), 10.0));
    assert!(!fits(measured(&[("eu", 10)]), 10.0));
}

#[test]
fn attributes_have_to_fit_those_who_play() {
    let attribute = |name: &str, kind| AttributeRule {
        name: name.to_owned(),
        kind,
        required: false,
    };
    let mut rules = open_rules(3, 0);
    let values = ["dust", "ice", "moss"].map(str::to_owned).to_vec();
    rules.attributes = vec![
        attribute("language", AttributeKind::Equal),
        attribute("map", AttributeKind::Overlap { values }),
        attribute(
            "level",
            AttributeKind::Within {
                steps: steps(5.0, &[]),
            },
        ),
    ];
    let attributes = |language: &str, maps: &[&str], level: f64| {
        let maps = maps.iter().map(|m| (*m).to_owned()).collect();
        BTreeMap::from([
            (
                "language".to_owned(),
                AttributeValue::Text(language.to_owned()),
            ),
            ("map".to_owned(), AttributeValue::Texts(maps)),
            ("level".to_owned(), AttributeValue::Number(level)),
        ])
    };
    let mut players = vec![playing(None, 1_500.0); 2];
    players[0].attributes = attributes("fi", &["dust", "ice"], 10.0);
    players[1].attributes = attributes("fi", &["ice", "moss"], 12.0);
    let slots = [opening(2, None, players)];
    let fits = |attributes| {
        let group = Group {
            attributes,
            ..group(1, &[1_500.0])
        };
        !fill(&slots, &[group], &rules, at(0.0)).is_empty()
    };
    assert!(fits(attributes("fi", &["ice"], 15.0)));
    assert!(!fits(attributes("de", &["ice"], 15.0)));
    assert!(
        !fits(attributes("fi", &["dust"], 15.0)),
        "the match is on ice"
    );
    assert!(!fits(attributes("fi", &["ice"], 15.5)));
    assert!(!fits(BTreeMap::new()), "a language is missing");
}

#[test]
fn whoever_has_waited_long_goes_first() {
    let slots = [opening(1, None, vec![playing(None, 1_500.0)])];
    let mut waiting = vec![group(1, &[1_560.0]), group(2, &[1_510.0])];
    waiting[1].queued_at = at(60.0);
    assert_eq!(
        who(&fill(&slots, &waiting, &open_rules(2, 0), at(61.0))),
        [(1, 1)]
    );
    assert_eq!(
        who(&fill(&slots, &waiting[1..], &open_rules(2, 0), at(61.0))),
        [(1, 2)]
    );
}

proptest! {
    #[test]
    fn nobody_fills_two_slots_and_no_slot_is_filled_twice(
        (groups, shuffled) in groups(20).prop_flat_map(|g| (Just(g.clone()), Just(g).prop_shuffle())),
        rules in rules(),
        slots in proptest::collection::vec((0u128..4, 0u8..6, 0u8..16), 0..12),
    ) {
        let slots: Vec<Opening> = slots
            .into_iter()
            .map(|(match_id, slot, skill)| Opening {
                match_id: Uuid::from_u128(match_id),
                ..opening(slot, None, vec![playing(None, 1_300.0 + f64::from(skill) * 25.0)])
            })
            .collect();
        let filled = fill(&slots, &groups, &rules, at(30.0));
        prop_assert_eq!(&filled, &fill(&slots, &shuffled, &rules, at(30.0)));
        for (index, one) in filled.iter().enumerate() {
            prop_assert!(slots.iter().any(|s| (s.match_id, s.slot) == (one.match_id, one.slot)));
            for other in &filled[index + 1..] {
                prop_assert_ne!(one.player_id, other.player_id);
                prop_assert_ne!((one.match_id, one.slot), (other.match_id, other.slot));
            }
            let group = groups.iter().find(|g| g.id == one.group).unwrap();
            prop_assert!(group.code.is_none() && group.members.len() == 1 && group.queued_at <= at(30.0));
            prop_assert_eq!(group.members[0].ticket_id, one.ticket_id);
        }
    }
}
