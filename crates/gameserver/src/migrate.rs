//! `gameserver migrate`: brings PostgreSQL's schema up to what this version needs.

use anyhow::{Context, bail};
use clap::Args;
use gs_store::PostgresStore;

use crate::config::Config;
use crate::services::{ConfigArguments, needed_services};

#[derive(Args)]
pub(crate) struct MigrateArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Change nothing; fail where something is to be applied.
    #[arg(long)]
    check: bool,
}

#[allow(
    clippy::print_stdout,
    reason = "what a command answers goes to standard output"
)]
pub(crate) async fn run(arguments: MigrateArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config.config)?;
    let postgres = &needed_services(&config, &arguments.config.config)?.postgres;
    let (url, shown) = (postgres.url.expose(), &postgres.shown);
    let unusable = || format!("PostgreSQL at {shown} cannot be migrated; check `database.url`");
    if arguments.check {
        let pending = PostgresStore::pending(url).await.with_context(unusable)?;
        if !pending.is_empty() {
            bail!(
                "{} to be applied at {shown}: {}; run `gameserver migrate`",
                counted(pending.len()),
                pending.join(", ")
            );
        }
        println!("{shown}: up to date");
        return Ok(());
    }
    let applied = PostgresStore::migrate(url).await.with_context(unusable)?;
    for name in &applied {
        println!("applied {name}");
    }
    if applied.is_empty() {
        println!("{shown}: up to date already");
    } else {
        println!("{shown}: {} applied", counted(applied.len()));
    }
    Ok(())
}

fn counted(migrations: usize) -> String {
    match migrations {
        1 => "1 migration".to_owned(),
        n => format!("{n} migrations"),
    }
}
