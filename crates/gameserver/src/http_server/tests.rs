use std::net::Ipv4Addr;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::*;

/// A server with short times, some routes, and room for few.
struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
    metrics: ServerMetrics,
    release: Arc<Notify>,
}

impl Server {
    fn start(connections: usize, per_address: usize) -> Self {
        Self::start_with(connections, per_address, Vec::new())
    }

    fn start_with(connections: usize, per_address: usize, trusted_proxies: Vec<IpNet>) -> Self {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let release = Arc::new(Notify::new());
        let wait = release.clone();
        let router = Router::new()
            .route(
                "/",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
            )
            .route("/wait", get(|| async move { wait.notified().await }))
            .route("/echo", post(|body: Bytes| async move { body }))
            .route("/large", get(|| async { Body::from(vec![b'x'; 64 << 20]) }));
        let (shutdown, metrics) = (CancellationToken::new(), ServerMetrics::default());
        let bounds = Bounds {
            connections,
            per_address,
            trusted_proxies,
        };
        let timeouts = Timeouts {
            head: Duration::from_millis(300),
            idle: Duration::from_millis(900),
            stall: Duration::from_millis(600),
        };
        let ended = tokio::spawn(serve_with(
            listener,
            router,
            bounds,
            metrics.clone(),
            shutdown.clone(),
            Duration::from_millis(500),
            timeouts,
        ));
        Self {
            address,
            shutdown,
            ended,
            metrics,
            release,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    fn timed_out(&self, what: &'static str) -> u64 {
        let counter = self.metrics.timed_out.get_or_create(&[("what", what)]);
        counter.get()
    }
}

/// All that comes until the server closes, which must be soon.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text));
    let _ = read.await.expect("the server should have closed");
    String::from_utf8_lossy(&text).into_owned()
}

/// The next answer, whose body has this many bytes.
async fn answer(stream: &mut TcpStream, body: usize) -> String {
    let mut text = Vec::new();
    let read = async {
        loop {
            let head = text.windows(4).position(|four| four == b"\r\n\r\n");
            if head.is_some_and(|at| text.len() >= at + 4 + body) {
                return;
            }
            let mut more = [0; 4_096];
            match stream.read(&mut more).await.unwrap() {
                0 => return,
                n => text.extend_from_slice(&more[..n]),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_request_learns_its_peers_address() {
    let server = Server::start(10, 10);
    let request = GET.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let stream = server.send(&request).await;
    let peer = stream.local_addr().unwrap().to_string();
    let answer = rest(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(&peer),
        "{answer}"
    );
}

#[tokio::test]
async fn connections_that_say_nothing_or_half_a_head_are_closed() {
    let server = Server::start(10, 10);
    let silent = server.connect().await;
    let mut slow = server.send("GET / HT").await;
    let began = Instant::now();
    assert_eq!(rest(silent).await, "");
    // Byte by byte, without ever coming to the head's end.
    while slow.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.timed_out("head"), 2);
}

#[tokio::test]
async fn an_idle_connection_is_kept_longer_than_a_head_may_take_and_then_closed() {
    let server = Server::start(10, 10);
    let mut stream = server.send(GET).await;
    let peer = stream.local_addr().unwrap().to_string();
    assert!(answer(&mut stream, peer.len()).await.ends_with(&peer));
    tokio::time::sleep(Duration::from_millis(400)).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert!(answer(&mut stream, peer.len()).await.ends_with(&peer));
    assert_eq!(rest(stream).await, "");
    assert_eq!(server.timed_out("request"), 1);
}

#[tokio::test]
async fn bodies_that_do_not_come_and_answers_that_are_not_taken_end_the_connection() {
    let server = Server::start(10, 10);
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc";
    let half = server.send(head).await;
    // Nothing is read of it, so the server cannot go on, though the router has done its part.
    let deaf = server.send(&GET.replace("GET /", "GET /large")).await;
    assert_eq!(rest(half).await, "");
    let deadline = Instant::now() + PATIENCE;
    while (server.timed_out("progress"), server.timed_out("request")) != (1, 1) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(deaf);
}

#[tokio::test]
async fn who_comes_beyond_a_bound_is_told_so_and_gets_in_when_there_is_room() {
    let server = Server::start(2, 10);
    let (first, second) = (server.send("G").await, server.send("G").await);
    let refused = rest(server.send(GET).await).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 5") && refused.contains("problem+json"));
    drop((first, second));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = server.send(GET).await;
        if answer(&mut stream, 1).await.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(Instant::now() < deadline);
    }

    let server = Server::start(10, 1);
    let _held = server.send("G").await;
    let refused = rest(server.send(GET).await).await;
    assert!(refused.contains("your address"), "{refused}");
    let by = |bound| {
        server
            .metrics
            .refused
            .get_or_create(&[("bound", bound)])
            .get()
    };
    assert_eq!((by("address"), by("all")), (1, 0));

    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let server = Server::start_with(10, 1, trusted);
    let _held = server.send("G").await;
    let mut stream = server.send(GET).await;
    assert!(answer(&mut stream, 1).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_under_way_ends_after_the_shutdown_and_idle_connections_close_at_once() {
    let server = Server::start(10, 10);
    let mut idle = server.send(GET).await;
    answer(&mut idle, 1).await;
    let waiting = server.send(&GET.replace("GET /", "GET /wait")).await;
    // Its handler runs once another connection's answer has come after it.
    let mut other = server.send(GET).await;
    answer(&mut other, 1).await;
    server.shutdown.cancel();
    assert_eq!(rest(idle).await, "");
    server.release.notify_one();
    let answered = rest(waiting).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    server.ended.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_after_the_grace() {
    let server = Server::start(10, 10);
    let waiting = server.send(&GET.replace("GET /", "GET /wait")).await;
    let mut other = server.send(GET).await;
    answer(&mut other, 1).await;
    server.shutdown.cancel();
    tokio::time::timeout(PATIENCE, server.ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest(waiting).await, "");
}

#[tokio::test]
async fn a_head_with_too_much_in_it_is_refused() {
    let server = Server::start(10, 10);
    for head in [
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
            "a: b\r\n".repeat(100)
        ),
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n",
            "b".repeat(20_000)
        ),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "b".repeat(20_000)),
    ] {
        let refused = rest(server.send(&head).await).await;
        assert!(
            refused.starts_with("HTTP/1.1 431") || refused.starts_with("HTTP/1.1 414"),
            "{refused}"
        );
    }
}
