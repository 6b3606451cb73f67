//! The HTTP service from outside: its router over a real embedded store, with LiveKit's room
//! service replaced by one that records.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod accounts;
mod bad_fields;
mod bad_requests;
mod boards;
mod catalogue;
mod outage;
mod presence;
mod queue;
mod webhooks;
mod world;
