//! Damaged packets, in every mode: nothing panics, and play goes on once they stop.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::AuthorityMode::{self, Full, Validated};
use gs_protocol::wire::{self, state_update};
use gs_protocol::{AUTHORITY_IDENTITY, VERSION, topic};
use proptest::prelude::*;
use prost::Message;
use support::{Line, World};

const LINE: Line = Line {
    one_way_ms: 30,
    jitter_ms: 10,
    loss: 20,
};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn play(mode: AuthorityMode, seed: u64) {
    let mut world = World::new(mode, 2, LINE, seed);
    let mut random = Random(seed);
    world.run(1_000);
    for _ in 0..300 {
        world.run(10);
        // Real packets of the moment, damaged: a flipped byte, a cut, a repeat.
        world.server.tick(world.now);
        let real: Vec<_> = world.server.sent.drain(..).collect();
        for (_, topic, _, payload) in &real {
            let mut bytes = payload.clone();
            for _ in 0..random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
            let end = bytes.len() - random.below(3).min(bytes.len());
            let now = world.now;
            let client = &mut world.players[0].client;
            client.handle_packet(AUTHORITY_IDENTITY, topic, &bytes[..end], now);
            client.handle_timeout(now);
            client.view(now);
            while client.poll_transmit().is_some() {}
            while let Some(event) = client.poll_event() {
                if let gs_client::Event::NeedModule(_) = event {
                    // What the damaged welcome asks for may be another game.
                    let _ = client.handle_module(support::Runners::new(), now);
                }
            }
        }
    }
    let stats = world.players[0].client.stats();
    assert!(stats.counters.malformed > 50, "seed {seed}: {stats:?}");
}

#[test]
fn damaged_snapshots_and_events_are_dropped() {
    for seed in 1..=6 {
        play(Full, seed);
    }
}

#[test]
fn damaged_confirmed_ticks_and_keyframes_are_dropped() {
    for seed in 1..=6 {
        play(Validated, seed);
    }
}

/// Values at the edges, where sums overflow.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..200_u32,
        any::<u32>(),
        (u32::MAX - 70)..=u32::MAX,
        (u32::MAX / 2 - 70)..=u32::MAX / 2,
    ]
}

fn body() -> impl Strategy<Value = Option<state_update::Body>> {
    let data = || prop::collection::vec(any::<u8>(), 0..40);
    let delta = (number(), number(), number(), 0..4_i32, data()).prop_map(
        |(age, baseline, older, codec, data)| {
            state_update::Body::Delta(wire::StateDelta {
                age,
                baseline,
                older,
                codec,
                data,
                whole: true,
            })
        },
    );
    let confirmed = (number(), data()).prop_map(|(first_tick, data)| {
        state_update::Body::Confirmed(wire::Confirmed { first_tick, data })
    });
    let keyframe = (number(), number(), number(), number(), data()).prop_map(
        |(tick, index, count, total_bytes, data)| {
            // One that is whole, now and then.
            let whole = index % 3 == 0;
            state_update::Body::Keyframe(wire::KeyframeChunk {
                tick,
                index: if whole { 0 } else { index },
                count: if whole { 1 } else { count },
                total_bytes: if whole {
                    data.len() as u32
                } else {
                    total_bytes
                },
                hash: gs_engine::confirmed::state_hash(&data),
                data,
            })
        },
    );
    prop_oneof![
        Just(None),
        delta.prop_map(Some),
        confirmed.prop_map(Some),
        keyframe.prop_map(Some)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_numbers_are_taken_or_refused(
        validated in any::<bool>(),
        updates in prop::collection::vec((number(), number(), any::<i32>(), number(), body()), 1..40),
    ) {
        let mode = if validated { Validated } else { Full };
        let mut world = World::new(mode, 2, LINE, 3);
        world.run(400);
        for (tick, input_tick, margin, echo_ms, body) in updates {
            let status = wire::SlotStatus { slot: 0, input_tick, margin, echo_ms, echo_age_ms: tick };
            let update = wire::StateUpdate {
                version: VERSION,
                epoch: 1,
                tick,
                slots: vec![status],
                body,
            };
            let now = world.now;
            let client = &mut world.players[0].client;
            client.handle_packet(AUTHORITY_IDENTITY, topic::STATE, &update.encode_to_vec(), now);
            world.run(17);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..60),
    ) {
        let mut world = World::new(Full, 1, LINE, 4);
        world.run(200);
        let now = world.now;
        let client = &mut world.players[0].client;
        for bytes in packets {
            for topic in [topic::STATE, topic::EVENTS, topic::CHAT, topic::INPUT] {
                client.handle_packet(AUTHORITY_IDENTITY, topic, &bytes, now);
                client.handle_packet("p1", topic, &bytes, now);
            }
            client.handle_timeout(now);
            client.view(now);
        }
    }
}
