//! What the benches of `livekit-data` share: a LiveKit server, and programs with participants.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use gs_test_services::{LiveKit, LiveKitOptions};
use livekit_api::access_token::{AccessToken, VideoGrants};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::server::{memory_bytes, root};

/// Starts a private server on loopback that makes a room for whoever joins.
pub(crate) fn server() -> LiveKit {
    tokio::task::block_in_place(|| LiveKit::start(LiveKitOptions::auto_create()))
}

/// Whose participants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `livekit-data`.
    Ours,
    /// The official Go SDK.
    Go,
}

impl Kind {
    /// What reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Ours => "livekit-data",
            Kind::Go => GO_SDK,
        }
    }

    fn program(self) -> anyhow::Result<PathBuf> {
        match self {
            // It is built together with this program.
            Kind::Ours => Ok(std::env::current_exe()?.with_file_name("livekit-participants")),
            Kind::Go => Ok(root().join("target/peers/livekit-go")),
        }
    }
}

/// A process whose participants do what they are asked to; it ends with the value.
pub(crate) struct Participants {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    url: String,
    joined: usize,
}

impl Participants {
    /// Starts a process without participants.
    pub(crate) fn start(kind: Kind, server: &LiveKit) -> anyhow::Result<Self> {
        let program = kind.program()?;
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {}; `cargo xtask bench` builds it",
                    program.display()
                )
            })?;
        let requests = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        Ok(Self {
            child,
            requests,
            answers: BufReader::new(answers).lines(),
            url: server.url(),
            joined: 0,
        })
    }

    /// Joins so many more, in new rooms of `room_size`, each of whom will send to the next one of
    /// its room.
    pub(crate) async fn join(&mut self, count: usize, room_size: usize) -> anyhow::Result<()> {
        let process = self.id()?;
        let mut members = Vec::with_capacity(count);
        for first in (self.joined..self.joined + count).step_by(room_size) {
            let room = format!("bench-{process}-{first}");
            for i in 0..room_size {
                let to = first + (i + 1) % room_size;
                members.push(json!({
                    "token": token(&room, &identity(first + i))?, "to": identity(to),
                }));
            }
        }
        self.joined += members.len();
        let joined = self.joined;
        let answer = self
            .ask(json!({
                "do": "join", "url": self.url, "at_once": JOINS_AT_ONCE, "members": members,
            }))
            .await?;
        if answer["joined"] != joined {
            bail!("{joined} participants should have joined, the answer is {answer}");
        }
        Ok(())
    }

    /// Has the first two echo until packets get through: an SDK may negotiate at the first one.
    pub(crate) async fn warm_up(&mut self, reliable: bool) -> anyhow::Result<()> {
        for _ in 0..WARM_UPS {
            let answer = self
                .ask(json!({
                    "do": "echo", "reliable": reliable, "bytes": 200, "per_second": 60, "seconds": 0.5,
                }))
                .await?;
            let back = answer["latencies_ns"].as_array().map_or(0, Vec::len);
            if back > 0 && answer["sent"] == back {
                return Ok(());
            }
        }
        bail!("packets do not get through between two participants");
    }

    /// Asks for something and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Value) -> anyhow::Result<Value> {
        let line = format!("{request}\n");
        let exchange = async {
            self.requests.write_all(line.as_bytes()).await?;
            self.answers.next_line().await
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .context("the participants' process does not answer")??
            .context("the participants' process has ended; it says above why")?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Asks for something that lasts; answers also which part of a core the process used.
    pub(crate) async fn ask_measured(&mut self, request: Value) -> anyhow::Result<(Value, f64)> {
        let (before, begun) = (self.cpu()?, std::time::Instant::now());
        let answer = self.ask(request).await?;
        let cores = (self.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        Ok((answer, cores))
    }

    /// Which part of a core the process uses while nothing is asked of it.
    pub(crate) async fn idle_cores(&self, time: Duration) -> anyhow::Result<f64> {
        let (before, begun) = (self.cpu()?, std::time::Instant::now());
        tokio::time::sleep(time).await;
        Ok((self.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64())
    }

    /// Resident memory of the process, once it has stayed for a while.
    pub(crate) async fn settled_memory(&self) -> anyhow::Result<u64> {
        tokio::time::sleep(SETTLING).await;
        memory_bytes(self.id()?)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_time(self.id()?)
    }

    fn id(&self) -> anyhow::Result<u32> {
        self.child
            .id()
            .context("the participants' process has ended")
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

/// Processor time of a process's threads, to the nanosecond; those that ended are not counted.
fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let on_cpu = text.split_whitespace().next().unwrap_or_default();
        nanos += on_cpu
            .parse::<u64>()
            .with_context(|| format!("schedstat says {text:?}"))?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn identity(number: usize) -> String {
    format!("p{number}")
}

fn token(room: &str, identity: &str) -> anyhow::Result<String> {
    let grants = VideoGrants {
        room_join: true,
        room: room.into(),
        ..Default::default()
    };
    Ok(AccessToken::with_api_key(LiveKit::KEY, LiveKit::SECRET)
        .with_identity(identity)
        .with_grants(grants)
        .to_jwt()?)
}

/// The middle one; of an even number the lower.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

/// The official Go SDK, as benches/peers/livekit-go/go.mod has it.
pub(crate) const GO_SDK: &str = "github.com/livekit/server-sdk-go/v2 v2.13.1";

/// As many as two cores can take without any of them waiting too long.
const JOINS_AT_ONCE: usize = 8;
/// LiveKit tells of participants without media up to 3 s late.
const SETTLING: Duration = Duration::from_secs(4);
const WARM_UPS: usize = 10;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);
