//! The authority's core: what a game is to the host, and one match's tick pipeline.
//!
//! Everything here is pure. Nothing reads a clock, opens a socket, spawns a thread or knows how a
//! packet looks on the wire; time, seeds and bytes come in as arguments, so that a match can be
//! replayed from its log to the bit.
//!
//! # What a game is
//! - [`simulation`]: the [`Simulation`] trait, what goes into a tick and what comes out. A game is
//!   a WebAssembly module that `gs-sandbox` runs, or Rust linked natively.
//! - [`manifest`]: what a game says of itself: limits and schemas.
//! - [`schema`]: those schemas worked out, and the checks of everything that players and modules
//!   send against them.
//! - [`abi`]: the byte layouts of `docs/game-module.md`, for both sides of a module's boundary.
//!
//! # How a match runs
//! A [`Pipeline`] owns a simulation. Packets go in as they come ([`Pipeline::handle_frame`],
//! [`Pipeline::handle_command`], …), [`Pipeline::begin_tick`] moves the clock, and
//! [`Pipeline::advance`] runs what may run:
//! - [`input_buffer`] holds each player's inputs until their tick;
//! - [`confirmed`] packs the ticks that never change any more, and [`rollback`] follows them on a
//!   client that runs ahead;
//! - [`replication`] decides what each viewer is sent of a net state, and puts it together again on
//!   the other side; [`snapshot`] packs it.

pub mod abi;
pub mod confirmed;
pub mod difference;
pub mod input_buffer;
pub mod manifest;
pub mod mode;
pub mod pipeline;
pub mod range_coder;
pub mod replication;
pub mod rollback;
pub mod schema;
pub mod simulation;
pub mod snapshot;
pub mod sync_test;

pub use manifest::Manifest;
pub use mode::AuthorityMode;
pub use pipeline::Pipeline;
pub use schema::Schema;
pub use simulation::{Simulation, Slot, Tick};
