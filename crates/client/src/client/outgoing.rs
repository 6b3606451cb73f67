//! What a client sends.

use std::collections::VecDeque;
use std::time::Duration;

use gs_engine::{AuthorityMode, Simulation, Tick};
use gs_protocol::{
    ClientEvent, VERSION, encode_chat, encode_client_event, encode_player_input,
    encode_player_state, topic, wire,
};

use super::{Client, Destination, Follow, MAX_QUEUE, Phase, SendError, Transmit};
use crate::stats::Counters;

/// A bounded queue of packets.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Transmit>,
    buffer: Vec<u8>,
    input: wire::PlayerInput,
    /// Memory of frames: no more than a packet has.
    spare_frames: Vec<wire::InputFrame>,
    sent_at: Option<Duration>,
    heartbeat_due: bool,
    shared: Tick,
}

impl Outbox {
    pub(super) fn has_next(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        self.queue.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.heartbeat_due = false;
    }

    pub(super) fn heartbeat_due(&self) -> bool {
        self.heartbeat_due
    }

    /// Notes whether presence has to be shown.
    pub(super) fn heartbeat(&mut self, now: Duration, wanted: bool) {
        let due = |at| now.saturating_sub(at) >= HEARTBEAT;
        self.heartbeat_due = wanted && self.sent_at.is_none_or(due);
    }

    pub(super) fn chat(&mut self, text: &str, counters: &mut Counters) {
        let chat = wire::ChatMessage {
            version: VERSION,
            text: text.to_owned(),
            ..Default::default()
        };
        if encode_chat(&chat, &mut self.buffer).is_ok() {
            self.push(topic::CHAT, true, Destination::Authority, counters);
        }
    }

    pub(super) fn share(&mut self, tick: Tick, data: &[u8], counters: &mut Counters) {
        self.shared = tick.max(self.shared.saturating_add(1));
        let state = wire::PlayerState {
            version: VERSION,
            tick: self.shared,
            data: data.to_vec(),
        };
        if encode_player_state(&state, &mut self.buffer).is_ok() {
            self.push(topic::STATE, false, Destination::Everyone, counters);
        }
    }

    fn push(
        &mut self,
        topic: &'static str,
        reliable: bool,
        to: Destination,
        counters: &mut Counters,
    ) {
        if self.queue.len() >= MAX_QUEUE {
            counters.dropped += 1;
            return;
        }
        self.queue.push_back(Transmit {
            topic,
            reliable,
            to,
            payload: self.buffer.clone(),
        });
    }
}

impl<S: Simulation> Client<S> {
    pub(super) fn send_event(&mut self, event: &ClientEvent) -> Result<(), SendError> {
        encode_client_event(event, &mut self.outbox.buffer)?;
        let counters = &mut self.stats.counters;
        self.outbox
            .push(topic::EVENTS, true, Destination::Authority, counters);
        Ok(())
    }

    pub(super) fn say_hello(&mut self) {
        if !self.session.hello_due(self.now) {
            return;
        }
        self.session.hello_at = Some(self.now);
        let brought = self.config.module.as_ref();
        let module = brought.map(|module| (module.sha256.clone(), module.version.clone()));
        if self.send_event(&ClientEvent::Hello { module }).is_err() {
            self.stats.counters.dropped += 1;
        }
    }

    /// Tells again how the match ended, where that may have been lost.
    pub(super) fn report_again(&mut self) {
        let wanted =
            self.session.phase == Phase::Running && self.mode() == Some(AuthorityMode::Observer);
        let Some(report) = self.report.take_if(|_| wanted) else {
            return;
        };
        if self.send_event(&report).is_err() {
            self.stats.counters.dropped += 1;
        }
        self.report = Some(report);
    }

    /// Sends the inputs that the server has not used, or none: a heartbeat.
    pub(super) fn send_inputs(&mut self) {
        self.own.sent();
        self.outbox.heartbeat_due = false;
        self.outbox.sent_at = Some(self.now);
        let (ack_tick, ack_bits) = match &self.follow {
            Follow::Nothing => (0, 0),
            Follow::Full(full) => full.ack(),
            Follow::Validated(validated) => (validated.held(), 0),
        };
        let view_tick = self.view_fraction();
        let first = self.oldest_of_use();
        let input = &mut self.outbox.input;
        input.version = VERSION;
        input.ack_tick = ack_tick;
        input.ack_bits = ack_bits;
        input.view_tick = view_tick;
        // Wraps after seven weeks, as the server's echo of it does.
        input.sent_ms = self.now.as_millis() as u32;
        self.own
            .frames(first, &mut input.frames, &mut self.outbox.spare_frames);
        if encode_player_input(&self.outbox.input, &mut self.outbox.buffer).is_err() {
            self.stats.counters.dropped += 1;
            return;
        }
        let counters = &mut self.stats.counters;
        self.outbox
            .push(topic::INPUT, false, Destination::Authority, counters);
    }
}

impl<S: Simulation> Client<S> {
    /// The oldest tick of which an input that is sent now may still come in time. What is older
    /// than that is not worth its bytes: in `validated` it is dropped, and in `full` a newer one
    /// takes its place.
    fn oldest_of_use(&self) -> Tick {
        let (Some(game), true) = (&self.game, self.line.server.current()) else {
            return 0;
        };
        let rate = f64::from(game.manifest.tick_rate);
        let window = match self.follow {
            Follow::Validated(_) => f64::from(game.manifest.late_window_ms) / 1000.0,
            Follow::Full(_) | Follow::Nothing => 0.0,
        };
        let trip = self.line.round_trip.unwrap_or_default().as_secs_f64();
        let arrives = self.line.server.estimate(self.now) + trip * rate;
        (arrives - window * rate - ESTIMATE_TICKS) as Tick
    }
}

/// What the estimate of the server's time may be off by.
const ESTIMATE_TICKS: f64 = 4.0;
/// Presence comes from these: four in the second after which silence is noticed.
const HEARTBEAT: Duration = Duration::from_millis(250);
