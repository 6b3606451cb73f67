//! A server's process and its directory, which end with the process that started them.
//!
//! A shell waits at the end of a pipe that only this process holds. However this process ends (in
//! order, by a panic, by SIGKILL), the pipe closes; the shell then ends the server and removes the
//! directory. A parent-death signal would not do: it comes when the *thread* ends that started the
//! server, which for a test is long before the process.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A server that can be killed, started again and made to hang.
pub(crate) struct Process {
    name: &'static str,
    directory: PathBuf,
    /// What ends it in order.
    stop: Signal,
    state: Mutex<State>,
}

struct State {
    child: Option<Child>,
    /// Started processes that were told to stand still.
    paused: Vec<Pid>,
    guard: Child,
}

impl Process {
    /// A directory and its guard; no server yet. `stop` has to end the server without a wait.
    pub(crate) fn new(name: &'static str, stop: Signal) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("gameserver-test-")
            .tempdir()
            .expect("the temporary directory can be written to")
            .keep();
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(&directory)
            .arg(stop.as_raw().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C ends the tests; the guard outlives them.
            .process_group(0)
            .spawn()
            .expect("/bin/sh can be started");
        Self {
            name,
            directory,
            stop,
            state: Mutex::new(State {
                child: None,
                paused: Vec::new(),
                guard,
            }),
        }
    }

    /// Has the guard unmount what is mounted there, below the directory.
    pub(crate) fn unmount(&self, mount: &Path) {
        if let Some(pipe) = &mut self.state().guard.stdin {
            let _ = writeln!(pipe, "unmount {}", mount.display());
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Starts the command, its output going to the log.
    pub(crate) fn spawn(&self, command: &mut Command) {
        let mut state = self.state();
        assert!(state.child.is_none(), "{} runs already", self.name);
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log_file())
            .expect("the log can be opened");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.name));
        state.tell(&[Pid::from_child(&child)]);
        state.child = Some(child);
    }

    /// Waits until it answers; `false` where it ended instead.
    pub(crate) fn wait_until(&self, answers: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if answers() {
                return true;
            }
            if !self.runs() {
                return false;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not answer within {START_TIMEOUT:?}; its log:\n{}",
                self.name,
                self.log()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Whether it was started and has not ended. One that ended can be started again.
    pub(crate) fn runs(&self) -> bool {
        let mut state = self.state();
        let Some(child) = &mut state.child else {
            return false;
        };
        if child.try_wait().is_ok_and(|status| status.is_none()) {
            return true;
        }
        state.child = None;
        state.tell(&[]);
        false
    }

    /// The server's process id.
    pub(crate) fn id(&self) -> u32 {
        let state = self.state();
        state
            .child
            .as_ref()
            .map(Child::id)
            .unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Ends it at once and with all its children, as a crash of the machine would.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        let Some(mut child) = state.child.take() else {
            panic!("{} does not run", self.name);
        };
        let server = Pid::from_child(&child);
        // Stopped first, so that it can neither start another child nor end one in order.
        let _ = kill_process(server, Signal::STOP);
        let children = children(server);
        let _ = kill_process(server, Signal::KILL);
        for &pid in &children {
            let _ = kill_process(pid, Signal::KILL);
        }
        child.wait().expect("a killed child can be waited for");
        let deadline = Instant::now() + STOP_TIMEOUT;
        while children.iter().any(|&pid| runs(pid)) {
            assert!(
                Instant::now() < deadline,
                "{}: a killed process runs on",
                self.name
            );
            std::thread::sleep(POLL);
        }
        state.paused.clear();
        state.tell(&[]);
    }

    /// Makes it and its children stand still: connections stay open, and nothing answers.
    pub(crate) fn pause(&self) {
        let mut state = self.state();
        let Some(child) = &state.child else {
            panic!("{} does not run", self.name);
        };
        let server = Pid::from_child(child);
        let _ = kill_process(server, Signal::STOP);
        let mut paused = children(server);
        for &pid in &paused {
            let _ = kill_process(pid, Signal::STOP);
        }
        paused.insert(0, server);
        state.tell(&paused);
        state.paused = paused;
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        let mut state = self.state();
        for pid in std::mem::take(&mut state.paused).into_iter().rev() {
            let _ = kill_process(pid, Signal::CONT);
        }
        let servers: Vec<Pid> = state.child.iter().map(Pid::from_child).collect();
        state.tell(&servers);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock does not keep others from cleaning up.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("server.log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.resume();
        let mut state = self.state();
        if let Some(mut child) = state.child.take() {
            let _ = kill_process(Pid::from_child(&child), self.stop);
            let deadline = Instant::now() + STOP_TIMEOUT;
            while child.try_wait().is_ok_and(|status| status.is_none()) {
                if Instant::now() > deadline {
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(POLL);
            }
        }
        state.tell(&[]);
        drop(state.guard.stdin.take());
        let _ = state.guard.wait();
    }
}

impl State {
    /// Tells the guard which processes it has to end.
    fn tell(&mut self, servers: &[Pid]) {
        let line: Vec<String> = servers.iter().map(|p| p.as_raw_pid().to_string()).collect();
        if let Some(pipe) = &mut self.guard.stdin {
            // Without its guard a server may outlive the tests, but they mean what they say.
            let _ = writeln!(pipe, "{}", line.join(" "));
        }
    }
}

/// The direct children of a process.
fn children(parent: Pid) -> Vec<Pid> {
    let ps = ["-A", "-o", "ppid=,pid="];
    let list = match std::fs::read_dir("/proc/self") {
        Ok(_) => from_proc(),
        Err(_) => Command::new("ps")
            .args(ps)
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .expect("`ps` lists the processes"),
    };
    list.lines()
        .filter_map(|line| {
            let (of, pid) = line.trim().split_once(char::is_whitespace)?;
            let is_child = of.parse() == Ok(parent.as_raw_pid());
            is_child.then(|| Pid::from_raw(pid.trim().parse().ok()?))?
        })
        .collect()
}

/// A line `PARENT PROCESS` for each process.
fn from_proc() -> String {
    let entries = std::fs::read_dir("/proc").expect("/proc can be listed");
    let mut lines = String::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        if let Some((_, parent)) = stat(pid) {
            lines.push_str(&format!("{parent} {pid}\n"));
        }
    }
    lines
}

/// Whether a process is there and has not ended yet.
fn runs(pid: Pid) -> bool {
    match stat(&pid.as_raw_pid().to_string()) {
        // It has ended, and who should ask for its status has not done so.
        Some((state, _)) => state != "Z",
        None => {
            !Path::new("/proc/self").exists() && rustix::process::test_kill_process(pid).is_ok()
        }
    }
}

/// State and parent of a process, from /proc.
fn stat(pid: &str) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}

/// `$1` is the directory, `$2` the signal that ends the server in order; each line of the input
/// names the processes that run, or what is to be unmounted. The end of the input is the end of the
/// process that wrote it.
const GUARD: &str = r#"
trap '' INT TERM HUP QUIT
servers= mount=
while read -r line; do
    case $line in
        "unmount "*) mount=${line#unmount } ;;
        *) servers=$line ;;
    esac
done
if [ -n "$servers" ]; then
    kill -s CONT $servers
    kill -s "$2" $servers
    tries=0
    while kill -s 0 $servers && [ "$tries" -lt 60 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -s KILL $servers
fi
[ -z "$mount" ] || umount "$mount" || umount -l "$mount"
rm -rf "$1" || { sleep 0.5; rm -rf "$1"; }
"#;
const START_TIMEOUT: Duration = Duration::from_secs(40);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
