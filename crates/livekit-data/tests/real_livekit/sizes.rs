//! The largest packets that a real server carries, and larger ones.

use crate::support::*;
use livekit_data::{Channel, Event, Packet, SendError};

#[tokio::test]
async fn the_largest_packets_arrive_and_larger_ones_are_refused() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (_bob, mut bob_events)] = pair(&server, "sizes").await;
    let payload = vec![0xa5; 100_000];
    let to_bob = ["bob".to_owned()];
    for destinations in [&[][..], &to_bob] {
        for channel in [Channel::Reliable, Channel::Lossy] {
            let packet = Packet {
                topic: "size",
                payload: &payload,
                channel,
                destinations,
            };
            let Err(SendError::TooLarge { len, max }) = alice.send(packet) else {
                panic!("100 kB were accepted")
            };
            assert_eq!(len, payload.len());
            let expected = if channel == Channel::Reliable {
                65_000..65_536
            } else {
                1_000..1_156
            };
            assert!(expected.contains(&max), "{channel:?}: {max}");

            let larger = Packet {
                payload: &payload[..max + 1],
                ..packet
            };
            assert_eq!(
                alice.send(larger),
                Err(SendError::TooLarge { len: max + 1, max })
            );
            alice
                .send(Packet {
                    payload: &payload[..max],
                    ..packet
                })
                .unwrap();
            let received = wait_for(&mut bob_events, |event| match event {
                Event::Data {
                    payload,
                    channel: over,
                    ..
                } if *over == channel => Some(payload.clone()),
                _ => None,
            })
            .await;
            assert_eq!(received.len(), max);
            assert!(received.iter().all(|byte| *byte == 0xa5));
        }
    }
}

#[tokio::test]
async fn an_empty_packet_arrives() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (_bob, mut bob_events)] = pair(&server, "empty").await;
    let packet = Packet {
        topic: "",
        payload: b"",
        channel: Channel::Reliable,
        destinations: &[],
    };
    alice.send(packet).unwrap();
    let received = wait_for(&mut bob_events, |event| match event {
        Event::Data { topic, payload, .. } => Some((topic.clone(), payload.clone())),
        _ => None,
    })
    .await;
    assert_eq!((&*received.0, &received.1[..]), ("", &b""[..]));
}

#[tokio::test]
async fn destinations_that_leave_no_room_are_refused() {
    let server = LiveKit::shared();
    let (alice, _events) = server.join("crowd", "alice").await;
    let crowd: Vec<String> = (0..40)
        .map(|i| format!("0197f0a0-0000-7000-8000-{i:012}"))
        .collect();
    let packet = Packet {
        topic: "",
        payload: b"x",
        channel: Channel::Lossy,
        destinations: &crowd,
    };
    assert_eq!(
        alice.send(packet),
        Err(SendError::TooLarge { len: 1, max: 0 })
    );
}
