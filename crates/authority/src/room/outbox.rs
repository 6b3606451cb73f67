//! What a room sends.

use std::collections::VecDeque;
use std::time::Instant;

use gs_engine::Slot;
use gs_engine::pipeline::Pipeline;
use gs_engine::replication::Packet;
use gs_engine::simulation::{EventAudience, GameEvent, Simulation, Tick};
use gs_engine::snapshot::Codec;
use gs_protocol::wire::{self, server_event::Body, state_update};
use gs_protocol::{VERSION, encode_chat, encode_server_event, encode_state_bulk};
use gs_protocol::{encode_state_update, limits as wire_limits, topic};
use prost::Message;

use super::limits::{SPARE_BUFFERS, TRANSMITS};
use super::player::Player;
use super::{Channel, Destination, Transmit};

/// A bounded queue of packets, in buffers that are used again and again.
#[derive(Debug)]
pub(super) struct Outbox {
    epoch: u64,
    queue: VecDeque<Queued>,
    /// The packet that was handed out last.
    lent: Option<Queued>,
    spare: Vec<Vec<u8>>,
    update: wire::StateUpdate,
    /// Which slot's status comes first in the next packet for all, where not all fit.
    next_status: usize,
    statuses: Vec<wire::SlotStatus>,
    transmits: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Queued {
    to: Destination,
    channel: Channel,
    topic: &'static str,
    payload: Vec<u8>,
}

/// Whose statuses go with a `state` packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statuses {
    /// Those that were noted, as many as fit, taking turns.
    Noted,
    /// This slot's alone, if it was noted.
    Of(usize),
    /// None.
    None,
}

impl Outbox {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            queue: VecDeque::new(),
            lent: None,
            spare: Vec::new(),
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

    pub(super) fn pop(&mut self) -> Option<Transmit<'_>> {
        if let Some(taken) = self.lent.take()
            && self.spare.len() < SPARE_BUFFERS
        {
            self.spare.push(taken.payload);
        }
        self.lent = self.queue.pop_front();
        self.lent.as_ref().map(|packet| Transmit {
            to: &packet.to,
            channel: packet.channel,
            topic: packet.topic,
            payload: &packet.payload,
        })
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
        let to = Destination::One(player.identity.clone());
        let sent = self.push(to, Channel::Reliable, topic::EVENTS, |buffer| {
            encode_server_event(&event, buffer).is_ok()
        });
        player.sequence += u32::from(sent);
    }

    pub(super) fn chat(&mut self, chat: &wire::ChatMessage) {
        self.push(Destination::All, Channel::Reliable, topic::CHAT, |buffer| {
            encode_chat(chat, buffer).is_ok()
        });
    }

    /// Notes what is known of the inputs of the players who are there, for [`Statuses`].
    pub(super) fn note_statuses<S: Simulation>(
        &mut self,
        players: &[Player],
        pipeline: &Pipeline<S>,
        now: Instant,
    ) {
        self.statuses.clear();
        for (slot, player) in players.iter().enumerate() {
            if player.watches() {
                let inputs = pipeline.slot_status(slot as Slot);
                let age = player
                    .echo
                    .map_or(0, |(_, at)| now.saturating_duration_since(at).as_millis());
                self.statuses.push(wire::SlotStatus {
                    slot: slot as u32,
                    input_tick: inputs.map_or(0, |inputs| inputs.input_tick),
                    margin: inputs.map_or(0, |inputs| inputs.margin),
                    echo_ms: player.echo.map_or(0, |(sent, _)| sent),
                    echo_age_ms: u32::try_from(age).unwrap_or(u32::MAX),
                });
            }
        }
    }

    /// Queues a view of the state after a tick; `clock` is where the server's clock stands.
    pub(super) fn delta(
        &mut self,
        clock: Tick,
        tick: Tick,
        to: Destination,
        packet: &Packet<'_>,
        statuses: Statuses,
    ) {
        let delta = wire::StateDelta {
            age: clock.saturating_sub(tick),
            baseline: packet.baseline_age,
            older: packet.older_age,
            codec: match packet.codec {
                Codec::Packed => wire::Codec::Packed.into(),
                Codec::Ranged => wire::Codec::Ranged.into(),
            },
            data: self.data(packet.data),
            whole: packet.whole,
        };
        self.update.body = Some(state_update::Body::Delta(delta));
        self.state(clock, to, Channel::Lossy, statuses);
    }

    /// Queues confirmed ticks, packed by [`gs_engine::confirmed`].
    pub(super) fn confirmed(
        &mut self,
        clock: Tick,
        first_tick: Tick,
        data: &[u8],
        to: Destination,
        channel: Channel,
    ) {
        let statuses = match channel {
            Channel::Lossy => Statuses::Noted,
            Channel::Reliable => Statuses::None,
        };
        let data = self.data(data);
        let confirmed = wire::Confirmed { first_tick, data };
        self.update.body = Some(state_update::Body::Confirmed(confirmed));
        self.state(clock, to, channel, statuses);
    }

    /// Queues a piece of a keyframe, whose bytes are `data`.
    pub(super) fn keyframe(
        &mut self,
        clock: Tick,
        to: Destination,
        head: wire::KeyframeChunk,
        data: &[u8],
    ) {
        let data = self.data(data);
        let chunk = wire::KeyframeChunk { data, ..head };
        self.update.body = Some(state_update::Body::Keyframe(chunk));
        self.state(clock, to, Channel::Reliable, Statuses::None);
    }

    /// Queues the clock and the players' statuses alone.
    pub(super) fn clock(&mut self, clock: Tick) {
        self.update.body = None;
        self.state(clock, Destination::All, Channel::Lossy, Statuses::Noted);
    }

    /// A copy of `data`, in the memory of the body before.
    fn data(&mut self, data: &[u8]) -> Vec<u8> {
        let mut copy = match self.update.body.take() {
            Some(state_update::Body::Delta(body)) => body.data,
            Some(state_update::Body::Confirmed(body)) => body.data,
            Some(state_update::Body::Keyframe(body)) => body.data,
            None => Vec::new(),
        };
        copy.clear();
        copy.extend_from_slice(data);
        copy
    }

    fn state(&mut self, clock: Tick, to: Destination, channel: Channel, statuses: Statuses) {
        let mut update = std::mem::take(&mut self.update);
        update.tick = clock;
        update.slots.clear();
        self.add_statuses(&mut update, statuses);
        self.push(to, channel, topic::STATE, |buffer| match channel {
            Channel::Lossy => encode_state_update(&update, buffer).is_ok(),
            Channel::Reliable => encode_state_bulk(&update, buffer).is_ok(),
        });
        self.update = update;
    }

    fn add_statuses(&mut self, update: &mut wire::StateUpdate, statuses: Statuses) {
        let mut left = wire_limits::STATE_BYTES.saturating_sub(update.encoded_len());
        let mut add = |status: &wire::SlotStatus| {
            let bytes = status.encoded_len() + STATUS_HEADER_BYTES;
            let fits = bytes <= left;
            if fits {
                left -= bytes;
                update.slots.push(*status);
            }
            fits
        };
        match statuses {
            Statuses::None => {}
            Statuses::Of(slot) => {
                let own = self.statuses.iter().find(|s| s.slot as usize == slot);
                let _ = own.is_some_and(add);
            }
            Statuses::Noted => {
                let count = self.statuses.len();
                for _ in 0..count {
                    if !add(&self.statuses[self.next_status % count]) {
                        break;
                    }
                    self.next_status = (self.next_status + 1) % count;
                }
            }
        }
    }

    /// Queues what `encode` writes, unless it does not fit a packet or nobody takes any.
    fn push(
        &mut self,
        to: Destination,
        channel: Channel,
        topic: &'static str,
        encode: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let mut payload = self.spare.pop().unwrap_or_default();
        if self.queue.len() >= TRANSMITS || !encode(&mut payload) {
            self.dropped += 1;
            if self.spare.len() < SPARE_BUFFERS {
                self.spare.push(payload);
            }
            return false;
        }
        self.transmits += 1;
        self.queue.push_back(Queued {
            to,
            channel,
            topic,
            payload,
        });
        true
    }
}

/// Sends each player the game's events of a tick that are for it, in as few packets as they take.
pub(super) fn send_game_events(
    outbox: &mut Outbox,
    players: &mut [Player],
    tick: Tick,
    events: &[GameEvent],
) {
    if events.is_empty() {
        return;
    }
    for (slot, player) in players.iter_mut().enumerate() {
        if !player.hears() {
            continue;
        }
        let team = player.team.unwrap_or(0);
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
                outbox.event(player, &Body::Game(wire::GameEvents { tick, events }));
                bytes = 0;
            }
            bytes += size;
            batch.events.push(event.data.clone());
        }
        if !batch.events.is_empty() {
            outbox.event(player, &Body::Game(batch));
        }
    }
}

/// Most bytes of a lossy packet's body. A packet has up to 50 bytes around it (version, epoch, tick,
/// the body's numbers and lengths), and the rest is room for the statuses of at least four slots, so
/// that every player's turn comes within 16 packets.
pub(super) const LOSSY_BYTES: usize = 830;
/// Most bytes of confirmed ticks in a packet that goes reliably.
pub(super) const RELIABLE_BYTES: usize = gs_engine::confirmed::MAX_TICK_BYTES;
/// Most bytes of a piece of a keyframe.
pub(super) const CHUNK_BYTES: usize = 15 << 10;
/// Key and length of a status in a packet.
const STATUS_HEADER_BYTES: usize = 2;
/// Key and length of a game event in a packet.
const EVENT_OVERHEAD_BYTES: usize = 4;
/// Most bytes of game events in one packet, which has version, epoch, sequence, tick and lengths
/// around them.
const GAME_EVENTS_BYTES: usize = wire_limits::EVENT_BYTES - 64;
