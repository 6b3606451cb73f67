//! A simulation that does what a session asks for, for tests, benches and native tools. What plays
//! in front of people (`gs-client`) carries the requests out itself: it also stops after so many
//! steps of one call, looks at each tick that is drawn, and keeps the state of a mismatch.

use super::{ConfirmedError, Request, Run, Session};
use crate::confirmed::{ConfirmedTick, state_hash};
use crate::simulation::{
    Effects, GameEvent, MatchResult, Simulation, SimulationError, Tick, Verdict,
};

/// A [`Simulation`] that runs ahead and rolls back, and its saved states.
#[derive(Debug)]
pub struct Simulator<S> {
    session: Session,
    simulation: S,
    saves: Vec<Vec<u8>>,
    effects: Effects,
    events: Vec<ShownEvent>,
    /// The newest result, and its tick.
    result: Option<(Tick, MatchResult)>,
    desync: Option<Desync>,
}

/// An event of a tick that was stepped for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownEvent {
    /// The tick.
    pub tick: Tick,
    /// Whether it is final; else it may not happen after all.
    pub confirmed: bool,
    /// The event.
    pub event: GameEvent,
}

/// A final state that differs from the server's: the simulation cannot be relied on any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desync {
    /// The tick.
    pub tick: Tick,
    /// The server's hash.
    pub expected: u64,
    /// The hash here.
    pub found: u64,
}

impl<S: Simulation> Simulator<S> {
    /// A simulation that stands at the session's tick.
    pub fn new(simulation: S, session: Session) -> Self {
        Self {
            session,
            simulation,
            saves: Vec::new(),
            effects: Effects::default(),
            events: Vec::new(),
            result: None,
            desync: None,
        }
    }

    /// See [`Session::handle_input`].
    pub fn handle_input(&mut self, tick: Tick, data: &[u8]) -> bool {
        self.session.handle_input(tick, data)
    }

    /// See [`Session::handle_confirmed`].
    ///
    /// # Errors
    /// [`ConfirmedError`] as there.
    pub fn handle_confirmed(&mut self, tick: &ConfirmedTick) -> Result<(), ConfirmedError> {
        self.session.handle_confirmed(tick)
    }

    /// Begins anew from a keyframe, the state after `tick`.
    ///
    /// # Errors
    /// [`SimulationError`] where the game does not take the state.
    pub fn restart(&mut self, tick: Tick, state: &[u8]) -> Result<(), SimulationError> {
        self.simulation.load(state)?;
        self.session.restart(tick);
        self.result = None;
        self.desync = None;
        Ok(())
    }

    /// Corrects what was guessed wrong and steps up to tick `to`, as far as prediction may go;
    /// answers the tick that it stands at then.
    ///
    /// # Errors
    /// [`SimulationError`] where the game fails; only [`restart`](Self::restart) helps then.
    pub fn advance(&mut self, to: Tick) -> Result<Tick, SimulationError> {
        self.events.clear();
        self.session.advance(to);
        loop {
            self.judge()?;
            match self.session.poll_request() {
                None => break,
                Some(Request::Load { tick, place }) => {
                    self.simulation.load(&self.saves[place])?;
                    self.result = self.result.take().filter(|(at, _)| *at <= tick);
                }
                Some(Request::Save { place, .. }) => {
                    if self.saves.len() <= place {
                        self.saves.resize_with(place + 1, Vec::new);
                    }
                    self.simulation.save(&mut self.saves[place])?;
                }
                Some(Request::Advance {
                    log,
                    run,
                    confirmed,
                }) => {
                    self.simulation.step(log, &mut self.effects)?;
                    let tick = log.tick;
                    if run == Run::First {
                        let events = self.effects.events.drain(..);
                        self.events.extend(events.map(|event| ShownEvent {
                            tick,
                            confirmed,
                            event,
                        }));
                    }
                    if let Some(result) = self.effects.result.take() {
                        self.result = Some((tick, result));
                    }
                }
            }
        }
        if let Some(check) = self.session.poll_check() {
            let found = state_hash(&self.saves[check.place]);
            self.desync = (found != check.hash).then_some(Desync {
                tick: check.tick,
                expected: check.hash,
                found,
            });
        }
        Ok(self.session.tick())
    }

    /// Asks the game what it makes of the local player's next input, as the server will.
    fn judge(&mut self) -> Result<(), SimulationError> {
        let Some((slot, tick, data)) = self.session.unjudged_input() else {
            return Ok(());
        };
        match self.simulation.check(slot, data)? {
            Verdict::Accept => {}
            Verdict::Amend(data) => self.session.amend_input(tick, Some(&data)),
            Verdict::Refuse(_) => self.session.amend_input(tick, None),
        }
        Ok(())
    }

    /// What happened in the ticks that the last [`advance`](Self::advance) stepped for the first
    /// time, in order. What a tick does when it is stepped again is not told again.
    pub fn events(&self) -> &[ShownEvent] {
        &self.events
    }

    /// How the match ended, once that is final.
    pub fn result(&self) -> Option<&MatchResult> {
        let (tick, result) = self.result.as_ref()?;
        (*tick <= self.session.verified()).then_some(result)
    }

    /// A difference to the server's state that was found and not answered yet.
    pub fn poll_desync(&mut self) -> Option<Desync> {
        self.desync.take()
    }

    /// The state after [`Session::tick`], to look at: whoever changes it makes it differ from the
    /// server's.
    pub fn simulation(&mut self) -> &mut S {
        &mut self.simulation
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How far apart states are saved; see [`Session::set_save_interval`].
    pub fn set_save_interval(&mut self, ticks: u32) {
        self.session.set_save_interval(ticks);
    }

    /// Gives the simulation back.
    pub fn into_simulation(self) -> S {
        self.simulation
    }
}
