//! The arena: its walls, and where players and pickups appear.

use crate::schema::Thing;
use crate::vector::Vector;

/// Width of the arena.
pub const WIDTH: f32 = 40.0;
/// Height of the arena.
pub const HEIGHT: f32 = 24.0;

/// A rectangle that nothing passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wall {
    /// Left.
    pub x: f32,
    /// Top.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Wall {
    /// Whether a point is in the wall.
    pub fn contains(&self, at: Vector) -> bool {
        self.nearest(at) == at
    }

    /// The point of the wall that is nearest.
    pub fn nearest(&self, to: Vector) -> Vector {
        Vector::new(
            to.x.clamp(self.x, self.x + self.w),
            to.y.clamp(self.y, self.y + self.h),
        )
    }

    pub(crate) fn thing(&self) -> Thing {
        Thing::Wall {
            x: self.x,
            y: self.y,
            w: self.w,
            h: self.h,
        }
    }

    const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }
}

/// Turned by half a turn, the arena is the same: nobody's side is the better one.
pub const WALLS: [Wall; 10] = [
    // Angles before the corners, which give cover to those who come back there.
    Wall::new(6.0, 5.0, 5.0, 1.0),
    Wall::new(6.0, 6.0, 1.0, 3.0),
    Wall::new(29.0, 18.0, 5.0, 1.0),
    Wall::new(33.0, 15.0, 1.0, 3.0),
    Wall::new(29.0, 5.0, 4.0, 1.0),
    Wall::new(7.0, 18.0, 4.0, 1.0),
    // Around the middle, open to the sides.
    Wall::new(16.0, 7.0, 8.0, 1.0),
    Wall::new(16.0, 16.0, 8.0, 1.0),
    Wall::new(13.0, 10.0, 1.0, 4.0),
    Wall::new(26.0, 10.0, 1.0, 4.0),
];

/// Where players appear.
pub(crate) const SPAWNS: [Vector; 10] = [
    Vector::new(3.0, 3.0),
    Vector::new(37.0, 21.0),
    Vector::new(37.0, 3.0),
    Vector::new(3.0, 21.0),
    Vector::new(20.0, 2.5),
    Vector::new(20.0, 21.5),
    Vector::new(2.5, 12.0),
    Vector::new(37.5, 12.0),
    Vector::new(9.0, 12.0),
    Vector::new(31.0, 12.0),
];

/// Where pickups appear, and what: the strong ones in the open middle.
pub(crate) const PICKUPS: [(Vector, u8); 4] = [
    (Vector::new(20.0, 9.5), RAPID_FIRE),
    (Vector::new(20.0, 14.5), RAPID_FIRE),
    (Vector::new(13.0, 20.5), HEALTH),
    (Vector::new(27.0, 3.5), HEALTH),
];

/// A pickup that heals.
pub(crate) const HEALTH: u8 = 0;
/// A pickup that makes the weapon faster for a while.
pub(crate) const RAPID_FIRE: u8 = 1;
