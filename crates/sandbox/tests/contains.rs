//! Modules that misbehave while they run: each ends alone, in time, with a reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gs_engine::Simulation;
use gs_engine::simulation::{Effects, NetState, SimulationError};
use gs_sandbox::{Limits, ModuleError, Sandbox};
use support::{compile, config, game, instance, log};

const ENDLESS_STEP: (&str, &str) = (
    "gs_step",
    r#"(func (export "gs_step") (param i32) (result i32) (loop (br 0)) unreachable)"#,
);

/// What a step of the game answers with some parts exchanged.
fn step_error(changes: &[(&str, &str)]) -> SimulationError {
    let mut game = instance(changes);
    game.init(0, &config()).unwrap();
    let error = game.step(&log(1, 1), &mut Effects::default()).unwrap_err();
    if matches!(
        error,
        SimulationError::Trapped { .. } | SimulationError::Overran { .. }
    ) {
        let later = game.save(&mut Vec::new()).unwrap_err();
        assert_eq!(later, error, "it stays unusable");
    }
    error
}

#[test]
fn an_endless_step_ends_alone() {
    let sandbox = Sandbox::new(Limits {
        max_instances: 8,
        ..Limits::default()
    })
    .unwrap();
    let mut endless = sandbox
        .compile(game(&[ENDLESS_STEP]))
        .unwrap()
        .instantiate()
        .unwrap();
    let mut healthy = sandbox.compile(game(&[])).unwrap().instantiate().unwrap();
    endless.init(0, &config()).unwrap();
    healthy.init(0, &config()).unwrap();

    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| {
            let answer = endless.step(&log(1, 1), &mut Effects::default());
            ended.store(true, Ordering::Release);
            answer
        });
        let mut tick = 0;
        while !ended.load(Ordering::Acquire) {
            tick += 1;
            healthy
                .step(&log(tick, 0), &mut Effects::default())
                .unwrap();
        }
        healthy
            .step(&log(tick + 1, 0), &mut Effects::default())
            .unwrap();
        assert!(tick > 1, "it stepped on meanwhile");
        let expected = SimulationError::Overran {
            call: "gs_step",
            limit_ms: 200,
        };
        assert_eq!(endless.join().unwrap(), Err(expected));
    });
}

#[test]
fn endless_starts_end() {
    let limits = Limits {
        load_deadline: Duration::from_millis(100),
        ..Limits::default()
    };
    let sandbox = Sandbox::new(Limits {
        max_instances: 8,
        ..limits
    })
    .unwrap();
    let overran = |call| SimulationError::Overran {
        call,
        limit_ms: 100,
    };

    let init =
        r#"(func (export "gs_init") (param i64 i32) (result i32) (loop (br 0)) unreachable)"#;
    let mut game_instance = sandbox
        .compile(game(&[("gs_init", init)]))
        .unwrap()
        .instantiate()
        .unwrap();
    assert_eq!(game_instance.init(0, &config()), Err(overran("gs_init")));

    let describe = r#"(func (export "gs_describe") (result i32) (loop (br 0)) unreachable)"#;
    let error = sandbox
        .compile(game(&[("gs_describe", describe)]))
        .unwrap_err();
    assert_eq!(error, ModuleError::Failed(overran("gs_describe")));

    let start = "(global $out (mut i32) (i32.const 0)) (func $start (loop (br 0))) (start $start)";
    let error = sandbox.compile(game(&[("more", start)])).unwrap_err();
    assert_eq!(error, ModuleError::Failed(overran("start")));
}

#[test]
fn a_trap_gives_its_name_or_the_modules_own_words() {
    let trap = (
        "gs_step",
        r#"(func (export "gs_step") (param i32) (result i32) unreachable)"#,
    );
    let named = "wasm trap: wasm `unreachable` instruction executed";
    let trapped = |reason: &str| SimulationError::Trapped {
        call: "gs_step",
        reason: reason.into(),
    };
    assert_eq!(step_error(&[trap]), trapped(named));

    let more = r#"(global $out (mut i32) (i32.const 0)) (data (i32.const 900) "index 7 of 3 ")"#;
    let says = |len: i64, pointer: i64| {
        format!(
            r#"(func (export "gs_panic") (result i32)
                (global.set $out (i32.const {pointer})) i32.const {len})"#
        )
    };
    let with_panic = |panic: &str| step_error(&[trap, ("gs_panic", panic), ("more", more)]);
    assert_eq!(with_panic(&says(13, 900)), trapped("index 7 of 3"));

    // What it says is held against its memory too, and its failing to say is no new failure.
    assert_eq!(with_panic(&says(-1, 900)), trapped(named));
    assert_eq!(with_panic(&says(13, 131_070)), trapped(named));
    assert_eq!(with_panic(&says(13, -1)), trapped(named));
    assert_eq!(
        with_panic(r#"(func (export "gs_panic") (result i32) unreachable)"#),
        trapped(named)
    );
    let endless = r#"(func (export "gs_panic") (result i32) (loop (br 0)) unreachable)"#;
    assert_eq!(with_panic(endless), trapped(named));
    let SimulationError::Trapped { reason, .. } = with_panic(&says(100_000, 900)) else {
        panic!("expected a trap");
    };
    assert!(reason.len() <= 3 * 4096, "cut to {} bytes", reason.len());
}

#[test]
fn a_deep_recursion_is_a_trap() {
    let recursion = r#"(func $deep (export "gs_step") (param i32) (result i32)
        (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))"#;
    let reason = "wasm trap: call stack exhausted".into();
    let expected = SimulationError::Trapped {
        call: "gs_step",
        reason,
    };
    assert_eq!(step_error(&[("gs_step", recursion)]), expected);
}

#[test]
fn memory_grows_to_the_limit_and_no_further() {
    // Grows page by page until it fails, then keeps the number of pages in the state.
    let bomb = r#"(func (export "gs_step") (param i32) (result i32)
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.store (i32.const 8) (memory.size))
        (global.set $out (i32.const 512)) i32.const 5)"#;
    let mut game = instance(&[("gs_step", bomb)]);
    game.init(0, &config()).unwrap();
    game.step(&log(1, 1), &mut Effects::default()).unwrap();
    let mut saved = Vec::new();
    game.save(&mut saved).unwrap();
    assert_eq!(saved[..4], 64_u32.to_le_bytes(), "4 MiB");
}

#[test]
fn lengths_and_pointers_outside_its_memory_are_refused() {
    let answers = |len: i64, pointer: i64| {
        let step = format!(
            r#"(func (export "gs_step") (param i32) (result i32)
                (global.set $out (i32.const {pointer})) i32.const {len})"#
        );
        step_error(&[("gs_step", &step)])
    };
    let malformed = |len: i64, pointer: u32| SimulationError::Malformed {
        call: "gs_step",
        reason: format!("{len} bytes at {pointer}, but the memory has 131072"),
    };
    assert_eq!(answers(5, 131_068), malformed(5, 131_068));
    assert_eq!(answers(5, 131_073), malformed(5, 131_073));
    assert_eq!(answers(5, -1), malformed(5, u32::MAX));
    assert_eq!(
        answers(i64::from(i32::MAX), 0),
        malformed(i64::from(i32::MAX), 0)
    );
    for code in [-1, -2, i32::MIN] {
        let expected = SimulationError::Refused {
            call: "gs_step",
            code,
        };
        assert_eq!(answers(i64::from(code), 512), expected);
    }
    let no_bytes = answers(0, 512);
    assert!(
        matches!(
            no_bytes,
            SimulationError::Malformed {
                call: "gs_step",
                ..
            }
        ),
        "{no_bytes}"
    );
}

#[test]
fn an_input_that_it_has_no_place_for_is_not_written() {
    let input = |pointer: i64| {
        format!(r#"(func (export "gs_input") (param i32) (result i32) i32.const {pointer})"#)
    };
    let init = |pointer: i64| {
        let mut game = instance(&[("gs_input", &input(pointer))]);
        game.init(0, &config()).unwrap_err().to_string()
    };
    let start = "the game module answered `gs_init` with malformed bytes: ";
    assert_eq!(init(0), format!("{start}gs_input refused 36 bytes"));
    for pointer in [131_072 - 35, 200_000, -1] {
        let found = init(pointer);
        assert!(found.contains("but the memory has 131072"), "{found}");
    }
}

#[test]
fn layouts_that_break_the_abi_are_refused() {
    // The first byte of the effects, a number of events, is not 0.
    let events = r#"(func (export "gs_step") (param i32) (result i32)
        (i32.store8 (i32.const 513) (i32.const 2)) (global.set $out (i32.const 512)) i32.const 5)"#;
    let reason = "number of events is 512, at most 256 are allowed".into();
    let expected = SimulationError::Malformed {
        call: "gs_step",
        reason,
    };
    assert_eq!(step_error(&[("gs_step", events)]), expected);

    let save =
        r#"(func (export "gs_save") (result i32) (global.set $out (i32.const 8)) i32.const 65)"#;
    let mut game = instance(&[("gs_save", save)]);
    game.init(0, &config()).unwrap();
    let reason = "65 bytes, the manifest says at most 64".into();
    let expected = SimulationError::Malformed {
        call: "gs_save",
        reason,
    };
    assert_eq!(game.save(&mut Vec::new()), Err(expected));

    let mut game = instance(&[]);
    game.init(0, &config()).unwrap();
    for tick in 1..=11 {
        game.step(&log(tick, 100), &mut Effects::default()).unwrap();
    }
    let reason = "entity 5: column 0 is 1100, expected 0..=1000".into();
    let expected = SimulationError::Malformed {
        call: "gs_net_state",
        reason,
    };
    assert_eq!(
        game.net_state(None, &mut NetState::default()),
        Err(expected)
    );

    let init = r#"(func (export "gs_init") (param i64 i32) (result i32) i32.const 1)"#;
    let error = instance(&[("gs_init", init)])
        .init(0, &config())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("answered 1, expected 0 or a negative code"),
        "{error}"
    );
}

#[test]
fn a_trap_in_the_start_function_is_a_refusal() {
    let start = "(global $out (mut i32) (i32.const 0)) (func $start unreachable) (start $start)";
    let error = compile(&[("more", start)]).unwrap_err();
    assert!(
        matches!(
            error,
            ModuleError::Failed(SimulationError::Trapped { call: "start", .. })
        ),
        "{error}"
    );
}
