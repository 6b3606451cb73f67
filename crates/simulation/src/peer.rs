//! One player's device: its clock, its line, its client, and whoever plays.

mod checks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gs_client::{Client, ClientConfig, Destination, Phase};
use gs_engine::{AuthorityMode, Slot};
use gs_netem::{Link, LinkConfig, Outage, ReliableLink};

use crate::Dice;
use crate::games::Bot;
use crate::games::faulty::Faulty;
use crate::outcome::PlayerOutcome;
use crate::record::{Detail, Record, Recorder};
use crate::scenario::{Incident, PlayerPlan, Scenario};
use checks::Drawn;
pub(crate) use checks::Truth;

/// A packet on its way.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) from: Sender,
    pub(crate) topic: &'static str,
    pub(crate) reliable: bool,
    pub(crate) to_everyone: bool,
    pub(crate) payload: Bytes,
}

/// Whose name LiveKit's server puts on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Authority,
    Player(Slot),
    /// Somebody who is not in the match.
    Intruder,
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

pub(crate) struct Peer {
    pub(crate) slot: Slot,
    pub(crate) plan: PlayerPlan,
    pub(crate) up: Line,
    pub(crate) down: Line,
    pub(crate) outcome: PlayerOutcome,
    pub(crate) failures: Vec<String>,
    pub(crate) link_state: LinkState,
    scenario: Scenario,
    client: Client<Recorder>,
    record: Record,
    bot: Box<dyn Bot>,
    clock: LocalClock,
    /// When the device wakes up next, and whether it draws then.
    next_wake: Duration,
    draws: bool,
    /// What arrived while the tab slept.
    waiting: VecDeque<Message>,
    input: Vec<u8>,
    drawn: Drawn,
    steps_before: u64,
    period: Duration,
}

/// How a device is connected to LiveKit's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Not yet, or the page is closed.
    Absent,
    Connected,
    /// The watchdog has noticed an outage.
    Reconnecting,
}

/// Both channels of one direction.
pub(crate) struct Line {
    pub(crate) lossy: Link<Message>,
    pub(crate) reliable: ReliableLink<Message>,
}

/// A device's clock: it started at some other time, and runs a little fast or slow.
#[derive(Clone, Copy, Debug)]
struct LocalClock {
    offset: f64,
    pace: f64,
}

impl Peer {
    pub(crate) fn new(slot: Slot, scenario: &Scenario, seed: u64) -> Self {
        let plan = scenario.players[usize::from(slot)].clone();
        let mut dice = Dice::new(seed, 0x9ee5 + u64::from(slot));
        let line = |config: &LinkConfig, dice: &mut Dice| {
            let mut config = config.clone();
            for incident in &plan.incidents {
                if let Incident::Outage(window) = incident {
                    let (from, until) = (window.start, window.end);
                    config.outages.push(Outage { from, until });
                }
            }
            let lossy = Link::new(config.clone(), dice.next_u64());
            // Bursts are counted in packets. On a channel that says little one would last for many
            // seconds, though the line is good again by the time that something is sent anew.
            if let Some(burst) = config.burst.take() {
                config.loss += burst.enter / (burst.enter + burst.leave) * burst.loss;
            }
            let reliable = ReliableLink::new(config, plan.retransmission, dice.next_u64());
            Line { lossy, reliable }
        };
        let (up, down) = (line(&plan.up, &mut dice), line(&plan.down, &mut dice));
        let clock = LocalClock {
            offset: dice.range(0.0, 100.0),
            // Quartz: ± 100 parts in a million.
            pace: 1.0 + dice.range(-1e-4, 1e-4),
        };
        let bot = (scenario.play.bot)(dice.next_u64());
        Self {
            slot,
            up,
            down,
            outcome: PlayerOutcome::default(),
            failures: Vec::new(),
            link_state: LinkState::Absent,
            scenario: scenario.clone(),
            client: client(&plan),
            record: Record::default(),
            bot,
            clock,
            next_wake: plan.joins + Duration::from_secs_f64(dice.range(0.0, 0.016)),
            draws: false,
            waiting: VecDeque::new(),
            input: Vec::new(),
            drawn: Drawn::new(&plan),
            steps_before: 0,
            period: Duration::from_millis(16),
            plan,
        }
    }

    /// When something happens here next.
    pub(crate) fn poll_timeout(&self) -> Duration {
        [
            self.up.lossy.poll_timeout(),
            self.up.reliable.poll_timeout(),
            self.down.lossy.poll_timeout(),
            self.down.reliable.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .fold(self.next_wake, Duration::min)
    }

    pub(crate) fn is_awake(&self, now: Duration) -> bool {
        !self.during(now, |incident| match incident {
            Incident::Sleep(window) => Some(window),
            _ => None,
        })
    }

    /// Whether `now` is in the window of an incident of some kind.
    pub(crate) fn during(
        &self,
        now: Duration,
        kind: impl Fn(&Incident) -> Option<&std::ops::Range<Duration>>,
    ) -> bool {
        let mut windows = self.plan.incidents.iter().filter_map(kind);
        windows.any(|window| window.contains(&now))
    }

    /// What should be of the connection now, by the plan.
    fn planned_state(&self, now: Duration) -> LinkState {
        let closed = self.during(now, |incident| match incident {
            Incident::Reload(window) | Incident::Replace(window) => Some(window),
            _ => None,
        });
        // The watchdog needs a while to notice, and to connect once the line is back.
        let out = self.plan.incidents.iter().any(|incident| match incident {
            Incident::Outage(window) => {
                (window.start + WATCHDOG..window.end + RECONNECT).contains(&now)
            }
            _ => false,
        });
        match () {
            () if now < self.plan.joins || closed => LinkState::Absent,
            () if out => LinkState::Reconnecting,
            () => LinkState::Connected,
        }
    }

    /// Follows the plan; answers whether the connection to LiveKit's server changed.
    pub(crate) fn follow_plan(&mut self, now: Duration) -> Option<LinkState> {
        let planned = self.planned_state(now);
        if planned == self.link_state {
            return None;
        }
        let local = self.clock.at(now);
        self.up.reliable.reset(now);
        self.down.reliable.reset(now);
        self.down.lossy.clear();
        match planned {
            LinkState::Connected => {
                if self.link_state == LinkState::Absent {
                    self.restart();
                }
                self.client.handle_connected(local);
            }
            LinkState::Reconnecting => self.client.handle_disconnected(local),
            LinkState::Absent => {}
        }
        self.link_state = planned;
        Some(planned)
    }

    /// A new page with a new client.
    fn restart(&mut self) {
        self.steps_before += self.record.read().steps;
        self.record = Record::default();
        self.client = client(&self.plan);
        self.drawn.forget_pictures();
        self.waiting.clear();
    }

    /// A packet arrived at the device.
    pub(crate) fn handle_message(&mut self, message: Message, names: &[Arc<str>], now: Duration) {
        if self.is_awake(now) {
            self.deliver(&message, names, now);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(message);
        }
    }

    fn deliver(&mut self, message: &Message, names: &[Arc<str>], now: Duration) {
        let from = match &message.from {
            Sender::Authority => gs_protocol::AUTHORITY_IDENTITY,
            Sender::Player(slot) => &names[usize::from(*slot)],
            Sender::Intruder => INTRUDER,
        };
        let local = self.clock.at(now);
        self.client
            .handle_packet(from, message.topic, &message.payload, local);
    }

    /// Wakes the device up if that is due: it plays, draws and sends.
    pub(crate) fn wake(&mut self, names: &[Arc<str>], truth: &Truth, now: Duration) {
        if now < self.next_wake {
            return;
        }
        // Twice a tick, drawing every second time: 60 frames a second at 60 Hz.
        self.next_wake += truth.period / 2;
        self.draws = !self.draws;
        if self.link_state == LinkState::Absent || !self.is_awake(now) {
            return;
        }
        while let Some(message) = self.waiting.pop_front() {
            self.deliver(&message, names, now);
        }
        let local = self.clock.at(now);
        self.period = truth.period;
        self.client.handle_timeout(local);
        self.handle_events(truth, now);
        if self.scenario.mode == AuthorityMode::Observer {
            self.share(now);
        }
        while let Some(tick) = self.client.poll_input(local) {
            self.input.clear();
            self.bot.input(tick, &mut self.input);
            if let Err(error) = self.client.handle_input(tick, &self.input) {
                self.fail(
                    now,
                    format!("the client refuses the bot's input: {error:?}"),
                );
            }
            self.drawn.note_input(self.bot.changed_echo());
        }
        if let Some(command) = self.bot.command()
            && let Err(error) = self.client.command(&command)
        {
            self.fail(
                now,
                format!("the client refuses the bot's command: {error:?}"),
            );
        }
        self.check_confirmed(truth, now);
        if self.draws {
            self.draw(truth, now);
        }
        self.send(now);
    }

    /// `observer`: what the game of this player comes to, and at last how it ended.
    fn share(&mut self, now: Duration) {
        if self.client.phase() != Phase::Running {
            return;
        }
        let local = self.clock.at(now);
        let state = now.as_nanos().to_le_bytes();
        if self.draws
            && let Err(error) = self.client.share(&state, local)
        {
            self.fail(now, format!("the client shares nothing: {error}"));
        }
        let report = &self.plan.reports;
        if let Some((at, result)) = report.as_ref().filter(|(at, _)| now >= *at) {
            let (at, result) = (*at, result.clone());
            if let Err(error) = self.client.report(&result) {
                self.fail(at, format!("the client reports nothing: {error}"));
            }
            self.plan.reports = None;
        }
    }

    fn send(&mut self, now: Duration) {
        while let Some(transmit) = self.client.poll_transmit() {
            let message = Message {
                from: Sender::Player(self.slot),
                topic: transmit.topic,
                reliable: transmit.reliable,
                to_everyone: transmit.to == Destination::Everyone,
                payload: transmit.payload.into(),
            };
            if self.link_state == LinkState::Connected {
                self.up.send(now, message);
            }
        }
    }

    pub(crate) fn fail(&mut self, now: Duration, what: impl std::fmt::Display) {
        if self.failures.len() < crate::outcome::MAX_FAILURES {
            let (now, slot) = (now.as_secs_f64(), self.slot);
            self.failures
                .push(format!("{now:.3} s: player {slot}: {what}"));
        }
    }

    /// What came of it all.
    pub(crate) fn finish(&mut self) -> (PlayerOutcome, u64) {
        self.outcome.stats = self.client.stats();
        let mut outcome = std::mem::take(&mut self.outcome);
        outcome.recoveries = self.drawn.recoveries.clone();
        (outcome, self.steps_before + self.record.read().steps)
    }

    /// An instance of the game as this player runs it.
    fn instance(&self) -> Recorder {
        let instance = (self.scenario.play.instance)();
        let detail = if self.plan.faulty.is_some() || !self.follows_confirmed() {
            Detail::Steps
        } else {
            Detail::Hashes
        };
        let game = match self.plan.faulty {
            Some(at) => Box::new(Faulty::new(instance, at)),
            None => instance,
        };
        Recorder::new(game, self.record.clone(), detail)
    }
}

impl Line {
    pub(crate) fn send(&mut self, now: Duration, message: Message) {
        if message.reliable {
            self.reliable.send(now, message);
        } else {
            self.lossy.send(now, message);
        }
    }

    pub(crate) fn poll(&mut self, now: Duration) -> Option<Message> {
        self.reliable.poll(now).or_else(|| self.lossy.poll(now))
    }
}

impl LocalClock {
    fn at(self, now: Duration) -> Duration {
        Duration::from_secs_f64(self.offset + now.as_secs_f64() * self.pace)
    }
}

fn client(plan: &PlayerPlan) -> Client<Recorder> {
    Client::new(ClientConfig {
        prediction: plan.prediction,
        ..ClientConfig::default()
    })
}

/// How soon a silent line is noticed.
const WATCHDOG: Duration = Duration::from_millis(1_000);
/// How long it takes to connect afresh once the line is back.
const RECONNECT: Duration = Duration::from_millis(100);
/// What a browser holds for a tab that sleeps: an hour of messages would be held too, so more than
/// any test needs.
const MAX_WAITING: usize = 16_384;
/// The name of a participant who is not in the match.
pub(crate) const INTRUDER: &str = "00000000-0000-0000-0000-999999999999";
