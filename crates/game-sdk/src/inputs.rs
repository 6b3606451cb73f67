//! The inputs of one tick.

use gs_engine::simulation::{InputStatus, Slot, TickFraction};

/// What each player's device says this tick.
///
/// A player whose packet is late counts as still doing what they did: [`get`](Self::get) then
/// answers their last input again.
#[derive(Clone, Debug)]
pub struct Inputs<I> {
    pub(crate) slots: Vec<Option<Received<I>>>,
}

/// The input of one slot.
#[derive(Clone, Debug)]
pub(crate) struct Received<I> {
    pub(crate) status: InputStatus,
    pub(crate) view_tick: TickFraction,
    pub(crate) input: I,
}

impl<I> Inputs<I> {
    /// The input of a slot; `None` where the player has sent none yet or is not there.
    pub fn get(&self, slot: Slot) -> Option<&I> {
        self.received(slot).map(|received| &received.input)
    }

    /// Whether the input of a slot is one that was not used before, not a repetition.
    pub fn is_fresh(&self, slot: Slot) -> bool {
        self.received(slot)
            .is_some_and(|received| received.status == InputStatus::Fresh)
    }

    /// The moment that a player was looking at, in 1/256 ticks, for lag compensation: at most
    /// 250 ms before this tick and never after it.
    pub fn view_tick(&self, slot: Slot) -> Option<TickFraction> {
        self.received(slot).map(|received| received.view_tick)
    }

    /// All inputs, ascending by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &I)> {
        let slots = self.slots.iter().zip(0..);
        slots.filter_map(|(received, slot)| Some((slot, &received.as_ref()?.input)))
    }

    fn received(&self, slot: Slot) -> Option<&Received<I>> {
        self.slots.get(usize::from(slot))?.as_ref()
    }
}
