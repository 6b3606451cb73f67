//! TURN's messages on a stream (RFC 8656 sections 3.1 and 12.5): each tells its own length.

/// Bytes of a stream that do not make a whole message yet; at most one message's.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
}

/// The stream holds something that cannot be a TURN message, or a longer one than is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFrame;

impl Frames {
    /// Takes bytes from the stream, and gives each message that is now whole to `take`.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), BadFrame> {
        while !bytes.is_empty() {
            let wanted = match self.buffer.first_chunk() {
                Some(start) => frame_len(*start)?,
                None => 4,
            };
            let missing = wanted.saturating_sub(self.buffer.len()).min(bytes.len());
            let (now, later) = bytes.split_at(missing);
            self.buffer.extend(now);
            bytes = later;
            if let Some(start) = self.buffer.first_chunk()
                && self.buffer.len() == frame_len(*start)?
            {
                take(&self.buffer);
                self.buffer.clear();
            }
        }
        Ok(())
    }
}

#[cfg(any(fuzzing, test))]
impl Frames {
    /// Bytes that wait for the rest of their message.
    pub(super) fn buffered(&self) -> usize {
        self.buffer.len()
    }
}

/// The length of a message with its padding, from its first four bytes.
fn frame_len(start: [u8; 4]) -> Result<usize, BadFrame> {
    let len = usize::from(u16::from_be_bytes([start[2], start[3]]));
    let total = match start[0] {
        0x00..=0x3F => 20 + len,
        0x40..=0x4F => 4 + len.next_multiple_of(4),
        _ => return Err(BadFrame),
    };
    if total > MAX_FRAME {
        Err(BadFrame)
    } else {
        Ok(total)
    }
}

/// A datagram of LiveKit's is below 1,300 bytes; STUN's attributes around it are below 300.
pub(super) const MAX_FRAME: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = vec![0x40, 0, 0, 3, 1, 2, 3, 0]; // padded
        bytes.extend([0x01, 0x03, 0, 4]);
        bytes.extend([0; 20]);
        bytes.extend([0x40, 1, 0, 0]); // empty
        bytes.extend([0x40, 1, 0, 4, 5, 6, 7, 8]);
        bytes
    }

    #[test]
    fn messages_come_whole_however_the_stream_is_cut() {
        let bytes = stream();
        for size in 1..=bytes.len() {
            let (mut frames, mut lens) = (Frames::default(), Vec::new());
            for part in bytes.chunks(size) {
                frames.push(part, |frame| lens.push(frame.len())).unwrap();
            }
            assert_eq!(lens, [8, 24, 4, 8], "in parts of {size}");
            assert_eq!(frames.buffered(), 0);
        }
    }

    #[test]
    fn what_cannot_be_a_message_is_refused() {
        for start in [
            [0x50, 0, 0, 0],
            [0xFF, 0, 0, 0],
            [0x00, 1, 0xFF, 0xFC],
            [0x40, 0, 0xFF, 0],
        ] {
            assert_eq!(Frames::default().push(&start, |_| {}), Err(BadFrame));
        }
    }
}
