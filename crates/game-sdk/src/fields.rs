//! Inputs, commands and events: packed fields with ranges.

use std::fmt::{Debug, Display};

use gs_engine::manifest::{Field, FieldKind, Message as MessageSchema};

use crate::Reader;

/// What a player's device says each tick. Derive it: see [`derive@crate::Input`].
///
/// A mistake is an error where the field is:
///
/// ```compile_fail,E0277
/// # use game_sdk::prelude::*;
/// #[derive(Input, Clone)]
/// struct Stick {
///     move_x: f32, // needs to say its range
/// }
/// ```
pub trait Input: Sized + Clone {
    /// The schema.
    fn fields() -> Vec<Field>;
    /// Appends the packed fields. A value outside its range is written as the nearest end of it.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads the packed fields; `None` where they are cut off or out of range.
    fn decode(input: &mut Reader<'_>) -> Option<Self>;
}

/// No input at all.
impl Input for () {
    fn fields() -> Vec<Field> {
        Vec::new()
    }

    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

/// A game's commands or events. Derive it for an enum: see [`derive@crate::Message`].
pub trait Message: Sized {
    /// The schema, one a variant.
    fn messages() -> Vec<MessageSchema>;
    /// Appends the variant's index and its packed fields. A value outside its range is written as
    /// the nearest end of it.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads what [`encode`](Self::encode) writes; `None` where it is anything else.
    fn decode(input: &mut Reader<'_>) -> Option<Self>;
    /// Whether every field is within its range.
    ///
    /// # Errors
    /// The field, its value and the range.
    fn check_ranges(&self) -> Result<(), String>;
}

/// For a game without commands, events or entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl Message for Never {
    fn messages() -> Vec<MessageSchema> {
        Vec::new()
    }

    fn encode(&self, _: &mut Vec<u8>) {
        match *self {}
    }

    fn decode(_: &mut Reader<'_>) -> Option<Self> {
        None
    }

    fn check_ranges(&self) -> Result<(), String> {
        match *self {}
    }
}

/// A type that a packed field can have.
pub trait FieldValue: Sized + Debug {
    #[doc(hidden)]
    fn encode(&self, kind: FieldKind, out: &mut Vec<u8>);
    #[doc(hidden)]
    fn decode(kind: FieldKind, input: &mut Reader<'_>) -> Option<Self>;
    #[doc(hidden)]
    fn fits(&self, kind: FieldKind) -> bool;
}

/// A field type that needs no range.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` needs to say its range, or cannot travel",
    note = "write `#[field(range = -1.0..=1.0)]` for an f32 and `#[field(max = 64)]` for a String; \
            bool, u8, u16, u32, i8, i16 and i32 need nothing"
)]
pub trait PlainField: FieldValue {
    #[doc(hidden)]
    fn kind() -> FieldKind;
}

/// A field type that takes `range = lo..=hi`.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` has no range",
    note = "`range` is for f32, u8, u16, u32, i8, i16 and i32"
)]
pub trait RangedField: FieldValue {
    #[doc(hidden)]
    fn kind(min: Self, max: Self) -> FieldKind;
}

/// A field type that takes `max = bytes`.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` has no greatest length",
    note = "`max` is for String"
)]
pub trait TextField: FieldValue {
    #[doc(hidden)]
    fn kind(max: u16) -> FieldKind;
}

impl FieldValue for bool {
    fn encode(&self, _: FieldKind, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(_: FieldKind, input: &mut Reader<'_>) -> Option<Self> {
        input.bool()
    }

    fn fits(&self, _: FieldKind) -> bool {
        true
    }
}

impl PlainField for bool {
    fn kind() -> FieldKind {
        FieldKind::Bool
    }
}

macro_rules! integer_fields {
    ($($ty:ident $kind:ident),*) => {$(
        impl FieldValue for $ty {
            fn encode(&self, kind: FieldKind, out: &mut Vec<u8>) {
                let value = match kind {
                    FieldKind::$kind { min, max } => (*self).max(min).min(max),
                    _ => *self,
                };
                out.extend_from_slice(&value.to_le_bytes());
            }

            fn decode(kind: FieldKind, input: &mut Reader<'_>) -> Option<Self> {
                input.array().map(Self::from_le_bytes).filter(|value| value.fits(kind))
            }

            fn fits(&self, kind: FieldKind) -> bool {
                matches!(kind, FieldKind::$kind { min, max } if (min..=max).contains(self))
            }
        }

        impl PlainField for $ty {
            fn kind() -> FieldKind {
                FieldKind::$kind { min: Self::MIN, max: Self::MAX }
            }
        }

        impl RangedField for $ty {
            fn kind(min: Self, max: Self) -> FieldKind {
                FieldKind::$kind { min, max }
            }
        }
    )*};
}

integer_fields!(u8 U8, u16 U16, u32 U32, i8 I8, i16 I16, i32 I32);

impl FieldValue for f32 {
    fn encode(&self, kind: FieldKind, out: &mut Vec<u8>) {
        let value = match kind {
            // `max` and `min` answer the other number where one is NaN.
            FieldKind::F32 { min, max } => self.max(min).min(max),
            _ => *self,
        };
        out.extend_from_slice(&value.to_le_bytes());
    }

    fn decode(kind: FieldKind, input: &mut Reader<'_>) -> Option<Self> {
        input
            .array()
            .map(Self::from_le_bytes)
            .filter(|value| value.fits(kind))
    }

    fn fits(&self, kind: FieldKind) -> bool {
        matches!(kind, FieldKind::F32 { min, max } if (min..=max).contains(self))
    }
}

impl RangedField for f32 {
    fn kind(min: Self, max: Self) -> FieldKind {
        FieldKind::F32 { min, max }
    }
}

impl FieldValue for String {
    fn encode(&self, kind: FieldKind, out: &mut Vec<u8>) {
        let max = match kind {
            FieldKind::Text { max } => usize::from(max),
            _ => 0,
        };
        let text = &self[..self.floor_char_boundary(max)];
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    fn decode(kind: FieldKind, input: &mut Reader<'_>) -> Option<Self> {
        let len = u16::from_le_bytes(input.array()?);
        let text = std::str::from_utf8(input.take(usize::from(len))?).ok()?;
        Some(text.to_owned()).filter(|text| text.fits(kind))
    }

    fn fits(&self, kind: FieldKind) -> bool {
        matches!(kind, FieldKind::Text { max } if self.len() <= usize::from(max))
    }
}

impl TextField for String {
    fn kind(max: u16) -> FieldKind {
        FieldKind::Text { max }
    }
}

#[doc(hidden)]
pub fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.to_owned(),
        kind,
    }
}

#[doc(hidden)]
pub fn check_field<T: FieldValue>(
    owner: &str,
    name: &str,
    value: &T,
    kind: FieldKind,
) -> Result<(), String> {
    if value.fits(kind) {
        Ok(())
    } else {
        Err(outside(owner, name, value, format!("{kind:?}")))
    }
}

pub(crate) fn outside(owner: &str, name: &str, value: &impl Debug, range: impl Display) -> String {
    format!("`{owner}.{name}` is {value:?}, outside of {range}")
}
