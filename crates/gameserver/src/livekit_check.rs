//! Whether a LiveKit server will do: it answers, takes the key, and is new enough.

use std::time::Duration;

use anyhow::{Context, bail};
use livekit_data::{ConnectOptions, Participant};
use livekit_rooms::{RoomError, RoomTokens, Rooms};
use tokio_util::sync::CancellationToken;

use crate::wiring::LiveKit;

/// How closely a server is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// It answers, and takes the key.
    Rooms,
    /// A room of its own can be joined, which tells the server's version, too.
    Join,
}

/// Looks at a server. One that will not do is an error.
///
/// `data_tracks_off` says that we started the server ourselves with data tracks off.
pub(crate) async fn check(
    livekit: &LiveKit,
    depth: Depth,
    data_tracks_off: bool,
) -> anyhow::Result<()> {
    livekit.rooms.ping().await?;
    if depth == Depth::Rooms {
        return Ok(());
    }
    match judge(&version(livekit).await?)? {
        Judgement::Good => {}
        Judgement::CrashesOnDataTracks if data_tracks_off => {}
        Judgement::CrashesOnDataTracks => tracing::warn!("{CRASHES}"),
        Judgement::Unknown => {
            tracing::warn!("the LiveKit server names no version that can be judged");
        }
    }
    Ok(())
}

/// The same for a process that does more than needs the server: where it cannot be reached, it is
/// looked at again until it can.
pub(crate) async fn check_or_wait(
    livekit: &LiveKit,
    depth: Depth,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let error = match check(livekit, depth, false).await {
        Err(error) if is_unreachable(&error) => error,
        checked => return checked,
    };
    tracing::error!("{error:#}; matches wait for it");
    let (livekit, shutdown) = (livekit.clone(), shutdown.clone());
    tokio::spawn(async move {
        let mut said = String::new();
        loop {
            let pause = tokio::time::sleep(RETRY);
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
            match check(&livekit, depth, false).await {
                Ok(()) => return tracing::info!("the LiveKit server answers now"),
                Err(error) if is_unreachable(&error) => {}
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != said {
                        tracing::error!("{error}");
                        said = error;
                    }
                }
            }
        }
    });
    Ok(())
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref();
    matches!(error, Some(RoomError::Unreachable { .. }))
}

/// The version that a server names to who joins a room, by joining one.
pub(crate) async fn version(livekit: &LiveKit) -> anyhow::Result<String> {
    let room = format!("check-{}", uuid::Uuid::new_v4().simple());
    livekit.rooms.create_room(&room, "check").await?;
    let url = livekit.config.websocket_url();
    let version = join(&url, &room, &livekit.tokens).await;
    livekit.rooms.delete_room(&room).await?;
    version
}

/// Whether a server makes a room for whoever joins one that does not exist.
pub(crate) async fn makes_rooms(livekit: &LiveKit) -> bool {
    let room = format!("check-{}", uuid::Uuid::new_v4().simple());
    let url = livekit.config.websocket_url();
    let joined = join(&url, &room, &livekit.tokens).await.is_ok();
    if joined {
        let _ = livekit.rooms.delete_room(&room).await;
    }
    joined
}

async fn join(url: &str, room: &str, tokens: &RoomTokens) -> anyhow::Result<String> {
    let token = tokens.authority_token(room)?;
    let mut options = ConnectOptions::new(url, &token.token);
    options.connection.join_timeout = JOIN_TIMEOUT;
    let (participant, _events) = Participant::connect(options)
        .await
        .context("the LiveKit server cannot be joined")?;
    let version = participant.session().server_version.clone();
    participant.close().await;
    Ok(version)
}

/// What a server's version says of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Judgement {
    /// It will do.
    Good,
    /// It will, with data tracks off.
    CrashesOnDataTracks,
    /// It says no version: LiveKit Cloud, and builds from source. Correctness does not rest on it.
    Unknown,
}

/// Judges a server by its version. One that is too old is an error.
pub(crate) fn judge(version: &str) -> anyhow::Result<Judgement> {
    let numbers: Vec<u32> = version
        .split(['.', '-', '+'])
        .map_while(|n| n.parse().ok())
        .collect();
    let &[major, minor, patch, ..] = numbers.as_slice() else {
        return Ok(Judgement::Unknown);
    };
    if (major, minor, patch) < OLDEST {
        bail!(
            "the LiveKit server has version {version}, and {}.{}.{} or newer is needed; update it",
            OLDEST.0,
            OLDEST.1,
            OLDEST.2
        );
    }
    Ok(if (major, minor, patch) < SAFE_DATA_TRACKS {
        Judgement::CrashesOnDataTracks
    } else {
        Judgement::Good
    })
}

/// What is to be done about [`Judgement::CrashesOnDataTracks`].
pub(crate) const CRASHES: &str = "this LiveKit server is older than 1.13.6: any player can crash \
    it with one malformed data-track packet; update it, or set `enable_data_tracks: false` in its \
    configuration";
const RETRY: Duration = Duration::from_secs(5);
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest that the project is tested with.
const OLDEST: (u32, u32, u32) = (1, 13, 0);
/// Before it, a malformed data-track packet ends the server.
const SAFE_DATA_TRACKS: (u32, u32, u32) = (1, 13, 6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_with_what_is_needed() {
        for old in ["0.15.2", "1.8.0", "1.12.9"] {
            let error = judge(old).unwrap_err().to_string();
            assert!(
                error.contains(old) && error.contains("1.13.0 or newer"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_server_that_data_tracks_crash_is_told_from_one_that_is_good() {
        assert_eq!(judge("1.13.5").unwrap(), Judgement::CrashesOnDataTracks);
        assert_eq!(judge("1.13.6").unwrap(), Judgement::Good);
        assert_eq!(judge("2.0.0-rc1").unwrap(), Judgement::Good);
        assert_eq!(judge("unknown").unwrap(), Judgement::Unknown);
    }
}
