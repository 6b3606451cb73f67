//! Rounds, the clock, and how a match ends.

use game_sdk::prelude::*;

use crate::Clash;
use crate::fighter::{FULL_HEALTH, Fighter};
use crate::schema::{Event, Thing};

/// What is going on.
#[derive(State, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everyone has come yet.
    Waiting,
    /// A round is about to begin; buttons do not count yet.
    Ready,
    /// A round.
    Fight,
    /// A round is over, and its end is seen.
    Over,
}

impl Clash {
    pub(crate) fn round_thing(&self) -> Thing {
        Thing::Round {
            phase: self.phase as u8,
            number: self.round,
            left: self.left,
            freeze: self.freeze,
            to_win: self.rounds_to_win,
            seconds: self.round_seconds,
        }
    }

    /// All of the round; `None` where the thing is none.
    pub(crate) fn take_round(&mut self, thing: &Thing) -> Option<()> {
        let Thing::Round {
            phase,
            number,
            left,
            freeze,
            to_win,
            seconds,
        } = *thing
        else {
            return None;
        };
        self.phase = match phase {
            0 => Phase::Waiting,
            1 => Phase::Ready,
            2 => Phase::Fight,
            3 => Phase::Over,
            _ => return None,
        };
        self.round = number;
        self.left = left;
        self.freeze = freeze;
        self.rounds_to_win = to_win;
        self.round_seconds = seconds;
        Some(())
    }

    /// `still` says that a hit has held this tick still: then no time has passed.
    pub(crate) fn run_round(&mut self, still: bool, out: &mut Effects<Event>) {
        let [first, second] = &self.fighters;
        if first.gone || second.gone {
            // Who was matched and has not come yet still may, and then wins.
            if self
                .fighters
                .iter()
                .all(|fighter| fighter.joined || fighter.gone)
            {
                self.finish(out);
            }
            return;
        }
        if self.phase == Phase::Waiting {
            if first.joined && second.joined {
                self.start_round(out);
            }
            return;
        }
        if !still {
            self.left = self.left.saturating_sub(1);
        }
        let time_is_up = self.left == 0;
        match self.phase {
            Phase::Ready if time_is_up => {
                self.phase = Phase::Fight;
                self.left = u16::from(self.round_seconds) * Self::TICK_RATE as u16;
                out.send(Event::Fight {});
            }
            Phase::Fight if time_is_up || first.health == 0 || second.health == 0 => {
                self.judge(time_is_up, out);
            }
            Phase::Over if time_is_up => {
                let won = self.fighters.iter().map(|fighter| fighter.rounds).max();
                // Rounds that nobody wins cannot make a match endless.
                let most = 2 * self.rounds_to_win + 1;
                if won >= Some(self.rounds_to_win) || self.round >= most {
                    self.finish(out);
                } else {
                    self.start_round(out);
                }
            }
            _ => {}
        }
    }

    fn start_round(&mut self, out: &mut Effects<Event>) {
        self.fighters.iter_mut().for_each(Fighter::start_round);
        self.phase = Phase::Ready;
        self.round += 1;
        self.left = READY;
        self.freeze = 0;
        out.send(Event::Round { number: self.round });
    }

    fn judge(&mut self, by_time: bool, out: &mut Effects<Event>) {
        let [first, second] = &mut self.fighters;
        let winner = match first.health.cmp(&second.health) {
            std::cmp::Ordering::Greater => Some(first),
            std::cmp::Ordering::Less => Some(second),
            std::cmp::Ordering::Equal => None,
        };
        let (slot, perfect) = winner.map_or((DRAW, false), |winner| {
            winner.rounds += 1;
            (winner.slot, winner.health == FULL_HEALTH)
        });
        self.phase = Phase::Over;
        self.left = OVER;
        out.send(Event::Won {
            slot,
            by_time,
            perfect,
        });
    }

    fn finish(&self, out: &mut Effects<Event>) {
        let abandoned = self.fighters.iter().all(|fighter| fighter.gone);
        let outcome = if abandoned {
            Outcome::Abandoned
        } else {
            Outcome::Finished
        };
        out.finish(outcome, self.fighters.iter().map(standing));
    }
}

/// More rounds rank higher, and whoever left ranks below who stayed.
fn standing(fighter: &Fighter) -> Standing {
    let rounds = i32::from(fighter.rounds);
    Standing::new(fighter.slot, rounds)
        .rank(if fighter.gone { rounds - LEFT } else { rounds })
        .statistic("rounds", rounds)
        .statistic("hits", i32::from(fighter.hits))
        .statistic("blocks", i32::from(fighter.blocks))
        .statistic("throws", i32::from(fighter.throws))
        .statistic("damage", i32::from(fighter.damage))
        .statistic("best_combo", i32::from(fighter.best_combo))
}

/// The slot in [`Event::Won`] for a round that nobody wins.
const DRAW: u8 = 2;
/// 1.8 s: enough to read the round's number and to put the fingers on the keys.
const READY: u16 = 108;
/// 2.5 s: enough to see the last hit, the fall and who stands.
const OVER: u16 = 150;
/// More than anyone's rounds.
const LEFT: i32 = 1 << 8;
