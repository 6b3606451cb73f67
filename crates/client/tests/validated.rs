//! `validated` over lines that delay and lose.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_client::{ClientConfig, Event};
use gs_engine::AuthorityMode::Validated;
use gs_engine::{Simulation, Slot};
use gs_protocol::wire;
use support::{Line, World};

const GOOD: Line = Line {
    one_way_ms: 10,
    jitter_ms: 2,
    loss: 0,
};
const BAD: Line = Line {
    one_way_ms: 90,
    jitter_ms: 20,
    loss: 55,
};

#[test]
fn own_inputs_show_in_the_next_frame_and_every_confirmed_state_is_the_servers() {
    for (line, seed) in [(GOOD, 1), (BAD, 2), (BAD, 3)] {
        let mut world = World::new(Validated, 3, line, seed);
        world.run(2_000);
        let before: Vec<_> = world.players.iter().map(|p| p.client.stats()).collect();
        world.run(10_000);
        for (player, before) in world.players.iter().zip(before) {
            let stats = player.client.stats();
            assert!(stats.hashes_matched >= 18, "seed {seed}: {stats:?}");
            assert_eq!((stats.mismatches, stats.resyncs), (0, 0), "{stats:?}");
            assert_eq!(stats.counters.malformed, 0);
            let shown = stats.inputs_shown - before.inputs_shown;
            assert!(shown > 550, "{shown} inputs shown");
            assert_eq!(stats.input_frames - before.input_frames, 0, "seed {seed}");
            assert!(stats.predicted_ticks <= 24);
            assert_eq!(stats.keyframes, 1);
        }
    }
}

#[test]
fn inputs_are_repeated_for_no_longer_than_they_may_count() {
    for line in [GOOD, BAD] {
        let mut world = World::new(Validated, 2, line, 21);
        world.run(2_000);
        for tells_statuses in [true, false] {
            world.server.tells_statuses = tells_statuses;
            let before: Vec<usize> = world.server.ends.iter().map(|e| e.packets.len()).collect();
            world.run(3_000);
            for ((end, player), before) in world.server.ends.iter().zip(&world.players).zip(before)
            {
                assert_eq!(end.settled_frames, 0);
                let stats = player.client.stats();
                // On the way and back, waiting for their tick, and until the next status.
                let round_trip = stats.round_trip.unwrap().as_secs_f64() * 60.0;
                let most = (round_trip + stats.target_margin + 4.0) as usize;
                for (clock, frames) in &end.packets[before..] {
                    assert!(
                        frames.len() <= most,
                        "{} of {most} frames at {clock}: {stats:?}",
                        frames.len()
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_drawn_is_smooth_and_agrees_with_the_server_once_all_stand_still() {
    let mut world = World::new(Validated, 2, BAD, 4);
    world.run(6_000);
    for player in &world.players {
        let settled = &player.drawn[200..];
        for pair in settled.windows(2) {
            let ((a, x), (b, y)) = (pair[0], pair[1]);
            assert!(b >= a, "the picture ran backwards from {a} to {b}");
            // A push of 64 and the crowd's are 0.22 a tick; 16 ms are one, a correction some more.
            assert!((y - x).abs() < 0.5, "a jump from {x} to {y} at {b}");
        }
        // A change of mind of the other's is seen 15 ticks late: as much as 4 units at once.
        for pair in player.other[200..].windows(2) {
            let step = (pair[1] - pair[0]).abs();
            assert!(step < 1.6, "a jump by {step}");
        }
        assert!(player.client.stats().corrections > 20);
    }
    for player in &mut world.players {
        player.plays = |_, _| 0;
    }
    world.run(2_000);
    for player in &world.players {
        let entities = player.view.entities();
        assert_eq!(entities.len(), 2);
        for (slot, entity) in entities.iter().enumerate() {
            let x = player.view.values_of(entity)[0];
            assert!((x - world.server.shadow.x(slot)).abs() < 0.011, "{x}");
        }
    }
}

#[test]
fn without_prediction_the_confirmed_state_is_drawn() {
    let config = ClientConfig {
        prediction: false,
        ..Default::default()
    };
    let mut world = World::with(Validated, 2, BAD, 5, &config);
    world.run(5_000);
    for player in &mut world.players {
        let stats = player.client.stats();
        assert_eq!((stats.rollbacks, stats.predicted_ticks), (0, 0));
        assert!(stats.hashes_matched >= 6);
        let tick = player.view.tick();
        assert!(tick > 200.0 && tick < f64::from(stats.state_tick) + 1.0);
        // Each entity knows the tick that it was drawn from.
        let entity = player.view.entities()[0];
        let (before, after) = (tick.floor() as usize, tick.ceil() as usize);
        let x = player.view.values_of(&entity)[0];
        let at = |tick: usize| {
            let state = &world.server.states[tick];
            f64::from(state.columns_of(&state.entities[0])[0] - 100_000) / 100.0
        };
        let (low, high) = (at(before).min(at(after)), at(before).max(at(after)));
        assert!(
            x >= low - 0.01 && x <= high + 0.01,
            "{x} not in {low} to {high}"
        );
    }
}

#[test]
fn prediction_can_be_turned_off_and_on() {
    let mut world = World::new(Validated, 2, BAD, 6);
    for round in 0..6 {
        world.run(1_500);
        let on = round % 2 == 1;
        for player in &mut world.players {
            player.client.set_prediction(on);
        }
    }
    world.run(2_000);
    for player in &world.players {
        let stats = player.client.stats();
        assert_eq!((stats.mismatches, stats.keyframes), (0, 1), "{stats:?}");
        assert!(stats.hashes_matched > 15 && stats.predicted_ticks > 5);
    }
}

#[test]
fn an_input_delay_leaves_less_to_predict() {
    let played = |input_delay| {
        let config = ClientConfig {
            input_delay,
            ..Default::default()
        };
        let mut world = World::with(Validated, 2, BAD, 7, &config);
        world.run(6_000);
        world.players[0].client.stats()
    };
    let (none, four) = (played(0), played(4));
    assert!(four.resimulated_ticks < none.resimulated_ticks);
    assert!(four.predicted_ticks + 2 < none.predicted_ticks);
    assert!(four.input_frames > none.input_frames);
}

#[test]
fn what_happens_ahead_is_told_at_once_and_again_when_it_is_certain() {
    let mut world = World::new(Validated, 2, BAD, 8);
    world.run(6_000);
    let told = |slot: usize, of: Slot, predicted| {
        let events = world.players[slot].events.iter();
        let mut ticks: Vec<u32> = events
            .filter_map(|event| match event {
                Event::Game {
                    tick,
                    data,
                    predicted: is,
                } if *is == predicted && data[1] == of => Some(*tick),
                _ => None,
            })
            .collect();
        let count = ticks.len();
        ticks.dedup();
        assert_eq!(ticks.len(), count, "each once");
        ticks
    };
    // A shout each 50 ticks.
    assert!(told(0, 0, true).len() >= 5, "{:?}", told(0, 0, true));
    let certain = told(0, 0, false);
    assert!(certain.len() >= 5);
    assert!(told(0, 0, true).iter().any(|tick| certain.contains(tick)));
}

#[test]
fn a_module_that_goes_wrong_is_found_out_by_field_and_set_right() {
    let mut world = World::new(Validated, 2, GOOD, 9);
    world.players[1].skew_at = Some(100);
    world.run(5_000);
    let player = &world.players[1];
    let stats = player.client.stats();
    assert_eq!((stats.mismatches, stats.resyncs), (1, 1), "{stats:?}");
    assert_eq!(stats.keyframes, 2);
    assert!(stats.hashes_matched > 4, "it follows again");
    let found: Vec<_> = player
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Desync { tick, differences } => Some((*tick, differences.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(found, world.server.ends[1].desyncs);
    let [(120, differences)] = &found[..] else {
        panic!("{found:?}");
    };
    let [
        wire::Difference {
            entity: 0,
            kind,
            field,
            mine,
            theirs,
        },
    ] = &differences[..]
    else {
        panic!("{differences:?}");
    };
    assert_eq!((kind.as_str(), field.as_str()), ("runner", "x"));
    assert_eq!(*mine, theirs + 1);
    assert_eq!(world.players[0].client.stats().mismatches, 0);
}

#[test]
fn a_cut_line_is_back_within_a_second() {
    for (away_ms, seed) in [(400, 10), (3_000, 11), (15_000, 12)] {
        let mut world = World::new(Validated, 2, BAD, seed);
        world.run(3_000);
        world.set_online(0, false);
        world.run(away_ms);
        let packets = world.server.ends[0].packets.len();
        world.set_online(0, true);
        world.run(1_000);
        let stats = world.players[0].client.stats();
        let clock = world.server.pipeline.clock();
        assert!(
            clock - stats.state_tick < 30,
            "{away_ms}: {stats:?}, {clock}"
        );
        assert!(stats.resyncs <= 2, "{stats:?}");
        for (clock, frames) in &world.server.ends[0].packets[packets..] {
            assert!(
                frames.iter().all(|tick| tick + 60 > *clock),
                "stale frames {frames:?} at {clock}"
            );
        }
        let matched = stats.hashes_matched;
        world.run(2_000);
        let stats = world.players[0].client.stats();
        assert!(stats.hashes_matched >= matched + 3);
        assert_eq!(stats.mismatches, 0);
    }
}

#[test]
fn a_page_that_slept_for_ten_seconds_does_not_catch_up_tick_by_tick() {
    let mut world = World::new(Validated, 2, GOOD, 13);
    world.run(3_000);
    world.players[0].awake = false;
    world.run(10_000);
    let steps = world.players[0].client.simulation().unwrap().steps;
    let packets = world.server.ends[0].packets.len();
    world.players[0].awake = true;
    world.run(1_000);
    let stepped = world.players[0].client.simulation().unwrap().steps - steps;
    assert!(stepped < 800, "{stepped} steps");
    let stats = world.players[0].client.stats();
    let clock = world.server.pipeline.clock();
    assert!(clock - stats.state_tick < 15, "{stats:?}, {clock}");
    assert!(stats.resyncs <= 1 && stats.mismatches == 0, "{stats:?}");
    for (clock, frames) in &world.server.ends[0].packets[packets..] {
        assert!(frames.iter().all(|tick| tick + 60 > *clock));
    }
}

#[test]
fn who_cannot_follow_is_served_snapshots() {
    let mut world = World::new(Validated, 2, GOOD, 14);
    world.run(2_000);
    world.server.ends[1].downgraded = true;
    let changed = wire::ModeChanged {
        mode: wire::AuthorityMode::Full.into(),
        reason: "its states differ".into(),
    };
    world
        .server
        .event(1, wire::server_event::Body::Mode(changed));
    world.run(2_000);
    let player = &world.players[1];
    assert!(
        player
            .events
            .iter()
            .any(|event| matches!(event, Event::Mode { .. }))
    );
    assert_eq!(player.client.mode(), Some(gs_engine::AuthorityMode::Full));
    let stats = player.client.stats();
    assert!(
        stats.state_tick > 200 && stats.predicted_ticks > 0,
        "{stats:?}"
    );
    assert_eq!(player.view.entities().len(), 2);
}

#[test]
fn who_comes_late_starts_from_a_keyframe() {
    let mut world = World::new(Validated, 2, BAD, 15);
    world.players[1].awake = false;
    world.run(8_000);
    world.players[1].awake = true;
    world.run(1_000);
    let stats = world.players[1].client.stats();
    assert!(
        world.server.pipeline.clock() - stats.state_tick < 30,
        "{stats:?}"
    );
    let steps = world.players[1].client.simulation().unwrap().steps;
    assert!(steps < 1_000, "{steps}");
    world.run(2_000);
    assert!(world.players[1].client.stats().hashes_matched >= 3);
    let mut save = Vec::new();
    world.players[1]
        .client
        .simulation()
        .unwrap()
        .save(&mut save)
        .unwrap();
    assert!(!save.is_empty());
}

#[test]
fn a_module_that_stops_is_replaced() {
    let mut world = World::new(Validated, 2, GOOD, 16);
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

/// Sees everything, as the server sends it.
fn follows_views(world: &World) {
    let player = &world.players[0];
    let stats = player.client.stats();
    assert_eq!(player.client.mode(), Some(gs_engine::AuthorityMode::Full));
    let clock = world.server.pipeline.clock();
    assert!(clock - stats.state_tick < 15, "{stats:?}, {clock}");
    assert_eq!(player.view.entities().len(), 2);
    let other = &world.players[1].client;
    assert_eq!(other.mode(), Some(Validated), "the other one goes on");
}

#[test]
fn who_has_no_module_asks_for_views() {
    let mut world = World::new(Validated, 2, BAD, 17);
    world.players[0].has_module = false;
    world.run(2_500);
    follows_views(&world);
    assert!(world.server.ends[0].wishes_for_views <= 2);
    assert_eq!(world.players[0].client.stats().predicted_ticks, 0);
}

#[test]
fn who_has_only_modules_that_trap_asks_for_views() {
    let mut world = World::new(Validated, 2, GOOD, 18);
    world.players[0].traps = true;
    // Each instance waits for a keyframe, which is asked for once a second at most.
    world.run(8_000);
    follows_views(&world);
    let asked = |event: &&Event| matches!(event, Event::NeedModule(_));
    let asked = world.players[0].events.iter().filter(asked).count();
    assert_eq!(asked, 4);
}

#[test]
fn views_are_asked_for_ever_less_often_until_they_come() {
    let mut world = World::new(Validated, 2, GOOD, 19);
    world.players[0].has_module = false;
    world.server.ignored_wishes = 5;
    // After 0, 1, 3, 7 and 15 seconds, and 23.
    world.run(20_000);
    assert_eq!(world.server.ends[0].wishes_for_views, 5);
    assert!(world.players[0].view.entities().is_empty());
    world.run(8_000);
    assert_eq!(world.server.ends[0].wishes_for_views, 6);
    follows_views(&world);
}

#[test]
fn a_module_that_comes_after_all_is_taken() {
    let mut world = World::new(Validated, 2, GOOD, 20);
    world.players[0].has_module = false;
    world.server.ignored_wishes = u32::MAX;
    world.run(3_000);
    let now = world.now;
    let client = &mut world.players[0].client;
    client.handle_module(support::Runners::new(), now).unwrap();
    world.run(2_000);
    let wishes = world.server.ends[0].wishes_for_views;
    let stats = world.players[0].client.stats();
    assert!(stats.hashes_matched > 0 && stats.predicted_ticks > 0);
    assert!(wishes <= 3, "{wishes}");
    assert_eq!(world.players[0].client.mode(), Some(Validated));
}
