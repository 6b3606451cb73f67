//! What one viewer was sent, and what it has of that.

use super::delta_writer::Waiting;
use super::rows::Entry;
use crate::simulation::Tick;

/// A viewer, or the group of all who see the same.
///
/// Masks have a bit for each of the last 64 ticks: bit `n` is that of tick `newest - n`.
#[derive(Debug, Default)]
pub(super) struct Viewer {
    /// The newest tick that it was sent.
    pub(super) newest: Tick,
    sent: u64,
    acknowledged: u64,
    /// Ticks of which its view is the group's.
    shared: u64,
    /// Ticks in which something had to wait.
    partial: u64,
    /// The newest tick when it was reset: what it says of earlier ones is too late, not wrong.
    reset: Tick,
    /// Acknowledgements of what it was never sent.
    pub(super) refused: u64,
    /// By `tick % VIEWS`.
    views: Vec<View>,
    /// How long each entity that differs has waited, times its priority; by place.
    waited: Vec<f32>,
}

/// What a packet made.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Ascending by id; empty where the view is the group's.
    entries: Vec<Entry>,
    /// What was sent of a tick in which something had to wait: places, and how long they had
    /// waited.
    sent: Vec<(u32, f32)>,
}

impl Viewer {
    /// Takes in an acknowledgement, see [`super::Replicator::handle_ack`].
    pub(super) fn handle_ack(&mut self, tick: Tick, bits: u32) {
        if tick == 0 {
            return;
        }
        let Some(age) = self.newest.checked_sub(tick) else {
            self.refused += 1;
            return;
        };
        let claimed = (u64::from(bits) << 1 | 1).checked_shl(age).unwrap_or(0);
        let since_reset = self.newest - self.reset;
        let current = if since_reset >= u64::BITS {
            u64::MAX
        } else {
            (1 << since_reset) - 1
        };
        self.refused += u64::from((claimed & current & !self.sent).count_ones());
        self.acknowledged |= claimed & self.sent;
        if self.acknowledged == 0 {
            return;
        }
        // Older ones that were not acknowledged count as lost; an acknowledgement that comes later
        // makes them baselines all the same.
        let older = u64::MAX << self.acknowledged.trailing_zeros();
        let mut lost = self.partial & older & !self.acknowledged;
        self.partial &= !older;
        while lost != 0 {
            let tick = self.newest - lost.trailing_zeros();
            lost &= lost - 1;
            let sent = std::mem::take(&mut self.view_mut(tick).sent);
            for (place, waited) in &sent {
                if let Some(now) = self.waited.get_mut(*place as usize) {
                    *now += waited;
                }
            }
            self.view_mut(tick).sent = sent;
        }
    }

    /// Forgets what it was sent.
    pub(super) fn reset(&mut self) {
        self.reset = self.newest;
        (self.sent, self.acknowledged, self.shared, self.partial) = (0, 0, 0, 0);
        self.waited.fill(0.0);
    }

    /// The ticks that it acknowledged: bit `n` is that of `tick - n`.
    pub(super) fn acknowledged_at(&self, tick: Tick) -> u64 {
        shifted(self.acknowledged, tick - self.newest)
    }

    /// Those of them in which its view is the group's.
    pub(super) fn shared_at(&self, tick: Tick) -> u64 {
        shifted(self.acknowledged & self.shared, tick - self.newest)
    }

    /// Whether its view of a tick, one of the last 64, is the group's.
    pub(super) fn is_shared(&self, tick: Tick) -> bool {
        self.shared >> (self.newest - tick) & 1 == 1
    }

    /// Whether it was sent a tick, one of the last 64.
    pub(super) fn was_sent(&self, tick: Tick) -> bool {
        let age = self.newest.checked_sub(tick);
        age.is_some_and(|age| self.sent.checked_shr(age).unwrap_or(0) & 1 == 1)
    }

    /// Remembers what the packet of a tick above all others makes.
    pub(super) fn push(&mut self, tick: Tick, kind: ViewKind) {
        let by = tick - self.newest;
        self.newest = tick;
        for mask in [
            &mut self.sent,
            &mut self.acknowledged,
            &mut self.shared,
            &mut self.partial,
        ] {
            *mask = shifted(*mask, by);
        }
        self.sent |= 1;
        self.shared |= u64::from(kind == ViewKind::Shared);
        self.partial |= u64::from(kind == ViewKind::Partial);
    }

    /// The view of a tick, whatever was in its place before.
    pub(super) fn view_mut(&mut self, tick: Tick) -> &mut View {
        self.views.resize_with(VIEWS, View::default);
        &mut self.views[tick as usize % VIEWS]
    }

    /// The entries of the view of a tick, one of the last 64 that it was sent.
    pub(super) fn entries(&self, tick: Tick) -> &[Entry] {
        self.views
            .get(tick as usize % VIEWS)
            .map_or(&[], |view| &view.entries)
    }

    /// Lends what a delta of a tick is written with: how long entities have waited, and the memory
    /// of the view that is the oldest.
    pub(super) fn begin_write(&mut self, tick: Tick, waiting: &mut Waiting) {
        std::mem::swap(&mut self.waited, &mut waiting.waited);
        let view = self.view_mut(tick);
        std::mem::swap(&mut view.entries, &mut waiting.entries);
        std::mem::swap(&mut view.sent, &mut waiting.sent);
    }

    /// Takes it back, with the view that was made.
    pub(super) fn end_write(&mut self, tick: Tick, kind: ViewKind, waiting: &mut Waiting) {
        self.begin_write(tick, waiting);
        self.push(tick, kind);
    }

    /// An entity is gone; its place may become another's.
    pub(super) fn forget(&mut self, place: u32) {
        if let Some(waited) = self.waited.get_mut(place as usize) {
            *waited = 0.0;
        }
    }
}

/// What is to be known of a view besides its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ViewKind {
    /// It is the group's.
    Shared,
    /// Nothing had to wait.
    Complete,
    /// Something had to wait.
    Partial,
}

fn shifted(mask: u64, by: u32) -> u64 {
    mask.checked_shl(by).unwrap_or(0)
}

/// As many views as masks have bits.
const VIEWS: usize = u64::BITS as usize;
