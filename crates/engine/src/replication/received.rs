//! The receiver's side: views put together from packets that come in any order.

use super::shown::{Shown, Stamped};
use super::{MAX_BASELINE_AGE, Packet};
use crate::schema::Schema;
use crate::simulation::{NetState, Tick};
use crate::snapshot::packed::PackedCodec;
use crate::snapshot::ranged::RangedCodec;
use crate::snapshot::{Codec, SnapshotError};

/// The views of the last ticks, by tick.
#[derive(Clone, Debug)]
pub struct ReceivedViews {
    /// The view of tick `t` is at place `t % KEPT`.
    views: Vec<View>,
    newest: Tick,
    packed: PackedCodec,
    /// Made when it is first needed: its model is large.
    ranged: Option<Box<RangedCodec>>,
    decoded: NetState,
    /// What is worked out for a view before it takes its place.
    shown: Shown,
    told: Vec<Tick>,
}

#[derive(Clone, Debug, Default)]
struct View {
    /// 0 for none.
    tick: Tick,
    whole: bool,
    state: NetState,
    /// Of which tick each entity is, and what is shown; only where it is not whole.
    told: Vec<Tick>,
    shown: Shown,
}

impl View {
    fn exact(&self) -> Stamped<'_> {
        Stamped {
            state: &self.state,
            tick: self.tick,
            told: (!self.whole).then_some(self.told.as_slice()),
        }
    }

    fn shown(&self) -> Stamped<'_> {
        if self.whole {
            return self.exact();
        }
        Stamped {
            state: &self.shown.state,
            tick: self.tick,
            told: Some(&self.shown.told),
        }
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It made a view.
    New,
    /// The view of its tick was there already.
    Duplicate,
    /// Its tick is older than any that is kept.
    Stale,
    /// It is written against a view that is not there. Where this goes on, the server must be
    /// asked to start afresh ([`super::Replicator::reset`]).
    NoBaseline,
}

impl ReceivedViews {
    /// Nothing received yet.
    pub fn new() -> Self {
        Self {
            views: vec![View::default(); KEPT as usize],
            newest: 0,
            packed: PackedCodec::new(),
            ranged: None,
            decoded: NetState::default(),
            shown: Shown::default(),
            told: Vec::new(),
        }
    }

    /// Takes in the packet of a tick. Unless it answers [`Applied::New`], nothing has changed.
    ///
    /// # Errors
    /// [`SnapshotError`] for a packet that no encoder writes; nothing has changed.
    pub fn apply(
        &mut self,
        schema: &Schema,
        tick: Tick,
        packet: &Packet<'_>,
    ) -> Result<Applied, SnapshotError> {
        if tick == 0 || (tick < self.newest && self.newest - tick >= KEPT) {
            return Ok(Applied::Stale);
        }
        if self.view(tick).is_some() {
            return Ok(Applied::Duplicate);
        }
        let empty = NetState::default();
        let nothing = Stamped {
            state: &empty,
            tick: 0,
            told: None,
        };
        let base = match packet.baseline_age {
            0 => Some(nothing),
            age => before(&self.views, tick, age),
        };
        let older = match packet.older_age {
            0 => Some(None),
            age => before(&self.views, tick, age).map(|view| Some(view.state)),
        };
        let (Some(base), Some(older)) = (base, older) else {
            return Ok(Applied::NoBaseline);
        };
        match packet.codec {
            Codec::Packed => {
                self.packed
                    .decode(schema, base.state, older, packet.data, &mut self.decoded)?;
            }
            Codec::Ranged => {
                let codec = self.ranged.get_or_insert_default();
                codec.decode(schema, base.state, older, packet.data, &mut self.decoded)?;
            }
        }
        if !packet.whole {
            let last = (1..KEPT.min(tick)).find_map(|age| view(&self.views, tick - age));
            let last = last.map_or(nothing, View::shown);
            let told = &mut self.told;
            self.shown.set(tick, &self.decoded, base, last, told);
        }
        let view = &mut self.views[(tick % KEPT) as usize];
        view.tick = tick;
        view.whole = packet.whole;
        std::mem::swap(&mut view.state, &mut self.decoded);
        if !packet.whole {
            std::mem::swap(&mut view.told, &mut self.told);
            std::mem::swap(&mut view.shown, &mut self.shown);
        }
        self.newest = self.newest.max(tick);
        Ok(Applied::New)
    }

    /// What to acknowledge: the newest tick (0: none), and in bit `n` whether tick
    /// `newest - 1 - n` is there too.
    pub fn ack(&self) -> (Tick, u32) {
        let received = |n: &u32| {
            let tick = self.newest.checked_sub(1 + n);
            tick.is_some_and(|tick| self.view(tick).is_some())
        };
        let bits = (0..u32::BITS).filter(received).map(|n| 1 << n).sum();
        (self.newest, bits)
    }

    /// The newest view and its tick, as [`ReceivedViews::view_at`] has it.
    pub fn newest(&self) -> Option<(Tick, &NetState)> {
        self.view_at(self.newest).map(|state| (self.newest, state))
    }

    /// The view of a tick, to be shown or stepped. Where something was left out of it, that is as it
    /// was told last, rather than as the baseline had it.
    pub fn view_at(&self, tick: Tick) -> Option<&NetState> {
        self.view(tick).map(|view| view.shown().state)
    }

    /// The view of a tick exactly as the server knows it, which is what deltas rest on.
    pub fn exact_at(&self, tick: Tick) -> Option<&NetState> {
        self.view(tick).map(|view| &view.state)
    }

    /// Whether the view of a tick is there, and nothing was left out of it.
    pub fn is_whole(&self, tick: Tick) -> bool {
        self.view(tick).is_some_and(|view| view.whole)
    }

    /// The ticks of the views that are there, ascending.
    pub fn ticks(&self) -> impl DoubleEndedIterator<Item = Tick> + '_ {
        let first = self.newest.saturating_sub(KEPT - 1).max(1);
        (first..=self.newest).filter(|tick| self.view(*tick).is_some())
    }

    /// Forgets everything, keeping its memory. The server must be asked to start afresh.
    pub fn reset(&mut self) {
        for view in &mut self.views {
            view.tick = 0;
        }
        self.newest = 0;
    }

    fn view(&self, tick: Tick) -> Option<&View> {
        view(&self.views, tick)
    }
}

fn view(views: &[View], tick: Tick) -> Option<&View> {
    let view = &views[(tick % KEPT) as usize];
    (view.tick == tick && tick > 0).then_some(view)
}

fn before(views: &[View], tick: Tick, age: u32) -> Option<Stamped<'_>> {
    let age = Some(age).filter(|age| *age <= MAX_BASELINE_AGE)?;
    view(views, tick.checked_sub(age)?).map(View::exact)
}

impl Default for ReceivedViews {
    fn default() -> Self {
        Self::new()
    }
}

/// How many ticks of views are kept: every baseline that the server may use for the oldest packet
/// that still comes, and two seconds at 60 ticks a second to draw from.
const KEPT: u32 = 128;
