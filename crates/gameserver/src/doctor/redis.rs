//! Redis: reachable, new enough, and keeps what it is given.

use super::{Finding, PATIENCE};
use crate::config::ServicesConfig;

pub(super) async fn look(config: &ServicesConfig, findings: &mut Vec<Finding>) {
    let about = "Redis";
    let asked = tokio::time::timeout(PATIENCE, info(config.redis_url.expose())).await;
    let info = match asked {
        Ok(Ok(info)) => info,
        failed => {
            let reason = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            let found = format!("{} cannot be used: {reason}", config.redis_shown);
            let mend = "check that it runs, and `redis.url`, its password included";
            return findings.push(Finding::fail(about, found, mend));
        }
    };
    findings.push(Finding::ok(
        about,
        format!("answers at {}", config.redis_shown),
    ));
    findings.extend(judge(&info));
}

async fn info(url: &str) -> redis::RedisResult<String> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("INFO").query_async(&mut connection).await
}

/// Judges by what `INFO` says.
fn judge(info: &str) -> Vec<Finding> {
    let value = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let version = value("redis_version").unwrap_or("unknown");
    let major = version.split('.').next().and_then(|n| n.parse().ok());
    let recent = major.is_some_and(|major: u32| major >= OLDEST);
    let mut findings = vec![if recent {
        Finding::ok("Redis's version", version)
    } else {
        Finding::fail(
            "Redis's version",
            version,
            "7 or newer is needed; update it",
        )
    }];
    let policy = value("maxmemory_policy").unwrap_or("unknown");
    let bounded = value("maxmemory") != Some("0");
    findings.push(match policy {
        "noeviction" => Finding::ok("Redis's memory", "maxmemory-policy is noeviction"),
        // Without a bound nothing is ever evicted.
        _ if !bounded => Finding::warn(
            "Redis's memory",
            format!("maxmemory-policy is {policy}, which has no meaning without maxmemory"),
            "set `maxmemory-policy noeviction`, before somebody sets maxmemory",
        ),
        _ => Finding::fail(
            "Redis's memory",
            format!("maxmemory-policy is {policy}: boards can vanish when memory runs out"),
            "set `maxmemory-policy noeviction`, and give boards a Redis of their own",
        ),
    });
    findings
}

const OLDEST: u32 = 7;

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn statuses(version: &str, policy: &str, bound: &str) -> Vec<Status> {
        let info = format!(
            "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory:{bound}\r\n\
             maxmemory_policy:{policy}\r\n"
        );
        judge(&info).iter().map(|finding| finding.status).collect()
    }

    #[test]
    fn an_old_redis_and_one_that_forgets_are_told_from_a_good_one() {
        assert_eq!(statuses("7.2.4", "noeviction", "0"), [Status::Ok; 2]);
        assert_eq!(statuses("8.0.2", "noeviction", "1000"), [Status::Ok; 2]);
        assert_eq!(statuses("6.2.1", "noeviction", "0")[0], Status::Fail);
        assert_eq!(statuses("7.2.4", "allkeys-lru", "0")[1], Status::Warn);
        assert_eq!(statuses("7.2.4", "allkeys-lru", "1000")[1], Status::Fail);
        assert_eq!(judge("")[0].status, Status::Fail);
    }
}
