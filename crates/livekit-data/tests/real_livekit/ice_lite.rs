//! A server that takes part in ICE only by answering, as those with a public address may.

use crate::support::*;

#[tokio::test]
async fn packets_pass_both_ways() {
    let server = LiveKit::start(LiveKitOptions {
        ice_lite: true,
        ..LiveKitOptions::auto_create()
    });
    let [mut alice, mut bob] = pair(&server, "ice-lite").await;
    exchange(&mut alice, &mut bob).await;
}
