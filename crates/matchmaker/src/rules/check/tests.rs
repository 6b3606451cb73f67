use std::collections::BTreeMap;
use std::time::Duration;

use crate::{
    AttributeKind, AttributeRule, AttributeValue, LatencyRule, PlayerCount, Priority, Rules, Steps,
    Teams, Who,
};

/// What is wrong with the default rules once they are changed like this: where, and a part of the
/// message.
#[track_caller]
fn refused(path: &str, message: &str, change: impl FnOnce(&mut Rules)) {
    let mut rules = Rules::default();
    change(&mut rules);
    let error = rules.check().expect_err("these rules can never be kept");
    assert_eq!(error.path, path);
    assert!(error.message.contains(message), "{error}");
}

#[track_caller]
fn kept(change: impl FnOnce(&mut Rules)) {
    let mut rules = Rules::default();
    change(&mut rules);
    assert_eq!(rules.check(), Ok(()));
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn players(min: u8, max: u8, fewer_after: u64) -> PlayerCount {
    PlayerCount {
        min,
        max,
        fewer_after: seconds(fewer_after),
    }
}

fn tolerance(rules: &mut Rules) -> &mut Steps {
    &mut rules.skill.as_mut().unwrap().tolerance
}

fn regions(names: &[&str]) -> Option<LatencyRule> {
    Some(LatencyRule {
        regions: names.iter().map(|n| (*n).to_owned()).collect(),
        max_ms: Steps::fixed(80.0),
    })
}

fn attribute(name: &str, kind: AttributeKind) -> AttributeRule {
    AttributeRule {
        name: name.to_owned(),
        kind,
        required: false,
    }
}

fn overlap(values: &[&str]) -> AttributeKind {
    AttributeKind::Overlap {
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    }
}

#[test]
fn rules_that_can_be_kept_are() {
    kept(|_| {});
    kept(|r| r.players = players(1, 64, 20));
    kept(|r| (r.players, r.teams) = (PlayerCount::exactly(5), Teams::Sizes(vec![4, 1])));
    kept(|r| r.teams = Teams::Even(1));
    kept(|r| *tolerance(r) = Steps::fixed(f64::INFINITY));
    kept(|r| r.attributes = vec![attribute("map", overlap(&["dust"]))]);
}

#[test]
fn players_that_contradict_each_other_are_refused() {
    refused("players", "1 to 64", |r| r.players = players(0, 2, 0));
    refused("players", "1 to 64", |r| r.players = players(2, 65, 0));
    refused("players", "no number of players fits", |r| {
        r.players = players(3, 2, 0)
    });
    refused("players.fewer_after", "never has fewer than 4", |r| {
        r.players = players(4, 4, 20);
    });
    refused("players.fewer_after", "never reached", |r| {
        r.players = players(2, 4, 600)
    });
}

#[test]
fn teams_that_cannot_be_are_refused() {
    refused("teams", "0 for none", |r| r.teams = Teams::Even(0));
    refused("teams", "cannot be filled by 2", |r| {
        r.teams = Teams::Even(3)
    });
    refused("team_sizes", "two teams or more", |r| {
        r.teams = Teams::Sizes(vec![2])
    });
    refused("team_sizes", "one player each", |r| {
        r.teams = Teams::Sizes(vec![2, 0])
    });
    refused("team_sizes", "have 5 players", |r| {
        r.teams = Teams::Sizes(vec![4, 1])
    });
    refused("team_sizes", "a match 2 to 5", |r| {
        (r.players, r.teams) = (players(2, 5, 20), Teams::Sizes(vec![4, 1]));
    });
    refused("balance", "no two teams", |r| {
        r.balance = Some(Steps::fixed(80.0))
    });
    refused("balance.max_difference", "more than 0", |r| {
        (r.teams, r.balance) = (Teams::Even(2), Some(Steps::fixed(0.0)));
    });
}

#[test]
fn limits_that_nobody_keeps_or_that_do_not_widen_are_refused() {
    for start in [0.0, -1.0, f64::NAN] {
        refused("skill.tolerance", "nobody would ever fit", |r| {
            tolerance(r).start = start
        });
    }
    let widening = |steps: &[(u64, f64)]| {
        let steps: Vec<_> = steps
            .iter()
            .map(|(after, to)| (seconds(*after), *to))
            .collect();
        move |r: &mut Rules| tolerance(r).steps = steps
    };
    refused("skill.widen[0].to", "only widens", widening(&[(5, 100.0)]));
    refused(
        "skill.widen[1].to",
        "only widens",
        widening(&[(5, 200.0), (9, 150.0)]),
    );
    refused(
        "skill.widen[0].to",
        "only widens",
        widening(&[(5, f64::NAN)]),
    );
    refused(
        "skill.widen[0].after",
        "more than 0 s",
        widening(&[(0, 200.0)]),
    );
    refused(
        "skill.widen[1].after",
        "more than 9 s",
        widening(&[(9, 200.0), (5, 300.0)]),
    );
    refused(
        "skill.widen[0].after",
        "given up after 600 s",
        widening(&[(600, 200.0)]),
    );
    refused("skill.widen", "at most 32 steps", |r| {
        tolerance(r).steps = (1..=33).map(|n| (seconds(n), 100.0 + n as f64)).collect();
    });
}

#[test]
fn regions_are_named_once() {
    refused("latency.regions", "1 to 32", |r| r.latency = regions(&[]));
    refused("latency.regions", "1 to 32", |r| {
        r.latency = regions(&["r"; 33])
    });
    refused("latency.regions", "`eu` is there twice", |r| {
        r.latency = regions(&["eu", "us", "eu"])
    });
    refused("latency.regions", "1 to 32 bytes", |r| {
        r.latency = regions(&[""])
    });
    refused("latency.max_ms", "more than 0", |r| {
        r.latency = regions(&["eu"]);
        r.latency.as_mut().unwrap().max_ms.start = 0.0;
    });
    refused("latency.widen[0].to", "more than 80", |r| {
        r.latency = regions(&["eu"]);
        r.latency.as_mut().unwrap().max_ms.steps = vec![(seconds(9), 80.0)];
    });
}

#[test]
fn attributes_can_be_fulfilled() {
    let rules = |attributes: Vec<AttributeRule>| move |r: &mut Rules| r.attributes = attributes;
    let equal = || attribute("a", AttributeKind::Equal);
    refused(
        "attributes",
        "`a` is there twice",
        rules(vec![equal(), equal()]),
    );
    refused("attributes", "1 to 16", rules(vec![equal(); 17]));
    refused(
        "attributes",
        "1 to 32 bytes",
        rules(vec![attribute("", AttributeKind::Equal)]),
    );
    refused(
        "attributes.a.overlap",
        "1 to 64",
        rules(vec![attribute("a", overlap(&[]))]),
    );
    refused(
        "attributes.a.overlap",
        "`x` is there twice",
        rules(vec![attribute("a", overlap(&["x", "x"]))]),
    );
    let within = |steps| vec![attribute("a", AttributeKind::Within { steps })];
    refused(
        "attributes.a.within",
        "more than 0",
        rules(within(Steps::fixed(0.0))),
    );
    let narrowing = Steps {
        start: 5.0,
        steps: vec![(seconds(5), 4.0)],
    };
    refused(
        "attributes.a.widen[0].to",
        "more than 5",
        rules(within(narrowing)),
    );
}

#[test]
fn head_starts_are_bounded_and_for_somebody() {
    let priority = |who, start| Priority {
        who,
        head_start: seconds(start),
    };
    let rules = |priorities: Vec<Priority>| move |r: &mut Rules| r.priorities = priorities;
    refused(
        "priorities.returned",
        "at most 600 s",
        rules(vec![priority(Who::Returned, 601)]),
    );
    refused(
        "priorities.new_players",
        "above 0",
        rules(vec![priority(Who::NewPlayers, 0)]),
    );
    refused(
        "priorities.party_of_3",
        "the largest has 2",
        rules(vec![priority(Who::PartyOf(3), 5)]),
    );
    refused(
        "priorities.party_of_1",
        "cannot queue",
        rules(vec![priority(Who::PartyOf(1), 5)]),
    );
    refused(
        "priorities.returned",
        "twice",
        rules(vec![priority(Who::Returned, 5); 2]),
    );
}

#[test]
fn times_are_bounded() {
    refused("match_timeout", "86400 s", |r| {
        r.match_timeout = Duration::ZERO
    });
    refused("match_timeout", "86400 s", |r| {
        r.match_timeout = seconds(86_401)
    });
    refused("acceptance", "at most 300 s", |r| {
        r.acceptance = Some(Duration::ZERO)
    });
    refused("acceptance", "at most 300 s", |r| {
        r.acceptance = Some(seconds(301))
    });
}

#[test]
fn attributes_of_tickets_are_checked_one_by_one() {
    let mut rules = Rules {
        attributes: vec![
            attribute("language", AttributeKind::Equal),
            attribute("map", overlap(&["dust", "ice"])),
            attribute(
                "level",
                AttributeKind::Within {
                    steps: Steps::fixed(5.0),
                },
            ),
        ],
        ..Rules::default()
    };
    let check = |rules: &Rules, name: &str, value: AttributeValue| {
        let attributes = BTreeMap::from([(name.to_owned(), value)]);
        rules
            .check_attributes(&attributes)
            .map_err(|e| e.to_string())
    };
    let number = AttributeValue::Number;
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    let texts =
        |texts: &[&str]| AttributeValue::Texts(texts.iter().map(|t| (*t).to_owned()).collect());
    let right = [
        ("language", text("fi")),
        ("language", number(7.0)),
        ("map", texts(&["ice", "dust"])),
        ("map", text("ice")),
        ("level", number(-3.5)),
    ];
    for (name, value) in right {
        assert_eq!(check(&rules, name, value), Ok(()));
    }
    let wrong = [
        (
            "colour",
            text("red"),
            "is unknown: this mode has language, map, level",
        ),
        (
            "language",
            texts(&["fi"]),
            "a text of at most 64 bytes or a number",
        ),
        (
            "language",
            text(&"x".repeat(65)),
            "a text of at most 64 bytes",
        ),
        (
            "language",
            number(f64::NAN),
            "a text of at most 64 bytes or a number",
        ),
        ("map", texts(&[]), "one or more of: dust, ice"),
        ("map", texts(&["ice", "lava"]), "one or more of: dust, ice"),
        (
            "map",
            texts(&["ice", "ice", "ice"]),
            "one or more of: dust, ice",
        ),
        ("map", number(1.0), "one or more of: dust, ice"),
        ("level", text("high"), "has to be a number"),
        ("level", number(f64::INFINITY), "has to be a number"),
    ];
    for (name, value, message) in wrong {
        let error = check(&rules, name, value).unwrap_err();
        assert!(error.starts_with(&format!("attribute {name}:")), "{error}");
        assert!(error.contains(message), "{error}");
    }
    rules.attributes[2].required = true;
    let error = rules.check_attributes(&BTreeMap::new()).unwrap_err();
    assert_eq!(
        (error.name.as_str(), error.message.as_str()),
        ("level", "is required in this mode: a number")
    );
    assert_eq!(check(&rules, "level", number(1.0)), Ok(()));
    let nothing = Rules::default();
    let error = check(&nothing, &"a".repeat(99), number(1.0)).unwrap_err();
    assert_eq!(
        error,
        format!(
            "attribute {}: is unknown: this mode is not matched by attributes",
            "a".repeat(32)
        )
    );
}
