//! What both sides of `bench replication` replicate: figures that walk about and turn a little, all
//! of them in every tick, and who sees which.
//!
//! It uses nothing but the standard library, because the peer, in a workspace of its own, takes this
//! very file.

/// The figures of a scene.
pub(crate) struct Scene {
    walkers: Vec<Walker>,
    random: Random,
    /// How many ticks have passed.
    pub(crate) tick: u32,
}

/// What is replicated of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pose {
    /// In 1/512 m, 0–65,535.
    pub(crate) x: i32,
    /// In 1/512 m, 0–65,535.
    pub(crate) y: i32,
    /// In 1/1,024 turns.
    pub(crate) heading: u16,
    /// 0–100.
    pub(crate) health: u8,
}

struct Walker {
    x: f32,
    y: f32,
    heading: f32,
    turn: f32,
    speed: f32,
    health: u8,
}

impl Scene {
    /// The same scene from the same seed.
    pub(crate) fn new(figures: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let walkers = (0..figures)
            .map(|_| Walker {
                x: random.within(10.0, 118.0),
                y: random.within(10.0, 118.0),
                heading: random.within(0.0, std::f32::consts::TAU),
                turn: 0.0,
                speed: random.within(2.0, 8.0),
                health: 100,
            })
            .collect();
        Self {
            walkers,
            random,
            tick: 0,
        }
    }

    /// A 60th of a second goes by.
    pub(crate) fn step(&mut self) {
        self.tick += 1;
        for walker in &mut self.walkers {
            walker.turn = (walker.turn + self.random.within(-0.3, 0.3)).clamp(-2.0, 2.0);
            walker.heading =
                (walker.heading + walker.turn / 60.0).rem_euclid(std::f32::consts::TAU);
            let (sin, cos) = walker.heading.sin_cos();
            for (at, by) in [(&mut walker.x, cos), (&mut walker.y, sin)] {
                *at += by * walker.speed / 60.0;
                if !(1.0..=127.0).contains(at) {
                    *at = at.clamp(1.0, 127.0);
                    walker.heading += 0.1;
                }
            }
            if self.random.below(200) == 0 {
                walker.health = walker.health.checked_sub(7).unwrap_or(100);
            }
        }
    }

    /// Where each figure is.
    pub(crate) fn poses(&self) -> impl Iterator<Item = Pose> + '_ {
        self.walkers.iter().map(|walker| Pose {
            x: (walker.x * 512.0) as i32,
            y: (walker.y * 512.0) as i32,
            heading: (walker.heading / std::f32::consts::TAU * 1024.0) as u16 % 1024,
            health: walker.health,
        })
    }

    /// Whether a viewer sees a figure now: four of five, others every two seconds.
    pub(crate) fn sees(&self, viewer: usize, figure: usize) -> bool {
        let pair = hash(viewer as u32, figure as u32);
        !hash(pair, (self.tick + pair % 128) / 128).is_multiple_of(5)
    }

    /// Whether what a viewer is sent in a tick gets lost: one in fifty.
    pub(crate) fn is_lost(viewer: usize, tick: u32) -> bool {
        hash(hash(viewer as u32, 1), tick).is_multiple_of(50)
    }

    /// How many ticks go by until the server knows what a viewer has, 2–12.
    pub(crate) fn delay(viewer: usize) -> u32 {
        2 + hash(viewer as u32, 2) % 11
    }
}

fn hash(a: u32, b: u32) -> u32 {
    let mixed = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 32) as u32
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(1);
        hash(self.0 as u32, (self.0 >> 32) as u32) % end
    }

    fn within(&mut self, least: f32, most: f32) -> f32 {
        least + (most - least) * self.below(1 << 20) as f32 / (1 << 20) as f32
    }
}
