//! Log-odds to probabilities: where opinions of one bit are added as log-odds, their sum is turned
//! into a probability again, as in the PAQ compressors (Mahoney, "Adaptive Weighing of Context
//! Models for Lossless Data Compression", 2005).

use super::ONE;

/// The probability, in 1/65536 and within 1..=65535, that log-odds stand for.
#[inline]
pub fn squash(odds: i32) -> u32 {
    let at = (odds.clamp(-MAX, MAX) + MAX) as usize >> SQUASH_SHIFT;
    u32::from(SQUASH[at])
}

/// Log-odds of 1.
pub const UNIT: i32 = 256;
/// The greatest log-odds, just under 1 in 60,000.
pub const MAX: i32 = 11 * UNIT;

/// [`squash`] has an entry for every fourth of its argument's steps: the rounding costs less than
/// 1/10,000 of a bit.
const SQUASH_SHIFT: u32 = 2;

const SQUASH_LEN: usize = ((2 * MAX as usize) >> SQUASH_SHIFT) + 1;
static SQUASH: [u16; SQUASH_LEN] = squash_table();

/// `65536 / (1 + e^-x)` at `x = -MAX/UNIT` and on, in steps of 1/64.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squash_is_the_logistic_function() {
        for odds in (-MAX..=MAX).step_by(64) {
            let exact = 65_536.0 / (1.0 + (-f64::from(odds) / 256.0).exp());
            assert!((f64::from(squash(odds)) - exact).abs() <= 2.0, "{odds}");
        }
        assert!(squash(i32::MIN) >= 1 && squash(i32::MAX) < ONE);
    }
}
