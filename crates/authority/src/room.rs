//! One match, as a state machine without clock, socket or thread.
//!
//! Whoever drives it hands in packets as they come ([`Room::handle_packet`]), calls [`Room::tick`]
//! at the game's tick rate, and after each call takes what the room wants sent
//! ([`Room::poll_transmit`]) and done ([`Room::poll_event`]). All bytes that come in are a peer's:
//! none of them makes the room panic, wait, or hold more than its named bounds.
//!
//! A match waits for its players, runs until the game has a result or cannot go on, tells everyone
//! how it ended, and closes a little later:
//!
//! ```text
//! Waiting ── all present, or no-show time over and somebody present ──► Running
//!    │                                                                     │
//!    └── nobody came, everyone left ──► Ended ◄── result, failure, no one ─┘
//!                                         └── stored, and the grace over ──► Closed
//! ```

mod backfill;
mod counters;
mod limits;
mod observer;
mod outbox;
mod packets;
mod player;
mod presence;
mod relay;
#[cfg(test)]
mod tests;
mod views;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gs_engine::pipeline::{Pipeline, StartError};
use gs_engine::simulation::{
    LogLine, MatchConfig, MatchResult, Outcome, Simulation, SimulationError,
};
use gs_engine::{AuthorityMode, Manifest, Slot, Tick};
use gs_protocol::{convert, limits as wire_limits, wire};
use prost::Message;

use backfill::Former;
pub use backfill::SubstituteError;
pub use counters::RoomCounters;
use limits::{Bucket, LOG_BURST, LOG_RATE};
use observer::Observed;
use outbox::{Outbox, send_game_events};
use player::Player;
pub use player::Presence;
use relay::Relay;
use views::Views;

/// One match.
pub struct Room<S> {
    config: RoomConfig,
    pipeline: Pipeline<S>,
    service: Service,
    late_window: Tick,
    tick_rate: u32,
    phase: Phase,
    players: Vec<Player>,
    outbox: Outbox,
    events: VecDeque<RoomEvent>,
    counters: RoomCounters,
    strangers: Vec<(String, Instant)>,
    /// Whether substitutes may come into free slots.
    backfill: bool,
    /// Those slots as they were said last, a bit each.
    reported_open: u64,
    former: Former,
    log_lines: Bucket,
    refusal_lines: Bucket,
    created: Instant,
    last_tick: Instant,
    paused: Option<Instant>,
    all_gone_since: Option<Instant>,
    /// Whether it was logged that no `welcome` fits a packet.
    unwelcoming: bool,
}

/// What a room is made with.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The match's id.
    pub match_id: String,
    /// Which game.
    pub game: String,
    /// How the room and its players share the work.
    pub mode: AuthorityMode,
    /// SHA-256 of the module, lower-case hex.
    pub module_sha256: String,
    /// The module's manifest as it wrote it, JSON.
    pub manifest: Arc<str>,
    /// The lease's epoch, which is in every packet.
    pub epoch: u64,
    /// What the game's randomness starts from.
    pub seed: u64,
    /// The game's own options, a JSON object.
    pub options: String,
    /// Who plays, by slot; none in a slot that nobody was matched into.
    pub players: Vec<Option<RoomPlayer>>,
    /// Whether free slots are open to substitutes. It takes a game whose manifest says so, too.
    pub backfill: bool,
    /// Unix time when the room is made, in milliseconds.
    pub unix_ms: u64,
    /// How long to wait for whom.
    pub patience: Patience,
}

/// A player who was matched, or comes as a substitute.
#[derive(Clone, Debug)]
pub struct RoomPlayer {
    /// The LiveKit identity, which is the player's id.
    pub identity: String,
    /// Name for people.
    pub username: String,
    /// The team, where there are teams.
    pub team: Option<u8>,
}

/// How long a room waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long the start waits for players who have not come.
    pub no_show: Duration,
    /// How long a player may be silent and still count as present.
    pub lost_after: Duration,
    /// How long a slot is held for a player who is lost or has not come to a running match.
    pub hold: Duration,
    /// How long the game may take to find an end once every player is gone.
    pub abandon: Duration,
    /// How long the room stays open after the result is stored, so that everyone hears of it.
    pub grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            no_show: Duration::from_secs(20),
            lost_after: Duration::from_secs(2),
            hold: Duration::from_secs(30),
            abandon: Duration::from_secs(5),
            grace: Duration::from_secs(3),
        }
    }
}

/// A packet that a room wants sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// To whom.
    pub to: &'a Destination,
    /// How.
    pub channel: Channel,
    /// LiveKit's topic.
    pub topic: &'static str,
    /// The message.
    pub payload: &'a [u8],
}

/// Who gets a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Everyone in the room.
    All,
    /// One participant, by identity.
    One(Arc<str>),
}

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// May be lost or overtaken.
    Lossy,
    /// Arrives, in order.
    Reliable,
}

/// Something that whoever drives a room has to do, or may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomEvent {
    /// The first tick ran.
    Started,
    /// The match is over. [`Room::handle_stored`] says that its result is safe.
    Ended(RoomResult),
    /// This participant is to be disconnected, for the reason given. It may be named again.
    Remove {
        /// LiveKit's identity.
        identity: String,
        /// Why, for the log.
        reason: &'static str,
    },
    /// This participant's data is not to be forwarded any more.
    Mute {
        /// LiveKit's identity.
        identity: String,
    },
    /// These slots, ascending, are open to substitutes, and no others; none were before the first
    /// time. [`Room::handle_substitute`] takes them.
    SlotsOpen(Vec<Slot>),
    /// A slot has a substitute.
    SlotTaken {
        /// The slot.
        slot: Slot,
        /// The substitute, LiveKit's identity.
        identity: String,
        /// Who had the slot until now, and is not in the match any more.
        earlier: Option<String>,
    },
    /// The game wrote a line to the log.
    Log(LogLine),
    /// Nothing more will happen; the LiveKit room can be deleted.
    Closed,
}

/// How a match ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomResult {
    /// What the game said, or that the match is void or abandoned.
    pub result: MatchResult,
    /// Why it did not finish, for people; none where it finished.
    pub reason: Option<String>,
    /// What else is known of the end, a JSON object: in `observer`, who reported what.
    pub details: Option<String>,
    /// Whether the game failed, which its operator should look into.
    pub failed: bool,
    /// How many ticks ran.
    pub ticks: Tick,
}

/// What the room does for its players, by mode.
enum Service {
    Full(Box<Views>),
    Validated(Box<Relay>),
    Observer(Observed),
}

/// How far a match has come.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Waiting {
        since: Instant,
    },
    Running,
    Ended {
        result: RoomResult,
        stored: Option<Instant>,
    },
    Closed,
}

impl<S: Simulation> Room<S> {
    /// Makes the room of a match and starts its game; the first tick runs once the players are
    /// there.
    ///
    /// # Errors
    /// [`StartError`] where the game does not take such a match, or fails.
    pub fn new(config: RoomConfig, simulation: S, now: Instant) -> Result<Self, StartError> {
        let manifest = simulation.manifest();
        let (tick_rate, late_window) = (manifest.tick_rate, late_window(manifest));
        let max_save_bytes = manifest.max_save_bytes;
        let backfill = config.backfill && manifest.backfill;
        let match_config = MatchConfig {
            // Beyond 64 slots the pipeline refuses the match.
            players: u8::try_from(config.players.len()).unwrap_or(u8::MAX),
            teams: manifest.teams,
            options: config.options.clone(),
        };
        let mut pipeline = Pipeline::new(simulation, match_config, config.seed)?;
        let count = config.players.len();
        let service = match config.mode {
            AuthorityMode::Full => Service::Full(Box::new(Views::new(count))),
            AuthorityMode::Validated => {
                pipeline = pipeline.with_late_window(late_window)?;
                Service::Validated(Box::new(Relay::new(count, max_save_bytes, now)))
            }
            AuthorityMode::Observer => Service::Observer(Observed::new(count)),
        };
        let player = |player: &Option<RoomPlayer>| match player {
            Some(player) => Player::new(player, tick_rate, now),
            None => Player::vacant(tick_rate, now),
        };
        let players = config.players.iter().map(player).collect();
        Ok(Self {
            outbox: Outbox::new(config.epoch),
            config,
            pipeline,
            service,
            late_window,
            tick_rate,
            phase: Phase::Waiting { since: now },
            players,
            events: VecDeque::new(),
            counters: RoomCounters::default(),
            strangers: Vec::new(),
            backfill,
            reported_open: 0,
            former: Vec::new(),
            log_lines: Bucket::new(LOG_RATE, LOG_BURST, now),
            refusal_lines: Bucket::new(LOG_RATE, LOG_BURST, now),
            created: now,
            last_tick: now,
            paused: None,
            all_gone_since: None,
            unwelcoming: false,
        })
    }

    /// Runs one tick: looks after the players, and steps the game where it runs.
    pub fn tick(&mut self, now: Instant) {
        self.last_tick = now;
        if self.paused.is_some() && !self.is_over() {
            return;
        }
        self.check_presence(now);
        match &self.phase {
            Phase::Waiting { since } => {
                let since = *since;
                self.check_start(since, now);
            }
            Phase::Running => {}
            Phase::Ended {
                stored: Some(at), ..
            } if now >= *at + self.config.patience.grace => {
                self.close();
            }
            Phase::Ended { .. } | Phase::Closed => {}
        }
        if self.phase == Phase::Running {
            self.step(now);
        }
        self.report_open();
    }

    /// The store has the result: players are told, and the room closes after the grace.
    pub fn handle_stored(&mut self, now: Instant) {
        let Phase::Ended {
            stored: stored @ None,
            ..
        } = &mut self.phase
        else {
            return;
        };
        *stored = Some(now);
        self.tell_ended();
    }

    /// Ends the match as void, for a reason outside of the game.
    pub fn handle_abort(&mut self, reason: &str) {
        self.end_void(reason.to_owned(), false);
    }

    /// The connection to the LiveKit server is lost: time stands still for the match until
    /// [`Room::handle_connected`], for it is not the players' fault.
    pub fn handle_disconnected(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// The connection is back. Players have as long to come back as if they were lost right now.
    pub fn handle_connected(&mut self, now: Instant) {
        let Some(paused) = self.paused.take() else {
            return;
        };
        let pause = now.saturating_duration_since(paused);
        if let Phase::Waiting { since } = &mut self.phase {
            *since += pause;
        }
        for player in &mut self.players {
            player.held_since = now;
            player.heard_at = player.heard_at.map(|_| now);
        }
        if let Service::Validated(relay) = &mut self.service {
            (0..self.players.len()).for_each(|slot| relay.forget_sent(slot));
        }
        self.all_gone_since = self.all_gone_since.map(|since| since + pause);
    }

    /// When [`Room::tick`] is due again; `None` once nothing more will happen.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let period = Duration::from_secs(1) / self.tick_rate;
        (self.phase != Phase::Closed).then(|| self.last_tick + period)
    }

    /// The next packet to send. Its memory is used again for a later one.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outbox.pop()
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<RoomEvent> {
        self.events.pop_front()
    }

    /// What was counted so far.
    pub fn counters(&self) -> RoomCounters {
        let (transmits, dropped) = self.outbox.counts();
        let mut counters = RoomCounters {
            transmits,
            dropped: self.counters.dropped + dropped,
            ..self.counters
        };
        let slots = 0..self.players.len();
        let inputs = slots.filter_map(|slot| self.pipeline.slot_status(slot as Slot));
        counters.frames_late = inputs.map(|status| status.counters.late).sum();
        match &self.service {
            Service::Full(views) => counters.acks_refused = views.refused_acks(),
            Service::Validated(relay) => {
                let counted = &relay.counters;
                counters.acks_refused = counted.acks_refused;
                counters.keyframes = counted.keyframes;
                counters.catch_ups = counted.catch_ups;
            }
            Service::Observer(_) => {}
        }
        counters
    }

    /// The last tick that ran, in `observer` as the clock says; 0 before the first.
    pub fn game_tick(&self) -> Tick {
        match &self.service {
            Service::Observer(observed) => observed.clock,
            Service::Full(_) | Service::Validated(_) => self.pipeline.tick(),
        }
    }

    /// The tick that the clock says.
    fn clock(&self) -> Tick {
        match &self.service {
            Service::Observer(observed) => observed.clock,
            Service::Full(_) | Service::Validated(_) => self.pipeline.clock(),
        }
    }

    /// Ticks a second.
    pub fn tick_rate(&self) -> u32 {
        self.tick_rate
    }

    /// Whether a slot's player takes part; `None` for a slot that the match does not have.
    pub fn presence(&self, slot: Slot) -> Option<Presence> {
        self.players
            .get(usize::from(slot))
            .map(|player| player.presence)
    }

    /// Whether nothing more will happen.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// The tick pipeline, for recorders and tests.
    pub fn pipeline(&mut self) -> &mut Pipeline<S> {
        &mut self.pipeline
    }

    fn start(&mut self) {
        self.phase = Phase::Running;
        self.event(RoomEvent::Started);
        self.tell_all(&wire::server_event::Body::Started(wire::MatchStarted {
            tick: 1,
        }));
    }

    /// The clock comes to the match's next tick.
    fn step(&mut self, now: Instant) {
        if matches!(self.service, Service::Observer(_)) {
            return self.observe(now);
        }
        self.pipeline.begin_tick();
        let before = self.pipeline.tick();
        let mut result = None;
        while result.is_none() {
            match self.run_tick(now) {
                Ok(Ran::Tick { ended }) => result = ended,
                Ok(Ran::Nothing) => break,
                Err(error) => return self.end_void(format!("the game failed: {error}"), true),
            }
        }
        let ran = self.pipeline.tick() > before;
        let (pipeline, players) = (&mut self.pipeline, &self.players);
        let sent = match &mut self.service {
            Service::Full(views) => views.send(pipeline, players, &mut self.outbox, now),
            Service::Validated(relay) => {
                let sent = relay.send(pipeline, players, ran, &mut self.outbox, now);
                if result.is_some() {
                    relay.finish(pipeline, players, &mut self.outbox);
                }
                sent
            }
            Service::Observer(_) => Ok(()),
        };
        // A result that the game has given counts, even where it fails to show its last state.
        if let Some(result) = result {
            let reason = match result.outcome {
                Outcome::Finished => None,
                Outcome::Abandoned => Some("too few players were left".to_owned()),
                Outcome::Void => Some("the game declared the match void".to_owned()),
            };
            self.end(result, reason, false);
        } else if let Err(error) = sent {
            self.end_void(format!("the game failed: {error}"), true);
        }
    }

    /// Runs the game's next tick if it may run, and passes on what came of it.
    fn run_tick(&mut self, now: Instant) -> Result<Ran, SimulationError> {
        let tick = self.pipeline.tick() + 1;
        let waited = self.pipeline.clock().saturating_sub(tick);
        let Some(effects) = self.pipeline.advance()? else {
            return Ok(Ran::Nothing);
        };
        for line in &effects.log {
            if self.log_lines.take(now) {
                let event = RoomEvent::Log(line.clone());
                queue_event(&mut self.events, &mut self.counters, event);
            } else {
                self.counters.log_lines_dropped += 1;
            }
        }
        send_game_events(&mut self.outbox, &mut self.players, tick, &effects.events);
        let ended = effects.result.clone();
        if matches!(self.service, Service::Validated(_)) && waited >= self.late_window {
            self.counters.ticks_late += 1;
        }
        self.note_refusals(now);
        Ok(Ran::Tick { ended })
    }

    /// Lets a tick pass in a match that the players simulate among themselves.
    fn observe(&mut self, now: Instant) {
        let Service::Observer(observed) = &mut self.service else {
            return;
        };
        observed.clock = observed.clock.saturating_add(1);
        if observed
            .clock
            .is_multiple_of((self.tick_rate / CLOCK_RATE).max(1))
        {
            self.outbox
                .note_statuses(&self.players, &self.pipeline, now);
            self.outbox.clock(observed.clock);
        }
        if let Some(agreement) = observed.agreement(&self.players, now) {
            self.end(agreement.result, agreement.reason, false);
        }
    }

    /// Counts the inputs that the game refused in the last tick, and logs its reasons.
    fn note_refusals(&mut self, now: Instant) {
        let refusals = self.pipeline.refusals();
        self.counters.inputs_refused += refusals.len() as u64;
        if refusals.is_empty() || !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        for (slot, reason) in refusals {
            if !self.refusal_lines.take(now) {
                return;
            }
            tracing::debug!(
                match.id = self.config.match_id,
                player.id = self.players.get(usize::from(*slot)).map(|p| &*p.identity),
                tick = self.pipeline.tick(),
                reason,
                "the game refused an input"
            );
        }
    }

    fn end_void(&mut self, reason: String, failed: bool) {
        let result = MatchResult {
            outcome: Outcome::Void,
            slots: Vec::new(),
        };
        self.end(result, Some(reason), failed);
    }

    fn end(&mut self, result: MatchResult, reason: Option<String>, failed: bool) {
        if matches!(self.phase, Phase::Ended { .. } | Phase::Closed) {
            return;
        }
        let details = match &self.service {
            Service::Observer(observed) => Some(observed.details()),
            Service::Full(_) | Service::Validated(_) => None,
        };
        let result = RoomResult {
            result,
            reason,
            details,
            failed,
            ticks: self.game_tick(),
        };
        self.phase = Phase::Ended {
            result: result.clone(),
            stored: None,
        };
        self.tell_ended();
        self.event(RoomEvent::Ended(result));
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.event(RoomEvent::Closed);
    }

    fn tell_ended(&mut self) {
        if let Some(ended) = self.ended_message() {
            self.tell_all(&wire::server_event::Body::Ended(ended));
        }
    }

    fn ended_message(&self) -> Option<wire::MatchEnded> {
        let Phase::Ended { result, stored } = &self.phase else {
            return None;
        };
        let reason = result.reason.as_deref().unwrap_or_default();
        let mut ended = convert::result_to_wire(&result.result, reason, stored.is_some());
        if ended.encoded_len() > ENDED_BYTES {
            // Who came where matters most; the store has the rest.
            ended
                .slots
                .iter_mut()
                .for_each(|slot| slot.statistics.clear());
        }
        Some(ended)
    }

    fn event(&mut self, event: RoomEvent) {
        queue_event(&mut self.events, &mut self.counters, event);
    }
}

/// Queues an event; where nobody takes them, those that only inform are dropped.
fn queue_event(events: &mut VecDeque<RoomEvent>, counters: &mut RoomCounters, event: RoomEvent) {
    let matters = matches!(
        event,
        RoomEvent::Started | RoomEvent::Ended(_) | RoomEvent::SlotTaken { .. } | RoomEvent::Closed
    );
    if matters || events.len() < limits::EVENTS {
        events.push_back(event);
    } else {
        counters.dropped += 1;
    }
}

/// How many ticks of the clock an input may come late and still count, at least one: clients and
/// the server's clock are never in step to less than that.
fn late_window(manifest: &Manifest) -> Tick {
    (manifest.late_window_ms * manifest.tick_rate)
        .div_ceil(1_000)
        .max(1)
}

/// What became of the game's next tick.
enum Ran {
    /// It is not its time.
    Nothing,
    /// It ran, and may have ended the match.
    Tick { ended: Option<MatchResult> },
}

/// How often a second players are told the clock of a match that only they simulate, to keep step
/// with each other by.
const CLOCK_RATE: u32 = 10;
/// Most bytes of how a match ended, with which a `welcome` of 64 players still fits a packet.
const ENDED_BYTES: usize = wire_limits::EVENT_BYTES / 2;
