//! What a game says of itself: its limits, and the schemas of what goes in and comes out.

/// What a game module declares. The module is the truth for these; see `docs/game-module.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Short name, `[a-z0-9-]`, 1–32 characters.
    pub name: String,
    /// The module's own version, for people.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// Ticks a second, 1–120.
    pub tick_rate: u32,
    /// Fewest players that a match starts with.
    pub min_players: u8,
    /// Most players, 1–64.
    pub max_players: u8,
    /// Number of teams; 0 means that everyone plays for themselves.
    pub teams: u8,
    /// Whether viewers may see different net states.
    pub hidden_state: bool,
    /// Whether a slot whose player has left may be joined again, by another player.
    pub backfill: bool,
    /// How long an input may come late and still be rolled in, in milliseconds (0–250).
    pub late_window_ms: u32,
    /// Bound on the canonical state, in bytes.
    pub max_save_bytes: u32,
    /// How the leaderboard keeps a player's scores.
    pub leaderboard: LeaderboardRule,
    /// The fields of an input, in order.
    pub input: Vec<Field>,
    /// What players may send reliably.
    pub commands: Vec<Message>,
    /// What the game tells its players.
    pub events: Vec<Message>,
    /// The kinds of entity in the net state.
    pub entities: Vec<EntityKind>,
}

/// How a leaderboard keeps several scores of one player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderboardRule {
    /// The highest counts.
    Best,
    /// The last counts.
    Latest,
    /// They add up.
    Sum,
    /// The game has no leaderboard.
    None,
}

/// A command or event: a name and its fields. It travels as its index in the list and the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Name, unique within its list.
    pub name: String,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

/// A field of an input, command or event.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name, unique within its message.
    pub name: String,
    /// Type and range.
    pub kind: FieldKind,
}

/// Type and inclusive range of a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldKind {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    U8 {
        /// Least value.
        min: u8,
        /// Greatest value.
        max: u8,
    },
    /// Two bytes.
    U16 {
        /// Least value.
        min: u16,
        /// Greatest value.
        max: u16,
    },
    /// Four bytes.
    U32 {
        /// Least value.
        min: u32,
        /// Greatest value.
        max: u32,
    },
    /// One byte, signed.
    I8 {
        /// Least value.
        min: i8,
        /// Greatest value.
        max: i8,
    },
    /// Two bytes, signed.
    I16 {
        /// Least value.
        min: i16,
        /// Greatest value.
        max: i16,
    },
    /// Four bytes, signed.
    I32 {
        /// Least value.
        min: i32,
        /// Greatest value.
        max: i32,
    },
    /// Four bytes, finite.
    F32 {
        /// Least value.
        min: f32,
        /// Greatest value.
        max: f32,
    },
    /// Two bytes of length and UTF-8.
    Text {
        /// Most bytes.
        max: u16,
    },
}

/// A kind of entity in the net state.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityKind {
    /// Name, unique within the module.
    pub name: String,
    /// Its fields, in order.
    pub fields: Vec<NetField>,
}

/// A field of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct NetField {
    /// Name, unique within its entity.
    pub name: String,
    /// How its value becomes columns.
    pub kind: NetFieldKind,
    /// Whether a client draws values between two snapshots.
    pub interpolate: Interpolate,
    /// Whether its owner may run ahead of the server.
    pub predict: Predict,
    /// Who may see it.
    pub audience: Audience,
}

/// How a net field is quantised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NetFieldKind {
    /// One column, 0 or 1.
    Bool,
    /// One column.
    Int {
        /// Least value.
        min: i32,
        /// Greatest value.
        max: i32,
    },
    /// One column of steps above `min`.
    Range {
        /// Least value.
        min: f32,
        /// Greatest value.
        max: f32,
        /// Size of a step.
        precision: f32,
    },
    /// One column, a fraction of a turn.
    Angle {
        /// Bits, 1–24.
        bits: u8,
    },
    /// Four columns, smallest three.
    Quat {
        /// Bits for each of the three, 2–16.
        bits: u8,
    },
}

/// Whether a client draws values between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolate {
    /// Between them (angles the short way).
    Linear,
    /// The older one until the newer one's time.
    None,
}

/// Whether the owner of an entity may run ahead of the server with this field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predict {
    /// Nobody does.
    None,
    /// The owner does.
    Owner,
}

/// Who may see a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every viewer.
    All,
    /// The entity's owner.
    Owner,
    /// The owner's team.
    Team,
}

/// One `i32` column of an entity's net state: a value in `lo..=hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Least value.
    pub lo: i32,
    /// Greatest value.
    pub hi: i32,
}

impl Column {
    /// How many bits a value takes on the wire, 0–32.
    pub fn bits(self) -> u32 {
        let span = (i64::from(self.hi) - i64::from(self.lo)) as u64;
        u64::BITS - span.leading_zeros()
    }
}

impl NetFieldKind {
    /// The columns that a value takes, in order.
    pub fn columns(self) -> impl Iterator<Item = Column> {
        let (first, rest) = match self {
            Self::Bool => (Column { lo: 0, hi: 1 }, None),
            Self::Int { min, max } => (Column { lo: min, hi: max }, None),
            Self::Range {
                min,
                max,
                precision,
            } => {
                let steps = ((f64::from(max) - f64::from(min)) / f64::from(precision)).round();
                (
                    Column {
                        lo: 0,
                        hi: steps as i32,
                    },
                    None,
                )
            }
            Self::Angle { bits } => (
                Column {
                    lo: 0,
                    hi: (1 << bits) - 1,
                },
                None,
            ),
            Self::Quat { bits } => (
                Column { lo: 0, hi: 3 },
                Some(Column {
                    lo: 0,
                    hi: (1 << bits) - 1,
                }),
            ),
        };
        std::iter::once(first).chain(rest.into_iter().flat_map(|c| [c; 3]))
    }
}

impl EntityKind {
    /// The columns of an entity of this kind, in order.
    pub fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.fields.iter().flat_map(|f| f.kind.columns())
    }
}

/// Most ticks a second that a module may ask for: beyond it an input packet a tick would crowd
/// out everything else on a phone's uplink.
pub const MAX_TICK_RATE: u32 = 120;
/// Most slots of a match: a slot fits 6 bits in a snapshot.
pub const MAX_SLOTS: usize = 64;
/// Most fields of an input, command or event.
pub const MAX_FIELDS: usize = 32;
/// Most commands, events and entity kinds, each.
pub const MAX_KINDS: usize = 64;
/// Most columns of an entity.
pub const MAX_COLUMNS: usize = 32;
/// Largest canonical state that a module may declare: 16 MiB, what a checkpoint can carry.
pub const MAX_SAVE_BYTES: u32 = 16 << 20;
/// Most bytes of a command or event, its index and longest texts included: it fits an `events`
/// payload of 16 KiB with room for others.
pub const MAX_MESSAGE_BYTES: usize = 8 << 10;
