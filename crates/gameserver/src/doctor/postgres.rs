//! PostgreSQL: reachable, new enough, migrated, durable, its clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gs_store::PostgresStore;
use sqlx::{Connection, PgConnection};

use super::{Finding, PATIENCE, clock};
use crate::config::PostgresConfig;

pub(super) async fn look(config: &PostgresConfig, findings: &mut Vec<Finding>) {
    let about = "PostgreSQL";
    let connect = PgConnection::connect(config.url.expose());
    let mut connection = match tokio::time::timeout(PATIENCE, connect).await {
        Ok(Ok(connection)) => connection,
        failed => {
            let reason = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            let found = format!("{} cannot be used: {reason}", config.shown);
            let mend = "check that it runs, and user, password and name in `database.url`";
            return findings.push(Finding::fail(about, found, mend));
        }
    };
    findings.push(Finding::ok(about, format!("answers at {}", config.shown)));
    match tokio::time::timeout(PATIENCE, ask(&mut connection, config, findings)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => findings.push(Finding::fail(
            about,
            format!("it refused to answer: {error}"),
            "check that the user may read its settings",
        )),
        Err(_) => findings.push(Finding::fail(
            about,
            format!("no answer within {} s", PATIENCE.as_secs()),
            "look at its load, and at what its log says",
        )),
    }
    let _ = connection.close().await;
    findings.push(schema(config).await);
}

async fn ask(
    connection: &mut PgConnection,
    config: &PostgresConfig,
    findings: &mut Vec<Finding>,
) -> sqlx::Result<()> {
    let mut show = async |name: &'static str| -> sqlx::Result<String> {
        sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&mut *connection)
            .await
    };
    let (version, number) = (
        show("server_version").await?,
        show("server_version_num").await?,
    );
    let recent = number.parse().is_ok_and(|n: u32| n >= OLDEST);
    findings.push(if recent {
        Finding::ok("PostgreSQL's version", version)
    } else {
        Finding::fail(
            "PostgreSQL's version",
            version,
            "15 or newer is needed; update it",
        )
    });
    let commit = show("synchronous_commit").await?;
    findings.push(if commit == "off" {
        Finding::fail(
            "PostgreSQL's commits",
            "synchronous_commit is off: results that were acknowledged can be lost",
            "set `synchronous_commit = on`, for the server, the database and the user",
        )
    } else {
        Finding::ok(
            "PostgreSQL's commits",
            format!("synchronous_commit is {commit}"),
        )
    });
    if show("fsync").await? != "on" {
        findings.push(Finding::fail(
            "PostgreSQL's fsync",
            "is off: a crash of the machine can destroy the database",
            "set `fsync = on`",
        ));
    }
    let limit: u32 = show("max_connections").await?.parse().unwrap_or(0);
    if config.max_connections >= limit {
        findings.push(Finding::warn(
            "PostgreSQL's connections",
            format!(
                "{limit}, and each process may take {}",
                config.max_connections
            ),
            "lower `database.max_connections`, or raise `max_connections` of PostgreSQL, so that \
             all processes fit",
        ));
    }
    let before = Utc::now();
    let theirs: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(&mut *connection)
        .await?;
    let taken = Utc::now() - before;
    let blur = taken.to_std().unwrap_or_default();
    let skew = before + taken / 2 - theirs;
    findings.push(clock("PostgreSQL's clock", skew, blur, TOLERATED));
    Ok(())
}

async fn schema(config: &PostgresConfig) -> Finding {
    let about = "PostgreSQL's schema";
    let pending = PostgresStore::pending(config.url.expose());
    match tokio::time::timeout(PATIENCE, pending).await {
        Ok(Ok(pending)) if pending.is_empty() => Finding::ok(about, "is up to date"),
        Ok(Ok(pending)) => Finding::fail(
            about,
            format!("lacks {}", pending.join(", ")),
            "run `gameserver migrate`",
        ),
        Ok(Err(error)) => Finding::fail(
            about,
            error.to_string(),
            "check that the user may read the database's tables",
        ),
        Err(_) => Finding::fail(
            about,
            format!("no answer within {} s", PATIENCE.as_secs()),
            "a migration may be under way; look again in a moment",
        ),
    }
}

/// 15.0, as PostgreSQL counts.
const OLDEST: u32 = 150_000;
/// A lease lasts 1.5 s by the clock of whoever holds it, and is judged by the others'.
const TOLERATED: Duration = Duration::from_millis(500);
