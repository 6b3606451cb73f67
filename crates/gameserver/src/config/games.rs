//! `game` and `games`: what is served, and how it is played.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `game.default_tick_rate` | 60 | ticks a second for a module that leaves it open, 1–120 |
//! | `game.authority_mode` | `validated`, but `full` for a module that hides state | how the server holds authority over a match |
//! | `games.ID.module` | – | path of the game's `.wasm`, relative to the configuration file |
//! | `games.ID.players` | the module's minimum | players of a quick match |
//! | `games.ID.authority_mode` | `game.authority_mode` | the same for one game |
//! | `games.ID.rated` | `true`, but `false` in `observer` | whether scores of its matches count |
//! | `games.ID.options` | `{}` | passed to the module as its options, at most 4 KiB as JSON; players are sent them, `${ENV}` filled in, so they must hold no secrets |
//! | `games.ID.modes.NAME.players`, `.authority_mode`, `.rated` | the game's | another way to play it, which players queue for by its name; `rated` of a game that is not in `observer` is not for its modes that are |
//! | `games.ID.matchmaking`, `games.ID.modes.NAME.matchmaking` | see [`super::matchmaking`] | who plays with whom |
//! | `games.ID.boards.NAME` | the module's own, `default` | its leaderboards, see [`super::boards`] |

use std::collections::BTreeMap;
use std::path::PathBuf;

use gs_engine::AuthorityMode;
use gs_engine::mode::UnknownMode;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::boards::BoardEntry;
use super::matchmaking::{Matchmaking, Source};
use super::reader::{Reader, Setting};
use super::{BoardConfig, ConfigError, Place};

/// One game that is served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GameConfig {
    /// Its module.
    pub(crate) module: PathBuf,
    /// What players queue for who name no mode.
    pub(crate) default_mode: ModeConfig,
    /// What else players may queue for, by name.
    pub(crate) modes: BTreeMap<String, ModeConfig>,
    /// The game's own options, a JSON object.
    pub(crate) options: serde_json::Value,
    /// Its leaderboards by name, beside the one that every game with a rule for it has.
    pub(crate) boards: BTreeMap<String, BoardConfig>,
}

/// One way to play a game.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ModeConfig {
    /// Players of a match; the module's minimum where absent.
    pub(crate) players: Option<u8>,
    /// How the server holds authority; what fits the module where absent.
    pub(crate) authority_mode: Option<ModeSetting>,
    /// Whether scores count; where absent, what the server saw for itself does.
    pub(crate) rated: Option<bool>,
    /// Who plays with whom.
    pub(crate) matchmaking: Matchmaking,
}

/// An authority mode, and where it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModeSetting {
    /// The mode.
    pub(crate) mode: AuthorityMode,
    /// Where it was chosen.
    pub(crate) place: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GameSection {
    default_tick_rate: Setting,
    authority_mode: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GameEntry {
    module: Spanned<String>,
    players: Setting,
    authority_mode: Setting,
    rated: Setting,
    matchmaking: Option<Spanned<Source>>,
    options: Option<serde_json::Value>,
    modes: Option<BTreeMap<String, Spanned<ModeEntry>>>,
    boards: Option<BTreeMap<String, Spanned<BoardEntry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeEntry {
    players: Setting,
    authority_mode: Setting,
    rated: Setting,
    matchmaking: Option<Spanned<Source>>,
}

impl Reader<'_> {
    /// Tick rate and authority mode of games that say nothing of their own.
    pub(super) fn game_section(
        &self,
        section: &GameSection,
    ) -> Result<(Option<u32>, Option<ModeSetting>), ConfigError> {
        let rate = section.default_tick_rate.as_ref().map(|rate| {
            self.number(
                "game.default_tick_rate",
                rate,
                (1, gs_engine::manifest::MAX_TICK_RATE),
                "ticks a second from 1 to 120",
            )
        });
        let mode = section
            .authority_mode
            .as_ref()
            .map(|mode| self.mode("game.authority_mode", mode));
        Ok((rate.transpose()?, mode.transpose()?))
    }

    pub(super) fn game(
        &self,
        id: &str,
        entry: &Spanned<GameEntry>,
        authority_mode: Option<&ModeSetting>,
    ) -> Result<GameConfig, ConfigError> {
        let key = format!("games.{id}");
        if !is_game_id(id) {
            return Err(self.error(
                entry,
                &key,
                "expected an id of 1 to 32 characters from a-z, 0-9 and -, starting with a letter",
            ));
        }
        let game = &entry.value;
        let default_mode = self.mode_config(
            &key,
            (&game.players, &game.authority_mode, &game.rated),
            game.matchmaking.as_ref(),
            &ModeConfig {
                authority_mode: authority_mode.cloned(),
                ..ModeConfig::default()
            },
        )?;
        let mut modes = BTreeMap::new();
        for (name, mode) in game.modes.iter().flatten() {
            let key = format!("{key}.modes.{name}");
            if !is_game_id(name) || name == DEFAULT_MODE {
                return Err(self.error(
                    mode,
                    &key,
                    "expected a name of 1 to 32 characters from a-z, 0-9 and -, starting with a \
                     letter, other than `default`, which is the game's own",
                ));
            }
            let ModeEntry {
                players,
                authority_mode,
                rated,
                matchmaking,
            } = &mode.value;
            let settings = (players, authority_mode, rated);
            let matchmaking = matchmaking.as_ref();
            let mode = self.mode_config(&key, settings, matchmaking, &default_mode)?;
            modes.insert(name.clone(), mode);
        }
        let boards = match &game.boards {
            Some(boards) => self.boards(&key, entry, boards, &modes)?,
            None => BTreeMap::new(),
        };
        Ok(GameConfig {
            module: self.module(&key, &game.module)?,
            default_mode,
            modes,
            options: self.options(&key, entry)?,
            boards,
        })
    }

    fn module(&self, key: &str, raw: &Spanned<String>) -> Result<PathBuf, ConfigError> {
        let key = format!("{key}.module");
        let module = self.folder.join(self.text(&key, raw)?);
        if module.is_file() {
            return Ok(module);
        }
        Err(self.error(
            raw,
            &key,
            format!(
                "no file at {}; build the game, or mend the path",
                module.display()
            ),
        ))
    }

    fn options(
        &self,
        key: &str,
        entry: &Spanned<GameEntry>,
    ) -> Result<serde_json::Value, ConfigError> {
        let key = format!("{key}.options");
        let given = entry.value.options.clone();
        let mut options = given.unwrap_or_else(|| serde_json::json!({}));
        self.fill(&key, entry, &mut options)?;
        if !options.is_object() {
            return Err(self.error(entry, &key, "expected a mapping of names to values"));
        }
        let bytes = options.to_string().len();
        if bytes > MAX_OPTIONS_BYTES {
            return Err(self.error(
                entry,
                &key,
                format!(
                    "{bytes} bytes as JSON, expected at most {MAX_OPTIONS_BYTES}: players are told \
                     them when they join; build large data into the module"
                ),
            ));
        }
        Ok(options)
    }

    /// One way to play a game, which is like another where it says nothing.
    fn mode_config(
        &self,
        key: &str,
        (players, authority_mode, rated): (&Setting, &Setting, &Setting),
        matchmaking: Option<&Spanned<Source>>,
        otherwise: &ModeConfig,
    ) -> Result<ModeConfig, ConfigError> {
        let mut mode = otherwise.clone();
        if let Some(players) = players {
            let (key, max) = (
                format!("{key}.players"),
                gs_engine::manifest::MAX_SLOTS as u8,
            );
            let players = self.number(&key, players, (1, max), "players from 1 to 64")?;
            mode.players = Some(players);
            // A mode's own number comes before that of its game's rules.
            if mode.matchmaking.has_players() {
                mode.matchmaking = mode.matchmaking.with_players(players);
            }
        }
        if let Some(matchmaking) = matchmaking {
            let own = self.matchmaking(&format!("{key}.matchmaking"), matchmaking)?;
            mode.matchmaking = own.over(&mode.matchmaking);
        }
        if let Some(authority_mode) = authority_mode {
            let key = format!("{key}.authority_mode");
            mode.authority_mode = Some(self.mode(&key, authority_mode)?);
        }
        let observes = |mode: &ModeConfig| {
            let setting = mode.authority_mode.as_ref();
            setting.is_some_and(|setting| setting.mode == AuthorityMode::Observer)
        };
        // That scores count which the server sees says nothing of those that players report.
        if observes(&mode) && !observes(otherwise) {
            mode.rated = None;
        }
        if let Some(rated) = rated {
            let key = format!("{key}.rated");
            let text = self.text(&key, rated)?;
            mode.rated = Some(text.parse().map_err(|_| {
                self.error(
                    rated,
                    &key,
                    format!("expected true or false, found `{text}`"),
                )
            })?);
        }
        Ok(mode)
    }

    fn mode(&self, key: &str, raw: &Spanned<String>) -> Result<ModeSetting, ConfigError> {
        let text = self.text(key, raw)?;
        let mode = text
            .parse()
            .map_err(|e: UnknownMode| self.error(raw, key, e))?;
        let place = self.place(raw, key);
        Ok(ModeSetting { mode, place })
    }
}

/// Whether a game's id can be part of a room's name and of an address.
pub(crate) fn is_game_id(id: &str) -> bool {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    id.len() <= 32 && id.starts_with(|c: char| c.is_ascii_lowercase()) && id.chars().all(valid)
}

/// The mode that every game has.
pub(crate) const DEFAULT_MODE: &str = "default";
/// Most bytes of a game's options as JSON: a quarter of the packet that welcomes a player, which
/// needs the rest for up to 64 players and how the match ended.
pub(super) const MAX_OPTIONS_BYTES: usize = 4 << 10;
