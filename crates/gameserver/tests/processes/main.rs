//! The processes of a deployment as their operator meets them, on real PostgreSQL, Redis and
//! LiveKit servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod connections;
mod deployment;
mod doctor;
mod services;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the tests of `dev` use the rest")]
mod support;
mod world;
