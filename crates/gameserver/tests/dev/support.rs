//! Runs the built binary as a user does: `gameserver dev` on ports and a directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The binary under test.
pub(crate) fn gameserver() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gameserver"));
    command.env("RUST_LOG", "info").stdin(Stdio::null());
    command
}

/// The folder with the built games.
pub(crate) fn games() -> PathBuf {
    let games = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/games");
    assert!(
        games.join("arena.wasm").is_file(),
        "no games in target/games; build them with `cargo xtask game`"
    );
    games
}

/// A running `gameserver dev`.
pub(crate) struct Dev {
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    child: Child,
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Dev {
    /// Starts it on a free port and waits for its `ready` line.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut child = gameserver()
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(data)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let output = lines(child.stdout.take().unwrap());
        let line = output.recv_timeout(START_TIMEOUT).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!(
                "no `ready` line; the log: {:#?}",
                log.iter().collect::<Vec<_>>()
            )
        });
        let url = line
            .strip_prefix("ready ")
            .expect("the first line is `ready URL`")
            .to_owned();
        Self {
            url,
            data: data.to_owned(),
            child,
            log,
            seen: Vec::new(),
        }
    }

    /// Process id of the LiveKit server that it runs.
    pub(crate) fn livekit_pid(&self) -> Pid {
        let text = std::fs::read_to_string(self.data.join("livekit.pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }

    /// Waits until a line of the log contains the text.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        let deadline = Instant::now() + LOG_TIMEOUT;
        while !self.seen.iter().any(|line| line.contains(text)) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no log line with `{text}` in {:#?}", self.seen),
            }
        }
    }

    /// Ends it as Ctrl-C does, and waits until it has ended.
    pub(crate) fn interrupt(mut self) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        wait(&mut self.child)
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            wait(&mut self.child);
        }
    }
}

/// Runs a command to its end, which must come soon.
pub(crate) fn output(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait(&mut child);
    child.wait_with_output().unwrap()
}

/// Whether a process is there.
pub(crate) fn is_alive(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LOG_TIMEOUT;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "not within {LOG_TIMEOUT:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait(child: &mut Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + STOP_TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the process did not end within {STOP_TIMEOUT:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const LOG_TIMEOUT: Duration = Duration::from_secs(20);
