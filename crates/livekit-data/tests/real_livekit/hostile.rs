//! Servers that send nonsense, too much, or nothing: a typed error in bounded time.

use crate::support::*;
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_data::{CloseReason, ConnectError, ConnectOptions, JoinStage, Participant};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

type Socket = WebSocketStream<TcpStream>;

#[tokio::test]
async fn an_http_answer_without_end_is_refused() {
    for (start, forever) in [
        ("HTTP/1.1 101 Switching Protocols\r\n", "X-More: more\r\n"),
        ("HTTP/1.1 200 OK\r\nX-Long: ", "aaaaaaaaaaaaaaaa"),
        (
            "HTTP/1.1 500 Sorry\r\nContent-Length: 999999999\r\n\r\n",
            "more\n",
        ),
    ] {
        let error = join(move |mut tcp| async move {
            let _ = tcp.write_all(start.as_bytes()).await;
            while tcp.write_all(forever.as_bytes()).await.is_ok() {}
        })
        .await;
        let expected = matches!(
            error,
            ConnectError::Protocol { .. } | ConnectError::UnexpectedStatus { status: 500, .. }
        );
        assert!(expected, "{error:?}");
        assert!(format!("{error}").len() < 1_000, "a short error");
    }
}

#[tokio::test]
async fn garbage_in_place_of_messages_is_dropped() {
    let error = join_websocket(|mut socket| async move {
        let join = join_response(0).encode_to_vec();
        for _ in 0..1_000 {
            for frame in [
                Frame::Text("{\"join\": true}".into()),
                Frame::Binary(vec![0xFF; 300].into()),
                Frame::Binary(join[..join.len() / 2].to_vec().into()),
                Frame::Binary(Vec::new().into()),
                Frame::Ping(vec![1; 100].into()),
            ] {
                if socket.send(frame).await.is_err() {
                    return;
                }
            }
        }
        wait_for_end(socket).await;
    })
    .await;
    assert!(is_late(&error), "{error:?}");
}

#[tokio::test]
async fn a_join_response_without_a_room_is_refused() {
    let error = join_websocket(|mut socket| async move {
        let join = Response::Join(proto::JoinResponse::default());
        let _ = socket.send(frame(join)).await;
        wait_for_end(socket).await;
    })
    .await;
    assert!(refusal(&error).contains("names no room"), "{error:?}");
}

#[tokio::test]
async fn a_room_of_a_hundred_thousand_is_refused() {
    let error = join_websocket(|mut socket| async move {
        let join = join_response(100_000).encode_to_vec();
        let _ = socket.send(Frame::Binary(join.into())).await;
        wait_for_end(socket).await;
    })
    .await;
    assert!(
        refusal(&error).contains("too many participants"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused() {
    let gigantic = format!(
        "v=0\r\n{}",
        "a=x:yyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(200_000)
    );
    let other = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:7\r\na=sendrecv\r\n";
    for sdp in [String::new(), "nonsense".into(), other.into(), gigantic] {
        let error = join_websocket(|mut socket| async move {
            let _ = socket
                .send(Frame::Binary(join_response(1).encode_to_vec().into()))
                .await;
            let answer = proto::SessionDescription {
                r#type: "answer".into(),
                sdp,
                ..Default::default()
            };
            let _ = socket.send(frame(Response::Answer(answer))).await;
            wait_for_end(socket).await;
        })
        .await;
        assert!(refusal(&error).contains("server's answer"), "{error:?}");
        assert!(format!("{error}").len() < 10_000, "a short error");
    }
}

#[tokio::test]
async fn a_frame_of_a_hundred_megabytes_ends_the_connection() {
    let error = join_websocket(|socket| async move {
        // A binary frame's head; the bytes follow for as long as anybody takes them.
        let mut tcp = socket.into_inner();
        let mut head = vec![0x82, 127];
        head.extend(100_000_000_u64.to_be_bytes());
        let _ = tcp.write_all(&head).await;
        let mut sent = 0;
        while tcp.write_all(&[0; 65_536]).await.is_ok() {
            sent += 65_536;
            assert!(sent < 20_000_000, "it is not read to the end");
        }
    })
    .await;
    let lost = matches!(
        error,
        ConnectError::Refused {
            reason: CloseReason::ConnectionLost
        }
    );
    assert!(lost, "{error:?}");
}

#[tokio::test]
async fn a_flood_of_candidates_does_not_hold_up_a_join() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    relay.change(|response| {
        let real = response.encode_to_vec();
        let Some(Response::Answer(_)) = response.message else {
            return vec![real];
        };
        let mut all = vec![real];
        all.extend((0..5_000).map(|number| {
            let candidate = match number % 2 {
                0 => format!(
                    "candidate:{number} 1 udp 1 192.0.2.1 {} typ host",
                    number + 1
                ),
                _ => "candidate:nonsense".into(),
            };
            let trickle = proto::TrickleRequest {
                candidate_init: serde_json::json!({ "candidate": candidate }).to_string(),
                ..Default::default()
            };
            let message = Some(Response::Trickle(trickle));
            proto::SignalResponse { message }.encode_to_vec()
        }));
        all
    });
    let options = ConnectOptions::new(relay.url(), token("flood", "alice"));
    let outcome = Participant::connect(options).await;
    // The server's own may be among those that were too many; what counts is that it ends.
    match outcome {
        Ok((alice, _events)) => assert!(alice.stats().malformed_signals > 4_000),
        Err(error) => assert!(is_late(&error), "{error:?}"),
    }
}

#[tokio::test]
async fn a_wrong_fingerprint_is_no_connection() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    relay.change(|mut response| {
        if let Some(Response::Answer(answer)) = &mut response.message {
            let lines = answer.sdp.lines().map(|line| match line.split_once(' ') {
                Some((name, _)) if name.starts_with("a=fingerprint") => {
                    format!("{name} {}", vec!["AB"; 32].join(":"))
                }
                _ => line.to_owned(),
            });
            answer.sdp = lines.collect::<Vec<_>>().join("\r\n") + "\r\n";
        }
        vec![response.encode_to_vec()]
    });
    let mut options = ConnectOptions::new(relay.url(), token("fingerprint", "alice"));
    options.connection.join_timeout = Duration::from_secs(3);
    let error = Participant::connect(options).await.unwrap_err();
    let refused = matches!(error, ConnectError::Refused { .. });
    assert!(refused || is_late(&error), "{error:?}");
}

/// What joining comes to at a server that does this with each connection, in bounded time.
async fn join<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> ConnectError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let _ = tcp.read(&mut [0; 16_384]).await;
        script(tcp).await;
    });
    let begun = Instant::now();
    let error = connect(url).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    let ended = tokio::time::timeout(DEADLINE, server).await;
    ended.expect("the connection is dropped").expect("no panic");
    error
}

async fn join_websocket<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(Socket) -> F + Send + 'static,
) -> ConnectError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
        script(socket).await;
    });
    let begun = Instant::now();
    let error = connect(url).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    let ended = tokio::time::timeout(DEADLINE, server).await;
    ended.expect("the connection is dropped").expect("no panic");
    error
}

async fn connect(url: String) -> ConnectError {
    let mut options = ConnectOptions::new(url, "token");
    options.connection.join_timeout = Duration::from_secs(2);
    Participant::connect(options).await.unwrap_err()
}

async fn wait_for_end(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

fn frame(message: Response) -> Frame {
    let message = Some(message);
    Frame::Binary(proto::SignalResponse { message }.encode_to_vec().into())
}

fn join_response(others: usize) -> proto::SignalResponse {
    let others = (0..others).map(|number| proto::ParticipantInfo {
        sid: format!("PA_{number}"),
        identity: number.to_string(),
        ..Default::default()
    });
    let join = proto::JoinResponse {
        room: Some(proto::Room::default()),
        participant: Some(proto::ParticipantInfo::default()),
        other_participants: others.collect(),
        ..Default::default()
    };
    proto::SignalResponse {
        message: Some(Response::Join(join)),
    }
}

fn is_late(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Timeout {
            stage: JoinStage::Media,
            ..
        }
    )
}

fn refusal(error: &ConnectError) -> String {
    match error {
        ConnectError::Refused {
            reason: CloseReason::Other(text),
        } => text.clone(),
        other => panic!("{other:?}"),
    }
}
