//! `observer`: the server simulates nothing.

use std::time::Duration;

use gs_engine::AuthorityMode::Observer;
use gs_engine::simulation::{MatchResult, Outcome as Ending, SlotResult};
use gs_simulation::games::MARBLES;
use gs_simulation::scenario::line;
use gs_simulation::{Scenario, check_each};

/// The players by how they came out of it.
fn result(first: u8) -> MatchResult {
    let slots = (0..4).map(|slot| SlotResult {
        slot,
        placement: if slot == first { 1 } else { 2 },
        team: None,
        score: i32::from(slot == first),
        statistics: Vec::new(),
    });
    MatchResult {
        outcome: Ending::Finished,
        slots: slots.collect(),
    }
}

#[test]
fn players_hear_each_other_and_what_most_of_them_report_counts() {
    check_each(
        6,
        |seed| {
            let loss = [0.0, 2.0, 5.5][seed as usize % 3];
            let mut scenario = Scenario::new(&MARBLES, Observer, 4, &line(100, loss));
            for (slot, player) in scenario.players.iter_mut().enumerate() {
                // One of them has seen another match.
                let seen = result(if slot == 3 { 3 } else { 1 });
                player.reports = Some((Duration::from_secs(20), seen));
            }
            scenario
        },
        |outcome| {
            if outcome.result.as_ref() != Some(&result(1)) {
                return Err(format!("the result is {:?}", outcome.result));
            }
            for player in &outcome.players {
                // From three others, 60 times a second for 18 seconds. Some are lost, and what a
                // newer one has overtaken is dropped.
                if player.shared < 3 * 60 * 18 / 2 {
                    return Err(format!("it heard too little: {player:#?}"));
                }
                if player.result != outcome.result {
                    return Err(format!("it was told another result: {player:#?}"));
                }
            }
            Ok(())
        },
    );
}
