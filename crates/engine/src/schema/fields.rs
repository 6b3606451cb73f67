//! Checks of packed fields: inputs and commands from players, events from the module.

use crate::manifest::{Field, FieldKind, Message};

/// Why packed fields do not satisfy their schema.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FieldError {
    /// The whole has another length than its fields take.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// How many bytes the fields take.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The bytes end within a field.
    #[error("the bytes end within field `{field}`, which needs {needed} more")]
    Truncated {
        /// The field.
        field: String,
        /// How many bytes are missing at least.
        needed: usize,
    },
    /// Bytes follow the last field.
    #[error("{left} bytes follow the last field of `{message}`")]
    Trailing {
        /// The command or event.
        message: String,
        /// How many.
        left: usize,
    },
    /// There is no command or event with this index.
    #[error("index {found}, expected one below {count}")]
    NoSuchMessage {
        /// The index.
        found: u8,
        /// How many commands or events the manifest has.
        count: usize,
    },
    /// A command or event without its index.
    #[error("no bytes, expected an index and the fields")]
    Empty,
    /// A NaN or an infinity.
    #[error("field `{field}` is not a finite number")]
    NotFinite {
        /// The field.
        field: String,
    },
    /// A number outside the field's range.
    #[error("field `{field}` is {found}, expected {min} to {max}")]
    OutOfRange {
        /// The field.
        field: String,
        /// The value.
        found: f64,
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
    },
    /// Text longer than the field takes.
    #[error("field `{field}` has {found} bytes of text, at most {max} are allowed")]
    TextTooLong {
        /// The field.
        field: String,
        /// How many bytes it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// Text that is not UTF-8.
    #[error("field `{field}` is not UTF-8")]
    NotUtf8 {
        /// The field.
        field: String,
    },
}

impl FieldKind {
    /// The most bytes that a value takes; for all but text, exactly what it takes.
    pub fn most_bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 { .. } | Self::I8 { .. } => 1,
            Self::U16 { .. } | Self::I16 { .. } => 2,
            Self::U32 { .. } | Self::I32 { .. } | Self::F32 { .. } => 4,
            Self::Text { max } => 2 + usize::from(max),
        }
    }
}

/// Checks an index and the fields of the message that it names.
pub(super) fn validate_message(messages: &[Message], data: &[u8]) -> Result<(), FieldError> {
    let Some((index, fields)) = data.split_first() else {
        return Err(FieldError::Empty);
    };
    let Some(message) = messages.get(usize::from(*index)) else {
        return Err(FieldError::NoSuchMessage {
            found: *index,
            count: messages.len(),
        });
    };
    let left = check_fields(&message.fields, fields)?;
    if left == 0 {
        Ok(())
    } else {
        Err(FieldError::Trailing {
            message: message.name.clone(),
            left,
        })
    }
}

/// Checks fields whose total length the caller has checked.
pub(super) fn validate(fields: &[Field], data: &[u8]) -> Result<(), FieldError> {
    check_fields(fields, data).map(|_| ())
}

/// Checks each field and answers how many bytes are left over.
fn check_fields(fields: &[Field], mut data: &[u8]) -> Result<usize, FieldError> {
    for field in fields {
        data = check_field(field, data)?;
    }
    Ok(data.len())
}

fn check_field<'a>(field: &Field, data: &'a [u8]) -> Result<&'a [u8], FieldError> {
    let (value, min, max, rest) = match field.kind {
        FieldKind::Bool => {
            let ([value], rest) = take(field, data)?;
            (f64::from(value), 0.0, 1.0, rest)
        }
        FieldKind::U8 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            (
                u8::from_le_bytes(bytes).into(),
                min.into(),
                max.into(),
                rest,
            )
        }
        FieldKind::U16 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            (
                u16::from_le_bytes(bytes).into(),
                min.into(),
                max.into(),
                rest,
            )
        }
        FieldKind::U32 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            (
                u32::from_le_bytes(bytes).into(),
                min.into(),
                max.into(),
                rest,
            )
        }
        FieldKind::I8 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            (
                i8::from_le_bytes(bytes).into(),
                min.into(),
                max.into(),
                rest,
            )
        }
        FieldKind::I16 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            (
                i16::from_le_bytes(bytes).into(),
                min.into(),
                max.into(),
                rest,
            )
        }
        FieldKind::I32 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            (
                i32::from_le_bytes(bytes).into(),
                min.into(),
                max.into(),
                rest,
            )
        }
        FieldKind::F32 { min, max } => {
            let (bytes, rest) = take(field, data)?;
            let value = f32::from_le_bytes(bytes);
            if !value.is_finite() {
                return Err(FieldError::NotFinite {
                    field: field.name.clone(),
                });
            }
            (f64::from(value), min.into(), max.into(), rest)
        }
        FieldKind::Text { max } => return check_text(field, usize::from(max), data),
    };
    // Every integer of at most 32 bits is exact as an f64, so one comparison serves all types.
    if value < min || value > max {
        return Err(FieldError::OutOfRange {
            field: field.name.clone(),
            found: value,
            min,
            max,
        });
    }
    Ok(rest)
}

fn check_text<'a>(field: &Field, max: usize, data: &'a [u8]) -> Result<&'a [u8], FieldError> {
    let (len, rest) = take(field, data)?;
    let len = usize::from(u16::from_le_bytes(len));
    if len > max {
        return Err(FieldError::TextTooLong {
            field: field.name.clone(),
            found: len,
            max,
        });
    }
    let Some((text, rest)) = rest.split_at_checked(len) else {
        return Err(FieldError::Truncated {
            field: field.name.clone(),
            needed: len - rest.len(),
        });
    };
    match std::str::from_utf8(text) {
        Ok(_) => Ok(rest),
        Err(_) => Err(FieldError::NotUtf8 {
            field: field.name.clone(),
        }),
    }
}

fn take<'a, const N: usize>(
    field: &Field,
    data: &'a [u8],
) -> Result<([u8; N], &'a [u8]), FieldError> {
    match data.split_first_chunk() {
        Some((bytes, rest)) => Ok((*bytes, rest)),
        None => Err(FieldError::Truncated {
            field: field.name.clone(),
            needed: N - data.len(),
        }),
    }
}
