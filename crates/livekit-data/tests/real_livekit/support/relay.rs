//! A relay between participants and a LiveKit server, as bad as a test wants it.
//!
//! It takes WebSockets and passes them on. It replaces the server's addresses in candidates by
//! those of sockets of its own, and leaves the participants' out, so that datagrams go through it
//! too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use prost::Message as _;
use proto::{signal_request::Message as ClientRequest, signal_response::Message as Response};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Changes messages from the server to a participant; one that it empties is not passed on.
pub(crate) type Change = Box<dyn FnMut(proto::SignalResponse) -> Vec<Vec<u8>> + Send>;

/// Ends with the value.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    url: String,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Host and port.
    server: String,
    udp_down: AtomicBool,
    tcp_down: AtomicBool,
    tcp_up: Notify,
    /// Ends every WebSocket that is open.
    cut: broadcast::Sender<()>,
    /// The tokens of all connections so far.
    tokens: Mutex<Vec<String>>,
    /// What is given to the server in place of a token.
    token: Mutex<Option<String>>,
    change: Mutex<Option<Change>>,
    /// Relaying sockets by the server's addresses.
    sockets: Mutex<HashMap<SocketAddr, SocketAddr>>,
    rebind: Mutex<Vec<Arc<Notify>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Relay {
    /// A relay in front of the server at this URL.
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            server: server.replace("ws://", ""),
            udp_down: AtomicBool::new(false),
            tcp_down: AtomicBool::new(false),
            tcp_up: Notify::new(),
            cut: broadcast::Sender::new(1),
            tokens: Mutex::default(),
            token: Mutex::default(),
            change: Mutex::new(None),
            sockets: Mutex::default(),
            rebind: Mutex::default(),
            tasks: Mutex::default(),
        });
        let accepting = shared.clone();
        let accept = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let shared = accepting.clone();
                let task = tokio::spawn(async move { shared.signal(tcp).await });
                accepting.tasks.lock().unwrap().push(task);
            }
        });
        Relay {
            shared,
            url,
            tasks: vec![accept],
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The tokens that came with the WebSockets so far.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.shared.tokens.lock().unwrap().clone()
    }

    /// Gives this to the server in place of the tokens that come.
    pub(crate) fn set_token(&self, token: &str) {
        *self.shared.token.lock().unwrap() = Some(token.to_owned());
    }

    /// Whether datagrams are lost, all of them.
    pub(crate) fn set_udp_down(&self, down: bool) {
        self.shared.udp_down.store(down, Ordering::Relaxed);
    }

    /// Whether WebSockets stand still, and new ones are not answered.
    pub(crate) fn set_tcp_down(&self, down: bool) {
        self.shared.tcp_down.store(down, Ordering::Relaxed);
        if !down {
            self.shared.tcp_up.notify_waiters();
        }
    }

    /// Ends every WebSocket without a word.
    pub(crate) fn cut_signal(&self) {
        let _ = self.shared.cut.send(());
    }

    /// Sends what comes from participants from other ports from now on, as a NAT does that has
    /// forgotten its mappings.
    pub(crate) fn rebind(&self) {
        for socket in self.shared.rebind.lock().unwrap().iter() {
            socket.notify_one();
        }
    }

    /// What happens to each message of the server's.
    pub(crate) fn change(
        &self,
        change: impl FnMut(proto::SignalResponse) -> Vec<Vec<u8>> + Send + 'static,
    ) {
        *self.shared.change.lock().unwrap() = Some(Box::new(change));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut tasks = std::mem::take(&mut *self.shared.tasks.lock().unwrap());
        tasks.append(&mut self.tasks);
        for task in tasks {
            task.abort();
        }
    }
}

type Socket = WebSocketStream<TcpStream>;

impl Shared {
    async fn signal(self: Arc<Self>, client: TcpStream) {
        self.while_tcp_is_down().await;
        let mut cut = self.cut.subscribe();
        tokio::select! {
            _ = cut.recv() => {}
            _ = self.upgrade(client) => {}
        }
    }

    /// Passes the request and the answer on, and then what follows. The server's refusal is the
    /// participant's.
    async fn upgrade(self: &Arc<Self>, mut client: TcpStream) -> Option<()> {
        let (request, _) = read_head(&mut client).await?;
        let mut lines = Vec::new();
        for line in request.trim_end().lines() {
            lines.push(match line.split_once(": ") {
                None if line.starts_with("GET ") => {
                    let path = line.split(' ').nth(1)?;
                    line.replace(path, &without_candidates(path))
                }
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    let token = value.replace("Bearer ", "");
                    self.tokens.lock().unwrap().push(token.clone());
                    let token = self.token.lock().unwrap().clone().unwrap_or(token);
                    format!("{name}: Bearer {token}")
                }
                _ => line.to_owned(),
            });
        }
        let mut server = TcpStream::connect(&self.server).await.ok()?;
        let request = lines.join("\r\n") + "\r\n\r\n";
        server.write_all(request.as_bytes()).await.ok()?;
        let (answer, rest) = read_head(&mut server).await?;
        client.write_all(answer.as_bytes()).await.ok()?;
        if !answer.starts_with("HTTP/1.1 101") {
            client.write_all(&rest).await.ok()?;
            tokio::io::copy(&mut server, &mut client).await.ok()?;
            return None;
        }
        let client = WebSocketStream::from_raw_socket(client, Role::Server, None).await;
        let server = WebSocketStream::from_partially_read(server, rest, Role::Client, None).await;
        self.pass(client, server).await;
        Some(())
    }

    async fn pass(self: &Arc<Self>, client: Socket, server: Socket) {
        let (mut to_client, mut from_client) = client.split();
        let (mut to_server, mut from_server) = server.split();
        let up = async {
            while let Some(Ok(frame)) = from_client.next().await {
                self.while_tcp_is_down().await;
                let frame = match frame {
                    Frame::Binary(message) => match request_without_candidates(&message) {
                        Some(request) => Frame::Binary(request.into()),
                        None => continue,
                    },
                    frame => frame,
                };
                if to_server.send(frame).await.is_err() {
                    break;
                }
            }
        };
        let down = async {
            while let Some(Ok(frame)) = from_server.next().await {
                self.while_tcp_is_down().await;
                let frames = match frame {
                    Frame::Binary(message) => self.rewritten(&message).await,
                    frame => vec![frame],
                };
                for frame in frames {
                    if to_client.send(frame).await.is_err() {
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    }

    async fn while_tcp_is_down(&self) {
        loop {
            let up = self.tcp_up.notified();
            if !self.tcp_down.load(Ordering::Relaxed) {
                return;
            }
            up.await;
        }
    }

    async fn rewritten(self: &Arc<Self>, message: &[u8]) -> Vec<Frame> {
        let mut response = proto::SignalResponse::decode(message).expect("the server's own");
        match &mut response.message {
            Some(Response::Answer(description) | Response::Offer(description)) => {
                let mut lines = Vec::new();
                for line in description.sdp.lines() {
                    lines.push(match line.strip_prefix("a=") {
                        Some(candidate) if candidate.starts_with("candidate:") => {
                            format!("a={}", self.relayed(candidate).await)
                        }
                        _ => line.to_owned(),
                    });
                }
                description.sdp = lines.join("\r\n") + "\r\n";
            }
            Some(Response::Trickle(trickle)) => {
                let mut init: serde_json::Value =
                    serde_json::from_str(&trickle.candidate_init).unwrap();
                if let Some(candidate) = init["candidate"].as_str().filter(|c| !c.is_empty()) {
                    init["candidate"] = self.relayed(candidate).await.into();
                }
                trickle.candidate_init = init.to_string();
            }
            _ => {}
        }
        let messages = match &mut *self.change.lock().unwrap() {
            Some(change) => change(response),
            None => vec![response.encode_to_vec()],
        };
        let binary = |message: Vec<u8>| Frame::Binary(message.into());
        messages.into_iter().map(binary).collect()
    }

    /// The candidate with the address of a socket that relays to the one that it names.
    async fn relayed(self: &Arc<Self>, candidate: &str) -> String {
        let mut words: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
        if !words[2].eq_ignore_ascii_case("udp") {
            return candidate.to_owned();
        }
        let server: SocketAddr = format!("{}:{}", words[4], words[5]).parse().unwrap();
        let known = self.sockets.lock().unwrap().get(&server).copied();
        let relay = match known {
            Some(relay) => relay,
            None => self.relay_datagrams(server).await,
        };
        words[4] = relay.ip().to_string();
        words[5] = relay.port().to_string();
        words.join(" ")
    }

    /// Opens a socket whose datagrams go to the server, each participant's from another port.
    async fn relay_datagrams(self: &Arc<Self>, server: SocketAddr) -> SocketAddr {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        self.sockets.lock().unwrap().insert(server, address);
        let rebind = Arc::new(Notify::new());
        self.rebind.lock().unwrap().push(rebind.clone());
        let shared = self.clone();
        let task = tokio::spawn(async move {
            let mut upstream: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            let mut readers: Vec<JoinHandle<()>> = Vec::new();
            let mut datagram = vec![0; 2_048];
            loop {
                let received = tokio::select! {
                    received = socket.recv_from(&mut datagram) => received,
                    () = rebind.notified() => {
                        upstream.clear();
                        readers.drain(..).for_each(|reader| reader.abort());
                        continue;
                    }
                };
                let Ok((len, client)) = received else {
                    continue;
                };
                if shared.udp_down.load(Ordering::Relaxed) {
                    continue;
                }
                let own = match upstream.entry(client) {
                    Entry::Occupied(own) => own.into_mut(),
                    Entry::Vacant(own) => {
                        let (to, shared) = (socket.clone(), shared.clone());
                        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                        socket.connect(server).await.unwrap();
                        let back = shared.relay_back(socket.clone(), to, client);
                        readers.push(tokio::spawn(back));
                        own.insert(socket)
                    }
                };
                let _ = own.send(&datagram[..len]).await;
            }
        });
        self.tasks.lock().unwrap().push(task);
        address
    }

    async fn relay_back(
        self: Arc<Self>,
        from: Arc<UdpSocket>,
        to: Arc<UdpSocket>,
        client: SocketAddr,
    ) {
        let mut datagram = vec![0; 2_048];
        loop {
            // An error is a datagram that bounced.
            if let Ok(len) = from.recv(&mut datagram).await
                && !self.udp_down.load(Ordering::Relaxed)
            {
                let _ = to.send_to(&datagram[..len], client).await;
            }
        }
    }
}

/// A head of HTTP with its empty line, and what came after it already.
async fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut received = Vec::new();
    loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = received.split_off(end + 4);
            return Some((String::from_utf8(received).ok()?, rest));
        }
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
}

/// A join request whose offer names no addresses.
fn without_candidates(path: &str) -> String {
    let Some((route, encoded)) = path.split_once("?join_request=") else {
        return path.to_owned();
    };
    let bytes = URL_SAFE.decode(encoded.replace("%3D", "=")).unwrap();
    let mut wrapped = proto::WrappedJoinRequest::decode(&bytes[..]).unwrap();
    let mut join = proto::JoinRequest::decode(&wrapped.join_request[..]).unwrap();
    if let Some(offer) = &mut join.publisher_offer {
        strip(offer);
    }
    wrapped.join_request = join.encode_to_vec();
    let encoded = URL_SAFE.encode(wrapped.encode_to_vec()).replace('=', "%3D");
    format!("{route}?join_request={encoded}")
}

fn request_without_candidates(message: &[u8]) -> Option<Vec<u8>> {
    let mut request = proto::SignalRequest::decode(message).expect("a participant's own");
    match &mut request.message {
        Some(ClientRequest::Offer(description) | ClientRequest::Answer(description)) => {
            strip(description);
        }
        Some(ClientRequest::Trickle(_)) => return None,
        _ => {}
    }
    Some(request.encode_to_vec())
}

fn strip(description: &mut proto::SessionDescription) {
    let lines = description.sdp.lines();
    let kept: Vec<&str> = lines
        .filter(|line| !line.starts_with("a=candidate:"))
        .collect();
    description.sdp = kept.join("\r\n") + "\r\n";
}
