//! A session goes on when its WebSocket is lost in the middle of traffic.

use crate::support::*;
use livekit_data::{Channel, Event, Events, Loss, Packet, Participant};
use std::time::Duration;

#[tokio::test]
async fn six_hundred_of_six_hundred_arrive_in_order_while_the_signal_drops() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut options = server.options("resume", "alice");
    options.url = relay.url().to_owned();
    let (alice, mut alice_events) = Participant::connect(options).await.unwrap();
    let (bob, mut bob_events) = server.join("resume", "bob").await;
    wait_for_join(&mut alice_events, "bob").await;
    wait_for_join(&mut bob_events, "alice").await;
    let sid = alice.session().sid.clone();

    let sending = async {
        let mut clock = tokio::time::interval(Duration::from_millis(8));
        for number in 0..600_u32 {
            clock.tick().await;
            send_number(&alice, number).await;
            send_number(&bob, number).await;
            if [100, 300].contains(&number) {
                relay.cut_signal();
            }
        }
    };
    let (to_bob, (to_alice, changes), ()) = tokio::join!(
        receive_numbers(&mut bob_events, 600),
        receive_numbers(&mut alice_events, 600),
        sending
    );
    let all: Vec<u32> = (0..600).collect();
    assert_eq!(to_bob.0, all);
    assert_eq!(to_alice, all);
    assert_eq!(to_bob.1, []);
    let once = [Event::Reconnecting(Loss::Signal), Event::Resumed];
    assert_eq!(changes, [once.clone(), once].concat());
    assert_eq!(alice.session().sid, sid);
    assert_eq!(alice.stats().resumed, 2);
    assert_eq!(relay.tokens().len(), 3);
}

async fn send_number(participant: &Participant, number: u32) {
    let packet = Packet {
        topic: "number",
        payload: &number.to_le_bytes(),
        channel: Channel::Reliable,
        destinations: &[],
    };
    participant.send_in_turn(packet).await.unwrap();
}

/// So many numbers, and what happened to the connection meanwhile.
async fn receive_numbers(events: &mut Events, count: usize) -> (Vec<u32>, Vec<Event>) {
    let (mut numbers, mut changes) = (Vec::new(), Vec::new());
    while numbers.len() < count {
        wait_for(events, |event| {
            match event {
                Event::Data { payload, .. } => {
                    numbers.push(u32::from_le_bytes(payload[..].try_into().unwrap()));
                }
                Event::ParticipantJoined { .. } => {}
                change => changes.push(change.clone()),
            }
            Some(())
        })
        .await;
    }
    (numbers, changes)
}
