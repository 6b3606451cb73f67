//! One column: what is expected of it, and how what was not expected is written.

use crate::manifest::Column;
use crate::snapshot::bits::{BitReader, BitWriter};

/// How many times the way from the older state to the base an entity is expected to have gone on
/// since, in sixteenths; 0 where nothing is expected to move.
pub(crate) type Speed = u32;

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnMode {
    /// Whether a bit says first that the value is the expected one.
    pub(crate) masked: bool,
    /// Whether it is expected to go on as it went from the older state to the base.
    pub(crate) predicted: bool,
    /// Order of its Exp-Golomb code, 0–31.
    pub(crate) order: u32,
}

impl ColumnMode {
    /// How a column is written of which nothing is known but its range.
    pub(crate) fn untuned(column: Column, speed: Speed) -> Self {
        Self {
            masked: true,
            predicted: speed > 0,
            order: (column.bits() / 3).min(3),
        }
    }

    /// Writes how far a value is from the expected one, as [`distance`] has it.
    #[inline]
    pub(crate) fn write(self, distance: u32, writer: &mut BitWriter<'_>) {
        if !self.masked {
            writer.write_golomb(distance, self.order);
        } else if distance == 0 {
            writer.write(0, 1);
        } else {
            writer.write(1, 1);
            writer.write_golomb(distance - 1, self.order);
        }
    }

    /// Reads what [`ColumnMode::write`] wrote.
    #[inline]
    pub(crate) fn read(self, reader: &mut BitReader<'_>) -> Option<u32> {
        if !self.masked {
            reader.read_golomb(self.order)
        } else if reader.read(1)? == 0 {
            Some(0)
        } else {
            reader.read_golomb(self.order)?.checked_add(1)
        }
    }
}

/// How many values a column can have.
#[inline]
fn values(column: Column) -> i64 {
    i64::from(column.hi) - i64::from(column.lo) + 1
}

/// The shorter way from one value of a column to another, over the ends of its range where that is
/// shorter, as it is for angles.
#[inline]
pub(crate) fn way(column: Column, from: i32, to: i32) -> i64 {
    shorter(column, i64::from(to) - i64::from(from))
}

#[inline]
fn shorter(column: Column, way: i64) -> i64 {
    let values = values(column);
    let half = values / 2;
    if way >= values - half {
        way - values
    } else if way < -half {
        way + values
    } else {
        way
    }
}

/// The value that a column is expected to have that went `way` before it came to `base`.
#[inline]
pub(crate) fn expected(column: Column, base: i32, way: i64, speed: Speed) -> i32 {
    let on = (way * i64::from(speed) + SPEED_UNIT / 2) >> SPEED_BITS;
    let value = i64::from(base) + on;
    let (lo, hi) = (i64::from(column.lo), i64::from(column.hi));
    if (lo..=hi).contains(&value) {
        value as i32
    } else {
        (lo + (value - lo).rem_euclid(values(column))) as i32
    }
}

/// How far a value is from the expected one: twice the way there, less one where the way is
/// downwards. Below the number of the column's values.
#[inline]
pub(crate) fn distance(column: Column, expected: i32, value: i32) -> u32 {
    let way = way(column, expected, value);
    ((way << 1) ^ (way >> 63)) as u32
}

/// The value at a distance from the expected one; `None` for a distance that no value has.
#[inline]
pub(crate) fn value_at(column: Column, expected: i32, distance: u32) -> Option<i32> {
    let values = values(column);
    if i64::from(distance) >= values {
        return None;
    }
    let way = i64::from(distance >> 1) ^ -i64::from(distance & 1);
    let value = i64::from(expected) + way;
    Some(if value > i64::from(column.hi) {
        value - values
    } else if value < i64::from(column.lo) {
        value + values
    } else {
        value
    } as i32)
}

/// Binary places of a [`Speed`].
pub(crate) const SPEED_BITS: u32 = 4;
const SPEED_UNIT: i64 = 1 << SPEED_BITS;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(lo: i32, hi: i32, base: i32, older: i32, value: i32, speed: Speed) {
        let column = Column { lo, hi };
        let expected = expected(column, base, way(column, older, base), speed);
        assert!((lo..=hi).contains(&expected));
        let distance = distance(column, expected, value);
        assert_eq!(value_at(column, expected, distance), Some(value));
    }

    #[test]
    fn the_ends_of_a_range_are_neighbours() {
        let angle = Column { lo: 0, hi: 255 };
        assert_eq!(distance(angle, 255, 0), 2);
        assert_eq!(distance(angle, 0, 255), 1);
        assert_eq!(expected(angle, 250, way(angle, 240, 250), 16), 4);
        let odd = Column { lo: -1, hi: 1 };
        assert_eq!(value_at(odd, 1, 2), Some(-1));
        assert_eq!(value_at(odd, 1, 3), None);
    }

    proptest! {
        #[test]
        fn every_value_has_its_distance(
            range: [i32; 2], values: [u32; 3], speed in 0..1024_u32
        ) {
            let (lo, hi) = (range[0].min(range[1]), range[0].max(range[1]));
            let within = |value: u32| {
                let span = i64::from(hi) - i64::from(lo) + 1;
                (i64::from(lo) + i64::from(value) % span) as i32
            };
            let [base, older, value] = values.map(within);
            check(lo, hi, base, older, value, speed);
            check(lo, hi, lo, hi, value, speed);
            check(i32::MIN, i32::MAX, base, older, value, speed);
        }
    }
}
