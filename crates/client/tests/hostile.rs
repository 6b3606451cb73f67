//! Damaged packets, in every mode: nothing panics, and play goes on once they stop.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::AuthorityMode::{self, Full, Validated};
use gs_protocol::AUTHORITY_IDENTITY;
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
