//! What a pipeline that confirms ticks keeps of them.

use crate::confirmed::{ConfirmedTick, copy_log, state_hash};
use crate::simulation::{Simulation, SimulationError, Tick, TickLog};

/// A canonical state that clients can start from, or go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyframe<'a> {
    /// The tick after which it is; 0 for the match's start.
    pub tick: Tick,
    /// Its [`state_hash`].
    pub hash: u64,
    /// What the game saved.
    pub state: &'a [u8],
}

/// The last ticks, and the last two states.
#[derive(Default)]
pub(super) struct History {
    /// Each tick at its number modulo [`KEPT_TICKS`].
    ticks: Vec<ConfirmedTick>,
    /// The newer one first.
    keyframes: [Option<State>; 2],
}

struct State {
    tick: Tick,
    hash: u64,
    bytes: Vec<u8>,
}

impl History {
    /// Keeps what a tick ran on.
    pub(super) fn push(&mut self, log: &TickLog, hash: Option<u64>) {
        if self.ticks.is_empty() {
            self.ticks.resize_with(KEPT_TICKS, ConfirmedTick::default);
        }
        let place = &mut self.ticks[log.tick as usize % KEPT_TICKS];
        copy_log(log, &mut place.log);
        place.hash = hash;
    }

    /// A tick that is kept still.
    pub(super) fn get(&self, tick: Tick) -> Option<&ConfirmedTick> {
        let kept = self.ticks.get(tick as usize % KEPT_TICKS)?;
        (kept.log.tick == tick && tick != 0).then_some(kept)
    }

    /// Keeps the state after a tick, and answers its hash.
    pub(super) fn keep_state(
        &mut self,
        tick: Tick,
        simulation: &mut impl Simulation,
    ) -> Result<u64, SimulationError> {
        self.keyframes.swap(0, 1);
        let state = self.keyframes[0].get_or_insert_with(|| State {
            tick,
            hash: 0,
            bytes: Vec::new(),
        });
        simulation.save(&mut state.bytes)?;
        (state.tick, state.hash) = (tick, state_hash(&state.bytes));
        Ok(state.hash)
    }

    pub(super) fn newest_keyframe(&self) -> Option<Keyframe<'_>> {
        self.keyframes[0].as_ref().map(State::keyframe)
    }

    pub(super) fn keyframe_at(&self, tick: Tick) -> Option<Keyframe<'_>> {
        let mut kept = self.keyframes.iter().flatten();
        kept.find(|state| state.tick == tick).map(State::keyframe)
    }
}

impl State {
    fn keyframe(&self) -> Keyframe<'_> {
        Keyframe {
            tick: self.tick,
            hash: self.hash,
            state: &self.bytes,
        }
    }
}

/// How many confirmed ticks are kept: whoever starts from the older of two keyframes (up to 60
/// ticks back) has three seconds at 60 ticks a second to receive it.
pub const KEPT_TICKS: usize = 256;
