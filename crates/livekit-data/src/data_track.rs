//! Data tracks: LiveKit's lossy streams of frames, each with a name and a publisher.
//!
//! A frame may be longer than one packet: it is cut into packets of one SCTP packet each and put
//! together again by the receiver, which delivers frames in order and drops those that come late
//! or never become whole. The server forwards a track only to those who subscribe to it.
//!
//! Sources: livekit-server 1.13.5, `pkg/rtc/datatrack/packet.go` (the header),
//! `pkg/rtc/participant_data_track.go` and `pkg/rtc/subscriptionmanager.go` (signalling); and
//! livekit-client 2.23, `src/room/data-track`.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

mod announced;
mod header;
mod published;
mod receiver;
mod sender;
mod tracks;

pub(crate) use sender::FRAME_PACKETS;
pub use sender::MAX_FRAME;
pub(crate) use tracks::{LABEL, Tracks};

/// A data track that this participant publishes. It stays the same over resumes and rejoins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalTrack(pub(crate) u16);

/// A data track that another participant publishes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteTrack {
    /// Identity of the participant that publishes it.
    pub publisher: Arc<str>,
    /// The name that its publisher gave to it, 1 to 256 bytes; one of a kind at its publisher.
    pub name: Arc<str>,
    /// Unique for each time that a track is published.
    pub sid: Arc<str>,
    /// Whether its frames are encrypted from end to end. They are delivered as they come: this
    /// crate has no keys.
    pub encrypted: bool,
}

/// A frame of a data track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The track that it belongs to.
    pub track: Arc<RemoteTrack>,
    /// The publisher's bytes, not checked in any way.
    pub payload: Bytes,
    /// When it was sent by the publisher's clock, which begins anywhere, counts 90,000 a second
    /// and wraps around.
    pub timestamp: u32,
    /// A time that the publisher attached, in its own unit.
    pub user_timestamp: Option<u64>,
    /// When its last packet was read from the socket.
    pub received: Instant,
}

/// Something that happened to a data track: a stream of frames with a name and a publisher, which
/// the server forwards to those who subscribe to it.
///
/// A frame may be longer than one packet. Frames arrive whole and in order; one that is late or
/// lost in part is dropped and [counted](TrackStats), which makes a track a carrier for state of
/// which the latest matters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackEvent {
    /// The server accepted a track of this participant: frames can be sent from now on. Comes
    /// once for each track, even when it is published again because of a rejoin.
    Accepted {
        /// The track.
        track: LocalTrack,
        /// Its name.
        name: Arc<str>,
    },
    /// A track of this participant was not accepted, and is gone.
    Refused {
        /// The track.
        track: LocalTrack,
        /// Its name.
        name: Arc<str>,
        /// Why.
        error: PublishError,
    },
    /// A track of this participant is no longer published.
    Ended {
        /// The track.
        track: LocalTrack,
        /// Its name.
        name: Arc<str>,
        /// Why, if this participant did not ask for it.
        error: Option<PublishError>,
    },
    /// Another participant publishes a track. One that was there before is reported right after
    /// joining.
    Published(Arc<RemoteTrack>),
    /// Another participant's track is no longer published, or its publisher has left.
    Unpublished(Arc<RemoteTrack>),
    /// The server forwards this track from now on. Comes again after a rejoin.
    Subscribed(Arc<RemoteTrack>),
    /// A frame arrived.
    Frame(Frame),
}

/// Why a data track is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The token does not allow to publish data, or the server has data tracks switched off.
    #[error(
        "the server does not let this participant publish data tracks; check canPublishData in its token, and enable_data_tracks in the server's configuration"
    )]
    NotPermitted,
    /// The name is empty or too long.
    #[error("the name of a data track takes 1 to 256 bytes, but this one has {len}")]
    Name {
        /// Length of the name in bytes.
        len: usize,
    },
    /// This participant publishes a track of the same name.
    #[error("a data track of this name is already published; unpublish it first")]
    DuplicateName,
    /// As many tracks are published as may be.
    #[error("{max} data tracks are published, which is the most; unpublish one first")]
    TooMany {
        /// How many tracks one participant may publish.
        max: usize,
    },
    /// The server did not answer in time; one that knows no data tracks never does.
    #[error("the server did not answer the request to publish within 10 s; it may be too old")]
    Timeout,
    /// Data tracks are off, or the server is too old for them to be switched on by themselves.
    #[error("data tracks are not used with this server; set `data_tracks` to `On` to use them")]
    Off,
    /// Not in a room.
    #[error("not in a room; join first")]
    Closed,
    /// Anything else, in the server's words.
    #[error("the server refused the data track: {0}")]
    Other(String),
}

/// Why a frame was not accepted for sending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The track is not published, or not yet: see [`TrackEvent::Accepted`].
    #[error("the data track is not published; wait until the server has accepted it")]
    NotPublished,
    /// The frame is too long.
    #[error("a frame of {len} bytes was given where {max} fit; split it")]
    TooLarge {
        /// Length of the frame in bytes.
        len: usize,
        /// The longest frame in bytes, [`MAX_FRAME`].
        max: usize,
    },
    /// Not in a room.
    #[error("not in a room; join first")]
    Closed,
}

/// What was counted about data tracks since the connection was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackStats {
    /// Frames that were handed to the transport.
    pub sent: u64,
    /// Frames that were not sent, because the line was too slow for them or the connection was
    /// being restored.
    pub dropped_sending: u64,
    /// Frames that came whole and in order, and were delivered.
    pub received: u64,
    /// Frames between two delivered ones of the same track that did not become whole in time.
    pub missed: u64,
    /// Packets that came twice, or when a newer frame had been delivered.
    pub late: u64,
    /// Packets of tracks that are not subscribed to, or no longer.
    pub unknown: u64,
    /// Packets that could not be understood.
    pub malformed: u64,
}
