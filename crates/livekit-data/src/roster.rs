//! Who is in the room, and how far each one's reliable packets have come.

use crate::Event;
use bytes::Bytes;
use livekit_protocol::{ParticipantInfo, participant_info::State};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The other participants.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    own_sid: Arc<str>,
    identities: HashMap<Arc<str>, Arc<str>>,
    sequences: HashMap<Bytes, u32>,
    names: HashSet<Arc<str>>,
}

/// The room holds more participants than [`MAX_PARTICIPANTS`].
#[derive(Debug)]
pub(crate) struct TooMany;

impl Roster {
    pub(crate) fn new(own_sid: Arc<str>) -> Self {
        Roster {
            own_sid,
            ..Roster::default()
        }
    }

    /// Takes in one participant's state and says what changed.
    pub(crate) fn update(&mut self, info: &ParticipantInfo) -> Result<Option<Event>, TooMany> {
        if info.sid.is_empty() || info.sid == *self.own_sid {
            return Ok(None);
        }
        if info.state == State::Disconnected as i32 {
            self.sequences.remove(info.sid.as_bytes());
            let left = self.identities.remove_entry(info.sid.as_str());
            return Ok(left.map(|(sid, identity)| Event::ParticipantLeft { identity, sid }));
        }
        if self.identities.contains_key(info.sid.as_str()) {
            return Ok(None);
        }
        if self.identities.len() >= MAX_PARTICIPANTS {
            return Err(TooMany);
        }
        let sid: Arc<str> = info.sid.as_str().into();
        let identity = self.name(&info.identity);
        self.identities.insert(sid.clone(), identity.clone());
        Ok(Some(Event::ParticipantJoined { identity, sid }))
    }

    /// Whether a reliable packet is new. A sender numbers its packets from 1, and the channel
    /// keeps their order, so anything not above the last number has been here before.
    pub(crate) fn is_new(&mut self, sid: &Bytes, sequence: u32) -> bool {
        if sequence == 0 || sid.is_empty() {
            return true;
        }
        if let Some(last) = self.sequences.get_mut(sid) {
            let new = sequence > *last;
            *last = sequence.max(*last);
            return new;
        }
        if self.sequences.len() >= MAX_SENDERS {
            let identities = &self.identities;
            self.sequences.retain(|sid, _| {
                std::str::from_utf8(sid).is_ok_and(|sid| identities.contains_key(sid))
            });
        }
        // The key is copied, or it would hold on to the packet that it was read from.
        self.sequences.insert(Bytes::copy_from_slice(sid), sequence);
        true
    }

    /// A shared copy of a name that comes again and again: an identity or a topic.
    pub(crate) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

/// Far above what one LiveKit node carries in a room; some 2 MB of names at worst.
const MAX_PARTICIPANTS: usize = 16_384;

/// Room for every participant and as many that have just left, whose last packets may still
/// arrive.
const MAX_SENDERS: usize = 2 * MAX_PARTICIPANTS;

/// A sender can make up topics without end; names are shared copies, so starting afresh costs
/// only allocations.
const MAX_NAMES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn info(sid: &str, state: State) -> ParticipantInfo {
        let identity = format!("id-{sid}");
        ParticipantInfo {
            sid: sid.into(),
            identity,
            state: state as i32,
            ..Default::default()
        }
    }

    #[test]
    fn a_participant_joins_and_leaves_once() {
        let mut roster = Roster::new("PA_me".into());
        let joined = roster.update(&info("PA_1", State::Joined)).unwrap();
        let event = Event::ParticipantJoined {
            identity: "id-PA_1".into(),
            sid: "PA_1".into(),
        };
        assert_eq!(joined, Some(event));
        assert_eq!(roster.update(&info("PA_1", State::Active)).unwrap(), None);
        let left = roster.update(&info("PA_1", State::Disconnected)).unwrap();
        let event = Event::ParticipantLeft {
            identity: "id-PA_1".into(),
            sid: "PA_1".into(),
        };
        assert_eq!(left, Some(event));
        assert_eq!(
            roster.update(&info("PA_1", State::Disconnected)).unwrap(),
            None
        );
        assert_eq!(roster.update(&info("PA_me", State::Active)).unwrap(), None);
    }

    #[test]
    fn the_number_of_participants_is_bounded() {
        let mut roster = Roster::new("PA_me".into());
        for i in 0..MAX_PARTICIPANTS {
            assert!(roster.update(&info(&i.to_string(), State::Active)).is_ok());
        }
        assert!(roster.update(&info("one-more", State::Active)).is_err());
    }

    #[test]
    fn a_sequence_number_is_new_once_for_each_sender() {
        let mut roster = Roster::default();
        let (a, b) = (Bytes::from_static(b"PA_a"), Bytes::from_static(b"PA_b"));
        assert!(roster.is_new(&a, 1));
        assert!(roster.is_new(&a, 2));
        assert!(!roster.is_new(&a, 2));
        assert!(!roster.is_new(&a, 1));
        assert!(roster.is_new(&b, 1));
        assert!(roster.is_new(&a, 0), "unnumbered packets pass");
        assert!(roster.is_new(&a, 0));
        for i in 0..MAX_SENDERS as u32 * 2 {
            roster.is_new(&Bytes::copy_from_slice(&i.to_le_bytes()), 1);
        }
        assert!(roster.sequences.len() <= MAX_SENDERS);
    }

    #[test]
    fn made_up_names_do_not_pile_up() {
        let mut roster = Roster::default();
        for i in 0..MAX_NAMES * 3 {
            roster.name(&i.to_string());
        }
        assert!(roster.names.len() <= MAX_NAMES);
    }
}
