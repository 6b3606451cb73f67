//! Who plays what over which lines, and what happens to them.

use std::ops::Range;
use std::time::Duration;

use gs_engine::simulation::MatchResult;
use gs_engine::{AuthorityMode, Tick};
use gs_netem::{LinkConfig, Retransmission};

use crate::games::Play;

/// A match to be played.
#[derive(Clone)]
pub struct Scenario {
    /// Which game.
    pub play: &'static Play,
    /// How server and clients share the work.
    pub mode: AuthorityMode,
    /// How long it is watched, in seconds from when the room is made.
    pub seconds: f64,
    /// Who plays, by slot.
    pub players: Vec<PlayerPlan>,
}

/// One player.
#[derive(Clone)]
pub struct PlayerPlan {
    /// The line to LiveKit's server.
    pub up: LinkConfig,
    /// The line from it.
    pub down: LinkConfig,
    /// When what was lost on the reliable channel is sent again.
    pub retransmission: Retransmission,
    /// When it comes.
    pub joins: Duration,
    /// Whether its client predicts.
    pub prediction: bool,
    /// Ticks after which its module comes to another state than it should.
    pub faulty: Option<fn(Tick) -> bool>,
    /// `observer`: how the match ended as this player saw it, and when it says so.
    pub reports: Option<(Duration, MatchResult)>,
    /// What happens to it.
    pub incidents: Vec<Incident>,
}

/// What happens to a player.
#[derive(Clone, Debug, PartialEq)]
pub enum Incident {
    /// The tab is in the background: nothing is computed or sent, and what arrives waits.
    Sleep(Range<Duration>),
    /// The line is dead, and a watchdog makes the connection afresh once it is back.
    Outage(Range<Duration>),
    /// The page is closed, and opened again: a new client.
    Reload(Range<Duration>),
    /// It leaves the match, somebody else is found for the slot half-way, and comes at the end: a new
    /// client under another name.
    Replace(Range<Duration>),
    /// Mutations of what it sent go to the room under its name, and mutations of what it received
    /// to the other players under its name.
    Forge(Range<Duration>),
    /// As [`Incident::Forge`], under the name of a participant who is not in the match.
    Intrude(Range<Duration>),
}

impl Scenario {
    /// So many players over the same lines, all there from the start.
    pub fn new(
        play: &'static Play,
        mode: AuthorityMode,
        players: usize,
        link: &LinkConfig,
    ) -> Self {
        Self {
            play,
            mode,
            seconds: 30.0,
            players: vec![PlayerPlan::new(link); players],
        }
    }

    /// With another length.
    pub fn lasting(mut self, seconds: f64) -> Self {
        self.seconds = seconds;
        self
    }

    /// With something changed for one player.
    pub fn with(mut self, player: usize, change: impl FnOnce(&mut PlayerPlan)) -> Self {
        change(&mut self.players[player]);
        self
    }
}

impl PlayerPlan {
    /// A player over a line that is the same both ways.
    pub fn new(link: &LinkConfig) -> Self {
        Self {
            up: link.clone(),
            down: link.clone(),
            // Messages keep coming on this channel, so a gap is seen and closed within a round
            // trip or so, well before SCTP's timeout of a second.
            retransmission: Retransmission {
                first: link.latency * 3 + Duration::from_millis(60),
                most: Duration::from_secs(1),
            },
            joins: Duration::ZERO,
            prediction: true,
            faulty: None,
            reports: None,
            incidents: Vec::new(),
        }
    }

    /// The latest that a packet arrives that is not lost.
    pub fn slowest_down(&self) -> Duration {
        // Jitter is normal and cut off at three standard deviations.
        self.down.latency + self.down.jitter * 3
    }
}

/// A line as the feel of a game is measured on: 20 ms of jitter each way.
pub fn line(round_trip_ms: u64, loss_pct: f64) -> LinkConfig {
    LinkConfig::half_of(
        Duration::from_millis(round_trip_ms),
        Duration::from_millis(20),
        loss_pct / 100.0,
    )
}

/// From and to in seconds.
pub fn between(from: f64, to: f64) -> Range<Duration> {
    Duration::from_secs_f64(from)..Duration::from_secs_f64(to)
}
