//! Kills processes at random moments by a seed, and starts them again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::cluster::{Cluster, Node, get};

/// How often what died.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    pub(crate) api: AtomicU32,
    pub(crate) authority: AtomicU32,
    pub(crate) postgres: AtomicU32,
    pub(crate) redis: AtomicU32,
    /// Processes that ended by themselves, and were started again as a supervisor would.
    pub(crate) ended: AtomicU32,
}

/// What may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victims {
    /// All processes, PostgreSQL and Redis.
    Anything,
    /// The processes with an API.
    Apis,
}

/// Kills by the seed's schedule until `stop`; all of the deployment runs again when it returns.
///
/// The schedule says when what is killed and for how long it is away, and is the seed's alone. What
/// has not come back from its last death is not killed again: a slow machine would get nothing done.
pub(crate) fn kill_until(
    cluster: &Cluster,
    victims: Victims,
    seed: u64,
    kills: &Kills,
    stop: &AtomicBool,
) {
    let mut targets = targets(cluster, kills);
    if victims == Victims::Apis {
        targets.truncate(cluster.apis.len());
    }
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let began = Instant::now();
    let mut at = Duration::ZERO;
    std::thread::scope(|scope| {
        let supervised = |target: &Target<'_>| supervise(target, kills, stop);
        for target in targets.iter().filter(|target| target.node.is_some()) {
            scope.spawn(move || supervised(target));
        }
        while !stop.load(Relaxed) {
            let outage = next(&mut random, &targets);
            at += outage.pause;
            while began.elapsed() < at && !stop.load(Relaxed) {
                std::thread::sleep(POLL);
            }
            let target = &targets[outage.target];
            if stop.load(Relaxed) || target.recovering.swap(true, Relaxed) {
                continue;
            }
            target.away.store(true, Relaxed);
            let name = &target.name;
            eprintln!(
                "{:6.2} s: kill -9 {name}, away for {:?}",
                at.as_secs_f32(),
                outage.down
            );
            target.count.fetch_add(1, Relaxed);
            scope.spawn(move || {
                (target.kill)();
                std::thread::sleep(outage.down);
                (target.back)();
                target.away.store(false, Relaxed);
                let back = Instant::now();
                while !stop.load(Relaxed) && back.elapsed() < RECOVERY && !(target.ready)() {
                    std::thread::sleep(POLL);
                }
                target.recovering.store(false, Relaxed);
            });
        }
    });
    for node in cluster.nodes() {
        if !node.server.runs() {
            node.server.spawn();
        }
        node.server.wait_until_ready();
    }
}

/// Something that dies.
struct Target<'a> {
    name: String,
    /// Of those that are alike, one dies as often as another.
    weight: u32,
    count: &'a AtomicU32,
    kill: Box<dyn Fn() + Send + Sync + 'a>,
    back: Box<dyn Fn() + Send + Sync + 'a>,
    ready: Box<dyn Fn() -> bool + Send + Sync + 'a>,
    /// From its death until it may come back.
    away: AtomicBool,
    /// From its death until it is ready.
    recovering: AtomicBool,
    /// Where a supervisor starts it.
    node: Option<&'a Node>,
}

/// One death of the schedule.
struct Outage {
    /// Time since the one before.
    pause: Duration,
    target: usize,
    down: Duration,
}

fn targets<'a>(cluster: &'a Cluster, kills: &'a Kills) -> Vec<Target<'a>> {
    let node = |node: &'a Node, count| Target {
        name: node.name.clone(),
        weight: 2,
        count,
        kill: Box::new(|| {
            // It may have ended by itself just now.
            if node.server.runs() {
                node.server.kill();
            }
        }),
        back: Box::new(|| {}),
        // Ready without what it rests on is not asked for: that may be away.
        ready: Box::new(|| get(&format!("{}/healthz", node.url)).is_some()),
        away: AtomicBool::new(false),
        recovering: AtomicBool::new(false),
        node: Some(node),
    };
    let mut targets: Vec<Target<'_>> = Vec::new();
    // First, so that they can be all.
    targets.extend(cluster.apis.iter().map(|api| node(api, &kills.api)));
    let authorities = cluster.authorities.iter();
    targets.extend(authorities.map(|authority| node(authority, &kills.authority)));
    targets.push(Target {
        name: "PostgreSQL".to_owned(),
        weight: 2,
        count: &kills.postgres,
        kill: Box::new(|| cluster.postgres.kill()),
        back: Box::new(|| cluster.postgres.restart()),
        ready: Box::new(|| true),
        away: AtomicBool::new(false),
        recovering: AtomicBool::new(false),
        node: None,
    });
    targets.push(Target {
        name: "Redis".to_owned(),
        weight: 2,
        count: &kills.redis,
        kill: Box::new(|| cluster.redis.kill()),
        back: Box::new(|| cluster.redis.restart()),
        ready: Box::new(|| true),
        away: AtomicBool::new(false),
        recovering: AtomicBool::new(false),
        node: None,
    });
    targets
}

fn next(random: &mut Pcg64Mcg, targets: &[Target<'_>]) -> Outage {
    let mut up_to = |n: u32| random.next_u32() % n;
    let pause = LEAST_PAUSE_MS + up_to(MORE_PAUSE_MS);
    let down = LEAST_DOWN_MS + up_to(MORE_DOWN_MS);
    let mut left = up_to(targets.iter().map(|target| target.weight).sum());
    let target = targets
        .iter()
        .position(|target| match left.checked_sub(target.weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
    Outage {
        pause: Duration::from_millis(pause.into()),
        target: target.expect("it is below the sum of all weights"),
        down: Duration::from_millis(down.into()),
    }
}

/// Starts a process that is not there and should be, as Compose or systemd does.
fn supervise(target: &Target<'_>, kills: &Kills, stop: &AtomicBool) {
    let node = target.node.expect("only processes are supervised");
    let mut was_away = false;
    while !stop.load(Relaxed) {
        let away = target.away.load(Relaxed);
        if !away && !node.server.runs() {
            if !was_away {
                eprintln!("{} ended by itself; starting it again", node.name);
                kills.ended.fetch_add(1, Relaxed);
            }
            node.server.spawn();
        }
        was_away = away;
        std::thread::sleep(POLL);
    }
}

const POLL: Duration = Duration::from_millis(20);
/// A process may wait for a service that dies again and again.
const RECOVERY: Duration = Duration::from_secs(20);
const LEAST_PAUSE_MS: u32 = 300;
const MORE_PAUSE_MS: u32 = 2_400;
const LEAST_DOWN_MS: u32 = 20;
const MORE_DOWN_MS: u32 = 1_500;
