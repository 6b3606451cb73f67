//! Bots: they hold a course for a while, as people do, and then take another.

use arena::Stick;
use game_sdk::Input;
use gs_engine::Tick;

use super::Bot;
use super::marbles::Push;
use crate::Dice;

/// Plays Marbles and Fog, whose inputs are alike.
pub struct PushBot {
    dice: Dice,
    push: Push,
    course: u32,
    marked: u32,
    changed: bool,
}

impl PushBot {
    /// A bot that does the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, BOT),
            push: Push::default(),
            course: 0,
            marked: 0,
            changed: false,
        }
    }
}

impl Bot for PushBot {
    fn input(&mut self, _tick: Tick, out: &mut Vec<u8>) {
        if due(&mut self.course, &mut self.dice, 40) {
            self.push.x = self.dice.range(-1.0, 1.0) as f32;
            self.push.y = self.dice.range(-1.0, 1.0) as f32;
        }
        self.changed = due(&mut self.marked, &mut self.dice, 60);
        if self.changed {
            self.push.mark = self.push.mark.wrapping_add(1);
        }
        self.push.encode(out);
    }

    fn changed_echo(&self) -> bool {
        self.changed
    }
}

/// Plays Arena: walks, turns, shoots and dashes.
pub struct ArenaBot {
    dice: Dice,
    stick: Stick,
    course: u32,
    aimed: u32,
    trigger: u32,
    changed: bool,
}

impl ArenaBot {
    /// A bot that does the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, BOT),
            stick: Stick::default(),
            course: 0,
            aimed: 0,
            trigger: 0,
            changed: false,
        }
    }
}

impl Bot for ArenaBot {
    fn input(&mut self, _tick: Tick, out: &mut Vec<u8>) {
        if due(&mut self.course, &mut self.dice, 40) {
            self.stick.move_x = self.dice.range(-1.0, 1.0) as f32;
            self.stick.move_y = self.dice.range(-1.0, 1.0) as f32;
        }
        self.changed = due(&mut self.aimed, &mut self.dice, 30);
        if self.changed {
            // A quarter to half a turn either way, which nobody overlooks.
            let turn = self.dice.range(1.0, 2.0) * if self.dice.chance(0.5) { 1.0 } else { -1.0 };
            let aim = f64::from(self.stick.aim) + turn;
            self.stick.aim = ((aim + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU)
                - std::f64::consts::PI) as f32;
        }
        if due(&mut self.trigger, &mut self.dice, 30) {
            self.stick.fire = !self.stick.fire;
        }
        self.stick.dash = self.dice.chance(0.005);
        self.stick.encode(out);
    }

    fn changed_echo(&self) -> bool {
        self.changed
    }
}

/// Counts down, and starts anew with about `mean` ticks.
fn due(left: &mut u32, dice: &mut Dice, mean: usize) -> bool {
    if *left > 0 {
        *left -= 1;
        return false;
    }
    *left = (mean / 2 + dice.below(mean)) as u32;
    true
}

const BOT: u64 = 0xb07;
