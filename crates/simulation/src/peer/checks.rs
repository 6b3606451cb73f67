//! What must hold on a player's device, each time that it wakes up.

use std::collections::VecDeque;
use std::time::Duration;

use gs_client::{Event, Phase};
use gs_engine::simulation::{EventAudience, MatchResult};
use gs_engine::{AuthorityMode, Tick};

use super::{Incident, LinkState, Peer, PlayerPlan};
use crate::record::{Record, VISIBLE_TICKS};

/// What is really so, which no device sees.
pub(crate) struct Truth {
    /// The length of a tick.
    pub(crate) period: Duration,
    /// What the room's game came to.
    pub(crate) record: Record,
    /// The last tick that the room ran.
    pub(crate) tick: Tick,
    /// When the server's clock reached tick 0; none before the match runs.
    pub(crate) started: Option<Duration>,
    /// How the match ended.
    pub(crate) result: Option<MatchResult>,
    /// How long the server waits for late inputs.
    pub(crate) late_window: Duration,
}

impl Truth {
    /// How old the server's tick is.
    fn age(&self, tick: Tick, now: Duration) -> Option<Duration> {
        let at = self.started? + self.period * tick;
        Some(now.saturating_sub(at))
    }
}

/// What was drawn, to be held against what is drawn next.
#[derive(Debug)]
pub(super) struct Drawn {
    /// Confirmed ticks up to this one were checked.
    checked: Tick,
    /// Keyframes that the client had loaded at the last check.
    keyframes: u64,
    /// Ends of incidents that the player has not recovered from, and where to note when it has.
    recovering: Vec<(Duration, usize)>,
    pub(super) recoveries: Vec<Option<Duration>>,
    /// Players by entity: where, and for how many frames in a row.
    players: Vec<(u32, [f64; 2], u32)>,
    players_before: Vec<(u32, [f64; 2], u32)>,
    at: Option<Duration>,
    /// The newest tick that was drawn then.
    ticks: f64,
    /// How many ticks were guessed at each of the last frames.
    ahead: VecDeque<u32>,
    /// What the own entity showed at the last frame.
    echo: Option<f64>,
    /// What it showed when an input was given that changes it, and frames since.
    waits_for: Option<(f64, u64)>,
}

impl Drawn {
    pub(super) fn new(plan: &PlayerPlan) -> Self {
        let ends = plan.incidents.iter().filter_map(|incident| match incident {
            Incident::Sleep(window)
            | Incident::Outage(window)
            | Incident::Reload(window)
            | Incident::Replace(window) => Some(window.end),
            Incident::Forge(_) | Incident::Intrude(_) => None,
        });
        let recovering: Vec<(Duration, usize)> = ends.zip(0..).collect();
        Self {
            checked: 0,
            keyframes: 0,
            recoveries: vec![None; recovering.len()],
            recovering,
            players: Vec::new(),
            players_before: Vec::new(),
            at: None,
            ticks: 0.0,
            ahead: VecDeque::new(),
            echo: None,
            waits_for: None,
        }
    }

    /// A new page has drawn nothing yet.
    pub(super) fn forget_pictures(&mut self) {
        self.checked = 0;
        self.keyframes = 0;
        self.players.clear();
        self.at = None;
        self.echo = None;
        self.waits_for = None;
    }

    /// An input was given; `changes` says that the own entity will show it.
    pub(super) fn note_input(&mut self, changes: bool) {
        if let (true, None, Some(echo)) = (changes, self.waits_for, self.echo) {
            self.waits_for = Some((echo, 0));
        }
    }
}

impl Peer {
    /// Whether this player's client runs the confirmed ticks itself.
    pub(super) fn follows_confirmed(&self) -> bool {
        self.scenario.mode == AuthorityMode::Validated
    }

    /// Every tick that the client takes as confirmed is one that the server ran, to the same
    /// state.
    pub(super) fn check_confirmed(&mut self, truth: &Truth, now: Duration) {
        let stats = self.client.stats();
        let newest = stats.state_tick;
        if newest > truth.tick {
            let ran = truth.tick;
            self.fail(
                now,
                format!("holds tick {newest}, but the server ran only {ran}"),
            );
            return;
        }
        if !self.follows_confirmed() || self.plan.faulty.is_some() {
            return;
        }
        if stats.keyframes != self.drawn.keyframes {
            // It goes on from a state that it was given. What it had guessed for the ticks before
            // that, it never ran again.
            self.drawn.keyframes = stats.keyframes;
            let passed = newest.saturating_sub(self.drawn.checked);
            self.outcome.confirmed_skipped += u64::from(passed);
            self.drawn.checked = newest;
            return;
        }
        let mut wrong = None;
        {
            let (mine, theirs) = (self.record.read(), truth.record.read());
            // What the client has not run yet is looked at once it has.
            for tick in self.drawn.checked + 1..=newest {
                match (mine.hash(tick), theirs.hash(tick)) {
                    (Some(mine), Some(theirs)) if mine == theirs => {
                        self.outcome.confirmed_checked += 1;
                    }
                    (None, _) => self.outcome.confirmed_skipped += 1,
                    _ => {
                        wrong = Some(tick);
                        break;
                    }
                }
            }
        }
        self.drawn.checked = newest.max(self.drawn.checked);
        if let Some(tick) = wrong {
            self.fail(
                now,
                format!("confirmed tick {tick} is another than the server's"),
            );
        }
    }

    pub(super) fn handle_events(&mut self, truth: &Truth, now: Duration) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::NeedModule(_) => {
                    let instance = self.instance();
                    let local = self.clock.at(now);
                    if let Err(error) = self.client.handle_module(instance, local) {
                        self.fail(now, format!("the client refuses the module: {error}"));
                    }
                }
                Event::Game {
                    tick,
                    data,
                    predicted: false,
                } => self.check_event(truth, tick, &data, now),
                Event::Result(end) => {
                    if truth.result.as_ref() != Some(&end.result) {
                        let (shown, real) = (&end.result, &truth.result);
                        self.fail(
                            now,
                            format!("is shown the result {shown:?} instead of {real:?}"),
                        );
                    }
                    self.outcome.result = Some(end.result);
                }
                Event::Mode { .. } => self.outcome.fell_back = Some(now),
                Event::Desync { tick, differences } => {
                    self.outcome.desyncs += 1;
                    for difference in differences {
                        let field = format!("{}.{}", difference.kind, difference.field);
                        if !self.outcome.desynced_fields.contains(&field) {
                            self.outcome.desynced_fields.push(field);
                        }
                    }
                    if self.plan.faulty.is_none() {
                        self.fail(now, format!("came to another state at tick {tick}"));
                    }
                }
                Event::Refused { what, reason } => {
                    self.fail(now, format!("its {what} was refused: {reason}"));
                }
                Event::Peer { .. } => self.outcome.shared += 1,
                Event::Welcome
                | Event::Started { .. }
                | Event::Player(_)
                | Event::Game { .. }
                | Event::Chat(_) => {}
            }
        }
    }

    /// What counts as having happened did happen on the server, at that tick, for this player.
    fn check_event(&mut self, truth: &Truth, tick: Tick, data: &[u8], now: Duration) {
        self.outcome.events += 1;
        let slot = self.slot;
        let happened = {
            let recorded = truth.record.read();
            let index = recorded
                .events
                .binary_search_by_key(&tick, |(tick, _)| *tick);
            index.is_ok_and(|index| {
                recorded.events[index].1.iter().any(|event| {
                    event.data == data
                        && match event.to {
                            EventAudience::Slot(to) => to == slot,
                            EventAudience::All | EventAudience::Team(_) => true,
                        }
                })
            })
        };
        if !happened {
            self.fail(
                now,
                format!("was told of an event at tick {tick} that did not happen"),
            );
        }
    }

    /// Draws a frame, and holds it against the one before and against the truth.
    pub(super) fn draw(&mut self, truth: &Truth, now: Duration) {
        let local = self.clock.at(now);
        let newest = self.client.stats().state_tick;
        let (play, slot, mode) = (self.scenario.play, self.slot, self.scenario.mode);
        let drawn = &mut self.drawn;
        std::mem::swap(&mut drawn.players, &mut drawn.players_before);
        drawn.players.clear();
        let mut problem = None;
        let view = self.client.view(local);
        let ticks = view.tick().max(view.own_tick());
        let mut echo = None;
        for entity in view.entities() {
            let values = view.values_of(entity);
            if entity.kind != play.player_kind || !(play.follows)(values) {
                continue;
            }
            let own = entity.owner == Some(slot);
            if !(own && play.respawns && mode == AuthorityMode::Full) {
                let before = &drawn.players_before;
                let found = before.binary_search_by_key(&entity.id, |player| player.0);
                let frames = found.map_or(0, |index| before[index].2.saturating_add(1));
                drawn
                    .players
                    .push((entity.id, [values[0], values[1]], frames));
            }
            if own {
                echo = Some(values[play.echo]);
            }
        }
        // Where nothing comes any more, the last picture stays.
        let fresh = newest + VISIBLE_TICKS as u32 > truth.tick + 10;
        if self.scenario.play.name == "fog" && fresh {
            let recorded = truth.record.read();
            let seen = &recorded.visible[usize::from(slot)];
            for entity in view.entities() {
                if !seen
                    .iter()
                    .any(|(_, ids)| ids.binary_search(&entity.id).is_ok())
                {
                    problem = Some(format!("sees entity {}, which it may not", entity.id));
                }
                let values = view.values_of(entity);
                if entity.kind == 0 && entity.owner != Some(slot) && values[3] != 0.0 {
                    problem = Some(format!("sees the secret of {:?}", entity.owner));
                }
            }
        }
        if let Some(problem) = problem {
            self.fail(now, problem);
        }
        let running = self.client.phase() == Phase::Running && truth.result.is_none();
        if !running || self.link_state != LinkState::Connected {
            self.drawn.at = None;
            self.drawn.echo = None;
            self.drawn.waits_for = None;
            return;
        }
        self.outcome.frames += 1;
        self.check_jumps(ticks, now);
        self.check_echo(echo);
        self.check_staleness(truth, now);
        self.drawn.at = Some(now);
        self.drawn.echo = echo;
    }

    /// Nobody is drawn further from where they were a frame ago than they can have moved, and a
    /// wrong guess can have been wrong.
    fn check_jumps(&mut self, ticks: f64, now: Duration) {
        let before = std::mem::replace(&mut self.drawn.ticks, ticks);
        let Some(at) = self.drawn.at else {
            return;
        };
        let play = self.scenario.play;
        // A picture that stood still because too much was missing catches up.
        let drawn = (ticks - before).max(0.0) * self.period.as_secs_f64();
        let elapsed = drawn.max((now - at).as_secs_f64());
        // What is corrected now may have been guessed while more was missing.
        let ahead = self.client.stats().predicted_ticks;
        self.drawn.ahead.push_back(ahead);
        if self.drawn.ahead.len() > CORRECTED_FRAMES {
            self.drawn.ahead.pop_front();
        }
        let ahead = self.drawn.ahead.iter().max().copied().unwrap_or_default();
        let ahead = f64::from(ahead) * self.period.as_secs_f64();
        // A guess is wrong by at most the way there and back; a third of that is shown at once.
        let bound = play.top_speed * (elapsed * 1.1 + 0.35 * 2.0 * ahead) + 0.05;
        let mut worst = (0.0, 0, [0.0; 2], [0.0; 2]);
        for (id, [x, y], frames) in &self.drawn.players {
            // Where it comes back is a guess, too, until it is confirmed.
            if *frames < RETURNED_FRAMES {
                continue;
            }
            let found = self.drawn.players_before.binary_search_by_key(id, |p| p.0);
            let Ok(index) = found else {
                continue;
            };
            let [before_x, before_y] = self.drawn.players_before[index].1;
            let distance = (x - before_x).hypot(y - before_y);
            if distance - bound > worst.0 {
                worst = (distance - bound, *id, [before_x, before_y], [*x, *y]);
            }
            let moved = play.top_speed * elapsed * 1.1;
            self.outcome.largest_jump = self.outcome.largest_jump.max(distance - moved);
        }
        if worst.0 > 0.0 && self.is_settled(now) {
            let (beyond, id, from, to) = worst;
            self.fail(
                now,
                format!(
                    "player {id} jumps from {from:.2?} to {to:.2?}, {beyond:.2} units beyond the \
                     bound of {bound:.2}"
                ),
            );
        }
    }

    fn check_echo(&mut self, echo: Option<f64>) {
        let Some((before, frames)) = self.drawn.waits_for else {
            return;
        };
        let Some(echo) = echo else {
            // It is not in the game just now.
            self.drawn.waits_for = None;
            return;
        };
        if (echo - before).abs() > VISIBLE {
            self.outcome.echoes += 1;
            self.outcome.echo_frames += frames;
            self.outcome.echo_worst = self.outcome.echo_worst.max(frames);
            self.drawn.waits_for = None;
        } else {
            self.drawn.waits_for = Some((before, frames + 1));
        }
    }

    /// Notes how old the newest state is, and when that is as good as the line allows again.
    fn check_staleness(&mut self, truth: &Truth, now: Duration) {
        let state = self.client.stats().state_tick;
        let Some(age) = truth.age(state, now) else {
            return;
        };
        let line = self.plan.slowest_down() + truth.late_window + truth.period * 6;
        if state > 0 && age <= line {
            let recoveries = &mut self.drawn.recoveries;
            self.drawn.recovering.retain(|(end, index)| {
                if now < *end {
                    return true;
                }
                recoveries[*index] = Some(now - *end);
                false
            });
        }
        if self.is_settled(now) {
            self.outcome.staleness.add(age);
        }
    }

    /// Whether nothing has happened to the player for a while, so that it feels the line alone.
    fn is_settled(&self, now: Duration) -> bool {
        let mut windows = self
            .plan
            .incidents
            .iter()
            .filter_map(|incident| match incident {
                Incident::Sleep(window)
                | Incident::Outage(window)
                | Incident::Reload(window)
                | Incident::Replace(window) => Some(window),
                // Forged inputs of its own surprise it.
                Incident::Forge(window) => Some(window),
                Incident::Intrude(_) => None,
            });
        !windows.any(|window| (window.start..window.end + SETTLE).contains(&now))
            && now > self.plan.joins + SETTLE
    }
}

/// What counts as another value: any change that is no rounding error.
const VISIBLE: f64 = 1e-6;
/// Frames after a player's return after which its place is confirmed on any line.
const RETURNED_FRAMES: u32 = 40;
/// Frames after which hardly anything is left of a correction: a third of a second.
const CORRECTED_FRAMES: usize = 20;
/// How long a player may take to get in, and to be in step again after an incident.
const SETTLE: Duration = Duration::from_secs(3);
