//! Data tracks for the handles of a participant.

use super::Participant;
use super::driver::Driver;
use crate::{Event, FrameError, LocalTrack, MAX_FRAME, PublishError, TrackEvent};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// What a handle wants of a data track.
#[derive(Debug)]
pub(super) enum TrackRequest {
    Publish(String, Reply),
    Unpublish(LocalTrack),
    Subscribe { publisher: String, name: String },
    Unsubscribe { publisher: String, name: String },
}

#[derive(Debug)]
pub(super) struct OutgoingFrame {
    track: LocalTrack,
    payload: Bytes,
    user_timestamp: Option<u64>,
}

type Reply = oneshot::Sender<Result<LocalTrack, PublishError>>;

/// Those who wait until the server has accepted a track.
pub(super) type Waiting = HashMap<LocalTrack, Reply>;

impl Participant {
    /// Publishes a data track of this name, 1 to 256 bytes, and waits until the server has
    /// accepted it. The track lives through resumes and rejoins, until it is unpublished or the
    /// server ends it.
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    pub async fn publish_track(&self, name: &str) -> Result<LocalTrack, PublishError> {
        let (reply, answer) = oneshot::channel();
        self.request(TrackRequest::Publish(name.into(), reply))
            .await;
        answer.await.unwrap_or(Err(PublishError::Closed))
    }

    /// Ends a data track; [`TrackEvent::Ended`] follows. Nothing happens where it is not
    /// published.
    pub async fn unpublish_track(&self, track: LocalTrack) {
        self.request(TrackRequest::Unpublish(track)).await;
    }

    /// Receives the data track of this name of the participant with this identity, now or whenever
    /// it is there, until [`unsubscribe_track`](Self::unsubscribe_track).
    /// [`TrackEvent::Subscribed`] says when it begins.
    pub async fn subscribe_track(&self, publisher: &str, name: &str) {
        let (publisher, name) = (publisher.into(), name.into());
        let request = TrackRequest::Subscribe { publisher, name };
        self.request(request).await;
    }

    /// Receives a data track no longer.
    pub async fn unsubscribe_track(&self, publisher: &str, name: &str) {
        let (publisher, name) = (publisher.into(), name.into());
        let request = TrackRequest::Unsubscribe { publisher, name };
        self.request(request).await;
    }

    /// Sends a frame of up to [`MAX_FRAME`] bytes, with a time stamp of the caller's if it wants
    /// one. Never waits, and may be called from any thread. A frame is dropped and counted where
    /// the line has no room for it, and when its track has ended.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLarge`], and [`FrameError::Closed`] when the participant has left.
    pub fn send_frame(
        &self,
        track: LocalTrack,
        payload: impl Into<Bytes>,
        user_timestamp: Option<u64>,
    ) -> Result<(), FrameError> {
        let payload = payload.into();
        if payload.len() > MAX_FRAME {
            let (len, max) = (payload.len(), MAX_FRAME);
            return Err(FrameError::TooLarge { len, max });
        }
        let frame = OutgoingFrame {
            track,
            payload,
            user_timestamp,
        };
        match self.frames.try_send(frame) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(FrameError::Closed),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let dropped = &self.shared.frames_dropped_sending;
                dropped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    async fn request(&self, request: TrackRequest) {
        // Once the participant has left there are no tracks.
        let _ = self.tracks.send(request).await;
    }
}

impl<H: FnMut(Event) -> bool + Send> Driver<H> {
    pub(super) fn handle_track_request(&mut self, request: TrackRequest) {
        let now = Instant::now();
        match request {
            TrackRequest::Publish(name, reply) => {
                match self.connection.publish_track(&name, now) {
                    Ok(track) => drop(self.publishing.insert(track, reply)),
                    // Whoever asked may have gone.
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            TrackRequest::Unpublish(track) => self.connection.unpublish_track(track),
            TrackRequest::Subscribe { publisher, name } => {
                self.connection.subscribe_track(&publisher, &name, now);
            }
            TrackRequest::Unsubscribe { publisher, name } => {
                self.connection.unsubscribe_track(&publisher, &name);
            }
        }
    }

    pub(super) fn send_frame(&mut self, frame: &OutgoingFrame) {
        let (track, time) = (frame.track, frame.user_timestamp);
        let now = Instant::now();
        let sent = self.connection.send_frame(track, &frame.payload, time, now);
        if sent.is_err() {
            let dropped = &self.shared.frames_dropped_sending;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers those who wait for a track.
    pub(super) fn answer_publishers(&mut self, event: &TrackEvent) {
        let (track, answer) = match event {
            TrackEvent::Accepted { track, .. } => (track, Ok(*track)),
            TrackEvent::Refused { track, error, .. } => (track, Err(error.clone())),
            // It was asked to end before the server had accepted it.
            TrackEvent::Ended { track, .. } => (track, Err(PublishError::Closed)),
            _ => return,
        };
        if let Some(reply) = self.publishing.remove(track) {
            let _ = reply.send(answer);
        }
    }
}
