//! What comes in, topic by topic.

use std::time::Duration;

use gs_engine::schema::Schema;
use gs_engine::{AuthorityMode, Manifest, Simulation, Tick};
use gs_protocol::wire::{self, server_event, state_update};
use gs_protocol::{
    WireError, convert, decode_player_state, decode_relayed_chat, decode_server_event,
    decode_state_update, limits,
};

use super::session::{Epoch, Peer};
use super::{
    Client, Event, Follow, Game, Layout, Line, MAX_FIRST_ROUND_TRIP, MatchEnd, ModuleError, Phase,
    Player, SILENCE, Validated, manifest_json,
};
use crate::event::{ChatLine, Presence, slot_from_wire};

impl<S: Simulation> Client<S> {
    pub(super) fn handle_state(&mut self, payload: &[u8], now: Duration) {
        let update = match decode_state_update(payload) {
            Ok(update) => update,
            Err(error) => return self.count(&error),
        };
        let newest = match &update.body {
            Some(state_update::Body::Confirmed(ticks)) => ticks.first_tick,
            Some(state_update::Body::Keyframe(chunk)) => chunk.tick,
            _ => 0,
        };
        if update.tick > MAX_TICK || newest > update.tick {
            self.stats.counters.malformed += 1;
            return;
        }
        if !self.accept_epoch(update.epoch) {
            return;
        }
        self.line.heard_at = Some(now);
        if self.game.is_none() {
            return;
        }
        let silent = |at| now.saturating_sub(at) > SILENCE;
        if self.line.state_at.is_none_or(silent) {
            self.line.answered_at = Some(now);
        }
        self.line.state_at = Some(now);
        // What comes reliably may come long after it was sent, and says little of the time.
        let bulk = matches!(update.body, Some(state_update::Body::Keyframe(_)));
        if update.tick > self.line.server_tick && !bulk {
            self.line.server_tick = update.tick;
            self.line.server.handle_state(update.tick, now);
        }
        if let Some(status) = update.slots.iter().find(|status| self.is_me(status)) {
            self.handle_status(status, now);
        }
        match update.body {
            Some(state_update::Body::Delta(delta)) => self.handle_delta(update.tick, &delta),
            Some(state_update::Body::Confirmed(ticks)) => self.handle_confirmed(&ticks),
            Some(state_update::Body::Keyframe(chunk)) => self.handle_keyframe(chunk),
            // Statuses alone.
            None => {}
        }
    }

    fn is_me(&self, status: &wire::SlotStatus) -> bool {
        self.session.slot.is_some() && slot_from_wire(status.slot) == self.session.slot
    }

    fn handle_status(&mut self, status: &wire::SlotStatus, now: Duration) {
        self.own.handle_used(status.input_tick);
        // One packet is echoed until the next arrives: only the first echo of it is a measurement.
        if status.echo_ms == self.line.echo || status.echo_ms == 0 {
            return;
        }
        self.line.echo = status.echo_ms;
        self.line.answered_at = Some(now);
        let sent = status.echo_ms.wrapping_add(status.echo_age_ms);
        let trip = (now.as_millis() as u32).wrapping_sub(sent);
        if trip < MAX_ROUND_TRIP_MS {
            let trip = f64::from(trip) / 1000.0;
            let smoothed = self.line.round_trip.map_or(trip, |before| {
                let before = before.as_secs_f64();
                before + (trip - before) * 0.1
            });
            self.line.round_trip = Some(Duration::from_secs_f64(smoothed));
        }
        let margin = f64::from(status.margin) / 256.0;
        self.line
            .input
            .handle_margin(status.input_tick, margin, now);
    }

    pub(super) fn handle_event(&mut self, payload: &[u8], now: Duration) {
        let event = match decode_server_event(payload) {
            Ok(event) => event,
            Err(error) => return self.count(&error),
        };
        if !self.accept_epoch(event.epoch) {
            return;
        }
        self.line.heard_at = Some(now);
        let body = match event.body {
            Some(server_event::Body::Welcome(welcome)) => {
                if let Some(asked) = self.session.hello_at {
                    let answered = now.saturating_sub(asked);
                    self.line.first_round_trip = answered.min(MAX_FIRST_ROUND_TRIP);
                }
                if self.handle_welcome(welcome) {
                    self.session.sequence = event.sequence;
                }
                return;
            }
            Some(body) if self.session.welcomed => body,
            _ => return,
        };
        if event.sequence <= self.session.sequence {
            return;
        }
        if event.sequence > self.session.sequence + 1 && !self.session.wants_welcome {
            self.stats.counters.gaps += 1;
            self.session.ask_for_welcome();
        }
        self.session.sequence = event.sequence;
        self.handle_body(body);
    }

    fn handle_body(&mut self, body: server_event::Body) {
        match body {
            server_event::Body::Welcome(_) => {}
            server_event::Body::Started(started) => {
                self.session.phase = Phase::Running;
                self.push(Event::Started { tick: started.tick });
            }
            server_event::Body::Player(changed) => {
                match changed.player.and_then(Player::from_wire) {
                    Some(player) => {
                        // A page that was loaded anew counts its states anew.
                        if player.presence == Presence::Present {
                            self.session.peers[usize::from(player.slot)] = Peer::default();
                        }
                        self.session.set_player(player.clone());
                        self.push(Event::Player(player));
                    }
                    None => self.stats.counters.malformed += 1,
                }
            }
            server_event::Body::Game(game) => {
                for data in game.events.into_iter().take(MAX_EVENTS) {
                    let schema = self.game.as_ref().map(|game| &game.schema);
                    if schema.is_some_and(|schema| schema.validate_event(&data).is_ok()) {
                        self.push(Event::Game {
                            tick: game.tick,
                            data,
                            predicted: false,
                        });
                    } else {
                        self.stats.counters.malformed += 1;
                    }
                }
            }
            server_event::Body::Ended(ended) => self.handle_ended(&ended),
            server_event::Body::Refused(refused) => self.push(Event::Refused {
                what: refused.what,
                reason: refused.reason,
            }),
            server_event::Body::Mode(changed) => {
                let Some(mode) = convert::mode_from_wire(changed.mode()) else {
                    self.stats.counters.malformed += 1;
                    return;
                };
                self.push(Event::Mode {
                    mode,
                    reason: changed.reason,
                });
                if self.session.mode != Some(mode) {
                    self.session.mode = Some(mode);
                    self.follow_anew();
                    self.need_module();
                }
            }
        }
    }

    /// Takes what the authority says of the match; whether it could be read.
    fn handle_welcome(&mut self, mut welcome: wire::Welcome) -> bool {
        let players = std::mem::take(&mut welcome.players).into_iter();
        let players: Vec<Player> = players.filter_map(Player::from_wire).collect();
        // Everything that is kept by slot goes by the players that the match was formed with.
        let listed = |slot| players.iter().any(|player| u32::from(player.slot) == slot);
        if welcome.slot.is_some_and(|slot| !listed(slot)) {
            self.stats.counters.malformed += 1;
            return false;
        }
        let module_changed = self.session.module.sha256 != welcome.module_sha256;
        let match_changed = self.session.match_id != welcome.match_id;
        if module_changed || match_changed || self.game.is_none() {
            // Where the manifest was left out for its size, the module has it.
            let manifest = if welcome.manifest.is_empty() {
                None
            } else {
                match manifest_json::parse(&welcome.manifest, welcome.tick_rate) {
                    Ok(manifest) => Some(manifest),
                    Err(_) => {
                        self.stats.counters.malformed += 1;
                        return false;
                    }
                }
            };
            if module_changed {
                self.simulation = None;
                self.module_requests = 0;
                self.module_unavailable = false;
            }
            self.game = None;
            if let Some(mut manifest) = manifest {
                if welcome.tick_rate > 0 {
                    manifest.tick_rate = welcome.tick_rate;
                }
                if self.set_game(manifest).is_err() {
                    self.stats.counters.malformed += 1;
                    return false;
                }
            }
        }
        let phase = match welcome.phase() {
            wire::Phase::Unspecified => Phase::Joining,
            wire::Phase::Waiting => Phase::Waiting,
            wire::Phase::Running => Phase::Running,
            wire::Phase::Ended => Phase::Ended,
        };
        let mode = convert::mode_from_wire(welcome.mode()).unwrap_or(AuthorityMode::Full);
        let session = &mut self.session;
        let slot_before = session.slot;
        let config_before = session.match_config();
        session.match_id = welcome.match_id;
        session.game = welcome.game;
        session.module.sha256 = welcome.module_sha256;
        session.module.version = welcome.module_version;
        session.tick_rate = welcome.tick_rate;
        session.teams = u8::try_from(welcome.teams).unwrap_or(0);
        session.options = welcome.options;
        session.set_slot(welcome.slot);
        session.phase = phase;
        session.set_players(players);
        session.wants_welcome = false;
        session.welcomed = true;
        let same = !module_changed
            && !match_changed
            && session.mode == Some(mode)
            && session.slot == slot_before
            && session.match_config() == config_before;
        session.mode = Some(mode);
        if !same || matches!(self.follow, Follow::Nothing) {
            self.start_module();
            self.follow_anew();
        }
        if match_changed {
            self.report = None;
        }
        self.push(Event::Welcome);
        self.need_module();
        self.report_again();
        if let Some(ended) = welcome.ended {
            self.handle_ended(&ended);
        }
        true
    }

    fn handle_ended(&mut self, ended: &wire::MatchEnded) {
        let Some(mut result) = convert::result_from_wire(ended) else {
            self.stats.counters.malformed += 1;
            return;
        };
        result.slots.truncate(gs_engine::manifest::MAX_SLOTS);
        let known = self.session.result.as_ref();
        let first = known.is_none_or(|known| known.stored != ended.stored);
        let end = MatchEnd {
            result,
            reason: ended.reason.clone(),
            stored: ended.stored,
        };
        self.session.phase = Phase::Ended;
        self.session.result = Some(end.clone());
        self.forget_inputs();
        if first {
            self.push(Event::Result(end));
        }
    }

    pub(super) fn handle_chat(&mut self, payload: &[u8]) {
        let chat = match decode_relayed_chat(payload) {
            Ok(chat) => chat,
            Err(error) => return self.count(&error),
        };
        let Some(slot) = slot_from_wire(chat.slot) else {
            self.stats.counters.malformed += 1;
            return;
        };
        let mut text = chat.text;
        let mut end = text.len().min(limits::CHAT_TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        self.push(Event::Chat(ChatLine {
            slot,
            username: chat.username,
            text,
            sent_at_ms: chat.sent_at_ms,
        }));
    }

    /// What another player shares in `observer`.
    pub(super) fn handle_peer(&mut self, from: &str, payload: &[u8]) {
        let slot = self.session.slot_of(from);
        let Some(slot) = slot.filter(|slot| Some(*slot) != self.session.slot) else {
            self.stats.counters.foreign += 1;
            return;
        };
        let state = match decode_player_state(payload) {
            Ok(state) => state,
            Err(error) => return self.count(&error),
        };
        if state.data.len() > limits::PLAYER_STATE_BYTES {
            self.stats.counters.malformed += 1;
            return;
        }
        let peer = &mut self.session.peers[usize::from(slot)];
        if !peer.take(state.tick, self.now) {
            self.stats.counters.stale += 1;
            return;
        }
        self.stats.counters.states += 1;
        self.push(Event::Peer {
            slot,
            tick: state.tick,
            data: state.data,
        });
    }

    /// Whether a packet of this epoch counts. A higher one is another holder of the room.
    fn accept_epoch(&mut self, epoch: u64) -> bool {
        match self.session.handle_epoch(epoch) {
            Epoch::Current => true,
            Epoch::Older => {
                self.stats.counters.old_epoch += 1;
                false
            }
            Epoch::Newer => {
                self.reset_line();
                self.follow_anew();
                true
            }
        }
    }

    /// What a new manifest comes to; everything that rested on the one before starts afresh.
    pub(super) fn set_game(&mut self, manifest: Manifest) -> Result<(), ModuleError> {
        let schema = Schema::new(&manifest)?;
        self.game = Some(Game {
            layout: Layout::new(&manifest),
            schema,
            manifest,
        });
        self.reset_line();
        Ok(())
    }

    /// Starts the clocks anew, on the same connection.
    fn reset_line(&mut self) {
        let rate = self.game.as_ref().map_or(60, |g| g.manifest.tick_rate);
        let line = Line::new(rate);
        self.line = Line {
            connected: self.line.connected,
            connected_at: self.line.connected_at,
            round_trip: self.line.round_trip,
            first_round_trip: self.line.first_round_trip,
            state_at: self.line.state_at,
            heard_at: self.line.heard_at,
            answered_at: self.line.answered_at,
            resync_at: self.line.resync_at,
            ..line
        };
        self.forget_inputs();
        self.own.reset();
        self.session.peers.fill(Peer::default());
    }

    /// Starts to follow the server in the mode that is current, from nothing.
    pub(super) fn follow_anew(&mut self) {
        self.view.clear();
        self.shown.clear();
        self.follow = match (&self.game, self.session.mode) {
            (Some(_), Some(AuthorityMode::Full)) => Follow::Full(Box::default()),
            (Some(game), Some(AuthorityMode::Validated)) => Follow::Validated(Box::new(
                Validated::new(&game.schema, self.session.slots(), self.session.slot),
            )),
            _ => Follow::Nothing,
        };
    }

    pub(super) fn count(&mut self, error: &WireError) {
        match error {
            WireError::Version { .. } => self.stats.counters.unknown_version += 1,
            _ => self.stats.counters.malformed += 1,
        }
    }
}

/// More than a year at 60 ticks a second: with this, no sum of ticks overflows.
const MAX_TICK: Tick = Tick::MAX / 2;
/// What a tick can have.
const MAX_EVENTS: usize = gs_engine::abi::MAX_EVENTS;
/// Beyond this an echo is of another clock.
const MAX_ROUND_TRIP_MS: u32 = 10_000;
