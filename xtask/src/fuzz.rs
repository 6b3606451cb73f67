//! `cargo xtask fuzz`: builds the fuzz targets with a stable compiler, and runs them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::cargo;
use crate::steps::{Steps, run};

/// Runs one target, or each in turn, for so many seconds.
pub(crate) fn run_fuzz(root: &Path, target: Option<&str>, seconds: u32) -> anyhow::Result<()> {
    let all = targets(root)?;
    let chosen: Vec<_> = match target {
        Some(name) if all.iter().any(|known| known == name) => vec![name.to_owned()],
        Some(name) => bail!("there is no target {name}; there are {}", all.join(", ")),
        None => all,
    };
    let mut steps = Steps::new(1 + chosen.len() as u32);
    let triple = host()?;
    steps.next("building the fuzz targets (the first time takes some minutes)");
    let mut build = cargo(root);
    build
        .current_dir(root.join("fuzz"))
        .args(["build", "--release", "--target-dir", "target"])
        // Without a target the flags would reach build scripts, which are not linked with
        // libFuzzer.
        .args(["--target", &triple])
        .env("RUSTFLAGS", FLAGS.join(" "));
    for name in &chosen {
        build.args(["--bin", name]);
    }
    run(&mut build)?;
    let folder = root.join("fuzz/target").join(&triple).join("release");
    for name in &chosen {
        steps.next(&format!("{name}, {seconds} s"));
        fuzz(root, &folder, name, seconds)?;
    }
    steps.done();
    Ok(())
}

/// New inputs go to a corpus of this machine's own; the committed one stays as it is.
fn fuzz(root: &Path, folder: &Path, name: &str, seconds: u32) -> anyhow::Result<()> {
    let fuzz = root.join("fuzz");
    let (found, crashes) = (
        fuzz.join("target/corpus").join(name),
        fuzz.join("artifacts").join(name),
    );
    for folder in [&found, &crashes] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let program = folder.join(name);
    let mut command = Command::new(&program);
    command
        .arg(&found)
        .arg(fuzz.join("corpus").join(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_LIMIT}"))
        .arg(format!("-timeout={TIME_LIMIT}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .current_dir(root);
    run(&mut command).with_context(|| {
        format!(
            "{name} found something; run `{} FILE` with the file that it names above to see it again",
            program.display()
        )
    })
}

/// The names of the targets, from their files.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let files =
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if let Some(name) = path.file_stem() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The triple that the compiler builds for.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.context("cannot run `rustc -vV`; is it installed?")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// What `cargo fuzz --sanitizer none` sets: libFuzzer's coverage, which the stable compiler has,
/// without a sanitizer, which it has not. Nothing of ours is unsafe.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
];

/// In MB. An input of a few kB has no reason for more than a few.
const MEMORY_LIMIT: u32 = 1_024;

/// In seconds, for one input; each takes a few milliseconds.
const TIME_LIMIT: u32 = 10;
