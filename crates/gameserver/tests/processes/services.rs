//! `api` and `authority`: together, without their services, and when they end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gs_test_services::{Durability, LiveKit, LiveKitOptions, Postgres};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Running, eventually};
use crate::world::{World, client, get, guest, missing, refused};

#[test]
fn two_players_are_matched_by_one_process_into_a_room_that_another_runs() {
    let world = World::migrated();
    let (api, authority) = (world.api(), world.authority());
    for url in [&api.url, &authority.url] {
        assert_eq!(get(&format!("{url}/healthz")).status(), 200);
        assert_eq!(missing(url), Vec::<String>::new());
    }
    let tokens = [guest(&api.url).0, guest(&api.url).0];
    for token in &tokens {
        let ticket = client()
            .post(format!("{}/match/queue", api.url))
            .bearer_auth(token)
            .json(&json!({ "game": "tic-tac-toe" }))
            .send()
            .unwrap();
        assert_eq!(ticket.status(), 202);
    }
    let status = || -> Value {
        let call = client().get(format!("{}/match/status?wait=5", api.url));
        call.bearer_auth(&tokens[0]).send().unwrap().json().unwrap()
    };
    eventually("both are matched", || status()["status"] == "matched");
    let details = &status()["match"];
    assert_eq!(details["url"], world.livekit.url());
    assert_eq!(details["players"].as_array().unwrap().len(), 2);
    let counted = |url: &str, line: &str| {
        let text = get(&format!("{url}/metrics")).text().unwrap();
        text.lines().any(|l| l == line)
    };
    eventually("the room is counted", || {
        counted(&authority.url, "gameserver_rooms 1")
    });
    assert!(!counted(&api.url, "gameserver_rooms 1"));
}

#[test]
fn dev_keeps_everything_in_postgresql_and_redis_where_they_are_configured() {
    let world = World::new();
    // It runs a LiveKit server of its own, and brings the schema up to date itself.
    world.configure(|config| drop(config.as_object_mut().unwrap().remove("livekit")));
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = world.command(&["dev", "--port", "0"]);
        Running::start(command.arg("--data-dir").arg(data.path()))
    };
    let dev = start();
    let (token, player) = guest(&dev.url);
    let count = "SELECT count(*) FROM players";
    assert_eq!(Postgres::shared().sql(&world.database, count).trim(), "1");
    assert!(!data.path().join("gameserver.db").exists());
    assert!(dev.interrupt().success());
    let again = start();
    let call = client().get(format!("{}/players/{player}/matches", again.url));
    assert_eq!(call.bearer_auth(&token).send().unwrap().status(), 200);
    assert_eq!(missing(&again.url), Vec::<String>::new());
}

#[test]
fn metrics_are_openmetrics_and_name_connections_requests_pool_and_runtime() {
    let world = World::migrated();
    let (api, authority) = (world.api(), world.authority());
    let scrape = |url: &str| {
        let answer = get(&format!("{url}/metrics"));
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        answer.text().unwrap()
    };
    let has = |text: &str, name: &str| {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "no {name} in {text}"
        );
    };
    get(&format!("{}/games", api.url));
    let (of_api, of_authority) = (scrape(&api.url), scrape(&authority.url));
    assert!(of_api.ends_with("# EOF\n") && of_authority.ends_with("# EOF\n"));
    for text in [&of_api, &of_authority] {
        has(text, "gameserver_http_connections ");
        has(text, "gameserver_database_connections_max 20");
        has(text, "gameserver_runtime_busy_seconds_total{worker=\"0\"}");
        has(text, "gameserver_runtime_delay_seconds_bucket");
    }
    has(&of_api, "gameserver_http_requests_total{");
    for name in [
        "gameserver_rooms 0",
        "gameserver_ticks_total 0",
        "gameserver_dropped_total{reason=\"rate\"} 0",
        "gameserver_tick_lateness_seconds_count 0",
    ] {
        has(&of_authority, name);
    }
}

#[test]
fn a_database_that_is_away_at_the_start_is_named_without_its_password() {
    let world = World::migrated();
    let nowhere = "postgres://somebody:hunter2@127.0.0.1:1/nothing";
    world.configure(|config| config["database"]["url"] = nowhere.into());
    for command in [&["api"][..], &["authority"], &["migrate"]] {
        let began = Instant::now();
        let error = refused(&world.run(command));
        assert!(error.contains("PostgreSQL at 127.0.0.1:1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(15), "{command:?}");
    }
}

#[test]
fn a_database_that_goes_away_makes_calls_fail_at_once_and_comes_back_without_a_restart() {
    let postgres = Postgres::start_with(Durability::Memory);
    let world = World::on(postgres.database(), LiveKit::shared());
    world.migrate();
    let (api, authority) = (world.api(), world.authority());
    let (token, player) = guest(&api.url);
    postgres.kill();
    for url in [&api.url, &authority.url] {
        eventually("readyz names it", || {
            missing(url).iter().any(|name| name.contains("PostgreSQL"))
        });
        assert_eq!(get(&format!("{url}/healthz")).status(), 200);
    }
    let history = || {
        let call = client().get(format!("{}/players/{player}/matches", api.url));
        call.bearer_auth(&token).send().unwrap()
    };
    let began = Instant::now();
    let answer = history();
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    postgres.restart();
    for url in [&api.url, &authority.url] {
        eventually("all is there again", || missing(url).is_empty());
    }
    assert_eq!(history().status(), 200);
}

#[test]
fn without_redis_accounts_and_history_go_on() {
    let world = World::migrated();
    let api = world.api();
    world.redis.kill();
    eventually("readyz names it", || {
        missing(&api.url).iter().any(|name| name.contains("Redis"))
    });
    let (token, player) = guest(&api.url);
    let call = client().get(format!("{}/players/{player}/matches", api.url));
    assert_eq!(call.bearer_auth(&token).send().unwrap().status(), 200);
    world.redis.restart();
    eventually("all is there again", || missing(&api.url).is_empty());
}

#[test]
fn processes_without_livekit_run_and_say_so() {
    let livekit = Arc::new(LiveKit::start(LiveKitOptions::default()));
    let world = World::on(Postgres::shared().database(), livekit.clone());
    world.migrate();
    livekit.kill();
    let mut command = world.command(&["api"]);
    let url = {
        // It is never ready, so there is no such line to wait for.
        let port = serde_json::from_str::<Value>(&std::fs::read_to_string(&world.file).unwrap());
        let port = port.unwrap()["server"]["http_port"]
            .as_str()
            .unwrap()
            .to_owned();
        format!("http://127.0.0.1:{port}")
    };
    let mut api = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("it answers", || {
        client().get(format!("{url}/healthz")).send().is_ok()
    });
    assert!(
        missing(&url).iter().any(|name| name.contains("LiveKit")),
        "{:?}",
        missing(&url)
    );
    guest(&url);
    livekit.restart();
    eventually("all is there", || missing(&url).is_empty());
    let authority = world.authority();
    livekit.kill();
    eventually("the authority lacks it, too", || {
        missing(&authority.url) == ["LiveKit"]
    });
    livekit.restart();
    eventually("all is there again", || missing(&authority.url).is_empty());
    api.kill().unwrap();
    api.wait().unwrap();
}

#[test]
fn a_wrong_key_to_livekit_stops_the_start() {
    let world = World::migrated();
    world.configure(|config| config["livekit"]["api_secret"] = "wrong".repeat(8).into());
    for command in ["api", "authority"] {
        let error = refused(&world.run(&[command]));
        assert!(
            error.contains("livekit.api_key") && !error.contains("wrongwrong"),
            "{error}"
        );
    }
}

/// Sends a request over a connection of its own, without waiting for the answer.
fn send(url: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn a_request_under_way_is_answered_though_the_process_is_told_to_end() {
    let world = World::migrated();
    let mut api = world.api();
    let (token, _) = guest(&api.url);
    let ticket = client()
        .post(format!("{}/match/queue", api.url))
        .bearer_auth(&token)
        .json(&json!({ "game": "tic-tac-toe" }))
        .send()
        .unwrap();
    assert_eq!(ticket.status(), 202);
    let head = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n")
    };
    let mut waiting = send(&api.url, &head("/match/status?wait=25"));
    // Another body comes only after the process was told to end.
    let request = "POST /auth/guest HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                   content-length: 2\r\n\r\n";
    let mut slow = send(&api.url, request);
    eventually("both are under way", || {
        let text = get(&format!("{}/metrics", api.url)).text().unwrap();
        let in_flight = text
            .lines()
            .find_map(|line| line.strip_prefix("gameserver_http_requests_in_flight "));
        // And this one.
        in_flight.is_some_and(|n| n.parse::<f64>().unwrap() >= 3.0)
    });
    let began = Instant::now();
    api.signal(Signal::TERM);
    eventually("it takes no more connections", || {
        TcpStream::connect(api.url.strip_prefix("http://").unwrap()).is_err()
    });
    slow.write_all(b"{}").unwrap();
    let mut answers = [String::new(), String::new()];
    waiting.read_to_string(&mut answers[0]).unwrap();
    slow.read_to_string(&mut answers[1]).unwrap();
    assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
    assert!(answers[1].starts_with("HTTP/1.1 201"), "{}", answers[1]);
    assert!(api.ended().success());
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn logs_are_json_lines_where_they_are_asked_for() {
    let world = World::migrated();
    let mut command = world.command(&["authority", "--log-format", "json"]);
    let mut authority = Running::start(&mut command);
    authority.signal(Signal::TERM);
    assert!(authority.ended().success());
    let log = authority.log();
    assert!(!log.is_empty());
    for line in log {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(
            event["level"].is_string() && event["message"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn a_banned_player_is_turned_away_by_the_operators_key_and_by_it_alone() {
    let world = World::migrated();
    let key = "0123456789abcdef".repeat(2);
    world.configure(|config| config["server"]["admin_key"] = key.clone().into());
    let api = world.api();
    let (token, player) = guest(&api.url);
    let ban = |key: &str| {
        client()
            .put(format!("{}/admin/bans/{player}", api.url))
            .bearer_auth(key)
            .json(&json!({ "reason": "cheats" }))
            .send()
            .unwrap()
            .status()
    };
    assert_eq!(ban(&"x".repeat(32)), 401);
    assert_eq!(ban(&token), 401);
    assert!(ban(&key).is_success());
    let queue = || {
        let call = client().post(format!("{}/match/queue", api.url));
        let call = call.json(&json!({ "game": "tic-tac-toe" }));
        call.bearer_auth(&token).send().unwrap().status()
    };
    assert!([401, 403].contains(&queue().as_u16()), "{}", queue());
}
