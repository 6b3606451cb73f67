//! What all modules share: the engine, its clock, and the limits.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::epochs::EpochTicker;
use crate::module::{GameModule, ModuleError};

/// What a module may use. The defaults suit a server with many rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, in bytes (default 64 MiB). Beyond it `memory.grow` fails.
    pub memory_bytes: usize,
    /// Native stack of a call, in bytes (default 512 KiB); it has to fit the calling thread's.
    pub stack_bytes: usize,
    /// The longest that a call during a match may take (default 200 ms). A healthy step takes a
    /// fraction of a tick; the rest is for a busy machine, because overrunning ends the match.
    pub step_deadline: Duration,
    /// The longest that a call around a match may take: describe, init and load (default 2 s).
    pub load_deadline: Duration,
    /// Largest module, in bytes (default 16 MiB). It bounds the time that compiling takes.
    pub max_module_bytes: usize,
    /// Most instances at a time (default 272: those of 256 rooms, and 16 for modules that are
    /// compiled meanwhile and for rooms that are just closing). Each reserves 4 GiB of address space,
    /// no memory.
    pub max_instances: u32,
    /// Ticks a second for modules whose manifest leaves them open, 1–120 (default 60).
    pub default_tick_rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            stack_bytes: 512 << 10,
            step_deadline: Duration::from_millis(200),
            load_deadline: Duration::from_secs(2),
            max_module_bytes: 16 << 20,
            max_instances: 256 + 16,
            default_tick_rate: 60,
        }
    }
}

/// Compiles and runs game modules under one set of [`Limits`]. Clones share everything; the
/// modules and instances that come of it keep it alive.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    _ticker: EpochTicker,
}

impl Sandbox {
    /// Sets up the engine and its clock, a thread that ends with the last user of the sandbox.
    ///
    /// # Errors
    /// [`SandboxError`] where the machine does not give the address space or the thread, or the
    /// limits contradict each other.
    pub fn new(limits: Limits) -> Result<Self, SandboxError> {
        Self::with(limits, &config(&limits))
    }

    /// As [`new`](Self::new), but NaNs have whatever bits this processor gives them, as in a
    /// browser: a game whose state depends on them comes to other bytes here. For tests of games.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn like_a_browser(limits: Limits) -> Result<Self, SandboxError> {
        Self::with(
            limits,
            config(&limits).cranelift_nan_canonicalization(false),
        )
    }

    fn with(limits: Limits, config: &Config) -> Result<Self, SandboxError> {
        let engine = Engine::new(config).map_err(|error| SandboxError {
            reason: format!("{error:#}"),
        })?;
        let ticker = EpochTicker::start(engine.clone()).map_err(|error| SandboxError {
            reason: error.to_string(),
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                limits,
                _ticker: ticker,
            }),
        })
    }

    /// Compiles a module and reads its manifest. This takes a moment of all cores: keep it off the
    /// threads that step matches.
    ///
    /// # Errors
    /// [`ModuleError`] says what about the module is not as `docs/game-module.md` asks.
    pub fn compile(&self, bytes: impl Into<Arc<[u8]>>) -> Result<GameModule, ModuleError> {
        GameModule::compile(self.shared.clone(), bytes.into())
    }

    /// The limits that it was made with.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }
}

fn config(limits: &Limits) -> Config {
    // A slot of the pool is handed from match to match with its memory reset by the kernel, and
    // the number of slots bounds what the process can be made to hold.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(limits.max_instances)
        .total_memories(limits.max_instances)
        .total_tables(limits.max_instances)
        .max_memory_size(limits.memory_bytes)
        .table_elements(MAX_TABLE_ELEMENTS);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        // The same bits on every machine. Threads and shared memory are not compiled in at all.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // What a browser might not have, and no game needs.
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    config
}

/// Why there is no sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot set up the WebAssembly sandbox: {reason}")]
pub struct SandboxError {
    reason: String,
}

/// Most entries of a module's function table; a Rust game of a megabyte has some hundreds.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 20_000;
