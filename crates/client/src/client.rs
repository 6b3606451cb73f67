//! The client: what comes in, what goes out, and the state between.

mod drive;
mod full;
mod incoming;
mod inputs;
mod outgoing;
mod session;
mod validated;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use gs_engine::schema::{FieldError, Schema};
use gs_engine::simulation::{MatchResult, SimulationError};
use gs_engine::{AuthorityMode, Manifest, Simulation, Slot, Tick};
use gs_protocol::{ClientEvent, WireError, limits, topic};

use crate::clock::{InputClock, MAX_FRAMES_AT_ONCE, PlaybackClock};
use crate::config::{ClientConfig, MAX_INPUT_DELAY, ModuleId};
use crate::event::{Destination, Event, MatchEnd, Phase, Player, Transmit};
use crate::manifest_json;
use crate::stats::Stats;
use crate::view::{Layout, View};
use full::Full;
use inputs::OwnInputs;
use outgoing::Outbox;
use session::Session;
use validated::{Goal, Validated};

/// A player's end of a match as a state machine without IO. `S` is the game's module.
///
/// Every method that takes `now` wants the time since any start that the caller likes, the same
/// for all calls, never going back.
#[derive(Debug)]
pub struct Client<S> {
    config: ClientConfig,
    session: Session,
    game: Option<Game>,
    simulation: Option<S>,
    module_requests: u32,
    /// Nothing that is asked for the module has one that runs.
    module_unavailable: bool,
    module_failure: Option<SimulationError>,
    follow: Follow,
    line: Line,
    own: OwnInputs,
    due: Range<Tick>,
    outbox: Outbox,
    /// How the match ended, as it was told last.
    report: Option<ClientEvent>,
    events: VecDeque<Event>,
    view: View,
    shown: Shown,
    stats: Stats,
    now: Duration,
}

/// What the manifest comes to.
#[derive(Debug)]
struct Game {
    manifest: Manifest,
    schema: Schema,
    layout: Layout,
}

/// What follows the server, by mode.
#[derive(Debug)]
enum Follow {
    /// The match is not known yet, or in `observer`, where players follow each other.
    Nothing,
    Full(Box<Full>),
    Validated(Box<Validated>),
}

/// The line and the clocks that go by it.
#[derive(Debug)]
struct Line {
    connected: bool,
    connected_at: Duration,
    /// Where the server's clock stands, as far as it arrives here.
    server: PlaybackClock,
    server_tick: Tick,
    /// The picture's.
    playback: PlaybackClock,
    input: InputClock,
    round_trip: Option<Duration>,
    /// Until it is measured.
    first_round_trip: Duration,
    echo: u32,
    state_at: Option<Duration>,
    heard_at: Option<Duration>,
    answered_at: Option<Duration>,
    resync_at: Option<Duration>,
    resync_pause: Duration,
}

/// Inputs whose effect has not been drawn yet, for the statistics.
#[derive(Debug, Default)]
struct Shown {
    waiting: VecDeque<(Tick, u64)>,
}

impl<S: Simulation> Client<S> {
    /// A client that has yet to join.
    pub fn new(config: ClientConfig) -> Self {
        let input_delay = config.input_delay.min(MAX_INPUT_DELAY);
        Self {
            config: ClientConfig {
                input_delay,
                ..config
            },
            session: Session::default(),
            game: None,
            simulation: None,
            module_requests: 0,
            module_unavailable: false,
            module_failure: None,
            follow: Follow::Nothing,
            line: Line::new(DEFAULT_TICK_RATE),
            own: OwnInputs::default(),
            due: 1..1,
            outbox: Outbox::default(),
            report: None,
            events: VecDeque::new(),
            view: View::default(),
            shown: Shown::default(),
            stats: Stats::default(),
            now: Duration::ZERO,
        }
    }

    /// The transport is up, for the first time or again. Packets may have been lost on the way, so
    /// it says hello.
    pub fn handle_connected(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.line.handle_connected(now);
        self.session.ask_for_welcome();
        // A match stands still while its authority is cut off as well: what was made meanwhile is
        // for ticks that come much later, and would hold up what is made now.
        self.forget_inputs();
        match &mut self.follow {
            Follow::Nothing => {}
            Follow::Full(full) => full.handle_connected(),
            Follow::Validated(validated) => validated.handle_connected(),
        }
    }

    /// The transport is down: nothing is made or sent until it is up again.
    pub fn handle_disconnected(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.line.connected = false;
        self.outbox.clear();
        self.forget_inputs();
    }

    /// A packet arrived. `from` is the sender's identity as LiveKit vouches for it; whatever the
    /// packet says of its sender counts for nothing.
    pub fn handle_packet(&mut self, from: &str, topic: &str, payload: &[u8], now: Duration) {
        self.now = self.now.max(now);
        let now = self.now;
        self.stats.bytes_down += payload.len() as u64;
        self.stats.packets_down += 1;
        let authority = from == gs_protocol::AUTHORITY_IDENTITY;
        match topic {
            topic::STATE if authority => self.handle_state(payload, now),
            topic::STATE if self.mode() == Some(AuthorityMode::Observer) => {
                self.handle_peer(from, payload);
            }
            topic::EVENTS if authority => self.handle_event(payload, now),
            topic::CHAT if authority => self.handle_chat(payload),
            // Any participant can publish on any topic to anyone: only the authority speaks for
            // the match.
            topic::STATE | topic::EVENTS | topic::CHAT => self.stats.counters.foreign += 1,
            _ => {}
        }
    }

    /// Takes an instance of the match's module, the answer to [`Event::NeedModule`]. It is started
    /// here. Handed in unasked, it takes the place of the one before.
    ///
    /// # Errors
    /// [`ModuleError`] before the welcome, and for a module that does not start or is of another
    /// game. The client then goes on without, as after
    /// [`handle_module_unavailable`](Self::handle_module_unavailable).
    pub fn handle_module(&mut self, simulation: S, now: Duration) -> Result<(), ModuleError> {
        self.now = self.now.max(now);
        if !self.session.welcomed {
            return Err(ModuleError::NotJoined);
        }
        let taken = self.take_module(simulation);
        self.module_unavailable = taken.is_err();
        taken
    }

    /// There is no module to answer [`Event::NeedModule`] with: it cannot be fetched, or not be run
    /// here. In `validated` the client then asks the server for views, which it follows as in
    /// `full`, without prediction. A module that is handed in later is taken.
    ///
    /// Where the welcome had no room for the manifest, there is nothing to be seen without a module.
    pub fn handle_module_unavailable(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.module_unavailable = true;
    }

    fn take_module(&mut self, mut simulation: S) -> Result<(), ModuleError> {
        let mut manifest = simulation.manifest().clone();
        let had_game = self.game.is_some();
        match &self.game {
            Some(game) => {
                manifest.tick_rate = game.manifest.tick_rate;
                if manifest != game.manifest {
                    return Err(ModuleError::OtherGame {
                        found: format!("{} {}", manifest.name, manifest.version),
                        expected: format!("{} {}", game.manifest.name, game.manifest.version),
                    });
                }
            }
            None => {
                manifest.tick_rate = self.session.tick_rate.max(1);
                self.set_game(manifest)?;
            }
        }
        simulation.init(0, &self.session.match_config())?;
        let before = self.simulation.replace(simulation);
        if !had_game {
            self.follow_anew();
        } else if before.is_some() {
            self.module_changed();
        }
        // Else what was received before there was a module has waited for it.
        Ok(())
    }

    /// The next tick that needs an input, each once, ascending. Answer it with
    /// [`handle_input`](Self::handle_input); one that is left out counts as the last one again.
    /// `None`: nothing is due, or this client has no inputs to give now.
    pub fn poll_input(&mut self, now: Duration) -> Option<Tick> {
        self.now = self.now.max(now);
        self.make_due();
        let tick = self.due.next()?;
        self.stats.input_tick = tick;
        Some(tick)
    }

    /// Gives the input for a tick that [`poll_input`](Self::poll_input) named, packed by the
    /// manifest's input schema. A tick that was given already, or that is older than one that was,
    /// changes nothing.
    ///
    /// # Errors
    /// [`FieldError`] for bytes against the schema.
    pub fn handle_input(&mut self, tick: Tick, packed: &[u8]) -> Result<(), FieldError> {
        let Some(game) = &self.game else {
            return Ok(());
        };
        game.schema.validate_input(packed)?;
        if tick > self.stats.input_tick {
            return Ok(());
        }
        let view_tick = self.view_fraction();
        if self.own.insert(tick, packed, view_tick) {
            if let Follow::Validated(validated) = &mut self.follow {
                validated.handle_input(tick, packed);
            }
            self.shown.handle_input(tick, self.stats.frames);
        }
        Ok(())
    }

    /// Time has passed: says what is due, and simulates what can be. Call it each half tick, or
    /// when [`poll_timeout`](Self::poll_timeout) says.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if !self.line.connected {
            return;
        }
        self.say_hello();
        self.make_due();
        self.simulate();
        self.ask_for_state();
        self.outbox.heartbeat(
            self.now,
            self.game.is_some() && self.session.phase != Phase::Ended,
        );
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted next; `None` while the transport is
    /// down.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.line.connected {
            return None;
        }
        let rate = match &self.game {
            Some(game) if self.session.phase == Phase::Running => game.manifest.tick_rate,
            _ => IDLE_RATE,
        };
        Some(self.now + Duration::from_secs(1) / (2 * rate.max(1)))
    }

    /// The next packet to publish. Inputs that were given since the last packet leave with this
    /// call, together in one.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if !self.line.connected {
            return None;
        }
        if !self.outbox.has_next() && (self.own.unsent() || self.outbox.heartbeat_due()) {
            self.send_inputs();
        }
        let transmit = self.outbox.pop()?;
        self.stats.bytes_up += transmit.payload.len() as u64;
        self.stats.packets_up += 1;
        Some(transmit)
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sends a command of the game: its index and fields, packed by the manifest's schema.
    ///
    /// # Errors
    /// [`SendError`] before the welcome, and for a command against its schema.
    pub fn command(&mut self, packed: &[u8]) -> Result<(), SendError> {
        let game = self.game.as_ref().ok_or(SendError::NotJoined)?;
        game.schema.validate_command(packed)?;
        self.send_event(&ClientEvent::Command(packed.to_vec()))
    }

    /// Gives the match up: the slot is freed at once.
    pub fn leave(&mut self) {
        // Nothing in it can be too large, and where the transport is down nobody is there to hear.
        let _ = self.send_event(&ClientEvent::Leave);
    }

    /// Says something to everyone; cut at 500 bytes.
    pub fn chat(&mut self, text: &str) {
        let mut end = text.len().min(limits::CHAT_TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.outbox.chat(&text[..end], &mut self.stats.counters);
    }

    /// `observer`: tells the server how the match ended, as this player saw it. It is told again
    /// with each welcome while the match runs, since a connection that ends may take it along; the
    /// first word that arrives counts.
    ///
    /// # Errors
    /// [`SendError`] in another mode, and for a result that is too large.
    pub fn report(&mut self, result: &MatchResult) -> Result<(), SendError> {
        self.needs_observer()?;
        let report = ClientEvent::Report(result.clone());
        self.send_event(&report)?;
        self.report = Some(report);
        Ok(())
    }

    /// `observer`: sends the others this player's state, bytes of the game's own. Lossy; an older
    /// one never covers a newer one.
    ///
    /// # Errors
    /// [`SendError`] in another mode, and for more than
    /// [`PLAYER_STATE_BYTES`](limits::PLAYER_STATE_BYTES).
    pub fn share(&mut self, data: &[u8], now: Duration) -> Result<(), SendError> {
        self.now = self.now.max(now);
        self.needs_observer()?;
        if data.len() > limits::PLAYER_STATE_BYTES {
            return Err(SendError::TooLarge {
                bytes: data.len(),
                limit: limits::PLAYER_STATE_BYTES,
            });
        }
        let tick = self.line.server.estimate(self.now) as Tick;
        self.outbox.share(tick, data, &mut self.stats.counters);
        Ok(())
    }

    /// Runs ahead of the server, or not, from now on.
    pub fn set_prediction(&mut self, prediction: bool) {
        self.config.prediction = prediction;
        self.need_module();
    }

    /// The line and the guesses, in figures.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.round_trip = self.line.round_trip;
        stats.jitter = self.line.server.jitter();
        stats.margin = self.line.input.margin();
        stats.target_margin = self.line.input.target();
        stats.server_tick = self.line.server_tick;
        stats.state_tick = self.state_tick();
        stats
    }

    /// What the client was started with, and the prediction as it was set.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The game's manifest, with the tick rate of this match; from the first welcome on, or where
    /// the welcome had no room for it, from the module on.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.game.as_ref().map(|game| &game.manifest)
    }

    /// The manifest's schemas.
    pub fn schema(&self) -> Option<&Schema> {
        self.game.as_ref().map(|game| &game.schema)
    }

    /// The mode in which this client follows the match.
    pub fn mode(&self) -> Option<AuthorityMode> {
        self.session.mode
    }

    /// Where the match stands.
    pub fn phase(&self) -> Phase {
        self.session.phase
    }

    /// This player's slot; `None` before the welcome, and for a spectator.
    pub fn slot(&self) -> Option<Slot> {
        self.session.slot
    }

    /// The match's id; empty before the welcome.
    pub fn match_id(&self) -> &str {
        &self.session.match_id
    }

    /// The game's name in the server's configuration; empty before the welcome.
    pub fn game(&self) -> &str {
        &self.session.game
    }

    /// The module that the server runs; empty before the welcome.
    pub fn module(&self) -> &ModuleId {
        &self.session.module
    }

    /// The lease's epoch; 0 before the first packet.
    pub fn epoch(&self) -> u64 {
        self.session.epoch
    }

    /// The players, ascending by slot.
    pub fn players(&self) -> &[Player] {
        &self.session.players
    }

    /// How the match ended, once it has.
    pub fn result(&self) -> Option<&MatchEnd> {
        self.session.result.as_ref()
    }

    /// The simulation, for tests that compare states.
    pub fn simulation(&mut self) -> Option<&mut S> {
        self.simulation.as_mut()
    }

    /// How the module failed last, if it did: it was dropped, and another instance asked for.
    pub fn module_failure(&self) -> Option<&SimulationError> {
        self.module_failure.as_ref()
    }

    /// When the authority was last heard.
    pub fn heard_at(&self) -> Option<Duration> {
        self.line.heard_at
    }

    /// When the last state arrived.
    pub fn state_at(&self) -> Option<Duration> {
        self.line.state_at
    }

    /// When the authority last showed that it hears this player; counts from the first state after
    /// a silence.
    pub fn answered_at(&self) -> Option<Duration> {
        self.line.answered_at
    }

    fn needs_observer(&self) -> Result<(), SendError> {
        match self.mode() {
            None => Err(SendError::NotJoined),
            Some(AuthorityMode::Observer) => Ok(()),
            Some(mode) => Err(SendError::Mode { mode }),
        }
    }

    fn push(&mut self, event: Event) {
        if self.events.len() < MAX_QUEUE {
            self.events.push_back(event);
        } else {
            self.stats.counters.dropped += 1;
        }
    }
}

impl Line {
    fn new(rate: u32) -> Self {
        Self {
            connected: false,
            connected_at: Duration::ZERO,
            server: PlaybackClock::new(rate),
            server_tick: 0,
            playback: PlaybackClock::new(rate),
            input: InputClock::new(rate),
            round_trip: None,
            first_round_trip: FIRST_ROUND_TRIP,
            echo: 0,
            state_at: None,
            heard_at: None,
            answered_at: None,
            resync_at: None,
            resync_pause: RESYNC_EVERY,
        }
    }

    fn handle_connected(&mut self, now: Duration) {
        self.connected = true;
        self.connected_at = now;
        self.server_tick = 0;
        self.server.handle_connected();
        self.playback.handle_connected();
        self.input.handle_connected();
    }
}

/// Why a module was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModuleError {
    /// There is no welcome yet that says what the match is.
    #[error("a module can be taken once the match has been joined; wait for the welcome")]
    NotJoined,
    /// It is another game's, or another version's.
    #[error("the module is {found}, but the match runs {expected}; load the match's module")]
    OtherGame {
        /// Name and version of the module.
        found: String,
        /// Name and version of the match's.
        expected: String,
    },
    /// Its manifest breaks a bound.
    #[error(transparent)]
    Manifest(#[from] gs_engine::schema::ManifestError),
    /// It did not start.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// Why something cannot be sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SendError {
    /// There is no welcome yet.
    #[error("the match has not been joined yet; wait for the welcome")]
    NotJoined,
    /// A command against its schema.
    #[error("command: {0}")]
    Command(#[from] FieldError),
    /// The match is of a mode in which nobody takes it.
    #[error("the match is played in `{mode}`; this is for `observer`")]
    Mode {
        /// The match's mode.
        mode: AuthorityMode,
    },
    /// More bytes than others may be sent.
    #[error("a state of {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// How many may be.
        limit: usize,
    },
    /// It does not fit its packet.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// How far to run ahead of what the server said: 200 ms of round trip with jitter takes some 18
/// ticks at 60 Hz.
const MAX_PREDICTION: u32 = 24;
/// Until the welcome says another.
const DEFAULT_TICK_RATE: u32 = 60;
/// While nothing runs: often enough to repeat a hello or a heartbeat in time.
const IDLE_RATE: u32 = 10;
/// What is not fetched within this many is lost: the caller drains after every call.
const MAX_QUEUE: usize = 1024;
/// A server that says nothing for so long has not moved on, as far as one can tell.
const SILENCE: Duration = Duration::from_secs(1);
/// Before anything was measured.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(80);
/// The answer to a hello may wait for the room to be started; no line that can be played on is
/// slower than this.
const MAX_FIRST_ROUND_TRIP: Duration = Duration::from_millis(400);
/// How often a state to start from may be asked for: a storm of keyframes helps nobody.
const RESYNC_EVERY: Duration = Duration::from_secs(1);
/// It doubles while asking does not help.
const LONGEST_RESYNC_PAUSE: Duration = Duration::from_secs(8);
/// How often a module that failed is asked for afresh.
const MAX_MODULE_REQUESTS: u32 = 4;
