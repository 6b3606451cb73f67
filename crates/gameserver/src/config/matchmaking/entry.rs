//! How rules are written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::config::reader::Setting;

/// The rules where they stand, or the path of a file with them.
pub(in crate::config) enum Source {
    File(String),
    Here(Box<Entry>),
}

/// Rules as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Entry {
    pub(super) players: Option<Spanned<OneOr<PlayersEntry>>>,
    pub(super) teams: Setting,
    pub(super) team_sizes: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) skill: Option<Spanned<OneOr<SkillEntry>>>,
    pub(super) balance: Option<Spanned<OneOr<BalanceEntry>>>,
    pub(super) latency: Option<Spanned<OneOr<LatencyEntry>>>,
    pub(super) attributes: Option<BTreeMap<String, Spanned<OneOr<AttributeEntry>>>>,
    pub(super) priorities: Option<BTreeMap<String, Spanned<String>>>,
    pub(super) backfill: Setting,
    pub(super) acceptance: Setting,
    pub(super) match_timeout: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlayersEntry {
    pub(super) min: Spanned<String>,
    pub(super) max: Spanned<String>,
    pub(super) fewer_after: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SkillEntry {
    pub(super) source: Setting,
    pub(super) tolerance: Setting,
    pub(super) widen: Option<Vec<Spanned<StepEntry>>>,
    pub(super) party: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BalanceEntry {
    pub(super) max_difference: Spanned<String>,
    pub(super) widen: Option<Vec<Spanned<StepEntry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LatencyEntry {
    pub(super) regions: Vec<Spanned<String>>,
    pub(super) max_ms: Spanned<String>,
    pub(super) widen: Option<Vec<Spanned<StepEntry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeEntry {
    pub(super) equal: Setting,
    pub(super) overlap: Option<Vec<Spanned<String>>>,
    pub(super) within: Setting,
    pub(super) widen: Option<Vec<Spanned<StepEntry>>>,
    pub(super) required: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepEntry {
    pub(super) after: Spanned<String>,
    pub(super) to: Spanned<String>,
}

/// A word or a number in place of a mapping.
pub(super) enum OneOr<T> {
    One(String),
    Mapping(T),
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: OneOr<Entry> = Deserialize::deserialize(deserializer)?;
        Ok(match read {
            OneOr::One(path) => Self::File(path),
            OneOr::Mapping(entry) => Self::Here(Box::new(entry)),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, a number or a mapping")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOr::One(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(OneOr::One(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(OneOr::One(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(OneOr::One(number.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OneOr::Mapping)
            }
        }

        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}
