//! `full` over lines that delay and lose.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_client::{ClientConfig, Event};
use gs_engine::AuthorityMode::Full;
use gs_protocol::wire::{self, state_update};
use gs_protocol::{AUTHORITY_IDENTITY, VERSION, topic};
use prost::Message;
use support::{Line, World};

const BAD: Line = Line {
    one_way_ms: 90,
    jitter_ms: 20,
    loss: 55,
};

const GOOD: Line = Line {
    one_way_ms: 15,
    jitter_ms: 3,
    loss: 0,
};

#[test]
fn others_are_drawn_between_the_servers_states_some_ticks_late() {
    let mut world = World::new(Full, 3, BAD, 1);
    world.run(3_000);
    for _ in 0..100 {
        world.run(16);
        for player in &world.players {
            let view = &player.view;
            assert_eq!(view.entities().len(), 3);
            let tick = view.tick();
            let behind = f64::from(world.server.pipeline.tick()) - tick;
            assert!(behind > 5.0 && behind < 25.0, "{behind} ticks late");
            for entity in view.entities() {
                if entity.owner == Some(player.slot) {
                    continue;
                }
                let x = view.values_of(entity)[0];
                let at = |tick: f64| {
                    let state = &world.server.states[tick as usize];
                    let entity = &state.entities[entity.id as usize];
                    f64::from(state.columns_of(entity)[0] - 100_000) / 100.0
                };
                // Lost states are bridged by a straight line, which is off where one turned.
                let right = at(tick.floor()) + (at(tick.ceil()) - at(tick.floor())) * tick.fract();
                assert!((x - right).abs() < 0.3, "{x}, not {right}, at {tick}");
            }
        }
    }
}

#[test]
fn own_inputs_show_in_the_next_frame_and_smoothly() {
    for (line, seed) in [(GOOD, 2), (BAD, 3)] {
        let mut world = World::new(Full, 2, line, seed);
        world.run(2_000);
        let before: Vec<_> = world.players.iter().map(|p| p.client.stats()).collect();
        let drawn: Vec<usize> = world.players.iter().map(|p| p.drawn.len()).collect();
        world.run(6_000);
        for (index, player) in world.players.iter().enumerate() {
            let (stats, before) = (player.client.stats(), before[index]);
            assert_eq!(stats.input_frames - before.input_frames, 0, "{stats:?}");
            assert!(stats.inputs_shown - before.inputs_shown > 330);
            assert!(stats.predicted_ticks > 0 && stats.predicted_ticks <= 24);
            assert_eq!(stats.resyncs, 0);
            for pair in player.drawn[drawn[index]..].windows(2) {
                let ((a, x), (b, y)) = (pair[0], pair[1]);
                assert!(b >= a && b - a < 3.0, "from {a} to {b}");
                assert!((y - x).abs() < 1.0, "a jump from {x} to {y} at {b}");
            }
        }
    }
}

#[test]
fn a_game_that_takes_no_views_is_drawn_as_the_server_says() {
    let mut world = World::new(Full, 2, GOOD, 4);
    world.run(1_000);
    for player in &mut world.players {
        player.client.simulation().unwrap().loads_views = false;
    }
    world.run(3_000);
    for player in &mut world.players {
        let stats = player.client.stats();
        assert_eq!(stats.predicted_ticks, 0);
        assert!(stats.input_frames > 60, "{stats:?}");
        assert!(
            player
                .view
                .entities()
                .iter()
                .all(|entity| !entity.predicted)
        );
    }
}

#[test]
fn without_prediction_no_module_is_wanted() {
    let config = ClientConfig {
        prediction: false,
        ..Default::default()
    };
    let mut world = World::with(Full, 2, BAD, 5, &config);
    world.run(2_000);
    let player = &mut world.players[0];
    assert!(player.client.simulation().is_none());
    assert_eq!(player.view.entities().len(), 2);
    player.client.set_prediction(true);
    world.run(1_000);
    assert!(world.players[0].client.stats().predicted_ticks > 0);
}

#[test]
fn a_server_that_stands_still_is_not_flooded() {
    let mut world = World::new(Full, 2, GOOD, 6);
    world.run(2_000);
    world.server.runs = false;
    world.run(3_000);
    let packets = world.server.ends[0].packets.len();
    let newest = world.server.ends[0].newest_frame;
    world.run(2_000);
    let end = &world.server.ends[0];
    assert!(end.newest_frame == newest && newest < world.server.pipeline.clock() + 80);
    let heartbeats = end.packets.len() - packets;
    assert!((7..=9).contains(&heartbeats), "{heartbeats} heartbeats");
    world.server.runs = true;
    world.run(1_000);
    let clock = world.server.pipeline.clock();
    let end = &world.server.ends[0];
    let (_, frames) = end.packets.last().unwrap();
    let ahead = frames.last().unwrap().abs_diff(clock);
    assert!(ahead < 6, "{frames:?} at {clock}");
}

#[test]
fn deltas_that_cannot_be_read_are_counted_and_a_fresh_one_asked_for_once_a_second() {
    let mut world = World::new(Full, 1, GOOD, 7);
    world.run(2_000);
    world.server.runs = false;
    world.run(100);
    let before = world.players[0].client.stats();
    let tick = world.server.pipeline.clock();
    // The server goes on, but all that comes is damaged.
    for n in 1..=240_u32 {
        let delta = wire::StateDelta {
            codec: 1 + (n % 3) as i32,
            baseline: n % 70,
            data: vec![0xff; (n % 9) as usize],
            ..Default::default()
        };
        let update = wire::StateUpdate {
            version: VERSION,
            epoch: 1,
            tick: tick + n,
            body: Some(state_update::Body::Delta(delta)),
            ..Default::default()
        };
        let now = world.now;
        let client = &mut world.players[0].client;
        client.handle_packet(
            AUTHORITY_IDENTITY,
            topic::STATE,
            &update.encode_to_vec(),
            now,
        );
        world.run(17);
    }
    let stats = world.players[0].client.stats();
    assert!(
        stats.counters.no_baseline + stats.counters.malformed > 200,
        "{stats:?}"
    );
    let resyncs = stats.resyncs - before.resyncs;
    assert!((2..=5).contains(&resyncs), "{resyncs} in four seconds");
}

#[test]
fn a_cut_line_is_back_within_a_second() {
    for (away_ms, seed) in [(700, 8), (12_000, 9)] {
        let mut world = World::new(Full, 2, BAD, seed);
        world.run(3_000);
        world.set_online(0, false);
        world.run(away_ms);
        let packets = world.server.ends[0].packets.len();
        world.set_online(0, true);
        world.run(1_000);
        let player = &world.players[0];
        let stats = player.client.stats();
        let clock = world.server.pipeline.clock();
        assert!(
            clock - stats.state_tick < 15,
            "{away_ms}: {stats:?}, {clock}"
        );
        assert!(stats.predicted_ticks > 0);
        let behind = f64::from(clock) - player.view.tick();
        assert!(behind < 40.0, "{behind}");
        for (clock, frames) in &world.server.ends[0].packets[packets..] {
            assert!(frames.iter().all(|tick| tick + 60 > *clock));
        }
    }
}

#[test]
fn lines_tell_how_they_are() {
    let mut world = World::new(Full, 2, BAD, 10);
    world.run(6_000);
    let stats = world.players[0].client.stats();
    let round_trip = stats.round_trip.unwrap().as_millis();
    assert!((180..240).contains(&round_trip), "{round_trip} ms");
    assert!(stats.margin.unwrap() > 0.0);
    // One way, its jitter, and up to a tick.
    assert!(
        stats.staleness_ms > 80.0 && stats.staleness_ms < 200.0,
        "{stats:?}"
    );
    assert!(stats.bytes_up > 1_000 && stats.bytes_down > 1_000);
    assert!(
        stats.packets_up > 300 && stats.packets_up < 420,
        "{stats:?}"
    );
}

#[test]
fn a_module_that_stops_is_replaced() {
    let mut world = World::new(Full, 2, GOOD, 16);
    world.run(2_000);
    let player = &mut world.players[0];
    player.client.simulation().unwrap().fails_at = Some(150);
    world.run(3_000);
    let player = &mut world.players[0];
    let failure = player.client.module_failure().unwrap().to_string();
    assert!(failure.contains("out of luck"), "{failure}");
    let asked = |event: &&Event| matches!(event, Event::NeedModule(_));
    assert_eq!(player.events.iter().filter(asked).count(), 2);
    let stats = player.client.stats();
    assert!(
        stats.predicted_ticks > 0 && stats.state_tick > 280,
        "{stats:?}"
    );
    assert!(stats.resyncs <= 1);
    assert_eq!(player.view.entities().len(), 2);
}
