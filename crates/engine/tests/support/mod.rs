//! A small native game: players push themselves about on a line and may shout.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod world;

use gs_engine::manifest::{
    Audience, EntityKind, Field, FieldKind, Interpolate, LeaderboardRule, Manifest, Message,
    NetField, NetFieldKind, Predict,
};
use gs_engine::simulation::{
    Effects, Entity, EventAudience, GameEvent, HappeningKind, InputStatus, MatchConfig,
    MatchResult, NetState, Outcome, Simulation, SimulationError, Slot, SlotResult, TickLog,
    Verdict,
};

pub(crate) struct Pushers {
    manifest: Manifest,
    state: State,
}

#[derive(Clone, Default)]
struct State {
    tick: u32,
    random: u64,
    places: Vec<i32>,
    present: Vec<u8>,
}

/// A push of this much is amended to 5.
pub(crate) const AMENDED: i8 = 50;
/// A push of this much is refused.
pub(crate) const REFUSED: i8 = 51;
/// A push of this much is amended to something against the schema.
pub(crate) const AMENDED_BADLY: i8 = 52;
/// At this tick the game ends.
pub(crate) const LAST_TICK: u32 = 1000;

impl Pushers {
    pub(crate) fn new() -> Self {
        Self {
            manifest: manifest(),
            state: State::default(),
        }
    }

    /// One that takes substitutes.
    #[allow(dead_code, reason = "not every test has substitutes")]
    pub(crate) fn with_backfill() -> Self {
        let mut this = Self::new();
        this.manifest.backfill = true;
        this
    }
}

impl Simulation for Pushers {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        let players = usize::from(config.players);
        self.state = State {
            tick: 0,
            random: seed,
            places: vec![0; players],
            present: vec![0; players],
        };
        Ok(())
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        effects.clear();
        let state = &mut self.state;
        state.tick = log.tick;
        for happening in &log.happenings {
            let slot = usize::from(happening.slot);
            match &happening.kind {
                HappeningKind::Join { team } => state.present[slot] = 1 + team,
                HappeningKind::Leave => state.present[slot] = 0,
                HappeningKind::Command(data) => {
                    effects.events.push(GameEvent {
                        to: EventAudience::All,
                        data: data.clone(),
                    });
                }
            }
        }
        for (place, input) in state.places.iter_mut().zip(&log.inputs) {
            state.random = state
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if input.status != InputStatus::Absent {
                let wind = (state.random >> 62) as i32;
                *place = (*place + i32::from(input.data[0] as i8) + wind).clamp(-1000, 1000);
            }
        }
        if log.tick == LAST_TICK {
            let slots = state
                .places
                .iter()
                .enumerate()
                .map(|(slot, place)| SlotResult {
                    slot: slot as Slot,
                    placement: 1,
                    team: None,
                    score: *place,
                    statistics: vec![],
                });
            let slots = slots.collect();
            effects.result = Some(MatchResult {
                outcome: Outcome::Finished,
                slots,
            });
        }
        Ok(())
    }

    fn check(&mut self, _slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        Ok(match input[0] as i8 {
            AMENDED => Verdict::Amend(vec![5]),
            REFUSED => Verdict::Refuse("too strong".into()),
            AMENDED_BADLY => Verdict::Amend(vec![120]),
            _ => Verdict::Accept,
        })
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        out.clear();
        out.extend_from_slice(&self.state.tick.to_le_bytes());
        out.extend_from_slice(&self.state.random.to_le_bytes());
        for (place, present) in self.state.places.iter().zip(&self.state.present) {
            out.extend_from_slice(&place.to_le_bytes());
            out.push(*present);
        }
        Ok(())
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), SimulationError> {
        let (head, players) = bytes.split_at(12);
        self.state.tick = u32::from_le_bytes(head[..4].try_into().unwrap());
        self.state.random = u64::from_le_bytes(head[4..].try_into().unwrap());
        self.state.places.clear();
        self.state.present.clear();
        for player in players.chunks_exact(5) {
            self.state
                .places
                .push(i32::from_le_bytes(player[..4].try_into().unwrap()));
            self.state.present.push(player[4]);
        }
        Ok(())
    }

    fn net_state(&mut self, _: Option<Slot>, out: &mut NetState) -> Result<(), SimulationError> {
        out.clear();
        for (slot, place) in self.state.places.iter().enumerate() {
            out.entities.push(Entity {
                id: slot as u32,
                kind: 0,
                owner: Some(slot as Slot),
                priority: 1.0,
                first_column: slot as u32,
                column_count: 1,
            });
            out.columns.push(*place);
        }
        Ok(())
    }

    fn load_view(&mut self, _: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        self.state.places.clone_from(&view.columns);
        Ok(())
    }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        name: "pushers".into(),
        version: "1.0.0".into(),
        title: "Pushers".into(),
        tick_rate: 60,
        min_players: 1,
        max_players: 8,
        teams: 0,
        hidden_state: false,
        backfill: false,
        late_window_ms: 100,
        max_save_bytes: 1024,
        leaderboard: LeaderboardRule::Best,
        input: vec![field(
            "push",
            FieldKind::I8 {
                min: -100,
                max: 100,
            },
        )],
        commands: vec![message(
            "shout",
            vec![field("text", FieldKind::Text { max: 4096 })],
        )],
        events: vec![message(
            "shouted",
            vec![field("text", FieldKind::Text { max: 20 })],
        )],
        entities: vec![EntityKind {
            name: "pusher".into(),
            fields: vec![net_field(
                "place",
                NetFieldKind::Int {
                    min: -1000,
                    max: 1000,
                },
            )],
        }],
    }
}

pub(crate) fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.into(),
        kind,
    }
}

pub(crate) fn message(name: &str, fields: Vec<Field>) -> Message {
    Message {
        name: name.into(),
        fields,
    }
}

pub(crate) fn net_field(name: &str, kind: NetFieldKind) -> NetField {
    NetField {
        name: name.into(),
        kind,
        interpolate: Interpolate::None,
        predict: Predict::None,
        audience: Audience::All,
    }
}

/// A command with this text.
pub(crate) fn shout(text: &str) -> Vec<u8> {
    let mut data = vec![0];
    data.extend_from_slice(&(text.len() as u16).to_le_bytes());
    data.extend_from_slice(text.as_bytes());
    data
}
