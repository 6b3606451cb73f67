//! `gameserver match`: rules of matchmaking, tried out before players meet by them.
//!
//! - [`record`] writes who queued for a game as a [`stream`], which names nobody.
//! - [`synthetic`] makes such streams up, and [`simulation`] plays one against rules in virtual time.
//! - [`simulate`] puts that together, [`report`] sums it up, and [`plot`] draws it.
//! - [`words`] says rules in words.

mod plot;
mod record;
mod report;
mod simulate;
mod simulation;
mod stream;
mod synthetic;
pub(crate) mod words;

use clap::Subcommand;

pub(crate) use record::record;
pub(crate) use simulate::simulate;

#[derive(Subcommand)]
pub(crate) enum MatchCommand {
    /// Play a stream of tickets, recorded or made up, against one rules file or two.
    Simulate(Box<simulate::SimulateArguments>),
    /// Write who queued for a game as a stream of tickets that names nobody, to standard output.
    Record(record::RecordArguments),
}
