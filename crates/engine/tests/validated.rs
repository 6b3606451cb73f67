//! When ticks are confirmed, and what is kept of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gs_engine::Pipeline;
use gs_engine::confirmed::{ConfirmedEncoder, HASH_EVERY, MAX_TICK_BYTES, state_hash, view_tick};
use gs_engine::input_buffer::{Admission, MAX_AHEAD_TICKS};
use gs_engine::manifest::FieldKind;
use gs_engine::manifest::Manifest;
use gs_engine::pipeline::{KEPT_TICKS, MAX_LATE_WINDOW, Refusal, StartError};
use gs_engine::simulation::{
    Effects, HappeningKind, InputStatus, MatchConfig, NetState, Simulation, SimulationError, Slot,
    TickLog, Verdict,
};
use proptest::prelude::*;
use support::{AMENDED, Pushers, REFUSED, field, manifest, shout};

const WINDOW: u32 = 6;

fn config(players: u8) -> MatchConfig {
    MatchConfig {
        players,
        teams: 0,
        options: "{}".into(),
    }
}

fn started(players: u8) -> Pipeline<Pushers> {
    let mut pipeline = Pipeline::new(Pushers::new(), config(players), 7)
        .unwrap()
        .with_late_window(WINDOW)
        .unwrap();
    for slot in 0..players {
        pipeline.handle_join(slot, 0).unwrap();
    }
    pipeline
}

fn frame(pipeline: &mut Pipeline<impl Simulation>, slot: u8, tick: u32, push: i8) -> Admission {
    pipeline.handle_frame(slot, tick, &[push as u8], 0).unwrap()
}

/// Lets the clock go on by a tick, and answers how many ticks ran.
fn tick(pipeline: &mut Pipeline<impl Simulation>) -> u32 {
    pipeline.begin_tick();
    run(pipeline)
}

fn run(pipeline: &mut Pipeline<impl Simulation>) -> u32 {
    let before = pipeline.tick();
    while pipeline.advance().unwrap().is_some() {}
    pipeline.tick() - before
}

#[test]
fn a_tick_runs_once_all_inputs_that_flow_are_in() {
    let mut pipeline = started(3);
    // Two players send, the third has never sent anything: nobody waits for that one.
    frame(&mut pipeline, 0, 1, 1);
    frame(&mut pipeline, 1, 1, 2);
    assert_eq!(run(&mut pipeline), 0, "the clock has not come to it");
    assert_eq!(tick(&mut pipeline), 1);
    frame(&mut pipeline, 0, 2, 1);
    assert_eq!(tick(&mut pipeline), 0, "slot 1 is late");
    assert_eq!((pipeline.clock(), pipeline.tick()), (2, 1));
    assert_eq!(frame(&mut pipeline, 1, 2, 2), Admission::Accepted);
    assert_eq!(run(&mut pipeline), 1, "it runs as soon as it may");
    let inputs = &pipeline.tick_log().inputs;
    assert_eq!(inputs[1].status, InputStatus::Fresh);
    assert_eq!(inputs[1].view_tick, view_tick(2));
    assert_eq!(inputs[2].status, InputStatus::Absent);
}

#[test]
fn the_late_window_closes_by_the_clock() {
    let mut pipeline = started(2);
    for clock in 1..=3 {
        frame(&mut pipeline, 0, clock, 1);
        frame(&mut pipeline, 1, clock, 2);
        assert_eq!(tick(&mut pipeline), 1);
    }
    let mut ran = Vec::new();
    for clock in 4..=20 {
        frame(&mut pipeline, 0, clock, 1);
        ran.push(tick(&mut pipeline));
        assert!(pipeline.clock() - pipeline.tick() <= WINDOW);
    }
    // Six ticks of waiting, then four in a row in vain, then nobody waits any more.
    assert_eq!(ran[..9], [0, 0, 0, 0, 0, 0, 1, 1, 1]);
    assert_eq!(ran[9], 1 + WINDOW, "and all that waited runs at once");
    assert!(ran[10..].iter().all(|ran| *ran == 1));
    // What comes for a tick that ran is dropped, and does not roll forward.
    assert_eq!(frame(&mut pipeline, 1, 4, 9), Admission::Stale);
    assert_eq!(frame(&mut pipeline, 1, 4, 9), Admission::Duplicate);
    tick(&mut pipeline);
    assert_eq!(pipeline.tick_log().inputs[1].status, InputStatus::Absent);
    let status = pipeline.slot_status(1).unwrap();
    assert_eq!((status.counters.late, status.counters.duplicate), (1, 1));
    assert_eq!(status.input_tick, 3);
}

#[test]
fn frames_far_ahead_delay_nobody_beyond_the_window_and_not_for_long() {
    let mut pipeline = started(2);
    let mut delayed = 0;
    for clock in 1..=300 {
        frame(&mut pipeline, 0, clock, 1);
        // It sends everything but what is due.
        let _ = pipeline.handle_frame(1, clock + MAX_AHEAD_TICKS - 1, &[1], 0);
        if clock > MAX_AHEAD_TICKS {
            // By now its own frames have come to their ticks, so nothing is missing.
            break;
        }
        tick(&mut pipeline);
        assert!(pipeline.clock() - pipeline.tick() <= WINDOW);
        delayed += u32::from(pipeline.clock() > pipeline.tick());
    }
    assert!(delayed <= WINDOW + 4, "{delayed} ticks were delayed");
}

#[test]
fn the_margin_is_against_the_clock() {
    let mut pipeline = started(2);
    for _ in 0..3 {
        pipeline.begin_tick();
    }
    pipeline.handle_frame(0, 5, &[1], 64).unwrap();
    pipeline.handle_frame(1, 2, &[1], 128).unwrap();
    assert_eq!(pipeline.tick(), 0);
    assert_eq!(pipeline.slot_status(0).unwrap().margin, 2 * 256 - 64);
    assert_eq!(pipeline.slot_status(1).unwrap().margin, -256 - 128);
}

#[test]
fn the_first_frame_of_a_tick_counts_and_the_game_judges_it_when_it_is_confirmed() {
    let mut pipeline = started(1);
    frame(&mut pipeline, 0, 1, AMENDED);
    assert_eq!(frame(&mut pipeline, 0, 1, 3), Admission::Duplicate);
    frame(&mut pipeline, 0, 2, REFUSED);
    tick(&mut pipeline);
    assert_eq!(pipeline.tick_log().inputs[0].data, [5]);
    tick(&mut pipeline);
    assert_eq!(pipeline.tick_log().inputs[0].status, InputStatus::Repeated);
    assert_eq!(pipeline.refusals().len(), 1);
}

#[test]
fn ticks_hashes_and_two_keyframes_are_kept() {
    let mut pipeline = started(2);
    let start = pipeline.keyframe().unwrap();
    assert_eq!((start.tick, start.hash), (0, state_hash(start.state)));
    assert_eq!(pipeline.oldest_confirmed(), 0);
    let ticks = KEPT_TICKS as u32 + 50;
    for clock in 1..=ticks {
        frame(&mut pipeline, 0, clock, (clock % 40) as i8);
        tick(&mut pipeline);
        let newest = pipeline.confirmed(clock).unwrap();
        assert_eq!(newest.log, *pipeline.tick_log());
        assert_eq!(newest.hash.is_some(), clock % HASH_EVERY == 0);
    }
    assert_eq!(pipeline.oldest_confirmed(), 51);
    assert!(pipeline.confirmed(50).is_none() && pipeline.confirmed(ticks + 1).is_none());
    assert_eq!(pipeline.confirmed_from(51).count(), KEPT_TICKS);
    assert_eq!(pipeline.confirmed_from(50).count(), 0);
    assert_eq!(pipeline.confirmed_from(0).count(), 0);

    let last = ticks - ticks % HASH_EVERY;
    let keyframe = pipeline.keyframe().unwrap();
    assert_eq!(keyframe.tick, last);
    assert_eq!(pipeline.confirmed(last).unwrap().hash, Some(keyframe.hash));
    assert_eq!(
        pipeline.keyframe_at(last - HASH_EVERY).unwrap().tick,
        last - HASH_EVERY
    );
    assert!(pipeline.keyframe_at(last - 2 * HASH_EVERY).is_none());
    // The older one and the ticks since lead to the newest state.
    let mut other = Pushers::new();
    other
        .load(pipeline.keyframe_at(last - HASH_EVERY).unwrap().state)
        .unwrap();
    let mut effects = Effects::default();
    for tick in pipeline.confirmed_from(last - HASH_EVERY + 1) {
        other.step(&tick.log, &mut effects).unwrap();
    }
    let mut state = Vec::new();
    other.save(&mut state).unwrap();
    assert_eq!(state_hash(&state), pipeline.state_hash().unwrap());
}

#[test]
fn commands_that_do_not_fit_a_tick_go_to_the_next_ones_in_order() {
    let mut pipeline = started(8);
    let long = shout(&"x".repeat(4096));
    for slot in 0..8 {
        for _ in 0..3 {
            pipeline.handle_command(slot, &long).unwrap();
        }
    }
    let too_many = pipeline.handle_command(0, &long);
    assert!(matches!(too_many, Err(Refusal::TooManyCommands { .. })));
    let (mut slots, mut encoder, mut out) = (Vec::new(), ConfirmedEncoder::default(), Vec::new());
    pipeline.begin_tick();
    // The game then breaks its own schema with events as long as that; the log is what counts.
    assert!(pipeline.advance().is_err());
    let log: &TickLog = pipeline.tick_log();
    assert_eq!(
        log.happenings.len(),
        8 + 3,
        "all joined, and three shouts fit"
    );
    for happening in &log.happenings {
        if let HappeningKind::Command(_) = happening.kind {
            slots.push(happening.slot);
        }
    }
    assert_eq!(slots, [0, 0, 0]);
    let confirmed = gs_engine::confirmed::ConfirmedTick {
        log: log.clone(),
        hash: Some(1),
    };
    let written = encoder.encode(
        pipeline.schema(),
        std::iter::once(&confirmed),
        MAX_TICK_BYTES,
        &mut out,
    );
    assert_eq!(written, Ok(1));
}

#[test]
fn deferred_commands_free_their_senders_share() {
    let mut pipeline = Pipeline::new(Silent::new(1), config(8), 1)
        .unwrap()
        .with_late_window(WINDOW)
        .unwrap();
    for slot in 0..8 {
        pipeline.handle_join(slot, 0).unwrap();
    }
    let mut sent = 0;
    let mut taken = 0;
    for round in 0..20 {
        for slot in 0..8 {
            while round < 10
                && pipeline
                    .handle_command(slot, &shout(&"y".repeat(4000)))
                    .is_ok()
            {
                sent += 1;
            }
        }
        tick(&mut pipeline);
        let log = pipeline.tick_log();
        let commands = log.happenings.iter();
        let commands = commands.filter(|h| matches!(h.kind, HappeningKind::Command(_)));
        let now = commands.count();
        assert!(now <= 3, "{now} commands of 4 kB in one tick");
        taken += now;
    }
    assert!(sent >= 8 * 4 && taken >= 3 * 19, "{taken} of {sent}");
    let full = shout(&"z".repeat(4096));
    let mut large = Pipeline::new(Silent::new(128), config(64), 1)
        .unwrap()
        .with_late_window(WINDOW)
        .unwrap();
    large.handle_join(0, 0).unwrap();
    assert_eq!(large.handle_command(0, &full), Ok(()));
    let over = Silent::longest(7_200);
    assert!(matches!(
        large.handle_command(0, &over),
        Err(Refusal::CommandTooLarge { .. })
    ));
}

#[test]
fn a_game_that_hides_state_and_a_window_beyond_bounds() {
    let hidden = Pipeline::new(Silent::hidden(), config(1), 1).unwrap();
    assert_eq!(
        hidden.with_late_window(WINDOW).err(),
        Some(StartError::HiddenState)
    );
    let mut pipeline = Pipeline::new(Pushers::new(), config(2), 7)
        .unwrap()
        .with_late_window(u32::MAX)
        .unwrap();
    pipeline.handle_join(0, 0).unwrap();
    for clock in 1..=100 {
        // It sends in time every second tick, so it is waited for now and then.
        if clock % 2 == 0 {
            frame(&mut pipeline, 0, clock, 1);
        }
        tick(&mut pipeline);
        assert!(pipeline.clock() - pipeline.tick() <= MAX_LATE_WINDOW);
    }
}

#[test]
fn without_a_late_window_nothing_is_kept() {
    let mut pipeline = Pipeline::new(Pushers::new(), config(1), 7).unwrap();
    for _ in 0..HASH_EVERY {
        assert_eq!(tick(&mut pipeline), 1);
        assert_eq!(pipeline.clock(), pipeline.tick());
    }
    assert!(pipeline.keyframe().is_none() && pipeline.confirmed(1).is_none());
    assert_eq!(pipeline.confirmed_from(1).count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever players send and when: the server keeps its bounds, and the logs alone lead to its
    /// state.
    #[test]
    fn the_server_is_never_behind_the_window_and_its_logs_say_all(
        window in 0..=12_u32,
        calls in prop::collection::vec((0..4_u8, 0..40_u32, -90..90_i8, 0..6_u8), 50..400),
    ) {
        let mut server = Pipeline::new(Pushers::with_backfill(), config(4), 3)
            .unwrap()
            .with_late_window(window)
            .unwrap();
        let mut replay = Pushers::with_backfill();
        replay.init(3, &config(4)).unwrap();
        let mut effects = Effects::default();
        let mut next = 1;
        for (slot, offset, push, what) in calls {
            match what {
                0 => { let _ = server.handle_join(slot, 0); }
                1 if push % 4 == 0 => { let _ = server.handle_leave(slot); }
                1 => { let _ = server.handle_command(slot, &shout("a")); }
                2 => server.begin_tick(),
                _ => {
                    let tick = (server.clock() + offset).saturating_sub(20);
                    let push = if (50..=52).contains(&push) { 49 } else { push };
                    let _ = server.handle_frame(slot, tick, &[push as u8], 9);
                }
            }
            while server.advance().unwrap().is_some() {}
            prop_assert!(server.tick() <= server.clock());
            prop_assert!(server.clock() - server.tick() <= window);
            for tick in server.confirmed_from(next) {
                prop_assert_eq!(tick.log.tick, next);
                replay.step(&tick.log, &mut effects).unwrap();
                next += 1;
            }
        }
        let mut state = Vec::new();
        replay.save(&mut state).unwrap();
        prop_assert_eq!(&state[..], server.save().unwrap());
    }
}

/// A game that does nothing, with inputs of any length.
struct Silent(Manifest);

impl Silent {
    fn new(input_bytes: usize) -> Self {
        let fields = (0..input_bytes.div_ceil(4)).map(|n| {
            field(
                &format!("f{n}"),
                FieldKind::F32 {
                    min: -1.0,
                    max: 1.0,
                },
            )
        });
        let mut manifest = manifest();
        manifest.max_players = 64;
        manifest.input = fields.collect();
        manifest.commands[0].fields = vec![field("text", FieldKind::Text { max: 8_000 })];
        Self(manifest)
    }

    fn hidden() -> Self {
        let mut game = Self::new(1);
        game.0.hidden_state = true;
        game
    }

    fn longest(len: usize) -> Vec<u8> {
        shout(&"w".repeat(len))
    }
}

impl Simulation for Silent {
    fn manifest(&self) -> &Manifest {
        &self.0
    }

    fn init(&mut self, _: u64, _: &MatchConfig) -> Result<(), SimulationError> {
        Ok(())
    }

    fn step(&mut self, _: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        effects.clear();
        Ok(())
    }

    fn check(&mut self, _: Slot, _: &[u8]) -> Result<Verdict, SimulationError> {
        Ok(Verdict::Accept)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        out.clear();
        Ok(())
    }

    fn load(&mut self, _: &[u8]) -> Result<(), SimulationError> {
        Ok(())
    }

    fn net_state(&mut self, _: Option<Slot>, out: &mut NetState) -> Result<(), SimulationError> {
        out.clear();
        Ok(())
    }

    fn load_view(&mut self, _: Option<Slot>, _: &NetState) -> Result<(), SimulationError> {
        Ok(())
    }
}
