//! What is refused before a match could start, and how it is said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::simulation::SimulationError;
use gs_sandbox::{Limits, ModuleError, Sandbox};
use support::{MANIFEST, compile, game, game_with_manifest, sandbox};

fn reason(changes: &[(&str, &str)]) -> String {
    compile(changes)
        .expect_err("the module must be refused")
        .to_string()
}

#[test]
fn bytes_that_are_no_core_module() {
    let sandbox = sandbox();
    let compile = |bytes: &[u8]| sandbox.compile(bytes.to_vec()).unwrap_err();
    assert_eq!(compile(b""), ModuleError::NotWasm);
    assert_eq!(compile(b"<html>not found</html>"), ModuleError::NotWasm);
    assert_eq!(compile(b"\0asm\x02\0\0\0"), ModuleError::NotWasm);
    assert_eq!(compile(b"\0asm\x0d\0\x01\0"), ModuleError::Component);
    let cut = game(&[]);
    assert!(matches!(
        compile(&cut[..cut.len() / 2]),
        ModuleError::Invalid { .. }
    ));
    let text = b"(module)";
    assert_eq!(compile(text), ModuleError::NotWasm, "no text either");
}

#[test]
fn a_module_beyond_the_limit() {
    let bytes = game(&[]);
    let limit = bytes.len() - 1;
    let sandbox = Sandbox::new(Limits {
        max_module_bytes: limit,
        ..Limits::default()
    })
    .unwrap();
    let found = bytes.len();
    assert_eq!(
        sandbox.compile(bytes).unwrap_err(),
        ModuleError::TooLarge { found, limit }
    );
}

#[test]
fn any_import() {
    let import =
        r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#;
    assert_eq!(
        reason(&[("import", import)]),
        "the module imports `wasi_snapshot_preview1.random_get`, expected no imports: \
         build it for wasm32-unknown-unknown, without WASI or bindings"
    );
}

#[test]
fn every_missing_export_by_its_name() {
    for name in [
        "gs_abi_version",
        "gs_input",
        "gs_output",
        "gs_describe",
        "gs_init",
        "gs_step",
        "gs_check",
        "gs_save",
        "gs_load",
        "gs_net_state",
        "gs_load_view",
        "gs_panic",
    ] {
        let reason = reason(&[(name, "")]);
        assert!(
            reason.starts_with(&format!("the module does not export `{name}`")),
            "{reason}"
        );
    }
    assert_eq!(
        reason(&[("memory", "(memory 2)")]),
        "the module does not export `memory`, expected a memory"
    );
}

#[test]
fn exports_of_another_type() {
    assert_eq!(
        reason(&[(
            "gs_init",
            r#"(func (export "gs_init") (param i32 i32) (result i32) i32.const 0)"#
        )]),
        "the module's export `gs_init` is (type (func (param i32 i32) (result i32))), \
         expected a function (i64, i32) -> i32"
    );
    for other in [
        r#"(func (export "gs_panic"))"#,
        r#"(func (export "gs_panic") (result i64) i64.const 0)"#,
        r#"(func (export "gs_panic") (result i32 i32) i32.const 0 i32.const 0)"#,
        r#"(func (export "gs_panic") (param i32) (result i32) i32.const 0)"#,
        r#"(global (export "gs_panic") i32 (i32.const 0))"#,
    ] {
        let error = compile(&[("gs_panic", other)]).unwrap_err();
        assert!(
            matches!(
                error,
                ModuleError::WrongExport {
                    name: "gs_panic",
                    ..
                }
            ),
            "{error}"
        );
    }
    let memory = r#"(memory 2) (global (export "memory") i32 (i32.const 0))"#;
    assert_eq!(
        reason(&[("memory", memory)]),
        "the module's export `memory` is a global, expected a memory"
    );
}

#[test]
fn another_abi_version() {
    let two = r#"(func (export "gs_abi_version") (result i32) i32.const 2)"#;
    assert_eq!(
        reason(&[("gs_abi_version", two)]),
        "the module's ABI version: found 2, this server runs 1"
    );
}

#[test]
fn features_that_differ_between_machines_or_are_not_everywhere() {
    let memories = r#"(memory (export "memory") 2) (memory 1)"#;
    let shared = r#"(memory (export "memory") 2 2 shared)"#;
    let wide = r#"(memory (export "memory") i64 2)"#;
    for memory in [memories, shared, wide] {
        let error = compile(&[("memory", memory)]).unwrap_err();
        assert!(
            matches!(error, ModuleError::Invalid { .. }),
            "{memory}: {error}"
        );
    }
    let relaxed = r#"(func (export "gs_panic") (result i32)
        (i32x4.extract_lane 0 (f32x4.relaxed_min (v128.const i32x4 0 0 0 0)
            (v128.const i32x4 0 0 0 0))))"#;
    let error = compile(&[("gs_panic", relaxed)]).unwrap_err();
    assert!(matches!(error, ModuleError::Invalid { .. }), "{error}");
    compile(&[("gs_panic", &relaxed.replace("relaxed_min", "min"))]).expect("plain SIMD is fine");
}

#[test]
fn more_memory_than_there_is() {
    let reason = reason(&[("memory", r#"(memory (export "memory") 65)"#)]);
    assert!(
        reason.contains("4259840 which exceeds the limit of 0x400000 bytes"),
        "{reason}"
    );
    compile(&[("memory", r#"(memory (export "memory") 64)"#)]).expect("exactly the limit");
    compile(&[("memory", r#"(memory (export "memory") 2 65536)"#)]).expect("only grown is used");
    let table = "(table 30000 funcref) (global $out (mut i32) (i32.const 0))";
    assert!(
        compile(&[("more", table)]).is_err(),
        "a table beyond the limit"
    );
}

#[test]
fn a_module_that_fails_to_describe_itself() {
    let trap = r#"(func (export "gs_describe") (result i32) unreachable)"#;
    let error = compile(&[("gs_describe", trap)]).unwrap_err();
    let expected = SimulationError::Trapped {
        call: "gs_describe",
        reason: "wasm trap: wasm `unreachable` instruction executed".into(),
    };
    assert_eq!(error, ModuleError::Failed(expected));
    let large = r#"(func (export "gs_describe") (result i32) (drop (memory.grow (i32.const 40)))
        i32.const 1048577)"#;
    let error = compile(&[("gs_describe", large)]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("1048577 bytes, at most 1048576"),
        "{error}"
    );
}

fn check_manifest(from: &str, to: &str, expected: &str) {
    assert!(MANIFEST.contains(from), "{from}");
    let manifest = MANIFEST.replacen(from, to, 1);
    let error = sandbox()
        .compile(game_with_manifest(&manifest, &[]))
        .unwrap_err()
        .to_string();
    assert!(error.contains(expected), "{error}\nexpected: {expected}");
}

#[test]
fn manifests_that_cannot_be_read() {
    check_manifest("{", "", "expected");
    check_manifest("\"Sum\"", "\"\u{0}\"", "control character");
    check_manifest("\"title\": \"Sum\",", "", "missing field `title`");
    check_manifest("\"title\"", "\"titel\"", "unknown field `titel`");
    check_manifest("\"abi\": 1", "\"abi\": 2", "`abi` is 2, expected 1");
    check_manifest(
        "\"hidden_state\": false",
        "\"hidden_state\": false, \"backfill\": 1",
        "invalid type: integer `1`, expected a boolean",
    );
    check_manifest("\"u8\"", "\"u9\"", "unknown variant `u9`");
    check_manifest("\"best\"", "\"worst\"", "unknown variant `worst`");
    check_manifest(
        "\"tick_rate\": 60",
        "\"tick_rate\": -1",
        "invalid value: integer `-1`",
    );
    check_manifest(
        "\"max\": 100",
        "\"max\": 256",
        "`input[0].max` is 256, expected a whole number from 0 to 255",
    );
    check_manifest(
        "\"max\": 100",
        "\"max\": 1.5",
        "`input[0].max` is 1.5, expected a whole number from 0 to 255",
    );
    check_manifest(
        "\"u8\", \"max\": 100",
        "\"bool\", \"max\": 1",
        "`input[0].max` is given",
    );
    check_manifest(
        "\"u8\", \"max\": 100",
        "\"f32\", \"max\": 1",
        "`input[0].min` is missing",
    );
    check_manifest(
        "\"int\"",
        "\"angle\"",
        "`entities[0].fields[0].min` is given, its type has none",
    );
    check_manifest(
        "\"int\"",
        "\"range\"",
        "`entities[0].fields[0].precision` is missing",
    );
}

#[test]
fn manifests_that_break_a_bound() {
    check_manifest(
        "\"tick_rate\": 60",
        "\"tick_rate\": 121",
        "manifest field `tick_rate` is 121, expected 1 to 120",
    );
    check_manifest(
        "\"name\": \"sum\"",
        "\"name\": \"Sum!\"",
        "manifest field `name`",
    );
    check_manifest(
        "\"max\": 1000",
        "\"max\": -1",
        "`entities[0].fields[0].min` is 0",
    );
}
