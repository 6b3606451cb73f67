//! Through the entities of a delta, by id: which are gone, which are new, which changed.

use super::columns::{self, History, Known};
use super::model::{OPINIONS, Predict};
use crate::abi::MAX_ENTITIES;
use crate::range_coder::BitCoder;
use crate::schema::{KindSchema, Schema};
use crate::simulation::{Entity, NetState, Slot};
use crate::snapshot::{Delta, OWNER_BITS, SnapshotError, checked_columns};

/// What a walk needs besides the model; its memory stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    history: History,
    /// Indices into the base.
    removed: Vec<u32>,
    added: Vec<Added>,
    /// Which entities of the base are to change; only an encoder knows.
    changed: Vec<bool>,
    /// Which cell of the grid each entity of the base lies still in.
    still: Vec<u16>,
    /// How far each entity of the base moved, as a bucket.
    moves: Vec<u8>,
    near: Near,
    plans: Vec<Plan>,
    /// Columns of an entity that starts from nothing.
    blank: Vec<i32>,
}

/// An entity that the base does not have, or has as another kind or another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Added {
    id: u32,
    kind: u8,
    owner: Option<Slot>,
}

impl Walk {
    /// Checks the states of a delta that is to be written, and works out what changed.
    pub(super) fn prepare(
        &mut self,
        schema: &Schema,
        delta: &Delta<'_>,
    ) -> Result<(), SnapshotError> {
        let Delta { base, older, next } = *delta;
        self.prepare_to_read(schema, base, older)?;
        check(schema, next, Depth::Values)?;
        self.changed.clear();
        let mut ahead = next.entities.iter().peekable();
        for (index, entity) in base.entities.iter().enumerate() {
            while let Some(new) = ahead.next_if(|new| new.id < entity.id) {
                self.added.push(Added::from(new));
            }
            match ahead.next_if(|new| new.id == entity.id) {
                None => {
                    self.removed.push(index as u32);
                    self.changed.push(true);
                }
                Some(new) if (new.kind, new.owner) != (entity.kind, entity.owner) => {
                    self.added.push(Added::from(new));
                    self.changed.push(true);
                }
                Some(new) => {
                    let same = same(base.columns_of(entity), next.columns_of(new));
                    self.changed.push(!same);
                }
            }
        }
        self.added.extend(ahead.map(Added::from));
        Ok(())
    }

    /// Checks the states that a delta to be read rests on.
    pub(super) fn prepare_to_read(
        &mut self,
        schema: &Schema,
        base: &NetState,
        older: Option<&NetState>,
    ) -> Result<(), SnapshotError> {
        self.removed.clear();
        self.added.clear();
        for state in [Some(base), older].into_iter().flatten() {
            check(schema, state, Depth::Shape)?;
        }
        Ok(())
    }

    /// Codes the delta; `out` is the state that it makes.
    #[allow(
        clippy::too_many_arguments,
        reason = "both directions need all that is known"
    )]
    pub(super) fn code<C: BitCoder, P: Predict>(
        &mut self,
        coder: &mut C,
        model: &mut P,
        schema: &Schema,
        base: &NetState,
        older: Option<&NetState>,
        next: Option<&NetState>,
        out: &mut NetState,
    ) -> Result<(), SnapshotError> {
        out.clear();
        self.history.clear();
        let quarters = match older {
            None => 0,
            Some(older) => {
                let wanted = next.map_or(0, |next| pace(base, older, next));
                coder.code_raw(wanted, QUARTER_BITS) as i32
            }
        };
        self.code_lists(coder, model, schema, base)?;
        self.find_movers(schema, base, older);

        let mut flags = Flags::default();
        let (mut added, mut removed) =
            (self.added.iter().peekable(), self.removed.iter().peekable());
        let mut wanted = next.map(|next| next.entities.iter());
        let mut olds = older.map_or(&[][..], |older| &older.entities);
        let mut last_of_kind: [u32; 64] = [u32::MAX; 64];
        let (mut index, mut run_end) = (0, 0);
        loop {
            if index >= run_end && flags.before & 1 == 0 {
                let gone = removed.peek().map_or(usize::MAX, |gone| **gone as usize);
                let new = added.peek().map_or(u32::MAX, |new| new.id);
                let end = self.run_end(base, index, gone, new);
                if end > index {
                    let run = index..end;
                    let quiet = next.is_some() && !self.changed[run.clone()].contains(&true);
                    let slot = RUNS + run.len().ilog2() as usize * 10 + flags.since_bucket();
                    if model.direct(coder, slot, quiet) {
                        if out.entities.len() + run.len() > MAX_ENTITIES {
                            return Err(SnapshotError::TooManyEntities {
                                limit: MAX_ENTITIES,
                            });
                        }
                        if let Some(wanted) = &mut wanted {
                            wanted.nth(run.len() - 1);
                        }
                        let entities = &base.entities[run.clone()];
                        for (n, entity) in entities.iter().enumerate() {
                            let last = &mut last_of_kind[usize::from(entity.kind) % 64];
                            *last = (out.entities.len() + n) as u32;
                        }
                        copy(base, entities, out);
                        flags.still(run.len());
                        index = end;
                        continue;
                    }
                    run_end = end;
                }
            }
            let kept = base.entities.get(index);
            let new = added.peek().copied();
            // The next by id, of either list.
            let (entity, new) = match (kept, new) {
                (None, None) => break,
                (Some(kept), Some(new)) if new.id > kept.id => (Some(kept), None),
                (Some(kept), Some(new)) if new.id == kept.id => (Some(kept), Some(new)),
                (_, Some(new)) => (None, Some(new)),
                (kept, None) => (kept, None),
            };
            if entity.is_some() {
                index += 1;
            }
            if new.is_some() {
                added.next();
            } else if removed
                .next_if(|gone| **gone as usize + 1 == index)
                .is_some()
            {
                flags.skip();
                continue;
            }
            let id = new.map_or_else(|| entity.map_or(0, |entity| entity.id), |new| new.id);
            let want = match &mut wanted {
                None => None,
                Some(wanted) => wanted
                    .next()
                    .zip(next)
                    .map(|(entity, next)| next.columns_of(entity)),
            };
            let (kind_index, owner) = match (new, entity) {
                (Some(new), _) => (new.kind, new.owner),
                (None, Some(entity)) => (entity.kind, entity.owner),
                (None, None) => break,
            };
            let Some(kind) = schema.kind(kind_index) else {
                return Err(SnapshotError::NoSuchKind {
                    kind: kind_index,
                    kinds: schema.kinds().len(),
                });
            };
            if out.entities.len() == MAX_ENTITIES {
                return Err(SnapshotError::TooManyEntities {
                    limit: MAX_ENTITIES,
                });
            }
            let first_column = out.columns.len() as u32;
            let own = entity.filter(|entity| entity.kind == kind_index);
            let before: &[i32] = match own {
                Some(entity) => base.columns_of(entity),
                None => {
                    self.blank.clear();
                    let last = &mut last_of_kind[usize::from(kind_index) % 64];
                    match out.entities.get(*last as usize) {
                        Some(last) => self.blank.extend_from_slice(out.columns_of(last)),
                        None => self.blank.extend(kind.columns().iter().map(|c| c.lo)),
                    }
                    &self.blank
                }
            };
            while olds.first().is_some_and(|old| old.id < id) {
                olds = &olds[1..];
            }
            let old = match (older, olds.first()) {
                (Some(older), Some(old))
                    if own.is_some() && old.id == id && old.kind == kind_index =>
                {
                    older.columns_of(old)
                }
                _ => before,
            };
            let plan = &self.plans[usize::from(kind_index)];
            let cell = plan.cell(before);
            let changed = if new.is_some() {
                true
            } else {
                let changed = next.is_some() && self.changed[index - 1];
                let density = self.near.around(cell);
                let held = plan.held(before);
                flags.code(
                    coder,
                    model,
                    &self.moves,
                    index - 1,
                    density,
                    held,
                    quarters,
                    changed,
                )
            };
            if changed {
                let known = Known {
                    base: before,
                    older: old,
                    quarters,
                    new: own.is_none(),
                    near: self.near.last(plan.at(before)),
                };
                columns::code_columns(
                    coder,
                    model,
                    &mut self.history,
                    kind_index,
                    kind,
                    &known,
                    want,
                    &mut out.columns,
                );
                self.near
                    .mark(plan.cell(&out.columns[first_column as usize..]));
                self.near.coded(plan.at(before), self.history.len());
            } else {
                out.columns.extend_from_slice(before);
            }
            last_of_kind[usize::from(kind_index) % 64] = out.entities.len() as u32;
            out.entities.push(Entity {
                id,
                kind: kind_index,
                owner,
                priority: 0.0,
                first_column,
                column_count: kind.columns().len() as u8,
            });
        }
        Ok(())
    }

    /// Codes which entities are gone and which are new.
    fn code_lists<C: BitCoder, P: Predict>(
        &mut self,
        coder: &mut C,
        model: &mut P,
        schema: &Schema,
        base: &NetState,
    ) -> Result<(), SnapshotError> {
        let count = number(coder, model, NUMBERS, self.removed.len() as u32) as usize;
        if count > base.entities.len() {
            return Err(SnapshotError::TooManyEntities {
                limit: base.entities.len(),
            });
        }
        self.removed.resize(count, 0);
        let mut least = 0_u32;
        for gone in &mut self.removed {
            let gap = number(coder, model, NUMBERS + 64, gone.saturating_sub(least));
            *gone = least.saturating_add(gap);
            if *gone as usize >= base.entities.len() {
                return Err(SnapshotError::NoSuchPlace {
                    places: base.entities.len(),
                });
            }
            least = *gone + 1;
        }
        let count = number(coder, model, NUMBERS + 128, self.added.len() as u32) as usize;
        if count > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        let blank = Added {
            id: 0,
            kind: 0,
            owner: None,
        };
        self.added.resize(count, blank);
        let mut least = Some(0_u32);
        for new in &mut self.added {
            let Some(from) = least else {
                return Err(SnapshotError::IdOutOfRange { last_id: u32::MAX });
            };
            let gap = number(coder, model, NUMBERS + 192, new.id.saturating_sub(from));
            let Some(id) = from.checked_add(gap) else {
                return Err(SnapshotError::IdOutOfRange { last_id: u32::MAX });
            };
            new.id = id;
            least = id.checked_add(1);
            new.kind = coder.code_raw(u32::from(new.kind), schema.kind_bits()) as u8;
            if usize::from(new.kind) >= schema.kinds().len() {
                return Err(SnapshotError::NoSuchKind {
                    kind: new.kind,
                    kinds: schema.kinds().len(),
                });
            }
            let owned = model.direct(coder, OWNED, new.owner.is_some());
            new.owner = owned.then(|| {
                let slot = u32::from(new.owner.unwrap_or(0));
                coder.code_raw(slot, OWNER_BITS) as Slot
            });
        }
        Ok(())
    }

    /// Where the run of entities ends that lie still among others that do, from `index` on, before
    /// the next that is gone and the next that is new.
    fn run_end(&self, base: &NetState, index: usize, gone: usize, new: u32) -> usize {
        let end = gone.min(index + RUN).min(self.still.len());
        let Some(cells) = self.still.get(index..end) else {
            return index;
        };
        let quiet = |(cell, entity): &(&u16, &Entity)| {
            self.near.counts[usize::from(**cell)] == 0 && entity.id < new
        };
        index
            + cells
                .iter()
                .zip(&base.entities[index..])
                .take_while(quiet)
                .count()
    }

    /// Finds which entities of the base move, and where.
    fn find_movers(&mut self, schema: &Schema, base: &NetState, older: Option<&NetState>) {
        self.plans.clear();
        self.plans.extend(schema.kinds().iter().map(Plan::new));
        self.near.clear();
        self.moves.clear();
        self.still.clear();
        let mut olds = older.map_or(&[][..], |older| &older.entities);
        for entity in &base.entities {
            while olds.first().is_some_and(|old| old.id < entity.id) {
                olds = &olds[1..];
            }
            let now = base.columns_of(entity);
            let then = match (older, olds.first()) {
                (Some(older), Some(old)) if old.id == entity.id && old.kind == entity.kind => {
                    older.columns_of(old)
                }
                _ => now,
            };
            let (mut moved, mut still) = (0, LOUD);
            if let Some(plan) = self.plans.get(usize::from(entity.kind)) {
                let cell = plan.cell(now);
                if !same(now, then) {
                    self.near.mark(cell);
                    moved = columns::motion(now, then) as u8;
                    if let Some(before) = self.still.last_mut() {
                        *before = LOUD;
                    }
                } else if plan.held(now) == 0 {
                    still = cell.map_or(QUIET_CELL, |cell| cell as u16);
                }
            }
            self.moves.push(moved);
            self.still.push(still);
        }
    }
}

/// Appends entities of a state as they are.
fn copy(state: &NetState, entities: &[Entity], out: &mut NetState) {
    let Some(first) = entities.first() else {
        return;
    };
    let (from, to) = (first.first_column, out.columns.len() as u32);
    let (mut end, mut in_order) = (from, true);
    out.entities.extend(entities.iter().map(|entity| {
        in_order &= entity.first_column == end;
        let first_column = to + (end - from);
        end += u32::from(entity.column_count);
        Entity {
            priority: 0.0,
            first_column,
            ..*entity
        }
    }));
    match state.columns.get(from as usize..end as usize) {
        Some(columns) if in_order => out.columns.extend_from_slice(columns),
        _ => {
            for entity in entities {
                out.columns.extend_from_slice(state.columns_of(entity));
            }
        }
    }
}

/// Whether two entities have the same columns. They are few: a call to compare them would take
/// longer than to compare them.
#[inline]
fn same(a: &[i32], b: &[i32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |apart, (a, b)| apart | (a ^ b)) == 0
}

impl From<&Entity> for Added {
    fn from(entity: &Entity) -> Self {
        Self {
            id: entity.id,
            kind: entity.kind,
            owner: entity.owner,
        }
    }
}

/// How closely a state is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// That entities ascend and have their kinds' columns.
    Shape,
    /// That values are in range as well.
    Values,
}

fn check(schema: &Schema, state: &NetState, depth: Depth) -> Result<(), SnapshotError> {
    if state.entities.len() > MAX_ENTITIES {
        return Err(SnapshotError::TooManyEntities {
            limit: MAX_ENTITIES,
        });
    }
    let mut least = Some(0);
    for entity in &state.entities {
        if least.is_none_or(|least| entity.id < least) {
            return Err(SnapshotError::NotAscending { id: entity.id });
        }
        least = entity.id.checked_add(1);
        let expected = schema
            .kind(entity.kind)
            .map_or(0, |kind| kind.columns().len());
        let end = entity.first_column as usize + usize::from(entity.column_count);
        let fits = usize::from(entity.column_count) == expected && end <= state.columns.len();
        if depth == Depth::Values || !fits || expected == 0 {
            checked_columns(schema, state, entity)?;
        }
    }
    Ok(())
}

/// How many quarters of the way from the older state to the base lead from the base to the next:
/// the ratio of ticks, where entities move evenly.
fn pace(base: &NetState, older: &NetState, next: &NetState) -> u32 {
    let (mut square, mut product) = (0_i64, 0_i64);
    let (mut olds, mut nexts) = (&older.entities[..], &next.entities[..]);
    for entity in &base.entities {
        while olds.first().is_some_and(|old| old.id < entity.id) {
            olds = &olds[1..];
        }
        while nexts.first().is_some_and(|next| next.id < entity.id) {
            nexts = &nexts[1..];
        }
        let (Some(old), Some(new)) = (olds.first(), nexts.first()) else {
            break;
        };
        if (old.id, old.kind) != (entity.id, entity.kind)
            || (new.id, new.kind) != (entity.id, entity.kind)
        {
            continue;
        }
        let (now, then) = (base.columns_of(entity), older.columns_of(old));
        if same(now, then) {
            continue;
        }
        for ((now, then), later) in now.iter().zip(then).zip(next.columns_of(new)) {
            // What jumps is not what moves evenly.
            let moved = (i64::from(*now) - i64::from(*then)).clamp(-4096, 4096);
            let moves = (i64::from(*later) - i64::from(*now)).clamp(-65_536, 65_536);
            square += moved * moved;
            product += moved * moves;
        }
    }
    if square == 0 {
        return 0;
    }
    ((product * 8 / square + 1) >> 1).clamp(0, (1 << QUARTER_BITS) - 1) as u32
}

/// Codes a number that is mostly small.
fn number<C: BitCoder, P: Predict>(coder: &mut C, model: &mut P, slot: usize, value: u32) -> u32 {
    let wanted = (u64::from(value) + 1).ilog2() as usize;
    let mut bits = 0;
    while bits < 32 && model.direct(coder, slot + bits, wanted > bits) {
        bits += 1;
    }
    if bits == 0 {
        return 0;
    }
    let n = u64::from(value) + 1;
    let top = model.direct(coder, slot + 32 + bits - 1, n >> (bits - 1) & 1 != 0);
    let left = bits as u32 - 1;
    let low = coder.code_raw((n & ((1 << left) - 1)) as u32, left);
    let n = (2 | u64::from(top)) << left | u64::from(low);
    u32::try_from(n - 1).unwrap_or(u32::MAX)
}

/// Which columns of a kind say where an entity is, and how it is.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    /// The first two wide columns: index, least value, and bits to shift to get a cell.
    place: Option<[(usize, i32, u32); 2]>,
    /// Index and least value of the first columns that are flags.
    flags: [Option<(usize, i32)>; 2],
}

impl Plan {
    fn new(kind: &KindSchema) -> Self {
        let columns = || kind.columns().iter().enumerate();
        let mut wide = columns().filter(|(_, column)| column.bits() > WIDE_BITS);
        let mut along = || {
            wide.next()
                .map(|(at, column)| (at, column.lo, column.bits() - GRID_BITS))
        };
        let place = along().zip(along()).map(|(x, y)| [x, y]);
        let mut flags = columns().filter(|(_, column)| column.bits() == 1);
        let mut flag = || flags.next().map(|(at, column)| (at, column.lo));
        Self {
            place,
            flags: [flag(), flag()],
        }
    }

    /// The flags' values, as two bits.
    fn held(&self, values: &[i32]) -> usize {
        let mut held = 0;
        for (place, flag) in self.flags.iter().enumerate() {
            if let Some((at, lo)) = flag {
                held |= usize::from(values[*at] != *lo) << place;
            }
        }
        held
    }

    /// Where the entity is.
    fn at(&self, values: &[i32]) -> Option<[i32; 2]> {
        self.place.map(|place| place.map(|(at, ..)| values[at]))
    }

    fn cell(&self, values: &[i32]) -> Option<usize> {
        let [x, y] = self.place?.map(|(at, lo, shift)| {
            let from = values[at].wrapping_sub(lo) as u32;
            ((from >> shift) as usize).min(GRID - 1) + 1
        });
        Some(y * (GRID + 2) + x)
    }
}

/// Which entities changed, in order.
#[derive(Default)]
struct Flags {
    /// A bit an entity, the last one lowest.
    before: usize,
    since: u64,
}

impl Flags {
    fn skip(&mut self) {
        self.before <<= 1;
    }

    /// Notes that `count` entities in a row did not change.
    fn still(&mut self, count: usize) {
        self.before = self.before.checked_shl(count as u32).unwrap_or(0);
        self.since += count as u64;
    }

    fn since_bucket(&self) -> usize {
        columns::bucket(self.since).min(9)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "both directions need all that is known"
    )]
    #[inline]
    fn code<C: BitCoder, P: Predict>(
        &mut self,
        coder: &mut C,
        model: &mut P,
        moves: &[u8],
        at: usize,
        density: usize,
        held: usize,
        quarters: i32,
        changed: bool,
    ) -> bool {
        let move_of = |at: usize| usize::from(moves.get(at).copied().unwrap_or(0));
        let own = move_of(at);
        let (next, after, last) = (
            move_of(at + 1),
            move_of(at + 2),
            move_of(at.wrapping_sub(1)),
        );
        let some = |n: usize| usize::from(n > 0);
        let changed = if own + next + density + held + (self.before & 1) == 0 {
            let slot = QUIET + (self.before >> 1 & 1) * 4 + some(after) * 2 + some(last);
            model.direct(coder, slot, changed)
        } else {
            let since = self.since_bucket();
            let pace = columns::bucket(quarters as u64).min(7);
            let contexts = [
                own.min(7) * 4 + held,
                32 + (self.before & 63) * 2 + some(own),
                160 + ((some(next) * 2 + some(after)) * 2 + some(last)) * 4
                    + some(own) * 2
                    + (self.before & 1),
                192 + (held * 4 + (self.before & 3)) * 4 + own.min(3),
                256 + (next.min(3) * 4 + last.min(3)) * 4 + own.min(3),
                320 + (since * 2 + some(own)) * 2 + some(next),
                360 + (density.min(7) * 2 + some(own)) * 2 + (self.before & 1),
                392 + (pace * 4 + own.min(3)) * 4 + density.min(3),
            ];
            let rows: [u16; OPINIONS] = contexts.map(|context| context as u16);
            model.mixed(coder, &rows, FLAGS, changed)
        };
        self.before = self.before << 1 | usize::from(changed);
        self.since = if changed { 0 } else { self.since + 1 };
        changed
    }
}

/// Which entities move near a place, on a coarse grid of the first two wide columns.
#[derive(Clone, Debug)]
struct Near {
    /// How many there are around.
    counts: Box<[u8; CELLS]>,
    /// Where the last entities were that were coded, and the number of each, from one.
    x: [i32; NEIGHBOURS],
    y: [i32; NEIGHBOURS],
    count: [u32; NEIGHBOURS],
}

impl Default for Near {
    fn default() -> Self {
        let mut near = Self {
            counts: Box::new([0; CELLS]),
            x: [0; NEIGHBOURS],
            y: [0; NEIGHBOURS],
            count: [0; NEIGHBOURS],
        };
        near.clear();
        near
    }
}

impl Near {
    fn clear(&mut self) {
        self.counts.fill(0);
        self.counts[usize::from(LOUD)] = 1;
        self.x.fill(i32::MAX);
        self.y.fill(i32::MAX);
        self.count.fill(0);
    }

    fn mark(&mut self, cell: Option<usize>) {
        let Some(cell) = cell else { return };
        for row in [cell - GRID - 2, cell, cell + GRID + 2] {
            for count in &mut self.counts[row - 1..=row + 1] {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Notes where the entity was that was coded as the `count`-th.
    fn coded(&mut self, at: Option<[i32; 2]>, count: usize) {
        let place = count % NEIGHBOURS;
        [self.x[place], self.y[place]] = at.unwrap_or([i32::MAX; 2]);
        self.count[place] = count as u32;
    }

    /// A bucket of how many were marked around.
    fn around(&self, cell: Option<usize>) -> usize {
        cell.map_or(0, |cell| columns::bucket(u64::from(self.counts[cell])))
    }

    /// The nearest of the last that were coded, by its place in the history.
    fn last(&self, at: Option<[i32; 2]>) -> Option<usize> {
        let [x, y] = at?;
        // Quarters, so that no sum is too large.
        let mut distances = [0_i32; NEIGHBOURS];
        for ((distance, x_of), y_of) in distances.iter_mut().zip(&self.x).zip(&self.y) {
            *distance = ((x.abs_diff(*x_of) >> 2) + (y.abs_diff(*y_of) >> 2)) as i32;
        }
        let least = distances.iter().fold(i32::MAX, |a, b| a.min(*b));
        let place = distances.iter().position(|distance| *distance == least)?;
        self.count[place].checked_sub(1).map(|last| last as usize)
    }
}

/// How many entities back the nearest one is looked for.
const NEIGHBOURS: usize = 48;
/// The most entities that one bit says to lie still.
const RUN: usize = 32;
/// Cells in all, with a margin around, and two that are at no place: one where all is quiet, and
/// one for entities that move themselves.
const CELLS: usize = (GRID + 2) * (GRID + 2) + 2;
const QUIET_CELL: u16 = CELLS as u16 - 2;
const LOUD: u16 = CELLS as u16 - 1;
/// Cells along each side of the grid.
const GRID: usize = 1 << GRID_BITS;
const GRID_BITS: u32 = 6;
/// A column of more bits may say where an entity is.
const WIDE_BITS: u32 = 10;
/// Bits of the pace: up to 64 times as long from the base to the next as from the older to it.
const QUARTER_BITS: u32 = 8;

const FLAGS: usize = columns::MIXED;
/// Opinions of the whole model.
pub(super) const MIXED: usize = FLAGS + 520;
const QUIET: usize = columns::SLOTS;
const OWNED: usize = QUIET + 8;
const RUNS: usize = OWNED + 1;
const NUMBERS: usize = RUNS + (RUN.ilog2() as usize + 1) * 10;
/// Slots of the whole model.
pub(super) const SLOTS: usize = NUMBERS + 4 * 64 + 8;
