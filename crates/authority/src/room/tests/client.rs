//! A client that follows confirmed ticks.

use gs_engine::confirmed::{ConfirmedDecoder, ConfirmedTick, state_hash};
use gs_engine::schema::Schema;
use gs_engine::{Simulation, Tick};
use gs_protocol::topic;
use gs_protocol::wire::{self, state_update};

use super::super::{Channel, Destination};
use super::game::Game;
use super::harness::{Ack, Harness, Sent};

/// A client that puts together what it is sent, and acknowledges it.
pub(super) struct Client {
    pub(super) slot: usize,
    pub(super) identity: String,
    pub(super) schema: Schema,
    slots: u8,
    decoder: ConfirmedDecoder,
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) keyframes: Vec<(Tick, u64, Vec<u8>)>,
    pub(super) held: Option<Tick>,
    pub(super) ticks: Vec<ConfirmedTick>,
    pub(super) deltas: Vec<wire::StateUpdate>,
}

impl Client {
    pub(super) fn new(slot: usize, slots: usize) -> Self {
        let game = Game::new(false, std::sync::Arc::default());
        Self {
            slot,
            identity: format!("player-{slot}"),
            schema: Schema::new(game.manifest()).unwrap(),
            slots: slots as u8,
            decoder: ConfirmedDecoder::default(),
            pieces: Vec::new(),
            keyframes: Vec::new(),
            held: None,
            ticks: Vec::new(),
            deltas: Vec::new(),
        }
    }

    /// Takes in what came; `lossy` says whether lossy packets did.
    pub(super) fn take(&mut self, sent: &[Sent], lossy: bool) {
        let own = Destination::One(self.identity.as_str().into());
        for packet in sent {
            let for_me = packet.to == Destination::All || packet.to == own;
            let lost = packet.channel == Channel::Lossy && !lossy;
            if packet.topic != topic::STATE || !for_me || lost {
                continue;
            }
            let update = gs_protocol::decode_state_update(&packet.payload).unwrap();
            match &update.body {
                Some(state_update::Body::Keyframe(piece)) => {
                    assert_eq!(packet.channel, Channel::Reliable);
                    assert_eq!(self.pieces.len(), piece.index as usize);
                    self.pieces.push(piece.data.clone());
                    if self.pieces.len() == piece.count as usize {
                        let state: Vec<u8> = self.pieces.drain(..).flatten().collect();
                        assert_eq!(state.len(), piece.total_bytes as usize);
                        assert_eq!(state_hash(&state), piece.hash);
                        self.keyframes.push((piece.tick, piece.hash, state));
                        self.held = Some(piece.tick);
                    }
                }
                Some(state_update::Body::Confirmed(confirmed)) => {
                    let ticks = self.decoder.decode(
                        &self.schema,
                        self.slots,
                        confirmed.first_tick,
                        &confirmed.data,
                    );
                    for tick in ticks.unwrap() {
                        if self.held.is_some_and(|held| tick.log.tick == held + 1) {
                            self.held = Some(tick.log.tick);
                            self.ticks.push(tick.clone());
                        }
                    }
                }
                Some(state_update::Body::Delta(_)) => self.deltas.push(update),
                _ => {}
            }
        }
    }

    pub(super) fn ack(&self) -> Ack {
        Ack::Of(self.held.unwrap_or(0), 0)
    }
}

/// Runs a match for some ticks with these clients, all of whom follow; `lossy` says in which ticks
/// lossy packets arrive.
pub(super) fn follow(
    h: &mut Harness,
    clients: &mut [Client],
    ticks: u32,
    lossy: impl Fn(u32) -> bool,
) {
    for n in 0..ticks {
        for client in clients.iter() {
            h.acks[client.slot] = client.ack();
            let tick = h.room.game_tick() + 1;
            let x = ((tick + client.slot as u32) % 7) as f32 / 10.0;
            h.input(client.slot, &[(tick, x), (tick + 1, x / 2.0)]);
        }
        h.sent.clear();
        h.tick();
        for client in clients.iter_mut() {
            client.take(&h.sent, lossy(n));
        }
    }
}
