//! One player of a match, as the room sees it.

use std::sync::Arc;
use std::time::Instant;

use gs_engine::Slot;
use gs_protocol::wire;

use super::RoomPlayer;
use super::limits::{
    Bucket, CHAT_BURST, CHAT_RATE, COMMAND_BURST, COMMAND_RATE, EXCESS_WINDOW, HELLO_BURST,
    HELLO_RATE, MUTE_AFTER, PACKETS_BURST_SECONDS, PACKETS_LEAST, PACKETS_PER_TICK, REMOVE_AFTER,
    REPORT_AGAIN, REPORT_BURST, REPORT_RATE, RESYNC_BURST, RESYNC_RATE,
};

/// Whether a player takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Matched, never seen.
    Expected,
    /// Heard of lately.
    Present,
    /// Silent; the slot is held.
    Lost,
    /// Gave up, or did not come back in time; or nobody was matched into the slot.
    Gone,
}

/// What the room has come to think of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// LiveKit was asked to stop forwarding this player's data.
    Muted,
    /// LiveKit was asked to disconnect this player, last at that time.
    Removed {
        reported: Instant,
    },
}

/// What to do about a packet that came while a player had none left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escalation {
    Nothing,
    Mute,
    Remove,
}

#[derive(Debug)]
pub(crate) struct Player {
    /// Empty where nobody was matched into the slot.
    pub(crate) identity: Arc<str>,
    pub(crate) username: String,
    pub(crate) team: Option<u8>,
    pub(crate) presence: Presence,
    /// Since when it has been held: `Expected` since the start, or `Lost`.
    pub(crate) held_since: Instant,
    /// When the last packet came; none before the first.
    pub(crate) heard_at: Option<Instant>,
    /// Whether the game knows of it.
    pub(crate) joined: bool,
    /// Whether somebody was matched into the slot, this player or an earlier one.
    pub(crate) matched: bool,
    /// Whether the game knows of the slot: of this player or an earlier one.
    pub(crate) known: bool,
    pub(crate) standing: Standing,
    /// Of the newest event that was sent to it.
    pub(crate) sequence: u32,
    /// The newest input packet's `sent_ms`, and when it came.
    pub(crate) echo: Option<(u32, Instant)>,
    pub(crate) packets: Bucket,
    pub(crate) hellos: Bucket,
    pub(crate) chats: Bucket,
    pub(crate) commands: Bucket,
    pub(crate) resyncs: Bucket,
    pub(crate) reports: Bucket,
    excess: u32,
    excess_since: Instant,
}

impl Player {
    /// One who was matched into the slot.
    pub(crate) fn new(player: &RoomPlayer, tick_rate: u32, now: Instant) -> Self {
        let rate = (f64::from(tick_rate) * PACKETS_PER_TICK).max(PACKETS_LEAST);
        Self {
            identity: player.identity.as_str().into(),
            username: player.username.clone(),
            team: player.team,
            presence: Presence::Expected,
            held_since: now,
            heard_at: None,
            joined: false,
            matched: true,
            known: false,
            standing: Standing::Good,
            sequence: 0,
            echo: None,
            packets: Bucket::new(rate, rate * PACKETS_BURST_SECONDS, now),
            hellos: Bucket::new(HELLO_RATE, HELLO_BURST, now),
            chats: Bucket::new(CHAT_RATE, CHAT_BURST, now),
            commands: Bucket::new(COMMAND_RATE, COMMAND_BURST, now),
            resyncs: Bucket::new(RESYNC_RATE, RESYNC_BURST, now),
            reports: Bucket::new(REPORT_RATE, REPORT_BURST, now),
            excess: 0,
            excess_since: now,
        }
    }

    /// Nobody, in a slot that is free.
    pub(crate) fn vacant(tick_rate: u32, now: Instant) -> Self {
        let nobody = RoomPlayer {
            identity: String::new(),
            username: String::new(),
            team: None,
        };
        Self {
            presence: Presence::Gone,
            matched: false,
            ..Self::new(&nobody, tick_rate, now)
        }
    }

    /// Whether it gets state: it is here.
    pub(crate) fn watches(&self) -> bool {
        self.presence == Presence::Present && self.standing == Standing::Good
    }

    /// Takes in the clock of a packet; says whether no newer packet has come. The channel is
    /// unordered, and the sender's clock wraps around, so "older" is the shorter way round.
    pub(crate) fn note_echo(&mut self, sent_ms: u32, now: Instant) -> bool {
        let newer = |(sent, _): (u32, Instant)| sent_ms.wrapping_sub(sent) as i32 >= 0;
        let newest = self.echo.is_none_or(newer);
        if newest {
            self.echo = Some((sent_ms, now));
        }
        newest
    }

    /// Whether it takes part, or is missed after it did.
    pub(crate) fn has_been_here(&self) -> bool {
        matches!(self.presence, Presence::Present | Presence::Lost)
    }

    /// Whether events reach it: it has been here, and was not thrown out.
    pub(crate) fn hears(&self) -> bool {
        self.heard_at.is_some() && self.standing == Standing::Good
    }

    /// Counts a packet beyond the limit, or one that came in spite of a mute.
    pub(crate) fn exceed(&mut self, now: Instant) -> Escalation {
        if now.saturating_duration_since(self.excess_since) > EXCESS_WINDOW {
            self.excess = 0;
            self.excess_since = now;
        }
        self.excess = self.excess.saturating_add(1);
        match self.standing {
            Standing::Good if self.excess >= MUTE_AFTER => {
                self.excess = 0;
                self.excess_since = now;
                self.standing = Standing::Muted;
                Escalation::Mute
            }
            Standing::Muted if self.excess >= REMOVE_AFTER => {
                self.standing = Standing::Removed { reported: now };
                Escalation::Remove
            }
            Standing::Removed { reported } if now >= reported + REPORT_AGAIN => {
                self.standing = Standing::Removed { reported: now };
                Escalation::Remove
            }
            _ => Escalation::Nothing,
        }
    }

    /// `open` says that a substitute may come into the slot.
    pub(crate) fn to_wire(&self, slot: Slot, open: bool) -> wire::Player {
        let presence = match self.presence {
            Presence::Expected => wire::Presence::Expected,
            Presence::Present => wire::Presence::Present,
            Presence::Lost => wire::Presence::Lost,
            Presence::Gone => wire::Presence::Gone,
        };
        wire::Player {
            slot: slot.into(),
            player_id: self.identity.to_string(),
            username: self.username.clone(),
            team: self.team.unwrap_or(0).into(),
            presence: presence.into(),
            open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_that_ticks_slowly_still_hears_its_players() {
        let config = RoomPlayer {
            identity: "p".to_owned(),
            username: "name".to_owned(),
            team: None,
        };
        let now = Instant::now();
        for (tick_rate, packets) in [(1, 30), (10, 30), (60, 180)] {
            let mut player = Player::new(&config, tick_rate, now);
            let taken = (0..1_000).filter(|_| player.packets.take(now)).count();
            assert_eq!(taken, packets, "at {tick_rate} Hz");
        }
    }
}
