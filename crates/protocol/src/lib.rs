//! The wire contract between players and the authority, as `docs/wire.md` lays it down.
//!
//! - [`wire`]: the messages of `proto/gameserver.proto`, generated and committed.
//! - [`topic`], [`limits`]: what travels where, and how large it may be.
//! - [`decode`]: bytes of a peer to checked messages. Nothing here panics on any bytes, and nothing
//!   allocates more than a small multiple of a payload that is within its limit.
//! - [`input`]: the same for input packets, without a copy.
//! - [`encode`]: messages to bytes in a buffer that is used again and again.
//! - [`convert`]: domain types to messages and back.

pub mod convert;
pub mod decode;
pub mod encode;
pub mod input;

pub use decode::{
    ClientEvent, WireError, decode_chat, decode_client_event, decode_player_state,
    decode_relayed_chat, decode_server_event, decode_state_update,
};
pub use encode::{
    encode_chat, encode_client_event, encode_player_input, encode_player_state,
    encode_server_event, encode_state_bulk, encode_state_update,
};
pub use input::decode_player_input;

/// The messages of `proto/gameserver.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod wire {
    include!("generated/gameserver.v1.rs");
}

/// The LiveKit topics.
pub mod topic {
    /// [`wire::PlayerInput`](crate::wire::PlayerInput), lossy, player to authority.
    pub const INPUT: &str = "input";
    /// [`wire::StateUpdate`](crate::wire::StateUpdate), lossy, authority to players.
    pub const STATE: &str = "state";
    /// [`wire::ServerEvent`](crate::wire::ServerEvent) and
    /// [`wire::ClientEvent`](crate::wire::ClientEvent), reliable.
    pub const EVENTS: &str = "events";
    /// [`wire::ChatMessage`](crate::wire::ChatMessage), reliable.
    pub const CHAT: &str = "chat";
}

/// How large a payload may be, in bytes, and how many parts it may have.
pub mod limits {
    /// A `state` payload: one SCTP packet less LiveKit's envelope, so that the loss of one fragment
    /// never loses the rest.
    pub const STATE_BYTES: usize = 1_000;
    /// An `input` payload, for the same reason.
    pub const INPUT_BYTES: usize = 1_000;
    /// A `state` payload that goes reliably: a piece of a keyframe, or confirmed ticks to catch up
    /// with.
    pub const KEYFRAME_BYTES: usize = 16 << 10;
    /// What one player shares with the others in `observer`.
    pub const PLAYER_STATE_BYTES: usize = 900;
    /// Differences that one report of a mismatch names.
    pub const DIFFERENCES: usize = 16;
    /// An `events` payload, either way.
    pub const EVENT_BYTES: usize = 16 << 10;
    /// A chat text.
    pub const CHAT_TEXT_BYTES: usize = 500;
    /// A `chat` payload: a text, a username and the rest.
    pub const CHAT_BYTES: usize = 1_000;
    /// Frames of one `input` payload: a quarter of a second at 60 Hz, beyond which a repeat comes
    /// too late to matter.
    pub const INPUT_FRAMES: usize = 16;
}

/// The `version` of every message.
pub const VERSION: u32 = 1;

/// The LiveKit identity of the authority in each room. Being fixed, a new holder of a room's lease
/// evicts a stale one. No player can have it: player ids are UUIDs.
pub const AUTHORITY_IDENTITY: &str = "authority";
