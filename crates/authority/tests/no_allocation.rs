//! A room's tick allocates nothing once its buffers have grown to their size.

// Clippy allows it in tests, but not in the functions beside them.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gs_authority::Patience;
use gs_authority::room::{Room, RoomConfig, RoomPlayer};
use gs_engine::AuthorityMode;
use gs_engine::replication::{Packet, ReceivedViews};
use gs_engine::schema::Schema;
use gs_engine::snapshot::Codec;
use gs_protocol::{VERSION, encode_player_input, topic, wire};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[allow(dead_code, reason = "the room's own tests use the rest")]
#[path = "../src/room/tests/game.rs"]
mod game;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PLAYERS: usize = 10;
const WARM_UP: u32 = 600;
const TICKS: u32 = 600;
/// Where the players' clocks start: they take as many bytes on the wire at the end as at the start, or
/// packets, and the buffers that they are written to, would grow while allocations are counted.
const CLOCK_MS: u32 = 1 << 16;

/// One test, so that no other thread allocates meanwhile.
#[test]
fn no_tick_allocates_once_a_match_has_run_for_a_while() {
    for (mode, hidden) in [
        (AuthorityMode::Full, false),
        (AuthorityMode::Full, true),
        (AuthorityMode::Validated, false),
        (AuthorityMode::Observer, false),
    ] {
        let allocations = allocations(mode, hidden);
        assert_eq!(
            allocations, 0,
            "in {TICKS} ticks of {mode} (hidden: {hidden})"
        );
    }
}

/// How often a room allocates in [`TICKS`] ticks after [`WARM_UP`], from the packets that come to
/// those that go.
fn allocations(mode: AuthorityMode, hidden: bool) -> usize {
    let game = game::Game::new(hidden, Arc::default()).take_substitutes();
    let schema = Schema::new(gs_engine::Simulation::manifest(&game)).unwrap();
    let identities: Vec<String> = (0..PLAYERS).map(|slot| format!("player-{slot}")).collect();
    let players = identities.iter().map(|identity| RoomPlayer {
        identity: identity.clone(),
        username: identity.clone(),
        team: None,
    });
    let config = RoomConfig {
        match_id: "m1".to_owned(),
        game: game::Game::NAME.to_owned(),
        mode,
        module_sha256: "00".repeat(32),
        manifest: "{}".into(),
        epoch: 1,
        seed: 1,
        options: r#"{"entities": 40}"#.to_owned(),
        players: players.map(Some).collect(),
        backfill: true,
        unix_ms: 0,
        patience: Patience::default(),
    };
    let mut now = Instant::now();
    let mut room = Room::new(config, game, now).unwrap();
    let mut client = Client {
        schema,
        views: ReceivedViews::new(),
        held: 0,
    };
    let mut packets: Vec<Vec<u8>> = vec![Vec::new(); PLAYERS];
    let (mut warming_up, mut allocated) = (0, 0);
    for n in 0..WARM_UP + TICKS {
        // What players do allocates, and is theirs.
        for (slot, packet) in packets.iter_mut().enumerate() {
            encode_player_input(&client.input(mode, n, slot), packet).unwrap();
        }
        let mut sent = Vec::with_capacity(PLAYERS * 4);
        let mut bytes = Vec::with_capacity(PLAYERS * 1_000);

        let region = Region::new(ALLOCATOR);
        for (identity, packet) in identities.iter().zip(&packets) {
            room.handle_packet(identity, topic::INPUT, packet, now);
        }
        now += Duration::from_secs(1) / 60;
        room.tick(now);
        while let Some(packet) = room.poll_transmit() {
            if packet.topic == topic::STATE && sent.len() < sent.capacity() {
                let start = bytes.len();
                bytes.extend_from_slice(packet.payload);
                sent.push(start..bytes.len());
            }
        }
        while room.poll_event().is_some() {}
        let change = region.change();
        let count = change.allocations + change.reallocations;
        if n < WARM_UP {
            warming_up += count;
        } else {
            allocated += count;
        }
        for range in sent {
            client.take(&bytes[range]);
        }
    }
    assert!(room.game_tick() > TICKS && warming_up > 0);
    if mode == AuthorityMode::Full {
        assert!(client.views.newest().is_some(), "deltas were read");
    }
    allocated
}

/// All the players, who receive the same.
struct Client {
    schema: Schema,
    views: ReceivedViews,
    held: u32,
}

impl Client {
    fn input(&self, mode: AuthorityMode, n: u32, slot: usize) -> wire::PlayerInput {
        let x = ((n + slot as u32) % 11) as f32 / 11.0;
        let frame = wire::InputFrame {
            tick: n + 1,
            data: x.to_le_bytes().to_vec(),
        };
        let (ack_tick, ack_bits) = match mode {
            AuthorityMode::Full => self.views.ack(),
            AuthorityMode::Validated | AuthorityMode::Observer => (self.held, 0),
        };
        wire::PlayerInput {
            version: VERSION,
            frames: vec![frame],
            ack_tick,
            ack_bits,
            view_tick: n * 256,
            sent_ms: CLOCK_MS + n * 16,
        }
    }

    fn take(&mut self, payload: &[u8]) {
        let update = gs_protocol::decode_state_update(payload).unwrap();
        match update.body {
            Some(wire::state_update::Body::Delta(delta)) => {
                let codec = match delta.codec() {
                    wire::Codec::Ranged => Codec::Ranged,
                    _ => Codec::Packed,
                };
                let packet = Packet {
                    baseline_age: delta.baseline,
                    older_age: delta.older,
                    codec,
                    data: &delta.data,
                    whole: delta.whole,
                };
                let tick = update.tick - delta.age;
                self.views.apply(&self.schema, tick, &packet).unwrap();
            }
            // Nothing is lost here, so the newest is held with all before it.
            Some(wire::state_update::Body::Confirmed(_)) => self.held = update.tick - 1,
            _ => {}
        }
    }
}
