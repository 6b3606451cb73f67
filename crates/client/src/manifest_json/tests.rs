use super::*;

const TEXT: &str = r#"{
  "abi": 1, "name": "arena", "version": "0.1.0", "title": "Ar\u00e9na",
  "players": {"min": 2, "max": 16}, "teams": 3,
  "hidden_state": true, "late_window_ms": 100, "max_save_bytes": 65536,
  "leaderboard": {"rule": "sum"},
  "input": [{"name": "push", "type": "i8", "min": -100, "max": 100},
            {"name": "aim", "type": "f32", "min": -0.5, "max": 1e2},
            {"name": "fire", "type": "bool"}],
  "commands": [{"name": "say", "fields": [{"name": "text", "type": "text", "max": 40}]}],
  "events": [{"name": "hit", "fields": [{"name": "by", "type": "u8"}]}],
  "entities": [{"name": "player", "fields": [
     {"name": "x", "type": "range", "min": -20, "max": 20, "precision": 0.01, "predict": "owner"},
     {"name": "facing", "type": "angle", "bits": 10, "interpolate": "none"},
     {"name": "hp", "type": "int", "min": -1, "max": 100, "audience": "team"},
     {"name": "q", "type": "quat", "bits": 9, "new": [1, {}]}]}],
  "unknown": null
}"#;

#[test]
fn a_manifest_is_read() {
    let manifest = parse(TEXT, 30).unwrap();
    manifest.validate().unwrap();
    assert_eq!((manifest.tick_rate, manifest.title.as_str()), (30, "Aréna"));
    assert_eq!(manifest.leaderboard, LeaderboardRule::Sum);
    assert_eq!(
        manifest.input[0].kind,
        FieldKind::I8 {
            min: -100,
            max: 100
        }
    );
    assert_eq!(
        manifest.input[1].kind,
        FieldKind::F32 {
            min: -0.5,
            max: 100.0
        }
    );
    let u8 = FieldKind::U8 { min: 0, max: 255 };
    assert_eq!(manifest.events[0].fields[0].kind, u8);
    let fields = &manifest.entities[0].fields;
    let linear: Vec<bool> = fields
        .iter()
        .map(|field| field.interpolate == Interpolate::Linear)
        .collect();
    assert_eq!(linear, [true, false, false, true]);
    assert_eq!(fields[0].predict, Predict::Owner);
    assert_eq!(fields[2].audience, Audience::Team);
    let backfill = |text: &str| {
        parse(&TEXT.replace("\"teams\"", text), 30)
            .unwrap()
            .backfill
    };
    assert!(backfill("\"backfill\": true, \"teams\""));
    assert!(!backfill("\"backfill\": false, \"teams\"") && !manifest.backfill);
    assert_eq!(
        parse(
            &TEXT.replace("\"teams\"", "\"tick_rate\": 20, \"teams\""),
            30
        )
        .unwrap()
        .tick_rate,
        20
    );
}

#[test]
fn an_error_names_the_part() {
    let cases = [
        ("\"abi\": 1", "\"abi\": 2", "`abi` is 2"),
        (
            "\"bits\": 9",
            "\"bits\": 9.5",
            "`manifest.entities[0].fields[3].bits`",
        ),
        ("\"max\": 40", "\"max\": -1", "commands[0].fields[0].max"),
        (
            "\"type\": \"u8\"",
            "\"type\": \"u7\"",
            "events[0].fields[0].type",
        ),
        ("\"max\": 16}", "\"max\": 256}", "players.max"),
        (
            "\"hidden_state\": true",
            "\"hidden_state\": 1",
            "hidden_state",
        ),
        (
            "\"rule\": \"sum\"",
            "\"rule\": \"mean\"",
            "leaderboard.rule",
        ),
        ("\"late_window_ms\": 100,", "", "late_window_ms"),
    ];
    for (good, bad, expected) in cases {
        let text = TEXT.replace(good, bad);
        assert_ne!(text, TEXT);
        let error = parse(&text, 60).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    for end in 0..TEXT.len() {
        assert!(TEXT.get(..end).is_none_or(|text| parse(text, 60).is_err()));
    }
    let many = format!("{{\"abi\": 1, \"input\": [{}0]}}", "0,".repeat(5000));
    assert!(parse(&many, 60).is_err());
    assert!(parse(&"[".repeat(10_000), 60).is_err());
    assert!(parse(&" ".repeat(MAX_BYTES + 1), 60).is_err());
}
