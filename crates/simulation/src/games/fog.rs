//! Fog: players see only what is near them, and each has a secret of its own.

use game_sdk::prelude::*;

/// One match.
#[derive(State, Clone, Debug)]
pub struct Fog {
    walkers: Vec<Walker>,
    /// Position and heading of what wanders about by itself.
    lamps: Vec<(f32, f32, u8)>,
    rng: Rng,
}

#[derive(State, Clone, Debug)]
struct Walker {
    slot: Slot,
    present: bool,
    x: f32,
    y: f32,
    mark: u8,
    secret: u16,
}

/// What a player does.
#[derive(Input, Clone, Debug, Default, PartialEq)]
pub struct Walk {
    /// Where to go.
    #[field(range = -1.0..=1.0)]
    pub x: f32,
    /// Where to go.
    #[field(range = -1.0..=1.0)]
    pub y: f32,
    /// Shows on the walker at once, to see when an input arrives.
    pub mark: u8,
}

/// What players see.
#[derive(Entities, Clone, Debug)]
#[allow(missing_docs, reason = "positions need no words")]
pub enum Thing {
    /// A player.
    Walker {
        #[net(range = 0.0..=40.0, step = 0.01, predict)]
        x: f32,
        #[net(range = 0.0..=40.0, step = 0.01, predict)]
        y: f32,
        #[net(predict)]
        mark: u8,
        /// 0 to everyone else.
        #[net(owner_only, interpolate = none)]
        secret: u16,
    },
    /// A lamp.
    Lamp {
        #[net(range = 0.0..=40.0, step = 0.01)]
        x: f32,
        #[net(range = 0.0..=40.0, step = 0.01)]
        y: f32,
    },
}

impl Fog {
    fn walker(&self, slot: Slot) -> Option<&Walker> {
        self.walkers
            .iter()
            .find(|walker| walker.slot == slot && walker.present)
    }
}

impl Game for Fog {
    const NAME: &'static str = "fog";
    const PLAYERS: std::ops::RangeInclusive<u8> = 1..=16;
    const BACKFILL: bool = true;
    const MAX_SAVE_BYTES: u32 = 4 << 10;
    const HIDDEN_STATE: bool = true;

    type Options = ();
    type Input = Walk;
    type Command = Never;
    type Event = Never;
    type Entity = Thing;

    fn new(_: &Setup<()>, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let lamp = |_| (rng.range(0.0..40.0), rng.range(0.0..40.0), 0);
        Self {
            walkers: Vec::new(),
            lamps: (0..LAMPS).map(lamp).collect(),
            rng,
        }
    }

    fn join(&mut self, slot: Slot, _team: u8, _out: &mut Effects<Never>) {
        let walker = Walker {
            slot,
            present: true,
            x: self.rng.range(0.0..40.0),
            y: self.rng.range(0.0..40.0),
            mark: 0,
            secret: 1,
        };
        match self.walkers.binary_search_by_key(&slot, |w| w.slot) {
            Ok(index) => self.walkers[index] = walker,
            Err(index) => self.walkers.insert(index, walker),
        }
    }

    fn leave(&mut self, slot: Slot, _out: &mut Effects<Never>) {
        if let Ok(index) = self.walkers.binary_search_by_key(&slot, |w| w.slot) {
            self.walkers[index].present = false;
        }
    }

    fn step(&mut self, tick: Tick, inputs: &Inputs<Walk>, _out: &mut Effects<Never>) {
        for walker in self.walkers.iter_mut().filter(|walker| walker.present) {
            if let Some(walk) = inputs.get(walker.slot) {
                walker.mark = walk.mark;
                walker.x = (walker.x + walk.x * SPEED * Self::DT).clamp(0.0, 40.0);
                walker.y = (walker.y + walk.y * SPEED * Self::DT).clamp(0.0, 40.0);
            }
            if tick.is_multiple_of(20) {
                // Never 0, which is what the others see.
                walker.secret = walker.secret % u16::MAX + 1;
            }
        }
        for (x, y, heading) in &mut self.lamps {
            if self.rng.chance(0.02) {
                *heading = self.rng.below(4) as u8;
            }
            let (dx, dy) =
                [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][usize::from(*heading)];
            *x = (*x + dx * SPEED * Self::DT).clamp(0.0, 40.0);
            *y = (*y + dy * SPEED * Self::DT).clamp(0.0, 40.0);
        }
    }

    fn entities(&self, view: &mut View<Thing>) {
        for walker in self.walkers.iter().filter(|walker| walker.present) {
            let thing = Thing::Walker {
                x: walker.x,
                y: walker.y,
                mark: walker.mark,
                secret: walker.secret,
            };
            view.put_owned(walker.slot.into(), walker.slot, thing);
        }
        for ((x, y, _), id) in self.lamps.iter().zip(FIRST_LAMP..) {
            view.put(id, Thing::Lamp { x: *x, y: *y });
        }
    }

    fn visible(&self, viewer: Option<Slot>, placed: &Placed<Thing>) -> bool {
        let Some(walker) = viewer.and_then(|slot| self.walker(slot)) else {
            return false;
        };
        let (Thing::Walker { x, y, .. } | Thing::Lamp { x, y }) = placed.entity;
        let (dx, dy) = (x - walker.x, y - walker.y);
        placed.owner == viewer || dx * dx + dy * dy < SIGHT * SIGHT
    }

    fn priority(&self, viewer: Option<Slot>, placed: &Placed<Thing>) -> f32 {
        if placed.owner == viewer { 8.0 } else { 1.0 }
    }

    fn load_view(
        &mut self,
        _viewer: Option<Slot>,
        seen: &[Placed<Thing>],
    ) -> Result<(), LoadViewError> {
        self.lamps.clear();
        for placed in seen {
            if let Thing::Walker { x, y, mark, secret } = placed.entity {
                self.walkers.push(Walker {
                    slot: placed.owner.ok_or(LoadViewError::Malformed)?,
                    present: true,
                    x,
                    y,
                    mark,
                    secret,
                });
            }
        }
        if !self.walkers.is_sorted_by(|a, b| a.slot < b.slot) {
            return Err(LoadViewError::Malformed);
        }
        Ok(())
    }
}

/// How far a player sees.
pub(crate) const SIGHT: f32 = 12.0;
/// Units a second, for each axis.
pub(crate) const SPEED: f32 = 8.0;
const LAMPS: usize = 40;
const FIRST_LAMP: u32 = 64;
