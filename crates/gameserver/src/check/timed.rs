//! Takes the time of a simulation's calls.

use std::time::{Duration, Instant};

use gs_engine::simulation::{Effects, MatchConfig, NetState, SimulationError, TickLog, Verdict};
use gs_engine::{Manifest, Simulation, Slot};

/// A simulation, and how long its calls took.
pub(super) struct Timed<S> {
    simulation: S,
    times: Times,
}

/// How long calls took.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) step: Vec<Duration>,
    pub(super) save: Vec<Duration>,
    pub(super) load: Vec<Duration>,
    pub(super) net_state: Vec<Duration>,
}

/// Percentiles of how long a call took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percentiles {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) most: Duration,
}

impl Percentiles {
    /// Of no calls all are zero.
    pub(super) fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = sorted.len().saturating_sub(1) * percent / 100;
            sorted.get(index).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p99: at(99),
            most: at(100),
        }
    }
}

impl<S> Timed<S> {
    pub(super) fn new(simulation: S) -> Self {
        Self {
            simulation,
            times: Times::default(),
        }
    }

    pub(super) fn into_times(self) -> Times {
        self.times
    }
}

fn timed<T>(times: &mut Vec<Duration>, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = call();
    times.push(start.elapsed());
    answer
}

impl<S: Simulation> Simulation for Timed<S> {
    fn manifest(&self) -> &Manifest {
        self.simulation.manifest()
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        self.simulation.init(seed, config)
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        timed(&mut self.times.step, || self.simulation.step(log, effects))
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        self.simulation.check(slot, input)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        timed(&mut self.times.save, || self.simulation.save(out))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        timed(&mut self.times.load, || self.simulation.load(state))
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        timed(&mut self.times.net_state, || {
            self.simulation.net_state(viewer, out)
        })
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        self.simulation.load_view(viewer, view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<Duration> = (0..=100).rev().map(Duration::from_micros).collect();
        let found = Percentiles::of(&times);
        assert_eq!(
            [found.p50, found.p99, found.most].map(|time| time.as_micros()),
            [50, 99, 100]
        );
        assert_eq!(Percentiles::of(&[]).most, Duration::ZERO);
    }
}
