//! `feel`: what a player feels of a bad line.
//!
//! Four bots play Arena against the real room, with real clients and emulated links, in virtual
//! time: the figures do not depend on how busy the machine is. The peer is the same match with
//! prediction switched off.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::bail;
use gs_engine::AuthorityMode;
use gs_simulation::games::ARENA;
use gs_simulation::outcome::Milliseconds;
use gs_simulation::scenario::line;
use gs_simulation::{Outcome, Scenario, World};
use serde_json::{Value, json};

use crate::report::Report;

/// Runs it.
pub(crate) fn run(quick: bool) -> anyhow::Result<Report> {
    let (seconds, seeds) = if quick { (20.0, 1) } else { (60.0, 4) };
    let mut cases = Vec::new();
    for mode in [AuthorityMode::Validated, AuthorityMode::Full] {
        for prediction in [true, false] {
            for round_trip_ms in ROUND_TRIPS_MS {
                for loss_pct in LOSSES_PCT {
                    cases.push(Case {
                        mode,
                        prediction,
                        round_trip_ms,
                        loss_pct,
                    });
                }
            }
        }
    }
    let measured = measure(&cases, seconds, seeds)?;
    let links = |mode, prediction| {
        let cases = cases.iter().zip(&measured);
        let wanted = cases.filter(|(case, _)| case.mode == mode && case.prediction == prediction);
        wanted.map(|(_, link)| link.clone()).collect::<Vec<Value>>()
    };

    let mut report = Report::new("feel", "the same match without prediction");
    report.metrics = json!({
        "links": links(AuthorityMode::Validated, true),
        "full_links": links(AuthorityMode::Full, true),
    });
    report.peer_metrics(json!({
        "links": links(AuthorityMode::Validated, false),
        "full_links": links(AuthorityMode::Full, false),
    }));
    for (case, link) in cases.iter().zip(&measured) {
        let Case {
            mode,
            prediction,
            round_trip_ms,
            loss_pct,
        } = case;
        report.lines.push(format!(
            "{:9} {:10} {round_trip_ms:3} ms {loss_pct:3} %  own input {:4.1} frames  mispredicted {:5.1} %  \
             corrections {:6.1}/min  staleness p50 {:3} p99 {:3} ms  up {:5.0} down {:5.0} bytes/s",
            mode.to_string(),
            if *prediction { "predicted" } else { "as it came" },
            number(link, "own_input_frames"),
            number(link, "mispredicted_pct"),
            number(link, "corrections_per_min"),
            number(link, "staleness_p50_ms"),
            number(link, "staleness_p99_ms"),
            number(link, "up_bytes_per_s"),
            number(link, "down_bytes_per_s"),
        ));
    }
    Ok(report)
}

/// What is measured at once.
#[derive(Clone, Copy)]
struct Case {
    mode: AuthorityMode,
    prediction: bool,
    round_trip_ms: u64,
    loss_pct: f64,
}

/// Plays all cases, on all processors.
fn measure(cases: &[Case], seconds: f64, seeds: u64) -> anyhow::Result<Vec<Value>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Value::Null; cases.len()]);
    let broken = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else {
                        return;
                    };
                    let outcomes: Vec<Outcome> = (1..=seeds)
                        .map(|seed| World::new(&case.scenario(seconds), seed).run())
                        .collect();
                    let failures = outcomes.iter().flat_map(|outcome| &outcome.failures);
                    let mut broken = broken.lock().expect("no thread panics in here");
                    broken.extend(failures.cloned());
                    let mut results = results.lock().expect("no thread panics in here");
                    results[index] = case.figures(&outcomes);
                }
            });
        }
    });
    let broken = broken.into_inner().expect("no thread panics in here");
    if let Some(first) = broken.first() {
        bail!("a match broke: {first}");
    }
    Ok(results.into_inner().expect("no thread panics in here"))
}

impl Case {
    fn scenario(self, seconds: f64) -> Scenario {
        let link = line(self.round_trip_ms, self.loss_pct);
        let mut scenario = Scenario::new(&ARENA, self.mode, PLAYERS, &link).lasting(seconds);
        for player in &mut scenario.players {
            player.prediction = self.prediction;
        }
        scenario
    }

    fn figures(self, outcomes: &[Outcome]) -> Value {
        let mut staleness = Milliseconds::default();
        let (mut echoes, mut echo_frames, mut mispredicted, mut corrections) = (0, 0, 0, 0);
        let (mut up, mut down, mut ticks, mut seconds) = (0, 0, 0, 0.0);
        for outcome in outcomes {
            let played = outcome.played.as_secs_f64();
            seconds += played;
            for player in &outcome.players {
                staleness.merge(&player.staleness);
                echoes += player.echoes;
                echo_frames += player.echo_frames;
                mispredicted += player.stats.mispredicted_ticks;
                corrections += player.stats.corrections;
                up += player.stats.bytes_up;
                down += player.stats.bytes_down;
                ticks += u64::from(outcome.ticks);
            }
        }
        let rounded = |value: f64, digits: i32| {
            let scale = 10f64.powi(digits);
            (value * scale).round() / scale
        };
        json!({
            "rtt_ms": self.round_trip_ms,
            "jitter_ms": 20,
            "loss_pct": self.loss_pct,
            "own_input_frames": rounded(echo_frames as f64 / echoes.max(1) as f64, 2),
            "mispredicted_pct": rounded(100.0 * mispredicted as f64 / ticks.max(1) as f64, 1),
            "corrections_per_min": rounded(corrections as f64 / (seconds / 60.0), 1),
            "staleness_p50_ms": staleness.quantile(0.5),
            "staleness_p99_ms": staleness.quantile(0.99),
            "up_bytes_per_s": rounded(up as f64 / seconds, 0),
            "down_bytes_per_s": rounded(down as f64 / seconds, 0),
        })
    }
}

fn number(link: &Value, key: &str) -> f64 {
    link[key].as_f64().unwrap_or(f64::NAN)
}

const ROUND_TRIPS_MS: [u64; 4] = [0, 50, 100, 200];
const LOSSES_PCT: [f64; 3] = [0.0, 2.0, 5.5];
const PLAYERS: usize = 4;
