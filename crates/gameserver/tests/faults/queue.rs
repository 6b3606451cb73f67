//! Processes with an API are killed while very many queue: no ticket is lost, none is matched twice,
//! and no room is left without its players.
//!
//! The test itself stands in for the authorities, which would be busy with thousands of matches that
//! nobody plays: it claims each match and says that it is ready. Everything else is real.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use chrono::Utc;
use gs_store::{Matches as _, PostgresOptions, PostgresStore};
use gs_test_services::{Persistence, Postgres};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::killer::{self, Kills, Victims};
use crate::number;
use crate::player::{Apis, Player};

#[test]
fn every_ticket_is_matched_once_while_apis_are_killed() {
    let seed = number("FAULT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let tickets = number("FAULT_TICKETS").unwrap_or(600) as u32;
    eprintln!("repeat with FAULT_SEED={seed} FAULT_TICKETS={tickets}");
    let cluster = Cluster::start(Postgres::start(), Persistence::AppendOnly, 3, 0);
    let (kills, stop) = (Kills::default(), AtomicBool::new(false));
    let matched = std::thread::scope(|scope| {
        scope.spawn(|| stand_in(&cluster, &stop));
        let killer = scope.spawn(|| {
            killer::kill_until(&cluster, Victims::Apis, seed, &kills, &stop);
        });
        // However it ends for the players, the others end.
        let matched = scope.spawn(|| queue_all(&cluster, tickets)).join();
        stop.store(true, Relaxed);
        killer.join().unwrap();
        matched
    });
    let matched = matched.unwrap_or_else(|panic| {
        eprintln!("{}", cluster.logs());
        std::panic::resume_unwind(panic)
    });
    let died = kills.api.load(Relaxed);
    eprintln!("{} players matched, {died} processes killed", matched.len());

    assert!(died > 0, "nothing was killed");
    let none = |what: &str, sql: &str| assert_eq!(cluster.sql(sql), "", "{what}");
    none(
        "tickets that were not matched",
        "SELECT status, reason, count(*) FROM tickets WHERE status <> 'matched' GROUP BY 1, 2",
    );
    let count = |sql: &str| cluster.sql(sql).parse::<u32>().unwrap();
    assert_eq!(count("SELECT count(*) FROM tickets"), tickets);
    none(
        "players in two matches",
        "SELECT player_id, count(*) FROM match_slots JOIN matches ON matches.id = match_id \
         WHERE status <> 'failed' GROUP BY player_id HAVING count(*) > 1",
    );
    none(
        "matches without their players",
        "SELECT id, status FROM matches WHERE status <> 'failed' AND (\
             (SELECT count(*) FROM match_slots WHERE match_id = matches.id) <> 2 \
             OR (SELECT count(*) FROM tickets t JOIN match_slots s ON s.match_id = t.match_id \
                 AND s.player_id = t.player_id WHERE t.match_id = matches.id) <> 2)",
    );
    // LiveKit keeps its rooms in Redis.
    let mut made: Vec<String> = rooms(&cluster);
    made.sort();
    let wanted = cluster.sql("SELECT room_id FROM matches WHERE status <> 'failed'");
    let mut wanted: Vec<&str> = wanted.lines().collect();
    wanted.sort_unstable();
    assert_eq!(made, wanted, "rooms and matches");
    let mut told: Vec<&str> = matched
        .iter()
        .map(|m| m["room"].as_str().unwrap())
        .collect();
    told.sort_unstable();
    assert!(
        told.chunks(2)
            .all(|pair| pair.len() == 2 && pair[0] == pair[1]),
        "players were told of rooms that others were not"
    );
    told.dedup();
    assert_eq!(told, wanted, "rooms that players were told");
}

/// Lets so many players queue, a few hundred at a time; the matches that they were told.
fn queue_all(cluster: &Cluster, tickets: u32) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let apis = Apis::new(cluster.apis.iter().map(|api| api.url.clone()));
    let left = Arc::new(AtomicU32::new(tickets));
    runtime.block_on(async {
        let mut players = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE.min(tickets) {
            let (apis, left) = (apis.clone(), left.clone());
            players.spawn(async move {
                let mut told = Vec::new();
                let one_less = |left: u32| left.checked_sub(1);
                while left.fetch_update(Relaxed, Relaxed, one_less).is_ok() {
                    let player = Player::guest(&apis).await;
                    let found = player.wait_for_match(&json!({"game": "best"})).await;
                    told.push(found.unwrap_or_else(|reason| panic!("no match: {reason}")));
                }
                told
            });
        }
        players.join_all().await.concat()
    })
}

/// Claims matches and says that they are ready.
fn stand_in(cluster: &Cluster, stop: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = PostgresOptions {
            database_url: cluster.database_url.clone(),
            redis_url: cluster.redis.url(),
            max_connections: 4,
        };
        let store = PostgresStore::connect(&options).await.unwrap();
        while !stop.load(Relaxed) {
            let claim = store.claim_match("stand-in", Utc::now(), LEASE).await;
            match claim.unwrap() {
                Some(claim) => {
                    let ready = store.match_ready(claim.details.id, claim.epoch, Utc::now());
                    ready.await.unwrap();
                }
                None => tokio::time::sleep(POLL).await,
            }
        }
    });
}

/// The rooms that LiveKit has.
fn rooms(cluster: &Cluster) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = redis::Client::open(cluster.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut rooms = redis::cmd("HKEYS");
        rooms.arg("rooms");
        rooms.query_async(&mut connection).await.unwrap()
    })
}

/// Players who queue at the same time.
const AT_ONCE: u32 = 200;
/// Longer than the test: nobody else claims.
const LEASE: Duration = Duration::from_secs(3_600);
const POLL: Duration = Duration::from_millis(10);
