//! Packets to some of a room only.

use crate::support::*;
use livekit_data::{Channel, Event, Packet};

#[tokio::test]
async fn only_the_named_destinations_receive_a_packet() {
    let server = LiveKit::shared();
    let [(alice, mut alice_events), (_bob, mut bob_events)] = pair(&server, "named").await;
    let (_carol, mut carol_events) = server.join("named", "carol").await;
    wait_for_join(&mut alice_events, "carol").await;

    let to_carol = ["carol".to_owned()];
    let packet = |payload, destinations| Packet {
        topic: "secret",
        payload,
        channel: Channel::Reliable,
        destinations,
    };
    alice.send(packet(b"for carol", &to_carol)).unwrap();
    alice.send(packet(b"for all", &[])).unwrap();

    let received = async |events: &mut _| {
        wait_for(events, |event| match event {
            Event::Data { payload, .. } => Some(payload.clone()),
            _ => None,
        })
        .await
    };
    // Reliable packets keep their order, so whoever gets the second one first never got the first.
    assert_eq!(&received(&mut carol_events).await[..], b"for carol");
    assert_eq!(&received(&mut carol_events).await[..], b"for all");
    assert_eq!(&received(&mut bob_events).await[..], b"for all");
}

#[tokio::test]
async fn a_packet_from_the_servers_own_api_has_no_sender() {
    let server = LiveKit::shared();
    let (_alice, mut events) = server.join("from-api", "alice").await;
    let options = livekit_api::services::room::SendDataOptions {
        topic: Some("notice".into()),
        ..Default::default()
    };
    server
        .rooms()
        .send_data("from-api", b"hello".to_vec(), options)
        .await
        .unwrap();
    let (from, topic) = wait_for(&mut events, |event| match event {
        Event::Data { from, topic, .. } => Some((from.clone(), topic.clone())),
        _ => None,
    })
    .await;
    assert_eq!((&*from, &*topic), ("", "notice"));
}
