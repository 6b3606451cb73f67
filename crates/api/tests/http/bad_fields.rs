//! Every field of every body and every query parameter, as the OpenAPI document lists them: of the
//! wrong type, unknown, empty, too long, with characters of control.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::world::{Answer, World, request};

struct Call {
    method: String,
    path: String,
    details: Value,
}

/// The calls of the contract, but those of operators and of LiveKit, with paths filled in.
fn calls(document: &Value) -> Vec<Call> {
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, details) in item.as_object().unwrap() {
            if path.starts_with("/admin") || path.starts_with("/webhooks") {
                continue;
            }
            let id = uuid::Uuid::now_v7().to_string();
            let mut path = path.replace("{game}", "arena").replace("{sha256}", "00");
            for name in ["ticket_id", "match_id", "player_id", "player"] {
                path = path.replace(&format!("{{{name}}}"), &id);
            }
            let (method, details) = (method.to_uppercase(), details.clone());
            calls.push(Call {
                method,
                path,
                details,
            });
        }
    }
    calls
}

/// A body that is right but for the player that it names, and its schema.
fn body_of<'d>(document: &'d Value, call: &Call) -> Option<(Map<String, Value>, &'d Value)> {
    let schema = &call.details["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let pointer = schema.as_str()?.strip_prefix('#').unwrap();
    let schema = document.pointer(pointer).unwrap();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let body = required.iter().map(|name| {
        let name = name.as_str().unwrap();
        let value = match (name, &schema["properties"][name]["type"]) {
            ("username", _) => json!("Nobody"),
            ("game", _) => json!("arena"),
            (_, kind) if kind == "string" => json!("something long enough"),
            (_, kind) if kind == "boolean" => json!(true),
            (_, kind) => panic!("no sample of {name}, a {kind}"),
        };
        (name.to_owned(), value)
    });
    Some((body.collect(), schema))
}

fn is_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name
        || schema["type"]
            .as_array()
            .is_some_and(|t| t.contains(&json!(name)))
}

#[tokio::test]
async fn fields_of_the_wrong_type_and_unknown_ones_are_named() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    let mut fields = 0;
    for call in calls(&document) {
        let Some((body, schema)) = body_of(&document, &call) else {
            continue;
        };
        let send = async |name: &str, value: &Value| {
            let mut body = body.clone();
            body.insert(name.to_owned(), value.clone());
            let body = Some(Value::Object(body));
            world
                .call(request(&call.method, &call.path, Some(&ada.access), body))
                .await
        };
        for (name, field) in schema["properties"].as_object().unwrap() {
            fields += 1;
            let wrong = [
                ("string", json!("text")),
                ("integer", json!(5)),
                ("number", json!(0.5)),
                ("boolean", json!(true)),
                ("array", json!([])),
                ("object", json!({"a": {}})),
            ];
            for (kind, value) in &wrong {
                // A map takes an object, but not this one.
                if is_type(field, kind) && *kind != "object" {
                    continue;
                }
                let refused = send(name, value).await;
                let what = format!("{} {} {name}: {value}", call.method, call.path);
                let problem = refused.expect(StatusCode::UNPROCESSABLE_ENTITY);
                let named = problem["errors"][0]["field"].as_str().unwrap();
                assert!(
                    named == name || named.starts_with(&format!("{name}.")),
                    "{what}: {problem}"
                );
            }
        }
        for unknown in ["surprise", "__proto__", "Username", "", "a\u{0}b"] {
            let refused = send(unknown, &json!("x")).await;
            assert_eq!(
                refused.refused_field(),
                unknown,
                "{} {}",
                call.method,
                call.path
            );
        }
        let long = "x".repeat(10_000);
        let named = send(&long, &json!("x")).await.refused_field();
        assert!(named.len() < 200, "{named}");
    }
    assert!(fields >= 10, "{fields}");
}

#[tokio::test]
async fn texts_that_are_empty_too_long_or_of_control_pass_nowhere() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    for call in calls(&document) {
        let Some((body, schema)) = body_of(&document, &call) else {
            continue;
        };
        for (name, field) in schema["properties"].as_object().unwrap() {
            if !is_type(field, "string") {
                continue;
            }
            let texts = [
                String::new(),
                "x".repeat(10_000),
                "\u{0}".to_owned(),
                "a\u{7}bcdefgh\u{1b}[2J".to_owned(),
                "\u{202e}abcdefgh".to_owned(),
                "\u{200b}".repeat(8),
            ];
            for text in texts {
                let mut body = body.clone();
                body.insert(name.clone(), json!(text));
                let what = format!("{} {} {name}: {text:.20?}", call.method, call.path);
                let body = Some(Value::Object(body));
                let answer = world
                    .call(request(&call.method, &call.path, Some(&ada.access), body))
                    .await;
                // A password may have any characters: whether it is right, the account says.
                let is_password =
                    name.contains("password") && !text.is_empty() && text.len() < 1000;
                // Friends may agree on any word that can be seen, or not.
                let is_word = name == "code" && text.contains(['\u{202e}', '\u{200b}']);
                if is_password || is_word {
                    assert!(!answer.status.is_server_error(), "{what}: {answer:?}");
                    cancel(&world, &ada.access, answer).await;
                } else {
                    assert!(answer.status.is_client_error(), "{what}: {answer:?}");
                    let status = answer.status;
                    answer.expect(status);
                }
            }
        }
    }
}

/// Takes a ticket back, where the answer is one.
async fn cancel(world: &World, token: &str, answer: Answer) {
    if answer.status == StatusCode::ACCEPTED {
        let ticket = answer.expect(StatusCode::ACCEPTED)["ticket_id"].clone();
        let path = format!("/match/queue/{}", ticket.as_str().unwrap());
        world
            .delete(&path, Some(token))
            .await
            .expect(StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn query_parameters_of_the_wrong_type_and_unknown_ones_are_named() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    let mut seen = 0;
    for call in calls(&document) {
        let parameters = call.details["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let query: Vec<&Value> = parameters.iter().filter(|p| p["in"] == "query").collect();
        if query.is_empty() {
            continue;
        }
        let required: String = query
            .iter()
            .filter(|p| p["required"] == true)
            .map(|p| format!("&{}=x", p["name"].as_str().unwrap()))
            .collect();
        let send = async |query: String| {
            let path = format!("{}?{query}{required}", call.path);
            world
                .call(request(&call.method, &path, Some(&ada.access), None))
                .await
        };
        for unknown in ["surprise", "%00", "a%20b"] {
            let refused = send(format!("{unknown}=1")).await.refused_field();
            assert!(
                ["surprise", "\0", "a b"].contains(&refused.as_str()),
                "{refused:?}"
            );
        }
        for parameter in query {
            seen += 1;
            let name = parameter["name"].as_str().unwrap();
            if is_type(&parameter["schema"], "integer") {
                for text in [
                    "",
                    "x",
                    "-1",
                    "1.5",
                    "1e3",
                    "%31%00",
                    "99999999999999999999",
                    "0x1",
                ] {
                    let refused = send(format!("{name}={text}")).await;
                    assert_eq!(refused.refused_field(), name, "{} {text}", call.path);
                }
            } else {
                for text in [
                    "",
                    "%00",
                    "%ff%fe",
                    "%F0%9F%92%A5",
                    &"x".repeat(8_000),
                    "'--",
                    "..%2f",
                ] {
                    let answer = send(format!("{name}={text}")).await;
                    assert!(
                        !answer.status.is_server_error(),
                        "{} {name}={text:.20}",
                        call.path
                    );
                }
            }
            if parameter["required"] != true {
                let twice = send(format!("{name}=1&{name}=1")).await;
                assert_eq!(twice.refused_field(), name, "{}", call.path);
            }
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[tokio::test]
async fn what_a_ticket_may_be_matched_by_is_checked() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let queue = async |name: &str, value: Value| {
        let body = json!({"game": "arena", name: value});
        world.post("/match/queue", Some(&ada.access), body).await
    };
    for (value, field) in [
        (json!({"a": true}), "attributes.a"),
        (json!({"a": null}), "attributes.a"),
        (json!({"a": [1]}), "attributes.a"),
        (json!({"a": {"b": 1}}), "attributes.a"),
        (json!({"a": "x".repeat(65)}), "attributes.a"),
        (json!({"a": "\u{7}"}), "attributes.a"),
        (json!({"": 1}), "attributes"),
        (json!({"a\n": 1}), "attributes"),
        (json!({"x".repeat(33): 1}), "attributes"),
        (
            (0..17).map(|n| (n.to_string(), json!(n))).collect(),
            "attributes",
        ),
    ] {
        assert_eq!(
            queue("attributes", value.clone()).await.refused_field(),
            field,
            "{value}"
        );
    }
    for (value, field) in [
        (json!({"eu": 2001}), "latency_ms.eu"),
        (json!({"eu": -1}), "latency_ms.eu"),
        (json!({"eu": 1.5}), "latency_ms.eu"),
        (json!({"eu": "20"}), "latency_ms.eu"),
        (json!({"eu": null}), "latency_ms.eu"),
        (json!({"": 20}), "latency_ms"),
        (json!({"x".repeat(33): 20}), "latency_ms"),
        (
            (0..33).map(|n| (n.to_string(), json!(n))).collect(),
            "latency_ms",
        ),
    ] {
        assert_eq!(
            queue("latency_ms", value.clone()).await.refused_field(),
            field,
            "{value}"
        );
    }
    assert_eq!(
        queue("party_id", json!("p")).await.refused_field(),
        "party_id"
    );
    let answer = queue("latency_ms", json!({"eu-west": 0, "us-east": 2000})).await;
    answer.expect(StatusCode::ACCEPTED);
}
