//! How busy the connections to PostgreSQL are.

use std::sync::Arc;

use gs_store::PostgresStore;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::Page;

/// Asks the store at each scrape.
pub(crate) struct PoolMetrics(pub(crate) Arc<PostgresStore>);

impl std::fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PoolMetrics")
    }
}

impl Collector for PoolMetrics {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (pool, mut page) = (self.0.pool(), Page(encoder));
        page.gauge(
            "gameserver_database_connections",
            "Open connections to PostgreSQL",
            pool.connections.into(),
        )?;
        page.gauge(
            "gameserver_database_connections_idle",
            "Those that nobody uses",
            pool.idle.into(),
        )?;
        page.gauge(
            "gameserver_database_connections_max",
            "How many there may be",
            pool.max.into(),
        )
    }
}
