//! What the queries on PostgreSQL take and answer, which the store's checked queries are compiled
//! against where there is no database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use gs_test_services::{Durability, Postgres};

use crate::steps::run;

/// Asks a PostgreSQL server of its own about each query, and writes the answers to
/// `crates/store/.sqlx`. PostgreSQL has to be installed. With `check` it writes nothing and fails where they differ from what is
/// committed.
pub(crate) fn run_queries(root: &Path, check: bool) -> anyhow::Result<()> {
    let postgres = Postgres::start_with(Durability::Memory);
    let database_url = postgres.database();
    for migration in sorted_files(&root.join(MIGRATIONS))? {
        let sql = fs::read_to_string(&migration)
            .with_context(|| format!("{} cannot be read", migration.display()))?;
        postgres.sql(&database_url, &sql);
    }
    let answers = describe(root, &database_url)?;
    let committed = root.join(COMMITTED);
    if check {
        ensure!(
            answers == contents(&committed)?,
            "{COMMITTED} is stale: run `cargo xtask generate queries` and commit it"
        );
        return Ok(());
    }
    fs::create_dir_all(&committed)?;
    for stale in contents(&committed)?.keys() {
        if !answers.contains_key(stale) {
            fs::remove_file(committed.join(stale))?;
        }
    }
    for (name, answer) in &answers {
        let file = committed.join(name);
        // What has not changed keeps its time, so that nothing is compiled anew for it.
        if fs::read_to_string(&file).is_ok_and(|there| there == *answer) {
            continue;
        }
        fs::write(&file, answer)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

/// Has the compiler check the queries, and answers what it wrote down of each, by file name.
fn describe(root: &Path, database_url: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), PathBuf::from)
        .join("queries");
    // Another one each time, by which Cargo sees that the crate has to be compiled once more; and in
    // a target folder apart, so that nothing else has to.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let answers = target.join(format!("answers-{}", now.as_nanos()));
    fs::create_dir_all(&answers)?;
    let checked = run(crate::cargo(root)
        .args(["check", "--quiet", "--package", "gs-store", "--lib"])
        .arg("--target-dir")
        .arg(&target)
        .env("DATABASE_URL", database_url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &answers));
    let read = contents(&answers);
    fs::remove_dir_all(&answers)?;
    checked?;
    let read = read?;
    if read.is_empty() {
        bail!(
            "the compiler asked the database nothing; remove {} and try again",
            target.display()
        );
    }
    Ok(read)
}

fn contents(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let mut contents = BTreeMap::new();
    for file in sorted_files(folder)? {
        let name = file.file_name().unwrap_or_default();
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        contents.insert(name.to_string_lossy().into_owned(), text);
    }
    Ok(contents)
}

fn sorted_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} is missing", folder.display()))?;
    let files: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = files?;
    files.sort_unstable();
    Ok(files)
}

const MIGRATIONS: &str = "crates/store/migrations/postgres";
const COMMITTED: &str = "crates/store/.sqlx";
