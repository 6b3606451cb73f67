//! `games.ID.boards.NAME`: a game's leaderboards, and when they begin anew.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `rule` | the module's, else `best` | how several scores of one player are kept: `best`, `latest` or `sum` |
//! | `statistic` | the match's score | the statistic that is the score on this board |
//! | `modes` | all whose matches are rated | the modes whose matches count |
//! | `season` | `never` | how often the board begins anew: `never`, `daily`, `weekly` or `monthly` |
//! | `reset_day` | `monday`, or 1 | the day of a weekly or monthly season: a weekday, or 1–28 |
//! | `reset_time` | `00:00` | the time of day at which a season begins, UTC |
//!
//! `default` is the board that every game has whose module has a rule for one; an entry of that
//! name changes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{NaiveTime, Weekday};
use gs_engine::abi::MAX_STATISTIC_NAME;
use gs_store::{BoardRule, DEFAULT_BOARD, MAX_BOARDS, Season};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::games::{DEFAULT_MODE, GameEntry, ModeConfig, is_game_id};
use super::reader::{Reader, Setting};
use super::{ConfigError, Place};

/// A leaderboard of a game.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoardConfig {
    /// How it keeps several scores of one player; by the module's rule where absent.
    pub(crate) rule: Option<BoardRule>,
    /// The statistic that is the score; the match's score where absent.
    pub(crate) statistic: Option<String>,
    /// The modes whose matches count; all that are rated where absent.
    pub(crate) modes: Option<Vec<String>>,
    /// When it begins anew.
    pub(crate) season: Season,
    /// Where it stands.
    pub(crate) place: Place,
}

impl BoardConfig {
    /// What is kept there, for people.
    pub(super) fn summary(&self) -> String {
        let rule = self.rule.map_or("the module's rule", BoardRule::as_str);
        let score = self.statistic.as_deref().unwrap_or("the score");
        let mut text = format!("{rule} of {score}");
        if let Some(modes) = &self.modes {
            let _ = write!(text, ", modes {}", modes.join(", "));
        }
        let begins = match self.season {
            Season::Never => return text,
            Season::Daily { at } => format!("anew each day at {}", at.format("%H:%M")),
            Season::Weekly { on, at } => {
                format!("anew each week, {on} at {}", at.format("%H:%M"))
            }
            Season::Monthly { on, at } => {
                format!("anew each month, on day {on} at {}", at.format("%H:%M"))
            }
        };
        text + ", " + &begins + " UTC"
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BoardEntry {
    rule: Setting,
    statistic: Setting,
    modes: Option<Vec<Spanned<String>>>,
    season: Setting,
    reset_day: Setting,
    reset_time: Setting,
}

impl Reader<'_> {
    pub(super) fn boards(
        &self,
        game: &str,
        at: &Spanned<GameEntry>,
        entries: &BTreeMap<String, Spanned<BoardEntry>>,
        modes: &BTreeMap<String, ModeConfig>,
    ) -> Result<BTreeMap<String, BoardConfig>, ConfigError> {
        let others = entries.keys().filter(|name| *name != DEFAULT_BOARD).count();
        if others >= MAX_BOARDS {
            return Err(self.error(
                at,
                &format!("{game}.boards"),
                format!(
                    "{others} boards beside `default`, expected at most {}: each match is \
                     written to all of them",
                    MAX_BOARDS - 1
                ),
            ));
        }
        let board = |(name, entry): (&String, &Spanned<BoardEntry>)| {
            let key = format!("{game}.boards.{name}");
            if !is_game_id(name) {
                return Err(self.error(
                    entry,
                    &key,
                    "expected a name of 1 to 32 characters from a-z, 0-9 and -, starting with a \
                     letter",
                ));
            }
            Ok((name.clone(), self.board(&key, entry, modes)?))
        };
        entries.iter().map(board).collect()
    }

    fn board(
        &self,
        key: &str,
        at: &Spanned<BoardEntry>,
        modes: &BTreeMap<String, ModeConfig>,
    ) -> Result<BoardConfig, ConfigError> {
        let entry = &at.value;
        let rule = match &entry.rule {
            Some(raw) => Some(self.board_rule(&format!("{key}.rule"), raw)?),
            None => None,
        };
        let statistic = match &entry.statistic {
            Some(raw) => Some(self.statistic(&format!("{key}.statistic"), raw)?),
            None => None,
        };
        let modes = match &entry.modes {
            Some(chosen) => Some(self.board_modes(&format!("{key}.modes"), at, chosen, modes)?),
            None => None,
        };
        Ok(BoardConfig {
            rule,
            statistic,
            modes,
            season: self.season(key, entry)?,
            place: self.place(at, key),
        })
    }

    fn board_rule(&self, key: &str, raw: &Spanned<String>) -> Result<BoardRule, ConfigError> {
        match self.text(key, raw)?.as_str() {
            "best" => Ok(BoardRule::Best),
            "latest" => Ok(BoardRule::Latest),
            "sum" => Ok(BoardRule::Sum),
            other => Err(self.error(
                raw,
                key,
                format!("expected best, latest or sum, found `{other}`"),
            )),
        }
    }

    fn statistic(&self, key: &str, raw: &Spanned<String>) -> Result<String, ConfigError> {
        let name = self.text(key, raw)?;
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.len() > MAX_STATISTIC_NAME || !name.bytes().all(valid) {
            let message = format!(
                "expected a statistic as games name them, 1 to {MAX_STATISTIC_NAME} characters \
                 from a-z, 0-9 and _, found `{name}`"
            );
            return Err(self.error(raw, key, message));
        }
        Ok(name)
    }

    fn board_modes(
        &self,
        key: &str,
        at: &Spanned<BoardEntry>,
        chosen: &[Spanned<String>],
        modes: &BTreeMap<String, ModeConfig>,
    ) -> Result<Vec<String>, ConfigError> {
        if chosen.is_empty() {
            return Err(self.error(at, key, "is empty; name modes, or leave the key out"));
        }
        let mut names: Vec<String> = Vec::new();
        for raw in chosen {
            let name = self.text(key, raw)?;
            if name != DEFAULT_MODE && !modes.contains_key(&name) {
                let known: Vec<&str> = std::iter::once(DEFAULT_MODE)
                    .chain(modes.keys().map(String::as_str))
                    .collect();
                return Err(self.error(
                    raw,
                    key,
                    format!("the game has no mode `{name}`; it has {}", known.join(", ")),
                ));
            }
            if names.contains(&name) {
                return Err(self.error(raw, key, format!("`{name}` is there twice")));
            }
            names.push(name);
        }
        Ok(names)
    }

    fn season(&self, key: &str, entry: &BoardEntry) -> Result<Season, ConfigError> {
        let season = match &entry.season {
            Some(raw) => {
                let key = format!("{key}.season");
                let season = self.text(&key, raw)?;
                if !["never", "daily", "weekly", "monthly"].contains(&season.as_str()) {
                    let message =
                        format!("expected never, daily, weekly or monthly, found `{season}`");
                    return Err(self.error(raw, &key, message));
                }
                season
            }
            None => "never".to_owned(),
        };
        let (day_key, time_key) = (format!("{key}.reset_day"), format!("{key}.reset_time"));
        let meaningless = |raw, key: &str, others| {
            let message = format!(
                "has no meaning where `season` is {season}; choose {others}, or leave it out"
            );
            Err(self.error(raw, key, message))
        };
        let at = match &entry.reset_time {
            Some(raw) if season == "never" => {
                return meaningless(raw, &time_key, "daily, weekly or monthly");
            }
            Some(raw) => self.time_of_day(&time_key, raw)?,
            None => NaiveTime::MIN,
        };
        match (season.as_str(), &entry.reset_day) {
            ("weekly", None) => Ok(Season::Weekly {
                on: Weekday::Mon,
                at,
            }),
            ("weekly", Some(raw)) => {
                let day = self.text(&day_key, raw)?;
                let Some(on) = weekday(&day) else {
                    let message = format!("expected a day from monday to sunday, found `{day}`");
                    return Err(self.error(raw, &day_key, message));
                };
                Ok(Season::Weekly { on, at })
            }
            ("monthly", None) => Ok(Season::Monthly { on: 1, at }),
            ("monthly", Some(raw)) => {
                let expected = "a day from 1 to 28, which every month has";
                let on = self.number(&day_key, raw, (1, LAST_RESET_DAY), expected)?;
                Ok(Season::Monthly { on, at })
            }
            (_, Some(raw)) => meaningless(raw, &day_key, "weekly or monthly"),
            ("daily", None) => Ok(Season::Daily { at }),
            (_, None) => Ok(Season::Never),
        }
    }

    fn time_of_day(&self, key: &str, raw: &Spanned<String>) -> Result<NaiveTime, ConfigError> {
        let text = self.text(key, raw)?;
        let time = (text.len() == "HH:MM".len())
            .then(|| NaiveTime::parse_from_str(&text, "%H:%M").ok())
            .flatten();
        time.ok_or_else(|| {
            self.error(
                raw,
                key,
                format!("expected a time of day such as \"04:00\", in UTC, found `{text}`"),
            )
        })
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    let days = [
        ("monday", Weekday::Mon),
        ("tuesday", Weekday::Tue),
        ("wednesday", Weekday::Wed),
        ("thursday", Weekday::Thu),
        ("friday", Weekday::Fri),
        ("saturday", Weekday::Sat),
        ("sunday", Weekday::Sun),
    ];
    days.into_iter()
        .find_map(|(known, day)| (known == name).then_some(day))
}

/// The last day that every month has.
const LAST_RESET_DAY: u8 = 28;
