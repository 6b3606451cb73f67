//! What a packet's bits are predicted from: counters in contexts, and the weights that blend them.
//!
//! All of it starts from the prior in every packet, and adapts within it.

use crate::range_coder::BitCoder;
use crate::range_coder::mixing::{squash, stretch};

/// Predicts bits and learns from them.
pub(super) trait Predict {
    /// Codes a bit that each of `slots`, moved on by `node`, has an opinion of; `set` says which weights blend them.
    fn mixed(
        &mut self,
        coder: &mut impl BitCoder,
        slots: &[usize; OPINIONS],
        node: usize,
        set: usize,
        bit: bool,
    ) -> bool;

    /// Codes a bit from one slot alone.
    fn direct(&mut self, coder: &mut impl BitCoder, slot: usize, bit: bool) -> bool;
}

/// The state of all contexts within a packet.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) slots: Box<[Slot; SLOTS]>,
    pub(super) weights: Box<[Weights; SETS]>,
    prior_slots: Box<[Slot; SLOTS]>,
    prior_weights: Box<[Weights; SETS]>,
}

/// How much each opinion counts, in 1/2^[`WEIGHT_BITS`].
pub(super) type Weights = [i16; OPINIONS];

impl Model {
    /// A model that starts from what was learned from recordings.
    pub(super) fn trained() -> Self {
        Self::from_prior(PRIOR)
    }

    /// A model that knows nothing.
    pub(super) fn untrained() -> Self {
        let unknown = prior_bytes(&[(1 << 15, 0); SLOTS], &[[FIRST_WEIGHT; OPINIONS]; SETS]);
        Self::from_prior(&unknown)
    }

    /// A model that starts from what [`prior_bytes`] wrote; what is missing is as nothing known.
    pub(super) fn from_prior(bytes: &[u8]) -> Self {
        let mut slots = Box::new([Slot::new(1 << 15, 0); SLOTS]);
        let mut weights = Box::new([[FIRST_WEIGHT; OPINIONS]; SETS]);
        let mut words = bytes
            .chunks_exact(2)
            .map(|word| u16::from_le_bytes([word[0], word[1]]));
        for (slot, word) in slots.iter_mut().zip(&mut words) {
            let confidence = CONFIDENCES[usize::from(word % CONFIDENCES.len() as u16)];
            // The middle of what the rounding left open.
            *slot = Slot::new(word & P_MASK | 8, confidence);
        }
        for (weight, word) in weights.iter_mut().flatten().zip(words) {
            *weight = word as i16;
        }
        Self {
            prior_slots: slots.clone(),
            prior_weights: weights.clone(),
            slots,
            weights,
        }
    }

    /// Forgets everything but the prior.
    pub(super) fn restart(&mut self) {
        self.slots.copy_from_slice(&self.prior_slots[..]);
        self.weights.copy_from_slice(&self.prior_weights[..]);
    }
}

/// A prior as bytes: for each slot a 16-bit word, little-endian, of which the lowest four bits are
/// the index of its confidence and the others the upper bits of its probability; then the weights.
pub(super) fn prior_bytes(starts: &[(u16, usize)], weights: &[Weights]) -> Vec<u8> {
    let starts = starts
        .iter()
        .map(|(p, confidence)| p & P_MASK | *confidence as u16);
    let weights = weights.iter().flatten().map(|weight| *weight as u16);
    starts.chain(weights).flat_map(u16::to_le_bytes).collect()
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
    fn mixed(
        &mut self,
        coder: &mut impl BitCoder,
        slots: &[usize; OPINIONS],
        node: usize,
        set: usize,
        bit: bool,
    ) -> bool {
        let weights = &mut self.weights[set];
        let (mut lanes, mut sum) = (Lanes::default(), 0);
        for (n, slot) in slots.iter().enumerate() {
            let slot = self.slots[slot + node];
            lanes.p[n] = slot.p;
            lanes.rate[n] = slot.rate;
            let opinion = stretch(u32::from(slot.p));
            lanes.opinions[n] = opinion as i16;
            sum += i32::from(weights[n]) * opinion;
        }
        let blend = squash(sum >> WEIGHT_BITS);
        let bit = coder.code(bit, blend);
        let error = ((i32::from(bit) << 16) - blend as i32) >> LEARN_SHIFT;
        train(weights, &lanes.opinions, error as i16);
        adapt(&mut lanes, u16::from(bit).wrapping_neg());
        for (n, slot) in slots.iter().enumerate() {
            self.slots[slot + node] = Slot {
                p: lanes.p[n],
                rate: lanes.rate[n],
            };
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

/// The opinions of one bit side by side. The functions below are kept whole, so that each becomes a
/// few vector instructions.
#[derive(Default)]
#[repr(align(16))]
struct Lanes {
    p: [u16; OPINIONS],
    rate: [u16; OPINIONS],
    opinions: [i16; OPINIONS],
}

#[inline(never)]
fn train(weights: &mut [i16; OPINIONS], opinions: &[i16; OPINIONS], error: i16) {
    for n in 0..OPINIONS {
        let step = ((i32::from(opinions[n]) * i32::from(error)) >> 16) as i16;
        weights[n] = weights[n].saturating_add(step);
    }
}

#[inline(never)]
fn adapt(lanes: &mut Lanes, mask: u16) {
    for n in 0..OPINIONS {
        let away = lanes.p[n] ^ mask;
        lanes.p[n] = (away - high(away, lanes.rate[n])) ^ mask;
        let rate = lanes.rate[n] - high(lanes.rate[n], lanes.rate[n]);
        lanes.rate[n] = rate.max(LEAST_RATE);
    }
}

/// How many slots have an opinion of each bit.
pub(super) const OPINIONS: usize = 8;
/// Bits of a weight behind the point.
pub(super) const WEIGHT_BITS: u32 = 12;
/// How fast weights move within a packet.
const LEARN_SHIFT: u32 = 3;
/// A counter forgets what is more than this many bits back.
const LEAST_RATE: u16 = 65_535 / 256;
/// Each opinion's weight before anything is known, in the model's units: together a little more
/// than one, since opinions that agree are surer than each.
const FIRST_WEIGHT: i16 = (1 << WEIGHT_BITS) / 5;
/// The confidences that a prior can have, in bits that it rests on.
pub(super) const CONFIDENCES: [u16; 16] =
    [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 160, 255];
/// The bits of a probability that a prior keeps.
const P_MASK: u16 = 0xfff0;
/// Slots of the whole model.
pub(super) const SLOTS: usize = super::walk::SLOTS;
/// Weight sets of the whole model.
pub(super) const SETS: usize = super::walk::SETS;

/// What `peer-snapshots train` made of recorded scenes.
static PRIOR: &[u8] = include_bytes!("prior.bin");
