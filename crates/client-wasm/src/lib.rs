//! The client core for browsers.
//!
//! `cargo xtask client` compiles this crate to WebAssembly and puts it, with the JavaScript that
//! goes with it, into `web/sdk/src/client/`, where the SDK wraps it: the SDK owns LiveKit, the
//! timers and the screen, and this crate is [`gs_client`] behind numbers, texts, bytes and plain
//! objects. The game's own module stays a module of its own beside this one, run by the browser.
//!
//! Views are read where they lie: [`MatchClient::view`] works one out, and the pointers that
//! follow it say where its columns are in this module's memory, until the next call.

mod client;
mod events;
mod line;
mod manifest;
mod module;
mod objects;

pub use client::MatchClient;
pub use module::{GameModule, ModuleError, ModuleSimulation};

use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;

/// SHA-256, for pages that came over plain HTTP: browsers keep theirs from these.
#[wasm_bindgen]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// The hash by which server and clients compare canonical states.
#[wasm_bindgen(js_name = stateHash)]
pub fn state_hash(state: &[u8]) -> u64 {
    gs_engine::confirmed::state_hash(state)
}
