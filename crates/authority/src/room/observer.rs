//! `observer`: players simulate and share their states with each other; the authority records that
//! they do, and takes the result that most of them report.

use std::time::{Duration, Instant};

use gs_engine::simulation::{MatchResult, Outcome, Tick};
use serde_json::{Value, json};

use super::player::{Player, Presence};

/// What is known of a match that nobody here simulates.
#[derive(Debug)]
pub(super) struct Observed {
    /// How many ticks passed since the start.
    pub(super) clock: Tick,
    /// Packets in which each slot shared its state.
    shared: Vec<u64>,
    /// How each slot says that the match ended. The first word counts.
    reports: Vec<Option<MatchResult>>,
    first_report: Option<Instant>,
}

/// How the players' reports come out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Agreement {
    pub(super) result: MatchResult,
    /// Why it does not count, where it does not.
    pub(super) reason: Option<String>,
}

impl Observed {
    pub(super) fn new(players: usize) -> Self {
        Self {
            clock: 0,
            shared: vec![0; players],
            reports: vec![None; players],
            first_report: None,
        }
    }

    /// Notes that a player shared its state.
    pub(super) fn note_shared(&mut self, slot: usize) {
        self.shared[slot] += 1;
    }

    /// Takes a player's word on how the match ended; says whether it is its first.
    ///
    /// # Errors
    /// What is wrong with a result that a match of `teams` teams cannot have.
    pub(super) fn report(
        &mut self,
        slot: usize,
        result: MatchResult,
        teams: u8,
        now: Instant,
    ) -> Result<bool, String> {
        check(&result, self.reports.len(), teams)?;
        if self.reports[slot].is_some() {
            return Ok(false);
        }
        self.reports[slot] = Some(result);
        self.first_report.get_or_insert(now);
        Ok(true)
    }

    /// Whether anybody has said how the match ended.
    pub(super) fn has_report(&self) -> bool {
        self.first_report.is_some()
    }

    /// What the reports come to, once there is no need to wait for more: a result that more than
    /// half of those who take part report alike, or that there is none.
    ///
    /// Whoever left without a report has no say, and once time is over neither has whoever is lost.
    pub(super) fn agreement(&self, players: &[Player], now: Instant) -> Option<Agreement> {
        let overdue = now.saturating_duration_since(self.first_report?) >= REPORT_PATIENCE;
        let has_say = |slot: usize| {
            self.reports[slot].is_some()
                || match players[slot].presence {
                    Presence::Present => true,
                    Presence::Lost => !overdue,
                    Presence::Expected | Presence::Gone => false,
                }
        };
        let voters = (0..players.len()).filter(|slot| has_say(*slot)).count();
        let reports = || self.reports.iter().flatten();
        let alike = |report: &MatchResult| reports().filter(|other| *other == report).count();
        let most = reports().max_by_key(|report| alike(report))?;
        if alike(most) * 2 > voters {
            let reason = match most.outcome {
                Outcome::Finished => None,
                Outcome::Abandoned => Some("too few players were left".to_owned()),
                Outcome::Void => Some("the players declared the match void".to_owned()),
            };
            return Some(Agreement {
                result: most.clone(),
                reason,
            });
        }
        if reports().count() < voters && !overdue {
            return None;
        }
        let reason = if alike(most) == reports().count() {
            "too few of the players reported a result"
        } else {
            "the players' reports differ"
        };
        Some(Agreement {
            result: MatchResult {
                outcome: Outcome::Void,
                slots: Vec::new(),
            },
            reason: Some(reason.to_owned()),
        })
    }

    /// What is kept with the match: who reported what, and how much each shared. A JSON object.
    pub(super) fn details(&self) -> String {
        let describe = |statistics: bool| {
            let mut reports: Vec<(&MatchResult, Vec<usize>)> = Vec::new();
            for (slot, report) in self.reports.iter().enumerate() {
                let Some(report) = report else { continue };
                match reports.iter_mut().find(|(other, _)| *other == report) {
                    Some((_, slots)) => slots.push(slot),
                    None => reports.push((report, vec![slot])),
                }
            }
            let reports: Vec<Value> = reports
                .into_iter()
                .map(|(report, by)| json!({"by": by, "result": describe(report, statistics)}))
                .collect();
            json!({"reports": reports, "shared": self.shared}).to_string()
        };
        let details = describe(true);
        if details.len() > DETAILS_BYTES {
            describe(false)
        } else {
            details
        }
    }
}

fn describe(result: &MatchResult, statistics: bool) -> Value {
    let slots: Vec<Value> = result
        .slots
        .iter()
        .map(|slot| {
            let mut entry = json!({
                "slot": slot.slot, "placement": slot.placement, "team": slot.team,
                "score": slot.score,
            });
            if statistics {
                entry["statistics"] = slot
                    .statistics
                    .iter()
                    .map(|(name, value)| (name.clone(), Value::from(*value)))
                    .collect();
            }
            entry
        })
        .collect();
    let outcome = match result.outcome {
        Outcome::Finished => "finished",
        Outcome::Abandoned => "abandoned",
        Outcome::Void => "void",
    };
    json!({"outcome": outcome, "slots": slots})
}

/// Holds a reported result against what a game could say.
fn check(result: &MatchResult, players: usize, teams: u8) -> Result<(), String> {
    if !result.slots.is_sorted_by(|a, b| a.slot < b.slot) {
        return Err("the result's slots have to ascend, each once".to_owned());
    }
    for entry in &result.slots {
        let slot = entry.slot;
        if usize::from(slot) >= players {
            return Err(format!("the result has slot {slot} of {players}"));
        }
        if entry.placement == 0 {
            return Err(format!("slot {slot} has placement 0, and 1 is best"));
        }
        if let Some(team) = entry.team.filter(|team| *team >= teams) {
            return Err(format!("slot {slot} has team {team} of {teams}"));
        }
        let names = entry.statistics.iter().map(|(name, _)| name.len());
        if entry.statistics.len() > STATISTICS || names.max().unwrap_or(0) > STATISTIC_BYTES {
            return Err(format!(
                "slot {slot} has more than {STATISTICS} statistics, or a name of more than \
                 {STATISTIC_BYTES} bytes"
            ));
        }
    }
    Ok(())
}

/// How long after the first report the others are waited for: longer than a bad line takes to
/// deliver what it lost, and no longer than players look at a final screen.
pub(super) const REPORT_PATIENCE: Duration = Duration::from_secs(10);
/// Most statistics of a slot, as for results of a game.
const STATISTICS: usize = 16;
/// Most bytes of a statistic's name.
const STATISTIC_BYTES: usize = 64;
/// Beyond this, details leave out statistics: 64 players who all disagree could fill megabytes.
const DETAILS_BYTES: usize = 64 << 10;
