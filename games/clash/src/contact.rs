//! Where two bodies or an attack and a body meet.

use game_sdk::prelude::*;

use crate::Clash;
use crate::fighter::{Action, Fighter, LEFT_WALL, RIGHT_WALL};
use crate::moves::Move;
use crate::schema::Event;

impl Clash {
    /// Fighters cannot stand in one another: each gives way by half, or the one who can.
    pub(crate) fn keep_apart(&mut self) {
        let [first, second] = &mut self.fighters;
        let lies = |fighter: &Fighter| fighter.action == Action::Down;
        if (first.y - second.y).abs() >= HEIGHT || lies(first) || lies(second) {
            return;
        }
        let (left, right) = if first.x <= second.x {
            (first, second)
        } else {
            (second, first)
        };
        let overlap = WIDTH - (right.x - left.x);
        if overlap <= 0 {
            return;
        }
        left.x -= overlap / 2;
        right.x += overlap - overlap / 2;
        // What a wall does not give, the other has to.
        if left.x < LEFT_WALL {
            right.x += LEFT_WALL - left.x;
            left.x = LEFT_WALL;
        }
        if right.x > RIGHT_WALL {
            left.x -= right.x - RIGHT_WALL;
            right.x = RIGHT_WALL;
        }
    }

    /// Judges both attacks by the same moment, so that neither slot is the first.
    pub(crate) fn strike(&mut self, out: &mut Effects<Event>) {
        let [first, second] = &self.fighters;
        let mut blows = [blow(first, second), blow(second, first)];
        if let [Some(a), Some(b)] = blows {
            // A throw needs both hands: any other attack comes before it.
            match (a.contact, b.contact) {
                (Contact::Thrown, Contact::Thrown) => return self.break_throws(out),
                (Contact::Thrown, _) => blows[0] = None,
                (_, Contact::Thrown) => blows[1] = None,
                _ => {}
            }
        }
        let [first, second] = &mut self.fighters;
        if let Some(blow) = blows[0] {
            self.freeze = self.freeze.max(blow.land(first, second, out));
        }
        if let Some(blow) = blows[1] {
            self.freeze = self.freeze.max(blow.land(second, first, out));
        }
    }

    fn break_throws(&mut self, out: &mut Effects<Event>) {
        let [first, second] = &mut self.fighters;
        let x = (first.x + second.x) / 2;
        for fighter in [first, second] {
            let away = -fighter.facing();
            fighter.suffer(Action::Guard, BREAK);
            fighter.vx = away * BREAK_PUSH;
        }
        self.freeze = self.freeze.max(BREAK_STOP);
        out.send(Event::Broken {
            x: x as i16,
            y: CHEST as i16,
        });
    }
}

/// How an attack meets the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    Hit,
    Blocked,
    Thrown,
}

/// An attack that touches.
#[derive(Clone, Copy, Debug)]
struct Blow {
    attack: &'static Move,
    what: u8,
    contact: Contact,
}

/// Whether and how the attack of one meets the other now.
fn blow(attacker: &Fighter, victim: &Fighter) -> Option<Blow> {
    let attack = attacker.action.attack()?;
    let distance = (victim.x - attacker.x) * attacker.facing();
    let touches = !attacker.connected
        && attack.is_active(attacker.since)
        && (-BEHIND..=attack.reach).contains(&distance)
        && attacker.y + attack.low <= victim.y + HEIGHT
        && victim.y <= attacker.y + attack.high;
    let lies = victim.action == Action::Down;
    let juggled = victim.action == Action::Fall && victim.combo >= JUGGLES;
    if !touches || lies || juggled || victim.safe > 0 || victim.health == 0 {
        return None;
    }
    let (what, contact) = match (attacker.action, victim.action) {
        (Action::Throw, Action::Hurt | Action::Guard) => return None,
        (Action::Throw, _) if !victim.is_grounded() => return None,
        (Action::Throw, _) => (3, Contact::Thrown),
        (action, Action::Block | Action::Guard) => (number(action), Contact::Blocked),
        (action, _) => (number(action), Contact::Hit),
    };
    Some(Blow {
        attack,
        what,
        contact,
    })
}

impl Blow {
    /// Does what it does, and answers for how long everything stands still.
    fn land(self, attacker: &mut Fighter, victim: &mut Fighter, out: &mut Effects<Event>) -> u8 {
        attacker.connected = true;
        let mut away = attacker.facing();
        let (by, to) = (attacker.slot, victim.slot);
        let x = victim.x - away * WIDTH / 3;
        let y = (attacker.y + (self.attack.low + self.attack.high) / 2)
            .clamp(victim.y, victim.y + HEIGHT);
        let (x, y) = (x as i16, y as i16);
        if self.contact == Contact::Blocked {
            victim.blocks += 1;
            // Blocking alone loses health, but never the round.
            victim.health = victim.health.saturating_sub(self.attack.chip).max(1);
            victim.suffer(Action::Guard, self.attack.guard);
            push(attacker, victim, away * self.attack.push);
            out.send(Event::Blocked { by, to, x, y });
            return self.attack.stop / 2;
        }
        if self.contact == Contact::Thrown {
            attacker.throws += 1;
            // Who holds away from the other throws them over the shoulder.
            if attacker.holds_back() {
                away = -away;
                victim.x = (attacker.x + away * WIDTH).clamp(LEFT_WALL, RIGHT_WALL);
            }
        }
        victim.combo = victim.combo.saturating_add(1);
        let combo = victim.combo;
        let damage = scaled(self.attack.damage, combo).min(victim.health);
        victim.health -= damage;
        attacker.hits += 1;
        attacker.damage += u16::from(damage);
        attacker.best_combo = attacker.best_combo.max(combo);
        let beaten = victim.health == 0;
        if beaten || self.attack.lift > 0 || !victim.is_grounded() {
            victim.suffer(Action::Fall, 0);
            victim.vy = self.attack.lift.max(LEAST_LIFT);
        } else {
            victim.suffer(Action::Hurt, self.attack.stun);
        }
        push(attacker, victim, away * self.attack.push);
        out.send(Event::Hit {
            by,
            to,
            what: self.what,
            combo,
            x,
            y,
        });
        if beaten { LAST_STOP } else { self.attack.stop }
    }
}

/// With the back to a wall nobody gives way, so the attacker does: no corner holds a fighter for
/// ever.
fn push(attacker: &mut Fighter, victim: &mut Fighter, speed: i32) {
    let at_wall = if speed > 0 {
        victim.x >= RIGHT_WALL
    } else {
        victim.x <= LEFT_WALL
    };
    if at_wall && attacker.is_grounded() {
        attacker.vx = -speed;
        victim.vx = 0;
    } else {
        victim.vx = speed;
    }
}

/// Each hit in a row does a tenth less, down to four tenths.
fn scaled(damage: u8, combo: u8) -> u8 {
    let tenths = 10 - u16::from(combo.saturating_sub(1).min(6));
    (u16::from(damage) * tenths / 10).max(1) as u8
}

fn number(action: Action) -> u8 {
    match action {
        Action::Heavy => 1,
        Action::Kick => 2,
        _ => 0,
    }
}

/// Width of a body.
const WIDTH: i32 = 700;
/// Height of a body.
const HEIGHT: i32 = 1_700;
/// Where two throws meet.
const CHEST: i32 = 1_200;
/// An attack still touches who stands so far behind the attacker's middle: they are in each other.
const BEHIND: i32 = 150;
/// Who falls can be hit until so many hits in a row.
const JUGGLES: u8 = 4;
/// Upwards, in millimetres a tick, for who is hit in the air or beaten.
const LEAST_LIFT: i32 = 85;
/// Everything stands still for so long at the last hit of a round.
const LAST_STOP: u8 = 28;
/// Both are held for so long where two throws meet.
const BREAK: u8 = 18;
/// And pushed apart.
const BREAK_PUSH: i32 = 95;
const BREAK_STOP: u8 = 8;
