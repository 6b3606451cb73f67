//! `validated`: the confirmed ticks as they come, the simulation ahead of them, and what is drawn.

use std::time::Duration;

use gs_engine::schema::Schema;
use gs_engine::simulation::SimulationError;
use gs_engine::{Simulation, Slot, Tick};
use gs_protocol::wire;

use super::{Client, Follow, Game, PlaybackClock, View};
use crate::keyframes::{Keyframes, Unfit};
use crate::stats::Stats;

/// What is confirmed, and what is guessed beyond it.
#[derive(Debug)]
pub(super) struct Validated {
    keyframes: Keyframes,
}

impl Validated {
    pub(super) fn new(_schema: &Schema, _slots: u8, _slot: Option<Slot>) -> Self {
        Self {
            keyframes: Keyframes::default(),
        }
    }
    pub(super) fn handle_connected(&mut self) {
        self.keyframes.clear();
    }
    pub(super) fn forget_inputs(&mut self) {}
    pub(super) fn handle_input(&mut self, _tick: Tick, _packed: &[u8]) {}
    pub(super) fn held(&self) -> Tick {
        0
    }
    pub(super) fn confirmed(&self) -> Tick {
        0
    }
    pub(super) fn is_lost(&self, _now: Duration, _has_module: bool) -> bool {
        false
    }
    pub(super) fn mismatch(&self) -> Option<(Tick, u64)> {
        None
    }
    pub(super) fn simulate<S: Simulation>(
        &mut self,
        _game: &Game,
        _simulation: &mut S,
        _target: Option<Tick>,
        _playback: &mut PlaybackClock,
        _now: Duration,
        _stats: &mut Stats,
    ) -> Result<(), SimulationError> {
        Ok(())
    }
    pub(super) fn draw(
        &mut self,
        _game: &Game,
        _playback: &mut PlaybackClock,
        _own_tick: f64,
        _now: Duration,
        _view: &mut View,
    ) -> Option<Tick> {
        None
    }
}

impl<S: Simulation> Client<S> {
    pub(super) fn handle_confirmed(&mut self, _confirmed: &wire::Confirmed) {}

    pub(super) fn handle_keyframe(&mut self, chunk: wire::KeyframeChunk) {
        let (Some(game), Follow::Validated(validated)) = (&self.game, &mut self.follow) else {
            self.stats.counters.stale += 1;
            return;
        };
        let max = game.manifest.max_save_bytes;
        match validated.keyframes.handle(chunk, max, |_| 0) {
            Ok(_) => {}
            Err(Unfit::Stale) => self.stats.counters.stale += 1,
            Err(Unfit::Malformed) => self.stats.counters.malformed += 1,
        }
    }
    pub(super) fn tell_effects(&mut self) {}
}
