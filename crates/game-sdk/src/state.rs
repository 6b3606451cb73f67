//! Canonical save and load.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Reader;

/// A value that can be saved to bytes and taken back. Derive it: see [`derive@crate::State`].
///
/// Equal values give equal bytes: fixed-width little-endian integers, a `u32` count before the
/// items of a collection, a byte before an `Option` or the fields of an enum's variant, and one
/// pattern for every NaN. It does not exist for `HashMap` and `HashSet`, whose order differs from
/// run to run:
///
/// ```compile_fail,E0277
/// # use game_sdk::prelude::*;
/// #[derive(State)]
/// struct World {
///     names: std::collections::HashMap<u8, String>, // use `BTreeMap` or a `Vec`
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a game's saved state",
    note = "derive `State` for your own types; use `BTreeMap` or a `Vec` instead of a `HashMap`"
)]
pub trait State: Sized {
    /// Appends the value.
    fn save(&self, out: &mut Vec<u8>);
    /// Takes it back; `None` where the bytes are not what [`save`](Self::save) writes. Allocates
    /// no more than in proportion to the bytes.
    fn load(input: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($ty:ident),*) => {$(
        impl State for $ty {
            #[inline]
            fn save(&self, out: &mut Vec<u8>) {
                // Byte by byte: in a module, copying a few bytes as a slice is a call to the host.
                out.extend(self.to_le_bytes());
            }

            fn load(input: &mut Reader<'_>) -> Option<Self> {
                input.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

/// As a `u64`, so that a browser's 32-bit `usize` gives the same bytes.
impl State for usize {
    fn save(&self, out: &mut Vec<u8>) {
        (*self as u64).save(out);
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        u64::load(input)?.try_into().ok()
    }
}

impl State for bool {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        input.bool()
    }
}

impl State for f32 {
    fn save(&self, out: &mut Vec<u8>) {
        let bits = if self.is_nan() {
            CANONICAL_NAN_32
        } else {
            self.to_bits()
        };
        bits.save(out);
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let bits = u32::load(input)?;
        let value = Self::from_bits(bits);
        (!value.is_nan() || bits == CANONICAL_NAN_32).then_some(value)
    }
}

impl State for f64 {
    fn save(&self, out: &mut Vec<u8>) {
        let bits = if self.is_nan() {
            CANONICAL_NAN_64
        } else {
            self.to_bits()
        };
        bits.save(out);
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let bits = u64::load(input)?;
        let value = Self::from_bits(bits);
        (!value.is_nan() || bits == CANONICAL_NAN_64).then_some(value)
    }
}

impl State for String {
    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u32).save(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let len = u32::load(input)?;
        let text = std::str::from_utf8(input.take(len as usize)?).ok()?;
        Some(text.to_owned())
    }
}

impl<T: State> State for Option<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.is_some().save(out);
        if let Some(value) = self {
            value.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        if bool::load(input)? {
            Some(Some(T::load(input)?))
        } else {
            Some(None)
        }
    }
}

impl<T: State> State for Box<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.as_ref().save(out);
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        T::load(input).map(Box::new)
    }
}

impl<T: State, const N: usize> State for [T; N] {
    fn save(&self, out: &mut Vec<u8>) {
        for item in self {
            item.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let mut items = Vec::with_capacity(N);
        for _ in 0..N {
            items.push(T::load(input)?);
        }
        items.try_into().ok()
    }
}

impl<T: State> State for Vec<T> {
    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u32).save(out);
        for item in self {
            item.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        load_items(input)
    }
}

impl<T: State> State for VecDeque<T> {
    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u32).save(out);
        for item in self {
            item.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        load_items(input).map(Self::from)
    }
}

impl<K: State + Ord, V: State> State for BTreeMap<K, V> {
    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u32).save(out);
        for (key, value) in self {
            key.save(out);
            value.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let items: Vec<(K, V)> = load_items(input)?;
        is_ascending(items.iter().map(|(key, _)| key)).then(|| items.into_iter().collect())
    }
}

impl<T: State + Ord> State for BTreeSet<T> {
    fn save(&self, out: &mut Vec<u8>) {
        (self.len() as u32).save(out);
        for item in self {
            item.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let items: Vec<T> = load_items(input)?;
        is_ascending(items.iter()).then(|| items.into_iter().collect())
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: State),*> State for ($($name,)*) {
            fn save(&self, out: &mut Vec<u8>) {
                $(self.$index.save(out);)*
            }

            fn load(input: &mut Reader<'_>) -> Option<Self> {
                Some(($($name::load(input)?,)*))
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// An item takes a byte or more in every type but an empty struct, of which a collection holds at
/// most as many as there are bytes left: a count alone can neither allocate nor loop.
fn load_items<T: State>(input: &mut Reader<'_>) -> Option<Vec<T>> {
    let count = u32::load(input)? as usize;
    if count > input.remaining() {
        return None;
    }
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(T::load(input)?);
    }
    Some(items)
}

fn is_ascending<'a, T: Ord + 'a>(items: impl Iterator<Item = &'a T>) -> bool {
    items.is_sorted_by(|a, b| a < b)
}

/// The NaN that WebAssembly's own arithmetic gives where it is canonical.
const CANONICAL_NAN_32: u32 = 0x7fc0_0000;
/// As [`CANONICAL_NAN_32`], for `f64`.
const CANONICAL_NAN_64: u64 = 0x7ff8_0000_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(value: &impl State) -> Vec<u8> {
        let mut out = Vec::new();
        value.save(&mut out);
        out
    }

    fn loaded<T: State>(bytes: &[u8]) -> Option<T> {
        let mut reader = Reader::new(bytes);
        T::load(&mut reader).filter(|_| reader.remaining() == 0)
    }

    #[test]
    fn every_type_comes_back_as_it_was() {
        type All = (
            (u8, i16, u32, i64, usize, bool),
            (f32, f64, String),
            (Option<u8>, Option<u8>, [u16; 3]),
            (Vec<String>, VecDeque<i8>),
            (BTreeMap<u8, String>, BTreeSet<i32>, Box<u32>),
        );
        let all: All = (
            (1, -2, 3, -4, 5, true),
            (-0.0, 1e300, "six".to_owned()),
            (None, Some(7), [8, 9, 10]),
            (vec![String::new(), "ü".to_owned()], VecDeque::from([-1, 1])),
            (
                BTreeMap::from([(2, "b".to_owned()), (1, "a".to_owned())]),
                [3, -3].into(),
                4.into(),
            ),
        );
        assert_eq!(loaded(&saved(&all)), Some(all));
    }

    #[test]
    fn every_nan_is_saved_alike_and_no_other_pattern_is_taken_back() {
        let odd = f32::from_bits(0xffc0_1234);
        assert!(odd.is_nan());
        assert_eq!(saved(&odd), saved(&f32::NAN));
        assert_eq!(loaded::<f32>(&0xffc0_1234_u32.to_le_bytes()), None);
        assert!(loaded::<f32>(&saved(&odd)).is_some_and(f32::is_nan));
    }

    #[test]
    fn bytes_that_no_save_writes_are_refused() {
        assert_eq!(loaded::<bool>(&[2]), None);
        assert_eq!(loaded::<Vec<u32>>(&u32::MAX.to_le_bytes()), None);
        assert_eq!(loaded::<Vec<[u8; 0]>>(&u32::MAX.to_le_bytes()), None);
        assert_eq!(loaded::<String>(&[1, 0, 0, 0, 0xff]), None);
        assert_eq!(loaded::<Option<u8>>(&[1]), None);
        assert_eq!(
            loaded::<BTreeSet<u8>>(&[2, 0, 0, 0, 5, 5]),
            None,
            "twice the same key"
        );
        assert_eq!(
            loaded::<BTreeMap<u8, u8>>(&[2, 0, 0, 0, 5, 0, 4, 0]),
            None,
            "descending keys"
        );
    }
}
