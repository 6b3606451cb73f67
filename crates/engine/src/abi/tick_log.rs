//! Tick log: host to module.

use super::reader::{Reader, at_most, put_bytes};
use super::{AbiError, MAX_HAPPENINGS, MAX_MESSAGE_BYTES};
use crate::manifest::MAX_SLOTS;
use crate::simulation::{Happening, HappeningKind, InputStatus, SlotInput, TickLog};

/// Writes a tick log. `out` is cleared first.
///
/// # Errors
/// [`AbiError::TooMany`] beyond 64 slots, [`MAX_HAPPENINGS`] or [`MAX_MESSAGE_BYTES`];
/// [`AbiError::Invalid`] for a slot above 63.
pub fn encode_tick_log(log: &TickLog, out: &mut Vec<u8>) -> Result<(), AbiError> {
    out.clear();
    at_most(log.happenings.len(), MAX_HAPPENINGS, HAPPENINGS)?;
    at_most(log.inputs.len(), MAX_SLOTS, SLOTS)?;
    out.extend_from_slice(&log.tick.to_le_bytes());
    out.extend_from_slice(&(log.happenings.len() as u16).to_le_bytes());
    for happening in &log.happenings {
        if usize::from(happening.slot) >= MAX_SLOTS {
            let found = i64::from(happening.slot);
            return Err(AbiError::Invalid {
                part: SLOT,
                found,
                expected: "0..=63",
            });
        }
        match &happening.kind {
            HappeningKind::Join { team } => out.extend_from_slice(&[0, happening.slot, *team]),
            HappeningKind::Leave => out.extend_from_slice(&[1, happening.slot]),
            HappeningKind::Command(data) => {
                out.extend_from_slice(&[2, happening.slot]);
                put_bytes(data, MAX_MESSAGE_BYTES, COMMAND, out)?;
            }
        }
    }
    out.push(log.inputs.len() as u8);
    for input in &log.inputs {
        let status = match input.status {
            InputStatus::Absent => {
                out.push(0);
                continue;
            }
            InputStatus::Repeated => 1,
            InputStatus::Fresh => 2,
        };
        out.push(status);
        out.extend_from_slice(&input.view_tick.to_le_bytes());
        out.extend_from_slice(&input.data);
    }
    Ok(())
}

/// Reads a tick log whose inputs take `input_len` bytes each (see
/// [`Schema::input_len`](crate::Schema::input_len)), reusing the memory of `log`.
///
/// # Errors
/// Any [`AbiError`] but those of entities.
pub fn decode_tick_log(bytes: &[u8], input_len: usize, log: &mut TickLog) -> Result<(), AbiError> {
    let mut reader = Reader::new(bytes);
    log.tick = reader.u32("tick")?;

    log.happenings.clear();
    for _ in 0..reader.count(MAX_HAPPENINGS, HAPPENINGS)? {
        let kind = reader.u8_below(3, "kind of happening", "0 join, 1 leave or 2 command")?;
        let slot = reader.u8_below(MAX_SLOTS, SLOT, "0..=63")?;
        let kind = match kind {
            0 => HappeningKind::Join {
                team: reader.u8("team")?,
            },
            1 => HappeningKind::Leave,
            _ => {
                let len = reader.count(MAX_MESSAGE_BYTES, COMMAND)?;
                HappeningKind::Command(reader.take(len, "command")?.to_vec())
            }
        };
        log.happenings.push(Happening { slot, kind });
    }

    let slots = usize::from(reader.u8(SLOTS)?);
    at_most(slots, MAX_SLOTS, SLOTS)?;
    log.inputs.resize_with(slots, SlotInput::default);
    for input in &mut log.inputs {
        input.data.clear();
        input.view_tick = 0;
        input.status = match reader.u8_below(3, "status", "0 absent, 1 repeated or 2 fresh")? {
            0 => InputStatus::Absent,
            1 => InputStatus::Repeated,
            _ => InputStatus::Fresh,
        };
        if input.status != InputStatus::Absent {
            input.view_tick = reader.u32("view tick")?;
            input
                .data
                .extend_from_slice(reader.take(input_len, "input")?);
        }
    }
    reader.end("tick log")
}

const HAPPENINGS: &str = "number of happenings";
const SLOTS: &str = "number of slots";
const SLOT: &str = "slot";
const COMMAND: &str = "length of a command";
