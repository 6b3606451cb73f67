//! Moves messages between the connection and its transport.

use super::peer::PeerEvent;
use super::recovery::Step;
use super::watchdog::Verdict;
use super::{
    Carrier, Channel, CloseReason, Connection, Duration, Event, RELIABLE_BUFFER, Request, proto,
};
use crate::packet::Received;

impl Connection {
    pub(super) fn drive_if_dirty(&mut self) {
        if self.dirty {
            self.drive();
        }
    }

    /// Asks the transport for everything it has, and does what follows from it.
    pub(super) fn drive(&mut self) {
        self.drive_relays();
        loop {
            self.dirty = false;
            self.drive_peers();
            // Acknowledged messages make room for those that wait.
            if self.closed || !self.write_waiting() {
                break;
            }
        }
        if self.closed {
            return;
        }
        self.drain_tracks();
        self.watch();
        self.complete_if_open();
        self.leave_if_due();
        self.relay_transmits();
        // What the last steps wrote goes out with the next drain.
    }

    fn drive_peers(&mut self) {
        while !self.closed
            && let Some((is_publisher, event)) = self.poll_peers()
        {
            match event {
                PeerEvent::Message(Carrier::Packets(channel), message) => {
                    self.received(is_publisher, channel, message);
                }
                PeerEvent::Message(Carrier::DataTracks, packet) => {
                    self.received_progress(is_publisher);
                    self.tracks.handle_packet(packet, self.now);
                }
                PeerEvent::Ended => self.transport_ended(),
            }
        }
    }

    fn poll_peers(&mut self) -> Option<(bool, PeerEvent)> {
        if let Some(event) = self.publisher.poll(self.now, &mut self.transmits) {
            return Some((true, event));
        }
        let event = self
            .subscriber
            .as_mut()?
            .poll(self.now, &mut self.transmits)?;
        Some((false, event))
    }

    fn received(&mut self, is_publisher: bool, channel: Channel, message: Vec<u8>) {
        let Some(packet) = Received::parse(message) else {
            self.stats.malformed_packets += 1;
            return;
        };
        self.received_progress(is_publisher);
        let numbered = channel == Channel::Reliable;
        if numbered && !self.roster.is_new(&packet.from_sid, packet.sequence) {
            self.stats.duplicates += 1;
            return;
        }
        // Other kinds of packet, such as transcriptions, are not for a data-only participant.
        let Some(user) = packet.user else { return };
        let (Ok(from), Ok(topic)) = (
            std::str::from_utf8(&packet.from),
            std::str::from_utf8(&user.topic),
        ) else {
            self.stats.malformed_packets += 1;
            return;
        };
        let (from, topic) = (self.roster.name(from), self.roster.name(topic));
        let payload = user.payload;
        self.events.push_back(Event::Data {
            from,
            topic,
            payload,
            channel,
            received: self.now,
        });
    }

    /// A message came through a peer connection.
    fn received_progress(&mut self, is_publisher: bool) {
        match &mut self.subscriber {
            Some(subscriber) if !is_publisher => subscriber.handle_message(self.now),
            _ => self.publisher.handle_message(self.now),
        }
    }

    /// Hands waiting messages to the transport while it has room; true if any went.
    pub(super) fn write_waiting(&mut self) -> bool {
        if !self.outbox.is_unsettled() && self.outbox.is_empty() && self.latest.is_empty() {
            return false;
        }
        // A new session that comes to nothing would take with it what was written to it.
        if self.is_step(Step::Rejoin) {
            return false;
        }
        let mut written = false;
        let reliable = Carrier::Packets(Channel::Reliable);
        let buffered = self.publisher.buffered(reliable);
        self.outbox.acknowledge(buffered, self.now);
        if self.recovery.is_none() && self.publisher.is_link_up() {
            self.outbox.settle(self.now);
        }
        while let Some(message) = self.outbox.front() {
            let room = self.publisher.buffered(reliable) < RELIABLE_BUFFER;
            if !room || !self.publisher.write(reliable, message) {
                break;
            }
            self.outbox.written();
            written = true;
        }
        while let Some((key, message)) = self.latest.pop_front() {
            if !self.write_lossy(&message) {
                self.latest.push_front((key, message));
                break;
            }
            written = true;
        }
        self.dirty |= written;
        written
    }

    /// Hands a lossy message to the transport if that can send it soon.
    pub(super) fn write_lossy(&mut self, message: &[u8]) -> bool {
        let lossy = Carrier::Packets(Channel::Lossy);
        if !self.publisher.is_link_up() {
            return false;
        }
        let buffered = self.publisher.buffered(lossy);
        let written = self.backlog.has_room(message.len(), buffered, self.now)
            && self.publisher.write(lossy, message);
        if written {
            self.backlog.written(message.len(), self.now);
        }
        self.dirty |= written;
        written
    }

    fn watch(&mut self) {
        let (now, stretch) = (self.now, self.strain.stretch());
        let mut verdict = None;
        for peer in std::iter::once(&mut self.publisher).chain(&mut self.subscriber) {
            verdict = verdict.or(peer.watch(now, stretch, &mut self.transmits));
        }
        match verdict {
            Some(Verdict::Down) => self.link_down(self.signal_open),
            // Looking for another path needs signalling.
            Some(Verdict::Deaf) => self.link_down(false),
            Some(Verdict::Stuck) => self.transport_stuck(),
            // A resume that waits for this sees it.
            Some(Verdict::Recovered) | None => {}
        }
    }

    fn leave_if_due(&mut self) {
        let Some(deadline) = self.leaving.filter(|_| !self.closed) else {
            return;
        };
        let flushed = self.outbox.is_empty();
        if flushed && !self.flushed {
            self.flushed = true;
            self.leaving = Some(deadline.min(self.now + FORWARD_TIME));
        }
        let lost = self.recovery.is_some() || self.ended.is_some() || !self.joined;
        if lost || self.leaving.is_some_and(|deadline| self.now >= deadline) {
            self.farewell();
        }
    }

    /// Tells the server, if it can be told, and ends.
    pub(super) fn farewell(&mut self) {
        self.signal(Request::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            ..Default::default()
        }));
        self.close(CloseReason::Requested);
    }
}

/// The server drops what it has acknowledged and not yet forwarded when its sender leaves; it
/// forwards within a millisecond, unless its machine is busy.
const FORWARD_TIME: Duration = Duration::from_millis(100);
