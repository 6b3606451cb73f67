//! What is remembered of confirmed ticks: their logs until they are simulated, and their net
//! states to draw from.

use std::time::Duration;

use gs_engine::Tick;
use gs_engine::confirmed::ConfirmedTick;
use gs_engine::simulation::NetState;

use crate::clock::PlaybackClock;
use crate::view::{Layout, View};

/// Confirmed ticks in whatever order they come.
#[derive(Debug)]
pub(super) struct ConfirmedRing {
    ticks: Vec<ConfirmedTick>,
    newest: Tick,
}

impl Default for ConfirmedRing {
    fn default() -> Self {
        let mut ticks = Vec::new();
        ticks.resize_with(RING, ConfirmedTick::default);
        Self { ticks, newest: 0 }
    }
}

impl ConfirmedRing {
    /// Keeps a tick; whether it is new.
    pub(super) fn put(&mut self, tick: &ConfirmedTick) -> bool {
        let place = &mut self.ticks[tick.log.tick as usize % RING];
        if place.log.tick >= tick.log.tick {
            return false;
        }
        place.copy_from(tick);
        self.newest = self.newest.max(tick.log.tick);
        true
    }

    pub(super) fn get(&self, tick: Tick) -> Option<&ConfirmedTick> {
        let place = &self.ticks[tick as usize % RING];
        (place.log.tick == tick && tick > 0).then_some(place)
    }

    /// The newest tick that was kept; 0 for none.
    pub(super) fn newest(&self) -> Tick {
        self.newest
    }

    /// How far the ticks after `tick` are all there.
    pub(super) fn in_a_row_from(&self, tick: Tick) -> Tick {
        let later = (tick.saturating_add(1)..=self.newest).take(RING);
        later
            .take_while(|tick| self.get(*tick).is_some())
            .last()
            .unwrap_or(tick)
    }
}

/// The net states of the last confirmed ticks.
#[derive(Debug)]
pub(super) struct History {
    states: Vec<(Tick, NetState)>,
    newest: Tick,
}

impl Default for History {
    fn default() -> Self {
        let mut states = Vec::new();
        states.resize_with(HISTORY, Default::default);
        Self { states, newest: 0 }
    }
}

impl History {
    /// The place for the net state of a tick.
    pub(super) fn put(&mut self, tick: Tick) -> &mut NetState {
        self.newest = self.newest.max(tick);
        let place = &mut self.states[tick as usize % HISTORY];
        place.0 = tick;
        &mut place.1
    }

    fn get(&self, tick: Tick) -> Option<&NetState> {
        let place = &self.states[tick as usize % HISTORY];
        (place.0 == tick && tick > 0).then_some(&place.1)
    }

    fn ticks(&self) -> impl DoubleEndedIterator<Item = Tick> + '_ {
        let first = self.newest.saturating_sub(HISTORY as u32 - 1).max(1);
        (first..=self.newest).filter(|tick| self.get(*tick).is_some())
    }

    /// Draws what was, some ticks late; answers the newest tick that is in the picture.
    pub(super) fn draw(
        &self,
        layout: &Layout,
        playback: &mut PlaybackClock,
        now: Duration,
        view: &mut View,
    ) -> Option<Tick> {
        if !playback.started() {
            return None;
        }
        let tick = playback.advance(now).max(0.0);
        let floor = tick as Tick;
        let at = self.ticks().rev().find(|known| *known <= floor);
        let next = self.ticks().find(|known| *known > floor);
        let at = at.or(next)?;
        let next = next.filter(|next| *next > at);
        let span = next.map_or(1.0, |next| f64::from(next - at));
        let fraction = ((tick - f64::from(at)) / span).clamp(0.0, 1.0);
        let to = next.and_then(|next| self.get(next));
        let tick = tick.clamp(f64::from(at), f64::from(next.unwrap_or(at)));
        view.fill(layout, tick, self.get(at)?, to, fraction);
        Some(next.unwrap_or(at))
    }
}

/// Twice what a session takes in at once, so that a burst after a stall still fits.
const RING: usize = 256;
/// Longer than any delay of the picture: 250 ms at 120 ticks is 30.
const HISTORY: usize = 64;
