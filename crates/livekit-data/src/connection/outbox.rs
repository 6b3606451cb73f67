//! Reliable messages from when they are sent until the server has them.
//!
//! That a message is acknowledged does not mean that the server has it: SCTP acknowledges what has
//! arrived, also while something before it is missing (RFC 9260, section 3.3.4), and after an
//! outage with a rejoin that something may never come. So acknowledged messages are kept until
//! nothing before them is missing, and where the connection is lost, the server's own word decides.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Messages in the order of their numbers: first those that have just been acknowledged, then
/// those that the transport has and the server has not acknowledged, then those that wait for
/// room.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last_sequence: u32,
    acknowledged: VecDeque<Acknowledged>,
    acknowledged_bytes: usize,
    in_flight: VecDeque<Numbered>,
    in_flight_bytes: usize,
    waiting: VecDeque<Numbered>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Acknowledged {
    message: Numbered,
    /// Since when nothing before it is missing.
    complete: Option<Instant>,
}

#[derive(Debug)]
struct Numbered {
    sequence: u32,
    bytes: Vec<u8>,
}

impl Outbox {
    /// The number of the next message. After the last one of all, messages go unnumbered: the
    /// server and the receivers take such ones as they come.
    pub(super) fn next_sequence(&self) -> u32 {
        self.last_sequence.checked_add(1).unwrap_or(0)
    }

    pub(super) fn push(&mut self, sequence: u32, bytes: Vec<u8>) {
        self.last_sequence = self.last_sequence.max(sequence);
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(Numbered { sequence, bytes });
    }

    /// Bytes that wait for room.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether everything was acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
    }

    /// Whether the server may lack messages that the transport has or had.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.in_flight.is_empty() || !self.acknowledged.is_empty()
    }

    /// The next message to write, if one waits.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.waiting.front().map(|message| &message.bytes[..])
    }

    /// The transport has taken the message at the front.
    pub(super) fn written(&mut self) {
        if let Some(message) = self.waiting.pop_front() {
            self.waiting_bytes -= message.bytes.len();
            self.in_flight_bytes += message.bytes.len();
            self.in_flight.push_back(message);
        }
    }

    /// The transport holds `buffered` bytes that the server has not acknowledged.
    pub(super) fn acknowledge(&mut self, buffered: usize, now: Instant) {
        while let Some(message) = self.in_flight.front() {
            let len = message.bytes.len();
            if self.in_flight_bytes - len < buffered {
                break;
            }
            self.in_flight_bytes -= len;
            self.acknowledged_bytes += len;
            let message = self.in_flight.pop_front();
            self.acknowledged
                .extend(message.map(|message| Acknowledged {
                    message,
                    complete: None,
                }));
        }
        if buffered == 0 {
            let incomplete = self.acknowledged.iter_mut().rev();
            for acknowledged in
                incomplete.take_while(|acknowledged| acknowledged.complete.is_none())
            {
                acknowledged.complete = Some(now);
            }
        }
        while self.acknowledged_bytes > MAX_ACKNOWLEDGED {
            self.settle_first();
        }
    }

    /// The connection works, so what was complete a while ago has been handled.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(first) = self.acknowledged.front() {
            if first.complete.is_none_or(|at| now < at + SETTLED_AFTER) {
                break;
            }
            self.settle_first();
        }
    }

    /// The server says that it has everything up to this number.
    pub(super) fn received(&mut self, sequence: u32) {
        let has = |message: &Numbered| message.sequence <= sequence;
        while self
            .acknowledged
            .front()
            .is_some_and(|acknowledged| has(&acknowledged.message))
        {
            self.settle_first();
        }
        while self.in_flight.front().is_some_and(has) {
            if let Some(message) = self.in_flight.pop_front() {
                self.in_flight_bytes -= message.bytes.len();
            }
        }
    }

    /// The transport is gone, and the server has said what it has: the rest waits again.
    pub(super) fn send_again(&mut self) {
        self.waiting_bytes += std::mem::take(&mut self.in_flight_bytes);
        self.waiting_bytes += std::mem::take(&mut self.acknowledged_bytes);
        while let Some(message) = self.in_flight.pop_back() {
            self.waiting.push_front(message);
        }
        while let Some(acknowledged) = self.acknowledged.pop_back() {
            self.waiting.push_front(acknowledged.message);
        }
    }

    /// The transport is gone, and nobody knows what the server has: to send again might deliver
    /// twice. Returns how many messages were given up; those that were complete before `trouble`
    /// began have arrived.
    pub(super) fn give_up(&mut self, trouble: Instant) -> u64 {
        let arrived = |at: Instant| at + HANDLED_AFTER < trouble;
        let unknown = self.acknowledged.iter();
        let unknown = unknown.filter(|acknowledged| !acknowledged.complete.is_some_and(arrived));
        let lost = self.in_flight.len() + unknown.count();
        self.in_flight.clear();
        self.acknowledged.clear();
        self.in_flight_bytes = 0;
        self.acknowledged_bytes = 0;
        lost as u64
    }

    fn settle_first(&mut self) {
        if let Some(first) = self.acknowledged.pop_front() {
            self.acknowledged_bytes -= first.message.bytes.len();
        }
    }
}

/// Longer than it takes to notice that a link is lost, since a resume asks what the server has
/// only if something is not settled.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The server handles what it acknowledges within a millisecond, unless its machine is busy.
const HANDLED_AFTER: Duration = Duration::from_millis(100);

/// As much as may be on its way.
const MAX_ACKNOWLEDGED: usize = 128 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outbox(messages: u32) -> Outbox {
        let mut outbox = Outbox::default();
        for _ in 0..messages {
            let sequence = outbox.next_sequence();
            outbox.push(sequence, vec![u8::try_from(sequence).unwrap(); 10]);
        }
        outbox
    }

    fn drain(outbox: &mut Outbox) -> Vec<u8> {
        let mut order = Vec::new();
        while let Some(message) = outbox.front() {
            order.push(message[0]);
            outbox.written();
        }
        order
    }

    #[test]
    fn acknowledged_messages_are_forgotten_whole() {
        let now = Instant::now();
        let mut outbox = outbox(3);
        drain(&mut outbox);
        outbox.acknowledge(21, now);
        assert_eq!(outbox.in_flight.len(), 3, "a part of a message is none");
        outbox.acknowledge(20, now);
        assert_eq!(outbox.in_flight.len(), 2);
        outbox.settle(now + SETTLED_AFTER);
        assert_eq!(outbox.acknowledged.len(), 1, "one before it may be missing");
        outbox.acknowledge(0, now);
        assert!(outbox.is_empty() && outbox.is_unsettled());
        outbox.settle(now + SETTLED_AFTER);
        assert!(!outbox.is_unsettled());
    }

    #[test]
    fn what_the_server_lacks_goes_again_in_order_before_what_waits() {
        let mut outbox = outbox(5);
        for _ in 0..3 {
            outbox.written();
        }
        outbox.acknowledge(10, Instant::now());
        outbox.received(1);
        outbox.send_again();
        assert_eq!(outbox.waiting_bytes(), 40);
        assert_eq!(drain(&mut outbox), [2, 3, 4, 5]);
    }

    #[test]
    fn acknowledged_messages_are_kept_within_a_bound() {
        let mut outbox = Outbox::default();
        for sequence in 1..=10 {
            outbox.push(sequence, vec![0; 60_000]);
            outbox.written();
            outbox.acknowledge(0, Instant::now());
            assert!(outbox.acknowledged_bytes <= MAX_ACKNOWLEDGED);
        }
    }

    #[test]
    fn messages_whose_fate_is_unknown_are_counted_and_the_rest_goes_on() {
        let mut outbox = outbox(5);
        outbox.written();
        outbox.written();
        outbox.written();
        let start = Instant::now();
        outbox.acknowledge(20, start);
        let later = start + Duration::from_secs(1);
        assert_eq!(
            outbox.give_up(later),
            3,
            "the one that is missing may be any"
        );
        assert_eq!(drain(&mut outbox), [4, 5]);
        outbox.acknowledge(0, start);
        assert_eq!(
            outbox.give_up(later),
            0,
            "nothing was missing before the trouble"
        );
        outbox.acknowledge(0, Instant::now());
        assert!(outbox.is_empty());
    }
}
