//! How players move: acceleration, walls and dashes.

use game_sdk::prelude::*;

use crate::Arena;
use crate::map::{HEIGHT, WALLS, WIDTH};
use crate::vector::Vector;

/// The velocity a tick later, towards where the stick points.
///
/// A dash is nothing but a velocity above the top speed, which wears off: so a player's place and
/// velocity say all that there is to predict.
pub(crate) fn accelerate(velocity: Vector, stick: Vector) -> Vector {
    let wanted = stick.at_most(1.0) * TOP_SPEED;
    let rate = if velocity.length() > TOP_SPEED {
        DASH_DRAG
    } else {
        ACCELERATION
    };
    velocity + (wanted - velocity).at_most(rate * Arena::DT)
}

/// The velocity of a dash, in the direction of the stick or, where it rests, of the aim.
pub(crate) fn dash(stick: Vector, aim: f32) -> Vector {
    let length = stick.length();
    let direction = if length > 0.1 {
        stick * (1.0 / length)
    } else {
        Vector::from_angle(aim)
    };
    direction * DASH_SPEED
}

/// Moves a player for a tick; along walls it slides.
pub(crate) fn advance(at: &mut Vector, velocity: &mut Vector) {
    // A step of a dash is 0.37 units, less than a player's radius, so no wall is jumped.
    *at = *at + *velocity * Arena::DT;
    // Twice, because the way out of one wall may lead into its neighbour.
    for _ in 0..2 {
        for wall in &WALLS {
            let nearest = wall.nearest(*at);
            let away = *at - nearest;
            let distance = away.length();
            if distance >= PLAYER_RADIUS {
                continue;
            }
            // A centre inside the wall has no direction out; the shortest way is through a side.
            let (normal, from) = if distance > 1e-4 {
                (away * (1.0 / distance), nearest)
            } else {
                side_nearest_to(*at, wall)
            };
            *at = from + normal * PLAYER_RADIUS;
            let into = velocity.dot(normal).min(0.0);
            *velocity = *velocity - normal * into;
        }
    }
    stay_inside(at, velocity);
}

impl Arena {
    /// Players cannot stand in one another: each of a pair gives way by half.
    pub(crate) fn keep_players_apart(&mut self) {
        for first in 0..self.players.len() {
            for second in first + 1..self.players.len() {
                let (before, after) = self.players.split_at_mut(second);
                let (a, b) = (&mut before[first], &mut after[0]);
                if !(a.is_in_play() && b.is_in_play()) {
                    continue;
                }
                let apart = b.at - a.at;
                let distance = apart.length();
                if distance >= 2.0 * PLAYER_RADIUS {
                    continue;
                }
                let direction = if distance > 1e-4 {
                    apart * (1.0 / distance)
                } else {
                    Vector::new(1.0, 0.0)
                };
                let push = direction * ((2.0 * PLAYER_RADIUS - distance) / 2.0);
                for (player, push) in [(a, push * -1.0), (b, push)] {
                    player.at = player.at + push;
                    // With no velocity, only what the walls demand.
                    advance(&mut player.at, &mut Vector::default());
                }
            }
        }
    }
}

fn side_nearest_to(at: Vector, wall: &crate::Wall) -> (Vector, Vector) {
    let sides = [
        (
            at.x - wall.x,
            Vector::new(-1.0, 0.0),
            Vector::new(wall.x, at.y),
        ),
        (
            wall.x + wall.w - at.x,
            Vector::new(1.0, 0.0),
            Vector::new(wall.x + wall.w, at.y),
        ),
        (
            at.y - wall.y,
            Vector::new(0.0, -1.0),
            Vector::new(at.x, wall.y),
        ),
        (
            wall.y + wall.h - at.y,
            Vector::new(0.0, 1.0),
            Vector::new(at.x, wall.y + wall.h),
        ),
    ];
    let nearest = sides
        .into_iter()
        .reduce(|best, side| if side.0 < best.0 { side } else { best });
    nearest.map_or((Vector::new(1.0, 0.0), at), |(_, normal, from)| {
        (normal, from)
    })
}

fn stay_inside(at: &mut Vector, velocity: &mut Vector) {
    let inside = Vector::new(
        at.x.clamp(PLAYER_RADIUS, WIDTH - PLAYER_RADIUS),
        at.y.clamp(PLAYER_RADIUS, HEIGHT - PLAYER_RADIUS),
    );
    if inside.x != at.x {
        velocity.x = 0.0;
    }
    if inside.y != at.y {
        velocity.y = 0.0;
    }
    *at = inside;
}

/// Half of a player's width.
pub(crate) const PLAYER_RADIUS: f32 = 0.5;
/// Units a second: the length of the arena in under 6 s.
const TOP_SPEED: f32 = 7.0;
/// Units a second per second: top speed in 0.12 s, so that a key press is felt at once but a turn
/// has weight.
const ACCELERATION: f32 = 60.0;
/// Units a second, three times the top speed: out of a line of fire before the next bullet.
const DASH_SPEED: f32 = 22.0;
/// Units a second per second: a dash is over after a quarter of a second and some 3.5 units.
const DASH_DRAG: f32 = 60.0;
