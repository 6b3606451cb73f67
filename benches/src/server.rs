//! A `gameserver dev` of the bench's own: its processes, and what they use.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running server on ports and a data directory of its own.
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    child: Child,
    data: tempfile::TempDir,
}

impl Server {
    /// Starts target/release/gameserver, or what `GAMESERVER_BIN` names, with Arena for `players` and no end to the match.
    pub(crate) async fn start(root: &Path, players: u8) -> anyhow::Result<Self> {
        let module = root.join("target/games/arena.wasm");
        let config = json!({ "server": { "sign_ins_per_minute": 60_000 }, "games": { "arena": {
            "module": module, "players": players, "authority_mode": "full",
            "options": { "match_seconds": 3600, "score_limit": 255 },
        }}});
        Self::start_with(root, &config).await
    }

    /// The same with a configuration.
    pub(crate) async fn start_with(root: &Path, config: &Value) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let file = data.path().join("config.yaml");
        std::fs::write(&file, config.to_string())?;
        let program = std::env::var_os("GAMESERVER_BIN")
            .map_or_else(|| root.join("target/release/gameserver"), PathBuf::from);
        let mut child = Command::new(&program)
            .arg("dev")
            .args(["--port", "0", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child
            .stdout
            .take()
            .context("the server has no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await;
        let Ok(Ok(Some(line))) = ready else {
            bail!("the server did not get ready")
        };
        let url = line
            .strip_prefix("ready ")
            .context("the server said something else than `ready`")?;
        Ok(Self {
            url: url.to_owned(),
            child,
            data,
        })
    }

    /// Process ids of the server and of its LiveKit server.
    pub(crate) fn processes(&self) -> anyhow::Result<(u32, u32)> {
        let file = self.data.path().join("data/livekit.pid");
        let livekit =
            std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        Ok((
            self.child.id().context("the server has ended")?,
            livekit.trim().parse()?,
        ))
    }

    /// Ends it as Ctrl-C does.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            kill_process(pid, Signal::INT)?;
        }
        tokio::time::timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .context("the server did not end")??;
        Ok(())
    }
}

/// What a player needs to join a room.
pub(crate) struct Seat {
    /// LiveKit's address.
    pub(crate) url: String,
    /// LiveKit token.
    pub(crate) token: String,
    /// The player's id.
    pub(crate) identity: String,
    /// The room's name.
    pub(crate) room: String,
    /// The player's access token.
    pub(crate) bearer: String,
}

/// Signs guests in, queues them with one code, and waits for their match.
pub(crate) async fn seats(url: &str, code: &str, players: usize) -> anyhow::Result<Vec<Seat>> {
    let http = reqwest::Client::new();
    let mut tickets = Vec::new();
    for _ in 0..players {
        let guest = post(&http, &format!("{url}/auth/guest"), None, json!({})).await?;
        let bearer = text(&guest, "access_token")?;
        let body = json!({ "game": "arena", "code": code });
        let ticket = post(&http, &format!("{url}/match/queue"), Some(&bearer), body).await?;
        tickets.push((bearer, text(&ticket, "ticket_id")?));
    }
    let mut seats = Vec::new();
    for (bearer, ticket) in tickets {
        let found = loop {
            let status: Value = http
                .get(format!("{url}/match/status?ticket_id={ticket}&wait=20"))
                .bearer_auth(&bearer)
                .send()
                .await?
                .json()
                .await?;
            match status["status"].as_str() {
                Some("matched") => break status["match"].clone(),
                Some("queued" | "placing") => {}
                _ => bail!("no match: {status}"),
            }
        };
        seats.push(Seat {
            url: text(&found, "url")?,
            token: text(&found, "token")?,
            identity: text(&found, "identity")?,
            room: text(&found, "room")?,
            bearer,
        });
    }
    Ok(seats)
}

async fn post(
    http: &reqwest::Client,
    url: &str,
    bearer: Option<&str>,
    body: Value,
) -> anyhow::Result<Value> {
    let mut request = http.post(url).json(&body);
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    let response = request.send().await?;
    let (status, answer) = (response.status(), response.json::<Value>().await?);
    if !status.is_success() {
        bail!("{url}: {answer}");
    }
    Ok(answer)
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    Ok(value[key]
        .as_str()
        .with_context(|| format!("no `{key}` in {value}"))?
        .to_owned())
}

/// CPU seconds that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Fields 14 and 15 (user and system time), counted after the program's name in parentheses.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / CLOCK_TICKS_PER_SECOND)
}

/// Resident memory of a process, in bytes.
pub(crate) fn memory_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .context("no VmRSS")?
        .parse()?;
    Ok(kilobytes * 1024)
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("benches is a folder of the workspace")
        .to_owned()
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Linux has counted process times in hundredths of a second on every machine since 2.6.
const CLOCK_TICKS_PER_SECOND: f64 = 100.0;
