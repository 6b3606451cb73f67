//! Net states to numbers to draw.
//!
//! A field becomes one number, a quaternion four (`x, y, z, w`). Between two ticks numbers move
//! straight, angles the short way round, and quaternions along the short arc, where the manifest
//! says `linear`; any other field keeps its older value until the newer one's time.

use gs_engine::manifest::{Interpolate, Manifest, NetFieldKind, Predict};
use gs_engine::simulation::{Entity, NetState};
use gs_engine::{AuthorityMode, Slot};

/// What is to be drawn now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    tick: f64,
    own_tick: f64,
    entities: Vec<ViewEntity>,
    values: Vec<f64>,
}

/// One entity of a [`View`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewEntity {
    /// Unique within the match.
    pub id: u32,
    /// Index of its kind in the manifest.
    pub kind: u8,
    /// The slot that it belongs to.
    pub owner: Option<Slot>,
    /// Where its values start in [`View::values`].
    pub first_value: u32,
    /// How many values it has: one a field, four a quaternion.
    pub value_count: u16,
    /// Whether any of it is this client's own prediction.
    pub predicted: bool,
}

impl View {
    /// The tick that is drawn, fractional; of other players' entities where own ones are ahead of
    /// them. 0 where there is nothing to draw.
    pub fn tick(&self) -> f64 {
        self.tick
    }

    /// The tick at which own entities are drawn, fractional.
    pub fn own_tick(&self) -> f64 {
        self.own_tick
    }

    /// The entities, ascending by id.
    pub fn entities(&self) -> &[ViewEntity] {
        &self.entities
    }

    /// The values of all entities, one after another.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values of one entity, in the order of its kind's fields.
    pub fn values_of(&self, entity: &ViewEntity) -> &[f64] {
        let range = entity.range();
        self.values.get(range).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.entities.clear();
        self.values.clear();
        self.tick = 0.0;
        self.own_tick = 0.0;
    }

    /// Draws `from`, and where `to` has the same entity, `fraction` of the way to it.
    pub(crate) fn fill(
        &mut self,
        layout: &Layout,
        tick: f64,
        from: &NetState,
        to: Option<&NetState>,
        fraction: f64,
    ) {
        self.clear();
        self.tick = tick;
        self.own_tick = tick;
        let mut later = to.map(Cursor::new);
        for entity in &from.entities {
            let Some(kind) = layout.kinds.get(usize::from(entity.kind)) else {
                continue;
            };
            let columns = from.columns_of(entity);
            let next = later
                .as_mut()
                .and_then(|later| later.find(entity.id))
                .filter(|(next, _)| next.kind == entity.kind)
                .map_or(columns, |(_, columns)| columns);
            let first_value = self.values.len();
            self.values.resize(first_value + kind.values, 0.0);
            let out = &mut self.values[first_value..];
            for field in &kind.fields {
                field.between(columns, next, fraction, out);
            }
            self.entities.push(ViewEntity {
                id: entity.id,
                kind: entity.kind,
                owner: entity.owner,
                first_value: first_value as u32,
                value_count: kind.values as u16,
                predicted: false,
            });
        }
    }

    /// Puts the fields that an owner predicts over what is drawn of `slot`'s entities.
    pub(crate) fn overlay(
        &mut self,
        layout: &Layout,
        own_tick: f64,
        slot: Slot,
        (from, to): (&NetState, &NetState),
        fraction: f64,
    ) {
        self.own_tick = own_tick;
        let (mut from, mut to) = (Cursor::new(from), Cursor::new(to));
        for entity in &mut self.entities {
            if entity.owner != Some(slot) {
                continue;
            }
            let Some((_, next)) = to.find(entity.id).filter(|(e, _)| e.kind == entity.kind) else {
                continue;
            };
            let before = from.find(entity.id).filter(|(e, _)| e.kind == entity.kind);
            let columns = before.map_or(next, |(_, columns)| columns);
            let out = &mut self.values[entity.range()];
            for field in &layout.kinds[usize::from(entity.kind)].fields {
                if field.predicted {
                    let columns = if field.linear { columns } else { next };
                    field.between(columns, next, fraction, out);
                    entity.predicted = true;
                }
            }
        }
    }

    /// Shows what does not move gradually of `slot`'s entities as it is in `to`, the newest state:
    /// a stance or a button that its player just pressed need not wait for the next tick.
    pub(crate) fn take_steps(&mut self, layout: &Layout, slot: Slot, to: &NetState) {
        let mut to = Cursor::new(to);
        for entity in &self.entities {
            if entity.owner != Some(slot) {
                continue;
            }
            let Some((_, newest)) = to.find(entity.id).filter(|(e, _)| e.kind == entity.kind)
            else {
                continue;
            };
            let out = &mut self.values[entity.range()];
            for field in &layout.kinds[usize::from(entity.kind)].fields {
                if !field.linear {
                    field.between(newest, newest, 0.0, out);
                }
            }
        }
    }

    pub(crate) fn mark_predicted(&mut self) {
        for entity in &mut self.entities {
            entity.predicted = true;
        }
    }

    pub(crate) fn parts_mut(&mut self) -> (&mut [ViewEntity], &mut [f64]) {
        (&mut self.entities, &mut self.values)
    }
}

impl ViewEntity {
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let first = self.first_value as usize;
        first..first + usize::from(self.value_count)
    }
}

/// Walks a net state along with ascending ids.
pub(crate) struct Cursor<'a> {
    state: &'a NetState,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(state: &'a NetState) -> Self {
        Self { state, at: 0 }
    }

    /// The entity with this id, which is no lower than the one before.
    pub(crate) fn find(&mut self, id: u32) -> Option<(&'a Entity, &'a [i32])> {
        let rest = self.state.entities.get(self.at..)?;
        self.at += rest.iter().take_while(|entity| entity.id < id).count();
        let entity = self.state.entities.get(self.at).filter(|e| e.id == id)?;
        Some((entity, self.state.columns_of(entity)))
    }
}

/// Where each field's columns and values are.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) kinds: Vec<KindLayout>,
}

#[derive(Clone, Debug)]
pub(crate) struct KindLayout {
    pub(crate) fields: Vec<FieldLayout>,
    /// Values of an entity.
    pub(crate) values: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldLayout {
    pub(crate) kind: NetFieldKind,
    /// Whether values between two ticks are drawn.
    pub(crate) linear: bool,
    /// Whether its owner runs ahead with it.
    pub(crate) predicted: bool,
    /// Its first column.
    pub(crate) column: usize,
    /// Its first value.
    pub(crate) value: usize,
    /// A `range`'s least value and step, as the game's author wrote them.
    min: f64,
    step: f64,
}

impl Layout {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let kinds = manifest.entities.iter().map(|kind| {
            let (mut column, mut value) = (0, 0);
            let fields = kind.fields.iter().map(|field| {
                let (min, step) = match field.kind {
                    NetFieldKind::Range { min, precision, .. } => {
                        (shortest(min), shortest(precision))
                    }
                    _ => (0.0, 1.0),
                };
                let layout = FieldLayout {
                    min,
                    step,
                    kind: field.kind,
                    linear: field.interpolate == Interpolate::Linear
                        && field.kind != NetFieldKind::Bool,
                    predicted: field.predict == Predict::Owner,
                    column,
                    value,
                };
                column += field.kind.columns().count();
                value += value_count(field.kind);
                layout
            });
            let fields: Vec<FieldLayout> = fields.collect();
            KindLayout {
                fields,
                values: value,
            }
        });
        Self {
            kinds: kinds.collect(),
        }
    }

    /// Whether there is anything that an owner may predict in this mode.
    pub(crate) fn predicts(&self, mode: AuthorityMode) -> bool {
        match mode {
            AuthorityMode::Full => {
                let mut fields = self.kinds.iter().flat_map(|kind| &kind.fields);
                fields.any(|field| field.predicted)
            }
            AuthorityMode::Validated => true,
            AuthorityMode::Observer => false,
        }
    }
}

impl FieldLayout {
    /// The field's value between two states, into its place among the entity's values.
    pub(crate) fn between(&self, from: &[i32], to: &[i32], fraction: f64, out: &mut [f64]) {
        let out = &mut out[self.value..];
        if let NetFieldKind::Quat { bits } = self.kind {
            let a = quaternion(bits, &from[self.column..]);
            let q = if self.linear && fraction > 0.0 {
                nlerp(a, quaternion(bits, &to[self.column..]), fraction)
            } else {
                a
            };
            out[..4].copy_from_slice(&q);
            return;
        }
        let a = self.scalar(from);
        out[0] = if !self.linear || fraction <= 0.0 {
            a
        } else if let NetFieldKind::Angle { .. } = self.kind {
            let turn = short_way(self.scalar(to) - a);
            (a + turn * fraction).rem_euclid(TURN)
        } else {
            a + (self.scalar(to) - a) * fraction
        };
    }

    /// The value of a field of one column.
    pub(crate) fn scalar(&self, columns: &[i32]) -> f64 {
        let column = f64::from(columns[self.column]);
        match self.kind {
            NetFieldKind::Bool | NetFieldKind::Int { .. } | NetFieldKind::Quat { .. } => column,
            NetFieldKind::Range { .. } => self.min + column * self.step,
            NetFieldKind::Angle { bits } => column * TURN / f64::from(1_u32 << bits),
        }
    }
}

/// How many numbers a field has in a [`View`].
pub fn value_count(kind: NetFieldKind) -> usize {
    match kind {
        NetFieldKind::Quat { .. } => 4,
        _ => 1,
    }
}

/// The number that was written where an `f32` was read: 0.01, which an `f32` holds only nearly.
fn shortest(value: f32) -> f64 {
    let text = value.to_string();
    text.parse().unwrap_or_else(|_| f64::from(value))
}

/// An angle's difference within half a turn either way.
pub(crate) fn short_way(turn: f64) -> f64 {
    (turn + TURN / 2.0).rem_euclid(TURN) - TURN / 2.0
}

/// A quaternion from its smallest three: the index of the largest component, which is positive,
/// and the others over ±1/√2.
pub(crate) fn quaternion(bits: u8, columns: &[i32]) -> [f64; 4] {
    let largest = (columns[0] & 3) as usize;
    let steps = f64::from((1_u32 << bits) - 1);
    let mut q = [0.0; 4];
    let mut rest = 1.0;
    let mut next = 1;
    for (index, component) in q.iter_mut().enumerate() {
        if index != largest {
            let part = f64::from(columns[next]) / steps * 2.0 - 1.0;
            *component = part * std::f64::consts::FRAC_1_SQRT_2;
            rest -= *component * *component;
            next += 1;
        }
    }
    q[largest] = rest.max(0.0).sqrt();
    q
}

fn nlerp(a: [f64; 4], b: [f64; 4], fraction: f64) -> [f64; 4] {
    let dot: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    let sign = if dot < 0.0 { -1.0 } else { 1.0 };
    normalised(std::array::from_fn(|i| {
        a[i] + (b[i] * sign - a[i]) * fraction
    }))
}

pub(crate) fn normalised(q: [f64; 4]) -> [f64; 4] {
    let length = q.iter().map(|c| c * c).sum::<f64>().sqrt();
    if length > 0.0 {
        q.map(|c| c / length)
    } else {
        [0.0, 0.0, 0.0, 1.0]
    }
}

const TURN: f64 = std::f64::consts::TAU;

#[cfg(test)]
mod tests;
