//! Games, modules, health.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use gs_api::{CorsOrigins, Settings};
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
    let answer = world.until_missing("store").await;
    assert_eq!(answer["status"], "not ready");
}

#[tokio::test]
async fn probes_do_not_hammer_livekit() {
    let world = World::new().await;
    let asked = (0..50).map(|_| world.get("/readyz", None));
    for answer in futures_util::future::join_all(asked).await {
        assert!(answer.status == StatusCode::OK || answer.status == 503);
    }
    assert_eq!(world.rooms.pings.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_missing_livekit_is_named() {
    let world = World::new().await;
    world.rooms.unreachable.store(true, Ordering::SeqCst);
    world.until_missing("LiveKit").await;
    world.rooms.unreachable.store(false, Ordering::SeqCst);
    let ready = async {
        while world.get("/readyz", None).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::world::DEADLINE, ready)
        .await
        .expect("never ready");
}

#[tokio::test]
async fn the_contract_is_served_for_programs_and_for_people() {
    let world = World::new().await;
    let document = world.get("/openapi.json", None).await;
    let document = document.expect(StatusCode::OK);
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/leaderboard/{game}"]["get"].is_object());
    assert_eq!(world.get("/docs", None).await.headers["location"], "docs/");
    let page = world.get("/docs/", None).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let page = String::from_utf8(page.bytes.to_vec()).unwrap();
    let names = page.split(['"']).filter(|part| {
        [".js", ".css", ".png"]
            .iter()
            .any(|end| part.ends_with(end))
    });
    let names: Vec<&str> = names.collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let file = world.get(&format!("/docs/{name}"), None).await;
        assert_eq!(file.status, StatusCode::OK, "{name}");
        assert!(!file.bytes.is_empty(), "{name}");
    }
    for name in ["index.html", "nothing", "..%2f..%2fCargo.toml"] {
        let file = world.get(&format!("/docs/{name}"), None).await;
        file.expect(StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let world = World::new().await;
    world.get("/games", None).await.expect(StatusCode::OK);
    let ada = world.register("Ada").await;
    for path in [
        "/players/me/x",
        "/a",
        "/b",
        "/leaderboard/chess",
        "/leaderboard/go",
    ] {
        world
            .get(path, Some(&ada.access))
            .await
            .expect(StatusCode::NOT_FOUND);
    }
    let text = world.metrics();
    for line in [
        "gameserver_http_requests_total{method=\"GET\",route=\"/games\",status=\"2xx\"} 1\n",
        "gameserver_http_requests_total{method=\"POST\",route=\"/auth/register\",status=\"2xx\"} 1\n",
        "gameserver_http_requests_total{method=\"GET\",route=\"none\",status=\"4xx\"} 3\n",
        "gameserver_http_requests_total{method=\"GET\",route=\"/leaderboard/{game}\",status=\"4xx\"} 2\n",
        "gameserver_http_request_duration_seconds_count{method=\"GET\",route=\"/games\"} 1\n",
        "gameserver_http_requests_in_flight 0\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
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
    let methods = answer.headers["access-control-allow-methods"]
        .to_str()
        .unwrap();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    assert!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials")
    );
}

#[tokio::test]
async fn only_listed_origins_may_call_where_some_are_listed() {
    let listed = "https://game.example.org";
    let world = World::with(Settings {
        cors_origins: CorsOrigins::List(vec![listed.parse().unwrap()]),
        ..Settings::default()
    })
    .await;
    let call = async |origin: &str| {
        let mut call = request("GET", "/games", None, None);
        call.headers_mut().insert("origin", origin.parse().unwrap());
        let answer = world.call(call).await;
        let allowed = answer.headers.get("access-control-allow-origin");
        allowed.map(|o| o.to_str().unwrap().to_owned())
    };
    assert_eq!(call(listed).await.as_deref(), Some(listed));
    assert_eq!(call("https://evil.example.org").await, None);
    assert_eq!(call("null").await, None);
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
