//! A small game: it counts who joined and left, and does what commands tell it.

use std::sync::{Arc, Mutex};

use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Manifest, Message,
    NetField, NetFieldKind, Predict,
};
use gs_engine::simulation::{
    Effects, Entity, EventAudience, GameEvent, HappeningKind, LogLevel, LogLine, MatchConfig,
    MatchResult, NetState, Outcome, Simulation, SimulationError, Slot, SlotResult, TickLog,
    Verdict,
};

/// Commands, by the value of their only field.
pub(super) const FINISH: u8 = 1;
pub(super) const TRAP: u8 = 2;
pub(super) const HANG_ON: u8 = 3;
pub(super) const WHISPER_TO_0: u8 = 4;
pub(super) const SHOUT: u8 = 5;

/// Who joined and left, for the test to see.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) joins: Vec<Slot>,
    pub(super) leaves: Vec<Slot>,
}

pub(super) struct Game {
    manifest: Manifest,
    pub(super) journal: Arc<Mutex<Journal>>,
    hang_on: bool,
    entities: u32,
    /// Lines to log in each step, and whether there is no net state once the match is over.
    log_lines: u64,
    fails_at_end: bool,
    /// What a save is filled up to.
    save_bytes: usize,
    over: bool,
}

impl Game {
    pub(super) const NAME: &str = "counter";

    pub(super) fn new(hidden_state: bool, journal: Arc<Mutex<Journal>>) -> Self {
        let field = |name: &str, kind| Field {
            name: name.to_owned(),
            kind,
        };
        let column = NetField {
            name: "n".to_owned(),
            kind: NetFieldKind::Int {
                min: i32::MIN,
                max: i32::MAX,
            },
            interpolate: Interpolate::None,
            predict: Predict::None,
            audience: Audience::All,
        };
        let byte = |max| vec![field("what", FieldKind::U8 { min: 0, max })];
        let manifest = Manifest {
            name: Self::NAME.to_owned(),
            version: "1".to_owned(),
            title: "Counter".to_owned(),
            tick_rate: 60,
            min_players: 1,
            max_players: 64,
            teams: 0,
            hidden_state,
            backfill: false,
            late_window_ms: 100,
            max_save_bytes: 1 << 20,
            leaderboard: LeaderboardRule::Best,
            input: vec![field(
                "x",
                FieldKind::F32 {
                    min: -1.0,
                    max: 1.0,
                },
            )],
            commands: vec![Message {
                name: "do".to_owned(),
                fields: byte(9),
            }],
            events: vec![Message {
                name: "said".to_owned(),
                fields: byte(255),
            }],
            entities: vec![EntityKind {
                name: "thing".to_owned(),
                fields: vec![column],
            }],
        };
        Self {
            manifest,
            journal,
            hang_on: false,
            entities: 3,
            log_lines: 0,
            fails_at_end: false,
            save_bytes: 0,
            over: false,
        }
    }

    /// Lets owners predict a field.
    pub(super) fn predict(&mut self) {
        self.manifest.entities[0].fields[0].predict = Predict::Owner;
    }

    /// Lets another player come into a slot that was left.
    pub(super) fn take_substitutes(mut self) -> Self {
        self.manifest.backfill = true;
        self
    }

    fn result(&self, outcome: Outcome) -> MatchResult {
        let journal = self.journal.lock().unwrap();
        let mut joined: Vec<Slot> = Vec::new();
        for slot in &journal.joins {
            if !joined.contains(slot) {
                joined.push(*slot);
            }
        }
        let slots = joined.iter().enumerate().map(|(index, slot)| SlotResult {
            slot: *slot,
            placement: index as u8 + 1,
            team: None,
            score: 10,
            statistics: vec![("joins".to_owned(), 1)],
        });
        MatchResult {
            outcome,
            slots: slots.collect(),
        }
    }
}

impl Simulation for Game {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, _: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        let options: serde_json::Value = serde_json::from_str(&config.options).unwrap();
        self.entities = options["entities"].as_u64().unwrap_or(3) as u32;
        self.log_lines = options["log_lines"].as_u64().unwrap_or(0);
        self.fails_at_end = options["fails_at_end"].as_bool().unwrap_or(false);
        self.save_bytes = options["save_bytes"].as_u64().unwrap_or(0) as usize;
        Ok(())
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        effects.clear();
        for line in 0..self.log_lines {
            effects.log.push(LogLine {
                level: LogLevel::Info,
                text: format!("line {line}"),
            });
        }
        for happening in &log.happenings {
            match &happening.kind {
                HappeningKind::Join { .. } => {
                    self.journal.lock().unwrap().joins.push(happening.slot)
                }
                HappeningKind::Leave => self.journal.lock().unwrap().leaves.push(happening.slot),
                HappeningKind::Command(command) => match command[1] {
                    FINISH => effects.result = Some(self.result(Outcome::Finished)),
                    TRAP => {
                        let reason = "the bug".to_owned();
                        return Err(SimulationError::Trapped {
                            call: "gs_step",
                            reason,
                        });
                    }
                    HANG_ON => self.hang_on = true,
                    WHISPER_TO_0 => effects.events.push(GameEvent {
                        to: EventAudience::Slot(0),
                        data: vec![0, 42],
                    }),
                    SHOUT => effects.events.push(GameEvent {
                        to: EventAudience::All,
                        data: vec![0, 43],
                    }),
                    _ => {}
                },
            }
        }
        let all_left = {
            let journal = self.journal.lock().unwrap();
            !journal.joins.is_empty() && journal.leaves.len() == journal.joins.len()
        };
        if all_left && !self.hang_on {
            effects.result = Some(self.result(Outcome::Abandoned));
        }
        self.over = effects.result.is_some();
        Ok(())
    }

    fn check(&mut self, _: Slot, _: &[u8]) -> Result<Verdict, SimulationError> {
        Ok(Verdict::Accept)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        out.clear();
        out.extend_from_slice(&self.journal.lock().unwrap().joins);
        out.resize(out.len().max(self.save_bytes), 7);
        Ok(())
    }

    fn load(&mut self, _: &[u8]) -> Result<(), SimulationError> {
        Err(SimulationError::Refused {
            call: "gs_load",
            code: -3,
        })
    }

    fn net_state(&mut self, _: Option<Slot>, out: &mut NetState) -> Result<(), SimulationError> {
        out.clear();
        if self.over && self.fails_at_end {
            return Err(SimulationError::Trapped {
                call: "gs_net_state",
                reason: "nothing is left".to_owned(),
            });
        }
        for id in 0..self.entities {
            out.columns.push(id as i32);
            out.entities.push(Entity {
                id,
                kind: 0,
                owner: None,
                priority: 1.0,
                first_column: id,
                column_count: 1,
            });
        }
        Ok(())
    }

    fn load_view(&mut self, _: Option<Slot>, _: &NetState) -> Result<(), SimulationError> {
        Err(SimulationError::Refused {
            call: "gs_load_view",
            code: -3,
        })
    }
}
