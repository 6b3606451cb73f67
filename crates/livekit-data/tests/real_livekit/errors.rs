//! Joins that fail, each with its own error.

use crate::support::*;
use livekit_api::access_token::AccessToken;
use livekit_data::{ConnectError, ConnectOptions, JoinStage, Participant};
use std::time::Duration;

async fn fail(options: ConnectOptions) -> ConnectError {
    let token = options.connection.token.expose().to_owned();
    let error = Participant::connect(options)
        .await
        .expect_err("the join fails");
    let shown = format!("{error} {error:?}");
    assert!(
        token.is_empty() || !shown.contains(&token),
        "the error holds the token"
    );
    error
}

#[tokio::test]
async fn a_forged_token_is_unauthorized() {
    let server = LiveKit::shared();
    let mut options = server.options("forged", "alice");
    let forged = AccessToken::with_api_key(KEY, "another secret of some thirty-two bytes");
    let forged = forged
        .with_identity("alice")
        .with_grants(grants("forged"))
        .to_jwt()
        .unwrap();
    options.connection.token = forged.into();
    assert!(matches!(
        fail(options).await,
        ConnectError::Unauthorized { .. }
    ));
}

#[tokio::test]
async fn anything_that_is_no_token_is_unauthorized() {
    let server = LiveKit::shared();
    for token in [
        "",
        "nonsense",
        "a.b.c",
        "with space",
        "line\r\nX-Injected: yes",
    ] {
        let error = fail(ConnectOptions::new(server.url(), token)).await;
        assert!(
            matches!(error, ConnectError::Unauthorized { .. }),
            "{token:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_expired_token_is_unauthorized() {
    let server = LiveKit::shared();
    let options = ConnectOptions::new(server.url(), EXPIRED);
    assert!(matches!(
        fail(options).await,
        ConnectError::Unauthorized { .. }
    ));
}

#[tokio::test]
async fn a_room_that_nobody_created_is_not_found() {
    let server = LiveKit::start(LiveKitOptions::default());
    let error = fail(server.options("missing", "alice")).await;
    assert!(
        matches!(error, ConnectError::RoomNotFound { .. }),
        "{error:?}"
    );
    server
        .rooms()
        .create_room("missing", Default::default())
        .await
        .unwrap();
    server.join("missing", "alice").await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", unused.local_addr().unwrap());
    drop(unused);
    let error = fail(ConnectOptions::new(url, "token")).await;
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_timeout_of_signalling() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options =
        ConnectOptions::new(format!("ws://{}", silent.local_addr().unwrap()), "token");
    options.connection.join_timeout = Duration::from_millis(200);
    let error = fail(options).await;
    assert!(
        matches!(
            error,
            ConnectError::Timeout {
                stage: JoinStage::Signal,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_of_another_kind_is_a_protocol_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 smtp.example.com\r\n").await;
    });
    let error = fail(ConnectOptions::new(url, "token")).await;
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn plain_text_where_tls_is_wanted_is_a_tls_error() {
    let server = LiveKit::shared();
    let url = server.url().replace("ws://", "wss://");
    let error = fail(ConnectOptions::new(url, "token")).await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn an_address_that_is_not_this_machines_cannot_be_bound() {
    let server = LiveKit::shared();
    let mut options = server.options("bind", "alice");
    options.bind = vec!["192.0.2.1".parse().unwrap()];
    assert!(matches!(fail(options).await, ConnectError::Bind(_)));
    let mut options = server.options("bind", "alice");
    options.bind = vec!["0.0.0.0".parse().unwrap()];
    assert!(matches!(fail(options).await, ConnectError::Offer(_)));
}

/// Signed with the server's key: alice may join `expired`, during one hour of 1 January 2020.
pub(crate) const EXPIRED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
    eyJleHAiOjE1Nzc4NDA0MDAsIm5iZiI6MTU3NzgzNjgwMCwiaXNzIjoiZGV2a2V5Iiwic3ViIjoiYWxpY2UiLCJ2aWRlbyI6eyJyb29tSm9pbiI6dHJ1ZSwicm9vbSI6ImV4cGlyZWQifX0.\
    dCZsS9ZwjPVx2_huFDDlnUmYrfpXXCfXyuKlyEj24Jg";
