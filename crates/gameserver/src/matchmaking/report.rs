//! What simulations came to, side by side.

use std::fmt;

use serde::Serialize;

use super::simulation::{Made, Outcome};

/// Simulations of one stream.
#[derive(Serialize)]
pub(super) struct Report {
    /// What was played.
    pub(super) stream: StreamFacts,
    /// What became of it under each of the rules.
    pub(super) rules: Vec<Figures>,
}

/// What was played.
#[derive(Serialize)]
pub(super) struct StreamFacts {
    /// Where it is from.
    pub(super) source: String,
    pub(super) players: usize,
    pub(super) groups: usize,
    pub(super) hours: f64,
    /// The seed of one that was made up.
    pub(super) seed: Option<u64>,
}

/// What became of the stream under one rules file.
#[derive(Serialize)]
pub(super) struct Figures {
    pub(super) file: String,
    pub(super) matches: usize,
    /// Players by what became of them.
    pub(super) players: Players,
    /// How long those waited who were matched.
    pub(super) wait_seconds: Quantiles,
    /// Root mean square difference in skill of a match's players.
    pub(super) skill_spread: Quantiles,
    /// The strongest side's chance to win, from 0 to 1.
    pub(super) favourite: Quantiles,
    /// Mean round trip of a match's players.
    pub(super) latency_ms: Quantiles,
}

#[derive(Serialize)]
pub(super) struct Players {
    pub(super) matched: usize,
    pub(super) timed_out: usize,
    pub(super) gave_up: usize,
    pub(super) waiting: usize,
    pub(super) refused: usize,
}

/// Half, nine tenths, and all but one in a hundred are at most so much; none of nothing.
#[derive(Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Figures {
    pub(super) fn new(file: &str, outcome: &Outcome) -> Self {
        let of = |value: fn(&Made) -> Option<f64>| {
            Quantiles::of(outcome.matches.iter().filter_map(value).collect())
        };
        Self {
            file: file.to_owned(),
            matches: outcome.matches.len(),
            players: Players {
                matched: outcome.waits.len(),
                timed_out: outcome.timed_out,
                gave_up: outcome.gave_up,
                waiting: outcome.waiting,
                refused: outcome.refused,
            },
            wait_seconds: Quantiles::of(outcome.waits.clone()),
            skill_spread: of(|made| Some(made.spread)),
            favourite: of(|made| made.favourite),
            latency_ms: of(|made| made.latency),
        }
    }
}

impl Quantiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let rank = |share: f64| {
            let place = (share * values.len() as f64).ceil() as usize;
            let value = values.get(place.saturating_sub(1))?;
            // A table of more digits than these would say more than a simulation knows.
            Some((value * 1_000.0).round() / 1_000.0)
        };
        Self {
            p50: rank(0.5),
            p90: rank(0.9),
            p99: rank(0.99),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = &self.stream;
        writeln!(
            f,
            "{}: {} players in {} groups, {:.1} h\n",
            stream.source, stream.players, stream.groups, stream.hours
        )?;
        let percent = |count: usize| {
            let share = 100.0 * count as f64 / stream.players.max(1) as f64;
            format!("{count} ({share:.1} %)")
        };
        let number = |value: Option<f64>, digits: usize| match value {
            Some(value) => format!("{value:.digits$}"),
            None => "-".to_owned(),
        };
        type Cell<'a> = Box<dyn Fn(&Figures) -> String + 'a>;
        let rows: Vec<(&str, Cell<'_>)> = vec![
            ("", Box::new(|r| r.file.clone())),
            ("matches", Box::new(|r| r.matches.to_string())),
            ("players matched", Box::new(|r| percent(r.players.matched))),
            ("  timed out", Box::new(|r| percent(r.players.timed_out))),
            ("  gave up", Box::new(|r| percent(r.players.gave_up))),
            ("  still waiting", Box::new(|r| percent(r.players.waiting))),
            (
                "  could not queue",
                Box::new(|r| percent(r.players.refused)),
            ),
            ("wait p50, s", Box::new(|r| number(r.wait_seconds.p50, 1))),
            ("wait p90, s", Box::new(|r| number(r.wait_seconds.p90, 1))),
            ("wait p99, s", Box::new(|r| number(r.wait_seconds.p99, 1))),
            (
                "skill spread p50",
                Box::new(|r| number(r.skill_spread.p50, 0)),
            ),
            (
                "skill spread p90",
                Box::new(|r| number(r.skill_spread.p90, 0)),
            ),
            (
                "favourite wins p50",
                Box::new(|r| number(r.favourite.p50, 2)),
            ),
            (
                "favourite wins p90",
                Box::new(|r| number(r.favourite.p90, 2)),
            ),
            ("latency p50, ms", Box::new(|r| number(r.latency_ms.p50, 0))),
            ("latency p90, ms", Box::new(|r| number(r.latency_ms.p90, 0))),
        ];
        for (name, cell) in rows {
            write!(f, "{name:<20}")?;
            for rules in &self.rules {
                let width = rules.file.chars().count().max(COLUMN);
                write!(f, "  {:>width$}", cell(rules))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Wide enough for a hundred thousand players and their share.
const COLUMN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let hundred = Quantiles::of((1..=100).rev().map(f64::from).collect());
        let found = (hundred.p50, hundred.p90, hundred.p99);
        assert_eq!(found, (Some(50.0), Some(90.0), Some(99.0)));
        let one = Quantiles::of(vec![3.25]);
        assert_eq!((one.p50, one.p99), (Some(3.25), Some(3.25)));
        assert_eq!(Quantiles::of(Vec::new()).p50, None);
    }

    #[test]
    fn a_table_puts_rules_side_by_side() {
        let outcome = Outcome {
            players: 4,
            gave_up: 2,
            waits: vec![1.0, 9.5],
            matches: vec![Made {
                spread: 80.0,
                favourite: Some(0.613),
                latency: None,
            }],
            ..Outcome::default()
        };
        let report = Report {
            stream: StreamFacts {
                source: "made up".to_owned(),
                players: 4,
                groups: 4,
                hours: 0.5,
                seed: Some(1),
            },
            rules: vec![
                Figures::new("a.yaml", &outcome),
                Figures::new("b.yaml", &Outcome::default()),
            ],
        };
        let table = report.to_string();
        let row = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap();
            let words = line[20..].split("  ").map(str::trim);
            words
                .filter(|w| !w.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(row("players matched"), ["2 (50.0 %)", "0 (0.0 %)"]);
        assert_eq!(row("wait p90, s"), ["9.5", "-"]);
        assert_eq!(row("favourite wins p50"), ["0.61", "-"]);
        assert_eq!(row("latency p50, ms"), ["-", "-"]);
    }
}
