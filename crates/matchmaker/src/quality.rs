//! How good a match is.

/// How good a match is, and what of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Difference between the highest and the lowest skill of its groups.
    pub spread: f64,
    /// Difference between the highest and the lowest mean rating of its teams.
    pub imbalance: f64,
    /// Mean time that its players waited, in seconds.
    pub wait: f64,
    /// Mean round trip of its players to its region, in milliseconds; 0 where it has none.
    pub latency: f64,
    /// All of it in one number, above 0 and at most 1.
    pub value: f64,
}
