//! Who plays with whom, and how good they are: from waiting tickets to proposed matches, and from
//! results to ratings.
//!
//! Pure: no clock, no store, no randomness. [`Rules`] say what a match of a mode has to be like,
//! [`match_batch`] makes matches of those who wait, [`fill`] finds players for free slots of matches
//! that run, [`Queue::explain`] says why somebody still waits, and [`rate`] turns a result into
//! ratings.

mod batch;
mod explain;
mod fill;
mod pool;
mod quality;
mod rating;
mod rules;
mod teams;
mod ticket;

pub use batch::{Effort, ProposedMatch, ProposedSlot, match_batch, match_batch_with};
pub use explain::{Exclusion, Explanation, Queue, Widening};
pub use fill::{Filled, Opening, Playing, fill};
pub use quality::{Quality, total};
pub use rating::{PLACEMENT_MATCHES, RatedPlayer, Rating, rate, win_probabilities};
pub use rules::{
    AttributeError, AttributeKind, AttributeRule, LatencyRule, MAX_ACCEPTANCE, MAX_ATTRIBUTES,
    MAX_HEAD_START, MAX_NAME, MAX_PLAYERS, MAX_REGIONS, MAX_STEPS, MAX_TIMEOUT, MAX_VALUES,
    PartySkill, PlayerCount, Priority, Rules, RulesError, SkillRule, SkillSource, Steps, Teams,
    Who,
};
pub use ticket::{AttributeValue, Group, Member};
