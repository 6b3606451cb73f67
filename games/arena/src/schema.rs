//! What goes in and comes out.

use game_sdk::prelude::*;

/// What a server may set.
#[derive(Options, Clone, Debug)]
pub struct Rules {
    /// How long a match lasts.
    #[option(default = 120, range = 10..=3600)]
    pub match_seconds: u16,
    /// How many kills win at once.
    #[option(default = 10, range = 1..=255)]
    pub score_limit: u8,
}

/// What a player's device says.
#[derive(Input, Clone, Debug, Default, PartialEq)]
pub struct Stick {
    /// Where to go; together with `move_y` at most 1 long counts.
    #[field(range = -1.0..=1.0)]
    pub move_x: f32,
    /// Where to go, down.
    #[field(range = -1.0..=1.0)]
    pub move_y: f32,
    /// Where to shoot, in radians.
    #[field(range = -3.2..=3.2)]
    pub aim: f32,
    /// Shoot as often as the weapon can.
    pub fire: bool,
    /// Dash as soon as it is ready.
    pub dash: bool,
}

/// Players send no commands.
pub type Command = Never;

/// What players are told.
#[derive(Message, Clone, Debug, PartialEq)]
pub enum Event {
    /// A bullet took health.
    Hit {
        /// The shooter's slot.
        by: u8,
        /// The slot that was hit.
        to: u8,
        /// How much health it cost.
        damage: u8,
    },
    /// A player is down.
    Kill {
        /// The shooter's slot.
        by: u8,
        /// The slot that is down.
        victim: u8,
    },
    /// A player is in the arena, for the first time or again.
    Spawn {
        /// Its slot.
        slot: u8,
    },
    /// A player took a pickup.
    Picked {
        /// Its slot.
        slot: u8,
        /// 0 health, 1 rapid fire.
        what: u8,
    },
    /// Ten seconds are left.
    LastSeconds {},
}

/// What players see.
#[derive(Entities, Clone, Debug, PartialEq)]
pub enum Thing {
    /// A player, also while it waits to come back.
    Player {
        /// Centre.
        #[net(range = 0.0..=40.0, step = 0.01, predict)]
        x: f32,
        /// Centre.
        #[net(range = 0.0..=24.0, step = 0.01, predict)]
        y: f32,
        /// Where it aims.
        #[net(angle, bits = 10, predict)]
        aim: f32,
        /// Health.
        #[net(range = 0..=100)]
        health: u8,
        /// Kills.
        score: u8,
        /// Whether it is in the game now.
        alive: bool,
        /// Whether it has just come back and cannot be hurt.
        shielded: bool,
        /// Whether it shoots faster.
        rapid: bool,
        /// How far the dash has recovered, in percent.
        #[net(range = 0..=100, predict)]
        dash: u8,
        /// Velocity in units a second, for prediction.
        #[net(range = -24.0..=24.0, step = 0.05, predict, interpolate = none)]
        vx: f32,
        /// Velocity in units a second, for prediction.
        #[net(range = -24.0..=24.0, step = 0.05, predict, interpolate = none)]
        vy: f32,
    },
    /// A bullet in the air.
    Bullet {
        /// Centre.
        #[net(range = 0.0..=40.0, step = 0.02)]
        x: f32,
        /// Centre.
        #[net(range = 0.0..=24.0, step = 0.02)]
        y: f32,
        /// Where it flies.
        #[net(angle, bits = 8)]
        heading: f32,
    },
    /// A wall.
    Wall {
        /// Left.
        #[net(range = 0.0..=40.0, step = 0.1)]
        x: f32,
        /// Top.
        #[net(range = 0.0..=40.0, step = 0.1)]
        y: f32,
        /// Width.
        #[net(range = 0.0..=40.0, step = 0.1)]
        w: f32,
        /// Height.
        #[net(range = 0.0..=40.0, step = 0.1)]
        h: f32,
    },
    /// The state of the match.
    Clock {
        /// Seconds left, rounded up.
        #[net(range = 0..=3600)]
        seconds: u16,
        /// Kills that win.
        limit: u8,
    },
    /// Something to collect.
    Pickup {
        /// Centre.
        #[net(range = 0.0..=40.0, step = 0.1)]
        x: f32,
        /// Centre.
        #[net(range = 0.0..=40.0, step = 0.1)]
        y: f32,
        /// 0 health, 1 rapid fire.
        #[net(range = 0..=2)]
        what: u8,
    },
}
