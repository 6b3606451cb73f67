//! What a connection reports.

use crate::Channel;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// Something that happened in the room.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A packet arrived.
    Data {
        /// Identity of the sender, as the server states it; a sender cannot choose it. Empty for
        /// packets from the server's own API and from hidden participants.
        from: Arc<str>,
        /// The topic that the sender named, empty if none.
        topic: Arc<str>,
        /// The sender's bytes, not checked in any way.
        payload: Bytes,
        /// The channel that it came over.
        channel: Channel,
        /// When its last datagram was read from the socket.
        received: Instant,
    },
    /// Another participant is in the room. One that was there before is reported right after
    /// joining. LiveKit reports those that publish no media up to 3 s late, so their packets may
    /// come first.
    ParticipantJoined {
        /// Unique in the room at any one time; the same after a reconnect.
        identity: Arc<str>,
        /// Unique for each time that somebody joins.
        sid: Arc<str>,
    },
    /// Another participant is no longer in the room. LiveKit notices an abrupt loss only after
    /// about 15 s, and reports the leaving of those that publish no media up to 3 s late.
    ParticipantLeft {
        /// As in [`Event::ParticipantJoined`].
        identity: Arc<str>,
        /// As in [`Event::ParticipantJoined`]. One who comes back with a new session is first
        /// reported as having left with the old one.
        sid: Arc<str>,
    },
    /// The connection is over; nothing follows.
    Closed(CloseReason),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side left.
    #[error("left the room")]
    Requested,
    /// Somebody joined with the same identity.
    #[error("another participant joined with the same identity")]
    DuplicateIdentity,
    /// The server's API removed this participant.
    #[error("removed from the room")]
    ParticipantRemoved,
    /// The server's API deleted the room.
    #[error("the room was deleted")]
    RoomDeleted,
    /// The room ended because nobody else kept it open.
    #[error("the room was closed")]
    RoomClosed,
    /// The server stops.
    #[error("the server is shutting down")]
    ServerShutdown,
    /// The network failed, or the server does not answer any more.
    #[error("the connection to the server was lost; join again")]
    ConnectionLost,
    /// The server gave up on the join: the room is full, or the connection took too long.
    #[error("the server ended the join; check whether the room is full")]
    JoinFailed,
    /// The application did not take its events in time, and dropping more of them would have
    /// lost reliable ones.
    #[error("events were not taken in time; take them faster, or handle them where they arrive")]
    SlowConsumer,
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// What joining told about the room and the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// This participant's identity, from its token.
    pub identity: Arc<str>,
    /// This participant's session id.
    pub sid: Arc<str>,
    /// Name of the room.
    pub room: String,
    /// Unique id of the room: a room of the same name that is made later has another.
    pub room_sid: String,
    /// The server's version, such as `1.13.5`.
    pub server_version: String,
    /// The server's region, empty if it has none configured.
    pub server_region: String,
}

/// What was counted since the connection was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lossy packets not sent because the line was too slow for them.
    pub lossy_dropped_sending: u64,
    /// Lossy packets that arrived and were dropped because the application was too slow.
    pub lossy_dropped_receiving: u64,
    /// Reliable packets that arrived twice; the second one was dropped.
    pub duplicates: u64,
    /// Datagrams, signalling messages and packets that could not be understood, and were dropped.
    pub malformed: u64,
}
