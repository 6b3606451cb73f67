//! What rooms count, for operators.

use std::ops::AddAssign;

/// What a room has counted, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomCounters {
    /// Packets that came from players of the match.
    pub packets: u64,
    /// Packets of participants who are not in the match; dropped.
    pub strangers: u64,
    /// Packets that are too large, malformed or of another version; dropped.
    pub malformed: u64,
    /// Packets of a topic that is not spoken here; dropped.
    pub unknown_topic: u64,
    /// Packets beyond a player's rate; dropped.
    pub limited: u64,
    /// Packets of players who were muted or removed; dropped.
    pub silenced: u64,
    /// Input frames against the schema, or from players who do not take part; dropped.
    pub frames_refused: u64,
    /// Input frames of the future beyond what is kept; dropped.
    pub frames_too_far: u64,
    /// Input frames that came after their tick: used later in `full`, dropped in `validated`.
    pub frames_late: u64,
    /// Acknowledgements of ticks that were never sent; ignored.
    pub acks_refused: u64,
    /// Inputs that the game refused.
    pub inputs_refused: u64,
    /// Commands that were refused.
    pub commands_refused: u64,
    /// Chat lines and `hello`s beyond their own rates; dropped.
    pub requests_limited: u64,
    /// Requests that the match's authority mode has no use for; dropped.
    pub out_of_mode: u64,
    /// Players kept out because they brought another module than the match's.
    pub modules_refused: u64,
    /// Ticks that were confirmed because the late window closed, without an input that was waited
    /// for.
    pub ticks_late: u64,
    /// Keyframes that were sent to somebody who had nothing to start from.
    pub keyframes: u64,
    /// Packets of confirmed ticks sent to somebody who lacked more than everyone is sent.
    pub catch_ups: u64,
    /// Fresh starts that players asked for and were given.
    pub resyncs: u64,
    /// Hashes of players that are not the server's.
    pub mismatches: u64,
    /// Reports of what differed.
    pub desyncs: u64,
    /// Players who are sent snapshots because their own simulation kept differing, or cannot run.
    pub fall_backs: u64,
    /// Packets that were to be sent.
    pub transmits: u64,
    /// Packets and events that nobody took in time, or that fit no packet; dropped.
    pub dropped: u64,
    /// Players that were muted.
    pub mutes: u64,
    /// Participants that were to be removed.
    pub removals: u64,
    /// Players who were taken into free slots while the match went on.
    pub substitutes: u64,
    /// Lines that the game wrote to the log beyond its rate; dropped.
    pub log_lines_dropped: u64,
    /// Packets that came faster than the room took them; dropped before it saw them. Counted by
    /// what drives the room, so 0 in [`Room::counters`](super::Room::counters).
    pub inbox_dropped: u64,
    /// Packets that the connection did not take. Counted by what drives the room, as well.
    pub unsent: u64,
}

impl AddAssign for RoomCounters {
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that no counter is forgotten.
        let Self {
            packets,
            strangers,
            malformed,
            unknown_topic,
            limited,
            silenced,
            frames_refused,
            frames_too_far,
            frames_late,
            acks_refused,
            inputs_refused,
            commands_refused,
            requests_limited,
            out_of_mode,
            modules_refused,
            ticks_late,
            keyframes,
            catch_ups,
            resyncs,
            mismatches,
            desyncs,
            fall_backs,
            transmits,
            dropped,
            mutes,
            removals,
            substitutes,
            log_lines_dropped,
            inbox_dropped,
            unsent,
        } = other;
        self.packets += packets;
        self.strangers += strangers;
        self.malformed += malformed;
        self.unknown_topic += unknown_topic;
        self.limited += limited;
        self.silenced += silenced;
        self.frames_refused += frames_refused;
        self.frames_too_far += frames_too_far;
        self.frames_late += frames_late;
        self.acks_refused += acks_refused;
        self.inputs_refused += inputs_refused;
        self.commands_refused += commands_refused;
        self.requests_limited += requests_limited;
        self.out_of_mode += out_of_mode;
        self.modules_refused += modules_refused;
        self.ticks_late += ticks_late;
        self.keyframes += keyframes;
        self.catch_ups += catch_ups;
        self.resyncs += resyncs;
        self.mismatches += mismatches;
        self.desyncs += desyncs;
        self.fall_backs += fall_backs;
        self.transmits += transmits;
        self.dropped += dropped;
        self.mutes += mutes;
        self.removals += removals;
        self.substitutes += substitutes;
        self.log_lines_dropped += log_lines_dropped;
        self.inbox_dropped += inbox_dropped;
        self.unsent += unsent;
    }
}
