//! What the schema refuses, and how it says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::manifest::{FieldKind, Manifest, NetFieldKind};
use gs_engine::schema::{FieldError, Schema};
use support::{field, manifest, message, net_field, shout};

fn check_manifest(change: impl FnOnce(&mut Manifest), expected: &str) {
    let mut manifest = manifest();
    change(&mut manifest);
    let error = manifest.validate().expect_err(expected);
    assert_eq!(error.to_string(), format!("manifest field {expected}"));
    assert!(Schema::new(&manifest).is_err());
}

#[test]
fn a_good_manifest_passes() {
    manifest().validate().unwrap();
}

#[test]
fn every_bound_of_a_manifest_is_held() {
    check_manifest(
        |m| m.name = "Arena".into(),
        "`name` is \"Arena\", expected 1 to 32 of a-z, 0-9 and -",
    );
    check_manifest(
        |m| m.name = String::new(),
        "`name` is \"\", expected 1 to 32 of a-z, 0-9 and -",
    );
    check_manifest(
        |m| m.title = "a\nb".into(),
        "`title` is \"a\\nb\", expected 1 to 64 bytes without control characters",
    );
    check_manifest(|m| m.tick_rate = 0, "`tick_rate` is 0, expected 1 to 120");
    check_manifest(
        |m| m.tick_rate = 121,
        "`tick_rate` is 121, expected 1 to 120",
    );
    check_manifest(
        |m| m.max_players = 65,
        "`players.max` is 65, expected 1 to 64",
    );
    check_manifest(|m| m.min_players = 0, "`players.min` is 0, expected 1 to 8");
    check_manifest(|m| m.min_players = 9, "`players.min` is 9, expected 1 to 8");
    check_manifest(|m| m.teams = 65, "`teams` is 65, expected 0 to 64");
    check_manifest(
        |m| m.late_window_ms = 251,
        "`late_window_ms` is 251, expected 0 to 250",
    );
    check_manifest(
        |m| m.max_save_bytes = (16 << 20) + 1,
        "`max_save_bytes` is 16777217, expected 1 to 16777216",
    );
}

#[test]
fn every_bound_of_the_fields_is_held() {
    let many = |count: usize| {
        (0..count)
            .map(|i| field(&format!("f{i}"), FieldKind::Bool))
            .collect()
    };
    check_manifest(
        |m| m.input = many(33),
        "`input` is 33 entries, expected at most 32",
    );
    check_manifest(
        |m| m.input.push(field("push", FieldKind::Bool)),
        "`input[1].name` is \"push\", expected a name not yet used",
    );
    check_manifest(
        |m| m.input[0].name = String::new(),
        "`input[0].name` is \"\", expected 1 to 64 bytes without control characters",
    );
    check_manifest(
        |m| m.input[0].kind = FieldKind::Text { max: 3 },
        "`input[0].type` is text, expected any type but text",
    );
    check_manifest(
        |m| m.input[0].kind = FieldKind::I8 { min: 2, max: 1 },
        "`input[0].min` is 2, expected at most the max, 1",
    );
    check_manifest(
        |m| {
            m.input[0].kind = FieldKind::F32 {
                min: 0.0,
                max: f32::NAN,
            }
        },
        "`input[0].max` is NaN, expected a finite number",
    );
    check_manifest(
        |m| m.input[0].kind = FieldKind::F32 { min: 1.0, max: 0.0 },
        "`input[0].min` is 1, expected at most the max, 0",
    );
    check_manifest(
        |m| m.commands[0].fields[0].kind = FieldKind::Text { max: 8190 },
        "`commands[0].fields` is 8193 bytes, expected at most 8192 bytes with every text at its max",
    );
    check_manifest(
        |m| m.events = (0..65).map(|i| message(&format!("e{i}"), vec![])).collect(),
        "`events` is 65 entries, expected at most 64",
    );
}

#[test]
fn every_bound_of_the_entities_is_held() {
    let set = |kind| move |m: &mut Manifest| m.entities[0].fields[0].kind = kind;
    check_manifest(
        set(NetFieldKind::Int { min: 1, max: 0 }),
        "`entities[0].fields[0].min` is 1, expected at most the max, 0",
    );
    check_manifest(
        set(NetFieldKind::Angle { bits: 0 }),
        "`entities[0].fields[0].bits` is 0, expected 1 to 24",
    );
    check_manifest(
        set(NetFieldKind::Angle { bits: 25 }),
        "`entities[0].fields[0].bits` is 25, expected 1 to 24",
    );
    check_manifest(
        set(NetFieldKind::Quat { bits: 17 }),
        "`entities[0].fields[0].bits` is 17, expected 2 to 16",
    );
    let range = |precision| NetFieldKind::Range {
        min: 0.0,
        max: 1.0,
        precision,
    };
    check_manifest(
        set(range(0.0)),
        "`entities[0].fields[0].precision` is 0, expected more than 0",
    );
    check_manifest(
        set(range(f32::NAN)),
        "`entities[0].fields[0].precision` is NaN, expected more than 0",
    );
    check_manifest(
        |m| {
            let quats = (0..9).map(|i| net_field(&format!("q{i}"), NetFieldKind::Quat { bits: 9 }));
            m.entities[0].fields = quats.collect();
        },
        "`entities[0].fields` is 36 columns, expected at most 32",
    );
    let mut tiny = manifest();
    tiny.entities[0].fields[0].kind = range(1e-30);
    assert!(
        tiny.validate()
            .unwrap_err()
            .to_string()
            .contains("at most 2147483647 steps")
    );
}

#[test]
fn inputs_of_every_type_are_held_to_their_range() {
    let mut manifest = manifest();
    manifest.input = vec![
        field("flag", FieldKind::Bool),
        field("byte", FieldKind::U8 { min: 1, max: 9 }),
        field("word", FieldKind::U16 { min: 0, max: 1000 }),
        field(
            "wide",
            FieldKind::U32 {
                min: 0,
                max: u32::MAX,
            },
        ),
        field("small", FieldKind::I16 { min: -5, max: 5 }),
        field(
            "large",
            FieldKind::I32 {
                min: i32::MIN,
                max: 0,
            },
        ),
        field(
            "real",
            FieldKind::F32 {
                min: -1.0,
                max: 1.0,
            },
        ),
    ];
    let schema = Schema::new(&manifest).unwrap();
    assert_eq!(schema.input_len(), 18);
    let input = |flag: u8, byte: u8, word: u16, small: i16, large: i32, real: f32| {
        let mut data = vec![flag, byte];
        data.extend(word.to_le_bytes());
        data.extend(u32::MAX.to_le_bytes());
        data.extend(small.to_le_bytes());
        data.extend(large.to_le_bytes());
        data.extend(real.to_le_bytes());
        schema
            .validate_input(&data)
            .map_err(|error| error.to_string())
    };
    assert_eq!(input(1, 1, 1000, -5, i32::MIN, 1.0), Ok(()));
    assert_eq!(input(0, 9, 0, 5, 0, -1.0), Ok(()));
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(
        input(2, 1, 0, 0, 0, 0.0),
        refused("field `flag` is 2, expected 0 to 1")
    );
    assert_eq!(
        input(0, 0, 0, 0, 0, 0.0),
        refused("field `byte` is 0, expected 1 to 9")
    );
    assert_eq!(
        input(0, 1, 1001, 0, 0, 0.0),
        refused("field `word` is 1001, expected 0 to 1000")
    );
    assert_eq!(
        input(0, 1, 0, -6, 0, 0.0),
        refused("field `small` is -6, expected -5 to 5")
    );
    assert_eq!(
        input(0, 1, 0, 0, 1, 0.0),
        refused("field `large` is 1, expected -2147483648 to 0")
    );
    assert_eq!(
        input(0, 1, 0, 0, 0, 1.000_000_1),
        refused("field `real` is 1.0000001192092896, expected -1 to 1")
    );
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(
            input(0, 1, 0, 0, 0, bad),
            refused("field `real` is not a finite number")
        );
    }
    for len in [0, 17, 19] {
        let error = schema.validate_input(&vec![0; len]).unwrap_err();
        assert_eq!(
            error,
            FieldError::Length {
                expected: 18,
                found: len
            }
        );
    }
}

#[test]
fn commands_are_held_to_their_schema() {
    let schema = Schema::new(&manifest()).unwrap();
    let refused = |data: &[u8]| schema.validate_command(data).unwrap_err().to_string();
    schema.validate_command(&shout("grüß dich")).unwrap();
    schema
        .validate_event(&shout("twenty bytes of text"))
        .unwrap();
    assert_eq!(
        schema
            .validate_event(&shout("twenty-one bytes here"))
            .unwrap_err()
            .to_string(),
        "field `text` has 21 bytes of text, at most 20 are allowed"
    );
    assert_eq!(refused(&[]), "no bytes, expected an index and the fields");
    assert_eq!(refused(&[1]), "index 1, expected one below 1");
    assert_eq!(
        refused(&[0, 5]),
        "the bytes end within field `text`, which needs 1 more"
    );
    assert_eq!(
        refused(&[0, 5, 0, b'a']),
        "the bytes end within field `text`, which needs 4 more"
    );
    assert_eq!(refused(&[0, 1, 0, 0xff]), "field `text` is not UTF-8");
    assert_eq!(
        refused(&[0, 1, 0, b'a', b'b']),
        "1 bytes follow the last field of `shout`"
    );
}
