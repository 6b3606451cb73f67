//! A game's module, run by the browser, as a [`Simulation`].

use gs_client::manifest_json::{self, ManifestJsonError};
use gs_engine::abi::{self, ABI_VERSION, AbiError};
use gs_engine::schema::ManifestError;
use gs_engine::simulation::{Effects, MatchConfig, NetState, SimulationError, TickLog, Verdict};
use gs_engine::{Manifest, Schema, Simulation, Slot};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// An instance of a game's module, as `web/sdk/src/module.ts` wraps it. Each call copies its
    /// input into the module's memory; what it answers stays there until it is read.
    pub type GameModule;

    /// Calls an export that takes an input of bytes, or none, and answers what that does: a
    /// length, 0, or a negative code. It throws where the module traps, and where what the module
    /// says of its memory cannot be.
    #[wasm_bindgen(method, catch)]
    fn call(
        this: &GameModule,
        export: &str,
        argument: i32,
        input: Option<&[u8]>,
    ) -> Result<i32, JsValue>;

    /// Calls `gs_init`.
    #[wasm_bindgen(method, catch)]
    fn init(this: &GameModule, seed: u64, input: &[u8]) -> Result<i32, JsValue>;

    /// Copies what the last call answered into `out`, whose length that is.
    #[wasm_bindgen(method, catch)]
    fn read(this: &GameModule, out: &mut [u8]) -> Result<(), JsValue>;

    /// What the module says of its panic, or has against its options; empty where nothing.
    #[wasm_bindgen(method, js_name = panicText)]
    fn panic_text(this: &GameModule) -> String;

    /// The text of an exception.
    #[wasm_bindgen(js_name = String)]
    fn text_of(value: &JsValue) -> String;
}

/// A game's module as a [`Simulation`]. Once a call trapped, every later call answers the same
/// error. A browser cannot be told how long a call may take: a module that never comes back holds
/// its page up, as it would have ended its match on the server.
pub struct ModuleSimulation {
    module: GameModule,
    manifest: Manifest,
    schema: Schema,
    failure: Option<SimulationError>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl ModuleSimulation {
    /// Takes a module that has just been instantiated.
    ///
    /// # Errors
    /// Where the module speaks another version of the ABI, or describes itself wrongly.
    pub fn new(module: GameModule) -> Result<Self, ModuleError> {
        let call = |name| {
            let answer = module.call(name, NO_ARGUMENT, None);
            answer.map_err(|error| trapped(&module, name, &error))
        };
        let version = call("gs_abi_version")?;
        if version != ABI_VERSION {
            return Err(ModuleError::Abi { found: version });
        }
        let len = usize::try_from(call("gs_describe")?).unwrap_or(0);
        let mut json = vec![0; len.min(MAX_MANIFEST_BYTES)];
        module
            .read(&mut json)
            .map_err(|error| trapped(&module, "gs_describe", &error))?;
        let json = String::from_utf8_lossy(&json);
        let manifest = manifest_json::parse(&json, UNSAID_TICK_RATE)?;
        let schema = Schema::new(&manifest)?;
        Ok(Self {
            module,
            manifest,
            schema,
            failure: None,
            input: Vec::new(),
            output: Vec::new(),
        })
    }

    /// Calls an export with what was put into `self.input`.
    fn call(&mut self, call: &'static str, argument: i32, input: bool) -> Answer {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let input = input.then_some(self.input.as_slice());
        let answer = self.module.call(call, argument, input);
        self.answered(call, answer)
    }

    /// Notes a call that left the module unusable.
    fn answered(&mut self, call: &'static str, answer: Result<i32, JsValue>) -> Answer {
        answer.map_err(|error| {
            let failure = trapped(&self.module, call, &error);
            self.failure = Some(failure.clone());
            failure
        })
    }

    /// Fetches the bytes that a call answered with their length into `self.output`.
    fn fetch(
        &mut self,
        call: &'static str,
        answer: i32,
        most: usize,
    ) -> Result<(), SimulationError> {
        let Ok(len) = usize::try_from(answer) else {
            return Err(SimulationError::Refused { call, code: answer });
        };
        if len > most {
            let reason = format!("{len} bytes, expected at most {most}");
            return Err(SimulationError::Malformed { call, reason });
        }
        self.output.resize(len, 0);
        let read = self.module.read(&mut self.output).map(|()| 0);
        self.answered(call, read)?;
        Ok(())
    }

    fn call_for_nothing(
        &mut self,
        call: &'static str,
        argument: i32,
    ) -> Result<(), SimulationError> {
        nothing(call, self.call(call, argument, true)?)
    }
}

impl Simulation for ModuleSimulation {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        // The options go in as they are written, so that their numbers do not change on the way.
        let json = format!(
            r#"{{"players":{},"teams":{},"options":{}}}"#,
            config.players, config.teams, config.options
        );
        let answer = self.module.init(seed, json.as_bytes());
        let answer = nothing("gs_init", self.answered("gs_init", answer)?);
        if let Err(SimulationError::Refused { .. }) = answer {
            let reason = self.module.panic_text();
            if !reason.is_empty() {
                return Err(SimulationError::Options { reason });
            }
        }
        answer
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        abi::encode_tick_log(log, &mut self.input).map_err(|e| unencodable("gs_step", &e))?;
        let answer = self.call("gs_step", NO_ARGUMENT, true)?;
        self.fetch("gs_step", answer, abi::MAX_EFFECTS_BYTES)?;
        abi::decode_effects(&self.output, effects).map_err(|e| malformed("gs_step", &e))
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        self.input.clear();
        self.input.extend_from_slice(input);
        let answer = self.call("gs_check", i32::from(slot), true)?;
        self.fetch("gs_check", answer, MAX_VERDICT_BYTES)?;
        abi::decode_verdict(&self.output, self.schema.input_len())
            .map_err(|e| malformed("gs_check", &e))
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        let answer = self.call("gs_save", NO_ARGUMENT, false)?;
        self.fetch("gs_save", answer, self.manifest.max_save_bytes as usize)?;
        // Both keep their memory: the caller's comes back here with the next save.
        std::mem::swap(&mut self.output, out);
        Ok(())
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        self.input.clear();
        self.input.extend_from_slice(state);
        self.call_for_nothing("gs_load", NO_ARGUMENT)
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        let answer = self.call("gs_net_state", number(viewer), false)?;
        self.fetch("gs_net_state", answer, MAX_NET_STATE_BYTES)?;
        abi::decode_net_state(&self.output, &self.schema, out)
            .map_err(|e| malformed("gs_net_state", &e))
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        abi::encode_net_state(view, &mut self.input)
            .map_err(|e| unencodable("gs_load_view", &e))?;
        self.call_for_nothing("gs_load_view", number(viewer))
    }
}

/// Why a module cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It was made for another version of the ABI.
    #[error("the game module speaks version {found} of the ABI, expected {ABI_VERSION}")]
    Abi {
        /// Its version.
        found: i32,
    },
    /// What it says of itself cannot be read.
    #[error(transparent)]
    Json(#[from] ManifestJsonError),
    /// What it says of itself breaks the bounds.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It failed at its first call.
    #[error(transparent)]
    Failed(#[from] SimulationError),
}

type Answer = Result<i32, SimulationError>;

fn nothing(call: &'static str, answer: i32) -> Result<(), SimulationError> {
    match answer {
        0 => Ok(()),
        code if code < 0 => Err(SimulationError::Refused { call, code }),
        other => {
            let reason = format!("answered {other}, expected 0 or a negative code");
            Err(SimulationError::Malformed { call, reason })
        }
    }
}

/// A viewer as the module sees it.
fn number(viewer: Option<Slot>) -> i32 {
    viewer.map_or(-1, i32::from)
}

fn trapped(module: &GameModule, call: &'static str, error: &JsValue) -> SimulationError {
    let said = module.panic_text();
    let reason = if said.is_empty() {
        text_of(error)
    } else {
        said
    };
    SimulationError::Trapped { call, reason }
}

fn malformed(call: &'static str, error: &AbiError) -> SimulationError {
    SimulationError::Malformed {
        call,
        reason: error.to_string(),
    }
}

/// What the host was about to pass breaks the ABI: a bug on its side of the boundary.
fn unencodable(call: &'static str, error: &AbiError) -> SimulationError {
    SimulationError::Unencodable {
        call,
        reason: error.to_string(),
    }
}

/// As the authority bounds it: a manifest at every limit at once would take some 200 kB.
const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// The match says which it is where the module does not.
const UNSAID_TICK_RATE: u32 = 60;
/// For exports that take no number.
const NO_ARGUMENT: i32 = 0;
/// A verdict is one byte, and then an input of at most 32 fields of 4 bytes or a reason.
const MAX_VERDICT_BYTES: usize = 1 + abi::MAX_REASON_BYTES;
/// A count, and 10 bytes and 32 columns for each of the most entities: 556 KiB.
const MAX_NET_STATE_BYTES: usize =
    2 + abi::MAX_ENTITIES * (10 + 4 * gs_engine::manifest::MAX_COLUMNS);
