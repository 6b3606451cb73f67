//! `cargo xtask bench NAME`: builds what is measured, runs it, and can record it in the docs.

mod plot;

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::steps::Steps;

/// Builds the server and the bench, and runs it. `record` puts what it measured into the docs.
#[allow(clippy::print_stdout, reason = "the report is what a bench is run for")]
pub(crate) fn run_bench(
    root: &Path,
    name: &str,
    quick: bool,
    record: bool,
    data: Option<&Path>,
) -> anyhow::Result<()> {
    if !NAMES.contains(&name) {
        bail!("no bench `{name}`; there are: {}", NAMES.join(", "));
    }
    // They measure the store or a function by itself.
    let server = !matches!(name, "boards" | "matchmaker" | "ratings");
    let participants = matches!(name, "echo" | "flood" | "fleet");
    if server && !participants {
        crate::build(root, &mut Steps::new(crate::BUILD_STEPS))?;
    }
    if matches!(name, "boards" | "http") {
        crate::setup::databases(&mut Steps::new(1))?;
    }
    build_peer(root, name)?;
    if participants {
        build_participants(root)?;
    }
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
    if let Some(data) = data {
        // The bench runs in the workspace's folder.
        let data = std::path::absolute(data).context("no such path")?;
        command.arg("--data").arg(data);
    }
    if server {
        command.env("LIVEKIT_SERVER", crate::setup::livekit_server(root)?);
    }
    command.stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if !output.status.success() {
        bail!("the bench `{name}` failed ({})", output.status);
    }
    if record {
        let last = text.lines().last().context("the bench printed nothing")?;
        let report: Value = serde_json::from_str(last).context("the last line is no report")?;
        let document = match name {
            "feel" => "docs/netcode.md",
            _ => "docs/performance.md",
        };
        record_in(&root.join(document), name, &report)?;
        if let ("feel", Some(links)) = (name, report["metrics"]["links"].as_array()) {
            let picture = root.join("docs/images/feel.svg");
            std::fs::write(&picture, plot::feel(links))
                .with_context(|| format!("cannot write {}", picture.display()))?;
        }
    }
    Ok(())
}

/// Builds what the bench is held against, where that is a program or a module of its own.
fn build_peer(root: &Path, name: &str) -> anyhow::Result<()> {
    let (peers, target) = (root.join("benches/peers"), root.join("target/peers"));
    if peers.join(name).join("Cargo.toml").is_file() {
        let mut command = crate::cargo(&peers);
        command
            .args(["build", "--release", "--package", &format!("peer-{name}")])
            .arg("--target-dir")
            .arg(&target);
        crate::steps::run(&mut command)?;
    }
    if name == "rollback" {
        // Physics is where speed counts for more than size.
        let settings = ["profile.module.opt-level=3"];
        let module = crate::module::compile(
            root,
            &peers.join("cubes"),
            &settings,
            &["-Ctarget-feature=+simd128"],
        )?;
        std::fs::copy(module, target.join("cubes.wasm")).context("cannot copy the module")?;
    }
    Ok(())
}

/// Builds the programs with participants: ours, and that of the official Go SDK.
fn build_participants(root: &Path) -> anyhow::Result<()> {
    let mut command = crate::cargo(root);
    command.args(["build", "--quiet", "--release", "--package", "gs-bench"]);
    crate::steps::run(command.arg("--bins"))?;
    if crate::setup::on_path("go").is_none() {
        bail!(
            "this bench is held against LiveKit's Go SDK, and there is no Go on PATH; install it \
             with `apt-get install golang-go` if that gives 1.24.4 or newer, else from \
             https://go.dev/doc/install"
        );
    }
    let program = root.join("target/peers/livekit-go");
    let mut command = std::process::Command::new("go");
    command
        .current_dir(root.join("benches/peers/livekit-go"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(".");
    crate::steps::run(&mut command)
}

/// Replaces the bench's table in the document.
fn record_in(document: &Path, name: &str, report: &Value) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let place = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = place.with_context(|| {
        format!(
            "{} has no place for `{name}`: {begin}…{end}",
            document.display()
        )
    })?;
    let text = format!("{before}{begin}{}{end}{after}", table(report));
    std::fs::write(document, text).with_context(|| format!("cannot write {}", document.display()))
}

/// The figures of a report; a curve becomes a table with a row a level.
fn table(report: &Value) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let rows = |part: &str, key: &str| report[part][key].as_array().map(Vec::as_slice);
    if let Some(levels) = rows("metrics", "curve") {
        let keys = levels.first().and_then(Value::as_object);
        let keys: Vec<&str> = keys
            .into_iter()
            .flat_map(|l| l.keys())
            .map(String::as_str)
            .collect();
        rows_table(&mut out, levels, &keys);
        return out;
    }
    if report["metrics"]["links"].is_array() {
        for (title, part, key) in LINK_TABLES {
            if let Some(links) = rows(part, key) {
                let _ = writeln!(out, "{title}\n");
                rows_table(&mut out, links, &LINK_COLUMNS);
                out.push('\n');
            }
        }
        return out;
    }
    let _ = writeln!(out, "| figure | value |\n|---|---|");
    for part in ["metrics", "peer"] {
        for (key, value) in report[part].as_object().into_iter().flatten() {
            if value.is_number() {
                let _ = writeln!(out, "| `{key}` | {value} |");
            }
        }
    }
    out
}

/// A table with a row each, and a column for each key.
fn rows_table(out: &mut String, rows: &[Value], keys: &[&str]) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "| {} |",
        join(keys.iter().map(|key| format!("`{key}`")))
    );
    let _ = writeln!(out, "|{}", "---|".repeat(keys.len()));
    for row in rows {
        let cells = keys.iter().map(|key| row[*key].to_string());
        let _ = writeln!(out, "| {} |", join(cells));
    }
}

fn join(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" | ")
}

const NAMES: &[&str] = &[
    "boards",
    "echo",
    "feel",
    "fleet",
    "flood",
    "http",
    "latency",
    "matchmaker",
    "ratings",
    "replication",
    "rollback",
    "rooms",
    "snapshots",
    "tick",
];

/// The tables of the bench `feel`: what each shows, and where the report has it.
const LINK_TABLES: [(&str, &str, &str); 4] = [
    ("`validated`, with prediction:", "metrics", "links"),
    ("`full`, with prediction:", "metrics", "full_links"),
    ("`validated`, without prediction:", "peer", "links"),
    ("`full`, without prediction:", "peer", "full_links"),
];

const LINK_COLUMNS: [&str; 9] = [
    "rtt_ms",
    "loss_pct",
    "own_input_frames",
    "mispredicted_pct",
    "corrections_per_min",
    "staleness_p50_ms",
    "staleness_p99_ms",
    "up_bytes_per_s",
    "down_bytes_per_s",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_its_table_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let document = folder.join("performance.md");
        std::fs::write(&document, "a\n<!-- tick -->\nold\n<!-- /tick -->\nb\n").unwrap();
        let report = serde_json::json!({"metrics": {"x_ns": 5}, "peer": {"name": "p", "y_ns": 7}});
        record_in(&document, "tick", &report).unwrap();
        let text = std::fs::read_to_string(&document).unwrap();
        let table = "| figure | value |\n|---|---|\n| `x_ns` | 5 |\n| `y_ns` | 7 |\n";
        assert_eq!(
            text,
            format!("a\n<!-- tick -->\n{table}<!-- /tick -->\nb\n")
        );
        assert!(record_in(&document, "rooms", &report).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
