//! `echo`: a packet to another participant and back over LiveKit's server, 60 times a second,
//! beside the official Go SDK.
//!
//! Each side is a process of its own with two participants, so that processor time and memory are
//! those of the process, taken from outside in the same way. Processes take turns, so that none
//! has the machine at a better time.

use std::time::Duration;

use anyhow::{Context, bail};
use gs_test_services::LiveKit;
use serde_json::{Map, Value, json};

use crate::livekit::{GO_SDK, Kind, Participants, median, server};
use crate::load::round;
use crate::report::{Latencies, Report};

/// Runs it.
pub(crate) async fn run(quick: bool) -> anyhow::Result<Report> {
    let (rounds, memory_rounds, seconds) = if quick { (2, 1, 3.0) } else { (5, 3, 10.0) };
    let server = server();
    let (mut ours, mut theirs) = (Side::new(Kind::Ours), Side::new(Kind::Go));
    for number in 0..rounds {
        eprintln!("round {}/{rounds}", number + 1);
        // Each has the first turn as often as the other.
        let mut turns = [&mut ours, &mut theirs];
        turns.rotate_left(number % 2);
        for side in turns {
            side.echo(&server, seconds).await?;
            // It differs by far less from round to round than between the two.
            if number < memory_rounds {
                side.connections(&server).await?;
            }
        }
    }

    let mut report = Report::new("echo", GO_SDK);
    let (mut metrics, peer) = (ours.metrics(), theirs.metrics());
    report.lines = [ours.lines(), theirs.lines()].concat();
    let mut ratios = Map::new();
    for (key, name) in RATIOS {
        let (value, theirs) = (metrics[key].as_f64(), peer[key].as_f64());
        let (value, theirs) = value.zip(theirs).context("a figure is missing")?;
        ratios.insert(format!("ratio_{name}"), json!(round(value / theirs)));
    }
    report.lines.push(format!(
        "ours over the peer's: {}",
        Value::Object(ratios.clone())
    ));
    metrics.append(&mut ratios);
    report.metrics = metrics.into();
    report.peer_metrics(peer.into());
    Ok(report)
}

/// What one side took, a value a round.
struct Side {
    kind: Kind,
    channels: [Channel; 2],
    memory_kb: Vec<f64>,
}

struct Channel {
    name: &'static str,
    reliable: bool,
    quantiles_us: [Vec<f64>; 3],
    cpu_pct: Vec<f64>,
    lost: u64,
}

impl Side {
    fn new(kind: Kind) -> Self {
        let channel = |name, reliable| Channel {
            name,
            reliable,
            quantiles_us: Default::default(),
            cpu_pct: Vec::new(),
            lost: 0,
        };
        Self {
            kind,
            channels: [channel("lossy", false), channel("reliable", true)],
            memory_kb: Vec::new(),
        }
    }

    /// Echoes between two participants over each channel in turn.
    async fn echo(&mut self, server: &LiveKit, seconds: f64) -> anyhow::Result<()> {
        let mut process = Participants::start(self.kind, server)?;
        process.join(2, 2).await?;
        for channel in &mut self.channels {
            process.warm_up(channel.reliable).await?;
            let request = json!({
                "do": "echo", "reliable": channel.reliable, "bytes": BYTES,
                "per_second": PER_SECOND, "seconds": seconds,
            });
            let (answer, cores) = process.ask_measured(request).await?;
            channel.add(&answer, cores)?;
        }
        process.stop().await
    }

    /// By how much a process grows for each of many connections more, which stay idle.
    async fn connections(&mut self, server: &LiveKit) -> anyhow::Result<()> {
        let mut process = Participants::start(self.kind, server)?;
        process.join(2, 2).await?;
        let before = process.settled_memory().await?;
        process.join(CONNECTIONS, 2).await?;
        let after = process.settled_memory().await?;
        let each = after.saturating_sub(before) as f64 / CONNECTIONS as f64;
        self.memory_kb.push(each / 1e3);
        process.stop().await
    }

    fn metrics(&self) -> Map<String, Value> {
        let mut metrics = Map::new();
        for channel in &self.channels {
            let name = channel.name;
            for (quantile, values) in ["p50", "p99", "p999"].iter().zip(&channel.quantiles_us) {
                metrics.insert(
                    format!("{name}_{quantile}_us"),
                    json!(round(median(values))),
                );
            }
            let cpu = round(median(&channel.cpu_pct));
            metrics.insert(format!("{name}_cpu_pct_per_connection"), json!(cpu));
            metrics.insert(format!("{name}_lost"), json!(channel.lost));
        }
        let memory = round(median(&self.memory_kb));
        metrics.insert("memory_kb_per_connection".into(), json!(memory));
        metrics
    }

    fn lines(&self) -> Vec<String> {
        let name = self.kind.name();
        let memory = median(&self.memory_kb);
        let mut lines = vec![format!("{name}: {memory:.0} kB a connection")];
        for channel in &self.channels {
            let [p50, p99, p999] = [0, 1, 2].map(|i| median(&channel.quantiles_us[i]) / 1e3);
            lines.push(format!(
                "  {:8} p50 {p50:6.3} ms  p99 {p99:6.3} ms  p99.9 {p999:6.3} ms  CPU {:5.2} % of a core a connection  ({} lost)",
                channel.name,
                median(&channel.cpu_pct),
                channel.lost,
            ));
        }
        lines
    }
}

impl Channel {
    fn add(&mut self, answer: &Value, cores: f64) -> anyhow::Result<()> {
        let latencies = answer["latencies_ns"].as_array().context("no latencies")?;
        let sent = answer["sent"].as_u64().context("no count")?;
        if latencies.is_empty() {
            bail!("nothing came back");
        }
        let mut measured = Latencies::default();
        for nanos in latencies.iter().filter_map(Value::as_u64) {
            measured.add(Some(Duration::from_nanos(nanos)));
        }
        let lost = sent.saturating_sub(measured.count());
        if self.reliable && lost > 0 {
            bail!("{lost} of {sent} reliable packets did not come back");
        }
        self.lost += lost;
        for (values, nanos) in self.quantiles_us.iter_mut().zip(measured.quantiles_ns()) {
            values.push(nanos as f64 / 1e3);
        }
        self.cpu_pct.push(cores * 100.0 / 2.0);
        Ok(())
    }
}

const BYTES: usize = 200;
const PER_SECOND: f64 = 60.0;
/// Connections by which a process's growth is divided: so many that a page more or less of
/// anything else does not show.
const CONNECTIONS: usize = 50;

/// Figures that are given as ours over the peer's, and what the ratios are called.
const RATIOS: [(&str, &str); 7] = [
    ("lossy_p50_us", "lossy_p50"),
    ("lossy_p99_us", "lossy_p99"),
    ("lossy_cpu_pct_per_connection", "lossy_cpu"),
    ("reliable_p50_us", "reliable_p50"),
    ("reliable_p99_us", "reliable_p99"),
    ("reliable_cpu_pct_per_connection", "reliable_cpu"),
    ("memory_kb_per_connection", "memory"),
];
