//! What holds for all answers of the contract.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::sessions::{ADMIN_KEY, administered};
use crate::world::{Account, Answer, World, request};

struct Call {
    method: String,
    path: String,
    /// The path as the contract has it.
    route: String,
    details: Value,
}

/// Every call of the contract, with paths filled in as they are for this player.
fn calls(player: &Account, played: &str) -> Vec<Call> {
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    let mut calls = Vec::new();
    for (route, item) in document["paths"].as_object().unwrap() {
        for (method, details) in item.as_object().unwrap() {
            let mut path = route
                .replace("{game}", "arena")
                .replace("{sha256}", crate::world::SHA256)
                .replace("{match_id}", played);
            for name in ["player_id", "player"] {
                path = path.replace(&format!("{{{name}}}"), &player.id);
            }
            for name in ["{ticket_id}", "{party_id}"] {
                path = path.replace(name, &uuid::Uuid::now_v7().to_string());
            }
            assert!(!path.contains('{'), "{path}");
            if route == "/auth/token" {
                path.push_str("?room=arena-00000000");
            }
            calls.push(Call {
                method: method.to_uppercase(),
                path,
                route: route.clone(),
                details: details.clone(),
            });
        }
    }
    calls
}

fn needs(call: &Call, scheme: &str) -> bool {
    call.details["security"].as_array().is_some_and(|all| {
        all.iter().any(|one| !one[scheme].is_null()) && !all.contains(&json!({}))
    })
}

/// Two players after a match.
async fn after_a_match(world: &World) -> (Account, Account, String) {
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let played = world.play([&ada, &bob], [30, 20]).await;
    (ada, bob, played.to_string())
}

/// Asks all calls that only read.
async fn read_all(world: &World, token: Option<&str>) -> Vec<(Call, Answer)> {
    let (ada, _, played) = after_a_match(world).await;
    let own = token.is_none().then(|| ada.access.clone());
    let mut answers = Vec::new();
    for call in calls(&ada, &played) {
        if call.method == "GET" {
            let key = if call.route.starts_with("/admin") {
                Some(ADMIN_KEY)
            } else {
                own.as_deref().or(token).filter(|t| !t.is_empty())
            };
            let answer = world.get(&call.path, key).await;
            answers.push((call, answer));
        }
    }
    assert!(answers.len() >= 12, "{}", answers.len());
    answers
}

#[tokio::test]
async fn every_answer_says_what_it_is() {
    let world = administered().await;
    for (call, answer) in read_all(&world, None).await {
        let what = format!("{} {}", call.method, call.path);
        let kind = answer.headers["content-type"].to_str().unwrap();
        if call.route.ends_with("{sha256}") {
            assert_eq!(kind, "application/wasm", "{what}");
            continue;
        }
        let expected = match answer.status.is_success() {
            true => "application/json",
            false => "application/problem+json",
        };
        assert_eq!(kind, expected, "{what}");
        let parsed: Result<Value, _> = serde_json::from_slice(&answer.bytes);
        assert!(parsed.is_ok(), "{what}: {answer:?}");
    }
    for (path, kind) in [
        ("/docs/", "text/html; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/nothing", "application/problem+json"),
    ] {
        let answer = world.get(path, None).await;
        let said = answer.headers["content-type"].to_str().unwrap();
        assert_eq!(said.to_ascii_lowercase(), kind, "{path}");
    }
}

#[tokio::test]
async fn no_call_redirects() {
    let world = administered().await;
    let (ada, _, played) = after_a_match(&world).await;
    for call in calls(&ada, &played) {
        for token in [None, Some(ada.access.as_str())] {
            let sent = request(&call.method, &call.path, token, None);
            let answer = world.call(sent).await;
            assert!(
                !answer.status.is_redirection(),
                "{} {}",
                call.method,
                call.path
            );
            assert!(!answer.headers.contains_key("location"));
        }
    }
}

#[tokio::test]
async fn calls_that_need_a_token_refuse_to_go_without() {
    let world = administered().await;
    let (ada, _, played) = after_a_match(&world).await;
    let mut refused = Vec::new();
    for call in calls(&ada, &played) {
        let answer = world
            .call(request(&call.method, &call.path, None, None))
            .await;
        if needs(&call, "bearer") || needs(&call, "admin_key") {
            answer.expect(StatusCode::UNAUTHORIZED);
            refused.push(format!("{} {}", call.method, call.route));
        }
    }
    // Those of the specification, whatever the contract says of itself.
    for call in [
        "POST /auth/logout",
        "POST /auth/password",
        "GET /auth/token",
        "GET /account/export",
        "DELETE /account",
        "POST /match/queue",
        "GET /match/status",
        "DELETE /match/queue/{ticket_id}",
        "PUT /admin/bans/{player_id}",
        "DELETE /admin/bans/{player_id}",
        "GET /admin/bans",
    ] {
        assert!(refused.iter().any(|r| r == call), "{call}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_a_players_own_is_kept_by_no_cache() {
    let world = administered().await;
    let no_store = |answer: &Answer, what: &str| {
        let kept = answer.headers.get("cache-control");
        let kept = kept.map(|k| k.to_str().unwrap()).unwrap_or_default();
        assert!(kept.contains("no-store"), "{what}: {kept:?}");
    };
    for (call, answer) in read_all(&world, None).await {
        if needs(&call, "bearer") || needs(&call, "admin_key") {
            no_store(&answer, &call.path);
        }
    }
    let mut account = world.register("Eve").await;
    for (path, body) in [
        (
            "/auth/register",
            json!({"username": "Mallory", "password": "correct horse"}),
        ),
        (
            "/auth/login",
            json!({"username": "Mallory", "password": "correct horse"}),
        ),
        ("/auth/guest", json!({})),
        ("/auth/refresh", json!({"refresh_token": account.refresh})),
        (
            "/auth/login",
            json!({"username": "Mallory", "password": "incorrect horse"}),
        ),
    ] {
        no_store(&world.post(path, None, body).await, path);
    }
    let body = json!({"username": "Eve", "password": "correct horse"});
    let answer = world.post("/auth/login", None, body).await;
    account = Account::of(answer.expect(StatusCode::OK));
    let queued = world
        .post(
            "/match/queue",
            Some(&account.access),
            json!({"game": "arena"}),
        )
        .await;
    queued.expect(StatusCode::ACCEPTED);
    no_store(
        &world.get("/match/status", Some(&account.access)).await,
        "/match/status",
    );
    let path = format!("/admin/bans/{}", account.id);
    let body = Some(json!({"reason": "spam"}));
    let banned = world
        .call(request("PUT", &path, Some(ADMIN_KEY), body))
        .await;
    assert_eq!(banned.status, StatusCode::OK);
    no_store(&banned, &path);
}

#[tokio::test]
async fn reading_signs_nobody_in() {
    let world = administered().await;
    for (call, answer) in read_all(&world, Some("")).await {
        assert!(!answer.headers.contains_key("set-cookie"), "{}", call.path);
        let text = String::from_utf8_lossy(&answer.bytes);
        for token in ["access_token\":", "refresh_token\":"] {
            assert!(!text.contains(token), "{}: {text}", call.path);
        }
    }
}

#[tokio::test]
async fn nobody_reads_anothers_address() {
    let world = administered().await;
    let body = json!({
        "username": "Eve", "password": "correct horse", "email": "eve@example.org",
    });
    let eve = world.post("/auth/register", None, body).await;
    let eve = Account::of(eve.expect(StatusCode::CREATED));
    let (ada, _, played) = after_a_match(&world).await;
    world.play([&eve, &ada], [1, 2]).await;
    for call in calls(&eve, &played) {
        if call.method != "GET" {
            continue;
        }
        for token in [None, Some(ada.access.as_str()), Some(ADMIN_KEY)] {
            let answer = world.get(&call.path, token).await;
            let text = String::from_utf8_lossy(&answer.bytes);
            assert!(!text.contains("eve@"), "{}: {text}", call.path);
        }
    }
}

#[test]
fn the_contract_asks_for_no_secret_in_a_url() {
    let document = serde_json::to_value(gs_api::Api::openapi()).unwrap();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            for parameter in call["parameters"].as_array().into_iter().flatten() {
                seen += 1;
                let name = parameter["name"].as_str().unwrap();
                for secret in ["token", "password", "secret", "key", "email"] {
                    assert!(!name.contains(secret), "{method} {path}: {name}");
                }
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}
