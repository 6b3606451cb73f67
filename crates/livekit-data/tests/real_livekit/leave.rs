//! Every way that a stay in a room ends.

use crate::support::*;
use livekit_data::{Channel, CloseReason, Packet, Participant, SendError};
use std::time::Duration;

#[tokio::test]
async fn leaving_is_reported_to_oneself() {
    let server = LiveKit::shared();
    let (alice, mut events) = server.join("leaving", "alice").await;
    alice.close().await;
    assert_eq!(wait_for_close(&mut events).await, CloseReason::Requested);
    assert_eq!(events.next().await, None);
    alice.close().await; // once more does no harm
}

#[tokio::test]
async fn dropping_every_handle_leaves() {
    let server = LiveKit::shared();
    let (alice, mut events) = server.join("dropping", "alice").await;
    let clone = alice.clone();
    drop(alice);
    let packet = Packet {
        topic: "",
        payload: b"",
        channel: Channel::Reliable,
        destinations: &[],
    };
    clone.send(packet).unwrap();
    drop(clone);
    assert_eq!(wait_for_close(&mut events).await, CloseReason::Requested);
}

#[tokio::test]
async fn a_removed_participant_is_told_so() {
    let server = LiveKit::shared();
    let (alice, mut events) = server.join("removing", "alice").await;
    server
        .rooms()
        .remove_participant("removing", "alice")
        .await
        .unwrap();
    assert_eq!(
        wait_for_close(&mut events).await,
        CloseReason::ParticipantRemoved
    );
    let packet = Packet {
        topic: "",
        payload: b"",
        channel: Channel::Lossy,
        destinations: &[],
    };
    alice.close().await;
    assert_eq!(alice.send(packet), Err(SendError::Closed));
}

#[tokio::test]
async fn the_first_of_two_with_one_identity_is_evicted() {
    let server = LiveKit::shared();
    let (_first, mut first_events) = server.join("twice", "alice").await;
    let (second, _second_events) = server.join("twice", "alice").await;
    assert_eq!(
        wait_for_close(&mut first_events).await,
        CloseReason::DuplicateIdentity
    );
    let packet = Packet {
        topic: "",
        payload: b"",
        channel: Channel::Reliable,
        destinations: &[],
    };
    second.send(packet).unwrap();
}

#[tokio::test]
async fn a_deleted_room_ends_for_everyone() {
    let server = LiveKit::shared();
    let [(_alice, mut alice_events), (_bob, mut bob_events)] = pair(&server, "deleting").await;
    server.rooms().delete_room("deleting").await.unwrap();
    assert_eq!(
        wait_for_close(&mut alice_events).await,
        CloseReason::RoomDeleted
    );
    assert_eq!(
        wait_for_close(&mut bob_events).await,
        CloseReason::RoomDeleted
    );
}

#[tokio::test]
async fn a_killed_server_is_a_lost_connection() {
    let server = LiveKit::start(LiveKitOptions::auto_create());
    let mut options = server.options("killing", "alice");
    options.connection.reconnect_timeout = Duration::from_secs(1);
    let (alice, mut events) = Participant::connect(options).await.unwrap();
    server.kill();
    assert_eq!(
        wait_for_close(&mut events).await,
        CloseReason::ConnectionLost
    );
    tokio::time::timeout(DEADLINE, alice.close())
        .await
        .expect("closing does not hang");
}
