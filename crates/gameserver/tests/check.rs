//! `gameserver check`: what it lets pass, and what it finds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// A game in WebAssembly text whose functions can be exchanged.
#[path = "../../sandbox/tests/support/mod.rs"]
mod wat_game;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gs_engine::simulation::{Effects, MatchConfig, TickLog};
use gs_engine::{Simulation, abi, confirmed};
use gs_sandbox::{Limits, Sandbox};
use serde_json::Value;

struct Answer {
    passed: bool,
    output: String,
    error: String,
}

fn check(module: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_gameserver"))
        .arg("check")
        .arg(module)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Answer {
        passed: output.status.success(),
        output: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

fn game(name: &str) -> PathBuf {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/games/{name}.wasm"));
    assert!(
        file.is_file(),
        "no {}; build it with `cargo xtask game games/{name}`",
        file.display()
    );
    file
}

/// A step that adds the lowest bits of the tick to the sum that is seen, and does this besides.
fn step(besides: &str) -> String {
    format!(
        r#"(global $steps (mut i32) (i32.const 0))
        (func (export "gs_step") (param i32) (result i32)
            (i32.store (i32.const 8) (i32.add
                (i32.load (i32.const 8)) (i32.and (i32.load (i32.const 32768)) (i32.const 7))))
            (global.set $steps (i32.add (global.get $steps) (i32.const 1)))
            {besides}
            (global.set $out (i32.const 512)) i32.const 5)"#
    )
}

/// Checks a hand-written game with these parts exchanged.
fn check_wat(parts: &[(&str, &str)]) -> Answer {
    let manifest = wat_game::MANIFEST.replace(r#""max": 1000"#, r#""max": 100000000"#);
    let sound = step("");
    let mut all = vec![("gs_step", sound.as_str())];
    all.retain(|(name, _)| parts.iter().all(|(changed, _)| changed != name));
    all.extend_from_slice(parts);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("game.wasm");
    std::fs::write(&file, wat_game::game_with_manifest(&manifest, &all)).unwrap();
    check(&file, &["--ticks", "1000"])
}

#[test]
fn the_games_of_this_repository_pass() {
    for name in ["arena", "clash", "tic-tac-toe"] {
        let answer = check(&game(name), &["--ticks", "1200", "--players", "2"]);
        assert!(answer.passed, "{}{}", answer.output, answer.error);
        assert!(answer.output.starts_with(name), "{}", answer.output);
        for part in ["two instances agree", "run again", "bytes of state", "p99"] {
            assert!(answer.output.contains(part), "{part}: {}", answer.output);
        }
        assert!(!answer.output.contains("FAILED"));
    }
}

#[test]
fn a_report_for_programs_is_one_line_of_json() {
    let answer = check(&game("clash"), &["--ticks", "600", "--seed", "7", "--json"]);
    assert!(answer.passed, "{}", answer.error);
    let report: Value = serde_json::from_str(&answer.output).unwrap();
    assert_eq!(answer.output.trim_end().lines().count(), 1);
    assert_eq!(report["ok"], true);
    assert_eq!(
        (&report["game"], &report["seed"]),
        (&"clash".into(), &"7".into())
    );
    assert_eq!(report["ticks"], 600);
    assert!(report["views"].as_u64() > Some(5));
    assert_eq!(report["view_lost"], Value::Array(vec![]));
    assert!(report["micros"]["step"]["p99"].as_f64() > Some(0.0));
}

#[test]
fn logs_and_hashes_are_written_for_another_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hashes.json");
    let name = file.to_str().unwrap();
    let arguments = ["--ticks", "400", "--players", "3", "--hashes", name];
    let answer = check(&game("arena"), &arguments);
    assert!(answer.passed, "{}", answer.error);
    let played: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();

    let sandbox = Sandbox::new(Limits::default()).unwrap();
    let module = sandbox
        .compile(std::fs::read(game("arena")).unwrap())
        .unwrap();
    assert_eq!(played["module_sha256"], module.sha256());
    assert_eq!(
        (&played["format"], &played["hash"]),
        (&1.into(), &"xxh3-64".into())
    );
    let mut instance = module.instantiate().unwrap();
    let (mut log, mut effects, mut state) = (TickLog::default(), Effects::default(), Vec::new());
    let mut ticks = 0;
    for played in played["matches"].as_array().unwrap() {
        let config = MatchConfig {
            players: played["config"]["players"].as_u64().unwrap() as u8,
            teams: 0,
            options: played["config"]["options"].to_string(),
        };
        assert_eq!(config.players, 3);
        let seed = played["seed"].as_str().unwrap().parse().unwrap();
        instance.init(seed, &config).unwrap();
        for tick in played["ticks"].as_array().unwrap() {
            let bytes = bytes(tick["log"].as_str().unwrap());
            abi::decode_tick_log(&bytes, module.schema().input_len(), &mut log).unwrap();
            instance.step(&log, &mut effects).unwrap();
            instance.save(&mut state).unwrap();
            let hash = format!("{:016x}", confirmed::state_hash(&state));
            assert_eq!(tick["hash"], hash.as_str(), "tick {}", log.tick);
            ticks += 1;
        }
    }
    assert_eq!(ticks, 400);
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn a_sound_module_by_hand_passes() {
    let answer = check_wat(&[]);
    assert!(answer.passed, "{}{}", answer.output, answer.error);
}

#[test]
fn state_outside_of_the_save_is_found_with_tick_and_field() {
    let leak = step(
        "(if (i32.gt_u (global.get $steps) (i32.const 200)) (then
            (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 50)))))",
    );
    let answer = check_wat(&[("gs_step", &leak)]);
    assert!(!answer.passed);
    assert!(answer.output.contains("FAILED  tick "), "{}", answer.output);
    assert!(
        answer.output.contains("entity 5 (sum): value is"),
        "{}",
        answer.output
    );
    assert!(
        answer.error.contains("failed the check"),
        "{}",
        answer.error
    );
}

#[test]
fn what_nobody_sees_is_found_by_its_offset() {
    let leak = step(
        "(if (i32.gt_u (global.get $steps) (i32.const 200)) (then
            (i32.store8 (i32.const 18) (i32.const 1))))",
    );
    let init = r#"(func (export "gs_init") (param i64 i32) (result i32)
        (i64.store (i32.const 8) (i64.const 0)) (i64.store (i32.const 16) (i64.const 0))
        i32.const 0)"#;
    let answer = check_wat(&[("gs_step", &leak), ("gs_init", init)]);
    assert!(!answer.passed);
    assert!(
        answer.output.contains("at offset 10 of the saved state"),
        "{}",
        answer.output
    );
}

#[test]
fn a_nan_with_bits_of_its_own_is_found() {
    // What a processor makes of a NaN that comes in is its own affair.
    let nan = step(
        "(f32.store (i32.const 20) (f32.add (f32.const 1)
            (f32.reinterpret_i32 (i32.or (i32.const 0x7fc01234) (i32.load (i32.const 40))))))",
    );
    let answer = check_wat(&[("gs_step", &nan)]);
    assert!(!answer.passed);
    assert!(answer.output.contains("NaN"), "{}", answer.output);
}

#[test]
fn a_state_over_its_declared_limit_is_found() {
    let save = r#"(func (export "gs_save") (result i32)
        (global.set $out (i32.const 8))
        (select (i32.const 65) (i32.const 16)
            (i32.gt_u (i32.load (i32.const 8)) (i32.const 1000))))"#;
    let answer = check_wat(&[("gs_save", save)]);
    assert!(!answer.passed);
    assert!(
        answer
            .output
            .contains("65 bytes, the manifest says at most 64"),
        "{}",
        answer.output
    );
}

#[test]
fn a_trap_is_found_with_its_tick() {
    let trap =
        step("(if (i32.eq (i32.load (i32.const 32768)) (i32.const 321)) (then unreachable))");
    let answer = check_wat(&[("gs_step", &trap)]);
    assert!(!answer.passed);
    assert!(
        answer.output.contains("tick 321") && answer.output.contains("gs_step"),
        "{}",
        answer.output
    );
}

#[test]
fn a_check_that_changes_the_state_is_found() {
    let verdict = r#"(func (export "gs_check") (param i32 i32) (result i32)
        (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
        (i32.store8 (i32.const 600) (i32.const 0))
        (global.set $out (i32.const 600)) i32.const 1)"#;
    let answer = check_wat(&[("gs_check", verdict)]);
    assert!(!answer.passed);
    assert!(
        answer.output.contains("`gs_check` changed the state"),
        "{}",
        answer.output
    );
}

#[test]
fn what_is_no_module_and_a_number_of_players_that_it_is_not_for_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.wasm");
    let missing = check(&file, &[]);
    assert!(!missing.passed && missing.error.contains("cannot read"));
    std::fs::write(&file, "no module").unwrap();
    let text = check(&file, &[]);
    assert!(
        !text.passed && text.error.contains("not a WebAssembly module"),
        "{}",
        text.error
    );
    let crowded = check(&game("clash"), &["--players", "3"]);
    assert!(
        !crowded.passed && crowded.error.contains("`clash` is for 2 to 2"),
        "{}",
        crowded.error
    );
}
