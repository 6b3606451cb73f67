//! Whole matches in virtual time: the real room, real clients and bad links between them, played
//! by bots, with what must hold checked at every step.
//!
//! A [`World`] is a [`Scenario`] and a seed. It owns a room of the authority, a model of LiveKit's
//! server, and for each player a `gs_client::Client`, its links ([`gs_netem`]) and a bot. Nothing
//! waits and nothing reads a clock, so an hour of play takes as long as its computations, and the
//! same seed plays the same match.
//!
//! [`check`] plays a scenario with many seeds. Where something does not hold, it prints the seed;
//! `SEED=… cargo test -p gs-simulation NAME` plays that match again. `SEEDS=…` plays that many.
//!
//! - [`games`]: what is played, and the bots that play it;
//! - [`scenario`]: who plays over which lines, and what happens to them;
//! - [`world`]: the room, LiveKit's server and time;
//! - `peer`: one player's device;
//! - [`record`]: what simulations came to, to be compared;
//! - [`outcome`]: what was measured.

pub mod games;
pub mod outcome;
mod peer;
pub mod record;
pub mod scenario;
mod seeds;
pub mod world;

pub use games::Play;
pub use outcome::Outcome;
pub use scenario::{Incident, PlayerPlan, Scenario};
pub use seeds::{check, check_each};
pub use world::World;

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A seeded generator with the few things that bots need. Stable over versions and platforms.
#[derive(Clone, Debug)]
pub struct Dice(Pcg64Mcg);

impl Dice {
    /// Dice that always fall the same way for one seed and purpose.
    pub fn new(seed: u64, purpose: u64) -> Self {
        // Any odd multiplier keeps purposes apart; this is the golden ratio's.
        let mixed = seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Pcg64Mcg::seed_from_u64(mixed))
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Evenly distributed in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Evenly distributed in `from..to`.
    pub fn range(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}
