//! `full`: what each player may see, as what is new against what it has acknowledged.

use std::time::Instant;

use gs_engine::pipeline::Pipeline;
use gs_engine::replication::{Recipients, Replicator};
use gs_engine::simulation::{NetState, Simulation, SimulationError, Slot, Tick};
use gs_engine::snapshot::SnapshotError;

use super::Destination;
use super::outbox::{LOSSY_BYTES, Outbox, Statuses};
use super::player::Player;

/// Who has been sent what of a match that only the server simulates.
pub(super) struct Views {
    replicator: Replicator,
    players: usize,
    state: NetState,
    viewers: Vec<Slot>,
}

impl Views {
    pub(super) fn new(players: usize) -> Self {
        Self {
            replicator: Replicator::new(players, LOSSY_BYTES),
            players,
            state: NetState::default(),
            viewers: Vec::with_capacity(players),
        }
    }

    /// Takes in which views a player has.
    pub(super) fn handle_ack(&mut self, slot: usize, (tick, bits): (Tick, u32)) {
        self.replicator.handle_ack(slot as Slot, tick, bits);
    }

    /// A player has nothing any more.
    pub(super) fn reset(&mut self, slot: usize) {
        self.replicator.reset(slot as Slot);
    }

    /// Acknowledgements of ticks that were never sent.
    pub(super) fn refused_acks(&self) -> u64 {
        (0..self.players)
            .map(|slot| self.replicator.refused_acks(slot as Slot))
            .sum()
    }

    /// Queues the state after the last tick: once for all who share what they have where everyone
    /// sees the same, else for each player who is here.
    pub(super) fn send<S: Simulation>(
        &mut self,
        pipeline: &mut Pipeline<S>,
        players: &[Player],
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), SimulationError> {
        let tick = pipeline.tick();
        self.viewers.clear();
        let here = players.iter().enumerate().filter(|(_, p)| p.watches());
        self.viewers.extend(here.map(|(slot, _)| slot as Slot));
        outbox.note_statuses(players, pipeline, now);
        let to = |slot: Slot| Destination::One(players[usize::from(slot)].identity.clone());
        if pipeline.manifest().hidden_state {
            for slot in &self.viewers {
                pipeline.net_state(Some(*slot), &mut self.state)?;
                let packet = self
                    .replicator
                    .encode(pipeline.schema(), tick, *slot, &self.state)
                    .map_err(malformed)?;
                let statuses = Statuses::Of(usize::from(*slot));
                outbox.delta(tick, tick, to(*slot), &packet, statuses);
            }
            return Ok(());
        }
        if self.viewers.is_empty() {
            return Ok(());
        }
        pipeline.net_state(None, &mut self.state)?;
        let broadcast = self
            .replicator
            .broadcast(pipeline.schema(), tick, &self.state, &self.viewers)
            .map_err(malformed)?;
        for (recipients, packet) in broadcast.packets() {
            match recipients {
                Recipients::Everyone => {
                    outbox.delta(tick, tick, Destination::All, &packet, Statuses::Noted);
                }
                Recipients::Slots(slots) => {
                    for slot in slots {
                        let statuses = Statuses::Of(usize::from(*slot));
                        outbox.delta(tick, tick, to(*slot), &packet, statuses);
                    }
                }
            }
        }
        Ok(())
    }
}

/// A net state that does not keep the game's own schema.
pub(super) fn malformed(error: SnapshotError) -> SimulationError {
    SimulationError::Malformed {
        call: "gs_net_state",
        reason: error.to_string(),
    }
}
