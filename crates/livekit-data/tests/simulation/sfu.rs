//! A model of LiveKit's server: what a data-only participant sees of it, in one room, with one
//! peer connection for each participant, or two for those who come over `/rtc`.

use base64::Engine as _;
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

/// One WebSocket.
pub(crate) type Socket = u64;

pub(crate) struct Sfu {
    address: SocketAddr,
    now: Instant,
    sessions: u32,
    members: BTreeMap<String, Member>,
    /// Datagrams to send, and messages over WebSockets.
    pub(crate) datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(crate) signals: VecDeque<(Socket, Vec<u8>)>,
}

struct Member {
    sid: String,
    /// What it sends over, and receives over unless there is a subscriber.
    publisher: Peer,
    /// What it receives over, if that is another one, and the offer that it has not answered.
    subscriber: Option<(Peer, Option<SdpPendingOffer>)>,
    socket: Option<Socket>,
    /// Number of the last reliable packet that was forwarded.
    last_sequence: u32,
    /// Reliable packets for it that its channel has no room for.
    waiting: VecDeque<Vec<u8>>,
}

/// One peer connection.
struct Peer {
    rtc: Rtc,
    timeout: Instant,
    lossy: Option<ChannelId>,
    reliable: Option<ChannelId>,
}

impl Peer {
    fn new(address: SocketAddr, now: Instant) -> Self {
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .set_crypto_provider(std::sync::Arc::new(str0m_aws_lc_rs::default_provider()))
            .build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        rtc.handle_input(Input::Timeout(now)).unwrap();
        Peer {
            rtc,
            timeout: now,
            lossy: None,
            reliable: None,
        }
    }

    fn accept(&mut self, offer: &proto::SessionDescription) -> proto::SessionDescription {
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
        let answer = self.rtc.sdp_api().accept_offer(parsed).unwrap();
        description("answer", answer.to_sdp_string(), offer.id)
    }

    /// An offer with the channels for packets, or for another path.
    fn offer(&mut self, restart: bool) -> (proto::SessionDescription, SdpPendingOffer) {
        let mut changes = self.rtc.sdp_api();
        if restart {
            changes.ice_restart(true);
        } else {
            let unreliable = Reliability::MaxRetransmits { retransmits: 0 };
            for (label, ordered, reliability) in [
                ("_lossy", false, unreliable),
                ("_reliable", true, Reliability::Reliable),
            ] {
                changes.add_channel_with_config(ChannelConfig {
                    label: label.into(),
                    ordered,
                    reliability,
                    ..Default::default()
                });
            }
        }
        let (offer, pending) = changes.apply().unwrap();
        (description("offer", offer.to_sdp_string(), 0), pending)
    }
}

/// What a peer connection has to say.
enum Said {
    Nothing,
    Data { reliable: bool, data: Vec<u8> },
    Over,
}

impl Sfu {
    pub(crate) fn new(address: SocketAddr, now: Instant) -> Self {
        Sfu {
            address,
            now,
            sessions: 0,
            members: BTreeMap::new(),
            datagrams: VecDeque::new(),
            signals: VecDeque::new(),
        }
    }

    /// The process dies, and is started again at once: it knows nobody.
    pub(crate) fn restart(&mut self) {
        self.members.clear();
        self.datagrams.clear();
        self.signals.clear();
    }

    pub(crate) fn identities(&self) -> Vec<&str> {
        self.members.keys().map(String::as_str).collect()
    }

    /// Somebody opened a WebSocket (`pkg/service/roommanager.go`).
    pub(crate) fn handle_open(&mut self, socket: Socket, identity: &str, path: &str, now: Instant) {
        self.now = now;
        let (reconnect, offer) = match path.strip_prefix("/rtc/v1?join_request=") {
            Some(encoded) => {
                let bytes = base64::engine::general_purpose::URL_SAFE
                    .decode(encoded.replace("%3D", "="))
                    .unwrap();
                let wrapped = proto::WrappedJoinRequest::decode(&bytes[..]).unwrap();
                let join = proto::JoinRequest::decode(&wrapped.join_request[..]).unwrap();
                (join.reconnect, join.publisher_offer)
            }
            None => (path.contains("&reconnect=1"), None),
        };
        match (reconnect, self.members.get_mut(identity)) {
            (true, Some(member)) => {
                member.socket = Some(socket);
                let last_message_seq = member.last_sequence;
                self.say(
                    socket,
                    Response::Reconnect(proto::ReconnectResponse {
                        last_message_seq,
                        ..Default::default()
                    }),
                );
                let participants = self.everybody();
                self.say(
                    socket,
                    Response::Update(proto::ParticipantUpdate { participants }),
                );
                self.offer_subscriber(identity, true);
            }
            (true, None) => self.leave(
                socket,
                proto::DisconnectReason::StateMismatch,
                proto::leave_request::Action::Reconnect,
            ),
            (false, _) => self.join(socket, identity, offer.as_ref()),
        }
        self.drive();
    }

    fn offer_subscriber(&mut self, identity: &str, restart: bool) {
        let member = self.members.get_mut(identity).unwrap();
        let (Some((subscriber, pending)), Some(socket)) = (&mut member.subscriber, member.socket)
        else {
            return;
        };
        let (offer, waiting) = subscriber.offer(restart);
        *pending = Some(waiting);
        subscriber
            .rtc
            .handle_input(Input::Timeout(self.now))
            .unwrap();
        self.say(socket, Response::Offer(offer));
    }

    /// Somebody with an offer wants one peer connection, and somebody without makes it later.
    fn join(&mut self, socket: Socket, identity: &str, offer: Option<&proto::SessionDescription>) {
        if let Some(old) = self.remove(identity)
            && let Some(old) = old.socket
        {
            self.leave(
                old,
                proto::DisconnectReason::DuplicateIdentity,
                proto::leave_request::Action::Disconnect,
            );
        }
        let mut publisher = Peer::new(self.address, self.now);
        let answer = offer.map(|offer| publisher.accept(offer));
        let subscriber = match answer {
            Some(_) => None,
            None => Some((Peer::new(self.address, self.now), None)),
        };
        self.sessions += 1;
        let sid = format!("PA_{:04}", self.sessions);
        let member = Member {
            sid,
            publisher,
            subscriber,
            socket: Some(socket),
            last_sequence: 0,
            waiting: VecDeque::new(),
        };
        let own = member.info(identity);
        let other_participants = self.everybody();
        self.members.insert(identity.to_owned(), member);
        self.say(
            socket,
            Response::Join(proto::JoinResponse {
                room: Some(proto::Room {
                    name: "room".into(),
                    sid: "RM_1".into(),
                    ..Default::default()
                }),
                participant: Some(own),
                other_participants,
                ping_interval: 5,
                ping_timeout: 15,
                ..Default::default()
            }),
        );
        match answer {
            Some(answer) => self.say(socket, Response::Answer(answer)),
            None => self.offer_subscriber(identity, false),
        }
        self.tell_others(identity, proto::participant_info::State::Active);
    }

    /// A request came over a WebSocket.
    pub(crate) fn handle_signal(&mut self, socket: Socket, message: &[u8], now: Instant) {
        self.now = now;
        let found = self
            .members
            .iter_mut()
            .find(|(_, member)| member.socket == Some(socket));
        let Some((identity, member)) = found else {
            return;
        };
        let identity = identity.clone();
        match proto::SignalRequest::decode(message).unwrap().message {
            Some(Request::Offer(offer)) => {
                let answer = member.publisher.accept(&offer);
                let time = Input::Timeout(now);
                member.publisher.rtc.handle_input(time).unwrap();
                self.say(socket, Response::Answer(answer));
            }
            Some(Request::Answer(answer)) => {
                let Some((subscriber, pending)) = &mut member.subscriber else {
                    panic!("{identity} answers, and was not offered anything");
                };
                let parsed = SdpAnswer::from_sdp_string(&answer.sdp).unwrap();
                if let Some(pending) = pending.take() {
                    let sdp = subscriber.rtc.sdp_api();
                    sdp.accept_answer(pending, parsed).unwrap();
                }
                subscriber.rtc.handle_input(Input::Timeout(now)).unwrap();
            }
            Some(Request::PingReq(ping)) => self.say(
                socket,
                Response::PongResp(proto::Pong {
                    last_ping_timestamp: ping.timestamp,
                    timestamp: 0,
                }),
            ),
            Some(Request::Leave(_)) => {
                self.remove(&identity);
            }
            _ => {}
        }
        self.drive();
    }

    /// A WebSocket is gone; its participant is kept as long as its transport works.
    pub(crate) fn handle_closed(&mut self, socket: Socket) {
        for member in self.members.values_mut() {
            if member.socket == Some(socket) {
                member.socket = None;
            }
        }
    }

    /// Removes somebody for good, as the server's API does.
    pub(crate) fn kick(&mut self, identity: &str) {
        if let Some(member) = self.remove(identity)
            && let Some(socket) = member.socket
        {
            self.leave(
                socket,
                proto::DisconnectReason::ParticipantRemoved,
                proto::leave_request::Action::Disconnect,
            );
        }
    }

    pub(crate) fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        self.now = now;
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, datagram) else {
            return;
        };
        let input = Input::Receive(now, receive);
        let peers = self.members.values_mut().flat_map(Member::peers);
        let owner = peers.into_iter().find(|peer| peer.rtc.accepts(&input));
        if let Some(peer) = owner {
            let _ = peer.rtc.handle_input(input);
            self.drive();
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        for peer in self.members.values_mut().flat_map(Member::peers) {
            if peer.timeout <= now {
                let _ = peer.rtc.handle_input(Input::Timeout(now));
            }
        }
        self.drive();
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let peers = self.members.values_mut().flat_map(Member::peers);
        peers.map(|peer| peer.timeout).min()
    }

    fn drive(&mut self) {
        loop {
            let identities: Vec<String> = self.members.keys().cloned().collect();
            let mut again = false;
            for identity in identities {
                again |= self.drive_one(&identity);
            }
            if !again {
                return;
            }
        }
    }

    /// True if others were given something to send.
    fn drive_one(&mut self, identity: &str) -> bool {
        let mut forwarded = false;
        loop {
            let Some(member) = self.members.get_mut(identity) else {
                return forwarded;
            };
            let mut said = member.publisher.poll(&mut self.datagrams);
            if let (Said::Nothing, Some((subscriber, _))) = (&said, &mut member.subscriber) {
                said = subscriber.poll(&mut self.datagrams);
            }
            match said {
                Said::Nothing if member.write_waiting() => {}
                Said::Nothing => return forwarded,
                Said::Data { reliable, data } => {
                    forwarded |= self.forward(identity, &data, reliable);
                }
                Said::Over => {
                    self.lose(identity);
                    return forwarded;
                }
            }
        }
    }

    /// `handleReceivedDataMessage` in `pkg/rtc/participant.go`.
    fn forward(&mut self, identity: &str, data: &[u8], reliable: bool) -> bool {
        let mut packet = proto::DataPacket::decode(data).expect("a participant's own");
        let sender = self.members.get_mut(identity).unwrap();
        if reliable && packet.sequence > 0 {
            if sender.last_sequence >= packet.sequence {
                return false;
            }
            sender.last_sequence = packet.sequence;
        }
        packet.participant_identity = identity.to_owned();
        packet.participant_sid.clone_from(&sender.sid);
        let bytes = packet.encode_to_vec();
        let mut forwarded = false;
        for (other, member) in &mut self.members {
            if other == identity {
                continue;
            }
            forwarded = true;
            if reliable {
                member.waiting.push_back(bytes.clone());
                member.write_waiting();
            } else if let Some(id) = member.receiver().lossy
                && let Some(mut channel) = member.receiver().rtc.channel(id)
                && channel.buffered_amount() < 64 * 1024
            {
                let _ = channel.write(true, &bytes);
            }
        }
        forwarded
    }

    /// The transport is lost: who can still be told is to come back.
    fn lose(&mut self, identity: &str) {
        if let Some(member) = self.remove(identity)
            && let Some(socket) = member.socket
        {
            self.leave(
                socket,
                proto::DisconnectReason::ConnectionTimeout,
                proto::leave_request::Action::Reconnect,
            );
        }
    }

    fn remove(&mut self, identity: &str) -> Option<Member> {
        if self.members.contains_key(identity) {
            self.tell_others(identity, proto::participant_info::State::Disconnected);
        }
        self.members.remove(identity)
    }

    fn everybody(&self) -> Vec<proto::ParticipantInfo> {
        let members = self.members.iter();
        members
            .map(|(identity, member)| member.info(identity))
            .collect()
    }

    fn tell_others(&mut self, identity: &str, state: proto::participant_info::State) {
        let mut info = self.members[identity].info(identity);
        info.state = state as i32;
        let others: Vec<Socket> = self
            .members
            .iter()
            .filter(|(other, _)| *other != identity)
            .filter_map(|(_, member)| member.socket)
            .collect();
        for socket in others {
            let participants = vec![info.clone()];
            self.say(
                socket,
                Response::Update(proto::ParticipantUpdate { participants }),
            );
        }
    }

    fn leave(
        &mut self,
        socket: Socket,
        reason: proto::DisconnectReason,
        action: proto::leave_request::Action,
    ) {
        self.say(
            socket,
            Response::Leave(proto::LeaveRequest {
                reason: reason as i32,
                action: action as i32,
                ..Default::default()
            }),
        );
    }

    fn say(&mut self, socket: Socket, response: Response) {
        let message = proto::SignalResponse {
            message: Some(response),
        };
        self.signals.push_back((socket, message.encode_to_vec()));
    }
}

impl Member {
    fn info(&self, identity: &str) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            sid: self.sid.clone(),
            identity: identity.to_owned(),
            state: proto::participant_info::State::Active as i32,
            ..Default::default()
        }
    }

    fn peers(&mut self) -> Vec<&mut Peer> {
        let subscriber = self.subscriber.as_mut().map(|(peer, _)| peer);
        std::iter::once(&mut self.publisher)
            .chain(subscriber)
            .collect()
    }

    /// What it receives over.
    fn receiver(&mut self) -> &mut Peer {
        match &mut self.subscriber {
            Some((subscriber, _)) => subscriber,
            None => &mut self.publisher,
        }
    }

    /// True if any went.
    fn write_waiting(&mut self) -> bool {
        let mut written = false;
        while let Some(message) = self.waiting.pop_front() {
            let peer = self.receiver();
            let channel = peer.reliable.and_then(|id| peer.rtc.channel(id));
            let taken = channel.is_some_and(|mut channel| {
                channel.buffered_amount() <= 64 * 1024 && channel.write(true, &message).unwrap()
            });
            if !taken {
                self.waiting.push_front(message);
                break;
            }
            written = true;
        }
        written
    }
}

impl Peer {
    fn poll(&mut self, datagrams: &mut VecDeque<(SocketAddr, Vec<u8>)>) -> Said {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    datagrams.push_back((transmit.destination, transmit.contents.into()));
                }
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return match self.rtc.is_alive() {
                        true => Said::Nothing,
                        false => Said::Over,
                    };
                }
                Ok(Output::Event(Event::ChannelOpen(id, label))) => match label.as_str() {
                    "_lossy" => self.lossy = Some(id),
                    "_reliable" => self.reliable = Some(id),
                    other => panic!("an unknown channel: {other}"),
                },
                Ok(Output::Event(Event::ChannelData(data))) => {
                    return Said::Data {
                        reliable: self.reliable == Some(data.id),
                        data: data.data,
                    };
                }
                Ok(Output::Event(Event::IceConnectionStateChange(
                    IceConnectionState::Disconnected,
                )))
                | Err(_) => return Said::Over,
                Ok(Output::Event(_)) => {}
            }
        }
    }
}

fn description(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: kind.into(),
        sdp,
        id,
        ..Default::default()
    }
}
