//! The client core for browsers.
//!
//! `cargo xtask client` compiles this crate to WebAssembly and puts it, with the JavaScript that
//! goes with it, into `web/sdk/src/client/`, where the SDK wraps it: the SDK owns the socket, the
//! timers and LiveKit, and this crate is [`gs_engine`] and the client core behind numbers, texts
//! and bytes. The game's own module stays a module of its own beside this one, run by the browser.

mod module;

pub use module::{GameModule, ModuleSimulation};
