//! Measures the whole server. `cargo xtask bench NAME [--quick]` builds what is needed and runs
//! this; `docs/performance.md` has the figures.

mod boards;
mod bot;
mod echo;
mod feel;
mod fleet;
mod flood;
mod http;
mod latency;
mod livekit;
mod load;
mod matchmaker;
mod ratings;
mod replication;
mod report;
mod rollback;
mod rooms;
mod server;
mod services;
mod snapshots;
mod tick;

use std::alloc::System;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use gs_engine::schema::Schema;
use gs_sandbox::{GameModule, Limits, Sandbox};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts what is allocated, for `tick`; the cost is a few atomic additions.
#[global_allocator]
pub(crate) static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Parser)]
struct Arguments {
    bench: Bench,
    /// Take under a minute.
    #[arg(long)]
    quick: bool,
    /// For `snapshots`: the recording to measure on, `.xz` or not.
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    Boards,
    Echo,
    Feel,
    Fleet,
    Flood,
    Http,
    Latency,
    Matchmaker,
    Ratings,
    Replication,
    Rollback,
    Rooms,
    Snapshots,
    Tick,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok()
        .context("a TLS provider is installed already")?;
    let report = match arguments.bench {
        Bench::Boards => boards::run(arguments.quick).await?,
        Bench::Echo => echo::run(arguments.quick).await?,
        Bench::Feel => feel::run(arguments.quick)?,
        Bench::Fleet => fleet::run(arguments.quick).await?,
        Bench::Flood => flood::run(arguments.quick).await?,
        Bench::Http => http::run(arguments.quick).await?,
        Bench::Latency => latency::run(arguments.quick, schema(&arena()?)?).await?,
        Bench::Matchmaker => matchmaker::run(arguments.quick)?,
        Bench::Ratings => ratings::run(arguments.quick),
        Bench::Replication => {
            let peers = server::root().join("target/peers");
            replication::run(arguments.quick, &peers.join("release/peer-replication"))?
        }
        Bench::Rollback => {
            let peers = server::root().join("target/peers");
            let ggrs = peers.join("release/peer-rollback");
            rollback::run(arguments.quick, &ggrs, &peers.join("cubes.wasm"))?
        }
        Bench::Rooms => rooms::run(arguments.quick, schema(&arena()?)?).await?,
        Bench::Snapshots => {
            let peer = server::root().join("target/peers/release/peer-snapshots");
            snapshots::run(arguments.quick, &peer, arguments.data.as_deref())?
        }
        Bench::Tick => tick::run(arguments.quick, &arena()?)?,
    };
    report.print();
    Ok(())
}

/// Arena's module, as `cargo xtask build` leaves it.
fn arena() -> anyhow::Result<GameModule> {
    let module = server::root().join("target/games/arena.wasm");
    let bytes = std::fs::read(&module)
        .with_context(|| format!("{}: run `cargo xtask build`", module.display()))?;
    Ok(Sandbox::new(Limits::default())?.compile(bytes)?)
}

fn schema(module: &GameModule) -> anyhow::Result<Arc<Schema>> {
    Ok(Arc::new(Schema::new(module.manifest())?))
}
