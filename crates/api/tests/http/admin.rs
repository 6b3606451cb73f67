//! Operators' calls.

use std::time::Duration;

use axum::http::StatusCode;
use gs_api::{Limits, Rate, Secret, Settings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sessions::{ADMIN_KEY, administered};
use crate::world::{Answer, World, from_address, request};

async fn ban(world: &World, id: &str, body: Value) -> Answer {
    let path = format!("/admin/bans/{id}");
    let call = request("PUT", &path, Some(ADMIN_KEY), Some(body));
    world.call(call).await
}

async fn lift(world: &World, id: &str) -> Answer {
    let path = format!("/admin/bans/{id}");
    let call = request("DELETE", &path, Some(ADMIN_KEY), None);
    world.call(call).await
}

async fn bans(world: &World, query: &str) -> Answer {
    let path = format!("/admin/bans{query}");
    world.get(&path, Some(ADMIN_KEY)).await
}

fn every_call() -> Vec<(&'static str, String, Option<Value>)> {
    let one = format!("/admin/bans/{}", Uuid::now_v7());
    vec![
        ("GET", "/admin/bans".to_owned(), None),
        ("PUT", one.clone(), Some(json!({"reason": "x"}))),
        ("DELETE", one, None),
    ]
}

#[tokio::test]
async fn without_a_key_there_is_no_administration() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    for (method, path, body) in every_call() {
        for token in [None, Some(ADMIN_KEY), Some(ada.access.as_str()), Some("")] {
            let call = request(method, &path, token, body.clone());
            world.call(call).await.expect(StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn only_the_servers_key_opens_the_administration() {
    let world = administered().await;
    let ada = world.register("Ada").await;
    let longer = format!("{ADMIN_KEY}x");
    let other_case = ADMIN_KEY.to_uppercase();
    for (method, path, body) in every_call() {
        for token in [
            None,
            Some(""),
            Some("x"),
            Some(&ADMIN_KEY[1..]),
            Some(&ADMIN_KEY[..ADMIN_KEY.len() - 1]),
            Some(longer.as_str()),
            Some(other_case.as_str()),
            Some(ada.access.as_str()),
            Some(ada.refresh.as_str()),
            Some("A".repeat(8_000).as_str()),
        ] {
            let call = request(method, &path, token, body.clone());
            let answer = world.call(call).await;
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            answer.expect(StatusCode::UNAUTHORIZED);
        }
        let mut basic = request(method, &path, None, body.clone());
        let value = format!("Basic {ADMIN_KEY}").parse().unwrap();
        basic.headers_mut().insert("authorization", value);
        world.call(basic).await.expect(StatusCode::UNAUTHORIZED);
    }
    bans(&world, "").await.expect(StatusCode::OK);
    // It signs nobody in as a player.
    let me = world.get("/match/status", Some(ADMIN_KEY)).await;
    me.expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whoever_guesses_the_key_has_to_wait_and_the_operator_has_not() {
    let world = World::with(Settings {
        admin_key: Some(Secret::new(ADMIN_KEY)),
        limits: Limits {
            address: Rate {
                burst: 3,
                interval: Duration::from_secs(60),
            },
            ..Limits::default()
        },
        ..World::settings()
    })
    .await;
    let guess = async |from: &str, key: &str| {
        let call = request("GET", "/admin/bans", Some(key), None);
        world.call(from_address(call, from)).await
    };
    for _ in 0..3 {
        guess("192.0.2.1:1", "x")
            .await
            .expect(StatusCode::UNAUTHORIZED);
    }
    let refused = guess("192.0.2.1:1", "x").await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.expect(StatusCode::TOO_MANY_REQUESTS);
    guess("192.0.2.2:1", "x")
        .await
        .expect(StatusCode::UNAUTHORIZED);
    for _ in 0..10 {
        guess("192.0.2.3:1", ADMIN_KEY).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn bans_are_made_listed_replaced_and_lifted() {
    let world = administered().await;
    let mut ids = Vec::new();
    for name in ["Ada", "Bob", "Eve"] {
        ids.push(world.register(name).await.id);
    }
    for id in &ids {
        let answer = ban(&world, id, json!({"reason": "spam"})).await;
        let made = answer.expect(StatusCode::OK);
        assert_eq!(made["player_id"], id.as_str());
        assert_eq!(
            (&made["reason"], &made["until"]),
            (&json!("spam"), &Value::Null)
        );
        assert!(made["banned_at"].is_string(), "{made}");
    }
    ids.sort();
    let mut listed = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = bans(&world, &query).await.expect(StatusCode::OK);
        for ban in page["bans"].as_array().unwrap() {
            listed.push(ban["player_id"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            None => break,
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
        }
    }
    assert_eq!(listed, ids);

    let until = (chrono::Utc::now() + chrono::TimeDelta::hours(1))
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    ban(
        &world,
        &ids[0],
        json!({"reason": "aim bot", "until": until}),
    )
    .await
    .expect(StatusCode::OK);
    lift(&world, &ids[1]).await.expect(StatusCode::NO_CONTENT);
    lift(&world, &ids[1]).await.expect(StatusCode::NOT_FOUND);
    let page = bans(&world, "").await.expect(StatusCode::OK);
    assert_eq!(page["bans"].as_array().unwrap().len(), 2, "{page}");
    assert_eq!(page["bans"][0]["reason"], "aim bot");
    assert_eq!(page["bans"][0]["until"], until.as_str());
    world.clock.advance(3_601);
    let page = bans(&world, "").await.expect(StatusCode::OK);
    assert_eq!(page["bans"].as_array().unwrap().len(), 1, "{page}");
    lift(&world, &ids[0]).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_cannot_be_banned_is_refused() {
    let world = administered().await;
    let ada = world.register("Ada").await;
    let nobody = Uuid::now_v7().to_string();
    for id in [nobody.as_str(), "ada", "1", "%00", "..", &"9".repeat(500)] {
        ban(&world, id, json!({"reason": "x"}))
            .await
            .expect(StatusCode::NOT_FOUND);
        lift(&world, id).await.expect(StatusCode::NOT_FOUND);
    }
    let long = "x".repeat(201);
    let past = "2020-01-01T00:00:00Z";
    for (body, field) in [
        (json!({}), "reason"),
        (json!({"reason": ""}), "reason"),
        (json!({"reason": long}), "reason"),
        (json!({"reason": "a\nb"}), "reason"),
        (json!({"reason": "a\u{0}b"}), "reason"),
        (json!({"reason": "\u{1b}[2J"}), "reason"),
        (json!({"reason": null}), "reason"),
        (json!({"reason": 5}), "reason"),
        (json!({"reason": ["x"]}), "reason"),
        (json!({"reason": "x", "until": past}), "until"),
        (json!({"reason": "x", "until": 5}), "until"),
        (json!({"reason": "x", "until": true}), "until"),
        (json!({"reason": "x", "until": ""}), "until"),
        (json!({"reason": "x", "until": "soon"}), "until"),
        (
            json!({"reason": "x", "until": "2027-13-01T00:00:00Z"}),
            "until",
        ),
        (json!({"reason": "x", "until": "2027-01-01"}), "until"),
        (json!({"reason": "x", "forever": true}), "forever"),
        (json!({"reason": "x", "player_id": nobody}), "player_id"),
    ] {
        let refused = ban(&world, &ada.id, body.clone()).await;
        assert_eq!(refused.refused_field(), field, "{body}");
    }
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=x", "limit"),
        ("?limit=", "limit"),
        ("?cursor=x", "cursor"),
        ("?cursor=", "cursor"),
        ("?cursor=%00", "cursor"),
        ("?surprise=1", "surprise"),
        ("?limit=1&limit=1", "limit"),
    ] {
        assert_eq!(bans(&world, query).await.refused_field(), field, "{query}");
    }
    let page = bans(&world, "").await.expect(StatusCode::OK);
    assert_eq!(page["bans"], json!([]));
    ban(&world, &ada.id, json!({"reason": "é".repeat(200)}))
        .await
        .expect(StatusCode::OK);
    // Times that a database may not hold.
    for until in ["9999-12-31T23:59:59Z", "+262142-12-31T23:59:59Z"] {
        let answer = ban(&world, &ada.id, json!({"reason": "x", "until": until})).await;
        assert!(!answer.status.is_server_error(), "{until}: {answer:?}");
        let page = bans(&world, "").await;
        assert_eq!(page.status, StatusCode::OK, "{until}: {page:?}");
    }
}

#[test]
fn the_key_is_not_shown() {
    let settings = Settings {
        admin_key: Some(Secret::new(ADMIN_KEY)),
        ..Settings::default()
    };
    let shown = format!("{settings:?} {:?}", settings.admin_key);
    assert!(!shown.contains(&ADMIN_KEY[..4]), "{shown}");
}
