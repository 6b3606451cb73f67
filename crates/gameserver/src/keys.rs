//! `gameserver keys rotate`: a new key signs access tokens from now on.

use clap::Subcommand;
use gs_api::SystemEnvironment;

use crate::config::Config;
use crate::services::{ConfigArguments, needed_services};
use crate::wiring::OpenStore;

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Sign access tokens with a new key; those of the key before stay good until they expire.
    Rotate(ConfigArguments),
}

#[allow(
    clippy::print_stdout,
    reason = "what a command answers goes to standard output"
)]
pub(crate) async fn rotate(arguments: ConfigArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config)?;
    let store = OpenStore::connect(needed_services(&config, &arguments.config)?)
        .await?
        .store();
    let id = gs_api::rotate_signing_key(&*store, &SystemEnvironment).await?;
    println!("key {id} signs from now on; every API takes it up within a minute");
    Ok(())
}
