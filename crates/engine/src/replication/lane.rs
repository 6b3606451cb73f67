//! Which codec writes a delta, and what that leaves room for.

use super::cache::Cache;
use super::delta_writer::{DeltaWriter, Known, Waiting};
use super::rows::{NextEntry, Rows};
use crate::schema::Schema;
use crate::simulation::{NetState, Tick};
use crate::snapshot::ranged::RangedCodec;
use crate::snapshot::{Codec, Delta};

/// Writes deltas with one codec or the other.
#[derive(Debug, Default)]
pub(super) struct Lane {
    writer: DeltaWriter,
    /// Made when it is first needed: its model is large.
    ranged: Option<Box<RangedCodec>>,
    base: NetState,
    older: NetState,
    next: NetState,
    data: Vec<u8>,
}

impl Lane {
    /// Writes a delta of at most `budget` bytes, and answers whether nothing had to wait, and how it
    /// is written.
    #[allow(clippy::too_many_arguments, reason = "the parts of the replicator")]
    pub(super) fn write(
        &mut self,
        schema: &Schema,
        tick: Tick,
        rows: &mut Rows,
        cache: &mut Cache,
        known: Known<'_>,
        next: &[NextEntry],
        budget: usize,
        small: bool,
        waiting: &mut Waiting,
        out: &mut Vec<u8>,
    ) -> (bool, Codec) {
        // What is packed into more than there is room for may well fit when it is written small.
        let first = if small {
            budget * RANGED_GAIN / 4
        } else {
            budget
        };
        let write = &mut |rows: &mut Rows, waiting: &mut Waiting, budget, out: &mut Vec<u8>| {
            self.writer
                .write(schema, tick, rows, cache, known, next, budget, waiting, out)
        };
        let mut complete = write(rows, waiting, first, out);
        let mut codec = Codec::Packed;
        if small {
            rows.copy(known.base, &mut self.base);
            rows.copy(known.older, &mut self.older);
            rows.copy(&waiting.entries, &mut self.next);
            let delta = Delta {
                base: &self.base,
                older: (known.older_age > 0).then_some(&self.older),
                next: &self.next,
            };
            let ranged = self.ranged.get_or_insert_default();
            self.data.clear();
            let is_written = ranged.encode(schema, &delta, &mut self.data).is_ok();
            if is_written && self.data.len() <= budget.min(out.len()) {
                std::mem::swap(&mut self.data, out);
                codec = Codec::Ranged;
            } else if out.len() > budget {
                // Nothing was sent of it; everything has waited a little longer, equally.
                for (place, waited) in &waiting.sent {
                    waiting.waited[*place as usize] += waited;
                }
                complete = write(rows, waiting, budget, out);
            }
        }
        if complete {
            waiting.waited.clear();
        }
        (complete, codec)
    }
}

/// How much smaller the small codec is taken to write, in quarters: about what it does for things
/// that move. Where it does not, the packet is packed instead.
const RANGED_GAIN: usize = 6;
