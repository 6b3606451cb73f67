//! Ports for servers that may be ended and started again.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{TcpListener, UdpSocket};

/// A TCP port that is free on 127.0.0.1, and that no outgoing connection is given by the system.
///
/// A port from the system's own range could be taken by a client's connection while its server is
/// down; a client that keeps trying even meets itself there, and believes that it is connected.
///
/// # Panics
/// Where no port is free.
pub fn free_tcp_port() -> u16 {
    free(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

/// The same for UDP.
///
/// # Panics
/// Where no port is free.
pub fn free_udp_port() -> u16 {
    free(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

fn free(is_free: impl Fn(u16) -> bool) -> u16 {
    for attempt in 0..ATTEMPTS {
        // A new hasher is keyed at random, so that processes do not walk the same ports.
        let random = RandomState::new().hash_one(attempt);
        let port = FIRST + (random % u64::from(LAST - FIRST)) as u16;
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1 from {FIRST} to {LAST}");
}

const ATTEMPTS: u32 = 1000;
/// Above what well-known servers use.
const FIRST: u16 = 12_000;
/// Below what Linux (32,768) and macOS (49,152) give to outgoing connections.
const LAST: u16 = 32_000;
