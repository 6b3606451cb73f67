//! A physics game as a module, for `cargo xtask bench rollback`: a player's big cube among 900
//! small ones, which it pushes about and gathers. It speaks the ABI of `docs/game-module.md`
//! itself, so that its canonical state can be the image of its own heap ([`image`]).

mod image;

use image::{IMAGE, Image};
use rapier3d::prelude::*;

/// The match.
pub struct Game {
    world: PhysicsWorld,
    bodies: Vec<RigidBodyHandle>,
}

impl Game {
    fn new() -> Self {
        let mut world = PhysicsWorld::default();
        world.gravity = Vector::new(0.0, 0.0, -9.81);
        world.integration_parameters.dt = 1.0 / 60.0;
        world.insert(
            RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -1.0)),
            ColliderBuilder::cuboid(80.0, 80.0, 1.0).friction(0.8),
        );
        let cube = |edge: f32| {
            ColliderBuilder::cuboid(edge / 2.0, edge / 2.0, edge / 2.0)
                .friction(0.6)
                .restitution(0.1)
        };
        let mut bodies = Vec::new();
        let big = RigidBodyBuilder::dynamic().translation(Vector::new(0.0, 0.0, 2.0));
        bodies.push(world.insert(big, cube(BIG)).0);
        for n in 0..SIDE * SIDE {
            let along = |n: u32| n as f32 - (SIDE - 1) as f32 / 2.0;
            let at = Vector::new(along(n % SIDE), along(n / SIDE), SMALL / 2.0);
            let body = RigidBodyBuilder::dynamic().translation(at);
            bodies.push(world.insert(body, cube(SMALL)).0);
        }
        Self { world, bodies }
    }

    /// Steps with the sum of all players' inputs.
    fn step(&mut self, push: [f32; 2], gather: bool) {
        let big = &mut self.world.bodies[self.bodies[0]];
        let (at, velocity, mass) = (big.translation(), big.linvel(), big.mass());
        let wish = Vector::new(push[0], push[1], 0.0) * SPEED - at * 0.2;
        let force = (wish - velocity) * mass * 3.0;
        big.reset_forces(true);
        big.add_force(Vector::new(force.x, force.y, 0.0), true);
        for body in &self.bodies[1..] {
            let body = &mut self.world.bodies[*body];
            let towards = at - body.translation();
            let distance = towards.length();
            let pulled = gather && distance < REACH;
            if pulled {
                let pull = towards * (body.mass() * PULL / distance.max(0.5));
                body.reset_forces(true);
                body.add_force(pull, true);
            } else if !body.is_sleeping() {
                body.reset_forces(false);
            }
        }
        self.world.step();
    }

    fn awake(&self) -> i32 {
        let bodies = self.bodies.iter();
        bodies
            .filter(|body| !self.world.bodies[**body].is_sleeping())
            .count() as i32
    }
}

#[unsafe(no_mangle)]
extern "C" fn gs_abi_version() -> i32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn gs_input(len: i32) -> usize {
    match usize::try_from(len) {
        Ok(len) if len <= INPUT_BYTES => (&raw mut INPUT).addr(),
        // Only a state is as long as that: it is written to where it belongs.
        Ok(len) if len <= size_of::<Image>() => (&raw mut IMAGE).addr(),
        _ => 0,
    }
}

#[unsafe(no_mangle)]
extern "C" fn gs_output() -> usize {
    // SAFETY: a module has one thread, and nothing holds a reference into these statics.
    unsafe { OUTPUT }
}

#[unsafe(no_mangle)]
extern "C" fn gs_describe() -> i32 {
    answer(MANIFEST.as_bytes())
}

#[unsafe(no_mangle)]
extern "C" fn gs_init(_seed: i64, _len: i32) -> i32 {
    image::clear();
    keep_panics();
    image::set_root(Box::into_raw(Box::new(Game::new())));
    0
}

#[unsafe(no_mangle)]
extern "C" fn gs_step(len: i32) -> i32 {
    let (Some(game), Some((push, gather))) = (image::root(), read_log(input(len))) else {
        return MALFORMED;
    };
    game.step(push, gather);
    // No events, no lines, no result.
    answer(&[0; 5])
}

#[unsafe(no_mangle)]
extern "C" fn gs_check(_slot: i32, _len: i32) -> i32 {
    answer(&[0])
}

#[unsafe(no_mangle)]
extern "C" fn gs_save() -> i32 {
    let (address, len) = image::used();
    // SAFETY: as in `gs_output`.
    unsafe { OUTPUT = address };
    len as i32
}

#[unsafe(no_mangle)]
extern "C" fn gs_load(len: i32) -> i32 {
    // What `gs_input` gave for anything so long was the image itself.
    if len as usize > INPUT_BYTES && image::used().1 == len as usize {
        0
    } else {
        MALFORMED
    }
}

#[unsafe(no_mangle)]
extern "C" fn gs_load_view(_viewer: i32, _len: i32) -> i32 {
    -3
}

/// The big cube's place in 1/512 m, and how many bodies are awake.
#[unsafe(no_mangle)]
extern "C" fn gs_net_state(_viewer: i32) -> i32 {
    let Some(game) = image::root() else {
        return -2;
    };
    let at = game.world.bodies[game.bodies[0]].translation();
    let mut net = [0; 2 + 10 + 16];
    net[0] = 1;
    net[7] = 255;
    net[8..12].copy_from_slice(&1.0_f32.to_le_bytes());
    let columns = [at.x, at.y, at.z].map(|value| ((value * 512.0) as i32).clamp(-65_536, 65_535));
    for (place, value) in columns.into_iter().chain([game.awake()]).enumerate() {
        net[12 + 4 * place..][..4].copy_from_slice(&value.to_le_bytes());
    }
    answer(&net)
}

#[unsafe(no_mangle)]
extern "C" fn gs_panic() -> i32 {
    // SAFETY: as in `gs_output`; the hook has left its text in the answer.
    unsafe {
        OUTPUT = (&raw const ANSWER).addr();
        PANIC_BYTES
    }
}

/// Keeps the text of a panic for `gs_panic`.
fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let len = answer(panic.to_string().as_bytes()).min(4096);
        // SAFETY: as in `gs_output`.
        unsafe { PANIC_BYTES = len };
    }));
}

/// The sum of all pushes of a tick log without happenings, each within ±1, and whether somebody
/// gathers.
fn read_log(log: &[u8]) -> Option<([f32; 2], bool)> {
    let mut happenings = u16::from_le_bytes([*log.get(4)?, *log.get(5)?]);
    let mut at = 6;
    while happenings > 0 {
        at += match log.get(at)? {
            0 => 3,
            1 => 2,
            _ => return None,
        };
        happenings -= 1;
    }
    let slots = *log.get(at)?;
    at += 1;
    let (mut push, mut gather) = ([0.0, 0.0], false);
    for _ in 0..slots {
        if *log.get(at)? == 0 {
            at += 1;
            continue;
        }
        let input = log.get(at + 5..at + 5 + INPUT_LEN)?;
        at += 5 + INPUT_LEN;
        push[0] += f32::from(input[0] as i8) / 127.0;
        push[1] += f32::from(input[1] as i8) / 127.0;
        gather |= input[2] != 0;
    }
    Some((push, gather))
}

fn input(len: i32) -> &'static [u8] {
    let len = (len.max(0) as usize).min(INPUT_BYTES);
    // SAFETY: the host writes between calls only, and the length is within the array.
    unsafe { std::slice::from_raw_parts((&raw const INPUT).cast(), len) }
}

fn answer(bytes: &[u8]) -> i32 {
    let len = bytes.len().min(INPUT_BYTES);
    // SAFETY: as in `gs_output`; the length is within the array.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut ANSWER).cast(), len);
        OUTPUT = (&raw const ANSWER).addr();
    }
    len as i32
}

static mut INPUT: [u8; INPUT_BYTES] = [0; INPUT_BYTES];
static mut ANSWER: [u8; INPUT_BYTES] = [0; INPUT_BYTES];
static mut OUTPUT: usize = 0;
static mut PANIC_BYTES: i32 = 0;

const INPUT_BYTES: usize = 64 << 10;
const INPUT_LEN: usize = 3;
const MALFORMED: i32 = -1;
/// Small cubes along each side of the square that they start in.
const SIDE: u32 = 30;
/// Edges in metres.
const SMALL: f32 = 0.4;
const BIG: f32 = 1.5;
/// How fast the big cube is driven, in metres a second.
const SPEED: f32 = 9.0;
/// From how far cubes are gathered, in metres, and how fast they get faster.
const REACH: f32 = 4.0;
const PULL: f32 = 14.0;
const MANIFEST: &str = r#"{
  "abi": 1, "name": "cubes", "version": "0.1.0", "title": "Cubes", "tick_rate": 60,
  "players": {"min": 1, "max": 8}, "teams": 0, "hidden_state": false, "late_window_ms": 100,
  "max_save_bytes": 16777216, "leaderboard": {"rule": "none"},
  "input": [
    {"name": "x", "type": "i8", "min": -127, "max": 127},
    {"name": "y", "type": "i8", "min": -127, "max": 127},
    {"name": "gather", "type": "bool"}
  ],
  "commands": [], "events": [],
  "entities": [{"name": "big", "fields": [
    {"name": "x", "type": "int", "min": -65536, "max": 65535},
    {"name": "y", "type": "int", "min": -65536, "max": 65535},
    {"name": "z", "type": "int", "min": -65536, "max": 65535},
    {"name": "awake", "type": "int", "min": 0, "max": 1000}
  ]}]
}"#;
