//! `full`: the server simulates, and each player is sent what it may see.

use gs_engine::AuthorityMode::Full;
use gs_netem::LinkConfig;
use gs_simulation::games::{ARENA, FOG, MARBLES, SHORT_MARBLES};
use gs_simulation::scenario::line;
use gs_simulation::{Outcome, Scenario, check_each};

fn lines(seed: u64) -> LinkConfig {
    let round_trip = [0, 50, 100, 200][seed as usize % 4];
    let loss = [0.0, 2.0, 5.5][seed as usize / 4 % 3];
    line(round_trip, loss)
}

/// Own input shows in the very next frame. On the worst lines more than is ever predicted may be
/// missing for a moment, so that a frame in 25 inputs may pass without.
fn shows_inputs_at_once(outcome: &Outcome) -> Result<(), String> {
    let (mut inputs, mut frames) = (0, 0);
    for player in &outcome.players {
        inputs += player.echoes;
        frames += player.echo_frames;
    }
    if frames * 25 > inputs {
        return Err(format!(
            "{frames} frames were drawn without {inputs} own inputs: {:#?}",
            outcome.players
        ));
    }
    Ok(())
}

/// Own input shows in the next frame, and what is drawn is as new as the line allows.
fn feels_right(outcome: &Outcome) -> Result<(), String> {
    shows_inputs_at_once(outcome)?;
    for (slot, player) in outcome.players.iter().enumerate() {
        let wrong = |what: &str| Err(format!("player {slot}: {what}: {player:#?}"));
        if player.echoes == 0 {
            return wrong("it never saw its own input");
        }
        // Half of 200 ms, three deviations of jitter, and four losses in a row.
        if player.staleness.quantile(0.99) > 100 + 60 + 70 {
            return wrong("its states are too old");
        }
        if player.stats.resyncs > 1 {
            return wrong("it lost the thread");
        }
    }
    Ok(())
}

#[test]
fn everyone_follows_a_broadcast_over_every_line() {
    check_each(
        12,
        |seed| Scenario::new(&MARBLES, Full, 4, &lines(seed)),
        feels_right,
    );
}

#[test]
fn ten_players_follow_the_arena_over_every_line() {
    check_each(
        12,
        |seed| Scenario::new(&ARENA, Full, 10, &lines(seed)).lasting(20.0),
        feels_right,
    );
}

#[test]
fn nobody_sees_what_is_hidden_over_any_line() {
    check_each(
        12,
        |seed| Scenario::new(&FOG, Full, 6, &lines(seed)),
        feels_right,
    );
}

#[test]
fn a_player_on_a_bad_line_is_served_apart_and_the_others_as_ever() {
    check_each(
        8,
        |_| {
            Scenario::new(&MARBLES, Full, 4, &line(20, 0.0)).with(0, |player| {
                player.up = line(250, 8.0);
                player.down = line(250, 8.0);
            })
        },
        |outcome| {
            for player in &outcome.players[1..] {
                let p99 = player.staleness.quantile(0.99);
                if p99 > 10 + 60 + 60 {
                    return Err(format!("states are {p99} ms old on a good line"));
                }
            }
            Ok(())
        },
    );
}

#[test]
fn everyone_is_told_the_result_that_the_server_came_to() {
    check_each(
        8,
        |seed| Scenario::new(&SHORT_MARBLES, Full, 4, &lines(seed)).lasting(14.0),
        |outcome| {
            let result = outcome.result.as_ref().ok_or("the match did not end")?;
            for player in &outcome.players {
                if player.result.as_ref() != Some(result) {
                    return Err(format!("{:?} instead of {result:?}", player.result));
                }
            }
            Ok(())
        },
    );
}
