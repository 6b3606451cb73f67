//! The trait that a game implements.

use std::ops::RangeInclusive;

use gs_engine::manifest::LeaderboardRule;
use gs_engine::simulation::{Slot, Tick};

use crate::{Effects, Entities, Input, Inputs, Message, Options, Placed, State, View};

/// A game's rules. The type is the state of one match.
///
/// Only [`NAME`](Self::NAME), [`PLAYERS`](Self::PLAYERS), the types, [`new`](Self::new),
/// [`step`](Self::step) and [`entities`](Self::entities) have to be written. For a type that the
/// game has no use for, write `()` (options, input) or [`Never`](crate::Never) (commands, events,
/// entities).
///
/// Before each step the host's happenings are told in their order, through [`join`](Self::join),
/// [`leave`](Self::leave) and [`command`](Self::command).
pub trait Game: State + 'static {
    /// Short name, 1–32 of `[a-z0-9-]`; rooms, boards and addresses use it.
    const NAME: &'static str;
    /// Name for people, at most 64 bytes.
    const TITLE: &'static str = Self::NAME;
    /// The module's version, for people. `env!("CARGO_PKG_VERSION")` is the crate's.
    const VERSION: &'static str = "0.1.0";
    /// Ticks a second, 1–120.
    const TICK_RATE: u32 = 60;
    /// The length of a tick in seconds.
    const DT: f32 = 1.0 / Self::TICK_RATE as f32;
    /// Fewest and most players of a match, within 1–64.
    const PLAYERS: RangeInclusive<u8>;
    /// Number of teams; 0 means that everyone plays for themselves.
    const TEAMS: u8 = 0;
    /// Whether viewers see different things. It must be true where [`visible`](Self::visible)
    /// hides anything, and is taken as true where a field is owner-only or team-only.
    const HIDDEN_STATE: bool = false;
    /// Whether a slot whose player has left, or that nobody was matched into, may be joined by
    /// another player while the match runs: [`join`](Self::join) is then called for a slot that
    /// [`leave`](Self::leave) was called for before. What the slot scored stays with the slot, for
    /// the result counts for whoever was matched into it first; what belongs to a body (place,
    /// health, timers, what was seen of it) starts anew. Servers ask for substitutes only where
    /// their configuration says so, too.
    const BACKFILL: bool = false;
    /// How long an input may come late and still be rolled in, in milliseconds (0–250).
    const LATE_WINDOW_MS: u32 = 100;
    /// Bound on the saved state, in bytes (at most 16 MiB).
    const MAX_SAVE_BYTES: u32 = 64 << 10;
    /// How the leaderboard keeps a player's scores.
    const LEADERBOARD: LeaderboardRule = LeaderboardRule::Best;

    /// What a server's configuration may set; `()` for nothing.
    type Options: Options;
    /// What a player's device says each tick; `()` for nothing.
    type Input: Input;
    /// What players send now and then, reliably.
    type Command: Message;
    /// What the game tells players.
    type Event: Message;
    /// What players see.
    type Entity: Entities;

    /// The state before the first tick. All chance comes from `seed` (see [`Rng`](crate::Rng)).
    fn new(setup: &Setup<Self::Options>, seed: u64) -> Self;

    /// A player takes part from this tick on. `team` is 0 where there are none.
    /// With [`BACKFILL`](Self::BACKFILL) it may be another one in a slot that was left.
    fn join(&mut self, slot: Slot, team: u8, out: &mut Effects<Self::Event>) {
        let _ = (slot, team, out);
    }

    /// A player has left and does not come back.
    fn leave(&mut self, slot: Slot, out: &mut Effects<Self::Event>) {
        let _ = (slot, out);
    }

    /// A player sent a command.
    fn command(&mut self, slot: Slot, command: Self::Command, out: &mut Effects<Self::Event>) {
        let _ = (slot, command, out);
    }

    /// One tick. Ticks start at 1 and come one by one.
    fn step(&mut self, tick: Tick, inputs: &Inputs<Self::Input>, out: &mut Effects<Self::Event>);

    /// Judges an input before it is used. Its fields are already within their ranges.
    fn check(&self, slot: Slot, input: &Self::Input) -> Verdict<Self::Input> {
        let _ = (slot, input);
        Verdict::Accept
    }

    /// Puts everything that there is to see, for any viewer, into `view`.
    fn entities(&self, view: &mut View<Self::Entity>);

    /// Whether a viewer (`None`: a spectator) may see an entity.
    fn visible(&self, viewer: Option<Slot>, placed: &Placed<Self::Entity>) -> bool {
        let _ = (viewer, placed);
        true
    }

    /// How much an entity matters to a viewer when not everything fits a packet: 0 or more.
    fn priority(&self, viewer: Option<Slot>, placed: &Placed<Self::Entity>) -> f32 {
        let _ = (viewer, placed);
        1.0
    }

    /// The team of a slot, for fields that only its team may see.
    fn team(&self, slot: Slot) -> Option<u8> {
        let _ = slot;
        None
    }

    /// Fills a new match with what one viewer sees, so that stepping it predicts what comes.
    ///
    /// # Errors
    /// [`LoadViewError::Unsupported`] where the game cannot be predicted from a view, which is the
    /// default; [`LoadViewError::Malformed`] where this view cannot be one of this game.
    fn load_view(
        &mut self,
        viewer: Option<Slot>,
        seen: &[Placed<Self::Entity>],
    ) -> Result<(), LoadViewError> {
        let _ = (viewer, seen);
        Err(LoadViewError::Unsupported)
    }
}

/// What a match is started with.
#[derive(Clone, Debug)]
pub struct Setup<O> {
    /// Number of slots that were matched: 0 to `players - 1`.
    pub players: u8,
    /// Number of teams.
    pub teams: u8,
    /// The server's options for this game.
    pub options: O,
}

/// What a game says of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<I> {
    /// Use it.
    Accept,
    /// Use this instead.
    Amend(I),
    /// Do not use it; the reason is for the log.
    Refuse(String),
}

/// Why a view could not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadViewError {
    /// The game does not do that.
    Unsupported,
    /// The entities cannot be those of a match of this game.
    Malformed,
}
