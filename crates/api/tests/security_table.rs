//! `docs/security.md` names tests that exist, and leaves no requirement out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TABLE: &str = include_str!("../../../docs/security.md");

/// The requirements of levels 1 and 2 in each section of ASVS 5.0.
const SECTIONS: [(&str, &[u32]); 31] = [
    ("4.1", &[1, 2, 3]),
    ("4.2", &[1]),
    ("4.3", &[1, 2]),
    ("4.4", &[1, 2, 3, 4]),
    ("6.1", &[1, 2, 3]),
    ("6.2", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("6.3", &[1, 2, 3, 4]),
    ("6.4", &[1, 2, 3, 4]),
    ("6.5", &[1, 2, 3, 4, 5]),
    ("6.6", &[1, 2, 3]),
    ("6.8", &[1, 2, 3, 4]),
    ("7.1", &[1, 2, 3]),
    ("7.2", &[1, 2, 3, 4]),
    ("7.3", &[1, 2]),
    ("7.4", &[1, 2, 3, 4, 5]),
    ("7.5", &[1, 2]),
    ("7.6", &[1, 2]),
    ("8.1", &[1, 2]),
    ("8.2", &[1, 2, 3]),
    ("8.3", &[1]),
    ("8.4", &[1]),
    ("9.1", &[1, 2, 3]),
    ("9.2", &[1, 2, 3, 4]),
    ("14.1", &[1, 2]),
    ("14.2", &[1, 2, 3, 4]),
    ("14.3", &[1, 2, 3]),
    ("16.1", &[1]),
    ("16.2", &[1, 2, 3, 4, 5]),
    ("16.3", &[1, 2, 3, 4]),
    ("16.4", &[1, 2, 3]),
    ("16.5", &[1, 2, 3]),
];

/// The rows of requirements: id, status, and what stands beside it.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let rows = TABLE.lines().filter_map(|line| {
        let mut cells = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .splitn(4, " | ");
        let id = cells.next()?;
        id.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
        let (_, status, proof) = (cells.next()?, cells.next()?, cells.next()?);
        Some((id, status, proof))
    });
    rows.collect()
}

/// The tests that a text names, as file and function.
fn tests(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.split_once(".rs::")).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = BTreeMap::new();
    let mut named = 0;
    for (file, function) in tests(TABLE) {
        let text = files.entry(file).or_insert_with(|| {
            let path = crates.join(format!("{file}.rs"));
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        });
        let declared = format!("fn {function}()");
        let at = text.find(&declared);
        let at = at.unwrap_or_else(|| panic!("docs/security.md names {file}.rs::{function}"));
        let before = text[..at].lines().rev().take(3);
        assert!(
            before.clone().any(|line| line.starts_with("#[t")),
            "{file}.rs::{function} is no test: {:?}",
            before.collect::<Vec<_>>()
        );
        named += 1;
    }
    assert!(named >= 50, "{named}");
}

#[test]
fn every_requirement_is_answered_once() {
    let expected: BTreeSet<String> = SECTIONS
        .iter()
        .flat_map(|(section, numbers)| numbers.iter().map(move |n| format!("{section}.{n}")))
        .collect();
    let mut answered = BTreeSet::new();
    for (id, status, proof) in rows() {
        assert!(answered.insert(id.to_owned()), "{id} is there twice");
        match status {
            "met" => {
                let shown = !tests(proof).is_empty() || proof.contains("](");
                assert!(shown || proof.contains("above"), "{id}: shown by what?");
            }
            "n/a" | "operator" | "open" => assert!(proof.len() >= 4, "{id}: why?"),
            other => panic!("{id}: {other} is no answer"),
        }
    }
    assert_eq!(answered, expected);
}
