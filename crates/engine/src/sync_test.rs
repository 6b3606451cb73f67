//! Says whether a game is deterministic: the same logs give the same states, in every instance and
//! after every load.
//!
//! What a client predicts and a server confirms agree only if this holds, so it is tested on
//! matches of players who do anything that they may ([`RandomMatch`]). At random moments the state
//! is saved, some ticks are run, the save is loaded and the same ticks are run again: every one has
//! to come to the same bytes. Other instances run beside it that never load, and have to agree at
//! every tick; they may be another build of the same game.
//!
//! A game that fails is described by [`Failure`]: the first tick, and the difference by field.
//!
//! ```
//! # use gs_engine::Simulation;
//! use gs_engine::sync_test::{Settings, SyncTest};
//! # fn example<S: Simulation>(mut main: S, mut peer: S) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings { seed: 1, ticks: 3_600, players: 2, options: "{}".into() };
//! let mut test = SyncTest::new(&mut main, settings)?;
//! test.peer("another instance", &mut peer);
//! let summary = test.run(&mut |_| {})?;
//! assert_eq!(summary.ticks, 3_600);
//! # Ok(())
//! # }
//! ```

mod random_match;

use std::fmt;

pub use random_match::RandomMatch;

use crate::difference::{self, Difference};
use crate::manifest::Manifest;
use crate::schema::{FieldError, ManifestError, Schema};
use crate::simulation::{
    Effects, InputStatus, MatchConfig, NetState, Simulation, SimulationError, Slot, Tick, TickLog,
    Verdict,
};
use random_match::Rng;

/// What is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many ticks in all. A match that ends is followed by another.
    pub ticks: u32,
    /// Players of each match.
    pub players: u8,
    /// The game's own options, a JSON object.
    pub options: String,
}

/// One test of one game.
pub struct SyncTest<'a> {
    main: &'a mut dyn Simulation,
    peers: Vec<Peer<'a>>,
    viewer: Option<&'a mut dyn Simulation>,
    manifest: Manifest,
    schema: Schema,
    settings: Settings,
    rng: Rng,
    summary: Summary,
    seed: u64,
}

struct Peer<'a> {
    name: &'a str,
    simulation: &'a mut dyn Simulation,
}

/// A tick that was run, and agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Ran<'a> {
    /// The seed of its match.
    pub seed: u64,
    /// What the match was started with.
    pub config: &'a MatchConfig,
    /// The log of the tick.
    pub log: &'a TickLog,
    /// The canonical state after it.
    pub state: &'a [u8],
    /// How many ticks were run so far.
    pub ticks: u32,
}

/// What a test that was passed has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many matches.
    pub matches: u32,
    /// How many of them came to an end.
    pub ended: u32,
    /// How many ticks, those that were run again not counted.
    pub ticks: u32,
    /// How many ticks were run again after a load.
    pub rerun_ticks: u32,
    /// How many loads that was.
    pub loads: u32,
    /// How many events the game sent.
    pub events: u64,
    /// How many inputs the game amended.
    pub amended: u32,
    /// How many it refused.
    pub refused: u32,
    /// The largest canonical state, in bytes.
    pub largest_state: usize,
    /// The largest net state of a viewer, in entities.
    pub most_entities: usize,
    /// How many views were loaded; 0 where the game does not load any.
    pub views: u32,
    /// What was lost of a view that was loaded, the first time; not a failure, because a game need
    /// not show all that it knows.
    pub view_lost: Vec<Difference>,
}

impl<'a> SyncTest<'a> {
    /// A test of one game.
    ///
    /// # Errors
    /// [`ManifestError`] where the manifest does not keep its bounds.
    pub fn new(main: &'a mut dyn Simulation, settings: Settings) -> Result<Self, ManifestError> {
        let manifest = main.manifest().clone();
        Ok(Self {
            schema: Schema::new(&manifest)?,
            main,
            peers: Vec::new(),
            viewer: None,
            manifest,
            rng: Rng {
                state: settings.seed,
            },
            seed: settings.seed,
            settings,
            summary: Summary::default(),
        })
    }

    /// Another instance of the game, which has to agree at every tick and never loads.
    pub fn peer(&mut self, name: &'a str, simulation: &'a mut dyn Simulation) {
        self.peers.push(Peer { name, simulation });
    }

    /// An instance that loads what players see, and predicts from there.
    pub fn viewer(&mut self, simulation: &'a mut dyn Simulation) {
        self.viewer = Some(simulation);
    }

    /// Plays. `watch` is told every tick.
    ///
    /// # Errors
    /// [`Failure`], the first.
    pub fn run(mut self, watch: &mut dyn FnMut(Ran<'_>)) -> Result<Summary, Failure> {
        while self.summary.ticks < self.settings.ticks {
            self.seed = self.rng.next();
            self.summary.matches += 1;
            self.run_match(watch)?;
        }
        Ok(self.summary)
    }

    fn run_match(&mut self, watch: &mut dyn FnMut(Ran<'_>)) -> Result<(), Failure> {
        let config = MatchConfig {
            players: self.settings.players,
            teams: self.manifest.teams,
            options: self.settings.options.clone(),
        };
        let seed = self.seed;
        let fail = |error| failure(seed, 0, error);
        self.main.init(seed, &config).map_err(fail)?;
        for peer in &mut self.peers {
            peer.simulation.init(seed, &config).map_err(fail)?;
        }
        if let Some(viewer) = &mut self.viewer {
            viewer.init(seed, &config).map_err(fail)?;
        }
        let mut logs = RandomMatch::new(&self.manifest, self.settings.players, seed);
        let (mut effects, mut state) = (Effects::default(), Vec::new());
        self.main.save(&mut state).map_err(fail)?;
        // The state at the last load point, and what was run since.
        let mut window: Option<Window> = None;
        loop {
            let mut log = logs.next_log();
            let tick = log.tick;
            self.judge(&mut log, &state)?;
            let fail = |error| failure(seed, tick, error);
            self.main.step(&log, &mut effects).map_err(fail)?;
            self.main.save(&mut state).map_err(fail)?;
            self.check_effects(tick, &effects)?;
            self.check_peers(&log, &effects, &state)?;
            self.summary.ticks += 1;
            self.summary.events += effects.events.len() as u64;
            self.summary.largest_state = self.summary.largest_state.max(state.len());
            watch(Ran {
                seed,
                config: &config,
                log: &log,
                state: &state,
                ticks: self.summary.ticks,
            });
            let ended = effects.result.is_some();
            let over = ended || self.summary.ticks >= self.settings.ticks;
            if let Some(open) = &mut window {
                let view = self.view(None, tick)?;
                open.ran.push((log, effects.clone(), state.clone(), view));
                if over || open.ran.len() >= open.ticks {
                    let closed = window.take().expect("it is open");
                    self.run_again(&closed)?;
                }
            } else if self.rng.chance(1, LOAD_ONCE_IN) {
                window = Some(Window {
                    state: state.clone(),
                    ticks: 1 + self.rng.below(LONGEST_RERUN) as usize,
                    ran: Vec::new(),
                });
                self.look_at_everything(tick, &state)?;
                self.load_views(tick)?;
            }
            if over {
                self.summary.ended += u32::from(ended);
                return Ok(());
            }
        }
    }

    /// Lets the game judge the inputs, as a host does before they count.
    /// Judging may change nothing.
    fn judge(&mut self, log: &mut TickLog, before: &[u8]) -> Result<(), Failure> {
        for (slot, input) in log.inputs.iter_mut().enumerate() {
            if input.status != InputStatus::Fresh {
                continue;
            }
            let verdict = self.main.check(slot as Slot, &input.data);
            match verdict.map_err(|error| failure(self.seed, log.tick, error))? {
                Verdict::Accept => {}
                Verdict::Amend(data) => {
                    self.summary.amended += 1;
                    let fault = |error| Fault::Amended { error };
                    self.schema
                        .validate_input(&data)
                        .map_err(|error| self.fault(log.tick, fault(error)))?;
                    input.data = data;
                }
                Verdict::Refuse(_) => {
                    self.summary.refused += 1;
                    *input = Default::default();
                }
            }
        }
        self.check_unchanged(log.tick, "gs_check", before)
    }

    fn check_unchanged(
        &mut self,
        tick: Tick,
        call: &'static str,
        before: &[u8],
    ) -> Result<(), Failure> {
        let mut after = Vec::new();
        let saved = self.main.save(&mut after);
        saved.map_err(|error| failure(self.seed, tick, error))?;
        if after == before {
            Ok(())
        } else {
            Err(self.fault(tick, Fault::Changed { call }))
        }
    }

    fn check_effects(&self, tick: Tick, effects: &Effects) -> Result<(), Failure> {
        for event in &effects.events {
            if let Err(error) = self.schema.validate_event(&event.data) {
                return Err(self.fault(tick, Fault::Event { error }));
            }
        }
        Ok(())
    }

    fn check_peers(
        &mut self,
        log: &TickLog,
        effects: &Effects,
        state: &[u8],
    ) -> Result<(), Failure> {
        let (mut other_effects, mut other_state) = (Effects::default(), Vec::new());
        for index in 0..self.peers.len() {
            let (seed, tick) = (self.seed, log.tick);
            let fail = |error| failure(seed, tick, error);
            let peer = &mut self.peers[index];
            peer.simulation
                .step(log, &mut other_effects)
                .map_err(fail)?;
            peer.simulation.save(&mut other_state).map_err(fail)?;
            let between = Between::Peer(peer.name.to_owned());
            if other_state != state {
                let own = self.view(None, tick)?;
                let mut other = NetState::default();
                let peer = &mut self.peers[index];
                peer.simulation.net_state(None, &mut other).map_err(fail)?;
                return Err(self.differs(tick, between, (state, &own), (&other_state, &other)));
            }
            if other_effects != *effects {
                let what = effects_difference(effects, &other_effects);
                return Err(self.fault(tick, Fault::Effects { between, what }));
            }
        }
        Ok(())
    }

    /// Loads where the window began, and runs it again.
    fn run_again(&mut self, window: &Window) -> Result<(), Failure> {
        self.summary.loads += 1;
        let Some((first, ..)) = window.ran.first() else {
            return Ok(());
        };
        let seed = self.seed;
        let begun = first.tick - 1;
        let fail = |error| failure(seed, begun, error);
        self.main.load(&window.state).map_err(fail)?;
        let mut state = Vec::new();
        self.main.save(&mut state).map_err(fail)?;
        if state != window.state {
            let found = self.view(None, begun)?;
            let (expected, found) = ((&window.state[..], &found), (&state[..], &found));
            return Err(self.differs(begun, Between::SavedAgain, expected, found));
        }
        let mut effects = Effects::default();
        for (log, first_effects, first_state, first_view) in &window.ran {
            self.summary.rerun_ticks += 1;
            let fail = |error| failure(seed, log.tick, error);
            self.main.step(log, &mut effects).map_err(fail)?;
            self.main.save(&mut state).map_err(fail)?;
            let between = Between::RunAgain { from: begun };
            if state != *first_state {
                let view = self.view(None, log.tick)?;
                let expected = (&first_state[..], first_view);
                return Err(self.differs(log.tick, between, expected, (&state, &view)));
            }
            if effects != *first_effects {
                let what = effects_difference(first_effects, &effects);
                return Err(self.fault(log.tick, Fault::Effects { between, what }));
            }
        }
        Ok(())
    }

    /// Asks for what everyone sees, which may change nothing.
    fn look_at_everything(&mut self, tick: Tick, before: &[u8]) -> Result<(), Failure> {
        for viewer in std::iter::once(None).chain((0..self.settings.players).map(Some)) {
            let view = self.view(viewer, tick)?;
            self.summary.most_entities = self.summary.most_entities.max(view.entities.len());
        }
        self.check_unchanged(tick, "gs_net_state", before)
    }

    /// Loads what one player sees into an instance of its own, and predicts a few ticks.
    fn load_views(&mut self, tick: Tick) -> Result<(), Failure> {
        let slot = self.rng.below(u32::from(self.settings.players)) as Slot;
        let seen = self.view(Some(slot), tick)?;
        let seed = self.seed;
        let fail = |error| failure(seed, tick, error);
        let Some(viewer) = &mut self.viewer else {
            return Ok(());
        };
        match viewer.load_view(Some(slot), &seen) {
            Ok(()) => {}
            Err(SimulationError::Refused { code: -3, .. }) => return Ok(()),
            Err(error) => return Err(fail(error)),
        }
        self.summary.views += 1;
        let mut shown = NetState::default();
        viewer.net_state(Some(slot), &mut shown).map_err(fail)?;
        let lost = difference::between(&self.manifest, &seen, &shown, MAX_DIFFERENCES);
        if self.summary.view_lost.is_empty() {
            self.summary.view_lost = lost;
        }
        // Two predictions from one view have to agree too.
        let mut logs = RandomMatch::new(&self.manifest, self.settings.players, self.rng.next());
        let (mut effects, mut states) = (Effects::default(), [Vec::new(), Vec::new()]);
        let mut predicted: Vec<TickLog> = (0..PREDICTED).map(|_| logs.next_log()).collect();
        for (log, ahead) in predicted.iter_mut().zip(1..) {
            log.tick = tick + ahead;
            log.happenings.clear();
            for input in &mut log.inputs {
                input.view_tick = log.tick * 256;
            }
        }
        for state in &mut states {
            viewer.load_view(Some(slot), &seen).map_err(fail)?;
            for log in &predicted {
                viewer.step(log, &mut effects).map_err(fail)?;
            }
            viewer.save(state).map_err(fail)?;
        }
        let [expected, found] = states;
        if expected != found {
            let mut view = NetState::default();
            viewer.net_state(None, &mut view).map_err(fail)?;
            let at = tick + PREDICTED;
            let (a, b) = ((&expected[..], &view), (&found[..], &view));
            return Err(self.differs(at, Between::Predicted { slot }, a, b));
        }
        Ok(())
    }

    fn view(&mut self, viewer: Option<Slot>, tick: Tick) -> Result<NetState, Failure> {
        let mut view = NetState::default();
        let answer = self.main.net_state(viewer, &mut view);
        answer.map_err(|error| failure(self.seed, tick, error))?;
        Ok(view)
    }

    fn differs(
        &self,
        tick: Tick,
        between: Between,
        (expected, expected_view): (&[u8], &NetState),
        (found, found_view): (&[u8], &NetState),
    ) -> Failure {
        let fields =
            difference::between(&self.manifest, expected_view, found_view, MAX_DIFFERENCES);
        let at = expected.iter().zip(found).position(|(a, b)| a != b);
        let offset = at.unwrap_or(expected.len().min(found.len()));
        let around = |bytes: &[u8]| {
            let end = bytes.len().min(offset + 8);
            bytes[offset.min(end)..end].to_vec()
        };
        let fault = Fault::State {
            between,
            fields,
            offset,
            lengths: (expected.len(), found.len()),
            bytes: (around(expected), around(found)),
        };
        self.fault(tick, fault)
    }

    fn fault(&self, tick: Tick, fault: Fault) -> Failure {
        Failure {
            seed: self.seed,
            tick,
            fault: Box::new(fault),
        }
    }
}

/// What is run a second time.
struct Window {
    state: Vec<u8>,
    ticks: usize,
    ran: Vec<(TickLog, Effects, Vec<u8>, NetState)>,
}

/// Why a game is not what a host relies on.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The seed of the match.
    pub seed: u64,
    /// The tick, 0 before the first.
    pub tick: Tick,
    /// What is wrong.
    pub fault: Box<Fault>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The game trapped, overran, or broke the ABI or its own limits.
    Simulation(SimulationError),
    /// Two states of one tick are not the same.
    State {
        /// Whose.
        between: Between,
        /// The differences that can be seen, at most 16, expected first; empty where what differs
        /// is not shown.
        fields: Vec<Difference>,
        /// Offset of the first byte of the canonical state that differs.
        offset: usize,
        /// Bytes of both states.
        lengths: (usize, usize),
        /// Up to 8 bytes of both from there.
        bytes: (Vec<u8>, Vec<u8>),
    },
    /// The states agree, but not what players were told, the log or the result.
    Effects {
        /// Whose.
        between: Between,
        /// The first difference.
        what: String,
    },
    /// An event does not follow the game's own schema.
    Event {
        /// What is wrong with it.
        error: FieldError,
    },
    /// `gs_check` amended an input to one that is not allowed.
    Amended {
        /// What is wrong with it.
        error: FieldError,
    },
    /// A call changed the state that must not.
    Changed {
        /// The exported function.
        call: &'static str,
    },
}

/// The two that should be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Between {
    /// The instance, and another of this name that ran the same.
    Peer(String),
    /// The first time, and after a load of the state of tick `from`.
    RunAgain {
        /// The tick whose state was loaded.
        from: Tick,
    },
    /// A state, and what is saved right after it was loaded.
    SavedAgain,
    /// Two predictions from one view.
    Predicted {
        /// The viewer.
        slot: Slot,
    },
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(name) => write!(f, "the instance and {name}"),
            Self::RunAgain { from } => write!(
                f,
                "the first run and the one after the state of tick {from} was loaded"
            ),
            Self::SavedAgain => f.write_str("a state and what is saved once it is loaded"),
            Self::Predicted { slot } => {
                write!(f, "two predictions from what slot {slot} sees")
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tick {} of the match with seed {}: ",
            self.tick, self.seed
        )?;
        match &*self.fault {
            Fault::Simulation(error) => write!(f, "{error}"),
            Fault::State {
                between,
                fields,
                offset,
                lengths: (a, b),
                bytes,
            } => {
                write!(f, "{between} differ")?;
                for field in fields {
                    write!(f, "\n  {field}")?;
                }
                if fields.is_empty() {
                    let (first, second) = bytes;
                    write!(
                        f,
                        " in nothing that is seen, but at offset {offset} of the saved state \
                         ({a} and {b} bytes): {first:02x?} and {second:02x?}"
                    )?;
                }
                Ok(())
            }
            Fault::Effects { between, what } => {
                write!(f, "{between} agree in their state, but not in {what}")
            }
            Fault::Event { error } => {
                write!(f, "an event does not follow the game's own schema: {error}")
            }
            Fault::Amended { error } => {
                write!(
                    f,
                    "`gs_check` amended an input to one that is not allowed: {error}"
                )
            }
            Fault::Changed { call } => write!(f, "`{call}` changed the state"),
        }
    }
}

impl std::error::Error for Failure {}

fn failure(seed: u64, tick: Tick, error: SimulationError) -> Failure {
    Failure {
        seed,
        tick,
        fault: Box::new(Fault::Simulation(error)),
    }
}

fn effects_difference(expected: &Effects, found: &Effects) -> String {
    let (a, b) = (expected, found);
    if a.events != b.events {
        let at = a.events.iter().zip(&b.events).position(|(a, b)| a != b);
        let at = at.unwrap_or(a.events.len().min(b.events.len()));
        let (a, b) = (a.events.get(at), b.events.get(at));
        return format!("their events, of which number {at} is {a:?} and {b:?}");
    }
    if a.result != b.result {
        return format!("the result, {:?} and {:?}", a.result, b.result);
    }
    format!("the log, {:?} and {:?}", a.log, b.log)
}

/// A tick is a load point once in so many, on average.
const LOAD_ONCE_IN: u32 = 20;
/// Most ticks that are run again: what a client on a bad line predicts.
const LONGEST_RERUN: u32 = 24;
/// Ticks that a view is predicted by.
const PREDICTED: u32 = 8;
/// Most differences that are named: the first few say where to look.
const MAX_DIFFERENCES: usize = 16;
