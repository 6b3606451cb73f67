//! One peer connection: a transport of data channels, and how it is negotiated.

use super::OfferError;
use super::backlog::{LOSSY_BUFFER, LOSSY_BURST};
use super::probe::Prober;
use super::watchdog::{CHECK_INTERVAL, FIRST_CHECK, Verdict, Watchdog};
use crate::crypto;
use crate::data_track::{FRAME_PACKETS, LABEL};
use crate::packet::MAX_LOSSY_MESSAGE;
use crate::{Channel, Transmit};
use livekit_protocol::SessionDescription;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, IceConnectionState, Input, Output, Rtc, RtcConfig};

/// What a peer connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Sends, and receives too unless there is a subscriber.
    Publisher,
    /// Only receives; the server offers it.
    Subscriber,
}

/// What a message came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Packets(Channel),
    DataTracks,
}

/// What a peer connection reports.
#[derive(Debug)]
pub(super) enum PeerEvent {
    Message(Carrier, Vec<u8>),
    /// The server ended it, or it failed.
    Ended,
}

#[derive(Debug)]
pub(super) struct Peer {
    rtc: Rtc,
    role: Role,
    local: Vec<SocketAddr>,
    relayed: Vec<Candidate>,
    rtc_timeout: Instant,
    /// What the server has not answered yet, and its text.
    pending_offer: Option<(SdpPendingOffer, String)>,
    offers: u32,
    has_remote: bool,
    /// Remote candidates that came before the description that they belong to.
    early_candidates: Vec<String>,
    /// How many came since ICE began.
    candidates: usize,
    lossy: DataChannel,
    reliable: DataChannel,
    data_tracks: DataChannel,
    ice_connected: bool,
    ended: bool,
    /// Sends nothing any more.
    frozen: bool,
    watchdog: Watchdog,
    prober: Prober,
}

#[derive(Debug, Default)]
struct DataChannel {
    id: Option<ChannelId>,
    open: bool,
}

/// Whether a datagram belonged to this peer connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
}

impl Peer {
    pub(super) fn new(role: Role, local: &[SocketAddr], now: Instant) -> Result<Self, OfferError> {
        let mut config: RtcConfig = Rtc::builder()
            .clear_codecs()
            .set_crypto_provider(crypto::transport().clone())
            .set_mtu(DATAGRAM_TARGET..=DATAGRAM_WARN)
            .set_sctp_max_buffered_amount(SEND_BUFFER);
        config.set_initial_stun_rto(FIRST_CHECK);
        config.set_max_stun_rto(CHECK_INTERVAL);
        config.set_max_stun_retransmits(CHECKS);
        let mut peer = Peer {
            rtc: config.build(now),
            role,
            local: Vec::new(),
            relayed: Vec::new(),
            rtc_timeout: now,
            pending_offer: None,
            offers: 0,
            has_remote: false,
            early_candidates: Vec::new(),
            candidates: 0,
            lossy: DataChannel::default(),
            reliable: DataChannel::default(),
            data_tracks: DataChannel::default(),
            ice_connected: false,
            ended: false,
            frozen: false,
            watchdog: Watchdog::new(now),
            prober: Prober::default(),
        };
        peer.set_local_addresses(local)?;
        // The ICE agent has no clock until its first timeout.
        peer.handle_timeout(now);
        Ok(peer)
    }

    /// Sends and receives at these addresses from now on.
    pub(super) fn set_local_addresses(&mut self, local: &[SocketAddr]) -> Result<(), OfferError> {
        for &address in local {
            if !self.local.contains(&address) {
                self.rtc.add_local_candidate(host(address)?);
            }
        }
        for &address in self.local.iter().filter(|old| !local.contains(old)) {
            self.rtc.direct_api().invalidate_candidate(&host(address)?);
        }
        self.local = local.to_vec();
        Ok(())
    }

    /// Sends and receives at this address too; `local` is a socket's. Returns the candidate for
    /// the server.
    pub(super) fn add_relayed(&mut self, relayed: SocketAddr, local: SocketAddr) -> Option<String> {
        let candidate = Candidate::relayed(relayed, local, "udp").ok()?;
        let candidate = self.rtc.add_local_candidate(candidate)?.clone();
        let text = candidate.to_sdp_string();
        self.relayed.push(candidate);
        Some(text)
    }

    /// The relayed addresses are gone.
    pub(super) fn remove_relayed(&mut self) {
        for candidate in std::mem::take(&mut self.relayed) {
            self.rtc.direct_api().invalidate_candidate(&candidate);
        }
    }

    pub(super) fn has_local_address(&self, local: SocketAddr) -> bool {
        self.local.contains(&local)
    }

    /// The first offer, with the two channels for packets.
    pub(super) fn offer(&mut self) -> Option<SessionDescription> {
        let mut changes = self.rtc.sdp_api();
        self.lossy.id = Some(changes.add_channel_with_config(unreliable("_lossy")));
        self.reliable.id = Some(changes.add_channel_with_config(ChannelConfig {
            label: "_reliable".into(),
            ..Default::default()
        }));
        let (offer, pending) = changes.apply()?;
        Some(self.offered(offer, pending))
    }

    /// An offer that looks for a path anew and keeps everything else.
    pub(super) fn restart_ice(&mut self) -> Option<SessionDescription> {
        let mut changes = self.rtc.sdp_api();
        changes.ice_restart(true);
        let (offer, pending) = changes.apply()?;
        self.ice_connected = false;
        self.has_remote = false;
        self.candidates = 0;
        Some(self.offered(offer, pending))
    }

    /// Opens the channel of data tracks. The transport is there for the others already, so this
    /// takes no offer.
    pub(super) fn open_data_tracks(&mut self) {
        let config = unreliable(LABEL);
        self.data_tracks.id = Some(self.rtc.direct_api().create_data_channel(config));
    }

    fn offered(&mut self, offer: SdpOffer, pending: SdpPendingOffer) -> SessionDescription {
        self.offers += 1;
        let sdp = offer.to_sdp_string();
        self.pending_offer = Some((pending, sdp.clone()));
        SessionDescription {
            r#type: "offer".into(),
            sdp,
            id: self.offers,
            ..Default::default()
        }
    }

    pub(super) fn handle_answer(&mut self, answer: &SessionDescription) -> Result<(), String> {
        // The server repeats the offer's number; older ones do not, and say nothing.
        if answer.id != 0 && answer.id != self.offers {
            return Ok(());
        }
        let Some((pending, offer)) = self.pending_offer.take() else {
            return Err("it answers no offer".into());
        };
        let parsed = SdpAnswer::from_sdp_string(&answer.sdp).map_err(|error| error.to_string())?;
        self.rtc
            .sdp_api()
            .accept_answer(pending, parsed)
            .map_err(|error| error.to_string())?;
        self.negotiated(&offer, &answer.sdp, true);
        Ok(())
    }

    pub(super) fn handle_offer(
        &mut self,
        offer: &SessionDescription,
    ) -> Result<SessionDescription, String> {
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).map_err(|error| error.to_string())?;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(parsed)
            .map_err(|error| error.to_string())?;
        let sdp = answer.to_sdp_string();
        self.negotiated(&sdp, &offer.sdp, false);
        Ok(SessionDescription {
            r#type: "answer".into(),
            sdp,
            id: offer.id,
            ..Default::default()
        })
    }

    fn negotiated(&mut self, local: &str, remote: &str, offered: bool) {
        self.has_remote = true;
        self.prober.set_descriptions(local, remote, offered);
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.add_candidate(&candidate);
        }
    }

    /// Whether the candidate could be understood.
    pub(super) fn handle_candidate(&mut self, candidate: &str) -> bool {
        if self.has_remote {
            return self.add_candidate(candidate);
        }
        let few = self.early_candidates.len() < MAX_CANDIDATES;
        if few {
            self.early_candidates.push(candidate.to_owned());
        }
        few
    }

    fn add_candidate(&mut self, candidate: &str) -> bool {
        match Candidate::from_sdp_string(candidate) {
            Ok(candidate) if candidate.proto() == Protocol::Udp => {
                self.candidates += 1;
                let few = self.candidates <= MAX_CANDIDATES;
                if few {
                    self.rtc.add_remote_candidate(candidate);
                }
                few
            }
            Ok(_) => true, // ICE over TCP is not spoken here
            Err(_) => false,
        }
    }

    pub(super) fn handle_datagram(
        &mut self,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Taken {
        let in_flight = self.buffered_in_all() > 0;
        if self.prober.handle_datagram(from, datagram) {
            self.watchdog.handle_datagram(datagram[0], in_flight, now);
            return Taken::Yes;
        }
        let Ok(receive) = Receive::new(Protocol::Udp, from, local, datagram) else {
            return Taken::No;
        };
        let input = Input::Receive(now, receive);
        // Anybody can send to the socket; only what belongs to this session may reach its state.
        if !self.rtc.accepts(&input) {
            return Taken::No;
        }
        self.watchdog.handle_datagram(datagram[0], in_flight, now);
        self.handle_input(input);
        Taken::Yes
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.handle_input(Input::Timeout(now));
    }

    fn handle_input(&mut self, input: Input<'_>) {
        if let Err(error) = self.rtc.handle_input(input) {
            tracing::debug!(%error, "the transport refused an input");
            // A handshake does not get over that, and there is no sign of it but silence.
            if !self.is_open() {
                self.rtc.disconnect();
            }
        }
    }

    /// A message that the connection could read arrived.
    pub(super) fn handle_message(&mut self, now: Instant) {
        self.watchdog.handle_message(now);
    }

    /// What the silence on this peer connection means, once it was connected. The link gets
    /// `stretch` times more time than usual before it is called dead.
    pub(super) fn watch(
        &mut self,
        now: Instant,
        stretch: u32,
        transmits: &mut VecDeque<Transmit>,
    ) -> Option<Verdict> {
        if !self.is_open() || self.frozen || self.ended {
            return None;
        }
        transmits.extend(self.prober.poll(self.last_datagram(), stretch, now));
        self.watchdog.poll(now, stretch)
    }

    /// When it has something to do, with as much time as for [`watch`](Self::watch); never, once it
    /// has ended.
    pub(super) fn timeout(&self, stretch: u32) -> Option<Instant> {
        if self.ended {
            return None;
        }
        if !self.is_open() || self.frozen {
            return Some(self.rtc_timeout);
        }
        let probe = self.prober.timeout(self.last_datagram(), stretch);
        let watchdog = self.watchdog.timeout(stretch);
        [self.rtc_timeout, probe].into_iter().chain(watchdog).min()
    }

    /// Asks the transport for what it has until there is nothing, or an event.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        transmits: &mut VecDeque<Transmit>,
    ) -> Option<PeerEvent> {
        while !self.ended {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    let transmit = Transmit {
                        source: transmit.source,
                        destination: transmit.destination,
                        contents: transmit.contents.into(),
                    };
                    self.prober.observe(&transmit);
                    if let Some(&first_byte) = transmit.contents.first() {
                        self.watchdog.handle_sent(first_byte, now);
                    }
                    if !self.frozen {
                        transmits.push_back(transmit);
                    }
                }
                Ok(Output::Event(event)) => {
                    if let Some(event) = self.handle_event(event) {
                        return Some(event);
                    }
                }
                Ok(Output::Timeout(at)) => {
                    self.rtc_timeout = at;
                    if self.rtc.is_alive() {
                        return None;
                    }
                    self.ended = true;
                    return Some(PeerEvent::Ended);
                }
                Err(error) => {
                    tracing::debug!(%error, "the transport failed");
                    self.ended = true;
                    return Some(PeerEvent::Ended);
                }
            }
        }
        None
    }

    fn handle_event(&mut self, event: str0m::Event) -> Option<PeerEvent> {
        match event {
            str0m::Event::ChannelOpen(id, label) => {
                let channel = match label.as_str() {
                    "_lossy" => &mut self.lossy,
                    "_reliable" => &mut self.reliable,
                    LABEL => &mut self.data_tracks,
                    _ => return None,
                };
                // The server may open its own beside ours, of which one is for each direction.
                if channel.id.is_none() {
                    channel.id = Some(id);
                }
                channel.open |= channel.id == Some(id);
                None
            }
            str0m::Event::ChannelData(data) => {
                let carrier = self.carrier(data.id)?;
                Some(PeerEvent::Message(carrier, data.data))
            }
            str0m::Event::ChannelClose(id) => {
                // A server that has data tracks switched off closes their channel.
                if self.data_tracks.id == Some(id) {
                    self.data_tracks = DataChannel::default();
                }
                let essential = [self.lossy.id, self.reliable.id].contains(&Some(id));
                essential.then(|| {
                    tracing::debug!("the server closed a data channel");
                    self.ended = true;
                    PeerEvent::Ended
                })
            }
            str0m::Event::IceConnectionStateChange(state) => {
                let was_connected =
                    std::mem::replace(&mut self.ice_connected, state.is_connected());
                // Before, it means that no candidate so far fits, and others may come.
                (was_connected && state == IceConnectionState::Disconnected).then(|| {
                    tracing::debug!("the server does not answer connectivity checks");
                    self.ended = true;
                    PeerEvent::Ended
                })
            }
            _ => None,
        }
    }

    fn carrier(&self, id: ChannelId) -> Option<Carrier> {
        let id = Some(id);
        [
            (self.lossy.id, Carrier::Packets(Channel::Lossy)),
            (self.reliable.id, Carrier::Packets(Channel::Reliable)),
            (self.data_tracks.id, Carrier::DataTracks),
        ]
        .into_iter()
        .find_map(|(known, carrier)| (known == id).then_some(carrier))
    }

    fn channel(&self, carrier: Carrier) -> &DataChannel {
        match carrier {
            Carrier::Packets(Channel::Lossy) => &self.lossy,
            Carrier::Packets(Channel::Reliable) => &self.reliable,
            Carrier::DataTracks => &self.data_tracks,
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Whether both channels for packets are open.
    pub(super) fn is_open(&self) -> bool {
        self.lossy.open && self.reliable.open
    }

    pub(super) fn is_ice_connected(&self) -> bool {
        self.ice_connected
    }

    /// Whether datagrams get through, as far as is known.
    pub(super) fn is_link_up(&self) -> bool {
        !self.ended && !self.frozen && self.watchdog.is_up()
    }

    /// Sends nothing from now on: what the server has stays as it is.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }

    /// When the last datagram arrived.
    pub(super) fn last_datagram(&self) -> Instant {
        self.watchdog.last_datagram()
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Hands a message to the transport; false if it does not take it.
    pub(super) fn write(&mut self, carrier: Carrier, message: &[u8]) -> bool {
        let channel = self.channel(carrier);
        let Some(id) = channel.id.filter(|_| channel.open && !self.frozen) else {
            return false;
        };
        let Some(mut channel) = self.rtc.channel(id) else {
            return false;
        };
        channel.write(true, message).unwrap_or(false)
    }

    /// Bytes that were written and not yet acknowledged by the server.
    pub(super) fn buffered(&mut self, carrier: Carrier) -> usize {
        let Some(id) = self.channel(carrier).id else {
            return 0;
        };
        self.rtc
            .channel(id)
            .map_or(0, |mut channel| channel.buffered_amount())
    }

    fn buffered_in_all(&mut self) -> usize {
        self.buffered(Carrier::Packets(Channel::Lossy))
            + self.buffered(Carrier::Packets(Channel::Reliable))
            + self.buffered(Carrier::DataTracks)
    }
}

fn host(address: SocketAddr) -> Result<Candidate, OfferError> {
    Candidate::host(address, "udp").map_err(|error| OfferError {
        local: address,
        reason: error.to_string(),
    })
}

fn unreliable(label: &str) -> ChannelConfig {
    ChannelConfig {
        label: label.into(),
        ordered: false,
        reliability: Reliability::MaxRetransmits { retransmits: 0 },
        ..Default::default()
    }
}

/// str0m subtracts 88 bytes for DTLS and SCTP, which leaves 1,163 for one SCTP chunk, as pion
/// has towards us. With IP and UDP headers such a packet is 1,256 bytes on an IPv4 link, below
/// the 1,280 that every IPv6 link carries.
const DATAGRAM_TARGET: usize = 1_251;
const DATAGRAM_WARN: usize = 1_500;

/// Reliable bytes on their way, from which on messages wait in the queue: 1 MB/s at a round trip
/// of 125 ms.
pub(super) const RELIABLE_BUFFER: usize = 128 * 1024;

/// Bytes of data tracks on their way, from which on frames are dropped.
pub(super) const TRACK_BUFFER: usize = LOSSY_BUFFER;

/// Room in the transport for all channels; one reliable message of 64 kB and one frame may go past
/// their marks.
const SEND_BUFFER: usize =
    RELIABLE_BUFFER + 64 * 1024 + LOSSY_BURST + TRACK_BUFFER + FRAME_PACKETS * MAX_LOSSY_MESSAGE;

/// A server has a handful of addresses; each candidate comes with its own message.
const MAX_CANDIDATES: usize = 64;

/// Unanswered checks before the ICE agent gives up: half a minute, which is longer than anybody
/// waits for a reconnect. Until then the same path may come back.
const CHECKS: usize = 60;
