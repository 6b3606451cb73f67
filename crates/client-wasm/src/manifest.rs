//! A manifest as an object for JavaScript, in the layout of `docs/game-module.md`.

use gs_engine::Manifest;
use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, Message, NetField, NetFieldKind, Predict,
};
use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::objects::Fields;

/// What `parseManifest` of the SDK reads.
pub(crate) fn manifest_object(manifest: &Manifest) -> JsValue {
    let players = Fields::new()
        .set("min", manifest.min_players)
        .set("max", manifest.max_players);
    Fields::new()
        .set("name", manifest.name.as_str())
        .set("version", manifest.version.as_str())
        .set("title", manifest.title.as_str())
        .set("tick_rate", manifest.tick_rate)
        .set("players", players.into_value())
        .set("teams", manifest.teams)
        .set("hidden_state", manifest.hidden_state)
        .set("backfill", manifest.backfill)
        .set("late_window_ms", manifest.late_window_ms)
        .set("input", list(&manifest.input, field))
        .set("commands", list(&manifest.commands, message))
        .set("events", list(&manifest.events, message))
        .set("entities", list(&manifest.entities, entity))
        .into_value()
}

fn list<T>(items: &[T], object: impl FnMut(&T) -> JsValue) -> Array {
    items.iter().map(object).collect()
}

fn message(message: &Message) -> JsValue {
    Fields::new()
        .set("name", message.name.as_str())
        .set("fields", list(&message.fields, field))
        .into_value()
}

fn field(field: &Field) -> JsValue {
    let typed = |name: &str| {
        Fields::new()
            .set("name", field.name.as_str())
            .set("type", name)
    };
    let ranged = |name: &str, min: f64, max: f64| typed(name).set("min", min).set("max", max);
    match field.kind {
        FieldKind::Bool => typed("bool"),
        FieldKind::U8 { min, max } => ranged("u8", min.into(), max.into()),
        FieldKind::U16 { min, max } => ranged("u16", min.into(), max.into()),
        FieldKind::U32 { min, max } => ranged("u32", min.into(), max.into()),
        FieldKind::I8 { min, max } => ranged("i8", min.into(), max.into()),
        FieldKind::I16 { min, max } => ranged("i16", min.into(), max.into()),
        FieldKind::I32 { min, max } => ranged("i32", min.into(), max.into()),
        FieldKind::F32 { min, max } => ranged("f32", min.into(), max.into()),
        FieldKind::Text { max } => typed("text").set("max", u32::from(max)),
    }
    .into_value()
}

fn entity(kind: &EntityKind) -> JsValue {
    Fields::new()
        .set("name", kind.name.as_str())
        .set("fields", list(&kind.fields, net_field))
        .into_value()
}

fn net_field(field: &NetField) -> JsValue {
    let object = Fields::new().set("name", field.name.as_str());
    match field.kind {
        NetFieldKind::Bool => object.set("type", "bool"),
        NetFieldKind::Int { min, max } => object.set("type", "int").set("min", min).set("max", max),
        NetFieldKind::Range {
            min,
            max,
            precision,
        } => object
            .set("type", "range")
            .set("min", f64::from(min))
            .set("max", f64::from(max))
            .set("precision", f64::from(precision)),
        NetFieldKind::Angle { bits } => object.set("type", "angle").set("bits", bits),
        NetFieldKind::Quat { bits } => object.set("type", "quat").set("bits", bits),
    }
    .set(
        "interpolate",
        match field.interpolate {
            Interpolate::Linear => "linear",
            Interpolate::None => "none",
        },
    )
    .set(
        "predict",
        match field.predict {
            Predict::None => "none",
            Predict::Owner => "owner",
        },
    )
    .set(
        "audience",
        match field.audience {
            Audience::All => "all",
            Audience::Owner => "owner",
            Audience::Team => "team",
        },
    )
    .into_value()
}
