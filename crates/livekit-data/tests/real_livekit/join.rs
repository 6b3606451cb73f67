//! Joining a room on a real server, and who is seen there.

use crate::support::*;
use livekit_api::access_token::AccessToken;
use livekit_api::services::room::CreateRoomOptions;
use livekit_data::{CloseReason, ConnectError, Event, Participant};

#[tokio::test]
async fn the_session_says_who_and_where_one_is() {
    let server = LiveKit::shared();
    let (alice, _events) = server.join("session", "alice").await;
    let session = alice.session();
    assert_eq!(&*session.identity, "alice");
    assert!(session.sid.starts_with("PA_"), "{}", session.sid);
    assert_eq!(session.room, "session");
    assert!(session.room_sid.starts_with("RM_"), "{}", session.room_sid);
    assert!(
        session.server_version.starts_with("1."),
        "{}",
        session.server_version
    );
    assert_eq!(session.server_region, "");
}

#[tokio::test]
async fn participants_see_each_other_join_and_leave() {
    let server = LiveKit::shared();
    let [(_alice, mut alice_events), (bob, _bob_events)] = pair(&server, "presence").await;
    bob.close().await;
    assert_eq!(
        wait_for_leave(&mut alice_events).await,
        ("bob".into(), bob.session().sid.clone())
    );
}

#[tokio::test]
async fn one_who_comes_back_is_first_reported_as_having_left() {
    let server = LiveKit::shared();
    let [(_alice, mut events), (first, _first_events)] = pair(&server, "rejoin").await;
    let (second, _second_events) = server.join("rejoin", "bob").await;
    assert_eq!(
        wait_for_leave(&mut events).await,
        ("bob".into(), first.session().sid.clone())
    );
    assert_eq!(
        wait_for_join(&mut events, "bob").await,
        second.session().sid
    );
}

#[tokio::test]
async fn a_handler_is_called_on_the_way_and_last_with_the_end() {
    let server = LiveKit::shared();
    let (_alice, _alice_events) = server.join("handler", "alice").await;
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let options = server.options("handler", "bob");
    let bob = Participant::connect_with(options, move |event| {
        let _ = sender.send(event);
    })
    .await
    .unwrap();
    bob.close().await;
    let mut events = Vec::new();
    while let Some(event) = received.recv().await {
        events.push(event);
    }
    assert!(
        matches!(&events[0], Event::ParticipantJoined { identity, .. } if &**identity == "alice"),
        "{events:?}"
    );
    assert_eq!(events.last(), Some(&Event::Closed(CloseReason::Requested)));
}

#[tokio::test]
async fn a_full_room_refuses_players_but_takes_an_agent() {
    let server = LiveKit::shared();
    let options = CreateRoomOptions {
        max_participants: 1,
        ..Default::default()
    };
    server.rooms().create_room("full", options).await.unwrap();
    let (_alice, mut events) = server.join("full", "alice").await;

    let token = AccessToken::with_api_key(KEY, SECRET);
    let token = token
        .with_identity("authority")
        .with_kind("agent")
        .with_grants(grants("full"));
    let mut options = server.options("full", "authority");
    options.connection.token = token.to_jwt().unwrap().into();
    let (authority, _authority_events) = Participant::connect(options).await.unwrap();
    wait_for_join(&mut events, "authority").await;
    assert_eq!(&*authority.session().identity, "authority");

    let refused = Participant::connect(server.options("full", "bob"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Refused {
                reason: CloseReason::JoinFailed
            }
        ),
        "{refused:?}"
    );
}
