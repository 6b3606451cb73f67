//! `gameserver doctor` on services that are well, and on each that is not.

use std::sync::Arc;

use gs_test_services::{Durability, LiveKit, LiveKitOptions, Postgres};
use serde_json::Value;

use crate::world::{World, answer, refused};

/// What it found of something: status, found, mend.
fn found(world: &World, about: &str) -> (String, String, String) {
    let output = world.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["good"], output.status.success());
    let checks = report["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["about"] == about)
        .unwrap_or_else(|| panic!("nothing about {about} in {report:#}"));
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("found"), text("mend"))
}

#[test]
fn services_that_are_well_pass_and_what_cannot_be_seen_is_noted() {
    let (postgres, livekit) = (Postgres::start(), LiveKit::start(LiveKitOptions::default()));
    let world = World::on(postgres.database(), Arc::new(livekit));
    world.migrate();
    let report = answer(&world.run(&["doctor"]));
    for line in [
        "ok    configuration",
        "ok    games",
        "ok    LiveKit ",
        "ok    LiveKit's key",
        "ok    LiveKit's clock",
        "ok    LiveKit's room.auto_create",
        "note  LiveKit's webhooks",
        "ok    PostgreSQL ",
        "ok    PostgreSQL's version",
        "ok    PostgreSQL's schema",
        "ok    PostgreSQL's commits",
        "ok    PostgreSQL's clock",
        "ok    Redis ",
        "ok    Redis's version",
        "ok    Redis's memory",
    ] {
        assert!(
            report.lines().any(|l| l.starts_with(line)),
            "no `{line}` in\n{report}"
        );
    }
    assert!(report.contains("webhooks/livekit"), "{report}");
    assert!(!report.contains(LiveKit::SECRET), "{report}");
}

#[test]
fn a_livekit_server_that_makes_rooms_for_anybody_is_warned_about() {
    let world = World::migrated();
    let (status, _, mend) = found(&world, "LiveKit's room.auto_create");
    assert_eq!(status, "warn");
    assert!(mend.contains("auto_create: false"), "{mend}");
}

#[test]
fn each_service_that_is_away_is_named_with_what_to_do() {
    let world = World::migrated();
    world.configure(|config| {
        config["livekit"]["host"] = "ws://127.0.0.1:1".into();
        config["database"]["url"] = "postgres://me:hunter2@127.0.0.1:1/x".into();
        config["redis"]["url"] = "redis://:hunter2@127.0.0.1:1".into();
    });
    let output = world.run(&["doctor"]);
    let report = String::from_utf8(output.stdout.clone()).unwrap();
    for service in ["LiveKit", "PostgreSQL", "Redis"] {
        let line = format!("FAIL  {service} ");
        assert!(report.lines().any(|l| l.starts_with(&line)), "{report}");
    }
    let error = refused(&output);
    assert!(error.contains("3 things have to be mended"), "{error}");
    assert!(
        !report.contains("hunter2") && !error.contains("hunter2"),
        "{report}"
    );
}

#[test]
fn a_key_that_livekit_does_not_take_is_told_from_a_server_that_is_away() {
    let world = World::migrated();
    world.configure(|config| config["livekit"]["api_secret"] = "wrong".repeat(8).into());
    let (status, _, mend) = found(&world, "LiveKit's key");
    assert_eq!(status, "fail");
    assert!(mend.contains("keys:"), "{mend}");
}

#[test]
fn a_database_that_is_not_migrated_or_not_durable_fails() {
    let postgres = Postgres::start_with(Durability::Memory);
    let world = World::on(postgres.database(), LiveKit::shared());
    let (status, lacks, mend) = found(&world, "PostgreSQL's schema");
    assert_eq!(
        (status.as_str(), mend.as_str()),
        ("fail", "run `gameserver migrate`")
    );
    assert!(lacks.starts_with("lacks "), "{lacks}");
    world.migrate();
    assert_eq!(found(&world, "PostgreSQL's schema").0, "ok");
    let name = world.database.rsplit('/').next().unwrap();
    let off = format!("ALTER DATABASE \"{name}\" SET synchronous_commit = off");
    postgres.sql(&world.database, &off);
    for about in ["PostgreSQL's commits", "PostgreSQL's fsync"] {
        let (status, found, _) = found(&world, about);
        assert_eq!(status, "fail", "{found}");
    }
}

#[test]
fn a_redis_that_may_forget_fails() {
    let world = World::migrated();
    world.redis.command("CONFIG SET maxmemory 100mb");
    world
        .redis
        .command("CONFIG SET maxmemory-policy allkeys-lru");
    let (status, _, mend) = found(&world, "Redis's memory");
    assert_eq!(status, "fail");
    assert!(mend.contains("noeviction"), "{mend}");
}

#[test]
fn a_configuration_that_is_refused_is_all_that_is_said() {
    let world = World::new();
    world.configure(|config| config["server"]["http_port"] = "no".into());
    let (status, found, _) = found(&world, "configuration");
    assert_eq!(status, "fail");
    assert!(found.contains("server.http_port"), "{found}");
}
