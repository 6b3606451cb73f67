//! One running module: calls with deadlines, and bytes in and out of its memory.

use std::sync::Arc;
use std::time::Duration;

use gs_engine::abi::{self, AbiError};
use gs_engine::simulation::{Effects, MatchConfig, NetState, SimulationError, TickLog, Verdict};
use gs_engine::{Manifest, Simulation, Slot};
use wasmtime::{
    Instance, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc, WasmParams,
};

use crate::epochs::epochs;
use crate::module::{Inner, ModuleError};
use crate::runtime::{Limits, MAX_TABLE_ELEMENTS, Shared};

/// A module's instance, for one match. It may move between threads.
///
/// Once a call trapped or overran, the instance is unusable and every later call answers the same
/// error.
pub struct ModuleInstance {
    module: Arc<Inner>,
    caller: Caller,
    failure: Option<SimulationError>,
    scratch: Vec<u8>,
}

impl ModuleInstance {
    pub(crate) fn new(module: Arc<Inner>) -> Result<Self, ModuleError> {
        let caller = Caller::new(&module.shared, &module.module)?;
        Ok(Self {
            module,
            caller,
            failure: None,
            scratch: Vec::new(),
        })
    }

    /// Runs a call unless an earlier one left the instance unusable, and notes if this one did.
    fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut Caller, &Inner, &mut Vec<u8>) -> Result<T, SimulationError>,
    ) -> Result<T, SimulationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let answer = call(&mut self.caller, &self.module, &mut self.scratch);
        if let Err(error @ (SimulationError::Trapped { .. } | SimulationError::Overran { .. })) =
            &answer
        {
            self.failure = Some(error.clone());
        }
        answer
    }
}

impl Simulation for ModuleInstance {
    fn manifest(&self) -> &Manifest {
        &self.module.manifest
    }

    fn init(&mut self, seed: u64, config: &MatchConfig) -> Result<(), SimulationError> {
        let options: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_str(&config.options);
        if let Err(error) = options {
            let reason = format!("not a JSON object: {error}");
            return Err(SimulationError::Options { reason });
        }
        // The options go in as they are written, so that their numbers do not change on the way.
        let json = format!(
            r#"{{"players":{},"teams":{},"options":{}}}"#,
            config.players, config.teams, config.options
        );
        self.guarded(|caller, _, _| {
            caller.begin(caller.limits.load_deadline);
            let len = caller.pass("gs_init", json.as_bytes())?;
            let function = caller.exports.init.clone();
            let answer = caller.call_for_nothing("gs_init", &function, (seed as i64, len));
            // A module may say what it has against the options.
            if let Err(SimulationError::Refused { .. }) = answer
                && let Some(reason) = caller.panic_text()
            {
                return Err(SimulationError::Options { reason });
            }
            answer
        })
    }

    fn step(&mut self, log: &TickLog, effects: &mut Effects) -> Result<(), SimulationError> {
        self.guarded(|caller, _, scratch| {
            abi::encode_tick_log(log, scratch).map_err(|error| unencodable("gs_step", &error))?;
            caller.begin(caller.limits.step_deadline);
            let len = caller.pass("gs_step", scratch)?;
            let function = caller.exports.step.clone();
            let bytes = caller.call_for_bytes("gs_step", &function, len)?;
            abi::decode_effects(bytes, effects).map_err(|error| malformed("gs_step", &error))
        })
    }

    fn check(&mut self, slot: Slot, input: &[u8]) -> Result<Verdict, SimulationError> {
        self.guarded(|caller, module, _| {
            caller.begin(caller.limits.step_deadline);
            let len = caller.pass("gs_check", input)?;
            let function = caller.exports.check.clone();
            let bytes = caller.call_for_bytes("gs_check", &function, (i32::from(slot), len))?;
            abi::decode_verdict(bytes, module.schema.input_len())
                .map_err(|error| malformed("gs_check", &error))
        })
    }

    fn save(&mut self, out: &mut Vec<u8>) -> Result<(), SimulationError> {
        self.guarded(|caller, module, _| {
            caller.begin(caller.limits.step_deadline);
            let function = caller.exports.save.clone();
            let bytes = caller.call_for_bytes("gs_save", &function, ())?;
            let limit = module.manifest.max_save_bytes;
            if bytes.len() > limit as usize {
                let reason = format!("{} bytes, the manifest says at most {limit}", bytes.len());
                return Err(SimulationError::Malformed {
                    call: "gs_save",
                    reason,
                });
            }
            out.clear();
            out.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn load(&mut self, state: &[u8]) -> Result<(), SimulationError> {
        self.guarded(|caller, _, _| {
            caller.begin(caller.limits.load_deadline);
            let len = caller.pass("gs_load", state)?;
            let function = caller.exports.load.clone();
            caller.call_for_nothing("gs_load", &function, len)
        })
    }

    fn net_state(
        &mut self,
        viewer: Option<Slot>,
        out: &mut NetState,
    ) -> Result<(), SimulationError> {
        self.guarded(|caller, module, _| {
            caller.begin(caller.limits.step_deadline);
            let function = caller.exports.net_state.clone();
            let bytes = caller.call_for_bytes("gs_net_state", &function, number(viewer))?;
            abi::decode_net_state(bytes, &module.schema, out)
                .map_err(|error| malformed("gs_net_state", &error))
        })
    }

    fn load_view(&mut self, viewer: Option<Slot>, view: &NetState) -> Result<(), SimulationError> {
        self.guarded(|caller, _, scratch| {
            abi::encode_net_state(view, scratch)
                .map_err(|error| unencodable("gs_load_view", &error))?;
            caller.begin(caller.limits.load_deadline);
            let len = caller.pass("gs_load_view", scratch)?;
            let function = caller.exports.load_view.clone();
            caller.call_for_nothing("gs_load_view", &function, (number(viewer), len))
        })
    }
}

/// A viewer as the module sees it.
fn number(viewer: Option<Slot>) -> i32 {
    viewer.map_or(-1, i32::from)
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

/// Calls a module's exports.
pub(crate) struct Caller {
    store: Store<StoreLimits>,
    memory: Memory,
    exports: Exports,
    limits: Limits,
    /// What the call that runs may take.
    deadline: Duration,
    /// Keeps the clock going that the deadline is counted in.
    _shared: Arc<Shared>,
}

struct Exports {
    abi_version: TypedFunc<(), i32>,
    input: TypedFunc<i32, i32>,
    output: TypedFunc<(), i32>,
    describe: TypedFunc<(), i32>,
    init: TypedFunc<(i64, i32), i32>,
    step: TypedFunc<i32, i32>,
    check: TypedFunc<(i32, i32), i32>,
    save: TypedFunc<(), i32>,
    load: TypedFunc<i32, i32>,
    load_view: TypedFunc<(i32, i32), i32>,
    net_state: TypedFunc<i32, i32>,
    panic: TypedFunc<(), i32>,
}

impl Caller {
    /// Instantiates a module whose interface was checked.
    pub(crate) fn new(shared: &Arc<Shared>, module: &Module) -> Result<Self, ModuleError> {
        let limits = shared.limits;
        let bounds = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes)
            .table_elements(MAX_TABLE_ELEMENTS)
            .instances(1)
            .memories(1)
            .tables(1)
            .build();
        let mut store = Store::new(&shared.engine, bounds);
        store.limiter(|bounds| bounds);
        // The module's start function runs within this.
        store.set_epoch_deadline(epochs(limits.load_deadline));
        let refused = |error: wasmtime::Error| match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => ModuleError::Failed(overran("start", limits.load_deadline)),
            Some(trap) => ModuleError::Failed(SimulationError::Trapped {
                call: "start",
                reason: trap.to_string(),
            }),
            None => ModuleError::Instantiate {
                reason: format!("{error:#}"),
            },
        };
        let instance = Instance::new(&mut store, module, &[]).map_err(refused)?;
        let Some(memory) = instance.get_memory(&mut store, "memory") else {
            return Err(ModuleError::MissingExport {
                name: "memory",
                expected: "a memory",
            });
        };
        let exports =
            Exports::of(&instance, &mut store).map_err(|error| ModuleError::Instantiate {
                reason: format!("{error:#}"),
            })?;
        let deadline = limits.load_deadline;
        Ok(Self {
            store,
            memory,
            exports,
            limits,
            deadline,
            _shared: shared.clone(),
        })
    }

    pub(crate) fn abi_version(&mut self) -> Result<i32, SimulationError> {
        self.begin(self.limits.load_deadline);
        let function = self.exports.abi_version.clone();
        self.call("gs_abi_version", &function, ())
    }

    /// The manifest's bytes.
    pub(crate) fn describe(&mut self) -> Result<&[u8], SimulationError> {
        self.begin(self.limits.load_deadline);
        let function = self.exports.describe.clone();
        self.call_for_bytes("gs_describe", &function, ())
    }

    /// Starts the time that one exchange may take, passing input and fetching output included.
    fn begin(&mut self, deadline: Duration) {
        self.deadline = deadline;
        self.store.set_epoch_deadline(epochs(deadline));
    }

    /// Writes a call's input where the module wants it, and answers its length.
    fn pass(&mut self, call: &'static str, bytes: &[u8]) -> Result<i32, SimulationError> {
        let malformed = |reason| Err(SimulationError::Malformed { call, reason });
        let Ok(len) = i32::try_from(bytes.len()) else {
            return malformed(format!(
                "an input of {} bytes cannot be passed",
                bytes.len()
            ));
        };
        let function = self.exports.input.clone();
        let pointer = self.call("gs_input", &function, len)?;
        if pointer == 0 {
            return malformed(format!("gs_input refused {len} bytes"));
        }
        // Pointers are unsigned; the type of the ABI is not.
        let pointer = pointer as u32 as usize;
        let memory = self.memory.data_mut(&mut self.store);
        let size = memory.len();
        match memory
            .get_mut(pointer..)
            .and_then(|place| place.get_mut(..bytes.len()))
        {
            Some(place) => {
                place.copy_from_slice(bytes);
                Ok(len)
            }
            None => malformed(format!(
                "gs_input gave {pointer} for {len} bytes, but the memory has {size}"
            )),
        }
    }

    /// Calls a function that answers 0.
    fn call_for_nothing<P: WasmParams>(
        &mut self,
        call: &'static str,
        function: &TypedFunc<P, i32>,
        parameters: P,
    ) -> Result<(), SimulationError> {
        match self.call(call, function, parameters)? {
            0 => Ok(()),
            code if code < 0 => Err(SimulationError::Refused { call, code }),
            other => {
                let reason = format!("answered {other}, expected 0 or a negative code");
                Err(SimulationError::Malformed { call, reason })
            }
        }
    }

    /// Calls a function that answers bytes.
    fn call_for_bytes<P: WasmParams>(
        &mut self,
        call: &'static str,
        function: &TypedFunc<P, i32>,
        parameters: P,
    ) -> Result<&[u8], SimulationError> {
        let answer = self.call(call, function, parameters)?;
        let Ok(len) = usize::try_from(answer) else {
            return Err(SimulationError::Refused { call, code: answer });
        };
        let function = self.exports.output.clone();
        let pointer = self.call("gs_output", &function, ())? as u32 as usize;
        let memory = self.memory.data(&self.store);
        match memory.get(pointer..).and_then(|bytes| bytes.get(..len)) {
            Some(bytes) => Ok(bytes),
            None => {
                let size = memory.len();
                let reason = format!("{len} bytes at {pointer}, but the memory has {size}");
                Err(SimulationError::Malformed { call, reason })
            }
        }
    }

    fn call<P: WasmParams>(
        &mut self,
        call: &'static str,
        function: &TypedFunc<P, i32>,
        parameters: P,
    ) -> Result<i32, SimulationError> {
        let error = match function.call(&mut self.store, parameters) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let trap = error.downcast_ref::<Trap>().copied();
        if trap == Some(Trap::Interrupt) {
            return Err(overran(call, self.deadline));
        }
        let reason = self.panic_text().unwrap_or_else(|| match trap {
            Some(trap) => trap.to_string(),
            None => error.to_string(),
        });
        Err(SimulationError::Trapped { call, reason })
    }

    /// What the module says of its panic. It has just failed, so it is trusted with nothing: not
    /// to come back, nor to point into its memory, nor to be brief.
    fn panic_text(&mut self) -> Option<String> {
        self.store.set_epoch_deadline(epochs(PANIC_DEADLINE));
        let panic = self.exports.panic.clone();
        let len = usize::try_from(panic.call(&mut self.store, ()).ok()?).ok()?;
        let output = self.exports.output.clone();
        let pointer = output.call(&mut self.store, ()).ok()? as u32 as usize;
        let bytes = self.memory.data(&self.store).get(pointer..)?.get(..len)?;
        let shown = &bytes[..len.min(MAX_PANIC_BYTES)];
        let text = String::from_utf8_lossy(shown).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

impl Exports {
    fn of(instance: &Instance, store: &mut Store<StoreLimits>) -> wasmtime::Result<Self> {
        Ok(Self {
            abi_version: instance.get_typed_func(&mut *store, "gs_abi_version")?,
            input: instance.get_typed_func(&mut *store, "gs_input")?,
            output: instance.get_typed_func(&mut *store, "gs_output")?,
            describe: instance.get_typed_func(&mut *store, "gs_describe")?,
            init: instance.get_typed_func(&mut *store, "gs_init")?,
            step: instance.get_typed_func(&mut *store, "gs_step")?,
            check: instance.get_typed_func(&mut *store, "gs_check")?,
            save: instance.get_typed_func(&mut *store, "gs_save")?,
            load: instance.get_typed_func(&mut *store, "gs_load")?,
            load_view: instance.get_typed_func(&mut *store, "gs_load_view")?,
            net_state: instance.get_typed_func(&mut *store, "gs_net_state")?,
            panic: instance.get_typed_func(&mut *store, "gs_panic")?,
        })
    }
}

fn overran(call: &'static str, deadline: Duration) -> SimulationError {
    SimulationError::Overran {
        call,
        limit_ms: deadline.as_millis() as u64,
    }
}

/// How long a module that trapped may take to say why: it only hands out text that it has.
const PANIC_DEADLINE: Duration = Duration::from_millis(50);
/// Most bytes of a panic's text that are kept: it goes to a log line.
const MAX_PANIC_BYTES: usize = 4096;
