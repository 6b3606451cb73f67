//! What the pipeline keeps for each slot.

use crate::input_buffer::{InputBuffer, InputCounters, LateFrames};
use crate::simulation::{Slot, Tick};

/// Whether a slot takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has not joined yet.
    Expected,
    /// It takes part; a player who is silent for a while still does.
    Present,
    /// It has left; where the manifest says `backfill`, another player may join in its place.
    Gone,
}

/// What is known of a slot's inputs, so that its client can pace itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// The slot.
    pub slot: Slot,
    /// Whether it takes part.
    pub presence: Presence,
    /// The newest input frame that was used; 0 for none.
    pub input_tick: Tick,
    /// How early the newest frame arrived before the clock came to its tick, in 1/256 ticks;
    /// negative: late.
    pub margin: i32,
    /// What became of its frames.
    pub counters: InputCounters,
}

pub(super) struct SlotState {
    pub(super) presence: Presence,
    pub(super) inputs: InputBuffer,
    /// Commands that no tick has taken yet.
    pub(super) commands: usize,
    /// Their bytes.
    pub(super) command_bytes: usize,
}

impl SlotState {
    pub(super) fn new(input_len: usize, late_frames: LateFrames) -> Self {
        Self {
            presence: Presence::Expected,
            inputs: InputBuffer::new(input_len, late_frames),
            commands: 0,
            command_bytes: 0,
        }
    }

    pub(super) fn status(&self, slot: Slot) -> SlotStatus {
        SlotStatus {
            slot,
            presence: self.presence,
            input_tick: self.inputs.newest_used(),
            margin: self.inputs.margin(),
            counters: self.inputs.counters(),
        }
    }
}
