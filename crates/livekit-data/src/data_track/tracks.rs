//! All data tracks of a connection: own ones and those of others, as one state machine.

use super::announced::Announced;
use super::published::Published;
use super::sender::Packets;
use super::{FrameError, LocalTrack, PublishError, TrackEvent, TrackStats};
use crate::DataTracks;
use livekit_protocol as proto;
use proto::request_response::Request as Refused;
use proto::{signal_request::Message as Request, signal_response::Message as Response};
use std::collections::VecDeque;
use std::time::Instant;

/// Requests and packets go out, responses and packets come in. It belongs to a connection, and
/// lives through its resumes and rejoins.
#[derive(Debug)]
pub(crate) struct Tracks {
    mode: DataTracks,
    /// Whether the server of this session is one to use data tracks with; none before joining.
    usable: Option<bool>,
    published: Published,
    announced: Announced,
    next_base: u32,
    pub(crate) stats: TrackStats,
    requests: VecDeque<Request>,
    events: VecDeque<TrackEvent>,
}

impl Tracks {
    /// No tracks yet; the time stamps of own ones begin where the seed says.
    pub(crate) fn new(mode: DataTracks, seed: u64) -> Self {
        Tracks {
            mode,
            usable: None,
            published: Published::default(),
            announced: Announced::default(),
            next_base: seed as u32,
            stats: TrackStats::default(),
            requests: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Whether the session needs the channel [`LABEL`]: known from the server's version on.
    pub(crate) fn usable(&self) -> bool {
        self.usable == Some(true)
    }

    /// A session has begun, the first one or after a full rejoin.
    pub(crate) fn joined(
        &mut self,
        server_version: &str,
        others: &[proto::ParticipantInfo],
        now: Instant,
    ) {
        let usable = match self.mode {
            DataTracks::Off => false,
            DataTracks::Auto => version(server_version).is_some_and(|version| version >= SINCE),
            DataTracks::On => true,
        };
        let before = self.usable.replace(usable);
        self.requests.clear();
        if usable {
            let (requests, events) = (&mut self.requests, &mut self.events);
            if before.is_some() {
                self.published.rejoined(now, requests, events);
            }
            self.announced.rejoined(others, now, requests, events);
        }
    }

    /// The session goes on after a resume. The server's update about all participants follows.
    pub(crate) fn resumed(&mut self, now: Instant) {
        if self.usable() {
            // All else that was not sent is asked for again.
            self.requests.retain(|request| match request {
                Request::UpdateDataSubscription(update) => !update.updates[0].subscribe,
                _ => false,
            });
            self.published.resumed(now, &mut self.requests);
            self.announced.resumed(now, &mut self.requests);
        }
    }

    /// Own tracks and subscriptions, for the `SyncState` of a resume.
    pub(crate) fn sync_state(
        &self,
    ) -> (
        Vec<proto::PublishDataTrackResponse>,
        Option<proto::UpdateDataSubscription>,
    ) {
        if !self.usable() {
            return Default::default();
        }
        let subscribed = self.announced.sync_state();
        let subscribed = (!subscribed.updates.is_empty()).then_some(subscribed);
        (self.published.sync_state(), subscribed)
    }

    /// The server's news about another participant.
    pub(crate) fn handle_other(&mut self, info: &proto::ParticipantInfo, now: Instant) {
        if self.usable() {
            let (requests, events) = (&mut self.requests, &mut self.events);
            self.announced.update(info, now, requests, events);
        }
    }

    /// The server's news about this participant.
    pub(crate) fn handle_own(&mut self, info: &proto::ParticipantInfo) {
        if self.usable() {
            self.published.update(info, &mut self.events);
        }
    }

    /// Takes what is about data tracks among the server's messages, and leaves the rest.
    pub(crate) fn handle_response(&mut self, response: &Response, now: Instant) {
        if !self.usable() {
            return;
        }
        let events = &mut self.events;
        match response {
            Response::PublishDataTrackResponse(response) => {
                if let Some(info) = &response.info {
                    self.published.accepted(info, events);
                }
            }
            Response::UnpublishDataTrackResponse(response) => {
                if let Some(info) = &response.info {
                    self.published.ended(info.pub_handle, events);
                }
            }
            Response::DataTrackSubscriberHandles(handles) => {
                self.announced.handles(&handles.sub_handles, now, events);
            }
            Response::RequestResponse(response) => match &response.request {
                Some(Refused::PublishDataTrack(request)) => self.published.refused(
                    request.pub_handle,
                    response.reason(),
                    &response.message,
                    events,
                ),
                Some(Refused::UnpublishDataTrack(request)) => {
                    self.published.ended(request.pub_handle, events);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Takes a message of the channel [`LABEL`].
    pub(crate) fn handle_packet(&mut self, packet: Vec<u8>, now: Instant) {
        if let Some(frame) = self.announced.packet(packet, now, &mut self.stats) {
            self.events.push_back(TrackEvent::Frame(frame));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.usable() {
            let (requests, events) = (&mut self.requests, &mut self.events);
            self.published.handle_timeout(now, requests, events);
            self.announced.handle_timeout(now, requests);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = [self.published.poll_timeout(), self.announced.poll_timeout()];
        due.into_iter().flatten().min()
    }

    /// The next request for the server. To be left here while signalling is down.
    pub(crate) fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<TrackEvent> {
        self.events.pop_front()
    }

    pub(crate) fn publish(&mut self, name: &str, now: Instant) -> Result<LocalTrack, PublishError> {
        match self.usable {
            None => return Err(PublishError::Closed),
            Some(false) => return Err(PublishError::Off),
            Some(true) => {}
        }
        self.next_base = self.next_base.wrapping_mul(MULTIPLIER).wrapping_add(1);
        let base = self.next_base;
        self.published.publish(name, base, now, &mut self.requests)
    }

    pub(crate) fn unpublish(&mut self, track: LocalTrack) {
        self.published.unpublish(track, &mut self.requests);
    }

    /// Where data tracks are not used the wish is kept, for a rejoin at a newer server.
    pub(crate) fn subscribe(&mut self, publisher: &str, name: &str, now: Instant) {
        let requests = &mut self.requests;
        self.announced.subscribe(publisher, name, now, requests);
    }

    pub(crate) fn unsubscribe(&mut self, publisher: &str, name: &str) {
        self.announced
            .unsubscribe(publisher, name, &mut self.requests);
    }

    /// The packets to write for a frame; none while its track is being published again.
    pub(crate) fn packets<'a>(
        &mut self,
        track: LocalTrack,
        payload: &'a [u8],
        user_timestamp: Option<u64>,
        now: Instant,
    ) -> Result<Option<Packets<'a>>, FrameError> {
        self.published.packets(track, payload, user_timestamp, now)
    }
}

/// The data channel that packets of data tracks go over, unordered and without retransmissions
/// (`DataTrackDataChannel` in livekit-server's `pkg/rtc/transport.go`).
pub(crate) const LABEL: &str = "_data_track";

/// The first version that [`DataTracks::Auto`] uses data tracks with.
const SINCE: [u32; 3] = [1, 13, 6];

/// For time stamps that begin apart from each other (Numerical Recipes' generator).
const MULTIPLIER: u32 = 1_664_525;

/// The three numbers of `1.13.5`, or of `1.13.5-rc1`.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.trim_start_matches('v').splitn(3, '.');
    let mut next = || -> Option<u32> {
        let part = numbers.next()?;
        let end = part.find(|c: char| !c.is_ascii_digit());
        part[..end.unwrap_or(part.len())].parse().ok()
    };
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests;
