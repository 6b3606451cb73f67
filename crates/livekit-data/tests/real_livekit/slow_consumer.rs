//! An application that does not take its events.

use crate::support::*;
use livekit_data::{Channel, CloseReason, Event, Events, Packet, Participant, SendError};
use std::time::{Duration, Instant};

#[tokio::test]
async fn lossy_packets_are_dropped_before_reliable_ones_are_lost() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (bob, mut bob_events)] = pair(&server, "slow").await;
    send_numbers(&alice, 0..3_500).await;
    until(|| {
        let packet = Packet {
            topic: "lossy",
            payload: b"",
            channel: Channel::Lossy,
            destinations: &[],
        };
        alice.send(packet).unwrap();
        bob.stats().lossy_dropped_receiving > 0
    })
    .await;
    assert!(
        take_numbers(&mut bob_events, 3_500).await.is_none(),
        "bob is still there"
    );
}

#[tokio::test]
async fn when_reliable_packets_do_not_fit_either_the_participant_leaves_and_says_so() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (bob, mut bob_events)] = pair(&server, "stuck").await;
    send_numbers(&alice, 0..5_000).await;
    let packet = Packet {
        topic: "",
        payload: b"",
        channel: Channel::Lossy,
        destinations: &[],
    };
    until(|| bob.send(packet) == Err(SendError::Closed)).await;
    let reason = take_numbers(&mut bob_events, 5_000).await;
    assert_eq!(reason, Some(CloseReason::SlowConsumer));
    assert_eq!(bob_events.next().await, None);
}

#[tokio::test]
async fn long_packets_fill_the_queue_before_they_fill_the_memory() {
    let server = LiveKit::shared();
    let [(alice, _alice_events), (bob, mut bob_events)] = pair(&server, "stuffed").await;
    let long = vec![1; 60_000];
    let packet = |payload| Packet {
        topic: "",
        payload,
        channel: Channel::Reliable,
        destinations: &[],
    };
    let sending = async {
        loop {
            alice.send_in_turn(packet(&long)).await.unwrap();
        }
    };
    tokio::select! {
        () = sending => {}
        () = until(|| bob.send(packet(&[])) == Err(SendError::Closed)) => {}
    }
    let (mut bytes, mut closed) = (0, None);
    while let Some(event) = bob_events.next().await {
        match event {
            Event::Data { payload, .. } => bytes += payload.len(),
            Event::Closed(reason) => closed = Some(reason),
            _ => {}
        }
    }
    assert_eq!(closed, Some(CloseReason::SlowConsumer));
    assert!((15_000_000..17_000_000).contains(&bytes), "{bytes}");
}

async fn send_numbers(sender: &Participant, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let payload = number.to_le_bytes();
        let packet = Packet {
            topic: "n",
            payload: &payload,
            channel: Channel::Reliable,
            destinations: &[],
        };
        until(|| match sender.send(packet) {
            Err(SendError::Full) => false,
            sent => sent.map(|()| true).unwrap(),
        })
        .await;
    }
}

/// Takes `count` numbered packets, which have no gap, or those before the end and its reason.
async fn take_numbers(events: &mut Events, count: u32) -> Option<CloseReason> {
    let mut next = 0;
    while next < count {
        let event = tokio::time::timeout(DEADLINE, events.next())
            .await
            .unwrap()
            .unwrap();
        match event {
            Event::Data { topic, payload, .. } if &*topic == "n" => {
                assert_eq!(payload[..], next.to_le_bytes());
                next += 1;
            }
            Event::Closed(reason) => return Some(reason),
            _ => {}
        }
    }
    None
}

async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "it did not happen within the deadline"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
