//! How the asynchronous runtime does: its workers, and how late it gets to what is due.

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Page;

/// Asks the runtime at each scrape.
#[derive(Debug)]
pub(crate) struct RuntimeMetrics(pub(crate) Handle);

impl Collector for RuntimeMetrics {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (metrics, mut page) = (self.0.metrics(), Page(encoder));
        page.gauge(
            "gameserver_runtime_workers",
            "Threads of the asynchronous runtime",
            metrics.num_workers() as u64,
        )?;
        page.gauge(
            "gameserver_runtime_tasks",
            "Tasks that have not ended",
            metrics.num_alive_tasks() as u64,
        )?;
        page.gauge(
            "gameserver_runtime_queue",
            "Tasks that wait for any thread",
            metrics.global_queue_depth() as u64,
        )?;
        let mut busy = page.0.encode_descriptor(
            "gameserver_runtime_busy_seconds",
            "Time that each thread has worked",
            None,
            MetricType::Counter,
        )?;
        for worker in 0..metrics.num_workers() {
            let seconds = metrics.worker_total_busy_duration(worker).as_secs_f64();
            busy.encode_family(&[("worker", worker)])?
                .encode_counter::<NoLabelSet, f64, u64>(&seconds, None)?;
        }
        Ok(())
    }
}

/// How late a task runs that is due: what any request waits before its next step.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeDelay(Histogram);

impl RuntimeDelay {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let delay = Histogram::new(BUCKETS);
        registry.register(
            "gameserver_runtime_delay_seconds",
            "How late a task ran that was due, looked at twenty times a second",
            delay.clone(),
        );
        Self(delay)
    }

    /// Looks until it is dropped.
    pub(crate) async fn watch(self) {
        loop {
            let due = Instant::now() + INTERVAL;
            tokio::time::sleep_until(due).await;
            self.0.observe(due.elapsed().as_secs_f64());
        }
    }
}

const INTERVAL: Duration = Duration::from_millis(50);
/// The runtime's timer itself is up to a millisecond late.
const BUCKETS: [f64; 9] = [0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.1, 0.25, 1.0];
