//! The peers of `cargo xtask bench snapshots`, the scenes that it is measured on, and the training
//! of the ranged codec's prior.

mod compare;
mod record;
mod recording;
mod train;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulates a scene and writes it as little-endian `i32`, eight a body.
    Record {
        /// Where to.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        scene: record::Scene,
    },
    /// Codes a recording with zstd and bitcode, and prints what that took as a line of JSON.
    Compare(compare::Compare),
    /// Trains the ranged codec's prior on scenes of its own.
    Train {
        /// Where to: `crates/engine/src/snapshot/ranged/prior.bin`.
        #[arg(long)]
        out: PathBuf,
        /// Learn from every n-th of the frames.
        #[arg(long, default_value_t = 3)]
        every: usize,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Record { out, scene } => recording::write(&out, &record::record(scene)),
        Command::Compare(compare) => compare.run(),
        Command::Train { out, every } => train::train(&out, every),
    }
}
