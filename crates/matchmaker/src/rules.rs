//! What a match of a mode has to be like.

mod check;

use std::time::Duration;

pub use check::{AttributeError, RulesError};

/// How matches of one mode of a game are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How many players a match has.
    pub players: PlayerCount,
    /// How they are spread over teams.
    pub teams: Teams,
    /// How far apart in skill those who meet may be; none: any.
    pub skill: Option<SkillRule>,
    /// The most that teams' mean ratings may differ; none: any.
    pub balance: Option<Steps>,
    /// How far players may be from the region that a match is in; none: any.
    pub latency: Option<LatencyRule>,
    /// What players say of themselves that has to fit, at most [`MAX_ATTRIBUTES`].
    pub attributes: Vec<AttributeRule>,
    /// Who goes before others.
    pub priorities: Vec<Priority>,
    /// How long players may take to accept a match; none: they are not asked.
    pub acceptance: Option<Duration>,
    /// How long a ticket waits at most.
    pub match_timeout: Duration,
    /// Whether a running match takes players for slots that are free.
    pub backfill: bool,
}

impl Default for Rules {
    /// Two players, and a tolerance that begins where the first page of any matchmaker does, at 100,
    /// and is gone before somebody who tries a game out gives up.
    fn default() -> Self {
        let widen = [(5, 200.0), (10, 400.0), (15, f64::INFINITY)];
        Self {
            players: PlayerCount::exactly(2),
            teams: Teams::Everyone,
            skill: Some(SkillRule {
                source: SkillSource::Rating,
                tolerance: Steps {
                    start: 100.0,
                    steps: widen
                        .map(|(after, to)| (Duration::from_secs(after), to))
                        .to_vec(),
                },
                party: PartySkill::Average,
            }),
            balance: None,
            latency: None,
            attributes: Vec::new(),
            priorities: Vec::new(),
            acceptance: None,
            match_timeout: Duration::from_secs(600),
            backfill: false,
        }
    }
}

impl Rules {
    /// The default rules for matches of so many players on so many teams (0: everyone for
    /// themselves).
    pub fn for_players(players: u8, teams: u8) -> Self {
        Self {
            players: PlayerCount::exactly(players),
            teams: match teams {
                0 => Teams::Everyone,
                count => Teams::Even(count),
            },
            ..Self::default()
        }
    }

    /// Most players of a party: it stays together, so it fits a team.
    pub fn largest_party(&self) -> u8 {
        match &self.teams {
            Teams::Everyone => self.players.max,
            Teams::Even(count) => self.players.max.div_ceil((*count).max(1)),
            Teams::Sizes(sizes) => sizes.iter().copied().max().unwrap_or(0),
        }
    }

    /// How many teams there are; 0: everyone for themselves.
    pub fn team_count(&self) -> u8 {
        match &self.teams {
            Teams::Everyone => 0,
            Teams::Even(count) => *count,
            // Checked rules have at most 64.
            Teams::Sizes(sizes) => u8::try_from(sizes.len()).unwrap_or(u8::MAX),
        }
    }

    /// From which wait on no limit grows any wider.
    pub(crate) fn widest_after(&self) -> Duration {
        let last = |(_, limit): (String, &Steps)| limit.steps.last().map(|(after, _)| *after);
        let limits = self.limits().filter_map(last).max().unwrap_or_default();
        if self.players.min < self.players.max {
            limits.max(self.players.fewer_after)
        } else {
            limits
        }
    }

    /// All limits that widen, each with its path in the configuration.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (String, &Steps)> {
        let skill = self
            .skill
            .iter()
            .map(|s| ("skill".to_owned(), &s.tolerance));
        let balance = self.balance.iter().map(|b| ("balance".to_owned(), b));
        let latency = self
            .latency
            .iter()
            .map(|l| ("latency".to_owned(), &l.max_ms));
        let within = self.attributes.iter().filter_map(|a| match &a.kind {
            AttributeKind::Within { steps } => Some((format!("attributes.{}", a.name), steps)),
            AttributeKind::Equal | AttributeKind::Overlap { .. } => None,
        });
        skill.chain(balance).chain(latency).chain(within)
    }
}

/// How many players a match has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayerCount {
    /// Fewest, 1–64.
    pub min: u8,
    /// Most, 1–64.
    pub max: u8,
    /// A match of fewer than `max` is made once everybody in it has waited this long.
    pub fewer_after: Duration,
}

impl PlayerCount {
    /// Always this many.
    pub fn exactly(players: u8) -> Self {
        Self {
            min: players,
            max: players,
            fewer_after: Duration::ZERO,
        }
    }
}

/// How players are spread over teams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Teams {
    /// Everyone for themselves.
    Everyone,
    /// So many teams, whose sizes differ by at most one; a single one plays against the game.
    Even(u8),
    /// A team of each size, in the order of the teams' numbers.
    Sizes(Vec<u8>),
}

/// How far apart in skill those who meet may be.
#[derive(Clone, Debug, PartialEq)]
pub struct SkillRule {
    /// What counts as skill.
    pub source: SkillSource,
    /// Any two parties of a match differ by less than the smaller of both tolerances.
    pub tolerance: Steps,
    /// How a party's skill comes from its members'.
    pub party: PartySkill,
}

/// What counts as skill. Always what the server knows; players say nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkillSource {
    /// The rating in the mode.
    Rating,
    /// The best score in the mode; 0 before the first.
    BestScore,
    /// How many rated matches the player has played in the mode.
    Matches,
}

/// How a party's skill comes from its members'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartySkill {
    /// Their mean.
    Average,
    /// The best one's.
    Maximum,
}

/// A limit that widens with waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// Where it begins, above 0; infinite: any.
    pub start: f64,
    /// From when on it is what, ascending in both.
    pub steps: Vec<(Duration, f64)>,
}

impl Steps {
    /// A limit that stays as it is.
    pub fn fixed(limit: f64) -> Self {
        Self {
            start: limit,
            steps: Vec::new(),
        }
    }

    /// The limit after waiting so long.
    pub fn at(&self, waited: Duration) -> f64 {
        let passed = self.steps.iter().rev().find(|(after, _)| *after <= waited);
        passed.map_or(self.start, |(_, to)| *to)
    }

    /// How much longer to wait for the next step, and what the limit is then.
    pub fn next(&self, waited: Duration) -> Option<(Duration, f64)> {
        let coming = self.steps.iter().find(|(after, _)| *after > waited);
        coming.map(|(after, to)| (*after - waited, *to))
    }

    /// Whether the limit widens no more.
    pub fn is_widest(&self, waited: Duration) -> bool {
        self.next(waited).is_none()
    }
}

/// How far players may be from the region that a match is in.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyRule {
    /// The regions that there are, at most [`MAX_REGIONS`].
    pub regions: Vec<String>,
    /// The most that a player's round trip may take, in milliseconds.
    ///
    /// A match needs one region that is within every player's limit. Who measured some regions can
    /// play in those; who measured none, in any.
    pub max_ms: Steps,
}

/// Something that players say of themselves, and how it has to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeRule {
    /// Its name.
    pub name: String,
    /// How it has to fit.
    pub kind: AttributeKind,
    /// Whether every ticket has to have it.
    pub required: bool,
}

/// How players' attributes have to fit.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeKind {
    /// A text or a number, the same for all of a match; who has none meets others who have none.
    Equal,
    /// A list out of these values, at most [`MAX_VALUES`], of which one is on everybody's; who has
    /// none takes any.
    Overlap {
        /// What can be chosen from.
        values: Vec<String>,
    },
    /// A number, with at most so much between any two; who has none fits all.
    Within {
        /// The most that two may differ.
        steps: Steps,
    },
}

/// Who goes before others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priority {
    /// Who.
    pub who: Who,
    /// As if they had waited so much longer, at most [`MAX_HEAD_START`]. It counts for whose turn it
    /// is, and widens no rule.
    pub head_start: Duration,
}

/// Whom a priority is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Those whose match fell apart before it began, through others.
    Returned,
    /// Those who are in their placement matches.
    NewPlayers,
    /// Parties of at least so many.
    PartyOf(u8),
}

/// As many as the engine's slots.
pub const MAX_PLAYERS: u8 = 64;
/// More regions than any provider of servers has; a set of them is one word.
pub const MAX_REGIONS: usize = 32;
/// Attributes of a mode: each is looked at for every pair of tickets.
pub const MAX_ATTRIBUTES: usize = 16;
/// Values of one attribute: a set of them is one word.
pub const MAX_VALUES: usize = 64;
/// Nobody can follow more.
pub const MAX_STEPS: usize = 32;
/// Longer than most people wait at all; without a bound, somebody else might wait for ever.
pub const MAX_HEAD_START: Duration = Duration::from_secs(600);
/// Nobody looks at a waiting screen for longer than a day.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);
/// While somebody makes up their mind, all others of the match wait.
pub const MAX_ACCEPTANCE: Duration = Duration::from_secs(300);
/// Longest name of a region, an attribute or a value, in bytes.
pub const MAX_NAME: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_limit_widens_when_a_step_is_reached() {
        let steps = Steps {
            start: 100.0,
            steps: vec![(seconds(5), 200.0), (seconds(15), f64::INFINITY)],
        };
        assert_eq!(steps.at(Duration::ZERO), 100.0);
        assert_eq!(steps.at(Duration::from_millis(4_999)), 100.0);
        assert_eq!(steps.at(seconds(5)), 200.0);
        assert_eq!(steps.at(seconds(999)), f64::INFINITY);
        assert_eq!(steps.next(seconds(2)), Some((seconds(3), 200.0)));
        assert_eq!(steps.next(seconds(5)), Some((seconds(10), f64::INFINITY)));
        assert_eq!(steps.next(seconds(15)), None);
        assert!(steps.is_widest(seconds(15)) && !steps.is_widest(seconds(14)));
        assert!(Steps::fixed(7.0).is_widest(Duration::ZERO));
    }

    #[test]
    fn a_party_is_no_larger_than_a_team() {
        let largest = |players, teams| {
            let players = PlayerCount::exactly(players);
            let rules = Rules::default();
            Rules {
                players,
                teams,
                ..rules
            }
            .largest_party()
        };
        assert_eq!(largest(9, Teams::Everyone), 9);
        assert_eq!(largest(9, Teams::Even(2)), 5);
        assert_eq!(largest(5, Teams::Sizes(vec![4, 1])), 4);
    }

    #[test]
    fn all_limits_and_the_number_of_players_count_as_widening() {
        let mut rules = Rules {
            skill: None,
            ..Rules::default()
        };
        assert_eq!(rules.widest_after(), Duration::ZERO);
        rules.players = PlayerCount {
            min: 2,
            max: 4,
            fewer_after: seconds(20),
        };
        assert_eq!(rules.widest_after(), seconds(20));
        rules.latency = Some(LatencyRule {
            regions: vec!["eu".to_owned()],
            max_ms: Steps {
                start: 50.0,
                steps: vec![(seconds(10), 70.0), (seconds(30), 90.0)],
            },
        });
        assert_eq!(rules.widest_after(), seconds(30));
    }
}
