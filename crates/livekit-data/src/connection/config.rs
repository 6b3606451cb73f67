//! How a connection is made and kept.

use std::fmt;
use std::time::Duration;

/// How to join, and what to do when the network fails.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// An access token that grants `roomJoin` for one room.
    pub token: Token,
    /// How long joining may take before [`CloseReason::JoinTimedOut`](crate::CloseReason::JoinTimedOut);
    /// 15 s unless set. A line that loses a packet in twenty takes longer once in two hundred times.
    pub join_timeout: Duration,
    /// What to do when the connection is lost.
    pub reconnect: Reconnect,
    /// How long to try before [`CloseReason::ConnectionLost`](crate::CloseReason::ConnectionLost);
    /// 30 s unless set.
    pub reconnect_timeout: Duration,
    /// One peer connection or two.
    pub peer_connections: PeerConnections,
    /// Which addresses may carry datagrams.
    pub ice: IcePolicy,
    /// Whether data tracks are used.
    pub data_tracks: DataTracks,
    /// Seed of the jitter between attempts to reconnect.
    pub seed: u64,
}

/// What to do when the connection is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reconnect {
    /// Close.
    Never,
    /// Try once to resume the session, and close where that fails. For those who must not join
    /// again without asking somebody, or who have a better way to.
    Resume,
    /// Resume the session, and join anew where that fails.
    #[default]
    Full,
}

/// How many peer connections to make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PeerConnections {
    /// One, or two where the server does not know how to do with one.
    #[default]
    Auto,
    /// One for both directions, over `/rtc/v1`.
    One,
    /// One for each direction, over `/rtc`: for servers before 1.9.
    Two,
}

/// Which addresses may carry datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IcePolicy {
    /// The socket's own, and a TURN server's where that does not get through.
    #[default]
    All,
    /// Only a TURN server's.
    Relay,
}

/// Whether data tracks are used. A server before 1.13.6 can be crashed by a malformed packet on
/// one, so it should have them off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataTracks {
    /// They are not.
    #[default]
    Off,
    /// If the server is 1.13.6 or later.
    Auto,
    /// Whatever the server is.
    On,
}

/// An access token, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A WebSocket to open: at the server's address, in place of the one before.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Path and query.
    pub path: String,
    /// Goes as `Authorization: Bearer`.
    pub token: Token,
}

/// Why a WebSocket could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFailure {
    /// The server does not answer, or answers something strange; it may later.
    Unreachable,
    /// The server does not know the path: HTTP 404.
    UnknownPath,
    /// The server does not know the room.
    RoomNotFound,
    /// The token is not accepted: it may have expired.
    Unauthorized,
    /// The server does not take the participant now: the room is full, or it is at a limit.
    Refused,
}

impl Config {
    /// The usual configuration with this token.
    pub fn new(token: impl Into<String>) -> Self {
        Config {
            token: Token(token.into()),
            join_timeout: Duration::from_secs(15),
            reconnect: Reconnect::default(),
            reconnect_timeout: Duration::from_secs(30),
            peer_connections: PeerConnections::default(),
            ice: IcePolicy::default(),
            data_tracks: DataTracks::default(),
            seed: 0,
        }
    }
}

impl Token {
    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Token(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
