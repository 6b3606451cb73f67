//! A store against a reference in memory: random calls, whose answers must be the same.
//!
//! `SEED=… cargo test -p gs-store --test model` makes the same calls again, `SEEDS=…` tries that
//! many seeds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod dice;
mod reference;
#[path = "../conformance/services.rs"]
mod services;
#[path = "../conformance/stores.rs"]
mod stores;
mod walk;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::stores::SharedStore;
use crate::walk::Walk;

/// Makes a test of random calls to a store that `$open` opens: it answers the store and whatever
/// must be kept as long as the store is used.
macro_rules! model {
    ($store:ident, $open:path, $seeds:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $store() {
            for seed in seeds($seeds) {
                let (store, _kept) = $open().await;
                play(store, seed, stringify!($store)).await;
            }
        }
    };
}

model!(embedded, crate::stores::embedded, 4);
model!(postgres, crate::services::postgres, 2);

/// The seeds to try: as many as these, unless the environment says otherwise.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| -> Option<u64> {
        let text = std::env::var(name).ok()?;
        let number = text.parse();
        Some(number.unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
    };
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count_wanted) => 1..1 + count_wanted.unwrap_or(count),
    }
}

async fn play(store: SharedStore, seed: u64, name: &str) {
    let mut walk = Walk::new(store, seed);
    let walked = async {
        for _ in 0..CALLS {
            walk.step().await;
        }
        walk.check_everything().await;
        walk.check_that_enough_happened();
    };
    if let Err(panic) = AssertUnwindSafe(walked).catch_unwind().await {
        let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "something".to_owned(),
        };
        panic!(
            "seed {seed} broke: {text}\nafter these calls, the newest last:\n{}\n\
             SEED={seed} cargo test -p gs-store --test model {name}",
            walk.newest_calls()
        );
    }
}

/// Enough for some dozens of matches to be played.
const CALLS: usize = 3000;
