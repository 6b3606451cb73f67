//! Bullets: shooting, flight and hits.

use game_sdk::prelude::*;

use crate::Arena;
use crate::lag;
use crate::map::{HEIGHT, WALLS, WIDTH};
use crate::motion::PLAYER_RADIUS;
use crate::players::Player;
use crate::schema::{Event, Stick, Thing};
use crate::vector::Vector;

/// A bullet in the air.
#[derive(State, Clone, Debug, PartialEq)]
pub(crate) struct Bullet {
    pub(crate) id: u32,
    pub(crate) owner: Slot,
    pub(crate) at: Vector,
    pub(crate) heading: f32,
    pub(crate) ticks_left: u16,
}

impl Bullet {
    pub(crate) fn thing(&self) -> Thing {
        Thing::Bullet {
            x: self.at.x,
            y: self.at.y,
            heading: self.heading,
        }
    }

    pub(crate) fn from_thing(id: u32, owner: Slot, thing: &Thing) -> Self {
        let (at, heading) = match thing {
            Thing::Bullet { x, y, heading } => (Vector::new(*x, *y), *heading),
            _ => Default::default(),
        };
        Self {
            id,
            owner,
            at,
            heading,
            ticks_left: LIFETIME,
        }
    }
}

impl Arena {
    pub(crate) fn shoot(&mut self, tick: Tick, inputs: &Inputs<Stick>, out: &mut Effects<Event>) {
        let first = self.bullets.len();
        for player in self.players.iter_mut().filter(|player| player.is_in_play()) {
            let fires = inputs.get(player.slot).is_some_and(|stick| stick.fire);
            if !fires || player.reload > 0 || self.bullets.len() >= MAX_BULLETS {
                continue;
            }
            // A match that continues a view does not know which id comes next.
            while self
                .bullets
                .iter()
                .any(|bullet| bullet.id == self.next_bullet)
            {
                self.next_bullet = (self.next_bullet + 1) % BULLET_IDS;
            }
            player.reload = if player.rapid > 0 {
                RAPID_RELOAD
            } else {
                RELOAD
            };
            player.shield = 0;
            player.shots += 1;
            self.bullets.push(Bullet {
                id: self.next_bullet,
                owner: player.slot,
                // From the centre, so that a muzzle held through a wall shoots the wall.
                at: player.at,
                heading: player.aim,
                ticks_left: LIFETIME,
            });
            self.next_bullet = (self.next_bullet + 1) % BULLET_IDS;
        }
        self.catch_up(first, tick, inputs, out);
    }

    /// Lets the bullets of this tick, from `first` on, fly through the time between what their
    /// shooter saw and now, among players where they were seen. From then on they are in the
    /// present like all others, and can be dodged.
    fn catch_up(
        &mut self,
        first: usize,
        tick: Tick,
        inputs: &Inputs<Stick>,
        out: &mut Effects<Event>,
    ) {
        let mut index = first;
        while let Some(mut bullet) = self.bullets.get(index).cloned() {
            let seen = inputs.view_tick(bullet.owner);
            let flies = lag::moments(tick, seen).all(|moment| {
                bullet.ticks_left = bullet.ticks_left.saturating_sub(1);
                self.move_bullet(&mut bullet, |player| player.seen_at(moment), out)
            });
            if flies {
                self.bullets[index] = bullet;
                index += 1;
            } else {
                self.bullets.remove(index);
            }
        }
    }

    pub(crate) fn move_bullets(&mut self, out: &mut Effects<Event>) {
        let mut bullets = std::mem::take(&mut self.bullets);
        bullets.retain_mut(|bullet| {
            bullet.ticks_left = bullet.ticks_left.saturating_sub(1);
            bullet.ticks_left > 0 && self.move_bullet(bullet, |player| Some(player.at), out)
        });
        self.bullets = bullets;
    }

    /// Moves a bullet for a tick among players where `place` says, and answers whether it flies on.
    fn move_bullet(
        &mut self,
        bullet: &mut Bullet,
        place: impl Fn(&Player) -> Option<Vector>,
        out: &mut Effects<Event>,
    ) -> bool {
        let way = Vector::from_angle(bullet.heading) * (SPEED * Arena::DT);
        let from = bullet.at;
        bullet.at = from + way;
        let wall = distance_to_wall(from, way);
        let struck = self
            .players
            .iter_mut()
            .filter(|player| player.slot != bullet.owner && player.is_in_play())
            .filter_map(|player| {
                let distance = distance_to_player(from, way, place(player)?)?;
                Some((distance, player))
            })
            .filter(|(distance, _)| *distance <= wall)
            .reduce(|best, next| if next.0 < best.0 { next } else { best });
        let Some((_, player)) = struck else {
            return wall > 1.0;
        };
        if player.shield == 0 {
            let to = player.slot;
            let is_down = player.hurt(DAMAGE);
            self.score_hit(bullet.owner, to, is_down, out);
        }
        false
    }

    fn score_hit(&mut self, by: Slot, to: Slot, is_down: bool, out: &mut Effects<Event>) {
        out.send(Event::Hit {
            by,
            to,
            damage: DAMAGE,
        });
        if is_down {
            out.send(Event::Kill { by, victim: to });
        }
        if let Some(shooter) = self.player_mut(by) {
            shooter.hits += 1;
            shooter.kills += u16::from(is_down);
        }
    }
}

/// How much of the way is free of walls and within the arena; above 1 where all is.
fn distance_to_wall(from: Vector, way: Vector) -> f32 {
    const SAMPLES: u8 = 4; // A tenth of a unit apart, a tenth of the thinnest wall.
    for sample in 1..=SAMPLES {
        let part = f32::from(sample) / f32::from(SAMPLES);
        let at = from + way * part;
        let inside = (0.0..=WIDTH).contains(&at.x) && (0.0..=HEIGHT).contains(&at.y);
        if !inside || WALLS.iter().any(|wall| wall.contains(at)) {
            return part;
        }
    }
    f32::INFINITY
}

/// Where on the way, 0 to 1, the bullet touches a player.
fn distance_to_player(from: Vector, way: Vector, player: Vector) -> Option<f32> {
    let to = player - from;
    let nearest = (to.dot(way) / way.dot(way)).clamp(0.0, 1.0);
    let miss = (to - way * nearest).length();
    (miss <= PLAYER_RADIUS + RADIUS).then_some(nearest)
}

/// Units a second, three times a player's top speed: one can see it coming and step aside.
const SPEED: f32 = 22.0;
/// Half of a bullet's width.
const RADIUS: f32 = 0.15;
/// 1.2 s, two thirds of the arena.
const LIFETIME: u16 = (Arena::TICK_RATE * 6 / 5) as u16;
/// Five hits bring a player down.
const DAMAGE: u8 = 20;
/// Ticks between shots, some 4.6 a second.
const RELOAD: u16 = 13;
/// The same with rapid fire: 10 a second.
const RAPID_RELOAD: u16 = 6;
/// Most bullets in the air: 16 players at rapid fire have 192.
const MAX_BULLETS: usize = 256;
/// Bullets take their ids in turn: more than can be in the air, so that no id is in use twice, and
/// enough that a viewer has long forgotten a bullet when its id comes again.
pub(crate) const BULLET_IDS: u32 = 2048;
