//! Rebuilds when a migration is added: they are embedded by a macro, which Cargo cannot see.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
