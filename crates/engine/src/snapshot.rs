//! Net states on the wire, as what is new against a state that the receiver has: two codecs behind
//! one interface.
//!
//! [`packed`] writes bits, [`ranged`] a range-coded stream of what a model foresees. Both are
//! lossless, restart in every packet, and read any bytes without a panic. Who is sent what is
//! [`crate::replication`]'s.

pub(crate) mod bits;
pub mod packed;
pub mod ranged;

use crate::schema::{KindSchema, Schema};
use crate::simulation::{Entity, NetState, Slot, Tick};

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
}

/// Most bytes of a delta: a `state` payload of 1,000 bytes less the envelope and the slots'
/// statuses.
pub const MAX_SNAPSHOT_BYTES: usize = 900;
/// The least budget for a delta: what the largest entity takes (32 columns of 32 bits, id, kind and
/// owner), and the count.
pub const MIN_SNAPSHOT_BYTES: usize = 160;

/// Bits of an owner's slot.
const OWNER_BITS: u32 = 6;
