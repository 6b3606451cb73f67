//! Sessions that end take effect at the next call, whatever the access token says.

use axum::http::StatusCode;
use gs_api::{Secret, Settings};
use serde_json::{Value, json};

use crate::world::{Account, Answer, World, request};

pub(crate) const ADMIN_KEY: &str = "an-operators-key-of-40-characters-length";

pub(crate) async fn administered() -> World {
    World::with(Settings {
        admin_key: Some(Secret::new(ADMIN_KEY)),
        ..World::settings()
    })
    .await
}

async fn login(world: &World, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    world.post("/auth/login", None, body).await
}

async fn refresh(world: &World, token: &str) -> Answer {
    let body = json!({"refresh_token": token});
    world.post("/auth/refresh", None, body).await
}

async fn works(world: &World, account: &Account) -> bool {
    let answer = world.get("/match/status", Some(&account.access)).await;
    match answer.status {
        // No ticket yet.
        StatusCode::NOT_FOUND => true,
        StatusCode::UNAUTHORIZED => false,
        _ => panic!("{answer:?}"),
    }
}

/// Asks every call that names a player by a bearer token, with a token that must not do.
async fn refused_everywhere(world: &World, token: &str, status: StatusCode) -> Vec<Value> {
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    let mut problems = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let needs = call["security"].as_array().is_some_and(|all| {
                all.iter().any(|one| !one["bearer"].is_null())
                    && all.iter().all(|one| one != &json!({}))
            });
            if !needs {
                continue;
            }
            let id = uuid::Uuid::now_v7().to_string();
            let mut filled = path.replace("{game}", "arena");
            for name in ["ticket_id", "match_id", "player_id", "player"] {
                filled = filled.replace(&format!("{{{name}}}"), &id);
            }
            if path == "/auth/token" {
                filled.push_str("?room=arena-00000000");
            }
            let schema = call["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                .as_str()
                .map(|name| document.pointer(name.strip_prefix('#').unwrap()).unwrap());
            let body = schema.map(|schema| schema["example"].clone());
            let body = body.map(|body| if body.is_null() { json!({}) } else { body });
            let answer = world
                .call(request(&method.to_uppercase(), &filled, Some(token), body))
                .await;
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            problems.push(answer.expect(status));
        }
    }
    assert!(problems.len() >= 7, "{}", problems.len());
    problems
}

#[tokio::test]
async fn whoever_signs_out_is_out_at_once_everywhere() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let other = Account::of(
        login(&world, "Ada", "correct horse")
            .await
            .expect(StatusCode::OK),
    );
    world
        .post("/auth/logout", Some(&ada.access), json!({}))
        .await
        .expect(StatusCode::NO_CONTENT);
    refused_everywhere(&world, &ada.access, StatusCode::UNAUTHORIZED).await;
    refresh(&world, &ada.refresh)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    assert!(works(&world, &other).await);
}

#[tokio::test]
async fn a_changed_password_ends_the_access_tokens_of_other_sessions_at_once() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let body = json!({"current_password": "correct horse", "new_password": "battery staple"});
    let answer = world.post("/auth/password", Some(&ada.access), body).await;
    let after = Account::of(answer.expect(StatusCode::OK));
    assert!(!works(&world, &ada).await);
    assert!(works(&world, &after).await);
    login(&world, "Ada", "correct horse")
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_access_tokens_of_its_family() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let other = Account::of(
        login(&world, "Ada", "correct horse")
            .await
            .expect(StatusCode::OK),
    );
    let next = Account::of(refresh(&world, &ada.refresh).await.expect(StatusCode::OK));
    assert!(works(&world, &next).await);
    world.clock.advance(11);
    refresh(&world, &ada.refresh)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    assert!(!works(&world, &next).await);
    assert!(!works(&world, &ada).await);
    assert!(works(&world, &other).await);
}

#[tokio::test]
async fn refresh_tokens_are_long_random_and_never_the_same() {
    let world = World::new().await;
    let mut seen = std::collections::HashSet::new();
    let mut account = world.guest().await;
    for _ in 0..20 {
        // 32 bytes in base64: 256 bits.
        assert_eq!(account.refresh.len(), 43, "{}", account.refresh);
        assert!(seen.insert(account.refresh.clone()));
        account = Account::of(
            refresh(&world, &account.refresh)
                .await
                .expect(StatusCode::OK),
        );
        assert!(seen.insert(world.guest().await.refresh));
    }
}

#[tokio::test]
async fn a_banned_player_is_told_why_and_until_when_by_every_call() {
    let world = administered().await;
    let ada = world.register("Ada").await;
    let ticket = world.enqueue(&ada).await;
    let until = (chrono::Utc::now() + chrono::TimeDelta::hours(1))
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let body = json!({"reason": "aim bot", "until": until});
    let ban = request(
        "PUT",
        &format!("/admin/bans/{}", ada.id),
        Some(ADMIN_KEY),
        Some(body),
    );
    world.call(ban).await.expect(StatusCode::OK);

    for problem in refused_everywhere(&world, &ada.access, StatusCode::FORBIDDEN).await {
        assert_eq!(problem["type"], "urn:gameserver:problem:banned");
        assert_eq!(problem["reason"], "aim bot");
        assert_eq!(problem["until"], until.as_str());
    }
    // Only who knows the password learns of the ban.
    let wrong = login(&world, "Ada", "incorrect horse").await;
    assert_eq!(
        wrong.expect(StatusCode::UNAUTHORIZED),
        login(&world, "Nobody", "incorrect horse")
            .await
            .expect(StatusCode::UNAUTHORIZED)
    );
    let right = login(&world, "Ada", "correct horse")
        .await
        .expect(StatusCode::FORBIDDEN);
    assert_eq!(right["type"], "urn:gameserver:problem:banned");
    let refused = refresh(&world, &ada.refresh).await.status;
    assert!(
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&refused),
        "{refused}"
    );

    world.clock.advance(3_601);
    let again = Account::of(
        login(&world, "Ada", "correct horse")
            .await
            .expect(StatusCode::OK),
    );
    // The sessions that the ban ended do not come back; nor does the ticket.
    refused_everywhere(&world, &ada.access, StatusCode::UNAUTHORIZED).await;
    let status = world.status(&again, &format!("ticket_id={ticket}")).await;
    assert_eq!(status["status"], "cancelled");
    world.enqueue(&again).await;
}

#[tokio::test]
async fn a_ban_that_is_lifted_lets_the_player_sign_in() {
    let world = administered().await;
    let ada = world.register("Ada").await;
    let path = format!("/admin/bans/{}", ada.id);
    let body = json!({"reason": "by mistake"});
    let answer = world
        .call(request("PUT", &path, Some(ADMIN_KEY), Some(body)))
        .await
        .expect(StatusCode::OK);
    assert_eq!(answer["until"], Value::Null);
    let refused = login(&world, "Ada", "correct horse")
        .await
        .expect(StatusCode::FORBIDDEN);
    assert_eq!(refused["until"], Value::Null);
    world
        .call(request("DELETE", &path, Some(ADMIN_KEY), None))
        .await
        .expect(StatusCode::NO_CONTENT);
    login(&world, "Ada", "correct horse")
        .await
        .expect(StatusCode::OK);
}
