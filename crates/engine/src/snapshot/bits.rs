//! Bit streams, least significant bit first.

/// Writes bits to the end of a buffer that starts empty.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self {
            out,
            pending: 0,
            pending_bits: 0,
        }
    }

    /// How many bits were written.
    pub(super) fn len(&self) -> usize {
        self.out.len() * 8 + self.pending_bits as usize
    }

    /// Writes the low `bits` bits, at most 32, of a value that has no others.
    pub(super) fn write(&mut self, value: u32, bits: u32) {
        self.pending |= u64::from(value) << self.pending_bits;
        self.pending_bits += bits;
        while self.pending_bits >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_bits -= 8;
        }
    }

    /// Writes `value + 1` in Elias-gamma.
    pub(super) fn write_gamma(&mut self, value: u32) {
        let n = u64::from(value) + 1;
        let after_first = n.ilog2();
        self.write(0, after_first);
        self.write(1, 1);
        if after_first > 0 {
            let tail = (n - (1 << after_first)) as u32;
            self.write(
                tail.reverse_bits() >> (u32::BITS - after_first),
                after_first,
            );
        }
    }

    /// Fills the last byte up with zeros.
    pub(super) fn finish(self) {
        if self.pending_bits > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

/// How many bits `value + 1` takes in Elias-gamma, 1–65.
pub(super) fn gamma_bits(value: u32) -> u32 {
    2 * (u64::from(value) + 1).ilog2() + 1
}

/// Reads bits from bytes that may end anywhere.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads `bits` bits, at most 32; `None` where they are not there.
    pub(super) fn read(&mut self, bits: u32) -> Option<u32> {
        let end = self.at + bits as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let mut window = [0; 8];
        let from = &self.bytes[self.at / 8..];
        let len = from.len().min(window.len());
        window[..len].copy_from_slice(&from[..len]);
        let value = u64::from_le_bytes(window) >> (self.at % 8);
        self.at = end;
        Some((value & ((1 << bits) - 1)) as u32)
    }

    /// Reads a value that was written as `value + 1` in Elias-gamma; `None` where the bits are not
    /// there or say more than a `u32` holds.
    pub(super) fn read_gamma(&mut self) -> Option<u32> {
        let mut after_first = 0;
        while self.read(1)? == 0 {
            after_first += 1;
            if after_first > u32::BITS {
                return None;
            }
        }
        if after_first == 0 {
            return Some(0);
        }
        let tail = self.read(after_first)?.reverse_bits() >> (u32::BITS - after_first);
        u32::try_from((1_u64 << after_first) + u64::from(tail) - 1).ok()
    }

    /// Whether nothing is left but the zeros that fill the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        let left = self.bytes.len() * 8 - self.at;
        left < 8 && (left == 0 || self.bytes[self.at / 8] >> (self.at % 8) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gamma(value: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = BitWriter::new(&mut out);
        writer.write_gamma(value);
        assert_eq!(writer.len(), gamma_bits(value) as usize);
        writer.finish();
        out
    }

    #[test]
    fn elias_gamma_is_as_documented() {
        // 1 is "1"; 5 is "00" and "101", each bit going to the next higher place of the byte.
        assert_eq!(gamma(0), [0b1]);
        assert_eq!(gamma(4), [0b10100]);
        assert_eq!(gamma(5), [0b01100]);
    }

    #[test]
    fn elias_gamma_takes_every_u32() {
        for value in [0, 1, 2, 3, 254, 255, 256, 65_535, u32::MAX - 1, u32::MAX] {
            let bytes = gamma(value);
            let mut reader = BitReader::new(&bytes);
            assert_eq!(reader.read_gamma(), Some(value));
            assert!(reader.is_at_end());
        }
        assert_eq!(BitReader::new(&[0; 16]).read_gamma(), None);
        let mut beyond = [0; 9];
        beyond[4] = 0b11;
        assert_eq!(
            BitReader::new(&beyond).read_gamma(),
            None,
            "2^32 + 2^31 is no u32"
        );
    }

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
}
