//! `games.ID.matchmaking` and `games.ID.modes.NAME.matchmaking`: who plays with whom.
//!
//! A mapping, or the path of a YAML file with that mapping, relative to the configuration file. A
//! mode takes each key that it does not have from its game. Times are in seconds.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `players` | the mode's `players` | a number, or `{min, max, fewer_after}`: fewer than `max` may play once all have waited `fewer_after` |
//! | `teams` | the module's | how many teams, as even as can be; 0: everyone for themselves |
//! | `team_sizes` | – | the size of each team instead, such as `[4, 1]` |
//! | `skill` | `{source: rating, tolerance: 100, widen: …}` | how far apart in skill players may be: `source` is `rating`, `best_score` or `matches`, `party` is `average` or `maximum`; or `any` |
//! | `balance` | any | `{max_difference, widen}`: the most that teams' mean ratings differ |
//! | `latency` | any | `{regions, max_ms, widen}`: all of a match reach one region within `max_ms` |
//! | `attributes.NAME` | – | `equal`, `{overlap: […]}` or `{within, widen}`, and `required` |
//! | `priorities.returned`, `.new_players`, `.party_of_N` | – | a head start over others, up to 600 s |
//! | `backfill` | `false` | whether slots that are left in a running match are given to others |
//! | `acceptance` | – | how long players have to accept a match, 5 to 60 s |
//! | `match_timeout` | 600 | how long somebody waits at most, 10 to 3,600 s |
//!
//! `widen` is a list of `{after, to}`, ascending; `to` may be `any`.

mod entry;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gs_engine::manifest::Manifest;
use gs_matchmaker::{
    AttributeKind, AttributeRule, LatencyRule, PartySkill, PlayerCount, Priority, Rules, SkillRule,
    SkillSource, Steps, Teams, Who,
};
use serde_saphyr::Spanned;

use super::reader::Reader;
use super::{ConfigError, Place, first_line};
pub(super) use entry::Source;
use entry::{AttributeEntry, Entry, OneOr, PlayersEntry, SkillEntry, StepEntry};

/// What is configured of a mode's rules; the defaults for the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matchmaking {
    players: Option<PlayerCount>,
    teams: Option<Teams>,
    skill: Option<Option<SkillRule>>,
    balance: Option<Option<Steps>>,
    latency: Option<Option<LatencyRule>>,
    attributes: Option<Vec<AttributeRule>>,
    priorities: Option<Vec<Priority>>,
    backfill: Option<bool>,
    acceptance: Option<Option<Duration>>,
    match_timeout: Option<Duration>,
    /// Where each key stands, for what turns out only later to be wrong with it.
    places: BTreeMap<String, Place>,
}

impl Matchmaking {
    /// Reads a file that is rules and nothing else, with `${NAME}` from the process's environment.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            file: file.clone(),
            line: None,
            message: format!("cannot be read ({error}); give an existing file"),
        })?;
        let reader = Reader {
            file: &file,
            folder: path.parent().unwrap_or(Path::new(".")),
            env: &|name| std::env::var(name).ok(),
        };
        reader.rules_file(&text)
    }

    /// The same, with what another says where this one says nothing.
    pub(super) fn over(self, other: &Self) -> Self {
        let other = other.clone();
        let mut places = other.places;
        places.extend(self.places);
        Self {
            players: self.players.or(other.players),
            teams: self.teams.or(other.teams),
            skill: self.skill.or(other.skill),
            balance: self.balance.or(other.balance),
            latency: self.latency.or(other.latency),
            attributes: self.attributes.or(other.attributes),
            priorities: self.priorities.or(other.priorities),
            backfill: self.backfill.or(other.backfill),
            acceptance: self.acceptance.or(other.acceptance),
            match_timeout: self.match_timeout.or(other.match_timeout),
            places,
        }
    }

    /// The same with another number of players.
    pub(super) fn with_players(self, players: u8) -> Self {
        let players = Some(PlayerCount::exactly(players));
        Self { players, ..self }
    }

    /// Whether the number of players is given.
    pub(super) fn has_players(&self) -> bool {
        self.players.is_some()
    }

    /// The rules of a mode with `players` in a match unless they say otherwise.
    ///
    /// # Errors
    /// What the module cannot do, and rules that no match can keep, with the line.
    pub(crate) fn rules(&self, players: u8, manifest: &Manifest) -> Result<Rules, ConfigError> {
        let rules = self.filled(Rules::for_players(players, manifest.teams));
        let (fewest, most) = (manifest.min_players, manifest.max_players);
        if rules.players.min < fewest || rules.players.max > most {
            return Err(self.refuse(
                "players",
                format!("the game takes {fewest} to {most} players"),
            ));
        }
        let teams = rules.team_count();
        if teams != manifest.teams {
            let path = match rules.teams {
                Teams::Sizes(_) => "team_sizes",
                _ => "teams",
            };
            let message = match manifest.teams {
                0 => format!("{teams} teams, but in this game everyone plays for themselves"),
                own => format!("{teams} teams, but this game has {own}"),
            };
            return Err(self.refuse(path, message));
        }
        if rules.backfill && !manifest.backfill {
            let message = "this game takes nobody into a slot that somebody left: leave it out, or \
                           give a module whose manifest says `backfill`";
            return Err(self.refuse("backfill", message.to_owned()));
        }
        self.checked(rules)
    }

    /// The rules where no module says anything.
    ///
    /// # Errors
    /// Rules that no match can keep, with the line.
    pub(crate) fn over_rules(&self, otherwise: Rules) -> Result<Rules, ConfigError> {
        self.checked(self.filled(otherwise))
    }

    fn filled(&self, otherwise: Rules) -> Rules {
        Rules {
            players: self.players.unwrap_or(otherwise.players),
            teams: self.teams.clone().unwrap_or(otherwise.teams),
            skill: self.skill.clone().unwrap_or(otherwise.skill),
            balance: self.balance.clone().unwrap_or(otherwise.balance),
            latency: self.latency.clone().unwrap_or(otherwise.latency),
            attributes: self.attributes.clone().unwrap_or(otherwise.attributes),
            priorities: self.priorities.clone().unwrap_or(otherwise.priorities),
            acceptance: self.acceptance.unwrap_or(otherwise.acceptance),
            match_timeout: self.match_timeout.unwrap_or(otherwise.match_timeout),
            backfill: self.backfill.unwrap_or(otherwise.backfill),
        }
    }

    fn checked(&self, rules: Rules) -> Result<Rules, ConfigError> {
        match rules.check() {
            Ok(()) => Ok(rules),
            Err(error) => Err(self.refuse(&error.path, error.message)),
        }
    }

    /// Refuses what stands at a path, or at the nearest key around it.
    fn refuse(&self, path: &str, message: String) -> ConfigError {
        let within = |key: &str| {
            path.strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let around = self.places.iter().filter(|(key, _)| within(key));
        let nearest = around.max_by_key(|(key, _)| key.len());
        let (exact, place) = match nearest {
            Some((key, place)) => (key == path, Some(place)),
            None => (false, self.places.get("")),
        };
        let message = if exact {
            message
        } else {
            format!("`{path}`: {message}")
        };
        match place {
            Some(place) => place.refuse(message),
            // Rules that nobody wrote are the module's own with the defaults.
            None => ConfigError {
                file: "the default rules".to_owned(),
                line: None,
                message,
            },
        }
    }
}

impl Reader<'_> {
    /// The rules under `key`.
    pub(super) fn matchmaking(
        &self,
        key: &str,
        source: &Spanned<Source>,
    ) -> Result<Matchmaking, ConfigError> {
        let path = match &source.value {
            Source::Here(entry) => return self.rules(&format!("{key}."), source, entry),
            Source::File(path) => self.expand(key, source, path)?,
        };
        let path = self.folder.join(path);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("{} cannot be read ({error})", path.display());
            self.error(source, key, message)
        })?;
        Reader {
            file: &path.display().to_string(),
            folder: path.parent().unwrap_or(self.folder),
            env: self.env,
        }
        .rules_file(&text)
    }

    /// The rules that a whole file is.
    fn rules_file(&self, text: &str) -> Result<Matchmaking, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let entry: Spanned<Entry> =
            serde_saphyr::from_str_with_options(text, options).map_err(|e| ConfigError {
                file: self.file.to_owned(),
                line: e.location().map(|l| l.line()),
                message: first_line(&e.to_string()),
            })?;
        self.rules("", &entry, &entry.value)
    }

    /// `prefix` is what stands before each key in errors.
    fn rules<T>(
        &self,
        prefix: &str,
        at: &Spanned<T>,
        entry: &Entry,
    ) -> Result<Matchmaking, ConfigError> {
        let key = |name: &str| format!("{prefix}{name}");
        let mut places = BTreeMap::new();
        let whole = prefix.trim_end_matches('.');
        places.insert(
            String::new(),
            self.place(at, if whole.is_empty() { "rules" } else { whole }),
        );
        let mut rules = Matchmaking::default();

        if let Some(players) = &entry.players {
            places.insert("players".to_owned(), self.place(players, &key("players")));
            rules.players = Some(self.players(&key("players"), players)?);
        }
        if let (Some(_), Some(sizes)) = (&entry.teams, &entry.team_sizes) {
            let message = "give `teams` or `team_sizes`, not both";
            return Err(self.error(sizes, &key("team_sizes"), message));
        }
        if let Some(teams) = &entry.teams {
            places.insert("teams".to_owned(), self.place(teams, &key("teams")));
            let count = self.number(&key("teams"), teams, (0, MOST), "teams from 0 to 64")?;
            rules.teams = Some(match count {
                0 => Teams::Everyone,
                count => Teams::Even(count),
            });
        }
        if let Some(sizes) = &entry.team_sizes {
            let key = key("team_sizes");
            places.insert("team_sizes".to_owned(), self.place(sizes, &key));
            let sizes = sizes.value.iter();
            let sizes =
                sizes.map(|size| self.number(&key, size, (1, MOST), "players from 1 to 64"));
            let sizes: Vec<u8> = sizes.collect::<Result<_, _>>()?;
            // They say how many players there are, too.
            if rules.players.is_none() {
                let sum = sizes
                    .iter()
                    .fold(0_u8, |sum, &size| sum.saturating_add(size));
                rules.players = Some(PlayerCount::exactly(sum));
            }
            rules.teams = Some(Teams::Sizes(sizes));
        }
        if let Some(skill) = &entry.skill {
            places.insert("skill".to_owned(), self.place(skill, &key("skill")));
            if let OneOr::Mapping(skill) = &skill.value {
                self.step_places(&mut places, (prefix, "skill"), skill.widen.as_deref());
            }
            rules.skill = Some(self.skill(&key("skill"), skill)?);
        }
        if let Some(balance) = &entry.balance {
            places.insert("balance".to_owned(), self.place(balance, &key("balance")));
            if let OneOr::Mapping(balance) = &balance.value {
                self.step_places(&mut places, (prefix, "balance"), balance.widen.as_deref());
            }
            let key = key("balance");
            rules.balance = Some(match &balance.value {
                OneOr::One(text) => self.any(&key, balance, text, "{max_difference, widen}")?,
                OneOr::Mapping(balance) => Some(self.steps(
                    &key,
                    ("max_difference", &balance.max_difference),
                    balance.widen.as_deref(),
                )?),
            });
        }
        if let Some(latency) = &entry.latency {
            places.insert("latency".to_owned(), self.place(latency, &key("latency")));
            if let OneOr::Mapping(latency) = &latency.value {
                self.step_places(&mut places, (prefix, "latency"), latency.widen.as_deref());
            }
            let key = key("latency");
            rules.latency = Some(match &latency.value {
                OneOr::One(text) => self.any(&key, latency, text, "{regions, max_ms, widen}")?,
                OneOr::Mapping(latency) => Some(LatencyRule {
                    regions: self.texts(&format!("{key}.regions"), &latency.regions)?,
                    max_ms: self.steps(
                        &key,
                        ("max_ms", &latency.max_ms),
                        latency.widen.as_deref(),
                    )?,
                }),
            });
        }
        if let Some(attributes) = &entry.attributes {
            let mut all = Vec::with_capacity(attributes.len());
            for (name, attribute) in attributes {
                let path = format!("attributes.{name}");
                if let OneOr::Mapping(attribute) = &attribute.value {
                    self.step_places(&mut places, (prefix, &path), attribute.widen.as_deref());
                }
                all.push(self.attribute(&key(&path), name, attribute)?);
                places.insert(path.clone(), self.place(attribute, &key(&path)));
            }
            rules.attributes = Some(all);
        }
        if let Some(priorities) = &entry.priorities {
            let mut all = Vec::with_capacity(priorities.len());
            for (name, head_start) in priorities {
                let path = format!("priorities.{name}");
                all.push(self.priority(&key(&path), name, head_start)?);
                places.insert(path.clone(), self.place(head_start, &key(&path)));
            }
            rules.priorities = Some(all);
        }
        if let Some(backfill) = &entry.backfill {
            places.insert(
                "backfill".to_owned(),
                self.place(backfill, &key("backfill")),
            );
            rules.backfill = Some(self.flag(&key("backfill"), backfill)?);
        }
        if let Some(acceptance) = &entry.acceptance {
            let key = key("acceptance");
            places.insert("acceptance".to_owned(), self.place(acceptance, &key));
            rules.acceptance = Some(Some(self.bounded(&key, acceptance, ACCEPTANCE)?));
        }
        if let Some(timeout) = &entry.match_timeout {
            let key = key("match_timeout");
            places.insert("match_timeout".to_owned(), self.place(timeout, &key));
            rules.match_timeout = Some(self.bounded(&key, timeout, MATCH_TIMEOUT)?);
        }
        rules.places = places;
        Ok(rules)
    }

    /// Where the steps stand by which the limit at `path` widens.
    fn step_places(
        &self,
        places: &mut BTreeMap<String, Place>,
        (prefix, path): (&str, &str),
        widen: Option<&[Spanned<StepEntry>]>,
    ) {
        for (index, step) in widen.unwrap_or_default().iter().enumerate() {
            let StepEntry { after, to } = &step.value;
            for (name, at) in [("after", after), ("to", to)] {
                let path = format!("{path}.widen[{index}].{name}");
                let place = self.place(at, &format!("{prefix}{path}"));
                places.insert(path, place);
            }
        }
    }

    fn players(
        &self,
        key: &str,
        raw: &Spanned<OneOr<PlayersEntry>>,
    ) -> Result<PlayerCount, ConfigError> {
        let count = |key: &str, raw: &Spanned<String>| {
            self.number(key, raw, (1, MOST), "players from 1 to 64")
        };
        let players = match &raw.value {
            OneOr::One(text) => {
                let number = self.expand(key, raw, text)?.parse().ok();
                let number = number.filter(|number| (1..=MOST).contains(number));
                let expected = "expected players from 1 to 64, or {min, max, fewer_after}";
                return number
                    .map(PlayerCount::exactly)
                    .ok_or_else(|| self.error(raw, key, format!("{expected}, found `{text}`")));
            }
            OneOr::Mapping(players) => players,
        };
        let (min, max) = (
            count(&format!("{key}.min"), &players.min)?,
            count(&format!("{key}.max"), &players.max)?,
        );
        let fewer_after = players.fewer_after.as_ref();
        let fewer_after =
            fewer_after.map(|after| self.seconds(&format!("{key}.fewer_after"), after));
        Ok(PlayerCount {
            min,
            max,
            fewer_after: fewer_after.transpose()?.unwrap_or_default(),
        })
    }

    fn skill(
        &self,
        key: &str,
        raw: &Spanned<OneOr<SkillEntry>>,
    ) -> Result<Option<SkillRule>, ConfigError> {
        let skill = match &raw.value {
            OneOr::One(text) => {
                return self.any(key, raw, text, "{source, tolerance, widen, party}");
            }
            OneOr::Mapping(skill) => skill,
        };
        let mut rule = SkillRule {
            source: SkillSource::Rating,
            tolerance: Steps::fixed(TOLERANCE),
            party: PartySkill::Average,
        };
        if let Some(source) = &skill.source {
            let key = format!("{key}.source");
            rule.source = match self.text(&key, source)?.as_str() {
                "rating" => SkillSource::Rating,
                "best_score" => SkillSource::BestScore,
                "matches" => SkillSource::Matches,
                other => {
                    let message =
                        format!("expected `rating`, `best_score` or `matches`, found `{other}`");
                    return Err(self.error(source, &key, message));
                }
            };
        }
        if let Some(party) = &skill.party {
            let key = format!("{key}.party");
            rule.party = match self.text(&key, party)?.as_str() {
                "average" => PartySkill::Average,
                "maximum" => PartySkill::Maximum,
                other => {
                    let message = format!("expected `average` or `maximum`, found `{other}`");
                    return Err(self.error(party, &key, message));
                }
            };
        }
        match (&skill.tolerance, skill.widen.as_deref()) {
            (Some(tolerance), widen) => {
                rule.tolerance = self.steps(key, ("tolerance", tolerance), widen)?;
            }
            (None, Some(widen)) => rule.tolerance.steps = self.widening(key, Some(widen))?,
            (None, None) => {
                let otherwise = Rules::default().skill.map(|skill| skill.tolerance);
                rule.tolerance = otherwise.unwrap_or(rule.tolerance);
            }
        }
        Ok(Some(rule))
    }

    fn attribute(
        &self,
        key: &str,
        name: &str,
        raw: &Spanned<OneOr<AttributeEntry>>,
    ) -> Result<AttributeRule, ConfigError> {
        let expected = "expected `equal`, {overlap: [...]} or {within, widen}";
        let refuse = |found: &str| Err(self.error(raw, key, format!("{expected}{found}")));
        let mut required = false;
        let kind = match &raw.value {
            OneOr::One(text) if text == "equal" => AttributeKind::Equal,
            OneOr::One(text) => return refuse(&format!(", found `{text}`")),
            OneOr::Mapping(entry) => {
                if let Some(flag) = &entry.required {
                    required = self.flag(&format!("{key}.required"), flag)?;
                }
                match (&entry.equal, &entry.overlap, &entry.within, &entry.widen) {
                    (Some(equal), None, None, None) => {
                        if !self.flag(&format!("{key}.equal"), equal)? {
                            return refuse(", and not `equal: false`");
                        }
                        AttributeKind::Equal
                    }
                    (None, Some(values), None, None) => AttributeKind::Overlap {
                        values: self.texts(&format!("{key}.overlap"), values)?,
                    },
                    (None, None, Some(within), widen) => AttributeKind::Within {
                        steps: self.steps(key, ("within", within), widen.as_deref())?,
                    },
                    _ => return refuse(", one of them"),
                }
            }
        };
        Ok(AttributeRule {
            name: name.to_owned(),
            kind,
            required,
        })
    }

    fn priority(
        &self,
        key: &str,
        name: &str,
        raw: &Spanned<String>,
    ) -> Result<Priority, ConfigError> {
        let party = || name.strip_prefix("party_of_")?.parse().ok();
        let who = match name {
            "returned" => Who::Returned,
            "new_players" => Who::NewPlayers,
            _ => match party() {
                Some(size) => Who::PartyOf(size),
                None => {
                    let message = "expected `returned`, `new_players` or `party_of_N`, such as \
                                   `party_of_3`";
                    return Err(self.error(raw, key, message));
                }
            },
        };
        let head_start = self.seconds(key, raw)?;
        Ok(Priority { who, head_start })
    }

    /// A limit and how it widens.
    fn steps(
        &self,
        key: &str,
        (name, start): (&str, &Spanned<String>),
        widen: Option<&[Spanned<StepEntry>]>,
    ) -> Result<Steps, ConfigError> {
        Ok(Steps {
            start: self.limit(&format!("{key}.{name}"), start)?,
            steps: self.widening(key, widen)?,
        })
    }

    fn widening(
        &self,
        key: &str,
        widen: Option<&[Spanned<StepEntry>]>,
    ) -> Result<Vec<(Duration, f64)>, ConfigError> {
        let steps = widen.unwrap_or_default().iter().enumerate();
        let step = |(index, step): (usize, &Spanned<StepEntry>)| {
            let key = format!("{key}.widen[{index}]");
            Ok((
                self.seconds(&format!("{key}.after"), &step.value.after)?,
                self.limit(&format!("{key}.to"), &step.value.to)?,
            ))
        };
        steps.map(step).collect()
    }

    /// A number above 0, or `any`.
    fn limit(&self, key: &str, raw: &Spanned<String>) -> Result<f64, ConfigError> {
        if self.text(key, raw)? == ANY {
            return Ok(f64::INFINITY);
        }
        self.number(key, raw, (0.0, MOST_LIMIT), "a number above 0, or `any`")
    }

    fn seconds(&self, key: &str, raw: &Spanned<String>) -> Result<Duration, ConfigError> {
        let seconds = self.number(key, raw, (0.0, MOST_SECONDS), "seconds, such as 5 or 0.5")?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// Seconds within bounds, in which people can do what they are for.
    fn bounded(
        &self,
        key: &str,
        raw: &Spanned<String>,
        bounds: (f64, f64),
    ) -> Result<Duration, ConfigError> {
        let expected = format!("seconds from {} to {}", bounds.0, bounds.1);
        let seconds = self.number(key, raw, bounds, &expected)?;
        Ok(Duration::from_secs_f64(seconds))
    }

    fn texts(&self, key: &str, raw: &[Spanned<String>]) -> Result<Vec<String>, ConfigError> {
        raw.iter().map(|text| self.text(key, text)).collect()
    }

    fn flag(&self, key: &str, raw: &Spanned<String>) -> Result<bool, ConfigError> {
        let text = self.text(key, raw)?;
        let expected = || format!("expected true or false, found `{text}`");
        text.parse().map_err(|_| self.error(raw, key, expected()))
    }

    /// `any`, which is no rule.
    fn any<T, R>(
        &self,
        key: &str,
        at: &Spanned<T>,
        text: &str,
        mapping: &str,
    ) -> Result<Option<R>, ConfigError> {
        if text == ANY {
            return Ok(None);
        }
        let message = format!("expected `{ANY}` or {mapping}, found `{text}`");
        Err(self.error(at, key, message))
    }
}

/// No limit, or no rule.
const ANY: &str = "any";
/// As many as the engine's slots.
const MOST: u8 = gs_matchmaker::MAX_PLAYERS;
/// The first page of any matchmaker begins there.
const TOLERANCE: f64 = 100.0;
/// A day; each time has its own, smaller bound too.
const MOST_SECONDS: f64 = 86_400.0;
/// Time to see the question and answer; while somebody does not, all others wait.
const ACCEPTANCE: (f64, f64) = (5.0, 60.0);
/// Sooner, nobody is found; later, nobody looks any more.
const MATCH_TIMEOUT: (f64, f64) = (10.0, 3_600.0);
/// Beyond any score or attribute that tells players apart.
const MOST_LIMIT: f64 = 1e12;

#[cfg(test)]
mod tests;
