//! A game linked natively, behind the host's own trait. The module's exports are the same code.

use std::marker::PhantomData;

use gs_engine::Simulation;
use gs_engine::abi::{MAX_ENTITIES, MAX_REASON_BYTES};
use gs_engine::manifest::{Audience, Manifest};
use gs_engine::schema::Schema;
use gs_engine::simulation::{
    Effects as RawEffects, Entity as RawEntity, HappeningKind, InputStatus, MatchConfig, NetState,
    SimulationError, Slot, TickLog, Verdict as RawVerdict,
};

use crate::inputs::Received;
use crate::json::Json;
use crate::manifest::{manifest_of, to_json};
use crate::net_values::ColumnReader;
use crate::{
    Effects, Entities, Game, Input, Inputs, LoadViewError, Message, OptionReader, Placed, Reader,
    Setup, Verdict, View,
};

/// A game as the host runs it, without WebAssembly: for tests, and for servers that link their
/// game.
///
/// # Panics
/// Where the game's own constants break the bounds of a manifest: a developer's first test finds
/// it.
pub fn native<G: Game>() -> Native<G> {
    let manifest = manifest_of::<G>();
    let schema = match Schema::new(&manifest) {
        Ok(schema) => schema,
        Err(error) => panic!("game `{}`: {error}", G::NAME),
    };
    Native {
        manifest,
        schema,
        running: None,
        fault: String::new(),
        game: PhantomData,
    }
}

/// What [`native`] answers.
pub struct Native<G: Game> {
    manifest: Manifest,
    schema: Schema,
    running: Option<Running<G>>,
    fault: String,
    game: PhantomData<fn() -> G>,
}

/// A match that was initialised or loaded.
struct Running<G: Game> {
    game: G,
    /// Unknown where a state was loaded without `init` before it.
    setup: Option<Setup<G::Options>>,
}

impl<G: Game> Native<G> {
    /// The state of the match; `None` before it is initialised.
    pub fn game(&self) -> Option<&G> {
        self.running.as_ref().map(|running| &running.game)
    }

    /// The state of the match, to arrange a test's scene.
    pub fn game_mut(&mut self) -> Option<&mut G> {
        self.running.as_mut().map(|running| &mut running.game)
    }

    /// The manifest as this game's module would write it, JSON.
    pub fn manifest_json(&self) -> String {
        to_json(&self.manifest)
    }

    /// Why the last call was refused; empty where it was not or there is nothing to say.
    pub fn fault(&self) -> &str {
        &self.fault
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// As [`Simulation::init`], from the JSON of the ABI.
    pub(crate) fn init_json(&mut self, seed: u64, config: &str) -> Result<(), SimulationError> {
        let setup = read_config(config);
        self.start(seed, setup)
    }

    fn start(
        &mut self,
        seed: u64,
        setup: Result<Setup<G::Options>, String>,
    ) -> Result<(), SimulationError> {
        let setup = setup.map_err(|fault| {
            self.fault = fault;
            refused("gs_init", MALFORMED)
        })?;
        self.fault.clear();
        self.running = None;
        let game = guarded("gs_init", || G::new(&setup, seed))?;
        self.running = Some(Running {
            game,
            setup: Some(setup),
        });
        Ok(())
    }
}

impl<G: Game> Simulation for Native<G> {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        let text = if config.options.trim().is_empty() {
            "{}"
        } else {
            &config.options
        };
        let setup = Json::parse(text).and_then(|options| {
            let options = OptionReader::read_all(options).map_err(|error| error.to_string())?;
            Ok(Setup {
                players: config.players,
                teams: config.teams,
                options,
            })
        });
        self.start(seed, setup)
    }

    fn step(&mut self, log: &TickLog, effects: &mut RawEffects) -> Result<(), SimulationError> {
        // All is decoded before anything changes, so that a refused step leaves the state alone.
        let malformed = refused("gs_step", MALFORMED);
        let happenings = decode_happenings::<G>(log).ok_or(malformed.clone())?;
        let inputs = decode_inputs::<G>(log).ok_or(malformed)?;
        let mut out = Effects::new(std::mem::take(effects));
        with_game(&mut self.running, "gs_step", |game| {
            for (slot, happening) in happenings {
                match happening {
                    Happened::Join { team } => game.join(slot, team, &mut out),
                    Happened::Leave => game.leave(slot, &mut out),
                    Happened::Command(command) => game.command(slot, command, &mut out),
                }
            }
            game.step(log.tick, &inputs, &mut out);
        })?;
        *effects = out.into_raw();
        Ok(())
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<RawVerdict, SimulationError> {
        let input: G::Input = decode_whole(input).ok_or(refused("gs_check", MALFORMED))?;
        Ok(
            match with_game(&mut self.running, "gs_check", |game| {
                game.check(slot, &input)
            })? {
                Verdict::Accept => RawVerdict::Accept,
                Verdict::Amend(input) => {
                    let mut data = Vec::new();
                    input.encode(&mut data);
                    RawVerdict::Amend(data)
                }
                Verdict::Refuse(mut reason) => {
                    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
                    RawVerdict::Refuse(reason)
                }
            },
        )
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        out.clear();
        with_game(&mut self.running, "gs_save", |game| {
            game.save(out);
            assert!(
                out.len() <= G::MAX_SAVE_BYTES as usize,
                "the saved state has {} bytes, more than MAX_SAVE_BYTES",
                out.len()
            );
        })
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        let mut reader = Reader::new(state);
        let game = guarded("gs_load", || G::load(&mut reader))?;
        match game.filter(|_| reader.remaining() == 0) {
            Some(game) => {
                let setup = self.running.take().and_then(|running| running.setup);
                self.running = Some(Running { game, setup });
                Ok(())
            }
            None => Err(refused("gs_load", MALFORMED)),
        }
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        out.clear();
        let schema = &self.schema;
        with_game(&mut self.running, "gs_net_state", |game| {
            let mut view = View { placed: Vec::new() };
            game.entities(&mut view);
            let mut placed = view.placed;
            placed.sort_by_key(|placed| placed.id);
            for pair in placed.windows(2) {
                assert!(
                    pair[0].id != pair[1].id,
                    "two entities have the id {}",
                    pair[0].id
                );
            }
            placed.retain(|placed| game.visible(viewer, placed));
            assert!(
                placed.len() <= MAX_ENTITIES,
                "{} entities, at most 4096",
                placed.len()
            );
            for placed in &placed {
                write_entity(game, schema, viewer, placed, out);
            }
        })
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        let placed: Option<Vec<Placed<G::Entity>>> = view
            .entities
            .iter()
            .map(|entity| read_entity(view, entity))
            .collect();
        let placed = placed.ok_or(refused("gs_load_view", MALFORMED))?;
        let not_initialised = refused("gs_load_view", NOT_INITIALISED);
        let running = self.running.as_mut().ok_or(not_initialised.clone())?;
        let setup = running.setup.as_ref().ok_or(not_initialised)?;
        // A view says everything that it can: chance and the hidden rest start anew each time.
        let (game, loaded) = guarded("gs_load_view", || {
            let mut game = G::new(setup, 0);
            let loaded = game.load_view(viewer, &placed);
            (game, loaded)
        })?;
        match loaded {
            Ok(()) => {
                running.game = game;
                Ok(())
            }
            Err(LoadViewError::Unsupported) => Err(refused("gs_load_view", UNSUPPORTED)),
            Err(LoadViewError::Malformed) => Err(refused("gs_load_view", MALFORMED)),
        }
    }
}

/// Runs `call` on the match. A game that panics is dropped: its state is not to be trusted.
fn with_game<G: Game, T>(
    running: &mut Option<Running<G>>,
    name: &'static str,
    call: impl FnOnce(&mut G) -> T,
) -> Result<T, SimulationError> {
    let game = &mut running.as_mut().ok_or(refused(name, NOT_INITIALISED))?.game;
    let answer = guarded(name, || call(game));
    if answer.is_err() {
        *running = None;
    }
    answer
}

fn write_entity<G: Game>(
    game: &G,
    schema: &Schema,
    viewer: Option<Slot>,
    placed: &Placed<G::Entity>,
    out: &mut NetState,
) {
    let first = out.columns.len();
    placed.entity.write(&mut out.columns);
    let kind = placed.entity.kind();
    if let Some(kind) = schema.kind(kind) {
        let columns = out.columns[first..]
            .iter_mut()
            .zip(kind.columns())
            .zip(kind.audiences());
        for ((value, column), audience) in columns {
            if !may_see(game, viewer, placed.owner, *audience) {
                *value = column.lo;
            }
        }
    }
    let priority = game.priority(viewer, placed);
    out.entities.push(RawEntity {
        id: placed.id,
        kind,
        owner: placed.owner,
        priority: if priority.is_finite() {
            priority.max(0.0)
        } else {
            1.0
        },
        first_column: first as u32,
        column_count: (out.columns.len() - first) as u8,
    });
}

fn may_see<G: Game>(
    game: &G,
    viewer: Option<Slot>,
    owner: Option<Slot>,
    audience: Audience,
) -> bool {
    match (audience, viewer, owner) {
        (Audience::All, _, _) => true,
        (_, Some(viewer), Some(owner)) if viewer == owner => true,
        (Audience::Team, Some(viewer), Some(owner)) => game
            .team(viewer)
            .is_some_and(|team| game.team(owner) == Some(team)),
        _ => false,
    }
}

pub(crate) fn read_entity<E: Entities>(view: &NetState, raw: &RawEntity) -> Option<Placed<E>> {
    let start = raw.first_column as usize;
    let columns = view
        .columns
        .get(start..start + usize::from(raw.column_count))?;
    let mut reader = ColumnReader::new(columns);
    let entity = E::read(raw.kind, &mut reader).filter(|_| reader.is_empty())?;
    Some(Placed {
        id: raw.id,
        owner: raw.owner,
        entity,
    })
}

enum Happened<C> {
    Join { team: u8 },
    Leave,
    Command(C),
}

fn decode_happenings<G: Game>(log: &TickLog) -> Option<Vec<(Slot, Happened<G::Command>)>> {
    let decode = |kind: &HappeningKind| {
        Some(match kind {
            HappeningKind::Join { team } => Happened::Join { team: *team },
            HappeningKind::Leave => Happened::Leave,
            HappeningKind::Command(data) => {
                let mut reader = Reader::new(data);
                let command = <G::Command as Message>::decode(&mut reader);
                Happened::Command(command.filter(|_| reader.remaining() == 0)?)
            }
        })
    };
    log.happenings
        .iter()
        .map(|h| Some((h.slot, decode(&h.kind)?)))
        .collect()
}

fn decode_inputs<G: Game>(log: &TickLog) -> Option<Inputs<G::Input>> {
    let slots = log.inputs.iter().map(|slot| {
        if slot.status == InputStatus::Absent {
            return Some(None);
        }
        let (status, view_tick) = (slot.status, slot.view_tick);
        Some(Some(Received {
            status,
            view_tick,
            input: decode_whole(&slot.data)?,
        }))
    });
    Some(Inputs {
        slots: slots.collect::<Option<_>>()?,
    })
}

fn decode_whole<I: Input>(bytes: &[u8]) -> Option<I> {
    let mut reader = Reader::new(bytes);
    I::decode(&mut reader).filter(|_| reader.remaining() == 0)
}

fn read_config<O: crate::Options>(config: &str) -> Result<Setup<O>, String> {
    let Json::Object(members) = Json::parse(config)? else {
        return Err("the match configuration is no JSON object".to_owned());
    };
    let (mut players, mut teams, mut options) = (None, Some(0), Json::Object(Vec::new()));
    for (name, value) in members {
        match name.as_str() {
            "players" => players = crate::OptionValue::from_json(value),
            "teams" => teams = crate::OptionValue::from_json(value),
            "options" => options = value,
            // A later host may say more.
            _ => {}
        }
    }
    let players = players.ok_or("`players` is no number from 0 to 255")?;
    let teams = teams.ok_or("`teams` is no number from 0 to 255")?;
    let options = OptionReader::read_all(options).map_err(|error| error.to_string())?;
    Ok(Setup {
        players,
        teams,
        options,
    })
}

fn refused(call: &'static str, code: i32) -> SimulationError {
    SimulationError::Refused { call, code }
}

/// Turns a panic of the game into [`SimulationError::Trapped`]. In a module a panic traps by
/// itself.
#[cfg(target_arch = "wasm32")]
fn guarded<T>(_: &'static str, call: impl FnOnce() -> T) -> Result<T, SimulationError> {
    Ok(call())
}

#[cfg(not(target_arch = "wasm32"))]
fn guarded<T>(name: &'static str, call: impl FnOnce() -> T) -> Result<T, SimulationError> {
    // What a panic leaves half done is dropped by the callers, so nothing broken is seen again.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    caught.map_err(|panic| {
        let reason = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "the game panicked".to_owned(),
        };
        SimulationError::Trapped { call: name, reason }
    })
}

/// The ABI's code for malformed input.
pub(crate) const MALFORMED: i32 = -1;
/// The ABI's code for a call before `gs_init`.
pub(crate) const NOT_INITIALISED: i32 = -2;
/// The ABI's code for what a module does not do.
pub(crate) const UNSUPPORTED: i32 = -3;
