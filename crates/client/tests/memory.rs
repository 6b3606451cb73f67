//! What a tick costs in memory once a match has settled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::alloc::System;

use gs_engine::AuthorityMode::{self, Full, Validated};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Line, World, input};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A packet that comes in takes three (its statuses, its body, and what is decoded of it), one that
/// goes out one.
const MOST_PER_TICK: f64 = 5.0;

/// One test, since what others allocate beside it would be counted.
#[test]
fn a_tick_allocates_little_beside_its_packets() {
    for mode in [Full, Validated] {
        let (allocations, ticks) = measure(mode);
        let each = allocations as f64 / ticks as f64;
        assert!(each <= MOST_PER_TICK, "{mode}: {each} allocations a tick");
    }
}

fn measure(mode: AuthorityMode) -> (usize, u32) {
    let line = Line {
        one_way_ms: 0,
        jitter_ms: 0,
        loss: 0,
    };
    let mut world = World::new(mode, 2, line, 1);
    for player in &mut world.players {
        player.plays = |_, tick| (tick / 40 % 3) as i8 * 20;
    }
    world.run(4_000);
    world.players[0].awake = false;
    world.server.sent.clear();
    let (mut allocations, mut sent) = (0, Vec::with_capacity(64));
    let first = world.server.pipeline.clock();
    for _ in 0..300 {
        world.now += std::time::Duration::from_nanos(1_000_000_000 / 60);
        let now = world.now;
        world.server.tick(now);
        let packets: Vec<_> = world.server.sent.drain(..).collect();
        let client = &mut world.players[0].client;
        let region = Region::new(MEMORY);
        for (slot, topic, _, payload) in &packets {
            if *slot == 0 {
                client.handle_packet("authority", topic, payload, now);
            }
        }
        client.handle_timeout(now);
        while let Some(tick) = client.poll_input(now) {
            let push = (tick / 40 % 3) as i8 * 20;
            client.handle_input(tick, &input(push, false)).unwrap();
        }
        client.view(now);
        while client.poll_event().is_some() {}
        while let Some(transmit) = client.poll_transmit() {
            sent.push((transmit.topic, transmit.payload));
        }
        allocations += region.change().allocations;
        for (topic, payload) in sent.drain(..) {
            world.server.handle(0, topic, &payload, now);
        }
    }
    let ticks = world.server.pipeline.clock() - first;
    let stats = world.players[0].client.stats();
    assert!(stats.predicted_ticks > 0, "{stats:?}");
    (allocations, ticks)
}
