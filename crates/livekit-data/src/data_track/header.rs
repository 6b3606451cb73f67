//! What a packet of a data track begins with.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+-+-+-+-------------------+-------------------------------+
//! | V=0 |S|F|X|     reserved      |            handle             |
//! +-----+-+-+-+-------------------+-------------------------------+
//! |            sequence           |             frame             |
//! +-------------------------------+-------------------------------+
//! |                           timestamp                           |
//! +-------------------------------+-------------------------------+
//! |  words of extensions if X=1   |  extensions, padded with 0    |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! `S` and `F` mark the first and the last packet of a frame. The extensions take one word of four
//! bytes more than their field says, and their field is a part of them; each is an id, a length
//! and as many bytes.

/// A packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether this is the first packet of its frame.
    pub(super) first: bool,
    /// Whether this is the last packet of its frame.
    pub(super) last: bool,
    /// The track: chosen by the publisher on its side of the server, and by the server on the
    /// other. Never 0.
    pub(super) handle: u16,
    /// Counts the packets of a track, and wraps around.
    pub(super) sequence: u16,
    /// Counts the frames of a track, and wraps around.
    pub(super) frame: u16,
    /// In 90,000ths of a second from anywhere; wraps around.
    pub(super) timestamp: u32,
    /// A time that the publisher attached.
    pub(super) user_timestamp: Option<u64>,
}

impl Header {
    /// Splits a packet into its header and where its payload begins; none if it is malformed or
    /// of another version.
    pub(super) fn parse(packet: &[u8]) -> Option<(Self, usize)> {
        let (fixed, rest) = packet.split_first_chunk::<LEN>()?;
        let flags = fixed[0];
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let handle = half(2);
        if flags >> VERSION_SHIFT != VERSION || handle == 0 {
            return None;
        }
        let mut header = Header {
            first: flags & FIRST != 0,
            last: flags & LAST != 0,
            handle,
            sequence: half(4),
            frame: half(6),
            timestamp: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            user_timestamp: None,
        };
        if flags & EXTENDED == 0 {
            return Some((header, LEN));
        }
        let (words, _) = rest.split_first_chunk::<2>()?;
        let len = (usize::from(u16::from_be_bytes(*words)) + 1) * WORD;
        header.read_extensions(rest.get(2..len)?)?;
        Some((header, LEN + len))
    }

    fn read_extensions(&mut self, mut bytes: &[u8]) -> Option<()> {
        // The padding goes on to the end.
        while let [id, rest @ ..] = bytes
            && *id != PADDING
        {
            let (len, rest) = rest.split_first()?;
            let (value, rest) = rest.split_at_checked(usize::from(*len))?;
            if *id == USER_TIMESTAMP {
                self.user_timestamp = value.try_into().ok().map(u64::from_be_bytes);
            }
            bytes = rest;
        }
        Some(())
    }

    /// How many bytes [`write`](Self::write) appends.
    pub(super) fn len(user_timestamp: Option<u64>) -> usize {
        LEN + if user_timestamp.is_some() {
            WITH_TIME
        } else {
            0
        }
    }

    /// Appends the header.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let mut flags = VERSION << VERSION_SHIFT;
        for (set, flag) in [
            (self.first, FIRST),
            (self.last, LAST),
            (self.user_timestamp.is_some(), EXTENDED),
        ] {
            flags |= if set { flag } else { 0 };
        }
        to.extend_from_slice(&[flags, 0]);
        for half in [self.handle, self.sequence, self.frame] {
            to.extend_from_slice(&half.to_be_bytes());
        }
        to.extend_from_slice(&self.timestamp.to_be_bytes());
        if let Some(time) = self.user_timestamp {
            let words = (WITH_TIME / WORD - 1) as u16;
            to.extend_from_slice(&words.to_be_bytes());
            to.extend_from_slice(&[USER_TIMESTAMP, size_of::<u64>() as u8]);
            to.extend_from_slice(&time.to_be_bytes());
        }
    }
}

/// Length in bytes of the part that every packet has.
pub(super) const LEN: usize = 12;

/// Length in bytes of the extensions with a user's time stamp: their length, then id, length and
/// value. That is whole words, so there is no padding.
const WITH_TIME: usize = 2 + 2 + size_of::<u64>();

const VERSION: u8 = 0;
const VERSION_SHIFT: u8 = 5;
const FIRST: u8 = 1 << 4;
const LAST: u8 = 1 << 3;
const EXTENDED: u8 = 1 << 2;
const WORD: usize = 4;

const PADDING: u8 = 0;

/// `DataTrackExtensionTag` in livekit-client's `packet/extensions.ts`.
const USER_TIMESTAMP: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            first: bool,
            last: bool,
            handle in 1_u16..,
            sequence: u16,
            frame: u16,
            timestamp: u32,
            user_timestamp: Option<u64>,
            payload in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let header = Header { first, last, handle, sequence, frame, timestamp, user_timestamp };
            let mut packet = Vec::new();
            header.write(&mut packet);
            prop_assert_eq!(packet.len(), Header::len(user_timestamp));
            packet.extend_from_slice(&payload);
            let (read, at) = Header::parse(&packet).unwrap();
            prop_assert_eq!(read, header);
            prop_assert_eq!(&packet[at..], &payload[..]);
        }

        #[test]
        fn any_bytes_are_read_without_panic(packet in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some((_, at)) = Header::parse(&packet) {
                prop_assert!(at <= packet.len());
            }
        }
    }

    /// Made by livekit-client 2.23's `DataTrackPacket.toBinary`.
    #[test]
    fn a_packet_of_the_javascript_client_is_read() {
        let packet = [
            0x1c, 0x00, 0x00, 0x65, 0x00, 0x2a, 0x00, 0x07, 0x00, 0x01, 0x5f, 0x90, 0x00, 0x02,
            0x02, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xe8, 0x68, 0x69,
        ];
        let expected = Header {
            first: true,
            last: true,
            handle: 101,
            sequence: 42,
            frame: 7,
            timestamp: 90_000,
            user_timestamp: Some(1_000),
        };
        assert_eq!(Header::parse(&packet), Some((expected, 24)));
        assert_eq!(&packet[24..], b"hi");
    }

    fn check(bytes: &[u8], payload: Option<usize>) {
        let mut packet = vec![0x1c, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(bytes);
        let at = Header::parse(&packet).map(|(_, at)| at - LEN);
        assert_eq!(at, payload, "{bytes:?}");
    }

    #[test]
    fn extensions_are_skipped_and_their_length_is_checked() {
        check(&[], None); // the length is missing
        check(&[0], None);
        check(&[0, 0], None); // the word is not whole
        check(&[0, 0, 0, 0], Some(4)); // only padding
        check(&[0, 0, 0, 0, 9], Some(4));
        check(&[0, 0, 9, 0], Some(4)); // an unknown one of no length
        check(&[0, 0, 9, 1], None); // longer than all of them
        check(&[0, 1, 9, 3, 1, 1, 1, 0], Some(8));
        check(&[0, 1, 9, 4, 1, 1, 1, 1], Some(8));
        check(&[0, 1, 9, 3, 1, 1, 1, 9], None); // no length
        check(&[0, 1, 0, 9, 9, 9, 9, 9], Some(8)); // padding to the end
        check(&[0xff, 0xff, 0, 0], None);
        check(&[0, 1, 2, 4, 1, 1, 1, 1], Some(8)); // a time stamp of four bytes is ignored
    }

    #[test]
    fn other_versions_and_the_reserved_handle_are_refused() {
        let mut packet = [0_u8; LEN];
        packet[3] = 1;
        assert!(Header::parse(&packet).is_some());
        packet[0] = 1 << VERSION_SHIFT;
        assert!(Header::parse(&packet).is_none());
        assert!(Header::parse(&[0; LEN]).is_none());
    }
}
