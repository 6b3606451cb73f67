//! What happens to players: outages, tabs that sleep, pages that are closed and opened again, late
//! arrivals, forgers, and modules that are not deterministic.

use std::time::Duration;

use gs_engine::AuthorityMode::{self, Full, Validated};
use gs_simulation::games::{FOG, MARBLES, Play};
use gs_simulation::scenario::{between, line};
use gs_simulation::{Incident, Outcome, Scenario, check, check_each};

/// Both modes in which the server simulates, with and without hidden state.
const ALL: [(&Play, AuthorityMode); 3] = [(&MARBLES, Validated), (&MARBLES, Full), (&FOG, Full)];

fn matches(seed: u64, players: usize) -> Scenario {
    let (play, mode) = ALL[seed as usize % 3];
    let loss = [0.0, 2.0, 5.5][seed as usize / 3 % 3];
    Scenario::new(play, mode, players, &line(100, loss))
}

/// Whoever something happened to was in step again within a second.
fn recovers(outcome: &Outcome) -> Result<(), String> {
    for (slot, player) in outcome.players.iter().enumerate() {
        for after in &player.recoveries {
            match after {
                Some(after) if *after <= Duration::from_secs(1) => {}
                _ => {
                    return Err(format!(
                        "player {slot} is in step after {after:?}: {player:#?}"
                    ));
                }
            }
        }
        if player.echoes == 0 {
            return Err(format!(
                "player {slot} sees nothing of its own: {player:#?}"
            ));
        }
    }
    Ok(())
}

fn one_in_trouble(incident: Incident) {
    check_each(
        9,
        |seed| matches(seed, 3).with(0, |player| player.incidents.push(incident.clone())),
        recovers,
    );
}

#[test]
fn a_tab_that_slept_for_ten_seconds_is_in_step_within_a_second() {
    one_in_trouble(Incident::Sleep(between(8.0, 18.0)));
}

#[test]
fn a_line_that_was_dead_for_ten_seconds_is_in_step_within_a_second_of_its_return() {
    one_in_trouble(Incident::Outage(between(8.0, 18.0)));
}

#[test]
fn a_line_that_was_dead_for_half_a_second_is_in_step_within_a_second_of_its_return() {
    one_in_trouble(Incident::Outage(between(8.0, 8.5)));
}

#[test]
fn a_page_that_is_opened_again_is_in_step_within_a_second() {
    one_in_trouble(Incident::Reload(between(8.0, 12.0)));
}

#[test]
fn a_substitute_is_in_step_within_a_second_and_so_is_everybody_else_all_along() {
    let replaced = Incident::Replace(between(8.0, 12.0));
    check_each(
        9,
        |seed| matches(seed, 3).with(0, |player| player.incidents.push(replaced.clone())),
        |outcome| {
            if outcome.room.substitutes != 1 {
                return Err(format!("{} substitutes", outcome.room.substitutes));
            }
            recovers(outcome)
        },
    );
}

#[test]
fn everybody_loses_the_line_at_once_and_comes_back() {
    check_each(
        9,
        |seed| {
            let mut scenario = matches(seed, 3);
            for player in &mut scenario.players {
                player.incidents.push(Incident::Outage(between(8.0, 18.0)));
            }
            scenario
        },
        recovers,
    );
}

#[test]
fn a_player_who_comes_late_gets_in() {
    check_each(
        9,
        |seed| {
            matches(seed, 3)
                .with(2, |player| player.joins = Duration::from_secs(25))
                .lasting(35.0)
        },
        |outcome| {
            let late = &outcome.players[2];
            if late.echoes == 0 || late.frames < 300 {
                return Err(format!("it is not in the game: {late:#?}"));
            }
            Ok(())
        },
    );
}

#[test]
fn forged_packets_of_a_player_change_nothing_for_the_others() {
    check_each(
        9,
        |seed| {
            matches(seed, 4).with(0, |player| {
                player.incidents.push(Incident::Forge(between(3.0, 27.0)));
            })
        },
        |outcome| {
            if outcome.room.malformed == 0 {
                return Err("nothing that was forged reached the room".to_owned());
            }
            for player in &outcome.players[1..] {
                if player.stats.counters.foreign == 0 {
                    return Err(format!("nothing that was forged came: {player:#?}"));
                }
                if player.stats.mismatches > 0 || player.stats.resyncs > 1 {
                    return Err(format!("it was disturbed: {player:#?}"));
                }
            }
            Ok(())
        },
    );
}

#[test]
fn an_intruder_changes_nothing_at_all() {
    let play = |incidents: Vec<Incident>| {
        let outcomes = check(9, |seed| {
            matches(seed, 3)
                .with(0, |player| player.incidents = incidents.clone())
                .lasting(12.0)
        });
        let told = outcomes.into_iter().map(|outcome| {
            let strangers = outcome.room.strangers;
            (outcome.fingerprint, strangers > 0)
        });
        told.collect::<Vec<_>>()
    };
    let without = play(Vec::new());
    let with = play(vec![Incident::Intrude(between(1.0, 11.0))]);
    for ((without, nobody), (with, somebody)) in without.into_iter().zip(with) {
        assert!(!nobody && somebody);
        assert_eq!(without, with);
    }
}

#[test]
fn a_state_that_differs_once_is_reported_by_field_and_replaced() {
    let outcomes = check_each(
        6,
        |seed| {
            let loss = [0.0, 2.0, 5.5][seed as usize % 3];
            Scenario::new(&MARBLES, Validated, 3, &line(100, loss))
                .with(0, |player| player.faulty = Some(|tick| tick == 400))
        },
        |outcome| {
            let faulty = &outcome.players[0];
            if faulty.stats.mismatches == 0 {
                // What was pushed off its place may come to rest at the same wall before the
                // next hash.
                return Ok(());
            }
            if faulty.desyncs == 0 {
                return Err(format!("it was not reported: {faulty:#?}"));
            }
            if faulty.fell_back.is_some() || faulty.stats.keyframes < 2 {
                return Err(format!("it did not get a state to go on from: {faulty:#?}"));
            }
            Ok(())
        },
    );
    let reported = outcomes.iter().filter(|o| o.players[0].desyncs > 0).count();
    assert!(
        reported * 2 > outcomes.len(),
        "only {reported} were reported"
    );
}

#[test]
fn a_module_that_differs_again_and_again_is_shown_what_the_server_sees() {
    check_each(
        6,
        |seed| {
            let loss = [0.0, 2.0, 5.5][seed as usize % 3];
            Scenario::new(&MARBLES, Validated, 3, &line(100, loss))
                .with(0, |player| player.faulty = Some(|tick| tick % 40 == 0))
        },
        |outcome| {
            let faulty = &outcome.players[0];
            let fell_back = faulty.fell_back.ok_or("it did not fall back")?;
            if fell_back > Duration::from_secs(15) {
                return Err(format!("it fell back only after {fell_back:?}"));
            }
            let age = faulty.staleness.quantile(0.99);
            if outcome.players[1..].iter().any(|player| player.desyncs > 0) || age > 500 {
                return Err(format!("it does not go on: {faulty:#?}"));
            }
            let newest = faulty.stats.state_tick;
            if newest + 60 < outcome.ticks {
                return Err(format!(
                    "its newest state is of {newest}, not {}",
                    outcome.ticks
                ));
            }
            Ok(())
        },
    );
}
