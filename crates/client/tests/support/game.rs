//! A small native game: runners on a line, each pushed along by its player, and a little by all
//! the others.

use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Manifest, Message,
    NetField, NetFieldKind, Predict,
};
use gs_engine::simulation::{
    Effects, Entity, EventAudience, GameEvent, HappeningKind, InputStatus, MatchConfig, NetState,
    Simulation, SimulationError, Slot, TickLog, Verdict,
};

pub(crate) struct Runners {
    manifest: Manifest,
    /// In hundredths; whether it takes part.
    runners: Vec<(i32, u8)>,
    random: u64,
    tick: u32,
    /// The tick from which the first runner is a step off.
    pub(crate) skew_at: Option<u32>,
    /// The tick at which it stops.
    pub(crate) fails_at: Option<u32>,
    /// Whether no step succeeds.
    pub(crate) traps: bool,
    /// Steps that were simulated.
    pub(crate) steps: u64,
    /// Whether a view can be loaded.
    pub(crate) loads_views: bool,
}

pub(crate) const MANIFEST: &str = r#"{"abi":1,"name":"runners","version":"1.0.0","title":"Runners",
"tick_rate":60,"players":{"min":1,"max":8},"teams":0,"hidden_state":false,"late_window_ms":100,
"max_save_bytes":1024,"leaderboard":{"rule":"best"},
"input":[{"name":"push","type":"i8","min":-100,"max":100},{"name":"shout","type":"bool"}],
"commands":[],"events":[{"name":"shouted","fields":[{"name":"slot","type":"u8"}]}],
"entities":[{"name":"runner","fields":[
{"name":"x","type":"range","min":-1000,"max":1000,"precision":0.01,"predict":"owner"},
{"name":"steps","type":"int","min":0,"max":1000000}]}]}"#;

pub(crate) fn manifest() -> Manifest {
    let push = FieldKind::I8 {
        min: -100,
        max: 100,
    };
    let field = |name: &str, kind| Field {
        name: name.into(),
        kind,
    };
    Manifest {
        name: "runners".into(),
        version: "1.0.0".into(),
        title: "Runners".into(),
        tick_rate: 60,
        min_players: 1,
        max_players: 8,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 100,
        max_save_bytes: 1024,
        leaderboard: LeaderboardRule::Best,
        input: vec![field("push", push), field("shout", FieldKind::Bool)],
        commands: vec![],
        events: vec![Message {
            name: "shouted".into(),
            fields: vec![field("slot", FieldKind::U8 { min: 0, max: 255 })],
        }],
        entities: vec![EntityKind {
            name: "runner".into(),
            fields: vec![
                NetField {
                    name: "x".into(),
                    kind: NetFieldKind::Range {
                        min: -1000.0,
                        max: 1000.0,
                        precision: 0.01,
                    },
                    interpolate: Interpolate::Linear,
                    predict: Predict::Owner,
                    audience: Audience::All,
                },
                NetField {
                    name: "steps".into(),
                    kind: NetFieldKind::Int {
                        min: 0,
                        max: 1_000_000,
                    },
                    interpolate: Interpolate::None,
                    predict: Predict::None,
                    audience: Audience::All,
                },
            ],
        }],
    }
}

pub(crate) fn input(push: i8, shout: bool) -> [u8; 2] {
    [push.clamp(-100, 100) as u8, u8::from(shout)]
}

impl Runners {
    pub(crate) fn new() -> Self {
        Self {
            manifest: manifest(),
            runners: Vec::new(),
            random: 0,
            tick: 0,
            skew_at: None,
            fails_at: None,
            traps: false,
            steps: 0,
            loads_views: true,
        }
    }

    /// Where a runner is.
    pub(crate) fn x(&self, slot: usize) -> f64 {
        f64::from(self.runners[slot].0) / 100.0
    }
}

impl Simulation for Runners {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        self.runners = vec![(0, 0); config.players.into()];
        self.random = seed;
        self.tick = 0;
        Ok(())
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        effects.clear();
        if self.traps || self.fails_at == Some(log.tick) {
            return Err(SimulationError::Trapped {
                call: "gs_step",
                reason: "out of luck".into(),
            });
        }
        self.tick = log.tick;
        self.steps += 1;
        for happening in &log.happenings {
            let runner = &mut self.runners[usize::from(happening.slot)];
            match happening.kind {
                HappeningKind::Join { .. } => runner.1 = 1,
                HappeningKind::Leave => runner.1 = 0,
                HappeningKind::Command(_) => {}
            }
        }
        let mut crowd = 0;
        for (slot, input) in log.inputs.iter().enumerate() {
            if input.status == InputStatus::Absent || self.runners[slot].1 == 0 {
                continue;
            }
            let push = i32::from(input.data[0] as i8);
            self.runners[slot].0 += push / 4;
            crowd += push / 20;
            if input.data[1] == 1 && input.status == InputStatus::Fresh {
                effects.events.push(GameEvent {
                    to: EventAudience::All,
                    data: vec![0, slot as u8],
                });
            }
        }
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        for runner in &mut self.runners {
            runner.0 = (runner.0 + crowd).clamp(-100_000, 100_000);
        }
        if self.skew_at == Some(log.tick) {
            self.runners[0].0 += 1;
        }
        Ok(())
    }

    fn check(&mut self, _slot: Slot, _input: &[u8]) -> Result<Verdict, SimulationError> {
        Ok(Verdict::Accept)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        out.clear();
        out.extend_from_slice(&self.tick.to_le_bytes());
        out.extend_from_slice(&self.random.to_le_bytes());
        for (x, present) in &self.runners {
            out.extend_from_slice(&x.to_le_bytes());
            out.push(*present);
        }
        Ok(())
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        let whole = state.split_at_checked(12);
        let players = self.runners.len();
        let Some((head, runners)) = whole.filter(|(_, rest)| rest.len() == players * 5) else {
            return Err(SimulationError::Refused {
                call: "gs_load",
                code: -1,
            });
        };
        self.tick = u32::from_le_bytes(head[..4].try_into().unwrap());
        self.random = u64::from_le_bytes(head[4..].try_into().unwrap());
        self.runners.clear();
        self.runners.extend(runners.chunks_exact(5).map(|runner| {
            (
                i32::from_le_bytes(runner[..4].try_into().unwrap()),
                runner[4],
            )
        }));
        Ok(())
    }

    fn net_state(&mut self, _: Option<Slot>, out: &mut NetState) -> Result<(), SimulationError> {
        out.clear();
        for (slot, (x, present)) in self.runners.iter().enumerate() {
            if *present == 0 {
                continue;
            }
            out.entities.push(Entity {
                id: slot as u32,
                kind: 0,
                owner: Some(slot as Slot),
                priority: 1.0,
                first_column: out.columns.len() as u32,
                column_count: 2,
            });
            out.columns.extend([x + 100_000, self.tick as i32]);
        }
        Ok(())
    }

    fn load_view(&mut self, _: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        if !self.loads_views {
            return Err(SimulationError::Refused {
                call: "gs_load_view",
                code: -3,
            });
        }
        for runner in &mut self.runners {
            runner.1 = 0;
        }
        for entity in &view.entities {
            let columns = view.columns_of(entity);
            self.runners[entity.id as usize] = (columns[0] - 100_000, 1);
            self.tick = columns[1] as u32;
        }
        Ok(())
    }
}
