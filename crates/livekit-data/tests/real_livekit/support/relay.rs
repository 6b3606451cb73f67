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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response as Upgrade};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Changes messages from the server to a participant; one that it empties is not passed on.
pub(crate) type Change = Box<dyn FnMut(proto::SignalResponse) -> Vec<Vec<u8>> + Send>;

/// Ends with the value.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    url: String,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    server: String,
    udp_down: AtomicBool,
    tcp_down: AtomicBool,
    tcp_up: Notify,
    /// Ends every WebSocket that is open.
    cut: broadcast::Sender<()>,
    dials: AtomicUsize,
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
            server: server.to_owned(),
            udp_down: AtomicBool::new(false),
            tcp_down: AtomicBool::new(false),
            tcp_up: Notify::new(),
            cut: broadcast::Sender::new(1),
            dials: AtomicUsize::new(0),
            change: Mutex::new(None),
            sockets: Mutex::default(),
            rebind: Mutex::default(),
            tasks: Mutex::default(),
        });
        let accepting = shared.clone();
        let accept = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                accepting.dials.fetch_add(1, Ordering::Relaxed);
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

    /// How many connections were made to it.
    pub(crate) fn dials(&self) -> usize {
        self.shared.dials.load(Ordering::Relaxed)
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

type ServerSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Shared {
    async fn signal(self: Arc<Self>, tcp: TcpStream) {
        self.while_tcp_is_down().await;
        let mut path = String::new();
        let mut authorization = None;
        // What tungstenite wants here is large.
        #[allow(clippy::result_large_err)]
        let copy = |request: &Request, upgrade: Upgrade| {
            path = request.uri().to_string();
            authorization = request.headers().get("authorization").cloned();
            Ok(upgrade)
        };
        let Ok(client) = tokio_tungstenite::accept_hdr_async(tcp, copy).await else {
            return;
        };
        let url = format!("{}{}", self.server, without_candidates(&path));
        let mut request = url.into_client_request().unwrap();
        if let Some(token) = authorization {
            request.headers_mut().insert("authorization", token);
        }
        let Ok((server, _)) = tokio_tungstenite::connect_async(request).await else {
            return;
        };
        let mut cut = self.cut.subscribe();
        tokio::select! {
            _ = cut.recv() => {}
            () = self.pass(client, server) => {}
        }
    }

    async fn pass(self: &Arc<Self>, client: WebSocketStream<TcpStream>, server: ServerSocket) {
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
