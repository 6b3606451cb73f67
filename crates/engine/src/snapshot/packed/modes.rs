//! How the columns of each kind are written in one snapshot, and how that is chosen.

use super::columns::{ColumnMode, Speed};
use crate::schema::Schema;
use crate::snapshot::bits::{BitReader, BitWriter};

/// The first thing of a snapshot: how its columns are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modes {
    /// See [`Speed`].
    pub(crate) speed: Speed,
    /// Whether the modes of a kind are in the snapshot, by kind.
    tuned: Vec<bool>,
    /// Where a kind's columns begin in `columns`, by kind.
    first: Vec<u32>,
    columns: Vec<ColumnMode>,
}

impl Modes {
    /// What a kind's columns are before anything is known of them.
    pub(crate) fn reset(&mut self, schema: &Schema, speed: Speed) {
        self.speed = speed;
        self.tuned.clear();
        self.first.clear();
        self.columns.clear();
        for kind in schema.kinds() {
            self.tuned.push(false);
            self.first.push(self.columns.len() as u32);
            let untuned = |column| ColumnMode::untuned(column, speed);
            self.columns
                .extend(kind.columns().iter().copied().map(untuned));
        }
    }

    /// The modes of a kind's columns, for a kind of the schema that it was made for.
    #[inline]
    pub(crate) fn of(&self, kind: u8) -> &[ColumnMode] {
        let kind = usize::from(kind);
        let end = self.first.get(kind + 1).map(|end| *end as usize);
        &self.columns[self.first[kind] as usize..end.unwrap_or(self.columns.len())]
    }

    /// How many bits [`Modes::write`] takes.
    pub(crate) fn bits(&self) -> u32 {
        let mut bits = if self.speed > 0 { 1 + SPEED_WIDTH } else { 1 };
        bits += 1;
        if self.tuned.contains(&true) {
            for (kind, tuned) in self.tuned.iter().enumerate() {
                let columns = self.of(kind as u8).len() as u32;
                bits += 1 + u32::from(*tuned) * columns * self.column_bits();
            }
        }
        bits
    }

    /// How many bits the mode of a column takes.
    fn column_bits(&self) -> u32 {
        1 + u32::from(self.speed > 0) + ORDER_BITS
    }

    /// Writes them.
    pub(crate) fn write(&self, writer: &mut BitWriter<'_>) {
        writer.write(u32::from(self.speed > 0), 1);
        if self.speed > 0 {
            writer.write(self.speed, SPEED_WIDTH);
        }
        let any = self.tuned.contains(&true);
        writer.write(u32::from(any), 1);
        if !any {
            return;
        }
        for (kind, tuned) in self.tuned.iter().enumerate() {
            writer.write(u32::from(*tuned), 1);
            if !tuned {
                continue;
            }
            for mode in self.of(kind as u8) {
                writer.write(u32::from(mode.masked), 1);
                if self.speed > 0 {
                    writer.write(u32::from(mode.predicted), 1);
                }
                writer.write(mode.order, ORDER_BITS);
            }
        }
    }

    /// Reads them; `None` where the bits are not there.
    pub(crate) fn read(&mut self, schema: &Schema, reader: &mut BitReader<'_>) -> Option<()> {
        let speed = match reader.read(1)? {
            0 => 0,
            _ => reader.read(SPEED_WIDTH)?,
        };
        self.reset(schema, speed);
        if reader.read(1)? == 0 {
            return Some(());
        }
        for kind in 0..self.tuned.len() {
            self.tuned[kind] = reader.read(1)? == 1;
            if !self.tuned[kind] {
                continue;
            }
            let first = self.first[kind] as usize;
            for column in 0..schema.kinds()[kind].columns().len() {
                self.columns[first + column] = ColumnMode {
                    masked: reader.read(1)? == 1,
                    predicted: speed > 0 && reader.read(1)? == 1,
                    order: reader.read(ORDER_BITS)?,
                };
            }
        }
        Some(())
    }
}

/// What was seen of the columns of each kind, from which modes are chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    /// Entities, by kind.
    entities: Vec<u32>,
    /// Where a kind's columns begin in `columns`, by kind.
    first: Vec<u32>,
    columns: Vec<ColumnStatistics>,
}

/// How many distances of a column had how many bits: from the base, and from what was expected.
#[derive(Clone, Debug)]
struct ColumnStatistics {
    still: [u32; LENGTHS],
    moving: [u32; LENGTHS],
}

impl Statistics {
    /// Forgets everything.
    pub(crate) fn reset(&mut self, schema: &Schema) {
        self.entities.clear();
        self.entities.resize(schema.kinds().len(), 0);
        self.first.clear();
        self.columns.clear();
        for kind in schema.kinds() {
            self.first.push(self.columns.len() as u32);
            let columns = self.columns.len() + kind.columns().len();
            let none = ColumnStatistics {
                still: [0; LENGTHS],
                moving: [0; LENGTHS],
            };
            self.columns.resize(columns, none);
        }
    }

    /// Whether it counts the columns of such a schema.
    pub(crate) fn is_for(&self, schema: &Schema) -> bool {
        let columns: usize = schema.kinds().iter().map(|kind| kind.columns().len()).sum();
        self.entities.len() == schema.kinds().len() && self.columns.len() == columns
    }

    /// Counts an entity, whose columns then come one by one.
    #[inline]
    pub(crate) fn add_entity(&mut self, kind: u8) -> usize {
        self.entities[usize::from(kind)] += 1;
        self.first[usize::from(kind)] as usize
    }

    /// Counts a column: `index` is what [`Statistics::add_entity`] answered and the column's place.
    #[inline]
    pub(crate) fn add_column(&mut self, index: usize, still: u32, moving: u32) {
        let column = &mut self.columns[index];
        column.still[(u32::BITS - still.leading_zeros()) as usize] += 1;
        column.moving[(u32::BITS - moving.leading_zeros()) as usize] += 1;
    }

    /// Chooses how to write what was counted. The modes take at most `max_bits`.
    pub(crate) fn choose(&self, schema: &Schema, speed: Speed, max_bits: u32, modes: &mut Modes) {
        modes.reset(schema, speed);
        let mut left = max_bits.saturating_sub(modes.bits() + self.entities.len() as u32);
        for (kind, entities) in self.entities.iter().enumerate() {
            let first = self.first[kind] as usize;
            let columns = schema.kinds()[kind].columns().len();
            let header = columns as u32 * modes.column_bits();
            if *entities < MIN_TUNED_ENTITIES || header > left {
                continue;
            }
            let mut saved = 0_i64;
            let mut best = [ColumnMode {
                masked: true,
                predicted: false,
                order: 0,
            }; crate::manifest::MAX_COLUMNS];
            let untuned = &modes.columns[first..first + columns];
            let seen = &self.columns[first..first + columns];
            for ((best, seen), untuned) in best.iter_mut().zip(seen).zip(untuned) {
                let (mode, cost) = seen.best(speed);
                saved += seen.cost(*untuned) - cost;
                *best = mode;
            }
            if saved > i64::from(header) {
                left -= header;
                modes.tuned[kind] = true;
                modes.columns[first..first + columns].copy_from_slice(&best[..columns]);
            }
        }
    }
}

impl ColumnStatistics {
    /// The cheapest mode, and its cost in bits.
    fn best(&self, speed: Speed) -> (ColumnMode, i64) {
        let mut best = None;
        for predicted in [false, true] {
            if predicted && speed == 0 {
                continue;
            }
            let lengths = self.lengths(predicted);
            let longest = lengths.iter().rposition(|count| *count > 0).unwrap_or(0);
            for order in 0..=longest.min(MAX_ORDER) as u32 {
                for masked in [false, true] {
                    let mode = ColumnMode {
                        masked,
                        predicted,
                        order,
                    };
                    let cost = self.cost(mode);
                    if best.is_none_or(|(_, least)| cost < least) {
                        best = Some((mode, cost));
                    }
                }
            }
        }
        best.expect("without a mask, without a speed, order 0 is always tried")
    }

    fn lengths(&self, predicted: bool) -> &[u32; LENGTHS] {
        if predicted { &self.moving } else { &self.still }
    }

    /// About how many bits the counted distances take.
    fn cost(&self, mode: ColumnMode) -> i64 {
        let lengths = self.lengths(mode.predicted);
        let order = i64::from(mode.order);
        let mut cost = 0;
        for (length, count) in lengths.iter().enumerate() {
            if *count == 0 {
                continue;
            }
            let length = length as i64;
            let beyond = match length - order {
                ..=0 => 0,
                1 => 2,
                // Half of them take one zero less.
                beyond => 2 * beyond - 1,
            };
            let bits = match (mode.masked, length) {
                (true, 0) => 1,
                (masked, _) => i64::from(masked) + 1 + order + beyond,
            };
            cost += bits * i64::from(*count);
        }
        cost
    }
}

/// Lengths of a distance in bits: 0–32.
const LENGTHS: usize = 33;
/// Greatest order of an Exp-Golomb code that its five bits can say.
const MAX_ORDER: usize = 31;
const ORDER_BITS: u32 = 5;
/// Bits of a [`Speed`], in sixteenths: up to 64 times the way between the two older states.
const SPEED_WIDTH: u32 = 10;
/// Greatest [`Speed`].
pub(crate) const MAX_SPEED: Speed = (1 << SPEED_WIDTH) - 1;
/// With fewer entities of a kind their modes take more than they save.
const MIN_TUNED_ENTITIES: u32 = 4;
