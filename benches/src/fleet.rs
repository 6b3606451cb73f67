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
    let size = if quick { QUICK } else { FULL };
    let mut report = Report::new("fleet", GO_SDK);
    let (ours, mut lines) = fleet(Kind::Ours, size).await?;
    let (theirs, their_lines) = fleet(Kind::Go, size).await?;
    lines.extend(their_lines);
    report.lines = lines;
    report.metrics = ours;
    report.peer_metrics(theirs);
    Ok(report)
}

/// How many participants do how much, for how long.
#[derive(Clone, Copy)]
struct Size {
    count: usize,
    /// Packets that each sends.
    per_second: u64,
    seconds: u64,
}

async fn fleet(kind: Kind, size: Size) -> anyhow::Result<(Value, Vec<String>)> {
    let Size {
        count,
        per_second,
        seconds,
    } = size;
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
    let request = |per_second: u64, seconds: u64| {
        json!({
            "do": "chat", "reliable": false, "bytes": BYTES, "per_second": per_second,
            "seconds": seconds,
        })
    };
    // An SDK may negotiate at the first packet, which takes so many some time.
    let warm_up = request(per_second, 1);
    for _ in 0..WARM_UPS {
        if all_arrived(&process.ask(warm_up.clone()).await?) {
            break;
        }
    }
    tokio::time::sleep(SETTLING).await;
    let (livekit_before, begun) = (cpu_seconds(server.id())?, Instant::now());
    let (answer, cores) = process.ask_measured(request(per_second, seconds)).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let livekit_cores = (cpu_seconds(server.id())? - livekit_before) / elapsed;
    let memory = process.settled_memory().await?;
    let overload = process.ask(request(per_second * OVERLOAD, seconds)).await?;
    let over = Instant::now();
    let mut recovered = process.ask(warm_up.clone()).await?;
    while !all_arrived(&recovered) && over.elapsed() < RECOVERY {
        recovered = process.ask(warm_up.clone()).await?;
    }
    let recovered_s = over.elapsed().as_secs_f64();
    let lost = lost_pct(&answer)?;
    let sent = answer["sent"].as_f64().unwrap_or(0.0);
    let each =
        |memory: u64| round(memory.saturating_sub(first) as f64 / 1e3 / (count - ROOM_SIZE) as f64);
    let pct = |cores: f64| round(cores * 100.0);
    let metrics = json!({
        "participants": count,
        "join_s": round(join_seconds),
        "memory_mb": round(memory as f64 / 1e6),
        "memory_kb_per_participant_idle": each(idle_memory),
        "memory_kb_per_participant": each(memory),
        "cpu_pct_idle": pct(idle_cores),
        "cpu_pct": pct(cores),
        "packets_per_s": round(sent / elapsed),
        "lost_pct": lost,
        "interruptions": answer["reconnecting"],
        "overload_lost_pct": lost_pct(&overload)?,
        "overload_recovered_s": round(recovered_s),
        "interruptions_in_all": recovered["reconnecting"],
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
            "  CPU {:.1} % of a core idle; {:.1} % with {per_second} packets a second each way each ({lost} % lost, {} interruptions), LiveKit's server {:.1} %",
            pct(idle_cores),
            pct(cores),
            answer["reconnecting"],
            pct(livekit_cores),
        ),
        format!(
            "  {OVERLOAD} times as many: {} % lost; all arrive again {recovered_s:.1} s later, {} interruptions in all",
            metrics["overload_lost_pct"], recovered["reconnecting"],
        ),
    ];
    Ok((metrics, lines))
}

fn all_arrived(answer: &Value) -> bool {
    answer["sent"] == answer["received"]
}

fn lost_pct(answer: &Value) -> anyhow::Result<f64> {
    match (answer["sent"].as_f64(), answer["received"].as_f64()) {
        (Some(sent), Some(received)) => Ok(round((sent - received) * 100.0 / sent)),
        _ => bail!("no counts in {answer}"),
    }
}

/// By how much a rate is raised that the server takes, for as long again, and how long to wait
/// until all arrive again at the lower one.
const OVERLOAD: u64 = 15;
const RECOVERY: Duration = Duration::from_secs(60);

const WARM_UPS: usize = 10;
const SETTLING: Duration = Duration::from_secs(2);
const ROOM_SIZE: usize = 10;
const BYTES: usize = 200;
/// Rates that LiveKit's server takes on a machine of two cores that it shares with the fleet. Beyond,
/// its one UDP socket overflows, and what is measured is how participants get back.
const QUICK: Size = Size {
    count: 100,
    per_second: 10,
    seconds: 3,
};
const FULL: Size = Size {
    count: 1_000,
    per_second: 2,
    seconds: 10,
};
