//! One delta: what differs, what of it fits, and the view that this makes.

use super::cache::{Cache, Change, OTHER, SAME};
use super::rows::{Entry, NO_ROW, NextEntry, Rows};
use crate::schema::Schema;
use crate::simulation::Tick;
use crate::snapshot::bits::BitWriter;
use crate::snapshot::packed::columns::{SPEED_BITS, Speed};
use crate::snapshot::packed::modes::MAX_SPEED;
use crate::snapshot::packed::{FEW, ListWriter, MANY, list_bits, new_bits, write_new};

/// Writes deltas from rows to rows. It keeps nothing from one to the next but memory.
#[derive(Debug, Default)]
pub(super) struct DeltaWriter {
    /// Places in the base of what is gone, and how many of them are told.
    removed: Vec<u32>,
    told_removed: usize,
    /// Indices in the next state of what the base does not have, or has differently.
    added: Vec<u32>,
    changed: Vec<Changed>,
    candidates: Vec<Candidate>,
    /// What is told, the added ones first; only where something has to wait.
    told: Vec<bool>,
    /// Room that views have needed: all get as much at once, so that none grows long after.
    most_entries: usize,
    most_sent: usize,
}

#[derive(Clone, Copy, Debug)]
struct Changed {
    /// Its place in the base.
    place: u32,
    /// Its index in the next state.
    next: u32,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    waited: f32,
    /// In the added ones, and after them in the changed ones.
    index: u32,
}

/// Two views that the receiver has. The default is that it has none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    pub(super) base: &'a [Entry],
    pub(super) base_age: u32,
    pub(super) older: &'a [Entry],
    /// 0 for none.
    pub(super) older_age: u32,
}

impl Known<'_> {
    /// How far an entity is expected to have gone on since the base.
    fn speed(&self) -> Speed {
        if self.older_age == 0 {
            return 0;
        }
        let between = self.older_age - self.base_age;
        (((self.base_age << SPEED_BITS) + between / 2) / between).clamp(1, MAX_SPEED)
    }
}

/// What is kept of a viewer while its delta is written.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// How long each entity has waited, by place; empty where none has.
    pub(super) waited: Vec<f32>,
    /// The view that the delta makes.
    pub(super) entries: Vec<Entry>,
    /// What was told where something had to wait.
    pub(super) sent: Vec<(u32, f32)>,
}

impl DeltaWriter {
    /// Writes a delta of at most `budget` bytes, and answers whether nothing had to wait. Where that
    /// is so, it is for the caller to forget how long entities have waited.
    #[allow(clippy::too_many_arguments, reason = "the parts of the replicator")]
    pub(super) fn write(
        &mut self,
        schema: &Schema,
        tick: Tick,
        rows: &mut Rows,
        cache: &mut Cache,
        known: Known<'_>,
        next: &[NextEntry],
        budget: usize,
        waiting: &mut Waiting,
        out: &mut Vec<u8>,
    ) -> bool {
        let speed = known.speed();
        let bits = self.compare(schema, tick, rows, cache, known, next, speed);
        let header = cache.modes(speed).bits();
        waiting.sent.clear();
        waiting.sent.reserve(self.most_sent);
        waiting.entries.clear();
        self.most_entries = self.most_entries.max(next.len().next_power_of_two());
        waiting.entries.reserve(self.most_entries);
        if f64::from(header) + bits as f64 <= (budget * 8) as f64 {
            self.told_removed = self.removed.len();
            self.told.clear();
            self.write_told(schema, rows, cache, known, next, speed, out);
            if out.len() <= budget {
                let entries = next.iter().map(|next| Entry {
                    id: next.id,
                    row: next.row,
                });
                waiting.entries.extend(entries);
                return true;
            }
        }
        let budget_bits = (budget * 8) as f32 - header as f32 - BOUND_SLACK;
        self.choose(schema, rows, known, next, budget_bits, waiting);
        self.write_told(schema, rows, cache, known, next, speed, out);
        debug_assert!(out.len() <= budget, "{} bytes of {budget}", out.len());
        self.make_view(rows, tick, known, next, waiting);
        let (entries, sent) = (waiting.entries.len(), waiting.sent.len());
        self.most_entries = self.most_entries.max(entries.next_power_of_two());
        self.most_sent = self.most_sent.max(sent.next_power_of_two());
        false
    }

    /// Finds what differs, and answers how many bits it takes without the lists' gaps.
    #[allow(clippy::too_many_arguments, reason = "as above")]
    fn compare(
        &mut self,
        schema: &Schema,
        tick: Tick,
        rows: &Rows,
        cache: &mut Cache,
        known: Known<'_>,
        next: &[NextEntry],
        speed: Speed,
    ) -> u64 {
        self.removed.clear();
        self.added.clear();
        self.changed.clear();
        let way = cache.way(tick - known.base_age, rows.places());
        let (base, older) = (known.base, known.older);
        let (mut place, mut past) = (0, 0);
        let mut bits = 0;
        for (index, entity) in next.iter().enumerate() {
            while place < base.len() && base[place].id < entity.id {
                self.removed.push(place as u32);
                place += 1;
            }
            if let Some(found) = base.get(place).filter(|found| found.id == entity.id) {
                place += 1;
                if found.row == entity.row {
                    continue;
                }
                while past < older.len() && older[past].id < entity.id {
                    past += 1;
                }
                let before = older.get(past).filter(|before| before.id == entity.id);
                let before = before.map_or(NO_ROW, |before| before.row);
                let change = cache.change(
                    schema,
                    rows,
                    way,
                    entity.place,
                    found.row,
                    before,
                    entity.row,
                    speed,
                );
                if change.bits == SAME {
                    continue;
                }
                if change.bits != OTHER {
                    bits += u64::from(change.bits);
                    self.changed.push(Changed {
                        place: place as u32 - 1,
                        next: index as u32,
                        change,
                    });
                    continue;
                }
            }
            let row = rows.row(entity.row);
            bits += u64::from(new_bits(schema, row.kind, row.owner));
            self.added.push(index as u32);
        }
        self.removed.extend(place as u32..base.len() as u32);
        bits
    }

    /// Chooses what is told within a budget: what is gone, then what has waited longest.
    fn choose(
        &mut self,
        schema: &Schema,
        rows: &Rows,
        known: Known<'_>,
        next: &[NextEntry],
        budget: f32,
        waiting: &mut Waiting,
    ) {
        let places = known.base.len() as u32;
        let ids = self.added_span(next);
        let mut removed = self.removed.len();
        while removed > 0
            && list_bits(FEW, removed, places) + list_bits(FEW, 0, ids) + list_bits(MANY, 0, places)
                > budget
        {
            removed = removed * 7 / 8;
        }
        self.told_removed = removed;
        let left = budget - list_bits(FEW, removed, places);

        waiting.waited.resize(rows.places(), 0.0);
        self.candidates.clear();
        let added = self.added.len();
        for index in 0..added + self.changed.len() {
            let entity = &next[self.next_of(index) as usize];
            let waited = &mut waiting.waited[entity.place as usize];
            *waited += entity.priority.clamp(MIN_PRIORITY, MAX_PRIORITY);
            self.candidates.push(Candidate {
                waited: *waited,
                index: index as u32,
            });
        }
        self.candidates.sort_unstable_by(|a, b| {
            let longest = b.waited.total_cmp(&a.waited);
            longest.then_with(|| a.index.cmp(&b.index))
        });

        self.told.clear();
        self.told.resize(self.candidates.len(), false);
        let (mut bits, mut told_added, mut told_changed, mut misses) = (0, 0, 0, 0);
        for candidate in &self.candidates {
            let index = candidate.index as usize;
            let is_new = index < added;
            let entity = &next[self.next_of(index) as usize];
            let own = if is_new {
                let row = rows.row(entity.row);
                new_bits(schema, row.kind, row.owner)
            } else {
                self.changed[index - added].change.bits
            };
            let new = told_added + usize::from(is_new);
            let changed = told_changed + usize::from(!is_new);
            let lists = list_bits(FEW, new, ids) + list_bits(MANY, changed, places);
            if (bits + own) as f32 + lists > left {
                misses += 1;
                if misses > MAX_MISSES {
                    break;
                }
                continue;
            }
            (bits, told_added, told_changed) = (bits + own, new, changed);
            self.told[index] = true;
            let waited = &mut waiting.waited[entity.place as usize];
            waiting.sent.push((entity.place, *waited));
            *waited = 0.0;
        }
    }

    /// The index in the next state of an added or changed one.
    fn next_of(&self, index: usize) -> u32 {
        match index.checked_sub(self.added.len()) {
            None => self.added[index],
            Some(index) => self.changed[index].next,
        }
    }

    /// Whether an added or changed one is told.
    fn is_told(&self, index: usize) -> bool {
        self.told.get(index).copied().unwrap_or(true)
    }

    /// The greatest id that may be in the list of what is new.
    fn added_span(&self, next: &[NextEntry]) -> u32 {
        self.added.last().map_or(0, |last| next[*last as usize].id)
    }

    #[allow(clippy::too_many_arguments, reason = "as above")]
    fn write_told(
        &self,
        schema: &Schema,
        rows: &Rows,
        cache: &mut Cache,
        known: Known<'_>,
        next: &[NextEntry],
        speed: Speed,
        out: &mut Vec<u8>,
    ) {
        let mut writer = BitWriter::new(out);
        cache.modes(speed).write(&mut writer);
        let places = known.base.len() as u32;
        let mut list = ListWriter::new(&mut writer, FEW, self.told_removed, places);
        for place in &self.removed[..self.told_removed] {
            list.write(*place, &mut writer);
        }
        let (new, changed) = if self.told.is_empty() {
            (self.added.len(), self.changed.len())
        } else {
            let (new, changed) = self.told.split_at(self.added.len());
            let count = |told: &[bool]| told.iter().filter(|told| **told).count();
            (count(new), count(changed))
        };
        let mut list = ListWriter::new(&mut writer, FEW, new, self.added_span(next));
        for (index, added) in self.added.iter().enumerate() {
            if self.is_told(index) {
                let entity = &next[*added as usize];
                let row = rows.row(entity.row);
                list.write(entity.id, &mut writer);
                let columns = rows.columns(entity.row);
                write_new(schema, row.kind, row.owner, columns, &mut writer);
            }
        }
        let mut list = ListWriter::new(&mut writer, MANY, changed, places);
        let added = self.added.len();
        for (index, changed) in self.changed.iter().enumerate() {
            if self.is_told(added + index) {
                list.write(changed.place, &mut writer);
                cache.copy(changed.change, &mut writer);
            }
        }
        writer.finish();
    }

    /// What the receiver has after a delta in which something had to wait.
    fn make_view(
        &self,
        rows: &mut Rows,
        tick: Tick,
        known: Known<'_>,
        next: &[NextEntry],
        waiting: &mut Waiting,
    ) {
        let base = known.base;
        let (mut place, mut removed, mut added, mut changed) = (0, 0, 0, 0);
        let entries = &mut waiting.entries;
        let mut keep = |entries: &mut Vec<Entry>, entry: Entry| {
            rows.show(entry.row, tick);
            entries.push(entry);
        };
        for (index, entity) in next.iter().enumerate() {
            while place < base.len() && base[place].id < entity.id {
                if removed >= self.told_removed {
                    keep(entries, base[place]);
                }
                removed += 1;
                place += 1;
            }
            let found = base.get(place).filter(|found| found.id == entity.id);
            let mut told = true;
            if self.added.get(added) == Some(&(index as u32)) {
                told = self.is_told(added);
                added += 1;
            } else if self.changed.get(changed).map(|changed| changed.next) == Some(index as u32) {
                told = self.is_told(self.added.len() + changed);
                changed += 1;
            }
            let new = Entry {
                id: entity.id,
                row: entity.row,
            };
            match (told, found) {
                (true, _) => keep(entries, new),
                (false, Some(found)) => keep(entries, *found),
                (false, None) => {}
            }
            place += usize::from(found.is_some());
        }
        for entry in &base[place..] {
            if removed >= self.told_removed {
                keep(entries, *entry);
            }
            removed += 1;
        }
    }
}

/// Priorities are taken for at least this, so that everything has its turn,
const MIN_PRIORITY: f32 = 0.1;
/// and for at most this, so that nobody waits more than a thousand times as long as what matters
/// most.
const MAX_PRIORITY: f32 = 100.0;
/// So many that do not fit any more are passed over for smaller ones.
const MAX_MISSES: u32 = 8;
/// Bits for what the bound on lists, a sum of rounded numbers, may be off.
const BOUND_SLACK: f32 = 1.0;
