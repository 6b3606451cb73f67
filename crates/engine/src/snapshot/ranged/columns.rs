//! One entity's columns: what they are expected to be, and in which contexts they differ from it.

use super::model::{OPINIONS, Predict};
use super::quat;
use crate::manifest::{Column, NetFieldKind};
use crate::range_coder::BitCoder;
use crate::schema::KindSchema;

/// How fast the values moved from the older state to the base decides where they are expected:
/// that many quarters of the way again.
pub(super) type Quarters = i32;

/// One entity as both sides know it before its columns are coded.
pub(super) struct Known<'a> {
    pub(super) base: &'a [i32],
    /// The same as `base` where there is none.
    pub(super) older: &'a [i32],
    pub(super) quarters: Quarters,
    /// Whether the entity is new: `base` is then another one's.
    pub(super) new: bool,
    /// The last entity that was coded near this one, by its place in the history.
    pub(super) near: Option<usize>,
}

/// What the columns of earlier entities of the packet say of the next.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Their residuals.
    residuals: Vec<[i32; MAX_KNOWN]>,
    kinds: Vec<u8>,
    /// Mean magnitude of a column's residuals, in 1/16.
    scale: [i32; MAX_KNOWN],
    current: [i32; MAX_KNOWN],
}

impl History {
    pub(super) fn clear(&mut self) {
        self.residuals.clear();
        self.kinds.clear();
        self.scale = [16; MAX_KNOWN];
    }

    /// How many entities were coded.
    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }
}

/// Codes the columns of an entity that is not as it was. `want` is what an encoder writes; `out`
/// takes what was coded.
#[allow(
    clippy::too_many_arguments,
    reason = "both directions need all that is known"
)]
pub(super) fn code_columns<C: BitCoder, P: Predict>(
    coder: &mut C,
    model: &mut P,
    history: &mut History,
    kind_index: u8,
    kind: &KindSchema,
    known: &Known<'_>,
    want: Option<&[i32]>,
    out: &mut Vec<i32>,
) {
    let columns = kind.columns();
    let start = out.len();
    let mut entity = EntityContext {
        motion: if known.new {
            NEW
        } else {
            motion(known.base, known.older).min(NEW - 1)
        },
        near: known
            .near
            .filter(|near| history.kinds.get(*near) == Some(&kind_index)),
        last: history
            .kinds
            .last()
            .filter(|k| **k == kind_index)
            .map(|_| history.kinds.len() - 1),
        before: [0; 2],
        changed: 0,
    };
    history.current = [0; MAX_KNOWN];
    let mut first = 0;
    for field in kind.fields() {
        if let NetFieldKind::Quat { bits } = field {
            code_quat(
                coder,
                model,
                history,
                &mut entity,
                known,
                first,
                *bits,
                want,
                out,
            );
            first += 4;
        } else {
            let pred = expected(known, first);
            let value = code_column(
                coder,
                model,
                history,
                &mut entity,
                columns[first],
                first,
                known.base[first],
                pred,
                i64::from(known.base[first]) - i64::from(known.older[first]),
                want.map(|want| want[first]),
            );
            out.push(value);
            first += 1;
        }
    }
    debug_assert_eq!(out.len() - start, columns.len());
    history.residuals.push(history.current);
    history.kinds.push(kind_index);
}

#[allow(
    clippy::too_many_arguments,
    reason = "both directions need all that is known"
)]
fn code_quat<C: BitCoder, P: Predict>(
    coder: &mut C,
    model: &mut P,
    history: &mut History,
    entity: &mut EntityContext,
    known: &Known<'_>,
    first: usize,
    bits: u8,
    want: Option<&[i32]>,
    out: &mut Vec<i32>,
) {
    let quad = |from: &[i32]| {
        [
            from[first],
            from[first + 1],
            from[first + 2],
            from[first + 3],
        ]
    };
    let (base, older) = (quad(known.base), quad(known.older));
    let same = base[0] == older[0];
    let column = Column {
        lo: 0,
        hi: (1 << bits) - 1,
    };
    let mut rotation = None;
    let mut preds = [0_i64; 3];
    let (margin, candidate) = if same {
        for (n, pred) in preds.iter_mut().enumerate() {
            *pred = expected(known, first + 1 + n);
        }
        quat::margin(base[0], preds, bits)
    } else {
        let full = quat::extrapolate(base, older, known.quarters, bits);
        rotation = Some(full);
        let largest = quat::largest(full);
        preds = quat::three(full, largest, bits);
        let (margin, candidate) = quat::margin(largest, preds, bits);
        if largest == base[0] {
            (margin, candidate)
        } else {
            (-margin, largest)
        }
    };
    let spin = bucket(
        (1..4)
            .map(|n| (base[n] - older[n]).unsigned_abs())
            .max()
            .unwrap_or(0)
            .into(),
    )
    .min(5);
    let context =
        (((margin.clamp(-8, 7) + 8) as usize * 6 + spin) * 2 + usize::from(known.new)) * 4;
    let wanted = want.map_or(0, |want| want[first]);
    let kept = model.direct(coder, QUAT + context, wanted == base[0]);
    let index = if kept {
        base[0]
    } else if model.direct(coder, QUAT + context + 1, wanted == candidate) && candidate != base[0] {
        candidate
    } else {
        // One of the others.
        let high = model.direct(coder, QUAT + context + 2, wanted & 2 != 0);
        let low = model.direct(coder, QUAT + context + 3, wanted & 1 != 0);
        i32::from(high) << 1 | i32::from(low)
    };
    out.push(index);
    entity.note(history, first, i64::from(index != base[0]));
    let mut from = [base[1], base[2], base[3]];
    let mut moved = [0_i64; 3];
    if same && index == base[0] {
        for n in 0..3 {
            moved[n] = i64::from(base[n + 1]) - i64::from(older[n + 1]);
        }
    } else {
        let full = rotation.unwrap_or_else(|| quat::extrapolate(base, older, known.quarters, bits));
        preds = quat::three(full, index, bits);
        let base = quat::three(quat::full(base, bits), index, bits);
        for n in 0..3 {
            from[n] = base[n] as i32;
            moved[n] = (preds[n] - base[n]) * 4 / i64::from(known.quarters.max(1));
        }
    }
    for n in 0..3 {
        let at = first + 1 + n;
        let value = code_column(
            coder,
            model,
            history,
            entity,
            column,
            at,
            from[n],
            preds[n],
            moved[n],
            want.map(|want| want[at]),
        );
        out.push(value);
    }
}

/// What is known of an entity beyond one column.
struct EntityContext {
    motion: usize,
    near: Option<usize>,
    last: Option<usize>,
    /// Buckets of the last two columns' residuals.
    before: [usize; 2],
    /// A bit a column, the last one lowest.
    changed: usize,
}

impl EntityContext {
    fn note(&mut self, history: &mut History, at: usize, residual: i64) {
        self.before = [bucket(residual.unsigned_abs()).min(7), self.before[0]];
        if let Some(current) = history.current.get_mut(at) {
            let residual = residual.clamp(-LARGE, LARGE) as i32;
            *current = residual;
            history.scale[at] += (residual.abs() * 16 - history.scale[at]) >> 3;
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "both directions need all that is known"
)]
#[inline]
fn code_column<C: BitCoder, P: Predict>(
    coder: &mut C,
    model: &mut P,
    history: &mut History,
    entity: &mut EntityContext,
    column: Column,
    at: usize,
    base: i32,
    pred: i64,
    moved: i64,
    want: Option<i32>,
) -> i32 {
    let span = i64::from(column.hi) - i64::from(column.lo) + 1;
    if span == 1 {
        return column.lo;
    }
    let class = match span {
        ..=2 => 0,
        3..=64 => 1,
        65..=4096 => 2,
        _ => 3,
    };
    let away = i64::from(base) - pred;
    let flip = moved < 0;
    let signed = |r: i32| -> usize {
        let b = bucket(r.unsigned_abs().into()).min(7) as i32;
        (if (r < 0) != flip { 7 - b } else { 7 + b }) as usize
    };
    let residual_of =
        |index: Option<usize>| index.and_then(|index| history.residuals[index].get(at).copied());
    let near = residual_of(entity.near);
    let last = residual_of(entity.last);
    let bv = bucket(moved.unsigned_abs()).min(9);
    let bv4 = bv.div_ceil(2).min(3);
    let scale = history
        .scale
        .get(at)
        .map_or(0, |s| bucket((*s >> 3) as u64).min(9));
    let stops = away != 0;
    let size = |r: Option<i32>| r.map_or(2, i32::unsigned_abs);
    let mean = history.scale.get(at).map_or(0, |s| (*s >> 3) as u32) + size(near) + size(last);
    let likely = ((mean >> 2).max(1).ilog2() as usize).min(LIKELY - 1);
    let contexts = [
        class * 10 + bv,
        40 + at % 32,
        72 + (entity.before[0] * 8 + entity.before[1]) * 2 + class / 2,
        200 + last.map_or(15, signed) * 4 + bv4,
        264 + near.map_or(15, signed) * 4 + bv4,
        328 + (entity.changed & 7) * 16 + class * 4 + bv4,
        456 + (entity.motion * 4 + class) * 2 + usize::from(bv == 0),
        536 + (scale * 12 + bucket(away.unsigned_abs()).min(11)),
    ];
    let rows: [u16; OPINIONS] = contexts.map(|context| (context * NODES) as u16);
    let mut bit = |model: &mut P, node: usize, bit: bool| model.mixed(coder, &rows, node, bit);
    // What an encoder is to write: the shorter way round.
    let target = want.map_or(0, |want| {
        let mut way = i64::from(want) - pred;
        if way.abs() > span / 2 - 1 {
            way = way.rem_euclid(span);
        }
        if way > span / 2 { way - span } else { way }
    });
    let stopped = stops && bit(model, STOPPED, want == Some(base));
    let residual = if stopped {
        away
    } else if !bit(model, SOME, target != 0) {
        0
    } else if class == 0 {
        1
    } else {
        let negative = bit(model, SIGN, (target < 0) != flip) != flip;
        let magnitude = target.unsigned_abs();
        let wanted = magnitude.max(1).ilog2() as usize;
        let most = (span as u64).ilog2() as usize;
        // From where it is most likely, upwards or downwards: few bits either way.
        let likely = likely.min(most);
        let mut exponent = likely;
        if likely == 0 || bit(model, FIRST + likely, wanted >= likely) {
            while exponent < most && bit(model, UP + exponent.min(13), wanted > exponent) {
                exponent += 1;
            }
        } else {
            exponent -= 1;
            while exponent > 0 && bit(model, DOWN + exponent, wanted < exponent) {
                exponent -= 1;
            }
        }
        let mut value = 1_u64;
        if exponent > 0 {
            let slot = TOP + (class * 16 + exponent.min(15)) * 16 + scale;
            let top = model.direct(coder, slot, magnitude >> (exponent - 1) & 1 != 0);
            value = 2 | u64::from(top);
            let mut left = exponent - 1;
            if left > 0 {
                let slot = SECOND + (class * 16 + exponent.min(15)) * 2 + usize::from(top);
                let second = model.direct(coder, slot, magnitude >> (left - 1) & 1 != 0);
                value = value << 1 | u64::from(second);
                left -= 1;
                let raw = coder.code_raw((magnitude & ((1 << left) - 1)) as u32, left as u32);
                value = value << left | u64::from(raw);
            }
        }
        if negative {
            -(value as i64)
        } else {
            value as i64
        }
    };
    let mut value = pred + residual;
    if !(i64::from(column.lo)..=i64::from(column.hi)).contains(&value) {
        value = i64::from(column.lo) + (value - i64::from(column.lo)).rem_euclid(span);
    }
    let value = value as i32;
    entity.note(history, at, residual);
    entity.changed = entity.changed << 1 | usize::from(value != base);
    value
}

fn expected(known: &Known<'_>, at: usize) -> i64 {
    let moved = i64::from(known.base[at]) - i64::from(known.older[at]);
    i64::from(known.base[at]) + ((moved * i64::from(known.quarters) + 2) >> 2)
}

/// How far the fastest column moved, as a bucket.
pub(super) fn motion(base: &[i32], older: &[i32]) -> usize {
    let moved = |(a, b): (&i32, &i32)| a.abs_diff(*b);
    let most = base.iter().zip(older).map(moved).max();
    bucket(u64::from(most.unwrap_or(0)))
}

/// 0, 1, 2, 3–4, 5–8 and so on: 0, 1, 2, 3, 4 ….
#[inline]
pub(super) fn bucket(n: u64) -> usize {
    if n < 2 {
        n as usize
    } else {
        65 - (n - 1).leading_zeros() as usize
    }
}

/// Columns that take part in the history of a packet.
const MAX_KNOWN: usize = 32;
/// Stands for the motion of an entity that was not there before.
const NEW: usize = 9;
/// Residuals beyond are all alike.
const LARGE: i64 = 1 << 20;

const NODES: usize = 38;
const SOME: usize = 0;
const STOPPED: usize = 1;
const SIGN: usize = 2;
const FIRST: usize = 3;
const UP: usize = FIRST + LIKELY;
const DOWN: usize = UP + 14;
const _: () = assert!(DOWN + LIKELY <= NODES);
/// Exponents that a residual is expected to have.
const LIKELY: usize = 10;
const SECOND: usize = 0;
const TOP: usize = SECOND + 128;
const QUAT: usize = TOP + 4 * 16 * 16;
/// Slots of this module.
pub(super) const SLOTS: usize = QUAT + 16 * 6 * 2 * 4;
/// Opinions of this module.
pub(super) const MIXED: usize = 656 * NODES;
