//! The player's own inputs, on their way to the server and for prediction.

use std::collections::VecDeque;

use gs_engine::Tick;
use gs_engine::simulation::TickFraction;
use gs_protocol::{limits, wire};

use super::Shown;

/// The last inputs that were given, by tick.
#[derive(Debug, Default)]
pub(super) struct OwnInputs {
    /// Ascending by tick, at most [`MAX_INPUTS`].
    inputs: VecDeque<OwnInput>,
    /// Memory of inputs that are no longer kept.
    spare: Vec<Vec<u8>>,
    /// The newest that the server has used.
    used: Tick,
    unsent: bool,
}

#[derive(Debug)]
struct OwnInput {
    tick: Tick,
    view_tick: TickFraction,
    data: Vec<u8>,
}

impl OwnInputs {
    /// Keeps an input; says whether it is new.
    pub(super) fn insert(&mut self, tick: Tick, packed: &[u8], view_tick: TickFraction) -> bool {
        if tick == 0 || self.inputs.back().is_some_and(|last| last.tick >= tick) {
            return false;
        }
        if self.inputs.len() == MAX_INPUTS {
            self.spare.extend(self.inputs.pop_front().map(|i| i.data));
        }
        let mut data = self.spare.pop().unwrap_or_default();
        data.clear();
        data.extend_from_slice(packed);
        self.inputs.push_back(OwnInput {
            tick,
            view_tick,
            data,
        });
        self.unsent = true;
        true
    }

    /// Forgets all: none of it is to be sent or predicted with any more.
    pub(super) fn clear(&mut self) {
        self.spare
            .extend(self.inputs.drain(..).map(|input| input.data));
        self.unsent = false;
    }

    /// The server is another one, or has started over.
    pub(super) fn reset(&mut self) {
        self.clear();
        self.used = 0;
    }

    /// The server has used the frame of `tick`, or has gone on without it: it and those before it
    /// need not travel again.
    pub(super) fn handle_used(&mut self, tick: Tick) {
        self.used = self.used.max(tick);
    }

    pub(super) fn unsent(&self) -> bool {
        self.unsent
    }

    pub(super) fn sent(&mut self) {
        self.unsent = false;
    }

    /// The input of a tick, with what the player looked at.
    pub(super) fn get(&self, tick: Tick) -> Option<(&[u8], TickFraction)> {
        let at = self.inputs.binary_search_by_key(&tick, |i| i.tick).ok()?;
        let input = &self.inputs[at];
        Some((&input.data, input.view_tick))
    }

    /// The last input before a tick, and of which tick it was.
    pub(super) fn before(&self, tick: Tick) -> Option<(&[u8], Tick)> {
        let at = self.inputs.partition_point(|input| input.tick < tick);
        let input = self.inputs.get(at.checked_sub(1)?)?;
        Some((&input.data, input.tick))
    }

    /// The inputs of later ticks, ascending.
    pub(super) fn after(&self, tick: Tick) -> impl Iterator<Item = (Tick, &[u8])> {
        let later = self.inputs.iter().filter(move |input| input.tick > tick);
        later.map(|input| (input.tick, input.data.as_slice()))
    }

    /// Writes the frames of the next packet: the newest, and as many before it, down to `first`,
    /// that the server has not used as fit. What was in `frames` is memory to be used again;
    /// `spare` takes the rest.
    pub(super) fn frames(
        &self,
        first: Tick,
        frames: &mut Vec<wire::InputFrame>,
        spare: &mut Vec<wire::InputFrame>,
    ) {
        let mut left = limits::INPUT_BYTES - ENVELOPE_BYTES;
        let mut count = 0;
        let waiting = self.inputs.iter().rev();
        for input in waiting
            .take_while(|input| input.tick > self.used)
            .take(limits::INPUT_FRAMES)
        {
            if input.tick < first && count >= LEAST_FRAMES {
                break;
            }
            let Some(rest) = left.checked_sub(input.data.len() + FRAME_OVERHEAD_BYTES) else {
                break;
            };
            left = rest;
            count += 1;
        }
        while frames.len() > count {
            spare.extend(frames.pop());
        }
        while frames.len() < count {
            frames.push(spare.pop().unwrap_or_default());
        }
        let first = self.inputs.len() - count;
        for (frame, input) in frames.iter_mut().zip(self.inputs.range(first..)) {
            frame.tick = input.tick;
            frame.data.clear();
            frame.data.extend_from_slice(&input.data);
        }
    }
}

impl Shown {
    pub(super) fn handle_input(&mut self, tick: Tick, frames: u64) {
        if self.waiting.len() == MAX_INPUTS {
            self.waiting.pop_front();
        }
        self.waiting.push_back((tick, frames));
    }

    /// A frame was drawn that has all inputs up to `tick` in it; `frames` were drawn before it.
    /// Answers how many inputs show now, and how many frames went by without them.
    pub(super) fn handle_frame(&mut self, tick: Tick, frames: u64) -> (u64, u64) {
        let (mut inputs, mut waited) = (0, 0);
        while let Some((_, given)) = self.waiting.pop_front_if(|(input, _)| *input <= tick) {
            inputs += 1;
            waited += frames - given;
        }
        (inputs, waited)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// However late they seem to be: the estimate of the server's time may be off.
const LEAST_FRAMES: usize = 4;
/// A second at the highest tick rate: no round trip on which one can play is longer.
const MAX_INPUTS: usize = 128;
/// Version, acknowledgements, view and time of a packet, with their tags.
const ENVELOPE_BYTES: usize = 32;
/// Tags, lengths and a five-byte tick of a frame.
const FRAME_OVERHEAD_BYTES: usize = 11;
