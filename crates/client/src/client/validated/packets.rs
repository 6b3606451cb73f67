//! What the server sends in `validated`, and what is told of it.

use gs_engine::Simulation;
use gs_engine::confirmed::state_hash;
use gs_engine::difference::Difference;
use gs_engine::simulation::EventAudience;
use gs_protocol::{ClientEvent, wire};

use super::super::{Client, Event, Follow};
use super::Validated;
use crate::keyframes::{Keyframe, Unfit};

impl<S: Simulation> Client<S> {
    pub(in crate::client) fn handle_confirmed(&mut self, confirmed: &wire::Confirmed) {
        let (Some(game), Follow::Validated(validated)) = (&self.game, &mut self.follow) else {
            self.stats.counters.stale += 1;
            return;
        };
        let decoded = validated.decoder.decode(
            &game.schema,
            validated.slots,
            confirmed.first_tick,
            &confirmed.data,
        );
        let counters = &mut self.stats.counters;
        match decoded {
            Err(_) => counters.malformed += 1,
            Ok(ticks) => {
                let mut news = false;
                for tick in ticks.iter().filter(|tick| tick.log.tick > validated.held) {
                    news |= validated.ring.put(tick);
                }
                if news {
                    counters.states += 1;
                } else {
                    counters.stale += 1;
                }
                validated.hold_on();
                // Ticks are confirmed in order: whatever an input of these was, it is settled.
                self.own.handle_used(validated.ring.newest());
            }
        }
    }

    pub(in crate::client) fn handle_keyframe(&mut self, chunk: wire::KeyframeChunk) {
        let (Some(game), Follow::Validated(validated)) = (&self.game, &mut self.follow) else {
            self.stats.counters.stale += 1;
            return;
        };
        let max = game.manifest.max_save_bytes;
        match validated.keyframes.handle(chunk, max, state_hash) {
            Ok(whole) => {
                self.stats.counters.states += 1;
                validated.waiting_since = None;
                if let Some(keyframe) = whole
                    && !validated.take(keyframe)
                {
                    self.stats.counters.stale += 1;
                }
            }
            Err(Unfit::Stale) => self.stats.counters.stale += 1,
            Err(Unfit::Malformed) => self.stats.counters.malformed += 1,
        }
    }

    /// Passes on what the simulation did ahead, and what was found of a mismatch.
    pub(in crate::client) fn tell(&mut self) {
        let team = self.session.team();
        let Follow::Validated(validated) = &mut self.follow else {
            return;
        };
        let mut told = std::mem::take(&mut validated.told);
        let found = validated.found.take();
        let slot = self.session.slot;
        for (tick, to, data) in told.drain(..) {
            let mine = match to {
                EventAudience::All => true,
                EventAudience::Slot(to) => Some(to) == slot,
                EventAudience::Team(to) => Some(to) == team,
            };
            if mine {
                self.push(Event::Game {
                    tick,
                    data,
                    predicted: true,
                });
            }
        }
        if let Follow::Validated(validated) = &mut self.follow {
            validated.told = told;
        }
        let Some((tick, differences)) = found else {
            return;
        };
        let differences: Vec<wire::Difference> =
            differences.into_iter().map(difference_to_wire).collect();
        let report = ClientEvent::Desync {
            tick,
            differences: differences.clone(),
        };
        if self.send_event(&report).is_err() {
            self.stats.counters.dropped += 1;
        }
        self.push(Event::Desync { tick, differences });
    }
}

impl Validated {
    /// Moves on what is held, where the next ticks have come.
    fn hold_on(&mut self) {
        if !self.started && self.keyframe.is_none() {
            return;
        }
        let held = self.ring.in_a_row_from(self.held);
        if held > self.held {
            self.held = held;
            self.waiting_since = None;
        }
    }

    /// Keeps a keyframe that is of use, to be loaded by the next simulation; whether it is.
    fn take(&mut self, keyframe: Keyframe) -> bool {
        let of_use = match &self.mismatch {
            Some(mismatch) => keyframe.tick >= mismatch.tick,
            None => !self.started || self.broken || keyframe.tick > self.session.confirmed(),
        };
        let newer = self
            .keyframe
            .as_ref()
            .is_none_or(|waiting| waiting.tick <= keyframe.tick);
        if !of_use || !newer {
            return false;
        }
        if !self.started || keyframe.tick > self.held {
            self.held = self.ring.in_a_row_from(keyframe.tick);
        }
        self.keyframe = Some(keyframe);
        true
    }
}

fn difference_to_wire(difference: Difference) -> wire::Difference {
    wire::Difference {
        entity: difference.entity,
        kind: difference.kind,
        field: difference.field,
        mine: difference.mine,
        theirs: difference.theirs,
    }
}
