//! `tick`: what one tick of a room costs the processor, and what it allocates, with no network.
//!
//! A room of Arena with ten players who move and shoot, each with an input packet a tick, from the
//! packets to the payloads that would be sent. Beside it, the game's step alone, linked natively.

use std::time::{Duration, Instant};

use gs_authority::Patience;
use gs_authority::room::{Room, RoomConfig, RoomPlayer};
use gs_engine::simulation::{MatchConfig, NetState};
use gs_engine::{AuthorityMode, Simulation};
use gs_protocol::{VERSION, topic, wire};
use gs_sandbox::GameModule;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::report::{Latencies, Report};

/// Runs it.
pub(crate) fn run(quick: bool, module: &GameModule) -> anyhow::Result<Report> {
    let ticks = if quick { 3_000 } else { 20_000 };
    let mut room = room(module)?;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut now = Instant::now();
    let (mut times, mut packets, mut bytes) = (Latencies::default(), 0, 0);
    let mut region = Region::new(ALLOCATOR);
    for n in 0..WARM_UP + ticks {
        let inputs: Vec<Vec<u8>> = (0..PLAYERS).map(|_| input(n, &mut random)).collect();
        if n == WARM_UP {
            // The bench's own inputs are made outside, and taken off below.
            (times, packets, bytes) = (Latencies::default(), 0, 0);
            region.reset();
        }
        let began = Instant::now();
        for (player, input) in inputs.iter().enumerate() {
            room.handle_packet(&identity(player), topic::INPUT, input, now);
        }
        now += TICK;
        room.tick(now);
        while let Some(sent) = room.poll_transmit() {
            packets += 1;
            bytes += sent.payload.len();
        }
        while room.poll_event().is_some() {}
        times.add(Some(began.elapsed()));
    }
    let allocated = region.change();
    let own = inputs_alone(ticks, &mut random);
    let per_tick = |count: usize, own: usize| count.saturating_sub(own) as f64 / ticks as f64;
    let step = view_alone(module, ticks)?;

    let [p50, p99, p999] = times.quantiles_ns();
    let mut report = Report::new("tick", "saving the same match's state and its view, alone");
    report.metrics = json!({
        "tick_p50_ns": p50, "tick_p99_ns": p99, "tick_p999_ns": p999,
        "allocations_per_tick": per_tick(allocated.allocations, own.0),
        "allocated_bytes_per_tick": per_tick(allocated.bytes_allocated, own.1),
        "packets_per_tick": f64::from(packets) / ticks as f64,
        "sent_bytes_per_tick": bytes as f64 / ticks as f64,
    });
    let [view_p50, view_p99, _] = step.quantiles_ns();
    report.peer_metrics(json!({ "view_p50_ns": view_p50, "view_p99_ns": view_p99 }));
    report.lines = vec![
        times.line("a room's tick, ten players"),
        step.line("its net state alone"),
        format!(
            "{:.1} allocations and {:.0} bytes a tick for {:.1} packets of {:.0} bytes",
            per_tick(allocated.allocations, own.0),
            per_tick(allocated.bytes_allocated, own.1),
            f64::from(packets) / ticks as f64,
            bytes as f64 / f64::from(packets.max(1)),
        ),
    ];
    Ok(report)
}

fn room(module: &GameModule) -> anyhow::Result<Room<gs_sandbox::ModuleInstance>> {
    let player = |index| RoomPlayer {
        identity: identity(index),
        username: format!("player{index}"),
        team: None,
    };
    let config = RoomConfig {
        match_id: "bench".to_owned(),
        game: "arena".to_owned(),
        mode: AuthorityMode::Full,
        module_sha256: module.sha256().to_owned(),
        manifest: module.manifest_json().into(),
        epoch: 1,
        seed: SEED,
        options: OPTIONS.to_owned(),
        players: (0..PLAYERS).map(player).map(Some).collect(),
        backfill: false,
        unix_ms: 0,
        patience: Patience::default(),
    };
    Ok(Room::new(config, module.instantiate()?, Instant::now())?)
}

fn identity(player: usize) -> String {
    format!("00000000-0000-0000-0000-{player:012}")
}

fn input(tick: u32, random: &mut StdRng) -> Vec<u8> {
    let mut data = Vec::with_capacity(14);
    for limit in [1.0f32, 1.0, 3.1] {
        data.extend_from_slice(&random.random_range(-limit..limit).to_le_bytes());
    }
    data.extend_from_slice(&[u8::from(random.random_bool(0.5)), 0]);
    let frames = vec![wire::InputFrame {
        tick: tick + 1,
        data,
    }];
    let input = wire::PlayerInput {
        version: VERSION,
        frames,
        ack_tick: tick,
        ..Default::default()
    };
    let mut packet = Vec::new();
    gs_protocol::encode_player_input(&input, &mut packet).expect("one frame is within every limit");
    packet
}

/// What making the inputs and naming their senders allocates: calls and bytes.
fn inputs_alone(ticks: u32, random: &mut StdRng) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    for n in 0..ticks {
        let inputs: Vec<Vec<u8>> = (0..PLAYERS).map(|_| input(n, random)).collect();
        std::hint::black_box(&inputs);
        for player in 0..PLAYERS {
            std::hint::black_box(identity(player));
        }
    }
    let change = region.change();
    (change.allocations, change.bytes_allocated)
}

/// The game's net state, without a room around it.
fn view_alone(module: &GameModule, ticks: u32) -> anyhow::Result<Latencies> {
    let mut game = module.instantiate()?;
    let config = MatchConfig {
        players: PLAYERS as u8,
        teams: 0,
        options: OPTIONS.to_owned(),
    };
    game.init(SEED, &config)?;
    let (mut view, mut times) = (NetState::default(), Latencies::default());
    for _ in 0..ticks {
        let began = Instant::now();
        game.net_state(None, &mut view)?;
        times.add(Some(began.elapsed()));
    }
    Ok(times)
}

const PLAYERS: usize = 10;
const OPTIONS: &str = r#"{"match_seconds": 3600, "score_limit": 255}"#;
/// Ten seconds, in which buffers grow to their size.
const WARM_UP: u32 = 600;
const TICK: Duration = Duration::from_nanos(16_666_667);
const SEED: u64 = 1;
