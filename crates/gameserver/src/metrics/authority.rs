//! What an authority counts of its rooms and ticks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use gs_authority::{Authority, RoomCounters};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Page;

/// Asks an authority at each scrape.
pub(crate) struct AuthorityMetrics(pub(crate) Arc<Authority>);

impl std::fmt::Debug for AuthorityMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorityMetrics")
    }
}

impl Collector for AuthorityMetrics {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (authority, mut page) = (&self.0, Page(encoder));
        let rooms = authority.rooms().len() as u64;
        page.gauge("gameserver_rooms", "Matches that this process runs", rooms)?;
        let stats = authority.tick_stats();
        let ticks = stats.ticks.load(Relaxed);
        page.counter("gameserver_ticks", "Ticks that ran", ticks)?;
        page.counter(
            "gameserver_ticks_skipped",
            "Ticks given up because their room was behind",
            stats.skipped.load(Relaxed),
        )?;

        let totals = authority.totals();
        page.counter(
            "gameserver_packets",
            "Packets that came from players",
            totals.packets,
        )?;
        page.counter(
            "gameserver_transmits",
            "Packets that rooms sent",
            totals.transmits,
        )?;
        page.counters(
            "gameserver_dropped",
            "What was dropped of what came in or was to go out, by reason",
            "reason",
            &dropped(&totals),
        )?;
        page.counters(
            "gameserver_sanctions",
            "Players muted, and participants removed",
            "kind",
            &[("mute", totals.mutes), ("removal", totals.removals)],
        )?;
        page.counter(
            "gameserver_substitutes",
            "Players taken into slots of matches that went on",
            totals.substitutes,
        )?;
        page.counters(
            "gameserver_late",
            "Inputs that came after their tick, and ticks confirmed without an input waited for",
            "what",
            &[("input", totals.frames_late), ("tick", totals.ticks_late)],
        )?;
        page.counters(
            "gameserver_resynchronised",
            "What players needed who could not follow, by kind",
            "kind",
            &resynchronised(&totals),
        )?;

        let (mut buckets, mut below) = (Vec::new(), 0);
        for (upper, up_to) in stats.lateness.cumulative() {
            buckets.push((upper.as_secs_f64(), up_to - below));
            below = up_to;
        }
        buckets.push((f64::MAX, 0));
        page.0
            .encode_descriptor(
                "gameserver_tick_lateness_seconds",
                "How late ticks started",
                None,
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(
                stats.lateness.sum().as_secs_f64(),
                below,
                &buckets,
                None,
            )
    }
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
