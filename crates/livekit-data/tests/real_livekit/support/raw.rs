//! A participant that keeps to no rules: it writes any bytes to data channels of any name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{DEADLINE, LiveKit};

/// Ends, without a word to the server, with the value.
pub(crate) struct Raw {
    commands: mpsc::Sender<Command>,
    pub(crate) sid: String,
}

enum Command {
    Write(&'static str, Vec<u8>),
    Signal(Box<Request>),
}

impl Raw {
    /// Joins with channels of these names beside the two that the server insists on.
    pub(crate) async fn join(server: &LiveKit, token: &str, others: &[&'static str]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let now = Instant::now();
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .set_sctp_max_buffered_amount(2 * LONGEST)
            .set_crypto_provider(Arc::new(str0m_aws_lc_rs::default_provider()))
            .build(now);
        let local = socket.local_addr().unwrap();
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        rtc.handle_input(Input::Timeout(now)).unwrap();
        let mut changes = rtc.sdp_api();
        let labels = [LOSSY, RELIABLE].into_iter().chain(others.iter().copied());
        let channels: HashMap<_, _> = labels
            .map(|label| (label, changes.add_channel_with_config(config(label))))
            .collect();
        let (offer, pending) = changes.apply().unwrap();
        let url = format!(
            "{}/rtc/v1?access_token={token}&join_request={}",
            server.url(),
            join_request(offer.to_sdp_string())
        );
        let (websocket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let (commands, queue) = mpsc::channel(QUEUE);
        let (joined, wait) = oneshot::channel();
        let task = Task {
            rtc,
            socket,
            websocket,
            pending: Some(pending),
            open: channels.keys().map(|label| (*label, false)).collect(),
            channels,
            queue,
            waiting: VecDeque::new(),
            sid: String::new(),
            joined: Some(joined),
        };
        tokio::spawn(task.run());
        let wait = tokio::time::timeout(DEADLINE, wait).await;
        let sid = wait.expect("within the deadline").expect("joins");
        Raw { commands, sid }
    }

    /// Writes a message to a channel, in turn.
    pub(crate) async fn write(&self, label: &'static str, message: impl Into<Vec<u8>>) {
        self.command(Command::Write(label, message.into())).await;
    }

    /// Writes a packet to a channel, in turn.
    pub(crate) async fn packet(&self, label: &'static str, packet: &proto::DataPacket) {
        self.write(label, packet.encode_to_vec()).await;
    }

    /// Sends a message over the WebSocket.
    pub(crate) async fn signal(&self, request: Request) {
        self.command(Command::Signal(Box::new(request))).await;
    }

    async fn command(&self, command: Command) {
        let sent = self.commands.send(command);
        let sent = tokio::time::timeout(DEADLINE, sent).await;
        let sent = sent.expect("the server takes it within the deadline");
        assert!(sent.is_ok(), "the server has ended the session");
    }
}

struct Task {
    rtc: Rtc,
    socket: UdpSocket,
    websocket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pending: Option<SdpPendingOffer>,
    channels: HashMap<&'static str, ChannelId>,
    open: HashMap<&'static str, bool>,
    queue: mpsc::Receiver<Command>,
    waiting: VecDeque<(&'static str, Vec<u8>)>,
    sid: String,
    joined: Option<oneshot::Sender<String>>,
}

impl Task {
    async fn run(mut self) {
        let mut datagram = [0; 2_048];
        let mut ping = tokio::time::interval(PING);
        loop {
            let Some(due) = self.drive() else { return };
            let idle = self.waiting.is_empty() && self.joined.is_none();
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    let (len, from) = received.unwrap();
                    let local = self.socket.local_addr().unwrap();
                    if let Ok(receive) = Receive::new(Protocol::Udp, from, local, &datagram[..len]) {
                        let input = Input::Receive(Instant::now(), receive);
                        if self.rtc.accepts(&input) {
                            self.rtc.handle_input(input).unwrap();
                        }
                    }
                }
                frame = self.websocket.next() => match frame {
                    Some(Ok(Frame::Binary(bytes))) => self.handle_signal(&bytes),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                command = self.queue.recv(), if idle => match command {
                    Some(Command::Write(label, message)) => self.waiting.push_back((label, message)),
                    Some(Command::Signal(request)) => self.request(*request).await,
                    None => return,
                },
                _ = ping.tick() => self.request(Request::PingReq(proto::Ping::default())).await,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            self.rtc
                .handle_input(Input::Timeout(Instant::now()))
                .unwrap();
        }
    }

    /// Does what the transport wants done; none when the session is over.
    fn drive(&mut self) -> Option<Instant> {
        loop {
            let due = loop {
                match self.rtc.poll_output().ok()? {
                    Output::Transmit(transmit) => {
                        // What the socket has no room for is lost.
                        let _ = self
                            .socket
                            .try_send_to(&transmit.contents, transmit.destination);
                    }
                    Output::Event(Event::ChannelOpen(id, _)) => {
                        for (label, channel) in &self.channels {
                            if *channel == id {
                                self.open.insert(label, true);
                            }
                        }
                    }
                    Output::Event(_) => {}
                    Output::Timeout(due) => break due,
                }
            };
            if self.open.values().all(|open| *open)
                && let Some(joined) = self.joined.take()
            {
                let _ = joined.send(self.sid.clone());
            }
            if !self.rtc.is_alive() {
                return None;
            }
            if !self.write() {
                return Some(due);
            }
        }
    }

    /// Whether a message that waits could be written.
    fn write(&mut self) -> bool {
        let Some((label, message)) = self.waiting.front() else {
            return false;
        };
        let Some(mut channel) = self.rtc.channel(self.channels[label]) else {
            self.waiting.clear();
            return false;
        };
        let written = channel.buffered_amount() < BUFFER && channel.write(true, message).unwrap();
        if written {
            self.waiting.pop_front();
        }
        written
    }

    fn handle_signal(&mut self, message: &[u8]) {
        match proto::SignalResponse::decode(message).unwrap().message {
            Some(Response::Join(join)) => self.sid = join.participant.unwrap().sid,
            Some(Response::Answer(answer)) => {
                // The longest message that the server says it takes is no limit here.
                let lines = answer.sdp.lines().map(|line| match line {
                    line if line.starts_with("a=max-message-size") => {
                        format!("a=max-message-size:{LONGEST}")
                    }
                    line => line.to_owned(),
                });
                let sdp = lines.collect::<Vec<_>>().join("\r\n") + "\r\n";
                let answer = SdpAnswer::from_sdp_string(&sdp).unwrap();
                let pending = self.pending.take().unwrap();
                self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
            }
            Some(Response::Trickle(trickle)) => {
                let init: serde_json::Value =
                    serde_json::from_str(&trickle.candidate_init).unwrap();
                let candidate = init["candidate"].as_str().unwrap_or_default();
                if let Ok(candidate) = Candidate::from_sdp_string(candidate)
                    && candidate.proto() == Protocol::Udp
                {
                    self.rtc.add_remote_candidate(candidate);
                }
            }
            _ => {}
        }
    }

    async fn request(&mut self, request: Request) {
        let message = Some(request);
        let bytes = proto::SignalRequest { message }.encode_to_vec();
        // Where it fails, the next read ends the task.
        let _ = self.websocket.send(Frame::Binary(bytes.into())).await;
    }
}

fn config(label: &str) -> ChannelConfig {
    let reliable = ![LOSSY, DATA_TRACK].contains(&label);
    ChannelConfig {
        label: label.into(),
        ordered: reliable,
        reliability: match reliable {
            true => Reliability::Reliable,
            false => Reliability::MaxRetransmits { retransmits: 0 },
        },
        ..Default::default()
    }
}

fn join_request(sdp: String) -> String {
    let request = proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            protocol: 16,
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings::default()),
        publisher_offer: Some(proto::SessionDescription {
            r#type: "offer".into(),
            sdp,
            id: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    let wrapped = proto::WrappedJoinRequest {
        join_request: request.encode_to_vec(),
        ..Default::default()
    };
    let encoded = URL_SAFE.encode(wrapped.encode_to_vec());
    encoded.replace('=', "%3D")
}

pub(crate) const LOSSY: &str = "_lossy";
pub(crate) const RELIABLE: &str = "_reliable";
pub(crate) const DATA_TRACK: &str = "_data_track";

/// Messages between the test and the task.
const QUEUE: usize = 64;

/// The longest message in bytes: beyond what any server takes.
const LONGEST: usize = 500_000;

/// Bytes on the line, from which on messages wait.
const BUFFER: usize = 128 * 1024;

/// The server waits 15 s for a ping.
const PING: Duration = Duration::from_secs(5);
