//! Adaptive binary range coding, for bytes that must be few.
//!
//! An [`Encoder`] appends to a buffer, a [`Decoder`] reads any bytes at all; both are a
//! [`BitCoder`], so that a model is written once and serves both directions: it *codes* a bit,
//! which the encoder takes and the decoder finds. What a model adapts to is kept in [`Bit`]s and
//! in what is made of them ([`BitTree`], [`Unsigned`], [`Signed`]); [`log_odds`] is for models that
//! add several opinions up. Everything is integer arithmetic, and comes out the same on every machine.
//!
//! ```
//! use gs_engine::range_coder::{Bit, BitCoder, Decoder, Encoder, Unsigned};
//!
//! // Both sides run the same lines; the decoder's arguments do not matter.
//! fn code(coder: &mut impl BitCoder, alive: bool, score: u32) -> (bool, u32) {
//!     let (mut flag, mut number) = (Bit::default(), Unsigned::default());
//!     (flag.code(coder, alive), number.code(coder, score))
//! }
//!
//! let mut bytes = Vec::new();
//! let mut encoder = Encoder::new(&mut bytes);
//! code(&mut encoder, true, 1_000);
//! encoder.finish();
//!
//! let mut decoder = Decoder::new(&bytes);
//! assert_eq!(code(&mut decoder, false, 0), (true, 1_000));
//! assert!(decoder.is_at_end());
//! ```

pub mod log_odds;
mod models;

pub use models::{Bit, BitTree, Signed, Unsigned};

/// One direction of coding: an [`Encoder`] or a [`Decoder`].
pub trait BitCoder {
    /// Codes one bit that is set with a probability of `p / 65536`, where `p` is in 1..=65535
    /// (others are clamped). An encoder writes `bit` and answers it; a decoder answers the bit that
    /// was written, whatever `bit` is.
    fn code(&mut self, bit: bool, p: u32) -> bool;

    /// Codes the low `bits` bits, at most 32, of a value that nothing is known of.
    fn code_raw(&mut self, value: u32, bits: u32) -> u32 {
        (0..bits).rev().fold(0, |read, place| {
            read << 1 | u32::from(self.code(value >> place & 1 != 0, HALF))
        })
    }
}

/// Writes bits behind what a buffer holds already.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    low: u32,
    range: u32,
}

impl<'a> Encoder<'a> {
    /// An encoder that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self {
            out,
            start,
            low: 0,
            range: u32::MAX,
        }
    }

    /// The most bytes that [`finish`](Self::finish) would leave behind now, at most
    /// [`FLUSH_BYTES`] more than it does leave.
    #[allow(clippy::len_without_is_empty, reason = "it is a bound, never zero")]
    pub fn len(&self) -> usize {
        self.out.len() - self.start + FLUSH_BYTES
    }

    /// Writes what is pending, in as few bytes as say it, and answers how many bytes it wrote in
    /// all.
    pub fn finish(self) -> usize {
        let (low, end) = (
            u64::from(self.low),
            u64::from(self.low) + u64::from(self.range),
        );
        // The decoder sees zeros behind the end: the roundest number of the range will do.
        for bytes in 0..=FLUSH_BYTES as u32 {
            let step = 1_u64 << (32 - 8 * bytes);
            let value = low.next_multiple_of(step);
            if value < end {
                if value > u64::from(u32::MAX) {
                    carry(self.out, self.start);
                }
                let value = (value as u32).to_be_bytes();
                self.out.extend_from_slice(&value[..bytes as usize]);
                break;
            }
        }
        self.out.len() - self.start
    }
}

impl BitCoder for Encoder<'_> {
    #[inline]
    fn code(&mut self, bit: bool, p: u32) -> bool {
        let bound = split(self.range, p);
        // Without branches: which way a bit falls is what cannot be predicted.
        let (step, range) = if bit {
            (0, bound)
        } else {
            (bound, self.range - bound)
        };
        let (low, carried) = self.low.overflowing_add(step);
        if carried {
            carry(self.out, self.start);
        }
        (self.low, self.range) = (low, range);
        while self.range < LEAST_RANGE {
            self.out.push((self.low >> 24) as u8);
            self.low <<= 8;
            self.range <<= 8;
        }
        bit
    }
}

/// Adds one to the number that the written bytes are. It stays below one, so that no carry comes
/// out in front.
#[cold]
fn carry(out: &mut [u8], start: usize) {
    for byte in out[start..].iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}

/// Reads the bits that an [`Encoder`] wrote. Any bytes can be read for ever: behind the end there
/// are zeros.
#[derive(Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    /// How many bytes were taken, those behind the end included.
    taken: usize,
    code: u32,
    range: u32,
}

impl<'a> Decoder<'a> {
    /// A decoder of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self {
            bytes,
            taken: 0,
            code: 0,
            range: u32::MAX,
        };
        for _ in 0..FLUSH_BYTES {
            decoder.take();
        }
        decoder
    }

    /// Whether more was read than the bytes can say: they were cut off, or were never written by
    /// an encoder.
    pub fn is_past_end(&self) -> bool {
        self.taken > self.bytes.len() + FLUSH_BYTES
    }

    /// Whether what was read so far is all that the bytes say.
    pub fn is_at_end(&self) -> bool {
        !self.is_past_end() && self.taken >= self.bytes.len()
    }

    #[inline]
    fn take(&mut self) {
        let byte = self.bytes.get(self.taken).copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
        self.taken += 1;
    }
}

impl BitCoder for Decoder<'_> {
    #[inline]
    fn code(&mut self, _bit: bool, p: u32) -> bool {
        let bound = split(self.range, p);
        let bit = self.code < bound;
        let (step, range) = if bit {
            (0, bound)
        } else {
            (bound, self.range - bound)
        };
        self.code -= step;
        self.range = range;
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.take();
        }
        bit
    }
}

/// The part of the range that stands for a set bit: never empty, never all of it.
#[inline]
fn split(range: u32, p: u32) -> u32 {
    ((u64::from(range) * u64::from(p.clamp(1, ONE - 1))) >> P_BITS) as u32
}

/// The most bytes that are pending before [`Encoder::finish`].
pub const FLUSH_BYTES: usize = 4;
/// Bits of a probability.
pub const P_BITS: u32 = 16;
/// A probability of one.
pub const ONE: u32 = 1 << P_BITS;
/// A probability of a half.
pub const HALF: u32 = ONE / 2;

/// Below this range a byte is written: the smallest probability still gets 256 of it.
const LEAST_RANGE: u32 = 1 << 24;
