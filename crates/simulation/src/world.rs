//! The room, LiveKit's server, the players, and time.

mod budget;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gs_authority::Patience;
use gs_authority::room::{Channel, Destination, Room, RoomConfig, RoomEvent, RoomPlayer};
use gs_engine::confirmed::state_hash;
use gs_engine::{AuthorityMode, Slot};
use gs_protocol::{ClientEvent, encode_client_event, topic};

use crate::Dice;
use crate::outcome::Outcome;
use crate::peer::{INTRUDER, LinkState, Message, Peer, Sender, Truth};
use crate::record::{Detail, Record, Recorder};
use crate::scenario::{Incident, Scenario};
use budget::Budget;

/// A match in virtual time.
pub struct World {
    scenario: Scenario,
    room: Room<Recorder>,
    /// What the room takes for the start of time.
    base: Instant,
    names: Vec<Arc<str>>,
    peers: Vec<Peer>,
    truth: Truth,
    next_tick: Duration,
    store_at: Option<Duration>,
    budget: Budget,
    outcome: Outcome,
    /// Decides what forgers do; nothing else, so that a match without them is the same.
    forgery: Dice,
}

impl World {
    /// A match that begins at time 0.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let play = scenario.play;
        let names: Vec<Arc<str>> = (0..scenario.players.len())
            .map(|slot| format!("00000000-0000-0000-0000-{slot:012}").into())
            .collect();
        let config = RoomConfig {
            match_id: "simulation".to_owned(),
            game: play.name.to_owned(),
            module_sha256: "00".repeat(32),
            manifest: (play.manifest)().into(),
            epoch: 1,
            seed,
            options: play.options.to_owned(),
            mode: scenario.mode,
            players: names.iter().map(|name| Some(player(name))).collect(),
            backfill: scenario.has_substitutes(),
            unix_ms: 0,
            patience: Patience::default(),
        };
        let record = Record::default();
        let game = Recorder::new((play.instance)(), record.clone(), Detail::Everything);
        let base = Instant::now();
        let mut outcome = Outcome::default();
        let late_window = {
            let manifest = gs_engine::Simulation::manifest(&game);
            Duration::from_millis(manifest.late_window_ms.into())
        };
        let room = match Room::new(config, game, base) {
            Ok(room) => room,
            Err(error) => panic!("the room does not start: {error}"),
        };
        let truth = Truth {
            period: Duration::from_secs(1) / room.tick_rate(),
            record,
            tick: 0,
            started: None,
            result: None,
            late_window: match scenario.mode {
                AuthorityMode::Validated => late_window,
                AuthorityMode::Full | AuthorityMode::Observer => Duration::ZERO,
            },
        };
        let peers = (0..names.len()).map(|slot| Peer::new(slot as Slot, scenario, seed));
        outcome.fingerprint = seed;
        Self {
            peers: peers.collect(),
            budget: Budget::new(names.len(), room.tick_rate()),
            scenario: scenario.clone(),
            room,
            base,
            names,
            next_tick: truth.period,
            truth,
            store_at: None,
            outcome,
            forgery: Dice::new(seed, 0xf0e6),
        }
    }

    /// Plays it.
    pub fn run(mut self) -> Outcome {
        let end = Duration::from_secs_f64(self.scenario.seconds);
        while self.outcome.failures.is_empty() {
            let wakes = self.peers.iter().map(Peer::poll_timeout);
            let now = wakes.fold(self.next_tick, Duration::min);
            if now >= end {
                break;
            }
            self.step(now);
        }
        self.finish()
    }

    /// Everything that is due by now.
    fn step(&mut self, now: Duration) {
        for index in 0..self.peers.len() {
            if let Some(state) = self.peers[index].follow_plan(now) {
                self.announce(index, state, now);
            }
            while let Some(message) = self.peers[index].up.poll(now) {
                self.arrive_at_server(index, message, now);
            }
        }
        self.find_substitutes(now);
        if now >= self.next_tick {
            self.next_tick += self.truth.period;
            self.room.tick(self.base + now);
            self.truth.tick = self.room.game_tick();
            self.take_from_room(now);
        }
        for index in 0..self.peers.len() {
            while let Some(message) = self.peers[index].down.poll(now) {
                let forged = self.forge_for_others(index, &message, now);
                self.peers[index].handle_message(message, &self.names, now);
                for (other, message) in forged {
                    self.peers[other].handle_message(message, &self.names, now);
                }
            }
            let peer = &mut self.peers[index];
            peer.wake(&self.names, &self.truth, now);
            self.outcome.failures.append(&mut peer.failures);
        }
    }

    /// LiveKit tells the authority who came and went.
    fn announce(&mut self, index: usize, state: LinkState, now: Duration) {
        let at = self.base + now;
        let name = self.names[index].clone();
        match state {
            LinkState::Connected => self.room.handle_participant_joined(&name, at),
            // A line that dies says nothing.
            LinkState::Reconnecting => {}
            LinkState::Absent => {
                if self.peers[index].replaced(now).is_some() {
                    self.leave(index, at);
                }
                self.room.handle_participant_left(&name, at);
            }
        }
        self.take_from_room(now);
    }

    /// A player says that it leaves, after everything else that it said.
    fn leave(&mut self, index: usize, at: Instant) {
        self.peers[index].up.lossy.clear();
        let mut bytes = Vec::new();
        if encode_client_event(&ClientEvent::Leave, &mut bytes).is_ok() {
            let name = self.names[index].clone();
            self.room.handle_packet(&name, topic::EVENTS, &bytes, at);
        }
    }

    /// Slots whose players have left are given to others, half-way to when those come.
    fn find_substitutes(&mut self, now: Duration) {
        for index in 0..self.peers.len() {
            let Some(window) = self.peers[index].replaced(now) else {
                continue;
            };
            let name: Arc<str> = format!("10000000-0000-0000-0000-{index:012}").into();
            if now < (window.start + window.end) / 2 || self.names[index] == name {
                continue;
            }
            let at = self.base + now;
            if let Err(error) = self
                .room
                .handle_substitute(index as Slot, &player(&name), at)
            {
                self.outcome.fail(now, error.to_string());
            }
            self.names[index] = name;
            self.take_from_room(now);
        }
    }

    /// A player's packet reaches LiveKit's server.
    fn arrive_at_server(&mut self, index: usize, message: Message, now: Duration) {
        self.note(now, &message);
        let at = self.base + now;
        if let Some(problem) = self.budget.note_up(index, &message, now) {
            self.outcome.fail(now, problem);
        }
        for (name, payload) in self.forge_for_room(index, &message, now) {
            self.room.handle_packet(&name, message.topic, &payload, at);
        }
        let name = self.names[index].clone();
        self.room
            .handle_packet(&name, message.topic, &message.payload, at);
        if message.to_everyone {
            for other in (0..self.peers.len()).filter(|other| *other != index) {
                if self.peers[other].link_state == LinkState::Connected {
                    self.peers[other].down.send(now, message.clone());
                }
            }
        }
        self.take_from_room(now);
    }

    fn take_from_room(&mut self, now: Duration) {
        while let Some(transmit) = self.room.poll_transmit() {
            let message = Message {
                from: Sender::Authority,
                topic: transmit.topic,
                reliable: transmit.channel == Channel::Reliable,
                to_everyone: *transmit.to == Destination::All,
                payload: Bytes::copy_from_slice(transmit.payload),
            };
            let to = transmit.to.clone();
            self.forward(&message, &to, now);
        }
        while let Some(event) = self.room.poll_event() {
            match event {
                RoomEvent::Started => {
                    // The first tick runs in this very call.
                    self.truth.started = Some(now.saturating_sub(self.truth.period));
                }
                RoomEvent::Ended(ended) => {
                    if ended.failed {
                        let reason = ended.reason.clone().unwrap_or_default();
                        self.outcome
                            .fail(now, format!("the match failed: {reason}"));
                    }
                    self.truth.result = Some(ended.result);
                    self.store_at = Some(now + Duration::from_millis(50));
                }
                RoomEvent::Remove { identity, reason } if self.is_player(&identity) => {
                    let what = format!("{identity} is to be removed: {reason}");
                    self.outcome.fail(now, what);
                }
                RoomEvent::Mute { identity } => {
                    self.outcome.fail(now, format!("{identity} is muted"));
                }
                RoomEvent::SlotsOpen(_) | RoomEvent::SlotTaken { .. }
                    if !self.scenario.has_substitutes() =>
                {
                    let what = "a slot is open in a match without backfill";
                    self.outcome.fail(now, what.to_owned());
                }
                RoomEvent::Remove { .. }
                | RoomEvent::SlotsOpen(_)
                | RoomEvent::SlotTaken { .. }
                | RoomEvent::Log(_)
                | RoomEvent::Closed => {}
            }
        }
        if self.store_at.is_some_and(|at| now >= at) {
            self.store_at = None;
            self.room.handle_stored(self.base + now);
            self.take_from_room(now);
        }
    }

    fn is_player(&self, identity: &str) -> bool {
        self.names.iter().any(|name| **name == *identity)
    }

    /// LiveKit's server copies a packet of the authority's to those it is for.
    fn forward(&mut self, message: &Message, to: &Destination, now: Duration) {
        self.note(now, message);
        for index in 0..self.peers.len() {
            let named = match to {
                Destination::All => true,
                Destination::One(name) => *name == self.names[index],
            };
            if !named || self.peers[index].link_state != LinkState::Connected {
                continue;
            }
            if let Some(problem) = self.budget.note_down(index, message, now) {
                self.outcome.fail(now, problem);
            }
            self.peers[index].down.send(now, message.clone());
        }
    }

    /// Mixes a packet into the fingerprint.
    fn note(&mut self, now: Duration, message: &Message) {
        let mixed = state_hash(&message.payload) ^ now.as_nanos() as u64;
        self.outcome.fingerprint = self.outcome.fingerprint.rotate_left(5).wrapping_add(mixed);
    }

    /// Mutations of what a player sends to the room, under its own name or a stranger's.
    fn forge_for_room(
        &mut self,
        index: usize,
        message: &Message,
        now: Duration,
    ) -> Vec<(Arc<str>, Vec<u8>)> {
        let peer = &self.peers[index];
        let (forges, intrudes) = (peer.forges(now), peer.intrudes(now));
        let mut forged = Vec::new();
        // One in two: with the real ones a player stays within its rate.
        if forges && self.forgery.chance(0.5) {
            let payload = mutate(&message.payload, &mut self.forgery);
            forged.push((self.names[index].clone(), payload));
        }
        if intrudes {
            let payload = match self.forgery.below(2) {
                0 => message.payload.to_vec(),
                _ => mutate(&message.payload, &mut self.forgery),
            };
            forged.push((INTRUDER.into(), payload));
        }
        forged
    }

    /// What a player received, mutated or as it is, for the others under its own name or a
    /// stranger's.
    fn forge_for_others(
        &mut self,
        index: usize,
        message: &Message,
        now: Duration,
    ) -> Vec<(usize, Message)> {
        let peer = &self.peers[index];
        let from = match (peer.forges(now), peer.intrudes(now)) {
            (true, _) => Sender::Player(index as Slot),
            (_, true) => Sender::Intruder,
            (false, false) => return Vec::new(),
        };
        let payload = match self.forgery.below(2) {
            0 => message.payload.clone(),
            _ => mutate(&message.payload, &mut self.forgery).into(),
        };
        let message = Message {
            from,
            payload,
            ..message.clone()
        };
        let others = (0..self.peers.len()).filter(|other| *other != index);
        others
            .filter(|other| self.peers[*other].link_state == LinkState::Connected)
            .map(|other| (other, message.clone()))
            .collect()
    }

    fn finish(mut self) -> Outcome {
        let now = Duration::from_secs_f64(self.scenario.seconds);
        self.outcome.ticks = self.room.game_tick();
        self.outcome.result.clone_from(&self.truth.result);
        self.outcome.room = self.room.counters();
        let honest = !self.scenario.players.iter().any(|plan| {
            plan.incidents
                .iter()
                .any(|i| matches!(i, Incident::Forge(_) | Incident::Intrude(_)))
        });
        let room = self.outcome.room;
        let refused = [
            ("malformed", room.malformed),
            ("of an unknown topic", room.unknown_topic),
            ("of strangers", room.strangers),
            ("beyond a rate", room.limited + room.requests_limited),
            ("with inputs against the schema", room.frames_refused),
            ("with commands that were refused", room.commands_refused),
            ("dropped", room.dropped),
        ];
        for (what, count) in refused {
            if honest && count > 0 {
                let what = format!("the room counts {count} packets {what} of honest players");
                self.outcome.fail(now, what);
            }
        }
        self.outcome.steps = self.truth.record.read().steps;
        let inputs = self.truth.record.read().inputs.clone();
        for (peer, inputs) in self.peers.iter_mut().zip(inputs) {
            let (mut player, steps) = peer.finish();
            player.inputs = inputs;
            self.outcome.steps += steps;
            self.outcome.players.push(player);
        }
        let ran = self.truth.period * self.outcome.ticks;
        self.outcome.played = ran * self.peers.len() as u32;
        self.outcome
    }
}

fn player(name: &Arc<str>) -> RoomPlayer {
    RoomPlayer {
        identity: name.to_string(),
        username: "bot".to_owned(),
        team: None,
    }
}

impl Scenario {
    fn has_substitutes(&self) -> bool {
        let mut incidents = self.players.iter().flat_map(|player| &player.incidents);
        incidents.any(|incident| matches!(incident, Incident::Replace(_)))
    }
}

impl Peer {
    /// From when to when the slot changes hands, while it does.
    fn replaced(&self, now: Duration) -> Option<Range<Duration>> {
        let mut windows = self
            .plan
            .incidents
            .iter()
            .filter_map(|incident| match incident {
                Incident::Replace(window) if window.contains(&now) => Some(window),
                _ => None,
            });
        windows.next().cloned()
    }

    fn forges(&self, now: Duration) -> bool {
        self.during(now, |incident| match incident {
            Incident::Forge(window) => Some(window),
            _ => None,
        })
    }

    fn intrudes(&self, now: Duration) -> bool {
        self.during(now, |incident| match incident {
            Incident::Intrude(window) => Some(window),
            _ => None,
        })
    }
}

/// A packet with a few bits flipped, bytes overwritten, cut off, repeated or added.
fn mutate(payload: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    for _ in 0..=dice.below(3) {
        let len = bytes.len();
        match dice.below(5) {
            0 if len > 0 => bytes[dice.below(len)] ^= 1 << dice.below(8),
            1 if len > 0 => bytes[dice.below(len)] = dice.next_u64() as u8,
            2 => bytes.truncate(dice.below(len + 1)),
            3 if len > 0 => {
                let from = dice.below(len);
                bytes.extend_from_within(from..);
            }
            _ => bytes.push(dice.next_u64() as u8),
        }
    }
    bytes
}
