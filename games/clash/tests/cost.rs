//! What a rollback does each tick costs no memory: a save writes into the buffer that it is given.

use std::alloc::System;

use clash::Clash;
use game_sdk::native;
use gs_engine::Simulation;
use gs_engine::simulation::{Effects, MatchConfig};
use gs_engine::sync_test::RandomMatch;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_save_allocates_nothing() {
    let mut game = native::<Clash>();
    let config = MatchConfig {
        players: 2,
        teams: 0,
        options: "{}".to_owned(),
    };
    game.init(1, &config).expect("the options are good");
    let mut random = RandomMatch::new(game.manifest(), 2, 1);
    let (mut effects, mut state) = (Effects::default(), Vec::with_capacity(1024));
    let mut most = 0;
    for _ in 0..1_200 {
        game.step(&random.next_log(), &mut effects)
            .expect("a step of any log that keeps the schema");
        let region = Region::new(ALLOCATOR);
        game.save(&mut state).expect("it fits its limit");
        let change = region.change();
        assert_eq!((change.allocations, change.reallocations), (0, 0));
        most = most.max(state.len());
    }
    assert!((60..=128).contains(&most), "{most} bytes at most");
}
