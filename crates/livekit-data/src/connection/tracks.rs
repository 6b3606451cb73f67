//! The data tracks of a connection.

use super::peer::TRACK_BUFFER;
use super::recovery::Stage;
use super::{Carrier, Connection, Event, Instant, proto};
use crate::{FrameError, LocalTrack, PublishError};

impl Connection {
    /// Publishes a data track of this name, 1 to 256 bytes. [`TrackEvent::Accepted`] or
    /// [`TrackEvent::Refused`] follows, and frames can be sent after the former. The track lives
    /// through resumes and rejoins, until it is unpublished or the server ends it.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the server may still refuse what is taken here.
    ///
    /// [`TrackEvent::Accepted`]: crate::TrackEvent::Accepted
    /// [`TrackEvent::Refused`]: crate::TrackEvent::Refused
    pub fn publish_track(&mut self, name: &str, now: Instant) -> Result<LocalTrack, PublishError> {
        if !self.may_use_tracks() {
            return Err(PublishError::Closed);
        }
        self.dirty = true;
        self.tracks.publish(name, now)
    }

    /// Ends a data track; [`TrackEvent::Ended`](crate::TrackEvent::Ended) follows. Nothing happens
    /// where it is not published.
    pub fn unpublish_track(&mut self, track: LocalTrack) {
        self.dirty = true;
        self.tracks.unpublish(track);
    }

    /// Receives the data track of this name of the participant with this identity, now or whenever
    /// it is there, until [`unsubscribe_track`](Self::unsubscribe_track).
    pub fn subscribe_track(&mut self, publisher: &str, name: &str, now: Instant) {
        self.dirty = true;
        self.tracks.subscribe(publisher, name, now);
    }

    /// Receives a data track no longer.
    pub fn unsubscribe_track(&mut self, publisher: &str, name: &str) {
        self.dirty = true;
        self.tracks.unsubscribe(publisher, name);
    }

    /// Sends a frame of up to [`MAX_FRAME`](crate::MAX_FRAME) bytes, with a time stamp of the
    /// caller's if it wants one. Where the line has no room it is dropped and counted.
    ///
    /// # Errors
    ///
    /// See [`FrameError`].
    pub fn send_frame(
        &mut self,
        track: LocalTrack,
        payload: &[u8],
        user_timestamp: Option<u64>,
        now: Instant,
    ) -> Result<(), FrameError> {
        if !self.may_use_tracks() {
            return Err(FrameError::Closed);
        }
        let packets = self.tracks.packets(track, payload, user_timestamp, now)?;
        let room = self.publisher.is_link_up()
            && self.publisher.buffered(Carrier::DataTracks) < TRACK_BUFFER;
        let mut packets = packets.filter(|_| room);
        let publisher = &mut self.publisher;
        let mut write = |packet: Vec<u8>| publisher.write(Carrier::DataTracks, &packet);
        if packets
            .as_mut()
            .is_some_and(|packets| packets.all(&mut write))
        {
            self.tracks.stats.sent += 1;
        } else {
            self.tracks.stats.dropped_sending += 1;
        }
        self.dirty = true;
        Ok(())
    }

    fn may_use_tracks(&self) -> bool {
        self.joined && self.leaving.is_none() && !self.closed
    }

    /// A session has begun.
    pub(super) fn tracks_joined(&mut self, others: &[proto::ParticipantInfo]) {
        let Some(session) = &self.session else {
            return;
        };
        self.tracks
            .joined(&session.server_version, others, self.now);
        if self.tracks.usable() {
            self.publisher.open_data_tracks();
        }
    }

    /// Passes on what the tracks have to say to the server and to the application.
    pub(super) fn drain_tracks(&mut self) {
        while let Some(event) = self.tracks.poll_event() {
            self.events.push_back(Event::Track(event));
        }
        // Before the server has answered, nobody knows which session listens.
        let answered = match &self.recovery {
            Some(recovery) => matches!(recovery.stage, Stage::Transport(_)),
            None => self.session.is_some(),
        };
        if self.signal_open && self.dial.is_none() && answered {
            while let Some(request) = self.tracks.poll_request() {
                self.signal(request);
            }
        }
    }
}
