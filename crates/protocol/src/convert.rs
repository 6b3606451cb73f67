//! Domain types to messages and back.

use gs_engine::AuthorityMode;
use gs_engine::simulation::{MatchResult, Outcome, SlotResult};

use crate::wire;

/// The message for an outcome.
pub fn outcome_to_wire(outcome: Outcome) -> wire::Outcome {
    match outcome {
        Outcome::Finished => wire::Outcome::Finished,
        Outcome::Abandoned => wire::Outcome::Abandoned,
        Outcome::Void => wire::Outcome::Void,
    }
}

/// The outcome that a message names; `None` where it names none.
pub fn outcome_from_wire(outcome: wire::Outcome) -> Option<Outcome> {
    match outcome {
        wire::Outcome::Unspecified => None,
        wire::Outcome::Finished => Some(Outcome::Finished),
        wire::Outcome::Abandoned => Some(Outcome::Abandoned),
        wire::Outcome::Void => Some(Outcome::Void),
    }
}

/// The message that tells players of a result. `stored` says that the store has it.
pub fn result_to_wire(result: &MatchResult, reason: &str, stored: bool) -> wire::MatchEnded {
    wire::MatchEnded {
        outcome: outcome_to_wire(result.outcome).into(),
        reason: reason.to_owned(),
        slots: result.slots.iter().map(slot_result_to_wire).collect(),
        stored,
    }
}

/// The result that a message tells of; `None` where it has no outcome, or a slot, placement or
/// team beyond what a match can have.
pub fn result_from_wire(ended: &wire::MatchEnded) -> Option<MatchResult> {
    let slots = ended.slots.iter().map(slot_result_from_wire);
    Some(MatchResult {
        outcome: outcome_from_wire(ended.outcome())?,
        slots: slots.collect::<Option<Vec<SlotResult>>>()?,
    })
}

/// The message by which a player reports a result.
pub fn report_to_wire(result: &MatchResult) -> wire::Report {
    wire::Report {
        outcome: outcome_to_wire(result.outcome).into(),
        slots: result.slots.iter().map(slot_result_to_wire).collect(),
    }
}

/// The result that a player reports; `None` where it has no outcome, or a slot, placement or team
/// beyond what a match can have.
pub fn report_from_wire(report: &wire::Report) -> Option<MatchResult> {
    let slots = report.slots.iter().map(slot_result_from_wire);
    Some(MatchResult {
        outcome: outcome_from_wire(report.outcome())?,
        slots: slots.collect::<Option<Vec<SlotResult>>>()?,
    })
}

/// The message for an authority mode.
pub fn mode_to_wire(mode: AuthorityMode) -> wire::AuthorityMode {
    match mode {
        AuthorityMode::Full => wire::AuthorityMode::Full,
        AuthorityMode::Validated => wire::AuthorityMode::Validated,
        AuthorityMode::Observer => wire::AuthorityMode::Observer,
    }
}

/// The authority mode that a message names; `None` where it names none.
pub fn mode_from_wire(mode: wire::AuthorityMode) -> Option<AuthorityMode> {
    match mode {
        wire::AuthorityMode::Unspecified => None,
        wire::AuthorityMode::Full => Some(AuthorityMode::Full),
        wire::AuthorityMode::Validated => Some(AuthorityMode::Validated),
        wire::AuthorityMode::Observer => Some(AuthorityMode::Observer),
    }
}

fn slot_result_to_wire(slot: &SlotResult) -> wire::SlotResult {
    let statistics = slot.statistics.iter();
    wire::SlotResult {
        slot: slot.slot.into(),
        placement: slot.placement.into(),
        team: slot.team.map(u32::from),
        score: slot.score,
        statistics: statistics
            .map(|(name, value)| wire::Statistic {
                name: name.clone(),
                value: *value,
            })
            .collect(),
    }
}

fn slot_result_from_wire(slot: &wire::SlotResult) -> Option<SlotResult> {
    let statistics = slot.statistics.iter();
    Some(SlotResult {
        slot: slot.slot.try_into().ok()?,
        placement: slot.placement.try_into().ok()?,
        team: slot.team.map(u8::try_from).transpose().ok()?,
        score: slot.score,
        statistics: statistics.map(|s| (s.name.clone(), s.value)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_survives_the_wire() {
        let slot = |slot, placement, team| SlotResult {
            slot,
            placement,
            team,
            score: -7 + i32::from(slot),
            statistics: vec![("hits".to_owned(), 3), ("falls".to_owned(), -1)],
        };
        for outcome in [Outcome::Finished, Outcome::Abandoned, Outcome::Void] {
            let slots = vec![slot(0, 1, None), slot(63, 2, Some(1))];
            let result = MatchResult { outcome, slots };
            let message = result_to_wire(&result, "why", true);
            assert!(message.stored && message.reason == "why");
            assert_eq!(result_from_wire(&message), Some(result));
        }
    }

    #[test]
    fn a_result_beyond_what_a_match_can_have_is_refused() {
        assert_eq!(result_from_wire(&wire::MatchEnded::default()), None);
        let slots = vec![wire::SlotResult {
            slot: 256,
            ..Default::default()
        }];
        let message = wire::MatchEnded {
            outcome: 1,
            slots,
            ..Default::default()
        };
        assert_eq!(result_from_wire(&message), None);
    }
}
