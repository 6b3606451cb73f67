//! Private PostgreSQL, Redis and LiveKit servers for tests: on free loopback ports, with data of
//! their own, gone with the test process however that ends.
//!
//! ```no_run
//! use gs_test_services::{Postgres, Redis};
//!
//! let database_url = Postgres::shared().database();
//! let redis = Redis::start();
//! println!("{database_url} {}", redis.url());
//! ```
//!
//! Everything here is for tests: what goes wrong panics, and a program that is missing panics with
//! the command that installs it. Works as root (PostgreSQL then runs as `postgres`, else `nobody`)
//! and as an ordinary user, and needs no async runtime.

mod livekit;
mod ports;
mod postgres;
mod process;
mod program;
mod redis;
mod server;

pub use livekit::{LiveKit, LiveKitOptions, Turn};
pub use ports::{free_tcp_port, free_udp_port};
pub use postgres::{Durability, Postgres};
pub use program::program;
pub use redis::{Persistence, Redis};
pub use server::Server;
