//! Whole matches over a real LiveKit server, with the embedded store.

// Clippy allows it in tests, but not in the functions beside them.
#![allow(clippy::unwrap_used)]

mod backfill;
mod failures;
#[allow(dead_code, reason = "the room's own tests use the rest")]
#[path = "../../src/room/tests/game.rs"]
mod game;
mod modes;
mod play;
#[path = "../support/livekit.rs"]
mod support;
mod world;
