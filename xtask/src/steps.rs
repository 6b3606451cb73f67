//! Progress for people, and commands that say what failed.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// Counts through a known number of steps on standard error.
pub(crate) struct Steps {
    total: u32,
    done: u32,
    began: Instant,
}

impl Steps {
    /// A task of `total` steps.
    pub(crate) fn new(total: u32) -> Self {
        Self {
            total,
            done: 0,
            began: Instant::now(),
        }
    }

    /// Announces the next step.
    pub(crate) fn next(&mut self, what: &str) {
        self.done += 1;
        eprintln!("[{}/{}] {what}", self.done, self.total);
    }

    /// Says how long it all took.
    pub(crate) fn done(&self) {
        eprintln!("done in {} s", self.began.elapsed().as_secs());
    }
}

/// Runs a command to its end; its failure is an error that names it.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`; is it installed?", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Whether a command runs and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
