//! The server dies and is started again.

use crate::support::*;
use livekit_data::{CloseReason, Event, Loss, Participant, Reconnect};

#[tokio::test]
async fn everybody_comes_back_into_a_new_session() {
    let server = LiveKit::start(LiveKitOptions::auto_create());
    let [mut alice, mut bob] = pair(&server, "restart").await;
    let before = alice.0.session();
    server.kill();
    for (_, events) in [&mut alice, &mut bob] {
        let lost = wait_for(events, connection_change).await;
        assert_eq!(lost, Event::Reconnecting(Loss::Signal));
    }
    server.restart();
    for (_, events) in [&mut alice, &mut bob] {
        let back = wait_for(events, connection_change).await;
        assert!(matches!(back, Event::Rejoined { .. }), "{back:?}");
    }
    let after = alice.0.session();
    assert_eq!(after.identity, before.identity);
    assert_ne!(after.room_sid, before.room_sid);
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn one_who_may_only_resume_is_told_at_once() {
    let server = LiveKit::start(LiveKitOptions::auto_create());
    let mut options = server.options("only-resume", "alice");
    options.connection.reconnect = Reconnect::Resume;
    let (_alice, mut events) = Participant::connect(options).await.unwrap();
    server.kill();
    let reason = wait_for_close(&mut events).await;
    assert_eq!(reason, CloseReason::ConnectionLost);
}

#[tokio::test]
async fn a_room_that_is_gone_ends_it() {
    let server = LiveKit::start(LiveKitOptions::default());
    let options = livekit_api::services::room::CreateRoomOptions::default();
    server.rooms().create_room("gone", options).await.unwrap();
    let (_alice, mut events) = server.join("gone", "alice").await;
    server.kill();
    server.restart();
    let reason = wait_for_close(&mut events).await;
    assert_eq!(reason, CloseReason::RoomNotFound);
}
