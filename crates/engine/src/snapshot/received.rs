//! The receiver's side: parts that come in any order, put together again.

use super::bits::BitReader;
use super::{COUNT_BITS, OWNER_BITS, SnapshotError};
use crate::abi::MAX_ENTITIES;
use crate::schema::Schema;
use crate::simulation::{Entity, NetState, Slot, Tick};

/// Reads one part into `out`, which is cleared first. Priorities do not travel and are 0.
///
/// # Errors
/// [`SnapshotError`] for bytes that no encoder writes. It then holds nothing that may be used.
pub fn decode_part(
    schema: &Schema,
    first_id: u32,
    last_id: u32,
    data: &[u8],
    out: &mut NetState,
) -> Result<(), SnapshotError> {
    out.clear();
    if first_id > last_id {
        return Err(SnapshotError::EmptyRange { first_id, last_id });
    }
    let mut reader = BitReader::new(data);
    let Some(count) = reader.read(COUNT_BITS) else {
        return Err(SnapshotError::Truncated { index: 0, count: 0 });
    };
    let mut next_id = Some(first_id);
    for index in 0..count {
        let truncated = SnapshotError::Truncated { index, count };
        let Some(gap) = reader.read_gamma() else {
            return Err(truncated);
        };
        let id = next_id
            .and_then(|next| next.checked_add(gap))
            .filter(|id| *id <= last_id);
        let Some(id) = id else {
            return Err(SnapshotError::IdOutOfRange { last_id });
        };
        let Some((kind, owner)) = read_head(&mut reader, schema) else {
            return Err(truncated);
        };
        let Some(kind_schema) = schema.kind(kind) else {
            return Err(SnapshotError::NoSuchKind {
                kind,
                kinds: schema.kinds().len(),
            });
        };
        let first_column = out.columns.len() as u32;
        for (index, column) in kind_schema.columns().iter().enumerate() {
            let Some(above) = reader.read(column.bits()) else {
                return Err(truncated);
            };
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
            out.columns.push(value as i32);
        }
        let column_count = kind_schema.columns().len() as u8;
        out.entities.push(Entity {
            id,
            kind,
            owner,
            priority: 0.0,
            first_column,
            column_count,
        });
        next_id = id.checked_add(1);
    }
    if reader.is_at_end() {
        Ok(())
    } else {
        Err(SnapshotError::Trailing)
    }
}

fn read_head(reader: &mut BitReader<'_>, schema: &Schema) -> Option<(u8, Option<Slot>)> {
    let kind = reader.read(schema.kind_bits())? as u8;
    let owner = match reader.read(1)? {
        0 => None,
        _ => Some(reader.read(OWNER_BITS)? as Slot),
    };
    Some((kind, owner))
}

/// The newest that a receiver knows of every entity, from parts that come in any order.
#[derive(Clone, Debug)]
pub struct ReceivedState {
    state: NetState,
    /// Which tick the state is of, by id: each segment reaches to the next one's first id. The
    /// first starts at 0.
    segments: Vec<Segment>,
    part: NetState,
    merged: NetState,
    merged_segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    first_id: u32,
    tick: Tick,
}

impl ReceivedState {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self {
            state: NetState::default(),
            segments: vec![Segment {
                first_id: 0,
                tick: 0,
            }],
            part: NetState::default(),
            merged: NetState::default(),
            merged_segments: Vec::new(),
        }
    }

    /// Takes a part of `tick` wherever nothing as new is known, and says whether it brought
    /// anything. After an error nothing has changed.
    ///
    /// # Errors
    /// [`SnapshotError`] for bytes that no encoder writes, and for parts that together pass the
    /// bounds of a net state.
    pub fn apply(
        &mut self,
        schema: &Schema,
        tick: Tick,
        first_id: u32,
        last_id: u32,
        data: &[u8],
    ) -> Result<bool, SnapshotError> {
        decode_part(schema, first_id, last_id, data, &mut self.part)?;
        let news = Segment { first_id, tick };
        if !self.merge_segments(news, last_id) {
            return Ok(false);
        }
        if self.merged_segments.len() > MAX_SEGMENTS {
            return Err(SnapshotError::TooScattered {
                limit: MAX_SEGMENTS,
            });
        }

        let is_news = |id: u32, segments: &[Segment]| {
            (first_id..=last_id).contains(&id) && tick_at(segments, id) < tick
        };
        self.merged.clear();
        let mut old = self.state.entities.iter().peekable();
        let mut new = self.part.entities.iter().peekable();
        loop {
            let take_old = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(old), Some(new)) => old.id <= new.id,
            };
            let (source, side) = if take_old {
                (&self.state, old.next())
            } else {
                (&self.part, new.next())
            };
            let Some(entity) = side else { break };
            if is_news(entity.id, &self.segments) != take_old {
                push(&mut self.merged, entity, source.columns_of(entity));
            }
        }
        if self.merged.entities.len() > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        std::mem::swap(&mut self.state, &mut self.merged);
        std::mem::swap(&mut self.segments, &mut self.merged_segments);
        Ok(true)
    }

    /// What is known, ascending by id.
    pub fn state(&self) -> &NetState {
        &self.state
    }

    /// The newest tick of which anything is known; 0 for none.
    pub fn newest_tick(&self) -> Tick {
        self.segments
            .iter()
            .map(|segment| segment.tick)
            .max()
            .unwrap_or(0)
    }

    /// The tick from which on everything is known; 0 while some ids were never covered.
    pub fn whole_tick(&self) -> Tick {
        self.segments
            .iter()
            .map(|segment| segment.tick)
            .min()
            .unwrap_or(0)
    }

    /// Writes the segments as they are with `news` over its range into `merged_segments`, and
    /// says whether that changes any.
    fn merge_segments(&mut self, news: Segment, last_id: u32) -> bool {
        let mut changed = false;
        self.merged_segments.clear();
        for (index, segment) in self.segments.iter().enumerate() {
            let end = self
                .segments
                .get(index + 1)
                .map_or(u32::MAX, |next| next.first_id - 1);
            let from = segment.first_id.max(news.first_id);
            let to = end.min(last_id);
            if from > to || segment.tick >= news.tick {
                push_segment(&mut self.merged_segments, *segment);
                continue;
            }
            changed = true;
            if segment.first_id < from {
                push_segment(&mut self.merged_segments, *segment);
            }
            push_segment(
                &mut self.merged_segments,
                Segment {
                    first_id: from,
                    tick: news.tick,
                },
            );
            if to < end {
                let rest = Segment {
                    first_id: to + 1,
                    tick: segment.tick,
                };
                push_segment(&mut self.merged_segments, rest);
            }
        }
        changed
    }
}

impl Default for ReceivedState {
    fn default() -> Self {
        Self::new()
    }
}

fn tick_at(segments: &[Segment], id: u32) -> Tick {
    let after = segments.partition_point(|segment| segment.first_id <= id);
    segments[after - 1].tick
}

fn push(state: &mut NetState, entity: &Entity, columns: &[i32]) {
    let first_column = state.columns.len() as u32;
    state.columns.extend_from_slice(columns);
    state.entities.push(Entity {
        first_column,
        ..*entity
    });
}

fn push_segment(segments: &mut Vec<Segment>, segment: Segment) {
    if segments.last().is_none_or(|last| last.tick != segment.tick) {
        segments.push(segment);
    }
}

/// Most stretches of ids with different ticks: the parts of a whole net state of the largest
/// entities are fewer than 700.
const MAX_SEGMENTS: usize = 1024;
