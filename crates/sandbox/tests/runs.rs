//! A well-behaved module, from its bytes to a match.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::manifest::{Audience, FieldKind, Interpolate, LeaderboardRule, NetFieldKind};
use gs_engine::simulation::{Effects, MatchConfig, NetState, SimulationError, Verdict};
use gs_engine::{Pipeline, Simulation};
use gs_sandbox::{Limits, ModuleError, ModuleInstance, Sandbox};
use sha2::{Digest, Sha256};
use support::{MANIFEST, config, game, game_with_manifest, instance, log, sandbox};

#[test]
fn a_module_says_what_it_is() {
    let bytes = game(&[]);
    let module = sandbox().compile(bytes.clone()).unwrap();
    assert_eq!(module.manifest_json(), MANIFEST);
    assert_eq!(&module.bytes()[..], &bytes[..]);
    let hex: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(module.sha256(), hex);

    let manifest = module.manifest();
    assert_eq!((manifest.name.as_str(), manifest.tick_rate), ("sum", 60));
    assert_eq!((manifest.min_players, manifest.max_players), (1, 2));
    assert_eq!(manifest.leaderboard, LeaderboardRule::Best);
    assert_eq!(manifest.input[0].kind, FieldKind::U8 { min: 0, max: 100 });
    assert_eq!(module.schema().input_len(), 1);
}

#[test]
fn a_module_may_leave_its_tick_rate_to_the_server() {
    let sandbox = Sandbox::new(Limits {
        default_tick_rate: 20,
        max_instances: 1,
        ..Limits::default()
    })
    .unwrap();
    let open = MANIFEST.replace("\"tick_rate\": 60,", "");
    let module = sandbox.compile(game_with_manifest(&open, &[])).unwrap();
    assert_eq!(module.manifest().tick_rate, 20);
    let module = sandbox.compile(game(&[])).unwrap();
    assert_eq!(module.manifest().tick_rate, 60);
}

#[test]
fn every_field_of_a_manifest_is_read() {
    let manifest = MANIFEST
        .replace("\"best\"", "\"sum\"")
        .replace(
            "\"commands\": []",
            r#""commands": [{"name": "say", "fields": [
                {"name": "text", "type": "text", "max": 9}, {"name": "loud", "type": "bool"},
                {"name": "x", "type": "f32", "min": -0.5, "max": 2}]}]"#,
        )
        .replace(
            "{\"name\": \"value\"",
            r#"{"name": "x", "type": "range", "min": 0, "max": 40, "precision": 0.5,
                "predict": "owner", "audience": "team"},
               {"name": "aim", "type": "angle", "bits": 10, "interpolate": "none"},
               {"name": "turn", "type": "quat", "bits": 9},
               {"name": "value""#,
        );
    let module = sandbox()
        .compile(game_with_manifest(&manifest, &[]))
        .unwrap();
    let manifest = module.manifest();
    assert_eq!(manifest.leaderboard, LeaderboardRule::Sum);
    let kinds: Vec<_> = manifest.commands[0]
        .fields
        .iter()
        .map(|field| field.kind)
        .collect();
    let real = FieldKind::F32 {
        min: -0.5,
        max: 2.0,
    };
    assert_eq!(kinds, [FieldKind::Text { max: 9 }, FieldKind::Bool, real]);
    let fields = &manifest.entities[0].fields;
    let range = NetFieldKind::Range {
        min: 0.0,
        max: 40.0,
        precision: 0.5,
    };
    assert_eq!(
        (fields[0].kind, fields[0].audience),
        (range, Audience::Team)
    );
    assert_eq!(fields[0].interpolate, Interpolate::Linear);
    assert_eq!(fields[1].interpolate, Interpolate::None);
    assert_eq!(fields[2].kind, NetFieldKind::Quat { bits: 9 });
    assert_eq!(module.schema().kinds()[0].columns().len(), 7);
}

#[test]
fn a_match_runs_through_every_call() {
    let mut game = instance(&[]);
    let mut effects = Effects::default();
    let mut saved = Vec::new();
    game.init(77, &config()).unwrap();
    game.step(&log(1, 30), &mut effects).unwrap();
    game.step(&log(2, 12), &mut effects).unwrap();
    assert_eq!(effects, Effects::default());
    game.save(&mut saved).unwrap();
    assert_eq!(saved, [42, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);

    assert_eq!(game.check(0, &[98]), Ok(Verdict::Accept));
    assert_eq!(game.check(0, &[99]), Ok(Verdict::Refuse(String::new())));

    let mut view = NetState::default();
    game.net_state(None, &mut view).unwrap();
    assert_eq!(
        (view.entities[0].id, view.columns.as_slice()),
        (5, &[42][..])
    );

    let mut other = instance(&[]);
    other.load(&saved).unwrap();
    let mut again = Vec::new();
    other.save(&mut again).unwrap();
    assert_eq!(again, saved);
    view.columns[0] = 7;
    other.load_view(Some(0), &view).unwrap();
    other.net_state(Some(0), &mut view).unwrap();
    assert_eq!(view.columns, [7]);

    let refused = SimulationError::Refused {
        call: "gs_load",
        code: -1,
    };
    assert_eq!(other.load(&saved[1..]), Err(refused));
    other
        .load(&saved)
        .expect("a refusal leaves the instance usable");
}

#[test]
fn a_module_runs_in_the_pipeline_and_moves_between_threads() {
    let pipeline = Pipeline::new(instance(&[]), config(), 1).unwrap();
    let played = std::thread::spawn(move || {
        let mut pipeline = pipeline;
        pipeline.handle_join(0, 0).unwrap();
        for tick in 1..=10 {
            pipeline.handle_frame(0, tick, &[10], 0).unwrap();
            pipeline.begin_tick();
            assert!(pipeline.advance().unwrap().is_some());
        }
        let mut shown = NetState::default();
        pipeline.net_state(None, &mut shown).unwrap();
        (pipeline.save().unwrap()[0], shown.entities.len())
    });
    // The first tick's log has the join before the input, so the byte read there is its status.
    assert_eq!(played.join().unwrap().1, 1);
}

#[test]
fn options_must_be_a_json_object() {
    let mut game = instance(&[]);
    for options in ["", "[]", "{", "{} {}", "7"] {
        let config = MatchConfig {
            options: options.into(),
            ..config()
        };
        let error = game.init(1, &config).unwrap_err();
        assert!(
            matches!(error, SimulationError::Options { .. }),
            "{options}: {error}"
        );
    }
    game.init(1, &config()).unwrap();
}

#[test]
fn nans_are_canonical() {
    // A NaN with a payload, plus one: machines differ in which bits come out.
    let step = r#"(func (export "gs_step") (param i32) (result i32)
        (f32.store (i32.const 8) (f32.add (f32.const nan:0x200001) (f32.load (i32.const 12))))
        (f64.store (i32.const 16) (f64.div (f64.const -nan:0x4000000000001) (f64.const 0)))
        (global.set $out (i32.const 512)) i32.const 5)"#;
    let mut game = instance(&[("gs_step", step)]);
    let mut saved = Vec::new();
    game.init(0, &config()).unwrap();
    game.step(&log(1, 0), &mut Effects::default()).unwrap();
    game.save(&mut saved).unwrap();
    assert_eq!(saved[..4], 0x7fc0_0000_u32.to_le_bytes());
    assert_eq!(saved[8..], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
}

#[test]
fn instances_are_bounded_and_their_places_used_again() {
    let sandbox = Sandbox::new(Limits {
        max_instances: 2,
        ..Limits::default()
    })
    .unwrap();
    let module = sandbox.compile(game(&[])).unwrap();
    let mut first = module.instantiate().unwrap();
    let second = module.instantiate().unwrap();
    assert!(matches!(
        module.instantiate(),
        Err(ModuleError::Instantiate { .. })
    ));
    drop(second);
    first.init(0, &config()).unwrap();
    first.step(&log(1, 9), &mut Effects::default()).unwrap();
    let mut third: ModuleInstance = module.instantiate().unwrap();
    let mut saved = Vec::new();
    third.save(&mut saved).unwrap();
    assert_eq!(saved, [0; 16], "nothing is left of the instance before");
}

#[test]
fn an_instance_outlives_its_sandbox() {
    let mut game = {
        let sandbox = sandbox();
        sandbox.compile(game(&[])).unwrap().instantiate().unwrap()
    };
    game.init(0, &config()).unwrap();
    game.step(&log(1, 9), &mut Effects::default()).unwrap();
}
