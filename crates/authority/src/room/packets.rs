//! What participants send, and what they are answered.

use std::time::Instant;

use gs_engine::input_buffer::Admission;
use gs_engine::manifest::Predict;
use gs_engine::simulation::{MatchResult, Simulation};
use gs_engine::{AuthorityMode, Slot, Tick};
use gs_protocol::wire::{self, server_event::Body};
use gs_protocol::{
    ClientEvent, VERSION, convert, decode_chat, decode_client_event, decode_player_input,
    decode_player_state, limits as wire_limits, topic,
};
use prost::Message;

use super::limits::{REPORT_AGAIN, STRANGERS};
use super::player::{Escalation, Standing};
use super::relay::Resync;
use super::{Phase, Presence, Room, RoomEvent, Service};

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
        // A `hello` may be one that keeps its sender out.
        if topic != topic::EVENTS {
            self.heard(slot, now);
        }
        match (topic, &mut self.service) {
            (topic::INPUT, _) => self.handle_input(slot, payload, now),
            (topic::EVENTS, _) => self.handle_client_event(slot, payload, now),
            (topic::CHAT, _) => self.handle_chat(slot, payload, now),
            (topic::STATE, Service::Observer(observed)) => {
                if decode_player_state(payload).is_err() {
                    self.counters.malformed += 1;
                } else if self.phase == Phase::Running {
                    observed.note_shared(slot);
                }
            }
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
        let newest = self.players[slot].note_echo(input.sent_ms, now);
        if self.phase != Phase::Running {
            return;
        }
        let ack = (input.ack_tick, input.ack_bits);
        match &mut self.service {
            Service::Full(views) => views.handle_ack(slot, ack),
            Service::Validated(relay) => {
                relay.handle_ack(slot, ack, newest, self.pipeline.tick(), now);
            }
            // Nobody here simulates what it steers.
            Service::Observer(_) => return,
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
        let event = decode_client_event(payload);
        if let Ok(ClientEvent::Hello {
            module: Some((sha256, version)),
        }) = &event
            && *sha256 != self.config.module_sha256
        {
            return self.refuse_module(slot, sha256, version, now);
        }
        self.heard(slot, now);
        match event {
            Ok(ClientEvent::Hello { .. }) => self.handle_hello(slot, now),
            Ok(ClientEvent::Leave) => self.give_up(slot),
            Ok(ClientEvent::Command(data)) => self.handle_command(slot, &data, now),
            Ok(ClientEvent::Resync { views: true, .. })
                if matches!(self.service, Service::Validated(_)) =>
            {
                self.handle_no_module(slot, now);
            }
            Ok(ClientEvent::Resync { mismatch, .. }) => self.handle_resync(slot, mismatch, now),
            Ok(ClientEvent::Desync { tick, differences }) => {
                self.handle_desync(slot, tick, &differences, now);
            }
            Ok(ClientEvent::Report(result)) => self.handle_report(slot, result, now),
            Err(_) => self.counters.malformed += 1,
        }
    }

    /// Keeps a player out whose module is not the match's: the two would not agree on anything.
    fn refuse_module(&mut self, slot: usize, theirs: &str, version: &str, now: Instant) {
        if !self.players[slot].hellos.take(now) {
            self.counters.requests_limited += 1;
            return;
        }
        self.counters.modules_refused += 1;
        let reason = format!(
            "this match plays {} {} (module {}), and you brought version {} (module {}); load the \
             match's module",
            self.config.game,
            self.pipeline.manifest().version,
            start_of(&self.config.module_sha256, HASH_DIGITS),
            printable(version, LABEL_BYTES),
            start_of(&printable(theirs, LABEL_BYTES), HASH_DIGITS),
        );
        self.refuse(slot, "module", reason);
    }

    fn handle_hello(&mut self, slot: usize, now: Instant) {
        if !self.players[slot].hellos.take(now) {
            self.counters.requests_limited += 1;
            return;
        }
        // Whoever says hello may have started afresh, with another clock and nothing received.
        self.players[slot].echo = None;
        match &mut self.service {
            Service::Full(views) => views.reset(slot),
            Service::Validated(relay) => relay.forget_sent(slot),
            Service::Observer(_) => {}
        }
        self.welcome(slot);
    }

    fn handle_resync(&mut self, slot: usize, mismatch: Option<(Tick, u64)>, now: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        let pipeline = &self.pipeline;
        let resync = match &mut self.service {
            Service::Full(views) => {
                if self.players[slot].resyncs.take(now) {
                    views.reset(slot);
                    Resync::Served
                } else {
                    Resync::Limited
                }
            }
            Service::Validated(relay) => {
                let ours = mismatch.and_then(|(tick, _)| pipeline.confirmed(tick)?.hash);
                let differs = ours.is_some() && ours != mismatch.map(|(_, hash)| hash);
                if differs {
                    self.counters.mismatches += 1;
                }
                relay.handle_resync(slot, mismatch.map(|(tick, _)| tick), differs, now)
            }
            Service::Observer(_) => {
                self.counters.out_of_mode += 1;
                return;
            }
        };
        self.answer_resync(slot, resync);
    }

    /// A player's module cannot run where it is. That is so before the match starts, too.
    fn handle_no_module(&mut self, slot: usize, now: Instant) {
        let over = !matches!(self.phase, Phase::Waiting { .. } | Phase::Running);
        if let Service::Validated(relay) = &mut self.service
            && !over
        {
            let resync = relay.handle_no_module(slot, now);
            self.answer_resync(slot, resync);
        }
    }

    fn answer_resync(&mut self, slot: usize, resync: Resync) {
        let (match_id, player) = (self.config.match_id.as_str(), &*self.players[slot].identity);
        let tick = self.pipeline.tick();
        let reason = match resync {
            Resync::Served => {
                self.counters.resyncs += 1;
                return;
            }
            Resync::Limited => {
                self.counters.requests_limited += 1;
                return;
            }
            Resync::FellBack => {
                tracing::warn!(match.id = match_id, player.id = player, tick,
                    "a player's own simulation keeps differing; it is sent snapshots from now on");
                "your simulation differed from the server's too often"
            }
            Resync::GaveUp => {
                tracing::info!(match.id = match_id, player.id = player, tick,
                    "a player cannot run the module; it is sent snapshots from now on");
                "its module cannot run"
            }
        };
        self.counters.resyncs += 1;
        self.counters.fall_backs += 1;
        let (mode, reason) = (wire::AuthorityMode::Full.into(), reason.to_owned());
        self.tell(slot, &Body::Mode(wire::ModeChanged { mode, reason }));
    }

    /// Writes down what differed, for the game's developer. All of it is a player's word.
    fn handle_desync(
        &mut self,
        slot: usize,
        tick: Tick,
        differences: &[wire::Difference],
        now: Instant,
    ) {
        let Service::Validated(relay) = &mut self.service else {
            self.counters.out_of_mode += 1;
            return;
        };
        let Some(first) = relay.handle_desync(slot, now) else {
            self.counters.requests_limited += 1;
            return;
        };
        self.counters.desyncs += 1;
        let (match_id, player) = (self.config.match_id.as_str(), &*self.players[slot].identity);
        if first {
            let message = "a player's simulation differs from the server's";
            tracing::warn!(match.id = match_id, player.id = player, tick, message);
        }
        for difference in differences {
            let field = format!(
                "{}.{}",
                printable(&difference.kind, LABEL_BYTES),
                printable(&difference.field, LABEL_BYTES)
            );
            let (entity, mine, theirs) = (difference.entity, difference.mine, difference.theirs);
            if first {
                tracing::warn!(match.id = match_id, player.id = player, tick, entity, field,
                    player.value = mine, server.value = theirs, "a field differs");
            } else {
                tracing::debug!(match.id = match_id, player.id = player, tick, entity, field,
                    player.value = mine, server.value = theirs, "a field differs");
            }
        }
    }

    fn handle_report(&mut self, slot: usize, result: MatchResult, now: Instant) {
        let teams = self.pipeline.config().teams;
        let Service::Observer(observed) = &mut self.service else {
            self.counters.out_of_mode += 1;
            return;
        };
        if self.phase != Phase::Running || self.players[slot].presence == Presence::Gone {
            self.counters.out_of_mode += 1;
            return;
        }
        if !self.players[slot].reports.take(now) {
            // Not answered, or each report beyond the rate would cost another packet.
            self.counters.requests_limited += 1;
            return;
        }
        match observed.report(slot, result, teams, now) {
            Ok(true) => {
                let player = &*self.players[slot].identity;
                tracing::info!(match.id = self.config.match_id, player.id = player,
                    "a player reported how the match ended");
            }
            // Its first word counts.
            Ok(false) => self.counters.requests_limited += 1,
            Err(reason) => {
                self.counters.malformed += 1;
                self.refuse(slot, "report", reason);
            }
        }
    }

    fn refuse(&mut self, slot: usize, what: &str, reason: String) {
        let what = what.to_owned();
        self.tell(slot, &Body::Refused(wire::Refused { what, reason }));
    }

    fn handle_command(&mut self, slot: usize, data: &[u8], now: Instant) {
        if !self.players[slot].commands.take(now) {
            // Not answered, or each packet beyond the rate would cost another one.
            self.counters.commands_refused += 1;
            return;
        }
        let reason = if matches!(self.service, Service::Observer(_)) {
            "nobody on the server simulates this match; commands go nowhere".to_owned()
        } else if self.phase == Phase::Running {
            match self.pipeline.handle_command(slot as Slot, data) {
                Ok(()) => return,
                Err(refusal) => refusal.to_string(),
            }
        } else {
            "the match is not running".to_owned()
        };
        self.counters.commands_refused += 1;
        self.refuse(slot, "command", reason);
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
        let mode = match &self.service {
            Service::Validated(relay) if relay.sends_views(slot) => AuthorityMode::Full,
            _ => self.config.mode,
        };
        let mut welcome = wire::Welcome {
            match_id: self.config.match_id.clone(),
            game: self.config.game.clone(),
            module_sha256: self.config.module_sha256.clone(),
            manifest: self.config.manifest.as_ref().to_owned(),
            tick_rate: self.tick_rate,
            phase: phase.into(),
            tick: self.clock(),
            slot: Some(slot as u32),
            players: players
                .map(|(slot, player)| player.to_wire(slot as Slot, self.is_open(slot)))
                .collect(),
            ended: self.ended_message(),
            mode: convert::mode_to_wire(mode).into(),
            module_version: self.pipeline.manifest().version.clone(),
            teams: self.pipeline.config().teams.into(),
            options: if self.tells_options() {
                self.config.options.clone()
            } else {
                "{}".to_owned()
            },
        };
        // A manifest that crowds out the rest can be had from the module itself, and a result's
        // statistics from the store.
        if welcome.encoded_len() > BODY_BYTES {
            welcome.manifest.clear();
        }
        if welcome.encoded_len() > BODY_BYTES
            && let Some(ended) = &mut welcome.ended
        {
            ended
                .slots
                .iter_mut()
                .for_each(|slot| slot.statistics.clear());
        }
        let bytes = welcome.encoded_len();
        if bytes > BODY_BYTES && !std::mem::replace(&mut self.unwelcoming, true) {
            tracing::error!(
                match.id = self.config.match_id,
                game = self.config.game,
                bytes,
                options.bytes = self.config.options.len(),
                "nobody can join: what players are told of the match fits no packet of \
                 {BODY_BYTES} bytes; give the game shorter options"
            );
        }
        self.tell(slot, &Body::Welcome(welcome));
    }

    /// Whether players need the game's options, as those do who may run its module.
    fn tells_options(&self) -> bool {
        let manifest = self.pipeline.manifest();
        let mut fields = manifest.entities.iter().flat_map(|kind| &kind.fields);
        match self.config.mode {
            AuthorityMode::Validated => true,
            AuthorityMode::Full => {
                !manifest.hidden_state || fields.any(|field| field.predict == Predict::Owner)
            }
            AuthorityMode::Observer => false,
        }
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
}

/// The first characters of a text.
fn start_of(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters);
    end.map_or(text, |(end, _)| &text[..end])
}

/// A player's text, fit for a log: short, and nothing in it but what can be seen.
fn printable(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().filter(|c| !c.is_control()).collect()
}

/// Digits of a module's hash that people compare.
const HASH_DIGITS: usize = 8;
/// Most bytes of a name or version that a player gives: as many as a manifest's.
const LABEL_BYTES: usize = 64;
/// Most bytes of an event's body; version, epoch and sequence take the rest of a packet.
const BODY_BYTES: usize = wire_limits::EVENT_BYTES - 64;
