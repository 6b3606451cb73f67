//! `fleet`: what a thousand connected participants in one process cost, idle and at work.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};

use crate::livekit::{GO_SDK, Kind, Participants, server};
use crate::load::round;
use crate::report::Report;
use crate::server::{cpu_seconds, memory_bytes};

/// Runs it.
pub(crate) async fn run(quick: bool) -> anyhow::Result<Report> {
    let (participants, seconds) = if quick { (100, 3) } else { (1_000, 10) };
    let mut report = Report::new("fleet", GO_SDK);
    let (ours, mut lines) = fleet(Kind::Ours, participants, seconds).await?;
    let (theirs, their_lines) = fleet(Kind::Go, participants, seconds).await?;
    lines.extend(their_lines);
    report.lines = lines;
    report.metrics = ours;
    report.peer_metrics(theirs);
    Ok(report)
}

async fn fleet(kind: Kind, count: usize, seconds: u64) -> anyhow::Result<(Value, Vec<String>)> {
    let server = server();
    let time = Duration::from_secs(seconds);
    let mut process = Participants::start(kind, &server)?;
    // What the first ones need for all is not counted.
    process.join(ROOM_SIZE, ROOM_SIZE).await?;
    let first = process.settled_memory().await?;
    let begun = Instant::now();
    process.join(count - ROOM_SIZE, ROOM_SIZE).await?;
    let join_seconds = begun.elapsed().as_secs_f64();
    let idle_memory = process.settled_memory().await?;
    let idle_cores = process.idle_cores(time).await?;
    let request = |seconds: u64| {
        json!({
            "do": "chat", "reliable": false, "bytes": BYTES, "per_second": PER_SECOND,
            "seconds": seconds,
        })
    };
    // An SDK may negotiate at the first packet, which takes so many some time.
    for _ in 0..WARM_UPS {
        let answer = process.ask(request(1)).await?;
        if answer["sent"] == answer["received"] {
            break;
        }
    }
    tokio::time::sleep(SETTLING).await;
    let (livekit_before, begun) = (cpu_seconds(server.id())?, Instant::now());
    let (answer, cores) = process.ask_measured(request(seconds)).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let livekit_cores = (cpu_seconds(server.id())? - livekit_before) / elapsed;
    let memory = process.settled_memory().await?;
    let (Some(sent), Some(received)) = (answer["sent"].as_f64(), answer["received"].as_f64())
    else {
        bail!("no counts in {answer}");
    };
    let each =
        |memory: u64| round(memory.saturating_sub(first) as f64 / 1e3 / (count - ROOM_SIZE) as f64);
    let pct = |cores: f64| round(cores * 100.0);
    let lost_pct = round((sent - received) * 100.0 / sent);
    let metrics = json!({
        "participants": count,
        "join_s": round(join_seconds),
        "memory_mb": round(memory as f64 / 1e6),
        "memory_kb_per_participant_idle": each(idle_memory),
        "memory_kb_per_participant": each(memory),
        "cpu_pct_idle": pct(idle_cores),
        "cpu_pct": pct(cores),
        "packets_per_s": round(sent / elapsed),
        "lost_pct": lost_pct,
        "livekit_cpu_pct": pct(livekit_cores),
        "livekit_memory_mb": round(memory_bytes(server.id())? as f64 / 1e6),
    });
    process.stop().await?;
    let lines = vec![
        format!(
            "{}: {count} participants joined in {join_seconds:.1} s, {:.0} kB each idle, {:.0} kB at work",
            kind.name(),
            each(idle_memory),
            each(memory),
        ),
        format!(
            "  CPU {:.1} % of a core idle; {:.1} % with {PER_SECOND} packets a second each way each ({lost_pct} % lost), LiveKit's server {:.1} %",
            pct(idle_cores),
            pct(cores),
            pct(livekit_cores),
        ),
    ];
    Ok((metrics, lines))
}

const WARM_UPS: usize = 10;
const SETTLING: Duration = Duration::from_secs(2);
const ROOM_SIZE: usize = 10;
const BYTES: usize = 200;
/// What leaves LiveKit's server room on a machine of two cores.
const PER_SECOND: u64 = 10;
