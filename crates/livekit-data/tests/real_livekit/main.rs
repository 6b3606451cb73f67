//! The participant against a real LiveKit server: one scenario a file.
#![allow(clippy::unwrap_used)]

mod blackout;
mod channels;
mod data_tracks;
mod destinations;
mod errors;
mod join;
mod leave;
mod resume;
mod sizes;
mod slow_consumer;
mod support;
