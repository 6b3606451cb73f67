//! Joining, losing the connection, and getting it back.

use super::config::{DialFailure, PeerConnections};
use super::peer::{Peer, Role};
use super::recovery::{Recovery, Stage, Step};
use super::{CloseReason, Connection, Dial, Duration, Event, Instant, Request, proto, request};
use crate::event::Loss;
use crate::roster::Roster;
use crate::{Permissions, Session};
use std::sync::Arc;

impl Connection {
    /// The server has taken the TCP connection for the last [`poll_dial`](Self::poll_dial). Worth
    /// telling: from then on a server that is slow to answer is waited for, and before it another
    /// attempt comes soon.
    pub fn handle_connected(&mut self, now: Instant) {
        self.now = now;
        if self.dialling
            && let Some(recovery) = &mut self.recovery
        {
            recovery.wait_for_answer(now);
        }
    }

    /// The WebSocket of the last [`poll_dial`](Self::poll_dial) is open.
    pub fn handle_dialled(&mut self, now: Instant) {
        self.handle_connected(now);
        if std::mem::take(&mut self.dialling) {
            self.signal_open = true;
        }
    }

    /// The WebSocket of the last [`poll_dial`](Self::poll_dial) could not be opened.
    pub fn handle_dial_failed(&mut self, failure: DialFailure, now: Instant) {
        if self.closed || !std::mem::take(&mut self.dialling) {
            return;
        }
        self.now = now;
        match failure {
            DialFailure::RoomNotFound => self.close(CloseReason::RoomNotFound),
            DialFailure::Unauthorized => self.close(CloseReason::Unauthorized),
            DialFailure::UnknownPath if self.may_try_two() => {
                self.two = true;
                self.dial_join();
            }
            _ if self.recovery.is_some() => self.attempt_failed(),
            DialFailure::Refused => self.close(CloseReason::JoinFailed),
            DialFailure::Unreachable | DialFailure::UnknownPath => {
                self.close(CloseReason::ConnectionLost);
            }
        }
        self.drive();
    }

    fn may_try_two(&self) -> bool {
        !self.two && !self.joined && self.config.peer_connections == PeerConnections::Auto
    }

    /// Asks for a WebSocket that starts a session over the publisher, which is new.
    pub(super) fn dial_join(&mut self) {
        self.subscriber = None;
        if self.two {
            // The offer goes over the WebSocket, once the server has said who this is.
            self.dial(request::join_with_two());
            return;
        }
        match self.publisher.offer() {
            Some(offer) => self.dial(request::join(offer)),
            None => self.close(CloseReason::Other("the offer came out empty".into())),
        }
    }

    fn dial(&mut self, path: String) {
        self.signal_open = false;
        self.dialling = false;
        self.keepalive = None;
        // They belong to the WebSocket before.
        self.signals.clear();
        let token = self.config.token.clone();
        self.dial = Some(Dial { path, token });
    }

    /// The server let this participant in.
    pub(super) fn joined(&mut self, join: proto::JoinResponse) {
        if self.joined && !self.is_step(Step::Rejoin) {
            self.stats.malformed_signals += 1;
            return;
        }
        let (Some(room), Some(own)) = (join.room, join.participant) else {
            self.close(CloseReason::Other(
                "the server's join response names no room".into(),
            ));
            return;
        };
        let server = join.server_info.unwrap_or_default();
        let sid: Arc<str> = own.sid.into();
        self.permissions = Permissions::of(own.permission.as_ref());
        self.session = Some(Session {
            identity: own.identity.into(),
            sid: sid.clone(),
            room: room.name,
            room_sid: room.sid,
            server_version: server.version,
            server_region: server.region,
        });
        self.pings = (join.ping_interval, join.ping_timeout);
        self.keepalive = self.keepalive_of_session();
        let before = std::mem::replace(&mut self.roster, Roster::new(sid));
        match self.roster.replace(before, &join.other_participants) {
            Ok(changes) => self.events.extend(changes),
            Err(_) => self.close_for_too_many(),
        }
        self.tracks_joined(&join.other_participants);
        self.learn_relays(&join.ice_servers, join.client_configuration.as_ref());
        if self.two {
            self.offer_both();
        }
        self.gather_relays();
        let now = self.now;
        if let Some(recovery) = &mut self.recovery {
            recovery.wait_for_transport(now);
        }
    }

    /// The publisher's offer; the server makes the subscriber's.
    fn offer_both(&mut self) {
        match Peer::new(
            Role::Subscriber,
            self.direct(&self.subscriber_local),
            self.now,
        ) {
            Ok(subscriber) => self.subscriber = Some(subscriber),
            Err(error) => {
                self.close(CloseReason::Other(error.to_string()));
                return;
            }
        }
        if let Some(offer) = self.publisher.offer() {
            self.signal(Request::Offer(offer));
        }
    }

    /// Once the channels are open, the session has begun; once ICE has found a path again, it
    /// goes on.
    pub(super) fn complete_if_open(&mut self) {
        if self.closed || self.session.is_none() {
            return;
        }
        let subscriber_open = !self.two || self.subscriber.as_ref().is_some_and(Peer::is_open);
        let open = self.publisher.is_open() && subscriber_open;
        if !self.joined {
            self.joined = open;
            return;
        }
        let Some(recovery) = &self.recovery else {
            return;
        };
        if !matches!(recovery.stage, Stage::Link(_) | Stage::Transport(_)) || !open {
            return;
        }
        match recovery.step {
            Step::Resume => {
                let works = |peer: &Peer| peer.is_ice_connected() && peer.is_link_up();
                if works(&self.publisher) && self.subscriber.as_ref().is_none_or(works) {
                    self.resumed();
                }
            }
            Step::Rejoin => {
                let reliable_lost = recovery.reliable_lost;
                self.recovered();
                self.stats.rejoined += 1;
                if let Some(session) = self.session.clone() {
                    self.events.push_back(Event::Rejoined {
                        session: Box::new(session),
                        reliable_lost,
                    });
                }
                self.dirty = true;
            }
        }
    }

    fn recovered(&mut self) {
        self.recovery = None;
        self.strain.recovered(self.now);
    }

    fn resumed(&mut self) {
        self.recovered();
        self.moved = false;
        self.stats.resumed += 1;
        self.events.push_back(Event::Resumed);
        self.dirty = true;
    }

    pub(super) fn signal_lost(&mut self) {
        self.keepalive = None;
        if self.leaving.is_some() {
            return; // what was sent may still arrive
        }
        if !self.joined {
            self.close(CloseReason::ConnectionLost);
        } else if let Some(recovery) = &mut self.recovery {
            match recovery.stage {
                // There was no attempt yet.
                Stage::Link(_) => {
                    recovery.turn_to(Step::Resume, self.now);
                    self.recover_if_due();
                }
                _ => self.attempt_failed(),
            }
        } else if self.ended.is_some() {
            // No reason will come any more.
            self.lose(Loss::Transport, Step::Rejoin);
        } else {
            self.lose(Loss::Signal, Step::Resume);
        }
    }

    /// Nothing has arrived for a while; it may come back by itself.
    pub(super) fn link_down(&mut self, may_come_back: bool) {
        if self.joined && self.recovery.is_none() && self.ended.is_none() {
            self.strain.lost(self.publisher.last_datagram());
            self.lose_for_now(Loss::Silence, Step::Resume);
            let (stretch, random, now) = (self.strain.stretch(), self.random(), self.now);
            match &mut self.recovery {
                Some(recovery) if may_come_back => recovery.wait_for_link(stretch, random, now),
                _ => self.recover_if_due(),
            }
        }
    }

    /// The link is back, and the transport would take seconds to notice.
    pub(super) fn transport_stuck(&mut self) {
        let known = self.recovery.as_ref().is_some_and(|r| r.rejoin_after);
        if !self.joined || known || self.is_step(Step::Rejoin) {
            return;
        }
        tracing::debug!("the transport does not go on after an outage");
        self.must_rejoin();
    }

    /// Only a new session helps. Before it, the server is asked once more which reliable messages
    /// it has, if it may lack any; meanwhile the old transport is silent, so that this stays true.
    fn must_rejoin(&mut self) {
        let ask = self.outbox.is_unsettled();
        self.publisher.freeze();
        self.lose(Loss::Silence, if ask { Step::Resume } else { Step::Rejoin });
        if let Some(recovery) = &mut self.recovery {
            recovery.rejoin_after = true;
            recovery.server_told = false;
        }
    }

    /// The server ends the transport and signals the reason at the same time, and either may
    /// arrive first.
    pub(super) fn transport_ended(&mut self) {
        if self.is_step(Step::Rejoin) {
            self.attempt_failed();
        } else if self.recovery.is_some() {
            self.must_rejoin();
        } else if self.joined && !self.signal_open {
            self.lose(Loss::Transport, Step::Rejoin);
        } else {
            self.ended.get_or_insert(self.now + REASON_TIMEOUT);
        }
    }

    /// Starts getting the connection back with this step, or goes on with it.
    pub(super) fn lose(&mut self, loss: Loss, step: Step) {
        self.lose_for_now(loss, step);
        self.recover_if_due();
    }

    /// The same, and leaves the first attempt to the caller.
    fn lose_for_now(&mut self, loss: Loss, step: Step) {
        if self.leaving.is_some() {
            self.farewell();
            return;
        }
        let stuck_resume = step == Step::Resume && self.publisher.is_frozen();
        if !self.joined || !self.config.reconnect.allows(step) || stuck_resume && !self.may_rejoin()
        {
            self.close(CloseReason::ConnectionLost);
            return;
        }
        let (now, timeout) = (self.now, self.config.reconnect_timeout);
        self.ended = None;
        match &mut self.recovery {
            Some(recovery) => {
                // What the server said holds only as long as nothing more could reach it.
                recovery.server_told &= self.publisher.is_frozen();
                recovery.turn_to(step, now);
            }
            None => {
                self.recovery = Some(Recovery::new(timeout, step, now));
                self.events.push_back(Event::Reconnecting(loss));
            }
        }
    }

    fn may_rejoin(&self) -> bool {
        self.config.reconnect.allows(Step::Rejoin)
    }

    /// An attempt came to nothing: again, after a pause.
    pub(super) fn attempt_failed(&mut self) {
        if !self.may_rejoin() {
            self.close(CloseReason::ConnectionLost);
            return;
        }
        let (random, now) = (self.random(), self.now);
        if let Some(recovery) = &mut self.recovery {
            recovery.pause(random, now);
        }
    }

    /// The time for a step of the recovery, or for the server's reason, may be over.
    pub(super) fn recover_if_due(&mut self) {
        let now = self.now;
        if !self.joined && now >= self.join_until {
            self.close(CloseReason::JoinTimedOut);
            return;
        }
        if self.ended.is_some_and(|deadline| now >= deadline) {
            self.ended = None;
            match self.joined {
                true => self.lose(Loss::Transport, Step::Rejoin),
                false => self.close(CloseReason::ConnectionLost),
            }
        }
        let Some(recovery) = self.recovery.as_ref().filter(|r| now >= r.timeout()) else {
            return;
        };
        if now >= recovery.until {
            self.close(CloseReason::ConnectionLost);
            return;
        }
        match (recovery.stage, recovery.step) {
            (Stage::Link(_) | Stage::Pause(_), step) => self.attempt(step),
            (Stage::Signal(_), _) | (Stage::Transport(_), Step::Rejoin) => {
                self.signal_open = false;
                self.dialling = false;
                self.attempt_failed();
            }
            (Stage::Transport(_), Step::Resume) => self.must_rejoin(),
        }
    }

    fn attempt(&mut self, step: Step) {
        let now = self.now;
        if let Some(recovery) = &mut self.recovery {
            recovery.wait_for_connection(now);
        }
        match step {
            Step::Resume => {
                let sid = self.session.as_ref().map(|session| session.sid.clone());
                let sid = sid.unwrap_or_default();
                self.dial(match self.two {
                    true => request::resume_with_two(&sid),
                    false => request::resume(&sid),
                });
            }
            Step::Rejoin => match Peer::new(Role::Publisher, self.direct(&self.local), now) {
                Ok(publisher) => {
                    self.publisher = publisher;
                    self.relaying.release();
                    self.moved = false;
                    self.settle_outbox();
                    self.dial_join();
                }
                Err(error) => self.close(CloseReason::Other(error.to_string())),
            },
        }
    }

    /// The transport that had these messages is gone.
    fn settle_outbox(&mut self) {
        let Some(recovery) = &mut self.recovery else {
            return;
        };
        if std::mem::take(&mut recovery.server_told) {
            self.outbox.send_again();
        } else {
            let lost = self.outbox.give_up(recovery.since);
            recovery.reliable_lost += lost;
            self.stats.reliable_lost += lost;
        }
    }

    /// The server takes the session up again, and says which reliable messages it has.
    pub(super) fn handle_reconnect(&mut self, response: &proto::ReconnectResponse) {
        let Some(recovery) = &mut self.recovery else {
            self.stats.malformed_signals += 1;
            return;
        };
        if recovery.step != Step::Resume || !matches!(recovery.stage, Stage::Signal(_)) {
            return;
        }
        self.outbox.received(response.last_message_seq);
        recovery.server_told = true;
        if recovery.rejoin_after {
            recovery.turn_to(Step::Rejoin, self.now);
            self.recover_if_due();
            return;
        }
        recovery.wait_for_transport(self.now);
        self.keepalive = self.keepalive_of_session();
        let (publish_data_tracks, data_subscription) = self.tracks.sync_state();
        self.signal(Request::SyncState(proto::SyncState {
            datachannel_receive_states: self.roster.received(),
            publish_data_tracks,
            data_subscription,
            ..Default::default()
        }));
        self.tracks.resumed(self.now);
        let up = self.publisher.is_link_up() && !self.moved;
        let subscriber_up = self.subscriber.as_ref().is_none_or(Peer::is_link_up);
        if up && subscriber_up {
            self.resumed();
        } else if let Some(offer) = self.publisher.restart_ice() {
            // The server does the same for the subscriber by itself.
            self.signal(Request::Offer(offer));
            self.learn_relays(
                &response.ice_servers,
                response.client_configuration.as_ref(),
            );
            self.gather_relays();
        }
    }

    /// The session is not to be had any more.
    pub(super) fn refused_resume(&mut self) {
        if self.is_step(Step::Rejoin) {
            self.attempt_failed();
        } else {
            self.lose(Loss::Transport, Step::Rejoin);
        }
    }
}

/// Signalling runs beside the transport over TCP, so one retransmission may lie between.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);
