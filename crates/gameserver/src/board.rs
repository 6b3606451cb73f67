//! `gameserver board rebuild`: makes the ranks of a game's boards anew from the record.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::catalog::Catalog;
use crate::config::Config;
use crate::services::{ConfigArguments, needed_services};
use crate::wiring::{self, OpenStore};

#[derive(Subcommand)]
pub(crate) enum BoardCommand {
    /// Make the ranks of a game's boards anew from PostgreSQL, while they are read.
    Rebuild(RebuildArguments),
}

#[derive(Args)]
pub(crate) struct RebuildArguments {
    /// The game.
    game: String,
    /// One of its boards; all of them where absent.
    board: Option<String>,
    #[command(flatten)]
    config: ConfigArguments,
}

#[allow(
    clippy::print_stdout,
    reason = "what a command answers goes to standard output"
)]
pub(crate) async fn rebuild(arguments: RebuildArguments) -> anyhow::Result<()> {
    let RebuildArguments {
        game,
        board,
        config: ConfigArguments { config: file },
    } = arguments;
    let config = Config::read(&file)?;
    check_names(&config, &game, board.as_deref())?;
    let store = OpenStore::connect(needed_services(&config, &file)?)
        .await?
        .store();
    let began = Instant::now();
    let id = store.request_rebuild(&game, board.as_deref()).await?;
    // Whichever process does it, it is done: this one takes part, in case no server runs.
    let work = store.maintain();
    let wait = async {
        let (mut said, mut moved_at) = (0, Instant::now());
        loop {
            tokio::time::sleep(POLL).await;
            let state = match store.rebuild(id).await {
                Ok(Some(state)) => state,
                Ok(None) => bail!("the request is gone; somebody emptied the database"),
                Err(error) => {
                    tracing::warn!(%error, "cannot ask how far it is; trying on");
                    continue;
                }
            };
            if state.done {
                return Ok(state.entries);
            }
            if state.entries != said {
                said = state.entries;
                moved_at = Instant::now();
                eprintln!("{said} entries");
            }
            if moved_at.elapsed() > STANDSTILL {
                bail!(
                    "nothing has moved for {} s at {said} entries; check with `gameserver doctor` \
                     that Redis answers. The request stays, and the next server goes on with it",
                    STANDSTILL.as_secs()
                );
            }
        }
    };
    let entries = tokio::select! {
        entries = wait => entries?,
        () = work => bail!("the store's own work ended unexpectedly"),
    };
    println!(
        "rebuilt {}: {entries} entries in {:.1} s",
        board.as_deref().unwrap_or("all boards"),
        began.elapsed().as_secs_f32()
    );
    Ok(())
}

/// A misspelt name would rebuild nothing, and say that it is done.
fn check_names(config: &Config, game: &str, board: Option<&str>) -> anyhow::Result<()> {
    use gs_api::GameCatalog;

    let (catalog, _) = Catalog::load(wiring::sandbox(config)?, config, None)?;
    let info = catalog.game(game).with_context(|| {
        let games: Vec<String> = catalog.games().iter().map(|g| g.id.clone()).collect();
        format!("no game `{game}`; there are: {}", games.join(", "))
    })?;
    if let Some(board) = board
        && !info.boards.iter().any(|known| known.id == board)
    {
        let boards: Vec<&str> = info.boards.iter().map(|b| b.id.as_str()).collect();
        bail!(
            "the game {game} has no board `{board}`; it has: {}",
            boards.join(", ")
        );
    }
    Ok(())
}

const POLL: Duration = Duration::from_millis(200);
/// A page of entries takes a moment; another process that died with the work leaves it in seconds.
const STANDSTILL: Duration = Duration::from_secs(60);
