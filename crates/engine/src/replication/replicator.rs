//! The server's side: who is sent what, and what they have after it.

use super::cache::Cache;
use super::delta_writer::{Known, Waiting};
use super::lane::Lane;
use super::rows::{Entry, NextEntry, Rows};
use super::viewer::{ViewKind, Viewer};
use super::{MAX_BASELINE_AGE, Packet};
use crate::abi::MAX_ENTITIES;
use crate::schema::Schema;
use crate::simulation::{NetState, Slot, Tick};
use crate::snapshot::{Codec, MIN_SNAPSHOT_BYTES, SnapshotError};

/// Decides what every viewer of a room is sent, and remembers what they have.
///
/// In each tick it is asked either for each viewer's own packet ([`Replicator::encode`]) or for
/// those of all ([`Replicator::broadcast`]).
#[derive(Debug)]
pub struct Replicator {
    viewers: Vec<Viewer>,
    /// All who see the same, as if they were one viewer.
    group: Viewer,
    /// Whether all that there is fits one packet against nothing, as far as is known.
    fits_whole: bool,
    budget: usize,
    tick: Tick,
    rows: Rows,
    cache: Cache,
    lane: Lane,
    /// Up to how many packets for one viewer in a tick are written small.
    ranged_viewers: usize,
    /// How many there are in this tick, and were in the last.
    unicasts: [usize; 2],
    next: Vec<NextEntry>,
    /// What the group has after the tick's packet, for those who need their own.
    target: Vec<NextEntry>,
    waiting: Waiting,
    out: Vec<Outgoing>,
    used: usize,
}

/// The packets of a tick of which everyone sees the same.
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
    /// These, in the order in which they were named.
    Slots(&'a [Slot]),
}

#[derive(Debug)]
struct Outgoing {
    recipients: Vec<Slot>,
    baseline_age: u32,
    older_age: u32,
    codec: Codec,
    data: Vec<u8>,
    whole: bool,
}

impl Replicator {
    /// For `viewers` viewers (at most 256, since a [`Slot`] names them) and packets of at most
    /// `budget` bytes of data, no less than [`MIN_SNAPSHOT_BYTES`].
    pub fn new(viewers: usize, budget: usize) -> Self {
        Self {
            viewers: (0..viewers).map(|_| Viewer::default()).collect(),
            group: Viewer::default(),
            fits_whole: true,
            budget: budget.max(MIN_SNAPSHOT_BYTES),
            tick: 0,
            rows: Rows::default(),
            cache: Cache::default(),
            lane: Lane::default(),
            ranged_viewers: RANGED_VIEWERS,
            // Nothing is known yet; everyone may be about to ask.
            unicasts: [viewers; 2],
            next: Vec::new(),
            target: Vec::new(),
            waiting: Waiting::default(),
            out: Vec::new(),
            used: 0,
        }
    }

    /// Up to how many packets for one viewer in a tick are written by the small codec,
    /// [`RANGED_VIEWERS`] unless it is said here; 0: none, and packets for many neither.
    ///
    /// The small codec ([`Codec::Ranged`]) takes some microseconds for each entity that changed. It
    /// writes what everyone shares, and the packets for one viewer while they were no more than this
    /// in the tick before. With more viewers than that the fast one ([`Codec::Packed`]) writes an
    /// entity once for all viewers who have the same of it.
    pub fn with_ranged_viewers(mut self, viewers: usize) -> Self {
        self.ranged_viewers = viewers;
        self
    }

    /// Takes in what a viewer acknowledges: a tick (0: none), and in bit `n` whether it has tick
    /// `tick - 1 - n` as well. Ticks that it was never sent are counted and otherwise ignored, and
    /// so is a viewer that there is not. Who lies here gets deltas that it cannot read; nobody else
    /// notices, but that a broadcast may cost another packet.
    pub fn handle_ack(&mut self, viewer: Slot, tick: Tick, bits: u32) {
        if let Some(viewer) = self.viewers.get_mut(usize::from(viewer)) {
            viewer.handle_ack(tick, bits);
        }
    }

    /// How many acknowledgements of ticks that it was never sent a viewer has made.
    pub fn refused_acks(&self, viewer: Slot) -> u64 {
        let viewer = self.viewers.get(usize::from(viewer));
        viewer.map_or(0, |viewer| viewer.refused)
    }

    /// A viewer has nothing any more, or a slot has a new viewer: its next delta is against
    /// nothing.
    pub fn reset(&mut self, viewer: Slot) {
        if let Some(viewer) = self.viewers.get_mut(usize::from(viewer)) {
            viewer.reset();
        }
    }

    /// Writes what a viewer is sent of a tick. Ticks never descend, and ascend for one viewer.
    ///
    /// # Errors
    /// [`SnapshotError`] where the state does not keep the schema, the viewer is none, or the tick
    /// is an old one.
    pub fn encode(
        &mut self,
        schema: &Schema,
        tick: Tick,
        viewer: Slot,
        state: &NetState,
    ) -> Result<Packet<'_>, SnapshotError> {
        self.begin(schema, tick, state, &[viewer])?;
        self.write_unicast(schema, tick, viewer, Target::State);
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
        self.begin(schema, tick, state, viewers)?;
        if !viewers.is_empty() {
            let shared = self.common_baseline(tick, viewers);
            self.write_group(schema, tick, viewers, shared);
            for viewer in viewers {
                if !self.out[0].recipients.contains(viewer) {
                    self.write_unicast(schema, tick, *viewer, Target::Group);
                }
            }
        }
        Ok(Broadcast {
            packets: &self.out[..self.used],
            viewers: viewers.len(),
        })
    }

    /// Writes what a viewer has after the packet of a tick, should it have come, and answers whether
    /// that is still known: for the last 64 ticks, unless the viewer was reset since.
    pub fn copy_view(&self, viewer: Slot, tick: Tick, out: &mut NetState) -> bool {
        out.clear();
        let Some(viewer) = self.viewers.get(usize::from(viewer)) else {
            return false;
        };
        if !viewer.was_sent(tick) {
            return false;
        }
        let shared = viewer.is_shared(tick);
        let owner = if shared { &self.group } else { viewer };
        self.rows.copy(owner.entries(tick), out);
        true
    }

    fn begin(
        &mut self,
        schema: &Schema,
        tick: Tick,
        state: &NetState,
        viewers: &[Slot],
    ) -> Result<(), SnapshotError> {
        if state.entities.len() > MAX_ENTITIES {
            return Err(SnapshotError::TooManyEntities {
                limit: MAX_ENTITIES,
            });
        }
        for viewer in viewers {
            let count = self.viewers.len();
            let Some(known) = self.viewers.get(usize::from(*viewer)) else {
                return Err(SnapshotError::NoSuchViewer {
                    viewer: *viewer,
                    viewers: count,
                });
            };
            let newest = known.newest.max(self.tick.saturating_sub(1));
            if tick <= newest {
                return Err(SnapshotError::OldTick { tick, newest });
            }
        }
        if tick > self.tick {
            self.begin_tick(schema, tick);
        }
        self.used = 0;
        self.rows.find(schema, tick, state, &mut self.next)
    }

    fn begin_tick(&mut self, schema: &Schema, tick: Tick) {
        self.tick = tick;
        self.unicasts = [0, self.unicasts[0]];
        let most_new = MAX_ENTITIES * self.viewers.len().max(1);
        if !self.rows.fits(schema) || self.rows.len() + most_new > MAX_ROWS.max(2 * most_new) {
            self.rows.reset(schema);
            for viewer in self.viewers.iter_mut().chain([&mut self.group]) {
                viewer.reset();
            }
        }
        let (viewers, group) = (&mut self.viewers, &mut self.group);
        self.rows.begin(tick, MAX_BASELINE_AGE, |place| {
            for viewer in viewers.iter_mut().chain([&mut *group]) {
                viewer.forget(place);
            }
        });
        let header = self.budget * 8 / MODES_PART;
        self.cache.begin(schema, header as u32);
    }

    /// Writes one viewer's own packet, towards the state or what the group has.
    fn write_unicast(&mut self, schema: &Schema, tick: Tick, slot: Slot, target: Target) {
        let viewer = &mut self.viewers[usize::from(slot)];
        viewer.begin_write(tick, &mut self.waiting);
        let (base_age, older_age) = newest_two(viewer.acknowledged_at(tick));
        let viewer = &*viewer;
        let known = known(viewer, &self.group, tick, base_age, older_age);
        let next = match target {
            Target::State => &self.next,
            Target::Group => &self.target,
        };
        let out = add_outgoing(&mut self.out, &mut self.used);
        self.unicasts[0] += 1;
        let small = self.unicasts[1].max(self.unicasts[0]) <= self.ranged_viewers;
        let (complete, codec) = self.lane.write(
            schema,
            tick,
            &mut self.rows,
            &mut self.cache,
            known,
            next,
            self.budget,
            small,
            &mut self.waiting,
            &mut out.data,
        );
        out.codec = codec;
        out.recipients.push(slot);
        (out.baseline_age, out.older_age) = (base_age, older_age);
        out.whole = complete;
        let kind = match (complete, target) {
            (true, Target::Group) => ViewKind::Shared,
            (true, Target::State) => ViewKind::Complete,
            (false, _) => ViewKind::Partial,
        };
        let whole = match target {
            Target::State => true,
            Target::Group => self.out[0].whole,
        };
        let out = &mut self.out[self.used - 1];
        out.whole &= whole;
        self.viewers[usize::from(slot)].end_write(tick, kind, &mut self.waiting);
    }

    /// Writes the packet that all share who have a baseline in common.
    fn write_group(&mut self, schema: &Schema, tick: Tick, viewers: &[Slot], shared: Shared) {
        self.group.begin_write(tick, &mut self.waiting);
        let known = known(
            &self.group,
            &self.group,
            tick,
            shared.base_age,
            shared.older_age,
        );
        let out = add_outgoing(&mut self.out, &mut self.used);
        let (complete, codec) = self.lane.write(
            schema,
            tick,
            &mut self.rows,
            &mut self.cache,
            known,
            &self.next,
            self.budget,
            self.ranged_viewers > 0,
            &mut self.waiting,
            &mut out.data,
        );
        out.codec = codec;
        (out.baseline_age, out.older_age) = (shared.base_age, shared.older_age);
        out.whole = complete;
        if shared.base_age == 0 {
            self.fits_whole = complete;
        }
        self.target.clear();
        let mut next = self.next.iter().peekable();
        for entry in &self.waiting.entries {
            while next.next_if(|next| next.id < entry.id).is_some() {}
            let same = next.peek().filter(|next| next.id == entry.id);
            self.target.push(NextEntry {
                id: entry.id,
                row: entry.row,
                place: self.rows.row(entry.row).place,
                priority: same.map_or(0.0, |next| next.priority),
            });
        }
        let kind = if complete {
            ViewKind::Complete
        } else {
            ViewKind::Partial
        };
        self.group.end_write(tick, kind, &mut self.waiting);
        for slot in viewers {
            let viewer = &mut self.viewers[usize::from(*slot)];
            if shared.base_age == 0 || viewer.shared_at(tick) >> shared.base_age & 1 == 1 {
                out.recipients.push(*slot);
                viewer.push(tick, ViewKind::Shared);
            }
        }
    }

    /// The baseline that costs least: each viewer that does not have it needs a packet of its own,
    /// and the older it is, the more there is to tell.
    fn common_baseline(&self, tick: Tick, viewers: &[Slot]) -> Shared {
        let has = |slot: &Slot| self.viewers[usize::from(*slot)].shared_at(tick);
        let mut counts = [0_u32; MAX_BASELINE_AGE as usize + 1];
        for viewer in viewers {
            let mut has = has(viewer);
            while has != 0 {
                counts[has.trailing_zeros() as usize] += 1;
                has &= has - 1;
            }
        }
        let all = viewers.len() as u32;
        let ages = (1..=MAX_BASELINE_AGE).filter(|age| counts[*age as usize] > 0);
        let cost = |age: &u32| (all - counts[*age as usize]) * UNICAST_TICKS + age;
        let best = ages.min_by_key(cost);
        let Some(base_age) = best.filter(|age| !self.fits_whole || cost(age) < NOTHING_TICKS)
        else {
            return Shared::default();
        };
        let members = viewers
            .iter()
            .map(has)
            .filter(|has| has >> base_age & 1 == 1);
        let common = members.fold(u64::MAX, |common, has| common & has);
        let older = common & (u64::MAX << base_age << 1);
        Shared {
            base_age,
            older_age: if older == 0 {
                0
            } else {
                older.trailing_zeros()
            },
        }
    }
}

impl<'a> Broadcast<'a> {
    /// The packets and whom they are for, one for each viewer that was named. The first is the one
    /// that most share.
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
            codec: self.codec,
            data: &self.data,
            whole: self.whole,
        }
    }
}

/// What a viewer's own packet leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    State,
    Group,
}

/// What a packet for many is written against; ages of 0 for nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    base_age: u32,
    older_age: u32,
}

/// The ages of the two newest ticks of a mask; 0 for none.
fn newest_two(mask: u64) -> (u32, u32) {
    // The tick itself is not sent yet.
    let age = |mask: u64| if mask == 0 { 0 } else { mask.trailing_zeros() };
    let older = mask & mask.wrapping_sub(1);
    (age(mask), age(older))
}

/// The views that a viewer has of two ages.
fn known<'a>(
    viewer: &'a Viewer,
    group: &'a Viewer,
    tick: Tick,
    base_age: u32,
    older_age: u32,
) -> Known<'a> {
    let entries = |age: u32| -> &'a [Entry] {
        let at = tick.wrapping_sub(age);
        match age {
            0 => &[],
            _ if viewer.is_shared(at) => group.entries(at),
            _ => viewer.entries(at),
        }
    };
    Known {
        base: entries(base_age),
        base_age,
        older: entries(older_age),
        older_age,
    }
}

fn add_outgoing<'a>(out: &'a mut Vec<Outgoing>, used: &mut usize) -> &'a mut Outgoing {
    if out.len() == *used {
        out.push(Outgoing {
            recipients: Vec::new(),
            baseline_age: 0,
            older_age: 0,
            codec: Codec::Packed,
            data: Vec::new(),
            whole: false,
        });
    }
    *used += 1;
    let out = &mut out[*used - 1];
    out.recipients.clear();
    out
}

/// Up to how many packets for one viewer in a tick are written by the small codec: eight of them
/// with some fifty changes each take about a twentieth of a tick at 60 ticks a second.
pub const RANGED_VIEWERS: usize = 8;
/// A packet for one viewer is worth a baseline for all that is so many ticks older.
const UNICAST_TICKS: u32 = 8;
/// Telling everything to everyone, where one packet holds it, is worth a baseline so many ticks
/// older: when most have just come, as at the start of a match.
const NOTHING_TICKS: u32 = 64;
/// The modes of columns take at most this part of a packet.
const MODES_PART: usize = 8;
/// Most rows: 64 ticks of a net state that everyone sees and that changes wholly each tick, twice,
/// and one tick in which every viewer sees another. Beyond it, as when viewers see nothing in
/// common, everyone starts afresh rather than that memory grows.
const MAX_ROWS: usize = 1 << 20;
