//! Bytes of a peer to checked messages.

use gs_engine::simulation::MatchResult;
use prost::Message;

use crate::wire::client_event::Body;
use crate::{VERSION, convert, limits, topic, wire};

/// What a player asks on topic `events`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Wants a `welcome`.
    Hello {
        /// The module that it brought, where it brought one: SHA-256 in lower-case hex, and version.
        module: Option<(String, String)>,
    },
    /// Gives the match up.
    Leave,
    /// A command: its index and fields, not yet checked against the module's schema.
    Command(Vec<u8>),
    /// Cannot follow any more, and wants a state to start from.
    Resync {
        /// Where its hash differed, with its own hash; none where it lost the thread.
        mismatch: Option<(u32, u64)>,
        /// Its module cannot run where it is: it needs views instead of confirmed ticks.
        views: bool,
    },
    /// Says what differed between its state and the server's.
    Desync {
        /// The tick.
        tick: u32,
        /// What differed, at most [`limits::DIFFERENCES`].
        differences: Vec<wire::Difference>,
    },
    /// How the match ended, as it saw it.
    Report(MatchResult),
}

/// Why a payload was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The payload is longer than its topic allows.
    #[error("a `{topic}` payload of {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The LiveKit topic.
        topic: &'static str,
        /// The payload's length.
        bytes: usize,
        /// The topic's limit.
        limit: usize,
    },
    /// The bytes are not the topic's message.
    #[error("a `{topic}` payload that is not its protobuf message: {reason}")]
    Malformed {
        /// The LiveKit topic.
        topic: &'static str,
        /// What the decoder expected.
        reason: String,
    },
    /// The message has a version that is not spoken here.
    #[error("a `{topic}` message of version {found}; version {VERSION} is spoken")]
    Version {
        /// The LiveKit topic.
        topic: &'static str,
        /// The message's version.
        found: u32,
    },
    /// An input packet with more frames than allowed.
    #[error(
        "{found} input frames in a packet; at most {} are allowed",
        limits::INPUT_FRAMES
    )]
    TooManyFrames {
        /// The number of frames.
        found: usize,
    },
    /// Input frames whose ticks do not ascend from 1.
    #[error("input frames must ascend by tick, from 1; found {found} after {before}")]
    NotAscending {
        /// The tick before, 0 for none.
        before: u32,
        /// The tick that should have been larger.
        found: u32,
    },
    /// A message without a body, or with one that is not known here.
    #[error("a `{topic}` message without a known body")]
    NoBody {
        /// The LiveKit topic.
        topic: &'static str,
    },
    /// A chat text of more bytes than allowed.
    #[error(
        "a chat text of {bytes} bytes; at most {} are allowed",
        limits::CHAT_TEXT_BYTES
    )]
    TextTooLong {
        /// The text's length.
        bytes: usize,
    },
    /// A chat text with nothing to show.
    #[error("a chat text with nothing to show")]
    TextEmpty,
    /// A report of a result that no match can have.
    #[error("a report without an outcome, or of slots, placements or teams that cannot be")]
    Report,
}

/// Reads a player's `events` payload.
pub fn decode_client_event(payload: &[u8]) -> Result<ClientEvent, WireError> {
    let event: wire::ClientEvent = decode(topic::EVENTS, limits::EVENT_BYTES, payload)?;
    check_version(topic::EVENTS, event.version)?;
    match event.body {
        Some(Body::Hello(hello)) => Ok(ClientEvent::Hello {
            module: (!hello.module_sha256.is_empty())
                .then_some((hello.module_sha256, hello.module_version)),
        }),
        Some(Body::Leave(_)) => Ok(ClientEvent::Leave),
        Some(Body::Command(command)) => Ok(ClientEvent::Command(command.data)),
        Some(Body::Resync(resync)) => Ok(ClientEvent::Resync {
            mismatch: (resync.tick > 0).then_some((resync.tick, resync.hash)),
            views: resync.views,
        }),
        Some(Body::Desync(mut desync)) => {
            desync.differences.truncate(limits::DIFFERENCES);
            Ok(ClientEvent::Desync {
                tick: desync.tick,
                differences: desync.differences,
            })
        }
        Some(Body::Report(report)) => convert::report_from_wire(&report)
            .map(ClientEvent::Report)
            .ok_or(WireError::Report),
        None => Err(WireError::NoBody {
            topic: topic::EVENTS,
        }),
    }
}

/// Reads a player's `chat` payload: its text, trimmed, without characters that would garble or
/// spoof other people's screens.
pub fn decode_chat(payload: &[u8]) -> Result<String, WireError> {
    let mut text = decode_relayed_chat(payload)?.text;
    if text.len() > limits::CHAT_TEXT_BYTES {
        return Err(WireError::TextTooLong { bytes: text.len() });
    }
    text.retain(|c| !is_unprintable(c));
    let text = text.trim();
    if text.is_empty() {
        return Err(WireError::TextEmpty);
    }
    Ok(text.to_owned())
}

/// Reads the authority's `chat` payload, as a client does.
pub fn decode_relayed_chat(payload: &[u8]) -> Result<wire::ChatMessage, WireError> {
    let chat: wire::ChatMessage = decode(topic::CHAT, limits::CHAT_BYTES, payload)?;
    check_version(topic::CHAT, chat.version)?;
    Ok(chat)
}

/// Reads the authority's `state` payload, as a client does.
pub fn decode_state_update(payload: &[u8]) -> Result<wire::StateUpdate, WireError> {
    let state: wire::StateUpdate = decode(topic::STATE, limits::KEYFRAME_BYTES, payload)?;
    check_version(topic::STATE, state.version)?;
    let bulk = matches!(
        state.body,
        Some(wire::state_update::Body::Keyframe(_) | wire::state_update::Body::Confirmed(_))
    );
    if payload.len() > limits::STATE_BYTES && !bulk {
        return Err(WireError::TooLarge {
            topic: topic::STATE,
            bytes: payload.len(),
            limit: limits::STATE_BYTES,
        });
    }
    Ok(state)
}

/// Reads another player's `state` payload, as a client does in `observer`.
pub fn decode_player_state(payload: &[u8]) -> Result<wire::PlayerState, WireError> {
    let state: wire::PlayerState = decode(topic::STATE, limits::STATE_BYTES, payload)?;
    check_version(topic::STATE, state.version)?;
    if state.data.len() > limits::PLAYER_STATE_BYTES {
        return Err(WireError::TooLarge {
            topic: topic::STATE,
            bytes: state.data.len(),
            limit: limits::PLAYER_STATE_BYTES,
        });
    }
    Ok(state)
}

/// Reads the authority's `events` payload, as a client does.
pub fn decode_server_event(payload: &[u8]) -> Result<wire::ServerEvent, WireError> {
    let event: wire::ServerEvent = decode(topic::EVENTS, limits::EVENT_BYTES, payload)?;
    check_version(topic::EVENTS, event.version)?;
    if event.body.is_none() {
        return Err(WireError::NoBody {
            topic: topic::EVENTS,
        });
    }
    Ok(event)
}

fn decode<M: Message + Default>(
    topic: &'static str,
    limit: usize,
    payload: &[u8],
) -> Result<M, WireError> {
    if payload.len() > limit {
        return Err(WireError::TooLarge {
            topic,
            bytes: payload.len(),
            limit,
        });
    }
    M::decode(payload).map_err(|error| WireError::Malformed {
        topic,
        reason: error.to_string(),
    })
}

fn check_version(topic: &'static str, found: u32) -> Result<(), WireError> {
    if found == VERSION {
        Ok(())
    } else {
        Err(WireError::Version { topic, found })
    }
}

/// Control characters, line and paragraph separators, and the marks that reorder what stands
/// around them (Unicode UAX #9), with which one player could make another's line say something
/// else.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::InputFrame;
    use crate::{decode_player_input, encode_chat, encode_client_event};

    fn input(ticks: &[u32]) -> Vec<u8> {
        let frames = ticks
            .iter()
            .map(|&tick| InputFrame {
                tick,
                data: vec![1, 2],
            })
            .collect();
        let input = wire::PlayerInput {
            version: VERSION,
            frames,
            ..Default::default()
        };
        input.encode_to_vec()
    }

    #[test]
    fn size_and_version_are_checked_first() {
        let large = vec![0xff; limits::INPUT_BYTES + 1];
        assert!(matches!(
            decode_player_input(&large),
            Err(WireError::TooLarge { .. })
        ));
        let other = wire::PlayerInput {
            version: 2,
            ..Default::default()
        }
        .encode_to_vec();
        let error = decode_player_input(&other).unwrap_err();
        assert_eq!(
            error,
            WireError::Version {
                topic: "input",
                found: 2
            }
        );
        // An empty payload is a message of version 0.
        assert!(matches!(
            decode_client_event(&[]),
            Err(WireError::Version { found: 0, .. })
        ));
        let nothing = wire::ClientEvent {
            version: VERSION,
            body: None,
        }
        .encode_to_vec();
        assert_eq!(
            decode_client_event(&nothing).unwrap_err(),
            WireError::NoBody { topic: "events" }
        );
    }

    #[test]
    fn chat_is_bounded_and_cleaned() {
        let chat = |text: &str| {
            let message = wire::ChatMessage {
                version: VERSION,
                text: text.to_owned(),
                ..Default::default()
            };
            decode_chat(&message.encode_to_vec())
        };
        assert_eq!(chat(" gl\nhf \u{202e}x\0\u{7f} ").unwrap(), "glhf x");
        assert_eq!(chat("日本語 🎮").unwrap(), "日本語 🎮");
        assert_eq!(chat(" \n\u{2066} "), Err(WireError::TextEmpty));
        assert_eq!(chat(&"x".repeat(500)).unwrap().len(), 500);
        assert_eq!(
            chat(&"x".repeat(501)),
            Err(WireError::TextTooLong { bytes: 501 })
        );
        assert!(matches!(
            chat(&"x".repeat(2000)),
            Err(WireError::TooLarge { .. })
        ));
        // Field 2 with a byte that is no UTF-8.
        assert!(matches!(
            decode_chat(&[8, 1, 0x12, 1, 0xff]),
            Err(WireError::Malformed { .. })
        ));
    }

    #[test]
    fn what_a_client_encodes_is_read_back() {
        let mut buffer = vec![7; 3];
        let difference = wire::Difference {
            entity: 3,
            kind: "player".to_owned(),
            field: "x".to_owned(),
            mine: -4,
            theirs: 5,
        };
        let result = MatchResult {
            outcome: gs_engine::simulation::Outcome::Finished,
            slots: Vec::new(),
        };
        for event in [
            ClientEvent::Hello { module: None },
            ClientEvent::Hello {
                module: Some(("ab".repeat(32), "1.2".to_owned())),
            },
            ClientEvent::Leave,
            ClientEvent::Command(vec![3, 4]),
            ClientEvent::Resync {
                mismatch: None,
                views: true,
            },
            ClientEvent::Resync {
                mismatch: Some((30, u64::MAX)),
                views: false,
            },
            ClientEvent::Desync {
                tick: 30,
                differences: vec![difference; 16],
            },
            ClientEvent::Report(result),
        ] {
            encode_client_event(&event, &mut buffer).unwrap();
            assert_eq!(decode_client_event(&buffer).unwrap(), event);
        }
        let sent = wire::ChatMessage {
            version: VERSION,
            text: "hi".into(),
            ..Default::default()
        };
        encode_chat(&sent, &mut buffer).unwrap();
        assert_eq!(decode_chat(&buffer).unwrap(), "hi");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..1_200)) {
            read_everything(&bytes);
        }

        // Bytes that start as a message of the right version get deeper than random ones.
        #[test]
        fn damaged_messages_are_read_or_refused(
            ticks in prop::collection::vec(any::<u32>(), 0..20),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = input(&ticks);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            read_everything(&bytes);
            read_everything(&bytes[..at]);
        }
    }

    fn read_everything(bytes: &[u8]) {
        if let Ok(input) = decode_player_input(bytes) {
            assert!(input.frames().len() <= limits::INPUT_FRAMES);
            assert!(input.frames().is_sorted_by(|a, b| a.tick < b.tick));
        }
        if let Ok(text) = decode_chat(bytes) {
            assert!(!text.is_empty() && text.len() <= limits::CHAT_TEXT_BYTES);
            assert!(!text.chars().any(is_unprintable));
        }
        let _ = decode_client_event(bytes);
        let _ = decode_relayed_chat(bytes);
        let _ = decode_state_update(bytes);
        let _ = decode_server_event(bytes);
        let _ = decode_player_state(bytes);
    }
}
