//! `GET /metrics`: what the authority counts, as Prometheus text.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use gs_authority::{Authority, RoomCounters};

/// Serves the metrics beside the API.
pub(crate) fn router(authority: Arc<Authority>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(authority)
}

async fn metrics(State(authority): State<Arc<Authority>>) -> impl IntoResponse {
    let content_type = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (content_type, text(&authority))
}

fn text(authority: &Authority) -> String {
    let mut text = Text::default();
    let rooms = authority.rooms();
    text.one(
        "gameserver_rooms",
        "gauge",
        "Matches that this process runs.",
        rooms.len() as u64,
    );
    let stats = authority.tick_stats();
    text.one(
        "gameserver_ticks_total",
        "counter",
        "Ticks that ran.",
        stats.ticks.load(Relaxed),
    );
    let skipped = stats.skipped.load(Relaxed);
    text.one(
        "gameserver_ticks_skipped_total",
        "counter",
        "Ticks given up because their room was behind.",
        skipped,
    );

    let totals = authority.totals();
    text.one(
        "gameserver_packets_total",
        "counter",
        "Packets that came from players.",
        totals.packets,
    );
    text.one(
        "gameserver_transmits_total",
        "counter",
        "Packets that rooms sent.",
        totals.transmits,
    );
    let name = "gameserver_dropped_total";
    text.head(
        name,
        "counter",
        "What was dropped of what came in or was to go out, by reason.",
    );
    for (reason, count) in dropped(&totals) {
        text.line(&format!("{name}{{reason=\"{reason}\"}}"), count);
    }
    let name = "gameserver_sanctions_total";
    text.head(name, "counter", "Players muted, and participants removed.");
    text.line(&format!("{name}{{kind=\"mute\"}}"), totals.mutes);
    text.line(&format!("{name}{{kind=\"removal\"}}"), totals.removals);

    let name = "gameserver_late_total";
    text.head(
        name,
        "counter",
        "Inputs that came after their tick, and ticks confirmed without an input waited for.",
    );
    text.line(&format!("{name}{{what=\"input\"}}"), totals.frames_late);
    text.line(&format!("{name}{{what=\"tick\"}}"), totals.ticks_late);
    let name = "gameserver_resynchronised_total";
    text.head(
        name,
        "counter",
        "What players needed who could not follow, by kind.",
    );
    for (kind, count) in resynchronised(&totals) {
        text.line(&format!("{name}{{kind=\"{kind}\"}}"), count);
    }

    let name = "gameserver_tick_lateness_seconds";
    text.head(name, "histogram", "How late ticks started.");
    let mut count = 0;
    for (upper, up_to) in stats.lateness.cumulative() {
        count = up_to;
        text.line(
            &format!("{name}_bucket{{le=\"{:e}\"}}", upper.as_secs_f64()),
            up_to,
        );
    }
    text.line(&format!("{name}_bucket{{le=\"+Inf\"}}"), count);
    text.line(&format!("{name}_count"), count);
    text.line(&format!("{name}_sum"), stats.lateness.sum().as_secs_f64());
    text.0
}

/// Reasons as labels; `RoomCounters` says what each is.
fn dropped(totals: &RoomCounters) -> [(&'static str, u64); 17] {
    [
        ("stranger", totals.strangers),
        ("malformed", totals.malformed),
        ("unknown_topic", totals.unknown_topic),
        ("rate", totals.limited),
        ("silenced", totals.silenced),
        ("frame_refused", totals.frames_refused),
        ("frame_too_far", totals.frames_too_far),
        ("ack_refused", totals.acks_refused),
        ("input_refused_by_game", totals.inputs_refused),
        ("command_refused", totals.commands_refused),
        ("request_rate", totals.requests_limited),
        ("out_of_mode", totals.out_of_mode),
        ("module_refused", totals.modules_refused),
        ("not_taken", totals.dropped),
        ("inbox_full", totals.inbox_dropped),
        ("unsent", totals.unsent),
        ("game_log_rate", totals.log_lines_dropped),
    ]
}

/// Kinds as labels; `RoomCounters` says what each is.
fn resynchronised(totals: &RoomCounters) -> [(&'static str, u64); 6] {
    [
        ("keyframe", totals.keyframes),
        ("catch_up", totals.catch_ups),
        ("resync", totals.resyncs),
        ("mismatch", totals.mismatches),
        ("desync", totals.desyncs),
        ("fall_back", totals.fall_backs),
    ]
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(name, value);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes it");
    }

    fn line(&mut self, name: &str, value: impl Display) {
        writeln!(self.0, "{name} {value}").expect("a string takes it");
    }
}
