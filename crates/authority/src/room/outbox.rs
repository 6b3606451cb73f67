//! What a room sends.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use gs_engine::Slot;
use gs_engine::simulation::{EventAudience, GameEvent, Simulation, SimulationError};
use gs_engine::snapshot::SnapshotPart;
use gs_protocol::wire::{self, server_event::Body, state_update};
use gs_protocol::{VERSION, encode_chat, encode_server_event, encode_state_update};
use gs_protocol::{limits as wire_limits, topic};
use prost::Message;

use super::limits::TRANSMITS;
use super::player::Player;
use super::{Channel, Destination, Room, Transmit};

/// A bounded queue of packets, with buffers that are used again and again.
#[derive(Debug)]
pub(super) struct Outbox {
    epoch: u64,
    queue: VecDeque<Transmit>,
    buffer: Vec<u8>,
    update: wire::StateUpdate,
    /// Which slot's status comes first in the next packet, where not all fit.
    next_status: usize,
    statuses: Vec<wire::SlotStatus>,
    transmits: u64,
    dropped: u64,
}

impl Outbox {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            queue: VecDeque::new(),
            buffer: Vec::new(),
            update: wire::StateUpdate {
                version: VERSION,
                epoch,
                ..Default::default()
            },
            next_status: 0,
            statuses: Vec::new(),
            transmits: 0,
            dropped: 0,
        }
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        self.queue.pop_front()
    }

    /// Packets that were queued, and that were dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.transmits, self.dropped)
    }

    /// Queues an event under the player's next number. One that fits no packet is dropped without
    /// taking a number.
    pub(super) fn event(&mut self, player: &mut Player, body: &Body) {
        let event = wire::ServerEvent {
            version: VERSION,
            epoch: self.epoch,
            sequence: player.sequence + 1,
            body: Some(body.clone()),
        };
        if encode_server_event(&event, &mut self.buffer).is_err() {
            self.dropped += 1;
            return;
        }
        player.sequence += 1;
        let to = Destination::One(player.identity.clone());
        self.push(to, Channel::Reliable, topic::EVENTS);
    }

    pub(super) fn chat(&mut self, chat: &wire::ChatMessage) {
        if encode_chat(chat, &mut self.buffer).is_err() {
            self.dropped += 1;
            return;
        }
        self.push(Destination::All, Channel::Reliable, topic::CHAT);
    }

    /// Queues one viewer's state, a packet a part; the statuses go with the last part, as many as
    /// fit, taking turns.
    fn state(&mut self, tick: u32, to: &Destination, parts: &[SnapshotPart]) {
        self.update.tick = tick;
        for (index, part) in parts.iter().enumerate() {
            self.update.slots.clear();
            // The buffer of the part before is used again.
            let mut data = match self.update.body.take() {
                Some(state_update::Body::Snapshot(snapshot)) => snapshot.data,
                _ => Vec::new(),
            };
            data.clear();
            data.extend_from_slice(&part.data);
            let snapshot = wire::Snapshot {
                first_id: part.first_id,
                last_id: part.last_id,
                data,
            };
            self.update.body = Some(state_update::Body::Snapshot(snapshot));
            if index + 1 == parts.len() {
                self.add_statuses();
            }
            if encode_state_update(&self.update, &mut self.buffer).is_err() {
                self.dropped += 1;
                continue;
            }
            self.push(to.clone(), Channel::Lossy, topic::STATE);
        }
    }

    fn add_statuses(&mut self) {
        let mut left = wire_limits::STATE_BYTES.saturating_sub(self.update.encoded_len());
        let count = self.statuses.len();
        for _ in 0..count {
            let status = &self.statuses[self.next_status % count];
            let Some(rest) = left.checked_sub(status.encoded_len() + STATUS_HEADER_BYTES) else {
                break;
            };
            left = rest;
            self.update.slots.push(*status);
            self.next_status = (self.next_status + 1) % count;
        }
    }

    fn push(&mut self, to: Destination, channel: Channel, topic: &'static str) {
        if self.queue.len() >= TRANSMITS {
            self.dropped += 1;
            return;
        }
        self.transmits += 1;
        let payload = Bytes::copy_from_slice(&self.buffer);
        self.queue.push_back(Transmit {
            to,
            channel,
            topic,
            payload,
        });
    }
}

impl<S: Simulation> Room<S> {
    /// Queues the state after the last tick: once for all where everyone sees the same, else for
    /// each player who is here.
    pub(super) fn send_state(&mut self, now: Instant) -> Result<(), SimulationError> {
        let tick = self.pipeline.tick();
        if !self.hidden_state {
            self.outbox.statuses.clear();
            for slot in 0..self.players.len() {
                if self.watches(slot) {
                    let status = self.status(slot, now);
                    self.outbox.statuses.push(status);
                }
            }
            // Whoever is silent may still hear, and finds its way back faster with fresh state.
            if self.players.iter().any(Player::has_been_here) {
                self.outbox
                    .state(tick, &Destination::All, self.pipeline.snapshot(None)?);
            }
            return Ok(());
        }
        for slot in 0..self.players.len() {
            if !self.watches(slot) {
                continue;
            }
            let status = self.status(slot, now);
            self.outbox.statuses.clear();
            self.outbox.statuses.push(status);
            let to = Destination::One(self.players[slot].identity.clone());
            self.outbox
                .state(tick, &to, self.pipeline.snapshot(Some(slot as Slot))?);
        }
        Ok(())
    }

    fn status(&self, slot: usize, now: Instant) -> wire::SlotStatus {
        let inputs = self.pipeline.slot_status(slot as Slot);
        let echo = self.players[slot].echo;
        let age = echo.map_or(0, |(_, at)| now.saturating_duration_since(at).as_millis());
        wire::SlotStatus {
            slot: slot as u32,
            input_tick: inputs.map_or(0, |inputs| inputs.input_tick),
            margin: inputs.map_or(0, |inputs| inputs.margin),
            echo_ms: echo.map_or(0, |(sent, _)| sent),
            echo_age_ms: u32::try_from(age).unwrap_or(u32::MAX),
        }
    }

    /// Sends each player the game's events of the last tick that are for it, in as few packets as
    /// they take.
    pub(super) fn send_game_events(&mut self, events: &[GameEvent]) {
        if events.is_empty() {
            return;
        }
        let tick = self.pipeline.tick();
        for slot in 0..self.players.len() {
            if !self.players[slot].hears() {
                continue;
            }
            let team = self.players[slot].team.unwrap_or(0);
            let mine = events.iter().filter(|event| match event.to {
                EventAudience::All => true,
                EventAudience::Slot(to) => usize::from(to) == slot,
                EventAudience::Team(to) => to == team,
            });
            let mut batch = wire::GameEvents {
                tick,
                events: Vec::new(),
            };
            let mut bytes = 0;
            for event in mine {
                let size = event.data.len() + EVENT_OVERHEAD_BYTES;
                if bytes + size > GAME_EVENTS_BYTES && !batch.events.is_empty() {
                    let events = std::mem::take(&mut batch.events);
                    self.tell(slot, &Body::Game(wire::GameEvents { tick, events }));
                    bytes = 0;
                }
                bytes += size;
                batch.events.push(event.data.clone());
            }
            if !batch.events.is_empty() {
                self.tell(slot, &Body::Game(batch));
            }
        }
    }
}

/// Most bytes of a snapshot part. A packet has up to 37 bytes around it (version, epoch, tick, ids
/// and lengths), and the rest is room for the statuses of at least four slots, so that every
/// player's turn comes within 16 packets.
pub(super) const SNAPSHOT_BYTES: usize = 840;
/// Key and length of a status in a packet.
const STATUS_HEADER_BYTES: usize = 2;
/// Key and length of a game event in a packet.
const EVENT_OVERHEAD_BYTES: usize = 4;
/// Most bytes of game events in one packet, which has version, epoch, sequence, tick and lengths
/// around them.
const GAME_EVENTS_BYTES: usize = wire_limits::EVENT_BYTES - 64;
