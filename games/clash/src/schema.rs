//! What goes in and comes out.

use game_sdk::prelude::*;

/// What a server may set.
#[derive(Options, Clone, Debug)]
pub struct Rules {
    /// How long a round lasts.
    #[option(default = 60, range = 10..=99)]
    pub round_seconds: u8,
    /// How many rounds win the match.
    #[option(default = 2, range = 1..=5)]
    pub rounds_to_win: u8,
}

/// What a player's device says: the buttons that are held, in one byte.
#[derive(Input, Clone, Copy, Debug, Default, PartialEq)]
pub struct Pad {
    /// A sum of [`Pad::LEFT`] and the others.
    #[field(range = 0..=63)]
    pub buttons: u8,
}

impl Pad {
    /// Walk to the left; with [`RIGHT`](Self::RIGHT), stand.
    pub const LEFT: u8 = 1;
    /// Walk to the right.
    pub const RIGHT: u8 = 2;
    /// Jump, where left or right says.
    pub const JUMP: u8 = 4;
    /// Block, as long as it is held.
    pub const BLOCK: u8 = 8;
    /// A quick punch; while blocking, a throw; in the air, a kick.
    pub const LIGHT: u8 = 16;
    /// A slow, strong kick; in the air, a kick.
    pub const HEAVY: u8 = 32;

    /// These buttons held.
    pub const fn new(buttons: u8) -> Self {
        Self { buttons }
    }
}

/// Players send no commands.
pub type Command = Never;

/// What players are told.
#[derive(Message, Clone, Debug, PartialEq)]
pub enum Event {
    /// A round is about to begin.
    Round {
        /// Which, from 1.
        number: u8,
    },
    /// The round begins.
    Fight {},
    /// An attack took health.
    Hit {
        /// Whose attack.
        #[field(range = 0..=1)]
        by: u8,
        /// Who was hit.
        #[field(range = 0..=1)]
        to: u8,
        /// 0 light, 1 heavy, 2 kick from the air, 3 throw.
        #[field(range = 0..=3)]
        what: u8,
        /// How many hits in a row this is.
        combo: u8,
        /// Where, in millimetres.
        x: i16,
        /// Where, in millimetres.
        y: i16,
    },
    /// An attack was blocked.
    Blocked {
        /// Whose attack.
        #[field(range = 0..=1)]
        by: u8,
        /// Who blocked.
        #[field(range = 0..=1)]
        to: u8,
        /// Where, in millimetres.
        x: i16,
        /// Where, in millimetres.
        y: i16,
    },
    /// Two throws met and neither came through.
    Broken {
        /// Where, in millimetres.
        x: i16,
        /// Where, in millimetres.
        y: i16,
    },
    /// A round is over.
    Won {
        /// The winner's slot; 2 is a draw.
        #[field(range = 0..=2)]
        slot: u8,
        /// Whether the time was up.
        by_time: bool,
        /// Whether the winner was never hurt.
        perfect: bool,
    },
}

/// What players see.
#[derive(Entities, Clone, Debug, PartialEq)]
pub enum Thing {
    /// A fighter. Its id is its slot.
    Fighter {
        /// Middle of the feet, in millimetres from the left.
        #[net(range = 0..=12_000, predict, interpolate = linear)]
        x: i32,
        /// Height of the feet in millimetres.
        #[net(range = 0..=5_000, predict, interpolate = linear)]
        y: i32,
        /// Millimetres a tick.
        #[net(range = -400..=400, predict)]
        vx: i32,
        /// Millimetres a tick, upwards.
        #[net(range = -400..=400, predict)]
        vy: i32,
        /// Whether it looks to the right.
        #[net(predict)]
        right: bool,
        /// What it does: an [`Action`](crate::Action) by number.
        #[net(range = 0..=11, predict)]
        action: u8,
        /// For how many ticks.
        #[net(predict)]
        since: u8,
        /// For how many ticks it can do nothing else.
        #[net(range = 0..=127, predict)]
        stun: u8,
        /// Whether its attack has touched.
        #[net(predict)]
        connected: bool,
        /// Health.
        #[net(range = 0..=100, predict)]
        health: u8,
        /// Rounds won.
        #[net(range = 0..=15, predict)]
        rounds: u8,
        /// Hits that it has taken in a row.
        #[net(predict)]
        combo: u8,
        /// For how many ticks nothing can touch it.
        #[net(range = 0..=63, predict)]
        safe: u8,
        /// Buttons that it holds.
        #[net(range = 0..=63, predict)]
        held: u8,
        /// Buttons that it has pressed, to be used as soon as it can.
        #[net(range = 0..=63, predict)]
        wanted: u8,
        /// For how many ticks more.
        #[net(range = 0..=15, predict)]
        patience: u8,
    },
    /// The state of the round.
    Round {
        /// A [`Phase`](crate::Phase) by number: waiting, ready, fight, over.
        #[net(range = 0..=3)]
        phase: u8,
        /// Which round, from 1.
        #[net(range = 0..=15)]
        number: u8,
        /// Ticks until the phase is over.
        #[net(range = 0..=8191)]
        left: u16,
        /// Ticks for which everything stands still.
        #[net(range = 0..=63)]
        freeze: u8,
        /// Rounds that win the match.
        #[net(range = 1..=5)]
        to_win: u8,
        /// Length of a round.
        #[net(range = 10..=99)]
        seconds: u8,
    },
}
