use gs_engine::manifest::LeaderboardRule;
use gs_matchmaker::SkillSource;

use super::*;
use crate::config::Config;

/// Of a game for 2 to 10 players.
fn manifest(teams: u8, backfill: bool) -> Manifest {
    Manifest {
        name: "g".to_owned(),
        version: "1".to_owned(),
        title: "G".to_owned(),
        tick_rate: 60,
        min_players: 2,
        max_players: 10,
        teams,
        hidden_state: false,
        backfill,
        late_window_ms: 100,
        max_save_bytes: 1,
        leaderboard: LeaderboardRule::None,
        input: Vec::new(),
        commands: Vec::new(),
        events: Vec::new(),
        entities: Vec::new(),
    }
}

fn parse(text: &str) -> Result<Config, String> {
    let env = |name: &str| (name == "WAIT").then(|| "42".to_owned());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Config::parse(text, "config.yaml", folder, &env).map_err(|error| error.to_string())
}

/// The rules of a game with these on lines 5 and further, and teams as given.
fn rules_of(rules: &str, teams: u8) -> Result<Rules, String> {
    let rules = rules.trim_end().replace('\n', "\n      ");
    let text = format!("games:\n  g:\n    module: Cargo.toml\n    matchmaking:\n      {rules}\n");
    let config = parse(&text)?;
    let mode = &config.games["g"].default_mode;
    let rules = mode.matchmaking.rules(2, &manifest(teams, false));
    rules.map_err(|error| error.to_string())
}

#[track_caller]
fn refused_with_teams(rules: &str, teams: u8, expected: &str) {
    let error = rules_of(rules, teams).unwrap_err();
    let expected = format!("config.yaml:{expected}");
    assert!(error.starts_with(&expected), "{error}\nexpected {expected}");
}

#[track_caller]
fn refused(rules: &str, expected: &str) {
    refused_with_teams(rules, 0, expected);
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_rule_is_read() {
    let text = "players: 10\nteams: 2\n\
                skill: {source: best_score, tolerance: 50.5, widen: [{after: 5, to: 200}, {after: 15, to: any}], party: maximum}\n\
                balance: {max_difference: 80, widen: [{after: 20, to: any}]}\n\
                latency: {regions: [eu, us], max_ms: 80, widen: [{after: 10.5, to: 150}]}\n\
                attributes: {map: {overlap: [dust, ice]}, language: equal, level: {within: 5, widen: [{after: 9, to: 10}], required: true}}\n\
                priorities: {returned: 60, new_players: 10, party_of_3: 15}\n\
                acceptance: 15\nmatch_timeout: ${WAIT}\n";
    let rules = rules_of(text, 2).unwrap();
    let steps = |start, steps: &[(f64, f64)]| Steps {
        start,
        steps: (steps.iter())
            .map(|(after, to)| (Duration::from_secs_f64(*after), *to))
            .collect(),
    };
    let any = f64::INFINITY;
    let attribute = |name: &str, kind, required| AttributeRule {
        name: name.to_owned(),
        kind,
        required,
    };
    let priority = |who, head_start| Priority {
        who,
        head_start: seconds(head_start),
    };
    let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
    let level = steps(5.0, &[(9.0, 10.0)]);
    let expected = Rules {
        players: PlayerCount::exactly(10),
        teams: Teams::Even(2),
        skill: Some(SkillRule {
            source: SkillSource::BestScore,
            tolerance: steps(50.5, &[(5.0, 200.0), (15.0, any)]),
            party: PartySkill::Maximum,
        }),
        balance: Some(steps(80.0, &[(20.0, any)])),
        latency: Some(LatencyRule {
            regions: texts(["eu", "us"]),
            max_ms: steps(80.0, &[(10.5, 150.0)]),
        }),
        attributes: vec![
            attribute("language", AttributeKind::Equal, false),
            attribute("level", AttributeKind::Within { steps: level }, true),
            attribute(
                "map",
                AttributeKind::Overlap {
                    values: texts(["dust", "ice"]),
                },
                false,
            ),
        ],
        priorities: vec![
            priority(Who::NewPlayers, 10),
            priority(Who::PartyOf(3), 15),
            priority(Who::Returned, 60),
        ],
        acceptance: Some(seconds(15)),
        match_timeout: seconds(42),
        backfill: false,
    };
    assert_eq!(rules, expected);
}

#[test]
fn what_is_not_said_is_the_modules_and_the_defaults() {
    let text = "games:\n  g:\n    module: Cargo.toml\n";
    let mode = parse(text).unwrap().games["g"].default_mode.clone();
    let rules = mode.matchmaking.rules(4, &manifest(2, true)).unwrap();
    assert_eq!(rules, Rules::for_players(4, 2));
    let sizes = rules_of("team_sizes: [4, 1]", 2).unwrap();
    assert_eq!(sizes.players, PlayerCount::exactly(5));
    assert_eq!(rules_of("skill: any", 0).unwrap().skill, None);
    let wide = rules_of("skill: {tolerance: 30}", 0)
        .unwrap()
        .skill
        .unwrap();
    assert_eq!(wide.tolerance, Steps::fixed(30.0));
    let fewer = rules_of("players: {min: 2, max: 4, fewer_after: 20}", 0).unwrap();
    let players = PlayerCount {
        min: 2,
        max: 4,
        fewer_after: seconds(20),
    };
    assert_eq!(fewer.players, players);
}

#[test]
fn a_mode_has_each_key_of_its_own_over_its_games() {
    let text = "games:\n  g:\n    module: Cargo.toml\n    matchmaking: {players: 4, acceptance: 15, \
                skill: any}\n    modes:\n      duel: {players: 2}\n      calm:\n        matchmaking: \
                {skill: {tolerance: 10}, match_timeout: 60}\n";
    let config = parse(text).unwrap();
    let rules = |mode: &str| {
        let mode = &config.games["g"].modes[mode];
        let players = mode.players.unwrap_or(2);
        mode.matchmaking
            .rules(players, &manifest(0, false))
            .unwrap()
    };
    let (duel, calm) = (rules("duel"), rules("calm"));
    assert_eq!((duel.players.max, calm.players.max), (2, 4));
    assert_eq!(
        (duel.acceptance, calm.acceptance),
        (Some(seconds(15)), Some(seconds(15)))
    );
    assert_eq!(duel.skill, None);
    assert_eq!(calm.skill.unwrap().tolerance, Steps::fixed(10.0));
    assert_eq!(
        (duel.match_timeout, calm.match_timeout),
        (seconds(600), seconds(60))
    );
}

#[test]
fn rules_may_be_a_file_of_their_own_whose_lines_errors_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    let config = |rules: &str| {
        std::fs::write(&file, rules).unwrap();
        std::fs::write(folder.path().join("g.wasm"), "").unwrap();
        let text = "games:\n  g:\n    module: g.wasm\n    matchmaking: rules.yaml\n";
        let config = Config::parse(text, "config.yaml", folder.path(), &|_| None);
        let config = config.map_err(|error| error.to_string())?;
        let mode = &config.games["g"].default_mode;
        let rules = mode.matchmaking.rules(2, &manifest(0, false));
        rules.map_err(|error| error.to_string())
    };
    assert_eq!(config("players: 3\n").unwrap().players.max, 3);
    let shown = file.display();
    let error = config("players: 3\nplayrs: 4\n").unwrap_err();
    assert!(error.starts_with(&format!("{shown}:2: ")), "{error}");
    let error = config("match_timeout: 60\nskill:\n  tolerance: 0\n").unwrap_err();
    assert!(error.starts_with(&format!("{shown}:3: ")), "{error}");
    let error = config("acceptance: 15\nplayers: 99\n").unwrap_err();
    let expected = format!("{shown}:2: players: expected players from 1 to 64");
    assert!(error.starts_with(&expected), "{error}");
    refused_file("games:\n  g:\n    module: Cargo.toml\n    matchmaking: nowhere.yaml\n");

    #[track_caller]
    fn refused_file(text: &str) {
        let error = parse(text).unwrap_err();
        let expected = "config.yaml:4: games.g.matchmaking: ";
        assert!(
            error.starts_with(expected) && error.contains("cannot be read"),
            "{error}"
        );
    }
    // A file alone, as the simulation reads it.
    std::fs::write(&file, "teams: 2\nplayers: 6\n").unwrap();
    let alone = Matchmaking::read(&file).unwrap();
    let rules = alone.over_rules(Rules::default()).unwrap();
    assert_eq!((rules.players.max, rules.teams), (6, Teams::Even(2)));
    let error = Matchmaking::read(&folder.path().join("none.yaml")).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn sizes_that_contradict_each_other_or_the_module_are_refused() {
    refused(
        "players: 0",
        "5: games.g.matchmaking.players: expected players from 1 to 64",
    );
    refused(
        "players: many",
        "5: games.g.matchmaking.players: expected players from 1 to 64",
    );
    refused(
        "players: 11",
        "5: games.g.matchmaking.players: the game takes 2 to 10 players",
    );
    refused(
        "players: 1",
        "5: games.g.matchmaking.players: the game takes 2 to 10 players",
    );
    refused(
        "acceptance: 10\nplayers: {min: 4, max: 2}",
        "6: games.g.matchmaking.players: `min` is 4 and `max` 2",
    );
    refused(
        "teams: 2",
        "5: games.g.matchmaking.teams: 2 teams, but in this game everyone plays for",
    );
    refused_with_teams(
        "teams: 3",
        2,
        "5: games.g.matchmaking.teams: 3 teams, but this game has 2",
    );
    refused_with_teams(
        "players: 6\nteam_sizes: [4, 1]",
        2,
        "6: games.g.matchmaking.team_sizes: the teams have 5 players, and a match 6 to 6",
    );
    refused_with_teams(
        "team_sizes: [2, 2, 2]",
        2,
        "5: games.g.matchmaking.team_sizes: 3 teams, but this game has 2",
    );
    refused_with_teams(
        "teams: 2\nteam_sizes: [2, 2]",
        2,
        "6: games.g.matchmaking.team_sizes: give `teams` or `team_sizes`, not both",
    );
    refused(
        "players: {min: 2, max: 2, fewer_after: 5}",
        "5: games.g.matchmaking.players: `players.fewer_after`: a match never has fewer than 2",
    );
}

#[test]
fn rules_that_can_never_match_are_refused() {
    refused(
        "skill: {tolerance: 0}",
        "5: games.g.matchmaking.skill: `skill.tolerance`: expected more than 0",
    );
    refused(
        "skill: {tolerance: -5}",
        "5: games.g.matchmaking.skill.tolerance: expected a number above 0",
    );
    refused(
        "skill: {tolerance: NaN}",
        "5: games.g.matchmaking.skill.tolerance: expected a number above 0",
    );
    refused(
        "skill:\n  tolerance: 100\n  widen:\n    - {after: 5, to: 200}\n    - {after: 10, to: 150}",
        "9: games.g.matchmaking.skill.widen[1].to: expected more than 200, found 150: it only widens",
    );
    refused(
        "skill:\n  tolerance: 100\n  widen:\n    - {after: 5, to: 200}\n    - {after: 5, to: any}",
        "9: games.g.matchmaking.skill.widen[1].after: expected more than 5 s, found 5",
    );
    refused(
        "match_timeout: 30\nskill: {tolerance: 100, widen: [{after: 30, to: any}]}",
        "6: games.g.matchmaking.skill.widen[0].after: 30 s is never reached",
    );
    refused(
        "latency: {regions: [eu], max_ms: 0}",
        "5: games.g.matchmaking.latency: `latency.max_ms`: expected more than 0",
    );
    refused(
        "latency: {regions: [], max_ms: 50}",
        "5: games.g.matchmaking.latency: `latency.regions`: expected 1 to 32 of them, found 0",
    );
    refused(
        "latency: {regions: [eu, eu], max_ms: 50}",
        "5: games.g.matchmaking.latency: `latency.regions`: `eu` is there twice",
    );
    refused(
        "attributes: {map: {overlap: []}}",
        "5: games.g.matchmaking.attributes.map: `attributes.map.overlap`: expected 1 to 64",
    );
    refused(
        "attributes: {level: {within: 0}}",
        "5: games.g.matchmaking.attributes.level: `attributes.level.within`: expected more than 0",
    );
    refused(
        "balance: {max_difference: 80}",
        "5: games.g.matchmaking.balance: there are no two teams",
    );
}

#[test]
fn what_no_rule_can_be_is_refused_with_what_it_can() {
    refused(
        "skill: sharp",
        "5: games.g.matchmaking.skill: expected `any` or {source, tolerance",
    );
    refused(
        "skill: {source: luck}",
        "5: games.g.matchmaking.skill.source: expected `rating`, `best_score` or `matches`, found",
    );
    refused(
        "skill: {party: minimum}",
        "5: games.g.matchmaking.skill.party: expected `average` or `maximum`, found `minimum`",
    );
    refused(
        "attributes: {map: same}",
        "5: games.g.matchmaking.attributes.map: expected `equal`, {overlap: [...]} or {within, widen}",
    );
    refused(
        "attributes: {map: {overlap: [a], within: 3}}",
        "5: games.g.matchmaking.attributes.map: expected `equal`, {overlap: [...]} or {within, widen}",
    );
    refused(
        "priorities: {friends: 5}",
        "5: games.g.matchmaking.priorities.friends: expected `returned`, `new_players` or",
    );
    refused(
        "priorities: {returned: 601}",
        "5: games.g.matchmaking.priorities.returned: expected a head start above 0 and at most 600 s",
    );
    refused(
        "priorities: {party_of_3: 5}",
        "5: games.g.matchmaking.priorities.party_of_3: a party of 3 cannot queue: the largest has 2",
    );
    refused(
        "backfill: perhaps",
        "5: games.g.matchmaking.backfill: expected true or false",
    );
    refused(
        "backfill: true",
        "5: games.g.matchmaking.backfill: this game takes nobody into a slot",
    );
    for (key, wrong, expected) in [
        ("acceptance", ["4.9", "61", "soon"], "seconds from 5 to 60"),
        (
            "match_timeout",
            ["9", "3601", "-1"],
            "seconds from 10 to 3600",
        ),
    ] {
        for wrong in wrong {
            let expected =
                format!("5: games.g.matchmaking.{key}: expected {expected}, found `{wrong}`");
            refused(&format!("{key}: {wrong}"), &expected);
        }
    }
    refused(
        "match_timeout: ${NOPE}",
        "5: games.g.matchmaking.match_timeout: the environment variable NOPE is not set",
    );
    let many: Vec<String> = (1..=33)
        .map(|n| format!("{{after: {n}, to: {}}}", 100 + n))
        .collect();
    refused(
        &format!("skill: {{tolerance: 100, widen: [{}]}}", many.join(", ")),
        "5: games.g.matchmaking.skill: `skill.widen`: expected at most 32 steps, found 33",
    );
}

#[test]
fn unknown_keys_are_refused_with_their_line_wherever_they_are() {
    for (rules, key, line) in [
        ("acceptance: 15\nmatch_timout: 60", "match_timout", 6),
        ("skill:\n  tolerence: 60", "tolerence", 6),
        ("skill:\n  widen:\n    - {after: 5, too: 60}", "too", 7),
        ("players: {min: 2, most: 4}", "most", 5),
        ("latency: {regions: [eu], max: 50}", "max", 5),
        ("attributes:\n  map: {overlaps: [a]}", "overlaps", 6),
    ] {
        let error = rules_of(rules, 0).unwrap_err();
        let place = format!("config.yaml:{line}: ");
        assert!(
            error.starts_with(&place) && error.contains(key),
            "{error}\nexpected {place}…{key}"
        );
    }
}

#[test]
fn a_module_that_takes_substitutes_may_have_backfill() {
    let config = parse("games:\n  g:\n    module: Cargo.toml\n    matchmaking: {backfill: true}\n");
    let mode = config.unwrap().games["g"].default_mode.clone();
    assert!(
        mode.matchmaking
            .rules(2, &manifest(0, true))
            .unwrap()
            .backfill
    );
}

#[test]
fn the_rules_in_the_guide_are_good_and_read_as_it_says() {
    let guide = include_str!("../../../../../docs/matchmaking.md");
    let block = guide.split("```yaml\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, block).unwrap();
    let rules = Matchmaking::read(&file).unwrap();
    let rules = rules.over_rules(Rules::default()).unwrap();
    assert_eq!(rules.attributes.len() + rules.priorities.len(), 4);
    // What it says that `config check` prints.
    for line in &crate::matchmaking::words::in_words(&rules)[..2] {
        assert!(
            guide.contains(&format!("  {line}\n")),
            "the guide lacks: {line}"
        );
    }
    assert_eq!(rules_of(block.trim_start(), 2).unwrap(), rules);
}
