//! One match, tick by tick: what players send becomes the tick log, the log becomes effects and
//! the next state.
//!
//! The caller owns the clock. It hands in packets as they come, calls [`Pipeline::advance`] once
//! for each tick, and sends on what that answers. What a match does depends on nothing but the
//! arguments of these calls and their order, so a recorded [`TickLog`] replays it to the bit.
//! Once the buffers have grown to their size, a tick allocates nothing here.

mod slot;

pub use slot::{Presence, SlotStatus};

use crate::input_buffer::Admission;
use crate::manifest::Manifest;
use crate::schema::{FieldError, ManifestError, Schema};
use crate::simulation::{
    Effects, EventAudience, Happening, HappeningKind, InputStatus, MatchConfig, MatchResult,
    NetState, Simulation, SimulationError, Slot, SlotInput, Tick, TickFraction, TickLog, Verdict,
};
use crate::snapshot::{SnapshotEncoder, SnapshotPart, SnapshotParts, WholeSnapshot};
use slot::SlotState;

/// The tick pipeline of one match over any [`Simulation`].
pub struct Pipeline<S> {
    simulation: S,
    schema: Schema,
    config: MatchConfig,
    seed: u64,
    tick_rate: u32,
    tick: Tick,
    slots: Vec<SlotState>,
    pending: Vec<Happening>,
    log: TickLog,
    effects: Effects,
    refusals: Vec<(Slot, String)>,
    result: Option<MatchResult>,
    failure: Option<SimulationError>,
    encoder: Box<dyn SnapshotEncoder + Send>,
    net_state: NetState,
    parts: SnapshotParts,
    save: Vec<u8>,
}

impl<S: Simulation> Pipeline<S> {
    /// Starts a match at tick 0.
    ///
    /// # Errors
    /// [`StartError`] where the manifest or the configuration breaks its bounds, or the game does
    /// not start.
    pub fn new(mut simulation: S, config: MatchConfig, seed: u64) -> Result<Self, StartError> {
        let manifest = simulation.manifest();
        let schema = Schema::new(manifest)?;
        let (players, min, max) = (config.players, manifest.min_players, manifest.max_players);
        if !(min..=max).contains(&players) {
            return Err(StartError::Players { players, min, max });
        }
        if config.teams != manifest.teams {
            return Err(StartError::Teams {
                found: config.teams,
                expected: manifest.teams,
            });
        }
        let tick_rate = manifest.tick_rate;
        simulation.init(seed, &config)?;
        let slots: Vec<SlotState> = (0..players)
            .map(|_| SlotState::new(schema.input_len()))
            .collect();
        let mut log = TickLog::default();
        log.inputs.resize_with(slots.len(), SlotInput::default);
        Ok(Self {
            simulation,
            schema,
            config,
            seed,
            tick_rate,
            tick: 0,
            slots,
            pending: Vec::new(),
            log,
            effects: Effects::default(),
            refusals: Vec::new(),
            result: None,
            failure: None,
            encoder: Box::new(WholeSnapshot::default()),
            net_state: NetState::default(),
            parts: SnapshotParts::default(),
            save: Vec::new(),
        })
    }

    /// Uses another snapshot codec than [`WholeSnapshot`].
    pub fn with_encoder(mut self, encoder: impl SnapshotEncoder + Send + 'static) -> Self {
        self.encoder = Box::new(encoder);
        self
    }

    /// Takes an input frame of `tick`. `since` is the time since the last tick ran, in 1/256
    /// ticks. Duplicates and any order are harmless.
    ///
    /// # Errors
    /// [`Refusal`] for a slot that does not take part, or data against the schema.
    pub fn handle_frame(
        &mut self,
        slot: Slot,
        tick: Tick,
        data: &[u8],
        since: TickFraction,
    ) -> Result<Admission, Refusal> {
        let simulated = self.tick;
        present(&mut self.slots, slot)?;
        let state = &mut self.slots[usize::from(slot)];
        if let Err(error) = self.schema.validate_input(data) {
            state.inputs.count_refused();
            return Err(Refusal::Input(error));
        }
        Ok(state.inputs.insert(tick, data, simulated, since))
    }

    /// Notes what a player looks at, in 1/256 ticks; 0 says nothing. It is clamped when it is used.
    ///
    /// # Errors
    /// [`Refusal`] for a slot that does not take part.
    pub fn handle_view(&mut self, slot: Slot, view_tick: TickFraction) -> Result<(), Refusal> {
        present(&mut self.slots, slot)?
            .inputs
            .handle_view(view_tick);
        Ok(())
    }

    /// Lets a player take part from the next tick on.
    ///
    /// # Errors
    /// [`Refusal`] for a slot or team that does not exist, or a slot that joined or left before.
    pub fn handle_join(&mut self, slot: Slot, team: u8) -> Result<(), Refusal> {
        let teams = self.config.teams;
        let state = find(&mut self.slots, slot)?;
        if team >= teams.max(1) {
            return Err(Refusal::NoSuchTeam { team, teams });
        }
        match state.presence {
            Presence::Expected => state.presence = Presence::Present,
            Presence::Present => return Err(Refusal::AlreadyJoined { slot }),
            Presence::Gone => return Err(Refusal::Gone { slot }),
        }
        self.pending.push(Happening {
            slot,
            kind: HappeningKind::Join { team },
        });
        Ok(())
    }

    /// Takes a player out for good.
    ///
    /// # Errors
    /// [`Refusal`] for a slot that does not take part.
    pub fn handle_leave(&mut self, slot: Slot) -> Result<(), Refusal> {
        present(&mut self.slots, slot)?.presence = Presence::Gone;
        self.pending.push(Happening {
            slot,
            kind: HappeningKind::Leave,
        });
        Ok(())
    }

    /// Takes a command for the next tick.
    ///
    /// # Errors
    /// [`Refusal`] for a slot that does not take part, data against the schema, or more than
    /// [`MAX_COMMANDS_PER_TICK`] or [`MAX_COMMAND_BYTES_PER_TICK`].
    pub fn handle_command(&mut self, slot: Slot, data: &[u8]) -> Result<(), Refusal> {
        let state = present(&mut self.slots, slot)?;
        let bytes = state.command_bytes + data.len();
        if state.commands >= MAX_COMMANDS_PER_TICK || bytes > MAX_COMMAND_BYTES_PER_TICK {
            return Err(Refusal::TooManyCommands {
                commands: MAX_COMMANDS_PER_TICK,
                bytes: MAX_COMMAND_BYTES_PER_TICK,
            });
        }
        self.schema
            .validate_command(data)
            .map_err(Refusal::Command)?;
        state.commands += 1;
        state.command_bytes = bytes;
        self.pending.push(Happening {
            slot,
            kind: HappeningKind::Command(data.to_vec()),
        });
        Ok(())
    }

    /// Runs exactly one tick and answers what it did. After the match has a result, it runs
    /// nothing and answers empty effects.
    ///
    /// # Errors
    /// [`SimulationError`] where the game failed or broke its own schema; the match is then over,
    /// and every later call answers the same.
    pub fn advance(&mut self) -> Result<&Effects, SimulationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.result.is_some() {
            self.effects.clear();
            return Ok(&self.effects);
        }
        match self.run_tick() {
            Ok(()) => Ok(&self.effects),
            Err(error) => {
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    fn run_tick(&mut self) -> Result<(), SimulationError> {
        let tick = self.tick + 1;
        self.log.tick = tick;
        self.log.happenings.clear();
        std::mem::swap(&mut self.log.happenings, &mut self.pending);
        self.refusals.clear();
        for slot in 0..self.slots.len() {
            self.slots[slot].commands = 0;
            self.slots[slot].command_bytes = 0;
            self.choose_input(slot, tick)?;
        }
        self.simulation.step(&self.log, &mut self.effects)?;
        self.check_effects()?;
        self.result.clone_from(&self.effects.result);
        self.tick = tick;
        Ok(())
    }

    /// Fills in the log's entry for one slot: its new input as the game accepts it, its last one
    /// again, or none.
    fn choose_input(&mut self, slot: usize, tick: Tick) -> Result<(), SimulationError> {
        let state = &mut self.slots[slot];
        let entry = &mut self.log.inputs[slot];
        entry.status = InputStatus::Absent;
        entry.view_tick = 0;
        entry.data.clear();
        if state.presence != Presence::Present {
            return Ok(());
        }
        if state.inputs.take_fresh(tick, &mut entry.data) {
            match self.simulation.check(slot as Slot, &entry.data)? {
                Verdict::Accept => entry.status = InputStatus::Fresh,
                Verdict::Amend(amended) => {
                    self.schema.validate_input(&amended).map_err(|error| {
                        let reason = format!("amended input: {error}");
                        SimulationError::Malformed {
                            call: "gs_check",
                            reason,
                        }
                    })?;
                    entry.data.clone_from(&amended);
                    entry.status = InputStatus::Fresh;
                    state.inputs.count_amended();
                }
                Verdict::Refuse(reason) => {
                    state.inputs.count_refused();
                    self.refusals.push((slot as Slot, reason));
                }
            }
        }
        if entry.status == InputStatus::Fresh {
            state.inputs.applied(&entry.data);
        } else if state.inputs.repeat(&mut entry.data) {
            entry.status = InputStatus::Repeated;
        } else {
            return Ok(());
        }
        entry.view_tick = state.inputs.view_at(tick, self.tick_rate);
        Ok(())
    }

    /// Holds what a step answered against the schema and the match.
    fn check_effects(&self) -> Result<(), SimulationError> {
        let malformed = |reason| {
            Err(SimulationError::Malformed {
                call: "gs_step",
                reason,
            })
        };
        let (players, teams) = (self.config.players, self.config.teams);
        for (index, event) in self.effects.events.iter().enumerate() {
            if let Err(error) = self.schema.validate_event(&event.data) {
                return malformed(format!("event {index}: {error}"));
            }
            match event.to {
                EventAudience::Slot(slot) if slot >= players => {
                    return malformed(format!("event {index} is for slot {slot} of {players}"));
                }
                EventAudience::Team(team) if team >= teams => {
                    return malformed(format!("event {index} is for team {team} of {teams}"));
                }
                _ => {}
            }
        }
        for entry in self.effects.result.iter().flat_map(|result| &result.slots) {
            if entry.slot >= players {
                return malformed(format!("the result has slot {} of {players}", entry.slot));
            }
            if let Some(team) = entry.team.filter(|team| *team >= teams) {
                return malformed(format!("the result has team {team} of {teams}"));
            }
        }
        Ok(())
    }

    /// The last tick that ran; 0 before the first.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// What the last tick ran on, for recorders.
    pub fn tick_log(&self) -> &TickLog {
        &self.log
    }

    /// Inputs that the game refused in the last tick, with its reasons.
    pub fn refusals(&self) -> &[(Slot, String)] {
        &self.refusals
    }

    /// How the match ended, once it has.
    pub fn result(&self) -> Option<&MatchResult> {
        self.result.as_ref()
    }

    /// What is known of a slot's inputs; `None` for a slot that the match does not have.
    pub fn slot_status(&self, slot: Slot) -> Option<SlotStatus> {
        self.slots
            .get(usize::from(slot))
            .map(|state| state.status(slot))
    }

    /// What a viewer (`None`: a spectator) sees after the last tick, in parts for one packet each.
    ///
    /// # Errors
    /// [`SimulationError`] where the game fails or its net state breaks its own schema.
    pub fn snapshot(&mut self, viewer: Option<Slot>) -> Result<&[SnapshotPart], SimulationError> {
        self.simulation.net_state(viewer, &mut self.net_state)?;
        self.encoder
            .encode(
                &self.schema,
                self.tick,
                viewer,
                &self.net_state,
                &mut self.parts,
            )
            .map_err(|error| SimulationError::Malformed {
                call: "gs_net_state",
                reason: error.to_string(),
            })?;
        Ok(self.parts.as_slice())
    }

    /// The canonical state after the last tick.
    ///
    /// # Errors
    /// [`SimulationError`] where the game fails to save.
    pub fn save(&mut self) -> Result<&[u8], SimulationError> {
        self.simulation.save(&mut self.save)?;
        Ok(&self.save)
    }

    /// A hash of the canonical state, to compare two runs by; not for use against an adversary.
    ///
    /// # Errors
    /// [`SimulationError`] where the game fails to save.
    pub fn state_hash(&mut self) -> Result<u64, SimulationError> {
        self.save().map(fnv1a)
    }

    /// The game's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.simulation.manifest()
    }

    /// The game's schemas.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What the match was started with.
    pub fn config(&self) -> &MatchConfig {
        &self.config
    }

    /// The seed that the match was started with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Gives the simulation back.
    pub fn into_simulation(self) -> S {
        self.simulation
    }
}

fn find(slots: &mut [SlotState], slot: Slot) -> Result<&mut SlotState, Refusal> {
    let players = slots.len();
    slots
        .get_mut(usize::from(slot))
        .ok_or(Refusal::NoSuchSlot { slot, players })
}

fn present(slots: &mut [SlotState], slot: Slot) -> Result<&mut SlotState, Refusal> {
    let state = find(slots, slot)?;
    match state.presence {
        Presence::Present => Ok(state),
        Presence::Expected => Err(Refusal::NotJoined { slot }),
        Presence::Gone => Err(Refusal::Gone { slot }),
    }
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Why something that came in was not taken. It changes nothing for the match.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The match has no such slot.
    #[error("slot {slot}, expected one below {players}")]
    NoSuchSlot {
        /// The slot.
        slot: Slot,
        /// How many the match has.
        players: usize,
    },
    /// The match has no such team.
    #[error("team {team}, but the match has {teams} teams (with none, everyone is in team 0)")]
    NoSuchTeam {
        /// The team.
        team: u8,
        /// How many the match has.
        teams: u8,
    },
    /// The slot has joined before.
    #[error("slot {slot} takes part already")]
    AlreadyJoined {
        /// The slot.
        slot: Slot,
    },
    /// The slot has not joined yet.
    #[error("slot {slot} has not joined")]
    NotJoined {
        /// The slot.
        slot: Slot,
    },
    /// The slot has left for good.
    #[error("slot {slot} has left the match")]
    Gone {
        /// The slot.
        slot: Slot,
    },
    /// An input against the schema.
    #[error("input: {0}")]
    Input(FieldError),
    /// A command against the schema.
    #[error("command: {0}")]
    Command(FieldError),
    /// More commands than a slot may send for one tick.
    #[error("more than {commands} commands or {bytes} bytes of them for one tick; send fewer")]
    TooManyCommands {
        /// How many commands a tick takes from a slot.
        commands: usize,
        /// How many bytes of commands a tick takes from a slot.
        bytes: usize,
    },
}

/// Why a match does not start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The manifest breaks a bound.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// More or fewer players than the game takes.
    #[error("a match for {players} players, but the game takes {min} to {max}")]
    Players {
        /// How many were matched.
        players: u8,
        /// Fewest.
        min: u8,
        /// Most.
        max: u8,
    },
    /// Another number of teams than the game has.
    #[error("a match of {found} teams, but the game has {expected}")]
    Teams {
        /// How many were asked for.
        found: u8,
        /// How many the game has.
        expected: u8,
    },
    /// The game failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// Most commands of one slot for one tick: far beyond what a person does, and what
/// [`MAX_HAPPENINGS`](crate::abi::MAX_HAPPENINGS) counts on.
pub const MAX_COMMANDS_PER_TICK: usize = 16;
/// Most bytes of commands of one slot for one tick: with 64 slots a tick log stays near 1 MiB.
pub const MAX_COMMAND_BYTES_PER_TICK: usize = 16 << 10;
