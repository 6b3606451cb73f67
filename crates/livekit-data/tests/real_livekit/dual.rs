//! Two peer connections, one for each direction, as servers before 1.9 want it.

use crate::support::*;
use livekit_data::{Event, Loss, Participant, PeerConnections};

async fn join(url: &str, server: &LiveKit, room: &str, identity: &str) -> Member {
    let mut options = server.options(room, identity);
    options.url = url.to_owned();
    options.connection.peer_connections = PeerConnections::Two;
    Participant::connect(options).await.unwrap()
}

#[tokio::test]
async fn packets_pass_both_ways_and_to_one_with_a_single_connection() {
    let server = LiveKit::shared();
    let mut alice = join(&server.url(), &server, "dual", "alice").await;
    let mut bob = join(&server.url(), &server, "dual", "bob").await;
    let mut carol = server.join("dual", "carol").await;
    exchange(&mut alice, &mut bob).await;
    exchange(&mut alice, &mut carol).await;
}

#[tokio::test]
async fn a_session_is_resumed() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut alice = join(relay.url(), &server, "dual-resume", "alice").await;
    let mut bob = server.join("dual-resume", "bob").await;
    exchange(&mut alice, &mut bob).await;
    relay.cut_signal();
    let lost = wait_for(&mut alice.1, connection_change).await;
    assert_eq!(lost, Event::Reconnecting(Loss::Signal));
    let back = wait_for(&mut alice.1, connection_change).await;
    assert_eq!(back, Event::Resumed);
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn an_outage_is_survived() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut alice = join(relay.url(), &server, "dual-outage", "alice").await;
    let mut bob = server.join("dual-outage", "bob").await;
    exchange(&mut alice, &mut bob).await;
    relay.set_udp_down(true);
    let lost = wait_for(&mut alice.1, connection_change).await;
    assert_eq!(lost, Event::Reconnecting(Loss::Silence));
    relay.set_udp_down(false);
    let back = wait_for(&mut alice.1, connection_change).await;
    assert!(
        matches!(back, Event::Resumed | Event::Rejoined { .. }),
        "{back:?}"
    );
    exchange(&mut alice, &mut bob).await;
}
