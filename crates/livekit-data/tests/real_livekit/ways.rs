//! Ways to the server: TLS, proxies, IPv6, chosen interfaces.

use crate::support::certificate::Certificate;
use crate::support::*;
use livekit_data::{ConnectError, ConnectOptions, Participant, Proxies, ProxySettings};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

#[tokio::test]
async fn a_server_behind_tls_is_joined_with_its_root_and_refused_without() {
    let server = LiveKit::shared();
    let certificate = Certificate::new();
    let url = terminate_tls(&server, &certificate).await;
    let mut options = ConnectOptions::new(&url, token("wss", "alice"));
    let error = Participant::connect(options.clone()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");

    options.roots = certificate.roots();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("wss", "bob").await;
    exchange(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let server = LiveKit::shared();
    let certificate = Certificate::new();
    let url = terminate_tls(&server, &certificate).await;
    let url = url.replace("127.0.0.1", "localhost");
    let mut options = ConnectOptions::new(&url, token("wss", "carol"));
    options.roots = certificate.roots();
    let error = Participant::connect(options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn signalling_goes_through_the_proxy_that_is_set() {
    let server = LiveKit::shared();
    let (proxy, asked) = proxy(&server).await;
    let mut options = ConnectOptions::new("ws://livekit.test:7880", token("proxy", "alice"));
    options.proxies = Proxies::Settings(ProxySettings {
        http: format!("http://user:s3cret@{proxy}"),
        ..ProxySettings::default()
    });
    let mut alice = Participant::connect(options.clone()).await.unwrap();
    let mut bob = server.join("proxy", "bob").await;
    exchange(&mut alice, &mut bob).await;
    assert_eq!(
        *asked.lock().unwrap(),
        ["CONNECT livekit.test:7880 HTTP/1.1"]
    );

    for (setting, expected) in [
        (
            format!("http://user:wr0ng@{proxy}"),
            "user name and password",
        ),
        (
            format!("socks5://user:wr0ng@{proxy}"),
            "neither http nor https",
        ),
        ("http://user:wr0ng@127.0.0.1:9".into(), "127.0.0.1:9"),
    ] {
        options.proxies = Proxies::Settings(ProxySettings {
            http: setting,
            ..ProxySettings::default()
        });
        let error = Participant::connect(options.clone()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Proxy { .. }), "{error:?}");
        let shown = format!("{error} {error:?} {options:?}");
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
}

#[tokio::test]
async fn this_machine_is_reached_without_the_proxy() {
    let server = LiveKit::shared();
    let mut options = server.options("direct", "alice");
    options.proxies = Proxies::Settings(ProxySettings {
        all: "http://127.0.0.1:9".into(),
        ..ProxySettings::default()
    });
    Participant::connect(options).await.unwrap();
}

#[tokio::test]
async fn signalling_goes_over_ipv6() {
    let server = LiveKit::start(LiveKitOptions {
        ipv6: true,
        ..LiveKitOptions::auto_create()
    });
    assert!(server.url().starts_with("ws://[::1]:"), "{}", server.url());
    let mut options = server.options("ipv6", "alice");
    options.bind = vec!["127.0.0.1".parse().unwrap()];
    let mut alice = Participant::connect(options.clone()).await.unwrap();
    options.connection.token = token("ipv6", "bob").into();
    let mut bob = Participant::connect(options).await.unwrap();
    exchange(&mut alice, &mut bob).await;
}

/// The server offers no loopback address of IPv6, so sockets in front of it do.
#[tokio::test]
async fn datagrams_go_over_ipv6() {
    let server = LiveKit::shared();
    let relay = Relay::start(&server.url()).await;
    relay.change(|mut response| {
        match &mut response.message {
            Some(Response::Answer(answer)) => {
                let lines = answer
                    .sdp
                    .lines()
                    .map(|line| match line.strip_prefix("a=") {
                        Some(candidate) if candidate.starts_with("candidate:") => {
                            format!("a={}", over_ipv6(candidate))
                        }
                        _ => line.to_owned(),
                    });
                answer.sdp = lines.collect::<Vec<_>>().join("\r\n") + "\r\n";
            }
            Some(Response::Trickle(trickle)) => {
                let mut init: serde_json::Value =
                    serde_json::from_str(&trickle.candidate_init).unwrap();
                if let Some(candidate) = init["candidate"].as_str().filter(|c| !c.is_empty()) {
                    init["candidate"] = over_ipv6(candidate).into();
                }
                trickle.candidate_init = init.to_string();
            }
            _ => {}
        }
        vec![response.encode_to_vec()]
    });
    let mut options = ConnectOptions::new(relay.url(), token("datagrams6", "alice"));
    options.bind = vec!["::1".parse().unwrap()];
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("datagrams6", "bob").await;
    exchange(&mut alice, &mut bob).await;
}

/// The candidate with an address of IPv6 that leads to the one that it names.
fn over_ipv6(candidate: &str) -> String {
    let mut words: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
    if !words[2].eq_ignore_ascii_case("udp") {
        return candidate.to_owned();
    }
    let server: SocketAddr = format!("{}:{}", words[4], words[5]).parse().unwrap();
    let bind = |address: &str| {
        let socket = std::net::UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        UdpSocket::from_std(socket).unwrap()
    };
    let (front, back) = (bind("[::1]:0"), bind("127.0.0.1:0"));
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut up, mut down) = ([0; 2_048], [0; 2_048]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut up) => {
                    client = Some(from);
                    let _ = back.send_to(&up[..len], server).await;
                }
                Ok((len, _)) = back.recv_from(&mut down) => {
                    if let Some(client) = client {
                        let _ = front.send_to(&down[..len], client).await;
                    }
                }
            }
        }
    });
    words[4] = address.ip().to_string();
    words[5] = address.port().to_string();
    words.join(" ")
}

#[tokio::test]
async fn one_of_several_chosen_interfaces_that_works_is_enough() {
    let server = LiveKit::shared();
    let mut options = server.options("interfaces", "alice");
    options.bind = ["::1", "127.0.0.1"]
        .map(|ip| ip.parse::<IpAddr>().unwrap())
        .into();
    let mut alice = Participant::connect(options).await.unwrap();
    let mut bob = server.join("interfaces", "bob").await;
    exchange(&mut alice, &mut bob).await;
}

/// A load balancer that ends TLS, as its URL.
async fn terminate_tls(server: &LiveKit, certificate: &Certificate) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let (acceptor, server) = (certificate.acceptor(), address(server));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(tcp).await?;
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    url
}

/// A proxy that knows one user and leads to one server whatever is asked for, and what it was
/// asked for with the right password.
async fn proxy(server: &LiveKit) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (server, log) = (address(server), asked.clone());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (server, log) = (server.clone(), log.clone());
            tokio::spawn(async move {
                let mut client = BufReader::new(tcp);
                let mut head = Vec::new();
                while head.last().is_none_or(|line: &String| !line.is_empty()) {
                    let mut line = String::new();
                    client.read_line(&mut line).await?;
                    head.push(line.trim_end().to_owned());
                }
                // user:s3cret
                if !head.contains(&"Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=".into()) {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                    return client.write_all(refusal).await;
                }
                log.lock().unwrap().push(head[0].clone());
                let mut server = TcpStream::connect(server).await?;
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
                copy_bidirectional(&mut client, &mut server).await?;
                Ok(())
            });
        }
    });
    (proxy, asked)
}

fn address(server: &LiveKit) -> String {
    server.url().replace("ws://", "")
}
