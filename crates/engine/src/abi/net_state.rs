//! Net state: module to host, and back for a view.

use super::reader::{Reader, at_most};
use super::{AbiError, MAX_ENTITIES};
use crate::manifest::MAX_SLOTS;
use crate::schema::Schema;
use crate::simulation::{Entity, NetState, Slot};

/// Writes a net state. `out` is cleared first. Columns are written as they are: what they may hold
/// is checked by whoever reads them.
///
/// # Errors
/// [`AbiError::TooMany`] beyond [`MAX_ENTITIES`]; [`AbiError::NotAscending`]; [`AbiError::Invalid`]
/// for an owner, a priority or a place of columns that cannot be.
pub fn encode_net_state(state: &NetState, out: &mut Vec<u8>) -> Result<(), AbiError> {
    out.clear();
    at_most(state.entities.len(), MAX_ENTITIES, ENTITIES)?;
    out.extend_from_slice(&(state.entities.len() as u16).to_le_bytes());
    let mut previous = None;
    for entity in &state.entities {
        previous = Some(ascending(previous, entity.id)?);
        let first = entity.first_column as usize;
        let end = first + usize::from(entity.column_count);
        let Some(columns) = state.columns.get(first..end) else {
            return Err(AbiError::Invalid {
                part: "first column of an entity",
                found: i64::from(entity.first_column),
                expected: "a place within the columns",
            });
        };
        out.extend_from_slice(&entity.id.to_le_bytes());
        out.push(entity.kind);
        out.push(match entity.owner {
            None => NOBODY,
            Some(slot) => checked_owner(slot)?,
        });
        out.extend_from_slice(&checked_priority(entity.priority)?.to_le_bytes());
        for column in columns {
            out.extend_from_slice(&column.to_le_bytes());
        }
    }
    Ok(())
}

/// Reads a net state and holds it against the schema, reusing the memory of `state`.
///
/// # Errors
/// Any [`AbiError`].
pub fn decode_net_state(
    bytes: &[u8],
    schema: &Schema,
    state: &mut NetState,
) -> Result<(), AbiError> {
    state.clear();
    let mut reader = Reader::new(bytes);
    let count = reader.count(MAX_ENTITIES, ENTITIES)?;
    let mut previous = None;
    for _ in 0..count {
        let id = reader.u32("entity id")?;
        previous = Some(ascending(previous, id)?);
        let kind = reader.u8("entity kind")?;
        let Some(kind_schema) = schema.kind(kind) else {
            return Err(AbiError::Invalid {
                part: "entity kind",
                found: i64::from(kind),
                expected: "the index of a kind in the manifest",
            });
        };
        let owner = match reader.u8(OWNER)? {
            NOBODY => None,
            slot => Some(checked_owner(slot)?),
        };
        let priority = checked_priority(reader.f32(PRIORITY)?)?;
        let first_column = state.columns.len() as u32;
        for (index, column) in kind_schema.columns().iter().enumerate() {
            let found = reader.i32("column")?;
            if found < column.lo || found > column.hi {
                let (lo, hi) = (column.lo, column.hi);
                return Err(AbiError::ColumnOutOfRange {
                    id,
                    column: index,
                    found,
                    lo,
                    hi,
                });
            }
            state.columns.push(found);
        }
        let column_count = kind_schema.columns().len() as u8;
        state.entities.push(Entity {
            id,
            kind,
            owner,
            priority,
            first_column,
            column_count,
        });
    }
    reader.end("net state")
}

fn ascending(previous: Option<u32>, id: u32) -> Result<u32, AbiError> {
    match previous {
        Some(previous) if previous >= id => Err(AbiError::NotAscending { previous, id }),
        _ => Ok(id),
    }
}

fn checked_owner(slot: Slot) -> Result<Slot, AbiError> {
    if usize::from(slot) < MAX_SLOTS {
        return Ok(slot);
    }
    Err(AbiError::Invalid {
        part: OWNER,
        found: i64::from(slot),
        expected: "0..=63 or 255",
    })
}

fn checked_priority(priority: f32) -> Result<f32, AbiError> {
    if priority.is_finite() && priority >= 0.0 {
        return Ok(priority);
    }
    let found = priority as i64;
    Err(AbiError::Invalid {
        part: PRIORITY,
        found,
        expected: "a finite number, 0 or more",
    })
}

/// Stands for "no owner".
const NOBODY: u8 = 255;

const ENTITIES: &str = "number of entities";
const OWNER: &str = "owner slot";
const PRIORITY: &str = "priority";
