//! What players are matched by: what they say of themselves, and what the server knows.

use std::collections::BTreeMap;

use gs_matchmaker::{AttributeValue, MAX_ATTRIBUTES, Rules, SkillSource};
use gs_store::{PlayerSkill, Search};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Shared;
use crate::catalog::{GameInfo, GameMode};
use crate::problem::{FieldError, Problem};

/// What all who queue together say.
pub(super) struct Common {
    pub(super) attributes: BTreeMap<String, AttributeValue>,
    pub(super) latency_ms: BTreeMap<String, u32>,
}

/// What each of these players is matched by.
pub(super) async fn of_players(
    shared: &Shared,
    game: &GameInfo,
    mode: &GameMode,
    players: &[Uuid],
    common: Common,
) -> Result<Vec<Search>, Problem> {
    let store = shared.store();
    let skills = store
        .matchmaking_skills(&game.id, &mode.name, players, shared.now())
        .await?;
    // What no rule looks at need not be kept with each ticket.
    let regions = mode.rules.latency.as_ref().map(|rule| &rule.regions);
    let mut latency_ms = common.latency_ms;
    latency_ms.retain(|region, _| regions.is_some_and(|known| known.contains(region)));
    let search = |skill: PlayerSkill| Search {
        skill: self::skill(&mode.rules, &skill),
        rating: skill.rating,
        matches: u32::try_from(skill.matches).unwrap_or(u32::MAX),
        attributes: common.attributes.clone(),
        latency_ms: latency_ms.clone(),
    };
    Ok(skills.into_iter().map(search).collect())
}

/// How good a player is, by a mode's rules.
pub(crate) fn skill(rules: &Rules, skill: &PlayerSkill) -> f64 {
    match rules.skill.as_ref().map(|rule| rule.source) {
        None | Some(SkillSource::Rating) => skill.rating.value,
        Some(SkillSource::BestScore) => f64::from(skill.best_score.unwrap_or(0)),
        Some(SkillSource::Matches) => skill.matches as f64,
    }
}

/// What players say of themselves, where it fits the rules.
pub(super) fn attributes(
    given: Option<Map<String, Value>>,
    rules: &Rules,
    errors: &mut Vec<FieldError>,
) -> BTreeMap<String, AttributeValue> {
    let mut attributes = BTreeMap::new();
    let before = errors.len();
    let given = given.unwrap_or_default();
    if given.len() > MAX_ATTRIBUTES {
        let message = format!("has to have at most {MAX_ATTRIBUTES} entries");
        errors.push(FieldError::new("attributes", message));
        return attributes;
    }
    for (name, value) in given {
        if !is_name(&name) {
            let message = format!("names have to have 1 to {MAX_NAME_CHARS} printable characters");
            errors.push(FieldError::new("attributes", message));
            return attributes;
        }
        match attribute(value) {
            Some(value) => {
                attributes.insert(name, value);
            }
            None => errors.push(FieldError::new(
                &format!("attributes.{name}"),
                format!(
                    "has to be a number, a text of at most {MAX_TEXT_CHARS} characters, or a list \
                     of at most {} such texts",
                    gs_matchmaker::MAX_VALUES
                ),
            )),
        }
    }
    if errors.len() == before
        && let Err(error) = rules.check_attributes(&attributes)
    {
        let field = format!("attributes.{}", error.name);
        errors.push(FieldError::new(&field, error.message));
    }
    attributes
}

fn attribute(value: Value) -> Option<AttributeValue> {
    match value {
        Value::Number(number) => Some(AttributeValue::Number(number.as_f64()?)),
        Value::String(text) => is_text(&text).then_some(AttributeValue::Text(text)),
        Value::Array(texts) if texts.len() <= gs_matchmaker::MAX_VALUES => {
            let text = |value: Value| match value {
                Value::String(text) if is_text(&text) => Some(text),
                _ => None,
            };
            let texts: Option<Vec<String>> = texts.into_iter().map(text).collect();
            texts.map(AttributeValue::Texts)
        }
        _ => None,
    }
}

pub(super) fn check_latencies(
    latencies: &Option<BTreeMap<String, u32>>,
    errors: &mut Vec<FieldError>,
) {
    let Some(latencies) = latencies else { return };
    if latencies.len() > gs_matchmaker::MAX_REGIONS {
        let message = format!("has to have at most {} regions", gs_matchmaker::MAX_REGIONS);
        return errors.push(FieldError::new("latency_ms", message));
    }
    for (region, latency) in latencies {
        if !is_name(region) {
            let message =
                format!("regions have to have 1 to {MAX_NAME_CHARS} printable characters");
            return errors.push(FieldError::new("latency_ms", message));
        }
        if *latency > MAX_LATENCY_MS {
            let message = format!("has to be 0 to {MAX_LATENCY_MS} ms");
            errors.push(FieldError::new(&format!("latency_ms.{region}"), message));
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

fn is_text(text: &str) -> bool {
    text.chars().count() <= MAX_TEXT_CHARS && !text.chars().any(char::is_control)
}

/// Room for a word.
const MAX_NAME_CHARS: usize = 32;
/// Room for a few words.
const MAX_TEXT_CHARS: usize = 64;
/// Nobody plays over a slower line.
const MAX_LATENCY_MS: u32 = 2_000;
