//! `gameserver match simulate`, as a designer calls it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What it answers, or says is wrong.
fn simulate(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_gameserver"))
        .args(["match", "simulate"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "narrow.yaml",
        "players: 4\nteams: 2\nskill: {tolerance: 40}\nmatch_timeout: 120\n",
    );
    write(
        "wide.yaml",
        "players: 4\nteams: 2\nskill: any\nlatency: {regions: [eu, us], max_ms: 70}\n",
    );
    folder
}

/// Without parties, whose members are as far apart as they like.
const SHORT: [&str; 6] = [
    "--players-per-minute",
    "40",
    "--hours",
    "0.25",
    "--parties",
    "0",
];

#[test]
fn the_same_seed_gives_the_same_report_and_picture() {
    let folder = folder();
    let run = |seed: &str, svg: &str| {
        let rules = ["narrow.yaml", "wide.yaml", "--json"];
        let seeded = ["--seed", seed, "--svg", svg];
        let answer = simulate(folder.path(), &[&rules[..], &SHORT, &seeded].concat()).unwrap();
        (
            answer,
            std::fs::read_to_string(folder.path().join(svg)).unwrap(),
        )
    };
    let first = run("7", "a.svg");
    assert_eq!(first, run("7", "b.svg"));
    assert_ne!(first, run("8", "c.svg"));
    assert!(first.1.starts_with("<svg") && first.1.contains("narrow.yaml"));

    let report: Value = serde_json::from_str(&first.0).unwrap();
    let (narrow, wide) = (&report["rules"][0], &report["rules"][1]);
    for rules in [narrow, wide] {
        let all: u64 = rules["players"]
            .as_object()
            .unwrap()
            .values()
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert_eq!(Some(all), report["stream"]["players"].as_u64());
        assert!(rules["matches"].as_u64().unwrap() > 10, "{report}");
    }
    // What the rules say of each match is kept, and what it costs shows.
    let number = |of: &Value, what: &str, which: &str| of[what][which].as_f64().unwrap();
    assert!(number(narrow, "skill_spread", "p99") < 40.0, "{report}");
    assert!(number(wide, "skill_spread", "p50") > number(narrow, "skill_spread", "p50"));
    assert!(number(wide, "wait_seconds", "p50") < number(narrow, "wait_seconds", "p50"));
    assert!(number(wide, "latency_ms", "p99") <= 70.0, "{report}");
    assert!(number(narrow, "favourite", "p50") >= 0.5, "{report}");
}

#[test]
fn a_recorded_stream_is_played_and_shown_as_a_table() {
    let folder = folder();
    let player = r#"{"skill":1500,"rating":1500,"uncertainty":80,"matches":20}"#;
    let line = |at: u32, left: &str| {
        format!(
            r#"{{"arrives_ms":{at},"mode":"duel","members":[{player}],"left_after_ms":{left},"matched_after_ms":null}}"#
        )
    };
    let lines = [line(0, "null"), line(100, "null"), line(2_000, "3000")].join("\n");
    std::fs::write(folder.path().join("tickets.jsonl"), lines).unwrap();
    std::fs::write(folder.path().join("duel.yaml"), "players: 2\n").unwrap();
    let table = simulate(folder.path(), &["duel.yaml", "--tickets", "tickets.jsonl"]).unwrap();
    assert!(
        table.starts_with("tickets.jsonl: 3 players in 3 groups"),
        "{table}"
    );
    for row in ["players matched", "gave up"] {
        assert!(table.contains(row), "{table}");
    }
    assert!(
        table.contains("2 (66.7 %)") && table.contains("1 (33.3 %)"),
        "{table}"
    );
}

#[test]
fn what_cannot_be_simulated_is_refused_with_the_reason() {
    let folder = folder();
    std::fs::write(
        folder.path().join("bad.yaml"),
        "players: 2\nskill:\n  tolerance: -1\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("asks.yaml"),
        "attributes: {map: {overlap: [a, b], required: true}}\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("none.jsonl"), "").unwrap();
    for (arguments, expected) in [
        (vec!["nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (
            vec!["bad.yaml"],
            "bad.yaml:3: skill.tolerance: expected a number above 0",
        ),
        (vec!["asks.yaml"], "everybody has to give `map`"),
        (
            vec!["wide.yaml", "--attribute", "map=a"],
            "no rules ask for `map`",
        ),
        (
            vec!["wide.yaml", "--hours", "0"],
            "--hours 0: expected 0.01 to 168",
        ),
        (
            vec!["wide.yaml", "--parties", "101"],
            "--parties 101: expected 0 to 100",
        ),
        (vec!["wide.yaml", "--regions", "eu:0"], "found `eu:0`"),
        (
            vec!["wide.yaml", "--players-per-minute", "90000", "--hours", "9"],
            "players are too many",
        ),
        (vec!["wide.yaml", "--tickets", "none.jsonl"], "no tickets"),
        (
            vec!["wide.yaml", "--tickets", "none.jsonl", "--hours", "1"],
            "cannot be used with",
        ),
    ] {
        let error = simulate(folder.path(), &arguments).unwrap_err();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}
