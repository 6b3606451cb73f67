//! A client that predicts and rolls back, against one that runs everything from the start again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use gs_engine::confirmed::{ConfirmedTick, HASH_EVERY, view_tick};
use gs_engine::input_buffer::MAX_REPEATS;
use gs_engine::rollback::{
    ConfirmedError, MAX_SAVE_INTERVAL, Request, RollbackCounters, Run, Session, Simulator,
    save_interval,
};
use gs_engine::simulation::{
    Effects, Happening, HappeningKind, InputStatus, MatchConfig, Simulation, SlotInput, Tick,
    TickLog,
};
use gs_engine::{Pipeline, Slot};
use proptest::prelude::*;
use support::{AMENDED, LAST_TICK, Pushers, REFUSED, shout};

const SEED: u64 = 7;

fn config(players: u8) -> MatchConfig {
    MatchConfig {
        players,
        teams: 0,
        options: "{}".into(),
    }
}

fn started(players: u8) -> Pushers {
    let mut game = Pushers::new();
    game.init(SEED, &config(players)).unwrap();
    game
}

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) as u32) % n
    }
}

/// What is guessed for a tick, worked out the plain way: from the confirmed logs and what was sent.
fn guess(confirmed: &[ConfirmedTick], own: &[Option<i8>], local: Slot, tick: Tick) -> TickLog {
    let slots = confirmed
        .first()
        .map_or(own.len(), |tick| tick.log.inputs.len());
    let mut log = TickLog {
        tick,
        ..TickLog::default()
    };
    for slot in 0..slots {
        let mut last = (InputStatus::Absent, Vec::new(), 0);
        for tick in 1..=tick {
            let logged = confirmed
                .get(tick as usize - 1)
                .map(|tick| &tick.log.inputs[slot]);
            let sent = own.get(tick as usize).copied().flatten();
            last = match (logged, sent) {
                (Some(input), _) => {
                    let repeated = input.status == InputStatus::Repeated;
                    let run = if repeated { last.2 + 1 } else { 0 };
                    (input.status, input.data.clone(), run)
                }
                (None, Some(push)) if slot == usize::from(local) => {
                    (InputStatus::Fresh, vec![push as u8], 0)
                }
                (None, _) => match last {
                    (InputStatus::Absent, ..) => last,
                    (_, data, run) if slot != usize::from(local) && run < 2 => {
                        (InputStatus::Fresh, data, 0)
                    }
                    (_, data, run) if run < MAX_REPEATS => (InputStatus::Repeated, data, run + 1),
                    _ => (InputStatus::Absent, Vec::new(), 0),
                },
            };
        }
        let view_tick = if last.0 == InputStatus::Absent {
            0
        } else {
            view_tick(tick)
        };
        log.inputs.push(SlotInput {
            status: last.0,
            view_tick,
            data: last.1,
        });
    }
    log
}

/// The state at a tick, from the start.
fn from_the_start(
    confirmed: &[ConfirmedTick],
    own: &[Option<i8>],
    local: Slot,
    players: u8,
    tick: Tick,
) -> Vec<u8> {
    let (mut game, mut effects, mut state) = (started(players), Effects::default(), Vec::new());
    for tick in 1..=tick {
        match confirmed.get(tick as usize - 1) {
            Some(tick) => game.step(&tick.log, &mut effects).unwrap(),
            None => game
                .step(&guess(confirmed, own, local, tick), &mut effects)
                .unwrap(),
        }
    }
    game.save(&mut state).unwrap();
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A server with a late window, players whose inputs come late or never, and a client who gets
    /// what is confirmed late and in bursts: whatever it shows is what a client would show that ran
    /// everything from the start, and what is confirmed is what the server has.
    #[test]
    fn every_state_is_what_a_run_from_the_start_comes_to(
        seed: u64, save_interval in 1..=12_u32, max_prediction in 1..=24_u32, ticks in 40..110_u32,
        change in 1..20_u32,
    ) {
        const PLAYERS: u8 = 4;
        const LOCAL: Slot = 1;
        let mut random = Random(seed);
        let mut server = Pipeline::new(Pushers::new(), config(PLAYERS), SEED)
            .unwrap()
            .with_late_window(6)
            .unwrap();
        for slot in 0..PLAYERS {
            server.handle_join(slot, 0).unwrap();
        }
        let session = Session::new(PLAYERS, Some(LOCAL), 1, max_prediction);
        let mut client = Simulator::new(started(PLAYERS), session);
        client.set_save_interval(save_interval);
        let (mut received, mut own) = (Vec::<ConfirmedTick>::new(), vec![None; 400]);
        let mut pushes = [0_i8; PLAYERS as usize];
        let mut asked = 0;
        for clock in 1..=ticks {
            server.begin_tick();
            for slot in 0..PLAYERS {
                let push = &mut pushes[usize::from(slot)];
                if random.below(change) == 0 {
                    *push = random.below(49) as i8;
                }
                // Some come early, some late, some too late, some never.
                let of = (clock + 2).saturating_sub(random.below(if slot == 3 { 16 } else { 3 }));
                if of > 0 && random.below(20) > 0 {
                    let _ = server.handle_frame(slot, of, &[*push as u8], 0);
                }
            }
            if random.below(30) == 0 {
                server.handle_command(2, &shout("hi")).unwrap();
            }
            if clock == 50 {
                server.handle_leave(0).unwrap();
            }
            while server.advance().unwrap().is_some() {}

            // The client's own input is what it thinks it sent; the server may have had another.
            if random.below(10) > 0 {
                let tick = asked + 1;
                let push = pushes[usize::from(LOCAL)];
                if client.handle_input(tick, &[push as u8]) {
                    own[tick as usize] = Some(push);
                }
            }
            if random.below(3) == 0 {
                let until = server.tick().min(received.len() as u32 + random.below(20));
                while (received.len() as u32) < until {
                    let tick = server.confirmed(received.len() as u32 + 1).unwrap();
                    client.handle_confirmed(tick).unwrap();
                    received.push(tick.clone());
                }
            }
            if random.below(60) == 0 {
                let keyframe = server.keyframe().unwrap();
                if keyframe.tick as usize <= received.len() {
                    client.restart(keyframe.tick, keyframe.state).unwrap();
                    prop_assert_eq!(client.session().confirmed() as usize, received.len());
                }
            }
            let (stood, newest) = (client.session().tick(), received.len() as u32);
            asked = (clock + random.below(8)).max(asked);
            let reached = client.advance(asked).unwrap();
            prop_assert_eq!(reached, asked.min(newest + max_prediction).max(stood));
            let mut state = Vec::new();
            client.simulation().save(&mut state).unwrap();
            let expected = from_the_start(&received, &own, LOCAL, PLAYERS, reached);
            prop_assert_eq!(&state, &expected, "at tick {} of clock {}", reached, clock);
            prop_assert_eq!(client.poll_desync(), None);
        }
        let counters = client.session().counters();
        prop_assert!(counters.longest <= max_prediction);
        prop_assert!(counters.rollbacks <= counters.mispredicted + ticks as u64);
    }
}

/// A confirmed tick in which every slot holds still.
fn steady(tick: Tick, pushes: &[i8]) -> ConfirmedTick {
    let input = |push: &i8| SlotInput {
        status: InputStatus::Fresh,
        view_tick: view_tick(tick),
        data: vec![*push as u8],
    };
    let inputs = pushes.iter().map(input).collect();
    let log = TickLog {
        tick,
        happenings: Vec::new(),
        inputs,
    };
    ConfirmedTick { log, hash: None }
}

/// Steps a session without a simulation, and says what it asked for.
fn drain(session: &mut Session) -> String {
    let mut asked = String::new();
    while let Some(request) = session.poll_request() {
        let word = match request {
            Request::Load { tick, .. } => format!("load {tick}, "),
            Request::Save { tick, .. } => format!("save {tick}, "),
            Request::Advance {
                log,
                run,
                confirmed,
            } => {
                let run = if run == Run::First { "first" } else { "again" };
                let confirmed = if confirmed { " confirmed" } else { "" };
                format!("{run} {}{confirmed}, ", log.tick)
            }
        };
        asked.push_str(&word);
    }
    asked
}

#[test]
fn steady_players_are_never_mispredicted() {
    let mut session = Session::new(3, Some(0), 1, 24);
    session.handle_confirmed(&steady(1, &[1, 2, 3])).unwrap();
    for tick in 2..200 {
        assert!(session.handle_input(tick + 10, &[1]));
        session.advance(tick + 10);
        drain(&mut session);
        if tick > 15 {
            session
                .handle_confirmed(&steady(tick - 14, &[1, 2, 3]))
                .unwrap();
        }
    }
    let counters = session.counters();
    // Its own inputs begin at tick 12: before, the server has some that it did not send.
    assert!(counters.mispredicted <= 10, "{counters:?}");
    assert!(counters.longest <= 24);
}

#[test]
fn only_a_wrong_guess_is_taken_back() {
    let mut session = Session::new(2, None, 1, 24);
    session.handle_confirmed(&steady(1, &[5, 6])).unwrap();
    session.advance(4);
    let requests =
        "save 0, first 1 confirmed, save 1, first 2, save 2, first 3, save 3, first 4, save 4, ";
    assert_eq!(drain(&mut session), requests);
    session.handle_confirmed(&steady(2, &[5, 6])).unwrap();
    assert_eq!(session.verified(), 2);
    assert_eq!(drain(&mut session), "");
    session.handle_confirmed(&steady(3, &[5, 7])).unwrap();
    assert_eq!(session.verified(), 2);
    session.advance(5);
    assert_eq!(
        drain(&mut session),
        "load 2, again 3 confirmed, save 3, again 4, save 4, first 5, save 5, "
    );
    assert_eq!(
        session.log(5).unwrap().inputs[1].data,
        [7],
        "the new input goes on"
    );
    assert_eq!(session.verified(), 3);
    let expected = RollbackCounters {
        confirmed: 3,
        mispredicted: 1,
        rollbacks: 1,
        resimulated: 2,
        longest: 2,
        waits: 0,
    };
    assert_eq!(session.counters(), expected);
    // What only happened is a difference too.
    let mut tick = steady(4, &[5, 7]);
    tick.log.happenings.push(Happening {
        slot: 0,
        kind: HappeningKind::Leave,
    });
    session.handle_confirmed(&tick).unwrap();
    assert_eq!(
        drain(&mut session),
        "load 3, again 4 confirmed, save 4, again 5, save 5, "
    );
}

#[test]
fn states_are_saved_sparsely_and_reached_from_the_one_before() {
    let mut session = Session::new(1, None, 1, 24);
    session.set_save_interval(6);
    session.handle_confirmed(&steady(1, &[1])).unwrap();
    session.advance(14);
    let asked = drain(&mut session);
    assert_eq!(asked.matches("save").count(), 3, "{asked}");
    for tick in 2..=9 {
        session.handle_confirmed(&steady(tick, &[1])).unwrap();
    }
    session.handle_confirmed(&steady(10, &[2])).unwrap();
    assert_eq!(
        drain(&mut session),
        "load 6, again 7 confirmed, again 8 confirmed, again 9 confirmed, again 10 confirmed, \
         save 10, again 11, again 12, again 13, again 14, "
    );
}

#[test]
fn one_lost_input_is_followed_by_a_fresh_one_and_silence_by_silence() {
    let mut session = Session::new(1, None, 1, 24);
    session.handle_confirmed(&steady(1, &[9])).unwrap();
    let mut repeated = steady(2, &[9]);
    repeated.log.inputs[0].status = InputStatus::Repeated;
    session.handle_confirmed(&repeated).unwrap();
    session.advance(4);
    drain(&mut session);
    assert_eq!(session.log(4).unwrap().inputs[0].status, InputStatus::Fresh);
    repeated.log.tick = 3;
    repeated.log.inputs[0].view_tick = view_tick(3);
    session.handle_confirmed(&repeated).unwrap();
    session.advance(20);
    drain(&mut session);
    for tick in 4..=20 {
        let input = &session.log(tick).unwrap().inputs[0];
        let silent_for = tick - 1;
        if silent_for <= MAX_REPEATS {
            assert_eq!(
                (input.status, &input.data[..]),
                (InputStatus::Repeated, &[9][..])
            );
        } else {
            assert_eq!(*input, SlotInput::default());
        }
    }
}

#[test]
fn it_waits_where_too_much_is_unconfirmed() {
    let mut session = Session::new(1, Some(0), 1, 5);
    assert_eq!(session.advance(20), 5);
    drain(&mut session);
    assert_eq!((session.tick(), session.counters().waits), (5, 1));
    assert_eq!(session.advance(3), 5, "nothing is given up");
    session.handle_confirmed(&steady(1, &[1])).unwrap();
    assert_eq!(session.advance(20), 6);
}

#[test]
fn confirmed_ticks_come_in_order_and_not_without_end() {
    let mut session = Session::new(1, None, 1, 24);
    let order = |found, expected| Err(ConfirmedError::Order { found, expected });
    assert_eq!(session.handle_confirmed(&steady(2, &[1])), order(2, 1));
    let slots = Err(ConfirmedError::Slots {
        found: 2,
        expected: 1,
    });
    assert_eq!(session.handle_confirmed(&steady(1, &[1, 2])), slots);
    for tick in 1..=128 {
        session.handle_confirmed(&steady(tick, &[1])).unwrap();
    }
    assert_eq!(
        session.handle_confirmed(&steady(128, &[1])),
        order(128, 129)
    );
    let full = Err(ConfirmedError::Full { tick: 129, at: 0 });
    assert_eq!(session.handle_confirmed(&steady(129, &[1])), full);
    assert_eq!(session.advance(130), 130);
    drain(&mut session);
    session.handle_confirmed(&steady(129, &[1])).unwrap();
    assert_eq!(session.verified(), 129);
}

#[test]
fn own_inputs_are_taken_once_and_corrected_when_they_come_late() {
    let mut session = Session::new(2, Some(1), 1, 24);
    assert!(session.handle_input(1, &[1]) && session.handle_input(3, &[3]));
    assert!(!session.handle_input(1, &[2]), "the first one counts");
    assert!(!session.handle_input(2, &[2, 2]) && !session.handle_input(1_000, &[1]));
    session.advance(3);
    drain(&mut session);
    let own = |session: &Session, tick| session.log(tick).unwrap().inputs[1].clone();
    assert_eq!(own(&session, 2).status, InputStatus::Repeated);
    assert!(session.handle_input(2, &[2]));
    drain(&mut session);
    assert_eq!(
        (own(&session, 2).status, own(&session, 2).data),
        (InputStatus::Fresh, vec![2])
    );
    session.handle_confirmed(&steady(1, &[0, 1])).unwrap();
    assert!(!session.handle_input(1, &[1]), "it is confirmed");
    assert!(
        !Session::new(1, None, 1, 24).handle_input(1, &[1]),
        "a spectator has no input"
    );
}

#[test]
fn a_local_slot_that_the_match_lacks_is_a_spectators() {
    for local in [2, 3, Slot::MAX] {
        let mut session = Session::new(2, Some(local), 1, 24);
        assert!(!session.handle_input(1, &[1]));
        session.advance(5);
        let mut stepped = 0;
        while let Some(request) = session.poll_request() {
            if let Request::Advance { log, .. } = request {
                assert_eq!(log.inputs.len(), 2);
                stepped += 1;
            }
        }
        assert_eq!(stepped, 5);
    }
}

#[test]
fn the_games_verdict_makes_the_better_guess() {
    let mut server = Pipeline::new(Pushers::new(), config(1), SEED)
        .unwrap()
        .with_late_window(6)
        .unwrap();
    server.handle_join(0, 0).unwrap();
    let mut client = Simulator::new(started(1), Session::new(1, Some(0), 1, 24));
    for tick in 1..=20 {
        let push = if tick % 3 == 0 {
            AMENDED
        } else if tick % 7 == 0 {
            REFUSED
        } else {
            3
        } as u8;
        client.handle_input(tick, &[push]);
        server.handle_frame(0, tick, &[push], 0).unwrap();
        client.advance(tick).unwrap();
    }
    for _ in 1..=20 {
        server.begin_tick();
        server.advance().unwrap().unwrap();
        client
            .handle_confirmed(server.confirmed(server.tick()).unwrap())
            .unwrap();
    }
    assert_eq!(
        client.session().counters().mispredicted,
        1,
        "that it joined"
    );
}

#[test]
fn a_state_that_differs_is_found_and_a_keyframe_mends_it() {
    let mut server = Pipeline::new(Pushers::new(), config(1), SEED)
        .unwrap()
        .with_late_window(6)
        .unwrap();
    let mut wrong = Pushers::new();
    wrong.init(SEED + 1, &config(1)).unwrap();
    let mut client = Simulator::new(wrong, Session::new(1, Some(0), 1, 24));
    let mut found = Vec::new();
    for clock in 1..=4 * HASH_EVERY {
        server.begin_tick();
        while server.advance().unwrap().is_some() {}
        client
            .handle_confirmed(server.confirmed(clock).unwrap())
            .unwrap();
        client.advance(clock + 9).unwrap();
        if let Some(desync) = client.poll_desync() {
            found.push(desync.tick);
            assert_eq!(
                desync.expected,
                server.keyframe_at(desync.tick).unwrap().hash
            );
        }
        if clock == 2 * HASH_EVERY + 5 {
            let keyframe = server.keyframe().unwrap();
            client.restart(keyframe.tick, keyframe.state).unwrap();
            assert_eq!(client.session().confirmed(), clock, "logs are used again");
        }
    }
    assert_eq!(found, [HASH_EVERY, 2 * HASH_EVERY]);
}

#[test]
fn a_result_counts_once_it_is_final_and_events_are_shown_once() {
    let mut client = Simulator::new(started(1), Session::new(1, Some(0), 1, 24));
    let mut shown = Vec::new();
    for tick in 1..LAST_TICK {
        let mut confirmed = steady(tick, &[(tick % 40) as i8]);
        if tick == 100 {
            let kind = HappeningKind::Command(shout("hey"));
            confirmed.log.happenings.push(Happening { slot: 0, kind });
        }
        client.handle_confirmed(&confirmed).unwrap();
        client.advance(tick + u32::from(tick > 101) * 2).unwrap();
        shown.extend(
            client
                .events()
                .iter()
                .map(|shown| (shown.tick, shown.confirmed)),
        );
    }
    assert_eq!(shown, [(100, true)]);
    assert_eq!(client.session().tick(), LAST_TICK + 1);
    assert_eq!(client.result(), None, "it is a guess");
    client.handle_confirmed(&steady(LAST_TICK, &[1])).unwrap();
    client.advance(0).unwrap();
    assert_eq!(client.result().unwrap().slots.len(), 1);
}

#[test]
fn what_is_dear_to_save_is_saved_seldom() {
    let (cheap, dear) = (Duration::from_micros(1), Duration::from_micros(600));
    assert_eq!(save_interval(cheap, dear), 1);
    assert_eq!(save_interval(dear, dear), 3);
    assert_eq!(save_interval(dear, Duration::ZERO), MAX_SAVE_INTERVAL);
}
