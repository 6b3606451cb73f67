//! What a client gives out: packets to send, and what happened.

use gs_engine::simulation::MatchResult;
use gs_engine::{AuthorityMode, Slot, Tick};
use gs_protocol::wire;

use crate::config::ModuleId;

/// A packet to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The LiveKit topic.
    pub topic: &'static str,
    /// Whether it goes over the reliable channel. What is lossy is worth nothing late: where the
    /// channel is stalled, drop it.
    pub reliable: bool,
    /// To whom.
    pub to: Destination,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Who gets a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The identity [`AUTHORITY_IDENTITY`](gs_protocol::AUTHORITY_IDENTITY) alone.
    Authority,
    /// Everyone in the room.
    Everyone,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The authority said what the match is; again after each reconnect. The client's accessors
    /// have it all.
    Welcome,
    /// The match's module is wanted: compile it, start an instance, and hand that to
    /// [`Client::handle_module`](crate::Client::handle_module). Without it there is no prediction,
    /// and in `validated` no picture.
    NeedModule(ModuleId),
    /// The match began.
    Started {
        /// The tick before its first.
        tick: Tick,
    },
    /// A player came, fell silent or left.
    Player(Player),
    /// An event of the game.
    Game {
        /// The tick that it belongs to.
        tick: Tick,
        /// Its index and fields, by the manifest's event schema; checked.
        data: Vec<u8>,
        /// It comes from a tick that this client simulated ahead, for sounds and sparks at once.
        /// It may turn out never to have happened; whatever did comes again, from the server,
        /// with `false` here.
        predicted: bool,
    },
    /// The match is over; again with `stored` once the result is in the store. Only the server
    /// says so.
    Result(MatchEnd),
    /// Something that this player sent was refused.
    Refused {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// A line of chat.
    Chat(ChatLine),
    /// From now on the match is followed in another mode.
    Mode {
        /// The mode.
        mode: AuthorityMode,
        /// Why.
        reason: String,
    },
    /// This client's simulation came to another state than the server's, and what differed. The
    /// server was told as well.
    Desync {
        /// The tick.
        tick: Tick,
        /// At most [`DIFFERENCES`](gs_protocol::limits::DIFFERENCES).
        differences: Vec<wire::Difference>,
    },
    /// `observer`: what another player shared.
    Peer {
        /// Whose.
        slot: Slot,
        /// The sender's tick; ascending for each sender.
        tick: Tick,
        /// The game's own.
        data: Vec<u8>,
    },
}

/// Where a match stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The authority has not answered yet.
    #[default]
    Joining,
    /// It waits for its players.
    Waiting,
    /// It runs.
    Running,
    /// It is over.
    Ended,
}

/// A slot of the match, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Its place, which never changes.
    pub slot: Slot,
    /// Its account, which is its identity in the room. Another one than before is a substitute.
    pub player_id: String,
    /// Its name.
    pub username: String,
    /// Its team; 0 where there are none.
    pub team: u8,
    /// Whether it is there.
    pub presence: Presence,
    /// Whether nobody plays in this slot and a substitute may: whoever left it is named, or nobody
    /// (an empty id) where the match was formed without a player for it.
    pub open: bool,
}

/// Whether a player is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Matched, never seen.
    Expected,
    /// There.
    Present,
    /// Silent; the slot is held.
    Lost,
    /// Left for good.
    Gone,
}

/// The end of a match, as the server says it.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchEnd {
    /// How it ended.
    pub result: MatchResult,
    /// For people, where the outcome is not `finished`.
    pub reason: String,
    /// Whether the result is in the store.
    pub stored: bool,
}

/// A line of chat, relayed by the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Who said it.
    pub slot: Slot,
    /// The name.
    pub username: String,
    /// What, at most 500 bytes.
    pub text: String,
    /// When, in Unix milliseconds.
    pub sent_at_ms: u64,
}

impl Player {
    /// A player of the wire; `None` for a slot or team that no match has.
    pub(crate) fn from_wire(player: wire::Player) -> Option<Self> {
        let presence = match player.presence() {
            wire::Presence::Unspecified | wire::Presence::Expected => Presence::Expected,
            wire::Presence::Present => Presence::Present,
            wire::Presence::Lost => Presence::Lost,
            wire::Presence::Gone => Presence::Gone,
        };
        Some(Self {
            slot: slot_from_wire(player.slot)?,
            player_id: player.player_id,
            username: player.username,
            team: u8::try_from(player.team).ok()?,
            presence,
            open: player.open,
        })
    }
}

/// A slot that a match can have.
pub(crate) fn slot_from_wire(slot: u32) -> Option<Slot> {
    let slots = gs_engine::manifest::MAX_SLOTS as u32;
    (slot < slots).then_some(slot as Slot)
}
