//! Starts PostgreSQL and Redis for a program, which is told where they are: its arguments.
//!
//! ```sh
//! cargo run -p gs-test-services --example servers -- npm run e2e
//! ```

use gs_test_services::{Postgres, Redis};

fn main() {
    let mut words = std::env::args().skip(1);
    let program = words
        .next()
        .expect("the arguments are a program and its arguments");
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let status = std::process::Command::new(program)
        .args(words)
        .env("GAMESERVER_DATABASE_URL", postgres.database())
        .env("GAMESERVER_REDIS_URL", redis.url())
        .status()
        .expect("the program can be started");
    // Dropped before the exit, which drops nothing.
    drop((postgres, redis));
    std::process::exit(status.code().unwrap_or(1));
}
