//! Effects: module to host.

use super::reader::{Reader, at_most, put_bytes, utf8};
use super::{
    AbiError, MAX_EFFECTS_BYTES, MAX_EVENTS, MAX_LOG_LINES, MAX_MESSAGE_BYTES, MAX_STATISTIC_NAME,
    MAX_STATISTICS,
};
use crate::manifest::MAX_SLOTS;
use crate::simulation::{
    Effects, EventAudience, GameEvent, LogLevel, LogLine, MatchResult, Outcome, SlotResult,
};

/// Writes a tick's effects. `out` is cleared first.
///
/// # Errors
/// [`AbiError::TooMany`] or [`AbiError::Invalid`] where the effects pass one of the layout's bounds.
pub fn encode_effects(effects: &Effects, out: &mut Vec<u8>) -> Result<(), AbiError> {
    out.clear();
    at_most(effects.events.len(), MAX_EVENTS, EVENTS)?;
    out.extend_from_slice(&(effects.events.len() as u16).to_le_bytes());
    for event in &effects.events {
        match event.to {
            EventAudience::All => out.extend_from_slice(&[0, 0]),
            EventAudience::Slot(slot) => out.extend_from_slice(&[1, checked_slot(slot)?]),
            EventAudience::Team(team) => out.extend_from_slice(&[2, team]),
        }
        put_bytes(&event.data, MAX_MESSAGE_BYTES, EVENT, out)?;
    }

    at_most(effects.log.len(), MAX_LOG_LINES, LOG_LINES)?;
    out.extend_from_slice(&(effects.log.len() as u16).to_le_bytes());
    for line in &effects.log {
        out.push(match line.level {
            LogLevel::Error => 0,
            LogLevel::Warn => 1,
            LogLevel::Info => 2,
            LogLevel::Debug => 3,
        });
        put_bytes(
            line.text.as_bytes(),
            MAX_EFFECTS_BYTES,
            "length of a log line",
            out,
        )?;
    }

    match &effects.result {
        None => out.push(0),
        Some(result) => encode_result(result, out)?,
    }
    at_most(out.len(), MAX_EFFECTS_BYTES, BYTES)
}

fn encode_result(result: &MatchResult, out: &mut Vec<u8>) -> Result<(), AbiError> {
    at_most(result.slots.len(), MAX_SLOTS, RESULT_SLOTS)?;
    out.push(1);
    out.push(match result.outcome {
        Outcome::Finished => 0,
        Outcome::Abandoned => 1,
        Outcome::Void => 2,
    });
    out.push(result.slots.len() as u8);
    let mut previous = None;
    for entry in &result.slots {
        previous = Some(ascending(previous, checked_slot(entry.slot)?)?);
        at_most(entry.statistics.len(), MAX_STATISTICS, STATISTICS)?;
        out.extend_from_slice(&[
            entry.slot,
            checked_placement(entry.placement)?,
            entry.team.unwrap_or(NO_TEAM),
        ]);
        out.extend_from_slice(&entry.score.to_le_bytes());
        out.push(entry.statistics.len() as u8);
        for (name, value) in &entry.statistics {
            check_statistic_name(name.as_bytes())?;
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    Ok(())
}

/// Reads a tick's effects, reusing the memory of `effects`.
///
/// # Errors
/// Any [`AbiError`] but those of entities.
pub fn decode_effects(bytes: &[u8], effects: &mut Effects) -> Result<(), AbiError> {
    at_most(bytes.len(), MAX_EFFECTS_BYTES, BYTES)?;
    effects.result = None;
    let mut reader = Reader::new(bytes);

    let events = reader.count(MAX_EVENTS, EVENTS)?;
    effects.events.truncate(events);
    for index in 0..events {
        let audience = reader.u8_below(3, "audience", "0 all, 1 slot or 2 team")?;
        let whom = reader.u8("slot or team")?;
        let to = match audience {
            0 => EventAudience::All,
            1 => EventAudience::Slot(checked_slot(whom)?),
            _ => EventAudience::Team(whom),
        };
        let len = reader.count(MAX_MESSAGE_BYTES, EVENT)?;
        let data = reader.take(len, "event")?;
        match effects.events.get_mut(index) {
            Some(event) => {
                event.to = to;
                event.data.clear();
                event.data.extend_from_slice(data);
            }
            None => effects.events.push(GameEvent {
                to,
                data: data.to_vec(),
            }),
        }
    }

    let lines = reader.count(MAX_LOG_LINES, LOG_LINES)?;
    effects.log.clear();
    for _ in 0..lines {
        let level = match reader.u8_below(4, "log level", "0 error, 1 warn, 2 info or 3 debug")? {
            0 => LogLevel::Error,
            1 => LogLevel::Warn,
            2 => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        let len = usize::from(reader.u16("length of a log line")?);
        let text = utf8(reader.take(len, "log line")?, "log line")?.to_owned();
        effects.log.push(LogLine { level, text });
    }

    if reader.u8_below(2, "presence of a result", "0 or 1")? == 1 {
        effects.result = Some(decode_result(&mut reader)?);
    }
    reader.end("effects")
}

fn decode_result(reader: &mut Reader<'_>) -> Result<MatchResult, AbiError> {
    let outcome = match reader.u8_below(3, "outcome", "0 finished, 1 abandoned or 2 void")? {
        0 => Outcome::Finished,
        1 => Outcome::Abandoned,
        _ => Outcome::Void,
    };
    let count = usize::from(reader.u8(RESULT_SLOTS)?);
    at_most(count, MAX_SLOTS, RESULT_SLOTS)?;
    let mut slots: Vec<SlotResult> = Vec::new();
    for _ in 0..count {
        let slot = checked_slot(reader.u8(SLOT)?)?;
        ascending(slots.last().map(|entry| entry.slot), slot)?;
        let placement = checked_placement(reader.u8(PLACEMENT)?)?;
        let team = Some(reader.u8("team")?).filter(|team| *team != NO_TEAM);
        let score = reader.i32("score")?;
        let statistics_count = usize::from(reader.u8(STATISTICS)?);
        at_most(statistics_count, MAX_STATISTICS, STATISTICS)?;
        let mut statistics = Vec::new();
        for _ in 0..statistics_count {
            let len = usize::from(reader.u8(NAME)?);
            let name = reader.take(len, "name of a statistic")?;
            check_statistic_name(name)?;
            let name = utf8(name, "name of a statistic")?.to_owned();
            statistics.push((name, reader.i32("value of a statistic")?));
        }
        slots.push(SlotResult {
            slot,
            placement,
            team,
            score,
            statistics,
        });
    }
    Ok(MatchResult { outcome, slots })
}

fn checked_slot(slot: u8) -> Result<u8, AbiError> {
    if usize::from(slot) < MAX_SLOTS {
        return Ok(slot);
    }
    Err(AbiError::Invalid {
        part: SLOT,
        found: i64::from(slot),
        expected: "0..=63",
    })
}

fn ascending(previous: Option<u8>, slot: u8) -> Result<u8, AbiError> {
    if previous.is_none_or(|previous| previous < slot) {
        return Ok(slot);
    }
    let found = i64::from(slot);
    Err(AbiError::Invalid {
        part: "slot of a result",
        found,
        expected: "ascending slots",
    })
}

fn checked_placement(placement: u8) -> Result<u8, AbiError> {
    if placement > 0 {
        return Ok(placement);
    }
    Err(AbiError::Invalid {
        part: PLACEMENT,
        found: 0,
        expected: "1 or more",
    })
}

fn check_statistic_name(name: &[u8]) -> Result<(), AbiError> {
    at_most(name.len(), MAX_STATISTIC_NAME, NAME)?;
    if name.is_empty() {
        return Err(AbiError::Invalid {
            part: NAME,
            found: 0,
            expected: "1..=32 bytes",
        });
    }
    match name
        .iter()
        .find(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    {
        None => Ok(()),
        Some(byte) => Err(AbiError::Invalid {
            part: "byte in the name of a statistic",
            found: i64::from(*byte),
            expected: "a-z, 0-9 or _",
        }),
    }
}

/// Stands for "no team".
const NO_TEAM: u8 = 255;

const BYTES: &str = "bytes of effects";
const EVENTS: &str = "number of events";
const EVENT: &str = "length of an event";
const LOG_LINES: &str = "number of log lines";
const RESULT_SLOTS: &str = "number of slots in the result";
const STATISTICS: &str = "number of statistics";
const NAME: &str = "length of a statistic's name";
const SLOT: &str = "slot";
const PLACEMENT: &str = "placement";
