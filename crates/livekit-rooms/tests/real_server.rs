//! The room service against a real LiveKit server, which has to be on `PATH`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use livekit_api::services::room::RoomClient;
use livekit_rooms::{LiveKitRooms, RoomError, RoomTokens, Rooms};
use tokio_tungstenite::tungstenite::Message;

const KEY: &str = "devkey";
const SECRET: &str = "a-secret-of-at-least-32-characters!!";
const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    process: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let (port, tcp, udp) = (free_tcp_port(), free_tcp_port(), free_udp_port());
        let config = format!(
            "port: {port}\nbind_addresses: [127.0.0.1]\nkeys: {{{KEY}: '{SECRET}'}}\n\
             room: {{auto_create: false}}\nenable_data_tracks: false\n\
             rtc: {{udp_port: {udp}, tcp_port: {tcp}, node_ip: 127.0.0.1, use_external_ip: false, \
             enable_loopback_candidate: true, interfaces: {{includes: [lo]}}}}\n"
        );
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("livekit.yaml");
        std::fs::write(&path, config).unwrap();
        let program = std::env::var_os("LIVEKIT_SERVER").unwrap_or_else(|| "livekit-server".into());
        let process = Command::new(program)
            .arg("--config")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "livekit-server is not on PATH, and LIVEKIT_SERVER does not name it: \
                 go install github.com/livekit/livekit-server/cmd/server@v1.13.5",
            );
        let server = Self {
            process,
            port,
            _directory: directory,
        };
        let client = RoomClient::with_api_key(&server.url(), KEY, SECRET);
        let started = Instant::now();
        while let Err(error) = client.list_rooms(Vec::new()).await {
            assert!(
                started.elapsed() < DEADLINE,
                "livekit-server does not answer: {error}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn rooms(&self) -> LiveKitRooms {
        LiveKitRooms::new(&self.url(), KEY, SECRET)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test]
async fn a_room_is_created_as_the_specification_says_and_deleted_once() {
    let server = Server::start().await;
    let rooms = server.rooms();
    let sid = rooms.create_room("arena-0a1b2c3d", "arena").await.unwrap();
    assert!(sid.starts_with("RM_"), "{sid}");

    let client = RoomClient::with_api_key(&server.url(), KEY, SECRET);
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
    let server = Server::start().await;
    let rooms = server.rooms();
    rooms.create_room("arena-00000001", "arena").await.unwrap();
    let tokens = RoomTokens::new(KEY, SECRET);
    let player = tokens
        .player_token("p1", "Ada", "arena-00000001")
        .unwrap()
        .token;
    let authority = tokens.authority_token("arena-00000001").unwrap().token;

    let join = |token: String| {
        let url = format!(
            "ws://127.0.0.1:{}/rtc?access_token={token}&protocol=15&sdk=rust",
            server.port
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

    let client = RoomClient::with_api_key(&server.url(), KEY, SECRET);
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
    let server = Server::start().await;
    let wrong = LiveKitRooms::new(&server.url(), KEY, "another-secret-of-32-characters!!!!!");
    let refused = wrong.create_room("arena-00000002", "arena").await;
    assert!(
        matches!(refused, Err(RoomError::Unauthorized { .. })),
        "{refused:?}"
    );

    let nowhere = LiveKitRooms::new(&format!("ws://127.0.0.1:{}", free_tcp_port()), KEY, SECRET);
    let error = nowhere
        .create_room("arena-00000002", "arena")
        .await
        .unwrap_err();
    assert!(matches!(error, RoomError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}
