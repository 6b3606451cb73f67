//! Verdict on an input: module to host.

use super::reader::{Reader, at_most, utf8};
use super::{AbiError, MAX_REASON_BYTES};
use crate::simulation::Verdict;

/// Writes a verdict. `out` is cleared first.
///
/// # Errors
/// [`AbiError::TooMany`] for a reason beyond [`MAX_REASON_BYTES`].
pub fn encode_verdict(verdict: &Verdict, out: &mut Vec<u8>) -> Result<(), AbiError> {
    out.clear();
    match verdict {
        Verdict::Accept => out.push(0),
        Verdict::Amend(input) => {
            out.push(1);
            out.extend_from_slice(input);
        }
        Verdict::Refuse(reason) => {
            at_most(reason.len(), MAX_REASON_BYTES, REASON)?;
            out.push(2);
            out.extend_from_slice(reason.as_bytes());
        }
    }
    Ok(())
}

/// Reads a verdict; an amended input must have `input_len` bytes.
///
/// # Errors
/// Any [`AbiError`] but those of entities.
pub fn decode_verdict(bytes: &[u8], input_len: usize) -> Result<Verdict, AbiError> {
    let mut reader = Reader::new(bytes);
    let verdict = match reader.u8_below(3, "verdict", "0 accept, 1 amend or 2 refuse")? {
        0 => Verdict::Accept,
        1 => {
            let found = reader.rest();
            if found.len() != input_len {
                return Err(AbiError::Length {
                    part: "amended input",
                    found: found.len(),
                    expected: input_len,
                });
            }
            Verdict::Amend(found.to_vec())
        }
        _ => {
            let reason = reader.rest();
            at_most(reason.len(), MAX_REASON_BYTES, REASON)?;
            Verdict::Refuse(utf8(reason, "reason")?.to_owned())
        }
    };
    reader.end("verdict")?;
    Ok(verdict)
}

const REASON: &str = "length of the reason";
