//! `full`: the server's views, what is drawn between them, and the player's own entities ahead of
//! them.

use std::time::Duration;

use gs_engine::replication::{Applied, Packet, ReceivedViews};
use gs_engine::simulation::{Effects, InputStatus, NetState, SimulationError, SlotInput, TickLog};
use gs_engine::snapshot::Codec;
use gs_engine::{AuthorityMode, Simulation, Slot, Tick};
use gs_protocol::wire;

use super::inputs::OwnInputs;
use super::{Client, Follow, Game, Goal, MAX_PREDICTION, PlaybackClock, View};
use crate::smoothing::{Corrections, PredictedOnly};
use crate::stats::Stats;

/// What is known of the server's state, and what is guessed from it.
#[derive(Debug, Default)]
pub(super) struct Full {
    views: ReceivedViews,
    oldest: Tick,
    prediction: Prediction,
    corrections: Corrections,
    /// Since when packets have come and none could be used.
    lost_since: Option<Duration>,
}

/// The player's own entities ahead of the newest view.
#[derive(Debug, Default)]
struct Prediction {
    /// The game cannot build a state from a view.
    unsupported: bool,
    /// The view that it starts from; 0: none.
    base: Tick,
    /// How far it has got; 0: there is none.
    tick: Tick,
    /// The net states of the tick before `tick`, and of `tick`.
    before: NetState,
    after: NetState,
    /// What was thought of `tick` before the newest view came.
    guess: NetState,
    log: TickLog,
    effects: Effects,
}

impl Full {
    pub(super) fn handle_connected(&mut self) {
        self.lost_since = None;
    }

    pub(super) fn ack(&self) -> (Tick, u32) {
        self.views.ack()
    }

    /// The newest tick of which there is a view; 0: none.
    pub(super) fn newest(&self) -> Tick {
        self.views.newest().map_or(0, |(tick, _)| tick)
    }

    /// The first tick of which there was a view.
    pub(super) fn oldest(&self) -> f64 {
        f64::from(self.oldest)
    }

    /// Whether nothing has been decoded for so long, although packets came, that the server has to
    /// start afresh.
    pub(super) fn is_lost(&self, now: Duration) -> bool {
        self.lost_since
            .is_some_and(|since| now.saturating_sub(since) >= LOST_AFTER)
    }

    fn handle_packet(
        &mut self,
        game: &Game,
        tick: Tick,
        packet: &Packet<'_>,
        playback: &mut PlaybackClock,
        now: Duration,
        stats: &mut Stats,
    ) {
        let applied = self.views.apply(&game.schema, tick, packet);
        let counters = &mut stats.counters;
        match applied {
            Ok(Applied::New) => {
                counters.states += 1;
                self.lost_since = None;
                playback.handle_state(tick, now);
                if self.oldest == 0 || tick < self.oldest {
                    self.oldest = tick;
                }
                return;
            }
            Ok(Applied::Duplicate | Applied::Stale) => {
                counters.stale += 1;
                return;
            }
            Ok(Applied::NoBaseline) => counters.no_baseline += 1,
            Err(_) => counters.malformed += 1,
        }
        self.lost_since.get_or_insert(now);
    }

    /// Predicts the player's own entities up to `target`.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is another part of the client"
    )]
    pub(super) fn simulate<S: Simulation>(
        &mut self,
        game: &Game,
        simulation: &mut S,
        own: &OwnInputs,
        (slot, slots): (Option<Slot>, u8),
        goal: Goal,
        now: Duration,
        stats: &mut Stats,
    ) -> Result<(), SimulationError> {
        let wanted = !self.prediction.unsupported && game.layout.predicts(AuthorityMode::Full);
        let newest = self.views.newest();
        let (Some(slot), Goal::Ahead(target), Some((base, view)), true) =
            (slot, goal, newest, wanted)
        else {
            self.stop_predicting(stats);
            return Ok(());
        };
        let target = target.min(base.saturating_add(MAX_PREDICTION));
        if target <= base {
            self.stop_predicting(stats);
            return Ok(());
        }
        let prediction = &mut self.prediction;
        let had = prediction.tick;
        let mut tick = prediction.tick;
        if prediction.base != base || prediction.tick == 0 {
            match simulation.load_view(Some(slot), view) {
                Ok(()) => {}
                Err(SimulationError::Refused { .. }) => {
                    prediction.unsupported = true;
                    self.stop_predicting(stats);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            prediction.base = base;
            std::mem::swap(&mut prediction.guess, &mut prediction.after);
            copy(view, &mut prediction.after);
            tick = base;
            if had > base {
                stats.rollbacks += 1;
                stats.resimulated_ticks += u64::from(had.min(target) - base);
            }
        }
        while tick < target {
            tick += 1;
            prediction.write_log(tick, slot, slots, own);
            simulation.step(&prediction.log, &mut prediction.effects)?;
            // Only a prediction that started over comes to the tick where it was.
            let rebased = tick == had;
            if tick == had || target - tick <= 1 {
                std::mem::swap(&mut prediction.before, &mut prediction.after);
                simulation.net_state(Some(slot), &mut prediction.after)?;
            }
            if rebased {
                self.corrections.decay(now);
                let corrected = self.corrections.correct(
                    &game.layout,
                    &prediction.guess,
                    &prediction.after,
                    |entity| entity.owner == Some(slot),
                    PredictedOnly::Yes,
                );
                stats.mispredicted_ticks += u64::from(corrected.entities > 0);
                stats.corrections += corrected.noticeable;
            }
        }
        prediction.tick = tick;
        stats.predicted_ticks = tick - base;
        Ok(())
    }

    /// The module is another instance, or there is none any more.
    pub(super) fn handle_module(&mut self) {
        self.prediction.unsupported = false;
        self.prediction.tick = 0;
        self.prediction.base = 0;
        self.corrections.clear();
    }

    fn stop_predicting(&mut self, stats: &mut Stats) {
        self.prediction.tick = 0;
        self.prediction.base = 0;
        self.corrections.clear();
        stats.predicted_ticks = 0;
    }

    /// Draws the picture; answers the tick up to which own inputs are in it.
    pub(super) fn draw(
        &mut self,
        game: &Game,
        playback: &mut PlaybackClock,
        slot: Option<Slot>,
        own_tick: f64,
        now: Duration,
        view: &mut View,
    ) -> Option<Tick> {
        if !playback.started() {
            return None;
        }
        let tick = playback.advance(now).max(self.oldest());
        let floor = tick as Tick;
        let at = self.views.ticks().rev().find(|known| *known <= floor);
        let next = self.views.ticks().find(|known| *known > floor);
        // What is older than all that is kept is drawn as the oldest.
        let at = at.or(next)?;
        let next = next.filter(|next| *next > at);
        let from = self.views.view_at(at)?;
        let to = next.and_then(|next| self.views.view_at(next));
        let span = next.map_or(1.0, |next| f64::from(next - at));
        let fraction = ((tick - f64::from(at)) / span).clamp(0.0, 1.0);
        let tick = tick.clamp(f64::from(at), f64::from(next.unwrap_or(at)));
        view.fill(&game.layout, tick, from, to, fraction);
        let prediction = &self.prediction;
        let (Some(slot), true) = (slot, prediction.tick > 0) else {
            return Some(tick.ceil() as Tick);
        };
        let last = f64::from(prediction.tick);
        let own_tick = (own_tick - 1.0).clamp(last - 1.0, last);
        view.overlay(
            &game.layout,
            own_tick,
            slot,
            (&prediction.before, &prediction.after),
            own_tick - (last - 1.0),
        );
        self.corrections.decay(now);
        self.corrections.apply(&game.layout, view);
        Some(prediction.tick)
    }
}

impl Prediction {
    /// What a tick is guessed to run on: the player's own input, and of others nothing.
    fn write_log(&mut self, tick: Tick, slot: Slot, slots: u8, own: &OwnInputs) {
        self.log.tick = tick;
        self.log.happenings.clear();
        self.log
            .inputs
            .resize_with(usize::from(slots), SlotInput::default);
        for input in &mut self.log.inputs {
            input.status = InputStatus::Absent;
            input.view_tick = 0;
            input.data.clear();
        }
        let Some(input) = self.log.inputs.get_mut(usize::from(slot)) else {
            return;
        };
        if let Some((data, view_tick)) = own.get(tick) {
            input.status = InputStatus::Fresh;
            input.view_tick = view_tick;
            input.data.extend_from_slice(data);
        } else if let Some((data, last)) = own.before(tick)
            && tick - last <= gs_engine::input_buffer::MAX_REPEATS
        {
            input.status = InputStatus::Repeated;
            input.view_tick = tick.saturating_mul(gs_engine::input_buffer::TICK);
            input.data.extend_from_slice(data);
        }
    }
}

impl<S: Simulation> Client<S> {
    pub(super) fn handle_delta(&mut self, clock_tick: Tick, delta: &wire::StateDelta) {
        let (Some(game), Follow::Full(full)) = (&self.game, &mut self.follow) else {
            self.stats.counters.stale += 1;
            return;
        };
        let codec = match delta.codec() {
            wire::Codec::Packed => Codec::Packed,
            wire::Codec::Ranged => Codec::Ranged,
            wire::Codec::Unspecified => {
                self.stats.counters.malformed += 1;
                return;
            }
        };
        let Some(tick) = clock_tick.checked_sub(delta.age).filter(|tick| *tick > 0) else {
            self.stats.counters.malformed += 1;
            return;
        };
        let packet = Packet {
            baseline_age: delta.baseline,
            older_age: delta.older,
            codec,
            data: &delta.data,
            whole: delta.whole,
        };
        let playback = &mut self.line.playback;
        full.handle_packet(game, tick, &packet, playback, self.now, &mut self.stats);
    }
}

fn copy(from: &NetState, to: &mut NetState) {
    to.entities.clone_from(&from.entities);
    to.columns.clone_from(&from.columns);
}

/// Packets came and none could be used for so long: more than a round trip, in which the server
/// learns what was lost.
const LOST_AFTER: Duration = Duration::from_millis(500);
