//! Net states on the wire: packed to the bit, split into parts that each fit a lossy packet.
//!
//! The layout is that of `docs/wire.md`, "Snapshots". [`WholeSnapshot`] writes every entity each
//! time; [`SnapshotEncoder`] is the seam for codecs that write less. On the other side
//! [`decode_part`] reads one part, and [`ReceivedState`] puts parts together as they come.

pub(crate) mod bits;
pub mod packed;
pub mod ranged;
mod received;

pub use received::{ReceivedState, decode_part};

use crate::abi::MAX_ENTITIES;
use crate::schema::{KindSchema, Schema};
use crate::simulation::{Entity, NetState, Slot, Tick};
use bits::{BitWriter, gamma_bits};

/// How a delta is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Bit packing: fast.
    Packed,
    /// Context mixing and range coding: small.
    Ranged,
}

/// What a delta says: how to get from one net state to another.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The state that the receiver has; empty for one that has none.
    pub base: &'a NetState,
    /// An older state that the receiver has as well, from which velocities come.
    pub older: Option<&'a NetState>,
    /// The state that the receiver is to have.
    pub next: &'a NetState,
}

/// Turns net states into snapshot parts.
pub trait SnapshotEncoder {
    /// Writes what `viewer` sees after `tick` into `parts`, which is cleared first. The parts cover
    /// all ids without overlap.
    ///
    /// # Errors
    /// [`SnapshotError`] where the state does not keep the schema.
    fn encode(
        &mut self,
        schema: &Schema,
        tick: Tick,
        viewer: Option<Slot>,
        state: &NetState,
        parts: &mut SnapshotParts,
    ) -> Result<(), SnapshotError>;
}

/// Every entity each time, whatever was received before.
#[derive(Clone, Debug)]
pub struct WholeSnapshot {
    max_bytes: usize,
}

impl WholeSnapshot {
    /// An encoder whose parts have at most `max_bytes` bytes of data, and no less than
    /// [`MIN_SNAPSHOT_BYTES`], which any one entity fits.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes.max(MIN_SNAPSHOT_BYTES),
        }
    }
}

impl Default for WholeSnapshot {
    fn default() -> Self {
        Self::new(MAX_SNAPSHOT_BYTES)
    }
}

impl SnapshotEncoder for WholeSnapshot {
    fn encode(
        &mut self,
        schema: &Schema,
        _tick: Tick,
        _viewer: Option<Slot>,
        state: &NetState,
        parts: &mut SnapshotParts,
    ) -> Result<(), SnapshotError> {
        parts.clear();
        if state.entities.len() > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        let mut rest = state.entities.as_slice();
        let mut first_id = 0;
        loop {
            let part = parts.add();
            let count = encode_part(schema, state, rest, first_id, self.max_bytes, part)?;
            part.first_id = first_id;
            rest = &rest[count..];
            let Some(next) = rest.first() else {
                part.last_id = u32::MAX;
                return Ok(());
            };
            // The next part starts at its first entity, whose id then takes a single bit.
            part.last_id = next.id - 1;
            first_id = next.id;
        }
    }
}

/// Writes as many of the entities as fit, and answers how many.
fn encode_part(
    schema: &Schema,
    state: &NetState,
    entities: &[Entity],
    first_id: u32,
    max_bytes: usize,
    part: &mut SnapshotPart,
) -> Result<usize, SnapshotError> {
    let mut writer = BitWriter::new(&mut part.data);
    writer.write(0, COUNT_BITS);
    let mut next_id = Some(first_id);
    let mut count = 0;
    for entity in entities {
        let Some(gap) = next_id.and_then(|next| entity.id.checked_sub(next)) else {
            return Err(SnapshotError::NotAscending { id: entity.id });
        };
        let (kind, columns) = checked_columns(schema, state, entity)?;
        let owner_bits = if entity.owner.is_some() {
            1 + OWNER_BITS
        } else {
            1
        };
        let needed = gamma_bits(gap) + schema.kind_bits() + owner_bits + kind.bits();
        if writer.len() + needed as usize > max_bytes * 8 || count == MAX_PART_ENTITIES {
            break;
        }
        writer.write_gamma(gap);
        writer.write(u32::from(entity.kind), schema.kind_bits());
        match entity.owner {
            None => writer.write(0, 1),
            Some(slot) => {
                writer.write(1, 1);
                writer.write(u32::from(slot), OWNER_BITS);
            }
        }
        for (column, value) in kind.columns().iter().zip(columns) {
            // In two's complement the difference is exact whatever the range.
            writer.write(value.wrapping_sub(column.lo) as u32, column.bits());
        }
        next_id = entity.id.checked_add(1);
        count += 1;
    }
    writer.finish();
    part.data[0] = count as u8;
    part.data[1] |= (count >> 8) as u8;
    Ok(count)
}

pub(crate) fn checked_columns<'a>(
    schema: &'a Schema,
    state: &'a NetState,
    entity: &Entity,
) -> Result<(&'a KindSchema, &'a [i32]), SnapshotError> {
    let id = entity.id;
    let Some(kind) = schema.kind(entity.kind) else {
        return Err(SnapshotError::NoSuchKind {
            kind: entity.kind,
            kinds: schema.kinds().len(),
        });
    };
    if let Some(slot) = entity
        .owner
        .filter(|slot| u32::from(*slot) >= 1 << OWNER_BITS)
    {
        return Err(SnapshotError::NoSuchOwner { id, slot });
    }
    let (first, expected) = (entity.first_column as usize, kind.columns().len());
    let found = usize::from(entity.column_count);
    let columns = state
        .columns
        .get(first..first + found)
        .filter(|_| found == expected);
    let Some(columns) = columns else {
        return Err(SnapshotError::ColumnCount {
            id,
            found,
            expected,
        });
    };
    for (index, (column, value)) in kind.columns().iter().zip(columns).enumerate() {
        if !(column.lo..=column.hi).contains(value) {
            return Err(SnapshotError::ColumnOutOfRange {
                id,
                column: index,
                lo: column.lo,
                hi: column.hi,
            });
        }
    }
    Ok((kind, columns))
}

/// A list of parts that keeps its memory from tick to tick.
#[derive(Clone, Debug, Default)]
pub struct SnapshotParts {
    parts: Vec<SnapshotPart>,
    used: usize,
}

impl SnapshotParts {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// The parts, ascending by id.
    pub fn as_slice(&self) -> &[SnapshotPart] {
        &self.parts[..self.used]
    }

    /// Adds a part, whose memory may be an earlier one's.
    pub fn add(&mut self) -> &mut SnapshotPart {
        if self.used == self.parts.len() {
            self.parts.push(SnapshotPart::default());
        }
        self.used += 1;
        let part = &mut self.parts[self.used - 1];
        part.data.clear();
        part
    }
}

/// What one packet carries: the entities `first_id..=last_id`, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotPart {
    /// The first id that it covers.
    pub first_id: u32,
    /// The last id that it covers.
    pub last_id: u32,
    /// The bit stream.
    pub data: Vec<u8>,
}

/// Why a snapshot cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bit stream ends within an entity.
    #[error("the snapshot ends within entity {index} of its {count}")]
    Truncated {
        /// Which one, from 0.
        index: u32,
        /// How many the part says that it has.
        count: u32,
    },
    /// Something follows the last entity.
    #[error("the snapshot goes on after its last entity")]
    Trailing,
    /// The range of ids is empty.
    #[error("the snapshot covers ids {first_id} to {last_id}, expected ascending ids")]
    EmptyRange {
        /// The first id.
        first_id: u32,
        /// The last id.
        last_id: u32,
    },
    /// An id beyond the range that the part covers.
    #[error("an entity's id lies beyond {last_id}, the last that the snapshot covers")]
    IdOutOfRange {
        /// The last id that the part covers.
        last_id: u32,
    },
    /// Entities are not ascending by id.
    #[error("entity {id} is not above the one before it")]
    NotAscending {
        /// Its id.
        id: u32,
    },
    /// A kind that the manifest does not have.
    #[error("entity kind {kind}, expected one below {kinds}")]
    NoSuchKind {
        /// The kind.
        kind: u8,
        /// How many there are.
        kinds: usize,
    },
    /// An owner that cannot be.
    #[error("entity {id} belongs to slot {slot}, expected 0 to 63")]
    NoSuchOwner {
        /// The entity.
        id: u32,
        /// The slot.
        slot: Slot,
    },
    /// An entity without the columns of its kind.
    #[error("entity {id} has {found} columns, expected {expected}")]
    ColumnCount {
        /// The entity.
        id: u32,
        /// How many it has.
        found: usize,
        /// How many its kind has.
        expected: usize,
    },
    /// A column outside its range.
    #[error("entity {id}: column {column} is outside {lo} to {hi}")]
    ColumnOutOfRange {
        /// The entity.
        id: u32,
        /// Index of the column within the entity.
        column: usize,
        /// Least value.
        lo: i32,
        /// Greatest value.
        hi: i32,
    },
    /// A place in the base that it does not have.
    #[error("a place in the base that is beyond its {places} entities")]
    NoSuchPlace {
        /// How many the base has.
        places: usize,
    },
    /// An entity that is gone or new, and something else as well.
    #[error("entity {id} is said to be gone, new or changed, more than one of them")]
    Contradiction {
        /// Its id.
        id: u32,
    },
    /// A viewer that the replicator was not made for.
    #[error("viewer {viewer}, expected one below {viewers}")]
    NoSuchViewer {
        /// The viewer.
        viewer: Slot,
        /// How many there are.
        viewers: usize,
    },
    /// A tick that is not above the one before.
    #[error("tick {tick} for a viewer that has had tick {newest}; ticks ascend")]
    OldTick {
        /// The tick.
        tick: Tick,
        /// The newest one that the viewer was sent.
        newest: Tick,
    },
    /// More entities than a net state may have.
    #[error("more than {limit} entities")]
    TooManyEntities {
        /// How many there may be.
        limit: usize,
    },
    /// More parts than a sender would ever make.
    #[error("parts of more than {limit} different ticks lie beside each other")]
    TooScattered {
        /// How many there may be.
        limit: usize,
    },
}

/// Most bytes of a part's data: a `state` payload of 1,000 bytes less the envelope and the slots'
/// statuses.
pub const MAX_SNAPSHOT_BYTES: usize = 900;
/// The least budget for a part: what the largest entity takes (32 columns of 32 bits, id, kind and
/// owner), and the count.
pub const MIN_SNAPSHOT_BYTES: usize = 160;

/// Bits of the number of entities.
const COUNT_BITS: u32 = 12;
/// Most entities of a part: what its count can say.
const MAX_PART_ENTITIES: usize = (1 << COUNT_BITS) - 1;
/// Bits of an owner's slot.
const OWNER_BITS: u32 = 6;
