//! A whole state from its chunks.

use gs_engine::Tick;
use gs_engine::manifest::MAX_SAVE_BYTES;
use gs_protocol::wire::KeyframeChunk;

/// Puts chunks together, one keyframe at a time.
#[derive(Debug, Default)]
pub(crate) struct Keyframes {
    tick: Tick,
    hash: u64,
    total: usize,
    chunks: Vec<Option<Vec<u8>>>,
    missing: usize,
    bytes: usize,
}

/// A keyframe whose chunks are all there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Keyframe {
    pub(crate) tick: Tick,
    pub(crate) hash: u64,
    pub(crate) state: Vec<u8>,
}

/// Why a chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It belongs to an older keyframe, or was there already.
    Stale,
    /// It says what cannot be, or the whole is not what its hash says; the keyframe is given up.
    Malformed,
}

impl Keyframes {
    /// Forgets what is half done.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a chunk; answers the keyframe that it completes. A newer keyframe takes the place of
    /// one that is half done. `max_bytes` is what the manifest allows.
    pub(crate) fn handle(
        &mut self,
        chunk: KeyframeChunk,
        max_bytes: u32,
        hash: impl FnOnce(&[u8]) -> u64,
    ) -> Result<Option<Keyframe>, Unfit> {
        let total = chunk.total_bytes as usize;
        let possible = chunk.index < chunk.count
            && (1..=MAX_CHUNKS).contains(&chunk.count)
            && chunk.total_bytes <= max_bytes.min(MAX_SAVE_BYTES)
            && chunk.count as usize <= total.max(1)
            && chunk.data.len() <= total;
        if !possible {
            return Err(Unfit::Malformed);
        }
        if chunk.tick < self.tick && !self.chunks.is_empty() {
            return Err(Unfit::Stale);
        }
        let same = chunk.tick == self.tick
            && chunk.hash == self.hash
            && total == self.total
            && chunk.count as usize == self.chunks.len();
        if !same {
            self.clear();
            self.tick = chunk.tick;
            self.hash = chunk.hash;
            self.total = total;
            self.missing = chunk.count as usize;
            self.chunks.resize(self.missing, None);
        }
        let place = &mut self.chunks[chunk.index as usize];
        if place.is_some() {
            return Err(Unfit::Stale);
        }
        self.bytes += chunk.data.len();
        if self.bytes > self.total {
            self.clear();
            return Err(Unfit::Malformed);
        }
        *place = Some(chunk.data);
        self.missing -= 1;
        if self.missing > 0 {
            return Ok(None);
        }
        let state = self.chunks.iter().flatten().flatten().copied().collect();
        let whole = Keyframe {
            tick: self.tick,
            hash: self.hash,
            state,
        };
        self.clear();
        if whole.state.len() == total && hash(&whole.state) == whole.hash {
            Ok(Some(whole))
        } else {
            Err(Unfit::Malformed)
        }
    }
}

/// The largest state in pieces of 4 KiB; the authority's are larger.
const MAX_CHUNKS: u32 = MAX_SAVE_BYTES / (4 << 10);

#[cfg(test)]
mod tests;
