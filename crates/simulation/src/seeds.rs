//! Plays a scenario with many seeds, on all processors, and says which one broke.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::world::World;

/// Plays a scenario with `seeds` seeds, and fails where something did not hold.
///
/// # Panics
/// With the first seed that broke, and how to play it again.
pub fn check(seeds: u64, scenario: impl Fn(u64) -> Scenario + Sync) -> Vec<Outcome> {
    check_each(seeds, scenario, |_| Ok(()))
}

/// As [`check`], with something more that must hold at the end of each match.
///
/// The environment may say otherwise: `SEED` plays that one alone, `SEEDS` that many.
///
/// # Panics
/// With the first seed that broke, and how to play it again.
pub fn check_each(
    seeds: u64,
    scenario: impl Fn(u64) -> Scenario + Sync,
    holds: impl Fn(&Outcome) -> Result<(), String> + Sync,
) -> Vec<Outcome> {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("").to_owned();
    let (first, count) = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => (seed, 1),
        (None, count) => (1, count.unwrap_or(seeds)),
    };
    let next = AtomicU64::new(first);
    let outcomes = Mutex::new(Vec::new());
    let (began, busy) = (Instant::now(), processor_time());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - first >= count {
                        return;
                    }
                    let outcome = play(&scenario(seed), seed, &holds);
                    let mut outcomes = outcomes.lock().expect("no thread panics in here");
                    outcomes.push((seed, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panics in here");
    outcomes.sort_by_key(|(seed, _)| *seed);
    report(&name, &outcomes, began.elapsed(), processor_time() - busy);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn play(
    scenario: &Scenario,
    seed: u64,
    holds: &(impl Fn(&Outcome) -> Result<(), String> + Sync),
) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| World::new(scenario, seed).run()));
    let mut outcome = played.unwrap_or_else(|panic| {
        let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "something".to_owned(),
        };
        let failures = vec![format!("panicked: {text}")];
        Outcome {
            failures,
            ..Outcome::default()
        }
    });
    if outcome.failures.is_empty()
        && let Err(what) = holds(&outcome)
    {
        outcome.failures.push(format!("at the end: {what}"));
    }
    outcome
}

#[allow(
    clippy::print_stdout,
    reason = "a test's figures, shown with --nocapture"
)]
fn report(name: &str, outcomes: &[(u64, Outcome)], elapsed: Duration, busy: Duration) {
    let played: Duration = outcomes.iter().map(|(_, o)| o.played).sum();
    let steps: u64 = outcomes.iter().map(|(_, o)| o.steps).sum();
    let minutes = played.as_secs_f64() / 60.0;
    let elapsed = elapsed.as_secs_f64();
    println!(
        "{name}: {} matches, {minutes:.1} player-minutes, {steps} steps in {elapsed:.1} s: {:.0} \
         player-minutes a minute, {:.0} a processor's minute",
        outcomes.len(),
        minutes / (elapsed / 60.0),
        minutes / (busy.as_secs_f64() / 60.0),
    );
    let broken: Vec<&(u64, Outcome)> = outcomes
        .iter()
        .filter(|(_, outcome)| !outcome.failures.is_empty())
        .collect();
    let Some((seed, first)) = broken.first() else {
        return;
    };
    let mut text = String::new();
    for failure in &first.failures {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {failure}");
    }
    let others: Vec<u64> = broken.iter().map(|(seed, _)| *seed).collect();
    panic!(
        "{} of {} seeds broke: {others:?}\n{text}SEED={seed} cargo test -p gs-simulation {name}",
        broken.len(),
        outcomes.len(),
    );
}

/// What all threads of this process have used: on a busy machine it says more than the clock.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is {text:?}; expected a number"),
    }
}
