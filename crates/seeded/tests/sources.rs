//! What asks the system is answered from the scenario, on its thread and no other.
#![cfg(target_os = "linux")]

use gs_seeded::{scenario, set_time};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// One number from each source that libraries draw from.
fn draw() -> [u64; 3] {
    let hashed = RandomState::new().hash_one(0);
    [hashed, rand::random(), fastrand::u64(..)]
}

#[test]
fn a_seed_repeats_every_source() {
    let first = scenario(7, draw);
    assert_eq!(scenario(7, draw), first);
    let other = scenario(8, draw);
    for (first, other) in first.into_iter().zip(other) {
        assert_ne!(first, other);
    }
}

#[test]
fn the_clock_goes_when_it_is_told_to() {
    let start = scenario(7, || {
        let start = Instant::now();
        assert_eq!(start, Instant::now());
        set_time(Duration::from_nanos(5_000_000_001));
        assert_eq!(start.elapsed(), Duration::from_nanos(5_000_000_001));
        start
    });
    assert_eq!(scenario(8, Instant::now), start, "it starts where it did");
}

#[test]
fn other_threads_ask_the_system() {
    let elsewhere = |ask: fn() -> bool| std::thread::spawn(ask).join().unwrap();
    scenario(7, || {
        let fresh = || std::thread::spawn(draw).join().unwrap();
        assert_ne!(fresh(), fresh());
        assert!(elsewhere(|| {
            let start = Instant::now();
            set_time(Duration::from_secs(60));
            std::iter::repeat_with(|| start.elapsed()).any(|passed| !passed.is_zero())
        }));
    });
}

#[test]
fn a_panic_gets_through() {
    let play = || scenario(7, || panic!("as it should"));
    let panic = catch_unwind(AssertUnwindSafe(play)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"as it should"));
}
