//! Whether a match is allowed.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{AttributeKind, AttributeValue, Group, PartySkill, Rules};

impl Rules {
    /// Whether two groups may be in one match at all, whatever else is in it.
    pub fn may_meet(&self, a: &Group, b: &Group, now: DateTime<Utc>) -> bool {
        if a.code != b.code {
            return false;
        }
        if a.code.is_some() {
            return true;
        }
        let waited = a.waited(now).min(b.waited(now));
        if let Some(rule) = &self.skill {
            let apart = (self.skill_of(a) - self.skill_of(b)).abs();
            if apart >= rule.tolerance.at(waited) {
                return false;
            }
        }
        self.attributes.iter().all(|rule| {
            let values = (a.attributes.get(&rule.name), b.attributes.get(&rule.name));
            fits(&rule.kind, values, waited)
        }) && (self.latency.is_none() || self.region_for(&[a, b], now).is_some())
    }

    /// The region where a match of these groups is best, with the mean round trip of those who
    /// measured it; none where some limit holds in none, or the rules know no regions.
    pub fn region_for(&self, groups: &[&Group], now: DateTime<Utc>) -> Option<(&str, f64)> {
        let rule = self.latency.as_ref()?;
        let regions = rule.regions.iter().filter_map(|region| {
            let (mut sum, mut players) = (0.0, 0usize);
            for group in groups {
                let measured = rule
                    .regions
                    .iter()
                    .any(|r| group.latency_ms.contains_key(r));
                if !measured {
                    continue;
                }
                let latency = f64::from(*group.latency_ms.get(region)?);
                if latency > rule.max_ms.at(group.waited(now)) {
                    return None;
                }
                sum += latency * group.members.len() as f64;
                players += group.members.len();
            }
            Some((region.as_str(), sum / players.max(1) as f64))
        });
        regions.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// A group's skill.
    pub fn skill_of(&self, group: &Group) -> f64 {
        let skills = group.members.iter().map(|m| m.skill);
        match self.skill.as_ref().map(|rule| rule.party) {
            Some(PartySkill::Maximum) => skills.fold(f64::NEG_INFINITY, f64::max),
            _ => skills.sum::<f64>() / group.members.len() as f64,
        }
    }
}

fn fits(
    kind: &AttributeKind,
    values: (Option<&AttributeValue>, Option<&AttributeValue>),
    waited: Duration,
) -> bool {
    match (kind, values) {
        (AttributeKind::Equal, (a, b)) => a == b,
        (_, (None, _) | (_, None)) => true,
        (AttributeKind::Overlap { .. }, (Some(a), Some(b))) => {
            texts(a).iter().any(|text| texts(b).contains(text))
        }
        (AttributeKind::Within { steps }, (Some(a), Some(b))) => match (a, b) {
            (AttributeValue::Number(a), AttributeValue::Number(b)) => {
                (a - b).abs() <= steps.at(waited)
            }
            _ => false,
        },
    }
}

fn texts(value: &AttributeValue) -> &[String] {
    match value {
        AttributeValue::Texts(texts) => texts,
        AttributeValue::Text(text) => std::slice::from_ref(text),
        AttributeValue::Number(_) => &[],
    }
}
