//! What designers expect of single rules.

use std::collections::BTreeMap;

use gs_matchmaker::{
    AttributeKind, AttributeRule, AttributeValue, Group, LatencyRule, Member, PartySkill,
    PlayerCount, Priority, ProposedMatch, Rating, Rules, SkillRule, SkillSource, Teams, Who,
    match_batch, total,
};
use uuid::Uuid;

use crate::checker::faults;
use crate::world::{at, group, open_rules, seconds, steps};

/// The groups of each match that is made at this second, by their numbers.
fn made(groups: &[Group], rules: &Rules, now: f64) -> Vec<Vec<u128>> {
    let matches = match_batch(groups, rules, at(now));
    assert_eq!(
        faults(&matches, groups, rules, at(now)),
        Vec::<String>::new()
    );
    let ids = |m: &ProposedMatch| m.groups.iter().map(Uuid::as_u128).collect::<Vec<u128>>();
    let mut made: Vec<Vec<u128>> = matches.iter().map(ids).collect();
    for ids in &mut made {
        ids.sort_unstable();
    }
    made.sort();
    made
}

fn since(second: f64, group: Group) -> Group {
    Group {
        queued_at: at(second),
        ..group
    }
}

fn with_code(code: &str, group: Group) -> Group {
    Group {
        code: Some(code.to_owned()),
        ..group
    }
}

fn with(attribute: &str, value: AttributeValue, mut group: Group) -> Group {
    group.attributes.insert(attribute.to_owned(), value);
    group
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::Text(text.to_owned())
}

fn texts(texts: &[&str]) -> AttributeValue {
    AttributeValue::Texts(texts.iter().map(|t| (*t).to_owned()).collect())
}

fn attribute(name: &str, kind: AttributeKind) -> AttributeRule {
    AttributeRule {
        name: name.to_owned(),
        kind,
        required: false,
    }
}

#[test]
fn the_whole_batch_counts_and_not_the_first_pair() {
    // First come first served would match 1 and 2, and leave 90 and 170 between the others.
    let groups = [1_500.0, 1_590.0, 1_410.0, 1_585.0].map(|skill| group(skill as u128, &[skill]));
    let rules = Rules::default();
    assert_eq!(made(&groups, &rules, 1.0), [[1_410, 1_500], [1_585, 1_590]]);
}

#[test]
fn tolerance_is_strict_and_both_sides_have_to_tolerate() {
    let rules = Rules::default();
    let pair = |skill: f64, second: f64| [group(1, &[1_500.0]), since(second, group(2, &[skill]))];
    assert!(made(&pair(1_600.0, 0.0), &rules, 1.0).is_empty());
    assert_eq!(made(&pair(1_599.9, 0.0), &rules, 1.0), [[1, 2]]);
    // One has waited 6 s and tolerates 200, the other one second.
    assert!(made(&pair(1_650.0, 5.0), &rules, 6.0).is_empty());
    assert_eq!(made(&pair(1_650.0, 5.0), &rules, 10.0), [[1, 2]]);
    assert_eq!(made(&pair(9_000.0, 0.0), &rules, 15.0), [[1, 2]]);
}

#[test]
fn a_party_plays_on_one_team_by_its_average_or_its_best() {
    let mut rules = open_rules(4, 2);
    let groups = [
        group(1, &[1_000.0, 1_600.0]),
        group(2, &[1_300.0]),
        group(3, &[1_320.0]),
    ];
    let skill = |party| {
        Some(SkillRule {
            source: SkillSource::Rating,
            tolerance: steps(100.0, &[]),
            party,
        })
    };
    rules.skill = skill(PartySkill::Average);
    assert_eq!(made(&groups, &rules, 1.0), [[1, 2, 3]]);
    rules.skill = skill(PartySkill::Maximum);
    assert!(made(&groups, &rules, 1.0).is_empty());
}

#[test]
fn a_party_that_fits_no_team_waits_and_lets_others_play() {
    let groups = [
        group(1, &[1_500.0; 3]),
        group(2, &[1_500.0; 2]),
        group(3, &[1_500.0; 2]),
        group(4, &[1_500.0]),
    ];
    assert_eq!(made(&groups, &open_rules(4, 2), 30.0), [[2, 3]]);
    // Everyone for themselves, three friends and another are a match too.
    let rules = open_rules(4, 0);
    let made = made(&groups, &rules, 30.0);
    assert_eq!(made.len(), 2, "{made:?}");
}

#[test]
fn teams_are_as_even_as_can_be_and_of_the_sizes_wanted() {
    let groups: Vec<Group> = (1..=5u128)
        .map(|n| group(n, &[1_000.0 + 100.0 * n as f64]))
        .collect();
    let mut rules = open_rules(5, 0);
    rules.teams = Teams::Sizes(vec![4, 1]);
    let matches = match_batch(&groups, &rules, at(1.0));
    let alone: Vec<u128> = matches[0]
        .slots
        .iter()
        .filter(|s| s.team == Some(1))
        .map(|s| s.ticket_id.as_u128() / 100)
        .collect();
    assert_eq!(alone, [3], "the mean of all is 1,300");
    assert_eq!(matches[0].quality.imbalance, 0.0);
}

#[test]
fn teams_out_of_balance_wait_until_that_is_allowed() {
    let mut rules = open_rules(2, 2);
    rules.balance = Some(steps(50.0, &[(10, 200.0)]));
    let groups = [group(1, &[1_500.0]), group(2, &[1_650.0])];
    assert!(made(&groups, &rules, 9.0).is_empty());
    assert_eq!(made(&groups, &rules, 10.0), [[1, 2]]);
}

#[test]
fn a_full_match_is_waited_for_and_then_made_of_fewer() {
    let mut rules = open_rules(4, 0);
    rules.players = PlayerCount {
        min: 2,
        max: 4,
        fewer_after: seconds(20),
    };
    let groups = [1, 2, 3].map(|n| group(n, &[1_500.0]));
    assert!(made(&groups, &rules, 19.0).is_empty());
    assert_eq!(made(&groups, &rules, 20.0), [[1, 2, 3]]);
    // Four who could be two pairs are one full match.
    let groups = [1, 2, 3, 4].map(|n| group(n, &[1_500.0]));
    assert_eq!(made(&groups, &rules, 20.0), [[1, 2, 3, 4]]);
    // Who has just come is not hurried.
    let mut groups = [1, 2, 3].map(|n| group(n, &[1_500.0]));
    groups[2].queued_at = at(15.0);
    assert_eq!(made(&groups, &rules, 20.0), [[1, 2]]);
}

#[test]
fn a_match_is_played_where_everybody_can() {
    let mut rules = open_rules(2, 0);
    rules.latency = Some(LatencyRule {
        regions: ["asia", "eu", "us"].map(str::to_owned).to_vec(),
        max_ms: steps(80.0, &[(10, 150.0)]),
    });
    let measured = |id, latencies: &[(&str, u32)]| Group {
        latency_ms: latencies
            .iter()
            .map(|(r, ms)| ((*r).to_owned(), *ms))
            .collect(),
        ..group(id, &[1_500.0])
    };
    let region = |groups: &[Group], now: f64| {
        let matches = match_batch(groups, &rules, at(now));
        matches
            .first()
            .map(|m| (m.region.clone().unwrap(), m.quality.latency))
    };
    let europe = measured(1, &[("eu", 20), ("us", 70)]);
    let america = measured(2, &[("eu", 90), ("us", 30)]);
    assert_eq!(
        region(&[europe.clone(), america.clone()], 1.0),
        Some(("us".to_owned(), 50.0))
    );
    // Later Europe is possible too, and worse.
    assert_eq!(
        region(&[europe.clone(), america], 10.0),
        Some(("us".to_owned(), 50.0))
    );
    // Who measured nothing plays anywhere, who measured only other regions not here.
    let unknown = measured(3, &[]);
    assert_eq!(
        region(&[europe.clone(), unknown], 1.0),
        Some(("eu".to_owned(), 20.0))
    );
    let far = measured(4, &[("asia", 20)]);
    assert_eq!(region(&[europe.clone(), far], 99.0), None);
    // Regions that the rules do not know say nothing.
    let elsewhere = measured(5, &[("moon", 2_560)]);
    assert_eq!(
        region(&[europe, elsewhere], 1.0),
        Some(("eu".to_owned(), 20.0))
    );
}

#[test]
fn attributes_have_to_be_equal_to_overlap_or_to_be_close() {
    let one = |kind| Rules {
        attributes: vec![attribute("a", kind)],
        ..open_rules(2, 0)
    };
    let pair = |a: Option<AttributeValue>, b: Option<AttributeValue>| {
        let of = |id, value: Option<AttributeValue>| match value {
            Some(value) => with("a", value, group(id, &[1_500.0])),
            None => group(id, &[1_500.0]),
        };
        [of(1, a), of(2, b)]
    };
    let meet = |rules: &Rules, a, b| !made(&pair(a, b), rules, 1.0).is_empty();
    let number = |n| Some(AttributeValue::Number(n));

    let rules = one(AttributeKind::Equal);
    assert!(meet(&rules, Some(text("fi")), Some(text("fi"))));
    assert!(!meet(&rules, Some(text("fi")), Some(text("de"))));
    assert!(!meet(&rules, Some(text("1")), number(1.0)));
    assert!(meet(&rules, number(0.0), number(-0.0)));
    assert!(!meet(&rules, Some(text("fi")), None));
    assert!(meet(&rules, None, None));

    let values = ["dust", "ice", "moss"].map(str::to_owned).to_vec();
    let rules = one(AttributeKind::Overlap { values });
    assert!(meet(
        &rules,
        Some(texts(&["dust", "ice"])),
        Some(texts(&["ice", "moss"]))
    ));
    assert!(!meet(
        &rules,
        Some(texts(&["dust"])),
        Some(texts(&["ice", "moss"]))
    ));
    assert!(meet(&rules, Some(text("ice")), None));
    // Every two of these have a map in common, and all three none.
    let mut three = open_rules(3, 0);
    three.attributes = rules.attributes.clone();
    let groups = [["dust", "ice"], ["ice", "moss"], ["moss", "dust"]];
    let groups: Vec<Group> = (1u128..)
        .zip(groups)
        .map(|(id, maps)| with("a", texts(&maps), group(id, &[1_500.0])))
        .collect();
    assert!(made(&groups, &three, 99.0).is_empty());

    let rules = one(AttributeKind::Within {
        steps: steps(5.0, &[(10, 8.0)]),
    });
    assert!(meet(&rules, number(1.0), number(6.0)));
    assert!(!meet(&rules, number(1.0), number(6.5)));
    assert!(meet(&rules, number(1.0), None));
    assert!(!made(&pair(number(1.0), number(9.0)), &rules, 10.0).is_empty());
}

#[test]
fn friends_with_a_code_play_together_whatever_else_the_rules_say() {
    let rules = Rules {
        latency: Some(LatencyRule {
            regions: vec!["eu".to_owned(), "us".to_owned()],
            max_ms: steps(20.0, &[]),
        }),
        balance: Some(steps(10.0, &[])),
        attributes: vec![attribute("language", AttributeKind::Equal)],
        teams: Teams::Even(2),
        ..Rules::default()
    };
    let friend = |id, skill: f64, language: &str, ms| {
        let mut friend = with("language", text(language), group(id, &[skill]));
        friend.latency_ms = BTreeMap::from([("us".to_owned(), ms)]);
        with_code("tea", friend)
    };
    let friends = [friend(1, 300.0, "fi", 90), friend(2, 2_900.0, "de", 150)];
    let matches = match_batch(&friends, &rules, at(0.0));
    assert_eq!(matches.len(), 1);
    assert_eq!(
        matches[0].region.as_deref(),
        Some("us"),
        "where they know how far it is"
    );
    // Nobody else is let in, and no other code.
    let stranger = group(3, &[300.0]);
    let other = with_code("cake", group(4, &[300.0]));
    assert!(made(&[friends[0].clone(), stranger, other], &rules, 99.0).is_empty());
}

#[test]
fn a_private_match_waits_for_a_friend_where_one_could_play_alone() {
    let rules = open_rules(1, 0);
    let alone = [group(1, &[1_500.0]), with_code("tea", group(2, &[1_500.0]))];
    assert_eq!(made(&alone, &rules, 9.0), [[1]]);
    let friends = [2, 3].map(|n| with_code("tea", group(n, &[1_500.0])));
    assert_eq!(made(&friends, &rules, 9.0), [[2, 3]]);
}

#[test]
fn a_head_start_counts_for_whose_turn_it_is_and_widens_nothing() {
    let returned_first = Priority {
        who: Who::Returned,
        head_start: seconds(60),
    };
    let rules = Rules {
        priorities: vec![returned_first],
        ..Rules::default()
    };
    let mut returned = since(3.0, group(3, &[1_500.0]));
    returned.returned = true;
    let groups = [group(1, &[1_500.0]), group(2, &[1_500.0]), returned];
    let matches = match_batch(&groups, &rules, at(4.0));
    assert_eq!(
        matches[0].groups[0],
        Uuid::from_u128(3),
        "its turn comes first"
    );
    let far = [groups[2].clone(), group(4, &[1_650.0])];
    assert!(made(&far, &rules, 7.0).is_empty());
    assert_eq!(made(&far, &rules, 8.0), [[3, 4]]);
}

#[test]
fn who_is_new_or_in_a_party_can_have_a_head_start() {
    let mut rules = open_rules(4, 2);
    let head_start = |who, start| Priority {
        who,
        head_start: seconds(start),
    };
    rules.priorities = vec![
        head_start(Who::PartyOf(2), 15),
        head_start(Who::NewPlayers, 10),
    ];
    assert_eq!(group(1, &[1_500.0]).head_start(&rules), seconds(0));
    assert_eq!(group(1, &[1_500.0; 2]).head_start(&rules), seconds(15));
    let newcomer = Member {
        ticket_id: Uuid::from_u128(1),
        player_id: Uuid::from_u128(2),
        skill: 1_500.0,
        rating: Rating::default(),
        matches: 9,
    };
    let mut new = group(1, &[1_500.0]);
    new.members = vec![newcomer];
    assert_eq!(new.head_start(&rules), seconds(10));
}

#[test]
fn skill_of_another_scale_is_judged_by_its_tolerance() {
    let best_score = SkillRule {
        source: SkillSource::BestScore,
        tolerance: steps(10_000.0, &[]),
        party: PartySkill::Average,
    };
    let rules = Rules {
        skill: Some(best_score),
        ..Rules::default()
    };
    let scored = |id, skill: f64| {
        let mut group = group(id, &[1_500.0]);
        group.members[0].skill = skill;
        group
    };
    let groups = [scored(1, 40_000.0), scored(2, 45_000.0)];
    let matches = match_batch(&groups, &rules, at(0.0));
    assert_eq!(matches[0].quality.spread, 5_000.0);
    let as_points = (50.0f64 * 10f64.ln() / 800.0).powi(2);
    assert!((matches[0].quality.value - 1.0 / (1.0 + as_points)).abs() < 1e-9);
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut groups: Vec<Group> = (1..=20u128)
        .map(|n| group(n, &[1_500.0 + n as f64]))
        .collect();
    for (index, number) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
        .into_iter()
        .enumerate()
    {
        groups[index].members[0].skill = number;
        groups[index + 3].members[0].rating.value = number;
        groups[index] = with(
            "level",
            AttributeValue::Number(number),
            groups[index].clone(),
        );
    }
    groups[7].members.clear();
    groups[8] = group(9, &[1_500.0; 70]);
    groups[9].latency_ms.insert("eu".to_owned(), u32::MAX);
    let mut rules = open_rules(2, 2);
    rules.latency = Some(LatencyRule {
        regions: vec!["eu".to_owned()],
        max_ms: steps(80.0, &[(5, f64::INFINITY)]),
    });
    rules.attributes = vec![attribute(
        "level",
        AttributeKind::Within {
            steps: steps(1.0, &[(5, f64::INFINITY)]),
        },
    )];
    let matches = match_batch(&groups, &rules, at(9.0));
    assert_eq!(matches.len(), 9);
    assert!(total(&matches).is_finite());
}

#[test]
fn matches_of_sixty_four_are_made() {
    let groups: Vec<Group> = (1..=200u128)
        .map(|n| {
            let skill = 1_300.0 + (n * 37 % 400) as f64;
            group(n, &vec![skill; [1, 1, 2, 1, 3][n as usize % 5]])
        })
        .collect();
    for (players, teams) in [(64, 0), (64, 2), (60, 4), (63, 2)] {
        let rules = open_rules(players, teams);
        let matches = match_batch(&groups, &rules, at(9.0));
        assert_eq!(
            faults(&matches, &groups, &rules, at(9.0)),
            Vec::<String>::new()
        );
        assert_eq!(
            matches.len(),
            320 / usize::from(players),
            "{players} in {teams} teams"
        );
    }
}
