//! Who is in the room, and how far each one's reliable packets have come.

use crate::{Event, ParticipantInfo};
use bytes::Bytes;
use livekit_protocol::{self as proto, participant_info::State};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The other participants.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    own_sid: Arc<str>,
    present: HashMap<Arc<str>, Present>,
    /// Bytes of what the participants say of themselves.
    info_bytes: usize,
    sequences: HashMap<Bytes, u32>,
    names: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Present {
    sid: Arc<str>,
    info: Arc<ParticipantInfo>,
}

/// The room holds more than [`MAX_PARTICIPANTS`], or they say more than [`MAX_INFO`].
#[derive(Debug)]
pub(crate) struct TooMany;

/// What an update changed: who left, then who joined or changed.
pub(crate) type Changes = [Option<Event>; 2];

impl Roster {
    pub(crate) fn new(own_sid: Arc<str>) -> Self {
        Roster {
            own_sid,
            ..Roster::default()
        }
    }

    /// Takes the place of the roster of an earlier session, and says what changed since.
    pub(crate) fn replace(
        &mut self,
        mut before: Roster,
        participants: &[proto::ParticipantInfo],
    ) -> Result<Vec<Event>, TooMany> {
        let here: HashSet<&str> = participants.iter().map(|info| info.sid.as_str()).collect();
        let gone = before
            .present
            .extract_if(|_, present| !here.contains(&*present.sid));
        let mut events: Vec<Event> = gone
            .map(|(identity, present)| Event::ParticipantLeft {
                identity,
                sid: present.sid,
            })
            .collect();
        self.present = before.present;
        let infos = self.present.values().map(|present| present.info.size());
        self.info_bytes = infos.sum();
        // A sender's numbers go on if it is in the same session still.
        self.sequences = before.sequences;
        self.names = before.names;
        for info in participants {
            events.extend(self.update(info)?.into_iter().flatten());
        }
        Ok(events)
    }

    /// Takes in one participant's state and says what changed.
    ///
    /// When an identity comes back with a new session, the server does not always report the
    /// end of the old one (`SendParticipantUpdates` in livekit-server's `pkg/rtc/room.go`), so
    /// the new one implies it.
    pub(crate) fn update(&mut self, info: &proto::ParticipantInfo) -> Result<Changes, TooMany> {
        let sid = info.sid.as_str();
        if sid.is_empty() || *sid == *self.own_sid {
            return Ok([None, None]);
        }
        let known = self.present.get(info.identity.as_str());
        let same = known.is_some_and(|known| *known.sid == *sid);
        let disconnected = info.state == State::Disconnected as i32;
        if same && !disconnected {
            return self.change(info).map(|change| [None, change]);
        }
        if !same && disconnected {
            return Ok([None, None]);
        }
        let left = self.present.remove_entry(info.identity.as_str()).map(
            |(identity, Present { sid, info })| {
                self.sequences.remove(sid.as_bytes());
                self.info_bytes -= info.size();
                Event::ParticipantLeft { identity, sid }
            },
        );
        if disconnected {
            return Ok([left, None]);
        }
        if self.present.len() >= MAX_PARTICIPANTS {
            return Err(TooMany);
        }
        let (identity, sid) = (self.name(&info.identity), Arc::<str>::from(sid));
        let info = self.keep(info)?;
        let present = Present {
            sid: sid.clone(),
            info: info.clone(),
        };
        self.present.insert(identity.clone(), present);
        let joined = Event::ParticipantJoined {
            identity,
            sid,
            info,
        };
        Ok([left, Some(joined)])
    }

    /// Takes in what a participant says of itself anew.
    fn change(&mut self, info: &proto::ParticipantInfo) -> Result<Option<Event>, TooMany> {
        let identity = info.identity.as_str();
        let differs = |present: &Present| present.info.differs(info);
        let Some(before) = self.present.get(identity).filter(|known| differs(known)) else {
            return Ok(None);
        };
        self.info_bytes -= before.info.size();
        let new = self.keep(info)?;
        let identity = self.name(identity);
        Ok(self.present.get_mut(&identity).map(|present| {
            present.info = new.clone();
            Event::ParticipantChanged {
                identity,
                sid: present.sid.clone(),
                info: new,
            }
        }))
    }

    fn keep(&mut self, info: &proto::ParticipantInfo) -> Result<Arc<ParticipantInfo>, TooMany> {
        let info = ParticipantInfo::of(info);
        self.info_bytes += info.size();
        if self.info_bytes > MAX_INFO {
            return Err(TooMany);
        }
        Ok(Arc::new(info))
    }

    /// How far each sender's reliable packets have come.
    pub(crate) fn received(&self) -> Vec<proto::DataChannelReceiveState> {
        let state = |(sid, last_seq): (&Bytes, &u32)| proto::DataChannelReceiveState {
            publisher_sid: String::from_utf8_lossy(sid).into_owned(),
            last_seq: *last_seq,
        };
        self.sequences.iter().map(state).collect()
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
            let present: HashSet<&[u8]> = self
                .present
                .values()
                .map(|present| present.sid.as_bytes())
                .collect();
            self.sequences.retain(|sid, _| present.contains(&sid[..]));
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
        if name.len() > MAX_SHARED {
            return name.into();
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

/// Names, metadata and attributes of all, in bytes: 1 kB each, or a few with LiveKit's limit of
/// 64 kB each.
const MAX_INFO: usize = 16 << 20;

/// Room for every participant and as many that have just left, whose last packets may still
/// arrive.
const MAX_SENDERS: usize = 2 * MAX_PARTICIPANTS;

/// A sender can make up topics without end; names are shared copies, so starting afresh costs
/// only allocations.
const MAX_NAMES: usize = 1_024;

/// A topic can be as long as a message. Longer ones than this, in bytes, are not kept.
const MAX_SHARED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn info(identity: &str, sid: &str, state: State) -> proto::ParticipantInfo {
        let (identity, sid, state) = (identity.into(), sid.into(), state as i32);
        proto::ParticipantInfo {
            identity,
            sid,
            state,
            ..Default::default()
        }
    }

    fn joined(identity: &str, sid: &str) -> Option<Event> {
        Some(Event::ParticipantJoined {
            identity: identity.into(),
            sid: sid.into(),
            info: Arc::default(),
        })
    }

    fn left(identity: &str, sid: &str) -> Option<Event> {
        Some(Event::ParticipantLeft {
            identity: identity.into(),
            sid: sid.into(),
        })
    }

    fn check(updates: &[(&str, &str, State, Changes)]) {
        let mut roster = Roster::new("PA_me".into());
        for (identity, sid, state, expected) in updates {
            let changes = roster.update(&info(identity, sid, *state)).unwrap();
            assert_eq!(&changes, expected, "{identity} {sid} {state:?}");
        }
    }

    #[test]
    fn a_participant_joins_and_leaves_once() {
        check(&[
            ("a", "1", State::Joined, [None, joined("a", "1")]),
            ("a", "1", State::Active, [None, None]),
            ("a", "1", State::Disconnected, [left("a", "1"), None]),
            ("a", "1", State::Disconnected, [None, None]),
            ("me", "PA_me", State::Active, [None, None]),
        ]);
    }

    #[test]
    fn a_new_session_of_an_identity_ends_the_old_one_whether_that_is_reported_or_not() {
        check(&[
            ("a", "1", State::Active, [None, joined("a", "1")]),
            ("a", "2", State::Active, [left("a", "1"), joined("a", "2")]),
            ("a", "1", State::Disconnected, [None, None]),
            ("a", "2", State::Disconnected, [left("a", "2"), None]),
        ]);
    }

    #[test]
    fn a_change_is_reported_once() {
        let mut roster = Roster::new("PA_me".into());
        let mut alice = info("a", "1", State::Active);
        roster.update(&alice).unwrap();
        alice.attributes.insert("team".into(), "red".into());
        let [None, Some(Event::ParticipantChanged { info, .. })] = roster.update(&alice).unwrap()
        else {
            panic!("no change")
        };
        assert_eq!(info.attributes["team"], "red");
        assert_eq!(roster.update(&alice).unwrap(), [None, None]);
    }

    #[test]
    fn a_new_session_finds_out_who_left_and_who_came_meanwhile() {
        let mut before = Roster::new("PA_me".into());
        for (identity, sid) in [("a", "1"), ("b", "2")] {
            before.update(&info(identity, sid, State::Active)).unwrap();
        }
        assert!(before.is_new(&Bytes::from_static(b"2"), 7));
        let mut roster = Roster::new("PA_new".into());
        let here = [
            info("b", "2", State::Active),
            info("c", "3", State::Active),
            info("me", "PA_new", State::Active),
        ];
        let events = roster.replace(before, &here).unwrap();
        assert_eq!(Some(&events[0]), left("a", "1").as_ref());
        assert_eq!(Some(&events[1]), joined("c", "3").as_ref());
        assert_eq!(events.len(), 2);
        assert!(!roster.is_new(&Bytes::from_static(b"2"), 7));
    }

    #[test]
    fn what_participants_say_of_themselves_is_bounded() {
        let mut roster = Roster::new("PA_me".into());
        let mut full = false;
        for i in 0..1_000 {
            let mut info = info(&i.to_string(), &i.to_string(), State::Active);
            info.metadata = "x".repeat(64 * 1024);
            full |= roster.update(&info).is_err();
        }
        assert!(full);
    }

    #[test]
    fn the_number_of_participants_is_bounded() {
        let mut roster = Roster::new("PA_me".into());
        for i in 0..MAX_PARTICIPANTS {
            let i = i.to_string();
            assert!(roster.update(&info(&i, &i, State::Active)).is_ok());
        }
        assert!(roster.update(&info("0", "again", State::Active)).is_ok());
        assert!(roster.update(&info("more", "more", State::Active)).is_err());
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
        let usual = "x".repeat(MAX_SHARED);
        assert!(Arc::ptr_eq(&roster.name(&usual), &roster.name(&usual)));
        let kept = roster.names.len();
        for i in 0..10 {
            let long = format!("{i}{}", "x".repeat(MAX_SHARED));
            assert_eq!(&*roster.name(&long), long);
        }
        assert_eq!(roster.names.len(), kept, "long ones are not kept");
    }
}
