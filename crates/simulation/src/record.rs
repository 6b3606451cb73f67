//! What simulations came to, to be compared.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gs_engine::confirmed::state_hash;
use gs_engine::manifest::Manifest;
use gs_engine::simulation::{
    Effects, GameEvent, InputStatus, MatchConfig, NetState, SimulationError, TickLog, Verdict,
};
use gs_engine::{Simulation, Slot, Tick};

use crate::games::Game;

/// What one simulation came to, shared with the simulation that writes it.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Recorded>>);

/// What a [`Recorder`] writes down.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The hash of the state after the last time that a tick was run, by tick; 0: unknown.
    hashes: Vec<u64>,
    /// What a tick told players, where it was run last.
    pub events: Vec<(Tick, Vec<GameEvent>)>,
    /// By viewer, which entities it could see after each of the last [`VISIBLE_TICKS`] ticks for
    /// which its net state was taken.
    pub visible: Vec<VecDeque<(Tick, Vec<u32>)>>,
    /// By slot, how many ticks used a new input of its, and how many its last one again.
    pub inputs: Vec<(u64, u64)>,
    /// How many ticks were run, those that were run again included.
    pub steps: u64,
    tick: Tick,
}

impl Recorded {
    /// The hash of the state after a tick, where it is known.
    pub fn hash(&self, tick: Tick) -> Option<u64> {
        let hash = self.hashes.get(tick as usize).copied();
        hash.filter(|hash| *hash != 0)
    }

    fn note_inputs(&mut self, log: &TickLog) {
        for (counts, input) in self.inputs.iter_mut().zip(&log.inputs) {
            match input.status {
                InputStatus::Absent => {}
                InputStatus::Fresh => counts.0 += 1,
                InputStatus::Repeated => counts.1 += 1,
            }
        }
    }

    fn put(&mut self, tick: Tick, hash: u64) {
        let index = tick as usize;
        if self.hashes.len() <= index {
            self.hashes.resize(index + 1, 0);
        }
        self.hashes[index] = hash;
    }
}

impl Record {
    /// What was written so far.
    pub fn read(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two seconds at 60 Hz: nothing older may still be drawn.
pub const VISIBLE_TICKS: usize = 120;

/// How much a [`Recorder`] writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// How often it was stepped.
    Steps,
    /// The state's hash after each step as well, taken where it is saved anyway: saving is what
    /// costs.
    Hashes,
    /// The hash after each step, events, inputs, and what viewers see.
    Everything,
}

/// A game that writes down what it comes to.
pub struct Recorder {
    inner: Game,
    record: Record,
    detail: Detail,
    saved: Vec<u8>,
}

impl Recorder {
    /// Wraps a game.
    pub fn new(inner: Game, record: Record, detail: Detail) -> Self {
        Self {
            inner,
            record,
            detail,
            saved: Vec::new(),
        }
    }
}

impl Recorder {
    /// Whoever catches up saves not every tick that it runs.
    fn note_unsaved(&mut self) -> Result<(), SimulationError> {
        let mut recorded = self.record.read();
        let tick = recorded.tick;
        if self.detail == Detail::Hashes && tick > 0 && recorded.hash(tick).is_none() {
            self.inner.save(&mut self.saved)?;
            recorded.put(tick, state_hash(&self.saved).max(1));
        }
        Ok(())
    }
}

impl Simulation for Recorder {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        let slots = usize::from(config.players);
        let mut recorded = self.record.read();
        recorded.visible = vec![VecDeque::new(); slots];
        recorded.inputs = vec![(0, 0); slots];
        self.inner.init(seed, config)
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        self.note_unsaved()?;
        self.inner.step(log, effects)?;
        let mut recorded = self.record.read();
        recorded.steps += 1;
        recorded.tick = log.tick;
        if self.detail == Detail::Hashes {
            // What it came to before counts no more.
            recorded.put(log.tick, 0);
        }
        if self.detail == Detail::Everything {
            self.inner.save(&mut self.saved)?;
            recorded.put(log.tick, state_hash(&self.saved).max(1));
            recorded.note_inputs(log);
            if !effects.events.is_empty() {
                recorded.events.push((log.tick, effects.events.clone()));
            }
        }
        Ok(())
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        self.inner.check(slot, input)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        self.inner.save(out)?;
        if self.detail == Detail::Hashes {
            let mut recorded = self.record.read();
            let tick = recorded.tick;
            recorded.put(tick, state_hash(out).max(1));
        }
        Ok(())
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        // Which tick's it is, nobody says here.
        self.record.read().tick = 0;
        self.inner.load(state)
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        self.inner.net_state(viewer, out)?;
        if let (Detail::Everything, Some(viewer)) = (self.detail, viewer) {
            let mut recorded = self.record.read();
            let tick = recorded.tick;
            let ids = out.entities.iter().map(|entity| entity.id).collect();
            let seen = &mut recorded.visible[usize::from(viewer)];
            seen.push_back((tick, ids));
            if seen.len() > VISIBLE_TICKS {
                seen.pop_front();
            }
        }
        Ok(())
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        self.inner.load_view(viewer, view)
    }
}
