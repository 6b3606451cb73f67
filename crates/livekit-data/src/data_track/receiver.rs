//! Puts frames together, and keeps them in order.

use super::header::Header;
use super::{RemoteTrack, TrackStats};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving end of one track.
///
/// A frame is delivered as soon as it is whole and newer than the last one: waiting for an older
/// one would only make the newer one late as well.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) track: Arc<RemoteTrack>,
    /// Number of the frame that was delivered last, and when.
    last: Option<(u16, Instant)>,
    /// Frames that are not whole yet.
    partial: Vec<Partial>,
    /// What the packets of those take.
    buffered: usize,
}

#[derive(Debug)]
struct Partial {
    frame: u16,
    first: Option<u16>,
    last: Option<u16>,
    /// Payloads by sequence number, in the order they came.
    packets: Vec<(u16, Bytes)>,
    /// What the packets take.
    bytes: usize,
}

impl Receiver {
    pub(super) fn new(track: Arc<RemoteTrack>) -> Self {
        Receiver {
            track,
            last: None,
            partial: Vec::new(),
            buffered: 0,
        }
    }

    /// How many bytes the packets of unfinished frames take.
    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Takes a packet's payload; gives the frame's, if that is whole now. `room` is what the
    /// packets of unfinished frames may take at most.
    pub(super) fn handle(
        &mut self,
        header: &Header,
        payload: Bytes,
        room: usize,
        stats: &mut TrackStats,
        now: Instant,
    ) -> Option<Bytes> {
        // After a silence its numbers may have wrapped around, or its publisher begun anew.
        self.last
            .take_if(|(_, at)| now.saturating_duration_since(*at) >= SILENCE);
        if self
            .last
            .is_some_and(|(last, _)| distance(last, header.frame) <= 0)
        {
            stats.late += 1;
            return None;
        }
        if header.first && header.last {
            self.deliver(header.frame, stats, now);
            return Some(payload);
        }
        let at = self.find_or_begin(header.frame);
        let partial = &mut self.partial[at];
        if partial
            .packets
            .iter()
            .any(|(sequence, _)| *sequence == header.sequence)
        {
            stats.late += 1;
            return None;
        }
        let taken = payload.len() + PACKET_OVERHEAD;
        if partial.packets.len() >= MAX_PACKETS || self.buffered + taken > room {
            self.forget(at);
            return None;
        }
        partial.packets.push((header.sequence, payload));
        partial.bytes += taken;
        self.buffered += taken;
        for (marked, end) in [
            (header.first, &mut partial.first),
            (header.last, &mut partial.last),
        ] {
            if marked {
                *end = Some(header.sequence);
            }
        }
        if !partial.is_whole() {
            return None;
        }
        let frame = self.forget(at).join()?;
        self.deliver(header.frame, stats, now);
        Some(frame)
    }

    /// Counts a frame as delivered, and drops all that are now late.
    fn deliver(&mut self, frame: u16, stats: &mut TrackStats, now: Instant) {
        if let Some((last, _)) = self.last.replace((frame, now)) {
            stats.missed += u64::from(distance(last, frame).unsigned_abs() - 1);
        }
        stats.received += 1;
        self.partial.retain(|partial| {
            let keep = distance(frame, partial.frame) > 0;
            self.buffered -= if keep { 0 } else { partial.bytes };
            keep
        });
    }

    fn find_or_begin(&mut self, frame: u16) -> usize {
        if let Some(at) = self
            .partial
            .iter()
            .position(|partial| partial.frame == frame)
        {
            return at;
        }
        if self.partial.len() >= MAX_PARTIAL {
            // The one that is furthest behind.
            let behind = |partial: &Partial| distance(partial.frame, frame);
            let oldest = (0..self.partial.len()).max_by_key(|at| behind(&self.partial[*at]));
            self.forget(oldest.unwrap_or_default());
        }
        self.partial.push(Partial {
            frame,
            first: None,
            last: None,
            packets: Vec::new(),
            bytes: 0,
        });
        self.partial.len() - 1
    }

    fn forget(&mut self, at: usize) -> Partial {
        let partial = self.partial.swap_remove(at);
        self.buffered -= partial.bytes;
        partial
    }
}

impl Partial {
    /// Whether there are as many packets as there must be. No number comes twice, so these are
    /// all of them, unless some lie outside, which `join` finds.
    fn is_whole(&self) -> bool {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return false;
        };
        self.packets.len() == usize::from(last.wrapping_sub(first)) + 1
    }

    /// The frame's bytes; none if its numbers do not fit together.
    fn join(mut self) -> Option<Bytes> {
        let first = self.first?;
        let place = |sequence: u16| usize::from(sequence.wrapping_sub(first));
        self.packets
            .sort_unstable_by_key(|(sequence, _)| place(*sequence));
        let (end, _) = self.packets.last()?;
        if place(*end) + 1 != self.packets.len() {
            return None;
        }
        let mut frame = BytesMut::with_capacity(self.packets.iter().map(|(_, p)| p.len()).sum());
        for (_, payload) in &self.packets {
            frame.extend_from_slice(payload);
        }
        Some(frame.freeze())
    }
}

/// How far `to` is ahead of `from`, numbers that wrap around; negative if it is behind.
fn distance(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from) as i16
}

/// Frames of a track that are put together at the same time. Datagrams overtake each other by a
/// few milliseconds at most, so more would only wait for packets that were lost.
const MAX_PARTIAL: usize = 4;

/// Packets of one frame: eight times the longest frame that is sent from here.
const MAX_PACKETS: usize = 1_024;

/// What a packet takes beside its payload: its header with extensions of a usual length, which are
/// half of it at most, and its place in the list.
pub(super) const PACKET_OVERHEAD: usize = 128;

/// From then on a track's numbers say nothing any more. At 60 frames a second half of them are
/// used up in nine minutes; no packet is two seconds on its way.
const SILENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_track::sender::Sender;
    use proptest::prelude::*;

    const ROOM: usize = 1 << 20;

    struct Ends {
        receiver: Receiver,
        stats: TrackStats,
        now: Instant,
    }

    impl Ends {
        fn new() -> Self {
            let track = RemoteTrack {
                publisher: "someone".into(),
                name: "state".into(),
                sid: "DTR_1".into(),
                encrypted: false,
            };
            Ends {
                receiver: Receiver::new(Arc::new(track)),
                stats: TrackStats::default(),
                now: Instant::now(),
            }
        }

        fn packet(
            &mut self,
            frame: u16,
            sequence: u16,
            ends: &str,
            payload: &str,
        ) -> Option<Bytes> {
            let header = Header {
                first: ends.contains('S'),
                last: ends.contains('F'),
                handle: 1,
                sequence,
                frame,
                timestamp: 0,
                user_timestamp: None,
            };
            let payload = Bytes::copy_from_slice(payload.as_bytes());
            self.receiver
                .handle(&header, payload, ROOM, &mut self.stats, self.now)
        }

        fn frame(&mut self, frame: u16) -> bool {
            self.packet(frame, 0, "SF", "").is_some()
        }
    }

    fn text(text: &str) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn packets_of_two_frames_in_any_order_make_both() {
        let mut ends = Ends::new();
        assert_eq!(ends.packet(1, 12, "F", "c"), None);
        assert_eq!(ends.packet(2, 14, "F", "e"), None);
        assert_eq!(ends.packet(1, 10, "S", "a"), None);
        assert_eq!(ends.packet(1, 10, "S", "x"), None, "twice");
        assert_eq!(ends.packet(1, 11, "", "b"), text("abc"));
        assert_eq!(ends.packet(2, 13, "S", "d"), text("de"));
        assert_eq!(ends.receiver.buffered(), 0);
        let expected = TrackStats {
            received: 2,
            late: 1,
            ..Default::default()
        };
        assert_eq!(ends.stats, expected);
    }

    #[test]
    fn a_newer_frame_does_not_wait_and_what_it_overtook_is_dropped() {
        let mut ends = Ends::new();
        assert!(ends.frame(1));
        assert_eq!(ends.packet(2, 1, "S", "a"), None);
        assert_eq!(ends.packet(5, 9, "S", "f"), None);
        assert!(ends.frame(4));
        assert_eq!(ends.packet(2, 2, "F", "b"), None, "late");
        assert!(!ends.frame(4), "again");
        assert_eq!(ends.packet(5, 10, "F", "g"), text("fg"));
        let expected = TrackStats {
            received: 3,
            missed: 2,
            late: 2,
            ..Default::default()
        };
        assert_eq!(ends.stats, expected);
        assert_eq!(ends.receiver.buffered(), 0);
    }

    #[test]
    fn numbers_wrap_around() {
        let mut ends = Ends::new();
        for frame in [u16::MAX - 1, u16::MAX, 0, 1] {
            assert!(ends.frame(frame), "{frame}");
        }
        assert!(!ends.frame(u16::MAX));
        assert_eq!(ends.packet(2, u16::MAX, "S", "a"), None);
        assert_eq!(ends.packet(2, 1, "F", "c"), None);
        assert_eq!(ends.packet(2, 0, "", "b"), text("abc"));
        assert_eq!(ends.stats.missed, 0);
    }

    #[test]
    fn after_a_silence_any_number_is_new() {
        let mut ends = Ends::new();
        assert!(ends.frame(40_000));
        assert!(!ends.frame(39_999));
        ends.now += SILENCE;
        assert!(ends.frame(0));
        assert_eq!(ends.stats.missed, 0);
    }

    #[test]
    fn a_frame_whose_ends_do_not_fit_is_never_delivered() {
        let mut ends = Ends::new();
        assert_eq!(ends.packet(1, 5, "S", "a"), None);
        assert_eq!(ends.packet(1, 9, "", "x"), None);
        assert_eq!(
            ends.packet(1, 6, "F", "b"),
            None,
            "three packets where two belong"
        );
        assert_eq!(ends.packet(2, 5, "S", "a"), None);
        assert_eq!(ends.packet(2, 9, "", "x"), None);
        assert_eq!(
            ends.packet(2, 7, "F", "c"),
            None,
            "one of three lies outside"
        );
        assert_eq!(ends.stats.received, 0);
        assert!(ends.frame(3));
        assert_eq!(ends.receiver.buffered(), 0);
    }

    #[test]
    fn what_is_kept_of_unfinished_frames_is_bounded() {
        let mut ends = Ends::new();
        for frame in 0..1000 {
            ends.packet(frame, frame, "S", "payload");
        }
        assert_eq!(ends.receiver.partial.len(), MAX_PARTIAL);
        assert!(
            ends.receiver
                .partial
                .iter()
                .all(|partial| partial.frame >= 996)
        );
        for sequence in 0..5000 {
            ends.packet(1000, sequence, "", "payload");
            assert!(ends.receiver.buffered() <= (MAX_PACKETS + 4) * (7 + PACKET_OVERHEAD));
        }
        for frame in 1001..1100 {
            for sequence in 0..1000 {
                ends.packet(frame, sequence, "", &"x".repeat(4000));
                assert!(ends.receiver.buffered() <= ROOM);
            }
        }
    }

    proptest! {
        #[test]
        fn what_arrives_is_delivered_in_order_and_whole(
            lens in prop::collection::vec(0_usize..6000, 1..40),
            lost in prop::collection::vec(0..20_u8, 300),
            delay in prop::collection::vec(0..6_usize, 300),
            start: u16,
        ) {
            let mut ends = Ends::new();
            let mut sender = Sender::new(1, ends.now, 0);
            for _ in 0..start {
                sender.packets(b"", None, ends.now);
            }
            let mut packets = Vec::new();
            for (number, len) in lens.iter().enumerate() {
                let payload = vec![number as u8; *len];
                packets.extend(sender.packets(&payload, None, ends.now).map(|packet| (number, packet)));
            }
            let sent = packets.len();
            let mut order: Vec<_> = packets.into_iter().enumerate()
                .filter(|(at, _)| lost[at % 300] != 0)
                .map(|(at, packet)| (at + delay[at % 300], packet))
                .collect();
            order.sort_by_key(|(at, _)| *at);
            let all = order.len() == sent && delay.iter().all(|delay| *delay == 0);
            let mut delivered = Vec::new();
            for (_, (number, packet)) in order {
                let (header, at) = Header::parse(&packet).unwrap();
                let payload = Bytes::from(packet).slice(at..);
                if let Some(frame) = ends.receiver.handle(&header, payload, ROOM, &mut ends.stats, ends.now) {
                    prop_assert_eq!(&frame[..], &vec![number as u8; lens[number]][..]);
                    delivered.push(number);
                }
            }
            prop_assert!(delivered.is_sorted());
            prop_assert_eq!(delivered.len() as u64, ends.stats.received);
            if all {
                prop_assert_eq!(delivered.len(), lens.len());
            }
            if let (Some(first), Some(last)) = (delivered.first(), delivered.last()) {
                prop_assert_eq!(last - first + 1 - delivered.len(), ends.stats.missed as usize);
            }
        }
    }
}
