//! Why somebody still waits.

use gs_matchmaker::{
    AttributeKind, AttributeRule, AttributeValue, Exclusion, Explanation, Group, LatencyRule,
    PlayerCount, Queue, Rules, Widening,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::world::{at, group, groups, open_rules, rules, seconds, steps};

fn explain(groups: &[Group], rules: &Rules, id: u128, now: f64) -> Explanation {
    let queue = Queue::new(groups, rules);
    let explanation = queue.explain(Uuid::from_u128(id), at(now));
    explanation.expect("the group waits")
}

fn excluded(rule: &str, players: u32) -> Option<Exclusion> {
    let rule = rule.to_owned();
    Some(Exclusion { rule, players })
}

#[test]
fn distant_ratings_wait_and_are_told_when_the_tolerance_widens() {
    let groups = [
        group(1, &[1_500.0]),
        group(2, &[1_850.0]),
        group(3, &[1_540.0]),
    ];
    let widening = |after, tolerance| {
        Some(Widening {
            rule: "skill".to_owned(),
            after: seconds(after),
            tolerance,
        })
    };
    let expected = Explanation {
        tolerance: Some(100.0),
        next_widening: widening(3, Some(200.0)),
        players_waiting: 2,
        players_fitting: 1,
        excluded_by: excluded("skill", 1),
        estimated: false,
    };
    assert_eq!(explain(&groups, &Rules::default(), 1, 2.0), expected);
    let later = explain(&groups, &Rules::default(), 1, 12.0);
    assert_eq!((later.tolerance, later.players_fitting), (Some(400.0), 2));
    assert_eq!(later.next_widening, widening(3, None));
    assert_eq!(later.excluded_by, None);
    let last = explain(&groups, &Rules::default(), 1, 15.0);
    assert_eq!((last.tolerance, last.next_widening), (None, None));
}

#[test]
fn others_have_to_tolerate_too() {
    let mut groups = [group(1, &[1_500.0]), group(2, &[1_650.0])];
    groups[1].queued_at = at(10.0);
    let explanation = explain(&groups, &Rules::default(), 1, 11.0);
    assert_eq!(explanation.tolerance, Some(400.0));
    assert_eq!(explanation.excluded_by, excluded("skill", 1));
}

#[test]
fn the_rule_that_keeps_most_away_is_named() {
    let mut rules = open_rules(4, 2);
    rules.latency = Some(LatencyRule {
        regions: vec!["eu".to_owned(), "us".to_owned()],
        max_ms: steps(80.0, &[(20, 200.0)]),
    });
    let values = vec!["dust".to_owned(), "ice".to_owned()];
    rules.attributes = vec![AttributeRule {
        name: "map".to_owned(),
        kind: AttributeKind::Overlap { values },
        required: false,
    }];
    let of = |id, players: usize, region: &str, map: &str| {
        let mut group = group(id, &vec![1_500.0; players]);
        group.latency_ms.insert(region.to_owned(), 40);
        let map = AttributeValue::Texts(vec![map.to_owned()]);
        group.attributes.insert("map".to_owned(), map);
        group
    };
    let mut groups = vec![
        of(1, 2, "eu", "dust"),
        of(2, 2, "us", "dust"),
        of(3, 1, "eu", "ice"),
    ];
    let explanation = explain(&groups, &rules, 1, 0.0);
    assert_eq!(
        (explanation.players_waiting, explanation.players_fitting),
        (3, 0)
    );
    assert_eq!(explanation.excluded_by, excluded("latency", 2));
    let widening = explanation.next_widening.unwrap();
    assert_eq!(
        (widening.rule.as_str(), widening.tolerance),
        ("latency", Some(200.0))
    );
    groups.push(of(4, 2, "eu", "ice"));
    assert_eq!(
        explain(&groups, &rules, 1, 0.0).excluded_by,
        excluded("attributes.map", 3)
    );
    // A party that fits into no team beside whoever else.
    groups.push(of(5, 3, "eu", "dust"));
    groups.push(of(6, 3, "eu", "dust"));
    assert_eq!(
        explain(&groups, &rules, 1, 0.0).excluded_by,
        excluded("party", 6)
    );
}

#[test]
fn those_with_a_code_wait_for_friends_and_others_do_not_hear_of_them() {
    let mut groups = [1, 2, 3].map(|n| group(n, &[1_500.0 * n as f64]));
    groups[2].code = Some("tea".to_owned());
    let open = explain(&groups, &Rules::default(), 1, 0.0);
    assert_eq!(open.players_waiting, 1);
    assert_eq!(open.excluded_by, excluded("skill", 1));
    let private = explain(&groups, &Rules::default(), 3, 0.0);
    assert_eq!((private.players_waiting, private.players_fitting), (2, 0));
    assert_eq!((private.tolerance, private.next_widening), (None, None));
    assert_eq!(private.excluded_by, excluded("code", 2));
}

#[test]
fn the_wait_for_a_full_match_is_a_widening_too() {
    let mut rules = open_rules(4, 0);
    rules.players = PlayerCount {
        min: 2,
        max: 4,
        fewer_after: seconds(20),
    };
    let groups = [group(1, &[1_500.0]), group(2, &[1_500.0])];
    let expected = Widening {
        rule: "players".to_owned(),
        after: seconds(15),
        tolerance: Some(2.0),
    };
    assert_eq!(
        explain(&groups, &rules, 1, 5.0).next_widening,
        Some(expected)
    );
}

#[test]
fn whoever_does_not_wait_is_not_explained() {
    let queue = Queue::new(&[group(1, &[1_500.0])], &Rules::default());
    assert_eq!(queue.explain(Uuid::from_u128(2), at(0.0)), None);
}

#[test]
fn of_very_many_the_numbers_are_estimates_that_are_about_right() {
    let groups: Vec<Group> = (1..=30_000u128)
        .map(|n| group(n, &[1_000.0 + (n * 7_919 % 1_000) as f64]))
        .collect();
    let explanation = explain(&groups, &Rules::default(), 1, 0.0);
    assert!(explanation.estimated);
    assert_eq!(explanation.players_waiting, 29_999);
    // The first has 1,919 points: 180 of 1,000 are within 100.
    let own = groups[0].members[0].skill;
    let fitting = groups
        .iter()
        .filter(|g| (g.members[0].skill - own).abs() < 100.0)
        .count()
        - 1;
    let found = explanation.players_fitting as usize;
    assert!(
        found.abs_diff(fitting) < fitting / 5,
        "{found} of {fitting}"
    );
    let skill = explanation.excluded_by.unwrap();
    assert!(
        (skill.players as usize).abs_diff(29_999 - fitting) < 2_000,
        "{skill:?}"
    );
}

proptest! {
    #[test]
    fn who_fits_is_whom_a_match_of_two_groups_would_allow(groups in groups(12), rules in rules()) {
        // Where a match is any two groups, the numbers can be said in another way.
        let mut rules = rules;
        rules.players = PlayerCount { min: 1, max: 6, fewer_after: seconds(0) };
        rules.teams = gs_matchmaker::Teams::Everyone;
        rules.balance = None;
        let queue = Queue::new(&groups, &rules);
        let now = at(40.0);
        for own in &groups {
            let explanation = queue.explain(own.id, now).unwrap();
            let others = groups.iter().filter(|g| g.id != own.id);
            let heard_of = |g: &&Group| own.code.is_some() || g.code.is_none();
            let players = |g: &Group| g.members.len() as u32;
            let waiting: u32 = others.clone().filter(heard_of).map(players).sum();
            prop_assert_eq!(explanation.players_waiting, waiting);
            let fitting = others.filter(|g| rules.propose(&[own, g], now).is_some());
            prop_assert_eq!(explanation.players_fitting, fitting.map(players).sum::<u32>());
            prop_assert_eq!(
                explanation.excluded_by.is_some(),
                explanation.players_fitting < explanation.players_waiting
            );
        }
    }
}
