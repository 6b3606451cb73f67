//! A NAT forgets its mappings, and datagrams come from another port.

use crate::support::*;
use livekit_data::{Event, Participant};

#[tokio::test]
async fn packets_pass_again_both_ways() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    let mut options = server.options("rebinding", "alice");
    options.url = relay.url().to_owned();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("rebinding", "bob").await;
    exchange(&mut alice, &mut bob).await;
    relay.rebind();
    // It may take a new path, which is noticed within a second, or none if the server follows.
    for _ in 0..2 {
        exchange(&mut alice, &mut bob).await;
    }
    let stats = alice.0.stats();
    assert_eq!(stats.reliable_lost, 0, "{stats:?}");
    assert!(!matches!(alice.1.try_next(), Some(Event::Closed(_))));
}
