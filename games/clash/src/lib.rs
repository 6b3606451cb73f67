//! Clash: a fighting game for two.
//!
//! Who brings the other down, or has more health when the time is up, wins the round; two rounds
//! win the match. All arithmetic is in whole numbers, so that a fight is the same everywhere:
//! distances in millimetres of a stage 12 m wide, x to the right and y up from the floor; speeds in
//! millimetres a tick; durations in ticks. What one sees of a fight is all of it, so it can be
//! continued from a view exactly.

mod contact;
mod fighter;
mod moves;
mod rounds;
mod schema;

pub use fighter::{Action, Fighter};
pub use moves::Move;
pub use rounds::Phase;
pub use schema::{Command, Event, Pad, Rules, Thing};

use game_sdk::prelude::*;

/// One match.
#[derive(State, Clone, Debug, PartialEq)]
pub struct Clash {
    fighters: [Fighter; 2],
    phase: Phase,
    /// The round, from 1; 0 while players are awaited.
    round: u8,
    /// Ticks until the phase is over.
    left: u16,
    /// Ticks for which a hit holds everything still.
    freeze: u8,
    rounds_to_win: u8,
    round_seconds: u8,
}

impl Clash {
    /// One of the two, by slot.
    pub fn fighter(&self, slot: Slot) -> Option<&Fighter> {
        self.fighters.get(usize::from(slot))
    }

    /// One of the two, to arrange a scene.
    pub fn fighter_mut(&mut self, slot: Slot) -> Option<&mut Fighter> {
        self.fighters.get_mut(usize::from(slot))
    }

    /// What is going on.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The round, from 1; 0 while players are awaited.
    pub fn round(&self) -> u8 {
        self.round
    }

    /// Leaves so much of the phase, to arrange its end.
    pub fn set_ticks_left(&mut self, ticks: u16) {
        self.left = ticks;
    }
}

impl Game for Clash {
    const NAME: &'static str = "clash";
    const TITLE: &'static str = "Clash";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PLAYERS: std::ops::RangeInclusive<u8> = 2..=2;
    const MAX_SAVE_BYTES: u32 = 256;
    const LEADERBOARD: LeaderboardRule = LeaderboardRule::Sum;

    type Options = Rules;
    type Input = Pad;
    type Command = Command;
    type Event = Event;
    type Entity = Thing;

    fn new(setup: &Setup<Rules>, _seed: u64) -> Self {
        Self {
            fighters: [Fighter::new(0), Fighter::new(1)],
            phase: Phase::Waiting,
            round: 0,
            left: 0,
            freeze: 0,
            rounds_to_win: setup.options.rounds_to_win,
            round_seconds: setup.options.round_seconds,
        }
    }

    fn join(&mut self, slot: Slot, _team: u8, _out: &mut Effects<Event>) {
        if let Some(fighter) = self.fighter_mut(slot) {
            fighter.joined = true;
        }
    }

    fn leave(&mut self, slot: Slot, _out: &mut Effects<Event>) {
        if let Some(fighter) = self.fighter_mut(slot) {
            fighter.gone = true;
        }
    }

    fn step(&mut self, _tick: Tick, inputs: &Inputs<Pad>, out: &mut Effects<Event>) {
        let still = self.freeze > 0;
        for fighter in &mut self.fighters {
            let pad = inputs.get(fighter.slot).copied().unwrap_or_default();
            fighter.read(pad, still);
        }
        if still {
            self.freeze -= 1;
        } else {
            let [first, second] = &mut self.fighters;
            let (left, right) = (first.x, second.x);
            let fights = self.phase == Phase::Fight;
            first.tick(right, fights);
            second.tick(left, fights);
            self.keep_apart();
            if fights {
                self.strike(out);
            }
        }
        self.run_round(still, out);
    }

    fn entities(&self, view: &mut View<Thing>) {
        for fighter in self.fighters.iter().filter(|fighter| fighter.joined) {
            view.put_owned(u32::from(fighter.slot), fighter.slot, fighter.thing());
        }
        view.put(ROUND_ID, self.round_thing());
    }

    fn load_view(
        &mut self,
        _viewer: Option<Slot>,
        seen: &[Placed<Thing>],
    ) -> Result<(), LoadViewError> {
        for placed in seen {
            match (&placed.entity, placed.owner) {
                (Thing::Fighter { .. }, Some(slot)) => {
                    let fighter = self.fighter_mut(slot).ok_or(LoadViewError::Malformed)?;
                    *fighter = Fighter::from_thing(slot, &placed.entity)
                        .ok_or(LoadViewError::Malformed)?;
                }
                (Thing::Fighter { .. }, None) => return Err(LoadViewError::Malformed),
                (Thing::Round { .. }, _) => self
                    .take_round(&placed.entity)
                    .ok_or(LoadViewError::Malformed)?,
            }
        }
        Ok(())
    }
}

/// Fighters have their slots as ids.
const ROUND_ID: u32 = 2;

game_sdk::export_game!(Clash);
