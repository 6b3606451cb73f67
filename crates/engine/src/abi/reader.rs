//! Bounded reading and writing of little-endian parts.

use super::AbiError;

/// Reads a layout part by part; knows where it is, for errors.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, needed: usize, part: &'static str) -> Result<&'a [u8], AbiError> {
        let left = self.bytes.len() - self.at;
        let Some(taken) = self.bytes[self.at..].get(..needed) else {
            return Err(AbiError::Truncated {
                part,
                at: self.at,
                needed,
                left,
            });
        };
        self.at += needed;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], AbiError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, part)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, part: &'static str) -> Result<u8, AbiError> {
        self.array(part).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self, part: &'static str) -> Result<u16, AbiError> {
        self.array(part).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, part: &'static str) -> Result<u32, AbiError> {
        self.array(part).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self, part: &'static str) -> Result<i32, AbiError> {
        self.array(part).map(i32::from_le_bytes)
    }

    pub(super) fn f32(&mut self, part: &'static str) -> Result<f32, AbiError> {
        self.array(part).map(f32::from_le_bytes)
    }

    /// A `u8` that must be below a bound.
    pub(super) fn u8_below(
        &mut self,
        bound: usize,
        part: &'static str,
        expected: &'static str,
    ) -> Result<u8, AbiError> {
        let found = self.u8(part)?;
        if usize::from(found) < bound {
            Ok(found)
        } else {
            Err(AbiError::Invalid {
                part,
                found: i64::from(found),
                expected,
            })
        }
    }

    /// A count as `u16` that must not pass a limit.
    pub(super) fn count(&mut self, limit: usize, part: &'static str) -> Result<usize, AbiError> {
        let found = usize::from(self.u16(part)?);
        if found <= limit {
            Ok(found)
        } else {
            Err(AbiError::TooMany { part, found, limit })
        }
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    pub(super) fn end(&self, layout: &'static str) -> Result<(), AbiError> {
        let left = self.bytes.len() - self.at;
        if left == 0 {
            Ok(())
        } else {
            Err(AbiError::Trailing { layout, left })
        }
    }
}

/// Checks a count before it is written.
pub(super) fn at_most(found: usize, limit: usize, part: &'static str) -> Result<(), AbiError> {
    if found <= limit {
        Ok(())
    } else {
        Err(AbiError::TooMany { part, found, limit })
    }
}

/// Writes a `u16` length and the bytes.
pub(super) fn put_bytes(
    bytes: &[u8],
    limit: usize,
    part: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), AbiError> {
    at_most(bytes.len(), limit.min(usize::from(u16::MAX)), part)?;
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

pub(super) fn utf8<'a>(bytes: &'a [u8], part: &'static str) -> Result<&'a str, AbiError> {
    std::str::from_utf8(bytes).map_err(|_| AbiError::NotUtf8 { part })
}
