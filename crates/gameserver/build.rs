//! Embeds the built demo (`web/demo/dist`), so that the binary is all that it takes to run it.
//! Without a build of the pages the binary serves none, and says how to build them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dist = root.join("../../web/demo/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    list(&dist, &dist, &mut files);
    files.sort();
    let mut table = String::from("&[\n");
    for (name, file) in &files {
        writeln!(table, "    ({name:?}, include_bytes!({file:?})),").expect("a string takes it");
    }
    table.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("pages.rs"), table).expect("the output folder is writable");
}

fn list(dist: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(dist, &path, files);
        } else if let (Ok(name), Ok(file)) = (path.strip_prefix(dist), path.canonicalize()) {
            let name = name.to_string_lossy().replace('\\', "/");
            files.push((name, file.to_string_lossy().into_owned()));
        }
    }
}
