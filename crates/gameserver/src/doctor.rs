//! `gameserver doctor`: looks at everything that a deployment rests on, and says how to mend it.

mod configuration;
mod livekit;
mod postgres;
mod redis;

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::services::ConfigArguments;

#[derive(Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    about: &'static str,
    status: Status,
    found: String,
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    /// It cannot be seen from here.
    Note,
    Warn,
    Fail,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

impl Finding {
    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self {
            about,
            status: Status::Ok,
            found: found.into(),
            mend: None,
        }
    }

    fn other(
        status: Status,
        about: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            about,
            status,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn note(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::other(Status::Note, about, found, mend)
    }

    fn warn(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::other(Status::Warn, about, found, mend)
    }

    fn fail(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::other(Status::Fail, about, found, mend)
    }
}

/// Looks at all of it; an error where something has to be mended.
#[allow(
    clippy::print_stdout,
    reason = "what a command answers goes to standard output"
)]
pub(crate) async fn run(arguments: DoctorArguments) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    if let Some(config) = configuration::look(&arguments.config.config, &mut findings) {
        let (mut livekit, mut postgres, mut redis) = (Vec::new(), Vec::new(), Vec::new());
        match &config.services {
            Some(services) => {
                tokio::join!(
                    livekit::look(config.livekit.as_ref(), &mut livekit),
                    postgres::look(&services.postgres, &mut postgres),
                    redis::look(services, &mut redis),
                );
            }
            None => {
                livekit::look(config.livekit.as_ref(), &mut livekit).await;
                postgres.push(Finding::note(
                    "PostgreSQL and Redis",
                    "none configured: only `gameserver dev` runs, which keeps everything itself",
                    "give `database.url` and `redis.url` for `gameserver api` and `authority`",
                ));
            }
        }
        findings.extend(livekit.into_iter().chain(postgres).chain(redis));
    }
    let failed = findings.iter().filter(|f| f.status == Status::Fail).count();
    if arguments.json {
        println!("{}", json(&findings));
    } else {
        findings
            .iter()
            .for_each(|finding| println!("{}", line(finding)));
    }
    match failed {
        0 => Ok(()),
        1 => bail!("one thing has to be mended"),
        n => bail!("{n} things have to be mended"),
    }
}

fn line(finding: &Finding) -> String {
    let Finding {
        about,
        status,
        found,
        mend,
    } = finding;
    let mut line = format!("{status:<5} {about:<28} {found}");
    if let Some(mend) = mend {
        line += &format!("\n{:34} → {mend}", "");
    }
    line
}

fn json(findings: &[Finding]) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = findings
        .iter()
        .map(|finding| {
            serde_json::json!({
                "about": finding.about,
                "status": finding.status.to_string().to_lowercase(),
                "found": finding.found,
                "mend": finding.mend,
            })
        })
        .collect();
    let good = findings.iter().all(|f| f.status != Status::Fail);
    serde_json::json!({ "good": good, "checks": checks })
}

/// Judges how far another machine's clock is from ours, which is known to within `blur`.
fn clock(
    about: &'static str,
    ours_minus_theirs: chrono::TimeDelta,
    blur: Duration,
    tolerated: Duration,
) -> Finding {
    let off = ours_minus_theirs
        .abs()
        .to_std()
        .unwrap_or_default()
        .saturating_sub(blur);
    if off <= tolerated {
        return Finding::ok(about, "agrees with this machine's");
    }
    let direction = if ours_minus_theirs > chrono::TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    Finding::warn(
        about,
        format!("{:.1} s {direction} this machine's", off.as_secs_f32()),
        "keep all machines' clocks by NTP (`timedatectl set-ntp true`)",
    )
}

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_is_sure() {
        let judge = |millis| {
            let (blur, tolerated) = (Duration::from_millis(500), Duration::from_secs(1));
            clock("clock", TimeDelta::milliseconds(millis), blur, tolerated)
        };
        for good in [0, 1_400, -1_400] {
            assert_eq!(judge(good).status, Status::Ok);
        }
        let behind = judge(60_500);
        assert_eq!(behind.status, Status::Warn);
        assert_eq!(behind.found, "60.0 s behind this machine's");
        assert!(judge(-60_500).found.contains("ahead of"));
    }

    #[test]
    fn findings_are_lines_for_people_and_json_for_programs() {
        let findings = [
            Finding::ok("Redis", "answers"),
            Finding::fail("PostgreSQL", "does not answer", "start it"),
        ];
        assert_eq!(line(&findings[0]), format!("ok    {:<28} answers", "Redis"));
        let failed = line(&findings[1]);
        assert!(failed.starts_with("FAIL  PostgreSQL") && failed.ends_with("\u{2192} start it"));
        let json = json(&findings);
        assert_eq!(json["good"], false);
        assert_eq!(json["checks"][1]["status"], "fail");
        assert_eq!(json["checks"][0]["mend"], serde_json::Value::Null);
    }
}
