//! One room on a tick thread: packets in, a tick, packets out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use gs_engine::simulation::{Simulation, Slot};
use livekit_data::{Packet, Participant};
use tokio::sync::mpsc as tokio_mpsc;

use crate::inbox::{Inbox, Message};
use crate::room::{Channel, Destination, Room, RoomCounters, RoomEvent, RoomPlayer};
use crate::ticker::{Flow, TickTask};

/// What a room's task tells its driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// The room is joined, for the first time or again.
    Connected(Participant),
    /// The connection is lost.
    Disconnected,
    /// The result is stored.
    Stored,
    /// This participant, by identity, may not play.
    Ban(String),
    /// A substitute was found for a slot.
    Substitute(Slot, RoomPlayer),
    /// The match cannot go on, for this reason.
    Abort(String),
    /// Another holder has the match: stop without another packet.
    Stop,
}

/// What a running room shows of itself.
#[derive(Debug, Default)]
pub(crate) struct RoomGauges {
    pub(crate) tick: AtomicU32,
    /// Packets that the connection did not take.
    pub(crate) unsent: AtomicU64,
    counters: Mutex<RoomCounters>,
}

impl RoomGauges {
    pub(crate) fn counters(&self) -> RoomCounters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives a room at each tick.
pub(crate) struct Driver<S> {
    room: Room<S>,
    inbox: Arc<Inbox>,
    taken: VecDeque<Message>,
    commands: mpsc::Receiver<Command>,
    events: tokio_mpsc::Sender<RoomEvent>,
    participant: Option<Participant>,
    gauges: Arc<RoomGauges>,
    destination: Vec<String>,
    load: Load,
    ticks: u32,
}

impl<S: Simulation> Driver<S> {
    pub(crate) fn new(
        room: Room<S>,
        inbox: Arc<Inbox>,
        commands: mpsc::Receiver<Command>,
        events: tokio_mpsc::Sender<RoomEvent>,
        gauges: Arc<RoomGauges>,
    ) -> Self {
        let load = Load::new(Duration::from_secs(1) / room.tick_rate());
        Self {
            room,
            inbox,
            taken: VecDeque::new(),
            commands,
            events,
            participant: None,
            gauges,
            destination: vec![String::new()],
            load,
            ticks: 0,
        }
    }

    /// Answers false where the room has to stop at once.
    fn take_commands(&mut self, now: Instant) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Connected(participant)) => {
                    self.participant = Some(participant);
                    self.room.handle_connected(now);
                }
                Ok(Command::Disconnected) => {
                    self.participant = None;
                    self.room.handle_disconnected(now);
                }
                Ok(Command::Stored) => self.room.handle_stored(now),
                Ok(Command::Ban(identity)) => self.room.handle_ban(&identity, now),
                Ok(Command::Substitute(slot, player)) => {
                    if let Err(error) = self.room.handle_substitute(slot, &player, now) {
                        let player = player.identity;
                        tracing::warn!(player.id = player, slot, %error, "a substitute is not taken");
                    }
                }
                Ok(Command::Abort(reason)) => self.room.handle_abort(&reason),
                // Nobody is left who would store a result.
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => return false,
                Err(mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    fn take_packets(&mut self) {
        self.inbox.swap(&mut self.taken);
        for message in self.taken.drain(..) {
            match message {
                Message::Packet {
                    from,
                    topic,
                    payload,
                    at,
                    ..
                } => {
                    self.room.handle_packet(&from, &topic, &payload, at);
                }
                Message::Joined { identity, at } => {
                    self.room.handle_participant_joined(&identity, at);
                }
                Message::Left { identity, at } => self.room.handle_participant_left(&identity, at),
            }
        }
    }

    fn send(&mut self) {
        while let Some(transmit) = self.room.poll_transmit() {
            let Some(participant) = &self.participant else {
                continue;
            };
            let destinations = match transmit.to {
                Destination::All => &[],
                Destination::One(identity) => {
                    self.destination[0].clear();
                    self.destination[0].push_str(identity);
                    &self.destination[..]
                }
            };
            let packet = Packet {
                topic: transmit.topic,
                payload: transmit.payload,
                channel: match transmit.channel {
                    Channel::Lossy => livekit_data::Channel::Lossy,
                    Channel::Reliable => livekit_data::Channel::Reliable,
                },
                destinations,
            };
            // A gap in a receiver's sequence makes it ask again; state comes again by itself.
            if participant.send(packet).is_err() {
                self.gauges.unsent.fetch_add(1, Relaxed);
            }
        }
    }

    /// Passes events on while somebody has room for them; the others wait in the room.
    fn report(&mut self) {
        // Before the events: whoever hears that the room is closed finds its last counts.
        self.gauges.tick.store(self.room.game_tick(), Relaxed);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(COUNTERS_EVERY) || self.room.is_closed() {
            let counters = self.room.counters();
            *self
                .gauges
                .counters
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = counters;
        }
        while self.events.capacity() > 0 {
            let Some(event) = self.room.poll_event() else {
                break;
            };
            // The only sender has just seen that there is room.
            let _ = self.events.try_send(event);
        }
    }
}

impl<S: Simulation + Send> TickTask for Driver<S> {
    fn tick(&mut self, now: Instant) -> Flow {
        if !self.take_commands(now) {
            return Flow::Stop;
        }
        self.take_packets();
        let before = Instant::now();
        self.room.tick(now);
        if self.load.is_too_much(before.elapsed()) {
            let limit = self.load.period.as_millis();
            self.room.handle_abort(&format!(
                "the game is too slow: its ticks take longer than the {limit} ms that they have"
            ));
        }
        self.send();
        self.report();
        // `Closed` has to get through before the driver goes.
        if self.room.is_closed() && self.events.capacity() > 0 {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}

/// Watches over ticks that take longer than there is time for: the players of such a match would
/// see it stall more and more, and the rooms on the same thread with it.
#[derive(Debug)]
struct Load {
    period: Duration,
    /// Time spent in slow ticks of late.
    level: Duration,
}

impl Load {
    fn new(period: Duration) -> Self {
        Self {
            period,
            level: Duration::ZERO,
        }
    }

    /// Takes in how long a tick took; says whether the match should end.
    fn is_too_much(&mut self, busy: Duration) -> bool {
        self.level = if busy > self.period {
            self.level + busy.min(OVERLOAD_AT_ONCE)
        } else {
            self.level.saturating_sub(self.period / OVERLOAD_RELIEF)
        };
        self.level >= OVERLOAD_LIMIT
    }
}

/// A tick within its period takes this share of the period off the level, so that the match of a
/// game that is slow for a tenth of the time goes on, at any tick rate.
const OVERLOAD_RELIEF: u32 = 10;
/// The most that one tick counts: a machine that stands still for seconds does so once, whereas a
/// game that hangs does so again in the next tick.
const OVERLOAD_AT_ONCE: Duration = Duration::from_millis(500);
/// Where the match is ended. A machine that is busy for a moment does not get there.
const OVERLOAD_LIMIT: Duration = Duration::from_secs(2);
/// How many ticks go by between two looks at the counters.
const COUNTERS_EVERY: u32 = 16;

#[cfg(test)]
mod tests;
