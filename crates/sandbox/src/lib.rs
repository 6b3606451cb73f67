//! Runs game modules as [`Simulation`](gs_engine::Simulation)s in a WebAssembly sandbox.
//!
//! A [`Sandbox`] compiles a module's bytes into a [`GameModule`], which says what the game is, and
//! makes as many [`ModuleInstance`]s of it as there are matches. A module comes from whoever wrote
//! the game, so nothing that it does may reach beyond its own match:
//!
//! - it has no imports, so there is nothing that it could call;
//! - each call has a deadline, its memory and stack are bounded, and a trap is an error of that
//!   instance alone;
//! - every length and pointer that it answers is held against its memory, and every layout against
//!   `docs/game-module.md`.
//!
//! What it computes is the same on every machine: no threads, no relaxed SIMD, and NaNs are
//! canonical.
//!
//! ```no_run
//! use gs_engine::Simulation;
//! use gs_engine::simulation::MatchConfig;
//! use gs_sandbox::{Limits, Sandbox};
//!
//! let sandbox = Sandbox::new(Limits::default())?;
//! let module = sandbox.compile(std::fs::read("arena.wasm")?)?;
//! println!("{} {}", module.manifest().title, module.sha256());
//! let mut instance = module.instantiate()?;
//! instance.init(1, &MatchConfig { players: 2, teams: 0, options: "{}".into() })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod epochs;
mod instance;
mod manifest_json;
mod module;
mod runtime;

pub use instance::ModuleInstance;
pub use module::{GameModule, ModuleError};
pub use runtime::{Limits, Sandbox, SandboxError};
