//! What a game is to the host: a deterministic step from a tick log, and views of its state.

use crate::manifest::Manifest;

/// Number of a simulation step; the state after step `n` is "the state of tick `n`". Ticks start
/// at 1, so that 0 can mean "none yet".
pub type Tick = u32;

/// A player's place in a match, 0–63, which never changes within it.
pub type Slot = u8;

/// A moment between ticks, in 1/256 ticks.
pub type TickFraction = u32;

/// A game as the host runs it: a WebAssembly module, or Rust linked natively.
///
/// Every method that fails with [`SimulationError::Trapped`] or [`SimulationError::Overran`] leaves
/// the simulation unusable: the host ends the match with the reason.
pub trait Simulation {
    /// What the game says of itself.
    fn manifest(&self) -> &Manifest;

    /// Starts a match, forgetting any earlier one.
    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError>;

    /// Runs one tick from the log alone. `effects` is cleared first.
    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError>;

    /// Judges an input that already satisfies the schema. Changes nothing.
    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError>;

    /// Writes the canonical state. `out` is cleared first.
    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError>;

    /// Takes back a canonical state.
    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError>;

    /// Writes the net state that a viewer may see (`None`: a spectator). `out` is cleared first.
    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError>;

    /// Builds, from the net state that one viewer sees, a state that can be stepped to predict.
    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError>;
}

impl<S: Simulation + ?Sized> Simulation for Box<S> {
    fn manifest(&self) -> &Manifest {
        (**self).manifest()
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        (**self).init(seed, config)
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        (**self).step(log, effects)
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        (**self).check(slot, input)
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        (**self).save(out)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        (**self).load(state)
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        (**self).net_state(viewer, out)
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        (**self).load_view(viewer, view)
    }
}

/// What a match is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchConfig {
    /// Number of slots that were matched.
    pub players: u8,
    /// Number of teams.
    pub teams: u8,
    /// The game's own options, a JSON object.
    pub options: String,
}

/// All that a step may depend on, besides the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickLog {
    /// The tick to run.
    pub tick: Tick,
    /// Joins, leaves and commands in the order in which the host accepted them.
    pub happenings: Vec<Happening>,
    /// Inputs, one a slot, ascending by slot.
    pub inputs: Vec<SlotInput>,
}

/// Something that happened to a slot before a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Whom it concerns.
    pub slot: Slot,
    /// What it was.
    pub kind: HappeningKind,
}

/// What happened to a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum HappeningKind {
    /// The player takes part from this tick on.
    Join {
        /// Its team; 0 where there are none.
        team: u8,
    },
    /// The player does not come back.
    Leave,
    /// A command that satisfies the schema: its index and fields.
    Command(Vec<u8>),
}

/// A slot's input for a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlotInput {
    /// Whether there is an input, and whether it is new.
    pub status: InputStatus,
    /// What the player was looking at, clamped by the host; 0 where absent.
    pub view_tick: TickFraction,
    /// The packed fields; empty where absent.
    pub data: Vec<u8>,
}

/// Where a slot's input for a tick comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputStatus {
    /// There is none.
    #[default]
    Absent,
    /// The last one again: nothing newer arrived in time.
    Repeated,
    /// One that was not used before.
    Fresh,
}

/// What a step did besides changing the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// What players are told.
    pub events: Vec<GameEvent>,
    /// Lines for the log.
    pub log: Vec<LogLine>,
    /// Ends the match.
    pub result: Option<MatchResult>,
}

impl Effects {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.log.clear();
        self.result = None;
    }
}

/// An event for players: its index and fields, by the module's event schema.
#[derive(Clone, Debug, PartialEq)]
pub struct GameEvent {
    /// Who is told.
    pub to: EventAudience,
    /// Index and fields.
    pub data: Vec<u8>,
}

/// Who is told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAudience {
    /// Everyone, spectators too.
    All,
    /// One slot.
    Slot(Slot),
    /// One team.
    Team(u8),
}

/// A line that a game writes to the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// Text, at most 65,535 bytes.
    pub text: String,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something is odd.
    Warn,
    /// Something happened.
    Info,
    /// For the game's developer.
    Debug,
}

/// How a match ended.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchResult {
    /// Whether it counts.
    pub outcome: Outcome,
    /// One entry a slot that took part, ascending by slot.
    pub slots: Vec<SlotResult>,
}

/// Whether a result counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Played to its end.
    Finished,
    /// Too few players were left; it counts for those who left as the game's placements say.
    Abandoned,
    /// It counts for nobody.
    Void,
}

/// How a match ended for one slot.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotResult {
    /// Whose.
    pub slot: Slot,
    /// 1 is best; equal placements are a draw.
    pub placement: u8,
    /// Its team, where there are teams.
    pub team: Option<u8>,
    /// What the leaderboard keeps.
    pub score: i32,
    /// Named integers that add up over matches, at most 16.
    pub statistics: Vec<(String, i32)>,
}

/// What a game says of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Use it.
    Accept,
    /// Use this instead.
    Amend(Vec<u8>),
    /// Do not use it; the reason is for the log.
    Refuse(String),
}

/// What a viewer may see: a table of entities, ascending by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetState {
    /// One row an entity.
    pub entities: Vec<Entity>,
    /// The columns of all entities, one after another.
    pub columns: Vec<i32>,
}

impl NetState {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.entities.clear();
        self.columns.clear();
    }

    /// The columns of one entity.
    pub fn columns_of(&self, entity: &Entity) -> &[i32] {
        &self.columns[entity.first_column as usize..][..entity.column_count as usize]
    }
}

/// One entity of a [`NetState`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entity {
    /// Unique within the match.
    pub id: u32,
    /// Index of its kind in the manifest.
    pub kind: u8,
    /// The slot that it belongs to.
    pub owner: Option<Slot>,
    /// How much it matters to this viewer; finite and not negative.
    pub priority: f32,
    /// Where its columns start in [`NetState::columns`].
    pub first_column: u32,
    /// How many columns it has.
    pub column_count: u8,
}

/// Why a simulation could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// The module trapped; the text is its panic's, or the trap's name.
    #[error("the game module stopped in `{call}`: {reason}")]
    Trapped {
        /// The exported function.
        call: &'static str,
        /// What it said.
        reason: String,
    },
    /// The module did not come back in time.
    #[error("the game module took longer than {limit_ms} ms in `{call}`")]
    Overran {
        /// The exported function.
        call: &'static str,
        /// The limit that it passed, in milliseconds.
        limit_ms: u64,
    },
    /// The module answered with bytes that do not follow the ABI.
    #[error("the game module answered `{call}` with malformed bytes: {reason}")]
    Malformed {
        /// The exported function.
        call: &'static str,
        /// What was expected.
        reason: String,
    },
    /// What was to be passed to the module does not fit the ABI.
    #[error("`{call}` cannot be called: {reason}")]
    Unencodable {
        /// The exported function.
        call: &'static str,
        /// What was expected.
        reason: String,
    },
    /// The match's options are not what a module takes.
    #[error("the game's options are refused: {reason}")]
    Options {
        /// What is wrong with them.
        reason: String,
    },
    /// The module refused what it was given.
    #[error("the game module refused `{call}` with code {code}")]
    Refused {
        /// The exported function.
        call: &'static str,
        /// The module's code, negative.
        code: i32,
    },
}
