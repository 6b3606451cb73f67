//! Closed-loop load: so many callers, each of whom asks again as soon as it has its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use crate::report::Latencies;

/// When callers stop.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// After so long; calls under way are waited for.
    Time(Duration),
    /// After so many calls of all of them together.
    Calls(u64),
}

/// What callers got, over all rounds.
#[derive(Default)]
pub(crate) struct Load {
    /// Calls that were answered.
    pub(crate) calls: u64,
    /// How long each took.
    pub(crate) latencies: Latencies,
    took: Duration,
}

impl Load {
    /// Has each of `callers` call until then, and adds what they got. `call` takes its caller's
    /// state and the number of the call in this round, and gives the state back.
    pub(crate) async fn round<S, C, F>(
        &mut self,
        callers: &mut Vec<S>,
        until: Until,
        call: C,
    ) -> anyhow::Result<()>
    where
        S: Send + 'static,
        C: Fn(S, u64) -> F + Clone + Send + 'static,
        F: Future<Output = anyhow::Result<S>> + Send,
    {
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for mut state in callers.drain(..) {
            let (next, call) = (next.clone(), call.clone());
            tasks.spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let over = match until {
                        Until::Time(time) => started.elapsed() >= time,
                        Until::Calls(calls) => number >= calls,
                    };
                    if over {
                        return anyhow::Ok((state, took));
                    }
                    let asked = Instant::now();
                    state = call(state, number).await?;
                    took.push(asked.elapsed());
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            let (state, took) = done.context("a caller panicked")??;
            callers.push(state);
            self.calls += took.len() as u64;
            took.into_iter()
                .for_each(|took| self.latencies.add(Some(took)));
        }
        self.took += started.elapsed();
        Ok(())
    }

    /// Calls that were answered in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The 99th percentile of a call.
    pub(crate) fn p99_ms(&self) -> f64 {
        round(self.latencies.quantiles_us()[1] as f64 / 1e3)
    }

    /// One line of a table.
    pub(crate) fn line(&self, what: &str) -> String {
        let [p50, p99, _] = self.latencies.quantiles_us().map(|us| us as f64 / 1e3);
        format!(
            "{what:44} {:9.0} a second   p50 {p50:8.3} ms  p99 {p99:8.3} ms",
            self.per_second()
        )
    }
}

/// To two decimals, for reports.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
