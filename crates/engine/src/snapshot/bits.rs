//! Bit streams, least significant bit first.

/// Writes bits to the end of a buffer that starts empty.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    /// 0–63.
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self {
            out,
            pending: 0,
            pending_bits: 0,
        }
    }

    /// How many bits were written.
    pub(crate) fn len(&self) -> usize {
        self.out.len() * 8 + self.pending_bits as usize
    }

    /// Writes the low `bits` bits, at most 32, of a value that has no others.
    #[inline]
    pub(crate) fn write(&mut self, value: u32, bits: u32) {
        self.write_wide(u64::from(value), bits);
    }

    /// Writes the low `bits` bits, at most 64, of a value that has no others.
    #[inline]
    pub(crate) fn write_wide(&mut self, value: u64, bits: u32) {
        self.pending |= value << self.pending_bits;
        let total = self.pending_bits + bits;
        if total < u64::BITS {
            self.pending_bits = total;
            return;
        }
        self.out.extend_from_slice(&self.pending.to_le_bytes());
        // What did not fit any more; where everything before was written out, that is nothing.
        self.pending = value
            .checked_shr(u64::BITS - self.pending_bits)
            .unwrap_or(0);
        self.pending_bits = total - u64::BITS;
    }

    /// Writes a value in Exp-Golomb of order `k`, 0–31: for `n = value + 2^k`, as many zeros as
    /// `n` has bits beyond `k + 1`, a one, and `n` without its highest bit.
    #[inline]
    pub(crate) fn write_golomb(&mut self, value: u32, k: u32) {
        let n = u64::from(value) + (1 << k);
        let tail_bits = n.ilog2();
        let zeros = tail_bits - k;
        let tail = n - (1 << tail_bits);
        if zeros + 1 + tail_bits <= u64::BITS {
            self.write_wide((1 << zeros) | (tail << (zeros + 1)), zeros + 1 + tail_bits);
        } else {
            self.write_wide(1 << zeros, zeros + 1);
            self.write_wide(tail, tail_bits);
        }
    }

    /// Fills the last byte up with zeros.
    pub(crate) fn finish(self) {
        let bytes = self.pending_bits.div_ceil(8) as usize;
        self.out
            .extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
    }
}

/// How many bits a value takes in Exp-Golomb of order `k`, 1–65.
#[inline]
pub(crate) fn golomb_bits(value: u32, k: u32) -> u32 {
    2 * (u64::from(value) + (1 << k)).ilog2() + 1 - k
}

/// Reads bits from bytes that may end anywhere.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits, at least 57 of them, with zeros beyond the end.
    #[inline]
    fn window(&self) -> u64 {
        let from = &self.bytes[self.at / 8..];
        let word = match from.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut window = [0; 8];
                window[..from.len()].copy_from_slice(from);
                u64::from_le_bytes(window)
            }
        };
        word >> (self.at % 8)
    }

    #[inline]
    fn skip(&mut self, bits: u32) -> Option<()> {
        let end = self.at + bits as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        self.at = end;
        Some(())
    }

    /// Reads `bits` bits, at most 32; `None` where they are not there.
    #[inline]
    pub(crate) fn read(&mut self, bits: u32) -> Option<u32> {
        let window = self.window();
        self.skip(bits)?;
        Some((window & ((1 << bits) - 1)) as u32)
    }

    /// Reads a value in Exp-Golomb of order `k`, 0–31; `None` where the bits are not there or say
    /// more than a `u32` holds.
    #[inline]
    pub(crate) fn read_golomb(&mut self, k: u32) -> Option<u32> {
        let window = self.window();
        let zeros = window.trailing_zeros();
        let tail_bits = zeros + k;
        if zeros > u32::BITS {
            return None;
        }
        let tail = if zeros + 1 + tail_bits <= SURE_BITS {
            self.skip(zeros + 1 + tail_bits)?;
            (window >> (zeros + 1)) & ((1 << tail_bits) - 1)
        } else {
            self.skip(zeros + 1)?;
            let low = self.read(tail_bits.min(u32::BITS))?;
            let high = self.read(tail_bits.saturating_sub(u32::BITS))?;
            u64::from(low) | (u64::from(high) << u32::BITS)
        };
        // Beyond 33 bits no `u32` is meant, and the shift below stays within its type.
        if tail_bits > u32::BITS {
            return None;
        }
        u32::try_from((1_u64 << tail_bits) + tail - (1 << k)).ok()
    }

    /// Whether nothing is left but the zeros that fill the last byte.
    pub(crate) fn is_at_end(&self) -> bool {
        let left = self.bytes.len() * 8 - self.at;
        left < 8 && (left == 0 || self.bytes[self.at / 8] >> (self.at % 8) == 0)
    }
}

/// How many bits a window has at any place.
const SURE_BITS: u32 = 57;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_end_is_none() {
        let mut reader = BitReader::new(&[0xff, 0x0f]);
        assert_eq!(reader.read(12), Some(0xfff));
        assert!(reader.is_at_end());
        assert_eq!(reader.read(5), None);
        assert_eq!(reader.read(4), Some(0));
        assert_eq!(reader.read(0), Some(0));
        assert_eq!(reader.read(1), None);
    }

    #[test]
    fn exp_golomb_takes_every_u32_of_every_order() {
        let values = [
            0,
            1,
            2,
            3,
            7,
            8,
            255,
            65_535,
            1 << 31,
            u32::MAX - 1,
            u32::MAX,
        ];
        for k in 0..32 {
            let mut out = Vec::new();
            let mut writer = BitWriter::new(&mut out);
            let mut bits = 0;
            for value in values {
                writer.write_golomb(value, k);
                bits += golomb_bits(value, k) as usize;
                assert_eq!(writer.len(), bits, "order {k}, value {value}");
            }
            writer.finish();
            let mut reader = BitReader::new(&out);
            for value in values {
                assert_eq!(reader.read_golomb(k), Some(value), "order {k}");
            }
            assert!(reader.is_at_end());
        }
    }

    #[test]
    fn exp_golomb_ends_where_the_bits_end() {
        assert_eq!(BitReader::new(&[]).read_golomb(3), None);
        assert_eq!(BitReader::new(&[0; 16]).read_golomb(0), None);
        assert_eq!(BitReader::new(&[0b1000]).read_golomb(4), None);
        let beyond = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(BitReader::new(&beyond).read_golomb(31), None);
    }

    #[test]
    fn whole_words_cross_byte_borders() {
        let mut out = Vec::new();
        let mut writer = BitWriter::new(&mut out);
        writer.write(1, 1);
        writer.write_wide(u64::MAX, 64);
        writer.write_wide(0, 63);
        writer.write_wide(u64::MAX, 64);
        writer.finish();
        assert_eq!(out[..8], [0xff; 8]);
        assert_eq!(out[8], 1);
        assert_eq!(out[16..], [0xff; 8]);
    }
}
