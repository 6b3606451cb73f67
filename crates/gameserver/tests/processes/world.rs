//! A deployment: its services, its configuration, its processes.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use gs_test_services::{LiveKit, Postgres, Redis, free_tcp_port};
use reqwest::blocking::{Client, Response};
use serde_json::Value;

use crate::support::{self, Running, games, gameserver};

/// Services, and a configuration for them.
pub(crate) struct World {
    pub(crate) livekit: Arc<LiveKit>,
    pub(crate) redis: Redis,
    pub(crate) database: String,
    pub(crate) file: PathBuf,
    http_port: u16,
    authority_port: u16,
    folder: tempfile::TempDir,
}

impl World {
    /// With an empty database.
    pub(crate) fn new() -> Self {
        Self::on(Postgres::shared().database(), LiveKit::shared())
    }

    /// With a database that is up to date.
    pub(crate) fn migrated() -> Self {
        let world = Self::new();
        world.migrate();
        world
    }

    pub(crate) fn on(database: String, livekit: Arc<LiveKit>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self {
            livekit,
            redis: Redis::start(),
            database,
            file: folder.path().join("config.yaml"),
            http_port: free_tcp_port(),
            authority_port: free_tcp_port(),
            folder,
        };
        world.configure(|_| {});
        world
    }

    pub(crate) fn migrate(&self) {
        let migrated = self.run(&["migrate"]);
        assert!(migrated.status.success(), "{}", errors(&migrated));
    }

    /// Writes the configuration, changed.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let module = |name: &str| games().join(name).to_str().unwrap().to_owned();
        // JSON is YAML.
        let mut config = serde_json::json!({
            "server": { "http_port": self.http_port.to_string(), "host": "127.0.0.1" },
            "authority": { "http_port": self.authority_port.to_string() },
            "livekit": {
                "host": self.livekit.url(),
                "api_key": LiveKit::KEY,
                "api_secret": LiveKit::SECRET,
            },
            "database": { "url": self.database },
            "redis": { "url": self.redis.url() },
            "games": {
                "tic-tac-toe": {
                    "module": module("tic-tac-toe.wasm"),
                    "boards": { "weekly": { "season": "weekly" } },
                },
            },
        });
        change(&mut config);
        std::fs::write(&self.file, config.to_string()).unwrap();
    }

    /// The command with this configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = gameserver();
        command
            .args(arguments)
            .arg("--config")
            .arg(&self.file)
            .current_dir(self.folder.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        support::output(&mut self.command(arguments))
    }

    pub(crate) fn api(&self) -> Running {
        Running::start(&mut self.command(&["api"]))
    }

    pub(crate) fn authority(&self) -> Running {
        Running::start(&mut self.command(&["authority"]))
    }
}

/// What a command wrote to standard output.
pub(crate) fn answer(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{text}{}", errors(output));
    text
}

/// What a command that must fail wrote to standard error.
pub(crate) fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it should have failed");
    errors(output)
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn client() -> Client {
    // The first test to come here installs it for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .timeout(Duration::from_secs(40))
        .build()
        .unwrap()
}

pub(crate) fn get(url: &str) -> Response {
    client().get(url).send().unwrap()
}

/// What `/readyz` names as missing.
pub(crate) fn missing(url: &str) -> Vec<String> {
    let answer: Value = get(&format!("{url}/readyz")).json().unwrap();
    let missing = answer["missing"].as_array().unwrap();
    missing
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// A new guest: access token and player id.
pub(crate) fn guest(url: &str) -> (String, String) {
    let answer = client()
        .post(format!("{url}/auth/guest"))
        .json(&serde_json::json!({}))
        .send()
        .unwrap();
    assert_eq!(answer.status(), 201);
    let answer: Value = answer.json().unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("access_token"), text("player_id"))
}
