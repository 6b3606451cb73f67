//! Whether rules can be kept, and whether a ticket's attributes fit them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    AttributeKind, AttributeRule, MAX_ACCEPTANCE, MAX_ATTRIBUTES, MAX_HEAD_START, MAX_NAME,
    MAX_PLAYERS, MAX_REGIONS, MAX_STEPS, MAX_TIMEOUT, MAX_VALUES, Rules, Steps, Teams, Who,
};
use crate::AttributeValue;

impl Rules {
    /// Whether matches can come of these rules.
    ///
    /// # Errors
    /// The first thing found that contradicts another, can never be met, or can never take effect.
    pub fn check(&self) -> Result<(), RulesError> {
        self.check_times()?;
        self.check_players()?;
        self.check_teams()?;
        self.check_limits()?;
        self.check_attribute_rules()?;
        self.check_priorities()
    }

    /// Checks what players say of themselves.
    ///
    /// # Errors
    /// The first attribute, by name, that no rule knows, that has another form or is outside what
    /// can be chosen, or that is missing.
    pub fn check_attributes(
        &self,
        attributes: &BTreeMap<String, AttributeValue>,
    ) -> Result<(), AttributeError> {
        for (name, value) in attributes {
            let message = match self.attributes.iter().find(|rule| rule.name == *name) {
                Some(rule) => value_error(&rule.kind, value),
                None => Some(self.unknown_attribute()),
            };
            if let Some(message) = message {
                let name = clipped(name);
                return Err(AttributeError { name, message });
            }
        }
        let missing = |rule: &&AttributeRule| rule.required && !attributes.contains_key(&rule.name);
        let missing = self.attributes.iter().filter(missing);
        match missing.min_by_key(|rule| &rule.name) {
            Some(rule) => Err(AttributeError {
                name: rule.name.clone(),
                message: format!("is required in this mode: {}", expected(&rule.kind)),
            }),
            None => Ok(()),
        }
    }

    fn check_times(&self) -> Result<(), RulesError> {
        let bounded = |path: &str, found: Duration, most: Duration| {
            if found.is_zero() || found > most {
                let (found, most) = (found.as_secs_f64(), most.as_secs());
                let message = format!("expected more than 0 and at most {most} s, found {found}");
                return wrong(path, message);
            }
            Ok(())
        };
        bounded("match_timeout", self.match_timeout, MAX_TIMEOUT)?;
        match self.acceptance {
            Some(acceptance) => bounded("acceptance", acceptance, MAX_ACCEPTANCE),
            None => Ok(()),
        }
    }

    fn check_players(&self) -> Result<(), RulesError> {
        let (min, max, after) = (self.players.min, self.players.max, self.players.fewer_after);
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
        if min == max && !after.is_zero() {
            return wrong(
                "players.fewer_after",
                format!(
                    "a match never has fewer than {max}: give a smaller `min`, or leave it out"
                ),
            );
        }
        if min < max {
            self.in_time("players.fewer_after", after)?;
        }
        Ok(())
    }

    fn check_teams(&self) -> Result<(), RulesError> {
        let (min, max) = (self.players.min, self.players.max);
        match &self.teams {
            Teams::Everyone => Ok(()),
            Teams::Even(count) if !(1..=MAX_PLAYERS).contains(count) => wrong(
                "teams",
                format!("expected 1 to {MAX_PLAYERS} teams, or 0 for none, found {count}"),
            ),
            Teams::Even(count) if *count > min => wrong(
                "teams",
                format!("{count} teams cannot be filled by {min} players"),
            ),
            Teams::Even(_) => Ok(()),
            Teams::Sizes(sizes) if sizes.len() < 2 || sizes.contains(&0) => wrong(
                "team_sizes",
                "expected two teams or more, with at least one player each".to_owned(),
            ),
            Teams::Sizes(sizes) => {
                let sum: usize = sizes.iter().map(|&size| usize::from(size)).sum();
                if sum != usize::from(min) || min != max {
                    return wrong(
                        "team_sizes",
                        format!("the teams have {sum} players, and a match {min} to {max}"),
                    );
                }
                Ok(())
            }
        }
    }

    fn check_limits(&self) -> Result<(), RulesError> {
        if let Some(skill) = &self.skill {
            self.check_steps(&skill.tolerance, "skill.tolerance", "skill.widen")?;
        }
        if let Some(balance) = &self.balance {
            if matches!(self.teams, Teams::Everyone | Teams::Even(1)) {
                let message = "there are no two teams to balance: leave it out".to_owned();
                return wrong("balance", message);
            }
            self.check_steps(balance, "balance.max_difference", "balance.widen")?;
        }
        if let Some(latency) = &self.latency {
            check_names("latency.regions", &latency.regions, MAX_REGIONS)?;
            self.check_steps(&latency.max_ms, "latency.max_ms", "latency.widen")?;
        }
        Ok(())
    }

    fn check_attribute_rules(&self) -> Result<(), RulesError> {
        let names: Vec<String> = self.attributes.iter().map(|a| a.name.clone()).collect();
        if !names.is_empty() {
            check_names("attributes", &names, MAX_ATTRIBUTES)?;
        }
        for AttributeRule { name, kind, .. } in &self.attributes {
            let path = |key: &str| format!("attributes.{name}.{key}");
            match kind {
                AttributeKind::Equal => {}
                AttributeKind::Overlap { values } => {
                    check_names(&path("overlap"), values, MAX_VALUES)?;
                }
                AttributeKind::Within { steps } => {
                    self.check_steps(steps, &path("within"), &path("widen"))?;
                }
            }
        }
        Ok(())
    }

    fn check_priorities(&self) -> Result<(), RulesError> {
        let mut seen = BTreeSet::new();
        for priority in &self.priorities {
            let path = match priority.who {
                Who::Returned => "priorities.returned".to_owned(),
                Who::NewPlayers => "priorities.new_players".to_owned(),
                Who::PartyOf(size) => format!("priorities.party_of_{size}"),
            };
            if priority.head_start.is_zero() || priority.head_start > MAX_HEAD_START {
                let (found, most) = (priority.head_start.as_secs_f64(), MAX_HEAD_START.as_secs());
                let message =
                    format!("expected a head start above 0 and at most {most} s, found {found}");
                return wrong(&path, message);
            }
            let largest = self.largest_party();
            if let Who::PartyOf(size) = priority.who
                && !(2..=largest).contains(&size)
            {
                return wrong(
                    &path,
                    format!("a party of {size} cannot queue: the largest has {largest} players"),
                );
            }
            if !seen.insert(path.clone()) {
                return wrong(&path, "is there twice".to_owned());
            }
        }
        Ok(())
    }

    fn check_steps(&self, limit: &Steps, start: &str, widen: &str) -> Result<(), RulesError> {
        if limit.start.is_nan() || limit.start <= 0.0 {
            let found = limit.start;
            let message = format!("expected more than 0, found {found}: nobody would ever fit");
            return wrong(start, message);
        }
        if limit.steps.len() > MAX_STEPS {
            let count = limit.steps.len();
            let message = format!("expected at most {MAX_STEPS} steps, found {count}");
            return wrong(widen, message);
        }
        let mut before = (Duration::ZERO, limit.start);
        for (index, &(after, to)) in limit.steps.iter().enumerate() {
            let path = |key: &str| format!("{widen}[{index}].{key}");
            if after <= before.0 {
                let (after, before) = (after.as_secs_f64(), before.0.as_secs_f64());
                let message = format!("expected more than {before} s, found {after}");
                return wrong(&path("after"), message);
            }
            if to.is_nan() || to <= before.1 {
                let before = before.1;
                let message = format!("expected more than {before}, found {to}: it only widens");
                return wrong(&path("to"), message);
            }
            self.in_time(&path("after"), after)?;
            before = (after, to);
        }
        Ok(())
    }

    /// Nothing can take effect once the ticket is given up.
    fn in_time(&self, path: &str, after: Duration) -> Result<(), RulesError> {
        if after < self.match_timeout {
            return Ok(());
        }
        let (after, timeout) = (after.as_secs_f64(), self.match_timeout.as_secs_f64());
        wrong(
            path,
            format!("{after} s is never reached: tickets are given up after {timeout} s"),
        )
    }

    fn unknown_attribute(&self) -> String {
        if self.attributes.is_empty() {
            return "is unknown: this mode is not matched by attributes".to_owned();
        }
        let names: Vec<&str> = self.attributes.iter().map(|a| a.name.as_str()).collect();
        format!("is unknown: this mode has {}", names.join(", "))
    }
}

/// Rules that contradict each other or that no match can meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RulesError {
    /// Which of the rules, as the configuration names it: `skill.widen[1].to`.
    pub path: String,
    /// What is wrong with it, and what was expected.
    pub message: String,
}

/// What players say of themselves does not fit the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute {name}: {message}")]
pub struct AttributeError {
    /// Which attribute; of a longer name, its beginning.
    pub name: String,
    /// What is wrong with it, and what was expected.
    pub message: String,
}

fn wrong(path: &str, message: String) -> Result<(), RulesError> {
    let path = path.to_owned();
    Err(RulesError { path, message })
}

fn check_names(path: &str, names: &[String], most: usize) -> Result<(), RulesError> {
    if names.is_empty() || names.len() > most {
        let count = names.len();
        return wrong(path, format!("expected 1 to {most} of them, found {count}"));
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.len() > MAX_NAME {
            let message = format!("expected names of 1 to {MAX_NAME} bytes, found {name:?}");
            return wrong(path, message);
        }
        if !seen.insert(name) {
            return wrong(path, format!("`{name}` is there twice"));
        }
    }
    Ok(())
}

fn value_error(kind: &AttributeKind, value: &AttributeValue) -> Option<String> {
    let fits = match (kind, value) {
        (AttributeKind::Equal, AttributeValue::Text(text)) => text.len() <= MAX_TEXT,
        (AttributeKind::Equal | AttributeKind::Within { .. }, AttributeValue::Number(number)) => {
            number.is_finite()
        }
        (AttributeKind::Overlap { values }, AttributeValue::Text(text)) => values.contains(text),
        (AttributeKind::Overlap { values }, AttributeValue::Texts(texts)) => {
            let known = texts.iter().all(|text| values.contains(text));
            known && !texts.is_empty() && texts.len() <= values.len()
        }
        _ => false,
    };
    (!fits).then(|| format!("has to be {}", expected(kind)))
}

fn expected(kind: &AttributeKind) -> String {
    match kind {
        AttributeKind::Equal => format!("a text of at most {MAX_TEXT} bytes or a number"),
        AttributeKind::Overlap { values } => format!("one or more of: {}", values.join(", ")),
        AttributeKind::Within { .. } => "a number".to_owned(),
    }
}

/// What a player sent may be of any length.
fn clipped(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

/// Longest text of an attribute, in bytes.
const MAX_TEXT: usize = 64;

#[cfg(test)]
mod tests;
