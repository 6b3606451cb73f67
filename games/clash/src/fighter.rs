//! One fighter: buttons, actions and how it moves.

use game_sdk::prelude::*;

use crate::moves::{HEAVY, KICK, LIGHT, Move, THROW};
use crate::schema::{Pad, Thing};

/// What a fighter does.
#[derive(State, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stands or walks.
    Stand,
    /// Is in the air by its own jump.
    Air,
    /// Comes down from a jump.
    Land,
    /// Holds its guard up.
    Block,
    /// Attacks: a quick punch.
    Light,
    /// Attacks: a strong kick.
    Heavy,
    /// Attacks from the air.
    Kick,
    /// Tries to throw.
    Throw,
    /// Staggers from a hit.
    Hurt,
    /// Holds against an attack that it blocked.
    Guard,
    /// Is thrown through the air.
    Fall,
    /// Lies on the floor.
    Down,
}

impl Action {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Stand,
        Self::Air,
        Self::Land,
        Self::Block,
        Self::Light,
        Self::Heavy,
        Self::Kick,
        Self::Throw,
        Self::Hurt,
        Self::Guard,
        Self::Fall,
        Self::Down,
    ];

    /// The attack that this is.
    pub fn attack(self) -> Option<&'static Move> {
        match self {
            Self::Light => Some(&LIGHT),
            Self::Heavy => Some(&HEAVY),
            Self::Kick => Some(&KICK),
            Self::Throw => Some(&THROW),
            _ => None,
        }
    }
}

/// A fighter. Distances are in millimetres, durations in ticks.
#[derive(State, Clone, Debug, PartialEq)]
pub struct Fighter {
    /// Its place in the match.
    pub slot: Slot,
    /// Whether its player has come.
    pub joined: bool,
    /// Whether its player has left.
    pub gone: bool,
    /// Middle of the feet.
    pub x: i32,
    /// Height of the feet.
    pub y: i32,
    /// Millimetres a tick.
    pub vx: i32,
    /// Millimetres a tick, upwards.
    pub vy: i32,
    /// Whether it looks to the right.
    pub right: bool,
    /// What it does.
    pub action: Action,
    /// For how long.
    pub since: u8,
    /// For how long it can do nothing else.
    pub stun: u8,
    /// Whether its attack has touched.
    pub connected: bool,
    /// 0 when it is beaten.
    pub health: u8,
    /// Rounds won.
    pub rounds: u8,
    /// Hits that it has taken in a row.
    pub combo: u8,
    /// For how long nothing can touch it.
    pub safe: u8,
    held: u8,
    wanted: u8,
    patience: u8,
    /// Attacks of its own that hit.
    pub hits: u16,
    /// Attacks that it blocked.
    pub blocks: u16,
    /// Throws that came through.
    pub throws: u16,
    /// Health that it has taken.
    pub damage: u16,
    /// Most of its hits in a row.
    pub best_combo: u8,
}

impl Fighter {
    pub(crate) fn new(slot: Slot) -> Self {
        Self {
            slot,
            joined: false,
            gone: false,
            x: START_X[usize::from(slot) % 2],
            y: 0,
            vx: 0,
            vy: 0,
            right: slot == 0,
            action: Action::Stand,
            since: 0,
            stun: 0,
            connected: false,
            health: FULL_HEALTH,
            rounds: 0,
            combo: 0,
            safe: 0,
            held: 0,
            wanted: 0,
            patience: 0,
            hits: 0,
            blocks: 0,
            throws: 0,
            damage: 0,
            best_combo: 0,
        }
    }

    /// Back to its place with full health; rounds and figures stay.
    pub(crate) fn start_round(&mut self) {
        let fresh = Self::new(self.slot);
        *self = Self {
            joined: self.joined,
            gone: self.gone,
            held: self.held,
            rounds: self.rounds,
            hits: self.hits,
            blocks: self.blocks,
            throws: self.throws,
            damage: self.damage,
            best_combo: self.best_combo,
            ..fresh
        };
    }

    /// 1 where it looks to the right, else -1.
    pub fn facing(&self) -> i32 {
        if self.right { 1 } else { -1 }
    }

    /// Whether it stands on the floor.
    pub fn is_grounded(&self) -> bool {
        self.y == 0 && self.action != Action::Fall
    }

    /// Whether it holds the direction away from where it looks.
    pub(crate) fn holds_back(&self) -> bool {
        let back = if self.right { Pad::LEFT } else { Pad::RIGHT };
        self.held & back != 0
    }

    /// Takes the buttons of a tick. A press is remembered for a moment, so that one that comes a
    /// little early counts as well; while everything stands still the moment does not pass.
    pub(crate) fn read(&mut self, pad: Pad, still: bool) {
        let pressed = pad.buttons & !self.held & (Pad::JUMP | Pad::LIGHT | Pad::HEAVY);
        self.held = pad.buttons;
        if pressed != 0 {
            self.wanted = pressed;
            self.patience = PATIENCE;
        } else if !still {
            self.patience = self.patience.saturating_sub(1);
            if self.patience == 0 {
                self.wanted = 0;
            }
        }
    }

    /// Acts and moves. `other` is where the other stands; `fights` says whether buttons count.
    pub(crate) fn tick(&mut self, other: i32, fights: bool) {
        self.since = self.since.saturating_add(1);
        self.safe = self.safe.saturating_sub(1);
        self.end_action();
        if self.is_free() {
            if other != self.x {
                self.right = other > self.x;
            }
            if fights {
                self.act();
            } else {
                self.begin(Action::Stand);
                self.vx = 0;
            }
        } else if fights && self.action == Action::Air && self.wants(Pad::LIGHT | Pad::HEAVY) {
            self.begin(Action::Kick);
        } else if fights && self.action == Action::Light && self.connected {
            // What follows a hit without a pause is a combination.
            self.attack();
        }
        self.advance();
    }

    pub(crate) fn begin(&mut self, action: Action) {
        if self.action != action || action.attack().is_some() {
            self.since = 0;
        }
        self.action = action;
        self.connected = false;
        self.stun = 0;
    }

    /// As [`begin`](Self::begin), for what lasts so long, whatever was before.
    pub(crate) fn suffer(&mut self, action: Action, stun: u8) {
        self.begin(action);
        self.since = 0;
        self.stun = stun;
    }

    pub(crate) fn thing(&self) -> Thing {
        Thing::Fighter {
            x: self.x,
            y: self.y,
            vx: self.vx,
            vy: self.vy,
            right: self.right,
            action: self.action as u8,
            since: self.since,
            stun: self.stun,
            connected: self.connected,
            health: self.health,
            rounds: self.rounds,
            combo: self.combo,
            safe: self.safe,
            held: self.held,
            wanted: self.wanted,
            patience: self.patience,
        }
    }

    /// All of a fighter but its figures for the result.
    pub(crate) fn from_thing(slot: Slot, thing: &Thing) -> Option<Self> {
        let Thing::Fighter {
            x,
            y,
            vx,
            vy,
            right,
            action,
            since,
            stun,
            connected,
            health,
            rounds,
            combo,
            safe,
            held,
            wanted,
            patience,
        } = *thing
        else {
            return None;
        };
        Some(Self {
            joined: true,
            x,
            y,
            vx,
            vy,
            right,
            action: *Action::ALL.get(usize::from(action))?,
            since,
            stun,
            connected,
            health,
            rounds,
            combo,
            safe,
            held,
            wanted,
            patience,
            ..Self::new(slot)
        })
    }

    fn end_action(&mut self) {
        match self.action {
            Action::Light | Action::Heavy | Action::Throw => {
                if self
                    .action
                    .attack()
                    .is_some_and(|m| self.since >= m.ticks())
                {
                    self.begin(Action::Stand);
                }
            }
            Action::Hurt | Action::Guard | Action::Land | Action::Down => {
                // Who is beaten stays where they lie.
                if self.health == 0 {
                    return;
                }
                self.stun = self.stun.saturating_sub(1);
                if self.stun == 0 {
                    if self.action == Action::Down {
                        self.safe = WAKE_UP;
                    }
                    self.combo = 0;
                    self.begin(Action::Stand);
                }
            }
            Action::Stand | Action::Air | Action::Block | Action::Kick | Action::Fall => {}
        }
    }

    fn is_free(&self) -> bool {
        matches!(self.action, Action::Stand | Action::Block)
    }

    fn act(&mut self) {
        if self.attack() {
            return;
        }
        let right = i32::from(self.held & Pad::RIGHT != 0);
        let direction = right - i32::from(self.held & Pad::LEFT != 0);
        let speed = if direction == self.facing() {
            FORWARD
        } else {
            BACKWARD
        };
        if self.wants(Pad::JUMP) {
            self.begin(Action::Air);
            self.vx = direction * speed;
            self.vy = JUMP;
        } else if self.held & Pad::BLOCK != 0 {
            self.begin(Action::Block);
            self.vx = 0;
        } else {
            self.begin(Action::Stand);
            self.vx = direction * speed;
        }
    }

    /// Starts the attack that is wanted, if one is.
    fn attack(&mut self) -> bool {
        let action = if self.wanted & Pad::LIGHT != 0 && self.held & Pad::BLOCK != 0 {
            Action::Throw
        } else if self.wanted & Pad::LIGHT != 0 {
            Action::Light
        } else if self.wanted & Pad::HEAVY != 0 {
            Action::Heavy
        } else {
            return false;
        };
        self.wanted = 0;
        // Where a punch follows a punch, what the first gave to its attacker's speed stays: at a
        // wall each carries it away, until the next does not reach.
        if !(self.action == Action::Light && action == Action::Light) {
            self.vx = self.facing() * action.attack().map_or(0, |attack| attack.lunge);
        }
        self.begin(action);
        true
    }

    fn wants(&mut self, buttons: u8) -> bool {
        let wanted = self.wanted & buttons != 0;
        if wanted {
            self.wanted = 0;
        }
        wanted
    }

    fn advance(&mut self) {
        let flies = matches!(self.action, Action::Air | Action::Kick | Action::Fall);
        if flies {
            self.vy -= GRAVITY;
            self.y = (self.y + self.vy).min(CEILING);
            if self.y <= 0 {
                self.y = 0;
                self.vy = 0;
                match self.action {
                    Action::Fall => self.suffer(Action::Down, DOWN),
                    Action::Kick => self.suffer(Action::Land, HARD_LANDING),
                    _ => self.suffer(Action::Land, LANDING),
                }
            }
        } else if self.action != Action::Stand {
            self.vx -= self.vx.signum() * FRICTION.min(self.vx.abs());
        }
        self.x = (self.x + self.vx).clamp(LEFT_WALL, RIGHT_WALL);
    }
}

/// What a round begins with.
pub(crate) const FULL_HEALTH: u8 = 100;
/// Nearest to the left end that a fighter's middle comes.
pub(crate) const LEFT_WALL: i32 = 400;
/// Nearest to the right end.
pub(crate) const RIGHT_WALL: i32 = 11_600;
/// Where the two begin: out of each other's reach, a step and a kick apart.
const START_X: [i32; 2] = [4_500, 7_500];
/// Millimetres a tick: 4.3 m/s.
const FORWARD: i32 = 72;
/// Retreating is slower, so that who attacks gets there.
const BACKWARD: i32 = 56;
/// Millimetres a tick: 2.2 m high and 0.74 s long, over the other's head.
const JUMP: i32 = 200;
/// Millimetres a tick, per tick.
const GRAVITY: i32 = 9;
/// Millimetres a tick, per tick.
const FRICTION: i32 = 6;
/// Highest that feet come: out of the picture's upper edge at most for a moment.
const CEILING: i32 = 5_000;
/// A press counts for so long: 0.13 s, what a hurried thumb is early by.
const PATIENCE: u8 = 8;
/// After a jump.
const LANDING: u8 = 3;
/// After an attack from the air.
const HARD_LANDING: u8 = 7;
/// On the floor.
const DOWN: u8 = 34;
/// Getting up cannot be punished at once.
const WAKE_UP: u8 = 16;
