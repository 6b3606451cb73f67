//! The logs that were played and the hash of each state, for another runtime to be held against.

use std::fmt::Write;

use gs_engine::sync_test::{Ran, Settings};
use gs_engine::{abi, confirmed};
use gs_sandbox::GameModule;
use serde_json::{Value, json};

/// Collects a file like this; bytes are hexadecimal, and the seeds strings, because they have more
/// bits than a number of JavaScript.
///
/// ```json
/// { "format": 1, "game": "clash", "version": "0.1.0", "module_sha256": "…", "hash": "xxh3-64",
///   "matches": [ { "seed": "123", "config": { "players": 2, "teams": 0, "options": {} },
///                  "ticks": [ { "log": "0100…", "hash": "0123456789abcdef" } ] } ] }
/// ```
///
/// `config` is what `gs_init` takes with the seed, `log` what `gs_step` takes, and `hash` is that
/// of what `gs_save` answers after it.
pub(super) struct Hashes {
    head: Value,
    options: Value,
    matches: Vec<Value>,
    seed: Option<u64>,
    scratch: Vec<u8>,
}

impl Hashes {
    pub(super) fn new(module: &GameModule, settings: &Settings) -> Self {
        let manifest = module.manifest();
        Self {
            head: json!({
                "format": 1,
                "game": manifest.name,
                "version": manifest.version,
                "module_sha256": module.sha256(),
                "hash": "xxh3-64",
            }),
            options: serde_json::from_str(&settings.options).unwrap_or(Value::Null),
            matches: Vec::new(),
            seed: None,
            scratch: Vec::new(),
        }
    }

    /// Adds a tick; ticks of a match come one after another.
    pub(super) fn add(&mut self, ran: &Ran<'_>) {
        if self.seed != Some(ran.seed) {
            self.seed = Some(ran.seed);
            self.matches.push(json!({
                "seed": ran.seed.to_string(),
                "config": {
                    "players": ran.config.players,
                    "teams": ran.config.teams,
                    "options": self.options,
                },
                "ticks": [],
            }));
        }
        abi::encode_tick_log(ran.log, &mut self.scratch)
            .expect("the game has just run this log, through the same encoding");
        let tick = json!({
            "log": hex(&self.scratch),
            "hash": format!("{:016x}", confirmed::state_hash(ran.state)),
        });
        if let Some(ticks) = self
            .matches
            .last_mut()
            .and_then(|played| played["ticks"].as_array_mut())
        {
            ticks.push(tick);
        }
    }

    pub(super) fn into_json(mut self) -> String {
        self.head["matches"] = Value::Array(self.matches);
        self.head.to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
