//! A match through the pipeline's public boundary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::Pipeline;
use gs_engine::input_buffer::{Admission, MAX_REPEATS, TICK};
use gs_engine::pipeline::{MAX_COMMANDS_PER_TICK, Presence, Refusal, StartError};
use gs_engine::simulation::{
    Effects, EventAudience, HappeningKind, InputStatus, MatchConfig, NetState, Outcome, Simulation,
    SimulationError, TickLog,
};
use support::{AMENDED, AMENDED_BADLY, LAST_TICK, Pushers, REFUSED, shout};

fn config(players: u8) -> MatchConfig {
    MatchConfig {
        players,
        teams: 0,
        options: "{}".into(),
    }
}

/// A match of `players` who have all joined.
fn started(players: u8) -> Pipeline<Pushers> {
    let mut pipeline = Pipeline::new(Pushers::new(), config(players), 7).unwrap();
    for slot in 0..players {
        pipeline.handle_join(slot, 0).unwrap();
    }
    pipeline
}

fn frame(pipeline: &mut Pipeline<Pushers>, slot: u8, tick: u32, push: i8) -> Admission {
    pipeline.handle_frame(slot, tick, &[push as u8], 0).unwrap()
}

/// Runs the tick that the clock comes to.
fn run(pipeline: &mut Pipeline<Pushers>) -> Result<Effects, SimulationError> {
    pipeline.begin_tick();
    let effects = pipeline.advance()?.expect("it is due").clone();
    assert_eq!(pipeline.advance()?, None);
    Ok(effects)
}

#[test]
fn inputs_reach_the_log_at_their_tick() {
    let mut pipeline = started(2);
    assert_eq!(frame(&mut pipeline, 0, 2, 20), Admission::Accepted);
    assert_eq!(frame(&mut pipeline, 0, 1, 10), Admission::Accepted);
    assert_eq!(frame(&mut pipeline, 0, 1, 10), Admission::Duplicate);

    run(&mut pipeline).unwrap();
    let log = pipeline.tick_log();
    assert_eq!(log.tick, 1);
    assert_eq!(log.happenings.len(), 2, "both joined");
    assert_eq!(
        (log.inputs[0].status, log.inputs[0].data[0]),
        (InputStatus::Fresh, 10)
    );
    assert_eq!(log.inputs[0].view_tick, TICK);
    assert_eq!(log.inputs[1].status, InputStatus::Absent);

    run(&mut pipeline).unwrap();
    assert_eq!(pipeline.tick_log().inputs[0].data, [20]);
    assert!(pipeline.tick_log().happenings.is_empty());

    for _ in 0..MAX_REPEATS {
        run(&mut pipeline).unwrap();
        let input = &pipeline.tick_log().inputs[0];
        assert_eq!((input.status, input.data[0]), (InputStatus::Repeated, 20));
    }
    run(&mut pipeline).unwrap();
    assert_eq!(pipeline.tick_log().inputs[0].status, InputStatus::Absent);
    assert!(pipeline.tick_log().inputs[0].data.is_empty());

    let status = pipeline.slot_status(0).unwrap();
    assert_eq!((status.input_tick, status.counters.duplicate), (2, 1));
    assert_eq!(pipeline.slot_status(2), None);
}

#[test]
fn a_late_frame_is_used_at_the_next_tick() {
    let mut pipeline = started(1);
    for _ in 0..5 {
        run(&mut pipeline).unwrap();
    }
    assert_eq!(
        pipeline.handle_frame(0, 4, &[44], 128).unwrap(),
        Admission::RolledForward
    );
    run(&mut pipeline).unwrap();
    let input = &pipeline.tick_log().inputs[0];
    assert_eq!((input.status, input.data[0]), (InputStatus::Fresh, 44));
    let status = pipeline.slot_status(0).unwrap();
    assert_eq!(
        (status.input_tick, status.margin, status.counters.late),
        (4, -384, 1)
    );
}

#[test]
fn the_game_amends_and_refuses_inputs() {
    let mut pipeline = started(1);
    frame(&mut pipeline, 0, 1, AMENDED);
    frame(&mut pipeline, 0, 2, REFUSED);
    run(&mut pipeline).unwrap();
    let input = &pipeline.tick_log().inputs[0];
    assert_eq!((input.status, input.data[0]), (InputStatus::Fresh, 5));

    run(&mut pipeline).unwrap();
    let input = &pipeline.tick_log().inputs[0];
    assert_eq!(
        (input.status, input.data[0]),
        (InputStatus::Repeated, 5),
        "the amended one again"
    );
    assert_eq!(pipeline.refusals(), [(0, "too strong".to_owned())]);
    let counters = pipeline.slot_status(0).unwrap().counters;
    assert_eq!(
        (counters.amended, counters.refused, counters.accepted),
        (1, 1, 2)
    );

    run(&mut pipeline).unwrap();
    assert!(pipeline.refusals().is_empty());
}

#[test]
fn an_amendment_against_the_schema_ends_the_match() {
    let mut pipeline = started(1);
    frame(&mut pipeline, 0, 1, AMENDED_BADLY);
    let error = run(&mut pipeline).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the game module answered `gs_check` with malformed bytes: \
         amended input: field `push` is 120, expected -100 to 100"
    );
    assert_eq!(run(&mut pipeline).unwrap_err(), error);
    assert_eq!(pipeline.tick(), 0);
}

#[test]
fn bad_inputs_and_strangers_are_refused() {
    let mut pipeline = Pipeline::new(Pushers::new(), config(2), 7).unwrap();
    pipeline.handle_join(0, 0).unwrap();
    for data in [&[][..], &[1, 2], &[101], &[128]] {
        let refusal = pipeline.handle_frame(0, 1, data, 0).unwrap_err();
        assert!(matches!(refusal, Refusal::Input(_)), "{data:?}");
    }
    assert_eq!(pipeline.slot_status(0).unwrap().counters.refused, 4);

    let not_joined = Refusal::NotJoined { slot: 1 };
    assert_eq!(
        pipeline.handle_frame(1, 1, &[1], 0).unwrap_err(),
        not_joined
    );
    assert_eq!(
        pipeline.handle_command(1, &shout("hi")).unwrap_err(),
        not_joined
    );
    assert_eq!(pipeline.handle_leave(1).unwrap_err(), not_joined);
    let no_slot = Refusal::NoSuchSlot {
        slot: 2,
        players: 2,
    };
    assert_eq!(pipeline.handle_join(2, 0).unwrap_err(), no_slot);
    assert_eq!(
        pipeline.handle_view(255, 0).unwrap_err(),
        Refusal::NoSuchSlot {
            slot: 255,
            players: 2
        }
    );
    assert_eq!(
        pipeline.handle_join(1, 1).unwrap_err(),
        Refusal::NoSuchTeam { team: 1, teams: 0 }
    );
    assert_eq!(
        pipeline.handle_join(0, 0).unwrap_err(),
        Refusal::AlreadyJoined { slot: 0 }
    );
}

#[test]
fn who_leaves_stays_away() {
    let mut pipeline = started(1);
    frame(&mut pipeline, 0, 1, 1);
    pipeline.handle_leave(0).unwrap();
    assert_eq!(
        pipeline.handle_leave(0).unwrap_err(),
        Refusal::Gone { slot: 0 }
    );
    assert_eq!(
        pipeline.handle_join(0, 0).unwrap_err(),
        Refusal::Gone { slot: 0 }
    );
    run(&mut pipeline).unwrap();
    let log = pipeline.tick_log();
    assert_eq!(log.happenings[1].kind, HappeningKind::Leave);
    assert_eq!(log.inputs[0].status, InputStatus::Absent);
    assert_eq!(pipeline.slot_status(0).unwrap().presence, Presence::Gone);
}

#[test]
fn a_substitute_takes_the_slot_and_nothing_of_the_earlier_players_inputs() {
    let mut pipeline = Pipeline::new(Pushers::with_backfill(), config(2), 7).unwrap();
    pipeline.handle_join(0, 0).unwrap();
    for tick in 1..=3 {
        frame(&mut pipeline, 0, tick, 9);
        run(&mut pipeline).unwrap();
    }
    // What waits: an input for a tick to come, a late one, and a command.
    frame(&mut pipeline, 0, 5, 50);
    pipeline.handle_command(0, &shout("bye")).unwrap();
    pipeline.handle_leave(0).unwrap();
    pipeline.handle_join(0, 0).unwrap();
    assert_eq!(
        pipeline.handle_join(0, 0).unwrap_err(),
        Refusal::AlreadyJoined { slot: 0 }
    );
    run(&mut pipeline).unwrap();
    let log = pipeline.tick_log();
    let kinds: Vec<u8> = log.happenings.iter().map(|h| kind(&h.kind)).collect();
    assert_eq!(kinds, [b'c', b'l', b'j'], "in the order in which they came");
    assert_eq!(
        log.inputs[0].status,
        InputStatus::Absent,
        "nothing is repeated"
    );
    assert_eq!(pipeline.slot_status(0).unwrap().input_tick, 0);
    run(&mut pipeline).unwrap();
    assert_eq!(pipeline.tick_log().inputs[0].status, InputStatus::Absent);
    assert_eq!(frame(&mut pipeline, 0, 6, 7), Admission::Accepted);
    run(&mut pipeline).unwrap();
    assert_eq!(pipeline.tick_log().inputs[0].data, [7]);

    // As many commands as anybody may send, and a slot that nobody was matched into.
    for _ in 0..MAX_COMMANDS_PER_TICK {
        pipeline.handle_command(0, &shout("hi")).unwrap();
    }
    assert_eq!(
        pipeline.slot_status(1).unwrap().presence,
        Presence::Expected
    );
    pipeline.handle_join(1, 0).unwrap();
    run(&mut pipeline).unwrap();
    let joined = pipeline.tick_log().happenings.last().unwrap();
    assert_eq!((joined.slot, kind(&joined.kind)), (1, b'j'));
}

fn kind(kind: &HappeningKind) -> u8 {
    match kind {
        HappeningKind::Join { .. } => b'j',
        HappeningKind::Leave => b'l',
        HappeningKind::Command(_) => b'c',
    }
}

#[test]
fn a_log_with_substitutes_replays_to_the_same_state() {
    let mut pipeline = Pipeline::new(Pushers::with_backfill(), config(3), 7).unwrap();
    let mut replay = Pushers::with_backfill();
    replay.init(7, &config(3)).unwrap();
    let mut effects = Effects::default();
    for tick in 1..=200u32 {
        let slot = (tick / 20 % 3) as u8;
        match tick % 20 {
            3 => pipeline.handle_join(slot, 0).unwrap(),
            17 => pipeline.handle_leave(slot).unwrap(),
            _ => {}
        }
        for slot in 0..3 {
            let push = (tick * 7 + u32::from(slot)) % 50;
            let _ = pipeline.handle_frame(slot, tick, &[push as u8], 0);
        }
        run(&mut pipeline).unwrap();
        replay.step(pipeline.tick_log(), &mut effects).unwrap();
        let mut saved = Vec::new();
        replay.save(&mut saved).unwrap();
        assert_eq!(pipeline.save().unwrap(), saved, "tick {tick}");
    }
}

#[test]
fn commands_are_checked_bounded_and_become_happenings() {
    let mut pipeline = started(1);
    assert!(matches!(
        pipeline.handle_command(0, &[1, 0, 0]),
        Err(Refusal::Command(_))
    ));
    for _ in 0..MAX_COMMANDS_PER_TICK {
        pipeline.handle_command(0, &shout("hey")).unwrap();
    }
    let refusal = pipeline.handle_command(0, &shout("hey")).unwrap_err();
    assert!(matches!(refusal, Refusal::TooManyCommands { .. }));

    let effects = run(&mut pipeline).unwrap();
    assert_eq!(effects.events.len(), MAX_COMMANDS_PER_TICK);
    assert_eq!(effects.events[0].to, EventAudience::All);
    assert_eq!(effects.events[0].data, shout("hey"));

    let long = shout(&"x".repeat(4096));
    for _ in 0..3 {
        pipeline.handle_command(0, &long).unwrap();
    }
    let refusal = pipeline.handle_command(0, &long).unwrap_err();
    assert!(
        matches!(refusal, Refusal::TooManyCommands { .. }),
        "by their bytes"
    );
}

#[test]
fn an_event_against_the_schema_ends_the_match() {
    let mut pipeline = started(1);
    pipeline.handle_command(0, &shout(&"x".repeat(21))).unwrap();
    let error = run(&mut pipeline).unwrap_err();
    assert!(
        matches!(
            error,
            SimulationError::Malformed {
                call: "gs_step",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_result_ends_the_match() {
    let mut pipeline = started(2);
    while pipeline.tick() < LAST_TICK {
        assert!(pipeline.result().is_none());
        run(&mut pipeline).unwrap();
    }
    assert_eq!(pipeline.result().unwrap().outcome, Outcome::Finished);
    pipeline.begin_tick();
    assert!(pipeline.advance().unwrap().is_none());
    assert_eq!(pipeline.tick(), LAST_TICK);
}

#[test]
fn a_match_the_game_does_not_offer_is_not_started() {
    let start = |config| Pipeline::new(Pushers::new(), config, 0).err();
    assert_eq!(
        start(config(9)),
        Some(StartError::Players {
            players: 9,
            min: 1,
            max: 8
        })
    );
    assert_eq!(
        start(config(0)),
        Some(StartError::Players {
            players: 0,
            min: 1,
            max: 8
        })
    );
    let teams = MatchConfig {
        teams: 2,
        ..config(2)
    };
    assert_eq!(
        start(teams),
        Some(StartError::Teams {
            found: 2,
            expected: 0
        })
    );
}

#[test]
fn the_net_state_shows_what_the_game_shows() {
    let mut pipeline = started(3);
    frame(&mut pipeline, 1, 1, 100);
    run(&mut pipeline).unwrap();
    let mut shown = NetState::default();
    pipeline.net_state(None, &mut shown).unwrap();
    let places = &shown.columns;
    assert_eq!((places[0], places[2]), (0, 0));
    assert!((100..=103).contains(&places[1]), "a push and some wind");
    assert_eq!(shown.entities[1].owner, Some(1));
}

/// Plays a match of some traffic and answers all its logs and its last state.
fn play(seed: u64, ticks: u32) -> (Vec<TickLog>, Vec<u8>) {
    let mut pipeline = Pipeline::new(Pushers::new(), config(4), seed).unwrap();
    let mut logs = Vec::new();
    for tick in 1..=ticks {
        if tick <= 4 {
            pipeline.handle_join(tick as u8 - 1, 0).unwrap();
        }
        for slot in 0..4_u8 {
            // Some frames come early, some late, some never.
            let ahead = (tick.wrapping_mul(7 + u32::from(slot)) % 5) as i64 - 2;
            if tick > 5 && tick % (3 + u32::from(slot)) != 0 {
                let of = (i64::from(tick) + ahead) as u32;
                let push = (of % 52) as u8;
                pipeline
                    .handle_frame(slot, of, &[push], tick % 256)
                    .unwrap();
                pipeline.handle_view(slot, tick * TICK - 100).unwrap();
            }
        }
        run(&mut pipeline).unwrap();
        logs.push(pipeline.tick_log().clone());
    }
    let state = pipeline.save().unwrap().to_vec();
    (logs, state)
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let (logs, state) = play(99, 300);
    assert_eq!((logs, state.clone()), play(99, 300));
    assert_ne!(state, play(100, 300).1, "the seed matters");
}

#[test]
fn the_log_alone_replays_the_match_even_from_its_middle() {
    let (logs, state) = play(5, 300);
    let mut effects = Effects::default();
    let mut middle = Vec::new();
    let mut replay = Pushers::new();
    replay.init(5, &config(4)).unwrap();
    for log in &logs {
        replay.step(log, &mut effects).unwrap();
        if log.tick == 150 {
            replay.save(&mut middle).unwrap();
        }
    }
    let mut resumed = Pushers::new();
    resumed.init(0, &config(4)).unwrap();
    resumed.load(&middle).unwrap();
    for log in &logs[150..] {
        resumed.step(log, &mut effects).unwrap();
    }
    for mut simulation in [replay, resumed] {
        let mut saved = Vec::new();
        simulation.save(&mut saved).unwrap();
        assert_eq!(saved, state);
    }
}

#[test]
fn the_state_hash_tells_states_apart() {
    let mut one = started(2);
    let mut other = started(2);
    frame(&mut one, 0, 1, 1);
    frame(&mut other, 0, 1, 2);
    assert_eq!(one.state_hash().unwrap(), other.state_hash().unwrap());
    run(&mut one).unwrap();
    run(&mut other).unwrap();
    assert_ne!(one.state_hash().unwrap(), other.state_hash().unwrap());
}

#[test]
fn the_log_carries_each_view_clamped() {
    let mut pipeline = started(2);
    for tick in 1..=40 {
        frame(&mut pipeline, 0, tick, 1);
        frame(&mut pipeline, 1, tick, 1);
        pipeline.handle_view(1, u32::MAX).unwrap();
        if tick == 10 {
            pipeline.handle_view(0, 8 * TICK + 3).unwrap();
        }
        run(&mut pipeline).unwrap();
        let inputs = &pipeline.tick_log().inputs;
        let expected = match tick {
            1..10 => tick * TICK,
            10..=23 => 8 * TICK + 3,
            _ => (tick - 15) * TICK,
        };
        assert_eq!(inputs[0].view_tick, expected, "at tick {tick}");
        assert_eq!(inputs[1].view_tick, tick * TICK, "never after the tick");
    }
}
