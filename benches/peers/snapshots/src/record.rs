//! Recordings of cubes that a big one pushes about, gathers and scatters: the scene of "Snapshot
//! Compression" (gafferongames.com), simulated by rapier and quantised.

use rapier3d::prelude::*;

/// What a recording is of. Everything follows from it, the seed included.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Scene {
    /// Seed of the big cube's way.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Small cubes along each side of the square that they start in.
    #[arg(long, default_value_t = 30)]
    pub(crate) side: u32,
    /// Frames, 60 a second.
    #[arg(long, default_value_t = 1_800)]
    pub(crate) frames: usize,
    /// Edge of a small cube, in metres.
    #[arg(long, default_value_t = 0.4)]
    pub(crate) small: f32,
    /// Distance between the small cubes at the start, in metres.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) spacing: f32,
    /// Edge of the big cube, in metres.
    #[arg(long, default_value_t = 1.5)]
    pub(crate) big: f32,
    /// How fast the big cube is driven, in metres a second.
    #[arg(long, default_value_t = 9.0)]
    pub(crate) speed: f32,
}

/// Frames of bodies of [`COLUMNS`] values each.
pub(crate) fn record(scene: Scene) -> Vec<Vec<i32>> {
    let mut random = Random(scene.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut world = PhysicsWorld::default();
    world.gravity = Vector::new(0.0, 0.0, -GRAVITY);
    world.integration_parameters.dt = 1.0 / 60.0;
    world.insert(
        RigidBodyBuilder::fixed()
            .translation(Vector::new(0.0, 0.0, -1.0))
            .user_data(NOTHING),
        ColliderBuilder::cuboid(80.0, 80.0, 1.0).friction(0.8),
    );
    for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
        let thick = |along: f32| if along == 0.0 { 80.0 } else { 1.0 };
        world.insert(
            RigidBodyBuilder::fixed()
                .translation(Vector::new(x, y, 0.0) * (WALL + 1.0))
                .user_data(NOTHING),
            ColliderBuilder::cuboid(thick(x), thick(y), 20.0),
        );
    }
    let cube = |edge: f32| {
        ColliderBuilder::cuboid(edge / 2.0, edge / 2.0, edge / 2.0)
            .friction(0.6)
            .restitution(0.1)
    };
    let start = Vector::new(0.0, 0.0, 4.0);
    let mut bodies = Vec::new();
    let (big, _) = world.insert(
        RigidBodyBuilder::dynamic().translation(start),
        cube(scene.big),
    );
    bodies.push(big);
    for n in 0..scene.side * scene.side {
        let along = |n: u32| -> f32 { (n as f32 - (scene.side - 1) as f32 / 2.0) * scene.spacing };
        let at = Vector::new(
            along(n % scene.side),
            along(n / scene.side),
            scene.small / 2.0,
        );
        let (body, _) = world.insert(
            RigidBodyBuilder::dynamic()
                .translation(at)
                .user_data(bodies.len() as u128),
            cube(scene.small),
        );
        bodies.push(body);
    }
    let mut way = Way::default();
    let mut touched = vec![0_u32; bodies.len()];
    let mut frames = Vec::with_capacity(scene.frames);
    for n in 0..scene.frames + SETTLE {
        if n >= SETTLE {
            way.drive(scene, &mut world, &bodies, &mut random);
        }
        world.step();
        if n < SETTLE {
            continue;
        }
        touch(&world, &mut touched);
        let mut frame = Vec::with_capacity(bodies.len() * COLUMNS);
        for (body, touched) in bodies.iter().zip(&touched) {
            quantise(&world.bodies[*body], *touched > 0, &mut frame);
        }
        frames.push(frame);
    }
    frames
}

/// Where the big cube is driven, and what else it does.
#[derive(Default)]
struct Way {
    heading: f32,
    turning: f32,
    /// Frames until it changes its mind.
    left: u32,
    mode: u32,
}

impl Way {
    fn drive(
        &mut self,
        scene: Scene,
        world: &mut PhysicsWorld,
        bodies: &[RigidBodyHandle],
        random: &mut Random,
    ) {
        if self.left == 0 {
            self.left = 15 + (random.unit() * 75.0) as u32;
            self.turning = (random.unit() - 0.5) * 0.12;
            self.mode = (random.unit() * 8.0) as u32;
        }
        self.left -= 1;
        self.heading += self.turning;
        let big = &world.bodies[bodies[0]];
        let (at, velocity, mass) = (big.translation(), big.linvel(), big.mass());
        // Towards the middle once it has come near the walls.
        let far = (at.x.abs().max(at.y.abs()) - scene.side as f32 * scene.spacing * 0.7).max(0.0);
        let mut wish =
            Vector::new(self.heading.cos(), self.heading.sin(), 0.0) * scene.speed - at * far * 0.4;
        if self.mode == 0 {
            wish = Vector::ZERO;
        }
        let mut force = (wish - velocity) * mass * 3.0;
        force.z = if self.mode >= 6 && self.left % 30 == 0 {
            mass * 240.0
        } else {
            0.0
        };
        let big = &mut world.bodies[bodies[0]];
        big.reset_forces(true);
        big.add_force(force, true);
        // Gathering pulls what is near; scattering pushes it away for some frames.
        let (reach, pull) = match self.mode {
            1..=4 => (4.5, 40.0),
            5 if self.left < 8 => (5.0, -90.0),
            _ => (0.0, 0.0),
        };
        for body in &bodies[1..] {
            let body = &mut world.bodies[*body];
            let apart = at - body.translation();
            let distance = apart.length();
            let near = distance < reach && distance > 0.1;
            if near || !body.is_sleeping() {
                body.reset_forces(near);
            }
            if near {
                let force = apart / distance * pull * body.mass();
                body.add_force(force, true);
            }
        }
    }
}

/// Marks what touches the big cube, directly or through others, and for some frames afterwards.
fn touch(world: &PhysicsWorld, touched: &mut [u32]) {
    for left in &mut touched[1..] {
        *left = left.saturating_sub(1);
    }
    touched[0] = LINGER;
    for _ in 0..3 {
        for pair in world.narrow_phase.contact_pairs() {
            if !pair.has_any_active_contact() {
                continue;
            }
            let body = |collider: ColliderHandle| {
                let parent = world.colliders[collider].parent()?;
                let index = world.bodies[parent].user_data;
                (index != NOTHING).then_some(index as usize)
            };
            let (Some(one), Some(other)) = (body(pair.collider1), body(pair.collider2)) else {
                continue;
            };
            if touched[one] == LINGER || touched[other] == LINGER {
                touched[one] = LINGER;
                touched[other] = LINGER;
            }
        }
    }
}

fn quantise(body: &RigidBody, touched: bool, frame: &mut Vec<i32>) {
    let rotation = body.rotation();
    let parts = [rotation.x, rotation.y, rotation.z, rotation.w];
    let mut largest = 0;
    for index in 1..4 {
        if parts[index].abs() > parts[largest].abs() {
            largest = index;
        }
    }
    let sign = if parts[largest] < 0.0 { -1.0 } else { 1.0 };
    frame.push(largest as i32);
    for (index, part) in parts.iter().enumerate() {
        if index != largest {
            let unit = (part * sign / std::f32::consts::SQRT_2 + 0.5) * 511.0;
            frame.push((unit + 0.5).clamp(0.0, 511.0) as i32);
        }
    }
    let at = body.translation();
    let position = |metres: f32| (metres * 512.0).round() as i32;
    frame.push(position(at.x).clamp(-16_383, 16_383));
    frame.push(position(at.y).clamp(-16_383, 16_383));
    frame.push(position(at.z).clamp(0, 8_191));
    frame.push(i32::from(touched));
}

/// xorshift64*: the same everywhere.
struct Random(u64);

impl Random {
    /// Within 0..1.
    fn unit(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 24) as f32
    }
}

/// Values of a body: index of the largest quaternion component, the three others, x, y, z, and
/// whether the big cube moves it.
pub(crate) const COLUMNS: usize = 8;

const GRAVITY: f32 = 20.0;
/// Frames in which everything comes to rest before the recording starts.
const SETTLE: usize = 240;
/// How far the walls are from the middle, in metres.
const WALL: f32 = 28.0;
/// Frames for which a cube counts as touched after it was.
const LINGER: u32 = 20;
/// Marks what is no cube.
const NOTHING: u128 = u128::MAX;
