//! `config.yaml`: one struct a concern, `${ENV}` in any scalar, errors that name the line.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `server.http_port` | 8080 | port of the HTTP API, 1–65535 |
//! | `server.sign_ins_per_minute` | 60 | calls that sign somebody in, from one address, 1–60,000 |
//! | `livekit.host`, `.api_key`, `.api_secret` | – | the LiveKit server; `gameserver dev` runs its own where this is absent |
//! | `database.url`, `redis.url` | – | not used by `gameserver dev`, which has an embedded store |
//! | `game.default_tick_rate` | 60 | ticks a second for a module that leaves it open, 1–120 |
//! | `game.authority_mode` | `validated`, but `full` for a module that hides state | how the server holds authority over a match |
//! | `games.ID.module` | – | path of the game's `.wasm`, relative to the configuration file |
//! | `games.ID.players` | the module's minimum | players of a quick match |
//! | `games.ID.authority_mode` | `game.authority_mode` | the same for one game |
//! | `games.ID.rated` | `true`, but `false` in `observer` | whether scores of its matches count |
//! | `games.ID.options` | `{}` | passed to the module as its options, at most 4 KiB as JSON; players are sent them, `${ENV}` filled in, so they must hold no secrets |
//! | `games.ID.modes.NAME.players`, `.authority_mode`, `.rated` | the game's | another way to play it, which players queue for by its name; `rated` of a game that is not in `observer` is not for its modes that are |

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use gs_engine::AuthorityMode;
use gs_engine::mode::UnknownMode;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// What a process runs with, every value checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Port of the HTTP API.
    pub(crate) http_port: u16,
    /// Calls that sign somebody in, from one address.
    pub(crate) sign_ins_per_minute: u32,
    /// The LiveKit server; absent where the process runs its own.
    pub(crate) livekit: Option<LiveKitConfig>,
    /// Ticks a second for a module that leaves it open.
    pub(crate) default_tick_rate: u32,
    /// How the server holds authority over games that say nothing of their own.
    pub(crate) authority_mode: Option<ModeSetting>,
    /// The games by id.
    pub(crate) games: BTreeMap<String, GameConfig>,
    /// Sections that are present but that `gameserver dev` does not use.
    pub(crate) unused_by_dev: Vec<&'static str>,
}

/// A LiveKit server and the key to it.
#[derive(Clone, PartialEq)]
pub(crate) struct LiveKitConfig {
    /// `http(s)://` or `ws(s)://` address.
    pub(crate) host: String,
    /// Name of the key.
    pub(crate) api_key: String,
    /// The key's secret.
    pub(crate) api_secret: String,
}

impl std::fmt::Debug for LiveKitConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveKitConfig")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

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
}

/// An authority mode, and where it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModeSetting {
    /// The mode.
    pub(crate) mode: AuthorityMode,
    place: ConfigError,
}

impl ModeSetting {
    /// Why this choice cannot be, with its line.
    pub(crate) fn refuse(&self, message: impl Display) -> ConfigError {
        let key = &self.place.message;
        ConfigError {
            message: format!("{key}: {message}"),
            ..self.place.clone()
        }
    }
}

/// Why a configuration was refused; reads `FILE:LINE: KEY: what is wrong and what to do`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{file}{}: {message}", .line.map(|l| format!(":{l}")).unwrap_or_default())]
pub(crate) struct ConfigError {
    /// The file.
    pub(crate) file: String,
    /// Its line, from 1.
    pub(crate) line: Option<u64>,
    /// The key, what is wrong, and what to do.
    pub(crate) message: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http_port: DEFAULT_HTTP_PORT,
            sign_ins_per_minute: DEFAULT_SIGN_INS_PER_MINUTE,
            livekit: None,
            default_tick_rate: DEFAULT_TICK_RATE,
            authority_mode: None,
            games: BTreeMap::new(),
            unused_by_dev: Vec::new(),
        }
    }
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
}

impl Config {
    /// What would be used, for people; without secrets.
    pub(crate) fn summary(&self) -> String {
        let mut lines = vec![format!("HTTP on port {}", self.http_port)];
        lines.push(match &self.livekit {
            Some(livekit) => format!("LiveKit at {}", livekit.host),
            None => "LiveKit: none given, `gameserver dev` runs its own".to_owned(),
        });
        for (id, game) in &self.games {
            lines.push(format!("game {id}: {}", game.module.display()));
        }
        if self.games.is_empty() {
            lines.push("games: none given, `gameserver dev` serves target/games".to_owned());
        }
        for section in &self.unused_by_dev {
            lines.push(format!("{section}: not used by `gameserver dev`"));
        }
        lines.join("\n") + "\n"
    }
}

/// The file as written: scalars are text until `${NAME}` is filled in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    server: Option<ServerSection>,
    livekit: Option<LiveKitSection>,
    database: Option<UrlSection>,
    redis: Option<UrlSection>,
    game: Option<GameSection>,
    games: Option<BTreeMap<String, Spanned<GameEntry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSection {
    http_port: Option<Spanned<String>>,
    sign_ins_per_minute: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveKitSection {
    host: Spanned<String>,
    api_key: Spanned<String>,
    api_secret: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlSection {
    url: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GameSection {
    default_tick_rate: Option<Spanned<String>>,
    authority_mode: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GameEntry {
    module: Spanned<String>,
    players: Option<Spanned<String>>,
    authority_mode: Option<Spanned<String>>,
    rated: Option<Spanned<String>>,
    options: Option<serde_json::Value>,
    modes: Option<BTreeMap<String, Spanned<ModeEntry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeEntry {
    players: Option<Spanned<String>>,
    authority_mode: Option<Spanned<String>>,
    rated: Option<Spanned<String>>,
}

type Setting = Option<Spanned<String>>;

struct Reader<'a> {
    file: &'a str,
    folder: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn config(&self, document: Document) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(server) = document.server {
            if let Some(port) = server.http_port {
                config.http_port = self.number(
                    "server.http_port",
                    &port,
                    1,
                    u16::MAX,
                    "a port from 1 to 65535",
                )?;
            }
            if let Some(rate) = server.sign_ins_per_minute {
                let (key, expected) = ("server.sign_ins_per_minute", "calls from 1 to 60000");
                config.sign_ins_per_minute =
                    self.number(key, &rate, 1, MAX_SIGN_INS_PER_MINUTE, expected)?;
            }
        }
        if let Some(section) = document.livekit {
            config.livekit = Some(self.livekit(&section)?);
        }
        for (name, section) in [("database", &document.database), ("redis", &document.redis)] {
            if let Some(section) = section {
                self.text(&format!("{name}.url"), &section.url)?;
                config.unused_by_dev.push(name);
            }
        }
        if let Some(game) = document.game {
            if let Some(rate) = game.default_tick_rate {
                config.default_tick_rate = self.number(
                    "game.default_tick_rate",
                    &rate,
                    1,
                    gs_engine::manifest::MAX_TICK_RATE,
                    "ticks a second from 1 to 120",
                )?;
            }
            if let Some(mode) = game.authority_mode {
                config.authority_mode = Some(self.mode("game.authority_mode", &mode)?);
            }
        }
        for (id, entry) in document.games.unwrap_or_default() {
            let game = self.game(&id, &entry, config.authority_mode.as_ref())?;
            config.games.insert(id, game);
        }
        Ok(config)
    }

    fn livekit(&self, section: &LiveKitSection) -> Result<LiveKitConfig, ConfigError> {
        let host = self.text("livekit.host", &section.host)?;
        if !["http://", "https://", "ws://", "wss://"]
            .iter()
            .any(|s| host.starts_with(s))
        {
            return Err(self.error(
                &section.host,
                "livekit.host",
                "expected an address that starts with https://, http://, wss:// or ws://",
            ));
        }
        let api_secret = self.text("livekit.api_secret", &section.api_secret)?;
        if api_secret.len() < MIN_SECRET_BYTES {
            return Err(self.error(
                &section.api_secret,
                "livekit.api_secret",
                "expected at least 32 characters, as LiveKit itself does",
            ));
        }
        Ok(LiveKitConfig {
            host,
            api_key: self.text("livekit.api_key", &section.api_key)?,
            api_secret,
        })
    }

    fn game(
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
        let module = self
            .folder
            .join(self.text(&format!("{key}.module"), &game.module)?);
        if !module.is_file() {
            return Err(self.error(
                &game.module,
                &format!("{key}.module"),
                format!(
                    "no file at {}; build the game, or mend the path",
                    module.display()
                ),
            ));
        }
        let default_mode = self.mode_config(
            &key,
            (&game.players, &game.authority_mode, &game.rated),
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
            } = &mode.value;
            let mode = self.mode_config(&key, (players, authority_mode, rated), &default_mode)?;
            modes.insert(name.clone(), mode);
        }
        let mut options = game
            .options
            .clone()
            .unwrap_or_else(|| serde_json::json!({}));
        self.fill(&format!("{key}.options"), entry, &mut options)?;
        if !options.is_object() {
            return Err(self.error(
                entry,
                &format!("{key}.options"),
                "expected a mapping of names to values",
            ));
        }
        let bytes = options.to_string().len();
        if bytes > MAX_OPTIONS_BYTES {
            return Err(self.error(
                entry,
                &format!("{key}.options"),
                format!(
                    "{bytes} bytes as JSON, expected at most {MAX_OPTIONS_BYTES}: players are told \
                     them when they join; build large data into the module"
                ),
            ));
        }
        Ok(GameConfig {
            module,
            default_mode,
            modes,
            options,
        })
    }

    /// One way to play a game, which is like another where it says nothing.
    fn mode_config(
        &self,
        key: &str,
        (players, authority_mode, rated): (&Setting, &Setting, &Setting),
        otherwise: &ModeConfig,
    ) -> Result<ModeConfig, ConfigError> {
        let mut mode = otherwise.clone();
        if let Some(players) = players {
            let (key, max) = (
                format!("{key}.players"),
                gs_engine::manifest::MAX_SLOTS as u8,
            );
            mode.players = Some(self.number(&key, players, 1, max, "players from 1 to 64")?);
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
        let place = ConfigError {
            message: key.to_owned(),
            ..self.error(raw, key, "")
        };
        Ok(ModeSetting { mode, place })
    }

    fn number<T>(
        &self,
        key: &str,
        raw: &Spanned<String>,
        min: T,
        max: T,
        expected: &str,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd,
    {
        match self.text(key, raw)?.parse::<T>() {
            Ok(value) if value >= min && value <= max => Ok(value),
            _ => Err(self.error(
                raw,
                key,
                format!("expected {expected}, found `{}`", raw.value),
            )),
        }
    }

    /// A scalar that may not be empty.
    fn text(&self, key: &str, raw: &Spanned<String>) -> Result<String, ConfigError> {
        let text = self.expand(key, raw, &raw.value)?;
        if text.is_empty() {
            return Err(self.error(raw, key, "is empty; give a value, or leave the key out"));
        }
        Ok(text)
    }

    /// Fills in the texts within a game's options.
    fn fill<T>(
        &self,
        key: &str,
        at: &Spanned<T>,
        value: &mut serde_json::Value,
    ) -> Result<(), ConfigError> {
        match value {
            serde_json::Value::String(text) => *text = self.expand(key, at, text)?,
            serde_json::Value::Array(values) => {
                for value in values {
                    self.fill(key, at, value)?;
                }
            }
            serde_json::Value::Object(values) => {
                for (name, value) in values {
                    self.fill(&format!("{key}.{name}"), at, value)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fills in `${NAME}` and `${NAME:-default}`; `$$` stands for one dollar sign.
    fn expand<T>(&self, key: &str, at: &Spanned<T>, raw: &str) -> Result<String, ConfigError> {
        let mut out = String::new();
        let mut rest = raw;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some(end) = after.find('}') else {
                    let message = "`${` without `}`; write ${NAME}, or $$ for a dollar sign";
                    return Err(self.error(at, key, message));
                };
                let (name, default) = match after[..end].split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (&after[..end], None),
                };
                let value = (self.env)(name).filter(|v| !v.is_empty());
                let Some(value) = value.as_deref().or(default) else {
                    let message = format!(
                        "the environment variable {name} is not set; set it, or write \
                         ${{{name}:-default}}"
                    );
                    return Err(self.error(at, key, message));
                };
                out.push_str(value);
                rest = &after[end + 1..];
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn error<T>(&self, at: &Spanned<T>, key: &str, message: impl Display) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            line: Some(at.defined.line()),
            message: format!("{key}: {message}"),
        }
    }
}

/// Whether a game's id can be part of a room's name and of an address.
pub(crate) fn is_game_id(id: &str) -> bool {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    id.len() <= 32 && id.starts_with(|c: char| c.is_ascii_lowercase()) && id.chars().all(valid)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The mode that every game has.
pub(crate) const DEFAULT_MODE: &str = "default";
const DEFAULT_HTTP_PORT: u16 = 8080;
const DEFAULT_TICK_RATE: u32 = 60;
/// A household or a classroom behind one address; a guesser of passwords gets 3,600 an hour.
const DEFAULT_SIGN_INS_PER_MINUTE: u32 = 60;
/// For load tests: one a millisecond.
const MAX_SIGN_INS_PER_MINUTE: u32 = 60_000;
/// Most bytes of a game's options as JSON: a quarter of the packet that welcomes a player, which
/// needs the rest for up to 64 players and how the match ended.
const MAX_OPTIONS_BYTES: usize = 4 << 10;
/// LiveKit refuses shorter secrets at its start.
const MIN_SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let env = |name: &str| match name {
            "KEY" => Some("devkey".to_owned()),
            "SECRET" => Some("s".repeat(32)),
            "PORT" => Some("9090".to_owned()),
            "SHORT" => Some("hunter2".to_owned()),
            _ => None,
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Config::parse(text, "config.yaml", folder, &env).map_err(|e| e.to_string())
    }

    fn refused(text: &str, expected: &str) {
        let error = parse(text).expect_err("the configuration should be refused");
        assert_eq!(error, expected, "for:\n{text}");
    }

    #[test]
    fn the_specifications_keys_are_read_and_the_environment_is_filled_in() {
        let config = parse(
            "server:\n  http_port: ${PORT}\nlivekit:\n  host: \"https://example.test\"\n  \
             api_key: \"${KEY}\"\n  api_secret: \"${SECRET}\"\ndatabase:\n  \
             url: \"${DATABASE_URL:-postgres://localhost/x}\"\ngame:\n  default_tick_rate: 30\n  \
             authority_mode: \"full\"\ngames:\n  arena:\n    module: Cargo.toml\n    players: 4\n    \
             options: {match_seconds: 20, motd: \"hello ${KEY}\"}\n",
        )
        .unwrap();
        assert_eq!(config.http_port, 9090);
        assert_eq!(config.default_tick_rate, 30);
        let livekit = config.livekit.unwrap();
        assert_eq!(
            (livekit.host.as_str(), livekit.api_key.as_str()),
            ("https://example.test", "devkey")
        );
        assert_eq!(config.games["arena"].default_mode.players, Some(4));
        let options = &config.games["arena"].options;
        assert_eq!(
            (&options["match_seconds"], &options["motd"]),
            (&20.into(), &"hello devkey".into())
        );
        assert_eq!(config.unused_by_dev, ["database"]);
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("\n").unwrap(), Config::default());
    }

    #[test]
    fn errors_name_the_line_the_key_and_the_fix() {
        refused(
            "server:\n  http_port: 80a\n",
            "config.yaml:2: server.http_port: expected a port from 1 to 65535, found `80a`",
        );
        refused(
            "server:\n  http_port: 0\n",
            "config.yaml:2: server.http_port: expected a port from 1 to 65535, found `0`",
        );
        refused(
            "database:\n  url: \"${NOPE}\"\n",
            "config.yaml:2: database.url: the environment variable NOPE is not set; set it, or \
             write ${NOPE:-default}",
        );
        refused(
            "games:\n  arena:\n    module: nowhere.wasm\n",
            &format!(
                "config.yaml:3: games.arena.module: no file at {}/nowhere.wasm; build the game, \
                 or mend the path",
                env!("CARGO_MANIFEST_DIR")
            ),
        );
    }

    #[test]
    fn options_that_fit_no_welcome_are_refused_with_their_game() {
        let text = |length: usize| {
            let motd = "x".repeat(length);
            format!("games:\n  arena:\n    module: Cargo.toml\n    options: {{motd: \"{motd}\"}}\n")
        };
        // `{"motd":""}` is around it.
        let most = MAX_OPTIONS_BYTES - 11;
        parse(&text(most)).unwrap();
        let error = parse(&text(most + 1)).unwrap_err();
        let expected = "games.arena.options: 4097 bytes as JSON, expected at most 4096";
        assert!(
            error.starts_with("config.yaml:") && error.contains(expected),
            "{error}"
        );
    }

    #[test]
    fn unknown_keys_and_broken_yaml_name_their_line() {
        let error = parse("server:\n  http_prot: 1\n").unwrap_err();
        assert!(
            error.starts_with("config.yaml:2: ") && error.contains("http_prot"),
            "{error}"
        );
        let error = parse("server:\n  http_port: [1\n").unwrap_err();
        assert!(error.starts_with("config.yaml:"), "{error}");
        let error = parse("server: {}\nserver: {}\n").unwrap_err();
        assert!(error.starts_with("config.yaml:2: "), "{error}");
    }

    #[test]
    fn an_authority_mode_is_chosen_for_all_games_for_one_and_for_one_of_its_modes() {
        let config = parse(
            "game:\n  authority_mode: observer\ngames:\n  a:\n    module: Cargo.toml\n  b:\n    \
             module: Cargo.toml\n    authority_mode: full\n    players: 3\n    modes:\n      \
             casual: {authority_mode: validated, rated: false}\n      crowd: {players: 8}\n",
        )
        .unwrap();
        let chosen = |mode: &ModeConfig| mode.authority_mode.as_ref().map(|setting| setting.mode);
        let (a, b) = (&config.games["a"], &config.games["b"]);
        assert_eq!(chosen(&a.default_mode), Some(AuthorityMode::Observer));
        assert_eq!(chosen(&b.default_mode), Some(AuthorityMode::Full));
        let casual = &b.modes["casual"];
        assert_eq!(chosen(casual), Some(AuthorityMode::Validated));
        assert_eq!((casual.players, casual.rated), (Some(3), Some(false)));
        let crowd = &b.modes["crowd"];
        assert_eq!(chosen(crowd), Some(AuthorityMode::Full));
        assert_eq!((crowd.players, crowd.rated), (Some(8), None));
        let refused = casual.authority_mode.as_ref().unwrap().refuse("no");
        assert_eq!(
            refused.to_string(),
            "config.yaml:11: games.b.modes.casual.authority_mode: no"
        );
    }

    #[test]
    fn a_game_that_is_rated_does_not_make_what_players_report_count() {
        let rated = |game: &str, mode: &str| {
            let config = parse(&format!(
                "games:\n  a:\n    module: Cargo.toml\n    rated: true\n    {game}\n    modes:\n      \
                 m: {{{mode}}}\n"
            ));
            config.unwrap().games["a"].modes["m"].rated
        };
        let (full, observer) = ("authority_mode: full", "authority_mode: observer");
        assert_eq!(rated(full, "players: 2"), Some(true));
        assert_eq!(rated(full, observer), None);
        assert_eq!(rated("players: 2", observer), None);
        let said = "authority_mode: observer, rated: true";
        assert_eq!(rated(full, said), Some(true));
        assert_eq!(rated(observer, "players: 2"), Some(true));
        assert_eq!(rated(observer, observer), Some(true));
        assert_eq!(rated(observer, full), Some(true));
    }

    #[test]
    fn an_authority_mode_that_does_not_exist_is_refused_with_those_that_do() {
        refused(
            "game:\n  authority_mode: nonsense\n",
            "config.yaml:2: game.authority_mode: there is no authority mode \"nonsense\"; use \
             \"validated\", \"full\" or \"observer\"",
        );
        refused(
            "games:\n  a:\n    module: Cargo.toml\n    rated: perhaps\n",
            "config.yaml:4: games.a.rated: expected true or false, found `perhaps`",
        );
        let error = parse("games:\n  a:\n    module: Cargo.toml\n    modes: {default: {}}\n");
        assert!(error.unwrap_err().contains("games.a.modes.default: "));
    }

    #[test]
    fn a_secret_is_in_no_error_and_in_no_debug_output() {
        let text = "livekit:\n  host: http://h\n  api_key: k\n  api_secret: ${SHORT}\n";
        let error = parse(text).unwrap_err();
        assert!(
            error.contains("livekit.api_secret") && !error.contains("hunter2"),
            "{error}"
        );
        let config = parse(&text.replace("SHORT", "SECRET")).unwrap();
        assert!(!format!("{config:?}").contains("sss"));
    }
}
