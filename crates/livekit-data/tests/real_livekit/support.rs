//! What tests do with a real LiveKit server.
pub(crate) mod certificate;
pub(crate) mod raw;
pub(crate) mod relay;

use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_api::services::room::RoomClient;
use livekit_data::{Channel, CloseReason, ConnectOptions, Event, Events, Packet, Participant};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use gs_test_services::{LiveKit, LiveKitOptions, Turn};
pub(crate) use relay::Relay;

pub(crate) const KEY: &str = LiveKit::KEY;
pub(crate) const SECRET: &str = LiveKit::SECRET;

/// How long a test waits for anything that has to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Ways into a server's rooms.
pub(crate) trait Rooms {
    fn rooms(&self) -> RoomClient;
    fn options(&self, room: &str, identity: &str) -> ConnectOptions;
    async fn join(&self, room: &str, identity: &str) -> (Participant, Events);
}

impl Rooms for LiveKit {
    fn rooms(&self) -> RoomClient {
        RoomClient::with_api_key(&self.http_url(), KEY, SECRET)
    }

    fn options(&self, room: &str, identity: &str) -> ConnectOptions {
        ConnectOptions::new(self.url(), token(room, identity))
    }

    async fn join(&self, room: &str, identity: &str) -> (Participant, Events) {
        Participant::connect(self.options(room, identity))
            .await
            .expect("joins")
    }
}

pub(crate) fn grants(room: &str) -> VideoGrants {
    VideoGrants {
        room_join: true,
        room: room.into(),
        ..Default::default()
    }
}

pub(crate) fn token(room: &str, identity: &str) -> String {
    let token = AccessToken::with_api_key(KEY, SECRET);
    token
        .with_identity(identity)
        .with_grants(grants(room))
        .to_jwt()
        .unwrap()
}

/// The next event for which `pick` gives something, within the deadline.
pub(crate) async fn wait_for<T>(
    events: &mut Events,
    mut pick: impl FnMut(&Event) -> Option<T>,
) -> T {
    let wait = async {
        loop {
            let event = events.next().await.expect("the events go on");
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("within the deadline")
}

pub(crate) async fn wait_for_join(events: &mut Events, identity: &str) -> Arc<str> {
    wait_for(events, |event| match event {
        Event::ParticipantJoined {
            identity: joined,
            sid,
            ..
        } if **joined == *identity => Some(sid.clone()),
        _ => None,
    })
    .await
}

pub(crate) async fn wait_for_leave(events: &mut Events) -> (Arc<str>, Arc<str>) {
    wait_for(events, |event| match event {
        Event::ParticipantLeft { identity, sid } => Some((identity.clone(), sid.clone())),
        _ => None,
    })
    .await
}

pub(crate) async fn wait_for_close(events: &mut Events) -> CloseReason {
    wait_for(events, |event| match event {
        Event::Closed(reason) => Some(reason.clone()),
        _ => None,
    })
    .await
}

/// Two participants of one room that know of each other.
pub(crate) async fn pair(server: &LiveKit, room: &str) -> [(Participant, Events); 2] {
    let (alice, mut alice_events) = server.join(room, "alice").await;
    let (bob, mut bob_events) = server.join(room, "bob").await;
    wait_for_join(&mut alice_events, "bob").await;
    wait_for_join(&mut bob_events, "alice").await;
    [(alice, alice_events), (bob, bob_events)]
}

pub(crate) type Member = (Participant, Events);

/// What happens to the connection, as opposed to what comes over it.
pub(crate) fn connection_change(event: &Event) -> Option<Event> {
    let change = matches!(
        event,
        Event::Reconnecting(_) | Event::Resumed | Event::Rejoined { .. } | Event::Closed(_)
    );
    change.then(|| event.clone())
}

/// Packets pass both ways on both channels; lossy ones are sent until one arrives.
pub(crate) async fn exchange(alice: &mut Member, bob: &mut Member) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    for channel in [Channel::Reliable, Channel::Lossy] {
        for forth in [true, false] {
            let (from, to) = match forth {
                true => (&alice.0, &mut bob.1),
                false => (&bob.0, &mut alice.1),
            };
            let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            let packet = Packet {
                topic: "exchange",
                payload: &number,
                channel,
                destinations: &[],
            };
            let sending = async {
                from.send(packet).unwrap();
                let mut clock = tokio::time::interval(Duration::from_millis(20));
                loop {
                    clock.tick().await;
                    if channel == Channel::Lossy {
                        from.send(packet).unwrap();
                    }
                }
            };
            let arrives = wait_for(to, |event| match event {
                Event::Data { payload, .. } => (payload[..] == number).then_some(()),
                _ => None,
            });
            tokio::select! {
                () = sending => {}
                () = arrives => {}
            }
        }
    }
}
