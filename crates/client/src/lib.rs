//! A player's end of a match: packets and the time go in; packets, events and a picture come out.
//!
//! Nothing here reads a clock, opens a socket or runs a module by itself: [`Client`] is handed
//! packets with the name that LiveKit vouches for, the time since any start that the caller likes,
//! and the game's module as a [`Simulation`](gs_engine::Simulation). It runs natively for bots and
//! tests, and in the browser through `client-wasm`.
//!
//! # How to run one
//! Some hundred times a second (each half tick does; [`Client::poll_timeout`] says when):
//! 1. hand in each packet with [`Client::handle_packet`], then [`Client::handle_timeout`];
//! 2. give the inputs that are due: `while let Some(tick) = client.poll_input(now)`, pack the
//!    player's input and hand it to [`Client::handle_input`];
//! 3. send what [`Client::poll_transmit`] answers, and act on what [`Client::poll_event`] answers.
//!
//! Each frame, do 2 and 3 as well, so that what was pressed shows in that very frame, and draw
//! [`Client::view`].
//!
//! # How it is made
//! - [`clock`]: where the picture is, and for which tick inputs are made;
//! - [`view`](mod@view): net states to numbers to draw, between two ticks, with corrections
//!   smoothed;
//! - `client/full.rs`, `client/validated.rs`: what follows the server in each authority mode;
//! - [`manifest_json`]: the manifest that a welcome carries.

mod client;
pub mod clock;
mod config;
mod event;
mod keyframes;
pub mod manifest_json;
mod smoothing;
mod stats;
pub mod view;

pub use client::{Client, ModuleError, SendError};
pub use config::{ClientConfig, MAX_INPUT_DELAY, ModuleId};
pub use event::{ChatLine, Destination, Event, MatchEnd, Phase, Player, Presence, Transmit};
pub use stats::{Counters, Stats};
pub use view::{View, ViewEntity};
