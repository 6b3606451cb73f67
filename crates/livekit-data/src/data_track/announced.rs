//! The data tracks of others, and the subscriptions to them.

use super::header::Header;
use super::published::{MAX_NAME, MAX_SID};
use super::receiver::{PACKET_OVERHEAD, Receiver};
use super::{Frame, RemoteTrack, TrackEvent, TrackStats};
use crate::packet::kept;
use bytes::Bytes;
use livekit_protocol as proto;
use proto::data_track_subscriber_handles::PublishedDataTrack;
use proto::signal_request::Message as Request;
use proto::update_data_subscription::Update;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What others publish, what of that is wanted, and what is forwarded.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// By the publisher's identity; nobody is listed without a track.
    tracks: HashMap<Arc<str>, Vec<Arc<RemoteTrack>>>,
    count: usize,
    /// By publisher and name: a wish outlives the tracks that fulfil it.
    wishes: HashMap<(Arc<str>, Arc<str>), Wish>,
    /// By the server's handle.
    receivers: HashMap<u16, Receiver>,
    /// What the packets of all unfinished frames take.
    buffered: usize,
}

#[derive(Debug, Default)]
struct Wish {
    /// The track that was asked for, if there is one.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    track: Arc<RemoteTrack>,
    /// When to ask again; never, while the server forwards it.
    again: Option<Instant>,
    wait: Duration,
    /// Asking again means to take the wish back first: the server repeats no handle that it has
    /// told before.
    withdrawn: bool,
}

impl Announced {
    /// Wants a track, now and whenever its publisher publishes one of this name.
    pub(super) fn subscribe(
        &mut self,
        publisher: &str,
        name: &str,
        now: Instant,
        requests: &mut VecDeque<Request>,
    ) {
        let key = (publisher.into(), name.into());
        if self.wishes.contains_key(&key) {
            return;
        }
        self.wishes.insert(key, Wish::default());
        let track = self.find(publisher, |track| *track.name == *name);
        if let Some(track) = track.cloned() {
            self.ask(&track, now, requests);
        }
    }

    /// Takes a wish back.
    pub(super) fn unsubscribe(
        &mut self,
        publisher: &str,
        name: &str,
        requests: &mut VecDeque<Request>,
    ) {
        let wish = self.wishes.remove(&(publisher.into(), name.into()));
        if let Some(Asked { track, .. }) = wish.and_then(|wish| wish.asked) {
            requests.push_back(update(&track, false));
            self.stop(&track);
        }
    }

    /// What the server says about another participant: its tracks, or that it left.
    pub(super) fn update(
        &mut self,
        info: &proto::ParticipantInfo,
        now: Instant,
        requests: &mut VecDeque<Request>,
        events: &mut VecDeque<TrackEvent>,
    ) {
        let left = info.state == proto::participant_info::State::Disconnected as i32;
        let listed: &[proto::DataTrackInfo] = if left { &[] } else { &info.data_tracks };
        let known = self.tracks.remove(info.identity.as_str());
        if known.is_none() && listed.is_empty() {
            return;
        }
        let known = known.unwrap_or_default();
        self.count -= known.len();
        let publisher: Arc<str> =
            (known.first()).map_or_else(|| info.identity.as_str().into(), |t| t.publisher.clone());
        let (mut now_there, mut new) = (Vec::new(), Vec::new());
        for listed in listed.iter().take(MAX_TRACKS - self.count) {
            let fits = (1..=MAX_NAME).contains(&listed.name.len())
                && (1..=MAX_SID).contains(&listed.sid.len());
            let again = |track: &&Arc<RemoteTrack>| *track.sid == *listed.sid;
            if !fits || now_there.iter().any(|track| again(&track)) {
                continue;
            }
            if let Some(track) = known.iter().find(again) {
                now_there.push(track.clone());
                continue;
            }
            let track = Arc::new(RemoteTrack {
                publisher: publisher.clone(),
                name: listed.name.as_str().into(),
                sid: listed.sid.as_str().into(),
                encrypted: listed.encryption != proto::encryption::Type::None as i32,
            });
            now_there.push(track.clone());
            new.push(track);
        }
        for track in known {
            if !now_there.contains(&track) {
                self.gone(&track);
                events.push_back(TrackEvent::Unpublished(track));
            }
        }
        self.count += now_there.len();
        if !now_there.is_empty() {
            self.tracks.insert(publisher, now_there);
        }
        for track in new {
            events.push_back(TrackEvent::Published(track.clone()));
            self.ask(&track, now, requests);
        }
    }

    /// A new session has begun, with these in the room: nothing is forwarded yet.
    pub(super) fn rejoined(
        &mut self,
        others: &[proto::ParticipantInfo],
        now: Instant,
        requests: &mut VecDeque<Request>,
        events: &mut VecDeque<TrackEvent>,
    ) {
        self.receivers.clear();
        self.buffered = 0;
        for wish in self.wishes.values_mut() {
            wish.asked = None;
        }
        let there = |identity: &str| others.iter().any(|other| other.identity == identity);
        let missing: Vec<_> = (self.tracks.keys().filter(|identity| !there(identity)))
            .cloned()
            .collect();
        for identity in missing {
            for track in self.tracks.remove(&identity).unwrap_or_default() {
                self.count -= 1;
                events.push_back(TrackEvent::Unpublished(track));
            }
        }
        for track in self.tracks.values().flatten().cloned().collect::<Vec<_>>() {
            self.ask(&track, now, requests);
        }
        for other in others {
            self.update(other, now, requests, events);
        }
    }

    /// The session goes on after signalling was interrupted: requests and the server's list of
    /// handles may have been lost.
    pub(super) fn resumed(&mut self, now: Instant, requests: &mut VecDeque<Request>) {
        for wish in self.wishes.values_mut() {
            if let Some(asked) = wish.asked.as_mut().filter(|asked| asked.again.is_some()) {
                asked.withdrawn = false;
                asked.again = Some(now + FIRST_WAIT);
                requests.push_back(update(&asked.track, true));
            }
        }
    }

    /// What is subscribed to, for a server that the session moves to.
    pub(super) fn sync_state(&self) -> proto::UpdateDataSubscription {
        let asked = self.wishes.values().filter_map(|wish| wish.asked.as_ref());
        let updates = asked.map(|asked| Update {
            track_sid: asked.track.sid.as_ref().into(),
            subscribe: true,
            options: None,
        });
        proto::UpdateDataSubscription {
            updates: updates.collect(),
        }
    }

    /// The server's list of all that it forwards.
    pub(super) fn handles(
        &mut self,
        handles: &HashMap<u32, PublishedDataTrack>,
        now: Instant,
        events: &mut VecDeque<TrackEvent>,
    ) {
        let mut before: HashMap<Arc<str>, Receiver> = (self.receivers.drain())
            .map(|(_, receiver)| (receiver.track.sid.clone(), receiver))
            .collect();
        for (handle, forwarded) in handles {
            let Ok(handle) = u16::try_from(*handle) else {
                continue;
            };
            // Only what was asked for is received, whatever the server sends.
            let publisher = forwarded.publisher_identity.as_str();
            let track = self.find(publisher, |track| *track.sid == *forwarded.track_sid);
            let Some(track) = track.cloned() else {
                continue;
            };
            let Some(asked) = self.asked(&track) else {
                continue;
            };
            asked.again = None;
            asked.wait = FIRST_WAIT;
            let receiver = before.remove(&track.sid).unwrap_or_else(|| {
                events.push_back(TrackEvent::Subscribed(track.clone()));
                Receiver::new(track)
            });
            self.receivers.insert(handle, receiver);
        }
        // What is no longer forwarded though it is wanted: the publisher or the server has taken
        // the right to it away, and may give it back.
        for receiver in before.into_values() {
            self.buffered -= receiver.buffered();
            if let Some(asked) = self.asked(&receiver.track) {
                asked.again = Some(now + asked.wait);
            }
        }
    }

    /// A packet from the server.
    pub(super) fn packet(
        &mut self,
        packet: Vec<u8>,
        now: Instant,
        stats: &mut TrackStats,
    ) -> Option<Frame> {
        let Some((header, at)) = Header::parse(&packet) else {
            stats.malformed += 1;
            return None;
        };
        let Some(receiver) = self.receivers.get_mut(&header.handle) else {
            stats.unknown += 1;
            return None;
        };
        let others = self.buffered - receiver.buffered();
        let room = MAX_BUFFERED - others.min(MAX_BUFFERED);
        let len = packet.len();
        let payload = kept(Bytes::from(packet).slice(at..), len, PACKET_OVERHEAD / 2);
        let payload = receiver.handle(&header, payload, room, stats, now);
        self.buffered = others + receiver.buffered();
        Some(Frame {
            track: receiver.track.clone(),
            payload: payload?,
            timestamp: header.timestamp,
            user_timestamp: header.user_timestamp,
            received: now,
        })
    }

    /// What the packets of all unfinished frames take.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.wishes.values().filter_map(|wish| wish.asked.as_ref());
        asked.filter_map(|asked| asked.again).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, requests: &mut VecDeque<Request>) {
        for wish in self.wishes.values_mut() {
            let Some(asked) = &mut wish.asked else {
                continue;
            };
            if asked.again.is_none_or(|again| again > now) {
                continue;
            }
            asked.withdrawn = !asked.withdrawn;
            requests.push_back(update(&asked.track, !asked.withdrawn));
            if asked.withdrawn {
                asked.again = Some(now + WITHDRAW_TIME);
            } else {
                asked.wait = (asked.wait * 2).min(LONGEST_WAIT);
                asked.again = Some(now + asked.wait);
            }
        }
    }

    /// Asks for a track if there is a wish for it.
    fn ask(&mut self, track: &Arc<RemoteTrack>, now: Instant, requests: &mut VecDeque<Request>) {
        let key = (track.publisher.clone(), track.name.clone());
        let Some(wish) = self
            .wishes
            .get_mut(&key)
            .filter(|wish| wish.asked.is_none())
        else {
            return;
        };
        wish.asked = Some(Asked {
            track: track.clone(),
            again: Some(now + FIRST_WAIT),
            wait: FIRST_WAIT,
            withdrawn: false,
        });
        requests.push_back(update(track, true));
    }

    fn asked(&mut self, track: &RemoteTrack) -> Option<&mut Asked> {
        let key = (track.publisher.clone(), track.name.clone());
        let asked = self.wishes.get_mut(&key)?.asked.as_mut()?;
        (asked.track.sid == track.sid).then_some(asked)
    }

    fn find(
        &self,
        publisher: &str,
        matches: impl Fn(&RemoteTrack) -> bool,
    ) -> Option<&Arc<RemoteTrack>> {
        let tracks = self.tracks.get(publisher)?;
        tracks.iter().find(|track| matches(track))
    }

    /// A track is no longer there; the wish for it stays.
    fn gone(&mut self, track: &RemoteTrack) {
        let key = (track.publisher.clone(), track.name.clone());
        if let Some(wish) = self.wishes.get_mut(&key) {
            wish.asked.take_if(|asked| asked.track.sid == track.sid);
        }
        self.stop(track);
    }

    fn stop(&mut self, track: &RemoteTrack) {
        self.receivers.retain(|_, receiver| {
            let keep = receiver.track.sid != track.sid;
            self.buffered -= if keep { 0 } else { receiver.buffered() };
            keep
        });
    }
}

fn update(track: &RemoteTrack, subscribe: bool) -> Request {
    Request::UpdateDataSubscription(proto::UpdateDataSubscription {
        updates: vec![Update {
            track_sid: track.sid.as_ref().into(),
            subscribe,
            options: None,
        }],
    })
}

/// Tracks of all participants together, with some 200 bytes each; those beyond are not reported.
const MAX_TRACKS: usize = 16_384;

/// Packets of unfinished frames of all tracks together: two dozen of the longest frames.
const MAX_BUFFERED: usize = 4 * 1024 * 1024;

/// The server reconciles subscriptions each three seconds when it could not at once.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// While somebody's permission is missing, asking often does not help.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Within that the server has dropped a subscription that was taken back.
const WITHDRAW_TIME: Duration = Duration::from_secs(1);
