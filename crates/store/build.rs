//! Rebuilds when what macros read changes, which Cargo cannot see: the migrations, which they embed,
//! and what is known of the queries, which they check. `SQLX_OFFLINE_DIR` is set where that is asked
//! of a database, by `cargo xtask generate queries`.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=.sqlx");
    println!("cargo::rerun-if-env-changed=SQLX_OFFLINE_DIR");
}
