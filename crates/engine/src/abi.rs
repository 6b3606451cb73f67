//! The byte layouts of `docs/game-module.md`, in both directions: the host encodes what the game
//! SDK decodes, and the other way round.
//!
//! Every function works on buffers that the caller keeps: encoders clear `out` and fill it,
//! decoders overwrite their target in place and reuse the memory of what was there. A decoder takes
//! any bytes whatever: it answers an [`AbiError`] that says what was expected, and allocates no
//! more than in proportion to the bytes that it was given. After an error the target holds nothing
//! that may be used.
//!
//! ```
//! use gs_engine::abi;
//! use gs_engine::simulation::{InputStatus, SlotInput, TickLog};
//!
//! let log = TickLog {
//!     tick: 7,
//!     happenings: vec![],
//!     inputs: vec![SlotInput { status: InputStatus::Fresh, view_tick: 7 * 256, data: vec![1, 2] }],
//! };
//! let mut bytes = Vec::new();
//! abi::encode_tick_log(&log, &mut bytes)?;
//! let mut decoded = TickLog::default();
//! abi::decode_tick_log(&bytes, 2, &mut decoded)?;
//! assert_eq!(decoded, log);
//! # Ok::<(), abi::AbiError>(())
//! ```

mod effects;
mod net_state;
mod reader;
mod tick_log;
mod verdict;

pub use effects::{decode_effects, encode_effects};
pub use net_state::{decode_net_state, encode_net_state};
pub use tick_log::{decode_tick_log, encode_tick_log};
pub use verdict::{decode_verdict, encode_verdict};

/// The version of the ABI that this crate speaks.
pub const ABI_VERSION: i32 = 1;

/// Why bytes do not follow the ABI, or why a value cannot be written in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbiError {
    /// The bytes end too early.
    #[error("{part} needs {needed} bytes at offset {at}, but only {left} are left")]
    Truncated {
        /// What was being read.
        part: &'static str,
        /// Offset where it starts.
        at: usize,
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// There are more bytes than the layout has.
    #[error("{left} bytes follow the end of the {layout}")]
    Trailing {
        /// The layout that was read whole.
        layout: &'static str,
        /// How many bytes are left over.
        left: usize,
    },
    /// A value is none of those that the layout allows.
    #[error("{part} is {found}, expected {expected}")]
    Invalid {
        /// What was being read or written.
        part: &'static str,
        /// The value.
        found: i64,
        /// What the layout allows.
        expected: &'static str,
    },
    /// There is more of something than the layout allows.
    #[error("{part} is {found}, at most {limit} are allowed")]
    TooMany {
        /// What was counted.
        part: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Bytes that should have another length.
    #[error("{part} has {found} bytes, expected {expected}")]
    Length {
        /// What was being read or written.
        part: &'static str,
        /// How many bytes it has.
        found: usize,
        /// How many the schema gives it.
        expected: usize,
    },
    /// Text is not UTF-8.
    #[error("{part} is not UTF-8")]
    NotUtf8 {
        /// What was being read.
        part: &'static str,
    },
    /// An entity's column is outside the range that the manifest gives it.
    #[error("entity {id}: column {column} is {found}, expected {lo}..={hi}")]
    ColumnOutOfRange {
        /// The entity.
        id: u32,
        /// Index of the column within the entity.
        column: usize,
        /// The value.
        found: i32,
        /// Least value.
        lo: i32,
        /// Greatest value.
        hi: i32,
    },
    /// Entities are not ascending by id, or one is there twice.
    #[error("entity {id} follows entity {previous}, expected ascending ids")]
    NotAscending {
        /// The id before.
        previous: u32,
        /// The id that follows.
        id: u32,
    },
}

/// Most events of a tick.
pub const MAX_EVENTS: usize = 256;
/// Most log lines of a tick.
pub const MAX_LOG_LINES: usize = 64;
/// Most statistics of one slot's result.
pub const MAX_STATISTICS: usize = 16;
/// Longest name of a statistic, in bytes.
pub const MAX_STATISTIC_NAME: usize = 32;
/// Most bytes of a tick's effects: 64 KiB, what four full `events` payloads carry.
pub const MAX_EFFECTS_BYTES: usize = 64 << 10;
/// Most entities of a net state: 4,096, beyond which no view of it fits a player's line.
pub const MAX_ENTITIES: usize = 4096;
/// Most bytes of the reason for a refused input: it goes to a log line.
pub const MAX_REASON_BYTES: usize = 1024;
/// Most happenings of a tick: for each slot a join, a leave and its commands.
pub const MAX_HAPPENINGS: usize =
    crate::manifest::MAX_SLOTS * (2 + crate::pipeline::MAX_COMMANDS_PER_TICK);
/// Most bytes of one command or event, with its index.
pub const MAX_MESSAGE_BYTES: usize = crate::manifest::MAX_MESSAGE_BYTES;
