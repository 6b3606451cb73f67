//! What the sync test lets pass, and what it finds.

use std::cell::Cell;

use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Message, NetField,
    NetFieldKind, Predict,
};
use gs_engine::simulation::{
    Effects, Entity, EventAudience, GameEvent, HappeningKind, InputStatus, MatchConfig,
    MatchResult, NetState, Outcome, TickLog, Verdict,
};
use gs_engine::sync_test::{Between, Failure, Fault, RandomMatch, Settings, Summary, SyncTest};
use gs_engine::{Manifest, Schema, Simulation, Slot};

/// A game that adds up what its players send. `flaw` says what is wrong with it.
struct Adding {
    manifest: Manifest,
    sum: i32,
    hidden: u8,
    flaw: Flaw,
    /// Not part of the state: what a static variable of a module is.
    outside: Cell<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// A counter that no save holds comes into the sum at its 300th step.
    LeaksIntoWhatIsSeen,
    /// The same into what nobody sees.
    LeaksIntoWhatIsHidden,
    /// The same into an event.
    LeaksIntoEvents,
    /// Each instance is its own from tick 77 on.
    OwnWays(u8),
    CheckChanges,
    BadEvent,
    BadAmendment,
    EndsEarly,
}

fn adding(flaw: Flaw) -> Adding {
    let number = |name: &str, kind| Field {
        name: name.into(),
        kind,
    };
    Adding {
        manifest: Manifest {
            name: "adding".into(),
            version: "1".into(),
            title: "Adding".into(),
            tick_rate: 60,
            min_players: 1,
            max_players: 4,
            teams: 2,
            hidden_state: false,
            backfill: false,
            late_window_ms: 100,
            max_save_bytes: 64,
            leaderboard: LeaderboardRule::Best,
            input: vec![
                number("add", FieldKind::I8 { min: -3, max: 3 }),
                number(
                    "pull",
                    FieldKind::F32 {
                        min: -1.0,
                        max: 2.0,
                    },
                ),
            ],
            commands: vec![Message {
                name: "say".into(),
                fields: vec![
                    number("text", FieldKind::Text { max: 9 }),
                    number("loud", FieldKind::Bool),
                ],
            }],
            events: vec![Message {
                name: "sum".into(),
                fields: vec![number("sum", FieldKind::U16 { min: 0, max: 999 })],
            }],
            entities: vec![EntityKind {
                name: "board".into(),
                fields: vec![NetField {
                    name: "sum".into(),
                    kind: NetFieldKind::Int { min: 0, max: 999 },
                    interpolate: Interpolate::None,
                    predict: Predict::None,
                    audience: Audience::All,
                }],
            }],
        },
        sum: 0,
        hidden: 0,
        flaw,
        outside: Cell::new(0),
    }
}

type Answer = Result<(), gs_engine::simulation::SimulationError>;

impl Simulation for Adding {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, seed: u64, _: &MatchConfig) -> Answer {
        self.sum = (seed % 100) as i32;
        self.hidden = 0;
        Ok(())
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Answer {
        effects.clear();
        self.outside.set(self.outside.get() + 1);
        let late = i32::from(self.outside.get() > 300);
        for input in &log.inputs {
            self.sum += i32::from(input.data.first().map_or(0, |byte| *byte as i8));
        }
        self.hidden = self.hidden.wrapping_add(log.inputs.len() as u8);
        let mut told = 1;
        match self.flaw {
            Flaw::LeaksIntoWhatIsSeen => self.sum += late,
            Flaw::LeaksIntoWhatIsHidden => self.hidden = self.hidden.wrapping_add(late as u8),
            Flaw::LeaksIntoEvents => told += late as u16,
            Flaw::OwnWays(instance) if log.tick == 77 => self.sum += i32::from(instance),
            Flaw::BadEvent if log.tick == 50 => told = 1_000,
            _ => {}
        }
        self.sum = self.sum.clamp(0, 999);
        let [low, high] = told.to_le_bytes();
        effects.events.push(GameEvent {
            to: EventAudience::All,
            data: vec![0, low, high],
        });
        if self.flaw == Flaw::EndsEarly && log.tick == 100 {
            effects.result = Some(MatchResult {
                outcome: Outcome::Finished,
                slots: vec![],
            });
        }
        Ok(())
    }

    fn check(
        &mut self,
        _: Slot,
        input: &[u8],
    ) -> Result<Verdict, gs_engine::simulation::SimulationError> {
        self.hidden += u8::from(self.flaw == Flaw::CheckChanges);
        Ok(match input[0] as i8 {
            3 if self.flaw == Flaw::BadAmendment => Verdict::Amend(vec![4, 0, 0, 0, 0]),
            3 => Verdict::Amend(vec![2, 0, 0, 0, 0]),
            -3 => Verdict::Refuse("too little".into()),
            _ => Verdict::Accept,
        })
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Answer {
        out.clear();
        out.extend(self.sum.to_le_bytes());
        out.push(self.hidden);
        Ok(())
    }

    fn load(&mut self, state: &[u8]) -> Answer {
        self.sum = i32::from_le_bytes(state[..4].try_into().expect("it saves five bytes"));
        self.hidden = state[4];
        Ok(())
    }

    fn net_state(&mut self, _: Option<Slot>, out: &mut NetState) -> Answer {
        out.clear();
        out.columns.push(self.sum);
        out.entities.push(Entity {
            id: 7,
            kind: 0,
            owner: None,
            priority: 1.0,
            first_column: 0,
            column_count: 1,
        });
        Ok(())
    }

    fn load_view(&mut self, _: Option<Slot>, view: &NetState) -> Answer {
        self.sum = view.columns[0];
        self.hidden = 0;
        Ok(())
    }
}

fn test_with(flaws: [Flaw; 2]) -> Result<Summary, Failure> {
    let [mut main, mut peer] = flaws.map(adding);
    let mut viewer = adding(Flaw::None);
    let settings = Settings {
        seed: 5,
        ticks: 2_000,
        players: 3,
        options: "{}".into(),
    };
    let mut test = SyncTest::new(&mut main, settings).expect("the manifest keeps its bounds");
    test.peer("another", &mut peer);
    test.viewer(&mut viewer);
    test.run(&mut |_| {})
}

fn fault_of(flaw: Flaw) -> (u32, Fault, String) {
    let failure = test_with([flaw, flaw]).expect_err("it has a flaw");
    let text = failure.to_string();
    (failure.tick, *failure.fault, text)
}

#[test]
fn a_sound_game_passes_and_much_was_tried() {
    let summary = test_with([Flaw::None, Flaw::None]).unwrap();
    assert_eq!(
        (summary.ticks, summary.matches, summary.ended),
        (2_000, 1, 0)
    );
    assert!(
        summary.loads > 30 && summary.rerun_ticks > 300,
        "{summary:?}"
    );
    assert!(summary.views > 30, "{summary:?}");
    assert!(summary.amended > 50 && summary.refused > 50, "{summary:?}");
    assert_eq!((summary.largest_state, summary.most_entities), (5, 1));
    assert!(summary.view_lost.is_empty());
}

#[test]
fn a_match_that_ends_is_followed_by_another() {
    let summary = test_with([Flaw::EndsEarly, Flaw::EndsEarly]).unwrap();
    assert_eq!(
        (summary.ticks, summary.matches, summary.ended),
        (2_000, 20, 20)
    );
}

#[test]
fn state_outside_of_the_save_is_found_with_tick_and_field() {
    let (tick, fault, text) = fault_of(Flaw::LeaksIntoWhatIsSeen);
    let Fault::State { fields, .. } = fault else {
        panic!("{text}");
    };
    assert_eq!((fields[0].entity, &fields[0].field[..]), (7, "sum"));
    assert!((100..=301).contains(&tick), "{text}");
    assert!(text.contains("entity 7 (board): sum is"), "{text}");
}

#[test]
fn what_nobody_sees_is_found_by_its_offset() {
    let (_, fault, text) = fault_of(Flaw::LeaksIntoWhatIsHidden);
    let Fault::State { fields, offset, .. } = fault else {
        panic!("{text}");
    };
    assert!(fields.is_empty());
    assert_eq!(offset, 4);
    assert!(text.contains("at offset 4 of the saved state"), "{text}");
}

#[test]
fn events_that_depend_on_more_than_the_state_are_found() {
    let (_, fault, text) = fault_of(Flaw::LeaksIntoEvents);
    assert!(matches!(fault, Fault::Effects { .. }), "{text}");
    assert!(text.contains("their events"), "{text}");
}

#[test]
fn instances_that_go_their_own_ways_are_found_at_the_first_tick() {
    let failure = test_with([Flaw::OwnWays(0), Flaw::OwnWays(5)]).unwrap_err();
    assert_eq!(failure.tick, 77);
    let Fault::State { between, .. } = &*failure.fault else {
        panic!("{failure}");
    };
    assert_eq!(*between, Between::Peer("another".into()));
}

#[test]
fn a_check_that_changes_the_state_is_found() {
    let (tick, fault, _) = fault_of(Flaw::CheckChanges);
    assert!(tick <= 3, "tick {tick}");
    assert_eq!(fault, Fault::Changed { call: "gs_check" });
}

#[test]
fn events_and_amended_inputs_beyond_the_schema_are_found() {
    let (tick, fault, _) = fault_of(Flaw::BadEvent);
    assert_eq!(tick, 50);
    assert!(matches!(fault, Fault::Event { .. }));
    let (_, fault, text) = fault_of(Flaw::BadAmendment);
    assert!(matches!(fault, Fault::Amended { .. }), "{text}");
    assert!(text.contains("`add` is 4"), "{text}");
}

#[test]
fn a_random_match_keeps_the_schema_and_is_the_same_from_the_same_seed() {
    let manifest = adding(Flaw::None).manifest;
    let schema = Schema::new(&manifest).unwrap();
    let logs = |seed| {
        let mut random = RandomMatch::new(&manifest, 4, seed);
        let logs: Vec<TickLog> = (0..3_000).map(|_| random.next_log()).collect();
        logs
    };
    let played = logs(1);
    assert_eq!(played, logs(1));
    assert_ne!(played, logs(2));
    let mut there = [false; 4];
    let (mut commands, mut joins, mut lags) = (0, 0, 0);
    for log in &played {
        assert_eq!(log.inputs.len(), 4);
        for happening in &log.happenings {
            match &happening.kind {
                HappeningKind::Join { team } => {
                    assert_eq!(*team, happening.slot % 2);
                    joins += 1;
                    there[usize::from(happening.slot)] = true;
                }
                HappeningKind::Leave => there[usize::from(happening.slot)] = false,
                HappeningKind::Command(data) => {
                    schema.validate_command(data).unwrap();
                    commands += 1;
                }
            }
        }
        for (slot, input) in log.inputs.iter().enumerate() {
            if input.status == InputStatus::Absent {
                continue;
            }
            assert!(there[slot], "an input of who is not there");
            schema.validate_input(&input.data).unwrap();
            let lag = log.tick * 256 - input.view_tick;
            assert!(lag <= 15 * 256);
            lags += u32::from(lag > 12 * 256);
        }
    }
    assert_eq!(joins, 4);
    assert!(commands > 100 && lags > 100, "{commands} {lags}");
}

#[test]
fn a_random_match_has_substitutes_where_the_game_takes_them_and_only_there() {
    let mut manifest = adding(Flaw::None).manifest;
    let joins = |manifest: &_| {
        let mut random = RandomMatch::new(manifest, 4, 1);
        let mut joined = [0; 4];
        let mut there = [false; 4];
        for _ in 0..20_000 {
            let log = random.next_log();
            for happening in &log.happenings {
                let slot = usize::from(happening.slot);
                match happening.kind {
                    HappeningKind::Join { .. } => {
                        assert!(!there[slot]);
                        joined[slot] += 1;
                        there[slot] = true;
                    }
                    HappeningKind::Leave => there[slot] = false,
                    HappeningKind::Command(_) => assert!(there[slot]),
                }
            }
            for (slot, input) in log.inputs.iter().enumerate() {
                assert!(there[slot] || input.status == InputStatus::Absent);
            }
        }
        joined
    };
    assert_eq!(joins(&manifest), [1; 4]);
    manifest.backfill = true;
    let with = joins(&manifest);
    assert!(
        with[..2] == [1; 2] && with[2] > 2 && with[3] > 2,
        "{with:?}"
    );
}
