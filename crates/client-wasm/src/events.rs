//! What happens in a match, as objects for JavaScript: `web/sdk/src/core.ts` has their types.

use gs_client::{ChatLine, Event, MatchEnd, Phase, Player, Presence};
use gs_engine::simulation::{Outcome, SlotResult};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsValue;

use crate::objects::Fields;

/// An object whose `type` says what it is.
pub(crate) fn event_object(event: &Event) -> JsValue {
    let typed = |name: &str| Fields::new().set("type", name);
    match event {
        Event::Welcome => typed("welcome"),
        Event::NeedModule(module) => typed("needModule")
            .set("sha256", module.sha256.as_str())
            .set("version", module.version.as_str()),
        Event::Started { tick } => typed("started").set("tick", *tick),
        Event::Player(player) => typed("player").set("player", player_object(player)),
        Event::Game {
            tick,
            data,
            predicted,
        } => typed("game")
            .set("tick", *tick)
            .set("data", Uint8Array::from(&**data))
            .set("predicted", *predicted),
        Event::Result(end) => typed("result").set("result", result_object(end)),
        Event::Refused { what, reason } => typed("refused")
            .set("what", what.as_str())
            .set("reason", reason.as_str()),
        Event::Chat(ChatLine {
            slot,
            username,
            text,
            sent_at_ms,
        }) => typed("chat")
            .set("slot", *slot)
            .set("username", username.as_str())
            .set("text", text.as_str())
            .set("sentAtMs", *sent_at_ms),
        Event::Mode { mode, reason } => typed("mode")
            .set("mode", mode.as_str())
            .set("reason", reason.as_str()),
        Event::Desync { tick, differences } => {
            let list: Array = differences
                .iter()
                .map(|d| {
                    Fields::new()
                        .set("entity", d.entity)
                        .set("kind", d.kind.as_str())
                        .set("field", d.field.as_str())
                        .set("mine", d.mine)
                        .set("theirs", d.theirs)
                        .into_value()
                })
                .collect();
            typed("desync").set("tick", *tick).set("differences", list)
        }
        Event::Peer { slot, tick, data } => typed("peer")
            .set("slot", *slot)
            .set("tick", *tick)
            .set("data", Uint8Array::from(&**data)),
    }
    .into_value()
}

pub(crate) fn player_object(player: &Player) -> JsValue {
    let presence = match player.presence {
        Presence::Expected => "expected",
        Presence::Present => "present",
        Presence::Lost => "lost",
        Presence::Gone => "gone",
    };
    Fields::new()
        .set("slot", player.slot)
        .set("playerId", player.player_id.as_str())
        .set("username", player.username.as_str())
        .set("team", player.team)
        .set("presence", presence)
        .set("open", player.open)
        .into_value()
}

pub(crate) fn result_object(end: &MatchEnd) -> JsValue {
    let outcome = match end.result.outcome {
        Outcome::Finished => "finished",
        Outcome::Abandoned => "abandoned",
        Outcome::Void => "void",
    };
    let slots: Array = end.result.slots.iter().map(slot_object).collect();
    Fields::new()
        .set("outcome", outcome)
        .set("reason", end.reason.as_str())
        .set("slots", slots)
        .set("stored", end.stored)
        .into_value()
}

fn slot_object(slot: &SlotResult) -> JsValue {
    let statistics = slot
        .statistics
        .iter()
        .fold(Fields::new(), |all, (name, value)| all.set(name, *value));
    Fields::new()
        .set("slot", slot.slot)
        .set("placement", slot.placement)
        .set("team", slot.team)
        .set("score", slot.score)
        .set("statistics", statistics.into_value())
        .into_value()
}

pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Joining => "joining",
        Phase::Waiting => "waiting",
        Phase::Running => "running",
        Phase::Ended => "ended",
    }
}
