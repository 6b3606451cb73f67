//! Builds the client core for browsers: `crates/client-wasm` as WebAssembly, and the JavaScript
//! and types that go with it.

use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::module;

/// Writes the client into `web/sdk/src/client/`, where nothing of it is committed. What is there
/// already and of the same source stays as it is, so that nothing that rests on it is built anew.
pub(crate) fn build(root: &Path) -> anyhow::Result<()> {
    let compiled = module::compile(root, &root.join("crates/client-wasm"), SETTINGS, &[])
        .context("the browser's client (crates/client-wasm)")?;
    let bytes =
        std::fs::read(&compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let out_dir = root.join("web/sdk/src/client");
    let stamp_file = out_dir.join(".stamp");
    // Of what was compiled, which names its version of wasm-bindgen, and of what is made of it here.
    let inputs = Sha256::new()
        .chain_update(&bytes)
        .chain_update(include_bytes!("client.rs"));
    let stamp = format!("{:x}\n", inputs.finalize());
    let whole = FILES.iter().all(|name| out_dir.join(name).is_file());
    if whole && std::fs::read_to_string(&stamp_file).is_ok_and(|known| known == stamp) {
        return Ok(());
    }
    // Without the stamp, what an interrupted run leaves behind is not taken for whole.
    _ = std::fs::remove_file(&stamp_file);
    Bindgen::new()
        .input_bytes(NAME, bytes)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&out_dir)
        .context("the JavaScript of crates/client-wasm cannot be made")?;
    std::fs::write(&stamp_file, stamp)
        .with_context(|| format!("cannot write {}", stamp_file.display()))
}

const NAME: &str = "gs_client";
const FILES: &[&str] = &[
    "gs_client.js",
    "gs_client.d.ts",
    "gs_client_bg.wasm",
    "gs_client_bg.wasm.d.ts",
];
const SETTINGS: &[&str] = &[
    // Decoding and prediction run up to 60 times a second on a phone, beside the game itself; the
    // rest of the client is small next to them.
    "profile.module.package.gs-engine.opt-level=3",
    // wasm-bindgen reads sections that stripping takes away, and strips by itself.
    "profile.module.strip=\"none\"",
];
