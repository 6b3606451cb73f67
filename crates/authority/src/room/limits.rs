//! How much one participant may ask of a room.

use std::time::{Duration, Instant};

/// A token bucket: `rate` a second on average, `burst` at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self {
            rate,
            burst,
            tokens: burst,
            at: now,
        }
    }

    /// Takes one where there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Packets a player may send, in multiples of the tick rate: an input packet a tick, with as much
/// again for packets that a bad line delivers at once, and for events and chat.
pub(crate) const PACKETS_PER_TICK: f64 = 3.0;
/// Packets a second that every player may send, however slowly the game ticks: events, chat and
/// `hello`s do not come at its rate, and a browser sends its inputs in bursts.
pub(crate) const PACKETS_LEAST: f64 = 30.0;
/// How long a player may have saved up for, in seconds: a line that stalls delivers that at once.
pub(crate) const PACKETS_BURST_SECONDS: f64 = 1.0;
/// Packets beyond the limit after which LiveKit is asked to stop forwarding this player's data. No
/// honest client gets there; a flood of 1,000 a second does within a second.
pub(crate) const MUTE_AFTER: u32 = 500;
/// Packets after the mute, which LiveKit should have stopped, after which the player is removed.
pub(crate) const REMOVE_AFTER: u32 = 500;
/// How long packets beyond the limit are held against a player.
pub(crate) const EXCESS_WINDOW: Duration = Duration::from_secs(10);
/// `hello`s that are answered, a second: an answer is up to a thousand times as large as the
/// question.
pub(crate) const HELLO_RATE: f64 = 2.0;
/// `hello`s that are answered at once.
pub(crate) const HELLO_BURST: f64 = 4.0;
/// Chat lines a second: more is noise to the others.
pub(crate) const CHAT_RATE: f64 = 1.0;
/// Chat lines at once.
pub(crate) const CHAT_BURST: f64 = 5.0;
/// Commands a second: they are for rare, reliable choices, not for what is done each tick.
pub(crate) const COMMAND_RATE: f64 = 20.0;
/// Commands at once.
pub(crate) const COMMAND_BURST: f64 = 20.0;
/// Fresh starts that a player may ask for, a second: each can be megabytes, and one under way has
/// to arrive before another makes sense.
pub(crate) const RESYNC_RATE: f64 = 1.0;
/// Fresh starts at once: one that was lost, and the next.
pub(crate) const RESYNC_BURST: f64 = 2.0;
/// Reports of what differed that are looked at, a second: one follows each fresh start.
pub(crate) const DESYNC_RATE: f64 = 0.2;
/// Such reports at once.
pub(crate) const DESYNC_BURST: f64 = 3.0;
/// Reports of how a match ended that are looked at, a second: the first good one counts, and one
/// that is refused is answered.
pub(crate) const REPORT_RATE: f64 = 0.5;
/// Such reports at once: one that was refused, and the mended ones.
pub(crate) const REPORT_BURST: f64 = 3.0;
/// Lines of a game that are written to the log, a second, and as many reasons for which it refused
/// inputs: enough to follow a match, and 256 rooms whose games log without end fill no disk.
pub(crate) const LOG_RATE: f64 = 10.0;
/// Such lines at once: what a game may have to say about a start or a failure.
pub(crate) const LOG_BURST: f64 = 200.0;
/// How many identities outside the match are remembered as reported. Tokens are minted for matched
/// players only, so there are hardly any.
pub(crate) const STRANGERS: usize = 64;
/// How long until somebody who was to be removed and still sends is reported again.
pub(crate) const REPORT_AGAIN: Duration = Duration::from_secs(2);
/// Most packets that wait to be taken by [`poll_transmit`](super::Room::poll_transmit): a tick of
/// 64 players with hidden state in a few parts each. Whoever drives the room takes them after each
/// call, so a full queue means that nobody does.
pub(crate) const TRANSMITS: usize = 4_096;
/// Buffers of packets that were taken, kept for the next: two for each of 64 players.
pub(crate) const SPARE_BUFFERS: usize = 128;
/// Most events that wait to be taken by [`poll_event`](super::Room::poll_event).
pub(crate) const EVENTS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        let taken = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, start), 5);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(250)), 2);
        // Time that goes back gives nothing, and takes nothing away.
        assert_eq!(taken(&mut bucket, start), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 5);
    }
}
