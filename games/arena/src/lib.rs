//! Arena: a top-down shooter for 2 to 16 players.
//!
//! Whoever reaches the score limit first wins, or has the most kills when the clock runs out.
//! Distances are in units of an arena of 40 × 24, its origin at the top left, y down; angles are
//! in radians, 0 to the right and clockwise on the screen.

mod bullets;
mod lag;
mod map;
mod motion;
mod pickups;
mod players;
mod result;
mod schema;
mod vector;

pub use map::{HEIGHT, WALLS, WIDTH, Wall};
pub use players::Player;
pub use schema::{Command, Event, Rules, Stick, Thing};
pub use vector::Vector;

use bullets::{BULLET_IDS, Bullet};
use game_sdk::prelude::*;
use pickups::Pickup;

/// One match.
#[derive(State, Clone, Debug)]
pub struct Arena {
    rng: Rng,
    ticks_left: u32,
    score_limit: u8,
    /// Everyone who was ever in the match, ascending by slot.
    players: Vec<Player>,
    bullets: Vec<Bullet>,
    pickups: Vec<Pickup>,
    next_bullet: u32,
}

impl Arena {
    /// Everyone who was ever in the match, ascending by slot.
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// One player.
    pub fn player(&self, slot: Slot) -> Option<&Player> {
        self.players.iter().find(|player| player.slot == slot)
    }

    /// One player, to arrange a scene.
    pub fn player_mut(&mut self, slot: Slot) -> Option<&mut Player> {
        self.players.iter_mut().find(|player| player.slot == slot)
    }

    /// How many bullets are in the air.
    pub fn bullet_count(&self) -> usize {
        self.bullets.len()
    }

    /// Leaves so much of the match, to arrange its end.
    pub fn set_ticks_left(&mut self, ticks: u32) {
        self.ticks_left = ticks;
    }
}

impl Game for Arena {
    const NAME: &'static str = "arena";
    const TITLE: &'static str = "Arena";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PLAYERS: std::ops::RangeInclusive<u8> = 2..=16;
    const BACKFILL: bool = true;
    const MAX_SAVE_BYTES: u32 = 64 << 10;

    type Options = Rules;
    type Input = Stick;
    type Command = Command;
    type Event = Event;
    type Entity = Thing;

    fn new(setup: &Setup<Rules>, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            ticks_left: u32::from(setup.options.match_seconds) * Self::TICK_RATE,
            score_limit: setup.options.score_limit,
            players: Vec::new(),
            bullets: Vec::new(),
            pickups: pickups::all(),
            next_bullet: 0,
        }
    }

    fn join(&mut self, slot: Slot, _team: u8, out: &mut Effects<Event>) {
        match self
            .players
            .binary_search_by_key(&slot, |player| player.slot)
        {
            // A substitute goes on with what the slot has scored, in a body of its own.
            Ok(index) => self.players[index].replace(),
            Err(index) => self.players.insert(index, Player::new(slot)),
        }
        self.spawn(slot, out);
    }

    fn leave(&mut self, slot: Slot, _out: &mut Effects<Event>) {
        // A player who was matched but never came has its place in the result too.
        match self
            .players
            .binary_search_by_key(&slot, |player| player.slot)
        {
            Ok(index) => self.players[index].present = false,
            Err(index) => {
                let absent = Player {
                    present: false,
                    ..Player::new(slot)
                };
                self.players.insert(index, absent);
            }
        }
        self.bullets.retain(|bullet| bullet.owner != slot);
    }

    fn step(&mut self, tick: Tick, inputs: &Inputs<Stick>, out: &mut Effects<Event>) {
        for player in self.players.iter_mut().filter(|player| player.present) {
            player.tick(inputs.get(player.slot));
        }
        self.keep_players_apart();
        self.remember(tick);
        self.shoot(tick, inputs, out);
        self.move_bullets(out);
        self.collect_pickups(out);
        for slot in self.players_to_respawn() {
            self.spawn(slot, out);
        }
        self.run_clock(out);
    }

    fn entities(&self, view: &mut View<Thing>) {
        for player in self.players.iter().filter(|player| player.present) {
            view.put_owned(u32::from(player.slot), player.slot, player.thing());
        }
        view.put(CLOCK_ID, self.clock());
        for (wall, id) in WALLS.iter().zip(FIRST_WALL_ID..) {
            view.put(id, wall.thing());
        }
        for (pickup, id) in self.pickups.iter().zip(FIRST_PICKUP_ID..) {
            if pickup.is_there() {
                view.put(id, pickup.thing());
            }
        }
        for bullet in &self.bullets {
            view.put_owned(FIRST_BULLET_ID + bullet.id, bullet.owner, bullet.thing());
        }
    }

    fn priority(&self, viewer: Option<Slot>, placed: &Placed<Thing>) -> f32 {
        match placed.entity {
            Thing::Player { .. } if viewer.is_some() && placed.owner == viewer => 8.0,
            Thing::Player { .. } => 4.0,
            Thing::Bullet { .. } => 2.0,
            // These change seldom or never.
            Thing::Wall { .. } | Thing::Clock { .. } | Thing::Pickup { .. } => 1.0,
        }
    }

    fn load_view(
        &mut self,
        _viewer: Option<Slot>,
        seen: &[Placed<Thing>],
    ) -> Result<(), LoadViewError> {
        self.pickups.iter_mut().for_each(Pickup::hide);
        for placed in seen {
            match &placed.entity {
                Thing::Player { .. } => {
                    let slot = placed.owner.ok_or(LoadViewError::Malformed)?;
                    self.players.push(Player::from_thing(slot, &placed.entity));
                }
                Thing::Bullet { .. } => {
                    let owner = placed.owner.ok_or(LoadViewError::Malformed)?;
                    let id = placed.id.checked_sub(FIRST_BULLET_ID);
                    let id = id
                        .filter(|id| *id < BULLET_IDS)
                        .ok_or(LoadViewError::Malformed)?;
                    self.bullets
                        .push(Bullet::from_thing(id, owner, &placed.entity));
                }
                Thing::Pickup { .. } => {
                    let index = placed.id.checked_sub(FIRST_PICKUP_ID);
                    let pickup = index.and_then(|index| self.pickups.get_mut(index as usize));
                    pickup.ok_or(LoadViewError::Malformed)?.show();
                }
                Thing::Clock { seconds, limit } => {
                    self.ticks_left = u32::from(*seconds) * Self::TICK_RATE;
                    self.score_limit = *limit;
                }
                Thing::Wall { .. } => {}
            }
        }
        if !self.players.is_sorted_by(|a, b| a.slot < b.slot) {
            return Err(LoadViewError::Malformed);
        }
        Ok(())
    }
}

// Players have their slots as ids. Bullets come last, so that what comes and goes does not lie
// between the ids of what stays.
const CLOCK_ID: u32 = 64;
const FIRST_WALL_ID: u32 = 70;
const FIRST_PICKUP_ID: u32 = 90;
const FIRST_BULLET_ID: u32 = 100;

game_sdk::export_game!(Arena);
