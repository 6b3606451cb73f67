//! Makes the prior from recordings: `cargo xtask bench snapshots` measures with it, and
//! `benches/peers/snapshots` has the command that trains it.
//!
//! Each counter's starting point is its mean over the recordings, with the confidence that would
//! have cost least. Opinions descend the gradient of what the packets cost, each packet adapting
//! from where they are (Duchi, Hazan, Singer, "Adaptive Subgradient Methods", 2011).

use super::RangedCodec;
use super::model::{
    CONFIDENCES, MIXED, Model, OPINIONS, Predict, RATE, SLOTS, Slot, UNIT, prior_bytes,
};
use super::walk::Walk;
use crate::range_coder::{BitCoder, Encoder};
use crate::schema::Schema;
use crate::simulation::NetState;
use crate::snapshot::{Delta, SnapshotError};

/// Learns a prior from deltas, in [`PASSES`](Self::PASSES) passes over all of them.
#[derive(Debug)]
pub struct Training {
    trainer: Trainer,
    walk: Walk,
    scratch: NetState,
    bytes: Vec<u8>,
}

impl Training {
    /// How often all deltas are to be learned from, each time in the same order. The first is
    /// for the counters' means, the second for the confidence in them, all are for the opinions.
    pub const PASSES: u32 = 8;

    /// Nothing learned yet.
    pub fn new() -> Self {
        Self {
            trainer: Trainer::new(),
            walk: Walk::default(),
            scratch: NetState::default(),
            bytes: Vec::new(),
        }
    }

    /// Learns from one delta.
    ///
    /// # Errors
    /// [`SnapshotError`] where a state does not keep the schema.
    pub fn learn(&mut self, schema: &Schema, delta: &Delta<'_>) -> Result<(), SnapshotError> {
        self.walk.prepare(schema, delta)?;
        self.bytes.clear();
        self.walk.code(
            &mut Encoder::new(&mut self.bytes),
            &mut self.trainer,
            schema,
            delta.base,
            delta.older,
            Some(delta.next),
            &mut self.scratch,
        )?;
        self.trainer.packet_ends();
        Ok(())
    }

    /// To be called after each pass.
    pub fn pass_ends(&mut self) {
        self.trainer.pass_ends();
    }

    /// What was learned, in the form in which the crate keeps it.
    pub fn prior(&self) -> Vec<u8> {
        let starts: Vec<(u16, usize)> = self.trainer.slots.iter().map(Trained::start).collect();
        let unit = f64::from(UNIT);
        let opinions: Vec<i16> = self
            .trainer
            .opinions
            .iter()
            .map(|opinion| (opinion.start * unit).round() as i16)
            .collect();
        prior_bytes(&opinions, &starts)
    }

    /// A codec that starts from what was learned rather than from the crate's own prior; others
    /// cannot read its deltas.
    pub fn codec(&self) -> RangedCodec {
        RangedCodec {
            model: Model::from_prior(&self.prior()),
            walk: Walk::default(),
            scratch: NetState::default(),
        }
    }
}

impl Default for Training {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Trainer {
    opinions: Vec<Opinion>,
    slots: Vec<Trained>,
    /// Opinions that the packet used.
    adapted: Vec<usize>,
    /// Slots that the packet used.
    touched: Vec<usize>,
    pass: u32,
}

/// What is known of one opinion, as log-odds.
#[derive(Clone, Debug, Default)]
struct Opinion {
    start: f64,
    /// How far it moved within the packet.
    adapted: f64,
    /// The sum of its gradients' squares.
    squares: f64,
}

/// What is known of one slot.
#[derive(Clone, Debug)]
struct Trained {
    ones: u64,
    total: u64,
    /// The slot as it would be, had it started with each of the confidences.
    live: [Slot; CONFIDENCES.len()],
    /// What that would have cost, in bits.
    cost: [f64; CONFIDENCES.len()],
    touched: bool,
}

impl Trainer {
    fn new() -> Self {
        let trained = Trained {
            ones: 0,
            total: 0,
            live: [Slot::new(1 << 15, 0); CONFIDENCES.len()],
            cost: [0.0; CONFIDENCES.len()],
            touched: false,
        };
        Self {
            opinions: vec![Opinion::default(); MIXED],
            slots: vec![trained; SLOTS],
            adapted: Vec::new(),
            touched: Vec::new(),
            pass: 0,
        }
    }

    fn packet_ends(&mut self) {
        for index in self.adapted.drain(..) {
            self.opinions[index].adapted = 0.0;
        }
        for index in self.touched.drain(..) {
            let trained = &mut self.slots[index];
            trained.touched = false;
            trained.restart();
        }
    }

    fn pass_ends(&mut self) {
        self.packet_ends();
        self.pass += 1;
        for trained in &mut self.slots {
            trained.restart();
        }
    }

    fn learn(&mut self, index: usize, bit: bool) {
        let trained = &mut self.slots[index];
        if !trained.touched {
            trained.touched = true;
            self.touched.push(index);
        }
        if self.pass == 0 {
            trained.total += 1;
            trained.ones += u64::from(bit);
        } else if self.pass == 1 {
            for (live, cost) in trained.live.iter_mut().zip(&mut trained.cost) {
                let p = f64::from(live.p.max(1)) / 65_536.0;
                *cost -= if bit { p } else { 1.0 - p }.log2();
                live.learn(bit);
            }
        }
    }
}

impl Trained {
    /// The mean in 1/65536, and the index of the best confidence.
    fn start(&self) -> (u16, usize) {
        // The estimate of Krichevsky and Trofimov, a little bolder.
        let mean = (self.ones as f64 + 0.4) / (self.total as f64 + 0.8);
        let cheaper = |a: &usize, b: &usize| self.cost[*a].total_cmp(&self.cost[*b]);
        let best = (0..CONFIDENCES.len()).min_by(cheaper).unwrap_or(0);
        ((mean * 65_536.0).clamp(16.0, 65_519.0) as u16, best)
    }

    fn restart(&mut self) {
        let (p, _) = self.start();
        self.live = CONFIDENCES.map(|bits| Slot::new(p, bits));
    }
}

impl Predict for Trainer {
    fn mixed(
        &mut self,
        _coder: &mut impl BitCoder,
        rows: &[u16; OPINIONS],
        node: usize,
        bit: bool,
    ) -> bool {
        let places = rows.map(|row| usize::from(row) + node);
        let sum: f64 = places
            .iter()
            .map(|place| self.opinions[*place].start + self.opinions[*place].adapted)
            .sum();
        let wrong = f64::from(u8::from(bit)) - 1.0 / (1.0 + (-sum).exp());
        let pace = PACE / f64::from(self.pass + 1);
        for place in places {
            let opinion = &mut self.opinions[place];
            opinion.squares += wrong * wrong;
            opinion.start += pace * wrong / (1.0 + opinion.squares).sqrt();
            opinion.adapted += wrong * f64::from(RATE) / f64::from(UNIT);
        }
        self.adapted.extend(places);
        bit
    }

    fn direct(&mut self, _coder: &mut impl BitCoder, slot: usize, bit: bool) -> bool {
        self.learn(slot, bit);
        bit
    }
}

/// How far opinions move in the first pass; later ones are slower.
const PACE: f64 = 0.2;
