//! The committed OpenAPI document is the one that the code makes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::Path;

use gs_api::Api;
use serde_json::Value;

/// Set, the test writes the document instead.
const WRITE: &str = "WRITE_OPENAPI";

#[test]
fn the_committed_document_is_not_stale() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = format!("{}\n", Api::openapi().to_pretty_json().unwrap());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == made,
        "crates/api/openapi.json is stale; write it anew with \
         `{WRITE}=1 cargo test -p gs-api --test openapi`"
    );
}

#[test]
fn every_reference_is_there_and_every_call_has_a_name_of_its_own() {
    let document = serde_json::to_value(Api::openapi()).unwrap();
    let mut references = Vec::new();
    collect(&document, "$ref", &mut references);
    assert!(references.len() > 50, "{}", references.len());
    for reference in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut names = Vec::new();
    collect(&document, "operationId", &mut names);
    let mut names: Vec<&str> = names.iter().map(|n| n.as_str().unwrap()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

#[test]
fn every_call_says_how_it_fails() {
    let document = serde_json::to_value(Api::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let answers = call["responses"].as_object().unwrap();
            let has =
                |status: &str| assert!(answers.contains_key(status), "{method} {path}: {status}");
            has("500");
            has("503");
            assert!(
                answers.keys().any(|s| s.starts_with('2')),
                "{method} {path}"
            );
            assert!(call["summary"].is_string(), "{method} {path}");
            assert_eq!(call["tags"].as_array().unwrap().len(), 1, "{method} {path}");
            if !call["security"].is_null() {
                has("401");
            }
            if !call["requestBody"].is_null() {
                has("400");
                has("413");
                has("422");
            }
        }
    }
}

fn collect<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key));
            members.values().for_each(|v| collect(v, key, found));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, key, found)),
        _ => {}
    }
}
