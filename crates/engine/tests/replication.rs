//! Replication: what the server believes a viewer has is what it has, whatever the line does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::replication::{Applied, ReceivedViews, Replicator};
use gs_engine::schema::Schema;
use gs_engine::simulation::{Entity, NetState};
use support::manifest;

fn pushers(entities: &[(u32, i32)]) -> NetState {
    let mut state = NetState::default();
    for (index, (id, place)) in entities.iter().enumerate() {
        state.entities.push(Entity {
            id: *id,
            kind: 0,
            owner: None,
            priority: 0.0,
            first_column: index as u32,
            column_count: 1,
        });
        state.columns.push(*place);
    }
    state
}

#[test]
fn a_viewer_without_loss_sees_the_state() {
    let schema = Schema::new(&manifest()).unwrap();
    let mut replicator = Replicator::new(1, 900);
    let mut views = ReceivedViews::new();
    for tick in 1..200_u32 {
        let count = 5 + tick % 7;
        let place = |id| (id, (id * 100 + tick * 5) as i32 % 1000);
        let state = pushers(&(0..count).map(place).collect::<Vec<_>>());
        let packet = replicator.encode(&schema, tick, 0, &state).unwrap();
        assert!(packet.whole);
        assert_eq!(views.apply(&schema, tick, &packet), Ok(Applied::New));
        assert_eq!(views.newest(), Some((tick, &state)));
        let (acked, bits) = views.ack();
        replicator.handle_ack(0, acked, bits);
    }
}
