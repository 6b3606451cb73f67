//! Why a room could not be joined.

use crate::{CloseReason, OfferError};
use std::io;
use std::time::Duration;

/// Why a room could not be joined. No variant holds the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error(
        "the LiveKit URL is not usable: {reason}; it should look like ws://127.0.0.1:7880 or wss://example.livekit.cloud"
    )]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers at the server's address.
    #[error(
        "cannot reach LiveKit at {server}: {source}; check the URL, and that the server is running"
    )]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// The proxy that the environment or the options name does not let through.
    #[error(
        "cannot go through the proxy {proxy}: {reason}; check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or the options' own settings"
    )]
    Proxy {
        /// Host and port.
        proxy: String,
        /// What was wrong.
        reason: String,
    },
    /// No trusted encrypted connection.
    #[error(
        "cannot set up TLS with {server}: {source}; check the server's certificate, and that its root is one of the system's or of the options'"
    )]
    Tls {
        /// Host and port.
        server: String,
        /// What is wrong.
        source: io::Error,
    },
    /// No socket for datagrams.
    #[error("cannot bind a UDP socket: {0}; check the address to bind, if one is set")]
    Bind(io::Error),
    /// No connection can be offered from the bound address.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The server does not accept the token (HTTP 401).
    #[error(
        "LiveKit at {server} refuses the token; check that its API key and secret are the server's, that it has not expired, and that it grants roomJoin"
    )]
    Unauthorized {
        /// Host and port.
        server: String,
    },
    /// The token's room does not exist (HTTP 404), and the server makes none on joining.
    #[error(
        "the room does not exist at {server}, and the server is set not to create rooms on joining; create it first with the room service"
    )]
    RoomNotFound {
        /// Host and port.
        server: String,
    },
    /// The server is full, does not know `/rtc/v1`, or something else is at that address.
    #[error(
        "{server} answered the join with HTTP status {status} ({message}); check that the URL is that of a LiveKit server, version 1.9 or later, and not at its limits"
    )]
    UnexpectedStatus {
        /// Host and port.
        server: String,
        /// The HTTP status code.
        status: u16,
        /// The start of what the server said, without the token.
        message: String,
    },
    /// What answered does not speak the protocol.
    #[error(
        "{server} did not answer as a WebSocket server: {reason}; check that the URL is that of a LiveKit server"
    )]
    Protocol {
        /// Host and port.
        server: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The server let the participant in, and ended the session before it was complete.
    #[error("LiveKit ended the join: {reason}")]
    Refused {
        /// The server's reason.
        reason: CloseReason,
    },
    /// Joining took too long.
    #[error("joining took longer than {after:?}: {stage}")]
    Timeout {
        /// What was being waited for.
        stage: JoinStage,
        /// The timeout that was set.
        after: Duration,
    },
}

/// What a join waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinStage {
    /// A TCP connection to the server.
    #[error("the server does not answer; check the URL, and that a firewall lets it through")]
    Reach,
    /// The server's word on the token and the room.
    #[error("the server does not answer the join request; check its log")]
    Signal,
    /// Datagrams to and from the server.
    #[error(
        "no datagrams get through; check rtc.node_ip in the server's configuration, and that its rtc.udp_port can be reached"
    )]
    Media,
}
