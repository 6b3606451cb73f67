//! Tokens that the server renews, and that expire.

use super::errors::EXPIRED;
use crate::support::*;
use livekit_data::{CloseReason, Event, Participant};

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
