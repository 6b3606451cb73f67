//! `gameserver new NAME`: a game crate that builds, runs in `dev` and has a test.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::is_game_id;

/// Writes the crate to `folder/NAME` and answers where it is.
///
/// `sdk` is the folder of `game-sdk`; where absent it is looked for above `folder`.
pub(crate) fn create(name: &str, folder: &Path, sdk: Option<&Path>) -> anyhow::Result<PathBuf> {
    if !is_game_id(name) {
        bail!(
            "`{name}` cannot be a game's name: expected 1 to 32 characters from a-z, 0-9 and -, \
             starting with a letter"
        );
    }
    if TAKEN.contains(&name) {
        bail!("`{name}` has a meaning of its own in Rust; choose another name");
    }
    let target = folder.join(name);
    if target.exists() {
        bail!("{} is already there; choose another name", target.display());
    }
    let sdk = match sdk {
        Some(sdk) => sdk.to_owned(),
        None => find_sdk(folder)?,
    };
    if !sdk.join("Cargo.toml").is_file() {
        bail!(
            "no game-sdk at {}; name its folder with --sdk",
            sdk.display()
        );
    }
    let sdk_path = relative(&target, &sdk)?;
    for (file, text) in TEMPLATE {
        let path = target.join(file);
        std::fs::create_dir_all(
            path.parent()
                .expect("a file of the template is in a folder"),
        )
        .with_context(|| format!("cannot make {}", target.display()))?;
        let text = text
            .replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{sdk_path}}", &sdk_path);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(target)
}

fn find_sdk(folder: &Path) -> anyhow::Result<PathBuf> {
    let start = std::path::absolute(folder)?;
    start
        .ancestors()
        .map(|above| above.join("crates/game-sdk"))
        .find(|sdk| sdk.join("Cargo.toml").is_file())
        .context("no game-sdk found above this folder; name its folder with --sdk, or run this inside a checkout of GameServer")
}

/// The way from one folder to another, with `/`, as Cargo wants it.
fn relative(from: &Path, to: &Path) -> anyhow::Result<String> {
    let (from, to) = (std::path::absolute(from)?, std::path::absolute(to)?);
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| "..".into());
    let down = to
        .components()
        .skip(shared)
        .map(|c| c.as_os_str().to_string_lossy());
    Ok(up.chain(down).collect::<Vec<_>>().join("/"))
}

/// Keywords, and crates that every program or this one knows by that name. Keywords that have a
/// capital or an underscore are no names anyway.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "game-sdk",
    "game-sdk-macros",
    "gen",
    "gs-engine",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

const TEMPLATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../template/Cargo.toml.tmpl")),
    ("src/lib.rs", include_str!("../template/src/lib.rs.tmpl")),
    ("README.md", include_str!("../template/README.md.tmpl")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_an_id_and_taken_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "Upper", "1st", "a/b", "..", "a_b"] {
            let error = create(name, folder.path(), None).unwrap_err().to_string();
            assert!(
                error.contains("expected 1 to 32 characters"),
                "{name}: {error}"
            );
        }
        for name in ["core", "match", "game-sdk"] {
            let error = create(name, folder.path(), None).unwrap_err().to_string();
            assert!(error.contains("meaning of its own"), "{name}: {error}");
        }
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(
            create("taken", folder.path(), None)
                .unwrap_err()
                .to_string()
                .contains("already there")
        );
    }

    #[test]
    fn outside_a_checkout_the_sdk_must_be_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            create("game", folder.path(), None)
                .unwrap_err()
                .to_string()
                .contains("--sdk")
        );
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../game-sdk");
        let made = create("game", folder.path(), Some(&sdk)).unwrap();
        let manifest = std::fs::read_to_string(made.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("name = \"game\"") && !manifest.contains("{{"),
            "{manifest}"
        );
    }

    #[test]
    fn the_way_between_folders_is_relative() {
        assert_eq!(
            relative(Path::new("/a/games/x"), Path::new("/a/crates/sdk")).unwrap(),
            "../../crates/sdk"
        );
    }
}
