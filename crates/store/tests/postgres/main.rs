//! What the store in PostgreSQL and Redis does beyond every store's contract: several processes at
//! once, and services that go away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod away;
mod backfill;
mod concurrency;
mod matchmaking;
mod queue_keys;
mod ranks;
mod schema;
mod world;
