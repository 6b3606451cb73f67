//! The servers start, keep their data, hang, and are gone with the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gs_test_services::{Durability, LiveKit, LiveKitOptions, Persistence, Postgres, Redis};

#[test]
fn each_database_is_its_own() {
    let postgres = Postgres::shared();
    let (first, second) = (postgres.database(), postgres.database());
    postgres.sql(&first, "CREATE TABLE t AS SELECT 1 AS n");
    assert_eq!(postgres.sql(&first, "SELECT n, n + 1 FROM t"), "1|2");
    let there = postgres.sql(&second, "SELECT to_regclass('t') IS NULL");
    assert_eq!(there, "t");
}

#[test]
fn a_template_is_prepared_once() {
    let postgres = Postgres::shared();
    let prepare = |url: &str| drop(postgres.sql(url, "CREATE TABLE prepared AS SELECT 7 AS n"));
    let first = postgres.database_from("seven", prepare);
    let second = postgres.database_from("seven", |_| panic!("it is prepared already"));
    assert_ne!(first, second);
    postgres.sql(&first, "DELETE FROM prepared");
    assert_eq!(postgres.sql(&second, "SELECT n FROM prepared"), "7");
}

#[test]
fn postgres_is_back_with_its_data_after_a_crash() {
    let postgres = Postgres::start();
    let url = postgres.database();
    postgres.sql(&url, "CREATE TABLE t AS SELECT 1 AS n");
    assert_eq!(postgres.sql(&url, "SHOW fsync"), "on");
    postgres.kill();
    assert!(std::net::TcpStream::connect(("127.0.0.1", postgres.port())).is_err());
    postgres.restart();
    assert_eq!(postgres.sql(&url, "SELECT n FROM t"), "1");
    assert!(
        postgres.log().contains("automatic recovery"),
        "{}",
        postgres.log()
    );
}

#[test]
fn a_paused_postgres_answers_nobody_until_it_goes_on() {
    let postgres = Postgres::start_with(Durability::Memory);
    let url = postgres.database();
    postgres.pause();
    let (answered, waiting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answered.send(postgres.sql(&url, "SELECT 1")).unwrap());
        assert!(waiting.recv_timeout(Duration::from_millis(300)).is_err());
        postgres.resume();
        assert_eq!(waiting.recv_timeout(DEADLINE).unwrap(), "1");
    });
}

#[test]
fn a_full_disk_loses_nothing_that_was_committed() {
    let Some(postgres) = Postgres::start_on_disk_of(100) else {
        eprintln!("not tested: a disk can be mounted by root alone");
        return;
    };
    let url = postgres.database();
    postgres.sql(&url, "CREATE TABLE t AS SELECT 1 AS n");
    postgres.fill_disk();
    let fill = "INSERT INTO t SELECT n FROM generate_series(1, 1000000) n";
    let refused = std::panic::catch_unwind(|| postgres.sql(&url, fill));
    assert!(refused.is_err(), "there is room for more");
    postgres.free_disk();
    if !postgres.runs() {
        postgres.restart();
    }
    assert_eq!(postgres.sql(&url, "SELECT n FROM t"), "1");
}

#[test]
fn redis_keeps_what_its_persistence_says() {
    for (persistence, kept) in [
        (Persistence::None, "$-1"),
        (Persistence::AppendOnly, "$1\r\n2"),
        (Persistence::Snapshots, "$1\r\n1"),
    ] {
        let redis = Redis::start_with(persistence);
        assert_eq!(redis.command("SET a 1"), "+OK");
        if persistence == Persistence::Snapshots {
            assert_eq!(redis.command("SAVE"), "+OK");
        }
        assert_eq!(redis.command("SET a 2"), "+OK");
        redis.kill();
        redis.restart();
        assert_eq!(redis.command("GET a"), kept, "{persistence:?}");
    }
}

#[test]
fn livekit_starts_with_redis_and_again_on_its_port() {
    let redis = Redis::start();
    let livekit = LiveKit::start(LiveKitOptions {
        redis_port: Some(redis.port()),
        ..LiveKitOptions::default()
    });
    assert_eq!(
        redis.command("EXISTS nodes"),
        ":1",
        "it keeps its state in Redis"
    );
    livekit.kill();
    livekit.restart();
}

/// Started by the test below in a process of its own, which is then killed.
#[test]
#[ignore = "waits to be killed by servers_and_data_are_gone_with_a_killed_process"]
fn servers_that_wait_to_be_orphaned() {
    let (postgres, redis) = (Postgres::shared(), Redis::start());
    let livekit = LiveKit::shared();
    redis.pause();
    let data = postgres.sql("postgres", "SHOW data_directory");
    println!(
        "\nstarted {} {} {} {data}",
        postgres.port(),
        redis.port(),
        livekit.url()
    );
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn servers_and_data_are_gone_with_a_killed_process() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "servers_that_wait_to_be_orphaned",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .find_map(|line| line.unwrap().strip_prefix("started ").map(str::to_owned))
        .expect("the servers start");
    child.kill().unwrap();
    child.wait().unwrap();
    let [postgres, redis, livekit, data] =
        <[&str; 4]>::try_from(line.split(' ').collect::<Vec<_>>()).unwrap();
    let livekit = livekit.rsplit_once(':').unwrap().1;
    let deadline = Instant::now() + DEADLINE;
    loop {
        let open: Vec<&str> = [postgres, redis, livekit]
            .into_iter()
            .filter(|port| {
                std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_ok()
            })
            .collect();
        if open.is_empty() && !Path::new(data).exists() {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "still there: ports {open:?}, or {data}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

const DEADLINE: Duration = Duration::from_secs(20);
