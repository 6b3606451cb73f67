//! The games that are served, and their modules, which are read again when they are rebuilt.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use gs_api::{GameCatalog, GameInfo, GameMode};
use gs_authority::{LoadError, LoadedGame, Modules};
use gs_engine::manifest::{Audience, LeaderboardRule, Manifest};
use gs_engine::simulation::MatchConfig;
use gs_engine::{AuthorityMode, Simulation};
use gs_sandbox::{GameModule, Sandbox};
use gs_store::{BoardInfo, BoardRule, CountsOn, DEFAULT_BOARD, Season};
use tokio_util::sync::CancellationToken;

use crate::config::{
    Config, ConfigError, DEFAULT_MODE, GameConfig, ModeConfig, ModeSetting, is_game_id,
};

/// Games by id. Cheap to ask; modules are compiled when their file changes.
pub(crate) struct Catalog {
    sandbox: Sandbox,
    configured: BTreeMap<String, GameConfig>,
    authority_mode: Option<ModeSetting>,
    /// Every `.wasm` in it is a game, by its file's name.
    folder: Option<PathBuf>,
    games: RwLock<BTreeMap<String, Game>>,
}

struct Game {
    info: Arc<GameInfo>,
    /// The current module first, then those that matches under way may still play.
    modules: VecDeque<GameModule>,
}

/// What a module's file looked like when it was read last.
type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

impl Catalog {
    /// Reads all modules. One that is configured and refused is an error; one that lies in the
    /// folder and is refused is left out, with a line in the log.
    pub(crate) fn load(
        sandbox: Sandbox,
        config: &Config,
        folder: Option<PathBuf>,
    ) -> anyhow::Result<(Self, Watch)> {
        let catalog = Self {
            sandbox,
            configured: config.games.clone(),
            authority_mode: config.authority_mode.clone(),
            folder,
            games: RwLock::default(),
        };
        let mut seen = Seen::new();
        for (id, game) in catalog.wanted() {
            seen.insert(game.module.clone(), stamp(&game.module));
            if let Err(error) = catalog.read(&id, &game) {
                if error.is::<ConfigError>() && catalog.configured.contains_key(&id) {
                    return Err(error);
                }
                if catalog.configured.contains_key(&id) {
                    return Err(error.context(format!("games.{id}.module")));
                }
                tracing::error!(game = id, "left out: {error:#}");
            }
        }
        Ok((catalog, Watch { seen }))
    }

    /// How many games are served.
    pub(crate) fn len(&self) -> usize {
        self.games
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn find(&self, game: &str, sha256: &str) -> Option<GameModule> {
        let games = self.games.read().unwrap_or_else(PoisonError::into_inner);
        let mut modules = games.get(game)?.modules.iter();
        modules.find(|module| module.sha256() == sha256).cloned()
    }

    fn wanted(&self) -> BTreeMap<String, GameConfig> {
        let mut wanted = BTreeMap::new();
        let files = self
            .folder
            .iter()
            .flat_map(|f| std::fs::read_dir(f).into_iter().flatten().flatten());
        for module in files.map(|file| file.path()) {
            let id = module
                .file_stem()
                .and_then(|s| s.to_str())
                .unwrap_or_default()
                .to_owned();
            if module.extension().is_some_and(|e| e == "wasm") && is_game_id(&id) {
                let game = GameConfig {
                    module,
                    default_mode: ModeConfig {
                        authority_mode: self.authority_mode.clone(),
                        ..ModeConfig::default()
                    },
                    modes: BTreeMap::new(),
                    options: serde_json::json!({}),
                    boards: BTreeMap::new(),
                };
                wanted.insert(id, game);
            }
        }
        wanted.extend(self.configured.clone());
        wanted
    }

    /// Drops the games that are not wanted any more, and answers which.
    fn retain(&self, wanted: &BTreeMap<String, GameConfig>) -> Vec<String> {
        let mut games = self.games.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = games
            .keys()
            .filter(|id| !wanted.contains_key(*id))
            .cloned()
            .collect();
        games.retain(|id, _| wanted.contains_key(id));
        gone
    }

    fn read(&self, id: &str, game: &GameConfig) -> anyhow::Result<()> {
        use anyhow::Context;
        let bytes =
            std::fs::read(&game.module).with_context(|| game.module.display().to_string())?;
        let module = self
            .sandbox
            .compile(bytes)
            .with_context(|| game.module.display().to_string())?;
        let info = Arc::new(describe(id, game, &module)?);
        // Once for nothing, so that options that the game refuses are known now.
        let config = MatchConfig {
            players: info.modes[0].players,
            teams: info.teams,
            options: info.options.clone(),
        };
        module.instantiate()?.init(0, &config)?;
        let mut games = self.games.write().unwrap_or_else(PoisonError::into_inner);
        let mut modules = games.remove(id).map(|g| g.modules).unwrap_or_default();
        modules.retain(|m| m.sha256() != module.sha256());
        modules.push_front(module);
        modules.truncate(MODULES_KEPT);
        games.insert(id.to_owned(), Game { info, modules });
        Ok(())
    }
}

/// Notices modules that were rebuilt, added or removed. One that is refused changes nothing: the
/// module before it stays.
pub(crate) struct Watch {
    seen: Seen,
}

impl Watch {
    /// Looks at the files twice a second until `shutdown`.
    pub(crate) async fn run(mut self, catalog: Arc<Catalog>, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(WATCH_INTERVAL);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let catalog = catalog.clone();
            // Compiling takes up to a second, which must not hold up a request.
            let look = tokio::task::spawn_blocking(move || {
                self.look(&catalog);
                self
            });
            match look.await {
                Ok(watch) => self = watch,
                Err(error) => return tracing::error!(%error, "modules are no longer watched"),
            }
        }
    }

    fn look(&mut self, catalog: &Catalog) {
        let wanted = catalog.wanted();
        for id in catalog.retain(&wanted) {
            tracing::info!(game = id, "the module is gone; the game is served no more");
        }
        self.seen
            .retain(|module, _| wanted.values().any(|game| game.module == *module));
        for (id, game) in wanted {
            let now = stamp(&game.module);
            if self.seen.insert(game.module.clone(), now) == Some(now) {
                continue;
            }
            match catalog.read(&id, &game) {
                Ok(()) => tracing::info!(game = id, "read the new module; the next match plays it"),
                Err(error) => tracing::error!(game = id, "the new module is refused: {error:#}"),
            }
        }
    }
}

impl GameCatalog for Catalog {
    fn games(&self) -> Vec<Arc<GameInfo>> {
        let games = self.games.read().unwrap_or_else(PoisonError::into_inner);
        games.values().map(|game| game.info.clone()).collect()
    }

    fn game(&self, id: &str) -> Option<Arc<GameInfo>> {
        let games = self.games.read().unwrap_or_else(PoisonError::into_inner);
        games.get(id).map(|game| game.info.clone())
    }

    fn module(&self, game: &str, sha256: &str) -> Option<Bytes> {
        Some(Bytes::from_owner(self.find(game, sha256)?.bytes()))
    }
}

impl Modules for Catalog {
    fn load(&self, game: &str, sha256: &str) -> Result<LoadedGame, LoadError> {
        let Some(module) = self.find(game, sha256) else {
            return Err(LoadError::Unknown {
                game: game.to_owned(),
                sha256: sha256.to_owned(),
            });
        };
        Ok(LoadedGame::of_module(&module)?)
    }

    fn counts_on(&self, game: &str, mode: &str, ended_at: DateTime<Utc>) -> Vec<CountsOn> {
        let game = self.game(game);
        game.map_or_else(Vec::new, |game| {
            gs_store::counts_on(&game.boards, mode, ended_at)
        })
    }
}

fn describe(id: &str, game: &GameConfig, module: &GameModule) -> anyhow::Result<GameInfo> {
    let manifest = module.manifest();
    check_audiences(manifest)?;
    let mut modes = vec![mode(DEFAULT_MODE, &game.default_mode, manifest)?];
    for (name, config) in &game.modes {
        modes.push(mode(name, config, manifest)?);
    }
    let boards = boards(game, &modes, manifest)?;
    Ok(GameInfo {
        id: id.to_owned(),
        title: manifest.title.clone(),
        version: manifest.version.clone(),
        abi: gs_engine::abi::ABI_VERSION.unsigned_abs(),
        tick_rate: manifest.tick_rate,
        min_players: manifest.min_players,
        max_players: manifest.max_players,
        teams: manifest.teams,
        modes,
        boards,
        module_sha256: module.sha256().to_owned(),
        module_bytes: module.bytes().len(),
        manifest: serde_json::from_str(module.manifest_json())?,
        options: game.options.to_string(),
    })
}

fn mode(name: &str, config: &ModeConfig, manifest: &Manifest) -> anyhow::Result<GameMode> {
    let players = config.players.unwrap_or(manifest.min_players);
    if !(manifest.min_players..=manifest.max_players).contains(&players) {
        anyhow::bail!(
            "`players: {players}` is not for this game: it takes {} to {}",
            manifest.min_players,
            manifest.max_players
        );
    }
    let rules = config.matchmaking.rules(players, manifest)?;
    let authority_mode = authority_mode(config.authority_mode.as_ref(), manifest)?;
    // What players agree on among themselves does not count unless the configuration says so.
    let rated = config
        .rated
        .unwrap_or(authority_mode != AuthorityMode::Observer);
    Ok(GameMode {
        name: name.to_owned(),
        players: rules.players.max,
        rules: Arc::new(rules),
        authority_mode: authority_mode.to_string(),
        rated,
    })
}

/// The game's leaderboards: its own by the module's rule, first, and those that are configured.
fn boards(
    game: &GameConfig,
    modes: &[GameMode],
    manifest: &Manifest,
) -> Result<Vec<BoardInfo>, ConfigError> {
    let own = match manifest.leaderboard {
        LeaderboardRule::Best => Some(BoardRule::Best),
        LeaderboardRule::Latest => Some(BoardRule::Latest),
        LeaderboardRule::Sum => Some(BoardRule::Sum),
        LeaderboardRule::None => None,
    };
    let mut boards = Vec::new();
    if let Some(rule) = own
        && !game.boards.contains_key(DEFAULT_BOARD)
    {
        boards.push(BoardInfo {
            id: DEFAULT_BOARD.to_owned(),
            rule,
            statistic: None,
            modes: Vec::new(),
            season: Season::Never,
        });
    }
    for (name, config) in &game.boards {
        let counted = config.modes.clone().unwrap_or_default();
        let unrated = counted
            .iter()
            .find(|name| modes.iter().any(|mode| mode.name == **name && !mode.rated));
        if let Some(unrated) = unrated {
            return Err(config.place.refuse(format!(
                "counts matches of the mode `{unrated}`, which are not rated; leave it out, or \
                 say `rated: true` there"
            )));
        }
        boards.push(BoardInfo {
            id: name.clone(),
            rule: config.rule.or(own).unwrap_or(BoardRule::Best),
            statistic: config.statistic.clone(),
            modes: counted,
            season: config.season,
        });
    }
    boards.sort_by_key(|board| board.id != DEFAULT_BOARD);
    Ok(boards)
}

/// The mode that was chosen, else the one that suits the module.
fn authority_mode(
    setting: Option<&ModeSetting>,
    manifest: &Manifest,
) -> Result<AuthorityMode, ConfigError> {
    match setting {
        Some(setting) if setting.mode == AuthorityMode::Validated && manifest.hidden_state => {
            Err(setting.place.refuse(format!(
                "`validated` gives every player the whole state, but the game {} hides some of it \
                 (its manifest has `hidden_state: true`); choose `full` for it",
                manifest.name
            )))
        }
        Some(setting) => Ok(setting.mode),
        None if manifest.hidden_state => Ok(AuthorityMode::Full),
        None => Ok(AuthorityMode::Validated),
    }
}

/// A field that not everybody may see makes a game one that hides state.
fn check_audiences(manifest: &Manifest) -> anyhow::Result<()> {
    let mut fields = manifest
        .entities
        .iter()
        .flat_map(|kind| kind.fields.iter().map(move |field| (kind, field)));
    let hidden = fields.find(|(_, field)| field.audience != Audience::All);
    match hidden {
        Some((kind, field)) if !manifest.hidden_state => anyhow::bail!(
            "not everyone may see `{}.{}`, but the manifest says `hidden_state: false`, with which \
             everyone is sent the same; build the module with `hidden_state: true`",
            kind.name,
            field.name
        ),
        _ => Ok(()),
    }
}

fn stamp(file: &Path) -> (SystemTime, u64) {
    let Ok(metadata) = file.metadata() else {
        return (SystemTime::UNIX_EPOCH, 0);
    };
    (
        metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        metadata.len(),
    )
}

/// The current module and three before it: matches under way play the one that they began with.
const MODULES_KEPT: usize = 4;
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use gs_engine::manifest::{
        EntityKind, Interpolate, LeaderboardRule, NetField, NetFieldKind, Predict,
    };

    use super::*;

    fn manifest(hidden_state: bool, audience: Audience) -> Manifest {
        let hand = NetField {
            name: "hand".to_owned(),
            kind: NetFieldKind::Bool,
            interpolate: Interpolate::None,
            predict: Predict::None,
            audience,
        };
        Manifest {
            name: "cards".to_owned(),
            version: "1".to_owned(),
            title: "Cards".to_owned(),
            tick_rate: 60,
            min_players: 2,
            max_players: 4,
            teams: 0,
            hidden_state,
            backfill: false,
            late_window_ms: 100,
            max_save_bytes: 1,
            leaderboard: LeaderboardRule::None,
            input: Vec::new(),
            commands: Vec::new(),
            events: Vec::new(),
            entities: vec![EntityKind {
                name: "seat".to_owned(),
                fields: vec![hand],
            }],
        }
    }

    fn config(text: &str) -> ModeConfig {
        let text = format!("games:\n  g:\n    module: Cargo.toml\n    {text}\n");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = Config::parse(&text, "config.yaml", folder, &|_| None).unwrap();
        config.games["g"].default_mode.clone()
    }

    #[test]
    fn a_game_that_says_nothing_gets_the_mode_that_suits_its_module() {
        let open = manifest(false, Audience::All);
        let mode = mode("default", &ModeConfig::default(), &open).unwrap();
        assert_eq!(
            (mode.authority_mode.as_str(), mode.rated, mode.players),
            ("validated", true, 2)
        );
        let hidden = manifest(true, Audience::Owner);
        assert_eq!(authority_mode(None, &hidden).unwrap(), AuthorityMode::Full);
    }

    #[test]
    fn a_game_that_hides_state_is_refused_in_validated_with_the_line_and_the_fix() {
        let chosen = config("authority_mode: validated");
        let error = mode("default", &chosen, &manifest(true, Audience::All)).unwrap_err();
        assert!(error.is::<ConfigError>());
        let error = error.to_string();
        assert!(
            error.starts_with("config.yaml:4: games.g.authority_mode: "),
            "{error}"
        );
        assert!(
            error.contains("cards hides some of it") && error.contains("choose `full`"),
            "{error}"
        );
    }

    #[test]
    fn a_field_that_is_hidden_from_some_needs_a_manifest_that_says_so() {
        for audience in [Audience::Owner, Audience::Team] {
            let error = check_audiences(&manifest(false, audience)).unwrap_err();
            assert!(error.to_string().contains("`seat.hand`"), "{error}");
            check_audiences(&manifest(true, audience)).unwrap();
        }
        check_audiences(&manifest(false, Audience::All)).unwrap();
    }

    fn boards_of(text: &str, rule: LeaderboardRule) -> anyhow::Result<Vec<BoardInfo>> {
        let text = format!(
            "games:\n  g:\n    module: Cargo.toml\n    modes: {{casual: {{rated: false}}}}\n{text}"
        );
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = Config::parse(&text, "config.yaml", folder, &|_| None)?;
        let (game, mut manifest) = (&config.games["g"], manifest(false, Audience::All));
        manifest.leaderboard = rule;
        let casual = mode("casual", &game.modes["casual"], &manifest)?;
        let modes = [mode("default", &game.default_mode, &manifest)?, casual];
        Ok(boards(game, &modes, &manifest)?)
    }

    #[test]
    fn a_game_has_the_board_of_its_module_first_and_those_that_are_configured() {
        assert_eq!(boards_of("", LeaderboardRule::None).unwrap(), []);
        let own = boards_of("", LeaderboardRule::Sum).unwrap();
        let ids = |boards: &[BoardInfo]| -> Vec<(String, BoardRule)> {
            boards.iter().map(|b| (b.id.clone(), b.rule)).collect()
        };
        assert_eq!(ids(&own), [("default".to_owned(), BoardRule::Sum)]);
        let text = "    boards: {a: {}, z: {rule: latest, statistic: kills, modes: [default]}}\n";
        let all = boards_of(text, LeaderboardRule::Sum).unwrap();
        let expected = [
            ("default".to_owned(), BoardRule::Sum),
            ("a".to_owned(), BoardRule::Sum),
            ("z".to_owned(), BoardRule::Latest),
        ];
        assert_eq!(ids(&all), expected);
        assert_eq!(all[2].modes, ["default"]);
        let without = boards_of(text, LeaderboardRule::None).unwrap();
        assert_eq!(ids(&without)[0], ("a".to_owned(), BoardRule::Best));
        let text = "    boards: {default: {season: daily}, a: {}}\n";
        let changed = boards_of(text, LeaderboardRule::Best).unwrap();
        let at = chrono::NaiveTime::MIN;
        assert_eq!(changed[0].season, Season::Daily { at });
        assert_eq!(
            (changed[0].id.as_str(), changed[0].rule),
            ("default", BoardRule::Best)
        );
    }

    #[test]
    fn a_board_of_matches_that_do_not_count_is_refused_with_its_line() {
        let text = "    boards:\n      fun: {modes: [casual]}\n";
        let error = boards_of(text, LeaderboardRule::Best)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(
                "config.yaml:6: games.g.boards.fun: counts matches of the mode `casual`"
            ),
            "{error}"
        );
    }

    #[test]
    fn what_players_report_counts_only_where_the_configuration_says_so() {
        let open = manifest(false, Audience::All);
        let rated = |text: &str| mode("default", &config(text), &open).unwrap().rated;
        assert!(!rated("authority_mode: observer"));
        assert!(rated("authority_mode: observer\n    rated: true"));
        assert!(rated("authority_mode: full"));
    }
}
