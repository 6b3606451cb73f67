//! Who is told what of a net state, and what each receiver makes of it.
//!
//! A *view* is the net state that a viewer has after the packet of a tick. The server's
//! [`Replicator`] writes each packet as a delta against a view that the viewer acknowledged, and
//! remembers exactly the view that the packet makes; [`ReceivedViews`] on the other side makes the
//! same view of it. Nothing rests on a packet that was not acknowledged.
//!
//! Where not everything fits a packet, what matters most goes first, and the view keeps the
//! baseline's values for what was left out.

mod cache;
mod delta_writer;
mod lane;
mod received;
mod replicator;
mod rows;
mod shown;
mod viewer;

pub use received::{Applied, ReceivedViews};
pub use replicator::{Broadcast, RANGED_VIEWERS, Recipients, Replicator};

use crate::snapshot::Codec;

/// What travels of a view: the fields of `StateDelta` in `proto/gameserver.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// How many ticks before its own the baseline is, 1–[`MAX_BASELINE_AGE`]; 0: against nothing.
    pub baseline_age: u32,
    /// How many ticks before its own the older view is from which velocities come,
    /// above `baseline_age`, at most [`MAX_BASELINE_AGE`]; 0: there is none.
    pub older_age: u32,
    /// How `data` is written.
    pub codec: Codec,
    /// The delta.
    pub data: &'a [u8],
    /// Nothing of the viewer's net state is left out.
    pub whole: bool,
}

/// Oldest view that a delta is written against, in ticks: a second at 60 ticks a second, beyond
/// which a delta saves next to nothing.
pub const MAX_BASELINE_AGE: u32 = 63;
