//! Runs matches: the authority of each LiveKit room.
//!
//! - [`room`]: one match as a state machine without clock, socket or thread.
//! - [`ticker`]: dedicated threads that call many rooms at their tick rates.
//! - [`host`]: claims matches, joins their rooms, and sees that each result is stored once.

mod driver;
pub mod host;
mod inbox;
pub mod room;
pub mod ticker;

pub use host::{Authority, AuthorityConfig, LoadError, LoadedGame, Modules};
pub use room::{Patience, RoomCounters};
