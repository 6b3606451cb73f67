//! Games, modules, health.

use axum::http::StatusCode;
use serde_json::json;

use crate::world::{MODULE, SHA256, World, request};

#[tokio::test]
async fn the_games_are_listed_with_their_modules() {
    let world = World::new().await;
    let games = world.get("/games", None).await.expect(StatusCode::OK);
    let arena = &games["games"][0];
    assert_eq!(arena["id"], "arena");
    assert_eq!(arena["modes"], json!(["default", "four"]));
    assert_eq!(arena["authority_mode"], "validated");
    assert_eq!(
        arena["authority_modes"],
        json!({"default": "validated", "four": "observer"})
    );
    assert_eq!(arena["players"], json!({"min": 2, "max": 16}));
    assert_eq!(arena["manifest"]["name"], "arena");
    assert_eq!(arena["module"]["bytes"], MODULE.len());

    let module = world
        .get(arena["module"]["url"].as_str().unwrap(), None)
        .await;
    assert_eq!(module.status, StatusCode::OK);
    assert_eq!(module.headers["content-type"], "application/wasm");
    assert_eq!(
        module.headers["cache-control"],
        "public, max-age=31536000, immutable"
    );
    assert_eq!(&module.bytes[..], MODULE);
    let other = format!("/games/arena/module/{}", SHA256.replace('9', "8"));
    world.get(&other, None).await.expect(StatusCode::NOT_FOUND);
    let other = format!("/games/chess/module/{SHA256}");
    world.get(&other, None).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_server_says_whether_it_is_well() {
    let world = World::new().await;
    world.get("/healthz", None).await.expect(StatusCode::OK);
    let ready = async {
        while world.get("/readyz", None).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::world::DEADLINE, ready)
        .await
        .expect("never ready");
    world.store.close().await;
    let answer = world
        .get("/readyz", None)
        .await
        .expect(StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer["missing"]
            .as_array()
            .unwrap()
            .contains(&json!("store")),
        "{answer}"
    );
    let id = uuid::Uuid::now_v7();
    let answer = world.get(&format!("/matches/{id}"), None).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.expect(StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_browser_from_another_origin_may_call() {
    let world = World::new().await;
    let mut preflight = request("OPTIONS", "/match/queue", None, None);
    let headers = preflight.headers_mut();
    headers.insert("origin", "http://localhost:5173".parse().unwrap());
    headers.insert("access-control-request-method", "POST".parse().unwrap());
    headers.insert(
        "access-control-request-headers",
        "authorization".parse().unwrap(),
    );
    let answer = world.call(preflight).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
}

#[tokio::test]
async fn a_request_keeps_a_sound_id_and_loses_another() {
    let world = World::new().await;
    let mut call = request("GET", "/healthz", None, None);
    call.headers_mut()
        .insert("x-request-id", "proxy-1.2".parse().unwrap());
    assert_eq!(world.call(call).await.headers["x-request-id"], "proxy-1.2");
    let mut call = request("GET", "/healthz", None, None);
    call.headers_mut()
        .insert("x-request-id", "a b\"c".parse().unwrap());
    assert_ne!(world.call(call).await.headers["x-request-id"], "a b\"c");
}
