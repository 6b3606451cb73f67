//! Tokens that the server renews, and that expire.

use super::errors::EXPIRED;
use crate::support::*;
use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_data::{
    Channel, CloseReason, ConnectError, ConnectOptions, Event, Packet, Participant,
};

#[tokio::test]
async fn the_servers_new_token_is_used_to_come_back() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut options = server.options("renewed", "alice");
    options.url = relay.url().to_owned();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("renewed", "bob").await;
    // The server sends one right after joining.
    exchange(&mut alice, &mut bob).await;
    relay.cut_signal();
    let resumed = |event: &Event| matches!(event, Event::Resumed).then_some(());
    wait_for(&mut alice.1, resumed).await;
    let tokens = relay.tokens();
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1]);
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn a_token_that_has_expired_ends_it() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut options = server.options("expiring", "alice");
    options.url = relay.url().to_owned();
    let (_alice, mut events) = Participant::connect(options).await.unwrap();
    relay.set_token(EXPIRED);
    relay.cut_signal();
    let reason = wait_for_close(&mut events).await;
    assert_eq!(reason, CloseReason::Unauthorized);
}

#[tokio::test]
async fn a_token_for_another_room_joins_that_room_and_the_session_says_so() {
    let server = LiveKit::shared();
    let (alice, mut events) = server.join("the-tokens-room", "alice").await;
    let session = alice.session();
    assert_eq!(session.room, "the-tokens-room");
    assert_eq!(&*session.identity, "alice");
    assert!(session.sid.starts_with("PA_") && session.room_sid.starts_with("RM_"));
    // Bob is in another room of the same server, so nothing passes between them.
    let (bob, _bob_events) = server.join("another-room", "bob").await;
    assert_ne!(bob.session().room_sid, session.room_sid);
    let carol = server.join("the-tokens-room", "carol").await;
    let packet = |topic| Packet {
        topic,
        payload: b"",
        channel: Channel::Reliable,
        destinations: &[],
    };
    bob.send(packet("from bob")).unwrap();
    bob.close().await;
    carol.0.send(packet("from carol")).unwrap();
    let topic = wait_for(&mut events, |event| match event {
        Event::Data { topic, .. } => Some(topic.clone()),
        _ => None,
    });
    assert_eq!(&*topic.await, "from carol");
}

#[tokio::test]
async fn a_token_that_does_not_grant_to_join_now_is_unauthorized() {
    let server = LiveKit::shared();
    let signed = |key: &str, grants: VideoGrants| {
        let token = AccessToken::with_api_key(key, SECRET).with_identity("alice");
        token.with_grants(grants).to_jwt().unwrap()
    };
    let no_join = VideoGrants {
        room_join: false,
        room_admin: true,
        ..grants("granted")
    };
    for (name, token) in [
        ("no right to join", signed(KEY, no_join)),
        ("an unknown key", signed("nobody", grants("granted"))),
        ("not valid yet", NOT_YET.into()),
    ] {
        unauthorized(&server, &token, name).await;
    }
}

#[tokio::test]
async fn a_token_without_a_name_of_a_room_or_of_a_participant_is_refused_in_the_servers_words() {
    let server = LiveKit::shared();
    for (token, words) in [
        (NO_ROOM, "no room name"),
        (NO_IDENTITY, "identity cannot be empty"),
    ] {
        let error = refused(&server, token).await;
        let ConnectError::UnexpectedStatus {
            status: 400,
            message,
            ..
        } = &error
        else {
            panic!("{words}: {error:?}");
        };
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_unauthorized() {
    let server = LiveKit::shared();
    let token = token("unsigned", "alice");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    // {"typ":"JWT","alg":"none"}
    let none = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0";
    for forged in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{signed}."),
        format!("{signed}.{}", &signature[1..]),
        signed.to_owned(),
        format!("{token}.{token}"),
    ] {
        unauthorized(&server, &forged, &forged).await;
    }
}

#[tokio::test]
async fn a_token_longer_than_any_server_reads_ends_the_join_with_a_short_error() {
    let server = LiveKit::shared();
    let error = refused(&server, &"x".repeat(2_000_000)).await;
    assert!(error.to_string().len() < 1_000, "{error}");
}

async fn unauthorized(server: &LiveKit, token: &str, what: &str) {
    let error = refused(server, token).await;
    let unauthorized = matches!(error, ConnectError::Unauthorized { .. });
    assert!(unauthorized, "{what}: {error:?}");
}

/// Why the server does not let in with this token, which the error does not show.
async fn refused(server: &LiveKit, token: &str) -> ConnectError {
    let options = ConnectOptions::new(server.url(), token);
    let error = Participant::connect(options).await.expect_err("is refused");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(token), "the error shows the token");
    error
}

// Signed with the server's key. Each would let alice into `granted` until 2100, but for this:
/// it names no room;
const NO_ROOM: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
    eyJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6MTU3NzgzNjgwMCwiaXNzIjoiZGV2a2V5Iiwic3ViIjoiYWxpY2UiLCJ2aWRlbyI6eyJyb29tSm9pbiI6dHJ1ZX19.\
    H7ZtipGdnvB3yaTEAevLzWW2s720Kyo_60P4BesNJto";
/// it names no participant;
const NO_IDENTITY: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
    eyJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6MTU3NzgzNjgwMCwiaXNzIjoiZGV2a2V5IiwidmlkZW8iOnsicm9vbUpvaW4iOnRydWUsInJvb20iOiJncmFudGVkIn19.\
    yQXhh9jk6FEu3EeuuzFsOuEcTPjxKMiIWXCV8R_6MBY";
/// it is valid from an hour before that.
const NOT_YET: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
    eyJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6NDEwMjQ0MTIwMCwiaXNzIjoiZGV2a2V5Iiwic3ViIjoiYWxpY2UiLCJ2aWRlbyI6eyJyb29tSm9pbiI6dHJ1ZSwicm9vbSI6ImdyYW50ZWQifX0.\
    3h9vYdwhmYFwig2PWrAcevboe2lWHpfBcNpmqSG1kAg";
