//! The server asks a participant to connect again, as it does before it moves or stops.

use crate::support::*;
use livekit_api::services::room::UpdateParticipantOptions;
use livekit_data::{Event, Loss, Participant};
use livekit_protocol as proto;
use prost::Message as _;
use proto::leave_request::Action;
use proto::signal_response::Message as Response;

/// Adds a leave request to the next update that the server sends.
async fn ask(room: &str, action: Action) -> (Event, Event) {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut options = server.options(room, "alice");
    options.url = relay.url().to_owned();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join(room, "bob").await;
    exchange(&mut alice, &mut bob).await;
    let mut asked = false;
    relay.change(move |response| {
        let is_update = matches!(response.message, Some(Response::Update(_)));
        let mut messages = vec![response.encode_to_vec()];
        if is_update && !std::mem::replace(&mut asked, true) {
            let leave = proto::LeaveRequest {
                action: action as i32,
                ..Default::default()
            };
            let leave = proto::SignalResponse {
                message: Some(Response::Leave(leave)),
            };
            messages.push(leave.encode_to_vec());
        }
        messages
    });
    let rename = UpdateParticipantOptions {
        name: "Alice".into(),
        ..Default::default()
    };
    let rooms = server.rooms();
    rooms
        .update_participant(room, "alice", rename)
        .await
        .unwrap();
    let lost = wait_for(&mut alice.1, connection_change).await;
    let back = wait_for(&mut alice.1, connection_change).await;
    exchange(&mut alice, &mut bob).await;
    (lost, back)
}

#[tokio::test]
async fn a_resume_is_done() {
    let (lost, back) = ask("asked-to-resume", Action::Resume).await;
    assert_eq!(lost, Event::Reconnecting(Loss::Server));
    assert_eq!(back, Event::Resumed);
}

#[tokio::test]
async fn a_reconnect_is_done() {
    let (lost, back) = ask("asked-to-reconnect", Action::Reconnect).await;
    assert_eq!(lost, Event::Reconnecting(Loss::Server));
    assert!(matches!(back, Event::Rejoined { .. }), "{back:?}");
}
