//! Deltas by context mixing and range coding: the small one of the two codecs.
//!
//! Both directions run the same lines ([`walk`]): they go through the entities by id, ask the model
//! how likely each bit is, and let a [`BitCoder`](crate::range_coder::BitCoder) take or find it.
//! The model starts from the same trained prior in every packet, and adapts within it, so that a
//! packet says all there is to know besides the two states that it rests on.

mod columns;
mod model;
mod quat;
pub mod training;
mod walk;

use super::{Delta, SnapshotError};
use crate::range_coder::{Decoder, Encoder};
use crate::schema::Schema;
use crate::simulation::NetState;
use model::Model;
use walk::Walk;

/// Writes and reads deltas. It keeps nothing from one to the next but its memory.
#[derive(Clone, Debug)]
pub struct RangedCodec {
    model: Model,
    walk: Walk,
    scratch: NetState,
}

impl RangedCodec {
    /// A codec with buffers of its own.
    pub fn new() -> Self {
        Self {
            model: Model::trained(),
            walk: Walk::default(),
            scratch: NetState::default(),
        }
    }

    /// Writes a delta. `out` is cleared first.
    ///
    /// # Errors
    /// [`SnapshotError`] where a state does not keep the schema.
    pub fn encode(
        &mut self,
        schema: &Schema,
        delta: &Delta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SnapshotError> {
        out.clear();
        self.walk.prepare(schema, delta)?;
        self.model.restart();
        let mut encoder = Encoder::new(out);
        let state = &mut self.scratch;
        self.walk.code(
            &mut encoder,
            &mut self.model,
            schema,
            delta.base,
            delta.older,
            Some(delta.next),
            state,
        )?;
        encoder.finish();
        Ok(())
    }

    /// Reads a delta, and puts the state that it makes of `base` and `older` into `out`, which is
    /// cleared first. Priorities are zero.
    ///
    /// # Errors
    /// [`SnapshotError`] where the bytes are no delta; what is in `out` then means nothing.
    pub fn decode(
        &mut self,
        schema: &Schema,
        base: &NetState,
        older: Option<&NetState>,
        data: &[u8],
        out: &mut NetState,
    ) -> Result<(), SnapshotError> {
        self.walk.prepare_to_read(schema, base, older)?;
        self.model.restart();
        let mut decoder = Decoder::new(data);
        self.walk.code(
            &mut decoder,
            &mut self.model,
            schema,
            base,
            older,
            None,
            out,
        )?;
        if decoder.is_past_end() {
            let count = out.entities.len() as u32;
            return Err(SnapshotError::Truncated {
                index: count,
                count,
            });
        }
        if !decoder.is_at_end() {
            return Err(SnapshotError::Trailing);
        }
        Ok(())
    }
}

impl Default for RangedCodec {
    fn default() -> Self {
        Self::new()
    }
}
