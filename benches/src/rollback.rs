//! `rollback`: what taking back and stepping again costs.
//!
//! First the session alone, with a game that only adds its inputs up: each frame a confirmed tick
//! of eight ticks ago differs from the guess in every other player's input, so a state is loaded,
//! eight ticks are guessed anew, stepped and saved, and a ninth is new. Beside it `ggrs`, whose
//! sync test does the same with inputs that are known. Then a physics game of 901 bodies as a
//! module, under the sandbox: how long the picture stands still for a rollback of eight ticks. And
//! what a packet of confirmed ticks takes. All times are the processor's: a clock on the wall would
//! tell more of what else the machine does.

mod confirmed;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use cpu_time::ThreadTime;
use gs_engine::Simulation;
use gs_engine::confirmed::{ConfirmedTick, view_tick};
use gs_engine::manifest::{Field, FieldKind, LeaderboardRule, Manifest};
use gs_engine::rollback::{Session, Simulator, save_interval};
use gs_engine::simulation::{
    Effects, InputStatus, MatchConfig, NetState, SimulationError, Slot, SlotInput, Tick, TickLog,
    Verdict,
};
use gs_sandbox::{Limits, ModuleInstance, Sandbox};
use serde_json::{Map, Value, json};

use crate::report::{Latencies, Report};

/// Runs it. `peer` is the program that measures ggrs, `cubes` the physics game's module.
pub(crate) fn run(quick: bool, peer: &Path, cubes: &Path) -> anyhow::Result<Report> {
    let (rounds, frames) = if quick { (5, 4_000) } else { (15, 20_000) };
    let mut report = Report::new("rollback", "ggrs");
    let (mut metrics, mut peers) = (Map::new(), Map::new());
    for players in PLAYERS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(session_alone(players, frames)?);
            theirs.push(ggrs(peer, players, frames)?);
        }
        let (ours, theirs) = (least(&ours), least(&theirs));
        report.lines.push(format!(
            "{players:3} players: {ours:7.1} ns a tick stepped again, ggrs {theirs:7.1} ns ({:.2} of it)",
            ours / theirs
        ));
        metrics.insert(format!("ns_per_tick_{players}"), json!(tenths(ours)));
        peers.insert(format!("ns_per_tick_{players}"), json!(tenths(theirs)));
    }
    confirmed::measure(&Adding::new(16).manifest, &mut metrics, &mut report.lines)?;
    let cubes = physics(cubes, if quick { 300 } else { 1_500 })?;
    let [p50, p99, _] = cubes.rollbacks.quantiles_ns().map(|ns| ns as f64 / 1e6);
    report.lines.push(format!(
        "901 bodies: a rollback of 8 ticks p50 {p50:.2} ms, p99 {p99:.2} ms; {:.2} ticks stepped and \
         {:.2} states saved in one, of {:.2} MB; {:.0} bodies awake",
        cubes.steps, cubes.saves, cubes.bytes as f64 / 1e6, cubes.awake
    ));
    report.lines.push(format!(
        "  a step {:.3} ms, a save {:.3} ms, a load {:.3} ms; states saved each {} ticks",
        ms(cubes.step),
        ms(cubes.save),
        ms(cubes.load),
        cubes.interval
    ));
    metrics.insert("cubes_901_8_ticks_ms".into(), json!(p50));
    metrics.insert("cubes_901_8_ticks_p99_ms".into(), json!(p99));
    metrics.insert("cubes_901_step_ms".into(), json!(ms(cubes.step)));
    metrics.insert("cubes_901_save_ms".into(), json!(ms(cubes.save)));
    metrics.insert("cubes_901_load_ms".into(), json!(ms(cubes.load)));
    metrics.insert("cubes_901_save_bytes".into(), json!(cubes.bytes));
    metrics.insert("cubes_901_awake".into(), json!(tenths(cubes.awake)));
    report.metrics = Value::Object(metrics);
    report.peer_metrics(Value::Object(peers));
    Ok(report)
}

/// Nanoseconds a tick that is stepped again, everything else that a frame takes included.
fn session_alone(players: u8, frames: u32) -> anyhow::Result<f64> {
    let session = Session::new(players, Some(0), INPUT_LEN, 24);
    let mut client = Simulator::new(Adding::new(players), session);
    let mut confirmed = ConfirmedTick::default();
    let empty = || SlotInput {
        data: vec![0; INPUT_LEN],
        ..SlotInput::default()
    };
    confirmed.log.inputs.resize_with(players.into(), empty);
    let (mut began, mut before) = (ThreadTime::now(), 0);
    for frame in 1..=frames + WARM_UP {
        if frame == WARM_UP {
            (began, before) = (ThreadTime::now(), client.session().counters().resimulated);
        }
        client.handle_input(frame, &frame.to_le_bytes());
        if frame > DEPTH {
            let tick = frame - DEPTH;
            confirmed.log.tick = tick;
            for (slot, input) in confirmed.log.inputs.iter_mut().enumerate() {
                input.status = InputStatus::Fresh;
                input.view_tick = view_tick(tick);
                let value = tick + slot as u32;
                input.data.copy_from_slice(&value.to_le_bytes());
            }
            client.handle_confirmed(&confirmed)?;
        }
        client.advance(frame)?;
    }
    let spent = began.elapsed();
    let again = client.session().counters().resimulated - before;
    ensure!(
        again >= u64::from(DEPTH * (frames - 1)),
        "each frame takes {DEPTH} ticks back, but only {again} were in all"
    );
    std::hint::black_box(client.simulation().sum);
    Ok(spent.as_nanos() as f64 / again as f64)
}

/// What the peer says of the same.
fn ggrs(peer: &Path, players: u8, frames: u32) -> anyhow::Result<f64> {
    let mut command = Command::new(peer);
    let output = command
        .args([players.to_string(), frames.to_string()])
        .output()
        .with_context(|| format!("cannot run {}", peer.display()))?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            peer.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let ns = answer["ns_per_tick"].as_f64();
    ns.context("the peer did not say `ns_per_tick`")
}

struct Physics {
    rollbacks: Latencies,
    /// Per rollback.
    steps: f64,
    saves: f64,
    bytes: usize,
    awake: f64,
    interval: u32,
    step: Duration,
    save: Duration,
    load: Duration,
}

fn physics(module: &Path, frames: u32) -> anyhow::Result<Physics> {
    let bytes = std::fs::read(module).with_context(|| format!("{}", module.display()))?;
    let module = Sandbox::new(Limits::default())?.compile(bytes)?;
    let config = MatchConfig {
        players: 2,
        teams: 0,
        options: "{}".into(),
    };
    let mut game = module.instantiate()?;
    game.init(1, &config)?;
    let (step, save, load, bytes) = costs(&mut game)?;
    game.init(1, &config)?;

    let interval = save_interval(save, step);
    let mut client = Simulator::new(Counting::new(game), Session::new(2, None, 3, 24));
    client.set_save_interval(interval);
    let (mut rollbacks, mut view, mut awake) = (Latencies::default(), NetState::default(), 0.0);
    for frame in 1..=frames + SETTLE {
        // The frame's own tick, which is no part of a rollback.
        client.advance(frame)?;
        if frame < DEPTH {
            continue;
        }
        if frame == SETTLE {
            (rollbacks, awake) = (Latencies::default(), 0.0);
            client.simulation().forget();
        }
        client.handle_confirmed(&driven(frame + 1 - DEPTH))?;
        let began = ThreadTime::now();
        client.advance(frame)?;
        rollbacks.add(Some(began.elapsed()));
        client.simulation().net_state(None, &mut view)?;
        awake += f64::from(view.columns[3]);
    }
    // The first tick of the settling is the one that was forgotten in.
    let count = f64::from(frames + 1);
    let (steps, saves) = client.simulation().counts();
    // One of the steps and at most one of the saves in each frame belong to its own tick.
    Ok(Physics {
        rollbacks,
        steps: f64::from(steps) / count - 1.0,
        saves: f64::from(saves) / count,
        bytes,
        awake: awake / count,
        interval,
        step,
        save,
        load,
    })
}

/// What one step, save and load take in the midst of play, and how large the state is then.
fn costs(game: &mut ModuleInstance) -> anyhow::Result<(Duration, Duration, Duration, usize)> {
    let (mut effects, mut state) = (Effects::default(), Vec::new());
    let (mut step, mut save, mut load) = (Vec::new(), Vec::new(), Vec::new());
    for tick in 1..=SETTLE {
        let began = ThreadTime::now();
        game.step(&driven(tick).log, &mut effects)?;
        step.push(began.elapsed());
        let began = ThreadTime::now();
        game.save(&mut state)?;
        save.push(began.elapsed());
        let began = ThreadTime::now();
        game.load(&state)?;
        load.push(began.elapsed());
    }
    let middle = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    Ok((middle(step), middle(save), middle(load), state.len()))
}

/// What was confirmed for a tick of the physics game: two players who drive one cube about, each
/// turning with every tick, so that no guess ever holds.
fn driven(tick: Tick) -> ConfirmedTick {
    let input = |turn: f32| {
        let angle = tick as f32 * turn;
        let axis = |value: f32| (value * 100.0) as i8 as u8;
        SlotInput {
            status: InputStatus::Fresh,
            view_tick: view_tick(tick),
            data: vec![
                axis(angle.cos()),
                axis(angle.sin()),
                u8::from(tick / 120 % 2 == 1),
            ],
        }
    };
    let log = TickLog {
        tick,
        happenings: Vec::new(),
        inputs: vec![input(0.021), input(-0.013)],
    };
    ConfirmedTick { log, hash: None }
}

/// A game that adds its inputs up: it costs next to nothing.
struct Adding {
    manifest: Manifest,
    sum: u32,
}

impl Adding {
    fn new(players: u8) -> Self {
        let value = FieldKind::U32 {
            min: 0,
            max: u32::MAX,
        };
        let manifest = Manifest {
            name: "adding".into(),
            version: "1".into(),
            title: "Adding".into(),
            tick_rate: 60,
            min_players: 1,
            max_players: players,
            teams: 0,
            hidden_state: false,
            backfill: false,
            late_window_ms: 100,
            max_save_bytes: 4,
            leaderboard: LeaderboardRule::None,
            input: vec![Field {
                name: "value".into(),
                kind: value,
            }],
            commands: vec![],
            events: vec![],
            entities: vec![],
        };
        Self { manifest, sum: 0 }
    }
}

impl Simulation for Adding {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, _: u64, _: &MatchConfig) -> Result<(), SimulationError> {
        self.sum = 0;
        Ok(())
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        effects.clear();
        for input in &log.inputs {
            if let Some(value) = input.data.first_chunk() {
                self.sum = self.sum.wrapping_add(u32::from_le_bytes(*value));
            }
        }
        Ok(())
    }

    fn check(&mut self, _: Slot, _: &[u8]) -> Result<Verdict, SimulationError> {
        Ok(Verdict::Accept)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        out.clear();
        out.extend_from_slice(&self.sum.to_le_bytes());
        Ok(())
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        let bytes = state.first_chunk().ok_or(SimulationError::Refused {
            call: "gs_load",
            code: -1,
        })?;
        self.sum = u32::from_le_bytes(*bytes);
        Ok(())
    }

    fn net_state(&mut self, _: Option<Slot>, out: &mut NetState) -> Result<(), SimulationError> {
        out.clear();
        Ok(())
    }

    fn load_view(&mut self, _: Option<Slot>, _: &NetState) -> Result<(), SimulationError> {
        Ok(())
    }
}

/// Counts what a session asks for.
struct Counting {
    game: ModuleInstance,
    steps: u32,
    saves: u32,
}

impl Counting {
    fn new(game: ModuleInstance) -> Self {
        Self {
            game,
            steps: 0,
            saves: 0,
        }
    }

    fn forget(&mut self) {
        (self.steps, self.saves) = (0, 0);
    }

    fn counts(&self) -> (u32, u32) {
        (self.steps, self.saves)
    }
}

impl Simulation for Counting {
    fn manifest(&self) -> &Manifest {
        self.game.manifest()
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        self.game.init(seed, config)
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        self.steps += 1;
        self.game.step(log, effects)
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        self.game.check(slot, input)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        self.saves += 1;
        self.game.save(out)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        self.game.load(state)
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        self.game.net_state(viewer, out)
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        self.game.load_view(viewer, view)
    }
}

/// The least of several rounds: whatever else the machine does only adds to it.
fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

fn tenths(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

const PLAYERS: [u8; 4] = [2, 8, 32, 100];
const INPUT_LEN: usize = 4;
/// Ticks that are taken back each time.
const DEPTH: u32 = 8;
const WARM_UP: u32 = 200;
/// Frames until the cubes have settled, and buffers have grown to their size.
const SETTLE: u32 = 240;
