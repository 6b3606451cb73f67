//! The manifest of a game, as a value and as JSON.

use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Manifest, Message,
    NetField, NetFieldKind, Predict,
};

use crate::json::Json;
use crate::{Entities, Game, Input, Message as _};

/// What a game says of itself.
pub(crate) fn manifest_of<G: Game>() -> Manifest {
    let entities = G::Entity::kinds();
    let hides_fields = entities
        .iter()
        .flat_map(|kind| &kind.fields)
        .any(|field| field.audience != Audience::All);
    Manifest {
        name: G::NAME.to_owned(),
        version: G::VERSION.to_owned(),
        title: G::TITLE.to_owned(),
        tick_rate: G::TICK_RATE,
        min_players: *G::PLAYERS.start(),
        max_players: *G::PLAYERS.end(),
        teams: G::TEAMS,
        hidden_state: G::HIDDEN_STATE || hides_fields,
        backfill: G::BACKFILL,
        late_window_ms: G::LATE_WINDOW_MS,
        max_save_bytes: G::MAX_SAVE_BYTES,
        leaderboard: G::LEADERBOARD,
        input: G::Input::fields(),
        commands: G::Command::messages(),
        events: G::Event::messages(),
        entities,
    }
}

/// The manifest as the ABI has it.
pub(crate) fn to_json(manifest: &Manifest) -> String {
    let rule = match manifest.leaderboard {
        LeaderboardRule::Best => "best",
        LeaderboardRule::Latest => "latest",
        LeaderboardRule::Sum => "sum",
        LeaderboardRule::None => "none",
    };
    Json::object([
        ("abi", number(gs_engine::abi::ABI_VERSION)),
        ("name", manifest.name.as_str().into()),
        ("version", manifest.version.as_str().into()),
        ("title", manifest.title.as_str().into()),
        ("tick_rate", number(manifest.tick_rate)),
        (
            "players",
            Json::object([
                ("min", number(manifest.min_players)),
                ("max", number(manifest.max_players)),
            ]),
        ),
        ("teams", number(manifest.teams)),
        ("hidden_state", Json::Bool(manifest.hidden_state)),
        ("backfill", Json::Bool(manifest.backfill)),
        ("late_window_ms", number(manifest.late_window_ms)),
        ("max_save_bytes", number(manifest.max_save_bytes)),
        ("leaderboard", Json::object([("rule", rule.into())])),
        ("input", list(&manifest.input, field)),
        ("commands", list(&manifest.commands, message)),
        ("events", list(&manifest.events, message)),
        ("entities", list(&manifest.entities, entity)),
    ])
    .to_text()
}

fn message(message: &Message) -> Json {
    Json::object([
        ("name", message.name.as_str().into()),
        ("fields", list(&message.fields, field)),
    ])
}

fn entity(kind: &EntityKind) -> Json {
    Json::object([
        ("name", kind.name.as_str().into()),
        ("fields", list(&kind.fields, net_field)),
    ])
}

fn field(field: &Field) -> Json {
    let (ty, range) = match field.kind {
        FieldKind::Bool => ("bool", None),
        FieldKind::U8 { min, max } => ("u8", Some((number(min), number(max)))),
        FieldKind::U16 { min, max } => ("u16", Some((number(min), number(max)))),
        FieldKind::U32 { min, max } => ("u32", Some((number(min), number(max)))),
        FieldKind::I8 { min, max } => ("i8", Some((number(min), number(max)))),
        FieldKind::I16 { min, max } => ("i16", Some((number(min), number(max)))),
        FieldKind::I32 { min, max } => ("i32", Some((number(min), number(max)))),
        FieldKind::F32 { min, max } => ("f32", Some((min.into(), max.into()))),
        FieldKind::Text { max } => {
            return Json::object([
                ("name", field.name.as_str().into()),
                ("type", "text".into()),
                ("max", number(max)),
            ]);
        }
    };
    let mut members = vec![member("name", field.name.as_str()), member("type", ty)];
    if let Some((min, max)) = range {
        members.extend([member("min", min), member("max", max)]);
    }
    Json::Object(members)
}

fn net_field(field: &NetField) -> Json {
    let mut members = vec![member("name", field.name.as_str())];
    match field.kind {
        NetFieldKind::Bool => members.push(member("type", "bool")),
        NetFieldKind::Int { min, max } => members.extend([
            member("type", "int"),
            member("min", number(min)),
            member("max", number(max)),
        ]),
        NetFieldKind::Range {
            min,
            max,
            precision,
        } => members.extend([
            member("type", "range"),
            member("min", min),
            member("max", max),
            member("precision", precision),
        ]),
        NetFieldKind::Angle { bits } => {
            members.extend([member("type", "angle"), member("bits", number(bits))]);
        }
        NetFieldKind::Quat { bits } => {
            members.extend([member("type", "quat"), member("bits", number(bits))]);
        }
    }
    members.extend([
        member(
            "interpolate",
            match field.interpolate {
                Interpolate::Linear => "linear",
                Interpolate::None => "none",
            },
        ),
        member(
            "predict",
            match field.predict {
                Predict::None => "none",
                Predict::Owner => "owner",
            },
        ),
        member(
            "audience",
            match field.audience {
                Audience::All => "all",
                Audience::Owner => "owner",
                Audience::Team => "team",
            },
        ),
    ]);
    Json::Object(members)
}

fn list<T>(items: &[T], to_json: fn(&T) -> Json) -> Json {
    Json::List(items.iter().map(to_json).collect())
}

fn member(name: &str, value: impl Into<Json>) -> (String, Json) {
    (name.to_owned(), value.into())
}

fn number(value: impl Into<f64>) -> Json {
    Json::Number(value.into())
}
