//! Builds games, and whatever else runs in a browser, to WebAssembly modules.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

/// Builds the game in `game_dir` to `out_dir/NAME.wasm`, NAME being its package's name, and answers
/// that file. It is replaced whole, so a server that watches it never reads half a module.
///
/// All games share `root/target/module`, so that what they have in common is built once. The
/// WebAssembly target is rustup's where it is installed or can be had, else Debian's.
pub(crate) fn build(root: &Path, game_dir: &Path, out_dir: &Path) -> anyhow::Result<PathBuf> {
    let game_dir = game_dir
        .canonicalize()
        .with_context(|| format!("no game in {}: no such folder", game_dir.display()))?;
    let name = package_name(&game_dir)?;
    let module =
        compile(root, &game_dir, &[], &[]).with_context(|| format!("the game `{name}`"))?;
    replace(&module, out_dir, &name)
}

/// Compiles the library in a folder to WebAssembly and answers the file that cargo made.
/// `settings` are further ones of cargo's, such as `profile.module.opt-level=3`, and `flags` of the
/// compiler's.
pub(crate) fn compile(
    root: &Path,
    folder: &Path,
    settings: &[&str],
    flags: &[&str],
) -> anyhow::Result<PathBuf> {
    let target_dir = root.join("target/module");
    let mut command = cargo(folder);
    command
        .args(["build", "--lib", "--target", TARGET, "--profile", "module"])
        .arg("--message-format=json-render-diagnostics")
        .arg("--target-dir")
        .arg(&target_dir);
    let profile = PROFILE.map(|(key, value)| format!("profile.module.{key}={value}"));
    for setting in profile
        .iter()
        .map(String::as_str)
        .chain(settings.iter().copied())
    {
        command.arg("--config").arg(setting);
    }
    let source = prepare(&mut command, folder)?;
    let mut encoded = remapped_paths(root, folder, &source);
    for flag in flags {
        encoded.push("\x1f");
        encoded.push(flag);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", encoded);

    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("it does not build for {TARGET}; see above");
    }
    built_module(&output.stdout, folder)
        .context("it makes no module: its [lib] needs crate-type = [\"cdylib\", \"rlib\"]")
}

/// Gets what [`build`] needs: rustup's target, or Debian's compiler and library.
pub(crate) fn toolchain(root: &Path) -> anyhow::Result<()> {
    let there = has_target(root) || Path::new(DEBIAN_STD).exists();
    if there || (add_target(root) && has_target(root)) {
        return Ok(());
    }
    crate::setup::debian_packages(&["rustc-web", "rust-web-src"])
}

/// Where the standard library for the target comes from.
enum Source {
    /// A target of the toolchain.
    Rustup,
    /// Debian's compiler, which builds the library from source.
    Debian,
}

fn prepare(command: &mut Command, game_dir: &Path) -> anyhow::Result<Source> {
    if has_target(game_dir) {
        return Ok(Source::Rustup);
    }
    // Whoever has installed these packages has met a machine that cannot reach rustup's servers.
    if Path::new(DEBIAN_STD).exists() {
        command
            .args(["-Z", "build-std=std,panic_abort"])
            .env("RUSTC", DEBIAN_RUSTC)
            // What `-Z` needs on a stable compiler.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
                linker(game_dir)?,
            );
        return Ok(Source::Debian);
    }
    if add_target(game_dir) && has_target(game_dir) {
        return Ok(Source::Rustup);
    }
    bail!(
        "the WebAssembly target is missing, and `rustup target add {TARGET}` did not get it; where \
         rustup's servers cannot be reached, on Debian: apt-get install rustc-web rust-web-src"
    )
}

fn has_target(game_dir: &Path) -> bool {
    let library = sysroot(game_dir).map(|root| root.join("lib/rustlib").join(TARGET).join("lib"));
    library.is_ok_and(|library| library.is_dir())
}

/// Asks rustup for the target. It gives up after a while: a firewall that drops packets would
/// otherwise hold the build for many minutes.
fn add_target(game_dir: &Path) -> bool {
    let started = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(game_dir)
        .stdin(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    let deadline = Instant::now() + RUSTUP_PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(100));
            }
            _ => {
                // It may have ended by itself in the meantime.
                _ = child.kill();
                _ = child.wait();
                return false;
            }
        }
    }
}

/// Debian's compiler has no linker for WebAssembly of its own; the toolchain's does.
fn linker(game_dir: &Path) -> anyhow::Result<PathBuf> {
    let rustlib = sysroot(game_dir)?.join("lib/rustlib");
    let hosts = std::fs::read_dir(&rustlib)
        .with_context(|| format!("cannot list {}", rustlib.display()))?;
    let linkers = hosts
        .filter_map(Result::ok)
        .map(|host| host.path().join("bin/rust-lld"));
    linkers
        .into_iter()
        .find(|linker| linker.is_file())
        .with_context(|| {
            format!(
                "no rust-lld under {}: install Rust with rustup, or lld",
                rustlib.display()
            )
        })
}

fn sysroot(game_dir: &Path) -> anyhow::Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(game_dir)
        .output()
        .context("cannot run rustc; install Rust from https://rustup.rs")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn cargo(game_dir: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(game_dir).stdin(Stdio::null());
    command
}

fn package_name(game_dir: &Path) -> anyhow::Result<String> {
    let manifest = game_dir.join("Cargo.toml");
    let output = cargo(game_dir)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("cargo cannot read {}", manifest.display()))?;
    let packages = metadata["packages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let own = packages.iter().find(|package| {
        package["manifest_path"]
            .as_str()
            .is_some_and(|path| Path::new(path) == manifest)
    });
    let name = own.and_then(|package| package["name"].as_str());
    Ok(name
        .with_context(|| format!("{} is no package", manifest.display()))?
        .to_owned())
}

/// The module among what cargo says that it built.
fn built_module(messages: &[u8], game_dir: &Path) -> Option<PathBuf> {
    let manifest = game_dir.join("Cargo.toml");
    let messages = messages.split(|byte| *byte == b'\n');
    messages
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter(|message: &Value| {
            message["manifest_path"]
                .as_str()
                .is_some_and(|path| Path::new(path) == manifest)
        })
        .filter_map(|message| {
            let files = message["filenames"]
                .as_array()?
                .iter()
                .filter_map(Value::as_str);
            files
                .map(PathBuf::from)
                .find(|file| file.extension().is_some_and(|e| e == "wasm"))
        })
        .next_back()
}

/// Flags that keep this machine's folders out of the texts of panics: they would reach players,
/// and the same source would not give the same module elsewhere.
fn remapped_paths(root: &Path, game_dir: &Path, source: &Source) -> OsString {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let mut flags = vec![(root.to_owned(), ""), (game_dir.to_owned(), "game")];
    flags.extend(home.map(|home| (home.join("registry/src"), "registry")));
    if let Source::Debian = source {
        flags.push((PathBuf::from(DEBIAN_LIBRARY), "rust"));
    }
    // The last flag that matches counts, and a game within the checkout keeps its place there.
    if game_dir.starts_with(root) {
        flags.remove(1);
    }
    let mut encoded = OsString::new();
    for (from, to) in flags {
        if !encoded.is_empty() {
            encoded.push("\x1f");
        }
        encoded.push("--remap-path-prefix=");
        encoded.push(from);
        encoded.push("=");
        encoded.push(to);
    }
    encoded
}

/// Puts the module in its place under another name first, and leaves an equal one alone, so that
/// no server reloads what has not changed.
fn replace(module: &Path, out_dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let bytes =
        std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    std::fs::create_dir_all(out_dir)
        .with_context(|| format!("cannot make {}", out_dir.display()))?;
    let file = out_dir.join(format!("{name}.wasm"));
    if !holds(&file, &bytes) {
        let temporary = out_dir.join(format!(".{name}.wasm.{}", std::process::id()));
        std::fs::write(&temporary, &bytes)
            .and_then(|()| std::fs::rename(&temporary, &file))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(file)
}

fn holds(file: &Path, bytes: &[u8]) -> bool {
    let Ok(mut opened) = std::fs::File::open(file) else {
        return false;
    };
    let mut present = Vec::new();
    opened.read_to_end(&mut present).is_ok() && present == bytes
}

const TARGET: &str = "wasm32-unknown-unknown";
/// The profile of a module, for games outside of this workspace too: fast, since a rollback runs
/// many ticks at once, and with the text of a panic kept.
const PROFILE: [(&str, &str); 7] = [
    ("inherits", "\"release\""),
    ("opt-level", "3"),
    ("lto", "true"),
    ("codegen-units", "1"),
    ("panic", "\"abort\""),
    ("debug", "false"),
    ("strip", "true"),
];
/// From Debian's package rustc-web.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Where Debian's rust-web-src puts the sources of the standard library, as the compiler names it.
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust";
/// Is there when rust-web-src is.
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
/// How long rustup may take for the target, some 20 MB.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_replaced_whole_and_only_when_it_differs() {
        let folder = std::env::temp_dir().join(format!("gs-module-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let built = folder.join("built.wasm");
        let out = folder.join("games");
        for bytes in [&b"one"[..], b"two"] {
            std::fs::write(&built, bytes).unwrap();
            let file = replace(&built, &out, "tic-tac-toe").unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
            let written = std::fs::metadata(&file).unwrap().modified().unwrap();
            replace(&built, &out, "tic-tac-toe").unwrap();
            assert_eq!(
                std::fs::metadata(&file).unwrap().modified().unwrap(),
                written
            );
        }
        let left: Vec<_> = std::fs::read_dir(&out).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing temporary stays");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
