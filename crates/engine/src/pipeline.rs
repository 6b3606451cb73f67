//! One match, tick by tick: what players send becomes the tick log, the log becomes effects and
//! the next state.
//!
//! The caller owns the clock. It hands in packets as they come, calls [`Pipeline::begin_tick`] once
//! for each tick of real time and then [`Pipeline::advance`] until that answers `None`, and sends
//! on what it answers. What a match does depends on nothing but the arguments of these calls and
//! their order, so a recorded [`TickLog`] replays it to the bit. Once the buffers have grown to
//! their size, a tick allocates nothing here.
//!
//! # When a tick runs
//! Without a late window a tick runs when the clock comes to it, with whatever has arrived; what
//! comes later rolls forward. [With one](Pipeline::with_late_window) it runs once it is
//! *confirmed*: when the input of every slot whose inputs flow is in, or when the window has closed
//! by the clock. It then never changes any more. So the server steps each tick exactly once and has
//! nothing to take back; only clients predict and roll back.

mod history;
mod slot;

pub use history::{KEPT_TICKS, Keyframe};
pub use slot::{Presence, SlotStatus};

use std::collections::VecDeque;

use crate::abi::MAX_HAPPENINGS;
use crate::confirmed::{self, ConfirmedTick, MAX_TICK_BYTES, state_hash};
use crate::input_buffer::{Admission, LateFrames, Moment};
use crate::manifest::Manifest;
use crate::schema::{FieldError, ManifestError, Schema};
use crate::simulation::{
    Effects, EventAudience, Happening, HappeningKind, InputStatus, MatchConfig, MatchResult,
    NetState, Simulation, SimulationError, Slot, SlotInput, Tick, TickFraction, TickLog, Verdict,
};
use history::History;
use slot::SlotState;

/// The tick pipeline of one match over any [`Simulation`].
pub struct Pipeline<S> {
    simulation: S,
    schema: Schema,
    config: MatchConfig,
    seed: u64,
    tick_rate: u32,
    clock: Tick,
    tick: Tick,
    slots: Vec<SlotState>,
    pending: VecDeque<Happening>,
    confirming: Option<Confirming>,
    log: TickLog,
    effects: Effects,
    refusals: Vec<(Slot, String)>,
    result: Option<MatchResult>,
    failure: Option<SimulationError>,
    save: Vec<u8>,
}

/// What a pipeline with a late window has besides.
struct Confirming {
    /// Ticks.
    late_window: u32,
    /// Most bytes of happenings in one tick.
    happening_bytes: usize,
    history: History,
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
            .map(|_| SlotState::new(schema.input_len(), LateFrames::RollForward))
            .collect();
        let mut log = TickLog::default();
        log.inputs.resize_with(slots.len(), SlotInput::default);
        Ok(Self {
            simulation,
            schema,
            config,
            seed,
            tick_rate,
            clock: 0,
            tick: 0,
            slots,
            pending: VecDeque::new(),
            confirming: None,
            log,
            effects: Effects::default(),
            refusals: Vec::new(),
            result: None,
            failure: None,
            save: Vec::new(),
        })
    }

    /// Confirms ticks, waiting `ticks` of the clock (at most [`MAX_LATE_WINDOW`]) for inputs that
    /// come late, and keeps what clients need to follow. To be called before the first tick.
    ///
    /// # Errors
    /// [`StartError`] where the game hides state from players, who would all get all of it, or does
    /// not save its state.
    pub fn with_late_window(mut self, ticks: u32) -> Result<Self, StartError> {
        if self.simulation.manifest().hidden_state {
            return Err(StartError::HiddenState);
        }
        let players = self.slots.len();
        self.slots.clear();
        self.slots.resize_with(players, || {
            SlotState::new(self.schema.input_len(), LateFrames::Drop)
        });
        let mut history = History::default();
        history.keep_state(0, &mut self.simulation)?;
        let inputs = confirmed::tick_bytes(&self.schema, players);
        self.confirming = Some(Confirming {
            late_window: ticks.min(MAX_LATE_WINDOW),
            happening_bytes: MAX_TICK_BYTES - inputs,
            history,
        });
        Ok(self)
    }

    /// Takes an input frame of `tick`. `since` is the time since the clock's tick began, in 1/256
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
        let now = Moment {
            clock: self.clock,
            ran: self.tick,
            since,
        };
        present(&mut self.slots, slot)?;
        let state = &mut self.slots[usize::from(slot)];
        if let Err(error) = self.schema.validate_input(data) {
            state.inputs.count_refused();
            return Err(Refusal::Input(error));
        }
        Ok(state.inputs.insert(tick, data, now))
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

    /// Lets a player take part from the next tick on: where the manifest says `backfill`, also in a
    /// slot that another player has left, whose inputs are forgotten.
    ///
    /// # Errors
    /// [`Refusal`] for a slot or team that does not exist, a slot that takes part already, or one
    /// that was left and may not be joined again.
    pub fn handle_join(&mut self, slot: Slot, team: u8) -> Result<(), Refusal> {
        let (teams, backfill) = (self.config.teams, self.simulation.manifest().backfill);
        let state = find(&mut self.slots, slot)?;
        if team >= teams.max(1) {
            return Err(Refusal::NoSuchTeam { team, teams });
        }
        match state.presence {
            Presence::Expected => state.presence = Presence::Present,
            Presence::Present => return Err(Refusal::AlreadyJoined { slot }),
            Presence::Gone if backfill => {
                // Commands of the earlier player that wait for a tick come before its leave, and
                // go on counting.
                state.inputs.reset();
                state.presence = Presence::Present;
            }
            Presence::Gone => return Err(Refusal::Gone { slot }),
        }
        self.pending.push_back(Happening {
            slot,
            kind: HappeningKind::Join { team },
        });
        Ok(())
    }

    /// Takes a player out; it does not come back, though another one may join in its slot.
    ///
    /// # Errors
    /// [`Refusal`] for a slot that does not take part.
    pub fn handle_leave(&mut self, slot: Slot) -> Result<(), Refusal> {
        present(&mut self.slots, slot)?.presence = Presence::Gone;
        self.pending.push_back(Happening {
            slot,
            kind: HappeningKind::Leave,
        });
        Ok(())
    }

    /// Takes a command for the next tick to run; where ticks are confirmed, for a later one if that
    /// one has no room left.
    ///
    /// # Errors
    /// [`Refusal`] for a slot that does not take part, data against the schema, more than
    /// [`MAX_COMMANDS_PER_TICK`] or [`MAX_COMMAND_BYTES_PER_TICK`] that wait, or one that no
    /// confirmed tick has room for.
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
        let kind = HappeningKind::Command(data.to_vec());
        if let Some(confirming) = &self.confirming {
            let (bytes, most) = (
                confirmed::happening_bytes(&kind),
                confirming.happening_bytes,
            );
            if bytes > most {
                return Err(Refusal::CommandTooLarge { bytes, most });
            }
        }
        state.commands += 1;
        state.command_bytes = bytes;
        self.pending.push_back(Happening { slot, kind });
        Ok(())
    }

    /// The clock comes to the next tick.
    pub fn begin_tick(&mut self) {
        self.clock = self.clock.saturating_add(1);
    }

    /// Runs the next tick if it may run, and answers what it did; to be called until there is
    /// `None`. After the match has a result, nothing runs any more.
    ///
    /// # Errors
    /// [`SimulationError`] where the game failed or broke its own schema; the match is then over,
    /// and every later call answers the same.
    pub fn advance(&mut self) -> Result<Option<&Effects>, SimulationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.result.is_some() || !self.may_run() {
            return Ok(None);
        }
        match self.run_tick() {
            Ok(()) => Ok(Some(&self.effects)),
            Err(error) => {
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Whether the next tick is due, and confirmed where that is asked for.
    fn may_run(&self) -> bool {
        if self.tick >= self.clock {
            return false;
        }
        let Some(confirming) = &self.confirming else {
            return true;
        };
        let (tick, clock) = (self.tick + 1, self.clock);
        clock - tick >= confirming.late_window
            || self.slots.iter().all(|slot| {
                slot.presence != Presence::Present
                    || slot.inputs.has(tick)
                    || !slot.inputs.waits(clock, self.tick_rate)
            })
    }

    fn run_tick(&mut self) -> Result<(), SimulationError> {
        let tick = self.tick + 1;
        self.log.tick = tick;
        self.take_happenings();
        self.refusals.clear();
        for slot in 0..self.slots.len() {
            self.choose_input(slot, tick)?;
        }
        self.simulation.step(&self.log, &mut self.effects)?;
        self.check_effects()?;
        self.result.clone_from(&self.effects.result);
        self.tick = tick;
        if let Some(confirming) = &mut self.confirming {
            let hash = if tick.is_multiple_of(confirmed::HASH_EVERY) {
                Some(confirming.history.keep_state(tick, &mut self.simulation)?)
            } else {
                None
            };
            confirming.history.push(&self.log, hash);
        }
        Ok(())
    }

    /// Moves what waits into the log, in order: all of it, or where ticks are confirmed as much as
    /// fits one.
    fn take_happenings(&mut self) {
        let most = self.confirming.as_ref().map(|c| c.happening_bytes);
        let mut bytes = 0;
        self.log.happenings.clear();
        while let Some(next) = self.pending.front() {
            bytes += confirmed::happening_bytes(&next.kind);
            if most.is_some_and(|most| bytes > most) || self.log.happenings.len() >= MAX_HAPPENINGS
            {
                return;
            }
            if let HappeningKind::Command(data) = &next.kind {
                let slot = &mut self.slots[usize::from(next.slot)];
                slot.commands -= 1;
                slot.command_bytes -= data.len();
            }
            self.log.happenings.extend(self.pending.pop_front());
        }
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
        let fresh = state.inputs.take_fresh(tick, &mut entry.data);
        state.inputs.note_punctual(fresh);
        if fresh {
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
        entry.view_tick = match self.confirming {
            Some(_) => confirmed::view_tick(tick),
            None => state.inputs.view_at(tick, self.tick_rate),
        };
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

    /// The tick that the clock says; never less than [`tick`](Self::tick), and more by at most the
    /// late window.
    pub fn clock(&self) -> Tick {
        self.clock
    }

    /// A tick that was confirmed, of which the last [`KEPT_TICKS`] are kept; none without a late
    /// window.
    pub fn confirmed(&self, tick: Tick) -> Option<&ConfirmedTick> {
        self.confirming.as_ref()?.history.get(tick)
    }

    /// The confirmed ticks from `first` on, up to the newest; none where `first` is not kept any
    /// more, or not confirmed yet.
    pub fn confirmed_from(&self, first: Tick) -> impl Iterator<Item = &ConfirmedTick> + Clone {
        (first..=self.tick).map_while(|tick| self.confirmed(tick))
    }

    /// The oldest confirmed tick that is kept; 0 for none.
    pub fn oldest_confirmed(&self) -> Tick {
        match self.confirming {
            Some(_) if self.tick > 0 => (self.tick + 1).saturating_sub(KEPT_TICKS as u32).max(1),
            _ => 0,
        }
    }

    /// The newest state that was kept with its hash: that of the newest tick that
    /// [`HASH_EVERY`](confirmed::HASH_EVERY) divides, 0 at the start. None without a late window.
    pub fn keyframe(&self) -> Option<Keyframe<'_>> {
        self.confirming.as_ref()?.history.newest_keyframe()
    }

    /// The state after a tick, if it is one of the last two that were kept.
    pub fn keyframe_at(&self, tick: Tick) -> Option<Keyframe<'_>> {
        self.confirming.as_ref()?.history.keyframe_at(tick)
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

    /// Writes what a viewer (`None`: a spectator) sees after the last tick.
    ///
    /// # Errors
    /// [`SimulationError`] where the game fails.
    pub fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        self.simulation.net_state(viewer, out)
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
        self.save().map(state_hash)
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
    /// The slot's player has left.
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
    /// More commands of a slot than may wait for a tick.
    #[error("more than {commands} commands or {bytes} bytes of them for one tick; send fewer")]
    TooManyCommands {
        /// How many commands a tick takes from a slot.
        commands: usize,
        /// How many bytes of commands a tick takes from a slot.
        bytes: usize,
    },
    /// A command that leaves no room for the inputs of a confirmed tick.
    #[error("a command that takes {bytes} bytes, at most {most} fit beside a tick's inputs")]
    CommandTooLarge {
        /// How many it takes.
        bytes: usize,
        /// How many there are.
        most: usize,
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
    /// The game hides state, but everybody would have all of it.
    #[error("the game hides state from players; play it in the authority mode \"full\"")]
    HiddenState,
    /// The game failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// Most commands of one slot for one tick: far beyond what a person does, and what
/// [`MAX_HAPPENINGS`](crate::abi::MAX_HAPPENINGS) counts on.
pub const MAX_COMMANDS_PER_TICK: usize = 16;
/// Most bytes of commands of one slot for one tick: with 64 slots a tick log stays near 1 MiB.
pub const MAX_COMMAND_BYTES_PER_TICK: usize = 16 << 10;
/// Longest late window in ticks: 250 ms, the most that a manifest may ask for, at 120 ticks.
pub const MAX_LATE_WINDOW: u32 = 30;
