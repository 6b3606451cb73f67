//! Deltas packed to the bit: the fast one of the two codecs.
//!
//! A delta is a stream of bits, least significant first; the last byte is filled up with zeros:
//! - how columns are written: a bit whether there is a speed and the speed in 10 bits (sixteenths
//!   of the way from the older state to the base); a bit whether any kind is tuned, and if so a bit
//!   for each kind and, for a tuned one, for each column: masked (1 bit), predicted (1 bit, where
//!   there is a speed), order (5 bits);
//! - entities of the base that are gone: a list of places in the base;
//! - entities that are new, or of another kind or owner than before: a list of ids, each with its
//!   kind (as many bits as kinds need), a bit whether it has an owner, the owner in 6 bits, and each
//!   column's height above its least value in as many bits as the range needs;
//! - entities that changed: a list of places in the base, each with its columns. A column is how
//!   far it is from what was expected (the way there, the shorter one over the ends of the range; twice
//!   it, less one where it is downwards), in Exp-Golomb of its order, or, where
//!   it is masked, a 0 for no distance and a 1 and the distance less one otherwise. Expected is the
//!   base's value, or where it is predicted and the entity is in the older state with the same kind,
//!   the base's value and the speed.
//!
//! A list is its length in Exp-Golomb (order 0; for changes 4), and, where it is not empty, the
//! order of its gaps in 5 bits, then for each entry the gap to the one before in Exp-Golomb: how
//! many ids or places lie between the two.

pub(crate) mod columns;
pub(crate) mod modes;

use self::columns::{SPEED_BITS, distance, expected, value_at, way};
use self::modes::{MAX_SPEED, Modes, Statistics};
use super::bits::{BitReader, BitWriter, golomb_bits};
use super::{Delta, OWNER_BITS, SnapshotError, checked_columns};
use crate::abi::MAX_ENTITIES;
use crate::schema::{KindSchema, Schema};
use crate::simulation::{Entity, NetState, Slot};

/// Writes and reads packed deltas. It keeps nothing from one to the next but memory.
#[derive(Clone, Debug, Default)]
pub struct PackedCodec {
    modes: Modes,
    statistics: Statistics,
    /// Places in the base.
    removed: Vec<u32>,
    /// Places in the next state.
    added: Vec<u32>,
    changed: Vec<Changed>,
    /// For each column of the changed entities, one entity after another: how it moved.
    moves: Vec<Move>,
    /// What a delta adds, while it is read.
    new: NetState,
}

#[derive(Clone, Copy, Debug)]
struct Changed {
    /// Its place in the base.
    place: u32,
    kind: u8,
}

/// A column's way before and after the base; then its distance from the base and from what was
/// expected.
#[derive(Clone, Copy, Debug)]
struct Move {
    before: i64,
    after: i64,
    still: u32,
    moving: u32,
}

impl PackedCodec {
    /// A codec without memory of its own yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a delta. `out` is cleared first.
    ///
    /// # Errors
    /// [`SnapshotError`] where a state does not keep the schema.
    pub fn encode(
        &mut self,
        schema: &Schema,
        delta: &Delta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SnapshotError> {
        if delta.next.entities.len() > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        self.compare(schema, delta)?;
        self.tune(schema, delta);

        let mut writer = BitWriter::new(out);
        self.modes.write(&mut writer);
        let places = delta.base.entities.len() as u32;
        let mut list = ListWriter::new(&mut writer, FEW, self.removed.len(), places);
        for place in &self.removed {
            list.write(*place, &mut writer);
        }
        let entity = |index: &u32| &delta.next.entities[*index as usize];
        let ids = self.added.last().map_or(0, |last| entity(last).id);
        let mut list = ListWriter::new(&mut writer, FEW, self.added.len(), ids);
        for index in &self.added {
            let entity = entity(index);
            list.write(entity.id, &mut writer);
            write_new(
                schema,
                entity.kind,
                entity.owner,
                delta.next.columns_of(entity),
                &mut writer,
            );
        }
        let mut list = ListWriter::new(&mut writer, MANY, self.changed.len(), places);
        let mut moves = self.moves.as_slice();
        for changed in &self.changed {
            list.write(changed.place, &mut writer);
            let modes = self.modes.of(changed.kind);
            let (own, rest) = moves.split_at(modes.len());
            for (mode, column) in modes.iter().zip(own) {
                let distance = if mode.predicted {
                    column.moving
                } else {
                    column.still
                };
                mode.write(distance, &mut writer);
            }
            moves = rest;
        }
        writer.finish();
        Ok(())
    }

    /// Reads a delta against `base` and `older`, which must be those that it was written against,
    /// into `out`, which is cleared first. Priorities do not travel and are 0.
    ///
    /// # Errors
    /// [`SnapshotError`] for bytes that no encoder writes. `out` then holds nothing that may be
    /// used.
    pub fn decode(
        &mut self,
        schema: &Schema,
        base: &NetState,
        older: Option<&NetState>,
        data: &[u8],
        out: &mut NetState,
    ) -> Result<(), SnapshotError> {
        out.clear();
        let mut reader = BitReader::new(data);
        let short = || SnapshotError::Truncated { index: 0, count: 0 };
        self.modes.read(schema, &mut reader).ok_or_else(short)?;
        self.read_removed(base, &mut reader)?;
        self.read_added(schema, &mut reader)?;

        let mut list = ListReader::new(&mut reader, MANY).ok_or_else(short)?;
        let (mut removed, mut added) = (self.removed.iter().copied().peekable(), 0);
        let mut older = older.map_or(Walk::default(), Walk::new);
        let mut next_changed = list.next(&mut reader)?;
        for (place, entity) in base.entities.iter().enumerate() {
            let place = place as u32;
            added = copy_below(&self.new, added, Some(entity.id), out);
            let gone = removed.next_if_eq(&place).is_some();
            let replaced = self.new.entities.get(added).map(|new| new.id) == Some(entity.id);
            let changed = next_changed == Some(place);
            if gone || replaced {
                if changed || (gone && replaced) {
                    return Err(SnapshotError::Contradiction { id: entity.id });
                }
                continue;
            }
            let (kind, columns) = shaped_columns(schema, base, entity)?;
            if !changed {
                push(out, entity, columns);
                continue;
            }
            let before = older.find(entity);
            read_changed(kind, &self.modes, entity, columns, before, &mut reader, out)
                .ok_or_else(|| list.truncated())?;
            next_changed = list.next(&mut reader)?;
        }
        if next_changed.is_some() {
            return Err(SnapshotError::NoSuchPlace {
                places: base.entities.len(),
            });
        }
        copy_below(&self.new, added, None, out);
        if out.entities.len() > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        if reader.is_at_end() {
            Ok(())
        } else {
            Err(SnapshotError::Trailing)
        }
    }

    /// Finds what is gone, new and changed.
    fn compare(&mut self, schema: &Schema, delta: &Delta<'_>) -> Result<(), SnapshotError> {
        self.removed.clear();
        self.added.clear();
        self.changed.clear();
        self.moves.clear();
        let mut older = delta.older.map_or(Walk::default(), Walk::new);
        let base = &delta.base.entities;
        let mut place = 0;
        let mut least = Some(0);
        for (index, entity) in delta.next.entities.iter().enumerate() {
            if least.is_none_or(|least| entity.id < least) {
                return Err(SnapshotError::NotAscending { id: entity.id });
            }
            least = entity.id.checked_add(1);
            while place < base.len() && base[place].id < entity.id {
                self.removed.push(place as u32);
                place += 1;
            }
            let found = base.get(place).filter(|found| found.id == entity.id);
            let Some(found) = found else {
                checked_columns(schema, delta.next, entity)?;
                self.added.push(index as u32);
                continue;
            };
            place += 1;
            if found.kind != entity.kind || found.owner != entity.owner {
                checked_columns(schema, delta.next, entity)?;
                self.added.push(index as u32);
                continue;
            }
            let (kind, before) = shaped_columns(schema, delta.base, found)?;
            if shaped_columns(schema, delta.next, entity)?.1 == before {
                continue;
            }
            let (_, after) = checked_columns(schema, delta.next, entity)?;
            self.changed.push(Changed {
                place: place as u32 - 1,
                kind: entity.kind,
            });
            let older = older
                .find(found)
                .filter(|older| older.len() == before.len());
            for (index, column) in kind.columns().iter().enumerate() {
                self.moves.push(Move {
                    before: older.map_or(0, |older| way(*column, older[index], before[index])),
                    after: way(*column, before[index], after[index]),
                    still: 0,
                    moving: 0,
                });
            }
        }
        self.removed.extend(place as u32..base.len() as u32);
        Ok(())
    }

    /// Works out the speed, the distances from what it expects, and the modes.
    fn tune(&mut self, schema: &Schema, delta: &Delta<'_>) {
        let (mut before, mut after) = (0, 0);
        for column in &self.moves {
            // A jump says nothing of speeds, and would drown what the others say.
            if column.before.abs() < LONGEST_STEP && column.after.abs() < MAX_TIMES * LONGEST_STEP {
                before += column.before.abs();
                after += column.after * column.before.signum();
            }
        }
        let speed = if before == 0 {
            0
        } else {
            ((after << SPEED_BITS) / before).clamp(0, i64::from(MAX_SPEED)) as u32
        };
        self.statistics.reset(schema);
        let mut at = 0;
        for changed in &self.changed {
            let entity = &delta.base.entities[changed.place as usize];
            let kind = &schema.kinds()[usize::from(changed.kind)];
            let base = delta.base.columns_of(entity);
            let first = self.statistics.add_entity(changed.kind);
            for (index, (column, base)) in kind.columns().iter().zip(base).enumerate() {
                let moved = &mut self.moves[at + index];
                moved.still = ((moved.after << 1) ^ (moved.after >> 63)) as u32;
                moved.moving = if moved.before == 0 || speed == 0 {
                    moved.still
                } else {
                    let expected = expected(*column, *base, moved.before, speed);
                    let value = value_at(*column, *base, moved.still).unwrap_or(*base);
                    distance(*column, expected, value)
                };
                self.statistics
                    .add_column(first + index, moved.still, moved.moving);
            }
            at += kind.columns().len();
        }
        self.statistics
            .choose(schema, speed, u32::MAX, &mut self.modes);
    }

    fn read_removed(
        &mut self,
        base: &NetState,
        reader: &mut BitReader<'_>,
    ) -> Result<(), SnapshotError> {
        self.removed.clear();
        let short = || SnapshotError::Truncated { index: 0, count: 0 };
        let mut list = ListReader::new(reader, FEW).ok_or_else(short)?;
        while let Some(place) = list.next(reader)? {
            if place as usize >= base.entities.len() {
                return Err(SnapshotError::NoSuchPlace {
                    places: base.entities.len(),
                });
            }
            self.removed.push(place);
        }
        Ok(())
    }

    fn read_added(
        &mut self,
        schema: &Schema,
        reader: &mut BitReader<'_>,
    ) -> Result<(), SnapshotError> {
        self.new.clear();
        let short = || SnapshotError::Truncated { index: 0, count: 0 };
        let mut list = ListReader::new(reader, FEW).ok_or_else(short)?;
        if list.count as usize > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        while let Some(id) = list.next(reader)? {
            let kind = reader
                .read(schema.kind_bits())
                .ok_or_else(|| list.truncated())? as u8;
            let owner = match reader.read(1).ok_or_else(|| list.truncated())? {
                0 => None,
                _ => Some(reader.read(OWNER_BITS).ok_or_else(|| list.truncated())? as Slot),
            };
            let Some(kind_schema) = schema.kind(kind) else {
                return Err(SnapshotError::NoSuchKind {
                    kind,
                    kinds: schema.kinds().len(),
                });
            };
            let first_column = self.new.columns.len() as u32;
            for (index, column) in kind_schema.columns().iter().enumerate() {
                let above = reader.read(column.bits()).ok_or_else(|| list.truncated())?;
                let value = i64::from(column.lo) + i64::from(above);
                if value > i64::from(column.hi) {
                    let (lo, hi) = (column.lo, column.hi);
                    return Err(SnapshotError::ColumnOutOfRange {
                        id,
                        column: index,
                        lo,
                        hi,
                    });
                }
                self.new.columns.push(value as i32);
            }
            self.new.entities.push(Entity {
                id,
                kind,
                owner,
                priority: 0.0,
                first_column,
                column_count: kind_schema.columns().len() as u8,
            });
        }
        Ok(())
    }
}

/// Writes an entity that the base does not have, without its id.
pub(crate) fn write_new(
    schema: &Schema,
    kind: u8,
    owner: Option<Slot>,
    columns: &[i32],
    writer: &mut BitWriter<'_>,
) {
    writer.write(u32::from(kind), schema.kind_bits());
    match owner {
        None => writer.write(0, 1),
        Some(slot) => writer.write(1 | (u32::from(slot) << 1), 1 + OWNER_BITS),
    }
    let kind = &schema.kinds()[usize::from(kind)];
    for (column, value) in kind.columns().iter().zip(columns) {
        // In two's complement the difference is exact whatever the range.
        writer.write(value.wrapping_sub(column.lo) as u32, column.bits());
    }
}

/// How many bits [`write_new`] takes.
pub(crate) fn new_bits(schema: &Schema, kind: u8, owner: Option<Slot>) -> u32 {
    let owner = 1 + u32::from(owner.is_some()) * OWNER_BITS;
    schema.kind_bits() + owner + schema.kinds()[usize::from(kind)].bits()
}

/// Reads a changed entity into `out`.
fn read_changed(
    kind: &KindSchema,
    modes: &Modes,
    entity: &Entity,
    base: &[i32],
    older: Option<&[i32]>,
    reader: &mut BitReader<'_>,
    out: &mut NetState,
) -> Option<()> {
    let older = older.filter(|older| older.len() == base.len());
    let first_column = out.columns.len() as u32;
    let columns = kind.columns().iter().zip(modes.of(entity.kind)).zip(base);
    for (index, ((column, mode), base)) in columns.enumerate() {
        let expected = match older {
            Some(older) if mode.predicted => expected(
                *column,
                *base,
                way(*column, older[index], *base),
                modes.speed,
            ),
            _ => *base,
        };
        let value = value_at(*column, expected, mode.read(reader)?)?;
        out.columns.push(value);
    }
    out.entities.push(Entity {
        priority: 0.0,
        first_column,
        ..*entity
    });
    Some(())
}

/// The columns of an entity, which has as many as its kind; what they hold is not looked at.
fn shaped_columns<'a>(
    schema: &'a Schema,
    state: &'a NetState,
    entity: &Entity,
) -> Result<(&'a KindSchema, &'a [i32]), SnapshotError> {
    let Some(kind) = schema.kind(entity.kind) else {
        return Err(SnapshotError::NoSuchKind {
            kind: entity.kind,
            kinds: schema.kinds().len(),
        });
    };
    let (first, expected) = (entity.first_column as usize, kind.columns().len());
    let found = usize::from(entity.column_count);
    let columns = state.columns.get(first..first + found);
    let Some(columns) = columns.filter(|_| found == expected) else {
        return Err(SnapshotError::ColumnCount {
            id: entity.id,
            found,
            expected,
        });
    };
    Ok((kind, columns))
}

/// Copies what is new below an id (`None`: all), from place `from` on, and answers where it
/// stopped.
fn copy_below(new: &NetState, mut from: usize, id: Option<u32>, out: &mut NetState) -> usize {
    while let Some(entity) = new.entities.get(from)
        && id.is_none_or(|id| entity.id < id)
    {
        push(out, entity, new.columns_of(entity));
        from += 1;
    }
    from
}

fn push(out: &mut NetState, entity: &Entity, columns: &[i32]) {
    let first_column = out.columns.len() as u32;
    out.columns.extend_from_slice(columns);
    out.entities.push(Entity {
        priority: 0.0,
        first_column,
        ..*entity
    });
}

/// Finds entities of ascending ids in a state.
#[derive(Default)]
struct Walk<'a> {
    state: Option<&'a NetState>,
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(state: &'a NetState) -> Self {
        Self {
            state: Some(state),
            at: 0,
        }
    }

    /// The columns of the entity with the same id and kind.
    fn find(&mut self, entity: &Entity) -> Option<&'a [i32]> {
        let state = self.state?;
        while state.entities.get(self.at)?.id < entity.id {
            self.at += 1;
        }
        let found = &state.entities[self.at];
        if found.id != entity.id || found.kind != entity.kind {
            return None;
        }
        let first = found.first_column as usize;
        state
            .columns
            .get(first..first + usize::from(found.column_count))
    }
}

/// Writes the gaps of a list.
pub(crate) struct ListWriter {
    order: u32,
    next: u32,
}

impl ListWriter {
    /// Writes the head of a list of `count` entries that lie below or at `span`.
    pub(crate) fn new(
        writer: &mut BitWriter<'_>,
        length_order: u32,
        count: usize,
        span: u32,
    ) -> Self {
        writer.write_golomb(count as u32, length_order);
        let order = list_order(count, span);
        if count > 0 {
            writer.write(order, LIST_ORDER_BITS);
        }
        Self { order, next: 0 }
    }

    /// Writes the gap before an entry that lies above the one before.
    #[inline]
    pub(crate) fn write(&mut self, entry: u32, writer: &mut BitWriter<'_>) {
        writer.write_golomb(entry - self.next, self.order);
        // Nothing follows an entry that has no successor.
        self.next = entry.wrapping_add(1);
    }
}

/// The order in which the gaps of a list are written.
pub(crate) fn list_order(count: usize, span: u32) -> u32 {
    let count = count.max(1) as u32;
    (span.saturating_sub(count) / count)
        .checked_ilog2()
        .unwrap_or(0)
}

/// At most how many bits a list's head and gaps take.
pub(crate) fn list_bits(length_order: u32, count: usize, span: u32) -> f32 {
    let length = golomb_bits(count as u32, length_order) as f32;
    if count == 0 {
        return length;
    }
    let order = list_order(count, span);
    // A gap takes at most 2 log2(gap / 2^order + 1) + 1 + order bits, which bends downwards, so
    // that gaps which are all equal take the most.
    let gap = span as f32 / count as f32;
    let each = 2.0 * (gap / (1_u32 << order) as f32 + 1.0).log2() + (1 + order) as f32;
    length + LIST_ORDER_BITS as f32 + count as f32 * each
}

struct ListReader {
    count: u32,
    read: u32,
    order: u32,
    next: Option<u32>,
}

impl ListReader {
    fn new(reader: &mut BitReader<'_>, length_order: u32) -> Option<Self> {
        let count = reader.read_golomb(length_order)?;
        let order = match count {
            0 => 0,
            _ => reader.read(LIST_ORDER_BITS)?,
        };
        Some(Self {
            count,
            read: 0,
            order,
            next: Some(0),
        })
    }

    /// The next entry; `None` after the last.
    #[inline]
    fn next(&mut self, reader: &mut BitReader<'_>) -> Result<Option<u32>, SnapshotError> {
        if self.read == self.count {
            return Ok(None);
        }
        self.read += 1;
        let gap = reader.read_golomb(self.order);
        let gap = gap.ok_or_else(|| self.truncated())?;
        let entry = self.next.and_then(|next| next.checked_add(gap));
        let Some(entry) = entry else {
            return Err(SnapshotError::IdOutOfRange { last_id: u32::MAX });
        };
        self.next = entry.checked_add(1);
        Ok(Some(entry))
    }

    fn truncated(&self) -> SnapshotError {
        SnapshotError::Truncated {
            index: self.read.saturating_sub(1),
            count: self.count,
        }
    }
}

/// Order of the length of a list that is mostly empty.
pub(crate) const FEW: u32 = 0;
/// Order of the length of the list of changes.
pub(crate) const MANY: u32 = 4;
const LIST_ORDER_BITS: u32 = 5;
/// Beyond this many steps between two states a column jumped rather than moved.
const LONGEST_STEP: i64 = 1 << 12;
/// Greatest [`columns::Speed`] as a whole number.
const MAX_TIMES: i64 = 64;
