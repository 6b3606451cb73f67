//! The participant against a real LiveKit server: one scenario a file.
#![allow(clippy::unwrap_used)]

mod blackout;
mod channels;
mod data_tracks;
mod destinations;
mod dual;
mod errors;
mod hostile;
mod hostile_peer;
mod ice_lite;
mod join;
mod leave;
mod leave_requests;
mod permissions;
mod rebinding;
mod restart;
mod resume;
mod sizes;
mod slow_consumer;
mod support;
mod tokens;
mod turn;
mod ways;
