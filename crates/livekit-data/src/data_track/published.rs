//! The data tracks that this participant publishes.

use super::sender::{Packets, Sender};
use super::{FrameError, LocalTrack, MAX_FRAME, PublishError, TrackEvent};
use livekit_protocol as proto;
use proto::request_response::Reason;
use proto::signal_request::Message as Request;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Own tracks by their handle, which stays the same for as long as a track is published.
#[derive(Debug, Default)]
pub(super) struct Published {
    tracks: BTreeMap<u16, Track>,
    next: u16,
}

#[derive(Debug)]
struct Track {
    name: Arc<str>,
    sender: Sender,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Asked for; given up at this time. `again` after a rejoin, when the server has accepted the
    /// track before.
    Asked {
        until: Instant,
        again: bool,
    },
    Live {
        sid: String,
    },
    /// The server was asked to end it.
    Ending,
}

impl Published {
    /// Asks for a track; its time stamps begin at `base`.
    pub(super) fn publish(
        &mut self,
        name: &str,
        base: u32,
        now: Instant,
        requests: &mut VecDeque<Request>,
    ) -> Result<LocalTrack, PublishError> {
        let len = name.len();
        if !(1..=MAX_NAME).contains(&len) {
            return Err(PublishError::Name { len });
        }
        if self.tracks.len() >= MAX_TRACKS {
            return Err(PublishError::TooMany { max: MAX_TRACKS });
        }
        let live = |track: &Track| !matches!(track.state, State::Ending);
        if (self.tracks.values()).any(|track| *track.name == *name && live(track)) {
            return Err(PublishError::DuplicateName);
        }
        // There are far fewer tracks than handles, so a free one is found.
        let handle = loop {
            self.next = self.next.checked_add(1).unwrap_or(1);
            if !self.tracks.contains_key(&self.next) {
                break self.next;
            }
        };
        let track = Track {
            name: name.into(),
            sender: Sender::new(handle, now, base),
            state: State::Asked {
                until: now + ANSWER_TIMEOUT,
                again: false,
            },
        };
        requests.push_back(track.request(handle));
        self.tracks.insert(handle, track);
        Ok(LocalTrack(handle))
    }

    /// Asks the server to end a track; nothing if it is not published.
    pub(super) fn unpublish(&mut self, track: LocalTrack, requests: &mut VecDeque<Request>) {
        if let Some(track_state) = self.tracks.get_mut(&track.0) {
            track_state.state = State::Ending;
            requests.push_back(end(track.0));
        }
    }

    /// The packets of a frame; none while the track is being published again.
    pub(super) fn packets<'a>(
        &mut self,
        track: LocalTrack,
        payload: &'a [u8],
        user_timestamp: Option<u64>,
        now: Instant,
    ) -> Result<Option<Packets<'a>>, FrameError> {
        let len = payload.len();
        let Some(track) = self.tracks.get_mut(&track.0) else {
            return Err(FrameError::NotPublished);
        };
        if len > MAX_FRAME {
            let max = MAX_FRAME;
            return Err(FrameError::TooLarge { len, max });
        }
        match track.state {
            State::Live { .. } => Ok(Some(track.sender.packets(payload, user_timestamp, now))),
            State::Asked { again: true, .. } => Ok(None),
            State::Asked { again: false, .. } | State::Ending => Err(FrameError::NotPublished),
        }
    }

    /// The server accepted a track.
    pub(super) fn accepted(
        &mut self,
        info: &proto::DataTrackInfo,
        events: &mut VecDeque<TrackEvent>,
    ) {
        let Ok(handle) = u16::try_from(info.pub_handle) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(&handle) else {
            return;
        };
        let State::Asked { again, .. } = track.state else {
            return;
        };
        if info.sid.is_empty() || info.sid.len() > MAX_SID || *info.name != *track.name {
            return;
        }
        track.state = State::Live {
            sid: info.sid.clone(),
        };
        if !again {
            events.push_back(TrackEvent::Accepted {
                track: LocalTrack(handle),
                name: track.name.clone(),
            });
        }
    }

    /// The server refused a track, if that was still asked for.
    pub(super) fn refused(
        &mut self,
        handle: u32,
        reason: Reason,
        message: &str,
        events: &mut VecDeque<TrackEvent>,
    ) {
        let Ok(handle) = u16::try_from(handle) else {
            return;
        };
        let name = self.tracks.get(&handle).map(|track| track.name.len());
        let error = match reason {
            // Not an answer yet, or to something that was done.
            Reason::Ok | Reason::Queued => return,
            Reason::NotAllowed => PublishError::NotPermitted,
            Reason::InvalidName => PublishError::Name {
                len: name.unwrap_or_default(),
            },
            Reason::DuplicateName => PublishError::DuplicateName,
            other => PublishError::Other(format!(
                "{} {}",
                other.as_str_name(),
                message.chars().take(MAX_MESSAGE).collect::<String>()
            )),
        };
        self.fail(handle, error, events);
    }

    /// The server ended a track, or says that it does not know one.
    pub(super) fn ended(&mut self, handle: u32, events: &mut VecDeque<TrackEvent>) {
        let Ok(handle) = u16::try_from(handle) else {
            return;
        };
        if let Some(track) = self.tracks.remove(&handle) {
            events.push_back(TrackEvent::Ended {
                track: LocalTrack(handle),
                name: track.name,
                error: None,
            });
        }
    }

    /// What the server says about this participant's own tracks. It removes those of one who may
    /// not publish data any more without a word about each.
    pub(super) fn update(
        &mut self,
        own: &proto::ParticipantInfo,
        events: &mut VecDeque<TrackEvent>,
    ) {
        for info in &own.data_tracks {
            self.accepted(info, events);
        }
        if (own.permission.as_ref()).is_some_and(|permission| !permission.can_publish_data) {
            let live = |track: &Track| matches!(track.state, State::Live { .. } | State::Ending);
            let gone: Vec<u16> = (self.tracks.iter())
                .filter_map(|(handle, track)| live(track).then_some(*handle))
                .collect();
            for handle in gone {
                self.fail(handle, PublishError::NotPermitted, events);
            }
        }
    }

    /// The session goes on after signalling was interrupted: requests and answers may have been
    /// lost. What the server has done already it refuses, and that is overheard.
    pub(super) fn resumed(&mut self, now: Instant, requests: &mut VecDeque<Request>) {
        for (handle, track) in &mut self.tracks {
            match &mut track.state {
                State::Asked { until, .. } => {
                    *until = now + ANSWER_TIMEOUT;
                    requests.push_back(track.request(*handle));
                }
                State::Ending => requests.push_back(end(*handle)),
                State::Live { .. } => {}
            }
        }
    }

    /// A new session has begun, which knows no tracks yet.
    pub(super) fn rejoined(
        &mut self,
        now: Instant,
        requests: &mut VecDeque<Request>,
        events: &mut VecDeque<TrackEvent>,
    ) {
        let ending = |track: &Track| matches!(track.state, State::Ending);
        let gone: Vec<u16> = (self.tracks.iter())
            .filter_map(|(handle, track)| ending(track).then_some(*handle))
            .collect();
        for handle in gone {
            self.ended(u32::from(handle), events);
        }
        for (handle, track) in &mut self.tracks {
            let again = match track.state {
                State::Asked { again, .. } => again,
                State::Live { .. } | State::Ending => true,
            };
            let until = now + ANSWER_TIMEOUT;
            track.state = State::Asked { until, again };
            requests.push_back(track.request(*handle));
        }
    }

    /// What a server that the session moves to has to know.
    pub(super) fn sync_state(&self) -> Vec<proto::PublishDataTrackResponse> {
        let live = self.tracks.iter().filter_map(|(handle, track)| {
            let State::Live { sid } = &track.state else {
                return None;
            };
            let info = proto::DataTrackInfo {
                pub_handle: u32::from(*handle),
                sid: sid.clone(),
                name: track.name.as_ref().into(),
                ..Default::default()
            };
            Some(proto::PublishDataTrackResponse { info: Some(info) })
        });
        live.collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let until = |track: &Track| match track.state {
            State::Asked { until, .. } => Some(until),
            State::Live { .. } | State::Ending => None,
        };
        self.tracks.values().filter_map(until).min()
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        requests: &mut VecDeque<Request>,
        events: &mut VecDeque<TrackEvent>,
    ) {
        let late: Vec<u16> = (self.tracks.iter())
            .filter(|(_, track)| matches!(track.state, State::Asked { until, .. } if until <= now))
            .map(|(handle, _)| *handle)
            .collect();
        for handle in late {
            // An answer that comes after all must not leave a track behind that nobody knows of.
            requests.push_back(end(handle));
            self.fail(handle, PublishError::Timeout, events);
        }
    }

    fn fail(&mut self, handle: u16, error: PublishError, events: &mut VecDeque<TrackEvent>) {
        let Some(state) = self.tracks.get(&handle).map(|track| &track.state) else {
            return;
        };
        // A request that is repeated after a resume is refused as a duplicate of itself.
        if matches!(state, State::Live { .. }) && error != PublishError::NotPermitted {
            return;
        }
        let new = matches!(state, State::Asked { again: false, .. });
        let Some(Track { name, state, .. }) = self.tracks.remove(&handle) else {
            return;
        };
        let track = LocalTrack(handle);
        let error = (!matches!(state, State::Ending)).then_some(error);
        events.push_back(match (new, error) {
            (true, Some(error)) => TrackEvent::Refused { track, name, error },
            (_, error) => TrackEvent::Ended { track, name, error },
        });
    }
}

impl Track {
    fn request(&self, handle: u16) -> Request {
        Request::PublishDataTrackRequest(proto::PublishDataTrackRequest {
            pub_handle: u32::from(handle),
            name: self.name.as_ref().into(),
            ..Default::default()
        })
    }
}

fn end(handle: u16) -> Request {
    Request::UnpublishDataTrackRequest(proto::UnpublishDataTrackRequest {
        pub_handle: u32::from(handle),
    })
}

/// In bytes, as the server counts.
pub(super) const MAX_NAME: usize = 256;

/// Tracks of one participant; each one is listed in every update about it that all others get.
const MAX_TRACKS: usize = 64;

/// Ids are 15 characters long; anything else is not one.
pub(super) const MAX_SID: usize = 64;

/// How much of a server's explanation is kept.
const MAX_MESSAGE: usize = 200;

/// As livekit-client waits (`PUBLISH_TIMEOUT_MILLISECONDS`).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
