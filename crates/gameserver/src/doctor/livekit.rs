//! The LiveKit server: reachable, takes the key, new enough, its clock, its settings.

use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use livekit_rooms::{RoomError, Rooms};

use super::{Finding, PATIENCE, clock};
use crate::config::LiveKitConfig;
use crate::livekit_check::{self, CRASHES, Judgement, judge};
use crate::livekit_server;
use crate::wiring::LiveKit;

pub(super) async fn look(config: Option<&LiveKitConfig>, findings: &mut Vec<Finding>) {
    let Some(config) = config else {
        return findings.push(own_server());
    };
    let livekit = LiveKit::new(config.clone());
    match livekit.rooms.ping().await {
        Ok(()) => findings.push(Finding::ok(
            "LiveKit",
            format!("answers at {}", config.host),
        )),
        Err(RoomError::Unreachable { url, reason }) => {
            let mend = "check that it runs, `livekit.host`, and the firewall between";
            let found = format!("{url} cannot be reached: {reason}");
            return findings.push(Finding::fail("LiveKit", found, mend));
        }
        Err(error) => {
            let mend = "compare `livekit.api_key` and `api_secret` with `keys:` in LiveKit's \
                        configuration";
            return findings.push(Finding::fail("LiveKit's key", error.to_string(), mend));
        }
    }
    findings.push(Finding::ok("LiveKit's key", "is accepted"));
    findings.extend(look_at_clock(config).await);
    match livekit_check::version(&livekit).await {
        Ok(version) => findings.push(about_version(&version)),
        Err(error) => {
            let mend = "open LiveKit's UDP port (`rtc.udp_port`) or its TCP one (`rtc.tcp_port`) \
                        from here, and check `rtc.node_ip` or `use_external_ip`";
            let found = format!("a room cannot be joined: {error:#}");
            findings.push(Finding::fail("LiveKit's rooms", found, mend));
        }
    }
    findings.push(if livekit_check::makes_rooms(&livekit).await {
        Finding::warn(
            "LiveKit's room.auto_create",
            "makes a room for whoever joins",
            "set `room.auto_create: false`: then a room exists only because a match was made",
        )
    } else {
        Finding::ok("LiveKit's room.auto_create", "is off")
    });
    findings.push(Finding::note(
        "LiveKit's other settings",
        "cannot be seen from here",
        "set `rtc.datachannel_lossy_target_latency: 100ms`, or a slow reader sees the past",
    ));
    findings.push(Finding::note(
        "LiveKit's webhooks",
        "cannot be seen from here; nothing depends on them",
        format!(
            "set `webhook: {{api_key: {}, urls: [http://API:PORT/webhooks/livekit]}}`; when a \
             match opens, gameserver_http_requests_total for that route goes up",
            config.api_key
        ),
    ));
}

fn about_version(version: &str) -> Finding {
    let about = "LiveKit's version";
    match judge(version) {
        Ok(Judgement::Good) => Finding::ok(about, version),
        Ok(Judgement::CrashesOnDataTracks) => Finding::warn(about, version, CRASHES),
        Ok(Judgement::Unknown) => Finding::note(
            about,
            format!("{version:?} cannot be judged"),
            "1.13.6 or newer is good",
        ),
        Err(error) => Finding::fail(about, version, error.to_string()),
    }
}

/// By the `Date` of an answer, which counts whole seconds.
async fn look_at_clock(config: &LiveKitConfig) -> Option<Finding> {
    let url = config.websocket_url().replacen("ws", "http", 1);
    let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let before = Utc::now();
    let answer = client.get(url).send().await.ok()?;
    let now = before + (Utc::now() - before) / 2;
    let date = answer.headers().get("date")?.to_str().ok()?;
    let theirs = DateTime::parse_from_rfc2822(date).ok()?.to_utc();
    let blur = Duration::from_secs(1);
    Some(clock("LiveKit's clock", now - theirs, blur, TOLERATED))
}

/// None is configured: `dev` runs one.
fn own_server() -> Finding {
    let about = "LiveKit";
    let program = match livekit_server::find(None) {
        Ok(program) => program,
        Err(error) => {
            let mend = "or give `livekit:` in the configuration";
            return Finding::fail(about, error.to_string(), mend);
        }
    };
    let output = Command::new(&program).arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let place = program.display();
            Finding::ok(about, format!("`gameserver dev` runs {place}, {version}"))
        }
        _ => Finding::fail(
            about,
            format!("{} does not run", program.display()),
            "get another with `cargo xtask setup`, and name it with --livekit-server",
        ),
    }
}

/// LiveKit takes tokens that are up to a minute too young; matches' times need no better.
const TOLERATED: Duration = Duration::from_secs(5);
