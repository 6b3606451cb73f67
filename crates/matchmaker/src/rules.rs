//! What a match of a mode has to be like.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::AttributeValue;

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
    /// Finds rules that contradict each other or that no match can meet.
    ///
    /// # Errors
    /// [`RulesError`], the first that is found.
    pub fn check(&self) -> Result<(), RulesError> {
        let PlayerCount { min, max, .. } = self.players;
        let wrong = |path: &str, message: String| {
            let path = path.to_owned();
            Err(RulesError { path, message })
        };
        if min == 0 || max > MAX_PLAYERS {
            return wrong(
                "players",
                format!("expected 1 to {MAX_PLAYERS} players, found {min} to {max}"),
            );
        }
        if min > max {
            return wrong(
                "players",
                format!("`min` is {min} and `max` {max}, so that no number of players fits"),
            );
        }
        match &self.teams {
            Teams::Everyone => {}
            Teams::Even(count) if !(1..=MAX_PLAYERS).contains(count) => {
                return wrong(
                    "teams",
                    format!("expected 1 to {MAX_PLAYERS} teams, or 0 for none, found {count}"),
                );
            }
            Teams::Even(count) if *count > min => {
                return wrong(
                    "teams",
                    format!("{count} teams cannot be filled by {min} players"),
                );
            }
            Teams::Even(_) => {}
            Teams::Sizes(sizes) => {
                if sizes.len() < 2 || sizes.contains(&0) {
                    let message = "expected two teams or more, with at least one player each";
                    return wrong("team_sizes", message.to_owned());
                }
                let sum: usize = sizes.iter().map(|&size| usize::from(size)).sum();
                if sum != usize::from(min) || min != max {
                    return wrong(
                        "team_sizes",
                        format!("the teams have {sum} players, and a match {min} to {max}"),
                    );
                }
            }
        }
        let steps = [
            (
                "skill.tolerance",
                self.skill.as_ref().map(|rule| &rule.tolerance),
            ),
            ("balance.max_difference", self.balance.as_ref()),
            (
                "latency.max_ms",
                self.latency.as_ref().map(|rule| &rule.max_ms),
            ),
        ];
        for (path, steps) in steps {
            if let Some(steps) = steps {
                steps.check(path)?;
            }
        }
        if let Some(LatencyRule { regions, .. }) = &self.latency {
            if regions.is_empty() || regions.len() > MAX_REGIONS {
                let count = regions.len();
                return wrong(
                    "latency.regions",
                    format!("expected 1 to {MAX_REGIONS} regions, found {count}"),
                );
            }
            if let Some(twice) = twice(regions) {
                return wrong("latency.regions", format!("`{twice}` is there twice"));
            }
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            let count = self.attributes.len();
            return wrong(
                "attributes",
                format!("expected at most {MAX_ATTRIBUTES}, found {count}"),
            );
        }
        for (index, rule) in self.attributes.iter().enumerate() {
            let path = format!("attributes.{}", rule.name);
            if self.attributes[..index]
                .iter()
                .any(|other| other.name == rule.name)
            {
                return wrong(&path, "is there twice".to_owned());
            }
            match &rule.kind {
                AttributeKind::Equal => {}
                AttributeKind::Within { steps } => steps.check(&path)?,
                AttributeKind::Overlap { values } => {
                    if values.is_empty() || values.len() > MAX_VALUES {
                        let count = values.len();
                        return wrong(
                            &path,
                            format!(
                                "expected 1 to {MAX_VALUES} values to choose from, found {count}"
                            ),
                        );
                    }
                    if let Some(twice) = twice(values) {
                        return wrong(&path, format!("`{twice}` is there twice"));
                    }
                }
            }
        }
        for priority in &self.priorities {
            if priority.head_start > MAX_HEAD_START {
                let seconds = MAX_HEAD_START.as_secs();
                return wrong(
                    "priorities",
                    format!("expected a head start of at most {seconds} s"),
                );
            }
            let largest = self.largest_party();
            if let Who::PartyOf(size) = priority.who
                && !(2..=largest).contains(&size)
            {
                return wrong(
                    "priorities",
                    format!("a party of {size} cannot queue: the largest has {largest} players"),
                );
            }
        }
        Ok(())
    }

    /// Most players of a party: it stays together, so it fits a team.
    pub fn largest_party(&self) -> u8 {
        match &self.teams {
            Teams::Everyone => self.players.max,
            Teams::Even(count) => self.players.max.div_ceil(*count),
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

    /// Checks what players say of themselves.
    ///
    /// # Errors
    /// [`AttributeError`] for what the rules do not know, lack, or take in another form.
    pub fn check_attributes(
        &self,
        attributes: &BTreeMap<String, AttributeValue>,
    ) -> Result<(), AttributeError> {
        let wrong = |name: &str, message: String| {
            let name = name.to_owned();
            Err(AttributeError { name, message })
        };
        for (name, value) in attributes {
            let Some(rule) = self.attributes.iter().find(|rule| rule.name == *name) else {
                let names: Vec<&str> = self.attributes.iter().map(|r| r.name.as_str()).collect();
                let message = match names.is_empty() {
                    true => "is unknown: this mode is not matched by attributes".to_owned(),
                    false => format!("is unknown: this mode has {}", names.join(", ")),
                };
                return wrong(name, message);
            };
            match (&rule.kind, value) {
                (AttributeKind::Equal, AttributeValue::Texts(_)) => {
                    return wrong(name, "has to be a text or a number".to_owned());
                }
                (AttributeKind::Equal, _) => {}
                (AttributeKind::Within { .. }, AttributeValue::Number(_)) => {}
                (AttributeKind::Within { .. }, _) => {
                    return wrong(name, "has to be a number".to_owned());
                }
                (AttributeKind::Overlap { values }, value) => {
                    let chosen = match value {
                        AttributeValue::Texts(texts) => texts.as_slice(),
                        AttributeValue::Text(text) => std::slice::from_ref(text),
                        AttributeValue::Number(_) => &[],
                    };
                    let known = chosen.iter().all(|text| values.contains(text));
                    if chosen.is_empty() || !known {
                        let values = values.join(", ");
                        return wrong(name, format!("has to be one or more of: {values}"));
                    }
                }
            }
        }
        let missing = |rule: &&AttributeRule| rule.required && !attributes.contains_key(&rule.name);
        match self.attributes.iter().find(missing) {
            Some(rule) => wrong(&rule.name, "is required in this mode".to_owned()),
            None => Ok(()),
        }
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

    fn check(&self, path: &str) -> Result<(), RulesError> {
        let wrong = |message: String| {
            let path = path.to_owned();
            Err(RulesError { path, message })
        };
        if self.start.is_nan() || self.start <= 0.0 {
            return wrong(format!(
                "expected more than 0, found {}: nobody would ever fit",
                self.start
            ));
        }
        let mut before = (Duration::ZERO, self.start);
        for &(after, to) in &self.steps {
            if after <= before.0 {
                return wrong(format!(
                    "the step after {} s comes too late in the list, or twice",
                    after.as_secs_f64()
                ));
            }
            if to.is_nan() || to <= before.1 {
                return wrong(format!(
                    "the step after {} s does not widen: {to} after {}",
                    after.as_secs_f64(),
                    before.1
                ));
            }
            before = (after, to);
        }
        if self.steps.len() > MAX_STEPS {
            let count = self.steps.len();
            return wrong(format!("expected at most {MAX_STEPS} steps, found {count}"));
        }
        Ok(())
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

/// Rules that contradict each other or that no match can meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RulesError {
    /// Which of the rules, as the configuration names it.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// What players say of themselves does not fit the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute {name}: {message}")]
pub struct AttributeError {
    /// Which attribute.
    pub name: String,
    /// What is wrong with it, and what was expected.
    pub message: String,
}

fn twice(names: &[String]) -> Option<&String> {
    (1..names.len()).find_map(|i| names[..i].contains(&names[i]).then_some(&names[i]))
}

/// As many as the engine's slots.
const MAX_PLAYERS: u8 = 64;
/// More regions than any provider of servers has; a set of them is one word.
pub const MAX_REGIONS: usize = 32;
/// Attributes of a mode: each is looked at for every pair of tickets.
pub const MAX_ATTRIBUTES: usize = 16;
/// Values of one attribute: a set of them is one word.
pub const MAX_VALUES: usize = 64;
/// Nobody can follow more.
const MAX_STEPS: usize = 32;
/// Longer than most people wait at all; without a bound, somebody else might wait for ever.
pub const MAX_HEAD_START: Duration = Duration::from_secs(600);
