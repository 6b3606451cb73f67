//! What a packet's bits are predicted from: log-odds in contexts that add up, and counters.
//!
//! All of it starts from the prior in every packet, and adapts within it.

use crate::range_coder::BitCoder;
use crate::range_coder::log_odds::{self, squash};

/// Predicts bits and learns from them.
pub(super) trait Predict {
    /// Codes a bit that each of `rows`, moved on by `node`, has an opinion of.
    fn mixed(
        &mut self,
        coder: &mut impl BitCoder,
        rows: &[u16; OPINIONS],
        node: usize,
        bit: bool,
    ) -> bool;

    /// Codes a bit from one slot alone.
    fn direct(&mut self, coder: &mut impl BitCoder, slot: usize, bit: bool) -> bool;
}

/// The state of all contexts within a packet.
///
/// A bit that is mixed is as likely as the sum of its opinions, which are log-odds, says. All of
/// them then move the same way, by how wrong the sum was: a logistic regression that goes on
/// learning. Since the prior was learned as one, no opinion needs a weight.
#[derive(Clone, Debug)]
pub(super) struct Model {
    opinions: Box<[i16; ROOM]>,
    slots: Box<[Slot; SLOTS]>,
    prior_opinions: Box<[i16; ROOM]>,
    prior_slots: Box<[Slot; SLOTS]>,
}

impl Model {
    /// A model that starts from what was learned from recordings.
    pub(super) fn trained() -> Self {
        Self::from_prior(PRIOR)
    }

    /// A model that starts from what [`prior_bytes`] wrote; what is missing is as nothing known.
    pub(super) fn from_prior(bytes: &[u8]) -> Self {
        let mut opinions = Box::new([0; ROOM]);
        let mut slots = Box::new([Slot::new(1 << 15, 0); SLOTS]);
        let mut words = bytes
            .chunks_exact(2)
            .map(|word| u16::from_le_bytes([word[0], word[1]]));
        for (opinion, word) in opinions[..MIXED].iter_mut().zip(&mut words) {
            *opinion = word as i16;
        }
        for (slot, word) in slots.iter_mut().zip(words) {
            let confidence = CONFIDENCES[usize::from(word % CONFIDENCES.len() as u16)];
            // The middle of what the rounding left open.
            *slot = Slot::new(word & P_MASK | 8, confidence);
        }
        Self {
            prior_opinions: opinions.clone(),
            prior_slots: slots.clone(),
            opinions,
            slots,
        }
    }

    /// Forgets everything but the prior.
    pub(super) fn restart(&mut self) {
        self.opinions[..MIXED].copy_from_slice(&self.prior_opinions[..MIXED]);
        self.slots.copy_from_slice(&self.prior_slots[..]);
    }
}

/// A prior as bytes: 16-bit words, little-endian. First the opinions; then for each slot a word of
/// which the lowest four bits are the index of its confidence and the others the upper bits of its
/// probability.
pub(super) fn prior_bytes(opinions: &[i16], starts: &[(u16, usize)]) -> Vec<u8> {
    let opinions = opinions.iter().map(|opinion| *opinion as u16);
    let starts = starts
        .iter()
        .map(|(p, confidence)| p & P_MASK | *confidence as u16);
    opinions.chain(starts).flat_map(u16::to_le_bytes).collect()
}

/// A probability that a bit is set, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// In 1/65536.
    pub(super) p: u16,
    /// How far it moves towards the next bit, in 1/65536.
    pub(super) rate: u16,
}

impl Slot {
    /// What is known after `bits` bits, a share of `p / 65536` of which were set.
    pub(super) const fn new(p: u16, bits: u16) -> Self {
        Self {
            p,
            rate: (655_360 / (bits as u32 * 10 + 16)) as u16,
        }
    }

    #[inline]
    pub(super) fn learn(&mut self, bit: bool) {
        let mask = u16::from(bit).wrapping_neg();
        let away = self.p ^ mask;
        self.p = (away - high(away, self.rate)) ^ mask;
        self.rate = (self.rate - high(self.rate, self.rate)).max(LEAST_RATE);
    }
}

/// The upper half of a product.
#[inline]
fn high(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

impl Predict for Model {
    // A call would cost a third of it.
    #[allow(
        clippy::inline_always,
        reason = "most of a packet's time is spent here"
    )]
    #[inline(always)]
    fn mixed(
        &mut self,
        coder: &mut impl BitCoder,
        rows: &[u16; OPINIONS],
        node: usize,
        bit: bool,
    ) -> bool {
        let mut sum = 0;
        for row in rows {
            sum += i32::from(self.opinions[(usize::from(*row) + node) % ROOM]);
        }
        let p = squash(sum >> SUM_SHIFT);
        let bit = coder.code(bit, p);
        let wrong = (i32::from(bit) << 16) - p as i32;
        let step = ((wrong * RATE) >> 16) as i16;
        for row in rows {
            let opinion = &mut self.opinions[(usize::from(*row) + node) % ROOM];
            // Only a forged packet gets it to wrap, and then on both sides alike.
            *opinion = opinion.wrapping_add(step);
        }
        bit
    }

    #[inline]
    fn direct(&mut self, coder: &mut impl BitCoder, slot: usize, bit: bool) -> bool {
        let slot = &mut self.slots[slot];
        let bit = coder.code(bit, u32::from(slot.p));
        slot.learn(bit);
        bit
    }
}

/// How many rows have an opinion of each bit.
pub(super) const OPINIONS: usize = 8;
/// Log-odds of 1 in an opinion.
pub(super) const UNIT: i32 = log_odds::UNIT << SUM_SHIFT;
const SUM_SHIFT: u32 = 3;
/// How far an opinion moves after a bit that was taken for impossible, in 1/[`UNIT`].
pub(super) const RATE: i32 = 100;
/// A counter forgets what is more than this many bits back.
const LEAST_RATE: u16 = 65_535 / 256;
/// The confidences that a prior can have, in bits that it rests on.
pub(super) const CONFIDENCES: [u16; 16] =
    [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 160, 255];
/// The bits of a probability that a prior keeps.
const P_MASK: u16 = 0xfff0;
/// Opinions of the whole model.
pub(super) const MIXED: usize = super::walk::MIXED;
/// Slots of the whole model.
pub(super) const SLOTS: usize = super::walk::SLOTS;
/// Room for all opinions, a power of two so that no index needs a check.
const ROOM: usize = 1 << 15;
const _: () = assert!(MIXED <= ROOM);

/// What `peer-snapshots train` made of recorded scenes.
static PRIOR: &[u8] = include_bytes!("prior.bin");
