//! One player: health, weapon, shield, and coming back.

use game_sdk::prelude::*;

use crate::Arena;
use crate::lag::Spot;
use crate::map::SPAWNS;
use crate::motion;
use crate::schema::{Event, Stick, Thing};
use crate::vector::Vector;

/// A player in the match. Durations are in ticks.
#[derive(State, Clone, Debug, PartialEq)]
pub struct Player {
    /// Its place in the match.
    pub slot: Slot,
    /// Whether it has not left.
    pub present: bool,
    /// Centre.
    pub at: Vector,
    /// Units a second.
    pub velocity: Vector,
    /// Where it aims, in radians.
    pub aim: f32,
    /// 0 while it waits to come back.
    pub health: u8,
    /// How long until it comes back.
    pub respawn: u16,
    /// How long it cannot be hurt.
    pub shield: u16,
    /// How long it shoots faster.
    pub rapid: u16,
    /// How long until it can shoot.
    pub reload: u16,
    /// How long until it can dash.
    pub dash: u16,
    /// Players it has brought down.
    pub kills: u16,
    /// How often it was brought down.
    pub deaths: u16,
    /// Bullets it has shot.
    pub shots: u32,
    /// Bullets of its own that hit.
    pub hits: u32,
    /// Where others have seen it.
    pub(crate) trail: Rewind<Spot>,
}

impl Player {
    pub(crate) fn new(slot: Slot) -> Self {
        Self {
            slot,
            present: true,
            at: SPAWNS[usize::from(slot) % SPAWNS.len()],
            velocity: Vector::default(),
            aim: 0.0,
            health: FULL_HEALTH,
            respawn: 0,
            shield: 0,
            rapid: 0,
            reload: 0,
            dash: 0,
            kills: 0,
            deaths: 0,
            shots: 0,
            hits: 0,
            trail: Rewind::new(Arena::TICK_RATE),
        }
    }

    /// Another player takes the slot, of whom nobody has seen anything yet.
    pub(crate) fn replace(&mut self) {
        *self = Self {
            kills: self.kills,
            deaths: self.deaths,
            shots: self.shots,
            hits: self.hits,
            ..Self::new(self.slot)
        };
    }

    /// Whether it can be seen in the arena, hit and collect.
    pub fn is_in_play(&self) -> bool {
        self.present && self.health > 0
    }

    pub(crate) fn tick(&mut self, stick: Option<&Stick>) {
        for left in [
            &mut self.shield,
            &mut self.rapid,
            &mut self.reload,
            &mut self.dash,
        ] {
            *left = left.saturating_sub(1);
        }
        if self.health == 0 {
            self.respawn = self.respawn.saturating_sub(1);
            return;
        }
        let direction = stick.map_or(Vector::default(), |s| Vector::new(s.move_x, s.move_y));
        self.aim = stick.map_or(self.aim, |stick| stick.aim);
        if self.dash == 0 && stick.is_some_and(|stick| stick.dash) {
            self.dash = DASH_COOLDOWN;
            self.velocity = motion::dash(direction, self.aim);
        } else {
            self.velocity = motion::accelerate(self.velocity, direction);
        }
        motion::advance(&mut self.at, &mut self.velocity);
    }

    /// Takes health, and answers whether that was the last of it.
    pub(crate) fn hurt(&mut self, damage: u8) -> bool {
        self.health = self.health.saturating_sub(damage);
        if self.health > 0 {
            return false;
        }
        self.deaths += 1;
        self.respawn = RESPAWN_DELAY;
        self.velocity = Vector::default();
        self.shield = 0;
        self.rapid = 0;
        true
    }

    pub(crate) fn thing(&self) -> Thing {
        Thing::Player {
            x: self.at.x,
            y: self.at.y,
            aim: self.aim,
            health: self.health,
            score: self.kills.min(255) as u8,
            alive: self.health > 0,
            shielded: self.shield > 0,
            rapid: self.rapid > 0,
            dash: (100 - u32::from(self.dash) * 100 / u32::from(DASH_COOLDOWN)) as u8,
            vx: self.velocity.x,
            vy: self.velocity.y,
        }
    }

    /// As much of a player as is seen. What is not, how long a shield still lasts, is at its
    /// longest: a prediction is corrected long before.
    pub(crate) fn from_thing(slot: Slot, thing: &Thing) -> Self {
        let mut player = Self::new(slot);
        if let Thing::Player {
            x,
            y,
            aim,
            health,
            score,
            shielded,
            rapid,
            dash,
            vx,
            vy,
            ..
        } = thing
        {
            player.at = Vector::new(*x, *y);
            player.velocity = Vector::new(*vx, *vy);
            player.aim = *aim;
            player.health = *health;
            player.respawn = RESPAWN_DELAY;
            player.kills = u16::from(*score);
            player.shield = if *shielded { SHIELD } else { 0 };
            player.rapid = if *rapid { RAPID } else { 0 };
            // Rounded up, so that it is shown as it was seen.
            let left = u32::from(100 - *dash) * u32::from(DASH_COOLDOWN);
            player.dash = left.div_ceil(100) as u16;
        }
        player
    }
}

impl Arena {
    pub(crate) fn players_to_respawn(&self) -> Vec<Slot> {
        let waiting = self
            .players
            .iter()
            .filter(|p| p.present && p.health == 0 && p.respawn == 0);
        waiting.map(|player| player.slot).collect()
    }

    /// Puts a player at the place that is farthest from everyone else; chance decides among
    /// equals.
    pub(crate) fn spawn(&mut self, slot: Slot, out: &mut Effects<Event>) {
        let mut places = SPAWNS;
        self.rng.shuffle(&mut places);
        let others = self
            .players
            .iter()
            .filter(|p| p.slot != slot && p.is_in_play());
        let others: Vec<Vector> = others.map(|player| player.at).collect();
        let room = |place: &Vector| {
            others
                .iter()
                .map(|at| (*at - *place).length())
                .fold(f32::INFINITY, f32::min)
        };
        let roomiest = |best: Vector, place| {
            if room(&place) > room(&best) {
                place
            } else {
                best
            }
        };
        let place = places.into_iter().reduce(roomiest).unwrap_or_default();
        let Some(player) = self.player_mut(slot) else {
            return;
        };
        player.at = place;
        player.velocity = Vector::default();
        player.health = FULL_HEALTH;
        player.respawn = 0;
        player.shield = SHIELD;
        player.rapid = 0;
        player.reload = 0;
        player.dash = 0;
        out.send(Event::Spawn { slot });
    }
}

/// What a player comes back with.
pub(crate) const FULL_HEALTH: u8 = 100;
/// 2 s: long enough to hurt, short enough to stay.
const RESPAWN_DELAY: u16 = 2 * Arena::TICK_RATE as u16;
/// 1.5 s: time to look around. Shooting ends it.
const SHIELD: u16 = Arena::TICK_RATE as u16 * 3 / 2;
/// 2.5 s: a dash is a decision.
const DASH_COOLDOWN: u16 = Arena::TICK_RATE as u16 * 5 / 2;
/// 6 s of faster fire.
pub(crate) const RAPID: u16 = Arena::TICK_RATE as u16 * 6;
