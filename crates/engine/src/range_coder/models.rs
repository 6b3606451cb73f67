//! Models of single bits, and of numbers made of them.

use super::{BitCoder, HALF, ONE};

/// How likely a bit is set, learned from the bits before it: the mean of an estimate that follows
/// quickly and one that settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    fast: u16,
    slow: u16,
}

impl Bit {
    /// A bit that is set with a probability of `p / 65536` until more is known.
    pub const fn new(p: u16) -> Self {
        Self { fast: p, slow: p }
    }

    /// The probability that it is set, in 1/65536.
    #[inline]
    pub fn p(self) -> u32 {
        (u32::from(self.fast) + u32::from(self.slow)) / 2
    }

    /// Codes a bit and learns from it.
    #[inline]
    pub fn code(&mut self, coder: &mut impl BitCoder, bit: bool) -> bool {
        let bit = coder.code(bit, self.p());
        self.learn(bit);
        bit
    }

    /// Learns from a bit.
    #[inline]
    pub fn learn(&mut self, bit: bool) {
        let target = if bit { ONE - 1 } else { 0 };
        for (p, rate) in [(&mut self.fast, FAST_RATE), (&mut self.slow, SLOW_RATE)] {
            let step = (target as i32 - i32::from(*p)) >> rate;
            *p = (i32::from(*p) + step) as u16;
        }
    }
}

impl Default for Bit {
    fn default() -> Self {
        Self::new(HALF as u16)
    }
}

/// A symbol of a fixed number of bits, the highest first, each bit modelled in the context of those
/// before it. `N` is the number of symbols, a power of two of at most 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitTree<const N: usize> {
    nodes: [Bit; N],
}

impl<const N: usize> BitTree<N> {
    const BITS: u32 = {
        assert!(N.is_power_of_two() && N <= 1 << 16);
        N.trailing_zeros()
    };

    /// Codes a symbol below `N` (only its low bits count) and learns from it.
    pub fn code(&mut self, coder: &mut impl BitCoder, symbol: u32) -> u32 {
        let mut node = 1;
        for place in (0..Self::BITS).rev() {
            let bit = self.nodes[node].code(coder, symbol >> place & 1 != 0);
            node = node << 1 | usize::from(bit);
        }
        (node - N) as u32
    }
}

impl<const N: usize> Default for BitTree<N> {
    fn default() -> Self {
        Self {
            nodes: [Bit::default(); N],
        }
    }
}

/// An unsigned number, small ones being likelier: Exp-Golomb, with a model for each bit of the
/// prefix and for the first bits behind the leading one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned {
    prefix: [Bit; 32],
    tail: [[Bit; 1 << TAIL_BITS]; 33],
}

impl Unsigned {
    /// Codes any `u32` and learns from it.
    pub fn code(&mut self, coder: &mut impl BitCoder, value: u32) -> u32 {
        let n = u64::from(value) + 1;
        let bits = n.ilog2();
        let mut read_bits = 0;
        for (index, more) in self.prefix.iter_mut().enumerate() {
            if !more.code(coder, bits > index as u32) {
                break;
            }
            read_bits += 1;
        }
        let modelled = read_bits.min(TAIL_BITS);
        let models = &mut self.tail[read_bits as usize];
        let mut node = 1;
        for place in (read_bits - modelled..read_bits).rev() {
            let bit = models[node].code(coder, n >> place & 1 != 0);
            node = node << 1 | usize::from(bit);
        }
        let rest = read_bits - modelled;
        let low = coder.code_raw((n & ((1 << rest) - 1)) as u32, rest);
        // 33 significant bits hold more than a `u32`; bytes that say so mean its greatest.
        let read = (node as u64) << rest | u64::from(low);
        u32::try_from(read - 1).unwrap_or(u32::MAX)
    }
}

impl Default for Unsigned {
    fn default() -> Self {
        Self {
            prefix: [Bit::default(); 32],
            tail: [[Bit::default(); 1 << TAIL_BITS]; 33],
        }
    }
}

/// A signed number, those near zero being likelier: whether it is zero, its sign, and its
/// magnitude.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    some: Bit,
    negative: Bit,
    magnitude: Unsigned,
}

impl Signed {
    /// Codes any `i32` and learns from it.
    pub fn code(&mut self, coder: &mut impl BitCoder, value: i32) -> i32 {
        if !self.some.code(coder, value != 0) {
            return 0;
        }
        if self.negative.code(coder, value < 0) {
            // -1 is 0, so that the least value has its place.
            let magnitude = self.magnitude.code(coder, !value as u32);
            !(magnitude.min(i32::MAX as u32) as i32)
        } else {
            let magnitude = self
                .magnitude
                .code(coder, (value as u32).wrapping_sub(1))
                .min(i32::MAX as u32 - 1);
            magnitude as i32 + 1
        }
    }
}

/// 1/16 of the way with each bit: follows a change within some twenty bits.
const FAST_RATE: u32 = 4;
/// 1/128 of the way: settles.
const SLOW_RATE: u32 = 7;
/// How many bits of a number behind its leading one are modelled: beyond them the distribution is
/// flat for most numbers.
const TAIL_BITS: u32 = 2;
