//! What participants send, and what they are answered.

use std::time::Instant;

use gs_engine::Slot;
use gs_engine::input_buffer::Admission;
use gs_engine::simulation::Simulation;
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{ClientEvent, VERSION, decode_chat, decode_client_event, decode_player_input};
use gs_protocol::{limits as wire_limits, topic};
use prost::Message;

use super::limits::{REPORT_AGAIN, STRANGERS};
use super::player::{Escalation, Standing};
use super::{Phase, Presence, Room, RoomEvent};

impl<S: Simulation> Room<S> {
    /// Takes a packet of a participant, by the identity that LiveKit vouches for.
    pub fn handle_packet(&mut self, from: &str, topic: &str, payload: &[u8], now: Instant) {
        if self.phase == Phase::Closed {
            return;
        }
        let Some(slot) = self.slot_of(from) else {
            self.counters.strangers += 1;
            return self.report_stranger(from, now);
        };
        self.counters.packets += 1;
        if !self.admit(slot, now) {
            return;
        }
        self.heard(slot, now);
        match topic {
            topic::INPUT => self.handle_input(slot, payload, now),
            topic::EVENTS => self.handle_client_event(slot, payload, now),
            topic::CHAT => self.handle_chat(slot, payload, now),
            _ => self.counters.unknown_topic += 1,
        }
    }

    /// Says whether a player's packet is within its rate and the player in good standing.
    fn admit(&mut self, slot: usize, now: Instant) -> bool {
        let player = &mut self.players[slot];
        if player.standing == Standing::Good {
            if player.packets.take(now) {
                return true;
            }
            self.counters.limited += 1;
        } else {
            self.counters.silenced += 1;
        }
        let identity = player.identity.to_string();
        match player.exceed(now) {
            Escalation::Nothing => {}
            Escalation::Mute => {
                self.counters.mutes += 1;
                self.silence(slot, now);
                self.event(RoomEvent::Mute { identity });
            }
            Escalation::Remove => {
                self.counters.removals += 1;
                self.event(RoomEvent::Remove {
                    identity,
                    reason: "flooded the room",
                });
            }
        }
        false
    }

    /// Asks for a participant to be removed who is not in the match, now and then while it sends.
    fn report_stranger(&mut self, identity: &str, now: Instant) {
        let strangers = &mut self.strangers;
        if let Some(known) = strangers.iter().position(|(known, _)| known == identity) {
            if now < strangers[known].1 + REPORT_AGAIN {
                return;
            }
            strangers[known].1 = now;
        } else {
            // Those who were reported long ago make room.
            if strangers.len() == STRANGERS {
                strangers.retain(|(_, reported)| now < *reported + REPORT_AGAIN);
            }
            if strangers.len() == STRANGERS {
                return;
            }
            strangers.push((identity.to_owned(), now));
        }
        self.counters.removals += 1;
        let identity = identity.to_owned();
        self.event(RoomEvent::Remove {
            identity,
            reason: "is not in the match",
        });
    }

    fn handle_input(&mut self, slot: usize, payload: &[u8], now: Instant) {
        let Ok(input) = decode_player_input(payload) else {
            self.counters.malformed += 1;
            return;
        };
        let player = &mut self.players[slot];
        // The channel is unordered: an older packet must not set the echo back. The clock of the
        // sender wraps around, so "older" is the shorter way round.
        let newer = |(sent, _): (u32, Instant)| input.sent_ms.wrapping_sub(sent) as i32 >= 0;
        if player.echo.is_none_or(newer) {
            player.echo = Some((input.sent_ms, now));
        }
        if self.phase != Phase::Running {
            return;
        }
        let since = now.saturating_duration_since(self.last_tick);
        let since = (since.as_secs_f64() * f64::from(self.tick_rate) * 256.0) as u32;
        for frame in input.frames() {
            match self
                .pipeline
                .handle_frame(slot as Slot, frame.tick, frame.data, since)
            {
                Ok(Admission::TooFar) => self.counters.frames_too_far += 1,
                Ok(_) => {}
                Err(_) => self.counters.frames_refused += 1,
            }
        }
        // Refused only for a player who is gone.
        let _ = self.pipeline.handle_view(slot as Slot, input.view_tick);
    }

    fn handle_client_event(&mut self, slot: usize, payload: &[u8], now: Instant) {
        match decode_client_event(payload) {
            Ok(ClientEvent::Hello { .. }) => {
                if self.players[slot].hellos.take(now) {
                    self.welcome(slot);
                } else {
                    self.counters.requests_limited += 1;
                }
            }
            Ok(ClientEvent::Leave) => self.give_up(slot),
            Ok(ClientEvent::Command(data)) => self.handle_command(slot, &data, now),
            Ok(
                ClientEvent::Resync { .. } | ClientEvent::Desync { .. } | ClientEvent::Report(_),
            )
            | Err(_) => self.counters.malformed += 1,
        }
    }

    fn handle_command(&mut self, slot: usize, data: &[u8], now: Instant) {
        if !self.players[slot].commands.take(now) {
            // Not answered, or each packet beyond the rate would cost another one.
            self.counters.commands_refused += 1;
            return;
        }
        let reason = if self.phase == Phase::Running {
            match self.pipeline.handle_command(slot as Slot, data) {
                Ok(()) => return,
                Err(refusal) => refusal.to_string(),
            }
        } else {
            "the match is not running".to_owned()
        };
        self.counters.commands_refused += 1;
        self.tell(
            slot,
            &Body::Refused(wire::Refused {
                what: "command".to_owned(),
                reason,
            }),
        );
    }

    fn handle_chat(&mut self, slot: usize, payload: &[u8], now: Instant) {
        let Ok(text) = decode_chat(payload) else {
            self.counters.malformed += 1;
            return;
        };
        let player = &mut self.players[slot];
        if !player.chats.take(now) {
            self.counters.requests_limited += 1;
            return;
        }
        let since = now.saturating_duration_since(self.created);
        let chat = wire::ChatMessage {
            version: VERSION,
            text,
            slot: slot as u32,
            username: player.username.clone(),
            sent_at_ms: self.config.unix_ms + u64::try_from(since.as_millis()).unwrap_or(0),
        };
        self.outbox.chat(&chat);
    }

    /// Tells a player all that it needs to take part, or to see how the match ended.
    fn welcome(&mut self, slot: usize) {
        let phase = match self.phase {
            Phase::Waiting { .. } => wire::Phase::Waiting,
            Phase::Running => wire::Phase::Running,
            Phase::Ended { .. } | Phase::Closed => wire::Phase::Ended,
        };
        let players = self.players.iter().enumerate();
        let mut welcome = wire::Welcome {
            match_id: self.config.match_id.clone(),
            game: self.config.game.clone(),
            module_sha256: self.config.module_sha256.clone(),
            manifest: self.config.manifest.as_ref().to_owned(),
            tick_rate: self.tick_rate,
            phase: phase.into(),
            tick: self.pipeline.tick(),
            slot: Some(slot as u32),
            players: players
                .map(|(slot, player)| player.to_wire(slot as Slot))
                .collect(),
            ended: self.ended_message(),
            mode: wire::AuthorityMode::Full.into(),
            module_version: self.pipeline.manifest().version.clone(),
            teams: self.pipeline.config().teams.into(),
            options: self.config.options.clone(),
        };
        // A manifest that crowds out the rest can be had from the module itself.
        if welcome.encoded_len() > BODY_BYTES {
            welcome.manifest.clear();
        }
        self.tell(slot, &Body::Welcome(welcome));
    }

    /// Sends an event to one player.
    pub(super) fn tell(&mut self, slot: usize, body: &Body) {
        self.outbox.event(&mut self.players[slot], body);
    }

    /// Sends an event to every player who has been here and was not thrown out.
    pub(super) fn tell_all(&mut self, body: &Body) {
        for player in self.players.iter_mut().filter(|player| player.hears()) {
            self.outbox.event(player, body);
        }
    }

    /// Whether a player gets state: it is here.
    pub(super) fn watches(&self, slot: usize) -> bool {
        let player = &self.players[slot];
        player.presence == Presence::Present && player.standing == Standing::Good
    }
}

/// Most bytes of an event's body; version, epoch and sequence take the rest of a packet.
const BODY_BYTES: usize = wire_limits::EVENT_BYTES - 64;
