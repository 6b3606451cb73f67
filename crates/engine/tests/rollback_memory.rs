//! Once it has its memory, confirming ticks and rolling back allocates nothing: from the players'
//! frames through the server's pipeline, its packets and a client's decoder to that client's states.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::alloc::System;

use gs_engine::Pipeline;
use gs_engine::confirmed::{ConfirmedDecoder, ConfirmedEncoder};
use gs_engine::rollback::{Session, Simulator};
use gs_engine::simulation::{MatchConfig, Simulation};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::Pushers;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_tick_allocates_nothing_from_a_frame_to_a_rollback() {
    let config = MatchConfig {
        players: 4,
        teams: 0,
        options: "{}".into(),
    };
    let mut server = Pipeline::new(Pushers::new(), config.clone(), 1)
        .unwrap()
        .with_late_window(6)
        .unwrap();
    for slot in 0..4 {
        server.handle_join(slot, 0).unwrap();
    }
    let mut game = Pushers::new();
    game.init(1, &config).unwrap();
    let mut client = Simulator::new(game, Session::new(4, Some(0), 1, 24));
    let (mut encoder, mut decoder) = (ConfirmedEncoder::default(), ConfirmedDecoder::default());
    let mut packet = Vec::new();
    let mut region = Region::new(ALLOCATOR);
    for clock in 1..900_u32 {
        if clock == 600 {
            region.reset();
        }
        for slot in 0..4_u8 {
            // Each turns about now and then, and one of them comes late.
            let tick = if slot == 3 {
                clock.saturating_sub(3)
            } else {
                clock
            };
            let push = (tick / (5 + u32::from(slot)) % 49) as u8;
            if tick > 0 {
                server.handle_frame(slot, tick, &[push], 0).unwrap();
            }
            if slot == 0 {
                client.handle_input(tick, &[push]);
            }
        }
        server.begin_tick();
        while server.advance().unwrap().is_some() {}
        let next = client.session().confirmed() + 1;
        if clock % 3 == 0 && next <= server.tick() {
            let ticks = server.confirmed_from(next);
            encoder
                .encode(server.schema(), ticks, 1_000, &mut packet)
                .unwrap();
            let ticks = decoder.decode(server.schema(), 4, next, &packet).unwrap();
            for tick in ticks {
                client.handle_confirmed(tick).unwrap();
            }
        }
        client.advance(clock).unwrap();
        assert_eq!(client.poll_desync(), None);
    }
    let change = region.change();
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
    let counters = client.session().counters();
    assert!(counters.rollbacks > 100, "{counters:?}");
}
