//! How much travels: what each packet may weigh, and how many may come in a second.

use std::time::Duration;

use gs_protocol::{limits, topic};

use crate::peer::Message;

/// Counts packets by player, second by second.
pub(super) struct Budget {
    players: Vec<Counts>,
    tick_rate: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    second: u64,
    up: u32,
    down: u32,
}

impl Budget {
    pub(super) fn new(players: usize, tick_rate: u32) -> Self {
        Self {
            players: vec![Counts::default(); players],
            tick_rate,
        }
    }

    /// A player's packet reaches LiveKit's server; answers what is wrong with it.
    pub(super) fn note_up(
        &mut self,
        player: usize,
        message: &Message,
        now: Duration,
    ) -> Option<String> {
        let counts = self.players[player].at(now);
        counts.up += 1;
        // An input a tick; twice as many where a bad line delivers two seconds' worth in one.
        let most = self.tick_rate * 2 + OTHERS;
        let problem = (counts.up == most + 1)
            .then(|| format!("player {player} sends more than {most} packets in a second"));
        problem.or_else(|| too_large(message, player))
    }

    /// A packet goes to a player; answers what is wrong with it.
    pub(super) fn note_down(
        &mut self,
        player: usize,
        message: &Message,
        now: Duration,
    ) -> Option<String> {
        let counts = self.players[player].at(now);
        counts.down += u32::from(!message.reliable);
        // A state each tick, and besides a broadcast one of its own while it catches up.
        let most = self.tick_rate * 2 + OTHERS;
        let problem = (counts.down == most + 1)
            .then(|| format!("player {player} is sent more than {most} lossy packets in a second"));
        problem.or_else(|| too_large(message, player))
    }
}

impl Counts {
    fn at(&mut self, now: Duration) -> &mut Self {
        if self.second != now.as_secs() {
            *self = Self {
                second: now.as_secs(),
                ..Self::default()
            };
        }
        self
    }
}

fn too_large(message: &Message, player: usize) -> Option<String> {
    let most = match (message.topic, message.reliable) {
        (topic::INPUT, false) => limits::INPUT_BYTES,
        (topic::STATE, false) => limits::STATE_BYTES,
        (topic::STATE, true) => limits::KEYFRAME_BYTES,
        (topic::EVENTS, true) => limits::EVENT_BYTES,
        (topic::CHAT, true) => limits::CHAT_BYTES,
        (topic, reliable) => {
            return Some(format!(
                "topic {topic} of or for player {player} travels with reliable = {reliable}"
            ));
        }
    };
    let len = message.payload.len();
    (len > most).then(|| {
        let topic = message.topic;
        format!("a `{topic}` packet of or for player {player} has {len} bytes, at most {most}")
    })
}

/// Events, chat and the like.
const OTHERS: u32 = 40;
