//! Packets of which only the latest counts, between the handles and the task.

use crate::{Message, Packet};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// At most one message for each key, in the order in which the keys began to wait.
#[derive(Debug, Default)]
pub(super) struct Latest(VecDeque<(u64, Message)>);

impl Latest {
    /// Takes a message in; true if another was dropped for it.
    pub(super) fn put(&mut self, key: u64, message: Message) -> bool {
        if let Some((_, waiting)) = self.0.iter_mut().find(|(known, _)| *known == key) {
            *waiting = message;
            return true;
        }
        let full = self.0.len() >= MAX_WAITING;
        if full {
            self.0.pop_front();
        }
        self.0.push_back((key, message));
        full
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Message)> {
        self.0.pop_front()
    }
}

/// What makes packets take each other's place: topic and destinations.
pub(super) fn key(packet: &Packet<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    packet.topic.hash(&mut hasher);
    packet.destinations.hash(&mut hasher);
    hasher.finish()
}

/// As many as a connection holds.
const MAX_WAITING: usize = 64;
