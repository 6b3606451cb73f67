//! What is refused, and how.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::world::{Answer, World, request};

async fn post_raw(world: &World, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path)
        .header("content-type", content_type)
        .body(body.into());
    world.call(request.unwrap()).await
}

#[tokio::test]
async fn a_refused_body_names_its_field() {
    let world = World::new().await;
    let register = async |body: Value| world.post("/auth/register", None, body).await;
    let missing = register(json!({"username": "Ada"})).await;
    assert_eq!(missing.refused_field(), "password");
    let wrong_type = register(json!({"username": "Ada", "password": 5})).await;
    assert_eq!(wrong_type.refused_field(), "password");
    for username in ["ab", "a name", "Аda", &"a".repeat(21), ""] {
        let refused = register(json!({"username": username, "password": "correct horse"})).await;
        assert_eq!(refused.refused_field(), "username", "{username:?}");
    }
    for password in ["short", &"x".repeat(129)] {
        let refused = register(json!({"username": "Ada", "password": password})).await;
        assert_eq!(refused.refused_field(), "password", "{password:?}");
    }
    for email in ["", "ada", "@", "a@b@c", "a b@c", "ada@"] {
        let body = json!({"username": "Ada", "password": "correct horse", "email": email});
        assert_eq!(register(body).await.refused_field(), "email", "{email:?}");
    }
    let both = register(json!({"username": "a", "password": "b"})).await;
    let problem = both.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    assert_eq!(register(json!({})).await.refused_field(), "username");
    register(json!([]))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let world = World::new().await;
    let json = "application/json";
    for body in ["{", "{\"username\":", "{} {}", "not json", "\u{0}"] {
        let answer = post_raw(&world, "/auth/guest", json, body).await;
        answer.expect(StatusCode::BAD_REQUEST);
    }
    let answer = post_raw(
        &world,
        "/auth/guest",
        json,
        &b"{\"username\": \"\xff\"}"[..],
    )
    .await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    let deep = "[".repeat(60_000);
    post_raw(&world, "/auth/guest", json, deep)
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    let answer = post_raw(&world, "/auth/guest", "text/plain", "{}").await;
    answer.expect(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = post_raw(
        &world,
        "/auth/guest",
        "application/json; charset=utf-8",
        "{}",
    )
    .await;
    answer.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::new().await;
    let never = futures_util::stream::pending::<Result<&[u8], std::io::Error>>();
    let answer = post_raw(
        &world,
        "/auth/guest",
        "application/json",
        Body::from_stream(never),
    );
    let answer = tokio::time::timeout(crate::world::DEADLINE, answer).await;
    let answer = answer.expect("the request hangs");
    assert_eq!(answer.headers["retry-after"], "2");
    answer.expect(StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_body_beyond_64_kib_is_refused() {
    let world = World::new().await;
    let long = json!({"username": "a".repeat(64 * 1024)}).to_string();
    let answer = post_raw(&world, "/auth/guest", "application/json", long).await;
    answer.expect(StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_with_problems() {
    let world = World::new().await;
    for path in [
        "/",
        "/auth",
        "/auth/nothing",
        "/match/queue/a/b",
        "/games/arena",
        "/matches/%ff",
        "/players/%ff/matches",
        "/games/%ff/module/x",
    ] {
        world.get(path, None).await.expect(StatusCode::NOT_FOUND);
    }
    let answer = world.get("/auth/login", None).await;
    assert_eq!(answer.headers["allow"], "POST");
    answer.expect(StatusCode::METHOD_NOT_ALLOWED);
    world
        .get("/matches/1", None)
        .await
        .expect(StatusCode::NOT_FOUND);
    world
        .get("/players/1/matches", None)
        .await
        .expect(StatusCode::NOT_FOUND);
    let nobody = format!("/players/{}/matches", uuid::Uuid::now_v7());
    world.get(&nobody, None).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_cannot_be_queued_for_is_refused() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let queue = async |body: Value| world.post("/match/queue", Some(&ada.access), body).await;
    queue(json!({"game": "chess"}))
        .await
        .expect(StatusCode::NOT_FOUND);
    assert_eq!(queue(json!({})).await.refused_field(), "game");
    assert_eq!(
        queue(json!({"game": "arena", "mode": "x"}))
            .await
            .refused_field(),
        "mode"
    );
    assert_eq!(
        queue(json!({"game": "arena", "code": ""}))
            .await
            .refused_field(),
        "code"
    );
    assert_eq!(
        queue(json!({"game": "arena", "code": "a\nb"}))
            .await
            .refused_field(),
        "code"
    );
    let party = json!({"game": "arena", "party_id": "p"});
    assert_eq!(queue(party).await.refused_field(), "party_id");
    let answer = world
        .post("/match/queue", None, json!({"game": "arena"}))
        .await;
    answer.expect(StatusCode::UNAUTHORIZED);
    let long_wait = request("GET", "/match/status?wait=26", Some(&ada.access), None);
    assert_eq!(world.call(long_wait).await.refused_field(), "wait");
    let no_number = request("GET", "/match/status?wait=soon", Some(&ada.access), None);
    assert_eq!(world.call(no_number).await.refused_field(), "wait");
    queue(json!({"game": "arena", "attributes": {}, "latency_ms": {"eu": 20}}))
        .await
        .expect(StatusCode::ACCEPTED);
}
