//! A room's result in the store's terms.

use chrono::{DateTime, Utc};
use gs_engine::simulation::{Outcome, SlotResult};
use gs_store::{CountsOn, MatchOutcome, SlotOutcome};

use crate::room::RoomResult;

pub(super) fn outcome(
    result: &RoomResult,
    boards: Vec<CountsOn>,
    started_at: Option<DateTime<Utc>>,
    ended_at: DateTime<Utc>,
) -> MatchOutcome {
    MatchOutcome {
        outcome: match result.result.outcome {
            Outcome::Finished => gs_store::Outcome::Finished,
            Outcome::Abandoned => gs_store::Outcome::Abandoned,
            Outcome::Void => gs_store::Outcome::Void,
        },
        reason: result.reason.clone(),
        details: result.details.clone(),
        slots: result.result.slots.iter().map(slot_outcome).collect(),
        boards,
        started_at,
        ended_at,
        ticks: result.ticks,
    }
}

/// The outcome of a match that counts for nobody.
pub(super) fn void(
    reason: &str,
    started_at: Option<DateTime<Utc>>,
    ended_at: DateTime<Utc>,
) -> MatchOutcome {
    MatchOutcome {
        outcome: gs_store::Outcome::Void,
        reason: Some(reason.to_owned()),
        details: None,
        slots: Vec::new(),
        boards: Vec::new(),
        started_at,
        ended_at,
        ticks: 0,
    }
}

fn slot_outcome(slot: &SlotResult) -> SlotOutcome {
    SlotOutcome {
        slot: slot.slot,
        placement: slot.placement,
        team: slot.team,
        score: slot.score,
        statistics: slot.statistics.clone(),
    }
}
