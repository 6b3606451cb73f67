//! What the store in PostgreSQL does beyond every store's contract: several processes at once, and
//! a database that goes away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod away;
mod concurrency;
mod schema;
mod world;
