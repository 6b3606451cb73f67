//! The manifest's JSON, as `docs/game-module.md` has it.

use gs_engine::Manifest;
use gs_engine::abi::ABI_VERSION;
use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Message, NetField,
    NetFieldKind, Predict,
};
use serde::Deserialize;

use crate::module::ModuleError;

/// Reads a manifest. Its bounds are another matter: `Manifest::validate` knows them.
pub(crate) fn parse(json: &str, default_tick_rate: u32) -> Result<Manifest, ModuleError> {
    let read: ManifestJson =
        serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    if read.abi != i64::from(ABI_VERSION) {
        return Err(wrong(format!(
            "`abi` is {}, expected {ABI_VERSION}",
            read.abi
        )));
    }
    Ok(Manifest {
        name: read.name,
        version: read.version,
        title: read.title,
        tick_rate: read.tick_rate.unwrap_or(default_tick_rate),
        min_players: read.players.min,
        max_players: read.players.max,
        teams: read.teams,
        hidden_state: read.hidden_state,
        backfill: read.backfill,
        late_window_ms: read.late_window_ms,
        max_save_bytes: read.max_save_bytes,
        leaderboard: match read.leaderboard.rule {
            RuleJson::Best => LeaderboardRule::Best,
            RuleJson::Latest => LeaderboardRule::Latest,
            RuleJson::Sum => LeaderboardRule::Sum,
            RuleJson::None => LeaderboardRule::None,
        },
        input: fields("input", read.input)?,
        commands: messages("commands", read.commands)?,
        events: messages("events", read.events)?,
        entities: entities(read.entities)?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestJson {
    abi: i64,
    name: String,
    version: String,
    title: String,
    tick_rate: Option<u32>,
    players: PlayersJson,
    teams: u8,
    hidden_state: bool,
    #[serde(default)]
    backfill: bool,
    late_window_ms: u32,
    max_save_bytes: u32,
    leaderboard: LeaderboardJson,
    input: Vec<FieldJson>,
    commands: Vec<MessageJson>,
    events: Vec<MessageJson>,
    entities: Vec<EntityJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayersJson {
    min: u8,
    max: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaderboardJson {
    rule: RuleJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RuleJson {
    Best,
    Latest,
    Sum,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageJson {
    name: String,
    fields: Vec<FieldJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldJson {
    name: String,
    r#type: FieldTypeJson,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FieldTypeJson {
    Bool,
    U8,
    U16,
    U32,
    I8,
    I16,
    I32,
    F32,
    Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityJson {
    name: String,
    fields: Vec<NetFieldJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetFieldJson {
    name: String,
    r#type: NetTypeJson,
    min: Option<f64>,
    max: Option<f64>,
    precision: Option<f64>,
    bits: Option<u8>,
    interpolate: Option<InterpolateJson>,
    predict: Option<PredictJson>,
    audience: Option<AudienceJson>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NetTypeJson {
    Bool,
    Int,
    Range,
    Angle,
    Quat,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum InterpolateJson {
    Linear,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PredictJson {
    None,
    Owner,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AudienceJson {
    All,
    Owner,
    Team,
}

fn messages(path: &str, read: Vec<MessageJson>) -> Result<Vec<Message>, ModuleError> {
    let message = |(index, read): (usize, MessageJson)| {
        let fields = fields(&format!("{path}[{index}].fields"), read.fields)?;
        Ok(Message {
            name: read.name,
            fields,
        })
    };
    read.into_iter().enumerate().map(message).collect()
}

fn fields(path: &str, read: Vec<FieldJson>) -> Result<Vec<Field>, ModuleError> {
    let field = |(index, read): (usize, FieldJson)| {
        let kind = field_kind(&format!("{path}[{index}]"), &read)?;
        Ok(Field {
            name: read.name,
            kind,
        })
    };
    read.into_iter().enumerate().map(field).collect()
}

fn field_kind(path: &str, read: &FieldJson) -> Result<FieldKind, ModuleError> {
    /// The range, each end the type's own where it is left out.
    macro_rules! whole {
        ($kind:ident, $int:ty) => {{
            let (least, most) = (f64::from(<$int>::MIN), f64::from(<$int>::MAX));
            FieldKind::$kind {
                min: whole(path, "min", read.min.unwrap_or(least), least, most)? as $int,
                max: whole(path, "max", read.max.unwrap_or(most), least, most)? as $int,
            }
        }};
    }
    Ok(match read.r#type {
        FieldTypeJson::Bool => {
            absent(
                path,
                &[("min", read.min.is_some()), ("max", read.max.is_some())],
            )?;
            FieldKind::Bool
        }
        FieldTypeJson::U8 => whole!(U8, u8),
        FieldTypeJson::U16 => whole!(U16, u16),
        FieldTypeJson::U32 => whole!(U32, u32),
        FieldTypeJson::I8 => whole!(I8, i8),
        FieldTypeJson::I16 => whole!(I16, i16),
        FieldTypeJson::I32 => whole!(I32, i32),
        FieldTypeJson::F32 => FieldKind::F32 {
            min: needed(path, "min", read.min)? as f32,
            max: needed(path, "max", read.max)? as f32,
        },
        FieldTypeJson::Text => {
            absent(path, &[("min", read.min.is_some())])?;
            let max = needed(path, "max", read.max)?;
            FieldKind::Text {
                max: whole(path, "max", max, 0.0, f64::from(u16::MAX))? as u16,
            }
        }
    })
}

fn entities(read: Vec<EntityJson>) -> Result<Vec<EntityKind>, ModuleError> {
    let entity = |(index, read): (usize, EntityJson)| {
        let field =
            |(number, read)| net_field(&format!("entities[{index}].fields[{number}]"), read);
        let fields: Result<_, ModuleError> =
            read.fields.into_iter().enumerate().map(field).collect();
        Ok(EntityKind {
            name: read.name,
            fields: fields?,
        })
    };
    read.into_iter().enumerate().map(entity).collect()
}

fn net_field(path: &str, read: NetFieldJson) -> Result<NetField, ModuleError> {
    let has_range = matches!(read.r#type, NetTypeJson::Int | NetTypeJson::Range);
    let has_bits = matches!(read.r#type, NetTypeJson::Angle | NetTypeJson::Quat);
    absent(
        path,
        &[
            ("min", !has_range && read.min.is_some()),
            ("max", !has_range && read.max.is_some()),
            (
                "precision",
                read.r#type != NetTypeJson::Range && read.precision.is_some(),
            ),
            ("bits", !has_bits && read.bits.is_some()),
        ],
    )?;
    let i32_end = |end: &'static str, value| {
        let value = needed(path, end, value)?;
        whole(path, end, value, f64::from(i32::MIN), f64::from(i32::MAX)).map(|n| n as i32)
    };
    let kind = match read.r#type {
        NetTypeJson::Bool => NetFieldKind::Bool,
        NetTypeJson::Int => NetFieldKind::Int {
            min: i32_end("min", read.min)?,
            max: i32_end("max", read.max)?,
        },
        NetTypeJson::Range => NetFieldKind::Range {
            min: needed(path, "min", read.min)? as f32,
            max: needed(path, "max", read.max)? as f32,
            precision: needed(path, "precision", read.precision)? as f32,
        },
        NetTypeJson::Angle => NetFieldKind::Angle {
            bits: needed(path, "bits", read.bits)?,
        },
        NetTypeJson::Quat => NetFieldKind::Quat {
            bits: needed(path, "bits", read.bits)?,
        },
    };
    let interpolate = match read.interpolate {
        Some(InterpolateJson::Linear) => Interpolate::Linear,
        Some(InterpolateJson::None) => Interpolate::None,
        None if matches!(kind, NetFieldKind::Bool | NetFieldKind::Int { .. }) => Interpolate::None,
        None => Interpolate::Linear,
    };
    let predict = match read.predict {
        None | Some(PredictJson::None) => Predict::None,
        Some(PredictJson::Owner) => Predict::Owner,
    };
    let audience = match read.audience {
        None | Some(AudienceJson::All) => Audience::All,
        Some(AudienceJson::Owner) => Audience::Owner,
        Some(AudienceJson::Team) => Audience::Team,
    };
    Ok(NetField {
        name: read.name,
        kind,
        interpolate,
        predict,
        audience,
    })
}

fn needed<T>(path: &str, name: &str, value: Option<T>) -> Result<T, ModuleError> {
    value.ok_or_else(|| wrong(format!("`{path}.{name}` is missing, its type needs it")))
}

fn absent(path: &str, given: &[(&str, bool)]) -> Result<(), ModuleError> {
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(wrong(format!(
            "`{path}.{name}` is given, its type has none"
        ))),
        None => Ok(()),
    }
}

/// A whole number between two bounds that an `f64` holds exactly.
fn whole(path: &str, name: &str, value: f64, least: f64, most: f64) -> Result<f64, ModuleError> {
    if value.fract() == 0.0 && (least..=most).contains(&value) {
        return Ok(value);
    }
    let expected = format!("a whole number from {least} to {most}");
    Err(wrong(format!(
        "`{path}.{name}` is {value}, expected {expected}"
    )))
}

fn wrong(reason: String) -> ModuleError {
    ModuleError::ManifestJson { reason }
}
