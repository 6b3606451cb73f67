//! Drives a room over virtual time, with players who send what a test tells them to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gs_engine::{AuthorityMode, Slot};
use gs_protocol::wire::{self, InputFrame, server_event::Body};
use gs_protocol::{
    ClientEvent, VERSION, encode_chat, encode_client_event, encode_player_input, topic,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::super::{
    Channel, Destination, Patience, Room, RoomConfig, RoomEvent, RoomPlayer, RoomResult,
    SubstituteError,
};
use super::game::{Game, Journal};

pub(super) const UNIX_MS: u64 = 1_700_000_000_000;

/// What a player's packets acknowledge.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Ack {
    /// The newest tick that ran.
    #[default]
    All,
    /// This.
    Of(u32, u32),
}

/// A packet that the room sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) to: Destination,
    pub(super) channel: Channel,
    pub(super) topic: &'static str,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Harness {
    pub(super) room: Room<Game>,
    /// Who has each slot.
    identities: Vec<String>,
    /// Of the players' clocks, which stand still between packets of the same tick.
    pub(super) clock_ms: u32,
    /// What each player's next packets acknowledge.
    pub(super) acks: Vec<Ack>,
    pub(super) now: Instant,
    pub(super) sent: Vec<Sent>,
    pub(super) events: Vec<RoomEvent>,
    journal: Arc<Mutex<Journal>>,
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl Harness {
    pub(super) fn new(players: usize) -> Self {
        Self::make(players, false, |_| {})
    }

    pub(super) fn hidden(players: usize) -> Self {
        Self::make(players, true, |_| {})
    }

    pub(super) fn validated(players: usize) -> Self {
        Self::with(players, |config| config.mode = AuthorityMode::Validated)
    }

    pub(super) fn observer(players: usize) -> Self {
        Self::with(players, |config| config.mode = AuthorityMode::Observer)
    }

    pub(super) fn with(players: usize, change: impl FnOnce(&mut RoomConfig)) -> Self {
        Self::make(players, false, change)
    }

    /// With every player present for a second of a running match.
    pub(super) fn running(players: usize) -> Self {
        Self::new(players).started()
    }

    /// The same, after a second with every player present.
    pub(super) fn started(mut self) -> Self {
        let all: Vec<usize> = (0..self.identities.len()).collect();
        self.run(seconds(1.0), &all);
        assert!(self.room.game_tick() > 50);
        self
    }

    fn make(players: usize, hidden: bool, change: impl FnOnce(&mut RoomConfig)) -> Self {
        Self::of(Game::new(hidden, Arc::default()), players, change)
    }

    pub(super) fn of(game: Game, players: usize, change: impl FnOnce(&mut RoomConfig)) -> Self {
        let player = |index| RoomPlayer {
            identity: format!("player-{index}"),
            username: format!("name{index}"),
            team: None,
        };
        let mut config = RoomConfig {
            match_id: "m1".to_owned(),
            game: Game::NAME.to_owned(),
            mode: AuthorityMode::Full,
            module_sha256: "00".repeat(32),
            manifest: "{}".into(),
            epoch: 7,
            seed: 1,
            options: "{}".to_owned(),
            players: (0..players).map(player).map(Some).collect(),
            backfill: false,
            unix_ms: UNIX_MS,
            patience: Patience::default(),
        };
        change(&mut config);
        let now = Instant::now();
        let journal = game.journal.clone();
        let room = Room::new(config, game, now).unwrap();
        Self {
            room,
            identities: (0..players).map(|slot| format!("player-{slot}")).collect(),
            clock_ms: 0,
            acks: vec![Ack::default(); players],
            now,
            sent: Vec::new(),
            events: Vec::new(),
            journal,
        }
    }

    /// Lets time pass, with an input from each of these slots before each tick.
    pub(super) fn run(&mut self, time: Duration, slots: &[usize]) {
        let end = self.now + time;
        while self.now < end {
            for slot in slots {
                let tick = self.room.clock() + 1;
                self.input(*slot, &[(tick, 0.0)]);
            }
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        self.now += Duration::from_secs(1) / 60;
        self.clock_ms += 16;
        self.room.tick(self.now);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(packet) = self.room.poll_transmit() {
            self.sent.push(Sent {
                to: packet.to.clone(),
                channel: packet.channel,
                topic: packet.topic,
                payload: packet.payload.to_vec(),
            });
        }
        self.events
            .extend(std::iter::from_fn(|| self.room.poll_event()));
    }

    pub(super) fn identity(&self, slot: usize) -> String {
        self.identities[slot].clone()
    }

    /// Has somebody take a slot, and from now on send what the slot sends.
    pub(super) fn substitute(&mut self, slot: usize, name: &str) -> Result<(), SubstituteError> {
        let player = RoomPlayer {
            identity: name.to_owned(),
            username: format!("{name}'s name"),
            team: None,
        };
        let taken = self.room.handle_substitute(slot as Slot, &player, self.now);
        if taken.is_ok() {
            name.clone_into(&mut self.identities[slot]);
        }
        self.drain();
        taken
    }

    /// What was said last of the slots that are open; none where nothing was.
    pub(super) fn open_slots(&self) -> Option<Vec<Slot>> {
        let said = self.events.iter().rev().find_map(|event| match event {
            RoomEvent::SlotsOpen(slots) => Some(slots),
            _ => None,
        });
        said.cloned()
    }

    pub(super) fn input(&mut self, slot: usize, frames: &[(u32, f32)]) {
        let frames = frames
            .iter()
            .map(|(tick, x)| InputFrame {
                tick: *tick,
                data: x.to_le_bytes().to_vec(),
            })
            .collect();
        let (ack_tick, ack_bits) = match self.acks[slot] {
            Ack::All => (self.room.game_tick(), 0),
            Ack::Of(tick, bits) => (tick, bits),
        };
        let input = wire::PlayerInput {
            version: VERSION,
            frames,
            ack_tick,
            view_tick: 0,
            sent_ms: 77 + self.clock_ms,
            ack_bits,
        };
        let mut bytes = Vec::new();
        encode_player_input(&input, &mut bytes).unwrap();
        self.room
            .handle_packet(&self.identity(slot), topic::INPUT, &bytes, self.now);
        self.drain();
    }

    /// What the room sent on topic `state`, with whom it was for and how.
    pub(super) fn states(&self) -> Vec<(Destination, Channel, wire::StateUpdate)> {
        let states = self.sent.iter().filter(|sent| sent.topic == topic::STATE);
        states
            .map(|sent| {
                let update = gs_protocol::decode_state_update(&sent.payload).unwrap();
                (sent.to.clone(), sent.channel, update)
            })
            .collect()
    }

    pub(super) fn client_event(&mut self, slot: usize, event: &ClientEvent) {
        let mut bytes = Vec::new();
        encode_client_event(event, &mut bytes).unwrap();
        self.room
            .handle_packet(&self.identity(slot), topic::EVENTS, &bytes, self.now);
        self.drain();
    }

    pub(super) fn command(&mut self, slot: usize, what: u8) {
        self.client_event(slot, &ClientEvent::Command(vec![0, what]));
    }

    pub(super) fn chat(&mut self, slot: usize, text: &str) {
        let chat = wire::ChatMessage {
            version: VERSION,
            text: text.to_owned(),
            ..Default::default()
        };
        let mut bytes = Vec::new();
        encode_chat(&chat, &mut bytes).unwrap();
        self.room
            .handle_packet(&self.identity(slot), topic::CHAT, &bytes, self.now);
        self.drain();
    }

    pub(super) fn hello(&mut self, slot: usize) -> wire::Welcome {
        self.client_event(slot, &ClientEvent::Hello { module: None });
        match self.bodies(slot).pop() {
            Some(Body::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// The events that were sent to a slot, oldest first.
    pub(super) fn server_events(&self, slot: usize) -> Vec<wire::ServerEvent> {
        let to = Destination::One(self.identity(slot).into());
        let events = self
            .sent
            .iter()
            .filter(|sent| sent.topic == topic::EVENTS && sent.to == to);
        events
            .map(|sent| gs_protocol::decode_server_event(&sent.payload).unwrap())
            .collect()
    }

    pub(super) fn bodies(&self, slot: usize) -> Vec<Body> {
        self.server_events(slot)
            .into_iter()
            .filter_map(|event| event.body)
            .collect()
    }

    pub(super) fn ended_messages(&self, slot: usize) -> Vec<wire::MatchEnded> {
        let bodies = self.bodies(slot).into_iter();
        bodies
            .filter_map(|b| {
                if let Body::Ended(ended) = b {
                    Some(ended)
                } else {
                    None
                }
            })
            .collect()
    }

    /// What `viewer` was told of the presence of `slot`.
    pub(super) fn presences(&self, viewer: usize, slot: u32) -> Vec<wire::Presence> {
        let bodies = self.bodies(viewer).into_iter();
        let players = bodies.filter_map(|b| {
            if let Body::Player(p) = b {
                p.player
            } else {
                None
            }
        });
        players
            .filter(|player| player.slot == slot)
            .map(|player| player.presence())
            .collect()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, RoomEvent::Ended(_)))
    }

    #[track_caller]
    pub(super) fn ended(&self) -> &RoomResult {
        let ended = self.events.iter().find_map(|event| match event {
            RoomEvent::Ended(result) => Some(result),
            _ => None,
        });
        ended.expect("the match has not ended")
    }

    pub(super) fn joins(&self) -> Vec<Slot> {
        self.journal.lock().unwrap().joins.clone()
    }

    pub(super) fn leaves(&self) -> Vec<Slot> {
        self.journal.lock().unwrap().leaves.clone()
    }
}

/// Packets of every kind, honest, damaged and made up, from players and others, between ticks.
pub(super) fn throw_random_packets(harness: &mut Harness, seed: u64, packets: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let topics = [topic::INPUT, topic::EVENTS, topic::CHAT, topic::STATE, ""];
    for _ in 0..packets {
        let mut bytes = Vec::new();
        let tick = harness
            .room
            .game_tick()
            .wrapping_add(random.random_range(0..200))
            .wrapping_sub(60);
        match random.random_range(0..4) {
            0 => {
                let frames = (0..random.random_range(0..20)).map(|n| InputFrame {
                    tick: tick.wrapping_add(n),
                    data: f32::from_bits(random.random()).to_le_bytes().to_vec(),
                });
                let frames: Vec<InputFrame> = frames.collect();
                let view_tick = random.random();
                let sent_ms = random.random();
                let input = wire::PlayerInput {
                    version: VERSION,
                    frames,
                    ack_tick: tick,
                    view_tick,
                    sent_ms,
                    ack_bits: random.random(),
                };
                encode_player_input(&input, &mut bytes).unwrap();
            }
            1 => {
                // No FINISH, TRAP or leave, after which there would be nothing left to test.
                let event = match random.random_range(0..5) {
                    0 => ClientEvent::Hello { module: None },
                    3 => ClientEvent::Resync {
                        mismatch: random
                            .random_bool(0.5)
                            .then(|| (tick.max(1), random.random())),
                        views: random.random_bool(0.1),
                    },
                    4 => ClientEvent::Desync {
                        tick,
                        differences: vec![wire::Difference::default(); random.random_range(0..20)],
                    },
                    1 => ClientEvent::Command(vec![0, random.random_range(3..20)]),
                    _ => ClientEvent::Command(vec![random.random(); random.random_range(3..50)]),
                };
                encode_client_event(&event, &mut bytes).unwrap();
            }
            2 => {
                bytes = (0..random.random_range(0..1_200))
                    .map(|_| random.random())
                    .collect()
            }
            _ => {
                let text = "héllo".repeat(random.random_range(0..100));
                let chat = wire::ChatMessage {
                    version: VERSION,
                    text,
                    ..Default::default()
                };
                encode_chat(&chat, &mut bytes).unwrap();
            }
        }
        if !bytes.is_empty() && random.random_range(0..3) == 0 {
            let at = random.random_range(0..bytes.len());
            bytes.truncate(at);
        }
        let from = format!("player-{}", random.random_range(0..4));
        let topic = topics[random.random_range(0..topics.len())];
        harness
            .room
            .handle_packet(&from, topic, &bytes, harness.now);
        harness.drain();
        if random.random_range(0..3) == 0 {
            harness.tick();
        }
    }
}
