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

mod limits;
mod outbox;
mod packets;
mod player;
mod presence;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gs_engine::pipeline::{Pipeline, StartError};
use gs_engine::simulation::{LogLine, MatchConfig, MatchResult, Outcome, Simulation};
use gs_engine::snapshot::WholeSnapshot;
use gs_engine::{Slot, Tick};
use gs_protocol::{convert, limits as wire_limits, wire};
use prost::Message;

use limits::{Bucket, LOG_BURST, LOG_RATE};
use outbox::{Outbox, SNAPSHOT_BYTES};
use player::Player;
pub use player::Presence;

/// One match.
pub struct Room<S> {
    config: RoomConfig,
    pipeline: Pipeline<S>,
    tick_rate: u32,
    hidden_state: bool,
    phase: Phase,
    players: Vec<Player>,
    outbox: Outbox,
    events: VecDeque<RoomEvent>,
    counters: RoomCounters,
    strangers: Vec<(String, Instant)>,
    log_lines: Bucket,
    refusal_lines: Bucket,
    created: Instant,
    last_tick: Instant,
    paused: Option<Instant>,
    all_gone_since: Option<Instant>,
}

/// What a room is made with.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The match's id.
    pub match_id: String,
    /// Which game.
    pub game: String,
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
    /// Who plays, by slot.
    pub players: Vec<RoomPlayer>,
    /// Unix time when the room is made, in milliseconds.
    pub unix_ms: u64,
    /// How long to wait for whom.
    pub patience: Patience,
}

/// A player who was matched.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: Destination,
    /// How.
    pub channel: Channel,
    /// LiveKit's topic.
    pub topic: &'static str,
    /// The message.
    pub payload: Bytes,
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
    /// Whether the game failed, which its operator should look into.
    pub failed: bool,
    /// How many ticks ran.
    pub ticks: Tick,
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

/// What a room has counted, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomCounters {
    /// Packets that came from players of the match.
    pub packets: u64,
    /// Packets of participants who are not in the match; dropped.
    pub strangers: u64,
    /// Packets that are too large, malformed or of another version; dropped.
    pub malformed: u64,
    /// Packets of a topic that is not spoken here; dropped.
    pub unknown_topic: u64,
    /// Packets beyond a player's rate; dropped.
    pub limited: u64,
    /// Packets of players who were muted or removed; dropped.
    pub silenced: u64,
    /// Input frames against the schema, or from players who do not take part; dropped.
    pub frames_refused: u64,
    /// Input frames of the future beyond what is kept; dropped.
    pub frames_too_far: u64,
    /// Inputs that the game refused.
    pub inputs_refused: u64,
    /// Commands that were refused.
    pub commands_refused: u64,
    /// Chat lines and `hello`s beyond their own rates; dropped.
    pub requests_limited: u64,
    /// Packets that were to be sent.
    pub transmits: u64,
    /// Packets and events that nobody took in time, or that fit no packet; dropped.
    pub dropped: u64,
    /// Players that were muted.
    pub mutes: u64,
    /// Participants that were to be removed.
    pub removals: u64,
    /// Lines that the game wrote to the log beyond its rate; dropped.
    pub log_lines_dropped: u64,
    /// Packets that came faster than the room took them; dropped before it saw them. Counted by
    /// what drives the room, so 0 in [`Room::counters`].
    pub inbox_dropped: u64,
    /// Packets that the connection did not take. Counted by what drives the room, as well.
    pub unsent: u64,
}

impl AddAssign for RoomCounters {
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that no counter is forgotten.
        let Self {
            packets,
            strangers,
            malformed,
            unknown_topic,
            limited,
            silenced,
            frames_refused,
            frames_too_far,
            inputs_refused,
            commands_refused,
            requests_limited,
            transmits,
            dropped,
            mutes,
            removals,
            log_lines_dropped,
            inbox_dropped,
            unsent,
        } = other;
        self.packets += packets;
        self.strangers += strangers;
        self.malformed += malformed;
        self.unknown_topic += unknown_topic;
        self.limited += limited;
        self.silenced += silenced;
        self.frames_refused += frames_refused;
        self.frames_too_far += frames_too_far;
        self.inputs_refused += inputs_refused;
        self.commands_refused += commands_refused;
        self.requests_limited += requests_limited;
        self.transmits += transmits;
        self.dropped += dropped;
        self.mutes += mutes;
        self.removals += removals;
        self.log_lines_dropped += log_lines_dropped;
        self.inbox_dropped += inbox_dropped;
        self.unsent += unsent;
    }
}

impl<S: Simulation> Room<S> {
    /// Makes the room of a match and starts its game; the first tick runs once the players are
    /// there.
    ///
    /// # Errors
    /// [`StartError`] where the game does not take such a match, or fails.
    pub fn new(config: RoomConfig, simulation: S, now: Instant) -> Result<Self, StartError> {
        let manifest = simulation.manifest();
        let (tick_rate, hidden_state) = (manifest.tick_rate, manifest.hidden_state);
        let match_config = MatchConfig {
            // Beyond 64 players the pipeline refuses the match.
            players: u8::try_from(config.players.len()).unwrap_or(u8::MAX),
            teams: manifest.teams,
            options: config.options.clone(),
        };
        let pipeline = Pipeline::new(simulation, match_config, config.seed)?
            .with_encoder(WholeSnapshot::new(SNAPSHOT_BYTES));
        let players = config
            .players
            .iter()
            .map(|p| Player::new(p, tick_rate, now))
            .collect();
        Ok(Self {
            outbox: Outbox::new(config.epoch),
            config,
            pipeline,
            tick_rate,
            hidden_state,
            phase: Phase::Waiting { since: now },
            players,
            events: VecDeque::new(),
            counters: RoomCounters::default(),
            strangers: Vec::new(),
            log_lines: Bucket::new(LOG_RATE, LOG_BURST, now),
            refusal_lines: Bucket::new(LOG_RATE, LOG_BURST, now),
            created: now,
            last_tick: now,
            paused: None,
            all_gone_since: None,
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
        self.all_gone_since = self.all_gone_since.map(|since| since + pause);
    }

    /// When [`Room::tick`] is due again; `None` once nothing more will happen.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let period = Duration::from_secs(1) / self.tick_rate;
        (self.phase != Phase::Closed).then(|| self.last_tick + period)
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<RoomEvent> {
        self.events.pop_front()
    }

    /// What was counted so far.
    pub fn counters(&self) -> RoomCounters {
        let (transmits, dropped) = self.outbox.counts();
        RoomCounters {
            transmits,
            dropped: self.counters.dropped + dropped,
            ..self.counters
        }
    }

    /// The last tick that ran; 0 before the first.
    pub fn game_tick(&self) -> Tick {
        self.pipeline.tick()
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

    /// Runs the game's next tick and sends what came of it.
    fn step(&mut self, now: Instant) {
        self.pipeline.begin_tick();
        let effects = match self.pipeline.advance() {
            Ok(Some(effects)) => effects,
            Ok(None) => return,
            Err(error) => return self.end_void(format!("the game failed: {error}"), true),
        };
        // Cloned where there is something: on most ticks there is nothing.
        let (events, log, result) = (
            effects.events.clone(),
            effects.log.clone(),
            effects.result.clone(),
        );
        self.note_refusals(now);
        for line in log {
            if self.log_lines.take(now) {
                self.event(RoomEvent::Log(line));
            } else {
                self.counters.log_lines_dropped += 1;
            }
        }
        self.send_game_events(&events);
        let sent = self.send_state(now);
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
                player.id = self.config.players.get(usize::from(*slot)).map(|p| &*p.identity),
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
        let ticks = self.pipeline.tick();
        let result = RoomResult {
            result,
            reason,
            failed,
            ticks,
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

    /// Queues an event; where nobody takes them, those that only inform are dropped.
    fn event(&mut self, event: RoomEvent) {
        let matters = matches!(
            event,
            RoomEvent::Started | RoomEvent::Ended(_) | RoomEvent::Closed
        );
        if matters || self.events.len() < limits::EVENTS {
            self.events.push_back(event);
        } else {
            self.counters.dropped += 1;
        }
    }
}

/// Most bytes of how a match ended, with which a `welcome` of 64 players still fits a packet.
const ENDED_BYTES: usize = wire_limits::EVENT_BYTES / 2;
