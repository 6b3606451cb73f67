//! Datagrams through the LiveKit server's own TURN server.

use crate::support::certificate::Certificate;
use crate::support::relay::Relay;
use crate::support::*;
use livekit_data::{
    CloseReason, ConnectError, ConnectOptions, IcePolicy, Participant, RelayError, RootCertificates,
};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;

#[tokio::test]
async fn participants_who_may_only_use_relays_exchange_packets_over_udp() {
    let server = LiveKit::start(LiveKitOptions {
        turn: Some(Turn::Udp),
        ..LiveKitOptions::auto_create()
    });
    let mut options = server.options("udp", "alice");
    options.connection.ice = IcePolicy::Relay;
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("udp", "bob").await;
    exchange(&mut alice, &mut bob).await;
    alice.0.close().await;
    assert_eq!(&*wait_for_leave(&mut bob.1).await.0, "alice");
}

#[tokio::test]
async fn packets_go_through_turn_over_tls() {
    let (server, certificate) = tls_server();
    let relay = relay(&server).await;
    let mut options = ConnectOptions::new(relay.url(), token("tls", "alice"));
    options.connection.ice = IcePolicy::Relay;
    options.roots = certificate.roots();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("tls", "bob").await;
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn a_relay_is_found_where_no_direct_way_is_open() {
    let (server, certificate) = tls_server();
    let relay = relay(&server).await;
    let mut options = ConnectOptions::new(relay.url(), token("fallback", "alice"));
    // From here no datagram gets to the server, which is at 127.0.0.1.
    options.bind = vec!["::1".parse().unwrap()];
    options.roots = certificate.roots();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("fallback", "bob").await;
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn a_turn_server_that_is_not_trusted_is_no_relay() {
    let (server, _certificate) = tls_server();
    let relay = relay(&server).await;
    let mut options = ConnectOptions::new(relay.url(), token("untrusted", "alice"));
    options.connection.ice = IcePolicy::Relay;
    options.roots = RootCertificates::system();
    assert_eq!(refusal(options).await, RelayError::ConnectionLost);
}

#[tokio::test]
async fn a_server_without_turn_leaves_no_relay() {
    let server = LiveKit::shared();
    let mut options = server.options("without", "alice");
    options.connection.ice = IcePolicy::Relay;
    assert_eq!(refusal(options).await, RelayError::NoServer);
}

#[tokio::test]
async fn wrong_credentials_are_told_as_such() {
    let server = LiveKit::start(LiveKitOptions {
        turn: Some(Turn::Udp),
        ..LiveKitOptions::auto_create()
    });
    let relay = Relay::start(&server.url()).await;
    relay.change(|mut response| {
        if let Some(Response::Join(join)) = &mut response.message {
            for server in &mut join.ice_servers {
                server.credential = "another".into();
            }
        }
        vec![response.encode_to_vec()]
    });
    let mut options = ConnectOptions::new(relay.url(), token("wrong", "alice"));
    options.connection.ice = IcePolicy::Relay;
    assert_eq!(refusal(options).await, RelayError::Unauthorized);
}

fn tls_server() -> (LiveKit, Certificate) {
    let certificate = Certificate::new();
    let server = LiveKit::start(LiveKitOptions {
        turn: Some(Turn::Tls {
            domain: DOMAIN.into(),
            certificate: certificate.certificate.clone(),
            key: certificate.key.clone(),
        }),
        ..LiveKitOptions::auto_create()
    });
    (server, certificate)
}

/// The server always names port 443, so where it is is put right on the way.
async fn relay(server: &LiveKit) -> Relay {
    let relay = Relay::start(&server.url()).await;
    let told = format!("turns:{DOMAIN}:443?");
    let real = format!("turns:127.0.0.1:{}?", server.turn_tls_port());
    relay.change(move |mut response| {
        let servers = match &mut response.message {
            Some(Response::Join(join)) => &mut join.ice_servers[..],
            Some(Response::Reconnect(reconnect)) => &mut reconnect.ice_servers,
            _ => &mut [],
        };
        for url in servers.iter_mut().flat_map(|server| &mut server.urls) {
            *url = url.replace(&told, &real);
        }
        vec![response.encode_to_vec()]
    });
    relay
}

async fn refusal(options: ConnectOptions) -> RelayError {
    let error = Participant::connect(options).await.unwrap_err();
    match error {
        ConnectError::Refused {
            reason: CloseReason::NoRelay(error),
        } => error,
        other => panic!("{other:?}"),
    }
}

const DOMAIN: &str = "turn.test";
