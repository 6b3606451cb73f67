//! A module that is not deterministic.

use gs_engine::manifest::Manifest;
use gs_engine::simulation::{Effects, MatchConfig, NetState, SimulationError, TickLog, Verdict};
use gs_engine::{Simulation, Slot, Tick};

/// A game that comes to another state than everyone else at some ticks: a bit of its saved state
/// is flipped after them.
pub struct Faulty<S> {
    inner: S,
    at: fn(Tick) -> bool,
    saved: Vec<u8>,
}

impl<S: Simulation> Faulty<S> {
    /// Wraps a game; `at` says after which ticks a bit is flipped.
    pub fn new(inner: S, at: fn(Tick) -> bool) -> Self {
        Self {
            inner,
            at,
            saved: Vec::new(),
        }
    }

    /// Flips the first bit, from the middle of the state on, that leaves one that loads.
    fn flip(&mut self) -> Result<(), SimulationError> {
        let mut saved = std::mem::take(&mut self.saved);
        self.inner.save(&mut saved)?;
        let whole = saved.clone();
        for index in saved.len() / 2..saved.len() {
            saved[index] ^= FLIPPED;
            if self.inner.load(&saved).is_ok() {
                break;
            }
            saved[index] ^= FLIPPED;
            self.inner.load(&whole)?;
        }
        self.saved = saved;
        Ok(())
    }
}

impl<S: Simulation> Simulation for Faulty<S> {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        self.inner.init(seed, config)
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        self.inner.step(log, effects)?;
        if (self.at)(log.tick) {
            self.flip()?;
        }
        Ok(())
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        self.inner.check(slot, input)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        self.inner.save(out)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        self.inner.load(state)
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        self.inner.net_state(viewer, out)
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        self.inner.load_view(viewer, view)
    }
}

/// A bit in the middle of a byte: in a float's second byte it moves something by a little.
const FLIPPED: u8 = 0x10;
