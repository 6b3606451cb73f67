//! The store away.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, request};

#[tokio::test]
async fn every_call_that_needs_the_store_says_when_to_come_back() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    world.store.close().await;
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let without_store = path.starts_with("/games")
                || path.starts_with("/webhooks")
                || path.starts_with("/admin")
                || ["/healthz", "/readyz"].contains(&path.as_str());
            if without_store {
                continue;
            }
            let schema =
                call["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let body = schema.map(|name| {
                let schema = document.pointer(name.strip_prefix('#').unwrap()).unwrap();
                match &schema["example"] {
                    Value::Null => sample(schema),
                    example => example.clone(),
                }
            });
            let id = uuid::Uuid::now_v7().to_string();
            let mut filled = path.replace("{game}", "arena");
            for name in ["ticket_id", "party_id", "match_id", "player_id", "player"] {
                filled = filled.replace(&format!("{{{name}}}"), &id);
            }
            assert!(!filled.contains('{'), "{filled}");
            if path == "/auth/token" {
                filled.push_str("?room=arena-00000000");
            }
            let method = method.to_uppercase();
            let call = request(&method, &filled, Some(&ada.access), body);
            let answer = tokio::time::timeout(std::time::Duration::from_secs(5), world.call(call));
            let answer = answer
                .await
                .unwrap_or_else(|_| panic!("{method} {path} hangs"));
            assert_eq!(
                answer.status,
                StatusCode::SERVICE_UNAVAILABLE,
                "{method} {path}"
            );
            assert_eq!(answer.headers["retry-after"], "2", "{method} {path}");
            let problem = answer.expect(StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(problem["type"], "urn:gameserver:problem:unavailable");
            asked += 1;
        }
    }
    assert!(asked >= 14, "{asked}");
}

/// Texts for all that a schema requires.
fn sample(schema: &Value) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let text = "something long enough";
    required
        .iter()
        .map(|name| (name.as_str().unwrap(), json!(text)))
        .collect()
}
