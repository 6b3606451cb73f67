//! Packets on their way from a connection to a room's tick thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use crate::room::Channel;

/// What a room is told between two ticks.
#[derive(Debug)]
pub(crate) enum Message {
    /// A participant sent something.
    Packet {
        from: Arc<str>,
        topic: Arc<str>,
        payload: Bytes,
        channel: Channel,
        at: Instant,
    },
    /// A participant joined.
    Joined { identity: Arc<str>, at: Instant },
    /// A participant left.
    Left { identity: Arc<str>, at: Instant },
}

/// A bounded queue that never makes its sender wait: what does not fit is dropped and counted.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Inbox {
    pub(crate) fn push(&self, message: Message) {
        let (bytes, lossy) = match &message {
            Message::Packet {
                payload, channel, ..
            } => (payload.len(), *channel == Channel::Lossy),
            Message::Joined { .. } | Message::Left { .. } => (0, false),
        };
        let mut queue = self.lock();
        let share = if lossy { LOSSY_SHARE } else { 1.0 };
        let full = queue.messages.len() as f64 >= MESSAGES as f64 * share
            || (queue.bytes + bytes) as f64 > BYTES as f64 * share;
        if full {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        queue.bytes += bytes;
        queue.messages.push_back(message);
    }

    /// Takes everything, in order, in exchange for an empty queue whose memory is used again.
    pub(crate) fn swap(&self, empty: &mut VecDeque<Message>) {
        let mut queue = self.lock();
        std::mem::swap(&mut queue.messages, empty);
        queue.bytes = 0;
    }

    /// How many messages were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Nothing in here panics half-way, so a poisoned queue is as good as any.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most messages between two ticks. A full room of 64 players sends some 200 at 60 Hz after a
/// stall of three ticks; the rest is room for longer stalls, and a bound for floods.
const MESSAGES: usize = 4_096;
/// Most bytes of payloads between two ticks: 4 kB for each of the messages that players of good
/// will send at most.
const BYTES: usize = 4 << 20;
/// How much of the queue lossy packets may fill: they are repeated, the others are not.
const LOSSY_SHARE: f64 = 0.75;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(channel: Channel, bytes: usize) -> Message {
        let payload = Bytes::from(vec![0; bytes]);
        Message::Packet {
            from: "p".into(),
            topic: "input".into(),
            payload,
            channel,
            at: Instant::now(),
        }
    }

    #[test]
    fn a_flood_of_lossy_packets_leaves_room_for_reliable_ones() {
        let inbox = Inbox::default();
        for _ in 0..MESSAGES {
            inbox.push(packet(Channel::Lossy, 10));
        }
        assert_eq!(inbox.dropped(), MESSAGES as u64 / 4);
        inbox.push(packet(Channel::Reliable, 10));
        let mut taken = VecDeque::new();
        inbox.swap(&mut taken);
        assert_eq!(taken.len(), MESSAGES * 3 / 4 + 1);
        assert!(matches!(
            taken.back(),
            Some(Message::Packet {
                channel: Channel::Reliable,
                ..
            })
        ));
        taken.clear();
        inbox.push(packet(Channel::Lossy, 10));
        inbox.swap(&mut taken);
        assert_eq!(taken.len(), 1);
    }

    #[test]
    fn large_packets_are_bounded_by_their_bytes() {
        let inbox = Inbox::default();
        for _ in 0..1_000 {
            inbox.push(packet(Channel::Reliable, 60_000));
        }
        let mut taken = VecDeque::new();
        inbox.swap(&mut taken);
        assert!(taken.len() * 60_000 <= BYTES && taken.len() > 60);
        assert_eq!(inbox.dropped() as usize + taken.len(), 1_000);
    }
}
