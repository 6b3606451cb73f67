//! What a packet of confirmed ticks foresees of the next bit.
//!
//! One function codes a tick in both directions ([`Model::code`]): an encoder takes the values from
//! the tick and they come back unchanged, a decoder puts those that it finds there.

use super::{ConfirmedTick, DecodeError, HASH_EVERY, MAX_TICK_BYTES, happening_bytes, view_tick};
use crate::abi::{MAX_HAPPENINGS, MAX_MESSAGE_BYTES};
use crate::manifest::{Field, FieldKind};
use crate::range_coder::{Bit, BitCoder, BitTree, Signed, Unsigned};
use crate::schema::Schema;
use crate::simulation::{Happening, HappeningKind, InputStatus, TickLog};

/// Whether models are used for what travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// As always.
    Modelled,
    /// Each value in its own bits: never longer than a known bound.
    Plain,
}

impl Writing {
    pub(super) fn code(self, coder: &mut impl BitCoder) {
        coder.code(self == Self::Plain, RARE.into());
    }

    pub(super) fn read(coder: &mut impl BitCoder) -> Self {
        if coder.code(false, RARE.into()) {
            Self::Plain
        } else {
            Self::Modelled
        }
    }
}

/// The models of one packet, and what its last tick held.
#[derive(Debug, Default)]
pub(super) struct Model {
    input_len: usize,
    layout: Vec<FieldPlace>,
    bits: FlagModels,
    fields: Vec<FieldModel>,
    happenings: Box<HappeningModels>,
    /// Whether `happenings` are not as they start, which takes a while to mend.
    happenings_used: bool,
    was_loud: usize,
    slots: Vec<SlotMemory>,
    /// The last input of each slot, one after another.
    inputs: Vec<u8>,
    /// Before that, each field's value before it last changed.
    earlier: Vec<u32>,
}

impl Model {
    /// Forgets everything: the start of a packet.
    pub(super) fn reset(&mut self, schema: &Schema, slots: usize) {
        let fields = schema.input_fields();
        self.input_len = schema.input_len();
        self.layout.clear();
        let mut start = 0;
        for field in fields {
            self.layout.push(FieldPlace::new(field, start));
            start += field.kind.most_bytes();
        }
        self.bits = FlagModels::default();
        self.fields.clear();
        self.fields.resize_with(fields.len(), FieldModel::default);
        if self.happenings_used {
            *self.happenings = HappeningModels::default();
            self.happenings_used = false;
        }
        self.was_loud = 0;
        self.slots.clear();
        self.slots.resize(slots, SlotMemory::default());
        self.inputs.clear();
        self.inputs.resize(slots * self.input_len, 0);
        self.earlier.clear();
        self.earlier.resize(slots * fields.len(), 0);
    }

    /// Whether a tick says more than that everything stays as it was.
    pub(super) fn is_loud(&self, log: &TickLog) -> bool {
        !log.happenings.is_empty()
            || log.inputs.iter().enumerate().any(|(slot, input)| {
                input.status != self.slots[slot].status
                    || (input.status != InputStatus::Absent
                        && input.data != self.inputs[slot * self.input_len..][..self.input_len])
            })
    }

    /// Codes a tick whose number is known. `loud` and the tick's contents matter to an encoder
    /// only.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        writing: Writing,
        tick: &mut ConfirmedTick,
        loud: bool,
    ) {
        let due = usize::from(tick.log.tick.is_multiple_of(HASH_EVERY));
        let hash = tick.hash.unwrap_or_default();
        tick.hash = self.bits.hash[due]
            .code(coder, tick.hash.is_some())
            .then(|| {
                let high = coder.code_raw((hash >> 32) as u32, 32);
                let low = coder.code_raw(hash as u32, 32);
                u64::from(high) << 32 | u64::from(low)
            });
        let log = &mut tick.log;
        if writing == Writing::Plain {
            return self.code_plain(coder, log);
        }
        let loud = self.bits.loud[self.was_loud].code(coder, loud);
        self.was_loud = loud.into();
        log.inputs.resize_with(self.slots.len(), Default::default);
        if loud {
            self.code_happenings(coder, log);
            for slot in 0..self.slots.len() {
                self.code_slot(coder, log, slot);
            }
            return;
        }
        log.happenings.clear();
        for slot in 0..self.slots.len() {
            self.slots[slot].changes <<= 1;
            self.fill(log, slot);
        }
    }

    /// What a slot's memory holds becomes its input.
    fn fill(&self, log: &mut TickLog, slot: usize) {
        let input = &mut log.inputs[slot];
        input.status = self.slots[slot].status;
        if input.status == InputStatus::Absent {
            input.view_tick = 0;
            input.data.clear();
            return;
        }
        input.view_tick = view_tick(log.tick);
        let data = &self.inputs[slot * self.input_len..][..self.input_len];
        super::set_data(&mut input.data, data);
    }

    fn code_slot<C: BitCoder>(&mut self, coder: &mut C, log: &mut TickLog, slot: usize) {
        let status = log.inputs[slot].status;
        let memory = &mut self.slots[slot];
        memory.status =
            self.bits.statuses[memory.status as usize].code(coder, status, memory.status);
        if memory.status == InputStatus::Absent {
            memory.changes <<= 1;
            return self.fill(log, slot);
        }
        let (from, len) = (slot * self.input_len, self.input_len);
        let history = match memory.started {
            true => usize::from(memory.changes & 3),
            false => FIRST,
        };
        let history =
            history + CHANGE_HISTORIES * usize::from(memory.status == InputStatus::Repeated);
        let data = &mut log.inputs[slot].data;
        let differs = data.len() == len && **data != self.inputs[from..][..len];
        let changed = self.bits.changed[history].code(coder, differs);
        memory.changes = memory.changes << 1 | u8::from(changed);
        memory.started = true;
        if changed {
            memory.checked = false;
            data.resize(len, 0);
            for (index, place) in self.layout.iter().enumerate() {
                let model = &mut self.fields[index];
                let before = usize::from(memory.changed_fields >> index & 1 != 0);
                let kept = &mut self.inputs[from..][..len];
                let differs = place.read(data) != place.read(kept);
                let changed = model.changed[before].code(coder, differs);
                memory.changed_fields &= !(1 << index);
                memory.changed_fields |= u32::from(changed) << index;
                if changed {
                    let earlier = &mut self.earlier[slot * self.layout.len() + index];
                    model.code(coder, *place, data, kept, earlier);
                }
            }
        }
        self.fill(log, slot);
    }

    /// Codes what happened; what is more than a tick can carry is not read on, since a few bytes
    /// could go on for ever, and [`check`](Self::check) refuses it.
    fn code_happenings<C: BitCoder>(&mut self, coder: &mut C, log: &mut TickLog) {
        let count = log.happenings.len();
        if !self.bits.happened.code(coder, count != 0) {
            log.happenings.clear();
            return;
        }
        self.happenings_used = true;
        let models = &mut self.happenings;
        let count = models.count.code(coder, count as u32) as usize;
        resize(&mut log.happenings, count);
        let mut bytes = 0;
        for index in 0..log.happenings.len() {
            let happening = &mut log.happenings[index];
            let kind = models.kind.code(coder, kind_number(&happening.kind));
            happening.slot = coder.code_raw(happening.slot.into(), SLOT_BITS) as u8;
            code_kind(coder, kind, &mut happening.kind, Some(models));
            bytes += happening_bytes(&happening.kind);
            if bytes > MAX_TICK_BYTES {
                return log.happenings.truncate(index + 1);
            }
        }
    }

    fn code_plain<C: BitCoder>(&mut self, coder: &mut C, log: &mut TickLog) {
        let count = coder.code_raw(log.happenings.len() as u32, 16) as usize;
        resize(&mut log.happenings, count);
        let mut bytes = 0;
        for index in 0..log.happenings.len() {
            let happening = &mut log.happenings[index];
            let kind = coder.code_raw(kind_number(&happening.kind), KIND_BITS);
            happening.slot = coder.code_raw(happening.slot.into(), SLOT_BITS) as u8;
            code_kind(coder, kind, &mut happening.kind, None);
            bytes += happening_bytes(&happening.kind);
            if bytes > MAX_TICK_BYTES {
                log.happenings.truncate(index + 1);
                break;
            }
        }
        log.inputs.resize_with(self.slots.len(), Default::default);
        for slot in 0..self.slots.len() {
            let memory = &mut self.slots[slot];
            let input = &mut log.inputs[slot];
            memory.status = status_of(coder.code_raw(input.status as u32, 2));
            memory.checked = false;
            if memory.status != InputStatus::Absent {
                input.data.resize(self.input_len, 0);
                let kept = &mut self.inputs[slot * self.input_len..][..self.input_len];
                for (byte, kept) in input.data.iter().zip(kept) {
                    *kept = coder.code_raw((*byte).into(), 8) as u8;
                }
            }
            self.fill(log, slot);
        }
    }

    /// Holds a tick that was read against the schema. What has not changed since it was checked is
    /// not checked again.
    pub(super) fn check(&mut self, schema: &Schema, log: &TickLog) -> Result<(), DecodeError> {
        let tick = log.tick;
        let mut bytes = 0;
        for happening in &log.happenings {
            let (slot, slots) = (happening.slot, self.slots.len());
            if usize::from(slot) >= slots {
                return Err(DecodeError::Slot { tick, slot, slots });
            }
            if let HappeningKind::Command(data) = &happening.kind {
                schema
                    .validate_command(data)
                    .map_err(|error| DecodeError::Command { tick, slot, error })?;
            }
            bytes += happening_bytes(&happening.kind);
        }
        if log.happenings.len() > MAX_HAPPENINGS || bytes > MAX_TICK_BYTES {
            return Err(DecodeError::Happenings { tick });
        }
        for (slot, (memory, input)) in self.slots.iter_mut().zip(&log.inputs).enumerate() {
            if input.status != InputStatus::Absent && !memory.checked {
                schema
                    .validate_input(&input.data)
                    .map_err(|error| DecodeError::Input { tick, slot, error })?;
                memory.checked = true;
            }
        }
        Ok(())
    }
}

/// Gives a list of happenings its length; one more than is allowed stands for any number beyond.
fn resize(happenings: &mut Vec<Happening>, count: usize) {
    happenings.resize_with(count.min(MAX_HAPPENINGS + 1), || Happening {
        slot: 0,
        kind: HappeningKind::Leave,
    });
}

fn kind_number(kind: &HappeningKind) -> u32 {
    match kind {
        HappeningKind::Join { .. } => 0,
        HappeningKind::Leave => 1,
        HappeningKind::Command(_) => 2,
    }
}

/// Codes what follows the number of a kind. An unknown kind is read as leaving: the bytes are not
/// an encoder's, and what follows is as arbitrary.
fn code_kind<C: BitCoder>(
    coder: &mut C,
    number: u32,
    kind: &mut HappeningKind,
    models: Option<&mut HappeningModels>,
) {
    match number {
        0 => {
            let team = match kind {
                HappeningKind::Join { team } => *team,
                _ => 0,
            };
            let team = coder.code_raw(team.into(), 8) as u8;
            *kind = HappeningKind::Join { team };
        }
        2 => {
            let mut data = match std::mem::replace(kind, HappeningKind::Leave) {
                HappeningKind::Command(data) => data,
                _ => Vec::new(),
            };
            let len = data.len() as u32;
            match models {
                Some(models) => {
                    let len = models.len.code(coder, len) as usize;
                    data.resize(len.min(MAX_MESSAGE_BYTES), 0);
                    for byte in &mut data {
                        *byte = models.byte.code(coder, (*byte).into()) as u8;
                    }
                }
                None => {
                    let len = coder.code_raw(len, 16) as usize;
                    data.resize(len.min(MAX_MESSAGE_BYTES), 0);
                    for byte in &mut data {
                        *byte = coder.code_raw((*byte).into(), 8) as u8;
                    }
                }
            }
            *kind = HappeningKind::Command(data);
        }
        _ => *kind = HappeningKind::Leave,
    }
}

fn status_of(number: u32) -> InputStatus {
    match number {
        0 => InputStatus::Absent,
        1 => InputStatus::Repeated,
        _ => InputStatus::Fresh,
    }
}

/// What is remembered of a slot within a packet. At its start a slot sends zeros.
#[derive(Clone, Debug)]
struct SlotMemory {
    status: InputStatus,
    /// Whether the input changed, a bit a tick, the newest lowest.
    changes: u8,
    /// Which fields changed when the input last did, a bit a field.
    changed_fields: u32,
    /// Whether an input of it was coded in this packet.
    started: bool,
    /// Whether its input satisfies the schema.
    checked: bool,
}

impl Default for SlotMemory {
    fn default() -> Self {
        Self {
            status: InputStatus::Fresh,
            changes: 0,
            changed_fields: 0,
            started: false,
            checked: false,
        }
    }
}

#[derive(Debug)]
struct FlagModels {
    /// Whether there is a hash: where none is due, where one is.
    hash: [Bit; 2],
    /// Whether anything changed: after a tick in which nothing did, and after one in which
    /// something did.
    loud: [Bit; 2],
    happened: Bit,
    statuses: [StatusModel; 3],
    /// Whether an input changed, by whether it did in the two ticks before, or is the packet's
    /// first; and the same where it is repeated, when it should not.
    changed: [Bit; 2 * CHANGE_HISTORIES],
}

impl Default for FlagModels {
    fn default() -> Self {
        let changed = [6_000, 30_000, 16_000, 48_000, 32_768].map(Bit::new);
        let repeated = [Bit::new(RARE); CHANGE_HISTORIES];
        let mut both = [Bit::default(); 2 * CHANGE_HISTORIES];
        both[..CHANGE_HISTORIES].copy_from_slice(&changed);
        both[CHANGE_HISTORIES..].copy_from_slice(&repeated);
        // The first of a packet is as likely to differ from zero where it is repeated.
        both[CHANGE_HISTORIES + FIRST] = Bit::default();
        Self {
            hash: [Bit::new(RARE), Bit::new(u16::MAX - RARE)],
            loud: [Bit::new(20_000), Bit::new(45_000)],
            happened: Bit::new(2_000),
            statuses: [
                StatusModel::new(60_000),
                StatusModel::new(50_000),
                StatusModel::new(64_500),
            ],
            changed: both,
        }
    }
}

/// A slot's status, by what it was.
#[derive(Clone, Copy, Debug)]
struct StatusModel {
    same: Bit,
    /// The higher of the other two.
    higher: Bit,
}

impl StatusModel {
    fn new(same: u16) -> Self {
        Self {
            same: Bit::new(same),
            higher: Bit::default(),
        }
    }

    fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        status: InputStatus,
        before: InputStatus,
    ) -> InputStatus {
        if self.same.code(coder, status == before) {
            return before;
        }
        let (lower, higher) = match before {
            InputStatus::Absent => (InputStatus::Repeated, InputStatus::Fresh),
            InputStatus::Repeated => (InputStatus::Absent, InputStatus::Fresh),
            InputStatus::Fresh => (InputStatus::Absent, InputStatus::Repeated),
        };
        if self.higher.code(coder, status == higher) {
            higher
        } else {
            lower
        }
    }
}

#[derive(Debug, Default)]
struct HappeningModels {
    count: Unsigned,
    kind: BitTree<4>,
    len: Unsigned,
    byte: BitTree<256>,
}

/// Where a field is in an input, and how it is written.
#[derive(Clone, Copy, Debug)]
struct FieldPlace {
    start: usize,
    bytes: usize,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// It has two values, so that a change says all.
    Toggle,
    /// Small differences are likelier.
    Near,
    /// Differences of any size.
    Far,
    /// As [`How::Far`], on a scale on which floats are in order.
    Float,
}

impl FieldPlace {
    fn new(field: &Field, start: usize) -> Self {
        let bytes = field.kind.most_bytes();
        let how = match field.kind {
            FieldKind::Bool => How::Toggle,
            FieldKind::F32 { .. } => How::Float,
            _ if bytes <= 2 => How::Near,
            _ => How::Far,
        };
        Self { start, bytes, how }
    }

    fn read(self, data: &[u8]) -> u32 {
        let mut bytes = [0; 4];
        bytes[..self.bytes].copy_from_slice(&data[self.start..][..self.bytes]);
        let value = u32::from_le_bytes(bytes);
        match self.how {
            // The usual order of IEEE 754 bits: negative numbers are turned over.
            How::Float if value >> 31 != 0 => !value,
            How::Float => value | 1 << 31,
            _ => value,
        }
    }

    fn write(self, value: u32, data: &mut [u8]) {
        let value = match self.how {
            How::Float if value >> 31 != 0 => value & !(1 << 31),
            How::Float => !value,
            _ => value,
        };
        data[self.start..][..self.bytes].copy_from_slice(&value.to_le_bytes()[..self.bytes]);
    }

    /// The difference between two values, in the field's own width.
    fn difference(self, value: u32, before: u32) -> i32 {
        let shift = 32 - 8 * self.bytes as u32;
        (value.wrapping_sub(before) << shift) as i32 >> shift
    }

    fn moved(self, before: u32, difference: i32) -> u32 {
        before.wrapping_add(difference as u32) & (u32::MAX >> (32 - 8 * self.bytes as u32))
    }

    /// What zero is on the field's scale.
    fn zero(self) -> u32 {
        match self.how {
            How::Float => 1 << 31,
            _ => 0,
        }
    }
}

/// A field's models, shared by all slots.
#[derive(Debug, Default)]
struct FieldModel {
    /// Whether it changed, by whether it did when the input changed before.
    changed: [Bit; 2],
    /// Whether it came back to zero, and to what it was before it changed last.
    zero: Bit,
    back: Bit,
    near: Signed,
    far: FarModel,
}

impl FieldModel {
    /// Codes a value that differs from the one that is kept.
    fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        place: FieldPlace,
        data: &[u8],
        kept: &mut [u8],
        earlier: &mut u32,
    ) {
        let (value, before) = (place.read(data), place.read(kept));
        let read = match place.how {
            How::Toggle => before ^ 1,
            _ if before != place.zero() && self.zero.code(coder, value == place.zero()) => {
                place.zero()
            }
            _ if *earlier != before
                && *earlier != 0
                && self.back.code(coder, value == *earlier) =>
            {
                *earlier
            }
            How::Near => {
                let difference = self.near.code(coder, place.difference(value, before));
                place.moved(before, difference)
            }
            How::Far | How::Float => {
                let difference = self.far.code(coder, place.difference(value, before));
                place.moved(before, difference)
            }
        };
        *earlier = before;
        place.write(read, kept);
    }
}

/// A number of any size, zero excluded: its sign, how many bits it has, and the bits.
#[derive(Debug, Default)]
struct FarModel {
    negative: Bit,
    bits: BitTree<32>,
}

impl FarModel {
    fn code<C: BitCoder>(&mut self, coder: &mut C, value: i32) -> i32 {
        let negative = self.negative.code(coder, value < 0);
        let magnitude = value.unsigned_abs().max(1);
        let bits = self.bits.code(coder, magnitude.ilog2());
        let low = coder.code_raw(magnitude & !(1 << magnitude.ilog2()), bits);
        let magnitude = (1_u32 << bits | low) as i32;
        if negative {
            magnitude.wrapping_neg()
        } else {
            magnitude
        }
    }
}

/// The place of a packet's first input among the histories.
const FIRST: usize = 4;
/// Two bits of what changed, and the first of a packet.
const CHANGE_HISTORIES: usize = FIRST + 1;
/// A probability of what hardly ever is.
const RARE: u16 = 64;
/// Bits of a slot.
const SLOT_BITS: u32 = 8;
/// Bits of a happening's kind.
const KIND_BITS: u32 = 2;
