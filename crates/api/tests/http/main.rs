//! The HTTP service from outside: its router over a real embedded store, with LiveKit's room
//! service replaced by one that records.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod account;
mod accounts;
mod admin;
mod answers;
mod bad_fields;
mod bad_requests;
mod boards;
mod catalogue;
mod keys;
mod log;
mod matchmaking;
mod outage;
mod parties;
mod passwords;
mod presence;
mod queue;
mod sessions;
mod trials;
mod webhooks;
mod world;
