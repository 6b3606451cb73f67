//! How entities that changed are written in one tick, once for all who have the same of them.

use super::rows::{NO_ROW, RowId, Rows};
use crate::schema::Schema;
use crate::snapshot::bits::BitWriter;
use crate::snapshot::packed::columns::{Speed, distance, expected, way};
use crate::snapshot::packed::modes::{MAX_SPEED, Modes, Statistics};

/// The bits of the entities that were written in this tick.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// By `tick of the baseline % WAYS`, then by the entity's place.
    ways: Vec<Vec<Written>>,
    /// Changes with each tick; 0 in entries that were never written.
    epoch: u32,
    words: Vec<u64>,
    scratch: Vec<u8>,
    /// How columns are written to who has an older view, and to who has none.
    moving: Modes,
    still: Modes,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    base: RowId,
    older: RowId,
    next: RowId,
    /// Epoch and speed.
    stamp: u32,
    change: Change,
}

/// What a changed entity takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    /// Where its bits begin among the words.
    at: u32,
    /// How many bits; or [`SAME`] or [`OTHER`].
    pub(super) bits: u32,
}

/// The two rows hold the same.
pub(super) const SAME: u32 = 0;
/// The two rows are of different kinds or owners: the entity has to be written as a new one.
pub(super) const OTHER: u32 = u32::MAX;

impl Cache {
    /// Starts a tick: how columns are written follows from what was written in the last.
    pub(super) fn begin(&mut self, schema: &Schema, max_header_bits: u32) {
        self.epoch = (self.epoch + 1) & (u32::MAX >> SPEED_SHIFT);
        if self.epoch == 0 {
            // Entries of the epochs before it came round must not be taken for new ones.
            self.ways.clear();
            self.epoch = 1;
        }
        self.words.clear();
        if self.statistics.is_for(schema) {
            self.statistics
                .choose(schema, MAX_SPEED, max_header_bits, &mut self.moving);
            self.statistics
                .choose(schema, 0, max_header_bits, &mut self.still);
        } else {
            self.moving.reset(schema, MAX_SPEED);
            self.still.reset(schema, 0);
        }
        self.statistics.reset(schema);
        self.ways.resize_with(WAYS, Vec::new);
    }

    /// How columns are written at a speed.
    pub(super) fn modes(&mut self, speed: Speed) -> &Modes {
        if speed == 0 {
            return &self.still;
        }
        self.moving.speed = speed;
        &self.moving
    }

    /// Makes room for as many entities as have places, and answers those of a baseline's tick.
    pub(super) fn way(&mut self, base_tick: u32, places: usize) -> usize {
        let way = base_tick as usize % WAYS;
        if self.ways[way].len() < places {
            self.ways[way].resize(places, Written::default());
        }
        way
    }

    /// What an entity takes from one row to another.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "all of them are the key")]
    pub(super) fn change(
        &mut self,
        schema: &Schema,
        rows: &Rows,
        way: usize,
        place: u32,
        base: RowId,
        older: RowId,
        next: RowId,
        speed: Speed,
    ) -> Change {
        let stamp = (self.epoch << SPEED_SHIFT) | speed;
        let written = &self.ways[way][place as usize];
        if written.stamp == stamp
            && written.base == base
            && written.next == next
            && written.older == older
        {
            return written.change;
        }
        let change = self.write(schema, rows, base, older, next, speed);
        self.ways[way][place as usize] = Written {
            base,
            older,
            next,
            stamp,
            change,
        };
        change
    }

    /// Copies the bits of a change.
    #[inline]
    pub(super) fn copy(&self, change: Change, writer: &mut BitWriter<'_>) {
        let mut left = change.bits;
        for word in &self.words[change.at as usize..] {
            if left <= u64::BITS {
                writer.write_wide(*word, left);
                return;
            }
            writer.write_wide(*word, u64::BITS);
            left -= u64::BITS;
        }
    }

    fn write(
        &mut self,
        schema: &Schema,
        rows: &Rows,
        base: RowId,
        older: RowId,
        next: RowId,
        speed: Speed,
    ) -> Change {
        let at = self.words.len() as u32;
        let change = |bits| Change { at, bits };
        let (from, to) = (rows.row(base), rows.row(next));
        if from.kind != to.kind || from.owner != to.owner {
            return change(OTHER);
        }
        let (before, after) = (rows.columns(base), rows.columns(next));
        if before == after {
            return change(SAME);
        }
        let older =
            (older != NO_ROW && rows.row(older).kind == to.kind).then(|| rows.columns(older));
        let modes = if speed == 0 {
            &self.still
        } else {
            &self.moving
        };
        let mut writer = BitWriter::new(&mut self.scratch);
        let first = self.statistics.add_entity(to.kind);
        let columns = schema.kinds()[usize::from(to.kind)].columns();
        for (index, (column, mode)) in columns.iter().zip(modes.of(to.kind)).enumerate() {
            let (before, after) = (before[index], after[index]);
            let still = distance(*column, before, after);
            let moving = match older {
                Some(older) if speed > 0 => {
                    let way = way(*column, older[index], before);
                    distance(*column, expected(*column, before, way, speed), after)
                }
                _ => still,
            };
            self.statistics.add_column(first + index, still, moving);
            mode.write(if mode.predicted { moving } else { still }, &mut writer);
        }
        let bits = writer.len() as u32;
        writer.finish();
        for bytes in self.scratch.chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.words.push(u64::from_le_bytes(word));
        }
        change(bits)
    }
}

/// Baselines of so many ticks in a row lie beside each other; of viewers whose baselines lie
/// further apart than this, the later write their entities anew.
const WAYS: usize = 16;
/// Bits of a speed in a stamp.
const SPEED_SHIFT: u32 = 10;
