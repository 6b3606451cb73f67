//! What a session remembers of each tick, and how it guesses.

use super::RING;
use crate::confirmed::{ConfirmedTick, copy_input, copy_log, set_data, view_tick};
use crate::input_buffer::MAX_REPEATS;
use crate::simulation::{InputStatus, Slot, SlotInput, Tick, TickLog};

/// A tick: the log that it ran on, or is to.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Its tick is 0 where there is none.
    pub(super) log: TickLog,
    pub(super) confirmed: bool,
    pub(super) hash: Option<u64>,
    /// Slots whose guess rests on one that was wrong.
    pub(super) stale: SlotSet,
    /// For how many ticks in a row each slot's input was repeated by the server.
    quiet: Vec<u8>,
}

impl Entry {
    /// There is nothing of this tick any more.
    pub(super) fn forget(&mut self) {
        self.log.tick = 0;
        self.confirmed = false;
        self.hash = None;
    }

    /// Takes over what the server says. Where it was `guessed` otherwise, answers the slots whose
    /// inputs differ (none where only what else happened does).
    pub(super) fn confirm(
        &mut self,
        tick: &ConfirmedTick,
        before: &Self,
        guessed: bool,
    ) -> Option<SlotSet> {
        let mut wrong = None;
        if guessed {
            let mut slots = SlotSet::default();
            let inputs = self.log.inputs.iter_mut().zip(&tick.log.inputs);
            for (slot, (guess, input)) in inputs.enumerate() {
                if guess != input {
                    copy_input(input, guess);
                    slots.insert(slot);
                }
            }
            let happenings = self.log.happenings != tick.log.happenings;
            if happenings {
                self.log.happenings.clone_from(&tick.log.happenings);
            }
            if happenings || !slots.is_empty() {
                wrong = Some(slots);
            }
        } else {
            copy_log(&tick.log, &mut self.log);
        }
        self.quiet.resize(self.log.inputs.len(), 0);
        let known = before.log.tick + 1 == self.log.tick;
        for (slot, input) in self.log.inputs.iter().enumerate() {
            self.quiet[slot] = match input.status {
                InputStatus::Repeated if known => before.quiet[slot].saturating_add(1),
                InputStatus::Repeated => 1,
                _ => 0,
            };
        }
        self.stale = SlotSet::default();
        self.confirmed = true;
        self.hash = tick.hash;
        wrong
    }

    /// Guesses a tick from the one before it, as far as no guess is here that holds still.
    pub(super) fn predict(
        &mut self,
        tick: Tick,
        slots: usize,
        before: &Self,
        local: Option<Slot>,
        own: &OwnInputs,
    ) {
        let known = (before.log.tick + 1 == tick && before.log.tick != 0).then_some(before);
        if self.log.tick == tick {
            let stale = std::mem::take(&mut self.stale);
            for slot in stale.iter() {
                self.predict_slot(tick, slot, known, local, own);
            }
            return;
        }
        self.log.tick = tick;
        self.log.happenings.clear();
        self.log.inputs.resize_with(slots, SlotInput::default);
        self.quiet.resize(slots, 0);
        self.stale = SlotSet::default();
        self.confirmed = false;
        self.hash = None;
        for slot in 0..slots {
            self.predict_slot(tick, slot, known, local, own);
        }
    }

    /// Guesses one slot's input: what was sent, or else what was there before, marked as the
    /// server will most likely mark it.
    fn predict_slot(
        &mut self,
        tick: Tick,
        slot: usize,
        before: Option<&Self>,
        local: Option<Slot>,
        own: &OwnInputs,
    ) {
        let input = &mut self.log.inputs[slot];
        let is_local = local.is_some_and(|local| usize::from(local) == slot);
        if is_local && let Some(data) = own.get(tick) {
            input.status = InputStatus::Fresh;
            input.view_tick = view_tick(tick);
            set_data(&mut input.data, data);
            self.quiet[slot] = 0;
            return;
        }
        let (last, quiet) = match before {
            Some(before) => (Some(&before.log.inputs[slot]), before.quiet[slot]),
            None => (None, 0),
        };
        let status = last.map_or(InputStatus::Absent, |last| last.status);
        let (status, quiet) = match status {
            InputStatus::Absent => (InputStatus::Absent, 0),
            // One lost input is followed by one that arrives. Whoever has been silent for longer
            // stays so, and so does a local player who has sent nothing for this tick.
            _ if !is_local && quiet < SILENT => (InputStatus::Fresh, 0),
            _ if u32::from(quiet) < MAX_REPEATS => (InputStatus::Repeated, quiet + 1),
            _ => (InputStatus::Absent, 0),
        };
        input.status = status;
        self.quiet[slot] = quiet;
        match last {
            Some(last) if status != InputStatus::Absent => {
                input.view_tick = view_tick(tick);
                set_data(&mut input.data, &last.data);
            }
            _ => {
                input.view_tick = 0;
                input.data.clear();
            }
        }
    }
}

/// The local player's inputs by tick.
#[derive(Debug)]
pub(super) struct OwnInputs {
    input_len: usize,
    /// The tick of the input at each place; 0 for none.
    ticks: Vec<Tick>,
    /// Whether the game's verdict was asked.
    judged: Vec<bool>,
    data: Vec<u8>,
}

impl OwnInputs {
    pub(super) fn new(input_len: usize) -> Self {
        Self {
            input_len,
            ticks: vec![0; RING],
            judged: vec![false; RING],
            data: vec![0; RING * input_len],
        }
    }

    /// Answers whether it is the tick's first, and has the right length.
    pub(super) fn insert(&mut self, tick: Tick, data: &[u8]) -> bool {
        let place = tick as usize % RING;
        if self.ticks[place] == tick || data.len() != self.input_len {
            return false;
        }
        self.ticks[place] = tick;
        self.judged[place] = false;
        self.data[place * self.input_len..][..self.input_len].copy_from_slice(data);
        true
    }

    pub(super) fn get(&self, tick: Tick) -> Option<&[u8]> {
        let place = tick as usize % RING;
        (self.ticks[place] == tick).then(|| &self.data[place * self.input_len..][..self.input_len])
    }

    /// An input that the game has not been asked about; it now has.
    pub(super) fn judge(&mut self, tick: Tick) -> Option<&[u8]> {
        let judged = &mut self.judged[tick as usize % RING];
        if self.ticks[tick as usize % RING] != tick || std::mem::replace(judged, true) {
            return None;
        }
        self.get(tick)
    }

    pub(super) fn amend(&mut self, tick: Tick, data: Option<&[u8]>) {
        let place = tick as usize % RING;
        if self.ticks[place] != tick {
            return;
        }
        match data {
            Some(data) if data.len() == self.input_len => {
                self.data[place * self.input_len..][..self.input_len].copy_from_slice(data);
            }
            _ => self.ticks[place] = 0,
        }
    }
}

/// Some of at most 256 slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotSet([u64; 4]);

impl SlotSet {
    pub(super) fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub(super) fn insert_all(&mut self, other: Self) {
        for (bits, other) in self.0.iter_mut().zip(other.0) {
            *bits |= other;
        }
    }

    fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(word, mut bits)| {
            std::iter::from_fn(move || {
                let place = bits.trailing_zeros() as usize;
                (bits != 0).then(|| {
                    bits &= bits - 1;
                    64 * word + place
                })
            })
        })
    }
}

/// From how many repeated inputs in a row on a player counts as silent: one tick's input is lost
/// now and then even where each is sent several times, two in a row hardly ever are.
const SILENT: u8 = 2;
