//! Who is there, who is missed, and who is given up.

use std::time::Instant;

use gs_engine::Slot;
use gs_engine::simulation::{MatchResult, Outcome, Simulation};
use gs_protocol::wire;

use super::player::{Player, Standing};
use super::{Phase, Presence, Room, RoomEvent, Service};

impl<S: Simulation> Room<S> {
    /// LiveKit says that a participant left. It may be back soon, so that is as if it had been
    /// silent for long enough to be lost.
    pub fn handle_participant_left(&mut self, identity: &str, now: Instant) {
        let Some(slot) = self.slot_of(identity) else {
            return;
        };
        if self.players[slot].presence == Presence::Present && !self.is_over() {
            self.lose(slot, now);
        }
    }

    /// LiveKit says that a participant joined: a player who was waited for is here, though it has
    /// yet to send something. LiveKit says so up to three seconds late, when whoever was here
    /// before may be gone again, so that it says nothing of the others.
    pub fn handle_participant_joined(&mut self, identity: &str, now: Instant) {
        let Some(slot) = self.slot_of(identity) else {
            if self.is_former(identity) {
                self.remove_former(identity);
            }
            return;
        };
        let player = &self.players[slot];
        let identity = player.identity.to_string();
        match player.standing {
            Standing::Good if player.presence == Presence::Expected => self.heard(slot, now),
            Standing::Good => {}
            // The same token lets a player who was thrown out in again, and to send again.
            Standing::Muted => self.event(RoomEvent::Mute { identity }),
            Standing::Removed { .. } => self.event(RoomEvent::Remove {
                identity,
                reason: "was removed before",
            }),
        }
    }

    /// This player may not play: the slot is free, and whoever is on it is removed, also at each
    /// return.
    pub fn handle_ban(&mut self, identity: &str, now: Instant) {
        let Some(slot) = self.slot_of(identity) else {
            return;
        };
        if matches!(self.players[slot].standing, Standing::Removed { .. }) {
            return self.give_up(slot);
        }
        self.players[slot].standing = Standing::Removed { reported: now };
        self.counters.removals += 1;
        self.give_up(slot);
        self.event(RoomEvent::Remove {
            identity: identity.to_owned(),
            reason: "is banned",
        });
    }

    /// Something came from a player: whoever was missed is back, and takes part where the match
    /// runs.
    pub(super) fn heard(&mut self, slot: usize, now: Instant) {
        let player = &mut self.players[slot];
        player.heard_at = Some(now);
        if matches!(player.presence, Presence::Present | Presence::Gone) || self.is_over() {
            return;
        }
        self.players[slot].presence = Presence::Present;
        if self.phase == Phase::Running {
            self.join(slot);
        }
        self.tell_presence(slot);
    }

    /// Frees a slot: its player does not come back.
    pub(super) fn give_up(&mut self, slot: usize) {
        if self.players[slot].presence == Presence::Gone || self.is_over() {
            return;
        }
        self.players[slot].presence = Presence::Gone;
        if self.phase == Phase::Running {
            self.leave(slot);
        }
        self.tell_presence(slot);
    }

    /// Holds a slot for a player who is not there.
    pub(super) fn lose(&mut self, slot: usize, now: Instant) {
        let player = &mut self.players[slot];
        player.presence = Presence::Lost;
        player.held_since = now;
        self.tell_presence(slot);
    }

    pub(super) fn check_presence(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        let patience = self.config.patience;
        for slot in 0..self.players.len() {
            let player = &self.players[slot];
            let silent = player.heard_at.map(|at| now.saturating_duration_since(at));
            let held = now.saturating_duration_since(player.held_since);
            match player.presence {
                Presence::Present if silent.is_none_or(|time| time > patience.lost_after) => {
                    self.lose(slot, now);
                }
                Presence::Lost if held > patience.hold => self.give_up(slot),
                Presence::Expected if self.phase == Phase::Running && held > patience.hold => {
                    self.give_up(slot);
                }
                _ => {}
            }
        }
        let all_gone = self
            .players
            .iter()
            .all(|player| player.presence == Presence::Gone);
        if self.phase != Phase::Running || !all_gone {
            return;
        }
        let since = *self.all_gone_since.get_or_insert(now);
        if now.saturating_duration_since(since) > patience.abandon {
            let result = MatchResult {
                outcome: Outcome::Abandoned,
                slots: Vec::new(),
            };
            self.end(result, Some("every player left".to_owned()), false);
        }
    }

    /// Starts the match once everybody who still can come is there, or enough time has passed.
    pub(super) fn check_start(&mut self, since: Instant, now: Instant) {
        let count = |presence| {
            self.players
                .iter()
                .filter(|p| p.presence == presence)
                .count()
        };
        let (present, lost) = (count(Presence::Present), count(Presence::Lost));
        let (expected, gone) = (count(Presence::Expected), count(Presence::Gone));
        let overdue = now.saturating_duration_since(since) > self.config.patience.no_show;
        if gone == self.players.len() {
            return self.end_void("every player left before the start".to_owned(), false);
        }
        if present == 0 && lost == 0 && overdue {
            let seconds = self.config.patience.no_show.as_secs();
            return self.end_void(format!("nobody came within {seconds} s"), false);
        }
        if present == 0 || (expected + lost > 0 && !overdue) {
            return;
        }
        self.start();
        for slot in 0..self.players.len() {
            match self.players[slot].presence {
                Presence::Present => self.join(slot),
                Presence::Gone => self.leave(slot),
                Presence::Expected => self.players[slot].held_since = now,
                Presence::Lost => {}
            }
        }
    }

    /// Tells the game that a player takes part, once.
    fn join(&mut self, slot: usize) {
        let player = &mut self.players[slot];
        if player.joined {
            return;
        }
        (player.joined, player.known) = (true, true);
        let team = player.team.unwrap_or(0);
        let taken = match self.service {
            // Nobody here steps the game, which would take what happens out of the pipeline.
            Service::Observer(_) => team < self.pipeline.config().teams.max(1),
            _ => self.pipeline.handle_join(slot as Slot, team).is_ok(),
        };
        if !taken {
            // Only a team that the game does not have gets here.
            self.end_void(
                format!("slot {slot} has team {team}, which the game lacks"),
                true,
            );
        }
    }

    /// Tells the game that a player does not come back. The game hears only of leaves of those
    /// who joined, so one who was matched and never came joins first. Of substitutes who never came
    /// it hears nothing, once it knows of the slot or where nobody was matched into it.
    fn leave(&mut self, slot: usize) {
        let player = &self.players[slot];
        if !player.joined && (player.known || !player.matched) {
            return;
        }
        self.join(slot);
        if !matches!(self.service, Service::Observer(_)) {
            // Refused only where the join was, and then the match is over.
            let _ = self.pipeline.handle_leave(slot as Slot);
        }
    }

    /// Silences a player who floods: from now on the slot is treated as lost.
    pub(super) fn silence(&mut self, slot: usize, now: Instant) {
        debug_assert_ne!(self.players[slot].standing, Standing::Good);
        if self.players[slot].presence == Presence::Present && !self.is_over() {
            self.lose(slot, now);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. } | Phase::Closed)
    }

    pub(super) fn slot_of(&self, identity: &str) -> Option<usize> {
        let is_this = |player: &Player| &*player.identity == identity;
        self.players
            .iter()
            .position(is_this)
            .filter(|_| !identity.is_empty())
    }

    pub(super) fn tell_presence(&mut self, slot: usize) {
        let open = self.is_open(slot);
        let player = Some(self.players[slot].to_wire(slot as Slot, open));
        self.tell_all(&wire::server_event::Body::Player(wire::PlayerChanged {
            player,
        }));
    }
}
