//! A match of players who do anything that they may, from a seed.

use crate::manifest::{Field, FieldKind, Manifest, Message};
use crate::simulation::{Happening, HappeningKind, InputStatus, Slot, SlotInput, Tick, TickLog};

/// Makes the tick logs of a match from a seed: joins, leaves, substitutes where the game takes them,
/// commands and inputs that keep the game's schema, as a server would pass them on. The same manifest, players and seed give the
/// same logs.
#[derive(Clone, Debug)]
pub struct RandomMatch {
    inputs: Vec<Field>,
    commands: Vec<Message>,
    teams: u8,
    tick_rate: u32,
    backfill: bool,
    players: Vec<Player>,
    rng: Rng,
    tick: Tick,
}

#[derive(Clone, Debug, Default)]
struct Player {
    /// The tick at which it joins.
    joins: Tick,
    left: bool,
    /// Whether anything has been heard of it.
    heard: bool,
    input: Vec<u8>,
    /// For how many ticks more it does the same.
    holds: u32,
    /// How old the picture is that it looks at, in 1/256 ticks.
    lag: u32,
}

impl RandomMatch {
    /// A match of so many players, at most 64.
    pub fn new(manifest: &Manifest, players: u8, seed: u64) -> Self {
        let mut rng = Rng { state: seed };
        let join = |slot: u8| Player {
            // Most come at once, some in the middle.
            joins: if slot == 0 || rng.chance(3, 4) {
                1
            } else {
                1 + rng.below(LATE_JOIN)
            },
            ..Player::default()
        };
        Self {
            players: (0..players.min(64)).map(join).collect(),
            inputs: manifest.input.clone(),
            commands: manifest.commands.clone(),
            teams: manifest.teams,
            tick_rate: manifest.tick_rate,
            backfill: manifest.backfill,
            rng,
            tick: 0,
        }
    }

    /// The log of the next tick; the first is of tick 1.
    pub fn next_log(&mut self) -> TickLog {
        self.tick += 1;
        let mut log = TickLog {
            tick: self.tick,
            ..TickLog::default()
        };
        for slot in 0..self.players.len() {
            self.happen(slot, &mut log.happenings);
            let input = self.input(slot);
            log.inputs.push(input);
        }
        log
    }

    fn happen(&mut self, slot: usize, happenings: &mut Vec<Happening>) {
        let number = slot as Slot;
        let mut push = |kind| happenings.push(Happening { slot: number, kind });
        if self.players[slot].joins == self.tick {
            let team = number.checked_rem(self.teams).unwrap_or(0);
            push(HappeningKind::Join { team });
        }
        if !self.is_there(slot) {
            return;
        }
        // The first two stay, so that most matches go on.
        if slot >= 2 && self.rng.chance(1, LEAVE_ONCE_IN) {
            push(HappeningKind::Leave);
            self.players[slot].left = true;
            if self.backfill {
                // A substitute comes, of whom nothing has been heard yet.
                self.players[slot] = Player {
                    joins: self.tick + 1 + self.rng.below(LATE_JOIN),
                    ..Player::default()
                };
            }
            return;
        }
        if !self.commands.is_empty() && self.rng.chance(1, COMMAND_ONCE_IN) {
            let index = self.rng.below(self.commands.len() as u32) as usize;
            let mut data = vec![index as u8];
            for field in &self.commands[index].fields {
                write(field.kind, &mut self.rng, &mut data);
            }
            push(HappeningKind::Command(data));
        }
    }

    fn input(&mut self, slot: usize) -> SlotInput {
        if !self.is_there(slot) {
            return SlotInput::default();
        }
        let fresh = self.rng.chance(14, 15);
        if !fresh && !self.players[slot].heard {
            return SlotInput::default();
        }
        if fresh && self.players[slot].holds == 0 {
            let mut data = Vec::new();
            for field in &self.inputs {
                write(field.kind, &mut self.rng, &mut data);
            }
            // Now and then long enough to get somewhere, else so short that it is in time for
            // something.
            let longest = if self.rng.chance(1, 4) {
                LONG_HOLD
            } else {
                SHORT_HOLD
            };
            let holds = self.rng.below(longest);
            let longest = (self.tick_rate * MAX_LAG_MS * 256) / 1000;
            let player = &mut self.players[slot];
            player.input = data;
            player.heard = true;
            player.holds = holds;
            // Half of the time at what is now, as in `validated`.
            player.lag = if self.rng.chance(1, 2) {
                0
            } else {
                self.rng.below(longest + 1)
            };
        }
        let player = &mut self.players[slot];
        player.holds = player.holds.saturating_sub(1);
        SlotInput {
            status: if fresh {
                InputStatus::Fresh
            } else {
                InputStatus::Repeated
            },
            view_tick: (self.tick * 256).saturating_sub(player.lag),
            data: player.input.clone(),
        }
    }

    fn is_there(&self, slot: usize) -> bool {
        let player = &self.players[slot];
        player.joins <= self.tick && !player.left
    }
}

/// Writes any value that the field may have; its ends more often than the rest.
fn write(kind: FieldKind, rng: &mut Rng, out: &mut Vec<u8>) {
    let mut whole = |min: i64, max: i64| match rng.below(8) {
        0 => min,
        1 => max,
        2 if (min..=max).contains(&0) => 0,
        _ => min + rng.up_to((max - min) as u64) as i64,
    };
    match kind {
        FieldKind::Bool => out.push(whole(0, 1) as u8),
        FieldKind::U8 { min, max } => out.push(whole(min.into(), max.into()) as u8),
        FieldKind::I8 { min, max } => out.push((whole(min.into(), max.into()) as i8) as u8),
        FieldKind::U16 { min, max } => {
            out.extend((whole(min.into(), max.into()) as u16).to_le_bytes());
        }
        FieldKind::I16 { min, max } => {
            out.extend((whole(min.into(), max.into()) as i16).to_le_bytes());
        }
        FieldKind::U32 { min, max } => {
            out.extend((whole(min.into(), max.into()) as u32).to_le_bytes());
        }
        FieldKind::I32 { min, max } => {
            out.extend((whole(min.into(), max.into()) as i32).to_le_bytes());
        }
        FieldKind::F32 { min, max } => {
            let share = f64::from(whole(0, 1 << 24) as u32) / f64::from(1 << 24);
            let value = f64::from(min) + (f64::from(max) - f64::from(min)) * share;
            let value = (value as f32).clamp(min, max);
            // Where minus zero is allowed it is another zero to tell apart.
            let value = if value == 0.0 && whole(0, 1) == 0 && min < 0.0 {
                -0.0
            } else {
                value
            };
            out.extend(value.to_le_bytes());
        }
        FieldKind::Text { max } => {
            let len = whole(0, i64::from(max.min(MAX_TEXT))) as u16;
            out.extend(len.to_le_bytes());
            out.extend((0..len).map(|_| b'a' + whole(0, 25) as u8));
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Rng {
    pub(super) state: u64,
}

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..=most`.
    fn up_to(&mut self, most: u64) -> u64 {
        ((u128::from(self.next()) * (u128::from(most) + 1)) >> 64) as u64
    }

    /// A number in `0..bound`; `bound` is at least 1.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.up_to(u64::from(bound.max(1)) - 1) as u32
    }

    pub(super) fn chance(&mut self, times: u32, of: u32) -> bool {
        self.below(of) < times
    }
}

/// Who does not join at once does within so many ticks.
const LATE_JOIN: u32 = 300;
/// A player leaves after so many ticks, on average.
const LEAVE_ONCE_IN: u32 = 2_000;
/// A player sends a command once in so many ticks, on average.
const COMMAND_ONCE_IN: u32 = 30;
/// A player does the same for at most so many ticks, one time in four.
const LONG_HOLD: u32 = 60;
/// And else for at most so many.
const SHORT_HOLD: u32 = 10;
/// As far back as a host lets a player look.
const MAX_LAG_MS: u32 = 250;
/// Longest text of a command, in bytes: one of 8 KiB says nothing more.
const MAX_TEXT: u16 = 200;
