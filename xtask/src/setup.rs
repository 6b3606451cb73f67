//! Gets what is missing on a bare machine, by the ordinary package managers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::steps::{Steps, run, succeeds};

/// What building and running need: the LiveKit server, the wasm target, the npm packages.
pub(crate) fn tools(root: &Path, steps: &mut Steps) -> anyhow::Result<()> {
    steps.next("LiveKit server");
    livekit_server(root)?;
    steps.next("WebAssembly target");
    crate::module::toolchain(root)?;
    steps.next("npm packages");
    npm_packages(root)
}

/// The LiveKit server: on `PATH`, else by Docker, else built with Go.
pub(crate) fn livekit_server(root: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = on_path("livekit-server") {
        return Ok(found);
    }
    let tools = root.join("target/tools");
    let server = tools.join("livekit-server");
    if server.is_file() {
        return Ok(server);
    }
    std::fs::create_dir_all(&tools)?;
    if cfg!(target_os = "linux") && succeeds(Command::new("docker").arg("info")) {
        eprintln!("      pulling {LIVEKIT_IMAGE} with Docker");
        match run(Command::new("docker").args(["pull", LIVEKIT_IMAGE])) {
            Ok(()) => {
                let run = "exec docker run --rm --network host --env LIVEKIT_CONFIG";
                write_executable(
                    &server,
                    &format!("#!/bin/sh\n{run} {LIVEKIT_IMAGE} \"$@\"\n"),
                )?;
                return Ok(server);
            }
            Err(error) => eprintln!("      {error:#}; trying Go"),
        }
    }
    if on_path("go").is_none() {
        bail!(
            "no livekit-server on PATH, no Docker and no Go to build one with; install one of \
             them, for example from https://docs.livekit.io/home/self-hosting/local/ or \
             https://go.dev/doc/install (1.26 or newer)"
        );
    }
    eprintln!("      building {LIVEKIT_GO} with Go (some two minutes, once)");
    run(Command::new("go")
        .args(["install", LIVEKIT_GO])
        .env("GOBIN", &tools))?;
    // Go names the program after its folder.
    std::fs::rename(tools.join("server"), &server).context("`go install` left no program")?;
    Ok(server)
}

/// The npm packages of web/, as the lock file has them.
pub(crate) fn npm_packages(root: &Path) -> anyhow::Result<()> {
    if on_path("npm").is_none() {
        bail!("npm is not on PATH; install Node.js 20 or newer");
    }
    let web = root.join("web");
    let (lock, installed) = (
        web.join("package-lock.json"),
        web.join("node_modules/.package-lock.json"),
    );
    let modified = |file: &Path| file.metadata().and_then(|m| m.modified()).ok();
    if modified(&installed).is_some_and(|at| Some(at) >= modified(&lock)) {
        return Ok(());
    }
    run(Command::new("npm")
        .args(["ci", "--no-fund", "--no-audit"])
        .current_dir(web))
}

/// Chromium for the browser tests.
pub(crate) fn browser(steps: &mut Steps) -> anyhow::Result<()> {
    steps.next("Chromium");
    if chromium().is_err() {
        debian_packages(&["chromium"])?;
    }
    chromium().map(drop)
}

/// Where Chromium is: `CHROMIUM`, else on `PATH`.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(on_path)
        .context("the browser tests need Chromium: `apt-get install chromium`, or name one with CHROMIUM")
}

/// Python with LiveKit's SDK, in a folder of its own.
pub(crate) fn python(root: &Path, steps: &mut Steps) -> anyhow::Result<()> {
    steps.next("Python packages");
    let venv = root.join("target/tools/python");
    let wanted = root.join("web/e2e/peers/requirements.txt");
    let installed = venv.join("requirements.txt");
    let text = std::fs::read(&wanted)?;
    if std::fs::read(&installed).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    let make = || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv))
    };
    if make().is_err() {
        // Debian has the module that it takes in a package of its own.
        debian_packages(&["python3", "python3-venv"])?;
        make()?;
    }
    run(Command::new(venv.join("bin/pip"))
        .args(["install", "--quiet", "--requirement"])
        .arg(&wanted))?;
    std::fs::write(installed, text)?;
    Ok(())
}

/// PostgreSQL and Redis, of which the tests start servers of their own.
pub(crate) fn databases(steps: &mut Steps) -> anyhow::Result<()> {
    steps.next("PostgreSQL and Redis");
    let mut missing = Vec::new();
    if ["initdb", "postgres", "psql"]
        .iter()
        .any(|name| gs_test_services::program(name).is_none())
    {
        missing.push("postgresql");
    }
    if gs_test_services::program("redis-server").is_none() {
        missing.push("redis-server");
    }
    if missing.is_empty() {
        return Ok(());
    }
    debian_packages(&missing)
}

/// `cargo deny`, built once.
pub(crate) fn cargo_deny() -> anyhow::Result<()> {
    if succeeds(Command::new("cargo").args(["deny", "--version"])) {
        return Ok(());
    }
    eprintln!("      building cargo-deny (some minutes, once)");
    run(Command::new("cargo").args([
        "install",
        "--locked",
        "--quiet",
        "cargo-deny",
        "--version",
        CARGO_DENY,
    ]))
}

/// Installs Debian packages where that is possible without asking; else says the command.
pub(crate) fn debian_packages(names: &[&str]) -> anyhow::Result<()> {
    let command = format!(
        "apt-get install --yes --no-install-recommends {}",
        names.join(" ")
    );
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    if !root || on_path("apt-get").is_none() {
        bail!(
            "missing: {}. Install them, on Debian with `sudo {command}`, and run this again",
            names.join(", ")
        );
    }
    eprintln!("      {command}");
    run(Command::new("apt-get").args(["update", "--quiet", "--quiet"]))?;
    run(Command::new("apt-get")
        .args([
            "install",
            "--yes",
            "--no-install-recommends",
            "--quiet",
            "--quiet",
        ])
        .args(names)
        // In a container without systemd: installed services are not started.
        .env("RUNLEVEL", "1")
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// A program of that name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn write_executable(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The newest that `go install` takes; it runs with data tracks off.
const LIVEKIT_GO: &str = "github.com/livekit/livekit-server/cmd/server@v1.13.5";
const LIVEKIT_IMAGE: &str = "livekit/livekit-server:v1.13.6";
const CARGO_DENY: &str = "0.20.2";
