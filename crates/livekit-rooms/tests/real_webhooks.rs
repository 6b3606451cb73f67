//! What a real LiveKit server sends as webhooks passes verification, and only with its own key.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use gs_test_services::{LiveKit, LiveKitOptions};
use livekit_rooms::{LiveKitRooms, Rooms, WebhookError, WebhookKind, Webhooks};

const DEADLINE: Duration = Duration::from_secs(20);

/// A request's `Authorization`, and its body.
type Sent = (String, Vec<u8>);

#[tokio::test]
async fn what_livekit_sends_is_verified() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/webhooks/livekit", listener.local_addr().unwrap());
    let (sender, sent) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || take_requests(connection, &sender));
        }
    });
    let server = LiveKit::start(LiveKitOptions {
        webhook_url: Some(url),
        ..LiveKitOptions::default()
    });
    let rooms = LiveKitRooms::new(&server.http_url(), LiveKit::KEY, LiveKit::SECRET);
    let sid = rooms.create_room("arena-0a1b2c3d", "arena").await.unwrap();
    rooms.delete_room("arena-0a1b2c3d").await.unwrap();

    let webhooks = Webhooks::new(LiveKit::KEY, LiveKit::SECRET);
    let stranger = Webhooks::new(LiveKit::KEY, "another-secret-of-32-characters-or-more");
    let mut ids = Vec::new();
    for expected in [WebhookKind::RoomStarted, WebhookKind::RoomFinished] {
        let (token, mut body) = sent.recv_timeout(DEADLINE).expect("LiveKit sends an event");
        let event = webhooks.receive(&body, &token).unwrap();
        assert_eq!(event.kind, expected);
        assert_eq!(
            (event.room.as_str(), &event.room_sid),
            ("arena-0a1b2c3d", &sid)
        );
        assert_eq!(stranger.receive(&body, &token), Err(WebhookError::Token));
        body.push(b' ');
        assert_eq!(webhooks.receive(&body, &token), Err(WebhookError::Hash));
        ids.push(event.id);
    }
    assert!(!ids[0].is_empty() && ids[0] != ids[1], "{ids:?}");
}

/// Answers the requests of a connection with 200.
fn take_requests(connection: std::net::TcpStream, sender: &mpsc::Sender<Sent>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection;
    loop {
        let (mut token, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => token = value.to_owned(),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        sender.send((token, body)).ok();
        writer
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    }
}
