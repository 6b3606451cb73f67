//! A server under test, as a process of its own.

use std::process::Command;

use rustix::process::Signal;

use crate::process::Process;

/// A program that a test starts, kills, and starts again; ends with the value, or with the process
/// that started it.
pub struct Server {
    process: Process,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    answers: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Server {
    /// A server that `command` starts and that is up when `answers` says so; not started yet.
    pub fn new(
        name: &'static str,
        command: impl Fn() -> Command + Send + Sync + 'static,
        answers: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            process: Process::new(name, Signal::TERM),
            command: Box::new(command),
            answers: Box::new(answers),
        }
    }

    /// Starts it, and does not wait.
    ///
    /// # Panics
    /// Where it runs.
    pub fn spawn(&self) {
        self.process.spawn(&mut (self.command)());
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// Where it ends instead; the text is its log.
    pub fn wait_until_ready(&self) {
        let ready = self.process.wait_until(|| (self.answers)());
        assert!(ready, "it ended at its start:\n{}", self.log());
    }

    /// Whether it was started and has not ended.
    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// Where it was not started.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// What it has written to its output.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
