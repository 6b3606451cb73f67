//! Write the rules of a multiplayer game once; the server and every browser run the same bytes.
//!
//! A game is a type that implements [`Game`]: how a match starts, what one tick does, and what
//! players see. [`export_game!`] turns it into a WebAssembly module. This is a whole one:
//!
//! ```
//! use game_sdk::prelude::*;
//!
//! #[derive(Input, Clone, Default)]
//! struct Stick {
//!     #[field(range = -1.0..=1.0)]
//!     move_x: f32,
//! }
//!
//! #[derive(Message)]
//! enum Told {
//!     Crossed { slot: u8 },
//! }
//!
//! #[derive(Entities)]
//! enum Thing {
//!     Runner {
//!         #[net(range = 0.0..=100.0, step = 0.01, predict)]
//!         x: f32,
//!     },
//! }
//!
//! #[derive(State)]
//! struct Race {
//!     runners: Vec<(Slot, f32)>,
//! }
//!
//! impl Game for Race {
//!     const NAME: &'static str = "race";
//!     const PLAYERS: std::ops::RangeInclusive<u8> = 1..=8;
//!     type Options = ();
//!     type Input = Stick;
//!     type Command = Never;
//!     type Event = Told;
//!     type Entity = Thing;
//!
//!     fn new(_: &Setup<()>, _seed: u64) -> Self {
//!         Self { runners: Vec::new() }
//!     }
//!
//!     fn join(&mut self, slot: Slot, _team: u8, _out: &mut Effects<Told>) {
//!         self.runners.push((slot, 0.0));
//!     }
//!
//!     fn step(&mut self, _tick: Tick, inputs: &Inputs<Stick>, out: &mut Effects<Told>) {
//!         for (slot, x) in &mut self.runners {
//!             *x += inputs.get(*slot).map_or(0.0, |stick| stick.move_x * 10.0 * Self::DT);
//!             *x = x.clamp(0.0, 100.0);
//!             if *x >= 100.0 {
//!                 out.send(Told::Crossed { slot: *slot });
//!                 out.finish(Outcome::Finished, [Standing::new(*slot, 1)]);
//!             }
//!         }
//!     }
//!
//!     fn entities(&self, view: &mut View<Thing>) {
//!         for (slot, x) in &self.runners {
//!             view.put_owned(u32::from(*slot), *slot, Thing::Runner { x: *x });
//!         }
//!     }
//! }
//!
//! game_sdk::export_game!(Race);
//!
//! let mut game = game_sdk::testing::Match::<Race>::new(1);
//! game.hold(0, Stick { move_x: 1.0 });
//! game.run_until(60 * 11, |race| race.runners[0].1 >= 100.0);
//! assert!(game.result().is_some());
//! ```
//!
//! **Determinism.** A step may depend on nothing but the state, the tick, what happened and the
//! inputs. Use [`math`] instead of `f32::sin` and its kin, [`Rng`] for chance, and `Vec` or
//! `BTreeMap` where order matters ([`State`] does not exist for `HashMap`). [`testing::Match`]
//! holds every tick against a second instance restored from a save, and fails where they differ.

mod abi_calls;
mod effects;
mod entities;
mod export;
mod fields;
mod game;
mod inputs;
mod json;
mod manifest;
pub mod math;
mod native;
mod net_values;
mod options;
mod reader;
mod rewind;
mod rng;
mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use effects::{Effects, Standing};
pub use entities::{Entities, Placed, View};
pub use fields::{Input, Message, Never};
pub use game::{Game, LoadViewError, Setup, Verdict};
pub use inputs::Inputs;
pub use native::{Native, native};
pub use options::{OptionError, OptionReader, OptionValue, Options};
pub use reader::Reader;
pub use rewind::{Blend, Rewind};
pub use rng::Rng;
pub use state::State;

pub use game_sdk_macros::{Entities, Input, Message, Options, State};
pub use gs_engine::manifest::LeaderboardRule;
pub use gs_engine::simulation::{
    EventAudience, LogLevel, MatchResult, Outcome, Slot, SlotResult, Tick, TickFraction,
};

/// Everything that a game usually needs: `use game_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Blend, Effects, Entities, Game, Input, Inputs, LeaderboardRule, LoadViewError, Message,
        Never, Options, Outcome, Placed, Rewind, Rng, Setup, Slot, Standing, State, Tick, Verdict,
        View, math,
    };
}

/// What the derives and [`export_game!`] expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi_calls::Exports;
    pub use crate::fields::{FieldValue, PlainField, RangedField, TextField, check_field, field};
    pub use crate::net_values::{
        ColumnReader, FloatNet, IntNet, NetValue, PlainNet, QuatNet, check_net, net_field,
    };
    pub use gs_engine::manifest::{
        Audience, EntityKind, Field, Interpolate, Message as MessageSchema, Predict,
    };
}
