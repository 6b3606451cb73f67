//! What is played, and the bots that play it.

mod bots;
pub mod faulty;
pub mod fog;
pub mod marbles;

use arena::Arena;
use gs_engine::{Simulation, Tick};

pub use bots::{ArenaBot, PushBot};
use fog::Fog;
use marbles::Marbles;

/// A game as the room and the clients run it.
pub type Game = Box<dyn Simulation + Send>;

/// A game with what the harness has to know of it.
pub struct Play {
    /// Its name.
    pub name: &'static str,
    /// Makes an instance.
    pub instance: fn() -> Game,
    /// Its manifest, JSON.
    pub manifest: fn() -> String,
    /// The options of its matches, JSON.
    pub options: &'static str,
    /// Makes a player.
    pub bot: fn(seed: u64) -> Box<dyn Bot>,
    /// The kind of the entity that is a player.
    pub player_kind: u8,
    /// Which value of a player's entity shows its input as soon as that counts.
    pub echo: usize,
    /// The fastest that a player moves, in units a second.
    pub top_speed: f64,
    /// Whether players come back somewhere else. Where own fields run ahead of the others (`full`),
    /// the own place is then another before [`Play::follows`] says so.
    pub respawns: bool,
    /// Whether a player's entity with these values can act and be followed: not while it waits to
    /// come back.
    pub follows: fn(values: &[f64]) -> bool,
}

/// Somebody who plays.
pub trait Bot {
    /// Writes the packed input for a tick.
    fn input(&mut self, tick: Tick, out: &mut Vec<u8>);

    /// A command to send now, packed, on some occasions.
    fn command(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Whether the value at [`Play::echo`] of the last input was another than the one before.
    fn changed_echo(&self) -> bool;
}

/// Cheap and deterministic; what one player does moves the others.
pub static MARBLES: Play = Play {
    name: "marbles",
    instance: || Box::new(game_sdk::native::<Marbles>()),
    manifest: || game_sdk::native::<Marbles>().manifest_json(),
    options: "{}",
    bot: |seed| Box::new(PushBot::new(seed)),
    player_kind: 0,
    echo: 2,
    // Top speed on both axes at once.
    top_speed: marbles::MAX_SPEED as f64 * std::f64::consts::SQRT_2,
    respawns: false,
    follows: |_| true,
};

/// Marbles, with a match that ends by itself.
pub static SHORT_MARBLES: Play = Play {
    options: r#"{"seconds": 8}"#,
    ..MARBLES
};

/// With hidden state.
pub static FOG: Play = Play {
    name: "fog",
    instance: || Box::new(game_sdk::native::<Fog>()),
    manifest: || game_sdk::native::<Fog>().manifest_json(),
    options: "{}",
    bot: |seed| Box::new(PushBot::new(seed)),
    player_kind: 0,
    echo: 2,
    top_speed: fog::SPEED as f64 * std::f64::consts::SQRT_2,
    respawns: false,
    follows: |_| true,
};

/// The game that ships.
pub static ARENA: Play = Play {
    name: "arena",
    instance: || Box::new(game_sdk::native::<Arena>()),
    manifest: || game_sdk::native::<Arena>().manifest_json(),
    options: r#"{"match_seconds": 3600, "score_limit": 255}"#,
    bot: |seed| Box::new(ArenaBot::new(seed)),
    player_kind: 0,
    echo: 2,
    // A dash.
    top_speed: 24.0,
    respawns: true,
    // Alive and not just back.
    follows: |values| values[5] == 1.0 && values[6] == 0.0,
};
