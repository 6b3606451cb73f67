//! Registering, signing in, tokens.

use std::time::Duration;

use axum::http::StatusCode;
use gs_api::{Limits, Rate};
use serde_json::json;

use crate::world::{Account, World, from_address, request};

#[tokio::test]
async fn a_player_registers_and_signs_in() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    assert_eq!(ada.username, "Ada");
    let body = json!({"username": "aDA", "password": "correct horse"});
    let again = Account::of(
        world
            .post("/auth/login", None, body)
            .await
            .expect(StatusCode::OK),
    );
    assert_eq!((&again.id, again.username.as_str()), (&ada.id, "Ada"));
    assert_ne!(again.refresh, ada.refresh);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_answer_alike() {
    let world = World::new().await;
    world.register("Ada").await;
    let login = async |username: &str| {
        let body = json!({"username": username, "password": "incorrect horse"});
        let answer = world.post("/auth/login", None, body).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.expect(StatusCode::UNAUTHORIZED)
    };
    assert_eq!(login("Ada").await, login("Nobody").await);
    assert_eq!(login("Ada").await, login("not a name!").await);
}

#[tokio::test]
async fn names_and_addresses_are_taken_once() {
    let world = World::new().await;
    let register = async |username: &str, email: &str| {
        let body = json!({"username": username, "password": "correct horse", "email": email});
        world.post("/auth/register", None, body).await
    };
    register("Ada", "ada@example.org")
        .await
        .expect(StatusCode::CREATED);
    let name = register("ADA", "other@example.org")
        .await
        .expect(StatusCode::CONFLICT);
    assert_eq!(name["type"], "urn:gameserver:problem:username-taken");
    let address = register("Bob", "ADA@example.org")
        .await
        .expect(StatusCode::CONFLICT);
    assert_eq!(address["type"], "urn:gameserver:problem:email-taken");
}

#[tokio::test]
async fn a_guest_who_registers_keeps_the_id() {
    let world = World::new().await;
    let guest = world.guest().await;
    assert!(guest.username.starts_with("guest-"), "{}", guest.username);
    let body = json!({"username": "Ada", "password": "correct horse"});
    let answer = world
        .post("/auth/register", Some(&guest.access), body)
        .await;
    let ada = Account::of(answer.expect(StatusCode::CREATED));
    assert_eq!((ada.id, ada.username.as_str()), (guest.id, "Ada"));
    let login = json!({"username": "Ada", "password": "correct horse"});
    world
        .post("/auth/login", None, login)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_repeats_for_ten_seconds_and_then_ends_its_family() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let refresh = async |token: &str| {
        world
            .post("/auth/refresh", None, json!({"refresh_token": token}))
            .await
    };
    let first = Account::of(refresh(&ada.refresh).await.expect(StatusCode::OK));
    let repeat = Account::of(refresh(&ada.refresh).await.expect(StatusCode::OK));
    assert_ne!(first.refresh, ada.refresh);
    assert_eq!(first.refresh, repeat.refresh);
    assert_eq!(first.id, ada.id);

    world.clock.advance(11);
    refresh(&ada.refresh).await.expect(StatusCode::UNAUTHORIZED);
    refresh(&first.refresh)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    refresh("made-up").await.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refresh_token_lasts_thirty_days() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    world.clock.advance(30 * 24 * 60 * 60);
    let body = json!({"refresh_token": ada.refresh});
    world
        .post("/auth/refresh", None, body)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logging_out_ends_this_session_alone() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let login = json!({"username": "Ada", "password": "correct horse"});
    let other = Account::of(
        world
            .post("/auth/login", None, login)
            .await
            .expect(StatusCode::OK),
    );
    let answer = world
        .post("/auth/logout", Some(&ada.access), json!({}))
        .await;
    answer.expect(StatusCode::NO_CONTENT);
    let refresh = async |token: &str| {
        world
            .post("/auth/refresh", None, json!({"refresh_token": token}))
            .await
            .status
    };
    assert_eq!(refresh(&ada.refresh).await, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&other.refresh).await, StatusCode::OK);
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        world.post("/auth/password", Some(&ada.access), body).await
    };
    change("incorrect horse", "battery staple")
        .await
        .expect(StatusCode::FORBIDDEN);
    assert_eq!(
        change("correct horse", "short").await.refused_field(),
        "new_password"
    );
    let answer = change("correct horse", "battery staple").await;
    let after = Account::of(answer.expect(StatusCode::OK));
    let old = json!({"refresh_token": ada.refresh});
    world
        .post("/auth/refresh", None, old)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let new = json!({"refresh_token": after.refresh});
    world
        .post("/auth/refresh", None, new)
        .await
        .expect(StatusCode::OK);
    let login = json!({"username": "Ada", "password": "battery staple"});
    world
        .post("/auth/login", None, login)
        .await
        .expect(StatusCode::OK);

    let guest = world.guest().await;
    let body = json!({"current_password": "correct horse", "new_password": "battery staple"});
    let answer = world
        .post("/auth/password", Some(&guest.access), body)
        .await;
    answer.expect(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn expired_forged_and_missing_access_tokens_are_refused() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let ask = async |token: Option<&str>| world.get("/match/status", token).await;
    ask(Some(&ada.access)).await.expect(StatusCode::NOT_FOUND);
    ask(None).await.expect(StatusCode::UNAUTHORIZED);
    ask(Some("nonsense")).await.expect(StatusCode::UNAUTHORIZED);

    // Another server's token: the same form, another key.
    let eve = World::new().await.register("Eve").await;
    ask(Some(&eve.access))
        .await
        .expect(StatusCode::UNAUTHORIZED);
    // `{"alg":"none","typ":"JWT"}`, the claims, no signature.
    let claims = ada.access.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    ask(Some(&unsigned)).await.expect(StatusCode::UNAUTHORIZED);
    let mut basic = request("GET", "/match/status", None, None);
    basic
        .headers_mut()
        .insert("authorization", "Basic YTpi".parse().unwrap());
    world.call(basic).await.expect(StatusCode::UNAUTHORIZED);

    world.clock.advance(14 * 60);
    ask(Some(&ada.access)).await.expect(StatusCode::NOT_FOUND);
    world.clock.advance(61);
    ask(Some(&ada.access))
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_address_that_tries_too_often_has_to_wait() {
    let address = Rate {
        burst: 3,
        interval: Duration::from_secs(60),
    };
    let account = Rate {
        burst: 1_000,
        interval: Duration::from_millis(1),
    };
    let world = World::with_limits(Limits {
        address,
        account,
        ..Limits::default()
    })
    .await;
    let guest = async |from: &str| {
        let call = request("POST", "/auth/guest", None, Some(json!({})));
        world.call(from_address(call, from)).await
    };
    for _ in 0..3 {
        guest("192.0.2.1:1000").await.expect(StatusCode::CREATED);
    }
    let refused = guest("192.0.2.1:2000").await;
    let seconds: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    refused.expect(StatusCode::TOO_MANY_REQUESTS);
    guest("192.0.2.2:1000").await.expect(StatusCode::CREATED);
    for host in 1..=3 {
        guest(&format!("[2001:db8::{host}]:1000"))
            .await
            .expect(StatusCode::CREATED);
    }
    guest("[2001:db8::4]:1000")
        .await
        .expect(StatusCode::TOO_MANY_REQUESTS);
    world.clock.advance(60);
    guest("192.0.2.1:1000").await.expect(StatusCode::CREATED);
}
