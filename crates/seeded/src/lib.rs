//! The system's random numbers from a seed, and its clock at a simulation's time.
//!
//! Libraries that take no seed ask the system for one: for the jitter of their timers, the first
//! numbers of their sequences, the keys of their hash maps. Some ask the clock, too, for a time
//! that they should have been given. What they do then differs from run to run, and a simulation
//! that failed cannot be played again. On the thread of a [`scenario`] the system's answers are
//! its own instead.
//!
//! ```
//! use std::collections::hash_map::RandomState;
//! use std::hash::BuildHasher as _;
//! use std::time::{Duration, Instant};
//!
//! let draw = || gs_seeded::scenario(7, || RandomState::new().hash_one(0));
//! # if cfg!(target_os = "linux") {
//! assert_eq!(draw(), draw());
//!
//! gs_seeded::scenario(7, || {
//!     let start = Instant::now();
//!     gs_seeded::set_time(Duration::from_secs(3));
//!     assert_eq!(start.elapsed(), Duration::from_secs(3));
//! });
//! # }
//! ```
//!
//! It takes the place of `getrandom(2)` and `clock_gettime(2)` in the program that it is linked
//! into, so that it belongs to tests alone: a crate that ships must never depend on it. All other
//! threads get what they always got. Not reached are cryptographic libraries that ask the kernel
//! themselves (AWS-LC does), the time of day, and systems other than Linux.

#[cfg(target_os = "linux")]
mod linux;

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

/// Plays a scenario on a thread of its own, of the same name: random numbers come from `seed`
/// there, and the monotonic clock stands still until [`set_time`].
///
/// # Panics
/// When the scenario does, with its panic, or when there is no thread to be had.
pub fn scenario<T: Send>(seed: u64, play: impl FnOnce() -> T + Send) -> T {
    let name = thread::current().name().map(str::to_owned);
    thread::scope(|scope| {
        let mut thread = thread::Builder::new();
        if let Some(name) = name {
            thread = thread.name(name);
        }
        let playing = thread.spawn_scoped(scope, move || {
            fastrand::seed(seed);
            #[cfg(target_os = "linux")]
            linux::begin();
            play()
        });
        match playing {
            Ok(playing) => playing.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(error) => panic!("no thread for a scenario: {error}"),
        }
    })
}

/// Sets this thread's monotonic clock to so long after the start of the scenario that it plays.
/// Does nothing where it plays none.
pub fn set_time(time: Duration) {
    #[cfg(target_os = "linux")]
    linux::set_time(time);
    #[cfg(not(target_os = "linux"))]
    let _ = time;
}
