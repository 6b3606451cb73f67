//! The LiveKit server that `gameserver dev` runs as a supervised child on loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::config::LiveKitConfig;

/// A LiveKit server on loopback ports of its own, started again when it dies or hangs.
pub(crate) struct LiveKitServer {
    /// Where it answers, and the key that it was given.
    pub(crate) access: LiveKitConfig,
    supervisor: tokio::task::JoinHandle<()>,
}

impl LiveKitServer {
    /// Starts the server and waits until it answers.
    ///
    /// `program` overrides where it is looked for; `webhook` is where it sends its events. `pid_file` remembers the child, so that a run
    /// that was killed without a chance to clean up does not leave one behind for good.
    pub(crate) async fn start(
        program: Option<&Path>,
        pid_file: PathBuf,
        webhook: String,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let program = find(program)?;
        end_leftover(&pid_file, &program);
        let ports = Ports::free()?;
        let access = LiveKitConfig::local(ports.http, "dev", secret());
        let launch = Launch {
            program,
            pid_file,
            configuration: ports.configuration(&access, &webhook),
            ports,
        };
        let mut child = launch.spawn()?;
        launch.wait_until_it_answers(&mut child).await?;
        let supervisor = tokio::spawn(launch.supervise(child, shutdown));
        Ok(Self { access, supervisor })
    }

    /// Waits until the child has ended, after the shutdown token was cancelled.
    pub(crate) async fn ended(self) {
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "the supervisor of the LiveKit server failed");
        }
    }
}

/// All that it takes to start the child, again and again on the same ports.
struct Launch {
    program: PathBuf,
    pid_file: PathBuf,
    configuration: String,
    ports: Ports,
}

impl Launch {
    fn spawn(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .env("LIVEKIT_CONFIG", &self.configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in a terminal reaches us alone, and we end it in order.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| {
            format!("cannot start the LiveKit server {}", self.program.display())
        })?;
        if let Some(pid) = child.id()
            && let Err(error) = std::fs::write(&self.pid_file, pid.to_string())
        {
            tracing::warn!(file = %self.pid_file.display(), %error, "cannot note the LiveKit server's process id");
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(async move {
                let mut lines = BufReader::new(output).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    tracing::debug!(target: "livekit", "{}", without_tokens(&line));
                }
            });
        }
        Ok(child)
    }

    async fn wait_until_it_answers(&self, child: &mut Child) -> anyhow::Result<()> {
        let address = self.address();
        let client = client(Duration::from_secs(1))?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if client
                .get(&address)
                .send()
                .await
                .is_ok_and(|r| r.status().is_success())
            {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                bail!(
                    "the LiveKit server {} ended at its start with {status}; run it by hand with \
                     `--dev` to see why",
                    self.program.display()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "the LiveKit server {} did not answer at {address} within {} s",
                    self.program.display(),
                    START_TIMEOUT.as_secs()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Comes back once the server has not answered for a while.
    async fn hangs(&self) -> anyhow::Result<()> {
        let (address, client) = (self.address(), client(PROBE_TIMEOUT)?);
        let mut unanswered = 0;
        while unanswered < PROBES {
            tokio::time::sleep(PROBE_INTERVAL).await;
            let answer = client.get(&address).send().await;
            unanswered = if answer.is_ok() { 0 } else { unanswered + 1 };
        }
        Ok(())
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.ports.http)
    }

    async fn supervise(self, mut child: Child, shutdown: CancellationToken) {
        let mut restarts_in_a_row = 0u32;
        loop {
            let since = Instant::now();
            tokio::select! {
                () = shutdown.cancelled() => break,
                status = child.wait() => {
                    let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
                    tracing::error!(%status, "the LiveKit server died; starting it again");
                }
                Ok(()) = self.hangs() => {
                    tracing::error!("the LiveKit server does not answer; ending it, and starting it again");
                    if let Err(error) = child.kill().await {
                        tracing::error!(%error, "the LiveKit server cannot be ended");
                    }
                }
            }
            restarts_in_a_row = if since.elapsed() > STABLE {
                0
            } else {
                restarts_in_a_row + 1
            };
            let pause = POLL * 2u32.pow(restarts_in_a_row.min(MAX_BACKOFF_STEPS));
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            match self.spawn() {
                Ok(again) => child = again,
                Err(error) => {
                    tracing::error!("{error:#}");
                    continue;
                }
            }
            let answers = self.wait_until_it_answers(&mut child);
            match shutdown.run_until_cancelled(answers).await {
                Some(Ok(())) => tracing::info!("the LiveKit server is back"),
                Some(Err(error)) => tracing::error!("{error:#}"),
                None => break,
            }
        }
        stop(&mut child).await;
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

/// A line of LiveKit's log, which quotes the tokens that it refuses, without them.
fn without_tokens(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("eyJ") {
        // A JWT: base64url and dots.
        let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        out.push_str(&rest[..start]);
        out.push_str("[token]");
        rest = rest[start..].trim_start_matches(is_token);
    }
    out + rest
}

/// Asks the child to end, asks again (LiveKit then drops its rooms), and ends it.
async fn stop(child: &mut Child) {
    for patience in [Duration::from_millis(200), Duration::from_secs(2)] {
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            return;
        }
    }
    let _ = child.kill().await;
}

/// Ends the child of an earlier run that could not clean up, if its process still is that program.
fn end_leftover(pid_file: &Path, program: &Path) {
    let Some(pid) = std::fs::read_to_string(pid_file)
        .ok()
        .and_then(|t| t.trim().parse::<i32>().ok())
    else {
        return;
    };
    let running = std::fs::canonicalize(format!("/proc/{pid}/exe")).ok();
    let ours = std::fs::canonicalize(program).ok();
    let Some(process) = Pid::from_raw(pid) else {
        return;
    };
    if running.is_some() && running == ours && test_kill_process(process).is_ok() {
        tracing::warn!(
            pid,
            "ending the LiveKit server that an earlier run left behind"
        );
        let _ = kill_process(process, Signal::KILL);
    }
}

/// `--livekit-server`, else on `PATH`, else beside the binary, where `cargo xtask` puts one.
pub(crate) fn find(program: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(program) = program {
        if !program.is_file() {
            bail!(
                "no LiveKit server at {} (--livekit-server)",
                program.display()
            );
        }
        return Ok(program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("tools")));
    std::env::split_paths(&path)
        .chain(beside)
        .map(|folder| folder.join("livekit-server"))
        .find(|file| file.is_file())
        .context(
            "no livekit-server found on PATH; get one with `cargo xtask setup`, or from \
             https://docs.livekit.io/home/self-hosting/local/, and name it with --livekit-server",
        )
}

struct Ports {
    http: u16,
    udp: u16,
    tcp: u16,
}

impl Ports {
    /// Ports that are free now; LiveKit names the port in its error should one be taken meanwhile.
    fn free() -> anyhow::Result<Self> {
        let loopback = (Ipv4Addr::LOCALHOST, 0);
        let (http, tcp) = (TcpListener::bind(loopback)?, TcpListener::bind(loopback)?);
        let udp = UdpSocket::bind(loopback)?;
        Ok(Self {
            http: http.local_addr()?.port(),
            tcp: tcp.local_addr()?.port(),
            udp: udp.local_addr()?.port(),
        })
    }

    /// The server's configuration; `docs/operations.md` says why each value is what it is.
    fn configuration(&self, access: &LiveKitConfig, webhook: &str) -> String {
        let Self { http, udp, tcp } = self;
        let LiveKitConfig {
            api_key,
            api_secret,
            ..
        } = access;
        serde_json::json!({
            "port": http,
            "bind_addresses": ["127.0.0.1"],
            "keys": { api_key: api_secret.expose() },
            "webhook": { "api_key": api_key, "urls": [webhook] },
            "logging": { "level": "warn" },
            "room": { "auto_create": false },
            "enable_data_tracks": false,
            "rtc": {
                "udp_port": udp,
                "tcp_port": tcp,
                "node_ip": "127.0.0.1",
                "use_external_ip": false,
                "enable_loopback_candidate": true,
                "interfaces": { "includes": [LOOPBACK_INTERFACE] },
                "datachannel_lossy_target_latency": "100ms",
            },
        })
        .to_string()
    }
}

fn client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        .build()
}

/// A key for one run, that no one else has.
fn secret() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 43)
}

const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// How often a server that runs is asked for a sign of life.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// It answers within a millisecond; a machine that stands still for a moment is no hang.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Questions without an answer after which it hangs: some ten seconds, as long as players and
/// authority try to come back anyway.
const PROBES: u32 = 3;
/// A child that ran this long is started again at once.
const STABLE: Duration = Duration::from_secs(10);
/// 50 ms doubled six times is 3.2 s: the longest pause between two starts.
const MAX_BACKOFF_STEPS: u32 = 6;
const LOOPBACK_INTERFACE: &str = if cfg!(target_os = "linux") {
    "lo"
} else {
    "lo0"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_out_of_livekits_lines() {
        let line = r#"WARN {"error": "invalid token: eyJhbGci.eyJleHAi-_.c2ln, x", "n": 1} eyJ"#;
        let shown = without_tokens(line);
        assert_eq!(
            shown,
            r#"WARN {"error": "invalid token: [token], x", "n": 1} [token]"#
        );
        assert_eq!(without_tokens("quiet"), "quiet");
    }
}
