//! `flood`: how many packets of 1 kB a second one participant can send to another through
//! LiveKit's server without losing any, beside the official Go SDK.
//!
//! A rate holds if every packet was taken and arrived within half a second after the last one was
//! sent; on the reliable channel also each once and in order. Rates are doubled until one does not
//! hold, and then halved in between.

use gs_test_services::LiveKit;
use serde_json::{Map, json};

use crate::livekit::{GO_SDK, Kind, Participants, server};
use crate::report::Report;

/// Runs it.
pub(crate) async fn run(quick: bool) -> anyhow::Result<Report> {
    let seconds = if quick { 0.5 } else { 2.0 };
    let server = server();
    let mut report = Report::new("flood", GO_SDK);
    for kind in [Kind::Ours, Kind::Go] {
        let mut metrics = Map::new();
        for (name, reliable) in [("lossy", false), ("reliable", true)] {
            eprintln!("{}, {name}", kind.name());
            let highest = Search {
                kind,
                reliable,
                seconds,
            }
            .highest(&server)
            .await?;
            report.lines.push(format!(
                "{:44} {name:8} {highest:8.0} packets of 1 kB a second without loss",
                kind.name()
            ));
            metrics.insert(format!("{name}_packets_per_s"), json!(highest));
        }
        match kind {
            Kind::Ours => report.metrics = metrics.into(),
            Kind::Go => report.peer_metrics(metrics.into()),
        }
    }
    Ok(report)
}

struct Search {
    kind: Kind,
    reliable: bool,
    seconds: f64,
}

impl Search {
    /// The highest rate that holds, to within a tenth.
    async fn highest(&self, server: &LiveKit) -> anyhow::Result<f64> {
        let (mut holds, mut fails) = (0.0, LOWEST);
        while fails <= HIGHEST && self.holds_twice_tried(server, fails).await? {
            (holds, fails) = (fails, fails * 2.0);
        }
        while holds > 0.0 && fails / holds > PRECISE {
            let between = ((holds * fails).sqrt() / 10.0).round() * 10.0;
            match self.holds_twice_tried(server, between).await? {
                true => holds = between,
                false => fails = between,
            }
        }
        Ok(holds)
    }

    /// A busy machine may cost a packet once.
    async fn holds_twice_tried(&self, server: &LiveKit, rate: f64) -> anyhow::Result<bool> {
        Ok(self.holds(server, rate).await? || self.holds(server, rate).await?)
    }

    async fn holds(&self, server: &LiveKit, rate: f64) -> anyhow::Result<bool> {
        // What one attempt leaves in buffers is not to count against the next.
        let mut process = Participants::start(self.kind, server)?;
        process.join(2, 2).await?;
        process.warm_up(self.reliable).await?;
        let answer = process
            .ask(json!({
                "do": "flood", "reliable": self.reliable, "bytes": BYTES, "per_second": rate,
                "seconds": self.seconds,
            }))
            .await?;
        process.stop().await?;
        let whole = answer["received"] == answer["sent"] && answer["refused"] == 0;
        // Where the sender's thread gets too little of the machine, a rate was not tried.
        let whole = whole && answer["per_second"].as_f64() >= Some(rate * PUNCTUAL);
        let holds = whole && (!self.reliable || answer["disorder"] == 0);
        eprintln!(
            "  {rate:.0} a second: {}",
            if holds { "holds" } else { "fails" }
        );
        if !holds {
            eprintln!("    {answer}");
        }
        Ok(holds)
    }
}

const BYTES: usize = 1_000;
const LOWEST: f64 = 500.0;
/// Eight times what one participant takes here.
const HIGHEST: f64 = 256_000.0;
const PRECISE: f64 = 1.1;
const PUNCTUAL: f64 = 0.95;
