//! Corrections that the eye does not see: where a guess was wrong, what is drawn keeps its place
//! and glides to the right one.

use std::time::Duration;

use gs_engine::manifest::NetFieldKind;
use gs_engine::simulation::{Entity, NetState};

use crate::view::{Cursor, KindLayout, Layout, View, normalised, quaternion, short_way};

/// What is drawn less what is right, for each entity and value, dying away.
#[derive(Debug, Default)]
pub(crate) struct Corrections {
    entries: Vec<Entry>,
    offsets: Vec<f64>,
    /// Memory of the entries and offsets before.
    old_entries: Vec<Entry>,
    old_offsets: Vec<f64>,
    at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    kind: u8,
    first: usize,
}

/// What a correction came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Corrected {
    /// Entities of which anything differed by more than a step.
    pub(crate) entities: u64,
    /// Those of which a number differed by more than [`NOTICEABLE`].
    pub(crate) noticeable: u64,
}

impl Corrections {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.offsets.clear();
    }

    /// Lets what is left die away until `now`.
    pub(crate) fn decay(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        if self.entries.is_empty() {
            return;
        }
        let factor = REMAINS.powf(elapsed.as_secs_f64() / SETTLE.as_secs_f64());
        let mut largest = 0.0_f64;
        for offset in &mut self.offsets {
            *offset *= factor;
            largest = largest.max(offset.abs());
        }
        if largest < NEGLIGIBLE {
            self.clear();
        }
    }

    /// The state of the same tick was thought to be `old` and turned out to be `new`: what is
    /// drawn of the entities that `of` names goes on from where it is.
    pub(crate) fn correct(
        &mut self,
        layout: &Layout,
        old: &NetState,
        new: &NetState,
        of: impl Fn(&Entity) -> bool,
        predicted_fields_only: PredictedOnly,
    ) -> Corrected {
        std::mem::swap(&mut self.entries, &mut self.old_entries);
        std::mem::swap(&mut self.offsets, &mut self.old_offsets);
        self.clear();
        let mut corrected = Corrected::default();
        let mut before = Cursor::new(old);
        let mut at = 0;
        for entity in &new.entities {
            let Some(kind) = layout.kinds.get(usize::from(entity.kind)) else {
                continue;
            };
            let found = before.find(entity.id);
            at += self.old_entries[at..]
                .iter()
                .take_while(|entry| entry.id < entity.id)
                .count();
            let entry = self.old_entries.get(at);
            let entry = entry.filter(|e| e.id == entity.id && e.kind == entity.kind);
            let Some((_, old)) = found.filter(|(e, _)| e.kind == entity.kind && of(entity)) else {
                continue;
            };
            let new = new.columns_of(entity);
            if old == new && entry.is_none() {
                continue;
            }
            let first = self.offsets.len();
            match entry {
                Some(entry) => self
                    .offsets
                    .extend_from_slice(&self.old_offsets[entry.first..][..kind.values]),
                None => self.offsets.resize(first + kind.values, 0.0),
            }
            let offsets = &mut self.offsets[first..];
            let outcome = add(kind, old, new, offsets, predicted_fields_only);
            corrected.entities += u64::from(outcome.differs);
            corrected.noticeable += u64::from(outcome.noticeable);
            if outcome.jumps || offsets.iter().all(|offset| offset.abs() < NEGLIGIBLE) {
                self.offsets.truncate(first);
            } else {
                self.entries.push(Entry {
                    id: entity.id,
                    kind: entity.kind,
                    first,
                });
            }
        }
        corrected
    }

    /// Shifts what is drawn by what is left.
    pub(crate) fn apply(&self, layout: &Layout, view: &mut View) {
        let (entities, values) = view.parts_mut();
        let mut at = 0;
        for entry in &self.entries {
            at += entities[at..]
                .iter()
                .take_while(|entity| entity.id < entry.id)
                .count();
            let entity = entities.get(at);
            let Some(entity) = entity.filter(|e| e.id == entry.id && e.kind == entry.kind) else {
                continue;
            };
            let kind = &layout.kinds[usize::from(entry.kind)];
            let offsets = &self.offsets[entry.first..][..kind.values];
            shift(kind, offsets, &mut values[entity.range()]);
        }
    }
}

/// Whether only the fields that an owner predicts are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PredictedOnly {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    differs: bool,
    noticeable: bool,
    /// Too far to glide.
    jumps: bool,
}

/// Adds what one entity was off by to its offsets.
fn add(
    kind: &KindLayout,
    old: &[i32],
    new: &[i32],
    offsets: &mut [f64],
    predicted_only: PredictedOnly,
) -> Outcome {
    let mut outcome = Outcome::default();
    for field in &kind.fields {
        if predicted_only == PredictedOnly::Yes && !field.predicted {
            continue;
        }
        let columns = field.column..field.column + field.kind.columns().count();
        // A state that was quantised on its way may be a step off without anything being wrong.
        let noise = match field.kind {
            NetFieldKind::Bool | NetFieldKind::Int { .. } => 0,
            NetFieldKind::Range { .. } | NetFieldKind::Angle { .. } | NetFieldKind::Quat { .. } => {
                1
            }
        };
        let mut pairs = old[columns.clone()].iter().zip(&new[columns]);
        outcome.differs |= pairs.any(|(old, new)| old.abs_diff(*new) > noise);
        if !field.linear {
            continue;
        }
        let offset = &mut offsets[field.value..];
        match field.kind {
            NetFieldKind::Quat { bits } => {
                let old = quaternion(bits, &old[field.column..]);
                let new = quaternion(bits, &new[field.column..]);
                let drawn = product(rotation(offset), old);
                let q = product(drawn, [-new[0], -new[1], -new[2], new[3]]);
                let sign = if q[3] < 0.0 { -1.0 } else { 1.0 };
                for (offset, component) in offset.iter_mut().zip(&q[..3]) {
                    *offset = component * sign;
                }
                outcome.jumps |= offset[..3].iter().map(|c| c * c).sum::<f64>() > 0.5;
            }
            NetFieldKind::Angle { .. } => {
                let off = field.scalar(old) - field.scalar(new);
                offset[0] = short_way(offset[0] + off);
                outcome.jumps |= offset[0].abs() > std::f64::consts::FRAC_PI_2;
            }
            NetFieldKind::Bool => {}
            NetFieldKind::Int { .. } | NetFieldKind::Range { .. } => {
                let off = field.scalar(old) - field.scalar(new);
                offset[0] += off;
                outcome.noticeable |= off.abs() > NOTICEABLE;
                let span = match field.kind {
                    NetFieldKind::Range { min, max, .. } => f64::from(max) - f64::from(min),
                    NetFieldKind::Int { min, max } => f64::from(max) - f64::from(min),
                    _ => 0.0,
                };
                outcome.jumps |= offset[0].abs() > span * TELEPORT;
            }
        }
    }
    outcome
}

fn shift(kind: &KindLayout, offsets: &[f64], values: &mut [f64]) {
    for field in kind.fields.iter().filter(|field| field.linear) {
        let (offset, value) = (&offsets[field.value..], &mut values[field.value..]);
        match field.kind {
            NetFieldKind::Quat { .. } => {
                let q = [value[0], value[1], value[2], value[3]];
                value[..4].copy_from_slice(&normalised(product(rotation(offset), q)));
            }
            NetFieldKind::Angle { .. } => {
                value[0] = (value[0] + offset[0]).rem_euclid(std::f64::consts::TAU);
            }
            NetFieldKind::Bool => {}
            NetFieldKind::Int { .. } | NetFieldKind::Range { .. } => value[0] += offset[0],
        }
    }
}

/// The rotation of which an offset holds the vector; its scalar is not negative.
fn rotation(offset: &[f64]) -> [f64; 4] {
    let (x, y, z) = (offset[0], offset[1], offset[2]);
    [x, y, z, (1.0 - x * x - y * y - z * z).max(0.0).sqrt()]
}

fn product([ax, ay, az, aw]: [f64; 4], [bx, by, bz, bw]: [f64; 4]) -> [f64; 4] {
    [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]
}

/// In this time an offset falls to a tenth: short enough not to feel like ice, long enough that
/// nobody sees a jump.
const SETTLE: Duration = Duration::from_millis(100);
const REMAINS: f64 = 0.1;
/// Below what any screen shows of any field.
const NEGLIGIBLE: f64 = 1e-5;
/// A correction of a number that counts: a tenth of a unit, which is a few pixels in most games.
pub(crate) const NOTICEABLE: f64 = 0.1;
/// What counts as a teleport, of a field's whole range: nothing that moves gets so far within the
/// ticks that are predicted, so gliding there would show what never was.
const TELEPORT: f64 = 0.2;

#[cfg(test)]
mod tests;
