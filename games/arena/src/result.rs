//! The clock, and how a match ends.

use game_sdk::prelude::*;

use crate::Arena;
use crate::players::Player;
use crate::schema::{Event, Thing};

impl Arena {
    pub(crate) fn clock(&self) -> Thing {
        let seconds = self.ticks_left.div_ceil(Self::TICK_RATE);
        Thing::Clock {
            seconds: seconds as u16,
            limit: self.score_limit,
        }
    }

    pub(crate) fn run_clock(&mut self, out: &mut Effects<Event>) {
        self.ticks_left = self.ticks_left.saturating_sub(1);
        if self.ticks_left == LAST_SECONDS * Self::TICK_RATE {
            out.send(Event::LastSeconds {});
        }
        let present = self.players.iter().filter(|player| player.present).count();
        let limit = u16::from(self.score_limit);
        if present == 0 && !self.players.is_empty() {
            self.finish(Outcome::Abandoned, out);
        } else if self.ticks_left == 0
            || (present == 1 && self.players.len() > 1)
            || self
                .players
                .iter()
                .any(|player| player.present && player.kills >= limit)
        {
            self.finish(Outcome::Finished, out);
        }
    }

    fn finish(&self, outcome: Outcome, out: &mut Effects<Event>) {
        out.finish(outcome, self.players.iter().map(standing));
    }
}

/// More kills rank higher, and whoever left ranks below everyone who stayed.
fn standing(player: &Player) -> Standing {
    let kills = i32::from(player.kills);
    Standing::new(player.slot, kills)
        .rank(if player.present { kills } else { kills - LEFT })
        .statistic("kills", kills)
        .statistic("deaths", i32::from(player.deaths))
        .statistic("shots", player.shots as i32)
        .statistic("hits", player.hits as i32)
}

/// Players are told when so many seconds are left.
const LAST_SECONDS: u32 = 10;
/// More than anyone's kills: they are 16 bits wide.
const LEFT: i32 = 1 << 16;
