//! What the log says of accounts, and what it never says.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use gs_api::{Limits, Rate, Secret, Settings};
use serde_json::{Value, json};
use tracing::subscriber::DefaultGuard;

use crate::sessions::{ADMIN_KEY, administered};
use crate::world::{Account, World, from_address, request};

/// The log of this thread, where the whole server of a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The security events of this name.
    fn events(&self, name: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|l| l["target"] == "gs_api::security" && l["fields"]["event"] == name);
        lines
    }

    /// The one event of this name, with what goes with every event.
    #[track_caller]
    fn event(&self, name: &str) -> Value {
        let events = self.events(name);
        assert_eq!(events.len(), 1, "{name}: {}", self.text());
        let event = events.into_iter().next().unwrap();
        assert!(
            event["timestamp"].as_str().unwrap().ends_with('Z'),
            "{event}"
        );
        assert!(event["fields"]["message"].is_string(), "{event}");
        for field in ["request.id", "http.method", "http.route", "client.address"] {
            assert!(event["span"][field].is_string(), "{field}: {event}");
        }
        event
    }
}

async fn ban(world: &World, id: &str) {
    let path = format!("/admin/bans/{id}");
    let body = Some(json!({"reason": "spam"}));
    let call = request("PUT", &path, Some(ADMIN_KEY), body);
    world.call(call).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn the_log_says_what_happened_and_holds_no_secret() {
    let world = administered().await;
    let (log, _guard) = Log::begin();
    let body = json!({
        "username": "Ada", "password": "correct horse", "email": "ada@example.org",
    });
    let call = request("POST", "/auth/register", None, Some(body));
    let answer = world.call(from_address(call, "192.0.2.7:1")).await;
    let ada = Account::of(answer.expect(StatusCode::CREATED));
    let registered = log.event("registered");
    assert_eq!(registered["span"]["client.address"], "192.0.2.7");
    assert_eq!(registered["span"]["player.id"], ada.id.as_str());

    for (username, known) in [("Ada", true), ("Nobody", false)] {
        let before = log.events("sign_in_failed").len();
        let body = json!({"username": username, "password": "incorrect horse"});
        let answer = world.post("/auth/login", None, body).await;
        answer.expect(StatusCode::UNAUTHORIZED);
        let events = log.events("sign_in_failed");
        assert_eq!(events.len(), before + 1);
        assert_eq!(events[before]["fields"]["known"], known);
    }
    let body = json!({"username": "Ada", "password": "correct horse"});
    let answer = world.post("/auth/login", None, body).await;
    let second = Account::of(answer.expect(StatusCode::OK));
    assert_eq!(log.event("signed_in")["span"]["player.id"], ada.id.as_str());
    let body = json!({"refresh_token": second.refresh});
    let answer = world.post("/auth/refresh", None, body).await;
    let third = Account::of(answer.expect(StatusCode::OK));
    log.event("refreshed");
    world
        .post("/auth/logout", Some(&third.access), json!({}))
        .await
        .expect(StatusCode::NO_CONTENT);
    log.event("signed_out");
    for (current, status) in [
        ("incorrect horse", StatusCode::FORBIDDEN),
        ("correct horse", StatusCode::OK),
    ] {
        let body = json!({"current_password": current, "new_password": "battery staple"});
        let answer = world.post("/auth/password", Some(&ada.access), body).await;
        assert_eq!(answer.status, status);
        if status == StatusCode::OK {
            log.event("password_changed");
            let last = Account::of(answer.expect(status));
            let exported = world.get("/account/export", Some(&last.access)).await;
            exported.expect(StatusCode::OK);
            log.event("exported");
            let body = Some(json!({"password": "battery staple"}));
            let erase = request("DELETE", "/account", Some(&last.access), body);
            world.call(erase).await.expect(StatusCode::NO_CONTENT);
            log.event("erased");
        } else {
            log.event("password_refused");
        }
    }
    let guest = world.guest().await;
    log.event("guest_created");
    ban(&world, &guest.id).await;
    let banned = log.event("ban_set");
    assert_eq!(banned["fields"]["player.id"], guest.id.as_str());
    assert_eq!(banned["level"], "WARN");
    let bans = world.get("/admin/bans", Some(ADMIN_KEY)).await;
    bans.expect(StatusCode::OK);
    log.event("bans_listed");
    let path = format!("/admin/bans/{}", guest.id);
    let lift = request("DELETE", &path, Some(ADMIN_KEY), None);
    world.call(lift).await.expect(StatusCode::NO_CONTENT);
    log.event("ban_lifted");
    gs_api::rotate_signing_key(&*world.store, &*world.clock)
        .await
        .unwrap();
    assert_eq!(log.events("key_rotated").len(), 1);

    let text = log.text();
    for secret in [
        "correct horse",
        "battery staple",
        "ada@example.org",
        "$argon2",
        ADMIN_KEY,
        &ada.access,
        &ada.refresh,
        &third.access,
        &third.refresh,
        &guest.refresh,
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    let signature = ada.access.rsplit('.').next().unwrap();
    assert!(!text.contains(signature));
}

#[tokio::test]
async fn refused_access_is_logged() {
    let world = World::with(Settings {
        admin_key: Some(Secret::new(ADMIN_KEY)),
        limits: Limits {
            address: Rate {
                burst: 20,
                interval: Duration::from_secs(60),
            },
            ..World::settings().limits
        },
        ..World::settings()
    })
    .await;
    let ada = world.register("Ada").await;
    let (log, _guard) = Log::begin();
    let made_up = format!("{}x", ada.access);
    let answer = world.get("/match/status", Some(&made_up)).await;
    answer.expect(StatusCode::UNAUTHORIZED);
    assert!(log.event("token_refused")["fields"]["reason"].is_string());

    let room = world
        .get("/auth/token?room=arena-00000000", Some(&ada.access))
        .await;
    room.expect(StatusCode::FORBIDDEN);
    assert_eq!(log.event("forbidden")["span"]["player.id"], ada.id.as_str());

    let refresh = async || {
        let body = json!({"refresh_token": ada.refresh});
        world.post("/auth/refresh", None, body).await
    };
    refresh().await.expect(StatusCode::OK);
    world.clock.advance(11);
    refresh().await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(log.event("refresh_reused")["level"], "WARN");

    let bans = world.get("/admin/bans", Some("a key that is wrong")).await;
    bans.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(log.event("admin_key_refused")["level"], "WARN");

    let eve = world.guest().await;
    ban(&world, &eve.id).await;
    let me = world.get("/match/status", Some(&eve.access)).await;
    me.expect(StatusCode::FORBIDDEN);
    let refused = log.event("banned_refused");
    assert_eq!(refused["span"]["player.id"], eve.id.as_str());

    let guest = async || world.post("/auth/guest", None, json!({})).await.status;
    while guest().await == StatusCode::CREATED {}
    log.event("limited");
}

#[tokio::test]
async fn a_store_that_fails_is_logged_and_not_told() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let (log, _guard) = Log::begin();
    world.store.close().await;
    let answer = world.get("/match/status", Some(&ada.access)).await;
    let told = answer.expect(StatusCode::SERVICE_UNAVAILABLE).to_string();
    for inside in ["sqlx", "SQL", "pool", "gameserver.db", "panicked", ".rs"] {
        assert!(!told.contains(inside), "{told}");
    }
    let mut lines = log.lines();
    lines.retain(|l| l["level"] == "ERROR");
    assert_eq!(lines.len(), 1, "{}", log.text());
    assert!(lines[0]["fields"]["error"].is_string(), "{lines:?}");
    assert!(lines[0]["span"]["request.id"].is_string(), "{lines:?}");
}

#[tokio::test]
async fn nobody_writes_lines_into_the_log() {
    let world = administered().await;
    let (log, _guard) = Log::begin();
    let forged = "x\n{\"level\":\"ERROR\",\"target\":\"forged\"}\r\u{1b}[2Jforged";
    for (path, body) in [
        (
            "/auth/login",
            json!({"username": forged, "password": forged}),
        ),
        (
            "/auth/register",
            json!({"username": forged, "password": forged, "email": forged}),
        ),
        ("/auth/guest", json!({"username": forged})),
        ("/auth/refresh", json!({"refresh_token": forged})),
    ] {
        world.post(path, None, body).await;
    }
    let mut call = request(
        "GET",
        "/forged%0aforged?forged=%0aforged",
        Some("forged"),
        None,
    );
    let id = "forged{\"level\":\"ERROR\"}".parse().unwrap();
    call.headers_mut().insert("x-request-id", id);
    call.headers_mut()
        .insert("x-forwarded-for", "forged".parse().unwrap());
    world.call(call).await;
    world.get("/match/status", Some("forged")).await;
    world.get("/admin/bans", Some("forged")).await;
    assert!(log.lines().len() >= 3);
    assert!(!log.text().contains("forged"), "{}", log.text());
}
