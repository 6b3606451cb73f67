//! What is held of a player: all of it handed out, and erased.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::sessions::{ADMIN_KEY, administered};
use crate::world::{Account, Answer, World, request};

async fn register_with_address(world: &World, username: &str, email: &str) -> Answer {
    let body = json!({"username": username, "password": "correct horse", "email": email});
    world.post("/auth/register", None, body).await
}

async fn export(world: &World, account: &Account) -> Value {
    let answer = world.get("/account/export", Some(&account.access)).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.expect(StatusCode::OK)
}

async fn erase(world: &World, account: &Account, body: Option<Value>) -> Answer {
    let call = request("DELETE", "/account", Some(&account.access), body);
    world.call(call).await
}

fn length(value: &Value) -> usize {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
        .len()
}

#[tokio::test]
async fn an_export_has_everything_held_of_the_player_and_of_nobody_else() {
    let world = administered().await;
    let answer = register_with_address(&world, "Ada", "ada@example.org").await;
    let ada = Account::of(answer.expect(StatusCode::CREATED));
    let answer = register_with_address(&world, "Bob", "bob@example.org").await;
    let bob = Account::of(answer.expect(StatusCode::CREATED));
    let played = world.play([&ada, &bob], [30, 20]).await;
    world.enqueue(&ada).await;
    // A ban that has run out is still held.
    let until = chrono::Utc::now() + chrono::TimeDelta::minutes(1);
    let ban = json!({"reason": "rude words", "until": until});
    let path = format!("/admin/bans/{}", ada.id);
    world
        .call(request("PUT", &path, Some(ADMIN_KEY), Some(ban)))
        .await
        .expect(StatusCode::OK);
    world.clock.advance(61);
    let body = json!({"username": "Ada", "password": "correct horse"});
    let answer = world.post("/auth/login", None, body).await;
    let ada = Account::of(answer.expect(StatusCode::OK));

    let held = export(&world, &ada).await;
    assert_eq!(held["player"]["player_id"], ada.id.as_str());
    assert_eq!(held["player"]["username"], "Ada");
    assert_eq!(held["player"]["email"], "ada@example.org");
    assert_eq!(held["player"]["guest"], false);
    assert!(held["player"]["created_at"].is_string(), "{held}");
    assert_eq!(length(&held["sessions"]), 1);
    assert_eq!(length(&held["tickets"]), 2);
    assert_eq!(held["ban"]["reason"], "rude words");
    assert_eq!(length(&held["statistics"]), 1);
    let statistics = &held["statistics"][0];
    assert_eq!(
        (&statistics["game"], &statistics["wins"]),
        (&json!("arena"), &json!(1))
    );
    assert!(statistics["rating"].is_number(), "{held}");
    assert_eq!(statistics["statistics"]["kills"], 3);
    let boards = held["board_entries"].as_array().unwrap();
    assert_eq!(boards.len(), 2, "{held}");
    assert!(
        boards
            .iter()
            .any(|e| e["board"] == "default" && e["score"] == 30)
    );
    assert!(
        boards
            .iter()
            .any(|e| e["board"] == "kills" && e["score"] == 3)
    );
    assert_eq!(length(&held["matches"]), 1);
    assert_eq!(held["matches"][0]["match_id"], played.to_string());
    assert_eq!(length(&held["matches"][0]["players"]), 2);

    let text = held.to_string();
    for secret in ["$argon2", "bob@example.org", &ada.refresh, &ada.access] {
        assert!(!text.contains(secret), "{secret}");
    }
    // A player who has done nothing has an export, too.
    let held = export(&world, &world.guest().await).await;
    assert_eq!(held["player"]["guest"], true);
    assert_eq!(held["player"]["email"], Value::Null);
    for list in ["tickets", "statistics", "board_entries", "matches"] {
        assert_eq!(length(&held[list]), 0, "{list}");
    }
}

#[tokio::test]
async fn an_export_has_all_matches_however_many_once_each() {
    let world = World::new().await;
    let (ada, bob) = (world.register("Ada").await, world.register("Bob").await);
    let mut played = Vec::new();
    // One more than a page that the server reads at once.
    for _ in 0..101 {
        played.push(world.play([&ada, &bob], [2, 1]).await.to_string());
        // Neither the tokens of the first nor the limits of many.
        world.clock.advance(1);
    }
    played.reverse();
    let held = export(&world, &ada).await;
    let matches = held["matches"].as_array().unwrap();
    let ids: Vec<&str> = matches
        .iter()
        .map(|m| m["match_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, played);
}

#[tokio::test]
async fn an_erased_player_is_gone_and_results_stay_without_the_name() {
    let world = World::new().await;
    let answer = register_with_address(&world, "Ada", "ada@example.org").await;
    let ada = Account::of(answer.expect(StatusCode::CREATED));
    let bob = world.register("Bob").await;
    let played = world.play([&ada, &bob], [30, 20]).await;
    world.enqueue(&ada).await;

    let missing = erase(&world, &ada, Some(json!({}))).await;
    assert_eq!(missing.refused_field(), "password");
    let none = erase(&world, &ada, None).await;
    assert_eq!(none.refused_field(), "password");
    let wrong = json!({"password": "incorrect horse"});
    erase(&world, &ada, Some(wrong))
        .await
        .expect(StatusCode::FORBIDDEN);
    let right = json!({"password": "correct horse"});
    erase(&world, &ada, Some(right.clone()))
        .await
        .expect(StatusCode::NO_CONTENT);

    // All that signs in is dead.
    let me = world.get("/match/status", Some(&ada.access)).await;
    me.expect(StatusCode::UNAUTHORIZED);
    erase(&world, &ada, Some(right))
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let body = json!({"refresh_token": ada.refresh});
    world
        .post("/auth/refresh", None, body)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let body = json!({"username": "Ada", "password": "correct horse"});
    world
        .post("/auth/login", None, body)
        .await
        .expect(StatusCode::UNAUTHORIZED);

    let found = world.get(&format!("/matches/{played}"), None).await;
    let found = found.expect(StatusCode::OK);
    let winner = found["players"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["player_id"] == ada.id.as_str())
        .unwrap();
    let name = winner["username"].as_str().unwrap();
    assert!(name.starts_with("deleted-"), "{found}");
    assert_eq!(winner["score"], 30);
    assert!(!found.to_string().contains("Ada"), "{found}");
    let board = world.get("/leaderboard/arena", None).await;
    let board = board.expect(StatusCode::OK);
    assert_eq!(board["entries"][0]["username"], name);
    assert_eq!(board["entries"][0]["score"], 30);

    // Name and address are free again, and theirs is somebody else.
    let answer = register_with_address(&world, "Ada", "ada@example.org").await;
    let other = Account::of(answer.expect(StatusCode::CREATED));
    assert_ne!(other.id, ada.id);
    assert_eq!(length(&export(&world, &other).await["matches"]), 0);
}

#[tokio::test]
async fn a_guest_is_erased_without_a_password() {
    let world = World::new().await;
    for body in [Some(json!({})), None] {
        let guest = world.guest().await;
        erase(&world, &guest, body)
            .await
            .expect(StatusCode::NO_CONTENT);
        let me = world.get("/match/status", Some(&guest.access)).await;
        me.expect(StatusCode::UNAUTHORIZED);
        // Nor can the old token make an account of it.
        let body = json!({"username": "Ada", "password": "correct horse"});
        world
            .post("/auth/register", Some(&guest.access), body)
            .await
            .expect(StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_registered_player_does_not_register_again() {
    let world = World::new().await;
    let ada = world.register("Ada").await;
    let body = json!({"username": "Bob", "password": "correct horse"});
    let answer = world.post("/auth/register", Some(&ada.access), body).await;
    let problem = answer.expect(StatusCode::CONFLICT);
    assert_eq!(problem["type"], "urn:gameserver:problem:registered");
    let body = json!({"username": "Bob", "password": "correct horse"});
    world
        .post("/auth/login", None, body)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn names_of_the_server_and_look_alikes_are_refused() {
    let world = World::new().await;
    world.register("Oliver").await;
    let register = async |username: &str| {
        let body = json!({"username": username, "password": "correct horse"});
        world.post("/auth/register", None, body).await
    };
    let guest = async |username: &str| {
        world
            .post("/auth/guest", None, json!({"username": username}))
            .await
    };
    for name in [
        "admin",
        "Admin",
        "SYSTEM",
        "moderator",
        "server",
        "GameServer",
        "support",
        "guest-12345678",
        "Guest-",
        "deleted-0123456789ab",
        "DELETED-x",
    ] {
        assert_eq!(register(name).await.refused_field(), "username", "{name}");
        assert_eq!(guest(name).await.refused_field(), "username", "{name}");
    }
    for name in ["0liver", "OIiver", "o1iver", "OLIVER"] {
        for answer in [register(name).await, guest(name).await] {
            let problem = answer.expect(StatusCode::CONFLICT);
            assert_eq!(
                problem["type"], "urn:gameserver:problem:username-taken",
                "{name}"
            );
        }
    }
    for name in [
        "Оliver",
        "Oli\u{200b}ver",
        "Oliver\u{0}",
        " Oliver",
        "Oliver\n",
        "Ｏliver",
    ] {
        assert_eq!(register(name).await.refused_field(), "username", "{name:?}");
        assert_eq!(guest(name).await.refused_field(), "username", "{name:?}");
    }
    register("administer").await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn addresses_are_checked() {
    let world = World::new().await;
    for email in [
        "a\u{0}@example.org",
        "a\n@example.org",
        "a@exam\u{7}ple.org",
        "a@\u{1b}[2J.org",
        &format!("{}@example.org", "a".repeat(300)),
    ] {
        let refused = register_with_address(&world, "Ada", email).await;
        assert_eq!(refused.refused_field(), "email", "{email:?}");
    }
    register_with_address(&world, "Ada", "ada+games@mail.example.org")
        .await
        .expect(StatusCode::CREATED);
}
