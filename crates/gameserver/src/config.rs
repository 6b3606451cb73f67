//! `config.yaml`: one struct a concern, `${ENV}` in any scalar, errors that name the line.
//!
//! `docs/configuration.md` lists every key. A file of this folder reads one concern, with its keys,
//! bounds and defaults; [`reader`] is what they share.

mod boards;
mod games;
mod livekit;
mod matchmaking;
mod reader;
mod secret;
mod server;
mod services;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

pub(crate) use boards::BoardConfig;
pub(crate) use games::{DEFAULT_MODE, GameConfig, ModeConfig, ModeSetting, is_game_id};
pub(crate) use livekit::LiveKitConfig;
pub(crate) use matchmaking::Matchmaking;
pub(crate) use reader::{ConfigError, Place};
pub(crate) use secret::Secret;
pub(crate) use server::{AuthorityProcess, ServerConfig};
pub(crate) use services::{PostgresConfig, ServicesConfig};

use games::{GameEntry, GameSection};
use livekit::LiveKitSection;
use reader::Reader;
use server::{AuthoritySection, ServerSection};
use services::{DatabaseSection, RedisSection};

/// What a process runs with, every value checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    /// The HTTP server of the API.
    pub(crate) server: ServerConfig,
    /// The authority's own process.
    pub(crate) authority: AuthorityProcess,
    /// The LiveKit server; absent where the process runs its own.
    pub(crate) livekit: Option<LiveKitConfig>,
    /// PostgreSQL and Redis; absent where the process keeps everything itself.
    pub(crate) services: Option<ServicesConfig>,
    /// Ticks a second for a module that leaves it open; the sandbox's own default where absent.
    pub(crate) default_tick_rate: Option<u32>,
    /// How the server holds authority over games that say nothing of their own.
    pub(crate) authority_mode: Option<ModeSetting>,
    /// The games by id.
    pub(crate) games: BTreeMap<String, GameConfig>,
}

impl Config {
    /// Reads a file, with `${NAME}` from the process's environment.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            file: file.clone(),
            line: None,
            message: format!("cannot be read ({e}); give an existing file with --config"),
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, &file, folder, &|name| std::env::var(name).ok())
    }

    /// Checks the text of a configuration. `env` answers `${NAME}`; modules' paths are relative
    /// to `folder`.
    pub(crate) fn parse(
        text: &str,
        file: &str,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let options = serde_saphyr::options! { with_snippet: false };
        let document: Document =
            serde_saphyr::from_str_with_options(text, options).map_err(|e| ConfigError {
                file: file.to_owned(),
                line: e.location().map(|l| l.line()),
                message: first_line(&e.to_string()),
            })?;
        Reader { file, folder, env }.config(document)
    }

    /// What would be used, for people; without secrets.
    pub(crate) fn summary(&self) -> String {
        let mut lines = Vec::new();
        self.server.summarize(&mut lines);
        lines.push(format!(
            "authority: metrics on port {}, at most {} rooms",
            self.authority.http_port, self.authority.max_rooms
        ));
        match &self.livekit {
            Some(livekit) => livekit.summarize(&mut lines),
            None => lines.push("LiveKit: none given, `gameserver dev` runs its own".to_owned()),
        }
        match &self.services {
            Some(services) => services.summarize(&mut lines),
            None => lines.push(
                "PostgreSQL and Redis: none given, `gameserver dev` keeps everything itself"
                    .to_owned(),
            ),
        }
        for (id, game) in &self.games {
            lines.push(format!("game {id}: {}", game.module.display()));
            for (name, board) in &game.boards {
                lines.push(format!("game {id}, board {name}: {}", board.summary()));
            }
        }
        if self.games.is_empty() {
            lines.push("games: none given, `gameserver dev` serves target/games".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

/// The file as written: scalars are text until `${NAME}` is filled in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    server: Option<ServerSection>,
    authority: Option<AuthoritySection>,
    livekit: Option<LiveKitSection>,
    database: Option<Spanned<DatabaseSection>>,
    redis: Option<Spanned<RedisSection>>,
    game: Option<GameSection>,
    games: Option<BTreeMap<String, Spanned<GameEntry>>>,
}

impl Reader<'_> {
    fn config(&self, document: Document) -> Result<Config, ConfigError> {
        let (default_tick_rate, authority_mode) = match &document.game {
            Some(game) => self.game_section(game)?,
            None => (None, None),
        };
        let mut config = Config {
            server: self.server(document.server.as_ref())?,
            authority: self.authority(document.authority.as_ref())?,
            livekit: document
                .livekit
                .as_ref()
                .map(|section| self.livekit(section))
                .transpose()?,
            services: self.services(document.database.as_ref(), document.redis.as_ref())?,
            default_tick_rate,
            authority_mode,
            games: BTreeMap::new(),
        };
        for (id, entry) in document.games.unwrap_or_default() {
            let game = self.game(&id, &entry, config.authority_mode.as_ref())?;
            config.games.insert(id, game);
        }
        Ok(config)
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
