//! Where programs are, and whom they run as.

use std::path::{Path, PathBuf};

/// A program on `PATH`, else among Debian's versioned PostgreSQL programs, the newest first.
pub fn program(name: &str) -> Option<PathBuf> {
    on_path(name).or_else(|| among_versions(name))
}

/// The same, for a test that cannot do without.
pub(crate) fn find(name: &str) -> PathBuf {
    program(name).unwrap_or_else(|| {
        panic!(
            "`{name}` is neither on PATH nor in {POSTGRES_VERSIONS}/*/bin; the tests need \
             PostgreSQL 15 and Redis 7 or newer: `apt-get install postgresql redis-server`"
        )
    })
}

/// A user and its group, by number.
#[derive(Clone, Copy)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Whom a server runs as that refuses root: nobody else where this process is not root.
pub(crate) fn unprivileged() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let user = ["postgres", "nobody"].iter().find_map(|name| {
        let mut lines = passwd.lines().map(|line| line.split(':'));
        let mut fields = lines.find(|fields| fields.clone().next() == Some(name))?;
        Some(User {
            uid: fields.nth(2)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    });
    Some(
        user.expect(
            "PostgreSQL does not run as root: there has to be a user `postgres` or `nobody`",
        ),
    )
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn among_versions(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(POSTGRES_VERSIONS).ok()?.flatten();
    let version = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let mut versions: Vec<u32> = versions.filter_map(version).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
        .into_iter()
        .map(|version| Path::new(POSTGRES_VERSIONS).join(format!("{version}/bin/{name}")))
        .find(|file| file.is_file())
}

const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";
