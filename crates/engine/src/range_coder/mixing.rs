//! Blending several models' opinions of one bit, in the logistic domain.
//!
//! Opinions are added as log-odds ([`stretch`]), weighted, and turned into a probability again
//! ([`squash`]); the [`Mixer`] moves its weights towards whichever opinion was right. This is the
//! mixing of the PAQ compressors (Mahoney, "Adaptive Weighing of Context Models for Lossless Data
//! Compression", 2005).

use super::ONE;

/// The log-odds of a probability in 1/65536, in 1/[`STRETCH_UNIT`]; within ±[`STRETCH_MAX`].
#[inline]
pub fn stretch(p: u32) -> i32 {
    i32::from(STRETCH[(p as usize >> (16 - STRETCH_BITS)) & (STRETCH.len() - 1)])
}

/// The probability, in 1/65536 and within 1..=65535, that log-odds stand for.
#[inline]
pub fn squash(odds: i32) -> u32 {
    let at = (odds.clamp(-STRETCH_MAX, STRETCH_MAX) + STRETCH_MAX) as usize >> SQUASH_SHIFT;
    u32::from(SQUASH[at])
}

/// Weights for `N` opinions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixer<const N: usize> {
    /// In 1/65536.
    weights: [i32; N],
}

impl<const N: usize> Mixer<N> {
    /// Starts with these weights, in 1/65536.
    pub const fn new(weights: [i32; N]) -> Self {
        Self { weights }
    }

    /// The weights, in 1/65536.
    pub const fn weights(&self) -> &[i32; N] {
        &self.weights
    }

    /// The blend of `opinions`, which are log-odds.
    #[inline]
    pub fn mix(&self, opinions: &[i32; N]) -> i32 {
        let mut sum = 0;
        for (weight, opinion) in self.weights.iter().zip(opinions) {
            sum += i64::from(*weight) * i64::from(*opinion);
        }
        (sum >> 16) as i32
    }

    /// Learns from the bit that `opinions` came before, where `p` was their blend as a probability.
    /// `rate` is how far the weights move: 2 to 16 are useful.
    #[inline]
    pub fn learn(&mut self, opinions: &[i32; N], p: u32, bit: bool, rate: i32) {
        let error = (if bit { ONE as i32 } else { 0 } - p as i32) * rate;
        for (weight, opinion) in self.weights.iter_mut().zip(opinions) {
            let step = (i64::from(*opinion) * i64::from(error)) >> LEARN_SHIFT;
            *weight = (i64::from(*weight) + step).clamp(-WEIGHT_MAX, WEIGHT_MAX) as i32;
        }
    }
}

impl<const N: usize> Default for Mixer<N> {
    /// The mean of the opinions.
    fn default() -> Self {
        Self::new([ONE as i32 / N as i32; N])
    }
}

/// Log-odds of 1.
pub const STRETCH_UNIT: i32 = 256;
/// The greatest log-odds, just under 1 in 60,000.
pub const STRETCH_MAX: i32 = 11 * STRETCH_UNIT;

/// Bits of a probability that [`stretch`] looks at.
const STRETCH_BITS: u32 = 12;
/// [`squash`] has an entry for every fourth of its argument's steps: the rounding costs less than
/// 1/10,000 of a bit.
const SQUASH_SHIFT: u32 = 2;
/// Weights beyond ±16 would only amplify noise.
const WEIGHT_MAX: i64 = 16 * ONE as i64;
const LEARN_SHIFT: u32 = 14;

const SQUASH_LEN: usize = ((2 * STRETCH_MAX as usize) >> SQUASH_SHIFT) + 1;
static SQUASH: [u16; SQUASH_LEN] = squash_table();
static STRETCH: [i16; 1 << STRETCH_BITS] = stretch_table();

/// `65536 / (1 + e^-x)` at `x = -STRETCH_MAX/STRETCH_UNIT` and on, in steps of 1/64.
const fn squash_table() -> [u16; SQUASH_LEN] {
    /// e^(-1/64) in 1/2^62.
    const DECAY: u128 = 4_540_188_453_729_421_604;
    let mut table = [0; SQUASH_LEN];
    let middle = SQUASH_LEN / 2;
    // e^-x in 1/2^62.
    let mut power: u128 = 1 << 62;
    let mut step = 0;
    while step <= middle {
        let p = ((ONE as u128) << 62) / ((1 << 62) + power);
        let p = if p > 65_535 { 65_535 } else { p as u16 };
        table[middle + step] = p;
        // Symmetric, and never certain.
        let q = (ONE - p as u32) as u16;
        table[middle - step] = if q == 0 { 1 } else { q };
        power = (power * DECAY) >> 62;
        step += 1;
    }
    table
}

/// The inverse, at the middle of each interval of probabilities.
const fn stretch_table() -> [i16; 1 << STRETCH_BITS] {
    let mut table = [0; 1 << STRETCH_BITS];
    let width = ONE >> STRETCH_BITS;
    let (mut at, mut index) = (0, 0);
    while index < table.len() {
        let p = index as u32 * width + width / 2;
        while at + 1 < SQUASH_LEN && (SQUASH_VALUES[at + 1] as u32) <= p {
            at += 1;
        }
        // Between two entries, as the crow flies.
        let mut odds = (at << SQUASH_SHIFT) as i32 - STRETCH_MAX;
        if at + 1 < SQUASH_LEN {
            let (low, high) = (SQUASH_VALUES[at] as u32, SQUASH_VALUES[at + 1] as u32);
            if p > low {
                odds += (((p - low) << SQUASH_SHIFT) / (high - low)) as i32;
            }
        }
        table[index] = odds as i16;
        index += 1;
    }
    table
}

const SQUASH_VALUES: [u16; SQUASH_LEN] = squash_table();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range_coder::HALF;

    #[test]
    fn squash_is_the_logistic_function() {
        for odds in (-STRETCH_MAX..=STRETCH_MAX).step_by(64) {
            let exact = 65_536.0 / (1.0 + (-f64::from(odds) / 256.0).exp());
            assert!((f64::from(squash(odds)) - exact).abs() <= 2.0, "{odds}");
        }
        assert!(squash(i32::MIN) >= 1 && squash(i32::MAX) < ONE);
    }

    #[test]
    fn stretch_undoes_squash() {
        for p in (64..ONE - 64).step_by(16) {
            let back = squash(stretch(p));
            // Within the width of an interval of either table.
            assert!(
                back.abs_diff(p) <= 8 + p.min(ONE - p) / 64 + 2,
                "{p} {back}"
            );
        }
        // Both sides of a half are alike, but for rounding.
        assert!((stretch(HALF) + stretch(HALF - 1)).abs() <= 1);
    }

    #[test]
    fn a_mixer_learns_whom_to_believe() {
        let mut mixer = Mixer::<2>::default();
        for n in 0..2_000 {
            let bit = n % 3 == 0;
            // The first is always right, the second always says the opposite.
            let says = if bit { 512 } else { -512 };
            let opinions = [says, -says];
            let p = squash(mixer.mix(&opinions));
            mixer.learn(&opinions, p, bit, 4);
        }
        let [right, wrong] = *mixer.weights();
        assert!(right > ONE as i32 && wrong < 0, "{right} {wrong}");
        assert!(squash(mixer.mix(&[512, -512])) > ONE / 100 * 99);
    }
}
