//! What tests do with a real LiveKit server.
mod relay;

use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_api::services::room::RoomClient;
use livekit_data::{CloseReason, ConnectOptions, Event, Events, Participant};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use gs_test_services::{LiveKit, LiveKitOptions};
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
