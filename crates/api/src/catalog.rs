use std::sync::Arc;

use axum::body::Bytes;
use gs_matchmaker::Rules;
use gs_store::BoardInfo;

use crate::Shared;
use crate::problem::{FieldError, Problem};

/// The games that this server serves. Held in memory: every call asks it.
pub trait GameCatalog: Send + Sync {
    /// All games, in the order in which they are listed.
    fn games(&self) -> Vec<Arc<GameInfo>>;

    /// The game with this id.
    fn game(&self, id: &str) -> Option<Arc<GameInfo>>;

    /// The bytes of a game's module with this hash (lower-case hex). An earlier version may be
    /// answered too, so that a match under way can still be joined.
    fn module(&self, game: &str, sha256: &str) -> Option<Bytes>;
}

/// A game, as its module's manifest and the configuration say.
#[derive(Clone, Debug, PartialEq)]
pub struct GameInfo {
    /// Its id in paths and room names: `[a-z0-9-]`, 1–32 characters.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// The module's version, for people.
    pub version: String,
    /// The module's ABI.
    pub abi: u32,
    /// Ticks a second.
    pub tick_rate: u32,
    /// Fewest players that a match starts with.
    pub min_players: u8,
    /// Most players, 1–64.
    pub max_players: u8,
    /// Number of teams; 0: everyone for themselves.
    pub teams: u8,
    /// What one can queue for, at least one; the first is the default.
    pub modes: Vec<GameMode>,
    /// Its leaderboards, at most [`gs_store::MAX_BOARDS`].
    pub boards: Vec<BoardInfo>,
    /// SHA-256 of the module, lower-case hex.
    pub module_sha256: String,
    /// Length of the module.
    pub module_bytes: usize,
    /// The manifest, which holds the schemas.
    pub manifest: serde_json::Value,
    /// The game's own options, a JSON object.
    pub options: String,
}

/// A way to play a game.
#[derive(Clone, Debug, PartialEq)]
pub struct GameMode {
    /// Its name.
    pub name: String,
    /// Most players of a match, between the game's least and most.
    pub players: u8,
    /// How its matches are made; they fit the game's players and teams.
    pub rules: Arc<Rules>,
    /// How the authority shares the work with the players: `full`, `validated` or `observer`.
    pub authority_mode: String,
    /// Whether scores of its matches count.
    pub rated: bool,
}

/// The game of a request.
pub(crate) fn known_game(shared: &Shared, id: &str) -> Result<Arc<GameInfo>, Problem> {
    let game = shared.parts.catalog.game(id);
    game.ok_or_else(|| Problem::not_found("this server has no such game; `GET /games` lists them"))
}

/// The mode that a request names, or the game's default mode.
pub(crate) fn known_mode<'g>(
    game: &'g GameInfo,
    name: Option<&str>,
) -> Result<&'g GameMode, Problem> {
    let mode = match name {
        None => game.modes.first(),
        Some(name) => game.modes.iter().find(|mode| mode.name == name),
    };
    mode.ok_or_else(|| {
        let names: Vec<&str> = game.modes.iter().map(|m| m.name.as_str()).collect();
        FieldError::new("mode", format!("has to be one of: {}", names.join(", "))).into()
    })
}
