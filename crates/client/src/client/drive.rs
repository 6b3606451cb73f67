//! What happens as time passes: inputs fall due, ticks are simulated, and the picture is drawn.

use std::time::Duration;

use gs_engine::input_buffer::TICK;
use gs_engine::simulation::{SimulationError, TickFraction};
use gs_engine::{AuthorityMode, Simulation, Tick};
use gs_protocol::ClientEvent;

use super::{
    Client, Event, Follow, Goal, LONGEST_RESYNC_PAUSE, MAX_FRAMES_AT_ONCE, MAX_MODULE_REQUESTS,
    Phase, RESYNC_EVERY, SILENCE, View,
};

impl<S: Simulation> Client<S> {
    /// The entities as they are to be drawn now. Others are drawn where they were some ticks ago,
    /// between two states; what this client predicts is drawn where it is now.
    pub fn view(&mut self, now: Duration) -> &View {
        self.now = self.now.max(now);
        if self.line.connected {
            self.simulate();
        }
        self.view.clear();
        let (Some(game), rate) = (&self.game, self.rate()) else {
            return &self.view;
        };
        let own_tick = self.line.input.tick(self.now) - f64::from(self.config.input_delay);
        let shown = match &mut self.follow {
            Follow::Nothing => None,
            Follow::Full(full) => full.draw(
                game,
                &mut self.line.playback,
                self.session.slot,
                own_tick,
                self.now,
                &mut self.view,
            ),
            Follow::Validated(validated) => validated.draw(
                game,
                &mut self.line.playback,
                own_tick,
                self.now,
                &mut self.view,
            ),
        };
        if let Some(shown) = shown {
            let (inputs, waited) = self.shown.handle_frame(shown, self.stats.frames);
            self.stats.inputs_shown += inputs;
            self.stats.input_frames += waited;
        }
        self.stats.frames += 1;
        let state_tick = self.state_tick();
        if state_tick > 0 && self.line.server.started() {
            let behind = self.line.server.estimate(self.now) - f64::from(state_tick);
            let way = self.line.round_trip.unwrap_or_default().as_secs_f64() / 2.0;
            self.stats.staleness_ms = ((behind / rate + way) * 1000.0).max(0.0);
        }
        &self.view
    }

    fn rate(&self) -> f64 {
        let game = self.game.as_ref();
        f64::from(game.map_or(1, |game| game.manifest.tick_rate.max(1)))
    }

    /// The newest state that is held; 0: none.
    pub(super) fn state_tick(&self) -> Tick {
        match &self.follow {
            Follow::Nothing => 0,
            Follow::Full(full) => full.newest(),
            Follow::Validated(validated) => validated.confirmed(),
        }
    }

    /// What the player looks at of others, for lag compensation; 0 says nothing.
    pub(super) fn view_fraction(&mut self) -> TickFraction {
        match &self.follow {
            Follow::Full(full) if self.line.playback.started() => {
                let tick = self.line.playback.advance(self.now);
                let tick = tick.min(f64::from(full.newest())).max(full.oldest());
                (tick * f64::from(TICK)).round() as TickFraction
            }
            _ => 0,
        }
    }

    /// Works out for which ticks inputs are due.
    pub(super) fn make_due(&mut self) {
        if !self.makes_inputs() {
            return;
        }
        let arriving = self.line.server.estimate(self.now);
        let line = &self.line;
        let round_trip = line.round_trip.unwrap_or(line.first_round_trip);
        let due = self.line.input.due(arriving, round_trip, self.now);
        if due.is_empty() {
            return;
        }
        if due.start < self.due.end || due.start - self.due.end > JUMP_TICKS {
            // What was made before is for ticks that have passed, or that come much later.
            self.forget_inputs();
            self.due = due;
            return;
        }
        let oldest = due.end.saturating_sub(MAX_FRAMES_AT_ONCE);
        let start = if self.due.is_empty() {
            due.start
        } else {
            self.due.start
        };
        self.due = start.max(oldest)..due.end;
    }

    fn makes_inputs(&self) -> bool {
        let silent = |at| self.now.saturating_sub(at) > SILENCE;
        self.line.connected
            && self.session.slot.is_some()
            && self.session.phase == Phase::Running
            && self.line.server.current()
            // A silent server has not moved on: inputs made now would be for ticks far ahead.
            && !self.line.state_at.is_none_or(silent)
            && self.session.mode != Some(AuthorityMode::Observer)
    }

    /// Gives up the inputs that were made: they are not to be sent or predicted with.
    pub(super) fn forget_inputs(&mut self) {
        self.own.clear();
        self.due = self.due.end..self.due.end;
        self.shown.clear();
    }

    /// How far to simulate: to the tick of the newest input, less the delay.
    fn goal(&self) -> Goal {
        let runs = self.session.slot.is_some() && self.session.phase == Phase::Running;
        if !self.config.prediction || !runs {
            return Goal::Confirmed;
        }
        if !self.makes_inputs() || !self.line.input.started() {
            return Goal::Hold;
        }
        // What is due and was not asked for yet may still get its input.
        let newest = if self.due.is_empty() {
            self.due.end.saturating_sub(1)
        } else {
            self.due.start.saturating_sub(1)
        };
        Goal::Ahead(newest.saturating_sub(self.config.input_delay))
    }

    /// Simulates what can be simulated, a bounded number of ticks.
    pub(super) fn simulate(&mut self) {
        let goal = self.goal();
        let (Some(game), Some(simulation)) = (&self.game, &mut self.simulation) else {
            return;
        };
        let outcome = match &mut self.follow {
            Follow::Nothing => Ok(()),
            Follow::Full(full) => full.simulate(
                game,
                simulation,
                &self.own,
                (self.session.slot, self.session.slots()),
                goal,
                self.now,
                &mut self.stats,
            ),
            Follow::Validated(validated) => validated.simulate(
                game,
                simulation,
                &self.own,
                goal,
                &mut self.line.playback,
                self.now,
                &mut self.stats,
            ),
        };
        if let Err(error) = outcome {
            self.handle_failure(error);
        }
        self.tell();
    }

    /// The module failed: whatever its instance holds now cannot be relied on.
    fn handle_failure(&mut self, error: SimulationError) {
        self.module_failure = Some(error);
        self.simulation = None;
        self.module_changed();
        self.need_module();
    }

    /// What was simulated by another instance of the module goes; what the server sent stays,
    /// where it is of use without.
    pub(super) fn module_changed(&mut self) {
        match &mut self.follow {
            Follow::Full(full) => full.handle_module(),
            Follow::Nothing | Follow::Validated(_) => self.follow_anew(),
        }
    }

    /// Starts the module afresh, where there is one, for a match of other slots or options.
    pub(super) fn start_module(&mut self) {
        let config = self.session.match_config();
        if let Some(simulation) = &mut self.simulation
            && let Err(error) = simulation.init(0, &config)
        {
            self.module_failure = Some(error);
            self.simulation = None;
        }
    }

    /// Asks the caller for the module, where it is of use.
    pub(super) fn need_module(&mut self) {
        let of_use = match (&self.game, self.session.mode) {
            (_, None) => false,
            (None, Some(_)) | (Some(_), Some(AuthorityMode::Validated)) => true,
            (Some(game), Some(mode)) => self.config.prediction && game.layout.predicts(mode),
        };
        if !of_use || self.simulation.is_some() {
            return;
        }
        if self.module_requests >= MAX_MODULE_REQUESTS {
            self.module_unavailable = true;
            return;
        }
        // Each welcome asks again, so a caller that let one slip gets another; the bound is for
        // modules that fail again and again.
        self.module_requests += 1;
        self.push(Event::NeedModule(self.session.module.clone()));
    }

    /// Asks the server for a state to start from, where there is no following it any more.
    pub(super) fn ask_for_state(&mut self) {
        if self.session.phase != Phase::Running || self.game.is_none() {
            return;
        }
        let server_tick = self.line.server_tick;
        // Without a module confirmed ticks are of no use.
        let views = self.module_unavailable
            && self.simulation.is_none()
            && matches!(self.follow, Follow::Validated(_));
        let (lost, mismatch) = match &mut self.follow {
            Follow::Nothing => return,
            Follow::Validated(_) if views => (true, None),
            Follow::Full(full) => (full.is_lost(self.now), None),
            Follow::Validated(validated) => (
                validated.is_lost(server_tick, self.now),
                validated.mismatch(),
            ),
        };
        if !lost {
            self.line.resync_pause = RESYNC_EVERY;
            return;
        }
        let asked = |at| self.now.saturating_sub(at) < self.line.resync_pause;
        if self.line.resync_at.is_some_and(asked) {
            return;
        }
        // A large state over a slow line takes its time; the first pause holds between two
        // different reasons as well.
        if self
            .line
            .resync_at
            .is_some_and(|at| at >= self.line.connected_at)
        {
            self.line.resync_pause = (self.line.resync_pause * 2).min(LONGEST_RESYNC_PAUSE);
        }
        self.line.resync_at = Some(self.now);
        let resync = ClientEvent::Resync { mismatch, views };
        if self.send_event(&resync).is_ok() {
            self.stats.resyncs += 1;
        }
    }
}

/// Where the input clock left out more ticks than these, it jumped: a timer that was late leaves
/// out fewer.
const JUMP_TICKS: u32 = 30;
