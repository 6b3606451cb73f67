//! What is shown of a view in which something had to wait.
//!
//! Such a view keeps its baseline's values for what was left out, and the next one may rest on
//! another baseline: an entity that was told in one tick would fall back in the next. So what is
//! shown of a view takes, for each entity that was left out of it, what was told last.

use super::MAX_BASELINE_AGE;
use crate::abi::MAX_ENTITIES;
use crate::simulation::{Entity, NetState, Tick};

/// Entities, and of which tick each of them is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamped<'a> {
    pub(super) state: &'a NetState,
    /// The tick of the whole.
    pub(super) tick: Tick,
    /// Of each entity; none where all are of the tick of the whole.
    pub(super) told: Option<&'a [Tick]>,
}

impl Stamped<'_> {
    fn told(&self, index: usize) -> Tick {
        self.told.map_or(self.tick, |told| told[index])
    }
}

/// What is shown of a view in which something had to wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) state: NetState,
    pub(super) told: Vec<Tick>,
}

impl Shown {
    /// Works it out for the view `exact` of a tick, written against `base` (of tick 0 for nothing),
    /// from what was shown `before` it. `told` becomes the ticks of the view's own entities.
    pub(super) fn set(
        &mut self,
        tick: Tick,
        exact: &NetState,
        base: Stamped<'_>,
        before: Stamped<'_>,
        told: &mut Vec<Tick>,
    ) {
        self.state.clear();
        self.told.clear();
        told.clear();
        let (mut in_base, mut in_before) = (0, 0);
        for entity in &exact.entities {
            in_before = self.keep_untold(tick, base, before, in_before, Some(entity.id));
            let columns = exact.columns_of(entity);
            in_base = skip_below(base.state, in_base, entity.id);
            let same = base.state.entities.get(in_base).is_some_and(|known| {
                (known.id, known.kind, known.owner) == (entity.id, entity.kind, entity.owner)
                    && base.state.columns_of(known) == columns
            });
            let own = if same { base.told(in_base) } else { tick };
            told.push(own);
            let last = before.state.entities.get(in_before);
            let last = last.filter(|last| last.id == entity.id);
            match last {
                Some(last) if before.told(in_before) > own => {
                    let columns = before.state.columns_of(last);
                    self.push(last, columns, before.told(in_before));
                }
                _ => self.push(entity, columns, own),
            }
            in_before += usize::from(last.is_some());
        }
        self.keep_untold(tick, base, before, in_before, None);
    }

    /// Takes over what was shown of entities below an id (`None`: all) that the view does not have
    /// because its baseline did not: they were told on top of others. What the baseline had is gone.
    /// Answers where it stopped.
    fn keep_untold(
        &mut self,
        tick: Tick,
        base: Stamped<'_>,
        before: Stamped<'_>,
        mut from: usize,
        below: Option<u32>,
    ) -> usize {
        while let Some(entity) = before.state.entities.get(from)
            && below.is_none_or(|id| entity.id < id)
        {
            let known = &base.state.entities;
            let is_new = known
                .binary_search_by_key(&entity.id, |known| known.id)
                .is_err();
            let told = before.told(from);
            if is_new && tick - told <= MAX_BASELINE_AGE && self.state.entities.len() < MAX_ENTITIES
            {
                self.push(entity, before.state.columns_of(entity), told);
            }
            from += 1;
        }
        from
    }

    fn push(&mut self, entity: &Entity, columns: &[i32], told: Tick) {
        let first_column = self.state.columns.len() as u32;
        self.state.columns.extend_from_slice(columns);
        self.state.entities.push(Entity {
            first_column,
            ..*entity
        });
        self.told.push(told);
    }
}

fn skip_below(state: &NetState, mut from: usize, id: u32) -> usize {
    while state
        .entities
        .get(from)
        .is_some_and(|entity| entity.id < id)
    {
        from += 1;
    }
    from
}
