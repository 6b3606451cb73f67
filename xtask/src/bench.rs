//! `cargo xtask bench NAME`: builds what is measured, and runs it.

use std::path::Path;

use anyhow::bail;

use crate::steps::{Steps, run};

/// Builds the server and the bench, and runs it.
pub(crate) fn run_bench(root: &Path, name: &str, quick: bool) -> anyhow::Result<()> {
    if !NAMES.contains(&name) {
        bail!("no bench `{name}`; there are: {}", NAMES.join(", "));
    }
    crate::build(root, &mut Steps::new(crate::BUILD_STEPS))?;
    let mut command = crate::cargo(root);
    command.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "gs-bench",
        "--",
        name,
    ]);
    if quick {
        command.arg("--quick");
    }
    run(command.env("LIVEKIT_SERVER", crate::setup::livekit_server(root)?))
}

const NAMES: &[&str] = &["latency", "rooms"];
