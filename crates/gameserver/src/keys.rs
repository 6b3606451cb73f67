//! `gameserver keys rotate`: a new key signs access tokens from now on.

use chrono::{TimeDelta, Utc};
use clap::Subcommand;
use gs_store::SigningKey;

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
    let now = Utc::now();
    let key = SigningKey {
        id: uuid::Uuid::now_v7(),
        secret: rand::random::<[u8; KEY_BYTES]>().to_vec(),
        created_at: now,
    };
    let id = key.id;
    store.rotate_signing_key(key, now - KEPT).await?;
    println!("key {id} signs from now on; every API takes it up within a minute");
    Ok(())
}

/// As long as the hash that HMAC-SHA256 makes with it.
const KEY_BYTES: usize = 32;
/// How long a key that was replaced still checks tokens: four times as long as a token lives.
const KEPT: TimeDelta = TimeDelta::hours(1);
