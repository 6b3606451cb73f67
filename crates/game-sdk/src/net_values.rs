//! How the fields of entities become columns, and columns fields.

use std::f64::consts::{SQRT_2, TAU};
use std::fmt::Debug;

use gs_engine::manifest::{Audience, Column, Interpolate, NetField, NetFieldKind, Predict};

use crate::fields::outside;

/// A type that an entity's field can have. Values outside the range are written as the nearest end
/// of it, and NaN as its start.
pub trait NetValue: Sized + Debug {
    #[doc(hidden)]
    fn write(&self, kind: NetFieldKind, columns: &mut Vec<i32>);
    #[doc(hidden)]
    fn read(kind: NetFieldKind, columns: &mut ColumnReader<'_>) -> Option<Self>;
    #[doc(hidden)]
    fn fits(&self, kind: NetFieldKind) -> bool;
}

/// A field type that needs no attribute.
#[diagnostic::on_unimplemented(
    message = "a net field of type `{Self}` needs to say its range, or cannot travel",
    note = "write `#[net(range = 0.0..=40.0, step = 0.01)]` or `#[net(angle, bits = 10)]` for an \
            f32, `#[net(range = 0..=100)]` for an integer, `#[net(quat, bits = 9)]` for [f32; 4]; \
            bool, u8, i8, u16 and i16 need nothing"
)]
pub trait PlainNet: NetValue {
    #[doc(hidden)]
    fn kind() -> NetFieldKind;
}

/// A field type that takes `range = lo..=hi` alone.
#[diagnostic::on_unimplemented(
    message = "a net field of type `{Self}` needs more than a range, or takes none",
    note = "an f32 needs a step too: `#[net(range = 0.0..=40.0, step = 0.01)]`"
)]
pub trait IntNet: NetValue {
    #[doc(hidden)]
    fn kind(min: Self, max: Self) -> NetFieldKind;
}

/// A field type that takes `range` with `step`, or `angle` with `bits`.
#[diagnostic::on_unimplemented(
    message = "a net field of type `{Self}` is not quantised in steps or angles",
    note = "`step` and `angle` are for f32; an integer takes `#[net(range = 0..=100)]`"
)]
pub trait FloatNet: NetValue {
    #[doc(hidden)]
    fn range(min: f32, max: f32, precision: f32) -> NetFieldKind {
        NetFieldKind::Range {
            min,
            max,
            precision,
        }
    }
    #[doc(hidden)]
    fn angle(bits: u8) -> NetFieldKind {
        NetFieldKind::Angle { bits }
    }
}

/// A field type that takes `quat` with `bits`.
#[diagnostic::on_unimplemented(
    message = "a net field of type `{Self}` is no quaternion",
    note = "`quat` is for [f32; 4]: x, y, z, w"
)]
pub trait QuatNet: NetValue {
    #[doc(hidden)]
    fn kind(bits: u8) -> NetFieldKind {
        NetFieldKind::Quat { bits }
    }
}

/// The columns of one entity, one after another.
#[doc(hidden)]
#[derive(Debug)]
pub struct ColumnReader<'a> {
    left: std::slice::Iter<'a, i32>,
}

impl<'a> ColumnReader<'a> {
    pub(crate) fn new(columns: &'a [i32]) -> Self {
        Self {
            left: columns.iter(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.len() == 0
    }

    fn next_in(&mut self, column: Column) -> Option<i32> {
        self.left
            .next()
            .copied()
            .filter(|value| (column.lo..=column.hi).contains(value))
    }
}

impl NetValue for bool {
    fn write(&self, _: NetFieldKind, columns: &mut Vec<i32>) {
        columns.push(i32::from(*self));
    }

    fn read(_: NetFieldKind, columns: &mut ColumnReader<'_>) -> Option<Self> {
        columns
            .next_in(Column { lo: 0, hi: 1 })
            .map(|value| value == 1)
    }

    fn fits(&self, _: NetFieldKind) -> bool {
        true
    }
}

impl PlainNet for bool {
    fn kind() -> NetFieldKind {
        NetFieldKind::Bool
    }
}

macro_rules! integer_nets {
    ($($ty:ident),*) => {$(
        impl NetValue for $ty {
            fn write(&self, kind: NetFieldKind, columns: &mut Vec<i32>) {
                let column = only_column(kind);
                let value = (*self).clamp(to(column.lo), to(column.hi));
                columns.push(value.try_into().unwrap_or(column.hi));
            }

            fn read(kind: NetFieldKind, columns: &mut ColumnReader<'_>) -> Option<Self> {
                columns.next_in(only_column(kind))?.try_into().ok()
            }

            fn fits(&self, kind: NetFieldKind) -> bool {
                let column = only_column(kind);
                i32::try_from(*self).is_ok_and(|value| (column.lo..=column.hi).contains(&value))
            }
        }

        impl IntNet for $ty {
            fn kind(min: Self, max: Self) -> NetFieldKind {
                NetFieldKind::Int {
                    min: min.try_into().unwrap_or(i32::MAX),
                    max: max.try_into().unwrap_or(i32::MAX),
                }
            }
        }
    )*};
}

integer_nets!(u8, i8, u16, i16, u32, i32);

/// A bound of a column as the field's type; the column's bounds were made from that type.
fn to<T: TryFrom<i32> + Default>(bound: i32) -> T {
    bound.try_into().unwrap_or_default()
}

macro_rules! plain_nets {
    ($($ty:ident),*) => {$(
        impl PlainNet for $ty {
            fn kind() -> NetFieldKind {
                NetFieldKind::Int { min: i32::from(Self::MIN), max: i32::from(Self::MAX) }
            }
        }
    )*};
}

plain_nets!(u8, i8, u16, i16);

impl NetValue for f32 {
    fn write(&self, kind: NetFieldKind, columns: &mut Vec<i32>) {
        let column = only_column(kind);
        let value = f64::from(*self);
        columns.push(match kind {
            NetFieldKind::Range { min, precision, .. } => {
                // A cast keeps the ends of the type and makes NaN 0.
                let steps = ((value - f64::from(min)) / f64::from(precision)).round() as i32;
                steps.clamp(column.lo, column.hi)
            }
            NetFieldKind::Angle { bits } => {
                let turns = (value / TAU).rem_euclid(1.0);
                // An angle just below a whole turn rounds to it, which is 0 again.
                (turns * f64::from(1 << bits)).round() as i32 & column.hi
            }
            _ => column.lo,
        });
    }

    fn read(kind: NetFieldKind, columns: &mut ColumnReader<'_>) -> Option<Self> {
        let value = f64::from(columns.next_in(only_column(kind))?);
        match kind {
            NetFieldKind::Range {
                min,
                max,
                precision,
            } => {
                let value = (f64::from(min) + value * f64::from(precision)) as f32;
                // The last step may pass the end where the range is no multiple of the step.
                Some(value.min(max))
            }
            NetFieldKind::Angle { bits } => Some((value * TAU / f64::from(1 << bits)) as f32),
            _ => None,
        }
    }

    fn fits(&self, kind: NetFieldKind) -> bool {
        match kind {
            NetFieldKind::Range { min, max, .. } => (min..=max).contains(self),
            _ => self.is_finite(),
        }
    }
}

impl FloatNet for f32 {}

impl NetValue for [f32; 4] {
    fn write(&self, kind: NetFieldKind, columns: &mut Vec<i32>) {
        let NetFieldKind::Quat { bits } = kind else {
            return;
        };
        let length = self
            .iter()
            .map(|c| f64::from(*c) * f64::from(*c))
            .sum::<f64>()
            .sqrt();
        let unit = if length.is_finite() && length > 0.0 {
            self.map(|c| f64::from(c) / length)
        } else {
            [0.0, 0.0, 0.0, 1.0]
        };
        let largest = (0..4).fold(0, |best, n| {
            if unit[n].abs() > unit[best].abs() {
                n
            } else {
                best
            }
        });
        let sign = if unit[largest] < 0.0 { -1.0 } else { 1.0 };
        let most = f64::from((1 << bits) - 1);
        columns.push(largest as i32);
        for (_, component) in unit.iter().enumerate().filter(|(n, _)| *n != largest) {
            let share = (sign * component * SQRT_2 + 1.0) / 2.0;
            columns.push((share * most).round().clamp(0.0, most) as i32);
        }
    }

    fn read(kind: NetFieldKind, columns: &mut ColumnReader<'_>) -> Option<Self> {
        let NetFieldKind::Quat { bits } = kind else {
            return None;
        };
        let most = (1 << bits) - 1;
        let largest = columns.next_in(Column { lo: 0, hi: 3 })? as usize;
        let mut value = [0.0; 4];
        let mut squares = 0.0;
        for n in (0..4).filter(|n| *n != largest) {
            let share = f64::from(columns.next_in(Column { lo: 0, hi: most })?) / f64::from(most);
            let component = (share * 2.0 - 1.0) / SQRT_2;
            squares += component * component;
            value[n] = component as f32;
        }
        value[largest] = (1.0 - squares).max(0.0).sqrt() as f32;
        Some(value)
    }

    fn fits(&self, _: NetFieldKind) -> bool {
        let squares: f32 = self.iter().map(|c| c * c).sum();
        (0.98..=1.02).contains(&squares)
    }
}

impl QuatNet for [f32; 4] {}

/// The column of a kind that takes one.
fn only_column(kind: NetFieldKind) -> Column {
    kind.columns().next().unwrap_or(Column { lo: 0, hi: 0 })
}

#[doc(hidden)]
pub fn net_field(
    name: &str,
    kind: NetFieldKind,
    interpolate: Option<Interpolate>,
    predict: Predict,
    audience: Audience,
) -> NetField {
    let interpolate = interpolate.unwrap_or(match kind {
        NetFieldKind::Bool | NetFieldKind::Int { .. } => Interpolate::None,
        _ => Interpolate::Linear,
    });
    NetField {
        name: name.to_owned(),
        kind,
        interpolate,
        predict,
        audience,
    }
}

#[doc(hidden)]
pub fn check_net<T: NetValue>(
    owner: &str,
    name: &str,
    value: &T,
    kind: NetFieldKind,
) -> Result<(), String> {
    if value.fits(kind) {
        Ok(())
    } else {
        Err(outside(owner, name, value, format!("{kind:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl NetValue, kind: NetFieldKind) -> Vec<i32> {
        let mut columns = Vec::new();
        value.write(kind, &mut columns);
        assert_eq!(columns.len(), kind.columns().count());
        for (value, column) in columns.iter().zip(kind.columns()) {
            assert!(
                (column.lo..=column.hi).contains(value),
                "{value} in {column:?}"
            );
        }
        columns
    }

    fn back<T: NetValue>(columns: &[i32], kind: NetFieldKind) -> Option<T> {
        T::read(kind, &mut ColumnReader::new(columns))
    }

    #[test]
    fn a_range_keeps_values_to_half_a_step_and_bounds_all_others() {
        let kind = <f32 as FloatNet>::range(-5.0, 40.0, 0.01);
        for value in [-5.0, -0.004, 0.0, 12.345, 40.0_f32] {
            let there: f32 = back(&written(value, kind), kind).unwrap();
            assert!(
                (there - value).abs() <= 0.0051,
                "{value} came back as {there}"
            );
        }
        for (value, column) in [(-9e9, 0), (9e9, 4500), (f32::INFINITY, 4500), (f32::NAN, 0)] {
            assert_eq!(written(value, kind), [column], "{value}");
            assert!(!value.fits(kind));
        }
        assert_eq!(back::<f32>(&[4501], kind), None);
        assert_eq!(back::<f32>(&[], kind), None);
    }

    #[test]
    fn an_angle_wraps_and_keeps_to_half_a_step() {
        let kind = <f32 as FloatNet>::angle(8);
        for value in [0.0, 1.0, -1.0, 3.2, -3.2, 6.27, 100.0_f32] {
            let there: f32 = back(&written(value, kind), kind).unwrap();
            let apart = crate::math::angle_between(there, value).abs();
            assert!(apart <= 0.0124, "{value} came back as {there}");
        }
        assert_eq!(written(-1e-9_f32, kind), [0]);
        written(f32::NAN, kind);
    }

    #[test]
    fn a_quaternion_keeps_its_rotation() {
        let kind = <[f32; 4] as QuatNet>::kind(10);
        for value in [
            [0.0, 0.0, 0.0, 1.0],
            [0.5, -0.5, 0.5, -0.5],
            [0.1, -0.7, 0.7, 0.1_f32],
        ] {
            let there: [f32; 4] = back(&written(value, kind), kind).unwrap();
            let dot: f32 = there.iter().zip(value).map(|(a, b)| a * b).sum();
            assert!(dot.abs() > 0.999, "{value:?} came back as {there:?}");
        }
        assert_eq!(written([f32::NAN; 4], kind)[0], 3);
    }

    #[test]
    fn integers_are_bounded_by_their_range() {
        let kind = <i32 as IntNet>::kind(-3, 9);
        assert_eq!(written(-7, kind), [-3]);
        assert_eq!(written(4, kind), [4]);
        assert_eq!(written(i32::MAX, kind), [9]);
        assert_eq!(back::<i32>(&[10], kind), None);
        let kind = <u32 as IntNet>::kind(0, u32::MAX);
        assert_eq!(written(u32::MAX, kind), [i32::MAX]);
        assert_eq!(back::<u8>(&[200], <u8 as PlainNet>::kind()), Some(200));
    }
}
