//! Runs the built binary as a user does, on ports and in directories of its own.

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

/// A running `gameserver`.
pub(crate) struct Running {
    /// Where it serves HTTP.
    pub(crate) url: String,
    child: Child,
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts a command and waits for its `ready` line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
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
            child,
            log,
            seen: Vec::new(),
        }
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

    /// Its log so far, once it has written nothing for a moment or has ended.
    pub(crate) fn log(&mut self) -> &[String] {
        while let Ok(line) = self.log.recv_timeout(Duration::from_millis(300)) {
            self.seen.push(line);
        }
        &self.seen
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        wait(&mut self.child)
    }

    /// Ends it as Ctrl-C does, and waits until it has ended.
    pub(crate) fn interrupt(mut self) -> std::process::ExitStatus {
        self.signal(Signal::INT);
        self.ended()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
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
    // Read meanwhile: what it writes may be more than a pipe holds.
    let (stdout, stderr) = (all(child.stdout.take()), all(child.stderr.take()));
    Output {
        status: wait(&mut child),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
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

/// Reads to the end, on a thread of its own.
fn all(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    })
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
