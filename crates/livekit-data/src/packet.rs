//! LiveKit's envelope around a payload, and what fits into it.
//!
//! The wire format is `DataPacket` and `UserPacket` of [livekit_models.proto]. Only the fields
//! that a data-only participant needs are written and read, so a received payload stays where
//! the transport put it instead of being copied out.
//!
//! [livekit_models.proto]: https://github.com/livekit/protocol/blob/main/protobufs/livekit_models.proto

use bytes::Bytes;
use prost::Message as _;

/// How a packet travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Retransmitted until it arrives, in the order it was sent in.
    Reliable,
    /// Sent once: it may be lost, and it may overtake an earlier one.
    Lossy,
}

/// A payload to send, with where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// What the payload is about; receivers see it beside the payload.
    pub topic: &'a str,
    /// The bytes to deliver.
    pub payload: &'a [u8],
    /// Reliable or lossy.
    pub channel: Channel,
    /// Identities that receive it; empty for everyone else in the room. LiveKit forwards the list
    /// twice with each packet, so a long one eats into what a lossy payload may take.
    pub destinations: &'a [String],
}

/// Why a packet was not accepted for sending. It was not sent, not even in part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The payload does not fit into one message with this topic and these destinations.
    #[error(
        "a payload of {len} bytes was given where {max} fit with this topic and these destinations; split it, or send it reliably"
    )]
    TooLarge {
        /// Length of the payload in bytes.
        len: usize,
        /// The longest payload in bytes that would have been accepted, 0 when even an empty one
        /// would not.
        max: usize,
    },
    /// As many reliable packets are waiting as may wait; the line is slower than the sender.
    #[error("the queue of reliable packets is full; send less, or try again when it has drained")]
    Full,
    /// The server does not let this participant send packets.
    #[error("this participant may not send data; its token or the server's API says so")]
    NotPermitted,
    /// The participant has left the room, or has not joined it.
    #[error("not in a room; join again")]
    Closed,
}

/// Turns packets into messages. Cheap to clone, and usable from any thread: encoding happens
/// where the packet is made, not on the connection.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// What the server adds to each packet before it forwards it.
    added: usize,
}

/// An encoded packet, ready for [`Connection::send`](crate::Connection::send). Clones share the
/// bytes: encode once for many.
#[derive(Debug, Clone)]
pub struct Message {
    pub(crate) channel: Channel,
    pub(crate) bytes: Bytes,
}

impl Encoder {
    pub(crate) fn new(identity: &str, sid: &str) -> Self {
        // The server writes the sender into the envelope and, for older clients, into the user
        // packet too; one of the keys takes two bytes. The kind is one key and one byte.
        let added = 2 * field_len(identity.len()) + 2 * field_len(sid.len()) + 1 + 2;
        Encoder { added }
    }

    /// Encodes a packet.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if it would not arrive whole: a reliable message is at most
    /// 65,535 bytes, a lossy one at most one SCTP packet, both with LiveKit's envelope as the
    /// server forwards it.
    pub fn encode(&self, packet: &Packet<'_>) -> Result<Message, SendError> {
        let destinations: usize = packet
            .destinations
            .iter()
            .map(|identity| field_len(identity.len()))
            .sum();
        let user = |payload: usize| field_len(payload) + field_len(packet.topic.len());
        let sequence = match packet.channel {
            Channel::Reliable => SEQUENCE_LEN,
            Channel::Lossy => 0,
        };
        let own = |payload: usize| field_len(user(payload)) + destinations + sequence;
        // The list of destinations is copied into the user packet, whose length then may take
        // more bytes to write as well.
        let forwarded = |payload| own(payload) + destinations + self.added + MAX_LENGTH_LEN;
        let limit = match packet.channel {
            Channel::Reliable => MAX_RELIABLE_MESSAGE,
            Channel::Lossy => MAX_LOSSY_MESSAGE,
        };
        let len = packet.payload.len();
        if forwarded(len) > limit {
            // A shorter payload may also take fewer bytes to write its length.
            let mut max = len.saturating_sub(forwarded(len) - limit);
            while forwarded(max + 1) <= limit {
                max += 1;
            }
            return Err(SendError::TooLarge { len, max });
        }
        let (user, own) = (user(len), own(len));
        let mut bytes = Vec::with_capacity(own);
        put_key(&mut bytes, USER_KEY, user);
        put_field(&mut bytes, USER_PAYLOAD_KEY, packet.payload);
        put_field(&mut bytes, USER_TOPIC_KEY, packet.topic.as_bytes());
        for identity in packet.destinations {
            put_field(&mut bytes, DESTINATION_KEY, identity.as_bytes());
        }
        Ok(Message {
            channel: packet.channel,
            bytes: bytes.into(),
        })
    }
}

impl Message {
    /// How it travels.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Its bytes with the sequence number. Protocol Buffers allow fields in any order, so the
    /// number, which only the connection knows, can come last.
    pub(crate) fn numbered(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + SEQUENCE_LEN);
        bytes.extend_from_slice(&self.bytes);
        bytes.extend_from_slice(&SEQUENCE_KEY);
        put_varint(&mut bytes, sequence as usize);
        bytes
    }
}

/// A packet as the server forwarded it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Received {
    #[prost(message, optional, tag = "2")]
    pub(crate) user: Option<ReceivedUser>,
    /// Set by the server: a sender cannot choose it.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) from: Bytes,
    #[prost(uint32, tag = "16")]
    pub(crate) sequence: u32,
    #[prost(bytes = "bytes", tag = "17")]
    pub(crate) from_sid: Bytes,
}

/// The part of a forwarded packet that its sender wrote.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReceivedUser {
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) payload: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) topic: Bytes,
}

impl Received {
    pub(crate) fn parse(message: Vec<u8>) -> Option<Self> {
        let len = message.len();
        let mut received = Received::decode(Bytes::from(message)).ok()?;
        if let Some(user) = &mut received.user {
            user.payload = kept(std::mem::take(&mut user.payload), len, MAX_ENVELOPE);
        }
        Some(received)
    }
}

/// A part of a message of `len` bytes to be kept: on its own, where it would hold on to more than
/// `spare` bytes of the rest. A sender can put 65 kB of unknown fields around a payload of one
/// byte.
pub(crate) fn kept(part: Bytes, len: usize, spare: usize) -> Bytes {
    if len.saturating_sub(part.len()) > spare {
        Bytes::copy_from_slice(&part)
    } else {
        part
    }
}

fn field_len(value: usize) -> usize {
    1 + prost::length_delimiter_len(value) + value
}

fn put_field(bytes: &mut Vec<u8>, key: u8, value: &[u8]) {
    put_key(bytes, key, value.len());
    bytes.extend_from_slice(value);
}

fn put_key(bytes: &mut Vec<u8>, key: u8, len: usize) {
    bytes.push(key);
    put_varint(bytes, len);
}

fn put_varint(bytes: &mut Vec<u8>, value: usize) {
    prost::encode_length_delimiter(value, bytes).expect("a Vec grows as needed");
}

/// The server reads data channels into a buffer of this size and closes the channel on a longer
/// message (`dataChannelBufferSize` in livekit-server's `pkg/rtc/transport.go`).
const MAX_RELIABLE_MESSAGE: usize = 65_535;

/// What the server puts into one SCTP packet towards a receiver: pion's MTU of 1,191 bytes less
/// a common header of 12 and an I-DATA chunk header of 20, rounded down to the four bytes that
/// chunks are padded to. A longer message is fragmented, and one lost fragment loses it all.
pub(crate) const MAX_LOSSY_MESSAGE: usize = 1_156;

/// Two identities of up to 64 bytes, two session ids and a topic of usual length take less.
const MAX_ENVELOPE: usize = 512;

// Protocol Buffers keys: field number shifted by three, or-ed with the wire type.
const USER_KEY: u8 = 2 << 3 | 2;
const DESTINATION_KEY: u8 = 5 << 3 | 2;
const USER_PAYLOAD_KEY: u8 = 2 << 3 | 2;
const USER_TOPIC_KEY: u8 = 4 << 3 | 2;
const SEQUENCE_KEY: [u8; 2] = [0x80, 0x01];

/// The sequence number's key and its longest varint.
const SEQUENCE_LEN: usize = 2 + 5;

/// By how much a varint length can grow when the server lengthens the user packet.
const MAX_LENGTH_LEN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol as proto;
    use proptest::prelude::*;

    /// What livekit-server 1.13.5 makes of a packet before it forwards it
    /// (`handleReceivedDataMessage` in `pkg/rtc/participant.go`).
    #[allow(deprecated)]
    fn forward(bytes: &[u8], channel: Channel, identity: &str, sid: &str) -> Vec<u8> {
        let mut packet = proto::DataPacket::decode(bytes).unwrap();
        packet.kind = (channel == Channel::Lossy) as i32;
        packet.participant_identity = identity.into();
        packet.participant_sid = sid.into();
        let destinations = packet.destination_identities.clone();
        let Some(proto::data_packet::Value::User(user)) = &mut packet.value else {
            panic!("not a user packet")
        };
        user.participant_identity = identity.into();
        user.participant_sid = sid.into();
        user.destination_identities = destinations;
        packet.encode_to_vec()
    }

    proptest! {
        #[test]
        fn livekit_reads_what_is_written_and_it_fits_when_forwarded(
            topic in ".{0,20}",
            len in 0_usize..1200,
            reliable: bool,
            sequence: u32,
            identity in "[a-z0-9-]{1,64}",
            destinations in prop::collection::vec("[a-z0-9-]{1,40}", 0..4),
        ) {
            let channel = if reliable { Channel::Reliable } else { Channel::Lossy };
            let payload = vec![7; len];
            let packet = Packet { topic: &topic, payload: &payload, channel, destinations: &destinations };
            let sid = "PA_abcdefghijkl";
            match Encoder::new(&identity, sid).encode(&packet) {
                Ok(message) => {
                    let sequence = if reliable { sequence } else { 0 };
                    let bytes = match reliable {
                        true => message.numbered(sequence),
                        false => message.bytes.to_vec(),
                    };
                    let read = proto::DataPacket::decode(&bytes[..]).unwrap();
                    prop_assert_eq!(read.sequence, sequence);
                    prop_assert_eq!(&read.destination_identities, &destinations);
                    let forwarded = forward(&bytes, channel, &identity, sid);
                    if channel == Channel::Lossy {
                        prop_assert!(forwarded.len() <= MAX_LOSSY_MESSAGE);
                    }
                    let received = Received::parse(forwarded).unwrap();
                    prop_assert_eq!(&received.from[..], identity.as_bytes());
                    prop_assert_eq!(&received.from_sid[..], sid.as_bytes());
                    prop_assert_eq!(received.sequence, sequence);
                    let user = received.user.unwrap();
                    prop_assert_eq!(&user.payload[..], &payload[..]);
                    prop_assert_eq!(&user.topic[..], topic.as_bytes());
                }
                Err(SendError::TooLarge { len, max }) => {
                    prop_assert_eq!(len, payload.len());
                    let shorter = Packet { payload: &payload[..max], ..packet };
                    if max > 0 {
                        prop_assert!(Encoder::new(&identity, sid).encode(&shorter).is_ok());
                    }
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        #[test]
        fn parsing_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = Received::parse(bytes);
        }
    }

    #[test]
    fn a_payload_does_not_hold_on_to_a_long_message() {
        for (around, shared) in [(100, true), (60_000, false)] {
            let mut message = vec![2 << 3 | 2, 3, 2 << 3 | 2, 1, 7];
            put_field(&mut message, DESTINATION_KEY, &vec![b'x'; around]);
            let range = message.as_ptr_range();
            let payload = Received::parse(message).unwrap().user.unwrap().payload;
            assert_eq!(payload[..], [7]);
            assert_eq!(range.contains(&payload.as_ptr()), shared, "{around}");
        }
    }

    #[test]
    fn a_state_packet_of_a_thousand_bytes_fits_between_uuids() {
        let player = "0197f0a0-0000-7000-8000-000000000000";
        let sid = "PA_abcdefghijkl";
        for (from, to, topic) in [
            ("authority", player, "state"),
            (player, "authority", "input"),
        ] {
            let packet = Packet {
                topic,
                payload: &[0; 1000],
                channel: Channel::Lossy,
                destinations: &[to.to_owned()],
            };
            assert!(
                Encoder::new(from, sid).encode(&packet).is_ok(),
                "{from} to {to}"
            );
        }
    }
}
