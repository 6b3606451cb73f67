//! The embedded store, and what all stores are to the tests.

use std::sync::Arc;

use gs_store::{EmbeddedStore, Store};

pub(crate) type SharedStore = Arc<dyn Store>;

/// A store in an empty directory, and that directory.
pub(crate) async fn embedded() -> (SharedStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).await.unwrap();
    (Arc::new(store), directory)
}
