//! A Redis server for a test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::ports::free_tcp_port;
use crate::process::Process;
use crate::program;

/// A Redis server on a free loopback port; ends with the value, or with the process.
///
/// It takes some 20 ms to start, and channels are one namespace over all databases of a server: a
/// test that uses Redis starts one of its own.
pub struct Redis {
    process: Process,
    port: u16,
    persistence: Persistence,
}

/// What a Redis server still has after it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// All that it has acknowledged: an append-only file.
    AppendOnly,
    /// What it had at the last `SAVE`, which is older than what it acknowledged.
    Snapshots,
}

impl Redis {
    /// Starts a server that keeps nothing on disk, which is what the least of them does.
    ///
    /// # Panics
    /// Where there is no Redis; the text says how to install it.
    pub fn start() -> Self {
        Self::start_with(Persistence::None)
    }

    /// Starts a server that is back with its data after [`kill`](Self::kill) and
    /// [`restart`](Self::restart), as far as `persistence` goes.
    ///
    /// # Panics
    /// Where there is no Redis.
    pub fn start_with(persistence: Persistence) -> Self {
        // Between finding a port free and using it another process may take it.
        for _ in 0..3 {
            let redis = Self {
                process: Process::new("redis-server", Signal::KILL),
                port: free_tcp_port(),
                persistence,
            };
            if redis.run() {
                return redis;
            }
            eprintln!("redis-server ended at its start: {}", redis.process.log());
        }
        panic!("redis-server does not start");
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with what it kept, and
    /// waits until it answers.
    ///
    /// # Panics
    /// Where it runs, or does not start.
    pub fn restart(&self) {
        assert!(
            self.run(),
            "redis-server does not start again: {}",
            self.process.log()
        );
    }

    /// Makes it hang: connections stay open, and nothing answers.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Sends one command and answers what came back, as Redis's protocol has it (`+OK`, `:3`, …).
    ///
    /// # Panics
    /// Where it does not answer.
    pub fn command(&self, line: &str) -> String {
        self.ask(line)
            .unwrap_or_else(|error| panic!("redis-server does not answer `{line}`: {error}"))
    }

    fn run(&self) -> bool {
        let mut command = Command::new(program::find("redis-server"));
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--dir".as_ref(), self.process.directory().as_os_str()])
            .args(["--save", ""]);
        if self.persistence == Persistence::AppendOnly {
            command.args(["--appendonly", "yes"]);
        }
        self.process.spawn(&mut command);
        self.process
            .wait_until(|| self.ask("PING").is_ok_and(|answer| answer == "+PONG"))
    }

    fn ask(&self, line: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        // `QUIT` has it close the connection, so that the answer has an end.
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let answer = answer.strip_suffix("+OK\r\n").unwrap_or(&answer);
        Ok(answer.trim_end().to_owned())
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
