//! The room service against a real LiveKit server, which has to be on `PATH`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use futures_util::StreamExt;
use gs_test_services::{LiveKit, LiveKitOptions, free_tcp_port};
use livekit_api::services::room::RoomClient;
use livekit_rooms::{LiveKitRooms, RoomError, RoomTokens, Rooms};
use tokio_tungstenite::tungstenite::Message;

const KEY: &str = LiveKit::KEY;
const SECRET: &str = LiveKit::SECRET;
const DEADLINE: Duration = Duration::from_secs(20);

fn server() -> (LiveKit, LiveKitRooms) {
    let server = LiveKit::start(LiveKitOptions::default());
    let rooms = LiveKitRooms::new(&server.http_url(), KEY, SECRET);
    (server, rooms)
}

#[tokio::test]
async fn a_room_is_created_as_the_specification_says_and_deleted_once() {
    let (server, rooms) = server();
    let sid = rooms.create_room("arena-0a1b2c3d", "arena").await.unwrap();
    assert!(sid.starts_with("RM_"), "{sid}");

    let client = RoomClient::with_api_key(&server.http_url(), KEY, SECRET);
    let listed = client.list_rooms(Vec::new()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].sid, sid);
    assert_eq!(
        (listed[0].empty_timeout, listed[0].max_participants),
        (300, 100)
    );
    assert_eq!(listed[0].metadata, r#"{"game":"arena"}"#);

    rooms.delete_room("arena-0a1b2c3d").await.unwrap();
    assert!(client.list_rooms(Vec::new()).await.unwrap().is_empty());
    rooms.delete_room("arena-0a1b2c3d").await.unwrap();
}

#[tokio::test]
async fn a_player_joins_with_the_token_is_muted_and_removed() {
    let (server, rooms) = server();
    rooms.create_room("arena-00000001", "arena").await.unwrap();
    let tokens = RoomTokens::new(KEY, SECRET);
    let player = tokens
        .player_token("p1", "Ada", "arena-00000001")
        .unwrap()
        .token;
    let authority = tokens.authority_token("arena-00000001").unwrap().token;

    let join = |token: String| {
        let url = format!(
            "{}/rtc?access_token={token}&protocol=15&sdk=rust",
            server.url()
        );
        async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
            let first = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
            assert!(matches!(first, Some(Ok(Message::Binary(_)))), "{first:?}");
            socket
        }
    };
    let mut player_socket = join(player).await;
    let _authority_socket = join(authority).await;

    let client = RoomClient::with_api_key(&server.http_url(), KEY, SECRET);
    let authority = client
        .get_participant("arena-00000001", "authority")
        .await
        .unwrap();
    assert_eq!(
        authority.kind(),
        livekit_protocol::participant_info::Kind::Agent
    );
    let permission = |info: livekit_protocol::ParticipantInfo| info.permission.unwrap();
    let before = permission(
        client
            .get_participant("arena-00000001", "p1")
            .await
            .unwrap(),
    );
    assert!(before.can_publish_data && before.can_subscribe && !before.can_publish);

    rooms.mute("arena-00000001", "p1").await.unwrap();
    let after = permission(
        client
            .get_participant("arena-00000001", "p1")
            .await
            .unwrap(),
    );
    assert!(!after.can_publish_data && after.can_subscribe && !after.can_publish);

    rooms
        .remove_participant("arena-00000001", "p1")
        .await
        .unwrap();
    let closed = async { while let Some(Ok(_)) = player_socket.next().await {} };
    tokio::time::timeout(DEADLINE, closed)
        .await
        .expect("a removed player is disconnected");
    rooms
        .remove_participant("arena-00000001", "p1")
        .await
        .unwrap();
    rooms.mute("arena-00000001", "nobody").await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_and_a_missing_server_are_told_apart() {
    let (server, _) = server();
    let wrong = LiveKitRooms::new(
        &server.http_url(),
        KEY,
        "another-secret-of-32-characters!!!!!",
    );
    let refused = wrong.create_room("arena-00000002", "arena").await;
    assert!(
        matches!(refused, Err(RoomError::Unauthorized { .. })),
        "{refused:?}"
    );
    let refused = wrong.ping().await;
    assert!(
        matches!(refused, Err(RoomError::Unauthorized { .. })),
        "{refused:?}"
    );
    let right = LiveKitRooms::new(&server.http_url(), KEY, SECRET);
    right.ping().await.unwrap();

    let nowhere = LiveKitRooms::new(&format!("ws://127.0.0.1:{}", free_tcp_port()), KEY, SECRET);
    let error = nowhere
        .create_room("arena-00000002", "arena")
        .await
        .unwrap_err();
    assert!(matches!(error, RoomError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    let error = nowhere.ping().await.unwrap_err();
    assert!(matches!(error, RoomError::Unreachable { .. }), "{error:?}");
}
