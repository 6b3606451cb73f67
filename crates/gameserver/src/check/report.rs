//! What a check has found, for people and for programs.

use std::fmt;
use std::time::Duration;

use gs_engine::sync_test::{Failure, Fault, Settings, Summary};
use gs_sandbox::{GameModule, Limits};
use serde_json::{Value, json};

use super::timed::{Percentiles, Times};

/// What a check has found.
pub(super) struct Report<'a> {
    pub(super) module: &'a GameModule,
    pub(super) settings: &'a Settings,
    pub(super) outcome: Result<Summary, Failure>,
    pub(super) times: Times,
}

impl Report<'_> {
    /// On one line.
    pub(super) fn to_json(&self) -> Value {
        let manifest = self.module.manifest();
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        let times = |times: &[Duration]| {
            let Percentiles { p50, p99, most } = Percentiles::of(times);
            json!({ "p50": micros(p50), "p99": micros(p99), "max": micros(most) })
        };
        let mut report = json!({
            "ok": self.outcome.is_ok(),
            "game": manifest.name,
            "version": manifest.version,
            "module_sha256": self.module.sha256(),
            "seed": self.settings.seed.to_string(),
            "players": self.settings.players,
            "micros": {
                "step": times(&self.times.step),
                "save": times(&self.times.save),
                "load": times(&self.times.load),
                "net_state": times(&self.times.net_state),
            },
        });
        match &self.outcome {
            Ok(summary) => {
                report["ticks"] = summary.ticks.into();
                report["matches"] = summary.matches.into();
                report["rerun_ticks"] = summary.rerun_ticks.into();
                report["views"] = summary.views.into();
                report["largest_state"] = summary.largest_state.into();
                report["max_save_bytes"] = manifest.max_save_bytes.into();
                let lost = summary.view_lost.iter();
                report["view_lost"] = lost.map(ToString::to_string).collect();
            }
            Err(failure) => {
                report["tick"] = failure.tick.into();
                report["match_seed"] = failure.seed.to_string().into();
                report["failure"] = failure.to_string().into();
                if let Fault::State { fields, offset, .. } = &*failure.fault {
                    let fields = fields.iter().map(|difference| {
                        json!({
                            "entity": difference.entity,
                            "kind": difference.kind,
                            "field": difference.field,
                            "expected": difference.values.0,
                            "found": difference.values.1,
                        })
                    });
                    report["fields"] = fields.collect();
                    report["offset"] = (*offset).into();
                }
            }
        }
        report
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = self.module.manifest();
        let names = |names: Vec<&str>| match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        writeln!(
            f,
            "{} {}, “{}”",
            manifest.name, manifest.version, manifest.title
        )?;
        writeln!(
            f,
            "  module     {} KiB, sha256 {}",
            self.module.bytes().len().div_ceil(1024),
            self.module.sha256()
        )?;
        writeln!(
            f,
            "  plays      {} players at {} ticks a second{}",
            if manifest.min_players == manifest.max_players {
                manifest.max_players.to_string()
            } else {
                format!("{} to {}", manifest.min_players, manifest.max_players)
            },
            manifest.tick_rate,
            if manifest.hidden_state {
                "; not everyone sees the same, so not in `validated`"
            } else {
                ""
            }
        )?;
        if manifest.backfill {
            writeln!(f, "             takes substitutes in slots that are free")?;
        }
        let input = manifest.input.iter().map(|field| field.name.as_str());
        writeln!(
            f,
            "  input      {} ({} bits)",
            names(input.collect()),
            self.module.schema().input_len() * 8
        )?;
        let commands = manifest
            .commands
            .iter()
            .map(|command| command.name.as_str());
        writeln!(f, "  commands   {}", names(commands.collect()))?;
        let events = manifest.events.iter().map(|event| event.name.as_str());
        writeln!(f, "  events     {}", names(events.collect()))?;
        let kinds = manifest.entities.iter().zip(self.module.schema().kinds());
        let kinds: Vec<String> = kinds
            .map(|(kind, schema)| format!("{} ({} bits)", kind.name, schema.bits()))
            .collect();
        let kinds = kinds.iter().map(String::as_str).collect();
        writeln!(f, "  entities   {}", names(kinds))
    }

    fn passed(&self, f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
        let manifest = self.module.manifest();
        writeln!(
            f,
            "  ok  {} ticks, {} matches begun and {} ended: two instances agree at every tick",
            summary.ticks, summary.matches, summary.ended
        )?;
        writeln!(
            f,
            "  ok  {} loads, {} ticks run again: each came to the same state, events and result",
            summary.loads, summary.rerun_ticks
        )?;
        writeln!(
            f,
            "  ok  no NaN whose bits depend on the machine is in the state"
        )?;
        writeln!(
            f,
            "  ok  at most {} bytes of state, {} are declared",
            summary.largest_state, manifest.max_save_bytes
        )?;
        writeln!(
            f,
            "  ok  checks and views change nothing; {} inputs were amended, {} refused; {} events \
             follow the schema; at most {} entities",
            summary.amended, summary.refused, summary.events, summary.most_entities
        )?;
        if summary.views == 0 {
            writeln!(f, "  --  it loads no views, so `full` cannot predict it")?;
        } else {
            writeln!(f, "  ok  {} views were loaded and predicted", summary.views)?;
        }
        if let Some(lost) = summary.view_lost.first() {
            writeln!(
                f,
                "  --  a view that is loaded does not show all that it was made of, such as {lost}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)?;
        writeln!(
            f,
            "played by {} who do anything, seed {}",
            self.settings.players, self.settings.seed
        )?;
        match &self.outcome {
            Ok(summary) => self.passed(f, summary)?,
            Err(failure) => writeln!(f, "  FAILED  {failure}")?,
        }
        writeln!(f, "in microseconds       p50      p99      max")?;
        for (name, times) in [
            ("step", &self.times.step),
            ("save", &self.times.save),
            ("load", &self.times.load),
            ("net state", &self.times.net_state),
        ] {
            let Percentiles { p50, p99, most } = Percentiles::of(times);
            let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
            writeln!(
                f,
                "  {name:<16}{:>9.1}{:>9.1}{:>9.1}",
                micros(p50),
                micros(p99),
                micros(most)
            )?;
        }
        let longest = Percentiles::of(&self.times.step).most;
        let borne = Limits::default().step_deadline;
        if longest > borne {
            writeln!(
                f,
                "  --  a step took {} ms; the server ends a match at {} ms",
                longest.as_millis(),
                borne.as_millis()
            )?;
        }
        // A budget that a tick leaves to everything else, and a rollback to the picture.
        let tick = Duration::from_secs(1) / self.module.manifest().tick_rate;
        let again = Percentiles::of(&self.times.step).p99 * ROLLED_BACK;
        writeln!(
            f,
            "{ROLLED_BACK} ticks run again would take {:.2} ms of a tick's {:.2} ms",
            again.as_secs_f64() * 1000.0,
            tick.as_secs_f64() * 1000.0
        )
    }
}

/// What a client on a bad line rolls back, in ticks.
const ROLLED_BACK: u32 = 12;
