//! `replication`: what it costs to tell a hundred viewers of a hundred entities in each tick.
//!
//! Every viewer sees others of the entities and has acknowledged another tick. The peer is
//! `bevy_replicon` with the same scene (`benches/peers/replication`), in turns with ours.

mod scene;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use gs_engine::manifest::{
    Audience, EntityKind, Interpolate, LeaderboardRule, Manifest, NetField, NetFieldKind, Predict,
};
use gs_engine::replication::{Applied, Packet, ReceivedViews, Recipients, Replicator};
use gs_engine::schema::Schema;
use gs_engine::simulation::{Entity, NetState, Slot};
use gs_engine::snapshot::{Codec, MAX_SNAPSHOT_BYTES};
use serde_json::{Value, json};

use self::scene::Scene;
use crate::report::{Latencies, Report};

/// Runs it beside the program `replicon`.
pub(crate) fn run(quick: bool, replicon: &Path) -> anyhow::Result<Report> {
    let (rounds, ticks) = if quick { (2, 600) } else { (5, 1500) };
    let schema = Schema::new(&manifest())?;
    let (mut own, mut shared) = (Cost::default(), Cost::default());
    let mut peers = Vec::new();
    for round in 0..rounds {
        own_views(&schema, ticks, round, &mut own)?;
        peers.push(peer(replicon, ticks, round)?);
        shared_view(&schema, ticks, round, &mut shared)?;
    }
    let mut report = Report::new("replication", "bevy_replicon");
    report.metrics = json!({
        "update_us": own.median_us(), "bytes_per_entity": own.bytes_per_entity(),
        "broadcast_update_us": shared.median_us(),
        "broadcast_bytes_per_entity": shared.bytes_per_entity(),
        "broadcast_packets_per_update": shared.packets as f64 / shared.updates as f64,
    });
    let mean = |key: &str| {
        let figures = peers.iter().filter_map(|peer| peer[key].as_f64());
        figures.sum::<f64>() / peers.len() as f64
    };
    let (peer_us, peer_bytes) = (mean("update_us"), mean("bytes_per_entity"));
    report.peer_metrics(json!({ "update_us": peer_us, "bytes_per_entity": peer_bytes }));
    report.lines = vec![
        own.times.line("a tick, each viewer sees its own"),
        shared.times.line("a tick, everyone sees the same"),
        format!(
            "{:.2} bytes an entity for each viewer that sees it, {:.2} where all see the same",
            own.bytes_per_entity(),
            shared.bytes_per_entity()
        ),
        format!("bevy_replicon: {peer_us:.0} µs and {peer_bytes:.2} bytes an entity"),
    ];
    Ok(report)
}

/// What was measured of one way to do it.
#[derive(Default)]
struct Cost {
    times: Latencies,
    updates: u64,
    packets: u64,
    bytes: u64,
    /// Entities that the packets are about.
    entities: u64,
}

impl Cost {
    fn median_us(&self) -> f64 {
        self.times.quantiles_ns()[0] as f64 / 1e3
    }

    fn bytes_per_entity(&self) -> f64 {
        self.bytes as f64 / self.entities as f64
    }
}

/// A packet that is kept, as one that waits for its socket.
#[derive(Clone, Default)]
struct Sent {
    ages: [u32; 2],
    codec: Option<Codec>,
    data: Vec<u8>,
    whole: bool,
}

impl Sent {
    fn keep(&mut self, packet: &Packet<'_>) {
        self.ages = [packet.baseline_age, packet.older_age];
        self.codec = Some(packet.codec);
        self.data.clear();
        self.data.extend_from_slice(packet.data);
        self.whole = packet.whole;
    }

    fn packet(&self) -> Packet<'_> {
        Packet {
            baseline_age: self.ages[0],
            older_age: self.ages[1],
            codec: self.codec.unwrap_or(Codec::Packed),
            data: &self.data,
            whole: self.whole,
        }
    }
}

/// Every viewer has its own view.
fn own_views(schema: &Schema, ticks: u32, seed: u64, cost: &mut Cost) -> anyhow::Result<()> {
    let mut scene = Scene::new(ENTITIES, seed);
    let mut replicator = Replicator::new(VIEWERS, MAX_SNAPSHOT_BYTES);
    let mut states = vec![NetState::default(); VIEWERS];
    let mut views = vec![ReceivedViews::new(); VIEWERS];
    let mut sent = vec![Sent::default(); VIEWERS];
    for tick in 1..=WARM_UP + ticks {
        scene.step();
        for (viewer, state) in states.iter_mut().enumerate() {
            see(&scene, Some(viewer), state);
        }
        let acks: Vec<_> = (0..VIEWERS)
            .map(|viewer| acknowledged(viewer, tick))
            .collect();
        let began = Instant::now();
        for (viewer, (state, sent)) in states.iter().zip(&mut sent).enumerate() {
            let slot = viewer as Slot;
            replicator.handle_ack(slot, acks[viewer].0, acks[viewer].1);
            sent.keep(&replicator.encode(schema, tick, slot, state)?);
        }
        let spent = began.elapsed();
        for (viewer, sent) in sent.iter().enumerate() {
            ensure!(sent.whole, "{} bytes are not enough", sent.data.len());
            if !Scene::is_lost(viewer, tick) {
                let applied = views[viewer].apply(schema, tick, &sent.packet())?;
                ensure!(applied == Applied::New, "tick {tick}: {applied:?}");
                ensure!(views[viewer].view_at(tick) == Some(&states[viewer]));
            }
        }
        if tick > WARM_UP {
            cost.times.add(Some(spent));
            cost.updates += 1;
            cost.packets += VIEWERS as u64;
            cost.bytes += sent.iter().map(|sent| sent.data.len() as u64).sum::<u64>();
            let entities: usize = states.iter().map(|state| state.entities.len()).sum();
            cost.entities += entities as u64;
        }
    }
    Ok(())
}

/// Everyone sees the same. A packet for many is counted once, and so are its entities.
fn shared_view(schema: &Schema, ticks: u32, seed: u64, cost: &mut Cost) -> anyhow::Result<()> {
    let mut scene = Scene::new(ENTITIES, seed);
    let mut replicator = Replicator::new(VIEWERS, MAX_SNAPSHOT_BYTES);
    let slots: Vec<Slot> = (0..VIEWERS as Slot).collect();
    let mut state = NetState::default();
    let mut views = vec![ReceivedViews::new(); VIEWERS];
    for tick in 1..=WARM_UP + ticks {
        scene.step();
        see(&scene, None, &mut state);
        let acks: Vec<_> = (0..VIEWERS)
            .map(|viewer| acknowledged(viewer, tick))
            .collect();
        let began = Instant::now();
        for (slot, ack) in acks.iter().enumerate() {
            replicator.handle_ack(slot as Slot, ack.0, ack.1);
        }
        let broadcast = replicator.broadcast(schema, tick, &state, &slots)?;
        let spent = began.elapsed();
        let (mut packets, mut bytes) = (0, 0);
        for (recipients, packet) in broadcast.packets() {
            packets += 1;
            bytes += packet.data.len() as u64;
            let to = match recipients {
                Recipients::Everyone => &slots,
                Recipients::Slots(slots) => slots,
            };
            for slot in to.iter().map(|slot| usize::from(*slot)) {
                if !Scene::is_lost(slot, tick) {
                    let applied = views[slot].apply(schema, tick, &packet)?;
                    ensure!(applied == Applied::New, "tick {tick}: {applied:?}");
                    ensure!(views[slot].view_at(tick) == Some(&state));
                }
            }
        }
        if tick > WARM_UP {
            cost.times.add(Some(spent));
            cost.updates += 1;
            cost.packets += packets;
            cost.bytes += bytes;
            cost.entities += packets * state.entities.len() as u64;
        }
    }
    Ok(())
}

/// What a viewer sees; none: everything.
fn see(scene: &Scene, viewer: Option<usize>, state: &mut NetState) {
    state.clear();
    for (figure, pose) in scene.poses().enumerate() {
        if viewer.is_some_and(|viewer| !scene.sees(viewer, figure)) {
            continue;
        }
        state.entities.push(Entity {
            id: figure as u32,
            kind: 0,
            owner: None,
            priority: 0.0,
            first_column: state.columns.len() as u32,
            column_count: 4,
        });
        let columns = [pose.x, pose.y, pose.heading.into(), pose.health.into()];
        state.columns.extend_from_slice(&columns);
    }
}

/// What the server knows of a viewer when it writes a tick.
fn acknowledged(viewer: usize, tick: u32) -> (u32, u32) {
    let known = tick.saturating_sub(Scene::delay(viewer));
    let came = |tick: &u32| *tick > 0 && !Scene::is_lost(viewer, *tick);
    let Some(newest) = (1..=known).rev().take(32).find(came) else {
        return (0, 0);
    };
    let bits = (0..32).filter(|n| newest.checked_sub(1 + n).is_some_and(|tick| came(&tick)));
    (newest, bits.map(|n| 1 << n).sum())
}

/// One round of the peer.
fn peer(program: &Path, ticks: u32, seed: u64) -> anyhow::Result<Value> {
    let arguments = [ENTITIES as u64, VIEWERS as u64, ticks.into(), seed];
    let output = Command::new(program)
        .args(arguments.map(|argument| argument.to_string()))
        .output()
        .with_context(|| format!("{}: `cargo xtask bench` builds it", program.display()))?;
    ensure!(
        output.status.success(),
        "the peer failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("the peer printed no JSON")
}

fn manifest() -> Manifest {
    let field = |name: &str, kind| NetField {
        name: name.into(),
        kind,
        interpolate: Interpolate::Linear,
        predict: Predict::None,
        audience: Audience::All,
    };
    let place = NetFieldKind::Int {
        min: 0,
        max: 65_535,
    };
    Manifest {
        name: "walkers".into(),
        version: "1.0.0".into(),
        title: "Walkers".into(),
        tick_rate: 60,
        min_players: 1,
        max_players: 64,
        teams: 0,
        hidden_state: true,
        backfill: false,
        late_window_ms: 0,
        max_save_bytes: 1024,
        leaderboard: LeaderboardRule::None,
        input: Vec::new(),
        commands: Vec::new(),
        events: Vec::new(),
        entities: vec![EntityKind {
            name: "walker".into(),
            fields: vec![
                field("x", place),
                field("y", place),
                field("heading", NetFieldKind::Angle { bits: 10 }),
                field("health", NetFieldKind::Int { min: 0, max: 100 }),
            ],
        }],
    }
}

const ENTITIES: usize = 100;
const VIEWERS: usize = 100;
/// Two seconds, in which buffers grow to their size and everyone has acknowledged something.
const WARM_UP: u32 = 120;
