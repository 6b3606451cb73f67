//! The server's side: who is sent what, and what they have after it.

use super::{MAX_BASELINE_AGE, Packet};
use crate::schema::Schema;
use crate::simulation::{NetState, Slot, Tick};
use crate::snapshot::packed::PackedCodec;
use crate::snapshot::{Codec, Delta, SnapshotError};

/// Decides what every viewer of a room is sent, and remembers what they have.
#[derive(Debug)]
pub struct Replicator {
    viewers: Vec<Viewer>,
    budget: usize,
    codec: PackedCodec,
    out: Vec<Outgoing>,
    used: usize,
}

#[derive(Debug, Default)]
struct Viewer {
    views: Vec<View>,
    newest: Tick,
    refused: u64,
}

#[derive(Clone, Debug, Default)]
struct View {
    tick: Tick,
    acknowledged: bool,
    state: NetState,
}

#[derive(Debug, Default)]
struct Outgoing {
    recipients: Vec<Slot>,
    baseline_age: u32,
    older_age: u32,
    data: Vec<u8>,
    whole: bool,
}

/// The packets of a tick that everyone shares.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast<'a> {
    packets: &'a [Outgoing],
    viewers: usize,
}

/// Whom a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients<'a> {
    /// All viewers that were named.
    Everyone,
    /// These, ascending.
    Slots(&'a [Slot]),
}

impl<'a> Broadcast<'a> {
    /// The packets and whom they are for, at most one for each viewer.
    pub fn packets(self) -> impl Iterator<Item = (Recipients<'a>, Packet<'a>)> {
        self.packets.iter().map(move |packet| {
            let recipients = if packet.recipients.len() == self.viewers {
                Recipients::Everyone
            } else {
                Recipients::Slots(&packet.recipients)
            };
            (recipients, packet.packet())
        })
    }
}

impl Outgoing {
    fn packet(&self) -> Packet<'_> {
        Packet {
            baseline_age: self.baseline_age,
            older_age: self.older_age,
            codec: Codec::Packed,
            data: &self.data,
            whole: self.whole,
        }
    }
}

impl Replicator {
    /// For `viewers` viewers (at most 256) and packets of at most `budget` bytes of data, no less
    /// than [`crate::snapshot::MIN_SNAPSHOT_BYTES`].
    pub fn new(viewers: usize, budget: usize) -> Self {
        Self {
            viewers: (0..viewers).map(|_| Viewer::default()).collect(),
            budget: budget.max(crate::snapshot::MIN_SNAPSHOT_BYTES),
            codec: PackedCodec::new(),
            out: Vec::new(),
            used: 0,
        }
    }

    /// Takes in what a viewer acknowledges: a tick (0: none), and in bit `n` whether it has tick
    /// `tick - 1 - n` as well. Ticks that it was never sent are counted and otherwise ignored, and
    /// so is a viewer that there is not.
    pub fn handle_ack(&mut self, viewer: Slot, tick: Tick, bits: u32) {
        let Some(viewer) = self.viewers.get_mut(usize::from(viewer)) else {
            return;
        };
        let others = (0..u32::BITS).filter(|n| bits >> n & 1 == 1);
        let others = others.filter_map(|n| tick.checked_sub(1 + n));
        for tick in std::iter::once(tick).chain(others).filter(|tick| *tick > 0) {
            match viewer.views.iter_mut().find(|view| view.tick == tick) {
                Some(view) => view.acknowledged = true,
                None => viewer.refused += 1,
            }
        }
    }

    /// How many acknowledgements of ticks that it was never sent a viewer has made.
    pub fn refused_acks(&self, viewer: Slot) -> u64 {
        self.viewers
            .get(usize::from(viewer))
            .map_or(0, |viewer| viewer.refused)
    }

    /// A viewer has nothing any more, or a slot has a new viewer: its next delta is against
    /// nothing.
    pub fn reset(&mut self, viewer: Slot) {
        if let Some(viewer) = self.viewers.get_mut(usize::from(viewer)) {
            viewer.views.clear();
        }
    }

    /// Writes what a viewer is sent of a tick. For one viewer ticks ascend.
    ///
    /// # Errors
    /// [`SnapshotError`] where the state does not keep the schema, the viewer is none, or the tick
    /// is not above the viewer's last one.
    pub fn encode(
        &mut self,
        schema: &Schema,
        tick: Tick,
        viewer: Slot,
        state: &NetState,
    ) -> Result<Packet<'_>, SnapshotError> {
        self.used = 0;
        self.write(schema, tick, viewer, state)?;
        Ok(self.out[0].packet())
    }

    /// Writes what everyone is sent of a tick of which everyone sees the same: one packet for all
    /// who share a baseline, and others for who needs their own.
    ///
    /// # Errors
    /// As [`Replicator::encode`].
    pub fn broadcast(
        &mut self,
        schema: &Schema,
        tick: Tick,
        state: &NetState,
        viewers: &[Slot],
    ) -> Result<Broadcast<'_>, SnapshotError> {
        self.used = 0;
        for viewer in viewers {
            self.write(schema, tick, *viewer, state)?;
        }
        Ok(Broadcast {
            packets: &self.out[..self.used],
            viewers: viewers.len(),
        })
    }

    fn write(
        &mut self,
        schema: &Schema,
        tick: Tick,
        slot: Slot,
        state: &NetState,
    ) -> Result<(), SnapshotError> {
        let viewers = self.viewers.len();
        let Some(viewer) = self.viewers.get_mut(usize::from(slot)) else {
            let viewer = slot;
            return Err(SnapshotError::NoSuchViewer { viewer, viewers });
        };
        if tick <= viewer.newest {
            let newest = viewer.newest;
            return Err(SnapshotError::OldTick { tick, newest });
        }
        viewer
            .views
            .retain(|view| tick - view.tick <= MAX_BASELINE_AGE);
        if self.out.len() == self.used {
            self.out.push(Outgoing::default());
        }
        let out = &mut self.out[self.used];
        let nothing = NetState::default();
        let known = |view: &&View| view.acknowledged;
        let mut views = viewer.views.iter().rev().filter(known);
        let (base, older) = (views.next(), views.next());
        out.baseline_age = base.map_or(0, |view| tick - view.tick);
        out.older_age = older.map_or(0, |view| tick - view.tick);
        let base = base.map_or(&nothing, |view| &view.state);
        let older = older.map(|view| &view.state);
        let mut next = NetState::default();
        let mut kept: Vec<_> = state.entities.iter().collect();
        out.whole = true;
        loop {
            next.clear();
            for entity in &kept {
                let first_column = next.columns.len() as u32;
                next.columns.extend_from_slice(state.columns_of(entity));
                next.entities.push(crate::simulation::Entity {
                    first_column,
                    ..**entity
                });
            }
            let delta = Delta {
                base,
                older,
                next: &next,
            };
            self.codec.encode(schema, &delta, &mut out.data)?;
            if out.data.len() <= self.budget {
                break;
            }
            out.whole = false;
            let least = |a: &&crate::simulation::Entity, b: &&crate::simulation::Entity| {
                a.priority.total_cmp(&b.priority)
            };
            let least = kept
                .iter()
                .copied()
                .min_by(|a, b| least(a, b))
                .map(|entity| entity.id);
            kept.retain(|entity| Some(entity.id) != least);
        }
        out.recipients.clear();
        out.recipients.push(slot);
        self.used += 1;
        viewer.newest = tick;
        viewer.views.push(View {
            tick,
            acknowledged: false,
            state: next,
        });
        Ok(())
    }
}
