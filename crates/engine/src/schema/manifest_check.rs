//! The bounds that a manifest keeps.

use std::fmt::Display;

use crate::manifest::{
    EntityKind, Field, FieldKind, MAX_COLUMNS, MAX_FIELDS, MAX_KINDS, MAX_MESSAGE_BYTES,
    MAX_SAVE_BYTES, MAX_SLOTS, MAX_TICK_RATE, Manifest, Message, NetField, NetFieldKind,
};

/// A manifest breaks one of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("manifest field `{field}` is {found}, expected {expected}")]
pub struct ManifestError {
    /// Path of the field, such as `entities[2].fields[0].precision`.
    pub field: String,
    /// What it holds, shortened where it is long.
    pub found: String,
    /// What it may hold.
    pub expected: String,
}

impl Manifest {
    /// Holds the manifest against the bounds of `docs/game-module.md`.
    ///
    /// # Errors
    /// [`ManifestError`] naming the first field that breaks one, and what is allowed.
    pub fn validate(&self) -> Result<(), ManifestError> {
        let is_short_name = (1..=MAX_MODULE_NAME).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !is_short_name {
            return Err(error(
                "name",
                quoted(&self.name),
                "1 to 32 of a-z, 0-9 and -",
            ));
        }
        label("version", &self.version)?;
        label("title", &self.title)?;
        within("tick_rate", self.tick_rate, 1, MAX_TICK_RATE)?;
        within(
            "players.max",
            u32::from(self.max_players),
            1,
            MAX_SLOTS as u32,
        )?;
        let (fewest, most) = (u32::from(self.min_players), u32::from(self.max_players));
        within("players.min", fewest, 1, most)?;
        within("teams", u32::from(self.teams), 0, MAX_SLOTS as u32)?;
        within("late_window_ms", self.late_window_ms, 0, MAX_LATE_WINDOW_MS)?;
        within("max_save_bytes", self.max_save_bytes, 1, MAX_SAVE_BYTES)?;

        check_fields("input", &self.input)?;
        for (index, field) in self.input.iter().enumerate() {
            if matches!(field.kind, FieldKind::Text { .. }) {
                return Err(error(
                    format!("input[{index}].type"),
                    "text",
                    "any type but text",
                ));
            }
        }
        check_messages("commands", &self.commands)?;
        check_messages("events", &self.events)?;
        at_most("entities", self.entities.len(), MAX_KINDS)?;
        unique("entities", self.entities.iter().map(|kind| &kind.name))?;
        for (index, kind) in self.entities.iter().enumerate() {
            check_kind(&format!("entities[{index}]"), kind)?;
        }
        Ok(())
    }
}

fn check_messages(path: &str, messages: &[Message]) -> Result<(), ManifestError> {
    at_most(path, messages.len(), MAX_KINDS)?;
    unique(path, messages.iter().map(|message| &message.name))?;
    for (index, message) in messages.iter().enumerate() {
        let path = format!("{path}[{index}].fields");
        check_fields(&path, &message.fields)?;
        let bytes: usize = 1 + message
            .fields
            .iter()
            .map(|f| f.kind.most_bytes())
            .sum::<usize>();
        if bytes > MAX_MESSAGE_BYTES {
            let expected = format!("at most {MAX_MESSAGE_BYTES} bytes with every text at its max");
            return Err(error(path, format!("{bytes} bytes"), expected));
        }
    }
    Ok(())
}

fn check_fields(path: &str, fields: &[Field]) -> Result<(), ManifestError> {
    at_most(path, fields.len(), MAX_FIELDS)?;
    unique(path, fields.iter().map(|field| &field.name))?;
    for (index, field) in fields.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match field.kind {
            FieldKind::Bool | FieldKind::Text { .. } => {}
            FieldKind::U8 { min, max } => ordered(&path, min, max)?,
            FieldKind::U16 { min, max } => ordered(&path, min, max)?,
            FieldKind::U32 { min, max } => ordered(&path, min, max)?,
            FieldKind::I8 { min, max } => ordered(&path, min, max)?,
            FieldKind::I16 { min, max } => ordered(&path, min, max)?,
            FieldKind::I32 { min, max } => ordered(&path, min, max)?,
            FieldKind::F32 { min, max } => finite_range(&path, min, max)?,
        }
    }
    Ok(())
}

fn check_kind(path: &str, kind: &EntityKind) -> Result<(), ManifestError> {
    // Each field takes a column or more, so this bounds what the sum below runs over.
    at_most(&format!("{path}.fields"), kind.fields.len(), MAX_COLUMNS)?;
    unique(
        &format!("{path}.fields"),
        kind.fields.iter().map(|field| &field.name),
    )?;
    for (index, field) in kind.fields.iter().enumerate() {
        check_net_field(&format!("{path}.fields[{index}]"), field)?;
    }
    let columns = kind.columns().count();
    if columns > MAX_COLUMNS {
        let found = format!("{columns} columns");
        return Err(error(
            format!("{path}.fields"),
            found,
            format!("at most {MAX_COLUMNS}"),
        ));
    }
    Ok(())
}

fn check_net_field(path: &str, field: &NetField) -> Result<(), ManifestError> {
    match field.kind {
        NetFieldKind::Bool => Ok(()),
        NetFieldKind::Int { min, max } => ordered(path, min, max),
        NetFieldKind::Range {
            min,
            max,
            precision,
        } => {
            finite_range(path, min, max)?;
            if !(precision.is_finite() && precision > 0.0) {
                return Err(error(format!("{path}.precision"), precision, "more than 0"));
            }
            let steps = ((f64::from(max) - f64::from(min)) / f64::from(precision)).round();
            if steps > f64::from(i32::MAX) {
                let found = format!("{precision}, which makes {steps} steps");
                let expected = format!("at most {} steps", i32::MAX);
                return Err(error(format!("{path}.precision"), found, expected));
            }
            Ok(())
        }
        NetFieldKind::Angle { bits } => within(&format!("{path}.bits"), bits.into(), 1, 24),
        NetFieldKind::Quat { bits } => within(&format!("{path}.bits"), bits.into(), 2, 16),
    }
}

fn within(path: &str, found: u32, min: u32, max: u32) -> Result<(), ManifestError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(error(path, found, format!("{min} to {max}")))
}

fn at_most(path: &str, found: usize, limit: usize) -> Result<(), ManifestError> {
    if found <= limit {
        return Ok(());
    }
    Err(error(
        path,
        format!("{found} entries"),
        format!("at most {limit}"),
    ))
}

fn ordered<T: PartialOrd + Display>(path: &str, min: T, max: T) -> Result<(), ManifestError> {
    if min <= max {
        return Ok(());
    }
    Err(error(
        format!("{path}.min"),
        min,
        format!("at most the max, {max}"),
    ))
}

fn finite_range(path: &str, min: f32, max: f32) -> Result<(), ManifestError> {
    for (end, value) in [("min", min), ("max", max)] {
        if !value.is_finite() {
            return Err(error(format!("{path}.{end}"), value, "a finite number"));
        }
    }
    ordered(path, min, max)
}

fn label(path: &str, text: &str) -> Result<(), ManifestError> {
    if (1..=MAX_LABEL).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(error(
        path,
        quoted(text),
        "1 to 64 bytes without control characters",
    ))
}

fn unique<'a>(
    path: &str,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Result<(), ManifestError> {
    for (index, name) in names.clone().enumerate() {
        label(&format!("{path}[{index}].name"), name)?;
        if names.clone().take(index).any(|earlier| earlier == name) {
            return Err(error(
                format!("{path}[{index}].name"),
                quoted(name),
                "a name not yet used",
            ));
        }
    }
    Ok(())
}

fn error(
    field: impl Into<String>,
    found: impl Display,
    expected: impl Into<String>,
) -> ManifestError {
    ManifestError {
        field: field.into(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_LABEL).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Longest name of a module: it is part of a room's name.
const MAX_MODULE_NAME: usize = 32;
/// Longest name, version or title, in bytes: they go to logs and columns of tables.
const MAX_LABEL: usize = 64;
/// Longest late window: what lag compensation covers too.
const MAX_LATE_WINDOW_MS: u32 = 250;
