//! Plays matches in tests.

use gs_engine::Simulation;
use gs_engine::simulation::{
    Effects, EventAudience, Happening, HappeningKind, InputStatus, LogLine, MatchConfig,
    MatchResult, NetState, Slot, SlotInput, Tick, TickFraction, TickLog,
};

use crate::native::{Native, native, read_entity};
use crate::{Entities, Game, Input, Message, Placed, Reader, View};

/// A match that a test plays.
///
/// Every tick passes through the bytes that the ABI carries, and is held against what a host
/// relies on; a breach panics with what is wrong:
/// - a second instance, restored from a save twice a second, comes to the same saved bytes;
/// - every field of every entity and event is within its range;
/// - where the game says that it hides nothing, every viewer sees the same;
/// - a tick's effects and the net state keep the bounds of the ABI.
pub struct Match<G: Game> {
    main: Native<G>,
    shadow: Native<G>,
    config: MatchConfig,
    players: u8,
    held: Vec<Option<G::Input>>,
    pressed: Vec<Option<G::Input>>,
    /// How old the picture is that each player looks at.
    lags: Vec<TickFraction>,
    happenings: Vec<Happening>,
    tick: Tick,
    events: Vec<(Tick, EventAudience, Vec<u8>)>,
    log: Vec<LogLine>,
    result: Option<MatchResult>,
}

impl<G: Game> Match<G> {
    /// A match whose players, slots 0 to `players - 1`, join at the first tick, team by team in
    /// turn where there are teams.
    pub fn new(players: u8) -> Self {
        Self::with_options(players, 1, "{}")
    }

    /// As [`new`](Self::new), with a seed and the game's options as JSON.
    ///
    /// # Panics
    /// Where the game refuses the options.
    pub fn with_options(players: u8, seed: u64, options: &str) -> Self {
        let mut this = Self::empty(players, seed, options);
        for slot in 0..players {
            this.join(slot);
        }
        this
    }

    /// A match for `players` that nobody has joined yet.
    ///
    /// # Panics
    /// Where the game refuses the options.
    pub fn empty(players: u8, seed: u64, options: &str) -> Self {
        let config = MatchConfig {
            players,
            teams: G::TEAMS,
            options: options.to_owned(),
        };
        let (mut main, mut shadow) = (native::<G>(), native::<G>());
        for simulation in [&mut main, &mut shadow] {
            if let Err(error) = simulation.init(seed, &config) {
                panic!("{error}: {}", simulation.fault());
            }
        }
        Self {
            main,
            shadow,
            config,
            players,
            held: Vec::new(),
            pressed: Vec::new(),
            lags: Vec::new(),
            happenings: Vec::new(),
            tick: 0,
            events: Vec::new(),
            log: Vec::new(),
            result: None,
        }
    }

    /// A player joins at the next tick.
    pub fn join(&mut self, slot: Slot) {
        let team = slot.checked_rem(G::TEAMS).unwrap_or(0);
        self.happenings.push(Happening {
            slot,
            kind: HappeningKind::Join { team },
        });
        self.players = self.players.max(slot + 1);
    }

    /// A player leaves at the next tick.
    pub fn leave(&mut self, slot: Slot) {
        self.happenings.push(Happening {
            slot,
            kind: HappeningKind::Leave,
        });
        self.set(slot, None, None);
    }

    /// A player sends a command, which the next tick sees.
    pub fn command(&mut self, slot: Slot, command: G::Command) {
        if let Err(fault) = command.check_ranges() {
            panic!("the host would refuse this command: {fault}");
        }
        let mut data = Vec::new();
        command.encode(&mut data);
        self.happenings.push(Happening {
            slot,
            kind: HappeningKind::Command(data),
        });
    }

    /// A player's input for the next tick only; then what is held counts again.
    pub fn press(&mut self, slot: Slot, input: G::Input) {
        let held = self.held.get(usize::from(slot)).cloned().flatten();
        self.set(slot, held, Some(input));
    }

    /// A player's input from the next tick on.
    pub fn hold(&mut self, slot: Slot, input: G::Input) {
        self.set(slot, Some(input), None);
    }

    /// From the next tick on a player sees what was `milliseconds` ago, as on a slow line in
    /// `full`. The host, and so this, lets nobody see what is older than 250 ms.
    pub fn look_back(&mut self, slot: Slot, milliseconds: u32) {
        let index = usize::from(slot);
        if self.lags.len() <= index {
            self.lags.resize(index + 1, 0);
        }
        let milliseconds = milliseconds.min(MAX_LOOK_BACK_MS);
        self.lags[index] = milliseconds * G::TICK_RATE * 256 / 1000;
    }

    /// Runs some ticks, fewer where the match ends.
    ///
    /// # Panics
    /// Where the game panics, or breaks what a host relies on.
    pub fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            if self.result.is_some() {
                return;
            }
            self.step();
        }
    }

    /// Runs until the condition holds.
    ///
    /// # Panics
    /// As [`run`](Self::run), and where the match ends or `ticks` pass before the condition holds.
    pub fn run_until(&mut self, ticks: u32, mut condition: impl FnMut(&G) -> bool) {
        for _ in 0..ticks {
            self.run(1);
            if condition(self.game()) {
                return;
            }
        }
        panic!("the condition did not hold within {ticks} ticks");
    }

    /// A match that goes on from what a viewer sees now, as a client predicts it: with the last
    /// tick and what everyone holds, and nothing else of this one.
    ///
    /// # Panics
    /// Where the game does not load the view.
    pub fn predicted_by(&mut self, viewer: Slot) -> Self {
        let view = self.net_state(Some(viewer));
        // Chance is not seen, so a client's seed is another.
        let mut predicted = Self::empty(self.config.players, u64::MAX, &self.config.options);
        if let Err(error) = predicted.main.load_view(Some(viewer), &view) {
            panic!("{error}");
        }
        predicted.shadow = native::<G>();
        predicted.tick = self.tick;
        predicted.held = self.held.clone();
        predicted
    }

    /// The state of the match.
    pub fn game(&self) -> &G {
        self.main
            .game()
            .expect("the match was initialised and no step has failed")
    }

    /// The state of the match, to arrange a scene.
    pub fn game_mut(&mut self) -> &mut G {
        // The second instance did not see the change: it restarts from the next save.
        self.shadow = native::<G>();
        self.main
            .game_mut()
            .expect("the match was initialised and no step has failed")
    }

    /// The last tick that was run; 0 before the first.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// All events so far that a slot was told, by tick.
    pub fn events_for(&self, slot: Slot) -> Vec<(Tick, G::Event)> {
        let game = self.game();
        let told = |to: EventAudience| match to {
            EventAudience::All => true,
            EventAudience::Slot(only) => only == slot,
            EventAudience::Team(team) => game.team(slot) == Some(team),
        };
        let events = self.events.iter().filter(|(_, to, _)| told(*to));
        events
            .map(|(tick, _, data)| (*tick, decode_event::<G>(data)))
            .collect()
    }

    /// All events so far, whoever was told.
    pub fn events(&self) -> Vec<G::Event> {
        self.events
            .iter()
            .map(|(_, _, data)| decode_event::<G>(data))
            .collect()
    }

    /// All log lines so far.
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// What a viewer (`None`: a spectator) sees, after quantisation.
    pub fn seen_by(&mut self, viewer: Option<Slot>) -> Vec<Placed<G::Entity>> {
        let state = self.net_state(viewer);
        let placed = state
            .entities
            .iter()
            .map(|entity| read_entity(&state, entity));
        placed
            .map(|placed| placed.expect("a game's own columns follow its schema"))
            .collect()
    }

    /// How the match ended; `None` while it runs.
    pub fn result(&self) -> Option<&MatchResult> {
        self.result.as_ref()
    }

    /// The placement of a slot in the result.
    ///
    /// # Panics
    /// Where the match has not ended, or the slot is not in its result.
    pub fn placement(&self, slot: Slot) -> u8 {
        let result = self.result.as_ref().expect("the match has ended");
        let entry = result.slots.iter().find(|entry| entry.slot == slot);
        entry.expect("the slot is in the result").placement
    }

    /// The canonical state.
    pub fn saved(&mut self) -> Vec<u8> {
        saved(&mut self.main)
    }

    /// The underlying simulation.
    pub fn simulation(&mut self) -> &mut Native<G> {
        &mut self.main
    }

    fn set(&mut self, slot: Slot, held: Option<G::Input>, pressed: Option<G::Input>) {
        let index = usize::from(slot);
        for inputs in [&mut self.held, &mut self.pressed] {
            if inputs.len() <= index {
                inputs.resize(index + 1, None);
            }
        }
        self.held[index] = held;
        self.pressed[index] = pressed;
    }

    fn step(&mut self) {
        if self.tick.is_multiple_of(G::TICK_RATE.div_ceil(2)) || self.shadow.game().is_none() {
            let state = saved(&mut self.main);
            self.shadow
                .load(&state)
                .expect("a game takes back what it saved");
        }
        self.tick += 1;
        let log = self.next_log();
        let mut effects = Effects::default();
        if let Err(error) = self.main.step(&log, &mut effects) {
            panic!("tick {}: {error}", self.tick);
        }
        let mut shadow_effects = Effects::default();
        if let Err(error) = self.shadow.step(&log, &mut shadow_effects) {
            panic!(
                "tick {}, on a state that was saved and loaded: {error}",
                self.tick
            );
        }
        assert_eq!(
            effects, shadow_effects,
            "tick {}: an instance restored from a save did something else",
            self.tick
        );
        assert!(
            saved(&mut self.main) == saved(&mut self.shadow),
            "tick {}: an instance restored from a save came to another state; a field is not \
             saved, or a step depends on something besides the state",
            self.tick
        );
        self.check_views();
        self.keep(effects);
    }

    fn next_log(&mut self) -> TickLog {
        let mut log = TickLog {
            tick: self.tick,
            ..TickLog::default()
        };
        log.happenings.append(&mut self.happenings);
        let slots = usize::from(self.players).max(self.held.len());
        for index in 0..slots {
            let pressed = self.pressed.get_mut(index).and_then(Option::take);
            let input = pressed.or_else(|| self.held.get(index).cloned().flatten());
            let lag = self.lags.get(index).copied().unwrap_or(0);
            log.inputs.push(match input {
                None => SlotInput::default(),
                Some(input) => {
                    let mut data = Vec::new();
                    input.encode(&mut data);
                    SlotInput {
                        status: InputStatus::Fresh,
                        view_tick: (self.tick << 8).saturating_sub(lag),
                        data,
                    }
                }
            });
        }
        // Through the bytes and back: what the ABI cannot carry, a test should not.
        let mut bytes = Vec::new();
        gs_engine::abi::encode_tick_log(&log, &mut bytes).expect("the log keeps its bounds");
        let mut carried = TickLog::default();
        let input_len = self.main.schema().input_len();
        gs_engine::abi::decode_tick_log(&bytes, input_len, &mut carried)
            .expect("a log that was encoded can be decoded");
        carried
    }

    fn check_views(&mut self) {
        let mut view = View { placed: Vec::new() };
        self.game().entities(&mut view);
        for placed in &view.placed {
            if let Err(fault) = placed.entity.check_ranges() {
                panic!("tick {}, entity {}: {fault}", self.tick, placed.id);
            }
        }
        let spectator = self.net_state(None);
        let mut bytes = Vec::new();
        gs_engine::abi::encode_net_state(&spectator, &mut bytes)
            .expect("the net state keeps the bounds of the ABI");
        if self.main.manifest().hidden_state {
            return;
        }
        for slot in 0..self.players {
            let seen = self.net_state(Some(slot));
            assert!(
                seen.columns == spectator.columns
                    && seen
                        .entities
                        .iter()
                        .map(|e| e.id)
                        .eq(spectator.entities.iter().map(|e| e.id)),
                "tick {}: slot {slot} sees something else than a spectator; set HIDDEN_STATE",
                self.tick
            );
        }
    }

    fn keep(&mut self, effects: Effects) {
        let mut bytes = Vec::new();
        gs_engine::abi::encode_effects(&effects, &mut bytes)
            .expect("a tick's effects keep the bounds of the ABI");
        for event in effects.events {
            // Encoding bounds each value, so that this holds unless the schema itself is broken.
            self.main
                .schema()
                .validate_event(&event.data)
                .expect("an event follows its schema");
            self.events.push((self.tick, event.to, event.data));
        }
        self.log.extend(effects.log);
        self.result = effects.result;
    }

    fn net_state(&mut self, viewer: Option<Slot>) -> NetState {
        let mut state = NetState::default();
        if let Err(error) = self.main.net_state(viewer, &mut state) {
            panic!("tick {}: {error}", self.tick);
        }
        state
    }
}

fn saved<G: Game>(simulation: &mut Native<G>) -> Vec<u8> {
    let mut state = Vec::new();
    if let Err(error) = simulation.save(&mut state) {
        panic!("{error}");
    }
    state
}

fn decode_event<G: Game>(data: &[u8]) -> G::Event {
    <G::Event as Message>::decode(&mut Reader::new(data)).expect("events follow their schema")
}

/// The host's bound on view ticks.
const MAX_LOOK_BACK_MS: u32 = 250;
