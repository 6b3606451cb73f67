//! A match's server as far as a client can tell: the engine's pipeline, and packets.

use std::time::Duration;

use gs_engine::confirmed::ConfirmedEncoder;
use gs_engine::replication::Replicator;
use gs_engine::simulation::{Effects, MatchConfig, NetState, Simulation};
use gs_engine::snapshot::Codec;
use gs_engine::{AuthorityMode, Pipeline, Slot, Tick};
use gs_protocol::wire::{self, server_event::Body, state_update};
use gs_protocol::{ClientEvent, VERSION, convert, decode_client_event, decode_player_input, topic};
use prost::Message;

use super::game::{MANIFEST, Runners};

pub(crate) struct Server {
    pub(crate) pipeline: Pipeline<Runners>,
    /// The same match, to look into.
    pub(crate) shadow: Runners,
    /// The net state after each tick.
    pub(crate) states: Vec<NetState>,
    pub(crate) mode: AuthorityMode,
    pub(crate) epoch: u64,
    pub(crate) ends: Vec<End>,
    /// To whom, topic, whether reliably, and the bytes.
    pub(crate) sent: Vec<(Slot, &'static str, bool, Vec<u8>)>,
    /// Whether time passes.
    pub(crate) runs: bool,
    pub(crate) events_sent: u64,
    /// How many wishes for views of each player it does not answer.
    pub(crate) ignored_wishes: u32,
    /// Whether it says how inputs arrive.
    pub(crate) tells_statuses: bool,
    replicator: Replicator,
    encoder: ConfirmedEncoder,
    began: Duration,
    config: MatchConfig,
}

#[derive(Default)]
pub(crate) struct End {
    pub(crate) sequence: u32,
    pub(crate) joined: bool,
    echo: (u32, Duration),
    pub(crate) acked: Tick,
    pub(crate) hellos: u32,
    pub(crate) resyncs: Vec<Option<(u32, u64)>>,
    pub(crate) desyncs: Vec<(u32, Vec<wire::Difference>)>,
    pub(crate) wishes_for_views: u32,
    /// Frames of ticks that their sender knew to be confirmed.
    pub(crate) settled_frames: usize,
    pub(crate) newest_frame: Tick,
    /// The frames of each input packet, and the clock's tick when it came.
    pub(crate) packets: Vec<(Tick, Vec<Tick>)>,
    /// Whether snapshots are sent in place of confirmed ticks.
    pub(crate) downgraded: bool,
}

impl Server {
    pub(crate) fn new(mode: AuthorityMode, players: u8, seed: u64) -> Self {
        let config = MatchConfig {
            players,
            teams: 0,
            options: "{}".into(),
        };
        let mut pipeline = Pipeline::new(Runners::new(), config.clone(), seed).unwrap();
        if mode == AuthorityMode::Validated {
            pipeline = pipeline.with_late_window(6).unwrap();
        }
        let mut shadow = Runners::new();
        shadow.init(seed, &config).unwrap();
        Self {
            pipeline,
            shadow,
            states: vec![NetState::default()],
            mode,
            epoch: 1,
            ends: (0..players).map(|_| End::default()).collect(),
            sent: Vec::new(),
            runs: true,
            events_sent: 0,
            ignored_wishes: 0,
            tells_statuses: true,
            replicator: Replicator::new(players.into(), 900),
            encoder: ConfirmedEncoder::default(),
            began: Duration::ZERO,
            config,
        }
    }

    pub(crate) fn handle(&mut self, slot: Slot, topic: &str, payload: &[u8], now: Duration) {
        match topic {
            topic::INPUT => self.handle_input(slot, payload, now),
            topic::EVENTS => match decode_client_event(payload).unwrap() {
                ClientEvent::Hello { .. } => self.welcome(slot),
                ClientEvent::Resync { views: true, .. } => self.handle_wish_for_views(slot),
                ClientEvent::Resync { mismatch, .. } => {
                    self.ends[usize::from(slot)].resyncs.push(mismatch);
                    self.resync(slot, mismatch.map(|(tick, _)| tick));
                }
                ClientEvent::Desync { tick, differences } => {
                    self.ends[usize::from(slot)]
                        .desyncs
                        .push((tick, differences));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn handle_wish_for_views(&mut self, slot: Slot) {
        let end = &mut self.ends[usize::from(slot)];
        end.wishes_for_views += 1;
        if end.wishes_for_views <= self.ignored_wishes {
            return;
        }
        end.downgraded = true;
        let changed = wire::ModeChanged {
            mode: wire::AuthorityMode::Full.into(),
            reason: "it cannot run the module".into(),
        };
        self.replicator.reset(slot);
        self.event(slot, Body::Mode(changed));
    }

    fn handle_input(&mut self, slot: Slot, payload: &[u8], now: Duration) {
        let input = decode_player_input(payload).unwrap();
        let clock = self.pipeline.clock();
        let end = &mut self.ends[usize::from(slot)];
        end.echo = (input.sent_ms, now);
        end.acked = end.acked.max(input.ack_tick);
        let ticks: Vec<Tick> = input.frames().iter().map(|frame| frame.tick).collect();
        let settled = ticks.iter().filter(|tick| **tick <= input.ack_tick);
        end.settled_frames += settled.count();
        end.packets.push((clock, ticks));
        self.replicator
            .handle_ack(slot, input.ack_tick, input.ack_bits);
        let since = (now - self.began).as_secs_f64() * 60.0 * 256.0;
        for frame in input.frames() {
            end.newest_frame = end.newest_frame.max(frame.tick);
            // One that has not joined is refused, and so is what is too late.
            let _ = self
                .pipeline
                .handle_frame(slot, frame.tick, frame.data, since as u32);
        }
        let _ = self.pipeline.handle_view(slot, input.view_tick);
    }

    fn welcome(&mut self, slot: Slot) {
        let first = !self.ends[usize::from(slot)].joined;
        self.ends[usize::from(slot)].hellos += 1;
        if first {
            self.ends[usize::from(slot)].joined = true;
            self.pipeline.handle_join(slot, 0).unwrap();
        }
        let players = (0..self.config.players).map(|slot| wire::Player {
            slot: slot.into(),
            player_id: format!("p{slot}"),
            username: format!("Player {slot}"),
            team: 0,
            presence: wire::Presence::Present.into(),
            open: false,
        });
        let welcome = wire::Welcome {
            match_id: "m".into(),
            game: "runners".into(),
            module_sha256: "ab".into(),
            module_version: "1.0.0".into(),
            manifest: MANIFEST.into(),
            tick_rate: 60,
            phase: wire::Phase::Running.into(),
            tick: self.pipeline.tick(),
            slot: Some(slot.into()),
            players: players.collect(),
            ended: None,
            mode: convert::mode_to_wire(self.mode).into(),
            teams: 0,
            options: "{}".into(),
        };
        self.event(slot, Body::Welcome(welcome));
        self.resync(slot, None);
    }

    pub(crate) fn event(&mut self, slot: Slot, body: Body) {
        let end = &mut self.ends[usize::from(slot)];
        end.sequence += 1;
        let event = wire::ServerEvent {
            version: VERSION,
            epoch: self.epoch,
            sequence: end.sequence,
            body: Some(body),
        };
        self.sent
            .push((slot, topic::EVENTS, true, event.encode_to_vec()));
    }

    fn resync(&mut self, slot: Slot, tick: Option<Tick>) {
        self.replicator.reset(slot);
        let keyframe = tick
            .and_then(|tick| self.pipeline.keyframe_at(tick))
            .or_else(|| self.pipeline.keyframe());
        let Some(keyframe) = keyframe else {
            return;
        };
        let (tick, hash) = (keyframe.tick, keyframe.hash);
        let parts: Vec<Vec<u8>> = keyframe.state.chunks(7).map(<[u8]>::to_vec).collect();
        let total = keyframe.state.len();
        let count = parts.len();
        for (index, data) in parts.into_iter().enumerate() {
            let chunk = wire::KeyframeChunk {
                tick,
                index: index as u32,
                count: count as u32,
                total_bytes: total as u32,
                hash,
                data,
            };
            let update = self.update(vec![], state_update::Body::Keyframe(chunk));
            self.sent.push((slot, topic::STATE, true, update));
        }
    }

    fn update(&self, slots: Vec<wire::SlotStatus>, body: state_update::Body) -> Vec<u8> {
        let update = wire::StateUpdate {
            version: VERSION,
            epoch: self.epoch,
            tick: self.pipeline.clock(),
            slots,
            body: Some(body),
        };
        update.encode_to_vec()
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        if !self.runs {
            return;
        }
        self.began = now;
        self.pipeline.begin_tick();
        let mut effects = Effects::default();
        let mut events = Vec::new();
        while let Some(done) = self.pipeline.advance().unwrap() {
            events.extend(done.events.iter().map(|event| event.data.clone()));
            self.shadow
                .step(self.pipeline.tick_log(), &mut effects)
                .unwrap();
            let mut state = NetState::default();
            self.shadow.net_state(None, &mut state).unwrap();
            self.states.push(state);
        }
        self.events_sent += events.len() as u64;
        let game = wire::GameEvents {
            tick: self.pipeline.tick(),
            events,
        };
        for slot in 0..self.ends.len() as Slot {
            if !self.ends[usize::from(slot)].joined {
                continue;
            }
            if !game.events.is_empty() {
                self.event(slot, Body::Game(game.clone()));
            }
            self.send_state(slot, now);
        }
    }

    fn send_state(&mut self, slot: Slot, now: Duration) {
        let end = &self.ends[usize::from(slot)];
        let inputs = self.pipeline.slot_status(slot).unwrap();
        let status = wire::SlotStatus {
            slot: slot.into(),
            input_tick: inputs.input_tick,
            margin: inputs.margin,
            echo_ms: end.echo.0,
            echo_age_ms: (now - end.echo.1).as_millis() as u32,
        };
        let tick = self.pipeline.tick();
        let body = if self.mode == AuthorityMode::Full || end.downgraded {
            let schema = self.pipeline.schema();
            let state = &self.states[tick as usize];
            let Ok(packet) = self.replicator.encode(schema, tick, slot, state) else {
                // No new tick: in `validated` the clock is ahead of it.
                return;
            };
            state_update::Body::Delta(wire::StateDelta {
                age: self.pipeline.clock() - tick,
                baseline: packet.baseline_age,
                older: packet.older_age,
                codec: match packet.codec {
                    Codec::Packed => wire::Codec::Packed,
                    Codec::Ranged => wire::Codec::Ranged,
                }
                .into(),
                data: packet.data.to_vec(),
                whole: packet.whole,
            })
        } else {
            // At most half a second again and again.
            let first = (end.acked + 1).max(tick.saturating_sub(30)).max(1);
            let mut data = Vec::new();
            let ticks = self.pipeline.confirmed_from(first);
            let count = self
                .encoder
                .encode(self.pipeline.schema(), ticks, 900, &mut data)
                .unwrap();
            if count == 0 {
                return;
            }
            state_update::Body::Confirmed(wire::Confirmed {
                first_tick: first,
                data,
            })
        };
        let statuses = self.tells_statuses.then_some(status);
        let update = self.update(statuses.into_iter().collect(), body);
        self.sent.push((slot, topic::STATE, false, update));
    }
}
