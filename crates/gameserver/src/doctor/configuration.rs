//! The configuration, and the games that it names.

use std::path::Path;

use gs_api::GameCatalog;

use super::Finding;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::wiring;

/// The configuration, where it is good enough to look further.
pub(super) fn look(file: &Path, findings: &mut Vec<Finding>) -> Option<Config> {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(error) => {
            let mend = "mend that line; docs/configuration.md describes every key";
            findings.push(Finding::fail("configuration", error.to_string(), mend));
            return None;
        }
    };
    findings.push(Finding::ok("configuration", file.display().to_string()));
    let games = wiring::sandbox(&config).and_then(|s| Catalog::load(s, &config, None));
    findings.push(match games {
        Ok((catalog, _)) if catalog.len() == 0 => Finding::warn(
            "games",
            "none: only `gameserver dev` runs, which serves target/games",
            "name them under `games:`",
        ),
        Ok((catalog, _)) => {
            let games: Vec<String> = catalog
                .games()
                .iter()
                .map(|game| format!("{} {}", game.id, game.version))
                .collect();
            Finding::ok("games", games.join(", "))
        }
        Err(error) => Finding::fail(
            "games",
            format!("{error:#}"),
            "mend it; `gameserver check FILE.wasm` looks closer at a module",
        ),
    });
    if config.server.admin_key.is_none() {
        findings.push(Finding::note(
            "operators' calls",
            "/admin is off, so nobody can be banned",
            "give `server.admin_key`, made with `openssl rand -hex 32`",
        ));
    }
    Some(config)
}
