//! Confirmed ticks on the wire: what every client needs to step a tick exactly as the server did.
//!
//! A packet holds one or more ticks in a row. The first is written against a slot at rest, each
//! later one against the one before it, so a packet can be read whatever was lost, and repeating
//! ticks whose inputs stand still costs almost nothing. Everything is range-coded by models that
//! start afresh with each packet ([`crate::range_coder`]).
//!
//! View ticks do not travel: where ticks are confirmed, everybody looks at the tick itself
//! ([`view_tick`]).

mod model;

use crate::abi::MAX_HAPPENINGS;
use crate::input_buffer::TICK;
use crate::range_coder::{BitCoder, Decoder, Encoder};
use crate::schema::{FieldError, Schema};
use crate::simulation::{HappeningKind, InputStatus, SlotInput, Tick, TickFraction, TickLog};
use model::{Model, Writing};

/// A tick that never changes any more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfirmedTick {
    /// All that its step depends on.
    pub log: TickLog,
    /// [`state_hash`] of the state after it, with each tick that [`HASH_EVERY`] divides.
    pub hash: Option<u64>,
}

impl ConfirmedTick {
    /// Becomes equal to `other`, using its own memory again.
    pub fn copy_from(&mut self, other: &Self) {
        copy_log(&other.log, &mut self.log);
        self.hash = other.hash;
    }
}

/// The hash by which two runs of a match compare their canonical states: xxh3-64. Not for use
/// against an adversary.
pub fn state_hash(state: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(state)
}

/// What a player looks at while a tick is simulated that will be confirmed: the tick itself.
pub fn view_tick(tick: Tick) -> TickFraction {
    tick.saturating_mul(TICK)
}

/// Writes confirmed ticks. Keeps its memory between packets.
#[derive(Debug, Default)]
pub struct ConfirmedEncoder {
    model: Model,
    scratch: ConfirmedTick,
}

impl ConfirmedEncoder {
    /// Writes as many of `ticks`, which follow one another, as fit `max_bytes`, and answers how
    /// many those are: at most [`MAX_TICKS`], at least one unless there is none. `out` is cleared
    /// first. A tick of a [`Pipeline`](crate::Pipeline) always fits [`MAX_TICK_BYTES`].
    ///
    /// # Errors
    /// [`EncodeError`] where not even the first tick fits, or the ticks are not what a pipeline
    /// confirms.
    pub fn encode<'a>(
        &mut self,
        schema: &Schema,
        ticks: impl Iterator<Item = &'a ConfirmedTick> + Clone,
        max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        out.clear();
        let ticks = ticks.take(MAX_TICKS);
        let Some(first) = ticks.clone().next() else {
            return Ok(0);
        };
        let slots = first.log.inputs.len();
        let mut expected = first.log.tick;
        for tick in ticks.clone() {
            check(schema, &tick.log, expected, slots)?;
            expected = expected.wrapping_add(1);
        }
        let mut count = ticks.clone().count();
        let mut writing = Writing::Modelled;
        loop {
            out.clear();
            let written = self.write(schema, ticks.clone().take(count), writing, max_bytes, out);
            if written == count {
                return Ok(count);
            }
            if written == 0 && writing == Writing::Plain {
                return Err(EncodeError::TooLarge {
                    tick: first.log.tick,
                    max: max_bytes,
                });
            }
            // Bytes that no model foresees can take more than they have: those are written plainly.
            (count, writing) = match written {
                0 => (1, Writing::Plain),
                _ => (written, Writing::Modelled),
            };
        }
    }

    /// Writes the ticks until one does not fit, and answers how many did.
    fn write<'a>(
        &mut self,
        schema: &Schema,
        ticks: impl Iterator<Item = &'a ConfirmedTick> + Clone,
        writing: Writing,
        max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut encoder = Encoder::new(out);
        let count = ticks.clone().count() as u32;
        encoder.code_raw(count, COUNT_BITS);
        writing.code(&mut encoder);
        let mut written = 0;
        for tick in ticks {
            if written == 0 {
                self.model.reset(schema, tick.log.inputs.len());
            }
            self.scratch.copy_from(tick);
            let loud = self.model.is_loud(&tick.log);
            self.model
                .code(&mut encoder, writing, &mut self.scratch, loud);
            if encoder.len() > max_bytes {
                return written;
            }
            written += 1;
        }
        encoder.finish();
        written
    }
}

/// Reads confirmed ticks. Keeps its memory between packets.
#[derive(Debug, Default)]
pub struct ConfirmedDecoder {
    model: Model,
    ticks: Vec<ConfirmedTick>,
}

impl ConfirmedDecoder {
    /// Reads what [`ConfirmedEncoder::encode`] wrote for a match of `slots` slots, from any bytes
    /// at all. Every input and command it answers satisfies the schema.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that no encoder wrote, or that break the schema.
    pub fn decode(
        &mut self,
        schema: &Schema,
        slots: u8,
        first_tick: Tick,
        data: &[u8],
    ) -> Result<&[ConfirmedTick], DecodeError> {
        let mut decoder = Decoder::new(data);
        let count = decoder.code_raw(0, COUNT_BITS);
        if data.is_empty() || count == 0 {
            return Err(DecodeError::Empty);
        }
        if first_tick == 0 || first_tick.checked_add(count).is_none() {
            return Err(DecodeError::FirstTick { first_tick, count });
        }
        let writing = Writing::read(&mut decoder);
        self.model.reset(schema, slots.into());
        let count = count as usize;
        if self.ticks.len() < count {
            self.ticks.resize_with(count, ConfirmedTick::default);
        }
        for (index, tick) in self.ticks[..count].iter_mut().enumerate() {
            tick.log.tick = first_tick + index as u32;
            self.model.code(&mut decoder, writing, tick, false);
            if decoder.is_past_end() {
                return Err(DecodeError::Cut);
            }
            self.model.check(schema, &tick.log)?;
        }
        if decoder.is_at_end() {
            Ok(&self.ticks[..count])
        } else {
            Err(DecodeError::Trailing)
        }
    }
}

/// Most bytes that a tick takes at worst, beside what its happenings take
/// ([`happening_bytes`]).
pub(crate) fn tick_bytes(schema: &Schema, slots: usize) -> usize {
    PLAIN_HEAD_BYTES + slots * (1 + schema.input_len())
}

/// Most bytes that a happening takes.
pub(crate) fn happening_bytes(kind: &HappeningKind) -> usize {
    match kind {
        HappeningKind::Join { .. } | HappeningKind::Leave => 3,
        HappeningKind::Command(data) => 4 + data.len(),
    }
}

/// Makes `to` equal to `from`, using its memory again.
pub(crate) fn copy_log(from: &TickLog, to: &mut TickLog) {
    to.tick = from.tick;
    to.happenings.clear();
    to.happenings.extend_from_slice(&from.happenings);
    to.inputs.resize_with(from.inputs.len(), SlotInput::default);
    for (from, to) in from.inputs.iter().zip(&mut to.inputs) {
        copy_input(from, to);
    }
}

/// Makes `to` equal to `from`, using its memory again.
#[inline]
pub(crate) fn copy_input(from: &SlotInput, to: &mut SlotInput) {
    to.status = from.status;
    to.view_tick = from.view_tick;
    set_data(&mut to.data, &from.data);
}

/// Makes `to` equal to `from`, which mostly has the same length.
#[inline]
pub(crate) fn set_data(to: &mut Vec<u8>, from: &[u8]) {
    if to.len() == from.len() {
        to.copy_from_slice(from);
    } else {
        to.clear();
        to.extend_from_slice(from);
    }
}

/// Holds a tick against what can be written.
fn check(schema: &Schema, log: &TickLog, expected: Tick, slots: usize) -> Result<(), EncodeError> {
    let tick = log.tick;
    if tick != expected || tick == 0 {
        return Err(EncodeError::Order {
            found: tick,
            expected,
        });
    }
    let whole = log.inputs.iter().all(|input| match input.status {
        InputStatus::Absent => input.data.is_empty() && input.view_tick == 0,
        _ => input.data.len() == schema.input_len() && input.view_tick == view_tick(tick),
    });
    if !whole || log.inputs.len() != slots || log.happenings.len() > MAX_HAPPENINGS {
        return Err(EncodeError::Log { tick });
    }
    Ok(())
}

/// Why confirmed ticks cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The ticks do not follow one another.
    #[error("tick {found}, expected {expected}: confirmed ticks are written in a row")]
    Order {
        /// The tick.
        found: Tick,
        /// The one that was to come.
        expected: Tick,
    },
    /// The log is none that a pipeline with a late window makes.
    #[error("the log of tick {tick} is none of a tick that was confirmed")]
    Log {
        /// The tick.
        tick: Tick,
    },
    /// Not even one tick fits.
    #[error("tick {tick} does not fit {max} bytes; give it {MAX_TICK_BYTES}")]
    TooLarge {
        /// The tick.
        tick: Tick,
        /// How many bytes there were.
        max: usize,
    },
}

/// Why bytes are no confirmed ticks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// There is not one tick in them.
    #[error("confirmed ticks: there are none")]
    Empty,
    /// There are no such ticks.
    #[error(
        "confirmed ticks: {count} from tick {first_tick}, expected within 1 to {}",
        Tick::MAX
    )]
    FirstTick {
        /// The first.
        first_tick: Tick,
        /// How many.
        count: u32,
    },
    /// The bytes end before the ticks do.
    #[error("confirmed ticks: the bytes are cut off")]
    Cut,
    /// The bytes go on behind the last tick.
    #[error("confirmed ticks: there are bytes behind the last tick")]
    Trailing,
    /// More happened in a tick than a packet can carry.
    #[error("tick {tick}: more happenings than {MAX_HAPPENINGS} or {MAX_TICK_BYTES} bytes of them")]
    Happenings {
        /// The tick.
        tick: Tick,
    },
    /// A slot that the match does not have.
    #[error("tick {tick}: slot {slot}, expected one below {slots}")]
    Slot {
        /// The tick.
        tick: Tick,
        /// The slot.
        slot: u8,
        /// How many the match has.
        slots: usize,
    },
    /// An input against the schema.
    #[error("tick {tick}: input of slot {slot}: {error}")]
    Input {
        /// The tick.
        tick: Tick,
        /// The slot.
        slot: usize,
        /// What is wrong with it.
        error: FieldError,
    },
    /// A command against the schema.
    #[error("tick {tick}: command of slot {slot}: {error}")]
    Command {
        /// The tick.
        tick: Tick,
        /// The slot.
        slot: u8,
        /// What is wrong with it.
        error: FieldError,
    },
}

/// Each how many ticks a state hash is taken: twice a second at 60 ticks, which bounds how long two
/// runs can differ unnoticed.
pub const HASH_EVERY: u32 = 30;
/// Most ticks in a packet: two seconds at 60 ticks, more than anyone who is not lost lacks.
pub const MAX_TICKS: usize = (1 << COUNT_BITS) - 1;
/// Bytes that any one tick of a pipeline fits: a reliable payload of 16 KiB less its envelope.
pub const MAX_TICK_BYTES: usize = 15 << 10;

/// Bits of the number of ticks.
const COUNT_BITS: u32 = 7;
/// What a plain tick takes without slots and happenings: counts, flags, a hash, and what a coder
/// flushes at its end.
const PLAIN_HEAD_BYTES: usize = 24;
