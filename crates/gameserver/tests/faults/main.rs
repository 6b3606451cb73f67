//! Real processes on real servers, killed at random moments: nothing that was acknowledged is lost,
//! and nothing is counted twice.
//!
//! `FAULT_MATCHES` says how many matches are played (40; before a release, 200), `FAULT_TICKETS` how
//! many players queue (600; before a release, 10,000), `FAULT_SEED` repeats the schedule of a run,
//! which prints its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod cluster;
mod game;
mod killer;
mod outages;
mod player;
mod queue;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::Cluster;
use gs_protocol::wire;
use gs_test_services::{Persistence, Postgres};
use killer::{Kills, Victims};
use player::{Acknowledged, Apis, Played, Player};

#[test]
fn every_result_counts_once_while_anything_is_killed() {
    let seed = number("FAULT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let matches = number("FAULT_MATCHES").unwrap_or(40) as u32;
    eprintln!("repeat with FAULT_SEED={seed} FAULT_MATCHES={matches}");
    let cluster = Cluster::start(Postgres::start(), Persistence::AppendOnly, 2, 2);
    let (kills, stop) = (Kills::default(), AtomicBool::new(false));
    let played = std::thread::scope(|scope| {
        let killer =
            scope.spawn(|| killer::kill_until(&cluster, Victims::Anything, seed, &kills, &stop));
        // However the matches end, the killer does.
        let played = scope.spawn(|| play(&cluster, matches)).join();
        stop.store(true, Relaxed);
        killer.join().unwrap();
        played
    });
    let played = played.unwrap_or_else(|panic| {
        eprintln!("{}", cluster.logs());
        std::panic::resume_unwind(panic)
    });
    eprintln!("{played:?}\n{kills:?}");

    audit::everything_adds_up(&cluster);
    acknowledged_results_are_kept(&cluster, &played.acknowledged);
    let finished: u32 = cluster
        .sql("SELECT count(*) FROM matches WHERE outcome = 'finished'")
        .parse()
        .unwrap();
    assert!(finished >= matches, "{finished} of {matches}");
    assert!(
        !played.acknowledged.is_empty(),
        "no result was acknowledged to a player"
    );
    let counts = [&kills.api, &kills.authority, &kills.postgres, &kills.redis];
    let died: u32 = counts.iter().map(|count| count.load(Relaxed)).sum();
    assert!(died > 0, "nothing was killed");
}

/// What became of the matches.
#[derive(Default)]
struct Tally {
    finished: AtomicU32,
    outcomes: Mutex<BTreeMap<String, u32>>,
    /// By match.
    acknowledged: Mutex<BTreeMap<String, Acknowledged>>,
}

struct AllPlayed {
    outcomes: BTreeMap<String, u32>,
    acknowledged: BTreeMap<String, Acknowledged>,
}

impl std::fmt::Debug for AllPlayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let acknowledged = self.acknowledged.len();
        write!(
            f,
            "{:?}, {acknowledged} acknowledged to a player",
            self.outcomes
        )
    }
}

/// Pairs of players play until so many matches have come to their end.
fn play(cluster: &Cluster, matches: u32) -> AllPlayed {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let apis = Apis::new(cluster.apis.iter().map(|api| api.url.clone()));
    let tally = Arc::<Tally>::default();
    let all = runtime.block_on(async {
        let mut pairs = tokio::task::JoinSet::new();
        for n in 0..PAIRS {
            pairs.spawn(play_pair(apis.clone(), n, matches, tally.clone()));
        }
        tokio::time::timeout(ALL_PLAYED, pairs.join_all()).await
    });
    assert!(
        all.is_ok(),
        "{} of {matches} matches were played within {ALL_PLAYED:?}",
        tally.finished.load(Relaxed)
    );
    let (outcomes, acknowledged) = (&tally.outcomes, &tally.acknowledged);
    AllPlayed {
        outcomes: std::mem::take(&mut outcomes.lock().unwrap()),
        acknowledged: std::mem::take(&mut acknowledged.lock().unwrap()),
    }
}

async fn play_pair(apis: Apis, pair: usize, matches: u32, tally: Arc<Tally>) {
    let (mut ann, mut bob) = tokio::join!(Player::guest(&apis), Player::guest(&apis));
    for round in 0.. {
        if tally.finished.load(Relaxed) >= matches {
            return;
        }
        let game = game::RULES[(pair + round) % game::RULES.len()];
        let code = format!("pair-{pair}-{round}");
        let both = tokio::join!(ann.play(game, &code), bob.play(game, &code));
        for (first, played) in [(true, both.0), (false, both.1)] {
            let (id, outcome, acknowledged) = match played {
                Played::Over {
                    id,
                    outcome,
                    acknowledged,
                } => (id, outcome, acknowledged),
                Played::None(reason) => {
                    eprintln!("no match for pair {pair}: {reason}");
                    continue;
                }
            };
            if first {
                tally
                    .finished
                    .fetch_add(u32::from(outcome == "finished"), Relaxed);
                *tally.outcomes.lock().unwrap().entry(outcome).or_default() += 1;
            }
            if let Some(told) = acknowledged {
                let before = tally.acknowledged.lock().unwrap().insert(id, told.clone());
                assert!(
                    before.is_none_or(|before| before == told),
                    "two ends of one match"
                );
            }
        }
    }
}

/// What an authority told its players is stored is what the history has.
fn acknowledged_results_are_kept(cluster: &Cluster, told: &BTreeMap<String, Acknowledged>) {
    for (id, told) in told {
        let kept = cluster.sql(&format!(
            "SELECT m.outcome, s.slot, s.placement, s.score FROM matches m \
             LEFT JOIN match_slots s ON s.match_id = m.id AND s.placement IS NOT NULL \
             WHERE m.id = '{id}' ORDER BY s.slot"
        ));
        let outcome = match told.outcome {
            wire::Outcome::Finished => "finished",
            wire::Outcome::Abandoned => "abandoned",
            wire::Outcome::Void | wire::Outcome::Unspecified => "void",
        };
        let expected: Vec<String> = match told.slots.as_slice() {
            [] => vec![format!("{outcome}|||")],
            slots => slots
                .iter()
                .map(|(slot, placement, score)| format!("{outcome}|{slot}|{placement}|{score}"))
                .collect(),
        };
        assert_eq!(kept, expected.join("\n"), "match {id}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} has to be a number, not {value}")))
}

/// Matches at once.
const PAIRS: usize = 6;
/// 200 matches take some three minutes.
const ALL_PLAYED: Duration = Duration::from_secs(600);
