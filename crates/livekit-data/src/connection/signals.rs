//! What the server says over the WebSocket.

use super::peer::Role;
use super::recovery::Step;
use super::{CloseReason, Connection, Event, Instant, Keepalive, Request, proto};
use crate::Permissions;
use crate::event::Loss;
use prost::Message as _;
use proto::leave_request::Action;
use proto::signal_response::Message as Response;

impl Connection {
    /// Takes a binary message from the WebSocket: an encoded `SignalResponse`.
    pub fn handle_signal(&mut self, message: &[u8], now: Instant) {
        if self.closed || !self.signal_open {
            return;
        }
        self.now = now;
        let Ok(proto::SignalResponse {
            message: Some(response),
        }) = proto::SignalResponse::decode(message)
        else {
            self.stats.malformed_signals += 1;
            return;
        };
        self.handle_response(response);
        if self.closed {
            return;
        }
        // The transport has to see the time after each change to its session.
        for peer in self.peers() {
            peer.handle_timeout(now);
        }
        self.drive();
    }

    fn handle_response(&mut self, response: Response) {
        match response {
            Response::Join(join) => self.joined(join),
            Response::Reconnect(reconnect) => self.handle_reconnect(&reconnect),
            Response::Answer(answer) => {
                if let Err(reason) = self.publisher.handle_answer(&answer) {
                    self.cannot_negotiate("answer", &reason);
                }
            }
            Response::Offer(offer) => self.handle_offer(&offer),
            Response::Trickle(trickle) => self.handle_trickle(&trickle),
            Response::Update(update) => self.update_participants(&update.participants),
            Response::PongResp(_) | Response::Pong(_) => {
                if let Some(keepalive) = &mut self.keepalive {
                    keepalive.handle_pong(self.now);
                }
            }
            Response::RefreshToken(token) => self.config.token = token.into(),
            Response::Leave(leave) => self.handle_leave(&leave),
            Response::RoomMoved(_) => {
                self.close(CloseReason::Other(
                    "the server moved this participant to another room".into(),
                ));
            }
            // The rest is about data tracks, or media.
            other => self.tracks.handle_response(&other, self.now),
        }
    }

    fn handle_offer(&mut self, offer: &proto::SessionDescription) {
        let Some(subscriber) = &mut self.subscriber else {
            self.stats.malformed_signals += 1;
            return;
        };
        match subscriber.handle_offer(offer) {
            Ok(answer) => self.signal(Request::Answer(answer)),
            Err(reason) => self.cannot_negotiate("offer", &reason),
        }
    }

    /// A description that does not fit ends the attempt, and the connection where it was the
    /// first.
    fn cannot_negotiate(&mut self, what: &str, reason: &str) {
        if self.joined {
            tracing::debug!(reason, "cannot use the server's {what}");
            self.stats.malformed_signals += 1;
            self.refused_resume();
        } else {
            self.close(CloseReason::Other(format!(
                "cannot use the server's {what}: {reason}"
            )));
        }
    }

    fn handle_trickle(&mut self, trickle: &proto::TrickleRequest) {
        let parsed: Option<serde_json::Value> = serde_json::from_str(&trickle.candidate_init).ok();
        let Some(candidate) = parsed.as_ref().and_then(|init| init["candidate"].as_str()) else {
            self.stats.malformed_signals += 1;
            return;
        };
        if candidate.is_empty() {
            return; // the end of the candidates
        }
        let role = match trickle.target() {
            proto::SignalTarget::Subscriber if self.two => Role::Subscriber,
            _ => Role::Publisher,
        };
        let peer = self.peers().find(|peer| peer.role() == role);
        if !peer.is_some_and(|peer| peer.handle_candidate(candidate)) {
            self.stats.malformed_signals += 1;
        }
    }

    fn update_participants(&mut self, participants: &[proto::ParticipantInfo]) {
        let Some(session) = &self.session else {
            self.stats.malformed_signals += 1;
            return;
        };
        let (identity, sid) = (session.identity.clone(), session.sid.clone());
        for info in participants {
            if *info.identity == *identity {
                if *info.sid == *sid {
                    self.update_own(info);
                    self.tracks.handle_own(info);
                } else if info.state != proto::participant_info::State::Disconnected as i32 {
                    // A resume goes by identity: this one has taken over the signalling of a
                    // session that somebody else began.
                    self.close(CloseReason::DuplicateIdentity);
                    return;
                }
                continue;
            }
            match self.roster.update(info) {
                Ok(changes) => {
                    self.events.extend(changes.into_iter().flatten());
                    self.tracks.handle_other(info, self.now);
                }
                Err(_) => {
                    self.close_for_too_many();
                    return;
                }
            }
        }
    }

    fn update_own(&mut self, info: &proto::ParticipantInfo) {
        let permissions = Permissions::of(info.permission.as_ref());
        if info.permission.is_some() && permissions != self.permissions {
            self.permissions = permissions;
            self.events
                .push_back(Event::PermissionsChanged(permissions));
        }
    }

    pub(super) fn close_for_too_many(&mut self) {
        self.close(CloseReason::Other(
            "the room has too many participants".into(),
        ));
    }

    fn handle_leave(&mut self, leave: &proto::LeaveRequest) {
        let reason = close_reason(leave.reason());
        let action = match leave.action() {
            // What servers before protocol 13 say.
            Action::Disconnect if leave.can_reconnect => Action::Reconnect,
            // The server knows this session no longer; nobody has asked for it to end.
            Action::Disconnect if reason == CloseReason::ConnectionLost => Action::Reconnect,
            action => action,
        };
        if !self.joined || action == Action::Disconnect && self.recovery.is_none() {
            self.close(reason);
            return;
        }
        match action {
            Action::Disconnect if is_final(&reason) => self.close(reason),
            // An attempt that came to nothing.
            Action::Disconnect => self.refused_resume(),
            Action::Resume if self.recovery.is_some() => self.attempt_failed(),
            Action::Resume => self.lose(Loss::Server, Step::Resume),
            Action::Reconnect if self.recovery.is_some() => self.refused_resume(),
            Action::Reconnect => self.lose(Loss::Server, Step::Rejoin),
        }
    }

    pub(super) fn keepalive_of_session(&self) -> Option<Keepalive> {
        let (interval, timeout) = self.pings;
        Keepalive::new(interval, timeout, self.now)
    }
}

/// Whether nobody should try to come back.
fn is_final(reason: &CloseReason) -> bool {
    !matches!(
        reason,
        CloseReason::ConnectionLost | CloseReason::JoinFailed | CloseReason::Other(_)
    )
}

fn close_reason(reason: proto::DisconnectReason) -> CloseReason {
    use proto::DisconnectReason as R;
    match reason {
        R::ClientInitiated => CloseReason::Requested,
        R::DuplicateIdentity => CloseReason::DuplicateIdentity,
        R::ServerShutdown => CloseReason::ServerShutdown,
        R::ParticipantRemoved => CloseReason::ParticipantRemoved,
        R::RoomDeleted => CloseReason::RoomDeleted,
        R::RoomClosed => CloseReason::RoomClosed,
        R::JoinFailure => CloseReason::JoinFailed,
        R::SignalClose | R::StateMismatch | R::ConnectionTimeout | R::Migration => {
            CloseReason::ConnectionLost
        }
        other => CloseReason::Other(format!(
            "the server ended the session: {}",
            other.as_str_name()
        )),
    }
}
