//! Marbles: players push each other and a ball about. Cheap, deterministic, and with everything
//! that can go wrong in it: what one player does moves the others.

use game_sdk::prelude::*;

/// One match.
#[derive(State, Clone, Debug)]
pub struct Marbles {
    rng: Rng,
    ticks_left: u32,
    marbles: Vec<Marble>,
    ball: Body,
    goals: u16,
    cheers: u16,
}

#[derive(State, Clone, Debug)]
struct Marble {
    slot: Slot,
    present: bool,
    body: Body,
    mark: u8,
    touches: u16,
}

#[derive(State, Clone, Debug)]
struct Body {
    x: f32,
    y: f32,
    vx: f32,
    vy: f32,
}

/// What a match is played with.
#[derive(Options, Clone, Debug)]
pub struct Length {
    /// How long a match lasts.
    #[option(default = 3600, range = 1..=3600)]
    pub seconds: u16,
}

/// What a player does.
#[derive(Input, Clone, Debug, Default, PartialEq)]
pub struct Push {
    /// Where to push.
    #[field(range = -1.0..=1.0)]
    pub x: f32,
    /// Where to push.
    #[field(range = -1.0..=1.0)]
    pub y: f32,
    /// Shows on the marble at once, to see when an input arrives.
    pub mark: u8,
}

/// What a player sends now and then.
#[derive(Message, Clone, Debug)]
pub enum Command {
    /// Counts.
    Cheer {
        /// How loud.
        #[field(range = 1..=3)]
        loud: u8,
    },
}

/// What players are told.
#[derive(Message, Clone, Debug)]
pub enum Event {
    /// The ball is in.
    Goal {
        /// How often so far.
        total: u16,
    },
    /// Somebody cheered.
    Cheered {
        /// Who.
        by: u8,
    },
}

/// What players see.
#[derive(Entities, Clone, Debug)]
#[allow(missing_docs, reason = "positions and velocities need no words")]
pub enum Thing {
    /// A player.
    Marble {
        #[net(range = 0.0..=40.0, step = 0.01, predict)]
        x: f32,
        #[net(range = 0.0..=24.0, step = 0.01, predict)]
        y: f32,
        #[net(predict)]
        mark: u8,
        #[net(range = -16.0..=16.0, step = 0.01, predict, interpolate = none)]
        vx: f32,
        #[net(range = -16.0..=16.0, step = 0.01, predict, interpolate = none)]
        vy: f32,
    },
    /// The ball.
    Ball {
        #[net(range = 0.0..=40.0, step = 0.01)]
        x: f32,
        #[net(range = 0.0..=24.0, step = 0.01)]
        y: f32,
        #[net(range = -16.0..=16.0, step = 0.01, interpolate = none)]
        vx: f32,
        #[net(range = -16.0..=16.0, step = 0.01, interpolate = none)]
        vy: f32,
    },
    /// Everything else.
    Board {
        #[net(range = 0..=3600, interpolate = none)]
        seconds: u16,
        #[net(interpolate = none)]
        goals: u16,
        #[net(interpolate = none)]
        cheers: u16,
    },
}

impl Game for Marbles {
    const NAME: &'static str = "marbles";
    const PLAYERS: std::ops::RangeInclusive<u8> = 1..=16;
    const BACKFILL: bool = true;
    const MAX_SAVE_BYTES: u32 = 4 << 10;

    type Options = Length;
    type Input = Push;
    type Command = Command;
    type Event = Event;
    type Entity = Thing;

    fn new(setup: &Setup<Length>, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            ticks_left: u32::from(setup.options.seconds) * Self::TICK_RATE,
            marbles: Vec::new(),
            ball: Body::at(20.0, 12.0),
            goals: 0,
            cheers: 0,
        }
    }

    fn join(&mut self, slot: Slot, _team: u8, _out: &mut Effects<Event>) {
        let (x, y) = (self.rng.range(2.0..38.0), self.rng.range(2.0..22.0));
        let marble = Marble {
            slot,
            present: true,
            body: Body::at(x, y),
            mark: 0,
            touches: 0,
        };
        match self.marbles.binary_search_by_key(&slot, |m| m.slot) {
            Ok(index) => self.marbles[index] = marble,
            Err(index) => self.marbles.insert(index, marble),
        }
    }

    fn leave(&mut self, slot: Slot, _out: &mut Effects<Event>) {
        if let Ok(index) = self.marbles.binary_search_by_key(&slot, |m| m.slot) {
            self.marbles[index].present = false;
        }
    }

    fn command(&mut self, slot: Slot, command: Command, out: &mut Effects<Event>) {
        let Command::Cheer { loud } = command;
        self.cheers = self.cheers.wrapping_add(loud.into());
        out.send(Event::Cheered { by: slot });
    }

    fn step(&mut self, _tick: Tick, inputs: &Inputs<Push>, out: &mut Effects<Event>) {
        let mut present: Vec<&mut Marble> = self.marbles.iter_mut().filter(|m| m.present).collect();
        for marble in &mut present {
            let Some(push) = inputs.get(marble.slot) else {
                continue;
            };
            marble.mark = push.mark;
            marble.body.vx += push.x * ACCELERATION * Self::DT;
            marble.body.vy += push.y * ACCELERATION * Self::DT;
        }
        for first in 0..present.len() {
            let (one, others) = present[first..].split_at_mut(1);
            for other in others {
                one[0].body.push_apart(&mut other.body);
            }
            if one[0].body.push_apart(&mut self.ball) {
                one[0].touches = one[0].touches.saturating_add(1);
            }
        }
        for marble in &mut present {
            marble.body.advance(Self::DT);
        }
        self.ball.advance(Self::DT);
        if !(1.0..=39.0).contains(&self.ball.x) {
            self.goals = self.goals.wrapping_add(1);
            self.ball = Body::at(20.0, self.rng.range(4.0..20.0));
            out.send(Event::Goal { total: self.goals });
        }
        self.ticks_left = self.ticks_left.saturating_sub(1);
        if self.ticks_left == 0 {
            let standing = |m: &Marble| Standing::new(m.slot, m.touches.into());
            let standings: Vec<Standing> = self.marbles.iter().map(standing).collect();
            out.finish(Outcome::Finished, standings);
        }
    }

    fn entities(&self, view: &mut View<Thing>) {
        for marble in self.marbles.iter().filter(|m| m.present) {
            let (Body { x, y, vx, vy }, mark) = (marble.body.clone(), marble.mark);
            let thing = Thing::Marble { x, y, mark, vx, vy };
            view.put_owned(marble.slot.into(), marble.slot, thing);
        }
        let Body { x, y, vx, vy } = self.ball.clone();
        view.put(BALL, Thing::Ball { x, y, vx, vy });
        let seconds = self.ticks_left.div_ceil(Self::TICK_RATE) as u16;
        let (goals, cheers) = (self.goals, self.cheers);
        let board = Thing::Board {
            seconds,
            goals,
            cheers,
        };
        view.put(BOARD, board);
    }

    fn load_view(
        &mut self,
        _viewer: Option<Slot>,
        seen: &[Placed<Thing>],
    ) -> Result<(), LoadViewError> {
        for placed in seen {
            match placed.entity {
                Thing::Marble { x, y, mark, vx, vy } => self.marbles.push(Marble {
                    slot: placed.owner.ok_or(LoadViewError::Malformed)?,
                    present: true,
                    body: Body { x, y, vx, vy },
                    mark,
                    touches: 0,
                }),
                Thing::Ball { x, y, vx, vy } => self.ball = Body { x, y, vx, vy },
                Thing::Board {
                    seconds,
                    goals,
                    cheers,
                } => {
                    // One second more, or a prediction would end the match ahead of the server.
                    self.ticks_left = (u32::from(seconds) + 1) * Self::TICK_RATE;
                    (self.goals, self.cheers) = (goals, cheers);
                }
            }
        }
        if !self.marbles.is_sorted_by(|a, b| a.slot < b.slot) {
            return Err(LoadViewError::Malformed);
        }
        Ok(())
    }
}

impl Body {
    fn at(x: f32, y: f32) -> Self {
        let (vx, vy) = (0.0, 0.0);
        Self { x, y, vx, vy }
    }

    /// Pushes two bodies apart that touch, and says whether they did.
    fn push_apart(&mut self, other: &mut Self) -> bool {
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        let squared = dx * dx + dy * dy;
        if squared >= 1.0 {
            return false;
        }
        let by = (1.0 - squared) * 0.5;
        self.vx -= dx * by;
        self.vy -= dy * by;
        other.vx += dx * by;
        other.vy += dy * by;
        true
    }

    fn advance(&mut self, dt: f32) {
        self.vx = (self.vx * DRAG).clamp(-MAX_SPEED, MAX_SPEED);
        self.vy = (self.vy * DRAG).clamp(-MAX_SPEED, MAX_SPEED);
        self.x = (self.x + self.vx * dt).clamp(0.0, 40.0);
        self.y = (self.y + self.vy * dt).clamp(0.0, 24.0);
    }
}

/// Units a second squared.
const ACCELERATION: f32 = 60.0;
/// What is left of a velocity after a tick.
const DRAG: f32 = 0.9;
/// Units a second, for each axis.
pub(crate) const MAX_SPEED: f32 = 12.0;
const BALL: u32 = 64;
const BOARD: u32 = 65;
