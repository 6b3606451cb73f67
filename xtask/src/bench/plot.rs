//! A plot of the bench `feel`, as SVG: small panels side by side, a line for each loss.

use std::fmt::Write;

use serde_json::Value;

/// Draws how the figures of `links` change with the round trip.
pub(crate) fn feel(links: &[Value]) -> String {
    let mut out = String::new();
    let width = LEFT + PANELS.len() as f64 * (PANEL_WIDTH + GAP);
    let height = TOP + PANEL_HEIGHT + BOTTOM;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>"##
    );
    for (index, (key, title)) in PANELS.iter().enumerate() {
        panel(&mut out, links, index, key, title);
    }
    let losses = losses(links);
    for (index, loss) in losses.iter().enumerate() {
        let (x, y) = (LEFT + index as f64 * 90.0, height - 8.0);
        let _ = writeln!(
            out,
            r##"<rect x="{x}" y="{}" width="14" height="3" fill="{}"/><text x="{}" y="{y}" fill="#222222">{loss} % loss</text>"##,
            y - 5.0,
            COLOURS[index % COLOURS.len()],
            x + 20.0,
        );
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, links: &[Value], index: usize, key: &str, title: &str) {
    let left = LEFT + index as f64 * (PANEL_WIDTH + GAP);
    let bottom = TOP + PANEL_HEIGHT;
    let most = links.iter().filter_map(|link| link[key].as_f64());
    let top = round_up(most.fold(0.0, f64::max));
    let farthest = links.iter().filter_map(|link| link["rtt_ms"].as_f64());
    let farthest = farthest.fold(1.0, f64::max);
    let x = |round_trip: f64| left + round_trip / farthest * PANEL_WIDTH;
    let y = |value: f64| bottom - value / top * PANEL_HEIGHT;
    let _ = writeln!(
        out,
        r##"<text x="{left}" y="{}" fill="#222222">{title}</text>"##,
        TOP - 10.0
    );
    for share in [0.0, 0.5, 1.0] {
        let value = top * share;
        let _ = writeln!(
            out,
            r##"<path d="M{left} {:.1}h{PANEL_WIDTH}" stroke="#dddddd"/><text x="{}" y="{:.1}" text-anchor="end" fill="#666666">{value}</text>"##,
            y(value),
            left - 5.0,
            y(value) + 4.0,
        );
    }
    let mut round_trips: Vec<f64> = links.iter().filter_map(|l| l["rtt_ms"].as_f64()).collect();
    round_trips.sort_by(f64::total_cmp);
    round_trips.dedup();
    for round_trip in round_trips {
        let _ = writeln!(
            out,
            r##"<text x="{:.1}" y="{}" text-anchor="middle" fill="#666666">{round_trip}</text>"##,
            x(round_trip),
            bottom + 14.0
        );
    }
    for (loss, colour) in losses(links).iter().zip(COLOURS.iter().cycle()) {
        let points = links
            .iter()
            .filter(|link| link["loss_pct"].as_f64() == Some(*loss));
        let points: Vec<String> = points
            .filter_map(|link| Some((link["rtt_ms"].as_f64()?, link[key].as_f64()?)))
            .map(|(round_trip, value)| format!("{:.1},{:.1}", x(round_trip), y(value)))
            .collect();
        let _ = writeln!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        );
    }
}

/// The losses that were measured, ascending.
fn losses(links: &[Value]) -> Vec<f64> {
    let mut losses: Vec<f64> = links
        .iter()
        .filter_map(|l| l["loss_pct"].as_f64())
        .collect();
    losses.sort_by(f64::total_cmp);
    losses.dedup();
    losses
}

/// The next of 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}

const PANELS: [(&str, &str); 4] = [
    ("mispredicted_pct", "mispredicted ticks, %"),
    ("corrections_per_min", "corrections a minute"),
    ("staleness_p99_ms", "staleness p99, ms"),
    ("down_bytes_per_s", "bytes a second, down"),
];
const COLOURS: [&str; 3] = ["#1b7f5c", "#d08700", "#b3261e"];
const LEFT: f64 = 48.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
const GAP: f64 = 56.0;
const PANEL_WIDTH: f64 = 150.0;
const PANEL_HEIGHT: f64 = 120.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_is_a_point_of_its_losss_line_within_the_picture() {
        let link = |rtt: u32, loss: f64, value: f64| {
            serde_json::json!({
                "rtt_ms": rtt, "loss_pct": loss, "mispredicted_pct": value,
                "corrections_per_min": value, "staleness_p99_ms": value, "down_bytes_per_s": value,
            })
        };
        let links = [
            link(0, 0.0, 0.0),
            link(200, 0.0, 130.0),
            link(0, 5.5, 10.0),
            link(200, 5.5, 200.0),
        ];
        let plot = feel(&links);
        // The least value lies on the axis, and the greatest, which is a round number, at the top.
        assert!(
            plot.contains(r#"<polyline points="48.0,150.0 198.0,72.0""#),
            "{plot}"
        );
        assert!(
            plot.contains(r#"<polyline points="48.0,144.0 198.0,30.0""#),
            "{plot}"
        );
        assert_eq!(plot.matches("<polyline").count(), 2 * PANELS.len());
        assert_eq!(plot.matches("% loss").count(), 2);
    }
}
