//! `boards`: durable results and board reads by the store's calls, over PostgreSQL and Redis.
//!
//! Results: many callers of `store_result` on finished matches, in turns with a client that inserts
//! one score a transaction over as many connections. Reads: `standing` and `board_page` on boards
//! of one and ten million entries, in turns with bare `ZREVRANK` and `ZREVRANGE` on the same Redis.

mod reads;
mod writes;

use std::sync::Arc;

use gs_store::Store;
use serde_json::{Value, json};

use crate::load::{Load, round};
use crate::report::Report;
use crate::services::Services;
use reads::Reads;

/// Runs it.
pub(crate) async fn run(quick: bool) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "boards",
        "one INSERT a score and transaction; bare ZREVRANK and ZREVRANGE",
    );
    write(quick, &mut report).await?;
    read(quick, &mut report).await?;
    Ok(report)
}

async fn write(quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let services = Services::start().await?;
    let store = Arc::new(services.store().await?);
    let maintained = maintain(store.clone());
    let written = writes::measure(&services, store, quick).await?;
    maintained.abort();
    let per_s = |load: &Load, scores: f64| round(load.per_second() * scores);
    let slots = writes::SLOTS as f64;
    report.metrics = json!({
        "writes_per_s": per_s(&written.ours, slots),
        "results_per_s": per_s(&written.ours, 1.0),
        "result_p99_ms": written.ours.p99_ms(),
        "result_alone_p50_us": written.ours_alone.latencies.quantiles_us()[0],
        "result_alone_p99_us": written.ours_alone.latencies.quantiles_us()[1],
        "redis_behind_ms": written.behind.as_millis() as u64,
    });
    report.peer_metrics(json!({
        "writes_per_s": per_s(&written.peer, 1.0),
        "insert_alone_p50_us": written.peer_alone.latencies.quantiles_us()[0],
        "insert_alone_p99_us": written.peer_alone.latencies.quantiles_us()[1],
    }));
    report.lines.extend([
        written.ours.line(&format!("results of {slots} scores, {} callers", writes::CALLERS)),
        written.peer.line("peer: one INSERT a score and transaction"),
        written.ours_alone.line("a result, one caller alone"),
        written.peer_alone.line("peer: an INSERT, one caller alone"),
        format!(
            "durable scores: {:.0} a second, {:.1} × the peer (aim: 5,000 a second); all {} counted once; \
             Redis had them {} ms after the last",
            written.ours.per_second() * slots,
            written.ours.per_second() * slots / written.peer.per_second(),
            written.scores,
            written.behind.as_millis(),
        ),
    ]);
    Ok(())
}

async fn read(quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let services = Services::start().await?;
    let store = Arc::new(services.store().await?);
    let maintained = maintain(store.clone());
    let sizes: &[(&str, u64)] = match quick {
        true => &SIZES[..1],
        false => &SIZES,
    };
    for (name, entries) in sizes {
        eprintln!("a board of {entries} entries");
        let reads = reads::measure(&services, store.clone(), *entries, quick).await?;
        add_reads(report, name, &reads);
    }
    if quick {
        report.metrics["rank_reads_per_s_10m"] = Value::Null;
        let line = "--quick: fewer results, and no board of ten million entries";
        report.lines.push(line.to_owned());
    }
    maintained.abort();
    Ok(())
}

fn add_reads(report: &mut Report, name: &str, reads: &Reads) {
    let figures = |what: &str, reads: &reads::Both| {
        let [p50, p99, _] = reads.alone.latencies.quantiles_us();
        [
            (
                format!("{what}_reads_per_s_{name}"),
                json!(round(reads.together.per_second())),
            ),
            (format!("{what}_read_alone_p50_us_{name}"), json!(p50)),
            (format!("{what}_read_alone_p99_us_{name}"), json!(p99)),
        ]
    };
    let ours = [
        ("rank", &reads.standing),
        ("top", &reads.top),
        ("around", &reads.around),
    ];
    for (key, value) in ours
        .into_iter()
        .flat_map(|(what, reads)| figures(what, reads))
    {
        report.metrics[key] = value;
    }
    let rebuild = round(reads.rebuilt_per_second);
    report.metrics[format!("rebuild_entries_per_s_{name}")] = json!(rebuild);
    let peers = [("rank", &reads.zrevrank), ("top", &reads.zrevrange)];
    let peers = peers
        .into_iter()
        .flat_map(|(what, reads)| figures(what, reads));
    report.peer_metrics(peers.collect::<serde_json::Map<_, _>>().into());

    for (what, both) in [
        ("standing", &reads.standing),
        ("peer: ZREVRANK", &reads.zrevrank),
        ("top 100", &reads.top),
        ("100 around a player", &reads.around),
        ("peer: ZREVRANGE 0 99 WITHSCORES", &reads.zrevrange),
    ] {
        let callers = reads::CALLERS;
        report.lines.push(
            both.together
                .line(&format!("{name} {what}, {callers} callers")),
        );
        report
            .lines
            .push(both.alone.line(&format!("{name} {what}, one alone")));
    }
    let ratio = |peer: &reads::Both, ours: &reads::Both| {
        peer.together.per_second() / ours.together.per_second()
    };
    report.lines.push(format!(
        "{name}: to a bare ZREVRANK, standing takes {:.2} ×; to a bare ZREVRANGE of 100, standing {:.2} ×, \
         top 100 {:.2} ×, around {:.2} × (aim: 2 ×); rebuilt at {rebuild:.0} entries a second",
        ratio(&reads.zrevrank, &reads.standing),
        ratio(&reads.zrevrange, &reads.standing),
        ratio(&reads.zrevrange, &reads.top),
        ratio(&reads.zrevrange, &reads.around),
    ));
}

/// Has the store do what it does beside calls, such as keeping Redis up with the record.
fn maintain(store: Arc<dyn Store>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { store.maintain().await })
}

const SIZES: [(&str, u64); 2] = [("1m", 1_000_000), ("10m", 10_000_000)];
