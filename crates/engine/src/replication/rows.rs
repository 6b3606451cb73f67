//! Every version of every entity that some view may still show, once.
//!
//! A row never changes. Most viewers see the same rows, so a view is a list of rows; a tick's
//! states come in as net states, and each entity of them is looked up among the rows that its
//! entity had last.

use crate::schema::Schema;
use crate::simulation::{Entity, NetState, Slot, Tick};
use crate::snapshot::{SnapshotError, checked_columns};

/// Index of a row.
pub(super) type RowId = u32;

/// An entity of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The entity's id.
    pub(super) id: u32,
    pub(super) row: RowId,
}

/// An entity of the state that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextEntry {
    pub(super) id: u32,
    pub(super) row: RowId,
    /// The entity's place in lists that have one for each entity that is alive.
    pub(super) place: u32,
    pub(super) priority: f32,
}

/// The rows. See the module.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    /// `stride` for each row.
    columns: Vec<i32>,
    stride: usize,
    free: Vec<RowId>,
    /// Entities that have rows, by place.
    known: Vec<Known>,
    free_places: Vec<u32>,
    /// Id and place of each of them, ascending by id.
    order: Vec<(u32, u32)>,
    /// Where the search for rows that nobody can show any more goes on.
    swept: usize,
}

/// A version of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) place: u32,
    pub(super) kind: u8,
    pub(super) owner: Option<Slot>,
    columns: u8,
    free: bool,
    /// The last tick of which a view shows it.
    seen: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: u32,
    /// Its newest rows, the newest first: viewers may see different ones.
    newest: [RowId; VARIANTS],
    rows: u32,
}

impl Rows {
    /// Starts a tick: rows that only views of more than `max_age` ticks ago show may go. Answers
    /// the places of entities that have none any more through `forgotten`.
    pub(super) fn begin(&mut self, tick: Tick, max_age: u32, mut forgotten: impl FnMut(u32)) {
        let some = (self.rows.len() / SWEEPS)
            .max(MIN_SWEPT)
            .min(self.rows.len());
        for _ in 0..some {
            let row = self.swept;
            self.swept = (self.swept + 1) % self.rows.len();
            let Row {
                free, seen, place, ..
            } = self.rows[row];
            if free || tick.saturating_sub(seen) <= max_age + 1 {
                continue;
            }
            self.rows[row].free = true;
            self.free.push(row as RowId);
            let known = &mut self.known[place as usize];
            for newest in &mut known.newest {
                if *newest == row as RowId {
                    *newest = NO_ROW;
                }
            }
            known.rows -= 1;
            if known.rows == 0 {
                let id = known.id;
                if let Ok(at) = self.order.binary_search_by_key(&id, |(id, _)| *id) {
                    self.order.remove(at);
                }
                self.free_places.push(place);
                forgotten(place);
            }
        }
    }

    /// Forgets everything, and takes rows of as many columns as the schema's largest kind.
    pub(super) fn reset(&mut self, schema: &Schema) {
        *self = Self::default();
        self.stride = stride(schema);
    }

    /// Whether the rows are those of such a schema.
    pub(super) fn fits(&self, schema: &Schema) -> bool {
        self.stride == stride(schema)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// How many places entities may have, from 0.
    pub(super) fn places(&self) -> usize {
        self.known.len()
    }

    /// A row.
    #[inline]
    pub(super) fn row(&self, row: RowId) -> &Row {
        &self.rows[row as usize]
    }

    /// A row's columns.
    #[inline]
    pub(super) fn columns(&self, row: RowId) -> &[i32] {
        let first = row as usize * self.stride;
        &self.columns[first..first + usize::from(self.rows[row as usize].columns)]
    }

    /// Says that a view of the tick shows the row.
    #[inline]
    pub(super) fn show(&mut self, row: RowId, tick: Tick) {
        self.rows[row as usize].seen = tick;
    }

    /// Looks the entities of a state up, which is held against the schema where it is new.
    pub(super) fn find(
        &mut self,
        schema: &Schema,
        tick: Tick,
        state: &NetState,
        out: &mut Vec<NextEntry>,
    ) -> Result<(), SnapshotError> {
        out.clear();
        let mut at = 0;
        let mut least = Some(0);
        for entity in &state.entities {
            let id = entity.id;
            if least.is_none_or(|least| id < least) {
                return Err(SnapshotError::NotAscending { id });
            }
            least = id.checked_add(1);
            while self.order.get(at).is_some_and(|(known, _)| *known < id) {
                at += 1;
            }
            let place = match self.order.get(at) {
                Some((known, place)) if *known == id => *place,
                _ => {
                    // Held against the schema first, so that what breaks it leaves nothing behind.
                    checked_columns(schema, state, entity)?;
                    let place = self.add_entity(id);
                    self.order.insert(at, (id, place));
                    place
                }
            };
            let row = match self.find_row(place, state, entity) {
                Some(row) => row,
                None => self.add_row(schema, place, state, entity, tick)?,
            };
            // What is looked up must outlast the tick, whether or not it is sent.
            self.rows[row as usize].seen = tick;
            out.push(NextEntry {
                id,
                row,
                place,
                priority: entity.priority,
            });
        }
        Ok(())
    }

    #[inline]
    fn find_row(&self, place: u32, state: &NetState, entity: &Entity) -> Option<RowId> {
        let first = entity.first_column as usize;
        let columns = state
            .columns
            .get(first..first + usize::from(entity.column_count))?;
        let newest = self.known[place as usize].newest;
        newest.into_iter().find(|row| {
            *row != NO_ROW && {
                let known = &self.rows[*row as usize];
                known.kind == entity.kind
                    && known.owner == entity.owner
                    && self.columns(*row) == columns
            }
        })
    }

    fn add_entity(&mut self, id: u32) -> u32 {
        let known = Known {
            id,
            newest: [NO_ROW; VARIANTS],
            rows: 0,
        };
        match self.free_places.pop() {
            Some(place) => {
                self.known[place as usize] = known;
                place
            }
            None => {
                self.known.push(known);
                self.known.len() as u32 - 1
            }
        }
    }

    fn add_row(
        &mut self,
        schema: &Schema,
        place: u32,
        state: &NetState,
        entity: &Entity,
        tick: Tick,
    ) -> Result<RowId, SnapshotError> {
        let (_, columns) = checked_columns(schema, state, entity)?;
        let new = Row {
            place,
            kind: entity.kind,
            owner: entity.owner,
            columns: entity.column_count,
            free: false,
            seen: tick,
        };
        let row = match self.free.pop() {
            Some(row) => {
                self.rows[row as usize] = new;
                row
            }
            None => {
                self.rows.push(new);
                self.columns.resize(self.rows.len() * self.stride, 0);
                self.rows.len() as RowId - 1
            }
        };
        let first = row as usize * self.stride;
        self.columns[first..first + columns.len()].copy_from_slice(columns);
        let known = &mut self.known[place as usize];
        known.newest.rotate_right(1);
        known.newest[0] = row;
        known.rows += 1;
        Ok(row)
    }

    /// Writes out what a view shows. Priorities are 0.
    pub(super) fn copy(&self, view: &[Entry], out: &mut NetState) {
        out.clear();
        for entry in view {
            let row = self.row(entry.row);
            let columns = self.columns(entry.row);
            out.entities.push(Entity {
                id: entry.id,
                kind: row.kind,
                owner: row.owner,
                priority: 0.0,
                first_column: out.columns.len() as u32,
                column_count: row.columns,
            });
            out.columns.extend_from_slice(columns);
        }
    }
}

fn stride(schema: &Schema) -> usize {
    let kinds = schema.kinds().iter();
    kinds.map(|kind| kind.columns().len()).max().unwrap_or(0)
}

/// Stands for "no row".
pub(super) const NO_ROW: RowId = RowId::MAX;
/// How many different rows of an entity are looked at: everyone's, its owner's, its team's, and the
/// one before. More are found to be equal only when they are written.
const VARIANTS: usize = 4;
/// In how many ticks all rows are looked at once.
const SWEEPS: usize = 16;
/// Fewest rows that are looked at in a tick.
const MIN_SWEPT: usize = 64;
