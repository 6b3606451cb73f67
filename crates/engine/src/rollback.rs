//! Prediction and rollback: a client's simulation runs ahead of the ticks that the server has
//! confirmed, and takes back what it guessed wrong.
//!
//! A [`Session`] decides, and never calls: [`Session::poll_request`] answers what is to be done
//! next to a simulation that the caller owns (load a state, step a tick, save a state), in order.
//! [`Simulator`] is such a caller for any [`Simulation`](crate::Simulation), for tests, benches and
//! native tools.
//!
//! - A tick is stepped with its confirmed log where there is one, else with a guess: one's own
//!   input as it was sent, everybody else's last input again, marked as the server will most likely
//!   mark it ([`Session::advance`] says how far that goes).
//! - When a confirmed log differs from the one that was used, everything from there on is taken
//!   back and stepped again; where it does not, nothing is.
//! - States are saved sparsely ([`save_interval`]), but always such that every tick that may yet be
//!   taken back can be reached.
//!
//! Memory is used again: in a steady state nothing is allocated.

mod entry;
mod simulator;

pub use simulator::{Desync, ShownEvent, Simulator};

use std::time::Duration;

use crate::confirmed::{ConfirmedTick, HASH_EVERY};
use crate::simulation::{Slot, Tick, TickLog};
use entry::{Entry, OwnInputs};

/// What a client that predicts does next.
#[derive(Debug)]
pub struct Session {
    slots: usize,
    local: Option<Slot>,
    max_prediction: u32,
    save_every: u32,
    /// Each tick at its number modulo [`RING`].
    ring: Vec<Entry>,
    own: OwnInputs,
    /// The newest tick whose confirmed log is here.
    confirmed: Tick,
    /// The tick after which the caller's simulation stands.
    at: Tick,
    /// Up to here the simulation ran on logs that still hold; less than `at` where some do not.
    valid: Tick,
    /// The newest tick that was stepped.
    head: Tick,
    /// Where the plan ends.
    target: Tick,
    /// The ticks of the caller's saved states, by their place.
    saves: Vec<Option<Tick>>,
    /// The newest of them, all of which are up to `at`.
    newest_save: Option<Tick>,
    /// A confirmed tick whose hash nobody has compared yet.
    unchecked: Option<Tick>,
    counters: RollbackCounters,
}

/// Something to do to the simulation. It counts as done once it was answered.
#[derive(Debug, PartialEq)]
pub enum Request<'a> {
    /// Take back the state after `tick`.
    Load {
        /// The tick.
        tick: Tick,
        /// Where it was saved.
        place: usize,
    },
    /// Step `log.tick`.
    Advance {
        /// All that the step depends on.
        log: &'a TickLog,
        /// Whether it was stepped before.
        run: Run,
        /// Whether the log is final.
        confirmed: bool,
    },
    /// Keep the state after `tick`.
    Save {
        /// The tick.
        tick: Tick,
        /// Where: below [`Session::places`]. What was there is not needed any more.
        place: usize,
    },
}

/// Whether a tick was stepped before. What is to be shown or heard once belongs to the first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Never.
    First,
    /// It was, from another state or with another log.
    Again,
}

/// What was guessed wrong so far, and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollbackCounters {
    /// Ticks that were confirmed.
    pub confirmed: u64,
    /// Of those, how many had been stepped with another log.
    pub mispredicted: u64,
    /// How often a state was taken back.
    pub rollbacks: u64,
    /// Ticks that were stepped again.
    pub resimulated: u64,
    /// The most ticks that were taken back at once.
    pub longest: u32,
    /// How often [`Session::advance`] could not go as far as asked.
    pub waits: u64,
}

impl Session {
    /// A match of `slots` slots (at most 255) at tick 0, seen by the player in slot `local` (a
    /// spectator has none, and a slot that the match lacks is none), with inputs of `input_len` bytes. At most `max_prediction` ticks are
    /// stepped beyond the newest confirmed one (clamped to 1..=[`MAX_PREDICTION`]).
    pub fn new(slots: u8, local: Option<Slot>, input_len: usize, max_prediction: u32) -> Self {
        let max_prediction = max_prediction.clamp(1, MAX_PREDICTION);
        let mut ring = Vec::new();
        ring.resize_with(RING, Entry::default);
        Self {
            slots: slots.into(),
            local: local.filter(|slot| *slot < slots),
            max_prediction,
            save_every: 1,
            ring,
            own: OwnInputs::new(input_len),
            confirmed: 0,
            at: 0,
            valid: 0,
            head: 0,
            target: 0,
            saves: vec![None; max_prediction as usize + SPARE_PLACES],
            newest_save: None,
            unchecked: None,
            counters: RollbackCounters::default(),
        }
    }

    /// Saves a predicted state only each so many ticks, 1 at least; see [`save_interval`].
    pub fn set_save_interval(&mut self, ticks: u32) {
        self.save_every = ticks.clamp(1, self.max_prediction);
    }

    /// Takes the local player's input of a tick, which is used instead of a guess. It is to come
    /// before the tick is stepped; later, it makes the tick be stepped again. The first one of a
    /// tick counts. Answers whether it was taken: not for a tick that is confirmed or more than
    /// [`MAX_WAITING`] ticks ahead, an input of another length, or a spectator.
    pub fn handle_input(&mut self, tick: Tick, data: &[u8]) -> bool {
        let Some(local) = self.local else {
            return false;
        };
        let taken = tick > self.confirmed
            && tick <= self.head.saturating_add(MAX_WAITING)
            && self.own.insert(tick, data);
        if taken && tick <= self.head {
            self.stale_from(tick, local);
        }
        taken
    }

    /// Takes a tick that the server has confirmed: the one after [`confirmed`](Self::confirmed).
    ///
    /// # Errors
    /// [`ConfirmedError`] where it is another one, or is not for this match, or the simulation is
    /// so far behind that it has to [`advance`](Self::advance) first.
    pub fn handle_confirmed(&mut self, confirmed: &ConfirmedTick) -> Result<(), ConfirmedError> {
        let (tick, log) = (confirmed.log.tick, &confirmed.log);
        let expected = self.confirmed + 1;
        if tick != expected {
            return Err(ConfirmedError::Order {
                found: tick,
                expected,
            });
        }
        if log.inputs.len() != self.slots {
            return Err(ConfirmedError::Slots {
                found: log.inputs.len(),
                expected: self.slots,
            });
        }
        if tick > self.at.saturating_add(MAX_WAITING) {
            return Err(ConfirmedError::Full { tick, at: self.at });
        }
        let (before, entry) = neighbours(&mut self.ring, tick);
        let guessed = tick <= self.head && entry.log.tick == tick;
        let wrong = entry.confirm(confirmed, before, guessed);
        if let Some(slots) = wrong
            && guessed
        {
            if tick <= self.at {
                self.valid = self.valid.min(tick - 1);
                self.counters.mispredicted += 1;
            }
            for later in tick + 1..=self.head {
                self.ring[later as usize % RING].stale.insert_all(slots);
            }
        }
        self.confirmed = tick;
        self.counters.confirmed += 1;
        if confirmed.hash.is_some() {
            self.unchecked = Some(tick);
        }
        Ok(())
    }

    /// Plans to step up to tick `to`, as far as prediction may go, and answers how far that is:
    /// less than `to` where too much is unconfirmed and the client has to wait. What was stepped is
    /// never given up, however small `to` is.
    pub fn advance(&mut self, to: Tick) -> Tick {
        let farthest = self.confirmed.saturating_add(self.max_prediction);
        self.target = to.min(farthest).max(self.head);
        self.counters.waits += u64::from(self.target < to);
        self.target
    }

    /// The next thing to do to the simulation, until there is none.
    pub fn poll_request(&mut self) -> Option<Request<'_>> {
        if self.valid < self.at {
            return Some(self.roll_back());
        }
        if self.save_is_due() {
            let (tick, place) = (self.at, self.free_place());
            self.saves[place] = Some(tick);
            self.newest_save = Some(tick);
            return Some(Request::Save { tick, place });
        }
        if self.at >= self.target {
            return None;
        }
        let tick = self.at + 1;
        let confirmed = tick <= self.confirmed;
        let (before, entry) = neighbours(&mut self.ring, tick);
        if !confirmed {
            entry.predict(tick, self.slots, before, self.local, &self.own);
        }
        let run = if tick > self.head {
            Run::First
        } else {
            self.counters.resimulated += 1;
            Run::Again
        };
        (self.at, self.valid, self.head) = (tick, tick, self.head.max(tick));
        let log = &self.ring[tick as usize % RING].log;
        Some(Request::Advance {
            log,
            run,
            confirmed,
        })
    }

    fn roll_back(&mut self) -> Request<'static> {
        let valid = self.valid;
        let saves = self.saves.iter().enumerate();
        let newest = saves
            .filter_map(|(place, tick)| Some(((*tick)?, place)))
            .filter(|(tick, _)| *tick <= valid)
            .max();
        let (tick, place) = newest.expect("a state up to the newest valid tick is always kept");
        for save in &mut self.saves {
            *save = save.filter(|saved| *saved <= tick);
        }
        self.counters.rollbacks += 1;
        self.counters.longest = self.counters.longest.max(self.at - valid);
        self.target = self.target.max(self.head);
        (self.at, self.valid, self.newest_save) = (tick, tick, Some(tick));
        Request::Load { tick, place }
    }

    /// Whether the state that was just reached is one to keep: one whose hash will be compared; the
    /// last final one, unless a state close before it is kept; and each n-th guessed one, or half of
    /// those where they are stepped again.
    fn save_is_due(&self) -> bool {
        let Some(newest) = self.newest_save else {
            return true;
        };
        let age = self.at - newest;
        if age == 0 {
            return false;
        }
        // What is stepped again lies close before the next wrong guess or, where that comes late,
        // is soon all confirmed: fewer states are worth keeping.
        let every = match self.save_every {
            every @ 2.. if self.at < self.head => 2 * every,
            every => every,
        };
        self.at.is_multiple_of(HASH_EVERY)
            || match self.at.cmp(&self.confirmed.min(self.target)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => 2 * age >= self.save_every,
                std::cmp::Ordering::Greater => age >= every,
            }
    }

    /// A place that holds nothing which may be needed still: what is older than the newest final
    /// state, but for one whose hash is to be compared.
    fn free_place(&self) -> usize {
        let verified = self.verified();
        let floor = self
            .saves
            .iter()
            .flatten()
            .filter(|tick| **tick <= verified)
            .max();
        let needed = |tick: &Tick| Some(tick) >= floor || self.unchecked == Some(*tick);
        self.saves
            .iter()
            .position(|save| !save.as_ref().is_some_and(needed))
            .expect("there is a place for every tick that may be taken back, and more")
    }

    /// Begins anew from a keyframe: the caller has loaded the state after `tick`. Confirmed logs of
    /// later ticks are used again where they are in a row from there; [`confirmed`](Self::confirmed)
    /// says what is to come next.
    pub fn restart(&mut self, tick: Tick) {
        let in_a_row = tick <= self.confirmed
            && self.confirmed - tick < RING as u32 / 2
            && (tick + 1..=self.confirmed).all(|tick| {
                let entry = &self.ring[tick as usize % RING];
                entry.log.tick == tick && entry.confirmed
            });
        if !in_a_row {
            self.confirmed = tick;
        }
        for entry in &mut self.ring {
            if !entry.confirmed || entry.log.tick > self.confirmed {
                entry.forget();
            }
        }
        let hashed = (tick + 1..=self.confirmed)
            .rev()
            .find(|tick| self.ring[*tick as usize % RING].hash.is_some());
        self.unchecked = hashed;
        self.saves.fill(None);
        self.newest_save = None;
        (self.at, self.valid, self.head, self.target) = (tick, tick, tick, tick);
    }

    /// A final state to compare with the server's, once there is one: its tick, the server's hash,
    /// and where it was saved. To be asked when there is no request left.
    pub fn poll_check(&mut self) -> Option<Check> {
        let tick = self.unchecked.filter(|tick| *tick <= self.verified())?;
        self.unchecked = None;
        let hash = self.ring[tick as usize % RING].hash?;
        let place = self.saves.iter().position(|save| *save == Some(tick))?;
        Some(Check { tick, hash, place })
    }

    /// The local player's slot and input of the tick that is to be guessed next, the first time it
    /// is: where the game amends or refuses inputs, its verdict makes the better guess.
    pub fn unjudged_input(&mut self) -> Option<(Slot, Tick, &[u8])> {
        let tick = self.at + 1;
        if self.valid < self.at || self.at >= self.target || tick <= self.confirmed {
            return None;
        }
        Some((self.local?, tick, self.own.judge(tick)?))
    }

    /// What the game makes of the local player's input of a tick that was not stepped yet; `None`
    /// where it refuses it.
    pub fn amend_input(&mut self, tick: Tick, data: Option<&[u8]>) {
        self.own.amend(tick, data);
    }

    /// The newest tick whose confirmed log is here; 0 for none.
    pub fn confirmed(&self) -> Tick {
        self.confirmed
    }

    /// The newest tick after which the state is final: it was stepped, and so were all before it,
    /// with confirmed logs.
    pub fn verified(&self) -> Tick {
        self.valid.min(self.confirmed)
    }

    /// The tick after which the simulation stands.
    pub fn tick(&self) -> Tick {
        self.at
    }

    /// The log that a tick ran on, or is to: of recent ticks only.
    pub fn log(&self, tick: Tick) -> Option<&TickLog> {
        let log = &self.ring[tick as usize % RING].log;
        (log.tick == tick && tick != 0).then_some(log)
    }

    /// How many places for saved states there are; few of them are used where states are saved
    /// sparsely, the first ones first.
    pub fn places(&self) -> usize {
        self.saves.len()
    }

    /// What was guessed wrong so far.
    pub fn counters(&self) -> RollbackCounters {
        self.counters
    }

    /// The guess at a slot's input does not hold from a tick on, which has been stepped.
    fn stale_from(&mut self, tick: Tick, slot: Slot) {
        for tick in tick..=self.head {
            self.ring[tick as usize % RING].stale.insert(slot.into());
        }
        if tick <= self.at {
            self.valid = self.valid.min(tick - 1);
        }
    }
}

/// The entry before a tick's, and its own.
fn neighbours(ring: &mut [Entry], tick: Tick) -> (&Entry, &mut Entry) {
    let (at, before) = (tick as usize % RING, (tick as usize - 1) % RING);
    if at == 0 {
        let (first, rest) = ring.split_at_mut(1);
        (&rest[before - 1], &mut first[0])
    } else {
        let (left, right) = ring.split_at_mut(at);
        (&left[before], &mut right[0])
    }
}

/// A final state, and what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The tick.
    pub tick: Tick,
    /// The server's [`state_hash`](crate::confirmed::state_hash).
    pub hash: u64,
    /// Where the state was saved.
    pub place: usize,
}

/// How many ticks apart states are best saved, where a save and a step take so long: with every
/// n-th state saved, a tick costs `save / n`, and each rollback `step * (n - 1) / 2` more. One
/// rollback in [`TICKS_A_ROLLBACK`] ticks is assumed.
///
/// For callers that have measured, as `bench rollback` has. `gs-client` has no clock of its own and
/// goes by the size of the state.
pub fn save_interval(save: Duration, step: Duration) -> u32 {
    let ratio = save.as_secs_f64() / step.as_secs_f64().max(1e-9);
    let best = (2.0 * f64::from(TICKS_A_ROLLBACK) * ratio).sqrt();
    (best.round() as u32).clamp(1, MAX_SAVE_INTERVAL)
}

/// Why a confirmed tick was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmedError {
    /// It is not the next one.
    #[error("confirmed tick {found}, expected {expected}")]
    Order {
        /// The tick.
        found: Tick,
        /// The next one.
        expected: Tick,
    },
    /// It has another number of inputs than the match has slots.
    #[error("a confirmed tick for {found} slots, but the match has {expected}")]
    Slots {
        /// How many inputs it has.
        found: usize,
        /// How many slots there are.
        expected: usize,
    },
    /// Too many confirmed ticks wait to be stepped.
    #[error("confirmed tick {tick} while the simulation is at {at}; advance first")]
    Full {
        /// The tick.
        tick: Tick,
        /// Where the simulation stands.
        at: Tick,
    },
}

/// How far a client may run ahead of what is confirmed: 400 ms at 60 ticks, twice what a line with
/// 200 ms of round trip and jitter needs.
pub const MAX_PREDICTION: u32 = 24;
/// How many ticks may wait to be stepped: a client that is two seconds behind (at 60 ticks) is
/// better off with a keyframe.
pub const MAX_WAITING: u32 = 128;
/// Farthest apart that states are saved: half of what may be predicted.
pub const MAX_SAVE_INTERVAL: u32 = MAX_PREDICTION / 2;
/// One rollback in so many ticks: other players change their inputs a few times a second each.
pub const TICKS_A_ROLLBACK: u32 = 4;

/// Ticks that are remembered: those that wait, those that may be taken back, and as many final ones
/// as a keyframe may be old.
const RING: usize = 256;
/// Places beside one for each predicted tick: the newest final state, one whose hash is to be
/// compared, the next one, and one for the state at a restart.
const SPARE_PLACES: usize = 4;
