//! Packets between two participants, through a real server.

use crate::support::*;
use livekit_data::{Channel, Event, Packet, SendError};
use std::collections::HashSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn each_side_reads_what_the_other_sent_and_from_whom() {
    let server = LiveKit::shared();
    let [(alice, mut alice_events), (bob, mut bob_events)] = pair(&server, "both-ways").await;
    for channel in [Channel::Reliable, Channel::Lossy] {
        for (sender, name, events) in [
            (&alice, "alice", &mut bob_events),
            (&bob, "bob", &mut alice_events),
        ] {
            let before = Instant::now();
            let payload = format!("from {name}");
            let packet = Packet {
                topic: "greeting",
                payload: payload.as_bytes(),
                channel,
                destinations: &[],
            };
            sender.send(packet).unwrap();
            let wait = wait_for(events, |event| match event {
                Event::Data {
                    from,
                    topic,
                    payload,
                    channel,
                    received,
                } => Some((
                    from.clone(),
                    topic.clone(),
                    payload.clone(),
                    *channel,
                    *received,
                )),
                _ => None,
            });
            let (from, topic, received, over, at) = wait.await;
            assert_eq!((&*from, &*topic), (name, "greeting"));
            assert_eq!((&received[..], over), (payload.as_bytes(), channel));
            assert!(at >= before && at <= Instant::now());
        }
    }
}

#[tokio::test]
async fn a_thousand_reliable_packets_arrive_in_order_under_back_pressure() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (_bob, mut bob_events)] = pair(&server, "in-order").await;
    // From a thread that knows nothing of tokio, as fast as it is let.
    let sending = std::thread::spawn(move || {
        let mut refused = 0;
        let mut payload = [0; 2000];
        let deadline = Instant::now() + DEADLINE;
        for number in 0_u32..1000 {
            payload[..4].copy_from_slice(&number.to_le_bytes());
            let packet = Packet {
                topic: "n",
                payload: &payload,
                channel: Channel::Reliable,
                destinations: &[],
            };
            while let Err(error) = alice.send(packet) {
                assert_eq!(error, SendError::Full);
                assert!(Instant::now() < deadline, "the queue never drained");
                refused += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        (alice, refused)
    });
    for number in 0_u32..1000 {
        let received = wait_for(&mut bob_events, |event| match event {
            Event::Data { payload, .. } => Some(payload.clone()),
            _ => None,
        })
        .await;
        assert_eq!(received.len(), 2000);
        assert_eq!(received[..4], number.to_le_bytes());
    }
    let (alice, refused) = sending.join().unwrap();
    assert!(
        refused > 0,
        "2 MB at once go beyond every buffer on the way"
    );
    assert_eq!(alice.stats().lossy_dropped_sending, 0);
}

#[tokio::test]
async fn closing_waits_for_reliable_packets_to_arrive() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (_bob, mut bob_events)] = pair(&server, "last-words").await;
    for number in 0_u8..100 {
        let payload = [number; 1000];
        let packet = Packet {
            topic: "n",
            payload: &payload,
            channel: Channel::Reliable,
            destinations: &[],
        };
        alice.send(packet).unwrap();
    }
    alice.close().await;
    let packet = Packet {
        topic: "n",
        payload: b"",
        channel: Channel::Reliable,
        destinations: &[],
    };
    assert_eq!(alice.send(packet), Err(SendError::Closed));
    let mut count = 0;
    while count < 100 {
        let number = wait_for(&mut bob_events, |event| match event {
            Event::Data { payload, .. } => Some(payload[0]),
            _ => None,
        })
        .await;
        assert_eq!(number, count);
        count += 1;
    }
}

#[tokio::test]
async fn lossy_packets_arrive_at_most_once_and_a_flood_is_dropped_and_counted() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (_bob, mut bob_events)] = pair(&server, "flood").await;
    const FLOOD: u32 = 20_000;
    for number in 0..FLOOD {
        let mut payload = [0; 1000];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        let packet = Packet {
            topic: "n",
            payload: &payload,
            channel: Channel::Lossy,
            destinations: &[],
        };
        alice.send(packet).unwrap();
    }
    let mut seen = HashSet::new();
    loop {
        let packet = wait_for(&mut bob_events, |event| match event {
            Event::Data { topic, payload, .. } => Some((topic.clone(), payload.clone())),
            _ => None,
        })
        .await;
        if &*packet.0 == "end" {
            break;
        }
        let number = u32::from_le_bytes(packet.1[..4].try_into().unwrap());
        assert!(seen.insert(number), "{number} came twice");
        if seen.len() == 1 {
            // Some of the flood came. Of the rest, what is alive may go before this or after it.
            let end = Packet {
                topic: "end",
                payload: b"",
                channel: Channel::Reliable,
                destinations: &[],
            };
            alice.send(end).unwrap();
        }
    }
    let dropped = alice.stats().lossy_dropped_sending;
    assert!(dropped > 0, "20 MB at once go beyond every buffer");
    assert!(seen.len() as u64 + dropped <= u64::from(FLOOD));
}
