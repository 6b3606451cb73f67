//! What a bench prints: lines for people, and one JSON object as its last line.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The outcome of a bench.
pub(crate) struct Report {
    /// Lines for people.
    pub(crate) lines: Vec<String>,
    /// Figures by name; each name ends in its unit.
    pub(crate) metrics: Value,
    name: &'static str,
    peer: Value,
}

impl Report {
    /// A report of the bench `name`, measured beside `peer`.
    pub(crate) fn new(name: &'static str, peer: &str) -> Self {
        Self {
            lines: Vec::new(),
            metrics: json!({}),
            name,
            peer: json!({ "name": peer }),
        }
    }

    /// The peer's figures.
    pub(crate) fn peer_metrics(&mut self, metrics: Value) {
        if let (Some(peer), Value::Object(metrics)) = (self.peer.as_object_mut(), metrics) {
            peer.extend(metrics);
        }
    }

    /// Prints it.
    #[allow(clippy::print_stdout, reason = "the report is what a bench is run for")]
    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!(
            "{}",
            json!({
                "bench": self.name, "metrics": self.metrics, "peer": self.peer,
                "machine": { "cores": cores },
            })
        );
    }
}

/// Measured durations, and how many never came.
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
    /// How many were given up.
    pub(crate) lost: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LONGEST_NANOS, 3).expect("the bounds are in order");
        Self { histogram, lost: 0 }
    }
}

impl Latencies {
    /// Adds one; none is one that never came.
    pub(crate) fn add(&mut self, latency: Option<Duration>) {
        match latency {
            Some(latency) => self.histogram.saturating_record(latency.as_nanos() as u64),
            None => self.lost += 1,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Median, 99th and 99.9th percentile in nanoseconds.
    pub(crate) fn quantiles_ns(&self) -> [u64; 3] {
        [0.5, 0.99, 0.999].map(|q| self.histogram.value_at_quantile(q))
    }

    /// Median, 99th and 99.9th percentile in microseconds.
    pub(crate) fn quantiles_us(&self) -> [i64; 3] {
        [0.5, 0.99, 0.999].map(|q| (self.histogram.value_at_quantile(q) / 1_000) as i64)
    }

    /// One line of a table.
    pub(crate) fn line(&self, what: &str) -> String {
        let [p50, p99, p999] = self.quantiles_us().map(|us| us as f64 / 1e3);
        format!(
            "{what:42} p50 {p50:7.2} ms  p99 {p99:7.2} ms  p99.9 {p999:7.2} ms  ({} samples, {} lost)",
            self.histogram.len(),
            self.lost
        )
    }
}

/// A minute: anything that long has been given up before.
const LONGEST_NANOS: u64 = 60_000_000_000;
