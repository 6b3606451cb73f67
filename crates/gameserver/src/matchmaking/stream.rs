//! Streams of tickets: who came to the queue when, without saying who they were.
//!
//! A line is a JSON object: players who queued together. Nothing in it names them.

use std::collections::BTreeMap;
use std::io::BufRead;

use gs_matchmaker::AttributeValue;
use serde::{Deserialize, Serialize};

/// Players who came to the queue together, or one alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrival {
    /// When, since the beginning of the stream.
    pub(super) arrives_ms: u64,
    /// The mode that they queued for.
    pub(super) mode: String,
    /// The players.
    pub(super) members: Vec<Player>,
    /// What they said of themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, AttributeValue>,
    /// Their round trips to regions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) latency_ms: BTreeMap<String, u32>,
    /// How long they waited before they gave up; none: they did not.
    pub(super) left_after_ms: Option<u64>,
    /// How long they waited before they were matched; none: they were not.
    pub(super) matched_after_ms: Option<u64>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Player {
    /// What counted as skill when it was recorded.
    pub(super) skill: f64,
    pub(super) rating: f64,
    pub(super) uncertainty: f64,
    /// Rated matches played in the mode before.
    pub(super) matches: u32,
}

/// Reads a stream. `mode` chooses one where there are several.
///
/// # Errors
/// A line that is none, with its number; several modes where none is chosen.
pub(super) fn read(from: impl BufRead, mode: Option<&str>) -> anyhow::Result<Vec<Arrival>> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    for (index, line) in from.lines().enumerate() {
        let number = index + 1;
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let arrival: Arrival = serde_json::from_str(&line)
            .map_err(|error| anyhow::anyhow!("line {number} is no ticket: {error}"))?;
        if let Some(wrong) = wrong(&arrival) {
            anyhow::bail!("line {number} is no ticket: {wrong}");
        }
        if mode.is_none_or(|mode| mode == arrival.mode) {
            arrivals.push(arrival);
        }
        if arrivals.len() > MAX_ARRIVALS {
            anyhow::bail!("more than {MAX_ARRIVALS} tickets; give fewer at once");
        }
    }
    let mut modes: Vec<&str> = arrivals.iter().map(|a| a.mode.as_str()).collect();
    modes.sort_unstable();
    modes.dedup();
    if modes.len() > 1 {
        let modes = modes.join(", ");
        anyhow::bail!("tickets of several modes; choose one with --mode: {modes}");
    }
    if arrivals.is_empty() {
        anyhow::bail!(
            "no tickets{}",
            mode.map_or(String::new(), |m| format!(" of the mode `{m}`"))
        );
    }
    arrivals.sort_by_key(|arrival| arrival.arrives_ms);
    Ok(arrivals)
}

/// When nothing more is known of a stream, in milliseconds.
pub(super) fn end_ms(arrivals: &[Arrival]) -> u64 {
    let ends = arrivals.iter().map(|arrival| {
        let waited = arrival.left_after_ms.max(arrival.matched_after_ms);
        arrival.arrives_ms + waited.unwrap_or_default()
    });
    ends.max().unwrap_or_default()
}

fn wrong(arrival: &Arrival) -> Option<String> {
    let (found, most) = (arrival.members.len(), gs_store::MAX_PARTY);
    if found == 0 || found > most {
        return Some(format!("expected 1 to {most} members, found {found}"));
    }
    let times = [
        Some(arrival.arrives_ms),
        arrival.left_after_ms,
        arrival.matched_after_ms,
    ];
    if times.into_iter().flatten().any(|ms| ms > MAX_MS) {
        return Some(format!("a time beyond {MAX_MS} ms"));
    }
    let number = |player: &Player| {
        let all = [player.skill, player.rating, player.uncertainty];
        all.iter().all(|number| number.is_finite()) && player.uncertainty >= 0.0
    };
    (!arrival.members.iter().all(number)).then(|| "a skill or rating that is none".to_owned())
}

/// A busy game's week; 1 GB in memory.
const MAX_ARRIVALS: usize = 2_000_000;
/// A month: longer, and each second of it is a pass.
const MAX_MS: u64 = 31 * 86_400 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"arrives_ms":5,"mode":"duel","members":[{"skill":1500.0,"rating":1500.0,"uncertainty":80.0,"matches":7}],"latency_ms":{"eu":20},"left_after_ms":null,"matched_after_ms":9}"#;

    #[test]
    fn a_stream_is_read_as_it_is_written() {
        let arrivals = read(LINE.as_bytes(), None).unwrap();
        assert_eq!(serde_json::to_string(&arrivals[0]).unwrap(), LINE);
        assert_eq!(end_ms(&arrivals), 14);
    }

    #[test]
    fn what_is_no_stream_is_refused_with_its_line() {
        let refused = |text: &str, mode: Option<&str>, expected: &str| {
            let error = read(text.as_bytes(), mode).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(
            &format!("{LINE}\n{{}}\n"),
            None,
            "line 2 is no ticket: missing field",
        );
        let named = LINE.replace(r#""mode""#, r#""player_id":"x","mode""#);
        refused(
            &named,
            None,
            "line 1 is no ticket: unknown field `player_id`",
        );
        let nobody = LINE.replace(
            r#"[{"skill":1500.0,"rating":1500.0,"uncertainty":80.0,"matches":7}]"#,
            "[]",
        );
        refused(&nobody, None, "expected 1 to 16 members, found 0");
        refused(&LINE.replace(":80.0", ":-1.0"), None, "a skill or rating");
        refused(&LINE.replace(":9}", ":99999999999}"), None, "a time beyond");
        let both = format!("{LINE}\n{}\n", LINE.replace("duel", "casual"));
        refused(&both, None, "choose one with --mode: casual, duel");
        refused(LINE, Some("casual"), "no tickets of the mode `casual`");
        refused("\n", None, "no tickets");
        assert_eq!(read(both.as_bytes(), Some("casual")).unwrap().len(), 1);
    }
}
