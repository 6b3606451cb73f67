//! The manifest's JSON, as a welcome carries it; `docs/game-module.md` has the layout.

mod json;

use gs_engine::abi::ABI_VERSION;
use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, MAX_COLUMNS, MAX_FIELDS,
    MAX_KINDS, Manifest, Message, NetField, NetFieldKind, Predict,
};
use json::Json;

/// The text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest cannot be read: {0}")]
pub struct ManifestJsonError(String);

/// Reads a manifest. What it does not know it passes over, so that a newer server's can be read.
/// Whether the values keep their bounds is [`Manifest::validate`]'s to say.
///
/// `tick_rate` is the server's, for a manifest that leaves it open.
///
/// # Errors
/// [`ManifestJsonError`] naming the part and what was expected of it.
pub fn parse(text: &str, tick_rate: u32) -> Result<Manifest, ManifestJsonError> {
    if text.len() > MAX_BYTES {
        return wrong(format!(
            "{} bytes, at most {MAX_BYTES} are read",
            text.len()
        ));
    }
    let root = Json::parse(text).map_err(ManifestJsonError)?;
    let root = Part {
        path: "manifest",
        value: &root,
    };
    let abi: i32 = root.whole("abi")?;
    if abi != ABI_VERSION {
        return wrong(format!("`abi` is {abi}, expected {ABI_VERSION}"));
    }
    let players = root.object("players")?;
    let leaderboard = root.object("leaderboard")?;
    Ok(Manifest {
        name: root.text("name")?,
        version: root.text("version")?,
        title: root.text("title")?,
        tick_rate: root.whole_or("tick_rate", tick_rate)?,
        min_players: players.whole("min")?,
        max_players: players.whole("max")?,
        teams: root.whole("teams")?,
        hidden_state: root.flag("hidden_state")?,
        backfill: root.get("backfill").is_some() && root.flag("backfill")?,
        late_window_ms: root.whole("late_window_ms")?,
        max_save_bytes: root.whole("max_save_bytes")?,
        leaderboard: match leaderboard.text("rule")?.as_str() {
            "best" => LeaderboardRule::Best,
            "latest" => LeaderboardRule::Latest,
            "sum" => LeaderboardRule::Sum,
            "none" => LeaderboardRule::None,
            other => return wrong(format!("`leaderboard.rule` is {other:?}")),
        },
        input: root.list("input", MAX_FIELDS, field)?,
        commands: root.list("commands", MAX_KINDS, message)?,
        events: root.list("events", MAX_KINDS, message)?,
        entities: root.list("entities", MAX_KINDS, |part| {
            Ok(EntityKind {
                name: part.text("name")?,
                fields: part.list("fields", MAX_COLUMNS, net_field)?,
            })
        })?,
    })
}

fn message(part: Part<'_>) -> Result<Message, ManifestJsonError> {
    Ok(Message {
        name: part.text("name")?,
        fields: part.list("fields", MAX_FIELDS, field)?,
    })
}

fn field(part: Part<'_>) -> Result<Field, ManifestJsonError> {
    /// The range, each end the type's own where it is left out.
    macro_rules! range {
        ($kind:ident, $int:ty) => {
            FieldKind::$kind {
                min: part.whole_or("min", <$int>::MIN)?,
                max: part.whole_or("max", <$int>::MAX)?,
            }
        };
    }
    let kind = match part.text("type")?.as_str() {
        "bool" => FieldKind::Bool,
        "u8" => range!(U8, u8),
        "u16" => range!(U16, u16),
        "u32" => range!(U32, u32),
        "i8" => range!(I8, i8),
        "i16" => range!(I16, i16),
        "i32" => range!(I32, i32),
        "f32" => FieldKind::F32 {
            min: part.number("min")? as f32,
            max: part.number("max")? as f32,
        },
        "text" => FieldKind::Text {
            max: part.whole("max")?,
        },
        other => return part.wrong("type", &format!("a field type, not {other:?}")),
    };
    Ok(Field {
        name: part.text("name")?,
        kind,
    })
}

fn net_field(part: Part<'_>) -> Result<NetField, ManifestJsonError> {
    let kind = match part.text("type")?.as_str() {
        "bool" => NetFieldKind::Bool,
        "int" => NetFieldKind::Int {
            min: part.whole("min")?,
            max: part.whole("max")?,
        },
        "range" => NetFieldKind::Range {
            min: part.number("min")? as f32,
            max: part.number("max")? as f32,
            precision: part.number("precision")? as f32,
        },
        "angle" => NetFieldKind::Angle {
            bits: part.whole("bits")?,
        },
        "quat" => NetFieldKind::Quat {
            bits: part.whole("bits")?,
        },
        other => return part.wrong("type", &format!("a net field type, not {other:?}")),
    };
    let interpolate = match part.optional_text("interpolate") {
        Some("linear") => Interpolate::Linear,
        Some("none") => Interpolate::None,
        _ if matches!(kind, NetFieldKind::Bool | NetFieldKind::Int { .. }) => Interpolate::None,
        _ => Interpolate::Linear,
    };
    Ok(NetField {
        name: part.text("name")?,
        kind,
        interpolate,
        predict: match part.optional_text("predict") {
            Some("owner") => Predict::Owner,
            _ => Predict::None,
        },
        audience: match part.optional_text("audience") {
            Some("owner") => Audience::Owner,
            Some("team") => Audience::Team,
            _ => Audience::All,
        },
    })
}

/// A value and where in the manifest it is.
#[derive(Clone, Copy)]
struct Part<'a> {
    path: &'a str,
    value: &'a Json,
}

impl<'a> Part<'a> {
    fn get(&self, name: &str) -> Option<&'a Json> {
        let Json::Object(members) = self.value else {
            return None;
        };
        let member = members.iter().find(|(member, _)| member == name)?;
        Some(&member.1).filter(|value| **value != Json::Null)
    }

    fn wrong<T>(&self, name: &str, expected: &str) -> Result<T, ManifestJsonError> {
        wrong(format!("`{}.{name}`: expected {expected}", self.path))
    }

    fn object(&self, name: &'a str) -> Result<Part<'a>, ManifestJsonError> {
        match self.get(name) {
            Some(value @ Json::Object(_)) => Ok(Part { path: name, value }),
            _ => self.wrong(name, "an object"),
        }
    }

    fn optional_text(&self, name: &str) -> Option<&'a str> {
        match self.get(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Result<String, ManifestJsonError> {
        match self.optional_text(name) {
            Some(text) => Ok(text.to_owned()),
            None => self.wrong(name, "a text"),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, ManifestJsonError> {
        match self.get(name) {
            Some(Json::Bool(flag)) => Ok(*flag),
            _ => self.wrong(name, "true or false"),
        }
    }

    fn number(&self, name: &str) -> Result<f64, ManifestJsonError> {
        match self.get(name) {
            Some(Json::Number(number)) => Ok(*number),
            _ => self.wrong(name, "a number"),
        }
    }

    fn whole<T: TryFrom<i64>>(&self, name: &str) -> Result<T, ManifestJsonError> {
        let number = self.number(name)?;
        let whole = Some(number as i64)
            .filter(|whole| *whole as f64 == number)
            .and_then(|whole| T::try_from(whole).ok());
        match whole {
            Some(whole) => Ok(whole),
            None => self.wrong(name, &format!("another whole number than {number}")),
        }
    }

    fn whole_or<T: TryFrom<i64>>(&self, name: &str, default: T) -> Result<T, ManifestJsonError> {
        match self.get(name) {
            Some(_) => self.whole(name),
            None => Ok(default),
        }
    }

    fn list<T>(
        &self,
        name: &str,
        most: usize,
        read: impl Fn(Part<'_>) -> Result<T, ManifestJsonError>,
    ) -> Result<Vec<T>, ManifestJsonError> {
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Json::List(items)) if items.len() <= most => items,
            Some(_) => return self.wrong(name, &format!("a list of at most {most}")),
        };
        let item = |(index, value)| {
            let path = format!("{}.{name}[{index}]", self.path);
            read(Part { path: &path, value })
        };
        items.iter().enumerate().map(item).collect()
    }
}

fn wrong<T>(reason: String) -> Result<T, ManifestJsonError> {
    Err(ManifestJsonError(reason))
}

/// A welcome is no larger.
const MAX_BYTES: usize = gs_protocol::limits::EVENT_BYTES;

#[cfg(test)]
mod tests;
