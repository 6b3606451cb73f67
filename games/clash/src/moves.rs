//! The attacks: when they can hit, how far, and what they do.

/// An attack. Durations are in ticks, distances in millimetres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Ticks before it can hit.
    pub startup: u8,
    /// Ticks in which it can.
    pub active: u8,
    /// Ticks after it.
    pub recovery: u8,
    /// From the middle of the attacker to the middle of who is hit.
    pub reach: i32,
    /// Lowest part above the attacker's feet.
    pub low: i32,
    /// Highest part above the attacker's feet.
    pub high: i32,
    /// Speed forwards at its start.
    pub lunge: i32,
    /// Health that it costs.
    pub damage: u8,
    /// Health that it costs who blocks.
    pub chip: u8,
    /// For how long who is hit can do nothing.
    pub stun: u8,
    /// For how long who blocks can do nothing.
    pub guard: u8,
    /// Speed that it gives who is hit, away.
    pub push: i32,
    /// The same upwards: above 0 it takes who is hit off their feet.
    pub lift: i32,
    /// For how long it holds everything still, for the eye.
    pub stop: u8,
}

impl Move {
    /// How long it takes in all.
    pub fn ticks(&self) -> u8 {
        self.startup + self.active + self.recovery
    }

    /// Whether it can hit so many ticks after its start.
    pub fn is_active(&self, since: u8) -> bool {
        (self.startup..self.startup + self.active).contains(&since)
    }
}

/// The fastest: it interrupts, and leads into another attack where it touches. Blocked, it is even.
pub(crate) const LIGHT: Move = Move {
    startup: 5,
    active: 3,
    recovery: 8,
    reach: 1_200,
    low: 1_000,
    high: 1_500,
    lunge: 30,
    damage: 6,
    chip: 0,
    stun: 15,
    guard: 11,
    push: 62,
    lift: 0,
    stop: 5,
};

/// Slow enough to be seen and blocked, and then to be punished: 20 ticks of recovery against 15.
pub(crate) const HEAVY: Move = Move {
    startup: 13,
    active: 4,
    recovery: 20,
    reach: 1_550,
    low: 500,
    high: 1_400,
    lunge: 75,
    damage: 15,
    chip: 2,
    stun: 30,
    guard: 15,
    push: 100,
    lift: 95,
    stop: 10,
};

/// From the air; it lasts until the landing.
pub(crate) const KICK: Move = Move {
    startup: 5,
    active: 120,
    recovery: 0,
    reach: 1_050,
    low: -150,
    high: 900,
    lunge: 0,
    damage: 9,
    chip: 1,
    stun: 20,
    guard: 13,
    push: 70,
    lift: 0,
    stop: 6,
};

/// Beats blocking and nothing else: any attack that hits meanwhile comes through.
pub(crate) const THROW: Move = Move {
    startup: 5,
    active: 2,
    recovery: 24,
    reach: 950,
    low: 0,
    high: 1_600,
    lunge: 40,
    damage: 13,
    chip: 0,
    stun: 30,
    guard: 18,
    push: 85,
    lift: 120,
    stop: 8,
};
