//! The requests that open a WebSocket, as path and query.

use base64::Engine as _;
use livekit_protocol as proto;
use prost::Message as _;

/// A new session with one peer connection: the offer goes with the request, so that the answer
/// comes with the first round trip (`/rtc/v1` in livekit-server's `pkg/service/rtcservice.go`).
pub(super) fn join(offer: proto::SessionDescription) -> String {
    wrapped(&proto::JoinRequest {
        publisher_offer: Some(offer),
        ..request()
    })
}

/// The session that was there, with a new WebSocket.
pub(super) fn resume(sid: &str) -> String {
    wrapped(&proto::JoinRequest {
        reconnect: true,
        reconnect_reason: proto::ReconnectReason::RrSignalDisconnected as i32,
        participant_sid: sid.into(),
        ..request()
    })
}

/// A new session with two peer connections.
pub(super) fn join_with_two() -> String {
    format!(
        "/rtc?sdk=rust&version={}&protocol={PROTOCOL_VERSION}&auto_subscribe=0",
        env!("CARGO_PKG_VERSION")
    )
}

pub(super) fn resume_with_two(sid: &str) -> String {
    // The server chose it, so it may hold anything.
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let sid: String = sid.chars().filter(plain).collect();
    format!("{}&reconnect=1&sid={sid}", join_with_two())
}

fn request() -> proto::JoinRequest {
    proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Rust as i32,
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL_VERSION,
            ..Default::default()
        }),
        // Nothing is subscribed to: tracks would need media sections that are not in the offer.
        connection_settings: Some(proto::ConnectionSettings::default()),
        ..Default::default()
    }
}

fn wrapped(request: &proto::JoinRequest) -> String {
    let wrapped = proto::WrappedJoinRequest {
        compression: 0,
        join_request: request.encode_to_vec(),
    };
    // The server insists on the padding, which has to be escaped in a query.
    let encoded = base64::engine::general_purpose::URL_SAFE.encode(wrapped.encode_to_vec());
    format!("/rtc/v1?join_request={}", encoded.replace('=', "%3D"))
}

/// The signalling protocol that is spoken: 13 brought the action in a leave request, 16 is
/// current with livekit-server 1.13 (`pkg/rtc/types/protocol_version.go`).
const PROTOCOL_VERSION: i32 = 16;
