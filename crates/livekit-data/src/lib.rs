//! A data-only [LiveKit] participant in pure Rust: it joins a room, sends and receives data
//! packets, and knows who else is there. It needs no libwebrtc; the transport is [str0m].
//!
//! - [`Connection`] is the protocol as a state machine: bytes and the time go in, bytes and
//!   events come out. No I/O, no clock, no tasks.
//! - [`Participant`] (feature `tokio`, on by default) runs one over a WebSocket and a UDP socket.
//!
//! ```no_run
//! use livekit_data::{Channel, ConnectOptions, Event, Packet, Participant};
//!
//! # async fn example(token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectOptions::new("ws://127.0.0.1:7880", token);
//! let (participant, mut events) = Participant::connect(options).await?;
//! participant.send(Packet {
//!     topic: "greeting",
//!     payload: b"hello",
//!     channel: Channel::Reliable,
//!     destinations: &[],
//! })?;
//! while let Some(event) = events.next().await {
//!     if let Event::Data { from, topic, payload, .. } = event {
//!         println!("{from} sent {} bytes about {topic}", payload.len());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it talks to the server
//!
//! Over `/rtc/v1` with one peer connection: the offer goes with the join request, the server
//! answers and trickles its candidates, and both directions use the two data channels that the
//! offer names (livekit-server's `pkg/service/rtcservice.go` and `pkg/rtc/transport.go`, and
//! [client protocol]). Tested against livekit-server 1.13.5. On the lossy channel nothing is
//! retransmitted and nothing is ordered. On the reliable one each packet carries a sequence
//! number, and one that comes twice is dropped. [Data tracks](TrackEvent), where
//! [switched on](DataTracks), go over a third channel, which is like the lossy one.
//!
//! # Staying connected
//!
//! A lost connection is got back without the caller ([`Reconnect`] says how far that goes):
//! [`Event::Reconnecting`], then [`Event::Resumed`], with which nothing was lost, or
//! [`Event::Rejoined`], a new session. SCTP (RFC 9260, section 6.3) would notice an outage after
//! one second and try again after 1, 3, 7 and more, whenever the link is back; so a watchdog asks a
//! quiet link by connectivity checks of its own (RFC 8445, section 11), resumes after 0.9 s of
//! silence (1.3 s at most while signalling works, since the link may come back by itself), and
//! gives a transport that does not go on 0.3 s from the first sign of life. Reliable messages are
//! kept until the server has them: its word on resuming (`last_message_seq` of `ReconnectResponse`)
//! decides, since what SCTP has acknowledged is not always handled when a session ends. Only where
//! nobody can be asked is a message given up and counted ([`Stats::reliable_lost`]); to send it
//! again might deliver it twice.
//!
//! # Ways through a network
//!
//! Datagrams go directly, or through the TURN servers (RFC 8656) that the server names: over UDP,
//! then TCP and TLS, when no direct way is open within a second, or at once and only so with
//! [`IcePolicy::Relay`] or where the server's configuration forces it. Signalling goes through the
//! proxy (`Proxies`) that the environment names, as does TURN over TCP and TLS, and trusts the
//! system's root certificates (`RootCertificates`) and those that are added. livekit-server tells
//! participants that its own TURN server is at port 443 for TLS, whatever `turn.tls_port` is, and
//! relays to no private address unless `turn.allow_restricted_peer_cidrs` lists it.
//!
//! # Deliberately absent
//!
//! - Media: nothing is published or subscribed to.
//! - Data streams and RPC, and the schemas and encryption of data tracks: such packets are ignored.
//! - ICE over TCP: where the server's UDP port cannot be reached, TURN is the way.
//! - TURN over DTLS, and TURN servers that send on to others (error 300).
//! - SOCKS proxies.
//!
//! [LiveKit]: https://livekit.io
//! [str0m]: https://docs.rs/str0m
//! [client protocol]: https://docs.livekit.io/reference/internals/client-protocol/

// cargo-fuzz and `cargo xtask fuzz` set `fuzzing`.
#![allow(unexpected_cfgs)]

mod connection;
mod crypto;
mod data_track;
mod event;
#[cfg(any(fuzzing, test))]
#[allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
#[doc(hidden)]
pub mod fuzz;
mod packet;
#[cfg(feature = "tokio")]
mod participant;
mod roster;
mod turn;

pub use connection::{
    Config, Connection, DataTracks, Dial, DialFailure, IcePolicy, OfferError, PeerConnections,
    Reconnect, Token, Transmit,
};
pub use data_track::{
    Frame, FrameError, LocalTrack, MAX_FRAME, PublishError, RemoteTrack, TrackEvent, TrackStats,
};
pub use event::{CloseReason, Event, Loss, ParticipantInfo, Permissions, Session, Stats};
pub use packet::{Channel, Encoder, Message, Packet, SendError};
#[cfg(feature = "tokio")]
pub use participant::{
    CertificateError, ConnectError, ConnectOptions, Events, JoinStage, Participant, Proxies,
    ProxySettings, RootCertificates,
};
pub use turn::{RelayError, RelayId, RelayRequest, RelaySecurity};

/// The README's example compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
