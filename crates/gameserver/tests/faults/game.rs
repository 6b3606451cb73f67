//! A game for two that is over within a few seconds, its scores made from the match's seed.

#[path = "../../../sandbox/tests/support/mod.rs"]
mod module;

/// The rules of the boards of the games that [`module`] makes; each game is named after its rule.
pub(crate) const RULES: [&str; 3] = ["best", "latest", "sum"];

/// The module of a game whose board has this rule.
pub(crate) fn bytes(rule: &str) -> Vec<u8> {
    let manifest = module::MANIFEST
        .replace(r#""name": "sum""#, &format!(r#""name": "{rule}""#))
        .replace(r#""tick_rate": 60"#, r#""tick_rate": 20"#)
        .replace(r#""min": 1, "max": 2"#, r#""min": 2, "max": 2"#)
        .replace(r#"{"rule": "best"}"#, &format!(r#"{{"rule": "{rule}"}}"#));
    module::game_with_manifest(&manifest, &[("gs_step", STEP), ("more", RESULT)])
}

/// Counts ticks at 8. After 20 to 51 of them, as the seed at 16 says, the match is over; slot 0 has
/// the score of one part of the seed, slot 1 that of another, both from −27 to 100.
const STEP: &str = r#"(func (export "gs_step") (param i32) (result i32)
    (local $seed i64) (local $a i32) (local $b i32)
    (local.set $seed (i64.load (i32.const 16)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (if (i32.lt_u (i32.load (i32.const 8))
            (i32.add (i32.const 20) (i32.and (i32.wrap_i64 (local.get $seed)) (i32.const 31))))
        (then (global.set $out (i32.const 512)) (return (i32.const 5))))
    (local.set $a (i32.sub
        (i32.and (i32.wrap_i64 (i64.shr_u (local.get $seed) (i64.const 8))) (i32.const 127))
        (i32.const 27)))
    (local.set $b (i32.sub
        (i32.and (i32.wrap_i64 (i64.shr_u (local.get $seed) (i64.const 24))) (i32.const 127))
        (i32.const 27)))
    (i32.store8 (i32.const 4104)
        (i32.add (i32.const 1) (i32.gt_s (local.get $b) (local.get $a))))
    (i32.store (i32.const 4106) (local.get $a))
    (i32.store (i32.const 4117) (i32.load (i32.const 8)))
    (i32.store8 (i32.const 4122)
        (i32.add (i32.const 1) (i32.gt_s (local.get $a) (local.get $b))))
    (i32.store (i32.const 4124) (local.get $b))
    (i32.store (i32.const 4135) (i32.load (i32.const 8)))
    (global.set $out (i32.const 4096)) (i32.const 43))"#;

/// The effects with which a match ends: no events, no lines; finished, two slots, each with its
/// placement, no team, score and the statistic `ticks`.
const RESULT: &str = r#"(global $out (mut i32) (i32.const 0))
    (data (i32.const 4096) "\00\00\00\00\01\00\02")
    (data (i32.const 4103) "\00\01\ff\00\00\00\00\01\05ticks\00\00\00\00")
    (data (i32.const 4121) "\01\01\ff\00\00\00\00\01\05ticks\00\00\00\00")"#;
