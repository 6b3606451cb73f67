//! What a connection reports.

use crate::{Channel, RelayError, TrackEvent, TrackStats};
use bytes::Bytes;
use livekit_protocol as proto;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Something that happened in the room.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
        /// What the participant says of itself.
        info: Arc<ParticipantInfo>,
    },
    /// Another participant's name, metadata or attributes have changed.
    ParticipantChanged {
        /// As in [`Event::ParticipantJoined`].
        identity: Arc<str>,
        /// As in [`Event::ParticipantJoined`].
        sid: Arc<str>,
        /// What it is now.
        info: Arc<ParticipantInfo>,
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
    /// The server gave this participant other permissions.
    PermissionsChanged(Permissions),
    /// The connection is lost, and being got back. Reliable packets that are sent meanwhile wait,
    /// lossy ones are dropped unless datagrams still get through.
    Reconnecting(Loss),
    /// The connection is back, in the same session. Reliable packets are complete in both
    /// directions.
    Resumed,
    /// The connection is back, in a new session of the same identity; who left meanwhile has been
    /// reported before. Packets of others that were on their way may be lost: those who number
    /// theirs can tell.
    Rejoined {
        /// The new session.
        session: Box<Session>,
        /// Own reliable packets of which nobody knows whether they arrived: the server could not
        /// say, so they were not sent again. All others have arrived or will.
        reliable_lost: u64,
    },
    /// Something happened to a data track; only where the configuration allows them.
    Track(TrackEvent),
    /// The connection is over; nothing follows.
    Closed(CloseReason),
}

/// What a participant says of itself; LiveKit's tokens and API set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParticipantInfo {
    /// A name to show, empty if none.
    pub name: String,
    /// Whatever the application put there, empty if none.
    pub metadata: String,
    /// Whatever the application put there, by key.
    pub attributes: BTreeMap<String, String>,
    /// Joined with a token of the kind `agent`.
    pub is_agent: bool,
}

/// What a participant may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Send packets.
    pub can_publish_data: bool,
    /// Receive tracks. Packets arrive in any case.
    pub can_subscribe: bool,
    /// Change its own name, metadata and attributes.
    pub can_update_metadata: bool,
    /// It is not shown to others.
    pub hidden: bool,
}

/// Why a connection has to be got back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// The WebSocket failed, or pings over it were not answered.
    #[error("the connection for signalling was lost")]
    Signal,
    /// No datagram has arrived for almost a second.
    #[error("no datagrams arrive")]
    Silence,
    /// The transport for datagrams ended or failed.
    #[error("the transport for datagrams ended")]
    Transport,
    /// The server asked for it.
    #[error("the server asked to connect again")]
    Server,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// The room is not there any more, and the server makes no new one.
    #[error("the room does not exist; create it before joining again")]
    RoomNotFound,
    /// The token is not accepted, most likely since it has expired.
    #[error("the server does not accept the token; join again with a new one")]
    Unauthorized,
    /// Only TURN servers may be used, and none of them can; the last one's reason.
    #[error("no relay: {0}")]
    NoRelay(RelayError),
    /// The network failed, or the server does not answer any more.
    #[error("the connection to the server was lost; join again")]
    ConnectionLost,
    /// Joining took longer than it may.
    #[error("the room could not be joined in time; check that datagrams reach the server")]
    JoinTimedOut,
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
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Stats {
    /// Lossy packets not sent because the line was too slow for them, or down.
    pub lossy_dropped_sending: u64,
    /// Lossy packets and frames of data tracks that arrived and were dropped because the
    /// application was too slow.
    pub lossy_dropped_receiving: u64,
    /// Reliable packets given up with an old session (see [`Event::Rejoined`]), or on their way
    /// from a handle when the connection ended or the permission to send was taken away.
    pub reliable_lost: u64,
    /// Reliable packets that arrived twice; the second one was dropped.
    pub duplicates: u64,
    /// Signalling messages that could not be understood, or did not fit, and were dropped.
    pub malformed_signals: u64,
    /// Packets that could not be understood, and were dropped.
    pub malformed_packets: u64,
    /// Datagrams that did not belong to the session, and were dropped.
    pub foreign_datagrams: u64,
    /// How often the session was resumed.
    pub resumed: u64,
    /// How often a new session took the place of a lost one.
    pub rejoined: u64,
    /// What was counted about data tracks.
    pub tracks: TrackStats,
}

impl Event {
    /// Bytes that others can make it take, roughly.
    #[cfg(feature = "tokio")]
    pub(crate) fn size(&self) -> usize {
        match self {
            Event::Data { topic, payload, .. } => topic.len() + payload.len(),
            Event::ParticipantJoined { info, .. } | Event::ParticipantChanged { info, .. } => {
                info.size()
            }
            Event::Track(TrackEvent::Frame(frame)) => frame.payload.len(),
            _ => 0,
        }
    }
}

impl Permissions {
    /// A server that says nothing forbids nothing.
    pub(crate) fn of(permission: Option<&proto::ParticipantPermission>) -> Self {
        let Some(permission) = permission else {
            return Permissions {
                can_publish_data: true,
                can_subscribe: true,
                ..Permissions::default()
            };
        };
        Permissions {
            can_publish_data: permission.can_publish_data,
            can_subscribe: permission.can_subscribe,
            can_update_metadata: permission.can_update_metadata,
            hidden: permission.hidden,
        }
    }
}

impl ParticipantInfo {
    pub(crate) fn of(info: &proto::ParticipantInfo) -> Self {
        ParticipantInfo {
            name: info.name.clone(),
            metadata: info.metadata.clone(),
            attributes: info.attributes.clone().into_iter().collect(),
            is_agent: info.kind == proto::participant_info::Kind::Agent as i32,
        }
    }

    /// Bytes that it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter();
        let attributes: usize = attributes.map(|(key, value)| key.len() + value.len()).sum();
        self.name.len() + self.metadata.len() + attributes
    }

    pub(crate) fn differs(&self, info: &proto::ParticipantInfo) -> bool {
        let same_attributes = self.attributes.len() == info.attributes.len()
            && self
                .attributes
                .iter()
                .all(|(key, value)| info.attributes.get(key) == Some(value));
        self.name != info.name || self.metadata != info.metadata || !same_attributes
    }
}
