//! Lag compensation: shots are judged by what the shooter saw.
//!
//! In `full` a player sees the others as they were up to 250 ms ago. A bullet therefore starts at
//! the moment that its shooter was looking at. It flies at once through the time that has passed
//! since, among the places where the others were seen, and is then where everyone sees it. In
//! `validated` players see the present, and there is nothing to make up for.

use game_sdk::TickFraction;
use game_sdk::prelude::*;

use crate::Arena;
use crate::players::Player;
use crate::vector::Vector;

/// A place as it is seen: in hundredths of a unit, the precision of the net state, so that it takes
/// four bytes of the state and no more is known of it than its viewers knew.
#[derive(State, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spot {
    x: u16,
    y: u16,
}

impl Spot {
    fn of(at: Vector) -> Self {
        let hundredths = |value: f32| (value * 100.0).round() as u16;
        Self {
            x: hundredths(at.x),
            y: hundredths(at.y),
        }
    }

    fn place(self) -> Vector {
        Vector::new(f32::from(self.x) / 100.0, f32::from(self.y) / 100.0)
    }
}

impl Blend for Spot {
    fn blend(&self, next: &Self, share: f32) -> Self {
        let (from, to) = (self.place(), next.place());
        Self::of(from + (to - from) * share)
    }
}

impl Player {
    /// Where others saw it at a moment; `None` where it was not there.
    pub(crate) fn seen_at(&self, moment: TickFraction) -> Option<Vector> {
        self.trail.at(moment).map(Spot::place)
    }
}

impl Arena {
    /// Keeps where everyone is now. Who is down is nowhere, and comes back elsewhere.
    pub(crate) fn remember(&mut self, tick: Tick) {
        for player in self.players.iter_mut().filter(|p| p.is_in_play()) {
            player.trail.record(tick, Spot::of(player.at));
        }
    }
}

/// The moments that lie between what a shooter saw and now, a tick apart; none where it saw now.
pub(crate) fn moments(
    tick: Tick,
    seen: Option<TickFraction>,
) -> impl Iterator<Item = TickFraction> + use<> {
    let now = tick * TICK;
    let seen = seen.unwrap_or(now).min(now);
    // To the nearest whole tick: half a tick of flight is less than a bullet's own width.
    let ticks = ((now - seen + TICK / 2) / TICK).min(MOST_TICKS);
    (0..ticks).map(move |step| seen + step * TICK)
}

/// A tick in the fractions of a view tick.
const TICK: TickFraction = 256;
/// 250 ms, as the host and [`Rewind`] have it.
const MOST_TICKS: u32 = Arena::TICK_RATE / 4;
