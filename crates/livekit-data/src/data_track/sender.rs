//! Cuts frames into packets.

use super::header::Header;
use std::time::{Duration, Instant};

/// Numbers the packets and frames of one track.
#[derive(Debug)]
pub(super) struct Sender {
    handle: u16,
    sequence: u16,
    frame: u16,
    epoch: Instant,
    /// What the time stamps begin at.
    base: u32,
}

impl Sender {
    /// A track's sender, whose time stamps count from `base` at `epoch`.
    pub(super) fn new(handle: u16, epoch: Instant, base: u32) -> Self {
        Sender {
            handle,
            sequence: 0,
            frame: 0,
            epoch,
            base,
        }
    }

    /// The next frame's packets. Its numbers are taken, whether or not the packets are.
    pub(super) fn packets<'a>(
        &mut self,
        payload: &'a [u8],
        user_timestamp: Option<u64>,
        now: Instant,
    ) -> Packets<'a> {
        let room = PACKET - Header::len(user_timestamp);
        // An empty frame is one packet too.
        let count = payload.len().div_ceil(room).max(1);
        let packets = Packets {
            header: Header {
                first: true,
                last: false,
                handle: self.handle,
                sequence: self.sequence,
                frame: self.frame,
                timestamp: self.base.wrapping_add(ticks(now, self.epoch)),
                user_timestamp,
            },
            rest: Some(payload),
            room,
        };
        self.sequence = self.sequence.wrapping_add(count as u16);
        self.frame = self.frame.wrapping_add(1);
        packets
    }
}

/// The packets of one frame.
#[derive(Debug)]
pub(crate) struct Packets<'a> {
    header: Header,
    /// None, once the last packet was made.
    rest: Option<&'a [u8]>,
    room: usize,
}

impl Iterator for Packets<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let rest = self.rest.take()?;
        let (payload, rest) = rest.split_at(rest.len().min(self.room));
        self.header.last = rest.is_empty();
        let len = Header::len(self.header.user_timestamp) + payload.len();
        let mut packet = Vec::with_capacity(len);
        self.header.write(&mut packet);
        packet.extend_from_slice(payload);
        self.header.first = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.rest = (!self.header.last).then_some(rest);
        Some(packet)
    }
}

/// 90,000ths of a second since `epoch`, wrapping around.
fn ticks(now: Instant, epoch: Instant) -> u32 {
    let elapsed: Duration = now.saturating_duration_since(epoch);
    (elapsed.as_micros() * 9 / 100) as u32
}

/// The longest frame in bytes.
pub const MAX_FRAME: usize = FRAME_PACKETS * (PACKET - super::header::LEN - TIME);

/// Packets of the longest frame: livekit-client keeps no more of one (`MAX_BUFFER_PACKETS` in its
/// `depacketizer.ts`).
pub(crate) const FRAME_PACKETS: usize = 128;

/// Room for the time stamp of a user.
const TIME: usize = 12;

/// Bytes of a packet: what the server puts into one SCTP packet towards a receiver, as for lossy
/// messages. A longer packet would be fragmented by the transport, and the loss of one fragment
/// would lose them all without the receiver's knowledge.
const PACKET: usize = crate::packet::MAX_LOSSY_MESSAGE;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len: usize, time: Option<u64>, expected: usize) {
        let now = Instant::now();
        let mut sender = Sender::new(7, now, u32::MAX);
        sender.sequence = u16::MAX;
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let second = Duration::from_secs(1);
        let packets: Vec<_> = sender.packets(&payload, time, now + second).collect();
        assert_eq!(packets.len(), expected);
        let mut joined = Vec::new();
        for (at, packet) in packets.iter().enumerate() {
            assert!(packet.len() <= PACKET);
            let (header, start) = Header::parse(packet).unwrap();
            let expected = Header {
                first: at == 0,
                last: at == expected - 1,
                handle: 7,
                sequence: u16::MAX.wrapping_add(at as u16),
                frame: 0,
                timestamp: 90_000 - 1,
                user_timestamp: time,
            };
            assert_eq!(header, expected);
            joined.extend_from_slice(&packet[start..]);
        }
        assert_eq!(joined, payload);
        let next = sender.packets(b"", None, now).next().unwrap();
        let (header, _) = Header::parse(&next).unwrap();
        assert_eq!(header.frame, 1);
        assert_eq!(
            header.sequence,
            u16::MAX.wrapping_add(packets.len() as u16),
            "the numbers go on"
        );
    }

    #[test]
    fn a_frame_is_cut_into_packets_of_one_sctp_packet_each() {
        check(0, None, 1);
        check(1, None, 1);
        check(PACKET - 12, None, 1);
        check(PACKET - 11, None, 2);
        check(20_000, None, 18);
        check(PACKET - 24, Some(1), 1);
        check(PACKET - 23, Some(1), 2);
        check(MAX_FRAME, Some(1), 128);
    }
}
