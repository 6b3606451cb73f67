//! The committed code is what `proto/gameserver.proto` says.

// The recipe of `cargo xtask generate`, so that there is only one.
#[allow(unreachable_pub, reason = "it is public in xtask")]
#[path = "../../../xtask/src/generate.rs"]
mod generate;

use std::path::Path;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    generate::run(&root, true).unwrap();
}
