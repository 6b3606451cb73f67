//! Looking back, for lag compensation.

use std::collections::VecDeque;

use gs_engine::simulation::{Tick, TickFraction};

use crate::{Reader, State};

/// What something was at each of the last ticks, 250 ms of them: where a target stood when the
/// player who shoots at it saw it.
///
/// In `full` a player sees others as they were: [`Inputs::view_tick`](crate::Inputs::view_tick)
/// says when. [`record`](Self::record) once a tick what the players see, and ask
/// [`at`](Self::at) at the view tick of whoever shoots. In `validated` every player sees the
/// present, the view tick is the tick itself, and nothing changes.
///
/// It is part of the state: keep the values small. A place in two `u16` of hundredths takes 64
/// bytes at 60 ticks a second, and is exactly what was seen if the net state has that precision.
///
/// ```
/// use game_sdk::{Blend, Rewind, State};
///
/// /// Where a target stood.
/// #[derive(State, Clone)]
/// struct Spot(f32);
///
/// impl Blend for Spot {
///     fn blend(&self, next: &Self, share: f32) -> Self {
///         Self(self.0 + (next.0 - self.0) * share)
///     }
/// }
///
/// let mut trail: Rewind<Spot> = Rewind::new(60);
/// for tick in 1..=100 {
///     trail.record(tick, Spot(tick as f32 * 0.5));
/// }
/// let seen = |moment| trail.at(moment).map(|spot| spot.0);
/// assert_eq!(seen(100 * 256), Some(50.0), "the present");
/// assert_eq!(seen(90 * 256 + 128), Some(45.25), "half way between two ticks");
/// assert_eq!(seen(10 * 256), Some(42.5), "250 ms ago and no farther");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rewind<T> {
    /// The tick of the last value.
    newest: Tick,
    /// How many ticks are kept besides the newest.
    span: u8,
    values: VecDeque<T>,
}

/// A value between two others in time.
pub trait Blend {
    /// What was between `self` and the value of the next tick; `share` is 0 at `self` and below 1.
    fn blend(&self, next: &Self, share: f32) -> Self;
}

impl<T> Rewind<T> {
    /// For so many ticks a second, at most 120: [`Game::TICK_RATE`](crate::Game::TICK_RATE).
    pub fn new(tick_rate: u32) -> Self {
        let span = (tick_rate * MAX_MS).div_ceil(1000).min(MAX_SPAN);
        Self {
            newest: 0,
            span: span as u8,
            values: VecDeque::with_capacity(span as usize + 1),
        }
    }

    /// Keeps the value of a tick. Where ticks were left out, or time went back, what was before is
    /// forgotten: nobody knows what was between.
    pub fn record(&mut self, tick: Tick, value: T) {
        if self.newest.checked_add(1) != Some(tick) {
            self.values.clear();
        }
        while self.values.len() > usize::from(self.span) {
            self.values.pop_front();
        }
        self.newest = tick;
        self.values.push_back(value);
    }

    /// Forgets everything: for what appears elsewhere and was never in between.
    pub fn forget(&mut self) {
        self.values.clear();
    }

    /// The value at a moment, in 1/256 ticks: between two ticks a blend of both, after the newest
    /// the newest, and 250 ms before it where the moment is earlier still. `None` where it was not
    /// there yet.
    pub fn at(&self, moment: TickFraction) -> Option<T>
    where
        T: Blend + Clone,
    {
        self.at_with(moment, T::blend)
    }

    /// As [`at`](Self::at), with another way to blend.
    pub fn at_with(&self, moment: TickFraction, blend: impl FnOnce(&T, &T, f32) -> T) -> Option<T>
    where
        T: Clone,
    {
        let now = self.newest.saturating_mul(FRACTIONS);
        let age = now
            .saturating_sub(moment)
            .min(u32::from(self.span) * FRACTIONS);
        let last = self.values.len().checked_sub(1)?;
        // Whole ticks back, and the part of a tick forward from there.
        let (back, rest) = (age.div_ceil(FRACTIONS) as usize, age % FRACTIONS);
        let from = self.values.get(last.checked_sub(back)?)?;
        if rest == 0 {
            return Some(from.clone());
        }
        let next = self.values.get(last - back + 1)?;
        let share = (FRACTIONS - rest) as f32 / FRACTIONS as f32;
        Some(blend(from, next, share))
    }
}

impl<T: State> State for Rewind<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.newest.save(out);
        self.span.save(out);
        (self.values.len() as u8).save(out);
        for value in &self.values {
            value.save(out);
        }
    }

    fn load(input: &mut Reader<'_>) -> Option<Self> {
        let (newest, span, count) = State::load(input)?;
        let (span, count): (u8, u8) = (span, count);
        if u32::from(span) > MAX_SPAN || count > span + 1 {
            return None;
        }
        // With room for all that it will hold, so that recording never allocates.
        let mut values = VecDeque::with_capacity(usize::from(span) + 1);
        for _ in 0..count {
            values.push_back(T::load(input)?);
        }
        Some(Self {
            newest,
            span,
            values,
        })
    }
}

impl Blend for f32 {
    fn blend(&self, next: &Self, share: f32) -> Self {
        self + (next - self) * share
    }
}

impl<T: Blend, const N: usize> Blend for [T; N] {
    fn blend(&self, next: &Self, share: f32) -> Self {
        std::array::from_fn(|index| self[index].blend(&next[index], share))
    }
}

impl<A: Blend, B: Blend> Blend for (A, B) {
    fn blend(&self, next: &Self, share: f32) -> Self {
        (self.0.blend(&next.0, share), self.1.blend(&next.1, share))
    }
}

/// The longest that anyone can look back, in milliseconds: the host clamps view ticks to it, so
/// that nobody gains by a bad line, and who hides behind a wall is safe soon.
const MAX_MS: u32 = 250;
/// The same in ticks at the highest tick rate.
const MAX_SPAN: u32 = 30;
/// Parts of a tick in a [`TickFraction`].
const FRACTIONS: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(ticks: std::ops::RangeInclusive<Tick>) -> Rewind<f32> {
        let mut trail = Rewind::new(60);
        for tick in ticks {
            trail.record(tick, tick as f32);
        }
        trail
    }

    #[test]
    fn every_moment_of_the_last_quarter_of_a_second_is_known_and_none_before() {
        let trail = trail(1..=40);
        for moment in 25 * 256..=40 * 256 {
            assert_eq!(trail.at(moment), Some(moment as f32 / 256.0));
        }
        assert_eq!(
            trail.at(0),
            Some(25.0),
            "the host lets nobody look back so far"
        );
        assert_eq!(trail.at(u32::MAX), Some(40.0));
        assert_eq!(trail.at_with(30 * 256 + 64, |from, _, _| *from), Some(30.0));
    }

    #[test]
    fn what_was_not_there_has_no_past() {
        let mut trail = trail(1..=40);
        trail.forget();
        assert_eq!(trail.at(40 * 256), None);
        trail.record(41, 7.0);
        trail.record(42, 9.0);
        assert_eq!(trail.at(41 * 256 + 128), Some(8.0));
        assert_eq!(trail.at(40 * 256 + 255), None);
        trail.record(50, 1.0);
        assert_eq!((trail.at(50 * 256), trail.at(49 * 256)), (Some(1.0), None));
        assert_eq!(Rewind::<f32>::new(60).at(0), None);
    }

    #[test]
    fn its_length_follows_the_tick_rate() {
        for (rate, values) in [(1, 2), (30, 9), (60, 16), (120, 31), (100_000, 31)] {
            let mut trail = Rewind::new(rate);
            for tick in 1..=100 {
                trail.record(tick, 0_u8);
            }
            let mut out = Vec::new();
            trail.save(&mut out);
            assert_eq!(out.len(), 6 + values, "{rate} ticks a second");
        }
    }

    #[test]
    fn a_save_comes_back_as_it_was_and_no_other_bytes_do() {
        for ticks in [1..=3, 1..=40] {
            let trail = trail(ticks);
            let mut bytes = Vec::new();
            trail.save(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(Rewind::load(&mut reader), Some(trail));
            assert_eq!(reader.remaining(), 0);
        }
        let load = |bytes: &[u8]| Rewind::<u8>::load(&mut Reader::new(bytes));
        assert_eq!(load(&[1, 0, 0, 0, 31, 0]), None, "too long");
        assert_eq!(
            load(&[1, 0, 0, 0, 1, 3, 0, 0, 0]),
            None,
            "more than it holds"
        );
        assert_eq!(load(&[1, 0, 0, 0, 1, 2, 0]), None, "cut off");
    }

    #[test]
    fn arrays_and_pairs_blend_part_by_part() {
        assert_eq!([0.0, 4.0].blend(&[2.0, 8.0], 0.5), [1.0, 6.0]);
        assert_eq!((0.0, [4.0]).blend(&(1.0, [0.0]), 0.25), (0.25, [3.0]));
    }
}
