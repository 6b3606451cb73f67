//! Generates committed code from `proto/gameserver.proto`.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// Writes the generated code below `root`, the workspace's folder. With `check` it writes nothing
/// and fails where what is committed differs from what would be written.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let file = root.join("crates/protocol/src/generated/gameserver.v1.rs");
    let code = rust_messages(root)?;
    if check {
        let committed = fs::read_to_string(&file).with_context(|| {
            format!(
                "{} cannot be read: run `cargo xtask generate`",
                file.display()
            )
        })?;
        if committed != code {
            bail!(
                "{} is stale: run `cargo xtask generate` and commit it",
                file.display()
            );
        }
        return Ok(());
    }
    fs::create_dir_all(file.parent().context("the generated file has no folder")?)?;
    fs::write(&file, code).with_context(|| format!("{} cannot be written", file.display()))
}

/// The Rust code of the messages, with a line on top that says where it comes from.
fn rust_messages(root: &Path) -> anyhow::Result<String> {
    let descriptors = protox::compile(["gameserver.proto"], [root.join("proto")])
        .context("proto/gameserver.proto does not compile")?;
    let files = descriptors.file.into_iter();
    let requests = files
        .map(|file| {
            (
                prost_build::Module::from_protobuf_package_name(file.package()),
                file,
            )
        })
        .collect();
    let modules = prost_build::Config::new()
        .generate(requests)
        .context("proto/gameserver.proto cannot be turned into Rust")?;
    let mut code = modules.into_values();
    let (Some(code), None) = (code.next(), code.next()) else {
        bail!("proto/gameserver.proto must make exactly one protobuf package");
    };
    Ok(format!(
        "// From proto/gameserver.proto by `cargo xtask generate`. Do not edit.\n{code}"
    ))
}
