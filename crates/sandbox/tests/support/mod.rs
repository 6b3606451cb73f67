//! A game in WebAssembly text whose functions a test can exchange one by one.

#![allow(dead_code, reason = "each test file uses its own part")]

use gs_engine::simulation::{InputStatus, MatchConfig, SlotInput, TickLog};
use gs_sandbox::{GameModule, Limits, ModuleError, ModuleInstance, Sandbox};

/// The parts of the game by name. Its state is a sum of inputs at 8, and the seed at 16; input is
/// taken at 32768, where an input's byte is at offset 12 in the log of one slot.
const PARTS: [(&str, &str); 14] = [
    ("memory", r#"(memory (export "memory") 2)"#),
    (
        "gs_abi_version",
        r#"(func (export "gs_abi_version") (result i32) i32.const 1)"#,
    ),
    (
        "gs_input",
        r#"(func (export "gs_input") (param i32) (result i32)
            (select (i32.const 32768) (i32.const 0)
                (i32.le_u (local.get 0) (i32.const 32768))))"#,
    ),
    (
        "gs_output",
        r#"(func (export "gs_output") (result i32) global.get $out)"#,
    ),
    (
        "gs_describe",
        r#"(func (export "gs_describe") (result i32)
            (global.set $out (i32.const 1024)) i32.const MANIFEST_LEN)"#,
    ),
    (
        "gs_init",
        r#"(func (export "gs_init") (param i64 i32) (result i32)
            (i64.store (i32.const 8) (i64.const 0))
            (i64.store (i32.const 16) (local.get 0)) i32.const 0)"#,
    ),
    (
        "gs_step",
        r#"(func (export "gs_step") (param i32) (result i32)
            (i32.store (i32.const 8)
                (i32.add (i32.load (i32.const 8)) (i32.load8_u (i32.const 32780))))
            (global.set $out (i32.const 512)) i32.const 5)"#,
    ),
    (
        "gs_check",
        r#"(func (export "gs_check") (param i32 i32) (result i32)
            (i32.store8 (i32.const 600)
                (i32.mul (i32.const 2) (i32.eq (i32.load8_u (i32.const 32768)) (i32.const 99))))
            (global.set $out (i32.const 600)) i32.const 1)"#,
    ),
    (
        "gs_save",
        r#"(func (export "gs_save") (result i32) (global.set $out (i32.const 8)) i32.const 16)"#,
    ),
    (
        "gs_load",
        r#"(func (export "gs_load") (param i32) (result i32)
            (if (i32.ne (local.get 0) (i32.const 16)) (then (return (i32.const -1))))
            (memory.copy (i32.const 8) (i32.const 32768) (i32.const 16)) i32.const 0)"#,
    ),
    (
        // One entity of kind 0 without an owner, id 5; its column is the sum.
        "gs_net_state",
        r#"(func (export "gs_net_state") (param i32) (result i32)
            (i64.store (i32.const 700) (i64.const 0xff_00_0000_0005_0001))
            (i32.store (i32.const 708) (i32.const 0))
            (i32.store (i32.const 712) (i32.load (i32.const 8)))
            (global.set $out (i32.const 700)) i32.const 16)"#,
    ),
    (
        "gs_load_view",
        r#"(func (export "gs_load_view") (param i32 i32) (result i32)
            (i32.store (i32.const 8) (i32.load (i32.const 32780))) i32.const 0)"#,
    ),
    (
        "gs_panic",
        r#"(func (export "gs_panic") (result i32) i32.const 0)"#,
    ),
    ("more", "(global $out (mut i32) (i32.const 0))"),
];

pub(crate) const MANIFEST: &str = r#"{
  "abi": 1, "name": "sum", "version": "1.0", "title": "Sum",
  "tick_rate": 60, "players": {"min": 1, "max": 2}, "teams": 0,
  "hidden_state": false, "late_window_ms": 100, "max_save_bytes": 64,
  "leaderboard": {"rule": "best"},
  "input": [{"name": "add", "type": "u8", "max": 100}],
  "commands": [], "events": [],
  "entities": [{"name": "sum", "fields": [
    {"name": "value", "type": "int", "min": 0, "max": 1000}]}]
}"#;

/// The game's bytes with some parts exchanged (empty: left out).
pub(crate) fn game(changes: &[(&str, &str)]) -> Vec<u8> {
    game_with_manifest(MANIFEST, changes)
}

/// The game's bytes with another manifest and some parts exchanged.
pub(crate) fn game_with_manifest(manifest: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::from("(module\n");
    for (name, part) in PARTS {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        text.push_str(change.map_or(part, |(_, change)| change));
        text.push('\n');
    }
    for (name, change) in changes {
        assert!(
            PARTS.iter().any(|(known, _)| known == name) || *name == "import",
            "{name}"
        );
        if *name == "import" {
            text = text.replacen("(module\n", &format!("(module\n{change}\n"), 1);
        }
    }
    if !text.contains("$out (mut") {
        text.push_str("(global $out (mut i32) (i32.const 0))\n");
    }
    let escaped: String = manifest
        .bytes()
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    text.push_str(&format!("(data (i32.const 1024) \"{escaped}\"))"));
    wat::parse_str(text.replace("MANIFEST_LEN", &manifest.len().to_string())).unwrap()
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(Limits {
        memory_bytes: 4 << 20,
        max_instances: 8,
        ..Limits::default()
    })
    .unwrap()
}

pub(crate) fn compile(changes: &[(&str, &str)]) -> Result<GameModule, ModuleError> {
    sandbox().compile(game(changes))
}

/// An instance of the game with some parts exchanged.
pub(crate) fn instance(changes: &[(&str, &str)]) -> ModuleInstance {
    compile(changes).unwrap().instantiate().unwrap()
}

pub(crate) fn config() -> MatchConfig {
    MatchConfig {
        players: 1,
        teams: 0,
        options: "{}".into(),
    }
}

/// A log of one slot with this input.
pub(crate) fn log(tick: u32, add: u8) -> TickLog {
    let input = SlotInput {
        status: InputStatus::Fresh,
        view_tick: tick * 256,
        data: vec![add],
    };
    TickLog {
        tick,
        happenings: vec![],
        inputs: vec![input],
    }
}
