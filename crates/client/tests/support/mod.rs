//! A server of one match over the engine's own pipeline, clients, and lines between them that
//! delay and lose, all in virtual time.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod game;
pub(crate) mod server;

use std::time::Duration;

use gs_client::{Client, ClientConfig, Event, View};
use gs_engine::{AuthorityMode, Slot, Tick};
use gs_protocol::AUTHORITY_IDENTITY;

pub(crate) use game::{Runners, input};
pub(crate) use server::Server;

/// A client and its line.
pub(crate) struct Player {
    pub(crate) client: Client<Runners>,
    pub(crate) slot: Slot,
    pub(crate) events: Vec<Event>,
    /// The tick from which its module goes wrong.
    pub(crate) skew_at: Option<Tick>,
    /// Whether each of its modules traps.
    pub(crate) traps: bool,
    /// Whether it can have the module.
    pub(crate) has_module: bool,
    /// Whether packets get through, either way.
    pub(crate) online: bool,
    /// Whether its timers run.
    pub(crate) awake: bool,
    /// The input that it gives at a tick.
    pub(crate) plays: fn(Slot, Tick) -> i8,
    /// Where its own entity was drawn, and at which tick, by frame.
    pub(crate) drawn: Vec<(f64, f64)>,
    /// Where another's was.
    pub(crate) other: Vec<f64>,
    /// All the entities of the last frame.
    pub(crate) view: View,
}

/// Everything, in virtual time.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) server: Server,
    pub(crate) players: Vec<Player>,
    pub(crate) line: Line,
    wire: Vec<Flight>,
    random: u64,
    ticks: u64,
}

/// How all lines are.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) one_way_ms: u64,
    pub(crate) jitter_ms: u64,
    /// Of lossy packets, in 1/1000.
    pub(crate) loss: u64,
}

struct Flight {
    at: Duration,
    slot: Slot,
    up: bool,
    topic: &'static str,
    payload: Vec<u8>,
}

impl World {
    pub(crate) fn new(mode: AuthorityMode, players: u8, line: Line, seed: u64) -> Self {
        Self::with(mode, players, line, seed, &ClientConfig::default())
    }

    pub(crate) fn with(
        mode: AuthorityMode,
        players: u8,
        line: Line,
        seed: u64,
        config: &ClientConfig,
    ) -> Self {
        let player = |slot| {
            let mut client = Client::new(config.clone());
            client.handle_connected(Duration::ZERO);
            Player {
                client,
                slot,
                events: Vec::new(),
                skew_at: None,
                traps: false,
                has_module: true,
                online: true,
                awake: true,
                plays: |slot, tick| {
                    // Each changes its mind a few times a second.
                    let step = tick / 15 + u32::from(slot) * 7;
                    (step.wrapping_mul(2_654_435_761) >> 24) as u8 as i8 / 2
                },
                drawn: Vec::new(),
                other: Vec::new(),
                view: View::default(),
            }
        };
        Self {
            now: Duration::ZERO,
            server: Server::new(mode, players, seed),
            players: (0..players).map(player).collect(),
            line,
            wire: Vec::new(),
            random: seed,
            ticks: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below.max(1)
    }

    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    /// A millisecond.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let now = self.now;
        // 60 ticks a second, to the nanosecond.
        while Duration::from_nanos((self.ticks + 1) * 1_000_000_000 / 60) <= now {
            self.ticks += 1;
            self.server.tick(now);
        }
        for index in (0..self.wire.len()).rev() {
            if self.wire[index].at > now {
                continue;
            }
            let flight = self.wire.remove(index);
            let player = &mut self.players[usize::from(flight.slot)];
            if !player.online {
                continue;
            }
            if flight.up {
                self.server
                    .handle(flight.slot, flight.topic, &flight.payload, now);
            } else {
                player
                    .client
                    .handle_packet(AUTHORITY_IDENTITY, flight.topic, &flight.payload, now);
            }
        }
        for slot in 0..self.players.len() {
            self.drive(slot);
        }
        let sent = std::mem::take(&mut self.server.sent);
        for (slot, topic, reliable, payload) in sent {
            self.send(slot, false, topic, reliable, payload);
        }
    }

    fn send(
        &mut self,
        slot: Slot,
        up: bool,
        topic: &'static str,
        reliable: bool,
        payload: Vec<u8>,
    ) {
        if !reliable && self.random(1000) < self.line.loss {
            return;
        }
        let jitter = self.random(self.line.jitter_ms + 1);
        let at = self.now + Duration::from_millis(self.line.one_way_ms + jitter);
        let flight = Flight {
            at,
            slot,
            up,
            topic,
            payload,
        };
        // Reliable packets of one direction keep their order.
        if reliable {
            let before = self.wire.iter().filter(|f| {
                f.slot == slot && f.up == up && (f.topic == topic || f.topic == "events")
            });
            let after = before.map(|f| f.at).max().unwrap_or(at).max(at);
            self.wire.insert(
                0,
                Flight {
                    at: after,
                    ..flight
                },
            );
        } else {
            self.wire.insert(0, flight);
        }
    }

    fn drive(&mut self, slot: usize) {
        let now = self.now;
        let ms = now.as_millis() as u64;
        let player = &mut self.players[slot];
        if !player.awake {
            return;
        }
        let client = &mut player.client;
        let timer = ms % 8 == u64::from(player.slot) % 8;
        let frame = ms % 16 == u64::from(player.slot) % 16;
        if timer || frame {
            client.handle_timeout(now);
            while let Some(tick) = client.poll_input(now) {
                let packed = input((player.plays)(player.slot, tick), tick % 50 == 0);
                client.handle_input(tick, &packed).unwrap();
            }
        }
        if frame {
            let view = client.view(now).clone();
            let own = view
                .entities()
                .iter()
                .find(|e| e.owner == Some(player.slot));
            if let Some(entity) = own {
                player
                    .drawn
                    .push((view.own_tick(), view.values_of(entity)[0]));
            }
            let mut entities = view.entities().iter();
            if let Some(entity) = entities.find(|e| e.owner != Some(player.slot)) {
                player.other.push(view.values_of(entity)[0]);
            }
            player.view = view;
        }
        while let Some(event) = client.poll_event() {
            if let Event::NeedModule(_) = &event {
                let mut module = Runners::new();
                module.skew_at = player.skew_at;
                module.traps = player.traps;
                if player.has_module {
                    client.handle_module(module, now).unwrap();
                } else {
                    client.handle_module_unavailable(now);
                }
            }
            player.events.push(event);
        }
        let mut sent = Vec::new();
        while let Some(transmit) = client.poll_transmit() {
            sent.push(transmit);
        }
        if player.online {
            let slot = player.slot;
            for transmit in sent {
                let (topic, reliable) = (transmit.topic, transmit.reliable);
                self.send(slot, true, topic, reliable, transmit.payload);
            }
        }
    }

    /// Cuts a player off, or lets it come back over a new connection.
    pub(crate) fn set_online(&mut self, slot: usize, online: bool) {
        let player = &mut self.players[slot];
        player.online = online;
        if online {
            player.client.handle_connected(self.now);
        } else {
            player.client.handle_disconnected(self.now);
        }
    }
}
