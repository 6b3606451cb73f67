//! The authority's core: what a game is to the host, and one match's tick pipeline.
//!
//! Everything here is pure. Nothing reads a clock, opens a socket, spawns a thread or knows how a
//! packet looks on the wire; `now`, seeds and bytes come in as arguments, so that a match can be
//! replayed from its log to the bit.
//!
//! - [`simulation`]: the [`Simulation`] trait, what goes into a tick and what comes out.
//! - [`manifest`]: what a game says of itself: limits and schemas.
//!
//! The byte layouts are those of `docs/game-module.md`.

pub mod abi;
pub mod manifest;
pub mod schema;
pub mod simulation;

pub use manifest::Manifest;
pub use schema::Schema;
pub use simulation::{Simulation, Slot, Tick};
