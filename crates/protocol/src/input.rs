//! Input packets, which are read many times a tick, straight from their bytes: nothing is
//! allocated, and the frames' data stays where it came.

use prost::DecodeError;
use prost::bytes::Buf as _;
use prost::encoding::{self, DecodeContext, WireType};

use crate::{VERSION, WireError, limits, topic};

/// What a player sends each tick: [`wire::PlayerInput`](crate::wire::PlayerInput), checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPacket<'a> {
    frames: [Frame<'a>; limits::INPUT_FRAMES],
    count: usize,
    /// `full`: the newest tick whose snapshot was read. `validated`: the newest tick up to which
    /// every confirmed tick is held. 0: none.
    pub ack_tick: u32,
    /// `full`: bit n says that the snapshot of tick `ack_tick - 1 - n` was read as well.
    pub ack_bits: u32,
    /// The tick that the player looks at, in 1/256 ticks; 0 where unknown.
    pub view_tick: u32,
    /// Milliseconds of the sender's clock.
    pub sent_ms: u32,
}

/// A player's input for one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The tick, from 1.
    pub tick: u32,
    /// The fields as the module's schema packs them, not checked yet.
    pub data: &'a [u8],
}

impl<'a> InputPacket<'a> {
    /// The frames, ascending by tick; none in a heartbeat.
    pub fn frames(&self) -> &[Frame<'a>] {
        &self.frames[..self.count]
    }
}

/// Reads an `input` payload.
///
/// # Errors
/// [`WireError`] for a payload that is too long, malformed, of another version, or whose frames are
/// more than [`limits::INPUT_FRAMES`] or do not ascend by tick from 1.
pub fn decode_player_input(payload: &[u8]) -> Result<InputPacket<'_>, WireError> {
    if payload.len() > limits::INPUT_BYTES {
        return Err(WireError::TooLarge {
            topic: topic::INPUT,
            bytes: payload.len(),
            limit: limits::INPUT_BYTES,
        });
    }
    let mut raw = Raw::default();
    raw.read(payload)
        .map_err(|Fault(reason)| WireError::Malformed {
            topic: topic::INPUT,
            reason,
        })?;
    if raw.version != VERSION {
        return Err(WireError::Version {
            topic: topic::INPUT,
            found: raw.version,
        });
    }
    if raw.found > limits::INPUT_FRAMES {
        return Err(WireError::TooManyFrames { found: raw.found });
    }
    let mut before = 0;
    for frame in &raw.frames[..raw.found] {
        if frame.tick <= before {
            return Err(WireError::NotAscending {
                before,
                found: frame.tick,
            });
        }
        before = frame.tick;
    }
    Ok(InputPacket {
        frames: raw.frames,
        count: raw.found,
        ack_tick: raw.ack_tick,
        ack_bits: raw.ack_bits,
        view_tick: raw.view_tick,
        sent_ms: raw.sent_ms,
    })
}

/// What the decoder expected.
struct Fault(String);

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

#[derive(Default)]
struct Raw<'a> {
    version: u32,
    frames: [Frame<'a>; limits::INPUT_FRAMES],
    /// How many there were; those beyond what is allowed are only counted.
    found: usize,
    ack_tick: u32,
    view_tick: u32,
    sent_ms: u32,
    ack_bits: u32,
}

impl<'a> Raw<'a> {
    fn read(&mut self, mut payload: &'a [u8]) -> Result<(), Fault> {
        while payload.has_remaining() {
            let (tag, wire_type) = encoding::decode_key(&mut payload)?;
            match tag {
                1 => number(&mut self.version, wire_type, &mut payload)?,
                2 => {
                    let frame = read_frame(bytes(wire_type, &mut payload)?)?;
                    if let Some(place) = self.frames.get_mut(self.found) {
                        *place = frame;
                    }
                    self.found += 1;
                }
                3 => number(&mut self.ack_tick, wire_type, &mut payload)?,
                4 => number(&mut self.view_tick, wire_type, &mut payload)?,
                5 => number(&mut self.sent_ms, wire_type, &mut payload)?,
                6 => number(&mut self.ack_bits, wire_type, &mut payload)?,
                _ => {
                    encoding::skip_field(wire_type, tag, &mut payload, DecodeContext::default())?;
                }
            }
        }
        Ok(())
    }
}

fn read_frame(mut bytes_left: &[u8]) -> Result<Frame<'_>, Fault> {
    let mut frame = Frame::default();
    while bytes_left.has_remaining() {
        let (tag, wire_type) = encoding::decode_key(&mut bytes_left)?;
        match tag {
            1 => number(&mut frame.tick, wire_type, &mut bytes_left)?,
            2 => frame.data = bytes(wire_type, &mut bytes_left)?,
            _ => {
                encoding::skip_field(wire_type, tag, &mut bytes_left, DecodeContext::default())?;
            }
        }
    }
    Ok(frame)
}

fn number(value: &mut u32, wire_type: WireType, from: &mut &[u8]) -> Result<(), Fault> {
    Ok(encoding::uint32::merge(
        wire_type,
        value,
        from,
        DecodeContext::default(),
    )?)
}

fn bytes<'a>(wire_type: WireType, from: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    encoding::check_wire_type(WireType::LengthDelimited, wire_type)?;
    let length = encoding::decode_varint(from)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some((bytes, rest)) = from.split_at_checked(length) else {
        return Err(Fault(format!(
            "{length} bytes are announced where {} are left",
            from.len()
        )));
    };
    *from = rest;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::wire::{self, InputFrame};

    fn packet(ticks: &[u32]) -> Vec<u8> {
        let frames = ticks.iter().map(|&tick| InputFrame {
            tick,
            data: vec![1, 2],
        });
        let input = wire::PlayerInput {
            version: VERSION,
            frames: frames.collect(),
            ..Default::default()
        };
        input.encode_to_vec()
    }

    #[test]
    fn frames_ascend_from_one_and_are_few() {
        let read = packet(&[1, 2, 9]);
        let read = decode_player_input(&read).unwrap();
        let ticks: Vec<u32> = read.frames().iter().map(|frame| frame.tick).collect();
        assert_eq!(ticks, [1, 2, 9]);
        assert!(read.frames().iter().all(|frame| frame.data == [1, 2]));
        assert!(
            decode_player_input(&packet(&[]))
                .unwrap()
                .frames()
                .is_empty()
        );
        let error = |ticks: &[u32]| decode_player_input(&packet(ticks)).unwrap_err();
        let not_ascending = |before, found| WireError::NotAscending { before, found };
        assert_eq!(error(&[0]), not_ascending(0, 0));
        assert_eq!(error(&[4, 4]), not_ascending(4, 4));
        assert_eq!(error(&[9, 3]), not_ascending(9, 3));
        let many: Vec<u32> = (1..=17).collect();
        assert_eq!(error(&many), WireError::TooManyFrames { found: 17 });
        assert!(decode_player_input(&packet(&many[..16])).is_ok());
    }

    #[test]
    fn what_is_announced_but_not_there_is_refused() {
        for bytes in [
            &[8, 1, 18, 200, 1][..],
            &[8, 1, 18, 3, 8, 1, 18, 1],
            &[0xff; 40],
        ] {
            let error = decode_player_input(bytes).unwrap_err();
            assert!(matches!(error, WireError::Malformed { .. }), "{error}");
        }
    }

    fn frames() -> impl Strategy<Value = Vec<(u32, Vec<u8>)>> {
        let frame = (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..20));
        proptest::collection::vec(frame, 0..20)
    }

    proptest! {
        /// Protobuf says what bytes mean; prost's own decoder is the judge.
        #[test]
        fn it_reads_what_prost_reads(
            frames in frames(), fields in any::<[u32; 4]>(), noise in any::<Vec<(u16, u8)>>(),
            unknown in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut input = wire::PlayerInput {
                version: VERSION,
                frames: frames.into_iter().map(|(tick, data)| InputFrame { tick, data }).collect(),
                ack_tick: fields[0], view_tick: fields[1], sent_ms: fields[2], ack_bits: fields[3],
            };
            input.frames.sort_by_key(|frame| frame.tick);
            let mut bytes = input.encode_to_vec();
            bytes.extend(unknown);
            for (place, value) in noise.into_iter().take(3) {
                if let Some(byte) = bytes.get_mut(usize::from(place)) {
                    *byte = value;
                }
            }
            let ours = decode_player_input(&bytes);
            match wire::PlayerInput::decode(&bytes[..]) {
                Err(_) => prop_assert!(ours.is_err()),
                Ok(theirs) => match ours {
                    Ok(ours) => {
                        let frames: Vec<InputFrame> = ours
                            .frames()
                            .iter()
                            .map(|f| InputFrame { tick: f.tick, data: f.data.to_vec() })
                            .collect();
                        prop_assert_eq!(frames, theirs.frames);
                        prop_assert_eq!(
                            (ours.ack_tick, ours.view_tick, ours.sent_ms, ours.ack_bits),
                            (theirs.ack_tick, theirs.view_tick, theirs.sent_ms, theirs.ack_bits)
                        );
                    }
                    Err(WireError::Malformed { reason, .. }) => prop_assert!(false, "{}", reason),
                    Err(_) => {}
                },
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..1_200)
        ) {
            let _ = decode_player_input(&bytes);
        }
    }
}
