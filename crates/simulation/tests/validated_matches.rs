//! `validated`: every client runs the confirmed ticks itself, to the server's state.

use gs_engine::AuthorityMode::Validated;
use gs_netem::{Burst, LinkConfig};
use gs_simulation::games::{ARENA, MARBLES, SHORT_MARBLES};
use gs_simulation::outcome::PlayerOutcome;
use gs_simulation::scenario::line;
use gs_simulation::{Outcome, Scenario, check, check_each};

/// Own input shows in the very next frame. On the worst lines more than is ever predicted may be
/// missing for a moment, so that a frame in 25 inputs may pass without.
fn shows_inputs_at_once(players: &[PlayerOutcome]) -> Result<(), String> {
    let (mut inputs, mut frames) = (0, 0);
    for player in players {
        inputs += player.echoes;
        frames += player.echo_frames;
    }
    if frames * 25 > inputs {
        return Err(format!(
            "{frames} frames were drawn without {inputs} own inputs: {players:#?}"
        ));
    }
    Ok(())
}

/// Own input shows in the next frame, and every confirmed tick was the server's.
fn feels_right(outcome: &Outcome) -> Result<(), String> {
    shows_inputs_at_once(&outcome.players)?;
    agrees(outcome)
}

/// Every confirmed tick was the server's.
fn agrees(outcome: &Outcome) -> Result<(), String> {
    for (slot, player) in outcome.players.iter().enumerate() {
        let wrong = |what: &str| Err(format!("player {slot}: {what}: {player:#?}"));
        if player.confirmed_checked < u64::from(outcome.ticks) * 9 / 10 {
            return wrong("too few confirmed ticks were checked");
        }
        if player.echoes == 0 {
            return wrong("it never saw its own input");
        }
        if player.stats.mismatches > 0 || player.desyncs > 0 {
            return wrong("its state differed");
        }
    }
    Ok(())
}

/// Whether the server got the player's inputs in time.
fn inputs_arrive(player: &PlayerOutcome, least: f64) -> Result<(), String> {
    let (fresh, repeated) = player.inputs;
    let share = fresh as f64 / (fresh + repeated).max(1) as f64;
    if share < least {
        return Err(format!(
            "only {share:.3} of its inputs came in time: {player:#?}"
        ));
    }
    Ok(())
}

/// Lines from perfect to the worst that the game is measured on, one a seed.
fn lines(seed: u64) -> LinkConfig {
    let round_trip = [0, 50, 100, 200][seed as usize % 4];
    let loss = [0.0, 2.0, 5.5][seed as usize / 4 % 3];
    line(round_trip, loss)
}

#[test]
fn two_players_agree_with_the_server_over_every_line() {
    check_each(
        12,
        |seed| Scenario::new(&MARBLES, Validated, 2, &lines(seed)),
        |outcome| {
            feels_right(outcome)?;
            let mut players = outcome.players.iter();
            players.try_for_each(|player| inputs_arrive(player, 0.95))
        },
    );
}

#[test]
fn four_players_agree_with_the_server_over_every_line() {
    check_each(
        12,
        |seed| Scenario::new(&MARBLES, Validated, 4, &lines(seed)),
        feels_right,
    );
}

#[test]
fn ten_players_agree_with_the_server_over_every_line() {
    check_each(
        12,
        |seed| Scenario::new(&MARBLES, Validated, 10, &lines(seed)).lasting(20.0),
        feels_right,
    );
}

#[test]
fn the_arena_is_the_same_for_everyone() {
    check_each(
        12,
        |seed| Scenario::new(&ARENA, Validated, 4, &lines(seed)).lasting(20.0),
        feels_right,
    );
}

#[test]
fn a_perfect_line_predicts_nothing_wrong_for_a_player_alone() {
    let perfect = LinkConfig::default();
    let outcomes = check_each(
        4,
        |_| Scenario::new(&MARBLES, Validated, 1, &perfect),
        feels_right,
    );
    for outcome in outcomes {
        let stats = outcome.players[0].stats;
        assert!(stats.corrections == 0, "{stats:#?}");
    }
}

#[test]
fn a_player_on_a_bad_line_does_not_spoil_it_for_the_others() {
    let good = line(20, 0.0);
    let alone = |outcome: &Outcome| {
        agrees(outcome)?;
        shows_inputs_at_once(&outcome.players[1..])?;
        for player in &outcome.players[1..] {
            inputs_arrive(player, 0.98)?;
            let p99 = player.staleness.quantile(0.99);
            // Half a round trip with three deviations of jitter, the late window, and a few ticks.
            if p99 > 10 + 60 + 100 + 100 {
                return Err(format!("states are {p99} ms old on a good line"));
            }
        }
        Ok(())
    };
    check_each(
        8,
        |_| {
            Scenario::new(&MARBLES, Validated, 4, &good).with(0, |player| {
                player.up = line(250, 8.0);
                player.down = line(250, 8.0);
            })
        },
        alone,
    );
}

#[test]
fn losses_in_bursts_are_survived() {
    let bursts = LinkConfig {
        burst: Some(Burst {
            enter: 0.005,
            leave: 0.1,
            loss: 0.9,
        }),
        ..line(100, 0.0)
    };
    check_each(
        8,
        |_| Scenario::new(&MARBLES, Validated, 4, &bursts),
        // A long burst takes more ticks than are ever predicted.
        agrees,
    );
}

#[test]
fn packets_that_come_twice_and_out_of_order_change_nothing() {
    let messy = LinkConfig {
        duplicate: 0.2,
        reorder: Some(gs_netem::Reorder {
            share: 0.1,
            by: std::time::Duration::from_millis(60),
        }),
        ..line(60, 1.0)
    };
    check_each(
        8,
        |_| Scenario::new(&MARBLES, Validated, 4, &messy),
        feels_right,
    );
}

#[test]
fn everyone_is_told_the_result_that_the_server_came_to() {
    check_each(
        12,
        |seed| Scenario::new(&SHORT_MARBLES, Validated, 4, &lines(seed)).lasting(14.0),
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

#[test]
fn the_same_seed_plays_the_same_match() {
    let play = || {
        check(4, |seed| {
            Scenario::new(&ARENA, Validated, 4, &lines(seed)).lasting(10.0)
        })
    };
    let fingerprints = |outcomes: Vec<Outcome>| {
        let all = outcomes.iter().map(|outcome| outcome.fingerprint);
        all.collect::<Vec<u64>>()
    };
    let first = fingerprints(play());
    assert_eq!(first, fingerprints(play()));
    assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
}
