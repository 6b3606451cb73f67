//! Reliable messages from when they are sent until the server has them.

use std::collections::VecDeque;

/// Messages in the order of their numbers: first those that the transport has and the server has
/// not acknowledged, then those that wait for room.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last_sequence: u32,
    in_flight: VecDeque<Numbered>,
    in_flight_bytes: usize,
    waiting: VecDeque<Numbered>,
    waiting_bytes: usize,
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

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
    }

    /// Whether the transport has messages that the server may lack.
    pub(super) fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
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

    /// The transport holds `buffered` bytes that the server has not acknowledged. True if that is
    /// news.
    pub(super) fn acknowledged(&mut self, buffered: usize) -> bool {
        let before = self.in_flight.len();
        while let Some(message) = self.in_flight.front() {
            if self.in_flight_bytes - message.bytes.len() < buffered {
                break;
            }
            self.forget_first();
        }
        self.in_flight.len() < before
    }

    /// The server says that it has everything up to this number.
    pub(super) fn received(&mut self, sequence: u32) {
        while self
            .in_flight
            .front()
            .is_some_and(|message| message.sequence <= sequence)
        {
            self.forget_first();
        }
    }

    /// The transport is gone, and the server has said what it has: the rest waits again.
    pub(super) fn send_again(&mut self) {
        self.waiting_bytes += std::mem::take(&mut self.in_flight_bytes);
        while let Some(message) = self.in_flight.pop_back() {
            self.waiting.push_front(message);
        }
    }

    /// The transport is gone, and nobody knows what the server has: to send again might deliver
    /// twice. Returns how many messages were given up.
    pub(super) fn give_up(&mut self) -> u64 {
        let lost = self.in_flight.len();
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        lost as u64
    }

    fn forget_first(&mut self) {
        if let Some(message) = self.in_flight.pop_front() {
            self.in_flight_bytes -= message.bytes.len();
        }
    }
}

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
        let mut outbox = outbox(3);
        drain(&mut outbox);
        assert!(!outbox.acknowledged(30));
        assert!(!outbox.acknowledged(21), "a part of a message is none");
        assert!(outbox.acknowledged(20));
        assert!(outbox.acknowledged(0));
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_the_server_lacks_goes_again_in_order_before_what_waits() {
        let mut outbox = outbox(5);
        for _ in 0..3 {
            outbox.written();
        }
        outbox.received(1);
        outbox.send_again();
        assert_eq!(outbox.waiting_bytes(), 40);
        assert_eq!(drain(&mut outbox), [2, 3, 4, 5]);
    }

    #[test]
    fn messages_whose_fate_is_unknown_are_counted_and_the_rest_goes_on() {
        let mut outbox = outbox(5);
        outbox.written();
        outbox.written();
        assert_eq!(outbox.give_up(), 2);
        assert_eq!(drain(&mut outbox), [3, 4, 5]);
        assert!(outbox.acknowledged(0));
        assert!(outbox.is_empty());
    }
}
