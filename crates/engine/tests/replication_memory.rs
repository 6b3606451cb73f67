//! Replication allocates nothing once its buffers have grown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::alloc::System;

use gs_engine::replication::{Applied, ReceivedViews, Recipients, Replicator};
use gs_engine::schema::Schema;
use gs_engine::simulation::{NetState, Slot};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::world::{Random, World, world_manifest};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A viewer of a broadcast that loses packets needs views of its own, each of which takes its
/// memory when it is first used: with this loss it takes a while until all have been.
const WARM: u32 = 6000;

/// Both ways in one test: another thread's allocations would count as well.
#[test]
fn a_tick_in_the_steady_state_allocates_nothing() {
    let schema = Schema::new(&world_manifest()).unwrap();
    let budget = 300;
    for ranged_viewers in [8, 0] {
        let mut random = Random::new(1);
        let mut world = World::new(&schema, 80, &mut random);
        let mut own = Replicator::new(8, budget).with_ranged_viewers(ranged_viewers);
        let mut shared = Replicator::new(8, budget).with_ranged_viewers(ranged_viewers);
        let mut views: Vec<[ReceivedViews; 2]> = vec![Default::default(); 8];
        let slots: Vec<Slot> = (0..8).collect();
        let mut state = NetState::default();
        let mut region = Region::new(ALLOCATOR);
        for tick in 1..WARM + 300 {
            // The world's own memory is not what is counted.
            let before = region.change();
            world.move_on(&schema, &mut random);
            world.view(100, 0, &mut state);
            assert!(
                tick <= WARM || before.allocations == 0,
                "tick {tick}: {before:?}"
            );
            region.reset();
            for slot in 0..8 {
                world.view(80, u32::from(slot), &mut state);
                let packet = own.encode(&schema, tick, slot, &state).unwrap();
                let views = &mut views[usize::from(slot)][0];
                if random.chance(90) {
                    assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
                }
                let (tick, bits) = views.ack();
                own.handle_ack(slot, tick, bits);
            }
            world.view(100, 0, &mut state);
            let broadcast = shared.broadcast(&schema, tick, &state, &slots).unwrap();
            for (recipients, packet) in broadcast.packets() {
                let to = match recipients {
                    Recipients::Everyone => &slots,
                    Recipients::Slots(slots) => slots,
                };
                for slot in to {
                    if random.chance(90) {
                        let views = &mut views[usize::from(*slot)][1];
                        assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
                    }
                }
            }
            for slot in 0..8 {
                let (tick, bits) = views[usize::from(slot)][1].ack();
                shared.handle_ack(slot, tick, bits);
            }
        }
    }
}
