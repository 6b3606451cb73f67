//! `database` and `redis`: where everything is kept, and the cache beside it.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `database.url` | – | `postgres://user:password@host:port/name` |
//! | `database.max_connections` | 20 | connections of one process, 2–1,000 |
//! | `redis.url` | – | `redis://` or, over TLS, `rediss://host:port/number` |

use redis::IntoConnectionInfo;
use serde::Deserialize;
use serde_saphyr::Spanned;
use sqlx::postgres::PgConnectOptions;

use super::reader::{Reader, Setting};
use super::{ConfigError, Secret};

/// PostgreSQL and Redis, which come together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServicesConfig {
    /// The record.
    pub(crate) postgres: PostgresConfig,
    /// The cache: its address, with the password in it.
    pub(crate) redis_url: Secret,
    /// The same for people.
    pub(crate) redis_shown: String,
}

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PostgresConfig {
    /// Its address, with the password in it.
    pub(crate) url: Secret,
    /// The same for people.
    pub(crate) shown: String,
    /// Most connections of this process.
    pub(crate) max_connections: u32,
}

impl ServicesConfig {
    pub(super) fn summarize(&self, lines: &mut Vec<String>) {
        let PostgresConfig {
            shown,
            max_connections,
            ..
        } = &self.postgres;
        lines.push(format!(
            "PostgreSQL at {shown}, at most {max_connections} connections"
        ));
        lines.push(format!("Redis at {}", self.redis_shown));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseSection {
    url: Spanned<String>,
    max_connections: Setting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisSection {
    url: Spanned<String>,
}

impl Reader<'_> {
    pub(super) fn services(
        &self,
        database: Option<&Spanned<DatabaseSection>>,
        redis: Option<&Spanned<RedisSection>>,
    ) -> Result<Option<ServicesConfig>, ConfigError> {
        let read = database.map(|section| self.postgres(&section.value));
        let postgres = read.transpose()?;
        let read = redis.map(|section| self.redis(&section.value));
        let cache = read.transpose()?;
        if let (Some(postgres), Some((redis_url, redis_shown))) = (postgres, cache) {
            return Ok(Some(ServicesConfig {
                postgres,
                redis_url,
                redis_shown,
            }));
        }
        match (database, redis) {
            (Some(at), _) => Err(self.error(
                at,
                "database",
                "needs `redis.url` beside it; give both, or neither for the embedded store",
            )),
            (None, Some(at)) => Err(self.error(
                at,
                "redis",
                "needs `database.url` beside it; give both, or neither for the embedded store",
            )),
            (None, None) => Ok(None),
        }
    }

    fn postgres(&self, section: &DatabaseSection) -> Result<PostgresConfig, ConfigError> {
        let (key, raw) = ("database.url", &section.url);
        let url = self.text(key, raw)?;
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        // What the parser says of it may quote it, and a password with it.
        let Some(options) = is_postgres
            .then(|| url.parse::<PgConnectOptions>().ok())
            .flatten()
        else {
            return Err(self.error(
                raw,
                key,
                "expected postgres://user:password@host:port/name, with special characters of the \
                 password percent-encoded",
            ));
        };
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!(
            "{}:{}, database {database}",
            options.get_host(),
            options.get_port()
        );
        Ok(PostgresConfig {
            shown,
            url: Secret::new(url),
            max_connections: self.number_or(
                "database.max_connections",
                &section.max_connections,
                CONNECTIONS,
                (2, MOST_CONNECTIONS),
                "connections from 2 to 1000",
            )?,
        })
    }

    fn redis(&self, section: &RedisSection) -> Result<(Secret, String), ConfigError> {
        let (key, raw) = ("redis.url", &section.url);
        let url = self.text(key, raw)?;
        let is_redis = url.starts_with("redis://") || url.starts_with("rediss://");
        let info = is_redis.then(|| url.as_str().into_connection_info().ok());
        let Some(Some(info)) = info else {
            return Err(self.error(
                raw,
                key,
                "expected redis://host:port or rediss://user:password@host:port/number",
            ));
        };
        let shown = format!("{}, database {}", info.addr(), info.redis_settings().db());
        Ok((Secret::new(url), shown))
    }
}

/// Enough to keep a database of a few cores busy; PostgreSQL itself allows 100 unless it is told
/// otherwise, and several processes share them.
const CONNECTIONS: u32 = 20;
const MOST_CONNECTIONS: u32 = 1_000;
