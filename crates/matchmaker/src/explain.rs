//! Why somebody still waits.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Group, Rules};

/// Those who wait in one mode, as of one moment.
#[derive(Clone, Debug)]
pub struct Queue {
    groups: Vec<Group>,
    rules: Rules,
}

impl Queue {
    /// Looks at those who wait.
    pub fn new(groups: &[Group], rules: &Rules) -> Self {
        Self {
            groups: groups.to_vec(),
            rules: rules.clone(),
        }
    }

    /// Why a group still waits; none where it is not among those who wait.
    pub fn explain(&self, group: Uuid, now: DateTime<Utc>) -> Option<Explanation> {
        let own = self.groups.iter().find(|g| g.id == group)?;
        let waited = own.waited(now);
        let skill = self.rules.skill.as_ref().filter(|_| own.code.is_none());
        let finite = |limit: f64| limit.is_finite().then_some(limit);
        let others = self.groups.iter().filter(|g| g.id != group);
        let players: usize = others.clone().map(|g| g.members.len()).sum();
        let fitting = others.filter(|other| self.rules.may_meet(own, other, now));
        let fitting: usize = fitting.map(|g| g.members.len()).sum();
        let count = |players: usize| u32::try_from(players).unwrap_or(u32::MAX);
        Some(Explanation {
            tolerance: skill.and_then(|rule| finite(rule.tolerance.at(waited))),
            next_widening: skill.and_then(|rule| {
                let (after, to) = rule.tolerance.next(waited)?;
                let tolerance = finite(to);
                Some(Widening {
                    rule: "skill".to_owned(),
                    after,
                    tolerance,
                })
            }),
            players_waiting: count(players),
            players_fitting: count(fitting),
            excluded_by: None,
            estimated: false,
        })
    }
}

/// Why somebody still waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// How far in skill others may be now; none: any.
    pub tolerance: Option<f64>,
    /// What widens next; none: nothing more.
    pub next_widening: Option<Widening>,
    /// How many other players wait in this mode.
    pub players_waiting: u32,
    /// How many of them could be met now, by themselves.
    pub players_fitting: u32,
    /// The rule that keeps most of the others away; none where none does.
    pub excluded_by: Option<Exclusion>,
    /// Whether the numbers are estimates, as they are where very many wait.
    pub estimated: bool,
}

/// What widens next.
#[derive(Clone, Debug, PartialEq)]
pub struct Widening {
    /// Which rule: `skill`, `latency`, `balance`, `players` or `attributes.NAME`.
    pub rule: String,
    /// In how long.
    pub after: Duration,
    /// The tolerance then; none: any.
    pub tolerance: Option<f64>,
}

/// A rule that keeps others away.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// Which rule: `skill`, `latency`, `party`, `code` or `attributes.NAME`.
    pub rule: String,
    /// How many players it keeps away.
    pub players: u32,
}
