//! `validated`: the confirmed ticks as they come, the simulation that runs ahead of them, and what
//! is drawn of it.

mod history;
mod packets;

use std::time::Duration;

use gs_engine::confirmed::{ConfirmedDecoder, state_hash};
use gs_engine::difference::{self, Difference};
use gs_engine::rollback::{ConfirmedError, Request, RollbackCounters, Run, Session};
use gs_engine::schema::Schema;
use gs_engine::simulation::{Effects, EventAudience, NetState, SimulationError, Verdict};
use gs_engine::{Simulation, Slot, Tick};
use gs_protocol::limits;

use super::inputs::OwnInputs;
use super::{Game, MAX_PREDICTION, PlaybackClock, View};
use crate::keyframes::{Keyframe, Keyframes};
use crate::smoothing::{Corrections, PredictedOnly};
use crate::stats::Stats;
use history::{ConfirmedRing, History};

/// What is confirmed, and what is guessed beyond it.
#[derive(Debug)]
pub(super) struct Validated {
    slots: u8,
    slot: Option<Slot>,
    session: Session,
    decoder: ConfirmedDecoder,
    ring: ConfirmedRing,
    keyframes: Keyframes,
    /// A whole one that waits to be loaded.
    keyframe: Option<Keyframe>,
    /// Whether the simulation stands where the session thinks that it does.
    started: bool,
    /// Up to here every confirmed tick was received, from a keyframe on; 0: there is none.
    held: Tick,
    /// Since when a keyframe is waited for, or a tick that others have overtaken.
    waiting_since: Option<Duration>,
    /// There is no going on without a keyframe.
    broken: bool,
    mismatch: Option<Mismatch>,
    /// What a mismatch came to, to be told.
    found: Option<(Tick, Vec<Difference>)>,
    saves: Vec<Vec<u8>>,
    /// The tick of each, as far as it still holds.
    saved: Vec<Option<Tick>>,
    effects: Effects,
    /// Events of ticks that were stepped ahead for the first time, to be told.
    told: Vec<(Tick, EventAudience, Vec<u8>)>,
    /// The newest tick of which events were told.
    told_tick: Tick,
    shown: Ahead,
    corrections: Corrections,
    history: History,
    /// Whether the simulation is ahead of what is confirmed.
    ahead: bool,
    counters: RollbackCounters,
}

/// The last two ticks that the simulation came to.
#[derive(Debug, Default)]
struct Ahead {
    before: NetState,
    before_tick: Tick,
    after: NetState,
    /// 0: there is none.
    after_tick: Tick,
    /// What was thought of a tick that is simulated again.
    guess: NetState,
    guess_tick: Tick,
}

/// A confirmed state that is not the server's.
#[derive(Debug)]
struct Mismatch {
    tick: Tick,
    hash: u64,
    state: Vec<u8>,
}

/// How far to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// As far as is confirmed.
    Confirmed,
    /// Not beyond where it is, but for what is confirmed.
    Hold,
    /// Up to a tick.
    Ahead(Tick),
}

impl Validated {
    pub(super) fn new(schema: &Schema, slots: u8, slot: Option<Slot>) -> Self {
        Self {
            slots,
            slot,
            session: Session::new(slots, slot, schema.input_len(), MAX_PREDICTION),
            decoder: ConfirmedDecoder::default(),
            ring: ConfirmedRing::default(),
            keyframes: Keyframes::default(),
            keyframe: None,
            started: false,
            held: 0,
            waiting_since: None,
            broken: false,
            mismatch: None,
            found: None,
            saves: Vec::new(),
            saved: Vec::new(),
            effects: Effects::default(),
            told: Vec::new(),
            told_tick: 0,
            shown: Ahead::default(),
            corrections: Corrections::default(),
            history: History::default(),
            ahead: false,
            counters: RollbackCounters::default(),
        }
    }

    pub(super) fn handle_connected(&mut self) {
        self.keyframes.clear();
        self.waiting_since = None;
    }

    pub(super) fn handle_input(&mut self, tick: Tick, packed: &[u8]) {
        if self.started {
            self.session.handle_input(tick, packed);
        }
    }

    /// What to acknowledge.
    pub(super) fn held(&self) -> Tick {
        self.held
    }

    /// The newest confirmed tick that the simulation has reached.
    pub(super) fn confirmed(&self) -> Tick {
        if self.started {
            self.session.verified()
        } else {
            0
        }
    }

    /// Whether only a keyframe helps. `server_tick` is where the server's clock stands.
    pub(super) fn is_lost(&mut self, server_tick: Tick, now: Duration) -> bool {
        if self.keyframe.is_some() {
            return false;
        }
        let nothing = self.held == 0 && !self.started;
        let behind = !nothing && server_tick.saturating_sub(self.held) > MAX_BEHIND;
        if nothing || self.ring.newest() > self.held {
            self.waiting_since.get_or_insert(now);
        } else {
            self.waiting_since = None;
        }
        let patience = if nothing {
            KEYFRAME_PATIENCE
        } else {
            GAP_PATIENCE
        };
        let waited = |since| now.saturating_sub(since) >= patience;
        self.mismatch.is_some() || self.broken || behind || self.waiting_since.is_some_and(waited)
    }

    /// Where this simulation differs from the server's, and its hash there.
    pub(super) fn mismatch(&self) -> Option<(Tick, u64)> {
        let mismatch = self.mismatch.as_ref()?;
        Some((mismatch.tick, mismatch.hash))
    }

    /// Takes in what was confirmed, takes back what was guessed wrong, and goes on towards the
    /// goal, a bounded number of ticks.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is another part of the client"
    )]
    pub(super) fn simulate<S: Simulation>(
        &mut self,
        game: &Game,
        simulation: &mut S,
        own: &OwnInputs,
        goal: Goal,
        playback: &mut PlaybackClock,
        now: Duration,
        stats: &mut Stats,
    ) -> Result<(), SimulationError> {
        if let Some(keyframe) = self.keyframe.take() {
            self.load(game, simulation, own, &keyframe, stats)?;
        }
        if !self.started {
            return Ok(());
        }
        self.feed();
        let confirmed = self.session.confirmed();
        if goal == Goal::Confirmed && self.ahead {
            self.fall_back(simulation)?;
            self.feed();
        }
        self.ahead = goal != Goal::Confirmed;
        let to = match goal {
            Goal::Ahead(tick) => tick.max(confirmed),
            Goal::Confirmed | Goal::Hold => confirmed,
        };
        let end = self.session.advance(to);
        let before = self.session.verified();
        let finished = self.run(game, simulation, end, now, stats)?;
        if !self.ahead && self.session.verified() > before {
            playback.handle_state(self.session.verified(), now);
        }
        if finished {
            if self.ahead && self.shown.after_tick == 0 {
                self.look(game, simulation, end, end, now, stats)?;
            }
            self.check(stats);
        }
        self.count(stats);
        Ok(())
    }

    /// Does what the session asks for; whether all of it.
    fn run<S: Simulation>(
        &mut self,
        game: &Game,
        simulation: &mut S,
        end: Tick,
        now: Duration,
        stats: &mut Stats,
    ) -> Result<bool, SimulationError> {
        for _ in 0..MAX_STEPS {
            if let Some((slot, tick, input)) = self.session.unjudged_input() {
                match simulation.check(slot, input)? {
                    Verdict::Accept => {}
                    Verdict::Amend(amended) => self.session.amend_input(tick, Some(&amended)),
                    Verdict::Refuse(_) => self.session.amend_input(tick, None),
                }
            }
            match self.session.poll_request() {
                None => return Ok(true),
                Some(Request::Save { tick, place }) => {
                    if self.saves.len() <= place {
                        self.saves.resize_with(place + 1, Vec::new);
                        self.saved.resize(place + 1, None);
                    }
                    self.saved[place] = Some(tick);
                    simulation.save(&mut self.saves[place])?;
                    continue;
                }
                Some(Request::Load { tick, place }) => {
                    simulation.load(&self.saves[place])?;
                    // Later ones were saved of a guess that does not hold.
                    for saved in &mut self.saved {
                        *saved = saved.filter(|saved| *saved <= tick);
                    }
                    self.shown.go_back();
                }
                Some(Request::Advance {
                    log,
                    run,
                    confirmed,
                }) => {
                    simulation.step(log, &mut self.effects)?;
                    let tick = log.tick;
                    if run == Run::First && !confirmed && tick > self.told_tick {
                        self.told_tick = tick;
                        let room = MAX_TOLD.saturating_sub(self.told.len());
                        let events = self.effects.events.drain(..).take(room);
                        self.told.extend(events.map(|e| (tick, e.to, e.data)));
                    }
                }
            }
            let tick = self.session.tick();
            if self.ahead {
                self.look(game, simulation, tick, end, now, stats)?;
            } else if tick <= self.session.confirmed() {
                simulation.net_state(self.slot, self.history.put(tick))?;
            }
        }
        Ok(false)
    }

    /// Keeps what is to be drawn of the tick at which the simulation stands.
    fn look<S: Simulation>(
        &mut self,
        game: &Game,
        simulation: &mut S,
        tick: Tick,
        end: Tick,
        now: Duration,
        stats: &mut Stats,
    ) -> Result<(), SimulationError> {
        let shown = &mut self.shown;
        let again = tick == shown.guess_tick && tick > 0;
        if shown.guess_tick > end {
            // It ends before what was drawn, as after a jump of the clocks.
            shown.guess_tick = 0;
        }
        if !(again || tick == end || tick.saturating_add(1) == end) {
            return Ok(());
        }
        std::mem::swap(&mut shown.before, &mut shown.after);
        shown.before_tick = shown.after_tick;
        simulation.net_state(self.slot, &mut shown.after)?;
        shown.after_tick = tick;
        if again {
            shown.guess_tick = 0;
            self.corrections.decay(now);
            let corrected = self.corrections.correct(
                &game.layout,
                &shown.guess,
                &shown.after,
                |_| true,
                PredictedOnly::No,
            );
            stats.corrections += corrected.noticeable;
        }
        Ok(())
    }

    /// Hands the session the confirmed ticks that are next.
    fn feed(&mut self) {
        loop {
            let next = self.session.confirmed() + 1;
            let Some(tick) = self.ring.get(next) else {
                // It was received, and others have taken its place: too much came at once.
                self.broken |= next <= self.held;
                return;
            };
            match self.session.handle_confirmed(tick) {
                Ok(()) => {}
                Err(ConfirmedError::Full { .. }) => return,
                Err(ConfirmedError::Order { .. } | ConfirmedError::Slots { .. }) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    /// Compares a final state with the server's hash of it.
    fn check(&mut self, stats: &mut Stats) {
        while let Some(check) = self.session.poll_check() {
            // What follows a mismatch rests on the same wrong state.
            if self.mismatch.is_some() {
                return;
            }
            let state = &self.saves[check.place];
            let hash = state_hash(state);
            if hash == check.hash {
                stats.hashes_matched += 1;
                continue;
            }
            stats.mismatches += 1;
            self.mismatch = Some(Mismatch {
                tick: check.tick,
                hash,
                state: state.clone(),
            });
        }
    }

    /// Begins anew from a keyframe, if it is of use.
    fn load<S: Simulation>(
        &mut self,
        game: &Game,
        simulation: &mut S,
        own: &OwnInputs,
        keyframe: &Keyframe,
        stats: &mut Stats,
    ) -> Result<(), SimulationError> {
        if let Some(mismatch) = self.mismatch.take_if(|m| m.tick <= keyframe.tick)
            && mismatch.tick == keyframe.tick
        {
            let (mut mine, mut theirs) = (NetState::default(), NetState::default());
            simulation.load(&mismatch.state)?;
            simulation.net_state(self.slot, &mut mine)?;
            simulation.load(&keyframe.state)?;
            simulation.net_state(self.slot, &mut theirs)?;
            let most = limits::DIFFERENCES;
            let differences = difference::between(&game.manifest, &mine, &theirs, most);
            self.found = Some((mismatch.tick, differences));
        }
        simulation.load(&keyframe.state)?;
        self.saved.fill(None);
        self.session.restart(keyframe.tick);
        self.session
            .set_save_interval(save_interval(keyframe.state.len()));
        for (tick, input) in own.after(keyframe.tick) {
            self.session.handle_input(tick, input);
        }
        self.shown.go_back();
        self.started = true;
        self.broken = false;
        self.waiting_since = None;
        self.held = self.ring.in_a_row_from(self.session.confirmed());
        stats.keyframes += 1;
        Ok(())
    }

    /// Gives up what was simulated ahead: back to the newest final state that is kept.
    fn fall_back<S: Simulation>(&mut self, simulation: &mut S) -> Result<(), SimulationError> {
        self.shown = Ahead::default();
        self.corrections.clear();
        if self.session.tick() <= self.session.confirmed() {
            return Ok(());
        }
        let verified = self.session.verified();
        let saves = self.saved.iter().enumerate();
        let newest = saves
            .filter_map(|(place, tick)| Some(((*tick)?, place)))
            .filter(|(tick, _)| *tick <= verified)
            .max();
        let Some((tick, place)) = newest else {
            self.broken = true;
            return Ok(());
        };
        simulation.load(&self.saves[place])?;
        self.saved.fill(None);
        self.session.restart(tick);
        Ok(())
    }

    /// Adds what the session counted since the last time.
    fn count(&mut self, stats: &mut Stats) {
        let now = self.session.counters();
        stats.rollbacks += now.rollbacks - self.counters.rollbacks;
        stats.resimulated_ticks += now.resimulated - self.counters.resimulated;
        stats.mispredicted_ticks += now.mispredicted - self.counters.mispredicted;
        self.counters = now;
        stats.predicted_ticks = self.session.tick().saturating_sub(self.session.confirmed());
    }

    /// Draws the picture; answers the tick up to which own inputs are in it.
    pub(super) fn draw(
        &mut self,
        game: &Game,
        playback: &mut PlaybackClock,
        own_tick: f64,
        now: Duration,
        view: &mut View,
    ) -> Option<Tick> {
        if !self.ahead {
            return self.history.draw(&game.layout, playback, now, view);
        }
        let shown = &self.shown;
        if shown.after_tick == 0 {
            // It went back, and has not come so far again within one call.
            if shown.guess_tick > 0 {
                let tick = f64::from(shown.guess_tick);
                view.fill(&game.layout, tick, &shown.guess, None, 0.0);
                view.mark_predicted();
            }
            return None;
        }
        let last = f64::from(shown.after_tick);
        if shown.before_tick.saturating_add(1) == shown.after_tick {
            let tick = (own_tick - 1.0).clamp(last - 1.0, last);
            let fraction = tick - (last - 1.0);
            view.fill(
                &game.layout,
                tick,
                &shown.before,
                Some(&shown.after),
                fraction,
            );
            if let Some(slot) = self.slot {
                view.take_steps(&game.layout, slot, &shown.after);
            }
        } else {
            view.fill(&game.layout, last, &shown.after, None, 0.0);
        }
        if shown.after_tick > self.session.confirmed() {
            view.mark_predicted();
        }
        self.corrections.decay(now);
        self.corrections.apply(&game.layout, view);
        Some(shown.after_tick)
    }
}

impl Ahead {
    /// The simulation goes back: what it comes to will be held against what was drawn.
    fn go_back(&mut self) {
        if self.after_tick == 0 {
            return;
        }
        // Where it went back twice before it came so far again, the first guess is what was drawn.
        if self.guess_tick != self.after_tick {
            std::mem::swap(&mut self.guess, &mut self.after);
            self.guess_tick = self.after_tick;
        }
        self.before_tick = 0;
        self.after_tick = 0;
    }
}

/// How far apart states are saved: small ones cost less than the steps that they spare.
fn save_interval(bytes: usize) -> u32 {
    match bytes {
        0..=0x2000 => 1,
        0x2001..=0x2_0000 => 4,
        _ => 8,
    }
}

/// Steps of one call: a client that is two seconds behind catches up within three calls, and none
/// of them takes longer than a frame or two.
const MAX_STEPS: usize = 96;
/// Events that wait to be told, those of two full ticks.
const MAX_TOLD: usize = 2 * gs_engine::abi::MAX_EVENTS;
/// Ticks behind the server's clock from which on a keyframe is less work, and less to send, than
/// everything that was missed.
const MAX_BEHIND: u32 = 120;
/// A tick that others overtook is sent again within a round trip.
const GAP_PATIENCE: Duration = Duration::from_millis(500);
/// The server sends a keyframe to whoever joins; it is asked only where none comes.
const KEYFRAME_PATIENCE: Duration = Duration::from_millis(500);
