//! The part of STUN (RFC 8489) that a TURN client needs: writing authenticated requests, reading
//! answers and indications.
//!
//! str0m's own STUN messages lack REQUESTED-TRANSPORT and name their transactions at random,
//! which would make simulations differ from run to run.

use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const HEADER: usize = 20;

/// What a message is for, of RFC 8656 section 17.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Allocate,
    Refresh,
    Data,
    ChannelBind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// Ties an answer to its request.
pub(super) type TransactionId = [u8; 12];

/// HMAC-SHA1, as MESSAGE-INTEGRITY has it.
pub(super) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The long-term credentials' key (RFC 8489 section 9.2.2).
pub(super) fn long_term_key(username: &str, realm: &str, password: &str) -> [u8; 16] {
    Md5::digest(format!("{username}:{realm}:{password}")).into()
}

/// A received message, whose length and attributes' bounds have been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) id: TransactionId,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message that fills `bytes`; none where it is not one that a TURN client gets.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[4..8] != MAGIC_COOKIE || len % 4 != 0 || HEADER + len != bytes.len() {
            return None;
        }
        let method = [
            Method::Allocate,
            Method::Refresh,
            Method::Data,
            Method::ChannelBind,
        ];
        let message = Message {
            class: match kind & 0x0110 {
                0x0000 => Class::Request,
                0x0010 => Class::Indication,
                0x0100 => Class::Success,
                _ => Class::Error,
            },
            method: method
                .into_iter()
                .find(|method| method.code() == kind & !0x0110)?,
            id: *header[8..].first_chunk()?,
            bytes,
        };
        let whole = message.attributes().last();
        let end = whole.map_or(HEADER, |(offset, _, value)| {
            offset + 4 + padded(value.len())
        });
        (end == bytes.len()).then_some(message)
    }

    /// Whether the sender knows the key (RFC 8489 section 14.5).
    pub(super) fn is_authentic(&self, key: &[u8]) -> bool {
        let found = self
            .attributes()
            .find(|(_, kind, _)| *kind == MESSAGE_INTEGRITY);
        let Some((offset, _, value)) = found else {
            return false;
        };
        let Ok(len) = u16::try_from(offset + 24 - HEADER) else {
            return false;
        };
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else {
            return false;
        };
        mac.update(&self.bytes[..2]);
        mac.update(&len.to_be_bytes());
        mac.update(&self.bytes[4..offset]);
        mac.verify_slice(value).is_ok()
    }

    pub(super) fn error_code(&self) -> Option<u16> {
        let [_, _, class, number, ..] = *self.attribute(ERROR_CODE)? else {
            return None;
        };
        Some(u16::from(class & 7) * 100 + u16::from(number))
    }

    /// Seconds.
    pub(super) fn lifetime(&self) -> Option<u32> {
        let value: [u8; 4] = self.attribute(LIFETIME)?.try_into().ok()?;
        Some(u32::from_be_bytes(value))
    }

    pub(super) fn realm(&self) -> Option<&'a str> {
        self.text(REALM)
    }

    pub(super) fn nonce(&self) -> Option<&'a str> {
        self.text(NONCE)
    }

    pub(super) fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        self.address(XOR_PEER_ADDRESS)
    }

    pub(super) fn relayed_address(&self) -> Option<SocketAddr> {
        self.address(XOR_RELAYED_ADDRESS)
    }

    /// RFC 8489 limits both to 127 characters of at most 6 bytes.
    fn text(&self, kind: u16) -> Option<&'a str> {
        let value = self.attribute(kind)?;
        (value.len() <= 763)
            .then(|| std::str::from_utf8(value).ok())
            .flatten()
    }

    fn address(&self, kind: u16) -> Option<SocketAddr> {
        let value = self.attribute(kind)?;
        let [_, family, high, low, ip @ ..] = value else {
            return None;
        };
        let port = u16::from_be_bytes([*high, *low]) ^ 0x2112;
        let ip = match family {
            1 => {
                let ip: [u8; 4] = ip.try_into().ok()?;
                IpAddr::V4(Ipv4Addr::from_bits(
                    u32::from_be_bytes(ip) ^ u32::from_be_bytes(MAGIC_COOKIE),
                ))
            }
            2 => {
                let ip: [u8; 16] = ip.try_into().ok()?;
                IpAddr::V6(Ipv6Addr::from_bits(
                    u128::from_be_bytes(ip) ^ v6_mask(&self.id),
                ))
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// The first attribute of a kind among those that MESSAGE-INTEGRITY covers.
    fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        let covered = self
            .attributes()
            .take_while(|(_, kind, _)| *kind != MESSAGE_INTEGRITY);
        covered
            .into_iter()
            .find_map(|(_, found, value)| (found == kind).then_some(value))
    }

    /// Offset in the message, kind and value of each attribute; ends early at a broken one.
    fn attributes(&self) -> impl Iterator<Item = (usize, u16, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let mut offset = HEADER;
        std::iter::from_fn(move || {
            let [k0, k1, l0, l1, rest @ ..] = bytes.get(offset..)? else {
                return None;
            };
            let len = usize::from(u16::from_be_bytes([*l0, *l1]));
            if padded(len) > rest.len() {
                return None;
            }
            let found = (offset, u16::from_be_bytes([*k0, *k1]), &rest[..len]);
            offset += 4 + padded(len);
            Some(found)
        })
    }
}

/// A message to send.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn request(method: Method, id: TransactionId) -> Self {
        Self::new(method.code(), id)
    }

    /// REQUESTED-TRANSPORT: UDP.
    pub(super) fn udp(self) -> Self {
        self.attribute(REQUESTED_TRANSPORT, &[17, 0, 0, 0])
    }

    /// REQUESTED-ADDRESS-FAMILY: IPv6. IPv4 is what there is without it.
    pub(super) fn v6(self) -> Self {
        self.attribute(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    }

    pub(super) fn lifetime(self, seconds: u32) -> Self {
        self.attribute(LIFETIME, &seconds.to_be_bytes())
    }

    pub(super) fn channel(self, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        self.attribute(CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    pub(super) fn peer(self, peer: SocketAddr) -> Self {
        let address = self.xor_address(peer);
        self.attribute(XOR_PEER_ADDRESS, &address)
    }

    /// Adds the credentials and the proof of the key; the message is then complete.
    pub(super) fn sign(self, username: &str, realm: &str, nonce: &str, key: &[u8]) -> Vec<u8> {
        self.attribute(USERNAME, username.as_bytes())
            .attribute(REALM, realm.as_bytes())
            .attribute(NONCE, nonce.as_bytes())
            .prove(key)
    }

    /// Adds the proof of the key; the message is then complete.
    pub(super) fn prove(mut self, key: &[u8]) -> Vec<u8> {
        // The length that is signed counts the proof itself.
        self.set_len(self.bytes.len() + 24);
        let proof = hmac_sha1(key, &[&self.bytes]);
        self.attribute(MESSAGE_INTEGRITY, &proof).bytes
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn new(kind: u16, id: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(id);
        Writer { bytes }
    }

    /// Values here are lengths that were checked when they came in: credentials and texts of at
    /// most 763 bytes.
    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.set_len(self.bytes.len());
    }

    fn set_len(&mut self, total: usize) {
        self.bytes[2..4].copy_from_slice(&((total - HEADER) as u16).to_be_bytes());
    }

    fn xor_address(&self, address: SocketAddr) -> Vec<u8> {
        let id: TransactionId = *self.bytes[8..]
            .first_chunk()
            .expect("the header is written first");
        let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
        value.extend((address.port() ^ 0x2112).to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => {
                value.extend((ip.to_bits() ^ u32::from_be_bytes(MAGIC_COOKIE)).to_be_bytes());
            }
            IpAddr::V6(ip) => value.extend((ip.to_bits() ^ v6_mask(&id)).to_be_bytes()),
        }
        value
    }
}

impl Method {
    /// The method's bits, which leave those of the class clear.
    fn code(self) -> u16 {
        match self {
            Method::Allocate => 0x003,
            Method::Refresh => 0x004,
            Method::Data => 0x007,
            Method::ChannelBind => 0x009,
        }
    }
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

fn v6_mask(id: &TransactionId) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE);
    mask[4..].copy_from_slice(id);
    u128::from_be_bytes(mask)
}

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const CHANNEL_NUMBER: u16 = 0x000C;
const LIFETIME: u16 = 0x000D;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
const REQUESTED_TRANSPORT: u16 = 0x0019;

/// A server's words, for tests of the client.
#[cfg(any(fuzzing, test))]
pub(super) mod server {
    use super::*;

    pub(in crate::turn) fn success(method: Method, id: TransactionId) -> Writer {
        Writer::new(method.code() | 0x0100, id)
    }

    /// An error without its code.
    pub(in crate::turn) fn refusal(method: Method, id: TransactionId) -> Writer {
        Writer::new(method.code() | 0x0110, id)
    }

    pub(in crate::turn) fn error(method: Method, id: TransactionId, code: u16) -> Writer {
        refusal(method, id).attribute(ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8])
    }

    #[cfg(test)]
    pub(in crate::turn) fn data_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
        Writer::new(Method::Data.code() | 0x0010, [9; 12])
            .peer(peer)
            .attribute(DATA, data)
            .finish()
    }

    impl Writer {
        pub(in crate::turn) fn challenge(self, realm: &str, nonce: &str) -> Self {
            self.attribute(REALM, realm.as_bytes())
                .attribute(NONCE, nonce.as_bytes())
        }

        pub(in crate::turn) fn relayed(self, address: SocketAddr) -> Self {
            let address = self.xor_address(address);
            self.attribute(XOR_RELAYED_ADDRESS, &address)
        }

        /// Attributes as they are, or anything else.
        pub(in crate::turn) fn raw(mut self, bytes: &[u8]) -> Self {
            self.bytes.extend(bytes);
            self.pad();
            self
        }
    }

    #[cfg(test)]
    impl Message<'_> {
        pub(in crate::turn) fn channel_number(&self) -> Option<u16> {
            let [high, low, ..] = *self.attribute(CHANNEL_NUMBER)? else {
                return None;
            };
            Some(u16::from_be_bytes([high, low]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        for peer in ["192.0.2.7:4000", "[2001:db8::7]:4000"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let key = long_term_key("user", "realm", "pass");
            let bytes = Writer::request(Method::ChannelBind, [7; 12])
                .channel(0x4001)
                .peer(peer)
                .sign("user", "realm", "nonce", &key);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.method, Method::ChannelBind);
            assert_eq!(message.class, Class::Request);
            assert_eq!(message.id, [7; 12]);
            assert_eq!(message.peer_address(), Some(peer));
            assert_eq!(message.channel_number(), Some(0x4001));
            assert_eq!(message.realm(), Some("realm"));
            assert_eq!(message.nonce(), Some("nonce"));
            assert!(message.is_authentic(&key));
            assert!(!message.is_authentic(&long_term_key("user", "realm", "other")));
        }
    }

    #[test]
    fn a_changed_byte_is_not_authentic() {
        let key = long_term_key("user", "realm", "pass");
        let bytes = Writer::request(Method::Refresh, [7; 12])
            .lifetime(600)
            .sign("user", "realm", "nonce", &key);
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x40;
            let authentic = Message::parse(&changed).is_some_and(|m| m.is_authentic(&key));
            assert!(!authentic, "byte {index}");
        }
    }

    /// The long-term sample of RFC 5769 section 2.4, whose password needs no SASLprep.
    #[test]
    fn the_key_is_that_of_the_specification() {
        let key = long_term_key("user", "realm", "pass");
        // RFC 8489 section 9.2.2 prints this digest.
        let expected = 0x8493_fbc5_3ba5_82fb_4c04_4c45_6bdc_40ebu128;
        assert_eq!(u128::from_be_bytes(key), expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..128)) {
            let mut message = vec![0x01, 0x03, 0, 0];
            message.extend(MAGIC_COOKIE);
            message.extend([0; 12]);
            message.extend(&bytes);
            message.truncate(message.len() & !3);
            let len = message.len() - HEADER;
            message[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            for bytes in [&bytes, &message] {
                if let Some(message) = Message::parse(bytes) {
                    let _ = (message.error_code(), message.lifetime(), message.realm());
                    let _ = (message.nonce(), message.data(), message.peer_address());
                    let _ = (message.relayed_address(), message.is_authentic(b"key"));
                }
            }
        }
    }
}
