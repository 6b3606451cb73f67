//! Messages to bytes, in a buffer that is used again and again.
//!
//! Each function empties the buffer first, and leaves it empty where the message does not fit its
//! topic: what a receiver would refuse is refused where it is made.

use prost::Message;

use crate::{ClientEvent, VERSION, WireError, convert, limits, topic, wire};

/// Writes a `state` payload.
pub fn encode_state_update(
    update: &wire::StateUpdate,
    buffer: &mut Vec<u8>,
) -> Result<(), WireError> {
    encode(topic::STATE, limits::STATE_BYTES, update, buffer)
}

/// Writes a `state` payload that goes reliably: a piece of a keyframe, or confirmed ticks for
/// somebody who needs to catch up.
pub fn encode_state_bulk(
    update: &wire::StateUpdate,
    buffer: &mut Vec<u8>,
) -> Result<(), WireError> {
    encode(topic::STATE, limits::KEYFRAME_BYTES, update, buffer)
}

/// Writes a player's `state` payload, as a client does in `observer`.
pub fn encode_player_state(
    state: &wire::PlayerState,
    buffer: &mut Vec<u8>,
) -> Result<(), WireError> {
    encode(topic::STATE, limits::STATE_BYTES, state, buffer)
}

/// Writes the authority's `events` payload.
pub fn encode_server_event(
    event: &wire::ServerEvent,
    buffer: &mut Vec<u8>,
) -> Result<(), WireError> {
    encode(topic::EVENTS, limits::EVENT_BYTES, event, buffer)
}

/// Writes a `chat` payload.
pub fn encode_chat(chat: &wire::ChatMessage, buffer: &mut Vec<u8>) -> Result<(), WireError> {
    encode(topic::CHAT, limits::CHAT_BYTES, chat, buffer)
}

/// Writes an `input` payload, as a client does.
pub fn encode_player_input(
    input: &wire::PlayerInput,
    buffer: &mut Vec<u8>,
) -> Result<(), WireError> {
    encode(topic::INPUT, limits::INPUT_BYTES, input, buffer)
}

/// Writes a client's `events` payload.
pub fn encode_client_event(event: &ClientEvent, buffer: &mut Vec<u8>) -> Result<(), WireError> {
    use wire::client_event::Body;
    let body = match event {
        ClientEvent::Hello { module } => {
            let (module_sha256, module_version) = module.clone().unwrap_or_default();
            Body::Hello(wire::Hello {
                module_sha256,
                module_version,
            })
        }
        ClientEvent::Leave => Body::Leave(wire::Leave {}),
        ClientEvent::Command(data) => Body::Command(wire::Command { data: data.clone() }),
        ClientEvent::Resync { mismatch, views } => {
            let (tick, hash) = mismatch.unwrap_or_default();
            let views = *views;
            Body::Resync(wire::Resync { tick, hash, views })
        }
        ClientEvent::Desync { tick, differences } => Body::Desync(wire::Desync {
            tick: *tick,
            differences: differences.clone(),
        }),
        ClientEvent::Report(result) => Body::Report(convert::report_to_wire(result)),
    };
    let event = wire::ClientEvent {
        version: VERSION,
        body: Some(body),
    };
    encode(topic::EVENTS, limits::EVENT_BYTES, &event, buffer)
}

fn encode(
    topic: &'static str,
    limit: usize,
    message: &impl Message,
    buffer: &mut Vec<u8>,
) -> Result<(), WireError> {
    buffer.clear();
    let bytes = message.encoded_len();
    if bytes > limit {
        return Err(WireError::TooLarge {
            topic,
            bytes,
            limit,
        });
    }
    buffer.reserve(bytes);
    message.encode_raw(buffer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_where_it_is_made() {
        let snapshot = |bytes| {
            let data = vec![0; bytes];
            let body = wire::StateDelta {
                data,
                ..Default::default()
            };
            wire::StateUpdate {
                version: VERSION,
                body: Some(wire::state_update::Body::Delta(body)),
                ..Default::default()
            }
        };
        let mut buffer = Vec::new();
        encode_state_update(&snapshot(900), &mut buffer).unwrap();
        assert!(!buffer.is_empty() && buffer.len() <= limits::STATE_BYTES);
        let error = encode_state_update(&snapshot(1_000), &mut buffer).unwrap_err();
        assert!(matches!(
            error,
            WireError::TooLarge {
                topic: "state",
                limit: 1_000,
                ..
            }
        ));
        assert!(buffer.is_empty());
    }
}
